"""Causes: where gradients go."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import SearchStrategy

from minibackprop import Layer, Parameter
from minibackprop.validation import Array
from tests.testing.gradients.diagnosis.pieces import cause_of, layer_of, require_features, rows


class Taken(Layer):
    """Features in a fixed order, some of them twice; put back by an assignment."""

    order = (0, 2, 2, 1)

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        require_features(x, 3)
        return x[..., self.order], x.shape

    def backward(self, grad: Array, shape: Any, /) -> Array:
        back = np.zeros(shape, grad.dtype)
        back[..., self.order] = grad
        return back


class Table(Layer):
    """Rows of a table, whose gradients are added once."""

    def __init__(self) -> None:
        self.rows = Parameter(np.random.default_rng(0).normal(size=(5, 2)))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return self.rows.value[x], x

    def backward(self, grad: Array, x: Any, /) -> None:  # type: ignore[override]
        total = np.zeros_like(self.rows.value)
        total[x] += grad
        self.rows.add(total)


class Quadratic(Layer):
    """``a x + b x**2``, with the gradients of a and b exchanged, or one of them given to both."""

    def __init__(self, both: bool) -> None:
        self.a, self.b, self.both = Parameter(np.ones(3)), Parameter(np.ones(3)), both

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        require_features(x, 3)
        return x * self.a.value + x * x * self.b.value, x

    def backward(self, grad: Array, x: Any, /) -> Array:
        self.b.add(rows(grad * x).sum(axis=0))
        self.a.add(rows(grad * x * x if self.both else grad * x).sum(axis=0))
        return grad * (self.a.value + 2 * x * self.b.value)


class Noisy(Layer):
    """A random mask that one of the passes leaves out."""

    stochastic = "drops entries"

    def __init__(self, forgets: str) -> None:
        self.rng, self.forgets = np.random.default_rng(0), forgets

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        mask = self.rng.random(x.shape) < 0.6
        return (x.copy() if self.forgets == "forward" else x * mask), mask

    def predict(self, x: Array, /) -> Array:
        return x

    def backward(self, grad: Array, mask: Any, /) -> Array:
        return 2 * grad if self.forgets == "backward" else grad * mask


class Steps(Layer):
    """``y[t] = tanh(x[t] + y[t - 1])``; what is carried back is wrong."""

    def __init__(self, carried: float) -> None:
        self.carried = carried

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        if x.ndim != 3:
            raise ValueError("sequences")
        y = np.zeros_like(x)
        for t in range(x.shape[1]):
            y[:, t] = np.tanh(x[:, t] + (y[:, t - 1] if t else 0))
        return y, y

    def backward(self, grad: Array, y: Any, /) -> Array:
        back, later = np.zeros_like(grad), np.zeros_like(grad[:, 0])
        for t in reversed(range(grad.shape[1])):
            back[:, t] = (grad[:, t] + later) * (1 - y[:, t] ** 2)
            later = self.carried * back[:, t]
        return back


def put_back(places: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    """Make what puts the gradient of the two largest features back to other places."""

    def vjp(x: Array, grad: Array) -> Array:
        back = np.zeros_like(x)
        np.put_along_axis(back, places(largest(x)), grad, -1)
        return back

    return vjp


def largest(x: Array) -> Array:
    return np.argsort(-x, axis=-1, kind="stable")[..., :2]


INDICES = st.integers(2, 4).flatmap(lambda count: arrays(np.int64, (count, 3), elements=st.integers(0, 4)))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("make", "inputs", "cause"),
    [
        (Taken, (3,), "either overwritten"),
        (Table, INDICES, "overwritten"),
        (
            layer_of(lambda x: np.take_along_axis(x, largest(x), -1), put_back(lambda i: i * 0 + np.arange(2)), 5),
            (5,),
            "in the wrong places",
        ),
        (layer_of(lambda x: x[..., ::-1].copy(), lambda _, g: g.copy()), (4,), "in the wrong places: reversed"),
        (layer_of(lambda x: np.cumsum(x, -1), lambda _, g: np.cumsum(g, -1)), (4,), "transposed"),
        (lambda: Quadratic(True), (3,), "swapped: the gradients of "),
        (lambda: Noisy("backward"), (4,), "mask in one direction only: backward lets through"),
        (lambda: Noisy("forward"), (4,), "mask in one direction only: backward stops"),
        (lambda: Steps(0.0), (3, 2), "right within each step along axis 1, wrong from step to step: nothing"),
        (lambda: Steps(2.0), (3, 2), "right within each step along axis 1, wrong from step to step: what is carried"),
        (
            layer_of(lambda x: x[:, :3] * 1.0, lambda x, g: np.eye(len(x[0]))[0] * g[:, :1], 4),
            (4,),
            "wrong for results",
        ),
    ],
)
def test_place_is_named(
    make: Callable[[], Layer], inputs: tuple[int, ...] | SearchStrategy[Array], cause: str, seed: int
) -> None:
    """Which entries are wrong, and how, says where to look."""
    assert cause_of(make, inputs, seed).startswith(cause)


def test_gradient_of_another_and_a_forgotten_factor_are_both_named() -> None:
    """If b has the gradient of a, it lacks the factor x: the evidence is the same."""
    cause = cause_of(lambda: Quadratic(False), (3,), law="parameter")
    assert "either a factor is forgotten: the input" in cause
    assert "b gets the gradient of a" in cause
