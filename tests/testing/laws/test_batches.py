"""The laws of batches: they do not take for a mistake what is meant."""

from collections.abc import Callable

import numpy as np
import pytest

from minibackprop import GRU, RNN, BatchNorm, Concat, GlobalAvgPool, GroupNorm, Layer, ShapeError, Softmax
from minibackprop.testing import ALL, check_layer
from minibackprop.testing.laws import batches
from minibackprop.validation import Array


class FirstStep(Layer):
    """What a transformer pools by: the first step stands for all."""

    def forward(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        if x.ndim != 3:
            raise ShapeError("FirstStep", "(N, T, F)", str(x.shape))
        return x[:, 0].copy(), x.shape

    def backward(self, grad: Array, shape: tuple[int, ...]) -> Array:
        back = np.zeros(shape, grad.dtype, like=grad)
        back[:, 0] = grad
        return back


class RunningSum(Layer):
    """A causal layer: sums over time, of sequences of whatever."""

    def forward(self, x: Array) -> tuple[Array, None]:
        if x.ndim < 3:
            raise ShapeError("RunningSum", "(N, T, ...)", str(x.shape))
        return x.cumsum(axis=1), None

    def backward(self, grad: Array, cache: None) -> Array:
        return grad[:, ::-1].cumsum(axis=1)[:, ::-1]


class Reversed(Layer):
    """Sequences from their end."""

    def forward(self, x: Array) -> tuple[Array, None]:
        if x.ndim < 3:
            raise ShapeError("Reversed", "(N, T, ...)", str(x.shape))
        return x[:, ::-1], None

    def backward(self, grad: Array, cache: None) -> Array:
        return grad[:, ::-1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        pytest.param(FirstStep, (4, 3), id="first step"),
        pytest.param(RunningSum, (3, 3), id="running sum"),
        pytest.param(Reversed, (4, 3), id="reversed"),
        pytest.param(GlobalAvgPool, (2, 3, 4), id="global pool"),
        pytest.param(lambda: Softmax(axis=1), (4, 3), id="softmax of axis 1"),
        pytest.param(lambda: BatchNorm(3), (3, 3, 3), id="batch norm"),
        pytest.param(lambda: GroupNorm(2, 4), (4, 4), id="group norm"),
        pytest.param(lambda: Concat([GlobalAvgPool(), GlobalAvgPool()]), (2, 3, 4), id="two pools"),
        pytest.param(lambda: GRU(3, 2, return_sequences=False, rng=0), (4, 3), id="GRU"),
        pytest.param(lambda: RNN(3, 3, return_sequences=False, rng=0), (3, 3), id="RNN"),
    ],
)
def test_axes_of_any_length_are_no_mistake(make: Callable[[], Layer], shape: tuple[int, ...], seed: int) -> None:
    """Steps, channels and places may have lengths that happen to be those of something else; nothing is wrong then."""
    laws = [law for law in ALL if law.check.__module__ == batches.__name__]
    check_layer(make, shape, examples=8, seed=seed, laws=laws if seed else ALL)
