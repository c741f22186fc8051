"""The gated recurrent unit."""

from __future__ import annotations

import numpy as np
from attrs import define, field

from minibackprop.layers.recurrent.base import Recurrent, to_sigmoids
from minibackprop.state import Parameter
from minibackprop.validation import Array


@define(eq=False, slots=False, repr=False, init=False)
class GRU(Recurrent):
    """
    The gated recurrent unit: a state that is kept or overwritten, entry by entry.

    With s for the sigmoid, and W, U and b in three blocks of columns ::

        r = s(x[t] @ W_r + b_r + h[t - 1] @ U_r)
        z = s(x[t] @ W_z + b_z + h[t - 1] @ U_z)         what is kept
        q = h[t - 1] @ U_n + c
        n = tanh(x[t] @ W_n + b_n + r * q)
        h[t] = (1 - z) * n + z * h[t - 1]

    h begins as zeros; y is all the states, or the last one. r multiplies the product, not h: so all three products are
    one (as in PyTorch, and in Keras by default). Backward goes through time as that of `RNN` does. With da the
    gradients by the arguments of s and tanh ::

        da_n = dh[t] * (1 - z) * (1 - n ** 2)
        da_z = dh[t] * (h[t - 1] - n) * z * (1 - z)
        da_r = da_n * q * r * (1 - r)
        dq = da_n * r
        dh[t - 1] += dh[t] * z + [da_r, da_z, dq] @ U.T

    da_r, da_z and dq are what U and c get theirs from; da_r, da_z and da_n, what W, b and x do.

    From K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
    2014.

    All arguments, errors and the side input `lengths` are those of `RNN`.

    Attributes
    ----------
    weight, recurrent_weight : Parameter
        W and U, of shapes (in_features, 3 * out_features) and (out_features, 3 * out_features): r, z and n.
    bias, recurrent_bias : Parameter or None
        b and c, of shapes (3 * out_features,) and (out_features,), which start at zero.
    lengths : array or None
        As for `RNN`.

    Examples
    --------
    >>> gru = GRU(3, 2, return_sequences=False, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(5, 7, 3))
    >>> gru.predict(x).shape
    (5, 2)
    >>> last = gru.given(lengths=np.full(5, 4)).predict(x)
    >>> np.allclose(last, gru.predict(x[:, :4]))
    True
    """

    _arrays = 5
    _gates = 3
    _sigmoids = (slice(0, 2),)

    recurrent_bias: Parameter | None = field(init=False)

    def _complete(self) -> None:
        self.recurrent_bias = None if self.bias is None else Parameter(self.bias.value[: self.out_features])

    def _step(self, before: Array, after: Array, inputs: Array, product: Array) -> None:
        h, q, r, z, n = after
        product[:2] += inputs[:2]
        np.tanh(product[:2], after[2:4])
        to_sigmoids(after[2:4])
        np.add(product[2], 0.0 if self.recurrent_bias is None else self.recurrent_bias.value, q)
        np.multiply(r, q, h)
        h += inputs[2]
        np.tanh(h, n)
        np.subtract(before[0], n, h)
        h *= z
        h += n

    def _slopes(self, before: Array, after: Array) -> tuple[Array, ...]:
        _, q, r, _, n = after.swapaxes(0, 1)
        sigmoids, slopes = after[:, 2:4], np.empty_like(after[:, 2:])
        rest = 1.0 - sigmoids
        by_n = n * n
        np.subtract(1.0, by_n, by_n)
        by_n *= rest[:, 1]
        np.multiply(sigmoids, rest, slopes[:, :2])
        slopes[:, 0] *= q
        slopes[:, 0] *= by_n
        slopes[:, 1] *= before[:, 0] - n
        np.multiply(by_n, r, slopes[:, 2])
        return slopes, by_n, sigmoids[:, 1]

    def _step_back(self, dh: Array, dh_before: Array, d: Array, carry: Array, *slopes: Array) -> None:
        by_products, by_n, z = slopes
        np.multiply(by_products, dh, d)
        by_n *= dh
        np.multiply(z, dh, carry)
        dh_before += carry

    def _by_inputs(self, d: Array, *slopes: Array) -> Array:
        n = slice(2 * self.out_features, None)
        if self.recurrent_bias is not None:
            self.recurrent_bias.add(d[:, n].sum(axis=0))
        by_inputs = d.copy()
        by_inputs[:, n] = slopes[1].reshape(-1, self.out_features)
        return by_inputs
