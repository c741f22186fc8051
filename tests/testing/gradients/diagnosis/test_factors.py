"""Causes: factors that are constant, go with a size, or are forgotten."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minibackprop import Layer, Parameter
from minibackprop.testing import ContractViolation, check_loss
from minibackprop.validation import Array
from tests.testing.bank.losses import MeanLoss
from tests.testing.gradients.diagnosis.pieces import cause_of, layer_of, require_features, rows


class Scale(Layer):
    """``y = x * w``, from ones; what backward multiplies by is a mistake."""

    def __init__(self, start: Array, by: Callable[[Array], Array] = np.ones_like) -> None:
        self.w, self.by = Parameter(start.copy()), by

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        require_features(x, len(self.w.value))
        return x * self.w.value, x

    def backward(self, grad: Array, x: Any, /) -> Array:
        self.w.add(rows(grad * x).sum(axis=0))
        return grad * self.by(self.w.value)


class Stale(Scale):
    """Multiplies by a copy of what w was at first."""

    def __init__(self, start: Array) -> None:
        super().__init__(start)
        self.kept = start.copy()

    def backward(self, grad: Array, x: Any, /) -> Array:
        super().backward(grad, x)
        return grad * self.kept


class Temperature(Layer):
    """``tanh(x / t)`` from t = 1, without its chain factor."""

    def __init__(self) -> None:
        self.t = Parameter(np.ones(()))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        y = np.tanh(x / self.t.value)
        return y, (x, y)

    def backward(self, grad: Array, cache: Any, /) -> Array:
        x, y = cache
        inner: Array = grad * (1 - y * y)
        self.t.add(np.asarray(-(inner * x).sum() / self.t.value**2))
        return inner


class Hidden(Layer):
    """``tanh(x @ W)`` without the slope of tanh."""

    def __init__(self) -> None:
        self.W = Parameter(np.random.default_rng(0).normal(size=(3, 2)))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        require_features(x, 3)
        y = np.tanh(x @ self.W.value)
        return y, (x, y)

    def backward(self, grad: Array, cache: Any, /) -> Array:
        x, y = cache
        self.W.add(rows(x).T @ rows(grad * (1 - y * y)))
        back: Array = grad @ self.W.value.T
        return back


ONES, SPREAD = np.ones(3), np.array([0.5, -1.0, 2.0])


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: Scale(ONES), "a factor is forgotten: w (the gradient is right where w is 1)"),
        (lambda: Scale(SPREAD), "a factor is forgotten: w (the gradient is right where w is 1)"),
        (lambda: Scale(SPREAD, lambda w: w * w), "a factor too many, or a division forgotten: w"),
        (lambda: Stale(SPREAD), "stale: backward uses the values of w that the layer was made with"),
        (Temperature, "a factor too many, or a division forgotten: t"),
        (Hidden, "a factor is forgotten: 1 - y**2, the slope of tanh"),
        (layer_of(lambda x: x**3, lambda x, g: g * 3 * x), "a factor is forgotten: the input"),
    ],
)
def test_quantity_is_named(make: Callable[[], Layer], cause: str, seed: int) -> None:
    """What backward leaves out is named, also where its start hides it; a copy that is kept is told from that."""
    assert cause_of(make, (3,), seed, "input").startswith(cause)


def test_copy_of_ones_and_a_forgotten_factor_are_both_named() -> None:
    """A copy of ones does what a forgotten factor does."""
    cause = cause_of(lambda: Stale(ONES), (3,), law="input")
    assert cause.startswith("either ")
    assert "a factor is forgotten: w" in cause
    assert "stale" in cause


@pytest.mark.parametrize(
    ("vjp", "width", "cause"),
    [
        (lambda x, g: g * 2 / x.shape[-1], 0, "factor is a width: "),
        (lambda x, g: g * 2 / x.shape[-1], 5, "factor is a width or a constant: "),
        (lambda _, g: g * 2 / 5, 0, "constant factor: "),
        (lambda x, g: g / (x.shape[-1] // 2) * x.shape[-1], 0, "integer division: "),
        (lambda x, g: g / (x.shape[-1] // 2) * x.shape[-1], 5, "constant factor, or integer division: "),
        (lambda x, g: 2 * g / max(len(x), 1), 0, "factor is the batch size: a mean"),
        (lambda x, g: 2 * g * max(len(x) - 1, 1) / max(len(x), 1), 0, "factor goes with the batch size"),
        (lambda _, g: -2 * g, 0, "sign flipped"),
    ],
)
def test_size_is_named_where_the_factor_goes_with_it(
    vjp: Callable[[Array, Array], Array], width: int, cause: str
) -> None:
    """A factor is that of a size if it changes with it; if no other size is taken, a constant is named as well."""
    make = layer_of(lambda x: 2 * x, (lambda x, g: 2 * vjp(x, g)) if "5" in cause else vjp, width)
    assert cause_of(make, (5,)).startswith(cause)


def test_epsilon_is_named() -> None:
    """Where each sample has a factor of its own that fades for large input, it may be an epsilon."""
    make = layer_of(
        lambda x: x / np.sqrt(1e-3 + (x * x).sum(axis=-1, keepdims=True)),
        lambda x, g: _of_length(x, g, 1e-3) * np.sqrt(1 + 1e-3 / (1e-3 + (x * x).sum(axis=-1, keepdims=True))),
    )
    assert "an epsilon" in cause_of(make, (3,))


def _of_length(x: Array, grad: Array, epsilon: float) -> Array:
    length = np.sqrt(epsilon + (x * x).sum(axis=-1, keepdims=True))
    back: Array = (grad - x * (grad * x).sum(axis=-1, keepdims=True) / length**2) / length
    return back


class SumForMean(MeanLoss):
    """backward forgets to divide by the number of samples."""

    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        back: Array = super().backward(cache, scale) * len(cache[0])
        return back


class WeightsTwice(MeanLoss):
    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        residual, share = cache
        back: Array = super().backward(cache, scale) * share * residual.size
        return back


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (SumForMean, "factor is the batch size: a sum where the other belongs"),
        (WeightsTwice, "a factor too many, or a division forgotten: the weights"),
    ],
)
def test_losses_have_the_same_evidence(make: type[MeanLoss], cause: str, seed: int) -> None:
    """The batch of a loss is made larger, and its weights are among what may be forgotten."""
    with pytest.raises(ContractViolation) as caught:
        check_loss(make, (2,), seed=seed)
    assert caught.value.cause.startswith(cause)
