"""The diagnosis: what is named as the cause, for mistakes that are easily taken for one another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minibackprop import Layer, Parameter
from minibackprop.testing import ContractViolation, check_layer
from minibackprop.validation import Array


def tanh_with(backward: Callable[[Array, Array], Array]) -> type[Layer]:
    """Make a Tanh with another backward, of grad and the output."""

    class Tanh(Layer):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            y = np.tanh(x)
            return y, y

        def backward(self, grad: Array, y: Any, /) -> Array:
            return backward(grad, y)

    return Tanh


class ReLU(Layer):
    slope_at_zero = 0.0

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return np.maximum(x, 0), x

    def backward(self, grad: Array, x: Any, /) -> Array:
        return grad * np.where(x == 0, self.slope_at_zero, x > 0).astype(grad.dtype)


class SteepAtZero(ReLU):
    slope_at_zero = 2.0


class Scaled(Layer):
    """Two parameters, of which one may be wrong."""

    wrong = 1.0

    def __init__(self) -> None:
        self.scale, self.shift = Parameter(np.ones(3)), Parameter(np.zeros(3))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        if x.shape[-1] != 3:
            raise ValueError("three features")
        return x * self.scale.value + self.shift.value, x

    def backward(self, grad: Array, x: Any, /) -> Array:
        leading = tuple(range(grad.ndim - 1))
        self.scale.add((grad * x).sum(axis=leading) * self.wrong)
        self.shift.add(grad.sum(axis=leading) * self.wrong**2)
        return grad * self.scale.value


class Largest(Layer):
    """Of equal entries, each gets the gradient."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        y = x.max(axis=1, keepdims=True)
        return y, x == y

    def backward(self, grad: Array, largest: Any, /) -> Array:
        back: Array = grad * largest
        return back


class OneWrong(Scaled):
    def backward(self, grad: Array, x: Any, /) -> Array:
        leading = tuple(range(grad.ndim - 1))
        self.scale.add((grad * x * np.tanh(x)).sum(axis=leading))
        self.shift.add(grad.sum(axis=leading))
        return grad * self.scale.value


@pytest.mark.parametrize(
    ("make", "law", "cause"),
    [
        (tanh_with(lambda grad, y: -grad * (1 - y * y)), "input gradient", "sign flipped"),
        (
            tanh_with(lambda grad, y: 2 * grad * (1 - y * y)),
            "input gradient",
            "constant factor: the gradient is 2 times",
        ),
        (tanh_with(lambda grad, y: (1 - y * y) + 0 * grad), "input gradient", "upstream gradient ignored"),
        (tanh_with(lambda grad, y: np.clip(grad, -1, 1) * (1 - y * y)), "input gradient", "upstream gradient clipped"),
        (
            tanh_with(lambda grad, y: grad * np.abs(grad) * (1 - y * y)),
            "input gradient",
            "backward is not linear in grad",
        ),
        (tanh_with(lambda grad, y: grad * (1 - y * y) / max(len(y), 1)), "input gradient", "factor is the batch size"),
        (tanh_with(lambda grad, y: grad * (1 - y * y) / y.shape[-1]), "input gradient", "factor is a width"),
        (tanh_with(lambda grad, y: grad * (1 - y * y) / 3), "input gradient", "constant factor"),
        (
            tanh_with(lambda grad, y: grad * np.where(y < 0, 1, 1 - y * y).astype(y.dtype)),
            "input gradient",
            "negative inputs",
        ),
        (
            tanh_with(lambda grad, y: grad * (1 - y * y * (np.abs(y) < 0.99))),
            "input gradient",
            "wrong for large values only",
        ),
        (tanh_with(lambda grad, y: grad * (1 - y * y) * (1 + 2e-7 * y)), "input gradient", "nearly right"),
        (Largest, "input gradient", "equal entries each get the whole gradient"),
        (SteepAtZero, "input gradient", "wrong at a kink only"),
        (OneWrong, "parameter gradient", "one parameter wrong: scale"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_cause_is_named(make: type[Layer], law: str, cause: str, seed: int) -> None:
    """The law and the cause are those of the mistake, whatever was drawn."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(make, (3,), seed=seed, shrink=False)
    assert caught.value.law == law
    assert cause in caught.value.cause


@pytest.mark.parametrize("make", [ReLU, Scaled, tanh_with(lambda grad, y: grad * (1 - y * y))])
def test_right_ones_pass(make: type[Layer]) -> None:
    """What the wrong ones were made from is right."""
    check_layer(make, (3,))
