"""What the tests of causes share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from minibackprop import Layer, ShapeError
from minibackprop.testing import ALL, ContractViolation, check_layer
from minibackprop.validation import Array

GRADIENTS = [law for law in ALL if law.name in ("input gradient", "parameter gradient")]


def cause_of(
    make: Callable[[], Layer], inputs: tuple[int, ...] | SearchStrategy[Array], seed: int = 0, law: str = ""
) -> str:
    """Find the cause that is named for a wrong gradient."""
    laws = [one for one in GRADIENTS if law in one.name]
    try:
        check_layer(make, inputs, laws=laws, examples=5, seed=seed, shrink=False)
    except ContractViolation as violation:
        return violation.cause
    raise AssertionError("the gradient passes")


def require_features(x: Array, expected: int) -> None:
    if x.ndim < 2 or x.shape[-1] != expected:
        raise ShapeError("layer", f"(..., {expected})", str(x.shape))


def rows(a: Array) -> Array:
    return a.reshape(-1, a.shape[-1])


def layer_of(forward: Callable[[Array], Array], vjp: Callable[[Array, Array], Array], width: int = 0) -> type[Layer]:
    """Make a layer of a function of its input, and of what backward makes of the input and the upstream gradient."""

    class Made(Layer):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            if width:
                require_features(x, width)
            return forward(x), x

        def backward(self, grad: Array, x: Any, /) -> Array:
            return vjp(np.asarray(x), grad)

    return Made
