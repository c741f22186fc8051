"""The sigmoid, softplus and the normal distribution, against decimal arithmetic and the C library."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop.numerics.functions import column_sums, normal, sigmoid, softplus, softplus_excess
from minibackprop.validation import Array
from tests import high_precision as exact

#: Of exp or log1p once, and up to four roundings.
BOUND = 2 * exact.KERNEL[np.float64] + 4 * float(np.finfo(np.float64).eps) / 2


def rounding(x: float, dtype: type = np.float64) -> float:
    """
    Bound what rounding does to P(x), by counting the roundings, each of u = eps / 2 at most.

    The tail, P(-|x|), is exp(-x**2 / 2) times a fraction of polynomials. These take 13 and 15 roundings, with those of
    their coefficients, the product and the quotient 2; that of the square is multiplied by its size in exp, whose own
    error is up to `exact.KERNEL`. For x > 0, the tail is taken from 1. Two more u are for a reference that is rounded.
    """
    size = min(abs(x), 40.0)
    tail = math.erfc(size / math.sqrt(2)) / 2
    eps = float(np.finfo(dtype).eps)
    return (30 + size * size / 2) * eps / 2 * tail + exact.KERNEL[dtype] * tail + 2 * (eps / 2)


@given(x=st.floats(-15, 40))
def test_sigmoid_and_softplus_are_those_of_their_formulas(x: float) -> None:
    """Both are right to within rounding, also where they are far smaller than 1."""
    at = np.array([x])
    np.testing.assert_allclose(sigmoid(at), exact.value(exact.sigmoid, x), rtol=BOUND)
    np.testing.assert_allclose(softplus(at), exact.value(lambda x: (1 + x.exp()).ln(), x), rtol=BOUND)


@given(x=st.floats(-700, -40))
def test_sigmoid_and_softplus_become_exp(x: float) -> None:
    """Far below 0, both are exp(x), and keep all their digits, however small they are."""
    for function in (sigmoid, softplus):
        np.testing.assert_allclose(function(np.array([x])), math.exp(x), rtol=BOUND)


@given(x=st.floats(width=32, allow_nan=False))
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.longdouble])
def test_sigmoid_of_an_entry_alone_is_that_among_others(dtype: type, x: float) -> None:
    """A single entry goes another way, to the same bits and in its dtype, however many axes it has."""
    with np.errstate(all="ignore"):
        among = sigmoid(np.array([x, 1.0], dtype))[0]
        for shape in ((1,), (1, 1)):
            alone = sigmoid(np.full(shape, x, dtype))
            assert (alone.dtype, alone.shape) == (dtype, shape)
            np.testing.assert_array_equal(alone, among)


@given(x=st.floats(-700, 700))
def test_softplus_excess_is_even(x: float) -> None:
    """It is softplus at -|x|, on either side, and what softplus has above max(x, 0)."""
    at = np.array([x, -x])
    excess = softplus_excess(at)
    np.testing.assert_array_equal(excess, softplus(-np.abs(at)))
    np.testing.assert_array_equal(softplus(at), np.maximum(at, 0) + excess)


@pytest.mark.parametrize("function", [sigmoid, softplus, softplus_excess, lambda x: normal(x)[0]])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.longdouble])
def test_arguments_are_not_written_to(function: Callable[[Array], Array], dtype: type) -> None:
    """Read-only input serves, what comes back is fresh, and has the input's dtype."""
    x = np.linspace(-6, 6, 49, dtype=dtype)
    x.flags.writeable = False
    found = function(x)
    assert found.dtype == dtype
    assert not np.shares_memory(found, x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.longdouble])
def test_limits_of_sigmoid_and_softplus_are_exact(dtype: type) -> None:
    """At the largest numbers there are, and at infinity."""
    for largest in (np.finfo(dtype).max, dtype(np.inf)):
        x = np.array([-largest, largest], dtype)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(sigmoid(x), [0, 1])
            np.testing.assert_array_equal(softplus(x), [0, largest])


@given(x=st.floats(-1e300, 1e300) | st.floats(-9, 9))
def test_distribution_is_that_of_the_c_library(x: float) -> None:
    """The distribution function is erfc(-x / sqrt(2)) / 2 to within rounding, and a unit in the last place of erfc."""
    (found,), _ = normal(np.array([min(max(x, -1e150), 1e150)]))
    assert abs(found - math.erfc(-x / math.sqrt(2)) / 2) <= rounding(x) + np.finfo(float).eps


@given(x=st.floats(-5, 9))
def test_distribution_is_that_of_its_series(x: float) -> None:
    """The distribution function is its series to within rounding; relative to itself where that is small."""
    (found,), _ = normal(np.array([x]))
    expected = exact.value(exact.normal_distribution, x)
    assert abs(found - expected) <= rounding(x)
    # Far from 0, the fraction itself is only an approximation; five digits of it are left at the end.
    assert abs(found - expected) <= max(5e-15, 1e-10 * (x < -2)) * expected


@given(x=st.floats(-37, -5))
def test_tail_keeps_five_digits(x: float) -> None:
    """Where the distribution function is as small as 1e-300, five digits are right."""
    (found,), _ = normal(np.array([x]))
    np.testing.assert_allclose(found, exact.value(exact.normal_tail, x), rtol=1e-5)


@given(x=st.floats(-37, 37))
def test_density_is_that_of_the_formula(x: float) -> None:
    """The density is exp(-x**2 / 2) / sqrt(2 * pi), but for what rounding of the square does to it."""
    _, (found,) = normal(np.array([x]))
    np.testing.assert_allclose(found, exact.value(exact.normal_density, x), rtol=1e-15 * (1 + x * x))


@given(x=st.floats(-1e3, 1e3))
def test_is_symmetric(x: float) -> None:
    """P(-x) = 1 - P(x), and the density is even."""
    distribution, density = normal(np.array([x, -x]))
    np.testing.assert_allclose(distribution.sum(), 1, rtol=3e-16)
    assert density[0] == density[1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.longdouble])
def test_dtype_is_kept(dtype: type) -> None:
    """Each floating-point type gives its own, with its digits, and with limits that are exact."""
    x = np.linspace(-6, 6, 49, dtype=dtype)
    for found, expected in zip(normal(x), normal(x.astype(np.float64)), strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=rounding(0, dtype) + rounding(0))
    with np.errstate(all="ignore"):
        far, none = normal(np.array([-np.finfo(dtype).max, np.finfo(dtype).max], dtype))
    np.testing.assert_array_equal(far, [0, 1])
    np.testing.assert_array_equal(none, [0, 0])


@given(x=st.floats(-12, 9, width=32))
def test_distribution_in_float32_is_that_in_float64(x: float) -> None:
    """Its own fraction has the digits of its type: to a few roundings of 1, and five of a small tail."""
    (found,), (density,) = normal(np.array([x], np.float32))
    (expected,), (exact_density,) = normal(np.array([x]))
    assert abs(found - expected) <= min(3e-7, 3e-5 * expected)
    # What rounding of the square does to it, and exp.
    np.testing.assert_allclose(density, exact_density, rtol=1.2e-7 * (4 + x * x))


def test_distribution_in_float32_at_its_limits() -> None:
    """At 0 it is one half; at infinity, and wherever squares overflow, 0 and 1; of NaN, NaN."""
    with np.errstate(all="ignore"):
        found, density = normal(np.array([0, -np.inf, -3e38, 3e38, np.inf, np.nan], np.float32))
    np.testing.assert_array_equal(found, [0.5, 0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(density[1:], [0, 0, 0, 0, np.nan])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.int64])
@pytest.mark.parametrize("rows", [0, 1, 127, 128, 1000])
def test_column_sums_are_sums(rows: int, dtype: type) -> None:
    """Few rows and many, of any kind and layout."""
    x = np.random.default_rng(0).integers(-9, 9, (rows, 3)).astype(dtype)  # Whole numbers: no sum is rounded.
    for laid_out in (x, np.asfortranarray(x), x[::-1, ::-1]):
        found = column_sums(laid_out)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, laid_out.sum(axis=0))
