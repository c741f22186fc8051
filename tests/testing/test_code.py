"""What is drawn or made is printed as Python that can be pasted."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import minibackprop
from minibackprop import ConfigError, Dense, Layer, Parameter, Sequential
from minibackprop.state import Buffer, walk
from minibackprop.testing import ContractViolation, batches, check_layer, layers, models, parameters, with_state
from minibackprop.testing.code import call_of, written, written_layer, written_with_state
from minibackprop.testing.strategies.arrays import LAYOUTS
from minibackprop.validation import Array
from tests.example_layers import HalfOfIt

NAMES = {name: getattr(minibackprop, name) for name in minibackprop.__all__} | {"np": np, "with_state": with_state}


def printed(strategy: st.SearchStrategy[Any], fails: Callable[[Any], bool] = lambda _: True) -> str:
    """Let Hypothesis print the argument of a test that fails."""

    @settings(database=None, max_examples=200)
    @given(strategy)
    def test(x: Any) -> None:
        assert not fails(x)

    with pytest.raises(AssertionError) as caught:
        test()
    text = "\n".join(caught.value.__notes__)
    return text[text.index("test(") : text.index("\n)") + 2]


def drawn_again(text: str) -> Any:
    """Run what was printed."""
    return eval(text, NAMES | {"test": lambda x: x})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_batches_print_as_arrays(layout: str, dtype: type) -> None:
    """In their layout, too."""
    seen: list[Array] = []
    text = printed(
        batches((2,), min_size=2, layouts=[layout], dtype=dtype), lambda x: bool(x.any()) and not seen.append(x)
    )
    again = drawn_again(text)
    np.testing.assert_array_equal(again, seen[-1])
    assert again.dtype == dtype
    assert (again.strides, again.flags.writeable) == (seen[-1].strides, seen[-1].flags.writeable)


def test_parameters_print_as_calls() -> None:
    """With their values."""
    assert printed(parameters((2,))).count("Parameter(np.array([") == 1
    assert isinstance(drawn_again(printed(parameters((2,)))), Parameter)


def test_layers_and_models_print_with_their_weights() -> None:
    """A pasted layer predicts what the drawn one did."""
    seen: list[Layer] = []
    for strategy in (layers(3, 2), models(3, 1)):
        text = printed(strategy, lambda layer: bool(layer.parameters()) and not seen.append(layer))
        x = np.array([[0.1, -2.0, 3.0]])
        np.testing.assert_array_equal(drawn_again(text).predict(x), seen[-1].predict(x))


@given(
    model=st.sampled_from([(3,), (4, 3), (2, 4, 4)]).flatmap(lambda shape: layers(shape) | models(shape))
    | models((4,), vocabulary=3)
    | layers(3, dtype=np.float32)
)
def test_written_layers_have_the_same_configuration_and_weights(model: Layer) -> None:
    """Whatever is drawn, ties included."""
    again = eval(written_with_state(model), NAMES)
    assert repr(again) == repr(model)
    states = again.state_dict(), model.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name])
        assert value.dtype == states[1][name].dtype
    assert [name for name, _ in walk(again, Buffer)] == [name for name, _ in walk(model, Buffer)]


def test_ties_are_written_as_such() -> None:
    """One object in two places gets a name."""
    model = find(models(3), lambda model: len({id(layer) for layer in model}) < len(model))
    again = eval(written_layer(model), NAMES)
    assert len({id(layer) for layer in again}) < len(again)


@pytest.mark.parametrize(
    "value", [np.array([np.nan, np.inf, -np.inf, -0.0]), np.array(3.0), np.zeros((0, 2), int), np.array([True])]
)
def test_arrays_are_written_as_python(value: Array) -> None:
    """What is no number, too."""
    again = eval(written(value), {"np": np})
    np.testing.assert_array_equal(again, value)
    assert again.dtype == value.dtype


def three() -> Layer:
    """Make a layer of three features."""
    return Dense(3, 3)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Dense(3, 4), "Dense(3, 4)"),
        (lambda: Sequential([Dense(3, 4), Dense(4, 2)]), "Sequential([Dense(3, 4), Dense(4, 2)])"),
        (partial(Dense, 3, 4, bias=False), "Dense(3, 4, bias=False)"),
        (partial(Dense, 3, init=object()), "make()  # what was given to check_layer"),
        (partial(map, three, HalfOfIt), "map(three, HalfOfIt)"),
        (three, "three()"),
        (HalfOfIt, "HalfOfIt()"),
        (
            lambda: Dense(
                3,
                4,
            ),
            "make()  # what was given to check_layer",
        ),
        (eval("lambda: Dense(3, 4)", NAMES), "make()  # what was given to check_layer"),
    ],
)
def test_what_makes_a_layer_is_written_where_it_is_to_be_had(make: Callable[[], Layer], code: str) -> None:
    """The body of a lambda, if its source stands on one line."""
    assert call_of(make) == code


class Halved(Layer):
    """A factor, whose gradient is half of what it should be."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return self.factor * x, None

    def backward(self, grad: Array, _: None, /) -> Array:
        return 0.5 * self.factor * grad


class Forgetful(Halved):
    """Does not keep its argument."""

    def __init__(self, times: float) -> None:
        super().__init__(times)


FORGOTTEN = "layer = make()  # what was drawn: Forgetful does not keep its argument times"


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (st.builds(Halved, st.sampled_from([2.0, 3.0])), "layer = Halved(2.0)"),
        (
            st.builds(Forgetful, st.just(2.0)),
            "layer = make()  # what was drawn: Forgetful does not keep its argument times",
        ),
        (lambda: Halved(3.0), "layer = Halved(3.0)"),
    ],
)
def test_code_of_a_violation_makes_the_layer(make: Any, line: str) -> None:
    """Drawn ones too, if they keep their arguments as attributes."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(make, (3,))
    assert line in caught.value.example.splitlines()


def test_with_state_takes_layers() -> None:
    """Anything else is misuse."""
    with pytest.raises(ConfigError, match="with_state: layer expects an instance of Layer, got int"):
        with_state(3, {})  # type: ignore[type-var]


def test_large_arrays_are_written_in_full() -> None:
    """The weights of a layer, say; code with dots in place of entries does not run."""
    value = np.arange(64 * 64 / 4).reshape(32, 32)
    assert np.array_equal(eval(written(value), NAMES), value)
