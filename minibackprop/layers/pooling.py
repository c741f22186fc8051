"""Pooling: one number for all those under a window."""

from __future__ import annotations

from abc import abstractmethod
from math import inf, prod
from typing import Any, ClassVar, TypeAlias

import numpy as np
from attrs import define, field

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError
from minibackprop.layers._windows import (
    Margins,
    PerAxis,
    Windows,
    are_margins,
    are_sizes,
    channels_first,
    channels_last,
    per_axis,
)
from minibackprop.numerics.error_state import quiet
from minibackprop.validation import Array, require_gradient, require_numbers, shortened

_Shape: TypeAlias = tuple[int, ...]


@define(eq=False, slots=False, repr=False)
class _Pool(Layer):
    """The base of layers that reduce each window to a number, channel by channel."""

    axes: ClassVar[int]
    axis_names: ClassVar[str]
    #: What the padding holds.
    fill: ClassVar[float] = 0.0

    kernel_size: PerAxis = field(validator=are_sizes)
    stride: PerAxis | None = field(default=None)
    padding: PerAxis = field(default=0, validator=are_margins)
    _windows: Windows = field(init=False)

    @stride.validator
    def _is_stride(self, attribute: Any, value: Any) -> None:
        if value is not None:
            are_sizes(self, attribute, value)

    def __attrs_post_init__(self) -> None:
        sizes, padding = per_axis(self.kernel_size, self.axes), per_axis(self.padding, self.axes)
        if any(margin >= size for margin, size in zip(padding, sizes, strict=True)):
            expected = f"less than kernel_size = {self.kernel_size}, so that no window holds padding alone"
            raise ConfigError(f"{type(self).__name__}: padding", expected, shortened(self.padding))
        strides = sizes if self.stride is None else per_axis(self.stride, self.axes)
        self._windows = Windows(sizes, strides, padding, (1,) * self.axes)

    @abstractmethod
    def _reduce(self, padded: Array) -> Array:
        """Compute y, the channels last."""

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        padded, _ = self._padded(x)
        return channels_first(quiet().run(self._reduce, padded))

    def _padded(self, x: Array) -> tuple[Array, Margins]:
        """Put the channels last, and the padding around; integers as floating-point numbers."""
        name = type(self).__name__
        if getattr(getattr(x, "dtype", None), "kind", None) != "f":
            require_numbers(name, x)
            x = x * 1.0
        if x.ndim != 2 + self.axes:
            raise ShapeError(name, f"(N, C, {self.axis_names})", str(x.shape))
        return self._windows.padded(name, x, self.fill)


@define(eq=False, slots=False, repr=False)
class _MaxPool(_Pool):
    """What `MaxPool1D` and `MaxPool2D` share: all but the number of axes."""

    fill = -inf

    def forward(self, x: Array, /) -> tuple[Array, tuple[Array, Array, Margins]]:
        """Compute y; the cache is the padded x, y with the channels last, and the margins."""
        padded, margins = self._padded(x)
        y = quiet().run(self._reduce, padded)
        return channels_first(y), (padded, y, margins)

    def backward(self, grad: Array, cache: tuple[Array, Array, Margins], /) -> Array:
        """Return dL/dx."""
        padded, y, margins = cache
        require_gradient(self, grad, channels_first(y).shape)
        return self._windows.without_padding(quiet().run(self._spread, channels_last(grad), padded, y), margins)

    def _reduce(self, padded: Array) -> Array:
        first, *others = self._windows.entry_views(padded)
        y = first.copy("K")
        for view in others:
            np.maximum(y, view, out=y)
        return y

    def _spread(self, grad: Array, padded: Array, y: Array) -> Array:
        """Compute dL/dpadded: each gradient goes to the first entry of its window that is the largest."""
        entries, disjoint = prod(self._windows.sizes), self._windows.disjoint
        covered = disjoint and y.size * entries == padded.size
        back = (np.empty_like if covered else np.zeros_like)(padded, dtype=np.promote_types(grad.dtype, y.dtype))
        unclaimed = np.ones_like(y, dtype=bool)
        views = zip(self._windows.entry_views(padded), self._windows.entry_views(back), strict=True)
        for index, (view, part) in enumerate(views, 1):
            first = unclaimed  # The last entry is the largest where no other is.
            if index < entries:
                first = view == y
                first &= unclaimed
                unclaimed ^= first
            if disjoint:  # Nothing to add to.
                np.multiply(grad, first, out=part)
            else:
                part += grad * first
        return back


@define(eq=False, slots=False, repr=False)
class _AvgPool(_Pool):
    """What `AvgPool1D` and `AvgPool2D` share: all but the number of axes."""

    def forward(self, x: Array, /) -> tuple[Array, tuple[_Shape, _Shape, Margins]]:
        """Compute y; the cache is the shapes of y and of the padded x, and the margins."""
        padded, margins = self._padded(x)
        y = channels_first(quiet().run(self._reduce, padded))
        return y, (y.shape, padded.shape, margins)

    def backward(self, grad: Array, cache: tuple[_Shape, _Shape, Margins], /) -> Array:
        """Return dL/dx."""
        shape, padded_shape, margins = cache
        require_gradient(self, grad, shape)
        share = channels_last(grad) / prod(self._windows.sizes)
        back = np.zeros_like(share, order="C", shape=padded_shape)
        for part in self._windows.entry_views(back):
            part += share
        return self._windows.without_padding(back, margins)

    def _reduce(self, padded: Array) -> Array:
        first, *others = self._windows.entry_views(padded)
        y = first.copy("K")
        for view in others:
            y += view
        y /= prod(self._windows.sizes)
        return y


class MaxPool1D(_MaxPool):
    """
    The largest number under each window of a signal: (N, C, L) becomes (N, C, L_out).

    As `MaxPool2D`, over one axis.

    Parameters
    ----------
    kernel_size : int
    stride : int, optional
    padding : int

    Examples
    --------
    >>> pool = MaxPool1D(2)
    >>> y, cache = pool.forward(np.array([[[1.0, 5.0, 2.0, 2.0, 9.0]]]))
    >>> y
    array([[[5., 2.]]])
    >>> pool.backward(np.array([[[10.0, 20.0]]]), cache)
    array([[[ 0., 10., 20.,  0.,  0.]]])
    """

    axes = 1
    axis_names = "L"


class MaxPool2D(_MaxPool):
    """
    The largest number under each window of an image, channel by channel: (N, C, H, W) becomes (N, C, H_out, W_out).

    ``H_out = (H + 2 * padding - kernel_size) // stride + 1``, likewise W_out: what is left over at the end is not read.
    Padding never is the largest, as if it were -infinity.

    Backward: dL/dx of the largest number in a window is the dL/dy of that window, that of the others 0; where windows
    overlap, what comes from each is added. Of several that are the largest, the first in the window, row by row, gets
    it all.

    Parameters
    ----------
    kernel_size : int or tuple of int
        The size of the window, along both axes or (along H, along W); so are the other two.
    stride : int or tuple of int, optional
        How far apart windows begin; by default `kernel_size`, so that each begins where the last one ends.
    padding : int or tuple of int
        How much is put before and after each axis: less than `kernel_size`.

    Raises
    ------
    ConfigError
        If an argument is out of its range.
    ShapeError
        In a call, if the input has other axes, or no room for a window.

    Examples
    --------
    >>> MaxPool2D(2).predict(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    axes = 2
    axis_names = "H, W"


class AvgPool1D(_AvgPool):
    """
    The mean under each window of a signal: (N, C, L) becomes (N, C, L_out).

    As `AvgPool2D`, over one axis.

    Parameters
    ----------
    kernel_size : int
    stride : int, optional
    padding : int

    Examples
    --------
    >>> pool = AvgPool1D(2, stride=1)
    >>> y, cache = pool.forward(np.array([[[1.0, 5.0, 2.0]]]))
    >>> y
    array([[[3. , 3.5]]])
    >>> pool.backward(np.array([[[10.0, 20.0]]]), cache)
    array([[[ 5., 15., 10.]]])
    """

    axes = 1
    axis_names = "L"


class AvgPool2D(_AvgPool):
    """
    The mean under each window of an image, channel by channel: (N, C, H, W) becomes (N, C, H_out, W_out).

    H_out and W_out are those of `MaxPool2D`, and so are the parameters and the errors. Padding counts as zeros: each
    sum is divided by the size of the window, as in PyTorch by default.

    Backward: each number under a window gets an equal share of its dL/dy; where windows overlap, what comes from each
    is added.

    Parameters
    ----------
    kernel_size : int or tuple of int
    stride : int or tuple of int, optional
    padding : int or tuple of int

    Examples
    --------
    >>> AvgPool2D(2).predict(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    axes = 2
    axis_names = "H, W"


@define(eq=False, slots=False, repr=False)
class GlobalAvgPool(Layer):
    """
    The mean of each channel over all axes after it: (N, C, ...) becomes (N, C).

    Backward: each number gets an equal share of the dL/dy of its channel.

    From M. Lin, Q. Chen and S. Yan, "Network In Network", 2013.

    Raises
    ------
    ShapeError
        If the input has no axes after that of the channels, or one of length 0.

    Examples
    --------
    >>> pool = GlobalAvgPool()
    >>> y, cache = pool.forward(np.array([[[1.0, 5.0, 3.0]]]))
    >>> y
    array([[3.]])
    >>> pool.backward(np.array([[6.0]]), cache)
    array([[[2., 2., 2.]]])
    """

    trailing_axes = True

    def forward(self, x: Array, /) -> tuple[Array, _Shape]:
        """Compute y; the cache is the shape of x."""
        return self.predict(x), x.shape

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        require_numbers("GlobalAvgPool", x)
        if x.ndim < 3 or 0 in x.shape[2:]:
            raise ShapeError("GlobalAvgPool", "(N, C, ...), with something to average", str(x.shape))
        y: Array = quiet().run(np.mean, x, tuple(range(2, x.ndim)))
        return y

    def backward(self, grad: Array, shape: _Shape, /) -> Array:
        """Return dL/dx."""
        require_gradient(self, grad, shape[:2])
        share = (grad / prod(shape[2:])).reshape(len(grad), *(1 for _ in shape[2:]), shape[1])
        back = np.empty_like(share, order="C", shape=(len(grad), *shape[2:], shape[1]))
        back[...] = share
        return channels_first(back)
