"""Backward beside finite differences, where kinks meet: what is right is not called wrong."""

from typing import Any

import numpy as np
import pytest

from minibackprop import Dense, Layer, LogSoftmax, Parameter, ReLU, Sequential, ShapeError, Softmax
from minibackprop.testing import check_gradients, check_layer
from minibackprop.validation import Array


@pytest.mark.parametrize("seed", range(3))
def test_network_whose_kinks_meet_passes(seed: int) -> None:
    """A ReLU network without bias has all its kinks at zero, where no one-sided slopes need enclose its gradient."""
    check_layer(lambda: Sequential([Dense(3, 8, bias=False, rng=0), ReLU(), Dense(8, 2, rng=1)]), (3,), seed=seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("after", [Softmax, LogSoftmax])
def test_kinks_that_a_later_layer_hides_pass(after: type[Layer], seed: int) -> None:
    """With all entries at the kinks of a ReLU, softmax, blind to shifts, makes both slopes of some directions equal."""
    check_layer(lambda: Sequential([ReLU(), after()]), (3,), seed=seed)


class Sort(Layer):
    """Three equal entries: the middle one's gradient is none of its one-sided slopes."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        order = x.argsort(axis=-1, kind="stable")
        return np.take_along_axis(x, order, -1), order

    def backward(self, grad: Array, order: Any, /) -> Array:
        back = np.empty_like(grad)
        np.put_along_axis(back, order, grad, -1)
        return back


@pytest.mark.parametrize("seed", range(5))
def test_sorting_passes(seed: int) -> None:
    """A permutation that sorts is right, however ties are broken."""
    check_layer(Sort, (4,), seed=seed)


@pytest.mark.parametrize("count", [2, 3])
def test_the_largest_of_equal_entries_are_any_of_them(count: int) -> None:
    """Where directions happen to be alike in size, regions nearby differ little from the two sides."""

    def largest(x: Array) -> Array:
        return -np.sort(-x, axis=-1)[..., :count]

    def vjp(x: Array, grad: Array) -> Array:
        back = np.zeros_like(x)
        np.put_along_axis(back, np.argsort(-x, axis=-1, kind="stable")[..., :count], grad, axis=-1)
        return back

    for seed in range(6):
        check_gradients(largest, vjp, np.zeros((1, 4)), seed=seed)


class TiedReLU(Layer):
    """A ReLU between a matrix and its transpose, of slope 0 at 0: the gradient of no region, for a sample of zeros."""

    def __init__(self) -> None:
        self.weight = Parameter(np.array([[-0.096, 0.5075, -0.1459], [0.458, 0.5155, -0.0724], [-0.31, 0.3268, 0.45]]))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        if x.ndim != 2 or x.shape[1] != 3:
            raise ShapeError("TiedReLU", "(N, 3)", str(x.shape))
        hidden = np.maximum(x @ self.weight.value, 0)
        return hidden @ self.weight.value.T, (x, hidden)

    def backward(self, grad: Array, cache: Any, /) -> Array:
        x, hidden = cache
        back = (grad @ self.weight.value) * (hidden > 0)
        self.weight.add(x.T @ back + grad.T @ hidden)
        result: Array = back @ self.weight.value.T
        return result


@pytest.mark.parametrize("seed", [3, 6])
def test_kinks_of_many_samples_pass(seed: int) -> None:
    """What is known of one sample is not blurred by the errors of others."""
    check_layer(TiedReLU, (3,), seed=seed)
