"""DeltaTrim; what it shares with all activations is tested with these."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minibackprop import ConfigError, DeltaTrim, Dense, Sequential
from minibackprop.validation import Array

deltas = arrays(np.float64, (2, 3), elements=st.floats(-1e6, 1e6) | st.sampled_from([0.0, 0.5, -0.5, 2.0, -2.0]))
limits = st.tuples(st.floats(0, 3), st.floats(0.1, 3)).map(sorted)


def trimmed(delta: float, smallest: float, largest: float) -> float:
    """Trim one delta."""
    if abs(delta) < smallest:
        return 0.0
    return min(max(delta, -largest), largest)


@given(grad=deltas, limits=limits)
def test_each_delta_is_zeroed_clipped_or_left(grad: Array, limits: list[float]) -> None:
    """What comes back is the delta, or 0 where it is below `smallest`, or the limit where it is above `largest`."""
    trim = DeltaTrim(*limits)
    _, cache = trim.forward(np.zeros((2, 3)))
    expected = [[trimmed(delta, *limits) for delta in row] for row in grad]
    np.testing.assert_array_equal(trim.backward(grad, cache), expected)


@given(x=deltas)
def test_forward_is_the_identity(x: Array) -> None:
    """Nothing happens on the way forwards."""
    for trim in (DeltaTrim(), DeltaTrim(0.5, 2.0)):
        np.testing.assert_array_equal(trim.forward(x)[0], x)
        np.testing.assert_array_equal(trim.predict(x), x)


@given(grad=deltas)
def test_nothing_is_trimmed_by_default(grad: Array) -> None:
    """The default limits let all deltas through."""
    np.testing.assert_array_equal(DeltaTrim().backward(grad, grad), grad)


@pytest.mark.parametrize("delta", [1e-3, -1e-3, 3e38, -3e38])
def test_limits_beyond_float32_are_no_limits(delta: float) -> None:
    """What float32 cannot hold is neither zeroed, clipped nor warned of."""
    grad = np.array([[delta]], np.float32)
    back = DeltaTrim(1e-300, 1e300).backward(grad, grad)
    assert back.dtype == np.float32
    assert back == grad


def test_says_that_it_alters_the_gradient() -> None:
    """The layer, and a model of which it is a part, say so: no finite differences will agree with them."""
    assert DeltaTrim().alters_gradient
    assert Sequential([Dense(2, 1), DeltaTrim()]).alters_gradient == DeltaTrim.alters_gradient


@pytest.mark.parametrize("value", [-0.1, inf, nan, "1", None, True, np.zeros(2)])
def test_smallest_is_a_finite_number_of_at_least_0(value: object) -> None:
    """Any other is refused: infinity would let nothing through."""
    with pytest.raises(ConfigError, match="DeltaTrim: smallest expects a finite number of at least 0, got "):
        DeltaTrim(smallest=value)


@pytest.mark.parametrize("value", [0, -1.0, -inf, nan, "1", None, True, np.ones(2)])
def test_largest_is_a_positive_number(value: object) -> None:
    """Any other is refused: 0 would let nothing through."""
    with pytest.raises(ConfigError, match="DeltaTrim: largest expects a positive finite number, got "):
        DeltaTrim(largest=value)


def test_limits_are_in_order() -> None:
    """A `largest` below `smallest` is refused; equal ones leave the signs."""
    with pytest.raises(ConfigError, match=r"DeltaTrim: largest expects at least smallest = 2.0, got 1.0"):
        DeltaTrim(2, 1)
    grad = np.array([[0.5, -1.0, 3.0]])
    np.testing.assert_array_equal(DeltaTrim(1, 1).backward(grad, grad), [[0, -1, 1]])
