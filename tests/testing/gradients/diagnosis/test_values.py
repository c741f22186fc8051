"""Causes: for which values the gradient is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minibackprop import Layer, Parameter
from minibackprop.testing import ContractViolation, check_loss
from minibackprop.validation import Array
from tests.testing.bank.losses import Huber
from tests.testing.gradients.diagnosis.pieces import cause_of, layer_of, require_features, rows


class Folded(Layer):
    """``x * |w|``, of which only the last start is negative; the sign of w is left out of a gradient."""

    def __init__(self, of_input: bool) -> None:
        self.w, self.of_input = Parameter(np.array([0.5, 0.3, -1.0])), of_input

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        require_features(x, 3)
        return x * np.abs(self.w.value), x

    def backward(self, grad: Array, x: Any, /) -> Array:
        sign = np.ones(3) if not self.of_input else np.sign(self.w.value)
        self.w.add(rows(grad * x * sign).sum(axis=0))
        return grad * (self.w.value if self.of_input else np.abs(self.w.value))


class OfOutput(Layer):
    """The cache has the input where the formula has the output."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return np.tanh(x), x

    def backward(self, grad: Array, x: Any, /) -> Array:
        back: Array = grad * (1 - x * x)
        return back


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("make", "law", "cause"),
    [
        (
            lambda: Folded(False),
            "parameter",
            "a factor is forgotten: sign(w) (the gradient is right where w is positive)",
        ),
        (lambda: Folded(True), "input", "a factor is forgotten: sign(w)"),
        (OfOutput, "input", "the input is used where the output belongs"),
        (
            layer_of(lambda x: np.maximum(x, 0), lambda x, g: g * (x >= 1)),
            "input",
            "wrong in a range of values only: right up to ",
        ),
        (
            layer_of(lambda x: np.clip(x, -2, 2), lambda _, g: g.copy()),
            "input",
            "wrong for large values only: right up to ",
        ),
    ],
)
def test_values_are_named(make: Callable[[], Layer], law: str, cause: str, seed: int) -> None:
    """It is the values that are named, not the column in which they happen to stand."""
    assert cause_of(make, (3,), seed, law).startswith(cause)


class UncappedInside(Huber):
    """Wrong for residuals below 1 in size."""

    def slope(self, residual: Array) -> Array:
        return np.sign(residual)


@pytest.mark.parametrize("seed", range(3))
def test_residual_of_a_loss_is_looked_at(seed: int) -> None:
    """What decides is prediction - target, not the prediction."""
    with pytest.raises(ContractViolation, match="wrong for small values of prediction - target only"):
        check_loss(UncappedInside, (2,), seed=seed)
