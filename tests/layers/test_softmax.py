"""Softmax and its logarithm; what they share with all activations is tested with these."""

import re
from decimal import Decimal, localcontext
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from minibackprop import ConfigError, LogSoftmax, ShapeError, Softmax
from minibackprop.validation import Array
from tests.random_models import seeds

BOTH = (Softmax, LogSoftmax)
each = pytest.mark.parametrize("kind", BOTH)
rows = st.lists(st.floats(-200, 200), min_size=1, max_size=5)
batches = arrays(np.float64, array_shapes(min_dims=2, max_dims=4, max_side=4), elements=st.floats(-30, 30))


def reference(row: list[float]) -> tuple[list[float], list[float]]:
    """Compute softmax of one row and its logarithm in decimal arithmetic."""
    with localcontext(prec=300):
        terms = [Decimal(x).exp() for x in row]
        return [float(t / sum(terms)) for t in terms], [float((t / sum(terms)).ln()) for t in terms]


@given(row=rows)
def test_values_are_those_of_the_formula(row: list[float]) -> None:
    """Both are their formulas to within rounding: softmax relative to each entry, its logarithm to the largest x."""
    probabilities, logarithms = reference(row)
    # The largest of up to 200 is taken from each: up to 400, rounded, which exp makes a relative error of 5e-14. In the
    # logarithm that difference of twice the size is rounded, so is the result, and once more the reference. Sums, exp
    # and log add some ten roundings of 1 or 2.
    np.testing.assert_allclose(Softmax().predict(np.array([row])), [probabilities], rtol=2e-13)
    rounding = (3 * max(map(abs, row)) + 10) * np.finfo(float).eps
    np.testing.assert_allclose(LogSoftmax().predict(np.array([row])), [logarithms], rtol=0, atol=rounding)


def jacobian(kind: type, y: Array) -> Array:
    """Write down dy_i/dx_j of one row: ``y_i * ((i == j) - y_j)``, and for the logarithm ``(i == j) - exp(y_j)``."""
    size = len(y)
    if kind is Softmax:
        return np.array([[y[i] * ((i == j) - y[j]) for j in range(size)] for i in range(size)])
    return np.array([[(i == j) - np.exp(y[j]) for j in range(size)] for i in range(size)])


@each
@given(row=rows, seed=seeds)
def test_backward_is_the_product_with_the_whole_jacobian(kind: type, row: list[float], seed: int) -> None:
    """Backward multiplies by the transposed Jacobian, not by its diagonal."""
    y, cache = kind().forward(np.array([row]))
    grad = np.random.default_rng(seed).normal(size=y.shape)
    expected = grad @ jacobian(kind, y[0])
    np.testing.assert_allclose(kind().backward(grad, cache), expected, rtol=0, atol=1e-14 * (1 + np.abs(grad).sum()))


@given(x=batches, shift=st.floats(-1e3, 1e3))
def test_probabilities_sum_to_1_and_ignore_shifts(x: Array, shift: float) -> None:
    """Softmax is a distribution over each row, and the same for x + c; its gradient sums to zero."""
    y, cache = Softmax().forward(x)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-14)
    np.testing.assert_allclose(Softmax().predict(x + shift), y, rtol=1e-11)
    np.testing.assert_allclose(Softmax().backward(x, cache).sum(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(np.exp(LogSoftmax().predict(x)), y, rtol=1e-13)


@each
@given(x=batches, data=st.data())
def test_another_axis_is_the_last_one_moved(kind: type, x: Array, data: st.DataObject) -> None:
    """Along any axis, forward and backward give what they give along the last when that axis is moved there."""
    axis = data.draw(st.integers(1, x.ndim - 1).flatmap(lambda axis: st.sampled_from([axis, axis - x.ndim])))
    layer = kind(axis)
    y, cache = layer.forward(x)
    moved, moved_cache = kind().forward(np.moveaxis(x, axis, -1))
    np.testing.assert_allclose(np.moveaxis(y, axis, -1), moved, rtol=1e-13, atol=1e-13)
    back = np.moveaxis(layer.backward(x, cache), axis, -1)
    np.testing.assert_allclose(back, kind().backward(np.moveaxis(x, axis, -1), moved_cache), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1e3, 1e30, 1e300])
def test_large_scores_do_not_overflow(size: float) -> None:
    """Scores of any size give certainty; the logarithm keeps the difference."""
    x = np.array([[size, -size, 0.0], [size, size, -size]])
    with np.errstate(all="raise"):
        y, logarithm = Softmax().predict(x), LogSoftmax().predict(x)
    np.testing.assert_array_equal(y, [[1, 0, 0], [0.5, 0.5, 0]])
    half = -np.log(2)
    np.testing.assert_allclose(logarithm, [[0, -2 * size, -size], [half, half, half - 2 * size]], rtol=1e-15)
    np.testing.assert_array_equal(Softmax().backward(np.ones((2, 3)), y), np.zeros((2, 3)))


@each
@pytest.mark.parametrize("axis", [0, 1.0, None, "last", True, nan, inf, (1, 2)])
def test_axis_is_not_that_of_samples(kind: type, axis: object) -> None:
    """Axis 0 would couple the samples; it is refused like anything that is not an integer."""
    with pytest.raises(ConfigError, match=f"{kind.__name__}: axis expects an integer but 0, the axis of samples, got "):
        kind(axis)


@each
@pytest.mark.parametrize(
    ("axis", "shape", "expected"),
    [
        (-1, (3,), "at least 2 axes"), (-1, (), "at least an axis"), (1, (3,), "at least 2 axes"),
        (-2, (4, 3), "at least 3 axes"), (2, (4, 3), "at least 3 axes"), (-4, (4, 3), "at least 5 axes"),
        (-1, (4, 0), "at least one entry along axis -1"), (1, (4, 0, 3), "at least one entry along axis 1"),
    ],
)  # fmt: skip
def test_input_must_have_the_axis(kind: type, axis: int, shape: tuple[int, ...], expected: str) -> None:
    """An axis that the input does not have, or that is its first, or empty, is a `ShapeError`."""
    for verb in (kind(axis).forward, kind(axis).predict):
        with pytest.raises(ShapeError, match=rf"^{kind.__name__} expects {expected}.*{re.escape(str(shape))}$"):
            verb(np.zeros(shape))


@each
def test_leading_axes_are_taken_where_the_axis_is_counted_from_the_last(kind: type) -> None:
    """With one more axis in front, an axis counted from the first is another."""
    assert kind().leading_axes
    assert kind(-2).leading_axes
    assert not kind(1).leading_axes
