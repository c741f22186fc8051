"""Causes: terms that are missing, or of the wrong sign."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minibackprop import Layer, Parameter
from minibackprop.validation import Array
from tests.testing.gradients.diagnosis.pieces import cause_of, layer_of, require_features, rows


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def along(y: Array, grad: Array) -> Array:
    total: Array = (grad * y).sum(axis=-1, keepdims=True)
    return total


class Tied(Layer):
    """``x @ U @ U.T``, with the gradient of one of the two uses."""

    def __init__(self) -> None:
        self.U = Parameter(np.random.default_rng(0).normal(size=(4, 2)))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        require_features(x, 4)
        return x @ self.U.value @ self.U.value.T, x

    def backward(self, grad: Array, x: Any, /) -> Array:
        U = self.U.value
        self.U.add(rows(x).T @ rows(grad @ U))
        back: Array = grad @ U @ U.T
        return back


class Shifted(Layer):
    """``x * (w + v)`` whose gradient leaves v out."""

    def __init__(self) -> None:
        self.w, self.v = Parameter(np.ones(3)), Parameter(np.ones(3))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        require_features(x, 3)
        return x * (self.w.value + self.v.value), x

    def backward(self, grad: Array, x: Any, /) -> Array:
        for parameter in (self.w, self.v):
            parameter.add(rows(grad * x).sum(axis=0))
        return grad * self.w.value


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("make", "inputs", "cause"),
    [
        (
            layer_of(softmax, lambda x, g: softmax(x) * (g + along(softmax(x), g))),
            (3,),
            "wrong sign of one term: the one through which the entries of a sample act on each other",
        ),
        (
            layer_of(softmax, lambda x, g: softmax(x) * g * (1 - softmax(x))),
            (3,),
            "term missing: only the diagonal of the Jacobian is there",
        ),
        (
            layer_of(lambda x: x * np.tanh(x), lambda x, g: g * (np.tanh(x) - x * (1 - np.tanh(x) ** 2))),
            (3,),
            "wrong sign of one term",
        ),
        (layer_of(lambda x: x * np.tanh(x), lambda x, g: g * np.tanh(x)), (3,), "term missing: y = x * s(x)"),
        (layer_of(lambda x: x + np.sin(x), lambda x, g: g * np.cos(x)), (3,), "term missing: the identity"),
        (Tied, (4,), "term missing: U is used 2 times, and has the gradient of 1 of these"),
        (Shifted, (3,), "term missing, or a factor: backward does not depend on v"),
    ],
)
def test_term_is_named(make: Callable[[], Layer], inputs: tuple[int, ...], cause: str, seed: int) -> None:
    """The shape of what differs says which term it is."""
    assert cause_of(make, inputs, seed).startswith(cause)
