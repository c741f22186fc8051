"""Attention: each step of a sequence looks at the others, and takes from those that matter to it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError
from minibackprop.initializers import GlorotUniform, Init
from minibackprop.layers._padding import require_lengths, require_mask
from minibackprop.layers.combinators import call_part
from minibackprop.layers.dense import Dense
from minibackprop.numerics.error_state import quiet
from minibackprop.rng import Rng, as_generator
from minibackprop.validation import Array, as_float_dtype, is_flag, is_size, require_gradient, require_real

#: Queries, keys, values, exponentials, 1 / their sums, and what comes of them: all (N, heads, T, ...).
_Memory: TypeAlias = tuple[Array, Array, Array, Array, Array, Array]


@define(eq=False, slots=False, repr=False, init=False)
class MultiHeadAttention(Layer):
    """
    Self-attention with several heads: every step takes a weighted mean over all steps, with weights of its own.

    One `Dense` makes queries, keys and values of x; each head has d = features / num_heads columns of each, Q, K and V.
    For every sample and head ::

        P = softmax(Q @ K.T / sqrt(d))          a row for each step, that sums to 1
        C = P @ V

    and another `Dense` maps the C of all heads, side by side, to y.

    Backward, with G = dL/dC: the products give ``dL/dV = P.T @ G`` and ``dL/dP = G @ V.T``; through softmax, the
    gradient by its input S is ``dL/dS = P * (dL/dP - D)`` with D the row sums of ``P * dL/dP``, which are those of
    ``G * C``; and ``dL/dQ = dL/dS @ K / sqrt(d)``, ``dL/dK = dL/dS.T @ Q / sqrt(d)``. The rest is that of `Dense`.

    From A. Vaswani et al., "Attention Is All You Need", 2017.

    Parameters
    ----------
    features : int
        The length of the last axis of input and output, which have shape (N, T, features). T may differ from call to
        call.
    num_heads : int
        How many heads there are; a divisor of `features`.
    causal : bool
        Whether a step sees only itself and those before it.
    bias : bool
        Whether both `Dense` layers add one.
    init : callable
        Makes their first weights, of shapes (features, 3 * features) and (features, features); see `Initializer`.
    dtype : dtype
        float64, float32 or a wider floating-point one.
    rng : Generator, RandomState, int or None
        What `init` draws from.

    Attributes
    ----------
    qkv, output : Dense
        What makes queries, keys and values, in this order, and what makes y.
    lengths : array or None
        A side input, set by `given`: how many steps of each sample are real, as integers of shape (N,).
    mask : array or None
        A side input: which steps take part, as booleans of shape (N, T), True for those that do (in PyTorch, for those
        that do not). Steps that do not take part, or lie beyond `lengths`, are padding: no step looks at them, whatever
        they hold, their y is 0, and so is the gradient of their x. A sample that is all padding gives zeros.

    Raises
    ------
    ConfigError
        If an argument is out of its range, or `num_heads` does not divide `features`. In a call, if a length is
        negative or beyond T.
    ShapeError
        In a call, if the input or a side input has another shape; in backward, if the gradient has not that of the
        output.
    DTypeError
        If the input is no array of real numbers, `lengths` none of integers, or `mask` none of booleans.

    Examples
    --------
    >>> attention = MultiHeadAttention(4, 2, causal=True, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(1, 3, 4))
    >>> before = attention.predict(x)
    >>> x[:, 2] += 1.0
    >>> np.isclose(attention.predict(x), before).all(axis=2)
    array([[ True,  True, False]])
    >>> attention.given(lengths=np.array([0])).predict(x).any()
    np.False_
    """

    side_inputs = ("lengths", "mask")

    features: int = field(validator=is_size)
    num_heads: int = field(validator=is_size)
    causal: bool = field(validator=is_flag)
    bias: bool = field(validator=is_flag)
    qkv: Dense = field(init=False)
    output: Dense = field(init=False)
    lengths: Array | None = field(default=None, init=False)
    mask: Array | None = field(default=None, init=False)

    def __init__(
        self,
        features: int,
        num_heads: int,
        *,
        causal: bool = False,
        bias: bool = True,
        init: Init = GlorotUniform(),
        dtype: DTypeLike = np.float64,
        rng: Rng = None,
    ) -> None:
        self.__attrs_init__(features, num_heads, causal, bias)
        if features % num_heads:
            raise ConfigError("MultiHeadAttention: num_heads", f"a divisor of features={features}", str(num_heads))
        rng = as_generator(rng)
        dtype = as_float_dtype("MultiHeadAttention: dtype", dtype)
        self.qkv = Dense(features, 3 * features, bias, init=init, dtype=dtype, rng=rng)
        self.output = Dense(features, features, bias, init=init, dtype=dtype, rng=rng)

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Compute y; the cache holds the weights P, not yet divided by the sums of their rows."""
        real = self._real(x)
        qkv, qkv_cache = call_part("qkv", self.qkv, self.qkv.forward, _only(real, x))
        mixed, memory = quiet().run(self._mix, qkv, real)
        y, output_cache = call_part("output", self.output, self.output.forward, mixed)
        return _only(real, y), (qkv_cache, memory, output_cache, real, y.shape)

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        real = self._real(x)
        qkv = call_part("qkv", self.qkv, self.qkv.predict, _only(real, x))
        mixed, _ = quiet().run(self._mix, qkv, real)
        return _only(real, call_part("output", self.output, self.output.predict, mixed))

    def backward(self, grad: Array, cache: Any, /) -> Array:
        """Add to the gradients of both `Dense` layers, and return dL/dx."""
        back: Array = call_part("qkv", self.qkv, self.qkv.backward, self._by_qkv(grad, cache), cache[0])
        return back

    def accumulate(self, grad: Array, cache: Any, /) -> None:
        """Add to the gradients of both `Dense` layers."""
        call_part("qkv", self.qkv, self.qkv.accumulate, self._by_qkv(grad, cache), cache[0])

    def _by_qkv(self, grad: Array, cache: Any) -> Array:
        """Send `grad` back as far as queries, keys and values; add to the gradients of the last layer."""
        _, memory, output_cache, real, shape = cache
        require_gradient(self, grad, shape)
        back = call_part("output", self.output, self.output.backward, _only(real, grad), output_cache)
        return quiet().run(self._unmix, back, memory)

    def _heads(self, x: Array, parts: int) -> Array:
        """View (N, T, parts * features) as (parts, N, heads, T, d)."""
        split = x.reshape(*x.shape[:2], parts, self.num_heads, self.features // self.num_heads)
        return split.transpose(2, 0, 3, 1, 4)

    def _mix(self, qkv: Array, real: Array | None) -> tuple[Array, _Memory]:
        """Compute C of all heads, side by side, and what its backward needs."""
        q, k, v = self._heads(qkv, 3)
        q = q * q.shape[-1] ** -0.5
        # Transposed, (N, heads, key, query): reductions go over the last axis but one many times faster.
        weights = np.matmul(k, q.swapaxes(2, 3))
        if self.causal or real is not None:
            weights += self._hidden(real, weights)
        weights -= _largest(weights)
        np.exp(weights, weights)
        # Not weights / total, but C / total, which is smaller.
        ones = np.ones((1, weights.shape[2]), weights.dtype, like=weights)
        scale = 1 / np.matmul(ones, weights).swapaxes(2, 3)
        mixed = np.empty((*qkv.shape[:2], self.features), weights.dtype, like=qkv)
        (heads,) = self._heads(mixed, 1)
        np.matmul(weights.swapaxes(2, 3), v, heads)
        heads *= scale
        return mixed, (q, k, v, weights, scale, heads)

    def _unmix(self, grad: Array, memory: _Memory) -> Array:
        """Send dL/dC back to queries, keys and values, side by side."""
        q, k, v, weights, scale, heads = memory
        (grad_heads,) = self._heads(grad, 1)
        grad_heads = grad_heads * scale
        slope = np.matmul(v, grad_heads.swapaxes(2, 3))
        slope -= np.einsum("nhtd,nhtd->nht", grad_heads, heads)[:, :, np.newaxis]
        slope *= weights
        back = np.empty((*grad.shape[:2], 3 * self.features), slope.dtype, like=slope)
        by_q, by_k, by_v = self._heads(back, 3)
        np.matmul(slope.swapaxes(2, 3), k, by_q)
        by_q *= q.shape[-1] ** -0.5
        np.matmul(slope, q, by_k)
        np.matmul(weights, grad_heads, by_v)
        return back

    def _hidden(self, real: Array | None, scores: Array) -> Array:
        """Make what hides a key from a query when it is added: -inf, or else 0."""
        steps = np.arange(scores.shape[2], like=scores)
        key, query = steps[:, np.newaxis], steps
        hidden = key > query if self.causal else np.zeros_like(key > query)
        if real is not None:
            # But never all of them: a query that is padding sees itself.
            hidden = hidden | (~real[:, np.newaxis, :, np.newaxis] & (key != query))
        return np.where(hidden, -np.inf, 0.0).astype(scores.dtype)

    def _real(self, x: Array) -> Array | None:
        """Check the input; tell which steps are no padding, None for all."""
        name = "MultiHeadAttention"
        require_real(name, x)
        if x.ndim != 3 or x.shape[2] != self.features:
            raise ShapeError(name, f"(N, T, {self.features})", str(x.shape))
        if self.lengths is None and self.mask is None:
            return None
        samples, steps, _ = x.shape
        real = np.ones((samples, steps), bool, like=x)
        if self.lengths is not None:
            require_lengths(name, self.lengths, x)
            real &= np.arange(steps, like=x) < self.lengths[:, np.newaxis]
        if self.mask is not None:
            require_mask(name, self.mask, x)
            real &= self.mask
        return real


def _only(real: Array | None, x: Array) -> Array:
    """Put zeros in the place of padding."""
    return x if real is None else np.where(real[:, :, np.newaxis], x, 0.0)


def _largest(x: Array) -> Array:
    """Find the largest entries along the last axis but one: by halves, several times faster than by x.max."""
    while (count := x.shape[-2]) > 1:
        half = (count + 1) // 2
        x = np.maximum(x[..., :half, :], x[..., count - half :, :])
    return x
