"""The gated recurrent unit."""

from __future__ import annotations

import numpy as np
from attrs import define, field

from minibackprop.layers.recurrent.base import Recurrent, tanh_to_sigmoid
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

    _arrays = "hqrzn"
    _gates = "rzn"
    _sigmoids = "rz"

    recurrent_bias: Parameter | None = field(init=False)

    def _complete(self) -> None:
        self.recurrent_bias = None if self.bias is None else Parameter(self.bias.value[: self.out_features])

    def _step(self, before: Array, after: Array, xw: Array, hu: Array, /) -> None:
        h_before, rz = before[0], after[2:4]
        h, q, r, z, n = after
        np.tanh(xw[:2] + hu[:2], out=rz)
        tanh_to_sigmoid(rz)
        np.add(hu[2], 0.0 if self.recurrent_bias is None else self.recurrent_bias.value, out=q)
        np.tanh(xw[2] + r * q, out=n)
        np.add(n, z * (h_before - n), out=h)

    def _derivatives(self, before: Array, after: Array, /) -> tuple[Array, ...]:
        h_before, rzn = before[0], after[2:]
        _, q, r, z, n = after
        dh_dr, dh_dz, dh_dq = slopes = np.empty_like(rzn)
        dh_dn = (1.0 - n * n) * (1.0 - z)
        np.multiply(dh_dn, r, out=dh_dq)
        np.multiply(r * (1.0 - r) * q, dh_dn, out=dh_dr)
        np.multiply(z * (1.0 - z), h_before - n, out=dh_dz)
        return slopes.swapaxes(0, 1), z, dh_dn

    def _step_back(self, dh: Array, dh_before: Array, dhu: Array, dc: Array, /, *derivatives: Array) -> None:
        dh_drzq, z, _ = derivatives
        np.multiply(dh, dh_drzq, out=dhu)
        dh_before += dh * z

    def _to_xw(self, dhu: Array, dh: Array, /, *derivatives: Array) -> None:
        _, _, dh_dn = derivatives
        dq = dn = dhu[2]
        if self.recurrent_bias is not None:
            self.recurrent_bias.add(dq.sum(axis=(0, 1)))
        np.multiply(dh, dh_dn, out=dn)
