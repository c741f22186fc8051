"""`check_layer`: what it accepts, what it reports, and how it speaks to who misuses it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minibackprop import ConfigError, Dense, Layer, Parameter, Sigmoid
from minibackprop.testing import ALL, ContractViolation, Law, check_layer, layers
from minibackprop.validation import Array
from tests.example_layers import Square, raises, with_backward, with_forward


@pytest.mark.parametrize("factor", [1 + 1e-5, 1 - 1e-5])
@pytest.mark.parametrize("seed", range(5))
def test_error_of_one_part_in_a_hundred_thousand_is_found(factor: float, seed: int) -> None:
    """A gradient that is wrong by a factor of 1 + 1e-5 is found, and the factor named."""
    with pytest.raises(ContractViolation, match=r"constant factor: the gradient is (1\.00001|0\.99999) times"):
        check_layer(with_backward(lambda grad, x: factor * 2 * x * grad), (3,), seed=seed)


@pytest.mark.parametrize(
    ("make", "law", "message"),
    [
        (with_forward(raises(KeyError)), "shapes", "forward raises KeyError: 'deliberately'"),
        (with_forward(lambda x: x), "shapes", r"must return a pair \(y, cache\); it returns ndarray"),
        (with_forward(lambda x: (x, x, x)), "shapes", r"must return a pair \(y, cache\); it returns tuple"),
        (with_forward(lambda x: [x, x]), "shapes", r"must return a pair \(y, cache\); it returns list"),
        (with_forward(lambda x: (x.tolist(), x)), "shapes", "must return an array; it returns list"),
        (with_forward(lambda x: (float(x.sum()), x)), "shapes", "must return an array; it returns float"),
        (with_backward(raises(ZeroDivisionError)), "shapes", "backward raises ZeroDivisionError: deliberately"),
        (with_backward(lambda grad, x: None), "shapes", "backward returns None"),  # noqa: ARG005
        (
            with_backward(lambda grad, x: (2 * x * grad).tolist()),
            "shapes",
            "backward is list where an array belongs",
        ),
        (with_backward(lambda grad, x: 2 * x * grad + 0j), "shapes", "dtype complex128"),
        (with_backward(lambda grad, x: (2 * x * grad).astype(int)), "shapes", "dtype int64"),
        (with_backward(lambda grad, x: (2 * x * grad)[:, :1]), "shapes", r"shape \(\d, 1\)"),
        (with_forward(lambda x: (x / np.abs(x), x)), "finite", "is nan"),
        (with_backward(lambda grad, x: 2 * x * grad / (x != 0)), "finite", "is nan"),
    ],
)
@pytest.mark.parametrize("shrink", [True, False])
def test_misbehaviour_is_a_named_violation(make: type[Layer], law: str, message: str, shrink: bool) -> None:
    """What a layer must not do is reported as a broken law, whatever it does; not as a traceback of the checker."""
    with pytest.raises(ContractViolation, match=message) as caught:
        check_layer(make, (3,), shrink=shrink)
    assert caught.value.law == law


shared = Dense(3, 3, rng=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda: shared, (3,)), "make expects a fresh layer on each call"),
        ((lambda: 3, (3,)), "make expects to give a Layer, got int"),
        ((Dense, (3,)), "make expects to be callable without arguments"),
        ((Layer, (3,)), "make expects to return a layer, got TypeError"),
        ((raises(KeyError), (3,)), "make expects to return a layer, got KeyError"),
        ((shared, (3,)), "make expects a class, .* got an instance of Dense"),
        ((3, (3,)), "make expects a class, a callable that returns a layer, or a strategy"),
        ((st.just(3), (3,)), "make expects to give a Layer, got int"),
        ((Sigmoid, 3), "inputs expects the shape of one sample, or a strategy of arrays"),
        ((Sigmoid, [3]), "inputs expects the shape of one sample, or a strategy of arrays"),
        ((Sigmoid, (-3,)), "shape expects a tuple of integers of at least 0"),
        ((Sigmoid, st.just("text")), "inputs expects a strategy of arrays of numbers, .* got str"),
        ((Sigmoid, st.just(np.array(["text"]))), "inputs expects a strategy of arrays of numbers"),
        ((Sigmoid, st.just(np.zeros((0, 3)))), "inputs expects a strategy that draws batches of at least one sample"),
        ((Sigmoid, st.just(np.array(1.0))), "inputs expects a strategy of arrays of numbers, each a batch"),
    ],
)
def test_misuse_is_a_clear_error(arguments: tuple[Any, Any], message: str) -> None:
    """A call that makes no sense is refused with what was expected and what came."""
    with pytest.raises(ConfigError, match=message):
        check_layer(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"without": {"layuot": "a typo"}}, "without expects names of laws: did you mean 'layout'\\?, got 'layuot'"),
        ({"without": {"unheard-of": "a typo"}}, "without expects names of laws, .*, got 'unheard-of'"),
        ({"without": {3: "a typo"}}, "without expects names of laws, .*, got 3"),
        ({"seed": -1}, "seed expects an integer of at least 0, or None, got -1"),
        ({"without": {"layout": ""}}, "without: layout expects a reason"),
        ({"without": ["layout"]}, "without expects a dict of reasons"),
        ({"without": {law.name: "all of them" for law in ALL}}, "laws expects at least one law"),
        ({"laws": ["layout"]}, "laws expects an iterable of Law, got str"),
        ({"laws": np.array(1.0)}, "laws expects an iterable of Law, got ndarray"),
        ({"shrink": "no"}, "shrink expects True or False, got 'no'"),
        ({"laws": []}, "laws expects at least one law"),
        ({"laws": [Law("chatty", "", lambda _: "fine")]}, "the law chatty expects to return None, or floats by name"),  # type: ignore[arg-type,return-value]
        ({"seed": "1"}, "seed expects an integer"),
        ({"examples": 0}, "examples expects a positive integer"),
        ({"examples": 2.5}, "examples expects a positive integer"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    """Settings are checked before anything is drawn."""
    with pytest.raises(ConfigError, match=message):
        check_layer(Sigmoid, (3,), **arguments)


def test_inputs_may_be_a_strategy() -> None:
    """A layer for positive numbers is fed positive numbers only."""

    class Log(Layer):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            assert (x > 0).all(), "fed a number that is not positive"
            return np.log(x), x

        def backward(self, grad: Array, x: Any, /) -> Array:
            return grad / x

    positive = st.integers(1, 4).flatmap(lambda size: arrays(float, (size, 3), elements=st.floats(0.1, 10)))
    assert check_layer(Log, positive).power["input gradient"]["input"] < 1e-6


def test_integer_input_has_no_gradient() -> None:
    """A layer of indices returns None, and its table is checked."""

    class Table(Layer):
        def __init__(self) -> None:
            self.rows = Parameter(np.random.default_rng(0).normal(size=(5, 2)))

        def forward(self, x: Array, /) -> tuple[Array, Any]:
            return self.rows.value[x], x

        def backward(self, grad: Array, x: Any, /) -> None:
            total = np.zeros_like(self.rows.value)
            np.add.at(total, x, grad)
            self.rows.add(total)

    indices = st.integers(1, 4).flatmap(lambda size: arrays(np.int64, (size, 3), elements=st.integers(0, 4)))
    assert check_layer(Table, indices).power["parameter gradient"]["rows"] < 1e-6


def test_layers_may_be_a_strategy() -> None:
    """Drawn layers are checked with their parameters drawn anew."""
    assert "parameter gradient" in check_layer(layers(3), (3,)).kept


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_may_be_of_either_dtype(dtype: type) -> None:
    """A layer that is float32 by default is checked in float64, and in float32 where the law asks for it."""
    check_layer(lambda: Dense(3, 2, dtype=dtype), (3,))


def positive(case: Any) -> None:
    """Require that no result is negative; a plain assertion will do."""
    assert (case.layer().predict(case.x) >= 0).all(), "a negative result"


def test_law_of_ones_own() -> None:
    """A law that a user adds is checked like the others, whatever it raises."""
    law = Law("positive", "No result is negative.", positive)
    assert "positive" in check_layer(Square, (3,), laws=[*ALL, law]).kept
    with pytest.raises(ContractViolation, match="a negative result") as caught:
        check_layer(lambda: Dense(3, 2, rng=0), (3,), laws=[law])
    assert caught.value.law == "positive"
    assert str(caught.value).startswith("broken law: positive\nNo result is negative.\na negative result")
    with pytest.raises(ContractViolation, match="KeyError while this law was checked"):
        check_layer(Square, (3,), laws=[Law("broken", "", raises(KeyError))])


def test_runs_without_pytest_and_leaves_the_package_without_hypothesis(tmp_path: Path) -> None:
    """The toolkit needs hypothesis alone, and nothing else in the package imports it."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "import minibackprop\n"
        "assert 'hypothesis' not in sys.modules\n"
        "from minibackprop.testing import check_layer\n"
        "check_layer(minibackprop.Sigmoid, (3,), examples=2)\n"
        "assert 'pytest' not in sys.modules\n",
        encoding="utf-8",
    )
    subprocess.run([sys.executable, script], check=True)
