"""The options of `check_layer`: side inputs, values of parameters, a reference, a surrogate; and their misuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from minibackprop import ConfigError, Dense, Layer
from minibackprop.testing import ContractViolation, check_layer
from minibackprop.validation import Array


class LastStep(Layer):
    """The last step of each sequence, whose length goes beside x."""

    side_inputs = ("lengths",)
    lengths: Array | None = None
    first = 0

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Take a step of each sample."""
        last = (np.full(len(x), x.shape[1]) if self.lengths is None else self.lengths) - 1
        return x[np.arange(len(x)), last], (last, x.shape)

    def backward(self, grad: Array, cache: Any, /) -> Array:
        """Send the gradient to it."""
        last, shape = cache
        back = np.zeros(shape, grad.dtype)
        back[np.arange(shape[0]), np.maximum(last, self.first)] = grad
        return back


class NeverTheFirst(LastStep):
    """The last step, whose gradient goes to the second one where it is the first."""

    first = 1


def dense() -> Dense:
    """Make a layer that most options fit."""
    return Dense(3, 4)


def with_lengths(rng: np.random.Generator, x: Array) -> dict[str, Array]:
    """Draw lengths of sequences."""
    return {"lengths": rng.integers(1, 5, len(x))}


def with_values(make: Callable[[int], object], name: str = "lengths") -> dict[str, Any]:
    """Make the option of side inputs by the number of samples."""
    return {"given": lambda _, x: {name: make(len(x))}}


def test_side_inputs_are_those_that_are_given() -> None:
    """Every example has them; what is wrong for some of them only is found, by code that sets them."""
    assert check_layer(LastStep, (4, 2), given=with_lengths, examples=5).covered["side input lengths"] == (
        "set in 5 of 5 examples"
    )
    with pytest.raises(ContractViolation, match=r"layer\.given\(lengths=np\.array"):
        check_layer(NeverTheFirst, (4, 2), given=with_lengths)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"given": 3}, "given expects a callable, got int"),
        ({"given": lambda rng, x: [1]}, "given expects to return a dict of side inputs by name, got list"),  # noqa: ARG005
        (with_values(np.ones, "length"), r"given expects to return side inputs that the layer takes, \['lengths'\]"),
        (with_values(lambda _: 3), "given: lengths expects an array with a row for each of the . samples, got int"),
        (with_values(lambda _: None), "given: lengths expects an array .*, got NoneType"),
        (with_values(lambda count: np.ones(count + 1)), "given: lengths expects an array with a row for each"),
    ],
)
def test_side_inputs_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    """Each has a name that the layer knows, and a row for each sample."""
    with pytest.raises(ConfigError, match=message):
        check_layer(LastStep, (4, 2), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": [1]}, "parameters expects a dict of strategies by name, got list"),
        ({"parameters": {"weight": 3}}, "parameters expects a dict of strategies by name"),
        ({"parameters": {"wieght": st.just(1.0)}}, r"parameters expects names of parameters, \['weight', 'bias'\]"),
        ({"parameters": {"weight": st.just(np.ones((2, 2)))}}, r"parameters: weight expects .* of shape \(3, 4\)"),
        ({"parameters": {"weight": st.just("a")}}, "parameters: weight expects a strategy of finite numbers"),
        ({"parameters": {"weight": st.none()}}, "parameters: weight expects .*, got None"),
        ({"parameters": {"weight": st.just(np.nan)}}, "parameters: weight expects .*, got nan"),
        ({"reference": 3}, "reference expects a callable of a layer and a batch, got int"),
        ({"surrogate": "x"}, "surrogate expects a callable, got str"),
        ({"surrogate": lambda _, x: x}, r"surrogate expects .* of shape \(., 4\), got ndarray of shape \(., 3\)"),
        ({"surrogate": lambda layer, x: layer.forward(x)}, "surrogate expects to give .*, got tuple"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    """What they give has the type and the shape that is asked for."""
    with pytest.raises(ConfigError, match=message):
        check_layer(dense, (3,), **options)


def test_parameters_are_those_of_the_strategy() -> None:
    """All entries one number that is drawn, or an array."""
    options: dict[str, Any] = {"parameters": {"weight": st.floats(1, 2), "bias": st.just(np.arange(4))}}
    covered = check_layer(dense, (3,), examples=5, **options).covered
    low, _, high = covered["parameter weight"].partition(" to ")
    assert 1 <= float(low) <= float(high) <= 2
    assert covered["parameter bias"] == "0 to 3"
