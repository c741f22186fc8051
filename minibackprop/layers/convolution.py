"""Convolution: one small affine map at every place of a signal or an image."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError
from minibackprop.initializers import GlorotUniform, Init, Zeros, as_shape, initial_parameter, initial_values
from minibackprop.layers._correlation import ByChannel, ByPatches, Correlation
from minibackprop.layers._windows import (
    Margins,
    PerAxis,
    Windows,
    are_sizes,
    channels_first,
    channels_last,
    per_axis,
    require_per_axis,
    with_margins,
)
from minibackprop.numerics.error_state import quiet
from minibackprop.numerics.functions import column_sums
from minibackprop.rng import Rng, as_generator
from minibackprop.state import Parameter
from minibackprop.validation import Array, is_flag, is_size, require_gradient, require_numbers

_Cache: TypeAlias = tuple[Array, Margins]


@define(eq=False, slots=False, repr=False, init=False)
class _Convolution(Layer):
    """What `Conv1D` and `Conv2D` share: all but the number of axes."""

    axes: ClassVar[int]
    axis_names: ClassVar[str]

    in_channels: int = field(validator=is_size)
    out_channels: int = field(validator=is_size)
    kernel_size: PerAxis = field(validator=are_sizes)
    stride: PerAxis = field(validator=are_sizes)
    padding: PerAxis | str = field()
    dilation: PerAxis = field(validator=are_sizes)
    groups: int = field(validator=is_size)
    use_bias: bool = field(validator=is_flag, alias="bias")
    weight: Parameter = field(init=False)
    bias: Parameter | None = field(init=False)
    _windows: Windows = field(init=False)
    _correlation: Correlation = field(init=False)

    @padding.validator
    def _is_padding(self, attribute: Any, value: Any) -> None:
        if not isinstance(value, str) or value != "same":
            require_per_axis(self, attribute, value, 0, "'same', an integer of at least 0")

    @groups.validator
    def _divides_channels(self, _: Any, groups: int) -> None:
        if self.in_channels % groups or self.out_channels % groups:
            expected = f"a divisor of in_channels = {self.in_channels} and of out_channels = {self.out_channels}"
            raise ConfigError(f"{type(self).__name__}: groups", expected, str(groups))

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: PerAxis | str = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Init = GlorotUniform(),
        dtype: DTypeLike = np.float64,
        rng: Rng = None,
    ) -> None:
        self.__attrs_init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        name = type(self).__name__
        sizes = per_axis(kernel_size, self.axes)
        margins = None if isinstance(padding, str) else per_axis(padding, self.axes)
        self._windows = Windows(sizes, per_axis(stride, self.axes), margins, per_axis(dilation, self.axes))
        kind = ByChannel if in_channels == out_channels == groups else ByPatches
        self._correlation = kind(self._windows, groups)
        rng, shape = as_generator(rng), (out_channels // groups, in_channels // groups, *sizes)

        def by_group(_: tuple[int, ...], rng: Rng) -> Array:
            """Each group is a convolution of its own, with fewer inputs and outputs than all have together."""
            return np.concatenate([initial_values(name, init, shape, dtype, rng) for _ in range(groups)])

        self.weight = initial_parameter(name, by_group, (out_channels, *shape[1:]), dtype, rng)
        self.bias = initial_parameter(name, Zeros(), (out_channels,), dtype) if bias else None

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y; the cache is x with the channels last, and its margins."""
        margins = self._margins(x)
        y = quiet().run(self._convolve, x, margins)
        return y, (channels_last(x), margins)

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        margins = self._margins(x)
        return quiet().run(self._convolve, x, margins)

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradients of W and b, and return dL/dx."""
        self.accumulate(grad, cache)
        x, margins = cache
        way_back = self._input_grad if max(self._windows.strides) == 1 else self._input_grad_by_entries
        return quiet().run(way_back, channels_last(grad), x, margins)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of W and b."""
        x, margins = cache
        require_gradient(self, grad, (len(x), self.out_channels, *self._windows.counts(x.shape[1:-1], margins)))
        quiet().run(self._accumulate, channels_last(grad), x, margins)

    def _margins(self, x: Array) -> Margins:
        name = type(self).__name__
        require_numbers(name, x)
        if x.ndim != 2 + self.axes or x.shape[1] != self.in_channels:
            raise ShapeError(name, f"(N, {self.in_channels}, {self.axis_names})", str(x.shape))
        return self._windows.margins(name, x)

    def _convolve(self, x: Array, margins: Margins) -> Array:
        dtype = np.result_type(x.dtype, self.weight.value.dtype)
        kernels = self._weight_by_group().transpose(0, 3, 2, 1).astype(dtype, order="C")
        bias = None if self.bias is None else self.bias.value
        try:
            return channels_first(self._correlation.of(channels_last(x), margins, kernels, bias))
        except ValueError:
            counts = self._windows.counts(x.shape[2:], margins)
            as_shape(f"{type(self).__name__}: padding", (len(x), *counts, self.out_channels))
            raise

    def _accumulate(self, grad: Array, x: Array, margins: Margins) -> None:
        """Add to the gradients of W and b."""
        dtype = np.result_type(grad.dtype, x.dtype, self.weight.value.dtype)
        bias, trains = None if self.bias is None or self.bias.frozen else self.bias, not self.weight.frozen
        kernel_grad = np.zeros_like(self._weight_by_group().transpose(0, 3, 2, 1), dtype=dtype, order="C")
        bias_grad = np.zeros_like(kernel_grad, shape=self.out_channels)
        for samples, *places in self._correlation.blocks(grad.shape[:-1], self.in_channels):
            part = grad[(samples, *places)].astype(dtype, order="C", copy=False)
            if bias is not None:
                bias_grad += column_sums(part.reshape(-1, self.out_channels))
            if trains:
                tile = self._windows.tile(x[samples], margins, places, dtype)
                kernel_grad += self._correlation.kernel_grad(tile, part)
        if bias is not None:
            bias.add(bias_grad)
        if trains:
            self.weight.add(kernel_grad.transpose(0, 3, 2, 1).reshape(self.weight.value.shape))

    def _input_grad(self, grad: Array, x: Array, margins: Margins) -> Array:
        """Compute dL/dx, which is a convolution too: of dL/dy, with each kernel turned around."""
        dtype = np.result_type(grad.dtype, x.dtype, self.weight.value.dtype)
        kernels = self._weight_by_group()[..., ::-1].transpose(0, 3, 1, 2).astype(dtype, order="C")
        reach = [extent - 1 for extent in self._windows.extents]
        outer = tuple((most - before, most - after) for most, (before, after) in zip(reach, margins, strict=True))
        return channels_first(self._correlation.of(grad, outer, kernels))

    def _input_grad_by_entries(self, grad: Array, x: Array, margins: Margins) -> Array:
        """Compute dL/dx at any stride: what came out through an entry of the kernel goes where that one read x."""
        dtype = np.result_type(grad.dtype, x.dtype, self.weight.value.dtype)
        kernels = self._weight_by_group().transpose(3, 0, 1, 2).astype(dtype, order="C")
        shape = (len(x), *with_margins(x.shape[1:-1], margins), self.in_channels)
        back = np.zeros_like(x, dtype=dtype, order="C", shape=shape)
        for samples, *places in self._correlation.blocks(grad.shape[:-1], self.in_channels):
            part = grad[(samples, *places)].astype(dtype, order="C", copy=False)
            read = back[(samples, *self._windows.spans(places))]
            for view, kernel in zip(self._windows.entry_views(read), kernels, strict=True):
                view += self._correlation.back_through_entry(part, kernel)
        return self._windows.without_padding(back, margins)

    def _weight_by_group(self) -> Array:
        """View W by groups: (groups, out_channels / groups, in_channels / groups, entries)."""
        outputs, inputs = self.weight.value.shape[:2]
        return self.weight.value.reshape(self.groups, outputs // self.groups, inputs, -1)


class Conv1D(_Convolution):
    """
    A convolution over one axis, of signals: (N, in_channels, L) becomes (N, out_channels, L_out).

    ``y[n, o, i] = b[o] + sum over c, k of W[o, c, k] * x[n, c, i * stride + k * dilation]``, and all else as for
    `Conv2D`.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int
    stride : int
    padding : int or "same"
    dilation : int
    groups : int
    bias : bool
    init : callable
    dtype : dtype
    rng : Generator, RandomState, int or None

    Attributes
    ----------
    weight : Parameter
        W, of shape (out_channels, in_channels // groups, kernel_size).
    bias : Parameter or None
        b, of shape (out_channels,).

    Examples
    --------
    >>> differences = Conv1D(1, 1, 2, init=lambda shape, rng: np.array([[[-1.0, 1.0]]]))
    >>> y, cache = differences.forward(np.array([[[1.0, 4.0, 9.0, 16.0]]]))
    >>> y
    array([[[3., 5., 7.]]])
    >>> differences.backward(np.array([[[1.0, 10.0, 100.0]]]), cache)
    array([[[ -1.,  -9., -90., 100.]]])
    >>> differences.weight.grad
    array([[[ 941., 1694.]]])
    """

    axes = 1
    axis_names = "L"


class Conv2D(_Convolution):
    """
    A convolution over two axes, of images: (N, in_channels, H, W) becomes (N, out_channels, H_out, W_out).

    One small affine map, at every place: with `padding` zeros around x, ::

        y[n, o, i, j] = b[o] + sum over c, k, l of W[o, c, k, l] * x[n, c, i * stride + k * dilation,
                                                                           j * stride + l * dilation]

    (which does not turn the kernel around, as convolution in mathematics does). ``H_out = (H + 2 * padding -
    (kernel_size - 1) * dilation - 1) // stride + 1``, likewise W_out: what is left over at the end is not read.

    Each entry (k, l) of the kernel is a matrix W_kl, which multiplies a view x_kl of the padded x: every stride-th
    place, beginning at (k, l) * dilation. So ``y = b + sum over k, l of W_kl @ x_kl``, and backward is that of `Dense`
    for each of these, with G = dL/dy: ``dL/dW_kl = G @ x_kl.T``, over all samples and places; ``W_kl.T @ G`` is added
    to dL/dx where x_kl was read; ``dL/db`` is the sum of G.

    From Y. LeCun, B. Boser, J. Denker and others, "Backpropagation Applied to Handwritten Zip Code Recognition", 1989.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or tuple of int
        The size of the kernel, along both axes or (along H, along W); so are the next three.
    stride : int or tuple of int
        How far apart the places are.
    padding : int, tuple of int or "same"
        How many zeros are put before and after each axis. "same": as many as make ``ceil(H / stride)`` places, H itself
        where the stride is 1; if their number is odd, the one more comes after, as in Keras and PyTorch.
    dilation : int or tuple of int
        How far apart the entries of the kernel are on x.
    groups : int
        Into how many groups the channels are divided, in order; each output reads the inputs of its own group alone.
        As many as there are channels make a depthwise convolution.
    bias : bool
        Whether to add b, which starts at zero.
    init : callable
        Makes the initial W of each group from ``(shape, rng)`` (see `Initializer`), of ``(out_channels // groups,
        in_channels // groups, *kernel)``: so `GlorotUniform` and others can tell how many inputs and outputs there are.
    dtype : dtype
        float64, float32 or a wider floating-point one.
    rng : Generator, RandomState, int or None
        What `init` draws from.

    Attributes
    ----------
    weight : Parameter
        W, of shape ``(out_channels, in_channels // groups, *kernel)``.
    bias : Parameter or None
        b, of shape (out_channels,).

    Raises
    ------
    ConfigError
        If an argument is out of its range, `groups` does not divide both numbers of channels, or what `init` makes does
        not have the shape it was asked for.
    ShapeError
        In a call, if the input has other axes or another number of channels, or is smaller, with its padding, than what
        the kernel reaches over.

    Notes
    -----
    The result has its channels last in memory, whatever its shape says, and input that has them so is read fastest: a
    chain of convolutions, activations and pooling never rearranges anything.

    Examples
    --------
    >>> conv = Conv2D(3, 16, 3, stride=2, padding="same", rng=0)
    >>> conv.weight
    Parameter(shape=(16, 3, 3, 3), dtype=float64)
    >>> y, cache = conv.forward(np.zeros((5, 3, 28, 28)))
    >>> y.shape, conv.backward(y, cache).shape
    ((5, 16, 14, 14), (5, 3, 28, 28))
    >>> conv.predict(np.zeros((5, 1, 28, 28)))
    Traceback (most recent call last):
    ...
    minibackprop.errors.ShapeError: Conv2D expects (N, 3, H, W), got (5, 1, 28, 28)
    """

    axes = 2
    axis_names = "H, W"
