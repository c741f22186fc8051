import copy
from collections.abc import Iterable
from functools import partial
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
    Dense,
    HalfSquaredError,
    Layer,
    Loss,
    MeanSquaredError,
    Optimizer,
    Parameter,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Step,
    Trainer,
)
from minibackprop.training.data import Batch
from minibackprop.training.step import micro_batches
from minibackprop.validation import Array
from tests.example_layers import Broken, Lazy, OneWay, Scale
from tests.random_models import gradients, models, seeds, values
from tests.training.problems import (
    Train,
    X,
    Y,
    assert_equal,
    classes,
    each_loss,
    each_verb,
    gradients_of,
    labelled,
    new_trainer,
)

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


def test_saturated_units_train_without_warnings() -> None:
    """Sigmoids driven to their limits overflow nowhere; `fit` itself would keep NumPy's warnings from being seen."""
    model = Sequential([Dense(3, 4, rng=0), Sigmoid(), Dense(4, 1, rng=1), Sigmoid()])
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        prediction, caches = model.forward(1e6 * X - 5e5)
        model.accumulate(prediction - Y, caches)


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


def test_a_callback_may_exchange_the_optimizer() -> None:
    """A step is made with the optimizer, loss and regularizer that the trainer has then."""
    exchanged, two_fits = new_trainer(), new_trainer()

    def exchange(step: Step) -> None:
        if step.number == 1:
            exchanged.loss, exchanged.optimizer, exchanged.regularizer = MeanSquaredError(), SGD(0.5), L2(0.1)

    exchanged.fit(X, Y, 5, callbacks=[exchange])
    two_fits.fit(X, Y, 2)
    two_fits.loss, two_fits.optimizer, two_fits.regularizer = MeanSquaredError(), SGD(0.5), L2(0.1)
    two_fits.fit(X, Y, 3)
    assert values(exchanged.model) == values(two_fits.model)
    assert exchanged.history.loss == two_fits.history.loss


# --- Weights, and micro-batches --------------------------------------------------------------------------------------


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
@given(count=st.integers(1, 7), size=st.integers(1, 7), weighted=st.booleans(), seed=seeds)
def test_micro_batches_have_every_sample_once(loss: Loss, count: int, size: int, weighted: bool, seed: int) -> None:
    """They keep the order of the samples, none has more than `size`, and shares of a mean add up to 1."""
    rng = np.random.default_rng(seed)
    _, x, y = labelled(loss, rng, count)
    weights = rng.integers(0, 3, count) + (np.arange(count) == 0) if weighted else None
    parts, shares = zip(*micro_batches(Batch(x, y, weights), size, loss), strict=True)
    assert all(0 < len(part.x) == len(part.y) <= size for part in parts)
    np.testing.assert_array_equal(np.concatenate([part.x for part in parts]), x)
    np.testing.assert_array_equal(np.concatenate([part.y for part in parts]), y)
    if weights is None:
        assert all(part.weights is None for part in parts)
    else:
        np.testing.assert_array_equal(np.concatenate([part.weights for part in parts]), weights)
    assert sum(shares) == pytest.approx(len(parts) if loss.reduction == "sum" else 1)


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


@pytest.mark.parametrize("settings", [{}, {"class_weights": {0: 2.0}}])
def test_a_loss_over_the_whole_batch_is_not_taken_apart(settings: dict[str, Any]) -> None:
    """Nor is a loss that couples samples, whatever weighs them."""
    whole = type("Whole", (MeanSquaredError,), {"couples_samples": "is a quotient over the batch"})()
    trainer = Trainer(Sequential([Dense(3, 1)]), whole, SGD(0.1))
    with pytest.raises(ConfigError, match="but in the loss each is a quotient over the batch"):
        trainer.fit(X, Y, 1, micro_batch_size=2, **settings)
    trainer.fit(X, Y, 1, **settings)


@pytest.mark.parametrize(
    "settings", [{"batch_size": 2}, {"micro_batch_size": 3}, {"batch_size": 5, "micro_batch_size": 1}]
)
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(reduction="sum")])
def test_samples_of_weight_0_are_absent(settings: dict[str, Any], loss: Loss) -> None:
    """
    Batches in which no sample counts make no step; where none does at all, that is refused.

    Those that make one make up for them: a mean's gradient counts by the weight of the batch, over that of all data.
    """
    trainer, x, y = classes()
    trainer.loss = loss
    weights = np.zeros(40)
    weights[[3, 20]] = 1.0
    trainer.fit(x, y, 2, weights=weights, shuffle=False, **settings)
    other, *_ = classes()
    other.loss = loss
    together = "batch_size" not in settings
    if not together and loss.reduction == "mean":
        other.optimizer = SGD(0.1 * (1 / settings["batch_size"]) / (2 / 40))
    other.fit(x[[3, 20]], y[[3, 20]], 2, batch_size=2 if together else 1, shuffle=False)
    assert trainer.steps == other.steps
    np.testing.assert_allclose(trainer.model[0].weight.value, other.model[0].weight.value, rtol=1e-12)
    np.testing.assert_allclose(trainer.history.loss, other.history.loss)
    for train in (partial(trainer.fit, epochs=1), trainer.step):
        with pytest.raises(ConfigError, match="Trainer: weights expects some above 0, got none"):
            train(x, y, weights=np.zeros(40))
    with pytest.raises(ConfigError, match="Trainer: weights expects some above 0 in each epoch, got none"):
        trainer.fit([(x, y, np.zeros(40))], epochs=1)


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
