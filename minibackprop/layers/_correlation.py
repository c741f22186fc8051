"""The sums of products under windows, as convolution and its gradients compute them: block by block.

A block is some samples, or some rows of one sample: as much as stays in the processor's cache. So all windows are never
laid out at once, however large an image is. All arrays have the channels last, (N, *sizes, C).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import ceil, prod

import numpy as np
from attrs import frozen

from minibackprop.layers._windows import Margins, Windows
from minibackprop.validation import Array

#: How many numbers under windows a block has.
BLOCK = 2**19

#: Windows are copied row by row, where what a row has of each line of the image is a run of at least so many numbers;
#: else column by column (all first numbers, all second ones, ...), where the runs are longer.
_SHORT_RUN = 12


def blocks(shape: tuple[int, ...], numbers: int) -> Iterator[tuple[slice, ...]]:
    """
    Divide samples and places, (N, *counts), with windows of so many numbers into blocks: a slice of each axis.

    A block has at most `BLOCK` numbers under windows, or is a single place. Parts of one axis are as even as may be.
    """
    length, *others = shape
    most = BLOCK // max(1, numbers * prod(others))
    if most or not others:
        size = ceil(length / max(1, ceil(length / max(1, most))))
        for start in range(0, length, max(1, size)):
            yield (slice(start, min(length, start + size)), *(slice(0, other) for other in others))
    else:
        for index in range(length):
            for parts in blocks(tuple(others), numbers):
                yield (slice(index, index + 1), *parts)


@frozen
class Correlation(ABC):
    """
    For each place, the sum of what is under a window there, times a kernel; for each group of channels on its own.

    Kernels come as (groups, entries, inputs, outputs), in the dtype of the result.
    """

    windows: Windows
    groups: int

    def blocks(self, shape: tuple[int, ...], channels: int) -> Iterator[tuple[slice, ...]]:
        """Divide places, (N, *counts), of windows over so many channels into blocks: a slice of each axis."""
        return blocks(shape, channels * self._laid_out)

    @property
    @abstractmethod
    def _laid_out(self) -> int:
        """How many numbers are laid out for a place and a channel."""

    def of(self, x: Array, margins: Margins, kernels: Array, bias: Array | None = None) -> Array:
        """Compute the sums at all places, and add a bias: (N, *counts, groups * outputs)."""
        groups, _, _, outputs = kernels.shape
        counts = self.windows.counts(x.shape[1:-1], margins)
        y = np.empty_like(kernels, order="C", shape=(len(x), *counts, groups * outputs))
        parts = list(self.blocks(y.shape[:-1], x.shape[-1]))
        width = parts[0][-1].stop if parts else 0
        operand = self._operand(kernels, width)
        if bias is not None:  # For a whole line of places: long runs are added faster.
            bias = bias.reshape(1, -1).repeat(width, axis=0).reshape(-1)
        for samples, *places in parts:
            part = y[(samples, *places)]
            self._multiply(self.windows.tile(x[samples], margins, places, y.dtype), operand, part)
            if bias is not None:
                lines = part.reshape(-1, part.shape[-2] * part.shape[-1])
                lines += bias[: lines.shape[1]]
        return y

    @abstractmethod
    def _operand(self, kernels: Array, width: int) -> Array:
        """Arrange the kernels for `_multiply`, of blocks at most so wide along the last axis."""

    @abstractmethod
    def _multiply(self, tile: Array, kernels: Array, y: Array) -> None:
        """Compute the sums of a block from what its windows read, into y."""

    @abstractmethod
    def kernel_grad(self, tile: Array, grad: Array) -> Array:
        """Compute dL/dkernels of a block from what its windows read and the gradient of its sums."""

    @abstractmethod
    def back_through_entry(self, grad: Array, kernel: Array) -> Array:
        """Compute the gradient of what one entry of the windows read, from that of the sums: (N, *counts, C)."""


class ByPatches(Correlation):
    """As a product: the numbers under each window make a row of a matrix (im2col)."""

    @property
    def _laid_out(self) -> int:
        return prod(self.windows.sizes)

    def _operand(self, kernels: Array, width: int) -> Array:
        groups, entries, inputs, outputs = kernels.shape
        return kernels.reshape(groups, entries * inputs, outputs)

    def _multiply(self, tile: Array, kernels: Array, y: Array) -> None:
        np.matmul(self._patches(tile), kernels, self._rows(y))

    def kernel_grad(self, tile: Array, grad: Array) -> Array:
        found: Array = np.matmul(self._patches(tile).transpose(0, 2, 1), self._rows(grad))
        return found.reshape(self.groups, prod(self.windows.sizes), -1, found.shape[-1])

    def back_through_entry(self, grad: Array, kernel: Array) -> Array:
        found: Array = np.matmul(self._rows(grad), kernel)
        return found.transpose(1, 0, 2).reshape(*grad.shape[:-1], -1)

    def _rows(self, y: Array) -> Array:
        """View a number of channels at each place by groups: (groups, places, channels / groups)."""
        return y.reshape(-1, self.groups, y.shape[-1] // self.groups).transpose(1, 0, 2)

    def _patches(self, tile: Array) -> Array:
        """Copy the numbers under each window to a row, unless there is one: (groups, places, entries * inputs)."""
        if self.windows.single:
            return self._rows(tile)
        groups, inputs, axes = self.groups, tile.shape[-1] // self.groups, len(self.windows.sizes)
        size = inputs * prod(self.windows.sizes)
        if inputs * (self.windows.sizes[-1] if groups == 1 else 1) >= _SHORT_RUN:
            windows = self.windows.patches(tile)
            windows = windows.reshape(*windows.shape[: 1 + axes], groups, inputs, *self.windows.sizes)
            rows = windows.transpose(1 + axes, *range(1 + axes), *range(3 + axes, windows.ndim), 2 + axes)
            return np.ascontiguousarray(rows.reshape(groups, -1, size), like=rows)
        first = np.ascontiguousarray(tile.transpose(-1, *range(1 + axes)), like=tile)
        windows = self.windows.patches(first[..., np.newaxis])
        windows = windows.reshape(groups, inputs, *windows.shape[1 : 2 + axes], *self.windows.sizes)
        columns = windows.transpose(0, *range(3 + axes, windows.ndim), *range(1, 3 + axes))
        return np.ascontiguousarray(columns.reshape(groups, size, -1), like=columns).transpose(0, 2, 1)


class ByChannel(Correlation):
    """As sums over the entries of a kernel, where each channel is a group of its own (depthwise)."""

    _laid_out = 2

    def _operand(self, kernels: Array, width: int) -> Array:
        rows, columns = (1, *self.windows.sizes)[-2:]
        return np.tile(kernels[:, :, 0, 0].T.reshape(rows, columns, -1), width)

    def _multiply(self, tile: Array, kernels: Array, y: Array) -> None:
        run = y.shape[-2] * y.shape[-1]
        found = np.einsum("nilxka,kla->nia", self._runs(tile, y.shape[-2]), kernels[..., :run])
        y[...] = found.reshape(y.shape)

    def kernel_grad(self, tile: Array, grad: Array) -> Array:
        width, channels = grad.shape[-2:]
        runs, grad = self._runs(tile, width), grad.reshape(len(grad), -1, width * channels)
        # One column at a time: what is summed up stays in the fastest cache, and takes half as long.
        found = np.stack([np.einsum("nika,nia->ka", runs[:, :, column, 0], grad) for column in range(runs.shape[2])], 1)
        by_entry: Array = found.reshape(-1, width, channels).sum(axis=1)
        return by_entry.T.reshape(channels, -1, 1, 1)

    def back_through_entry(self, grad: Array, kernel: Array) -> Array:
        return grad * kernel.reshape(-1)

    def _runs(self, tile: Array, width: int) -> Array:
        """
        View what a column of the kernel reads of a line, in all channels and so many places, as one run, which is long.

        It is (N, lines of places, columns of the kernel, 1, rows of the kernel, width * channels), a signal one line.
        """
        windows, channels = self.windows, tile.shape[-1]
        size, stride, step = windows.sizes[-1], windows.strides[-1], windows.dilations[-1]
        run, apart = width * channels, step * channels
        if stride > 1:  # Copied, so that neighbouring places are neighbours in memory.
            ends = [(start, start + (width - 1) * stride + 1) for start in range(0, size * step, step)]
            tile, apart = np.stack([tile[..., start:end:stride, :] for start, end in ends], axis=-3), run
        lines = tile.reshape(len(tile), *tile.shape[1 : len(windows.sizes)] or (1,), -1, 1)
        size, stride, step = ((1, *of)[-2] for of in (windows.sizes, windows.strides, windows.dilations))
        return Windows((size, run), (stride, apart), None, (step, 1)).patches(lines)
