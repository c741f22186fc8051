"""Normalization over the batch."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.arrays import kind_of
from minibackprop.core import Layer
from minibackprop.errors import ShapeError
from minibackprop.initializers import Constant, Zeros, initial_buffer, initial_parameter
from minibackprop.layers._statistics import (
    along,
    as_real,
    centre,
    centre_across,
    require_channels,
    sums,
    through_statistics,
)
from minibackprop.state import Buffer, Parameter
from minibackprop.validation import (
    Array,
    as_float,
    is_from_0_to_1,
    is_positive,
    is_size,
    require_gradient,
)

#: x - mean, 1 / sqrt(var + epsilon), and how many values these are of; 0 where they are the running ones.
_Cache: TypeAlias = tuple[Array, Array, int]


@define(eq=False, slots=False, repr=False, init=False)
class BatchNorm(Layer):
    """
    Brings each channel to mean 0 and variance 1 over the batch, then to a learned scale and shift.

    ``y = weight * n + bias`` with ``n = (x - mean) / sqrt(var + epsilon)``, where the mean and the variance of each
    channel are those of its m values in the batch (the variance divided by m). `predict` takes running statistics in
    their place: exponential moving averages over the batches seen in training.

    Backward: the mean and the variance depend on every value of the channel. With s = sqrt(var + epsilon), from
    ``dmean/dx_j = 1 / m`` and ``dvar/dx_j = 2 * (x_j - mean) / m`` follows ``ds/dx_j = n_j / m``, so that ::

        dn_i/dx_j = ((i == j) - 1 / m - n_i * n_j / m) / s

    and, with g = dL/dy, all sums and means over the channel's values::

        dL/dx = weight / s * (g - mean(g) - n * mean(g * n))
        dL/dweight = sum(g * n)
        dL/dbias = sum(g)

    Where workers share a batch, these sums are over the whole of it: two small ones forward, and one back.

    From S. Ioffe and C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", 2015.

    Parameters
    ----------
    num_features : int
        How many channels, C: the length of axis 1 of the input, which has shape (N, C), or (N, C, ...) for images.
    momentum : float
        The weight of a batch in the running statistics, from 0 to 1: ``running = (1 - momentum) * running + momentum *
        statistic``, as in PyTorch. (Keras calls the other factor so.)
    epsilon : float
        Added to the variance, so that a channel of equal values gives zeros.
    dtype : dtype
        float64, float32 or a wider floating-point one.

    Attributes
    ----------
    weight, bias : Parameter
        The scale and the shift of each channel, gamma and beta in the paper, of shape (C,). They start as 1 and 0.
    running_mean, running_var : Buffer
        What `predict` normalizes by, of shape (C,). They start as 0 and 1. The variance is the unbiased one, divided by
        m - 1. A batch without a finite variance leaves both as they are. NaN or infinity in it makes NaN of y, and
        so of the loss; values so large that their squares overflow make a y that is the bias alone.

    Raises
    ------
    ConfigError
        If an argument is out of its range.
    ShapeError
        In a call, if axis 1 is not `num_features` long; in `forward`, if a channel has a single value, which has no
        variance.
    DTypeError
        If the input is complex.

    Examples
    --------
    >>> norm = BatchNorm(2, momentum=0.5)
    >>> y, cache = norm.forward(np.array([[1.0, 50.0], [3.0, 70.0]]))
    >>> y.round(3)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> norm.running_mean.value, norm.running_var.value
    (array([ 1., 30.]), array([  1.5, 100.5]))
    >>> norm.predict(np.array([[1.0, 30.0]]))
    array([[0., 0.]])
    """

    trailing_axes = True
    freezable = True
    synchronizes = True
    aggregation = MappingProxyType({"running_mean": "first", "running_var": "first"})
    couples_samples = "normalizes by the mean and the variance of the batch"

    num_features: int = field(validator=is_size)
    momentum: float = field(converter=as_float, validator=is_from_0_to_1)
    epsilon: float = field(converter=as_float, validator=is_positive)
    weight: Parameter = field(init=False)
    bias: Parameter = field(init=False)
    running_mean: Buffer = field(init=False)
    running_var: Buffer = field(init=False)

    def __init__(
        self, num_features: int, momentum: float = 0.1, epsilon: float = 1e-5, *, dtype: DTypeLike = np.float64
    ) -> None:
        self.__attrs_init__(num_features, momentum, epsilon)
        shape = (num_features,)
        self.weight = initial_parameter("BatchNorm", Constant(1.0), shape, dtype)
        self.bias = initial_parameter("BatchNorm", Zeros(), shape, dtype)
        self.running_mean = initial_buffer("BatchNorm", Zeros(), shape, dtype)
        self.running_var = initial_buffer("BatchNorm", Constant(1.0), shape, dtype)

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y, and move the running statistics; a frozen layer uses them, and leaves them as they are."""
        require_channels(self, x, self.num_features)
        if self.frozen:
            centred = as_real(x) - along(x, 1, self.running_mean.value)
            inverse = 1 / np.sqrt(self.running_var.value + self.epsilon)
            return self._scaled(centred, inverse), (centred, inverse, 0)
        count = x.size // self.num_features
        if self.across is not None:
            centred, mean, variance, count = centre_across(as_real(x), 1, count, self.across)
        if count < 2:
            expected = "two values of each channel to train on (larger batches, or drop_last=True)"
            raise ShapeError("BatchNorm", expected, str(x.shape))
        if self.across is None:
            centred, mean = centre(as_real(x), 1, count)
            variance = sums(1, centred, centred) / count
        inverse = 1 / np.sqrt(variance + self.epsilon)
        y = self._scaled(centred, inverse)
        finite: Any = np.isfinite(variance).all()
        self._follow(self.running_mean, mean, finite)
        self._follow(self.running_var, variance * (count / (count - 1)), finite)
        return y, (centred, inverse, count)

    def predict(self, x: Array, /) -> Array:
        """Compute y by the running statistics."""
        require_channels(self, x, self.num_features)
        inverse = 1 / np.sqrt(self.running_var.value + self.epsilon)
        y: Array = x - along(x, 1, self.running_mean.value)
        y *= along(x, 1, self.weight.value * inverse)
        y += along(x, 1, self.bias.value)
        return y

    def _scaled(self, centred: Array, inverse: Array) -> Array:
        y: Array = centred * along(centred, 1, self.weight.value * inverse)
        y += along(centred, 1, self.bias.value)
        return y

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradients of weight and bias, and return dL/dx."""
        bias_grad, weight_grad = self._accumulate(grad, cache)
        centred, inverse, count = cache
        if not count:
            back: Array = grad * along(grad, 1, inverse * self.weight.value)
            return back
        if self.across is not None:
            bias_grad, weight_grad = self.across(np.stack([bias_grad, weight_grad]))
        # n * mean(g * n), with n = centred * inverse.
        mean, slope = along(grad, 1, bias_grad / count), along(grad, 1, inverse * weight_grad / count)
        return through_statistics(grad, centred, mean, slope, along(grad, 1, inverse * self.weight.value))

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of weight and bias."""
        self._accumulate(grad, cache)

    def _accumulate(self, grad: Array, cache: _Cache) -> tuple[Array, Array]:
        """Add to the gradients, dL/dbias and dL/dweight, and return them."""
        centred, inverse, _ = cache
        require_gradient(self, grad, centred.shape)
        bias_grad, weight_grad = sums(1, grad), inverse * sums(1, grad, centred)
        # Products with n overflow later. On a device, nobody waits for the answer: it is not finite there.
        if kind_of(weight_grad) is np.ndarray and not np.isfinite(weight_grad).all():
            weight_grad = sums(1, grad, centred * along(centred, 1, inverse))
        self.bias.add(bias_grad)
        self.weight.add(weight_grad)
        return bias_grad, weight_grad

    def _follow(self, running: Buffer, statistic: Array, finite: Any) -> None:
        """Move running statistics towards those of a batch; in a new array, so that no reader sees a part of it."""
        if isinstance(finite, np.generic) and not finite:
            return
        old, momentum = running.value, self.momentum
        moved = ((1 - momentum) * old + momentum * statistic).astype(old.dtype, copy=False)
        running.value = moved if isinstance(finite, np.generic) else np.where(finite, moved, old)
