"""A step that workers share: the same numbers as one pass, and what cannot be shared is refused."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    L2,
    SGD,
    Adam,
    BatchNorm,
    Buffer,
    Callback,
    ConfigError,
    ContractError,
    Dense,
    Dropout,
    ElasticNet,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    Parameter,
    ParameterGroups,
    Sequential,
    ShapeError,
    Sharing,
    SoftmaxCrossEntropy,
    Step,
    StepDecay,
    Tanh,
    Trainer,
    Workers,
    accuracy,
)
from minibackprop.state import Stateful
from minibackprop.training.data import Batch
from minibackprop.training.replicas import Replica
from minibackprop.training.sharing import rows_of_part
from minibackprop.validation import Array
from tests.example_layers import Lazy
from tests.random_models import seeds
from tests.training.problems import X, Y, new_trainer

_random = np.random.default_rng(0)
SAMPLES, TARGETS = _random.normal(size=(30, 3)), _random.integers(0, 3, 30)
WEIGHTS = np.where(np.arange(30) % 3 == 0, 0.0, _random.random(30))


def new_classifier(workers: Workers | None, *within: Layer, **settings: Any) -> Trainer:
    layers = [Dense(3, 5, rng=0), Tanh(), *copy.deepcopy(within), Dense(5, 3, rng=1)]
    defaults: dict[str, Any] = {"optimizer": Adam(0.05), "loss": SoftmaxCrossEntropy(), "rng": 2}
    return Trainer(Sequential(layers), parallel=workers, **(defaults | settings))


def fitted(workers: Workers | None, *within: Layer, fit: dict[str, Any] | None = None, **settings: Any) -> Trainer:
    trainer = new_classifier(workers, *within, **settings)
    trainer.fit(SAMPLES, TARGETS, 3, **(fit or {"batch_size": 8}))
    return trainer


def assert_same_run(shared: Trainer, alone: Trainer) -> None:
    """Require the same weights, buffers and history, up to rounding."""
    state = alone.model.state_dict()
    for name, value in shared.model.state_dict().items():
        np.testing.assert_allclose(value, state[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert list(shared.history) == list(alone.history)
    for name in alone.history:
        np.testing.assert_allclose(shared.history[name], alone.history[name], rtol=1e-9, atol=1e-12, err_msg=name)


# --- The same numbers ------------------------------------------------------------------------------------------------


def spread(prediction: Array, _: Array) -> float:
    """Compute something that is no mean over samples."""
    return float(prediction.max() - prediction.min())


FITS: dict[str, dict[str, Any]] = {
    "whole": {},
    "batches": {"batch_size": 8},
    "micro-batches": {"batch_size": 10, "micro_batch_size": 2},
    "weights": {"batch_size": 8, "weights": WEIGHTS},
    "weights in order": {"batch_size": 3, "weights": np.arange(30) // 5 % 2, "shuffle": False},
    "class weights": {"batch_size": 8, "class_weights": {0: 5.0, 2: 0.5}},
    "balanced": {"batch_size": 8, "class_weights": "balanced"},
    "validation": {"batch_size": 7, "validation": 0.3},
    "weighted validation": {"validation": (SAMPLES, TARGETS, WEIGHTS), "drop_last": True, "batch_size": 8},
}


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_is_as_one_pass(fit: dict[str, Any], reduction: str) -> None:
    """However batches are made and weighed, workers find what one pass finds."""
    settings: dict[str, Any] = {
        "fit": fit,
        "loss": SoftmaxCrossEntropy(reduction=reduction),
        "metrics": {"accuracy": accuracy, "spread": spread},
    }
    assert_same_run(fitted(Workers(3), **settings), fitted(None, **settings))


RUNS: dict[str, Callable[[], dict[str, Any]]] = {
    "penalty": lambda: {"regularizer": ElasticNet(0.01, 0.02)},
    "clipping": lambda: {"optimizer": SGD(0.1, momentum=0.9, clip_norm=0.1)},
    "schedule": lambda: {"optimizer": SGD(StepDecay(0.5, every=2, factor=0.5))},
    "label smoothing": lambda: {"loss": SoftmaxCrossEntropy(label_smoothing=0.1)},
    "ignored labels": lambda: {"loss": SoftmaxCrossEntropy(ignore_index=1)},
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("count", [2, 5])
def test_one_step_is_made_of_all(run: Callable[[], dict[str, Any]], count: int) -> None:
    """Penalty, clipping and step happen once, on the whole gradient."""
    assert_same_run(fitted(Workers(count), **run()), fitted(None, **run()))


@given(length=st.integers(1, 40), count=st.integers(1, 9))
def test_parts_make_up_the_whole(length: int, count: int) -> None:
    """The parts follow each other, differ by one row at most, and the first are the larger ones."""
    parts = [rows_of_part(length, count, number) for number in range(count)]
    rows = [row for part in parts if part for row in range(length)[part]]
    sizes = [0 if part is None else part.stop - part.start for part in parts]
    assert rows == list(range(length))
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


def test_groups_and_frozen_parts() -> None:
    """Rates by part hold, and what is frozen stays as it is: also where a callback freezes it in the middle."""

    class FreezeLater(Callback):
        def on_epoch_end(self, trainer: Any, /) -> None:
            if trainer.epochs == 2:
                trainer.model[3].freeze()

    def run(workers: Workers | None) -> Trainer:
        trainer = new_classifier(workers, Dense(5, 5, rng=4))
        trainer.optimizer = ParameterGroups(trainer.model, {"0": SGD(0.5)}, default=SGD(0.1))
        trainer.model[2].freeze()
        trainer.fit(SAMPLES, TARGETS, 4, batch_size=8, callbacks=[FreezeLater()])
        return trainer

    assert_same_run(run(Workers(2)), run(None))


def test_side_inputs_go_with_their_rows() -> None:
    class Masked(Layer):
        side_inputs = ("mask",)
        mask: Array | None = None

        def forward(self, x: Array, /) -> tuple[Array, Array]:
            assert self.mask is not None
            return x * self.mask, self.mask

        def backward(self, grad: Array, mask: Array, /) -> Array:
            return grad * mask

    mask = _random.random((30, 1))
    fit = {"batch_size": 8, "given": {"mask": mask}, "validation": (SAMPLES, TARGETS, None, {"mask": mask})}
    assert_same_run(fitted(Workers(3), Masked(), fit=fit), fitted(None, Masked(), fit=fit))

    first_have_none = np.where(np.arange(30) % 8 < 3, 0.0, 1.0)  # The rows of a worker of three, in each batch of 8.
    fit |= {"weights": first_have_none, "shuffle": False}
    assert_same_run(fitted(Workers(3), Masked(), fit=fit), fitted(None, Masked(), fit=fit))


def test_step_evaluate_and_predict() -> None:
    shared, alone = (new_classifier(workers, metrics=[accuracy], regularizer=L2(0.1)) for workers in (Workers(4), None))
    for _ in range(3):
        assert shared.step(SAMPLES, TARGETS, WEIGHTS) == pytest.approx(alone.step(SAMPLES, TARGETS, WEIGHTS))
    np.testing.assert_allclose(shared.predict(SAMPLES, batch_size=7), alone.predict(SAMPLES), rtol=1e-12)
    assert shared.evaluate(SAMPLES, TARGETS, batch_size=9) == pytest.approx(alone.evaluate(SAMPLES, TARGETS))


def test_metrics_where_none_of_the_rows_of_a_process_counts() -> None:
    """It is as if they were not there."""

    class FirstRows(Workers):
        """The first of two processes, of which the other one has the same rows."""

        def __init__(self) -> None:
            super().__init__(2)
            self.here = 1

        def part(self, batch: Batch) -> Batch:
            return batch.rows(slice(0, 4))

    labels = np.arange(16) % 3
    labels[:4] = -1
    settings = {"loss": SoftmaxCrossEntropy(ignore_index=-1), "metrics": [accuracy]}
    trainer = new_classifier(FirstRows(), **settings)
    trainer.fit(SAMPLES[:16], labels, 1, batch_size=8, shuffle=False)
    assert np.isfinite(trainer.history["accuracy"]).all()


def test_callbacks_see_the_whole_batch() -> None:
    """Its gradient before the step; its loss, prediction and rows after."""
    seen: dict[bool, list[Any]] = {}

    class See(Callback):
        def on_before_step(self, trainer: Any, /) -> None:
            kept.extend(parameter.grad for parameter in trainer.model.parameters())

        def on_step_end(self, step: Step, /) -> None:
            kept.extend([step.loss, step.prediction, step.target, step.weights])

    for workers in (Workers(3), None):
        kept = seen[workers is None] = []
        fitted(workers, fit={"batch_size": 8, "weights": WEIGHTS, "callbacks": [See()]})
    for ours, theirs in zip(seen[False], seen[True], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_no_warning_of_overflow_comes_from_a_worker() -> None:
    """How NumPy takes an overflow is the trainer's matter, for the workers too."""
    trainer = new_trainer()
    trainer.parallel = Workers(2)
    with pytest.raises(NonFiniteError):
        trainer.fit(np.full((4, 3), 1e200), np.full((4, 1), 1e200), 2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_loop_of_ones_own(reduction: str) -> None:
    """Without a trainer: the gradients of the whole batch, with weights, and the loss."""
    loss = SoftmaxCrossEntropy(reduction=reduction)
    model = new_classifier(None).model
    prediction, cache = model.forward(SAMPLES)
    value, loss_cache = loss.forward(prediction, TARGETS, WEIGHTS)
    model.accumulate(loss.backward(loss_cache), cache)
    expected = [parameter.grad for parameter in model.parameters()]
    model.clear_gradients()
    sharing = Sharing(Workers(4))
    assert sharing.accumulate(model, loss, SAMPLES, TARGETS, WEIGHTS) == pytest.approx(value)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-9, atol=1e-12)
    with pytest.raises(ConfigError, match="do not depend on each other"):
        sharing.accumulate(Centred(), loss, SAMPLES, TARGETS)
    with pytest.raises(ConfigError, match="Sharing: workers expects an instance of Workers"):
        Sharing(2)  # type: ignore[arg-type]


def test_rows_without_weight_keep_their_side_inputs() -> None:
    """A worker whose rows weigh nothing goes through the model all the same, with what belongs to them."""

    class Masked(Layer):
        side_inputs = ("mask",)
        mask: Array | None = None

        def forward(self, x: Array, /) -> tuple[Array, Array]:
            assert self.mask is not None
            assert len(self.mask) == len(x)
            return x * self.mask, self.mask

        def backward(self, grad: Array, mask: Array, /) -> Array:
            return grad * mask

    weights = (np.arange(30) >= 15).astype(float)
    fit = {"weights": weights, "given": {"mask": _random.random((30, 1))}}
    assert_same_run(fitted(Workers(2), Masked(), fit=fit), fitted(None, Masked(), fit=fit))


# --- What is drawn ---------------------------------------------------------------------------------------------------


def test_each_worker_draws_for_itself() -> None:
    """Masks of two workers differ, and those of two steps; with as many workers, a run repeats bit for bit."""
    masks: list[Array] = []

    class Watched(Dropout):
        def forward(self, x: Array, /) -> tuple[Array, Array]:
            y, mask = super().forward(x)
            masks.append(mask)
            return y, mask

        def predict(self, x: Array, /) -> Array:
            return x

    def run() -> tuple[list[bytes], list[bytes]]:
        masks.clear()
        trainer = fitted(Workers(2), Watched(0.5, rng=3), fit={"batch_size": 10})
        return [mask.tobytes() for mask in masks], [p.value.tobytes() for p in trainer.model.parameters()]

    drawn, weights = run()
    assert len(set(drawn)) == len(drawn) == 18
    assert run() == (drawn, weights)


@pytest.mark.parametrize("made", [np.random.default_rng, np.random.RandomState, lambda seed: _mersenne(seed)])
def test_streams_of_all_kinds(made: Callable[[int], Any]) -> None:
    """The model's own stream moves on alike, however many workers draw; and theirs are of its kind."""

    class Noise(Layer):
        stochastic = "adds noise"

        def __init__(self) -> None:
            self.streams = [made(5)]

        def forward(self, x: Array, /) -> tuple[Array, None]:
            return x + self.streams[0].normal(size=x.shape), None

        def predict(self, x: Array, /) -> Array:
            return x

        def backward(self, grad: Array, _: None, /) -> Array:
            return grad

    trainers = [fitted(Workers(count), Noise()) for count in (2, 2, 3)]
    draws = [trainer.model[2].streams[0].bytes(8) for trainer in trainers]  # type: ignore[index]
    assert len(set(draws)) == 1
    losses = [trainer.history.loss for trainer in trainers]
    assert losses[0] == losses[1] != losses[2]


def _mersenne(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.MT19937(seed))


def test_a_rate_that_a_callback_changes() -> None:
    """The copies follow what is done to the model between steps."""

    def off(step: Step) -> None:
        step.trainer.model[2].rate = 0.0  # type: ignore[index]

    trainer = new_classifier(Workers(2), Dropout(0.9, rng=0))
    trainer.step(SAMPLES, TARGETS)
    alone = copy.deepcopy(trainer)
    alone.parallel, alone.model[2].rate = None, 0.0  # type: ignore[index]
    trainer.model[2].rate = 0.0  # type: ignore[index]
    for each in (trainer, alone):
        each.fit(SAMPLES, TARGETS, 2, callbacks=[off])
    np.testing.assert_allclose(trainer.history.loss, alone.history.loss, rtol=1e-9)


class Scaled(Layer):
    """Has parameters, a buffer and a setting where `walk` finds them, but in no attribute of its own."""

    aggregation = {"counts": "sum"}  # noqa: RUF012 - as a user would write it

    class Part(Stateful):
        def __init__(self) -> None:
            self.scale = Parameter(np.ones(5))

    def __init__(self) -> None:
        self.part, self.factors, self.counts = self.Part(), [1.0], {"samples": Buffer(np.array(0))}

    def forward(self, x: Array, /) -> tuple[Array, tuple[Array, float]]:
        self.counts["samples"].value = self.counts["samples"].value + len(x)
        return x * self.part.scale.value * self.factors[0], (x, self.factors[0])

    def predict(self, x: Array, /) -> Array:
        return x * self.part.scale.value * self.factors[0]

    def backward(self, grad: Array, cache: tuple[Array, float], /) -> Array:
        x, factor = cache
        self.part.scale.add((grad * x).sum(axis=0) * factor)
        return grad * self.part.scale.value * factor


def test_what_stands_in_containers_and_parts() -> None:
    """It is each worker's own, and what a callback changes there reaches all workers."""

    def halve(step: Step) -> None:
        step.trainer.model[2].factors[0] /= 2  # type: ignore[index]

    fit = {"batch_size": 8, "callbacks": [halve]}
    assert_same_run(fitted(Workers(2), Scaled(), fit=fit), fitted(None, Scaled(), fit=fit))
    scaled = Scaled()
    copied = Replica(scaled, 0).model
    assert isinstance(copied, Scaled)
    assert copied.part.scale is not scaled.part.scale


def test_gradients_of_workers_are_not_held() -> None:
    """Beyond the step, there is one of each parameter at most."""
    trainer = new_classifier(Workers(2))
    trainer.step(SAMPLES, TARGETS)
    assert trainer._kept is not None
    assert trainer._kept._replicas is not None
    copies = trainer._kept._replicas._copies
    assert len(copies) == 2
    assert all(parameter.grad is None for replica in copies for parameter in replica.model.parameters())


# --- Buffers that forward changes ------------------------------------------------------------------------------------


class Counting(Layer):
    """Counts samples, and follows their mean."""

    aggregation = {"count": "sum", "mean": "mean"}  # noqa: RUF012 - as a user would write it

    def __init__(self) -> None:
        self.count, self.mean, self.calls = Buffer(np.array(0)), Buffer(np.zeros(5)), Buffer(np.zeros(1))

    def forward(self, x: Array, /) -> tuple[Array, None]:
        self.count.value = self.count.value + len(x)
        self.mean.value *= 0.5  # In place, which must not reach the other workers.
        self.mean.value += 0.5 * x.mean(axis=0)
        return x, None

    def predict(self, x: Array, /) -> Array:
        return x

    def backward(self, grad: Array, _: None, /) -> Array:
        return grad


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_buffers_are_put_together_as_the_layer_says(count: int) -> None:
    """A sum of what was added, or a mean over samples, is that of one pass."""
    assert_same_run(fitted(Workers(count), Counting()), fitted(None, Counting()))


def test_the_first_of_several_that_are_the_same() -> None:
    class Calls(Counting):
        aggregation = {"count": "sum", "mean": "mean", "calls": "first"}  # noqa: RUF012

        def forward(self, x: Array, /) -> tuple[Array, None]:
            self.calls.value = self.calls.value + 1
            return super().forward(x)

        def predict(self, x: Array, /) -> Array:
            return x

    assert_same_run(fitted(Workers(3), Calls()), fitted(None, Calls()))


def test_a_buffer_of_which_nothing_is_said() -> None:
    """It is refused by name, before the step; the model is left as it was."""

    class Silent(Counting):
        aggregation = {"count": "sum"}  # noqa: RUF012

    trainer = new_classifier(Workers(2), Silent())
    before = trainer.model.state_dict()
    with pytest.raises(ContractError, match=r"Silent, with its buffer 2\.mean, shared by workers, must .*aggregation"):
        trainer.fit(SAMPLES, TARGETS, 1)
    after = trainer.model.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    Silent.aggregation = {"count": "sum", "mean": "most"}
    with pytest.raises(ContractError, match=r"Silent\.aggregation must name one of .* for mean, got most"):
        fitted(Workers(2), Silent())


# --- What cannot be shared -------------------------------------------------------------------------------------------


class Centred(Layer):
    couples_samples = "subtracts the mean of the batch"
    freezable = True

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return (x if self.frozen else x - x.mean(axis=0)), None

    def predict(self, x: Array, /) -> Array:
        return x

    def backward(self, grad: Array, _: None, /) -> Array:
        return grad if self.frozen else grad - grad.mean(axis=0)


def test_what_couples_samples_is_refused() -> None:
    """By name, before the first step; frozen, it couples none."""
    trainer = new_classifier(Workers(2), Centred())
    with pytest.raises(ConfigError, match=r"Trainer: parallel .*do not depend.*Centred at 2 subtracts the mean"):
        trainer.fit(SAMPLES, TARGETS, 1)
    trainer.model[2].freeze()  # type: ignore[index]
    trainer.fit(SAMPLES, TARGETS, 1)

    class Ranked(SoftmaxCrossEntropy):
        couples_samples = "ranks the samples"

    with pytest.raises(ConfigError, match=r"Ranked.* ranks the samples"):
        fitted(Workers(2), loss=Ranked())

    def exchange(step: Step) -> None:
        step.trainer.loss = Ranked()

    def unfreeze(step: Step) -> None:
        step.trainer.model[2].unfreeze()  # type: ignore[index]

    for act, found in ((exchange, "Ranked"), (unfreeze, "Centred at 2")):
        with pytest.raises(ConfigError, match=f"Trainer: parallel .*{found}"):
            fitted(Workers(2), Centred().freeze(), fit={"batch_size": 8, "callbacks": [act]})


@pytest.mark.parametrize("verb", ["forward", "backward"])
def test_sums_of_a_subclass_are_its_own(verb: str) -> None:
    """A parent's word that all sums go through `across` is not that of a subclass that goes another way."""

    def own(layer: Any, x: Array, *cache: Any) -> Any:
        return getattr(BatchNorm, verb)(layer, x, *cache)

    own_way = type("OwnWay", (BatchNorm,), {verb: own})
    with pytest.raises(ConfigError, match="OwnWay at 2 normalizes by the mean"):
        fitted(Workers(1), own_way(5))
    for kind in (type("Plain", (BatchNorm,), {}), type("Says", (own_way,), {"synchronizes": True})):
        fitted(Workers(1), kind(5))


def test_processes_with_samples_of_several_shapes() -> None:
    """Nobody can see them as one batch."""

    class Shards(Workers):
        def collect(self, value: Any) -> list[Any]:
            prediction, batch = value
            return [value, (prediction[:, :1], batch)] if isinstance(batch, Batch) else [value]

    shards = Shards(2)
    shards.here = 1
    with pytest.raises(ShapeError, match="samples of one shape on all ranks"):
        fitted(shards, fit={"callbacks": [lambda _: None]})


def test_another_model_is_looked_at_too() -> None:
    """All processes are to have it, also where a run goes on with a step."""
    models = []

    class Beginning(Workers):
        def begin(self, trainer: Any) -> None:
            models.append(trainer.model)

    trainer = new_classifier(Beginning(2))
    trainer.step(SAMPLES, TARGETS)
    trainer.evaluate(SAMPLES, TARGETS)
    other = trainer.model = copy.deepcopy(trainer.model)
    trainer.step(SAMPLES, TARGETS)
    assert len(models) == 2
    assert models[1] is other


def test_workers_that_take_turns_cannot_wait() -> None:
    with pytest.raises(ConfigError, match="with BatchNorm expects workers that can wait for each other"):
        fitted(Workers(2), BatchNorm(5))
    assert_same_run(fitted(Workers(1), BatchNorm(5)), fitted(None, BatchNorm(5)))


def test_parameters_that_forward_makes() -> None:
    """They would be the copies' alone; where they are there by the first step, all is well."""
    model = Sequential([Lazy(), Dense(3, 1, rng=0)])
    trainer = Trainer(model, MeanSquaredError(), SGD(0.1), parallel=Workers(2))
    with pytest.raises(ContractError, match=r"makes its parameters in forward must have them before.*predict"):
        trainer.step(X, Y)
    model.forward(X)
    trainer.step(X, Y)


# --- Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None])
def test_a_number_of_workers_that_makes_no_sense(count: Any) -> None:
    with pytest.raises(ConfigError, match="Workers: count expects an integer of at least 1"):
        Workers(count)


@pytest.mark.parametrize("parallel", [2, "threads", Workers, [Workers(2)]])
def test_parallel_that_is_none(parallel: Any) -> None:
    with pytest.raises(ConfigError, match=r"Trainer: parallel expects Threads\(n\).* or Ranks\(\)"):
        new_classifier(parallel)


def test_more_workers_than_samples() -> None:
    """Some have nothing to do, which is said once; that a last batch is shorter is not worth a word."""
    with pytest.warns(UserWarning, match="batches of 4 samples are for 4 of the 6 workers") as told:
        trainer = fitted(Workers(6), fit={"batch_size": 4})
    assert len(told) == 1
    assert_same_run(trainer, fitted(None, fit={"batch_size": 4}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(Workers(4), fit={"batch_size": 7})


@given(bad=st.integers(0, 29), seed=seeds)
def test_a_worker_that_fails(bad: int, seed: int) -> None:
    """Whichever it is, its error is raised, and nothing of the step has happened."""

    class Picky(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            if (x == poison).any():
                raise RuntimeError("a bad sample")
            return x, None

        def backward(self, grad: Array, _: None, /) -> Array:
            return grad

    poison = SAMPLES[bad, 0]
    trainer = Trainer(Sequential([Picky(), Dense(3, 3, rng=0)]), SoftmaxCrossEntropy(), SGD(1.0), rng=seed)
    trainer.parallel = Workers(3)
    before = trainer.model.state_dict()
    with pytest.raises(RuntimeError, match="a bad sample"):
        trainer.fit(SAMPLES, TARGETS, 1)
    assert all(np.array_equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_copies_and_pickles_leave_the_copies_of_the_model_behind() -> None:
    trainer = fitted(Workers(2))
    twin = copy.deepcopy(trainer)
    for each in (trainer, twin):
        each.fit(SAMPLES, TARGETS, 2, batch_size=8)
    assert twin.history.loss == trainer.history.loss
