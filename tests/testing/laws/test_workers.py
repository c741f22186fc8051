"""The law of workers."""

from typing import Any

import numpy as np
import pytest

from minibackprop import BatchNorm, Buffer, Dense, Layer, Sequential, Tanh
from minibackprop.layers._statistics import sums
from minibackprop.testing import ALL, check_layer
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

WORKERS = [law for law in ALL if law.name == "workers"]


class Alone(BatchNorm):
    """Forgets the other workers in backward."""

    synchronizes = True

    def backward(self, grad: Array, cache: Any, /) -> Array:
        across, self.across = self.across, None
        try:
            return super().backward(grad, cache)
        finally:
            self.across = across


class CountsItsOwn(Layer):
    """Subtracts the mean, but divides the sum of all by its own number of samples."""

    couples_samples = "subtracts the mean of the batch"
    synchronizes = True

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return x - self._mean(x), None

    def predict(self, x: Array, /) -> Array:
        return x

    def backward(self, grad: Array, _: None, /) -> Array:
        return grad - self._mean(grad)

    def _mean(self, x: Array) -> Array:
        total = sums(1, x)
        return (total if self.across is None else self.across(total)) / len(x)


class Centred(CountsItsOwn):
    def _mean(self, x: Array) -> Array:
        total, count = sums(1, x), np.full_like(x[0, :1], len(x))
        if self.across is None:
            return total / len(x)
        return self.across(total) / self.across(count)


class Counting(Layer):
    aggregation = {"count": "sum"}  # noqa: RUF012 - as a user would write it

    def __init__(self) -> None:
        self.count = Buffer(np.array(0.0))

    def forward(self, x: Array, /) -> tuple[Array, None]:
        self.count.value = self.count.value + len(x)
        return 1.0 * x, None

    def predict(self, x: Array, /) -> Array:
        return 1.0 * x

    def backward(self, grad: Array, _: None, /) -> Array:
        return 1.0 * grad


class CountsTheMean(Counting):
    aggregation = {"count": "mean"}  # noqa: RUF012


@pytest.mark.parametrize("layer", [Alone, lambda size: Sequential([Dense(size, size, rng=0), Alone(size)])])
def test_sums_of_its_own_are_found(layer: Any) -> None:
    with pytest.raises(ContractViolation, match=r"where two workers share the batch.*\n(.*\n)*cause: .*self\.across"):
        check_layer(lambda: layer(3), (3,), laws=WORKERS, examples=10)


@pytest.mark.parametrize("layer", [CountsItsOwn, CountsTheMean])
def test_wrong_numbers_are_found(layer: type[Layer]) -> None:
    with pytest.raises(ContractViolation, match="where two workers share the batch, is not that of one pass"):
        check_layer(layer, (3,), laws=WORKERS, examples=10)


@pytest.mark.parametrize("layer", [lambda: BatchNorm(3), Centred, Counting, Tanh])
def test_right_layers_pass(layer: Any) -> None:
    report = check_layer(layer, (3,), laws=WORKERS, examples=20)
    assert not report.lifted
