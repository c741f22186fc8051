from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import SGD, ConfigError, Parameter
from tests.random_models import seeds

DTYPES = st.sampled_from([np.float64, np.float32])
RATES = st.one_of(st.just(1), st.floats(1e-3, 10), st.sampled_from([np.float64(0.5), np.float32(0.25)]))


@given(rate=RATES, dtype=DTYPES, seed=seeds)
def test_sgd_takes_the_scaled_gradient_from_the_value(rate: float, dtype: type, seed: int) -> None:
    """``p - rate * grad``, in the same array and dtype, with the gradient then cleared and its array unchanged."""
    before, grad = np.random.default_rng(seed).normal(size=(2, 3, 2)).astype(dtype)
    grad.flags.writeable = False
    parameter = Parameter(before)
    array = parameter.value
    parameter.add(grad)
    SGD(rate).step([parameter])
    assert parameter.value is array
    assert array.dtype == dtype
    assert parameter.grad is None
    np.testing.assert_allclose(array, before - float(rate) * grad, rtol=1e-6, atol=1e-6)


@given(rate=st.floats(1e-3, 10), kind=st.sampled_from([np.float64, np.longdouble]), seed=seeds)
def test_sgd_takes_rates_of_any_kind_alike(rate: float, kind: type, seed: int) -> None:
    """A NumPy scalar for a rate gives the bits that Python's number gives, in float32 too."""
    before, grad = np.random.default_rng(seed).normal(size=(2, 8)).astype(np.float32)
    results = []
    for each in (rate, kind(rate)):
        parameter = Parameter(before)
        parameter.add(grad)
        SGD(each).step([parameter])
        results.append(parameter.value)
    np.testing.assert_array_equal(*results)


def test_sgd_leaves_alone_what_has_no_gradient() -> None:
    """A parameter without a gradient keeps its value; any iterable of parameters will do."""
    idle, moved = Parameter([1.0, 2.0]), Parameter([1.0])
    moved.add(np.array([1.0]))
    SGD(0.5).step(iter([idle, moved]))
    np.testing.assert_array_equal(idle.value, [1, 2])
    np.testing.assert_array_equal(moved.value, [0.5])


@pytest.mark.parametrize("rate", [0, -1, 0.0, nan, inf, -inf, True, "0.1", None, 1j, [0.1]])
def test_learning_rate_is_a_positive_finite_number(rate: object) -> None:
    """Any other rate is refused, at construction and when it is set later."""
    message = "SGD: learning_rate expects a positive finite number, got "
    with pytest.raises(ConfigError, match=message):
        SGD(rate)
    sgd = SGD(0.1)
    with pytest.raises(ConfigError, match=message):
        sgd.learning_rate = rate
    assert sgd.learning_rate == 0.1
