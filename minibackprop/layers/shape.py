"""Layers that give the entries of a sample another arrangement."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from attrs import define, field

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError
from minibackprop.validation import Array, as_tuple, is_integer, require_gradient, require_numbers, shortened

_Shape = tuple[int, ...]


@define(eq=False, slots=False, repr=False)
class _Reshaping(Layer):
    """What `Flatten` and `Reshape` share."""

    trailing_axes = True

    @abstractmethod
    def _sample_shape(self, before: _Shape) -> _Shape:
        """Compute the shape of a sample of y from that of a sample of x."""

    def forward(self, x: Array, /) -> tuple[Array, tuple[_Shape, _Shape]]:
        """Compute y, a view where that can be; the cache is the two shapes."""
        y = self.predict(x)
        return y, (x.shape, y.shape)

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        _require_samples(self, x)
        # Nothing is left to NumPy to work out, which it could not for no samples.
        y: Array = x.reshape(x.shape[0], *self._sample_shape(x.shape[1:]))
        return y

    def backward(self, grad: Array, shapes: tuple[_Shape, _Shape], /) -> Array:
        """Return dL/dx: `grad` in the arrangement of x."""
        before, after = shapes
        require_gradient(self, grad, after)
        back: Array = grad.reshape(before)
        return back


@define(eq=False, slots=False, repr=False)
class Flatten(_Reshaping):
    """
    All entries of a sample along one axis: (N, A, B, ...) becomes (N, A * B * ...).

    Backward: ``dL/dx`` is dL/dy in the shape of x.

    Raises
    ------
    ShapeError
        If the input does not have an axis of samples.

    Examples
    --------
    >>> flatten = Flatten()
    >>> y, cache = flatten.forward(np.zeros((5, 3, 8, 8)))
    >>> y.shape
    (5, 192)
    >>> flatten.backward(y, cache).shape
    (5, 3, 8, 8)
    """

    def _sample_shape(self, before: _Shape) -> _Shape:
        return (math.prod(before),)


def _is_shape(instance: object, attribute: Any, value: Any) -> None:  # noqa: ARG001
    if (
        not isinstance(value, tuple)
        or not all(is_integer(size) and (size == -1 or size > 0) for size in value)
        or value.count(-1) > 1
    ):
        raise ConfigError("Reshape: shape", "positive integers, one of which may be -1", shortened(value))


@define(eq=False, slots=False, repr=False)
class Reshape(_Reshaping):
    """
    The entries of a sample in another shape, in the same (C) order: (N, A, B) becomes ``(N, *shape)``.

    Backward: ``dL/dx`` is dL/dy in the shape of x.

    Parameters
    ----------
    shape : tuple of int
        The shape of one sample. One entry may be -1: it follows from the others.

    Raises
    ------
    ConfigError
        If `shape` is something else.
    ShapeError
        If a sample of the input has another number of entries.

    Examples
    --------
    >>> Reshape((1, 8, -1)).predict(np.zeros((5, 64))).shape
    (5, 1, 8, 8)
    """

    shape: _Shape = field(converter=as_tuple, validator=_is_shape)

    def _sample_shape(self, before: _Shape) -> _Shape:
        size, known = math.prod(before), math.prod(length for length in self.shape if length != -1)
        after = tuple(size // known if length == -1 else length for length in self.shape)
        if math.prod(after) != size:
            raise ShapeError("Reshape", f"samples of a size that fits {self.shape}", f"shape {before}, size {size}")
        return after


def _is_permutation(instance: object, attribute: Any, value: Any) -> None:  # noqa: ARG001
    if (
        not isinstance(value, tuple)
        or not all(is_integer(axis) for axis in value)
        or sorted(value) != list(range(1, len(value) + 1))
    ):
        expected = "each axis of a sample once, counted from 1, as (2, 1); axis 0, that of samples, stays"
        raise ConfigError("Transpose: axes", expected, shortened(value))


@define(eq=False, slots=False, repr=False)
class Transpose(Layer):
    """
    The axes of a sample in another order: (N, A, B) becomes (N, B, A) by default.

    Backward: the axes of dL/dy in the old order.

    Parameters
    ----------
    axes : tuple of int
        The axes of the input, from 1 (0 is that of samples), in the order in which the output is to have them.

    Raises
    ------
    ConfigError
        If `axes` is something else.
    ShapeError
        If the input has more axes, or fewer.

    Examples
    --------
    >>> Transpose((3, 1, 2)).predict(np.zeros((5, 8, 9, 3))).shape
    (5, 3, 8, 9)
    """

    axes: tuple[int, ...] = field(default=(2, 1), converter=as_tuple, validator=_is_permutation)

    def forward(self, x: Array, /) -> tuple[Array, _Shape]:
        """Compute y, a view of x; the cache is its shape."""
        y = self.predict(x)
        return y, y.shape

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        _require_samples(self, x)
        if x.ndim != 1 + len(self.axes):
            raise ShapeError("Transpose", f"{1 + len(self.axes)} axes, the first that of samples", str(x.shape))
        y: Array = x.transpose(0, *self.axes)
        return y

    def backward(self, grad: Array, shape: _Shape, /) -> Array:
        """Return dL/dx."""
        require_gradient(self, grad, shape)
        back: Array = grad.transpose(0, *(1 + self.axes.index(axis) for axis in range(1, len(self.axes) + 1)))
        return back


def _require_samples(layer: Layer, x: Array) -> None:
    require_numbers(type(layer).__name__, x)
    if not x.ndim:
        raise ShapeError(type(layer).__name__, "at least an axis of samples", str(x.shape))
