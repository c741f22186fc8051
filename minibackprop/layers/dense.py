"""The fully connected layer."""

from __future__ import annotations

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ShapeError
from minibackprop.initializers import GlorotUniform, Init, Zeros, initial_parameter
from minibackprop.numerics.functions import column_sums
from minibackprop.rng import Rng
from minibackprop.state import Parameter
from minibackprop.validation import Array, is_flag, is_size, require_gradient, require_numbers


@define(eq=False, slots=False, repr=False, init=False)
class Dense(Layer):
    """
    An affine map of the last axis: ``y = x @ W + b``.

    Backward, with G = dL/dy and all leading axes taken as rows: ``dL/dW = x.T @ G``, ``dL/db`` is the sum of the rows
    of G, ``dL/dx = G @ W.T``.

    Parameters
    ----------
    in_features, out_features : int
        Input of shape (..., in_features) gives output of shape (..., out_features).
    bias : bool
        Whether to add b, which starts at zero. The article's layers have none.
    init : callable
        Makes the initial W from ``(shape, rng)``; see `Initializer`.
    dtype : dtype
        float64, float32 or a wider floating-point one.
    rng : Generator, RandomState, int or None
        What `init` draws from.

    Attributes
    ----------
    weight : Parameter
        W, of shape (in_features, out_features): the article's synapses.
    bias : Parameter or None
        b, of shape (out_features,).

    Raises
    ------
    ConfigError
        If a size is not a positive integer, `bias` is not a bool, `dtype` is not one of these, or what `init` makes
        does not have the shape it was asked for.
    ShapeError
        In a call, if the last axis is not `in_features` long.

    Examples
    --------
    >>> dense = Dense(2, 3, init=lambda shape, rng: np.arange(6.0).reshape(shape))
    >>> y, cache = dense.forward(np.array([[1.0, 10.0]]))
    >>> y
    array([[30., 41., 52.]])
    >>> dense.backward(np.array([[1.0, 0.0, 0.0]]), cache)
    array([[0., 3.]])
    >>> dense.weight.grad
    array([[ 1.,  0.,  0.],
           [10.,  0.,  0.]])
    """

    leading_axes = True

    in_features: int = field(validator=is_size)
    out_features: int = field(validator=is_size)
    use_bias: bool = field(validator=is_flag, alias="bias")
    weight: Parameter = field(init=False)
    bias: Parameter | None = field(init=False)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Init = GlorotUniform(),
        dtype: DTypeLike = np.float64,
        rng: Rng = None,
    ) -> None:
        self.__attrs_init__(in_features, out_features, bias)
        self.weight = initial_parameter("Dense", init, (in_features, out_features), dtype, rng)
        self.bias = initial_parameter("Dense", Zeros(), (out_features,), dtype) if bias else None

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        """Compute y; x itself is the cache."""
        return self.predict(x), x

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        try:
            if x.ndim != 2:
                return self._over_leading_axes(x)
            # dot lets other threads run in every product, `@` only in a large one: threads that predict a sample each
            # would do little but take turns. (But `@` refuses masked arrays.)
            one = len(x) == 1 and type(x) is np.ndarray
            y: Array = x @ self.weight.value if one else x.dot(self.weight.value)
            if y.dtype.kind != "f":
                self._require_features(x)
        except Exception as error:
            self._require_features(x, error)
            raise
        if self.bias is not None:
            y += self.bias.value
        return y

    def backward(self, grad: Array, x: Array, /) -> Array:
        """Add to the gradients of W and b, and return dL/dx."""
        self.accumulate(grad, x)
        back: Array
        if x.ndim == 2:
            back = grad.dot(self.weight.value.T)
        else:
            back = grad.reshape(-1, self.out_features).dot(self.weight.value.T).reshape(x.shape)
        return back

    def accumulate(self, grad: Array, x: Array, /) -> None:
        """Add to the gradients of W and b."""
        try:
            if x.ndim != 2:
                require_gradient(self, grad, (*x.shape[:-1], self.out_features))
                x, grad = x.reshape(-1, self.in_features), grad.reshape(-1, self.out_features)
            if self.weight.frozen:
                require_gradient(self, grad, (*x.shape[:-1], self.out_features))
                weight_grad = None
            else:
                weight_grad = x.T.dot(grad)
            # The bias first: if it refuses the gradient (integers, say), the weight is still as it was.
            if self.bias is not None:
                self.bias.add(column_sums(grad))
            if weight_grad is not None:
                self.weight.add(weight_grad)
        except Exception:
            # Not before: each of these refuses what does not fit, and a batch of a few numbers has no time for more.
            require_gradient(self, grad, (*x.shape[:-1], self.out_features))
            raise

    def _over_leading_axes(self, x: Array) -> Array:
        """Take all axes but the last as one: over three axes, np.dot and matmul are many times slower than over two."""
        self._require_features(x)
        return self.predict(x.reshape(-1, self.in_features)).reshape(*x.shape[:-1], self.out_features)

    def _require_features(self, x: Array, cause: Exception | None = None) -> None:
        require_numbers("Dense", x, cause)
        if x.shape[-1:] != (self.in_features,):
            raise ShapeError("Dense", f"(..., {self.in_features})", str(x.shape)) from cause
