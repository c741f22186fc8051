"""`check_layer` and `LayerContract`: what they accept, what they report, and how they speak to who misuses them."""

import subprocess
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minibackprop import (
    GRU,
    RNN,
    BatchNorm,
    Buffer,
    Concat,
    ConfigError,
    Dense,
    GlobalAvgPool,
    GroupNorm,
    Layer,
    Parameter,
    ShapeError,
    Sigmoid,
    Softmax,
)
from minibackprop.testing import ALL, ContractViolation, Inconclusive, Law, LayerContract, check_layer, layers
from minibackprop.validation import Array


class Square(Layer):
    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return x * x, x

    def backward(self, grad: Array, x: Any, /) -> Array | None:
        return 2 * x * grad


class HalfOfIt(Square):
    def backward(self, grad: Array, x: Any, /) -> Array | None:
        return x * grad


def with_forward(forward: Callable[[Array], Any]) -> type[Layer]:
    """Make a Square with another forward."""
    return type("Misbehaved", (Square,), {"forward": lambda _, x, /: forward(x)})


def with_backward(backward: Callable[[Array, Any], Any]) -> type[Layer]:
    """Make a Square with another backward."""
    return type("Misbehaved", (Square,), {"backward": lambda _, grad, cache, /: backward(grad, cache)})


def raises(error: type[Exception]) -> Callable[..., Any]:
    """Make a function that fails."""

    def fail(*_: Any) -> Any:
        raise error("deliberately")

    return fail


def test_report_names_laws_and_power() -> None:
    """A report says which laws hold, which do not bind the layer and why, and how small an error would have shown."""
    report = check_layer(Square, (3,), without={"layout": "an experiment"})
    assert set(report.kept) | set(report.lifted) == {law.name for law in ALL}
    assert report.lifted["layout"] == "an experiment"
    assert report.lifted["accumulate"] == "the layer has no parameters"
    assert 0 < report.power["input gradient"]["input"] < 1e-8
    assert "input gradient: a relative error would have been found from" in str(report)


def test_violation_tells_law_cause_numbers_and_code() -> None:
    """A violation carries its parts, and its code shows the violation again."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(HalfOfIt, (3,))
    violation = caught.value
    assert violation.law == "input gradient"
    assert violation.cause.startswith("constant factor: the gradient is 0.5 times")
    assert "finite differences" in violation.evidence
    names = {"HalfOfIt": HalfOfIt}
    exec(violation.example, names)
    np.testing.assert_allclose(names["grad_x"], names["x"] * names["grad"])
    assert str(violation).startswith("broken law: input gradient\n")
    assert not getattr(violation, "__notes__", [])


def test_example_is_shrunken() -> None:
    """The example is one sample of plain numbers."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(HalfOfIt, (1,), seed=5)
    names = {"HalfOfIt": HalfOfIt}
    exec(caught.value.example, names)
    assert names["x"].shape == (1, 1)
    assert names["x"] == names["x"].round(2)


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


class Unsettled(Layer):
    """Crashes when copied, pickled or asked for its state, one at a time."""

    def __init__(self, verb: str) -> None:
        self.verb, self.scale = verb, Parameter(np.ones(3))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return x * self.scale.value, x

    def backward(self, grad: Array, x: Any, /) -> Array:
        self.scale.add((grad * x).sum(axis=0))
        return grad * self.scale.value

    def state_dict(self) -> dict[str, Array]:
        return super().state_dict() if self.verb != "state_dict" else raises(OSError)()

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        return raises(OSError)() if self.verb == "deepcopy" else Unsettled(self.verb)


@pytest.mark.parametrize("verb", ["state_dict", "deepcopy"])
def test_layer_that_cannot_be_copied_is_told_so(verb: str) -> None:
    """A failing state_dict or deepcopy is a violation of the law of copies."""
    with pytest.raises(ContractViolation, match=f"{verb} raises OSError") as caught:
        check_layer(lambda: Unsettled(verb), (3,))
    assert caught.value.law == "copies agree"


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
        ({"without": {"layuot": "a typo"}}, "without expects names of laws"),
        ({"without": {"layout": ""}}, "without: layout expects a reason"),
        ({"without": ["layout"]}, "without expects a dict of reasons"),
        ({"without": {law.name: "all of them" for law in ALL}}, "laws expects at least one law"),
        ({"laws": ["layout"]}, "laws expects an iterable of Law, got str"),
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


class Constant(Layer):
    """The gradient is zero wherever one looks."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return np.zeros_like(x), None

    def backward(self, grad: Array, _: Any, /) -> Array:
        return np.zeros_like(grad)


class Unused(Square):
    """Has a parameter that does nothing."""

    def __init__(self) -> None:
        self.weight = Parameter(np.ones(3))


@pytest.mark.parametrize(("make", "what"), [(Constant, "the input"), (Unused, "weight")])
def test_check_that_could_not_fail_is_inconclusive(make: type[Layer], what: str) -> None:
    """Where every gradient is zero, the check says so rather than passing; left out with a reason, the rest passes."""
    with pytest.raises(Inconclusive, match=f"say nothing of the gradient of {what}: in each it was zero") as caught:
        check_layer(make, (3,))
    check_layer(make, (3,), without={caught.value.law: "the gradient is zero by design"})


def test_power_is_honest() -> None:
    """An error a little above the power that a report names is found; on other draws, too."""
    power = check_layer(Square, (3,)).power["input gradient"]["input"]
    with pytest.raises(ContractViolation):
        check_layer(with_backward(lambda grad, x: 2 * x * grad * (1 + 10 * power)), (3,))


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


def test_buffers_are_no_state_left_behind() -> None:
    """A running statistic in a Buffer is as it should be; in a plain attribute it is a violation."""

    class Counting(Square):
        def __init__(self, count: Any) -> None:
            self.count = count

        def forward(self, x: Array, /) -> tuple[Array, Any]:
            if isinstance(self.count, Buffer):
                self.count.value = self.count.value + 1
            else:
                self.count += 1
            return super().forward(x)

        def predict(self, x: Array, /) -> Array:
            return x * x

    check_layer(lambda: Counting(Buffer(np.zeros(()))), (3,))
    with pytest.raises(ContractViolation, match="change the attribute count, which is no Buffer"):
        check_layer(lambda: Counting(0), (3,))


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
    with pytest.raises(ContractViolation, match="KeyError while this law was checked"):
        check_layer(Square, (3,), laws=[Law("broken", "", raises(KeyError))])


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


def test_same_seed_same_draws() -> None:
    """The same call draws the same, another seed something else."""
    powers = [check_layer(Square, (3,), seed=seed).power for seed in (1, 1, 2)]
    assert powers[0] == powers[1] != powers[2]


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


class FirstStep(Layer):
    """What a transformer pools by: the first step stands for all."""

    def forward(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        if x.ndim != 3:
            raise ShapeError("FirstStep", "(N, T, F)", str(x.shape))
        return x[:, 0].copy(), x.shape

    def backward(self, grad: Array, shape: tuple[int, ...]) -> Array:
        back = np.zeros(shape, grad.dtype)
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
    check_layer(make, shape, examples=8, seed=seed)
