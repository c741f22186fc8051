import copy
import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minibackprop import (
    L2,
    SGD,
    BatchNorm,
    ConfigError,
    ContractError,
    Dense,
    DTypeError,
    HalfSquaredError,
    History,
    Layer,
    Loss,
    MeanSquaredError,
    NonFiniteError,
    Optimizer,
    Parameter,
    PrintEvery,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    StateDictError,
    Step,
    TargetError,
    Trainer,
    Uniform,
    accuracy,
    mean_absolute_error,
    mlp,
    summary,
)
from minibackprop.validation import Array
from tests.example_layers import Broken, Lazy, OneWay, Scale
from tests.random_models import gradients, models, seeds, values

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


def new_trainer(dtype: type = np.float64, loss: Loss = HalfSquaredError()) -> Trainer:  # noqa: B008
    """Make a trainer of a small model, always the same."""
    model = Sequential([Dense(3, 4, rng=0, dtype=dtype), Sequential([Sigmoid(), Dense(4, 1, rng=1, dtype=dtype)])])
    return Trainer(model, loss, SGD(0.1))


each_verb = pytest.mark.parametrize(
    "train",
    [lambda trainer, x, y: trainer.fit(x, y, 3), lambda trainer, x, y: trainer.step(x, y)],
    ids=["fit", "step"],
)
Train = Callable[[Trainer, Any, Any], object]


# --- What a step is --------------------------------------------------------------------------------------------------


@given(
    drawn=models(), loss=st.sampled_from([HalfSquaredError(), MeanSquaredError()]), rate=st.floats(1e-3, 1), seed=seeds
)
def test_fit_is_forward_loss_backward_and_descent(
    drawn: tuple[Sequential, Array], loss: Loss, rate: float, seed: int
) -> None:
    """Each epoch takes `rate` times the gradient from every parameter, and records the loss from before that."""
    model, x = drawn
    assume(model.parameters())
    x = x.reshape(-1, x.shape[-1])
    by_hand = copy.deepcopy(model)
    y = np.random.default_rng(seed).normal(size=model.predict(x).shape)
    history = Trainer(model, loss, SGD(rate)).fit(x, y, epochs=3)
    losses = []
    for _ in range(3):
        prediction, caches = by_hand.forward(x)
        value, loss_cache = loss.forward(prediction, y)
        by_hand.backward(loss.backward(loss_cache), caches)
        for parameter in by_hand.parameters():
            parameter.value -= rate * parameter.grad
            parameter.clear()
        losses.append(value)
    assert history.loss == losses
    assert values(model) == values(by_hand)


def test_step_is_an_epoch_on_the_full_batch() -> None:
    """`step` does what one epoch of `fit` does, and returns the loss that `fit` records."""
    fitting, stepping = new_trainer(), new_trainer()
    assert fitting.fit(X, Y, 3).loss == [stepping.step(X, Y) for _ in range(3)]
    assert values(fitting.model) == values(stepping.model)
    assert fitting.steps == stepping.steps == 3


def test_callbacks_see_the_prediction_before_the_update() -> None:
    """A callback gets the trainer, the step's number, loss and target, and the prediction that the step came from."""
    trainer, seen = new_trainer(), []
    expected = trainer.model.predict(X)

    def watch(step: Step) -> None:
        nonlocal expected
        assert step.trainer is trainer
        np.testing.assert_array_equal(step.prediction, expected)
        np.testing.assert_array_equal(step.target, Y)
        assert step.loss == trainer.loss(expected, Y)
        seen.append(step.number)
        expected = trainer.model.predict(X)
        assert not np.array_equal(expected, step.prediction)

    trainer.fit(X, Y, 2, callbacks=[watch])
    trainer.fit(X, Y, 2, callbacks=iter([watch]))
    assert seen == [0, 1, 2, 3]


def test_history_goes_on_over_fits() -> None:
    """The history is the trainer's own, and a second `fit` goes on where the first ended; 0 epochs add nothing."""
    parts, whole = new_trainer(), new_trainer()
    first = parts.fit(X, Y, 2)
    second = parts.fit(X, Y, 3)
    assert first is second is parts.history is parts.fit(X, Y, 0)
    assert first.loss == whole.fit(X, Y, 5).loss
    assert parts.steps == len(first.loss) == 5


@each_verb
def test_stale_gradients_do_not_leak_into_a_step(train: Train) -> None:
    """Gradients that were there before have no part in the first step, and none are left after the last."""
    clean, stale = new_trainer(), new_trainer()
    for parameter in stale.model.parameters():
        parameter.add(np.ones_like(parameter.value))
    for trainer in (clean, stale):
        train(trainer, X, Y)
        assert gradients(trainer.model) == [None] * 4
    assert values(clean.model) == values(stale.model)


@each_verb
def test_first_input_gradient_is_not_computed(train: Train) -> None:
    """Training does not ask the first layer with parameters for the gradient of its input."""
    model = Sequential([Sigmoid(), OneWay([1.0, 1.0])])
    before = values(model)
    train(Trainer(model, HalfSquaredError(), SGD(0.1)), np.ones((3, 2)), np.zeros((3, 2)))
    assert values(model) != before


@each_verb
def test_parameters_made_late_are_trained(train: Train) -> None:
    """A layer that makes its parameters in its first forward is trained like one that had them from the start."""
    late, early = Lazy(), Scale([2.0, 2.0, 2.0])
    for layer in (late, early):
        train(Trainer(Sequential([layer, Dense(3, 1, rng=0)]), MeanSquaredError(), SGD(0.1)), X, Y)
    np.testing.assert_array_equal(late.scale.factors.value, early.factors.value)


# --- Data ------------------------------------------------------------------------------------------------------------


@each_verb
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "convert",
    [
        lambda data: data.astype(int), lambda data: data.astype(np.uint8), lambda data: data.astype(bool),
        lambda data: data.astype(np.float32), lambda data: data.tolist(), lambda data: data.astype(int).tolist(),
    ],
    ids=["int", "uint8", "bool", "float32", "list", "list of int"],
)  # fmt: skip
def test_numbers_of_any_kind_train_alike(train: Train, dtype: type, convert: Callable[[Array], Any]) -> None:
    """Integers, booleans, lists and other widths train to the same bits as the same numbers in the model's dtype."""
    converted, plain = new_trainer(dtype), new_trainer(dtype)
    train(converted, convert(X), convert(Y))
    train(plain, X.astype(dtype), Y.astype(dtype))
    assert values(converted.model) == values(plain.model)
    assert converted.history.loss == plain.history.loss


@each_verb
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_order_in_memory_makes_no_difference(train: Train, dtype: type) -> None:
    """Data that lie by columns train alike, but for rounding: a product of them may be summed in another order."""
    columns, rows = new_trainer(dtype), new_trainer(dtype)
    train(columns, np.asfortranarray(X.astype(dtype)), np.asfortranarray(Y.astype(dtype)))
    train(rows, X.astype(dtype), Y.astype(dtype))
    # Three steps at most, with some dozens of roundings of numbers near 1 between an input and the new weights.
    rounding = 200 * float(np.finfo(dtype).eps)
    for one, other in zip(columns.model.parameters(), rows.model.parameters(), strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=rounding, atol=rounding)
    np.testing.assert_allclose(columns.history.loss, rows.history.loss, rtol=rounding)


def test_float32_stays_float32_in_training() -> None:
    """A float32 model is handed float32 gradients only, predicts in float32 and stays float32, whatever x and y are."""

    class Watching(SGD):
        def step(self, parameters: list, /) -> None:
            seen.update(parameter.grad.dtype for parameter in parameters)
            super().step(parameters)

    seen: set[np.dtype] = set()
    trainer = new_trainer(np.float32)
    trainer.optimizer = Watching(np.float64(0.1))
    trainer.fit(X, Y, 2, callbacks=[lambda step: seen.add(step.prediction.dtype)])
    assert seen == {np.dtype(np.float32)}
    assert {parameter.value.dtype for parameter in trainer.model.parameters()} == seen


@each_verb
def test_data_are_not_written_to(train: Train) -> None:
    """Read-only data serve."""
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    train(new_trainer(), x, y)


def test_saturated_units_train_without_warnings() -> None:
    """Sigmoids driven to their limits overflow nowhere; `fit` itself would keep NumPy's warnings from being seen."""
    model = Sequential([Dense(3, 4, rng=0), Sigmoid(), Dense(4, 1, rng=1), Sigmoid()])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        prediction, caches = model.forward(1e6 * X - 5e5)
        model.accumulate(prediction - Y, caches)


# --- Refused calls ---------------------------------------------------------------------------------------------------


def spoilt(data: Array, value: float) -> Array:
    """Put `value` into the last entry."""
    data = data.copy()
    data[-1, -1] = value
    return data


@each_verb
@pytest.mark.parametrize(
    ("x", "y", "kind", "message"),
    [
        (np.ones((4, 7)), Y, ShapeError, r"layer 0: Dense expects \(\.\.\., 3\), got \(4, 7\)"),
        (np.ones(4), Y, ShapeError, r"layer 0: Dense expects \(\.\.\., 3\), got \(4,\)"),
        (np.ones((4, 2, 3)), Y, ShapeError, r"expects a target of the prediction's shape \(4, 2, 1\), got \(4, 1\)"),
        (X, Y[:, 0], ShapeError, r"HalfSquaredError expects a target of .* \(4, 1\), got \(4,\)"),
        (X, Y.T, ShapeError, r"as many targets as samples, got x of shape \(4, 3\) and y of shape \(1, 4\)"),
        (X[:3], Y, ShapeError, r"as many targets as samples, got x of shape \(3, 3\) and y of shape \(4, 1\)"),
        (X[:0], Y[:0], ShapeError, r"Trainer: x expects one sample a row, and at least one, got shape \(0, 3\)"),
        ([], [], ShapeError, r"Trainer: x expects one sample a row, and at least one, got shape \(0,\)"),
        (1.0, Y, ShapeError, r"Trainer: x expects one sample a row, and at least one, got shape \(\)"),
        (X, 1.0, ShapeError, r"Trainer: y expects one sample a row, and at least one, got shape \(\)"),
        ([[1.0], [1.0, 2.0]], Y, ShapeError, "Trainer: x expects samples of one shape, got "),
        ("text", Y, DTypeError, "Trainer: x expects an array of numbers, got "),
        (X.astype(str), Y, DTypeError, r"Trainer: x expects an array of numbers, got ndarray of shape \(4, 3\) .* <U"),
        (X.astype(object), Y, DTypeError, "Trainer: x expects an array of numbers, got .* object"),
        (X, Y.astype(object), DTypeError, "Trainer: y expects an array of numbers, got .* object"),
        (X, [["a"]] * 4, DTypeError, "Trainer: y expects an array of numbers, got "),
        (X + 0j, Y, DTypeError, "Trainer: x expects real numbers, got .* complex128"),
        (spoilt(X, np.nan), Y, NonFiniteError, r"Trainer: x must be finite, got nan at index \(3, 2\)"),
        (spoilt(X, -np.inf), Y, NonFiniteError, r"Trainer: x must be finite, got -inf at index \(3, 2\)"),
        (X, spoilt(Y, np.nan), NonFiniteError, r"Trainer: y must be finite, got nan at index \(3, 0\)"),
        (X, spoilt(Y, np.inf), NonFiniteError, r"Trainer: y must be finite, got inf at index \(3, 0\)"),
    ],
)  # fmt: skip
def test_bad_data_are_refused_before_any_step(
    train: Train, x: object, y: object, kind: type[Exception], message: str
) -> None:
    """Data that do not fit are a clear error, after which every parameter is as it was, and no gradient is left."""
    trainer = new_trainer()
    before = values(trainer.model)
    with pytest.raises(kind, match=message):
        train(trainer, x, y)
    assert values(trainer.model) == before
    assert gradients(trainer.model) == [None] * 4
    assert (trainer.steps, trainer.history.loss) == (0, [])


@each_verb
def test_numbers_too_large_for_the_model_are_refused(train: Train) -> None:
    """What becomes infinite in the model's dtype is refused like infinity."""
    with pytest.raises(NonFiniteError, match=r"x must be finite, got 1e\+300 at index \(3, 2\), which float32"):
        train(new_trainer(np.float32), spoilt(X, 1e300), Y)


@pytest.mark.parametrize("epochs", [-1, 1.0, True, "3", None])
def test_epochs_are_a_whole_number(epochs: object) -> None:
    """Anything but an integer of at least 0 is refused."""
    with pytest.raises(ConfigError, match=f"Trainer.fit: epochs expects an integer of at least 0, got {epochs!r}"):
        new_trainer().fit(X, Y, epochs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (Dense, HalfSquaredError(), SGD(1)),
            "Trainer: model expects an instance of Layer, got the class Dense itself",
        ),
        (([Sigmoid()], HalfSquaredError(), SGD(1)), "Trainer: model expects an instance of Layer, got list"),
        (
            (Sigmoid(), HalfSquaredError, SGD(1)),
            "Trainer: loss expects an instance of Loss, got the class HalfSquaredError itself",
        ),
        ((Sigmoid(), HalfSquaredError(), 0.1), "Trainer: optimizer expects an instance of Optimizer, got float"),
    ],
)
def test_trainer_is_made_of_model_loss_and_optimizer(arguments: tuple[object, ...], message: str) -> None:
    """What is none of the three is refused at construction, a class in place of an object too."""
    with pytest.raises(ConfigError, match=message):
        Trainer(*arguments)


# --- Losses that are not finite --------------------------------------------------------------------------------------


@each_verb
@pytest.mark.parametrize(
    ("factors", "worst"),
    [([1.0, np.nan], "1.factors, whose largest entry is nan"), ([1e200, -1e201], "1.factors, .* is 1e\\+201 in size")],
)
def test_loss_that_is_not_finite_stops_before_its_step(train: Train, factors: list[float], worst: str) -> None:
    """The error names the step and the parameter to look at: one that is not finite itself, or else the largest."""
    model = Sequential([Scale([3.0, 4.0]), Scale(factors)])
    trainer = Trainer(model, HalfSquaredError(), SGD(0.1))
    trainer.steps = 17
    before = values(model)
    with pytest.raises(NonFiniteError, match=f"the loss of step 17 must be finite, got (nan|inf) .*look at {worst}"):
        train(trainer, np.ones((2, 2)), np.ones((2, 2)))
    assert values(model) == before
    assert gradients(model) == [None, None]
    assert (trainer.steps, trainer.history.loss) == (17, [])


def test_divergence_keeps_what_went_before() -> None:
    """A fit whose loss grows beyond all numbers ends at that step, with finite parameters and losses."""
    trainer = Trainer(Scale([1.0]), HalfSquaredError(), SGD(1e9))
    with pytest.raises(NonFiniteError, match=r"look at factors, .* try a smaller learning rate"):
        trainer.fit([[1.0]], [[0.0]], 100)
    assert 1 < trainer.steps == len(trainer.history.loss) < 100
    assert np.isfinite(trainer.model.factors.value).all()
    assert np.isfinite(trainer.history.loss).all()


# --- Exceptions in mid-step ------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """Stands for what a user's code may raise, Ctrl-C included: no `Exception`."""


class BrokenSquaredError(HalfSquaredError):
    def __init__(self, verb: str) -> None:
        object.__setattr__(self, verb, self._raise)

    def _raise(self, *arguments: object) -> None:
        raise Interrupted


class BrokenOptimizer(Optimizer):
    def step(self, parameters: list, /) -> None:
        raise KeyboardInterrupt


BREAKAGES: dict[str, tuple[Layer, Loss, Optimizer]] = {
    "layer forward": (Broken(Interrupted(), forwards=True), HalfSquaredError(), SGD(0.1)),
    "layer backward": (Broken(Interrupted()), HalfSquaredError(), SGD(0.1)),
    "loss forward": (Sigmoid(), BrokenSquaredError("forward"), SGD(0.1)),
    "loss backward": (Sigmoid(), BrokenSquaredError("backward"), SGD(0.1)),
    "optimizer": (Sigmoid(), HalfSquaredError(), BrokenOptimizer()),
}


@each_verb
@pytest.mark.parametrize(("layer", "loss", "optimizer"), BREAKAGES.values(), ids=BREAKAGES.keys())
def test_exception_in_mid_step_leaves_no_gradients(
    train: Train, layer: Layer, loss: Loss, optimizer: Optimizer
) -> None:
    """Whatever is raised, wherever, comes through as it is, and leaves no gradient and no changed parameter."""
    model = Sequential([Dense(3, 3, rng=0), layer, Dense(3, 1, rng=1)])
    before = values(model)
    with pytest.raises((Interrupted, KeyboardInterrupt)):
        train(Trainer(model, loss, optimizer), X, Y)
    assert gradients(model) == [None] * 4
    assert values(model) == before


def test_history_survives_an_interruption() -> None:
    """After Ctrl-C, here in a loss, the history holds what was done, and training goes on as if never stopped."""

    class CtrlC(HalfSquaredError):  # noqa: N818 - it is a loss
        def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Array]:
            if stopped.steps == 3:
                raise KeyboardInterrupt
            return super().forward(prediction, target, weights)

    stopped, straight = new_trainer(), new_trainer()
    stopped.loss = CtrlC()
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y, 5)
    assert stopped.steps == stopped.epochs == len(stopped.history.loss) == 3
    stopped.loss = HalfSquaredError()
    assert stopped.fit(X, Y, 2).loss == straight.fit(X, Y, 5).loss


# --- Printing --------------------------------------------------------------------------------------------------------


def test_print_every(capsys: pytest.CaptureFixture[str]) -> None:
    """The error is printed at step 0 and every so many steps from there, over fits, with its metric's name."""
    trainer, errors = new_trainer(), []

    def record(step: Step) -> None:
        errors.append(mean_absolute_error(step.prediction, step.target))

    for _ in range(2):
        trainer.fit(X, Y, 4, callbacks=[record, PrintEvery(3)])
    lines = [f"step {step}: mean absolute error {errors[step]:.12g}\n" for step in (0, 3, 6)]
    assert capsys.readouterr().out == "".join(lines)


def test_print_every_takes_a_metric_and_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Any function of prediction and target is printed, to any file."""

    def worst(prediction: Array, target: Array) -> float:
        return float(np.abs(prediction - target).max())

    file = io.StringIO()
    Trainer(Scale([1.0]), HalfSquaredError(), SGD(1)).fit(
        [[1.0], [2.0]], [[0.5], [0.0]], 1, callbacks=[PrintEvery(1, worst, file)]
    )
    assert file.getvalue() == "step 0: worst 2\n"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "10"])
def test_print_every_positive_number_of_steps(steps: object) -> None:
    """Anything but a positive integer is refused."""
    with pytest.raises(ConfigError, match=f"PrintEvery: steps expects a positive integer, got {steps!r}"):
        PrintEvery(steps)


def test_history_is_shown_in_short() -> None:
    """A history of thousands of epochs is one line."""
    assert repr(History()) == "History(epochs=0)"
    history = History()
    for loss in (2.0, 1.0, 0.5):
        history.record({"loss": loss})
    assert repr(history) == "History(epochs=3, loss from 2 to 0.5)"


@pytest.mark.parametrize("callbacks", [PrintEvery(1), None, [PrintEvery], [3]])
def test_callbacks_are_a_list_of_callables(callbacks: object) -> None:
    """What cannot be called after a step is refused before the first."""
    model = Dense(1, 1, rng=0)
    before = model.state_dict()
    trainer = Trainer(model, HalfSquaredError(), SGD(1))
    with pytest.raises(ConfigError, match=r"Trainer\.fit: callbacks expects"):
        trainer.fit([[1.0]], [[1.0]], 1, callbacks=callbacks)
    np.testing.assert_array_equal(model.state_dict()["weight"], before["weight"])


def test_model_without_parameters_is_refused() -> None:
    """A weight that is no Parameter would not be trained, without a word."""

    class Unfound(Layer):
        def __init__(self) -> None:
            self.weight = np.ones(2)

        def forward(self, x: Array, /) -> tuple[Array, Array]:
            return x * self.weight, x

        def backward(self, grad: Array, x: Array, /) -> Array:
            return grad * self.weight

    with pytest.raises(ConfigError, match=r"Trainer: model expects a Parameter to train .*, got Unfound\(\)"):
        Trainer(Unfound(), HalfSquaredError(), SGD(1)).fit(np.ones((3, 2)), np.ones((3, 2)), 1)


def test_masks_are_not_passed_over() -> None:
    """A masked array is refused, rather than trained on as if it had no mask."""
    x = np.ma.masked_invalid([[np.nan], [1.0]])
    with pytest.raises(DTypeError, match="Trainer: x expects a plain array, got MaskedArray"):
        Trainer(Dense(1, 1), HalfSquaredError(), SGD(1)).fit(x, np.ones((2, 1)), 1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_callback_that_fails_leaves_no_gradients(error: type[BaseException]) -> None:
    """What a callback added to the gradients before it failed, or was stopped, is forgotten."""
    model = Dense(1, 1, rng=0)

    def look(_: Step) -> None:
        y, cache = model.forward(np.ones((2, 1)))
        model.backward(y, cache)
        raise error

    trainer = Trainer(model, HalfSquaredError(), SGD(1))
    with pytest.raises(error):
        trainer.fit([[1.0]], [[1.0]], 1, callbacks=[look])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert trainer.steps == 1


# --- Weights, and batches in parts -----------------------------------------------------------------------------------


def gradients_of(model: Layer, loss: Loss, *data: Array, **settings: Any) -> tuple[float, dict[str, Array]]:
    """Give the loss of a step, and the gradients that it is made with."""
    kept: dict[str, Array] = {}

    class Keep(Optimizer):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            kept.update({name: parameter.grad for name, parameter in model.named_parameters()})
            for parameter in parameters:
                parameter.clear()

    return Trainer(model, loss, Keep()).step(*data, **settings), kept


def assert_equal(ours: dict[str, Array], theirs: dict[str, Array]) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12)


each_loss = pytest.mark.parametrize(
    "loss", [HalfSquaredError(), MeanSquaredError(), SoftmaxCrossEntropy(class_weights=[1.0, 3.0])]
)


def labelled(loss: Loss, rng: np.random.Generator, count: int) -> tuple[Layer, Array, Array]:
    """Make a model, samples, and targets that fit the loss."""
    x = rng.normal(size=(count, 3))
    labels = rng.integers(0, 2, count)
    target = labels if isinstance(loss, SoftmaxCrossEntropy) else rng.normal(size=(count, 2))
    return Sequential([Dense(3, 4, rng=rng), Sigmoid(), Dense(4, 2, rng=rng)]), x, target


@each_loss
@given(count=st.integers(1, 7), size=st.integers(1, 7), weighted=st.booleans(), seed=seeds)
def test_a_batch_in_parts_is_the_whole(loss: Loss, count: int, size: int, weighted: bool, seed: int) -> None:
    """Sums, means and weighted means: the loss and the gradients do not depend on how a batch is split."""
    rng = np.random.default_rng(seed)
    model, x, y = labelled(loss, rng, count)
    weights = rng.integers(0, 3, count) + (np.arange(count) == 0) if weighted else None
    whole = gradients_of(model, loss, x, y, weights)
    parts = gradients_of(model, loss, x, y, weights, micro_batch_size=size)
    assert parts[0] == pytest.approx(whole[0], rel=1e-9)
    assert_equal(parts[1], whole[1])


@each_loss
@given(count=st.integers(1, 5), seed=seeds)
def test_weights_are_repeated_rows(loss: Loss, count: int, seed: int) -> None:
    """A weight of 2 is the sample standing twice, one of 0 the sample not being there."""
    rng = np.random.default_rng(seed)
    model, x, y = labelled(loss, rng, count)
    times = rng.integers(0, 3, count) + (np.arange(count) == 0)
    weighted = gradients_of(model, loss, x, y, times)
    repeated = gradients_of(model, loss, np.repeat(x, times, axis=0), np.repeat(y, times, axis=0))
    assert weighted[0] == pytest.approx(repeated[0], rel=1e-9)
    assert_equal(weighted[1], repeated[1])


def test_coupled_samples_are_not_taken_apart() -> None:
    """A layer that looks at the whole batch would see a part only: that is refused, with the reason."""
    trainer = Trainer(Sequential([Dense(3, 2), BatchNorm(2), Dense(2, 1)]), MeanSquaredError(), SGD(0.1))
    with pytest.raises(ConfigError, match="Trainer: micro_batch_size expects samples that do not depend on each other"):
        trainer.fit(X, Y, 1, micro_batch_size=2)
    assert trainer.steps == 0


# --- What an epoch records -------------------------------------------------------------------------------------------


def test_an_epoch_averages_its_batches() -> None:
    """A mean counts each batch by its weight, a sum adds; metrics count each by its samples."""
    x, y = np.ones((5, 1)), np.arange(5.0)[:, np.newaxis]
    weights = np.array([1.0, 2, 3, 4, 5])
    parts = [(x[:2], y[:2], weights[:2]), (x[2:], y[2:], weights[2:])]

    class Still(Optimizer):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            for parameter in parameters:
                parameter.clear()

    for loss in (MeanSquaredError(), HalfSquaredError()):
        trainer = Trainer(Dense(1, 1, rng=0), loss, Still(), metrics=[mean_absolute_error])
        history = trainer.fit(parts, epochs=1)
        prediction = trainer.model.predict(x)
        assert history.loss[0] == pytest.approx(loss(prediction, y, weights))
        assert history["mean_absolute_error"][0] == pytest.approx(mean_absolute_error(prediction, y))


def test_validation_is_measured_after_each_epoch() -> None:
    """The loss and metrics of the validation data are those of the model as the epoch leaves it, as evaluate gives."""
    others, targets, weights = X[:3] / 2, Y[:3], np.array([1.0, 2.0, 3.0])
    for validation in (
        (others, targets, weights),
        [(others[:1], targets[:1], weights[:1]), (others[1:], targets[1:], weights[1:])],
    ):
        trainer = new_trainer(loss=MeanSquaredError())
        trainer.metrics = {"error": mean_absolute_error}
        history = trainer.fit(X, Y, 3, validation=validation)
        expected = trainer.evaluate(others, targets, weights)
        assert expected["loss"] == pytest.approx(MeanSquaredError()(trainer.model.predict(others), targets, weights))
        assert history["val_loss"][-1] == pytest.approx(expected["loss"])
        # A mean over parts is not added up in the order of that over all.
        assert history["val_error"][-1] == pytest.approx(expected["error"])
        assert expected["error"] == pytest.approx(mean_absolute_error(trainer.model.predict(others), targets))
        assert len(history["val_loss"]) == 3
        assert trainer.evaluate(others, targets, weights, batch_size=2) == pytest.approx(expected)


def test_a_fraction_is_held_out() -> None:
    """The samples held out are not trained on, are the same in each fit, and given by the trainer's rng."""
    x = np.arange(10.0)[:, np.newaxis]
    seen: list[Array] = []

    class Look(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            seen.append(x.ravel())
            return x, None

        def predict(self, x: Array, /) -> Array:
            held.append(x.ravel())
            return x

        def backward(self, grad: Array, _: Any, /) -> Array:
            return grad

    splits = []
    for seed in (0, 0, 1):
        trainer = Trainer(Sequential([Look(), Dense(1, 1)]), MeanSquaredError(), SGD(0.001), rng=seed)
        for settings in ({}, {"batch_size": 3}, {"batch_size": 3, "shuffle": False}):
            seen, held = [], []
            trainer.fit(x, x, 2, validation=0.3, **settings)
            held.pop(0)  # The first sample alone: what the loss is held against before the first step.
            assert sorted(np.concatenate([*seen[: len(seen) // 2], *held[: len(held) // 2]])) == x.ravel().tolist()
            splits.append(sorted(set(np.concatenate(held))))
            assert len(splits[-1]) == 3
    assert splits[:3] == splits[3:6] == [splits[0]] * 3
    assert splits[6] != splits[0]


@given(seed=seeds, strength=st.floats(0, 2))
def test_a_penalty_is_in_the_loss_and_in_the_gradients(seed: int, strength: float) -> None:
    """With a regularizer, the gradients are those of the loss with the penalty, added once, also for parts."""
    rng = np.random.default_rng(seed)
    model, x, y = labelled(MeanSquaredError(), rng, 4)
    plain = gradients_of(model, MeanSquaredError(), x, y)
    penalty = L2(strength)
    for parameter in model.parameters():
        parameter.add(np.zeros_like(parameter.value))
    penalty.backward(model.parameters())
    expected = {name: plain[1][name] + parameter.grad for name, parameter in model.named_parameters()}
    for size in (None, 3):
        kept: dict[str, Array] = {}

        class Keep(Optimizer):
            def step(self, parameters: Iterable[Parameter], /) -> None:
                kept.update({name: parameter.grad for name, parameter in model.named_parameters()})  # noqa: B023

        trainer = Trainer(model, MeanSquaredError(), Keep(), regularizer=penalty)
        loss = trainer.step(x, y, micro_batch_size=size)
        assert loss == pytest.approx(plain[0] + penalty.forward(model.parameters()))
        assert trainer.evaluate(x, y)["loss"] == pytest.approx(loss)
        assert_equal(kept, expected)


def test_shuffling_comes_from_the_rng() -> None:
    """The same seed trains to the same bits, another one to others; without shuffling the seed does not matter."""

    def train(seed: int, **settings: Any) -> list[bytes]:
        model = Sequential([Dense(3, 4, rng=0), Sigmoid(), Dense(4, 1, rng=1)])
        Trainer(model, MeanSquaredError(), SGD(0.5), rng=seed).fit(X, Y, 5, batch_size=2, **settings)
        return values(model)

    assert train(0) == train(0) != train(1)
    assert train(0, shuffle=False) == train(1, shuffle=False)


def test_state_goes_on_where_it_was() -> None:
    """Another trainer that takes over the state, the model and the optimizer makes the same steps."""
    first = new_trainer(loss=MeanSquaredError())
    first.fit(X, Y, 3, batch_size=2, validation=0.25)
    state = first.state_dict()
    second = copy.deepcopy(first)
    other = new_trainer(loss=MeanSquaredError())
    other.model.load_state_dict(first.model.state_dict())
    other.load_state_dict(state)
    for trainer in (first, second, other):
        trainer.fit(X, Y, 3, batch_size=2, validation=0.25)
    for trainer in (second, other):
        assert values(trainer.model) == values(first.model)
        assert trainer.history.loss == first.history.loss
        assert (trainer.steps, trainer.epochs) == (first.steps, first.epochs)
    assert len(state["history"]["loss"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": 3}, "Trainer: metrics expects a list of callables, or a dict of them by name, got int"),
        ({"metrics": [3]}, r"Trainer: metrics expects callables of \(prediction, target\), got int"),
        ({"metrics": {"loss": mean_absolute_error}}, "Trainer: metrics expects other names than 'loss'"),
        ({"metrics": {"val_x": mean_absolute_error}}, "Trainer: metrics expects other names than .*, got 'val_x'"),
        (
            {"metrics": [accuracy, accuracy]},
            "Trainer: metrics expects a name for each, .*, got two of one",
        ),
        ({"regularizer": 0.1}, "Trainer: regularizer expects an instance of Regularizer, got float"),
        ({"rng": -1}, "rng expects a Generator, a RandomState, a seed"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    """A trainer that could not train is not made."""
    with pytest.raises(ConfigError, match=message):
        Trainer(Dense(1, 1), MeanSquaredError(), SGD(1), **arguments)


def test_overflow_is_told_by_the_loss_alone() -> None:
    """Where training diverges, NumPy's warnings, here errors, do not come before the error that says what to do."""
    deep = Sequential([Dense(1, 1, init=Uniform(1e200, 1e200)) for _ in range(3)])
    for train in (lambda trainer: trainer.fit([[1.0]], [[1.0]]), lambda trainer: trainer.step([[1.0]], [[1.0]])):
        with pytest.raises(NonFiniteError, match=r"the loss of step 0 must be finite, got (inf|nan) .*scale the data"):
            train(Trainer(deep, MeanSquaredError(), SGD(1)))


# --- What could go wrong on the way ----------------------------------------------------------------------------------


def classes(**settings: Any) -> tuple[Trainer, Array, Array]:
    """Make a trainer of a small classifier, samples and labels."""
    rng = np.random.default_rng(0)
    return Trainer(mlp([3, 4, 3], rng=0), SoftmaxCrossEntropy(), SGD(0.1), rng=0, **settings), *(
        rng.normal(size=(40, 3)),
        rng.integers(0, 3, 40),
    )


def test_wrong_labels_are_found_before_the_first_step() -> None:
    """Of the data to train on, and of validation data: with the index that the user knows them by."""
    trainer, x, y = classes()
    wrong = y.copy()
    wrong[37] = 3
    for data in ({"x": x, "y": wrong}, {"x": x, "y": y, "validation": (x, wrong)}):
        with pytest.raises(TargetError, match=r"labels from 0 to 2, got 3 at index \(37,\)"):
            trainer.fit(**data, epochs=3, batch_size=5)
        assert trainer.steps == 0


def test_large_data_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong in a later part is still found, with a note of where the part begins."""
    monkeypatch.setattr("minibackprop.training.data._ENTRIES_AT_ONCE", 30)
    trainer, x, y = classes()
    y[37] = 3
    with pytest.raises(TargetError, match=r"got 3 at index \(7,\)") as caught:
        trainer.fit(x, y)
    assert caught.value.__notes__ == ["where index 0 is that of sample 30"]


def test_a_metric_that_does_not_fit_makes_no_step() -> None:
    """Metrics see the prediction before the step is made."""
    trainer, x, y = classes(metrics=[mean_absolute_error])
    with pytest.raises(ShapeError, match="mean_absolute_error"):
        trainer.fit(x, y)
    assert trainer.steps == 0


@pytest.mark.parametrize("metric", [lambda *_: None, lambda *_: 1 / 0])
def test_a_metric_that_fails_is_named(metric: Any) -> None:
    """Python's own error says in which metric it came up."""
    trainer, x, y = classes(metrics={"mine": metric})
    with pytest.raises((TypeError, ZeroDivisionError)) as caught:
        trainer.fit(x, y)
    assert caught.value.__notes__ == ["in metric mine, which is to return a number"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forward": lambda *_: 1.0}, "Wrong.forward must return a pair of a float and a cache, got float"),
        (
            {"forward": lambda _, p, t: (p - t, p)},
            r"Wrong.forward must return a pair .*, got \(ndarray of shape \(4, 1\)",
        ),
        ({"backward": lambda *_: None}, r"Wrong.backward must return a gradient of shape \(4, 1\), got NoneType"),
        (
            {"backward": lambda *_: np.ones(4)},
            r"Wrong.backward must return a gradient of shape \(4, 1\), got ndarray of",
        ),
    ],
)
def test_a_loss_that_is_none_is_named(change: dict[str, Any], message: str) -> None:
    """A loss of one's own that is none is found before the first step, and not blamed on a layer."""
    wrong = type("Wrong", (MeanSquaredError,), change)
    trainer = new_trainer(loss=wrong())
    with pytest.raises(ContractError, match=message):
        trainer.fit(X, Y)
    assert trainer.steps == 0


def test_epochs_in_the_place_of_targets() -> None:
    """``fit(batches, 5)`` is told how to say it."""
    with pytest.raises(ConfigError, match=r"Trainer.fit: y expects targets; epochs=5 goes by its name .*, got 5"):
        new_trainer().fit([(X, Y)], 5)


def test_data_are_safe_from_layers_that_write() -> None:
    """A layer that writes into its input is stopped; the user's own arrays are not marked."""

    class Double(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            x *= 2
            return x, None

        def backward(self, grad: Array, _: None, /) -> Array:
            return 2 * grad

    x = X.copy()
    trainer = Trainer(Sequential([Double(), Dense(3, 1)]), MeanSquaredError(), SGD(1))
    with pytest.raises(ValueError, match="read-only"):
        trainer.fit(x, Y)
    assert x.tobytes() == X.tobytes()
    assert x.flags.writeable


@pytest.mark.parametrize(
    ("x", "y", "advice"),
    [
        (X, 1e200 * Y, r"the largest input is 1 in size, the largest target 1e\+200: try to scale the data"),
        (1e200 * X, Y, r"the largest input is 1e\+200 in size, the largest target 1: try to scale the data"),
    ],
)
def test_diverging_names_the_data(x: Array, y: Array, advice: str) -> None:
    """Data that are far too large are named, in the first step and later."""
    for before in (0, 1):
        trainer = Trainer(Dense(3, 1, rng=0), MeanSquaredError(), SGD(1e-3))
        trainer.fit(X, Y, before)
        with pytest.raises(NonFiniteError, match=rf"the loss of step {before} must be finite, .*{advice}"):
            trainer.fit(x, y)


def test_a_list_of_arrays_validates_like_a_tuple() -> None:
    """``validation=[x, y]``, as other libraries take it."""
    trainer, x, y = classes()
    assert len(trainer.fit(x, y, 2, validation=[x, y])["val_loss"]) == 2


@pytest.mark.parametrize(
    "settings", [{"batch_size": 2}, {"micro_batch_size": 3}, {"batch_size": 5, "micro_batch_size": 1}]
)
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(reduction="sum")])
def test_samples_of_weight_0_are_absent(settings: dict[str, Any], loss: Loss) -> None:
    """Batches in which no sample counts make no step; where none does at all, that is refused."""
    trainer, x, y = classes()
    trainer.loss = loss
    weights = np.zeros(40)
    weights[[3, 20]] = 1.0
    trainer.fit(x, y, 2, weights=weights, shuffle=False, **settings)
    other, *_ = classes()
    other.loss = loss
    together = "batch_size" not in settings
    other.fit(x[[3, 20]], y[[3, 20]], 2, batch_size=2 if together else 1, shuffle=False)
    assert trainer.steps == other.steps
    np.testing.assert_allclose(trainer.model[0].weight.value, other.model[0].weight.value, rtol=1e-12)
    np.testing.assert_allclose(trainer.history.loss, other.history.loss)
    for train in (trainer.fit, trainer.step):
        with pytest.raises(ConfigError, match="Trainer: weights expects some above 0, got none"):
            train(x, y, weights=np.zeros(40))
    with pytest.raises(ConfigError, match="Trainer: weights expects some above 0 in each epoch, got none"):
        trainer.fit([(x, y, np.zeros(40))])


def test_evaluation_of_reused_buffers() -> None:
    """Batches may come in the same arrays again and again."""
    trainer, x, y = classes(metrics=[accuracy])
    buffers = np.empty((20, 3)), np.empty(20, int), np.empty(20)

    def batches() -> Iterable[tuple[Array, ...]]:
        for start in (0, 20):
            for buffer, array in zip(buffers, (x, y, np.arange(40.0)), strict=True):
                buffer[:] = array[start : start + 20]
            yield buffers

    assert trainer.evaluate(batches) == pytest.approx(trainer.evaluate(x, y, np.arange(40.0)))


def test_losses_without_weights_can_be_evaluated() -> None:
    """A loss of one's own need not take weights where none are given."""

    class Plain(MeanSquaredError):  # noqa: N818 - it is a loss
        def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
            assert weights is None
            return super().forward(prediction, target)

    assert new_trainer(loss=Plain()).evaluate(X, Y, batch_size=3)["loss"] > 0


@pytest.mark.parametrize("gradient", [np.inf, np.nan])
def test_divergence_in_the_last_step_is_told(gradient: float) -> None:
    """A parameter that is not finite after the last step is an error, which names it."""

    class Explode(Optimizer):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            for parameter in parameters:
                parameter.value += gradient
                parameter.clear()

    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), Explode())
    for settings in ({}, {"validation": ([[1.0]], [[1.0]])}):
        trainer.model.weight.value[...] = trainer.model.bias.value[...] = 0.5
        with pytest.raises(NonFiniteError, match=r"weight after step \d must be finite, got (inf|nan); try a smaller"):
            trainer.fit([[1.0]], [[1.0]], **settings)


def test_users_can_ask_numpy_to_raise() -> None:
    """Only warnings are silenced in `fit`: ``np.errstate(all="raise")`` finds where an overflow begins."""

    class Overflow(Layer):
        def forward(self, x: Array, /) -> tuple[Array, Array]:
            return x * 1e300 * 1e300, x

        def backward(self, grad: Array, x: Array, /) -> Array:
            return grad

    trainer = Trainer(Sequential([Dense(3, 1), Overflow()]), MeanSquaredError(), SGD(1))
    for train in (trainer.fit, trainer.step):
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            train(X, Y)


def test_a_penalty_counts_once_in_a_sum() -> None:
    """The recorded loss of a sum has the penalty once, however many batches there are."""

    class Still(Optimizer):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            for parameter in parameters:
                parameter.clear()

    losses = []
    for size in (None, 2, 1):
        trainer = Trainer(Dense(3, 1, rng=0), HalfSquaredError(), Still(), regularizer=L2(3.0))
        losses.append(trainer.fit(X, Y, 1, batch_size=size).loss[0])
    assert losses == pytest.approx([trainer.evaluate(X, Y)["loss"]] * 3)


def test_stop_is_heard_from_anywhere() -> None:
    """From the data as well, and after the present step."""
    trainer = new_trainer()

    def batches() -> Iterable[tuple[Array, Array]]:
        for number in range(100):
            if number == 4:
                trainer.stop()
            yield X, Y

    trainer.fit(batches, epochs=3)
    assert trainer.steps == 5
    assert trainer.stopping


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shuffle": "no"}, "Trainer.fit: shuffle expects True or False, got 'no'"),
        ({"drop_last": 1}, "Trainer.fit: drop_last expects True or False, got 1"),
        ({"drop_last": True}, "Trainer.fit: drop_last expects a batch_size, got none"),
    ],
)
def test_flags_are_flags(settings: dict[str, Any], message: str) -> None:
    """What would be taken for true, or for nothing, is refused."""
    with pytest.raises(ConfigError, match=message):
        new_trainer().fit(X, Y, **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "Trainer: steps expects an integer of at least 0, got -1"),
        ({"epochs": "3"}, "Trainer: epochs expects an integer of at least 0, got '3'"),
        ({"rng": {}}, "Trainer: rng expects the state of a PCG64, got "),
        ({"history": {}}, "History expects a dict of arrays, with the loss, got dict"),
        ({"history": {"loss": [1.0], "val_loss": []}}, "History expects series of one length, got "),
        ({"history": {"loss": ["x"]}}, "History expects arrays of numbers, got "),
        ({"more": 1}, r"Trainer.load_state_dict expects .*extra=\['more'\]"),
    ],
)
def test_state_that_is_none_changes_nothing(change: dict[str, Any], message: str) -> None:
    """All of it is looked at before any of it is taken over."""
    trainer = new_trainer()
    trainer.fit(X, Y, 2)
    before, other = trainer.state_dict(), new_trainer().state_dict()
    with pytest.raises(StateDictError, match=message):
        trainer.load_state_dict(other | change)
    assert repr(trainer.state_dict()) == repr(before)


def test_integers_reach_a_layer_that_takes_them() -> None:
    """A model with integer input gets its samples as they are, and floating-point targets in its own dtype."""
    seen = []

    class Table(Layer):
        integer_input = True

        def __init__(self) -> None:
            self.weight = Parameter(np.zeros((3, 1), np.float32))

        def forward(self, x: Any) -> Any:
            seen.append(x.dtype)
            return self.weight.value[x], x

        def backward(self, grad: Any, x: Any) -> None:
            added = np.zeros_like(self.weight.value)
            np.add.at(added, x, grad)
            self.weight.add(added)

    x, y = np.array([0, 1, 2, 1]), np.array([[1.0], [2.0], [3.0], [4.0]])
    model = Sequential([Table()])
    trainer = Trainer(model, HalfSquaredError(), SGD(0.5))
    trainer.fit(x, y, epochs=30, batch_size=2, validation=(x, y))
    trainer.step(x, y)
    trainer.evaluate(x, y)
    assert set(seen) == {x.dtype}
    np.testing.assert_allclose(model.parameters()[0].value[[0, 2], 0], [1, 3], rtol=1e-4)
    assert str(summary(model, ())).splitlines()[1].split() == ["0", "Table", "(N,", "1)", "3"]


def test_weights_of_steps_leave_padding_out_of_a_fit() -> None:
    """Weights of shape (N, T) go through batches, parts of batches, validation and steps."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4, 3)), rng.integers(0, 2, (6, 4))
    real = (np.arange(4) < rng.integers(1, 5, (6, 1))).astype(float)
    other = np.where(real > 0, y, 1 - y)  # Other labels in the padding, which make no difference.
    fits = []
    for labels, parts in ((y, None), (other, None), (y, 2)):
        model = Dense(3, 2, rng=0)
        trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(0.1), rng=0)
        held_out = (x, labels, real)
        trainer.fit(x, labels, 3, batch_size=4, weights=real, validation=held_out, micro_batch_size=parts)
        fits.append((model.weight.value, trainer.history["val_loss"]))
    for weight, losses in fits[1:]:
        np.testing.assert_allclose(weight, fits[0][0], rtol=1e-12)
        np.testing.assert_allclose(losses, fits[0][1], rtol=1e-12)
    with pytest.raises(
        ShapeError, match=r"one for each of the 6 samples, or of the places in a target of shape \(6, 4\)"
    ):
        trainer.step(x, y, real[:, :3])
