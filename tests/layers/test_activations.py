import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from minibackprop import DTypeError, ShapeError, Sigmoid
from minibackprop.core import Array
from tests.finite_differences import assert_gradients
from tests.random_models import seeds

FLOATS = (np.float64, np.float32)
sigmoid = Sigmoid()


def finite(dtype: type, **limits: float) -> st.SearchStrategy[Array]:
    """Draw arrays of any finite numbers of `dtype`: huge, tiny, subnormal."""
    width = np.dtype(dtype).itemsize * 8
    elements = st.floats(width=width, allow_nan=False, allow_infinity=False, **limits)
    return arrays(dtype, array_shapes(max_dims=3, max_side=4), elements=elements)


of_each_width = st.sampled_from(FLOATS).flatmap(finite)


@given(x=finite(np.float64, min_value=-20, max_value=20), seed=seeds)
def test_gradient_is_that_of_central_differences(x: Array, seed: int) -> None:
    """Backward gives the slope by each entry."""
    assert_gradients(sigmoid, x, np.random.default_rng(seed))


@given(x=finite(np.float64, min_value=-700, max_value=700))
def test_value_is_that_of_the_formula(x: Array) -> None:
    """Forward is 1 / (1 + exp(-x)), also where the result is far smaller than 1."""
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(sigmoid.predict(x), 1 / (1 + np.exp(-x.astype(np.longdouble))), rtol=1e-14)


@given(x=of_each_width)
def test_any_finite_input_is_free_of_warnings(x: Array) -> None:
    """No finite input raises a floating-point error, whatever NumPy is set to; the dtype and [0, 1] are kept."""
    with np.errstate(all="raise"):
        y, cache = sigmoid.forward(x)
        np.testing.assert_array_equal(sigmoid.predict(x), y)
    assert y.dtype == x.dtype
    assert ((y >= 0) & (y <= 1)).all()
    back = sigmoid.backward(np.ones_like(x), cache)
    assert back.dtype == x.dtype
    assert (back >= 0).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_limits_are_exact(dtype: type) -> None:
    """The limits 0 and 1 are reached exactly, with slope 0, and the middle is exactly one half."""
    largest = np.finfo(dtype).max
    y, cache = sigmoid.forward(np.array([-largest, -1000, 0, 1000, largest], dtype))
    np.testing.assert_array_equal(y, np.array([0, 0, 0.5, 1, 1], dtype))
    np.testing.assert_array_equal(sigmoid.backward(np.ones(5, dtype), cache), np.array([0, 0, 0.25, 0, 0], dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_below_the_normal_numbers_are_free_of_warnings(dtype: type) -> None:
    """Where the result itself is subnormal, nothing is raised either."""
    x = np.array([np.log(np.finfo(dtype).tiny) - 0.5], dtype)
    with np.errstate(all="raise"):
        y = sigmoid.predict(x)
    assert 0 < y < np.finfo(dtype).tiny


@given(x=of_each_width)
def test_rises(x: Array) -> None:
    """A larger input gives no smaller result but for rounding: NumPy's exp is not monotone to the bit."""
    y = sigmoid.predict(np.sort(x, axis=None))
    assert (y[1:] >= y[:-1] * (1 - 4 * np.finfo(x.dtype).eps)).all()


@given(x=of_each_width)
def test_is_symmetric_about_one_half(x: Array) -> None:
    """sigmoid(-x) = 1 - sigmoid(x)."""
    np.testing.assert_allclose(sigmoid.predict(-x), 1 - sigmoid.predict(x), rtol=0, atol=2 * np.finfo(x.dtype).eps)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint64, np.uint8, np.bool_])
def test_integers_are_taken_as_numbers(dtype: type) -> None:
    """Integers and booleans give what the same float64 numbers give: unsigned ones do not wrap around."""
    x = np.array([[0, 1, 5], [120, 1, 0]]).astype(dtype)
    y = sigmoid.predict(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, sigmoid.predict(x.astype(np.float64)))


@given(x=of_each_width, seed=seeds)
def test_arguments_are_not_written_to(x: Array, seed: int) -> None:
    """Read-only input and gradients serve; results share no memory with them, and the cache survives a backward."""
    grad = np.random.default_rng(seed).normal(size=x.shape).astype(x.dtype)
    x.flags.writeable = grad.flags.writeable = False
    y, cache = sigmoid.forward(x)
    y.flags.writeable = False
    back = sigmoid.backward(grad, cache)
    np.testing.assert_array_equal(sigmoid.backward(grad, cache), back)
    assert not any(np.shares_memory(one, other) for one in (y, back) for other in (x, grad))
    assert not np.shares_memory(back, y)


@pytest.mark.parametrize("shape", [(2,), (1, 3), (3, 2), (2, 3, 1), ()])
def test_gradient_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """A gradient that NumPy would broadcast is a `ShapeError` like any other."""
    _, cache = sigmoid.forward(np.zeros((2, 3)))
    message = f"Sigmoid expects a gradient of shape (2, 3), got {shape}"
    with pytest.raises(ShapeError, match=re.escape(message)):
        sigmoid.backward(np.zeros(shape), cache)


@pytest.mark.parametrize("x", ["text", [[1.0]], None, np.full((2, 3), "a"), np.ones((2, 3), object)])
def test_only_arrays_of_numbers_are_taken(x: object) -> None:
    """Strings, objects and what is no array are a `DTypeError`, in both passes."""
    for verb in (sigmoid.forward, sigmoid.predict):
        with pytest.raises(DTypeError, match=r"^Sigmoid expects an array of numbers, got "):
            verb(x)


def test_empty_input_gives_an_empty_result() -> None:
    """Nothing in, nothing out."""
    y, cache = sigmoid.forward(np.zeros((0, 3)))
    assert y.shape == sigmoid.backward(y, cache).shape == (0, 3)


@pytest.mark.parametrize("grad", ["text", None, [[1.0]], np.full((1, 1), "a")])
def test_only_gradients_of_numbers_are_taken(grad: object) -> None:
    """Backward refuses what is no array of numbers, too."""
    with pytest.raises(DTypeError, match="Sigmoid expects an array of numbers"):
        sigmoid.backward(grad, np.full((1, 1), 0.5))
