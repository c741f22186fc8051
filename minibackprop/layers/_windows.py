"""Windows that move over the axes after the channels: how many there are, and views of one entry of each.

What convolution and pooling share, for any number of axes. It works on arrays with the channels last, (N, *sizes, C):
in memory too, where the array is made here, so that whatever is read or written of a window is runs of neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from attrs import field, frozen
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

from minibackprop.errors import ConfigError, ShapeError
from minibackprop.initializers import as_shape
from minibackprop.validation import Array, is_integer, shortened

#: A number for all axes, or one for each.
PerAxis: TypeAlias = int | tuple[int, ...]

#: How much is put before and after each axis.
Margins: TypeAlias = tuple[tuple[int, int], ...]


def per_axis(value: PerAxis, axes: int) -> tuple[int, ...]:
    """Give the number for each axis."""
    return value if isinstance(value, tuple) else (value,) * axes


def are_sizes(instance: Any, attribute: Any, value: Any) -> None:
    """Require a positive integer, or one for each of the `axes` that the layer has (an attrs validator)."""
    require_per_axis(instance, attribute, value, 1, "a positive integer")


def are_margins(instance: Any, attribute: Any, value: Any) -> None:
    """Require an integer of at least 0, or one for each of the `axes` that the layer has (an attrs validator)."""
    require_per_axis(instance, attribute, value, 0, "an integer of at least 0")


def require_per_axis(instance: Any, attribute: Any, value: Any, minimum: int, kind: str) -> None:
    """Require an integer of at least `minimum`, or a tuple of one for each axis; the message calls it `kind`."""
    axes: int = instance.axes
    numbers = per_axis(value, axes)
    if len(numbers) != axes or not all(is_integer(number) and number >= minimum for number in numbers):
        expected = f"{kind}, or a tuple of {axes}"
        raise ConfigError(f"{type(instance).__name__}: {attribute.alias}", expected, shortened(value))


def channels_last(x: Array) -> Array:
    """View (N, C, *sizes) as (N, *sizes, C)."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: Array) -> Array:
    """View (N, *sizes, C) as (N, C, *sizes)."""
    return x.transpose(0, -1, *range(1, x.ndim - 1))


def with_margins(sizes: tuple[int, ...], margins: Margins) -> tuple[int, ...]:
    """Add to the size along each axis what is put before and after."""
    return tuple([before + size + after for size, (before, after) in zip(sizes, margins, strict=True)])


@frozen
class Windows:
    """
    Windows of one size, at regular distances.

    Attributes
    ----------
    sizes : tuple of int
        How many entries a window has along each axis.
    strides : tuple of int
        How far apart windows begin.
    padding : tuple of int or None
        How many entries are put before and after. None: as many as make ``ceil(size / stride)`` windows, and where that
        is an odd number, the one more after.
    dilations : tuple of int
        How far apart the entries of a window are.
    extents : tuple of int
        How far a window reaches, from its first entry to its last.
    disjoint : bool
        Whether no two windows overlap.
    single : bool
        Whether a window is a single entry, and there is one at each.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...] | None
    dilations: tuple[int, ...]
    extents: tuple[int, ...] = field(init=False)
    disjoint: bool = field(init=False)
    single: bool = field(init=False)

    @extents.default
    def _reach(self) -> tuple[int, ...]:
        return tuple((size - 1) * dilation + 1 for size, dilation in zip(self.sizes, self.dilations, strict=True))

    @disjoint.default
    def _is_disjoint(self) -> bool:
        return all(stride >= extent for stride, extent in zip(self.strides, self.extents, strict=True))

    @single.default
    def _is_single(self) -> bool:
        return all(number == 1 for number in (*self.sizes, *self.strides))

    def counts(self, sizes: tuple[int, ...], margins: Margins) -> tuple[int, ...]:
        """Count the windows along each axis of what has these sizes, and so much padding around."""
        lengths = zip(with_margins(sizes, margins), self.extents, self.strides, strict=True)
        return tuple([(length - extent) // stride + 1 for length, extent, stride in lengths])

    def margins(self, layer: str, x: Array) -> Margins:
        """
        Compute how much padding comes before and after each axis of x, (N, C, *sizes).

        Raises
        ------
        ShapeError
            In the name of `layer`, if there is no room for a window, or it would hold padding alone.
        """
        margins = self._margins(x.shape[2:])
        lengths = with_margins(x.shape[2:], margins)
        if min(self.counts(x.shape[2:], margins)) < 1:
            expected = f"a padded input of at least {self.extents}, the extent of its kernel"
            raise ShapeError(layer, expected, f"{lengths} from {x.shape}")
        if 0 in x.shape[2:]:
            raise ShapeError(layer, "more than padding along each axis", str(x.shape))
        return margins

    def padded(self, layer: str, x: Array, fill: float = 0.0) -> tuple[Array, Margins]:
        """
        Put the channels last, and the padding around: (N, C, *sizes) becomes (N, *padded sizes, C); x itself, if none.

        It raises what `margins` raises.
        """
        margins, inner = self.margins(layer, x), channels_last(x)
        lengths = with_margins(x.shape[2:], margins)
        if lengths == x.shape[2:]:
            return inner, margins
        shape = as_shape(f"{layer}: padding", (len(x), *lengths, x.shape[1]))
        padded = np.full_like(inner, fill, order="C", shape=shape)
        channels_last(self.without_padding(padded, margins))[...] = inner
        return padded, margins

    def spans(self, places: Sequence[slice]) -> list[slice]:
        """Compute what windows at some places reach over, along each axis."""
        geometry = zip(places, self.strides, self.extents, strict=True)
        return [slice(at.start * stride, (at.stop - 1) * stride + extent) for at, stride, extent in geometry]

    def tile(self, x: Array, margins: Margins, places: Sequence[slice], dtype: DTypeLike) -> Array:
        """
        Take what windows at some places read of x, (N, *sizes, C), with zeros for what is outside: a view, if it can.

        A margin below 0 cuts so much off x.
        """
        read = zip(self.spans(places), margins, strict=True)
        spans = [(span.start - before, span.stop - before) for span, (before, _) in read]
        inner = x[(slice(None), *[slice(max(0, start), max(0, stop)) for start, stop in spans])]
        shape = (len(x), *[stop - start for start, stop in spans], x.shape[-1])
        if inner.shape == shape:
            return inner.astype(dtype, order="C", copy=False)
        tile = np.zeros(shape, dtype, like=inner)
        starts = [max(0, -start) for start, _ in spans]
        inside = [slice(start, start + size) for start, size in zip(starts, inner.shape[1:-1], strict=True)]
        tile[(slice(None), *inside)] = inner
        return tile

    def without_padding(self, padded: Array, margins: Margins) -> Array:
        """View what `padded` has within its margins, with the channels where x has them."""
        places = (slice(before, size - after) for size, (before, after) in zip(padded.shape[1:], margins, strict=False))
        return channels_first(padded[(slice(None), *places)])

    def entry_views(self, padded: Array) -> Iterator[Array]:
        """
        Go through the entries of a window in order, and view each of them in all windows at once: (..., *counts, C).

        They are for reading, and for the way back: what is read from a view has its gradient added into the same view
        of zeros.
        """
        counts = self.counts(padded.shape[-1 - len(self.sizes) : -1], ((0, 0),) * len(self.sizes))
        starts = zip(self.sizes, self.dilations, self.strides, counts, strict=True)
        places = [
            [slice(start, start + (count - 1) * stride + 1, stride) for start in range(0, size * dilation, dilation)]
            for size, dilation, stride, count in starts
        ]
        for place in product(*places):
            index: tuple[Any, ...] = (..., *place, slice(None))
            yield padded[index]

    def patches(self, padded: Array) -> Array:
        """View all windows at once, for reading: (..., *counts, C, *sizes)."""
        axes = len(self.sizes)
        if type(padded) is np.ndarray and padded.flags.c_contiguous:  # The same view as below, for a tenth of the time.
            counts = self.counts(padded.shape[-1 - axes : -1], ((0, 0),) * axes)
            shape = (*padded.shape[: -1 - axes], *counts, padded.shape[-1], *self.sizes)
            steps = padded.strides[-1 - axes : -1]
            # Of a single place or entry, the distance to the next may be too large for an integer of the machine.
            places = [s * step if n > 1 else 0 for s, step, n in zip(self.strides, steps, counts, strict=True)]
            entries = [d * step if n > 1 else 0 for d, step, n in zip(self.dilations, steps, self.sizes, strict=True)]
            apart = (*padded.strides[: -1 - axes], *places, padded.itemsize, *entries)
            return np.ndarray(shape, padded.dtype, padded, strides=apart)
        windows = sliding_window_view(padded, self.extents, tuple(range(-1 - axes, -1)))
        strided = (slice(None, None, stride) for stride in self.strides)
        index: tuple[Any, ...] = (..., *strided, slice(None), *(slice(None, None, step) for step in self.dilations))
        view: Array = windows[index]
        return view

    def _margins(self, sizes: tuple[int, ...]) -> Margins:
        if self.padding is not None:
            return tuple([(margin, margin) for margin in self.padding])
        totals = (
            max(0, (-(-size // stride) - 1) * stride + extent - size)
            for size, stride, extent in zip(sizes, self.strides, self.extents, strict=True)
        )
        return tuple((total // 2, total - total // 2) for total in totals)
