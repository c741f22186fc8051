"""Normalization within each sample; and the steps that it shares with `BatchNorm`."""

from __future__ import annotations

from abc import abstractmethod
from math import prod
from typing import Any, ClassVar

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError
from minibackprop.initializers import Constant, Zeros, initial_parameter
from minibackprop.state import Parameter
from minibackprop.validation import Array, is_positive, is_size, require_numbers, require_real


def along(x: Array, axis: int, values: Array) -> Array:
    """Shape one number for each place along an axis so that it meets that axis of x."""
    return values.reshape(-1, *[1] * (x.ndim - 1 - axis % x.ndim))


def sums(axis: int, *factors: Array) -> Array:
    """Sum a product over all axes but one, without an array of the products."""
    axes = list(range(factors[0].ndim))
    operands: list[Any] = [operand for factor in factors for operand in (factor, axes)]
    found: Array = np.einsum(*operands, [axes[axis]])
    return found


def centre(x: Array, axis: int, count: int) -> tuple[Array, Array]:
    """Compute x - mean, and the mean of the `count` values that there are at each place along an axis."""
    mean = sums(axis, x) / count
    centred: Array = x - along(x, axis, mean)
    # The mean of large values may be rounded by more than they vary: take away what is left of it.
    rest = sums(axis, centred) / count
    centred -= along(x, axis, rest)
    return centred, mean + rest


def through_statistics(grad: Array, normal: Array, mean: Array | float, slope: Array, scale: Array) -> Array:
    """Compute ``scale * (grad - mean - normal * slope)``: what is left when the statistics follow the input."""
    back: Array = normal * slope
    back += mean
    np.subtract(grad, back, out=back)
    back *= scale
    return back


def as_real(subject: str, x: Array) -> Array:
    """Return x; integers as floating-point numbers, since their sums might wrap around."""
    if x.dtype.kind == "f":
        return x
    require_real(subject, x)
    return x * 1.0


class _WithinSamples(Layer):
    """
    What layers share that normalize rows of numbers, each row of a single sample.

    A subclass says in `_rows` what is a row. There is a weight for each place along an axis of x.
    """

    _axis: ClassVar[int] = -1
    _is_centred: ClassVar[bool] = True

    epsilon: float
    weight: Parameter
    bias: Parameter | None = None

    @abstractmethod
    def _rows(self, x: Array) -> tuple[int, int]:
        """Say how many rows x has, and how long they are; refuse another shape."""

    def _start(self, width: int, dtype: DTypeLike) -> None:
        """Make the parameters."""
        name = type(self).__name__
        self.weight = initial_parameter(name, Constant(1.0), (width,), dtype)
        if self._is_centred:
            self.bias = initial_parameter(name, Zeros(), (width,), dtype)

    def forward(self, x: Array, /) -> tuple[Array, tuple[Array, Array, tuple[int, ...]]]:
        """Compute y; the cache is n and 1 / s, row by row, and the shape of y."""
        try:
            x = as_real(type(self).__name__, x)
            shape = self._rows(x)
            rows, count = x.reshape(shape), shape[1] or 1
            if self._is_centred:
                rows, _ = centre(rows, 0, count)
            variance = sums(0, rows, rows) / count
            inverse = along(rows, 0, 1 / np.sqrt(variance + float(self.epsilon)))
            normal = np.multiply(rows, inverse, out=rows if self._is_centred else None)
            y: Array = normal.reshape(x.shape) * along(x, self._axis, self.weight.value)
            if self.bias is not None:
                y += along(x, self._axis, self.bias.value)
        except Exception as error:
            require_real(type(self).__name__, x, error)
            raise
        return y, (normal, inverse, x.shape)

    def backward(self, grad: Array, cache: tuple[Array, Array, tuple[int, ...]], /) -> Array:
        """Add to the gradients of weight and bias, and return dL/dx."""
        self.accumulate(grad, cache)
        normal, inverse, shape = cache
        grad = (grad * along(grad, self._axis, self.weight.value)).reshape(normal.shape)
        count = normal.shape[1] or 1
        mean = along(grad, 0, sums(0, grad) / count) if self._is_centred else 0.0
        slope = along(grad, 0, sums(0, grad, normal) / count)
        return through_statistics(grad, normal, mean, slope, inverse).reshape(shape)

    def accumulate(self, grad: Array, cache: tuple[Array, Array, tuple[int, ...]], /) -> None:
        """Add to the gradients of weight and bias."""
        normal, _, shape = cache
        try:
            if grad.shape != shape:
                raise ShapeError(type(self).__name__, f"a gradient of shape {shape}", str(grad.shape))
            slope = sums(self._axis, grad, normal.reshape(shape))
            if self.bias is not None:
                self.bias.add(sums(self._axis, grad))
            self.weight.add(slope)
        except Exception as error:
            require_numbers(type(self).__name__, grad, error)
            raise


@define(eq=False, slots=False, repr=False, init=False)
class _OverFeatures(_WithinSamples):
    """What `LayerNorm` and `RMSNorm` share: a row is the last axis of x."""

    leading_axes = True

    num_features: int = field(validator=is_size)
    epsilon: float = field(validator=is_positive)
    weight: Parameter = field(init=False)

    def __init__(self, num_features: int, epsilon: float = 1e-5, *, dtype: DTypeLike = np.float64) -> None:
        self.__attrs_init__(num_features, epsilon)
        self._start(num_features, dtype)

    def _rows(self, x: Array) -> tuple[int, int]:
        if x.shape[-1:] != (self.num_features,):
            raise ShapeError(type(self).__name__, f"(..., {self.num_features})", str(x.shape))
        return x.size // self.num_features, self.num_features


@define(eq=False, slots=False, repr=False, init=False)
class LayerNorm(_OverFeatures):
    """
    Brings the features of each sample to mean 0 and variance 1, then to a learned scale and shift.

    ``y = weight * n + bias`` with ``n = (x - mean) / s`` and ``s = sqrt(var + epsilon)``, where the mean and the
    variance are those of the m entries along the last axis (the variance divided by m). No sample depends on another,
    so that training and inference are the same.

    Backward is that of `BatchNorm`, along the other axis. The weight differs from entry to entry here, so it comes
    first: with g = dL/dn = weight * dL/dy, and means over the last axis ::

        dL/dx = (g - mean(g) - n * mean(g * n)) / s
        dL/dweight = sum(dL/dy * n)
        dL/dbias = sum(dL/dy)

    with the last two sums over all other axes.

    From J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", 2016.

    Parameters
    ----------
    num_features : int
        The length of the last axis of the input, m; there may be any others before it.
    epsilon : float
        Added to the variance, so that equal features give zeros.
    dtype : dtype
        float64, float32 or a wider floating-point one.

    Attributes
    ----------
    weight, bias : Parameter
        The scale and the shift of each feature, of shape (num_features,). They start as 1 and 0.

    Raises
    ------
    ConfigError
        If an argument is out of its range.
    ShapeError
        In a call, if the last axis is not `num_features` long; in `backward`, if the gradient has not the shape of the
        output.
    DTypeError
        If the input is no array of real numbers.

    Examples
    --------
    >>> norm = LayerNorm(3)
    >>> y, cache = norm.forward(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 30.0]]))
    >>> y.round(3)
    array([[-1.225,  0.   ,  1.225],
           [-0.707, -0.707,  1.414]])
    >>> norm.backward(np.ones((2, 3)), cache)
    array([[0., 0., 0.],
           [0., 0., 0.]])
    """

    bias: Parameter = field(init=False)


@define(eq=False, slots=False, repr=False, init=False)
class RMSNorm(_OverFeatures):
    """
    Brings the features of each sample to a mean square of 1, then to a learned scale.

    ``y = weight * n`` with ``n = x / s`` and ``s = sqrt(mean(x**2) + epsilon)``, the mean over the last axis: a
    `LayerNorm` that subtracts nothing and adds nothing.

    Backward, with g = dL/dn = weight * dL/dy and means over the last axis: ``dL/dx = (g - n * mean(g * n)) / s``, and
    ``dL/dweight`` is the sum of ``dL/dy * n`` over all other axes.

    From B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", 2019.

    Parameters
    ----------
    num_features : int
        The length of the last axis of the input; there may be any others before it.
    epsilon : float
        Added to the mean square, so that zeros give zeros.
    dtype : dtype
        float64, float32 or a wider floating-point one.

    Attributes
    ----------
    weight : Parameter
        The scale of each feature, of shape (num_features,). It starts as 1.

    Raises
    ------
    ConfigError, ShapeError, DTypeError
        As for `LayerNorm`.

    Examples
    --------
    >>> norm = RMSNorm(2)
    >>> norm.predict(np.array([[3.0, 4.0]])).round(3)
    array([[0.849, 1.131]])
    """

    _is_centred = False


@define(eq=False, slots=False, repr=False, init=False)
class GroupNorm(_WithinSamples):
    """
    Brings groups of channels of each sample to mean 0 and variance 1, then each channel to a learned scale and shift.

    ``y = weight * n + bias`` with ``n = (x - mean) / s`` and ``s = sqrt(var + epsilon)``, where the mean and the
    variance are those of all entries of a sample in one group of neighbouring channels. As many groups as channels
    are known as instance normalization. Unlike with `BatchNorm`, the size of the batch makes no difference.

    Backward is that of `LayerNorm`, with means over the entries of a group, and sums over all axes but that of the
    channels.

    From Y. Wu and K. He, "Group Normalization", 2018.

    Parameters
    ----------
    num_groups : int
        How many groups there are; a divisor of `num_channels`.
    num_channels : int
        The length of axis 1 of the input, which has shape (N, C) or (N, C, ...).
    epsilon : float
        Added to the variance, so that a group of equal entries gives zeros.
    dtype : dtype
        float64, float32 or a wider floating-point one.

    Attributes
    ----------
    weight, bias : Parameter
        The scale and the shift of each channel, of shape (num_channels,). They start as 1 and 0.

    Raises
    ------
    ConfigError
        If an argument is out of its range, or `num_groups` does not divide `num_channels`.
    ShapeError
        In a call, if axis 1 is not `num_channels` long; in `backward`, if the gradient has not the shape of the output.
    DTypeError
        If the input is no array of real numbers.

    Examples
    --------
    >>> norm = GroupNorm(2, 4)
    >>> norm.predict(np.array([[1.0, 3.0, 10.0, 50.0]])).round(3)
    array([[-1.,  1., -1.,  1.]])
    """

    _axis = 1

    trailing_axes = True

    num_groups: int = field(validator=is_size)
    num_channels: int = field(validator=is_size)
    epsilon: float = field(validator=is_positive)
    weight: Parameter = field(init=False)
    bias: Parameter = field(init=False)

    def __init__(
        self, num_groups: int, num_channels: int, epsilon: float = 1e-5, *, dtype: DTypeLike = np.float64
    ) -> None:
        self.__attrs_init__(num_groups, num_channels, epsilon)
        if num_channels % num_groups:
            raise ConfigError("GroupNorm: num_groups", f"a divisor of num_channels={num_channels}", str(num_groups))
        self._start(num_channels, dtype)

    def _rows(self, x: Array) -> tuple[int, int]:
        if x.shape[1:2] != (self.num_channels,):
            raise ShapeError("GroupNorm", f"(N, {self.num_channels}) or (N, {self.num_channels}, ...)", str(x.shape))
        return x.shape[0] * self.num_groups, prod(x.shape[1:]) // self.num_groups
