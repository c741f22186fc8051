"""`Flatten`, `Reshape` and `Transpose`: the same numbers in another arrangement, beside the laws."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from minibackprop import Dense, Flatten, Layer, Reshape, Sequential, Transpose
from minibackprop.errors import ConfigError, DTypeError, ShapeError


@given(array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3), st.booleans())
def test_flatten_is_numpys_reshape(shape: tuple[int, ...], fortran: bool) -> None:
    """The entries of each sample come in C order, whatever the layout, also for no samples or no entries."""
    x = np.arange(np.prod(shape)).reshape(shape, order="F" if fortran else "C")
    y, cache = Flatten().forward(x)
    assert y.shape == (shape[0], np.prod(shape[1:], dtype=int))
    for sample, row in zip(x, y, strict=True):
        np.testing.assert_array_equal(sample.ravel(), row)
    np.testing.assert_array_equal(Flatten().backward(1.0 * y, cache), x)


@given(st.permutations([1, 2, 3]), array_shapes(min_dims=4, max_dims=4, min_side=0, max_side=3))
def test_transpose_moves_the_axes_and_back(axes: list[int], shape: tuple[int, ...]) -> None:
    """Entry by entry, and backward is its own inverse."""
    x = np.arange(np.prod(shape)).reshape(shape)
    y, cache = Transpose(axes).forward(x)
    for index in np.ndindex(*shape):
        assert y[index[0], *(index[axis] for axis in axes)] == x[index]
    np.testing.assert_array_equal(Transpose(axes).backward(y, cache), x)


@pytest.mark.parametrize(
    ("shape", "after"), [((2, 6), (2, 6)), ((-1,), (12,)), ((3, -1, 2), (3, 2, 2)), (12, (12,)), ([4, 3], (4, 3))]
)
def test_reshape_works_one_size_out(shape: Any, after: tuple[int, ...]) -> None:
    """One entry may be -1; for no samples, too."""
    for samples in (0, 1, 5):
        x = np.arange(12 * samples).reshape(samples, 4, 3)
        y, cache = Reshape(shape if isinstance(shape, (tuple, list)) else (shape,)).forward(x)
        assert y.shape == (samples, *after)
        np.testing.assert_array_equal(y.ravel(), x.ravel())
        assert Reshape(shape if isinstance(shape, (tuple, list)) else (shape,)).backward(y, cache).shape == x.shape


@pytest.mark.parametrize("shape", [(0,), (2.0,), (-1, -1), (-2,), 3, None, "ab", (True,)])
def test_shapes_that_are_none_are_refused(shape: Any) -> None:
    """At construction."""
    with pytest.raises(ConfigError, match="Reshape: shape expects positive integers, one of which may be -1"):
        Reshape(shape)


@pytest.mark.parametrize("axes", [(0, 1), (1, 3), (1, 1), (-1, 1), 2, None, (2.0, 1)])
def test_axes_that_are_no_permutation_are_refused(axes: Any) -> None:
    """At construction; the axis of samples stays where it is."""
    with pytest.raises(ConfigError, match="Transpose: axes expects each axis of a sample once, counted from 1"):
        Transpose(axes)


def test_samples_of_another_size_are_refused() -> None:
    """With the position of the layer, the shape, and what was expected."""
    model = Sequential([Dense(5, 5, rng=0), Reshape((2, -1))])
    with pytest.raises(ShapeError, match=r"layer 1: Reshape expects samples of a size that fits \(2, -1\), got shape"):
        model.predict(np.ones((3, 5)))
    with pytest.raises(ShapeError, match="Transpose expects 3 axes, the first that of samples"):
        Transpose().predict(np.ones((3, 5)))


@pytest.mark.parametrize("layer", [Flatten(), Reshape((2, 3)), Transpose((1, 2))])
def test_what_is_no_array_or_of_another_shape_is_refused(layer: Layer) -> None:
    """In forward and in backward."""
    for verb in (layer.forward, layer.predict):
        with pytest.raises(DTypeError, match="expects an array of numbers, got list"):
            verb([[1.0]])  # type: ignore[operator]
        with pytest.raises(ShapeError, match="expects at least an axis of samples"):
            verb(np.array(1.0))  # type: ignore[operator]
    y, cache = layer.forward(np.ones((2, 2, 3)))
    with pytest.raises(ShapeError, match="expects a gradient of shape"):
        layer.backward(np.ones(12), cache)
    assert y.dtype == np.float64
    assert layer.predict(np.ones((1, 2, 3), np.int8)).dtype == np.int8
