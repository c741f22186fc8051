"""`LayerContract` and `parametrize_laws`: one test a law, and one clear error for what is missing."""

import unittest
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from minibackprop import ConfigError, Layer, Sigmoid
from minibackprop.testing import ALL, ContractViolation, Law, LayerContract, parametrize_laws
from minibackprop.validation import Array
from tests.example_layers import HalfOfIt, Square


def positive(case: Any) -> None:
    """Require that no result is negative; a plain assertion will do."""
    assert (case.layer().predict(case.x) >= 0).all(), "a negative result"


def collected(kind: type) -> set[str]:
    """Collect what pytest would."""
    return {name for name in dir(kind) if name.startswith("test_") and callable(getattr(kind, name))}


NAMES = {f"test_{law.name.replace(' ', '_')}" for law in ALL}


def test_contract_has_a_test_for_each_law() -> None:
    """A subclass has one test a law, skips what does not bind the layer, and fails where a law is broken."""

    class TestHalf(LayerContract):
        layer = HalfOfIt
        inputs = (3,)
        laws = (*ALL, Law("positive", "No result is negative.", positive))
        without: ClassVar = {"layout": "an experiment"}

    tests = TestHalf()
    assert {name for name in dir(TestHalf) if name.startswith("test_")} == {
        f"test_{law.name.replace(' ', '_')}" for law in TestHalf.laws
    }
    tests.test_shapes()
    tests.test_positive()
    with pytest.raises(unittest.SkipTest, match="an experiment"):
        tests.test_layout()
    with pytest.raises(unittest.SkipTest, match="no parameters"):
        tests.test_accumulate()
    with pytest.raises(ContractViolation, match=r"0\.5 times"):
        tests.test_input_gradient()


def test_contract_refuses_an_unknown_law() -> None:
    """A typo in what is left out is found when the class is made."""
    with pytest.raises(ConfigError, match="without expects names of laws"):
        type("TestTypo", (LayerContract,), {"layer": Sigmoid, "inputs": (3,), "without": {"layuot": "a typo"}})


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "TestForgetful expects a class attribute layer and one inputs, as the arguments of check_layer"),
        ({"layer": Sigmoid}, "TestForgetful expects a class attribute inputs, as"),
        ({"inputs": (3,)}, "TestForgetful expects a class attribute layer, as"),
    ],
)
def test_what_is_missing_fails_once(attributes: dict[str, Any], message: str) -> None:
    """A forgotten attribute is one failure that names it, not one of each law."""
    kind: Any = type("TestForgetful", (LayerContract,), attributes)
    assert collected(kind) == {"test_contract"}
    with pytest.raises(ConfigError, match=message):
        kind().test_contract()


def test_a_base_class_is_completed_by_its_subclasses() -> None:
    """What one class leaves open, another sets; nothing is left of the error."""
    base: Any = type("OfThree", (LayerContract,), {"inputs": (3,), "without": {"layout": "an experiment"}})
    kind: Any = type("TestSigmoid", (base,), {"layer": Sigmoid})
    assert collected(kind) == NAMES
    kind().test_input_gradient()
    assert collected(type("TestAgain", (kind,), {"examples": 3})) == NAMES


def test_options_are_those_of_check_layer() -> None:
    """Whatever `check_layer` takes may stand in the class."""
    kind: Any = type("TestOptions", (LayerContract,), {"layer": Sigmoid, "inputs": (3,), "shrink": "no"})
    with pytest.raises(ConfigError, match="shrink expects True or False"):
        kind().test_shapes()


def test_a_wrong_reference_breaks_a_law_of_its_own() -> None:
    """The other tests pass."""
    kind: Any = type("TestSlow", (LayerContract,), {"layer": Sigmoid, "inputs": (3,), "reference": other_than_sigmoid})
    assert collected(kind) == {*NAMES, "test_reference"}
    kind().test_shapes()
    with pytest.raises(ContractViolation, match="forward gives another result than the reference"):
        kind().test_reference()

    @parametrize_laws(Sigmoid, (3,), reference=other_than_sigmoid)
    def test_slow(check: Callable[[], None]) -> None:
        check()

    checks = checks_of(test_slow)
    assert {f"test_{name}" for name in checks} == {*NAMES, "test_reference"}
    checks["shapes"]()
    with pytest.raises(ContractViolation, match="forward gives another result than the reference"):
        checks["reference"]()


def other_than_sigmoid(layer: Layer, x: Array) -> Array:
    """Compute what is no sigmoid."""
    return 2 * layer.predict(x)


def checks_of(function: Any) -> dict[str, Callable[[], None]]:
    """Find what a parametrized function is called with, by the name of the law."""
    (mark,) = function.pytestmark
    assert mark.args[0] == "check"
    return {parameters.id: parameters.values[0] for parameters in mark.args[1]}


def test_a_function_has_a_test_for_each_law() -> None:
    """It passes, is skipped, or fails as the laws do."""

    @parametrize_laws(HalfOfIt, (3,), without={"layout": "an experiment"}, examples=3)
    def test_half(check: Callable[[], None]) -> None:
        check()

    checks = checks_of(test_half)
    assert {f"test_{name}" for name in checks} == NAMES
    checks["shapes"]()
    with pytest.raises(unittest.SkipTest, match="an experiment"):
        checks["layout"]()
    with pytest.raises(unittest.SkipTest, match="no parameters"):
        checks["accumulate"]()
    with pytest.raises(ContractViolation, match=r"0\.5 times"):
        checks["input_gradient"]()


@parametrize_laws(Square, (3,), laws=[Law("positive", "No result is negative.", positive)])
def test_square(check: Callable[[], None]) -> None:
    """A law of one's own is checked too, here by pytest itself."""
    check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"without": {"layuot": "a typo"}}, "without expects names of laws: did you mean 'layout'"),
        ({"exmaples": 3}, "parametrize_laws expects options of check_layer, .*, got exmaples="),
    ],
)
def test_misuse_is_refused_when_the_file_is_read(options: dict[str, Any], message: str) -> None:
    """Before any test runs."""
    with pytest.raises(ConfigError, match=message):
        parametrize_laws(Square, (3,), **options)
