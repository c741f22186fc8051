"""Attention: each step of a sequence looks at the others, and takes from those that matter to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.arrays import kind_of
from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError
from minibackprop.initializers import GlorotUniform, Init
from minibackprop.layers._padding import require_lengths, require_mask, valid_steps
from minibackprop.layers.combinators import call_part
from minibackprop.layers.dense import Dense
from minibackprop.numerics.error_state import quiet
from minibackprop.rng import Rng, as_generator
from minibackprop.validation import Array, as_float_dtype, is_flag, is_size, require_gradient, require_numbers

#: What `_attend` keeps of a block of queries: which these are and which keys they see, both along T; the weights P,
#: transposed; and whether products of Q and K overflow.
_Block: TypeAlias = tuple[slice, slice, Array, bool]
#: What it keeps of all: Q / sqrt(d), K, V and C, all (N, heads, T, d); and the blocks.
_Attended: TypeAlias = tuple[Array, Array, Array, Array, list[_Block]]


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
    gradient with respect to its input S is ``dL/dS = P * (dL/dP - D)`` with D the row sums of ``P * dL/dP``, which are
    those of ``G * C``; and ``dL/dQ = dL/dS @ K / sqrt(d)``, ``dL/dK = dL/dS.T @ Q / sqrt(d)``. The rest is that of
    `Dense`.

    Where a score is larger than its type holds (entries of 1e20 in float32), each step still takes the values at its
    largest score. Where `G @ V.T` or y itself overflows, there is no finite gradient.

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
        Makes their initial weights, of shapes (features, 3 * features) and (features, features); see `Initializer`.
    dtype : dtype
        float64, float32 or a wider floating-point one.
    rng : Generator, RandomState, int or None
        What `init` draws from.

    Attributes
    ----------
    qkv, output : Dense
        What makes queries, keys and values, in this order, and what makes y.
    lengths : array or None
        A side input, set by `given`: how many steps of each sample are valid, as integers of shape (N,).
    mask : array or None
        A side input: which steps are valid, as booleans of shape (N, T), True for those that are (in PyTorch, for those
        that are not). Steps that are not valid, or lie beyond `lengths`, are padding: no step looks at them, whatever
        they hold, their y is 0, and so is the gradient with respect to their x. A sample that is all padding gives
        zeros.

    Raises
    ------
    ConfigError
        If an argument is out of its range, or `num_heads` does not divide `features`. In a call, if a length is
        negative or beyond T.
    ShapeError
        In a call, if the input or a side input has another shape.
    DTypeError
        If the input is complex, `lengths` is not an array of integers, or `mask` is not one of booleans.

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
        """Compute y; the cache holds the weights P."""
        valid = self._valid_steps(x)
        qkv, qkv_cache = call_part("qkv", self.qkv, self.qkv.forward, _without_padding(x, valid))
        c, attended = quiet().run(self._attend, qkv, valid)
        y, output_cache = call_part("output", self.output, self.output.forward, c)
        return _without_padding(y, valid), (qkv_cache, attended, output_cache, valid, y.shape)

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        valid = self._valid_steps(x)
        qkv = call_part("qkv", self.qkv, self.qkv.predict, _without_padding(x, valid))
        c, _ = quiet().run(self._attend, qkv, valid)
        return _without_padding(call_part("output", self.output, self.output.predict, c), valid)

    def backward(self, grad: Array, cache: Any, /) -> Array:
        """Add to the gradients of both `Dense` layers, and return dL/dx."""
        dx: Array = call_part("qkv", self.qkv, self.qkv.backward, self._back_to_qkv(grad, cache), cache[0])
        return dx

    def accumulate(self, grad: Array, cache: Any, /) -> None:
        """Add to the gradients of both `Dense` layers."""
        call_part("qkv", self.qkv, self.qkv.accumulate, self._back_to_qkv(grad, cache), cache[0])

    def _back_to_qkv(self, grad: Array, cache: Any) -> Array:
        """Send `grad` back as far as queries, keys and values; add to the gradients of the last layer."""
        _, attended, output_cache, valid, shape = cache
        require_gradient(self, grad, shape)
        dc = call_part("output", self.output, self.output.backward, _without_padding(grad, valid), output_cache)
        return quiet().run(self._attend_back, dc, attended)

    def _heads(self, x: Array, parts: int) -> Array:
        """View (N, T, parts * features) as (parts, N, heads, T, d)."""
        split = x.reshape(*x.shape[:2], parts, self.num_heads, self.features // self.num_heads)
        return split.transpose(2, 0, 3, 1, 4)

    def _attend(self, qkv: Array, valid: Array | None) -> tuple[Array, _Attended]:
        """Compute the C of all heads, side by side, and what its backward needs."""
        q, k, v = self._heads(qkv, 3)
        q = q * q.shape[-1] ** -0.5
        side_by_side = np.empty(q.shape[:1] + q.shape[2:3] + (self.features,), q.dtype, like=q)
        (c,) = self._heads(side_by_side, 1)
        blocks: list[_Block] = []
        for queries, keys in self._blocks(q.shape[2]):
            mask = self._additive_mask(q, queries, valid)
            weights, overflows = _weights(q[:, :, queries], k[:, :, keys], mask)
            np.matmul(weights.swapaxes(2, 3), v[:, :, keys], out=c[:, :, queries])
            blocks.append((queries, keys, weights, overflows))
        return side_by_side, (q, k, v, c, blocks)

    def _attend_back(self, grad: Array, attended: _Attended) -> Array:
        """Send dL/dC back to queries, keys and values, side by side."""
        q, k, v, c, blocks = attended
        (g,) = self._heads(grad, 1)
        side_by_side = np.empty((*grad.shape[:2], 3 * self.features), np.result_type(grad, c), like=grad)
        dq, dk, dv = self._heads(side_by_side, 3)
        sums = np.einsum("nhtd,nhtd->nht", g, c)[:, :, np.newaxis]
        for queries, keys, weights, overflows in reversed(blocks):
            g_block = g[:, :, queries]
            ds = np.matmul(v[:, :, keys], g_block.swapaxes(2, 3))
            if overflows:  # Where P is 0 or 1, the difference has to be 0: a rounding error, times K, would overflow.
                ds -= np.einsum("nhkq,nhkq->nhq", ds, weights)[:, :, np.newaxis]
            else:
                ds -= sums[..., queries]
            ds *= weights
            np.matmul(ds.swapaxes(2, 3), k[:, :, keys], out=dq[:, :, queries])
            if queries.stop == g.shape[2]:  # These see all keys.
                np.matmul(ds, q[:, :, queries], out=dk)
                np.matmul(weights, g_block, out=dv)
            else:
                dk[:, :, keys] += np.matmul(ds, q[:, :, queries])
                dv[:, :, keys] += np.matmul(weights, g_block)
        dq *= q.shape[-1] ** -0.5
        return side_by_side

    def _blocks(self, steps: int) -> Iterator[tuple[slice, slice]]:
        """
        Cut the queries into blocks, each with the keys that they see: all of them at once where all see all keys.

        Where `causal`, that spares up to half of the work. Blocks of less are slower: each takes a dozen calls.
        """
        size = max(steps, 1) if not self.causal else 32 if steps <= 64 else 64
        for start in range(0, steps, size):
            stop = min(start + size, steps)
            yield slice(start, stop), slice(stop)

    def _additive_mask(self, q: Array, queries: slice, valid: Array | None) -> Array | None:
        """Make what is added to the scores of the last keys, (..., key, query): -inf where not to be seen, else 0."""
        if valid is None and not self.causal:
            return None
        first = queries.start if valid is None else 0  # All queries of a block see the keys before it.
        key = np.arange(first, queries.stop, like=q)[:, np.newaxis]
        query = np.arange(queries.start, queries.stop, like=q)
        hidden = key > query if self.causal else np.zeros_like(key > query)
        if valid is not None:
            # But never all of them: a query that is padding sees itself.
            hidden = hidden | (~valid[:, np.newaxis, : queries.stop] & (key != query))
        return np.where(hidden, -np.inf, 0.0).astype(q.dtype)

    def _valid_steps(self, x: Array) -> Array | None:
        """Check the input; tell which steps are valid, in the shape (N, T, 1), None for all."""
        name = "MultiHeadAttention"
        require_numbers(name, x)
        if x.ndim != 3 or x.shape[2] != self.features:
            raise ShapeError(name, f"(N, T, {self.features})", str(x.shape))
        if self.lengths is None and self.mask is None:
            return None
        samples, steps, _ = x.shape
        valid = np.ones_like(x, bool, "C", shape=(samples, steps, 1))
        if self.lengths is not None:
            require_lengths(name, self.lengths, x)
            valid &= valid_steps(self.lengths, 0, steps).swapaxes(0, 1)
        if self.mask is not None:
            require_mask(name, self.mask, x)
            valid &= self.mask[:, :, np.newaxis]
        return valid


def _without_padding(x: Array, valid: Array | None) -> Array:
    """Put zeros in the place of padding."""
    return x if valid is None else np.where(valid, x, 0.0)


def _weights(q: Array, k: Array, mask: Array | None) -> tuple[Array, bool]:
    """Compute the weights P of some queries, transposed, and tell whether products of Q and K overflow."""
    # Transposed, (N, heads, key, query): reductions go over the last axis but one many times faster.
    scores = np.matmul(k, q.swapaxes(2, 3))
    if mask is not None:
        scores[:, :, -mask.shape[-2] :] += mask
    largest = _max_over_keys(scores)
    # On a device, nobody waits for the answer: what overflows there is not finite, as in other frameworks.
    overflows = kind_of(largest) is np.ndarray and not np.isfinite(largest).all()
    scores = _far_apart(q, k, mask) if overflows else np.subtract(scores, largest, out=scores)
    weights: Array = np.exp(scores, out=scores)
    ones = np.ones_like(weights, shape=(1, weights.shape[2]))
    weights *= 1 / np.matmul(ones, weights)
    return weights, overflows


def _far_apart(q: Array, k: Array, mask: Array | None) -> Array:
    """
    Compute the scores, less the largest, where products of Q and K overflow: of smaller ones, enlarged afterwards.

    What is far below the largest score is -infinity then, but no difference of two infinities is taken.
    """
    limit = (float(np.finfo(q.dtype).max) / (4 * q.shape[-1])) ** 0.5
    shrink_q = np.minimum(limit / np.abs(q).max(axis=3, keepdims=True), 1.0)
    shrink_k = np.minimum(limit / np.abs(k).max(axis=(2, 3), keepdims=True), 1.0)  # One for all keys of a head.
    scores: Array = np.matmul(k * shrink_k, (q * shrink_q).swapaxes(2, 3))
    if mask is not None:
        scores[:, :, -mask.shape[-2] :] += mask
    scores -= _max_over_keys(scores)
    scores /= shrink_k
    scores /= shrink_q.swapaxes(2, 3)
    return scores


def _max_over_keys(scores: Array) -> Array:
    """Find the largest scores along the last axis but one: by halves, several times faster than by ``scores.max``."""
    while (count := scores.shape[-2]) > 1:
        half = (count + 1) // 2
        scores = np.maximum(scores[..., :half, :], scores[..., count - half :, :])
    return scores
