"""`check_regularizer`: it passes what is right and names what is wrong."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from minibackprop import L1, L2, ConfigError, ElasticNet, Parameter, Regularizer, Sigmoid
from minibackprop.testing import ContractViolation, Inconclusive, check_regularizer


class Ridge(Regularizer):
    """Correct: a fifth of the sum of squares, of all parameters."""

    def forward(self, parameters: Iterable[Parameter], /) -> float:
        return sum((0.2 * float(np.vdot(p.value, p.value)) for p in parameters), 0.0)

    def backward(self, parameters: Iterable[Parameter], /) -> None:
        for p in parameters:
            p.add(0.4 * p.value)


class WithoutTwo(Ridge):
    """The factor 2 of the derivative is forgotten."""

    def backward(self, parameters, /):
        for p in parameters:
            p.add(0.2 * p.value)


class DescentSign(Ridge):
    """The gradient points downhill."""

    def backward(self, parameters, /):
        for p in parameters:
            p.add(-0.4 * p.value)


class BiasesInTheValue(Ridge):
    """Biases are left out of backward only."""

    def backward(self, parameters, /):
        super().backward(p for p in parameters if p.value.ndim > 1)


class Assigned(Ridge):
    """The gradient is assigned, not added."""

    def backward(self, parameters, /):
        for p in parameters:
            p.grad = 0.4 * p.value


class AddedInPlace(Ridge):
    """The gradient that was there is written to."""

    def backward(self, parameters, /):
        for p in parameters:
            if p.grad is None:
                p.grad = np.zeros_like(p.value)
            p.grad += 0.4 * p.value


class ValueItself(Ridge):
    """Half the sum of squares, whose gradient is the value: handed over itself."""

    def forward(self, parameters, /):
        return 2.5 * super().forward(parameters)

    def backward(self, parameters, /):
        for p in parameters:
            p.add(p.value)


class DoubleFactor(Ridge):
    """A NumPy scalar makes float64 of float32."""

    def backward(self, parameters, /):
        for p in parameters:
            p.add(np.float64(0.4) * p.value)


class NumpyValue(Ridge):
    """The sum is float32 where the parameters are."""

    def forward(self, parameters, /):
        return sum((np.float32(0.2) * np.vdot(p.value, p.value) for p in parameters), np.float32(0))


class NothingIsAnInteger(Ridge):
    """The sum over no parameters is the integer 0."""

    def forward(self, parameters, /):
        return sum(0.2 * float(np.vdot(p.value, p.value)) for p in parameters)


class GradientsInForward(Ridge):
    """Forward adds the gradients as well."""

    def forward(self, parameters, /):
        self.backward(parameters)
        return super().forward(parameters)


class ShrinksWeights(Ridge):
    """Backward shrinks the weights itself."""

    def backward(self, parameters, /):
        for p in parameters:
            p.value *= 0.6


class Exponential(Ridge):
    """The sum of exponentials, which overflows."""

    def forward(self, parameters, /):
        return sum((float(np.exp(p.value).sum()) for p in parameters), 0.0)

    def backward(self, parameters, /):
        for p in parameters:
            p.add(np.exp(p.value))


class GrowsByTheCall(Ridge):
    """The strength grows with every call."""

    calls = 0

    def forward(self, parameters, /):
        self.calls += 1
        return self.calls * super().forward(parameters)

    def backward(self, parameters, /):
        for p in parameters:
            p.add(self.calls * 0.4 * p.value)


class SmoothAtZero(Regularizer):
    """The sum of absolute values, with a gradient of 2 at 0, outside of the slopes on both sides."""

    def forward(self, parameters, /):
        return sum((float(np.abs(p.value).sum()) for p in parameters), 0.0)

    def backward(self, parameters, /):
        for p in parameters:
            p.add(np.where(p.value == 0, 2.0, np.sign(p.value)).astype(p.value.dtype))


@pytest.mark.parametrize(
    ("planted", "law", "cause"),
    [
        (WithoutTwo, "gradient", "constant factor: the gradient is 0.5 times"),
        (DescentSign, "gradient", "sign flipped"),
        (BiasesInTheValue, "gradient", ""),
        (Assigned, "gradients add", "not accumulated"),
        (AddedInPlace, "gradients add", "argument overwritten"),
        (ValueItself, "arguments untouched", "memory shared"),
        (DoubleFactor, "dtype", ""),
        (NumpyValue, "value", ""),
        (NothingIsAnInteger, "value", ""),
        (GradientsInForward, "value", ""),
        (ShrinksWeights, "arguments untouched", "argument overwritten"),
        (Exponential, "finite", "overflow"),
        (GrowsByTheCall, "arguments untouched", "state that it keeps"),
        (SmoothAtZero, "gradient", "wrong at a kink only"),
    ],
)
def test_planted_bugs_are_found(planted: type[Regularizer], law: str, cause: str) -> None:
    """Every planted bug is found by its law, in each of some seeds, and its code runs."""
    for seed in range(3):
        with pytest.raises(ContractViolation) as caught:
            check_regularizer(planted, examples=10, seed=seed)
        assert caught.value.law == law, caught.value
        assert cause in caught.value.cause
        names = {planted.__name__: planted}
        exec(caught.value.example, names)
        assert len(names["parameters"]) == 3


def test_correct_ones_pass() -> None:
    """What the bugs were planted in passes, as does a subgradient at 0, in each of some seeds."""
    for seed in range(3):
        for make in (Ridge, lambda: L1(0.3, biases=True)):
            check_regularizer(make, examples=10, seed=seed)


@pytest.mark.parametrize(
    "make",
    [lambda: L1(0.5), lambda: L2(0.5), lambda: ElasticNet(0.5, 0.25), lambda: L2(1.0, biases=True)],
    ids=["L1", "L2", "ElasticNet", "L2 of biases too"],
)
def test_regularizers_keep_their_contract(make: Callable[[], Regularizer]) -> None:
    """Every regularizer passes, and an error would have shown."""
    assert check_regularizer(make).power["gradient"]["any parameter"] < 1e-8
    check_regularizer(make, [(1, 1)], examples=5)


def test_nothing_shown_is_inconclusive() -> None:
    """A penalty of 0, or one of weights where only biases are given, shows nothing."""
    for make, shapes in ((lambda: L2(0.0), [(2, 2)]), (lambda: L2(1.0), [(3,)])):
        with pytest.raises(
            Inconclusive, match="nothing about the gradient with respect to any parameter: in each it was zero"
        ):
            check_regularizer(make, shapes, examples=5)


@pytest.mark.parametrize("make", [Sigmoid, lambda: 3])
def test_only_regularizers_are_checked_as_regularizers(make: Callable[[], object]) -> None:
    """Something else is a usage error."""
    with pytest.raises(ConfigError, match="check_regularizer: make expects to give a Regularizer"):
        check_regularizer(make)


def test_instances_are_not_makers() -> None:
    """An instance in place of what makes one is a usage error."""
    with pytest.raises(ConfigError, match="check_regularizer: make expects a class or a callable"):
        check_regularizer(L2(0.5))


@pytest.mark.parametrize("shapes", [(3, 2), [], 3, [(0, 2)], [(1.5,)], "ab", None])
def test_shapes_are_tuples_of_sizes(shapes: object) -> None:
    """Something else is a usage error: a single shape, too."""
    with pytest.raises(ConfigError, match="check_regularizer: shapes expects a list of shapes"):
        check_regularizer(Ridge, shapes)
