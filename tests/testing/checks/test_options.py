"""What the author of a layer can say: side inputs, values of parameters, a reference, a surrogate; what is covered."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from minibackprop import ConfigError, Dense, Layer, Parameter, ShapeError
from minibackprop.testing import ALL, ContractViolation, check_layer
from minibackprop.validation import Array
from tests.example_layers import Square


class SumOfSteps(Layer):
    """The sum over the steps that a mask names, or all."""

    side_inputs = ("mask",)
    mask: Array | None = None

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        if x.ndim != 3 or (self.mask is not None and self.mask.shape != x.shape[:2]):
            raise ShapeError("SumOfSteps", "(N, T, F), and a mask of (N, T)", str(x.shape))
        mask = np.ones_like(x, shape=x.shape[:2]) if self.mask is None else self.mask.astype(x.dtype)
        return np.einsum("nt,ntf->nf", mask, x), mask

    def backward(self, grad: Array, mask: Any, /) -> Array:
        back: Array = mask[:, :, np.newaxis] * grad[:, np.newaxis]
        return back


class MaskForgotten(SumOfSteps):
    def backward(self, grad: Array, mask: Any, /) -> Array:
        return super().backward(grad, np.ones_like(mask))


class Rounded(Layer):
    """A straight-through estimator."""

    alters_gradient = "the gradient passes through"

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return np.round(x), None

    def backward(self, grad: Array, cache: None, /) -> Array:
        return grad.copy()


class Powers(Layer):
    """``|x| ** p``, for a p of at least 1."""

    def __init__(self) -> None:
        self.p = Parameter(np.array(2.0))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        if self.p.value < 1:
            raise ValueError("p of at least 1")
        return np.abs(x) ** self.p.value, x

    def backward(self, grad: Array, x: Any, /) -> Array:
        p, size = self.p.value, np.abs(x)
        log = np.log(np.where(size == 0, 1, size))
        self.p.add((grad * size**p * log).sum())
        back: Array = grad * p * size ** (p - 1) * np.sign(x)
        return back


def half(rng: np.random.Generator, x: Array) -> dict[str, Array]:
    return {"mask": rng.random(x.shape[:2]) < 0.5}


@pytest.mark.parametrize("given", [None, half])
def test_side_inputs_are_drawn_or_given(given: Callable[..., Any] | None) -> None:
    """What is wrong under a mask only is found, and its twin passes; the report says how often there was one."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(MaskForgotten, (4, 2), given=given, shrink=False)
    assert caught.value.law == "input gradient"
    assert "layer.given(mask=" in caught.value.example
    report = check_layer(SumOfSteps, (4, 2), given=given)
    assert report.covered["side input mask"].startswith("set in")


def test_side_input_that_nobody_knows_is_never_set() -> None:
    """The report says so."""

    class Shifted(Square):
        side_inputs = ("shift",)

    assert check_layer(Shifted, (3,), examples=3).covered["side input shift"] == "never set"


def test_values_of_parameters_are_drawn_from_a_strategy() -> None:
    """Where the layer refuses what is drawn otherwise, it is drawn near the start, and the report says so."""
    laws = [law for law in ALL if law.name == "parameter gradient"]
    chosen = check_layer(Powers, (3,), laws=laws, parameters={"p": st.floats(2.5, 3)})
    low, _, high = chosen.covered["parameter p"].partition(" to ")
    assert 2.5 <= float(low) <= float(high) <= 3
    assert "near their start" in check_layer(Powers, (3,), laws=laws).covered["parameters"]
    with pytest.raises(ConfigError, match="parameters expects names of parameters"):
        check_layer(Powers, (3,), parameters={"q": st.floats(2, 3)})


def test_forward_is_held_against_a_reference() -> None:
    """The law is one more, and says what differs."""
    report = check_layer(
        lambda: Dense(3, 2), (3,), reference=lambda layer, x: x @ layer.weight.value + layer.bias.value
    )
    assert "reference" in report.kept
    with pytest.raises(ContractViolation, match="broken law: reference"):
        check_layer(lambda: Dense(3, 2), (3,), reference=lambda layer, x: x @ layer.weight.value, shrink=False)


def test_backward_may_be_the_gradient_of_a_surrogate() -> None:
    """The laws of gradients bind then, and find what is not the surrogate's."""
    assert "input gradient" in check_layer(Rounded, (3,)).lifted
    assert "input gradient" in check_layer(Rounded, (3,), surrogate=lambda _, x: x).kept
    with pytest.raises(ContractViolation, match="sign flipped"):
        check_layer(Rounded, (3,), surrogate=lambda _, x: -x, shrink=False)


def test_wrong_input_gradient_breaks_one_law() -> None:
    """The others of gradients can be checked without it."""

    class Doubled(Square):
        def backward(self, grad: Array, x: Array, /) -> Array:
            return 2 * super().backward(grad, x)

    class Factor(Layer):
        def __init__(self) -> None:
            self.factor = Parameter(np.array(2.0))

        def forward(self, x: Array, /) -> tuple[Array, Any]:
            return x * self.factor.value, x

        def backward(self, grad: Array, x: Any, /) -> Array:
            self.factor.add((grad * x).sum())
            return 3 * grad * self.factor.value

    for make in (Factor, Doubled):
        report = check_layer(make, (3,), without={"input gradient": "it is wrong"})
        assert "linearity" in report.kept
