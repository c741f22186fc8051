from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import L1, L2, SGD, BatchNorm, ConfigError, Dense, ElasticNet, Parameter, Regularizer, Sequential
from minibackprop.validation import Array
from tests.finite_differences import assert_close, central_differences
from tests.random_models import seeds

STRENGTHS = st.floats(0, 10) | st.sampled_from([0, 2, np.float64(0.3), np.float32(0.5)])
MAKERS: dict[str, Callable[..., Regularizer]] = {
    "L1": L1,
    "L2": L2,
    "ElasticNet": lambda strength, **keywords: ElasticNet(strength, 0.7 * strength, **keywords),
}
each_regularizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def random_parameters(seed: int, dtype: type = np.float64) -> list[Parameter]:
    """Make a weight, a bias, a kernel and a number, zeros among the entries."""
    rng = np.random.default_rng(seed)
    shapes = ((3, 2), (4,), (2, 1, 2, 2), ())
    return [Parameter((rng.integers(-2, 3, shape) + rng.integers(0, 2) * 0.5).astype(dtype)) for shape in shapes]


def entries(parameters: list[Parameter], biases: bool) -> list[float]:
    """List the entries that are penalized."""
    return [w for p in parameters if biases or p.value.ndim > 1 for w in p.value.ravel().tolist()]


@given(seed=seeds, strength=STRENGTHS, other=STRENGTHS, biases=st.booleans())
def test_values_are_those_of_the_formulas(seed: int, strength: float, other: float, biases: bool) -> None:
    """The penalties are the sum of absolute values, half the sum of squares, and both, over the weights."""
    parameters = random_parameters(seed)
    absolute = sum(abs(w) for w in entries(parameters, biases))
    squares = sum(w * w for w in entries(parameters, biases))
    l1, l2 = float(strength) * absolute, float(strength) * squares / 2
    for regularizer, expected in (
        (L1(strength, biases=biases), l1),
        (L2(strength, biases=biases), l2),
        (ElasticNet(strength, other, biases=biases), l1 + float(other) * squares / 2),
    ):
        value = regularizer.forward(parameters)
        assert type(value) is float
        assert value == pytest.approx(expected, rel=1e-12)
        assert all(parameter.grad is None for parameter in parameters)


@each_regularizer
@given(seed=seeds, strength=st.floats(0, 10), biases=st.booleans())
def test_gradient_is_that_of_central_differences(
    make: Callable[..., Regularizer], seed: int, strength: float, biases: bool
) -> None:
    """Backward adds the slopes of forward; where an absolute value has none, at 0, it adds 0."""
    parameters, regularizer = random_parameters(seed), make(strength, biases=biases)
    regularizer.backward(parameters)
    value = regularizer.forward(parameters)
    for parameter in parameters:
        if parameter.value.ndim < 2 and not biases:
            assert parameter.grad is None
            continue
        # A central difference at 0 is that of both sides, 0.
        slopes = central_differences(lambda: regularizer.forward(parameters), parameter.value)
        assert_close(parameter.grad, slopes, value, "the parameter")


@each_regularizer
@given(seed=seeds)
def test_gradients_are_added(make: Callable[..., Regularizer], seed: int) -> None:
    """What is there stays there, and its array is not written to; twice adds twice."""
    parameters, regularizer = random_parameters(seed), make(0.5, biases=True)
    regularizer.backward(parameters)
    plain = [parameter.grad for parameter in parameters]
    before = [np.ones_like(parameter.value) for parameter in parameters]
    for parameter, grad in zip(parameters, before, strict=True):
        grad.flags.writeable = False
        parameter.clear()
        parameter.add(grad)
    regularizer.backward(iter(parameters))
    regularizer.backward(parameters)
    for parameter, own in zip(parameters, plain, strict=True):
        np.testing.assert_allclose(parameter.grad, 1 + 2 * own, rtol=1e-12)


@each_regularizer
@pytest.mark.parametrize("strength", [0.5, 1, np.float64(0.5)])
def test_gradients_have_the_dtype_of_the_parameter(make: Callable[..., Regularizer], strength: float) -> None:
    """Parameters of float32 get gradients of their own kind, whatever the strength is made of."""
    parameters, regularizer = random_parameters(0, np.float32), make(strength)
    assert type(regularizer.forward(parameters)) is float
    regularizer.backward(parameters)
    assert {p.grad.dtype for p in parameters if p.grad is not None} == {np.dtype(np.float32)}


@each_regularizer
@pytest.mark.parametrize("strength", [0, 1, 2.5])
def test_values_are_not_touched(make: Callable[..., Regularizer], strength: float) -> None:
    """Read-only values serve, and no gradient is a view of one: the optimizer writes in place."""
    parameters, regularizer = random_parameters(3), make(strength, biases=True)
    for parameter in parameters:
        parameter.value.flags.writeable = False
    regularizer.forward(parameters)
    regularizer.backward(parameters)
    assert not any(np.shares_memory(p.grad, p.value) for p in parameters)


@each_regularizer
def test_only_weights_are_penalized(make: Callable[..., Regularizer]) -> None:
    """By default, biases and the scales of normalization are left alone."""
    model = Sequential([Dense(3, 2, rng=0), BatchNorm(2), Dense(2, 1, bias=False, rng=1)])
    make(0.1).backward(model.parameters())
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["0.weight", "2.weight"]
    make(0.1, biases=True).backward(model.parameters())
    assert all(p.grad is not None for p in model.parameters())


@each_regularizer
def test_nothing_costs_nothing(make: Callable[..., Regularizer]) -> None:
    """No parameters, or no weights among them, have the penalty 0.0, a float."""
    for parameters in ([], [Parameter([1.0])]):
        value = make(0.5).forward(parameters)
        assert type(value) is float
        assert value == 0
        make(0.5).backward(parameters)
    assert not any(p.grad is not None for p in parameters)


def test_l2_is_weight_decay_for_plain_descent() -> None:
    """A step of `SGD` on the penalty alone takes learning_rate * strength off every weight."""
    parameter = Parameter([[2.0, -4.0]])
    for _ in range(2):
        L2(0.5).backward([parameter])
        SGD(0.1).step([parameter])
    np.testing.assert_allclose(parameter.value, [[2 * 0.95**2, -4 * 0.95**2]])


def test_l1_makes_weights_sparse() -> None:
    """Descent with L1 brings the weight of a feature of little use to 0, up to the size of a step; L2 does not."""
    x = np.random.default_rng(0).normal(size=(200, 2))
    y = 3 * x[:, :1] + 0.1 * x[:, 1:]

    def fitted(regularizer: Regularizer) -> Array:
        weight = Parameter(np.zeros((2, 1)))
        for _ in range(2000):
            weight.add(x.T @ (x @ weight.value - y) / len(x))
            regularizer.backward([weight])
            SGD(0.01).step([weight])
        return weight.value.ravel()

    assert abs(fitted(L1(0.3))[1]) < 0.01 * 2 * 0.3
    assert fitted(L1(0.3))[0] > 2
    assert abs(fitted(L2(0.3))[1]) > 0.05


@pytest.mark.parametrize("strength", [-1, -1e-9, nan, inf, True, "0.1", None, 1j, [0.1]])
def test_strengths_are_finite_and_not_negative(strength: object) -> None:
    """Any other strength is refused, under the name of its argument."""
    message = "expects a finite number of at least 0, got "
    for kind, names in ((L1, ["strength"]), (L2, ["strength"]), (ElasticNet, ["l1", "l2"])):
        for name in names:
            with pytest.raises(ConfigError, match=f"{kind.__name__}: {name} {message}"):
                kind(**{**dict.fromkeys(names, 0.5), name: strength})


@each_regularizer
@pytest.mark.parametrize("biases", [1, None, "no"])
def test_biases_is_a_flag(make: Callable[..., Regularizer], biases: object) -> None:
    """Whether biases are penalized is True or False."""
    with pytest.raises(ConfigError, match="biases expects True or False, got "):
        make(0.1, biases=biases)


def test_regularizers_are_values() -> None:
    """Equal settings are equal, and cannot be changed."""
    assert L2(0.5) == L2(0.5) != L1(0.5)
    assert eval(repr(ElasticNet(0.5, 0.25))) == ElasticNet(l1=0.5, l2=0.25)
    with pytest.raises(AttributeError):
        L2(0.5).strength = 1.0


@pytest.mark.parametrize("penalty", [L1(0.1), L2(0.1), ElasticNet(0.1, 0.1)], ids=repr)
@pytest.mark.parametrize("parameters", [None, 3, "ab", [None], [np.ones(2)], Dense(2, 2)], ids=repr)
def test_penalties_are_of_parameters(penalty: Regularizer, parameters: object) -> None:
    """What are no parameters is refused by name, the model itself as well."""
    for verb in (penalty.forward, penalty.backward):
        with pytest.raises(ConfigError, match=f"{type(penalty).__name__} expects parameters, such as"):
            verb(parameters)
