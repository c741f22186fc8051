from collections.abc import Iterable
from functools import partial

import numpy as np
import pytest

from minibackprop import (
    SGD,
    Dense,
    HalfSquaredError,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    Optimizer,
    Parameter,
    Sequential,
    Trainer,
    Uniform,
)
from minibackprop.validation import Array
from tests.example_layers import Scale
from tests.random_models import gradients, values
from tests.training.problems import Train, X, Y, each_verb


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
            trainer.fit(x, y, 1)


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
            trainer.fit([[1.0]], [[1.0]], 1, **settings)


def test_overflow_is_told_by_the_loss_alone() -> None:
    """Where training diverges, NumPy's warnings, here errors, do not come before the error that says what to do."""
    deep = Sequential([Dense(1, 1, init=Uniform(1e200, 1e200)) for _ in range(3)])
    for train in (lambda trainer: trainer.fit([[1.0]], [[1.0]], 1), lambda trainer: trainer.step([[1.0]], [[1.0]])):
        with pytest.raises(NonFiniteError, match=r"the loss of step 0 must be finite, got (inf|nan) .*scale the data"):
            train(Trainer(deep, MeanSquaredError(), SGD(1)))


def test_users_can_ask_numpy_to_raise() -> None:
    """Only warnings are silenced in `fit`: ``np.errstate(all="raise")`` finds where an overflow begins."""

    class Overflow(Layer):
        def forward(self, x: Array, /) -> tuple[Array, Array]:
            return x * 1e300 * 1e300, x

        def backward(self, grad: Array, x: Array, /) -> Array:
            return grad

    trainer = Trainer(Sequential([Dense(3, 1), Overflow()]), MeanSquaredError(), SGD(1))
    for train in (partial(trainer.fit, epochs=1), trainer.step):
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            train(X, Y)
