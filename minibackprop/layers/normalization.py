"""Normalization within each sample: over its features, or over groups of its channels."""

from __future__ import annotations

from math import prod
from typing import TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError
from minibackprop.initializers import Constant, Zeros, initial_parameter
from minibackprop.layers._statistics import (
    along,
    as_real,
    normalize_rows,
    require_channels,
    require_features,
    row_means,
    sums,
    through_statistics,
)
from minibackprop.numerics.functions import column_sums
from minibackprop.state import Parameter
from minibackprop.validation import (
    Array,
    as_float,
    is_positive,
    is_size,
    require_gradient,
)

#: n and 1 / s, row by row, and the shape of y.
_Cache: TypeAlias = tuple[Array, Array, tuple[int, ...]]


def _weighted_means(weight: Array, rows: Array) -> Array:
    """Average ``weight * row`` for each row, as a column."""
    means: Array = rows.dot(weight)[:, np.newaxis] / len(weight)
    return means


@define(eq=False, slots=False, repr=False, init=False)
class LayerNorm(Layer):
    """
    Brings the features of each sample to mean 0 and variance 1, then to a learned scale and shift.

    ``y = weight * n + bias`` with ``n = (x - mean) / s`` and ``s = sqrt(var + epsilon)``, where the mean and the
    variance are those of the m entries along the last axis (the variance divided by m). No sample depends on another,
    so that training and inference are the same. Entries so large that their squares overflow make an n of 0, as in
    `BatchNorm`; so they do in `RMSNorm` and `GroupNorm`.

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
        In a call, if the last axis is not `num_features` long.
    DTypeError
        If the input is complex.

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

    leading_axes = True

    num_features: int = field(validator=is_size)
    epsilon: float = field(converter=as_float, validator=is_positive)
    weight: Parameter = field(init=False)
    bias: Parameter = field(init=False)

    def __init__(self, num_features: int, epsilon: float = 1e-5, *, dtype: DTypeLike = np.float64) -> None:
        self.__attrs_init__(num_features, epsilon)
        self.weight = initial_parameter("LayerNorm", Constant(1.0), (num_features,), dtype)
        self.bias = initial_parameter("LayerNorm", Zeros(), (num_features,), dtype)

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y; the cache is n and 1 / s in rows, one for each place before the last axis, and the shape of y."""
        require_features(self, x, self.num_features)
        n, inverse = normalize_rows(as_real(x).reshape(-1, self.num_features), self.epsilon)
        y: Array = n.reshape(x.shape) * self.weight.value
        y += self.bias.value
        return y, (n, inverse, x.shape)

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradients of weight and bias, and return dL/dx."""
        n, inverse, shape = cache
        grad, products = self._accumulate(grad, cache)
        weight = self.weight.value
        mean, slope = _weighted_means(weight, grad), _weighted_means(weight, products)  # Those of g and of g * n.
        return through_statistics(grad * weight, n, mean, slope, inverse).reshape(shape)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of weight and bias."""
        self._accumulate(grad, cache)

    def _accumulate(self, grad: Array, cache: _Cache) -> tuple[Array, Array]:
        """Add to the gradients of weight and bias; return dL/dy and dL/dy * n, in rows."""
        n, _, shape = cache
        require_gradient(self, grad, shape)
        grad = grad.reshape(n.shape)
        products = grad * n
        # The bias first: if it refuses the gradient (integers, say), the weight is still as it was.
        self.bias.add(column_sums(grad))
        if not self.weight.frozen:
            self.weight.add(column_sums(products))
        return grad, products


@define(eq=False, slots=False, repr=False, init=False)
class RMSNorm(Layer):
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

    leading_axes = True
    bias = None  # As with a `Dense` that has none.

    num_features: int = field(validator=is_size)
    epsilon: float = field(converter=as_float, validator=is_positive)
    weight: Parameter = field(init=False)

    def __init__(self, num_features: int, epsilon: float = 1e-5, *, dtype: DTypeLike = np.float64) -> None:
        self.__attrs_init__(num_features, epsilon)
        self.weight = initial_parameter("RMSNorm", Constant(1.0), (num_features,), dtype)

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y; the cache is n and 1 / s in rows, one for each place before the last axis, and the shape of y."""
        require_features(self, x, self.num_features)
        rows = as_real(x).reshape(-1, self.num_features)
        inverse = 1 / np.sqrt(row_means(rows, rows) + self.epsilon)
        n = rows * inverse
        y: Array = n.reshape(x.shape) * self.weight.value
        return y, (n, inverse, x.shape)

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradient of weight, and return dL/dx."""
        n, inverse, shape = cache
        grad, products = self._accumulate(grad, cache)
        weight = self.weight.value
        return through_statistics(grad * weight, n, 0.0, _weighted_means(weight, products), inverse).reshape(shape)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradient of weight."""
        self._accumulate(grad, cache)

    def _accumulate(self, grad: Array, cache: _Cache) -> tuple[Array, Array]:
        """Add to the gradient of weight; return dL/dy and dL/dy * n, in rows."""
        n, _, shape = cache
        require_gradient(self, grad, shape)
        grad = grad.reshape(n.shape)
        products = grad * n
        self.weight.add(column_sums(products))
        return grad, products


@define(eq=False, slots=False, repr=False, init=False)
class GroupNorm(Layer):
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
        In a call, if axis 1 is not `num_channels` long.
    DTypeError
        If the input is complex.

    Examples
    --------
    >>> norm = GroupNorm(2, 4)
    >>> norm.predict(np.array([[1.0, 3.0, 10.0, 50.0]])).round(3)
    array([[-1.,  1., -1.,  1.]])
    """

    trailing_axes = True

    num_groups: int = field(validator=is_size)
    num_channels: int = field(validator=is_size)
    epsilon: float = field(converter=as_float, validator=is_positive)
    weight: Parameter = field(init=False)
    bias: Parameter = field(init=False)

    def __init__(
        self, num_groups: int, num_channels: int, epsilon: float = 1e-5, *, dtype: DTypeLike = np.float64
    ) -> None:
        self.__attrs_init__(num_groups, num_channels, epsilon)
        if num_channels % num_groups:
            raise ConfigError("GroupNorm: num_groups", f"a divisor of num_channels={num_channels}", str(num_groups))
        self.weight = initial_parameter("GroupNorm", Constant(1.0), (num_channels,), dtype)
        self.bias = initial_parameter("GroupNorm", Zeros(), (num_channels,), dtype)

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y; the cache is n and 1 / s in rows, one for each group of each sample, and the shape of y."""
        require_channels(self, x, self.num_channels)
        rows = as_real(x).reshape(len(x) * self.num_groups, prod(x.shape[1:]) // self.num_groups)
        n, inverse = normalize_rows(rows, self.epsilon)
        y: Array = n.reshape(x.shape) * along(x, 1, self.weight.value)
        y += along(x, 1, self.bias.value)
        return y, (n, inverse, x.shape)

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradients of weight and bias, and return dL/dx."""
        self.accumulate(grad, cache)
        n, inverse, shape = cache
        g = (grad * along(grad, 1, self.weight.value)).reshape(n.shape)
        return through_statistics(g, n, row_means(g), row_means(g, n), inverse).reshape(shape)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of weight and bias."""
        n, _, shape = cache
        require_gradient(self, grad, shape)
        self.bias.add(sums(1, grad))
        self.weight.add(sums(1, grad, n.reshape(shape)))
