"""The gated recurrent unit."""

from __future__ import annotations

import numpy as np
from attrs import define, field

from minibackprop.initializers import Zeros, initial_parameter
from minibackprop.layers.recurrent.base import Recurrent, Step, exp_to_sigmoid
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
    gradients with respect to the arguments of s and tanh ::

        da_n = dh[t] * (1 - z) * (1 - n ** 2)
        da_z = dh[t] * (h[t - 1] - n) * z * (1 - z)
        da_r = da_n * q * r * (1 - r)
        dq = da_n * r
        dh[t - 1] += dh[t] * z + [da_r, da_z, dq] @ U.T

    The gradients of U and c come from da_r, da_z and dq; those of W, b and x, from da_r, da_z and da_n.

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

    _gates = "rzn"
    _sigmoids = "rz"
    _workspace = 5
    _derived = 5

    recurrent_bias: Parameter | None = field(init=False)

    def _complete(self) -> None:
        self.recurrent_bias = None
        if self.bias is not None:
            dtype = self.bias.value.dtype
            self.recurrent_bias = initial_parameter("GRU", Zeros(), (self.out_features,), dtype)

    def _stepper(self, hu: Array, work: Array, work_after: Array, /) -> Step:
        hu_rz, hu_n = hu[:2], hu[2]
        rz = work[:2]
        r, z, r_q, z_d, n = work
        recurrent_bias = None if self.recurrent_bias is None else self.recurrent_bias.value

        def step(xw: Array, h_before: Array, h: Array) -> None:
            np.exp(xw[:2] + hu_rz, out=rz)
            exp_to_sigmoid(rz)
            q = hu_n if recurrent_bias is None else hu_n + recurrent_bias
            np.tanh(xw[2] + np.multiply(r, q, out=r_q), out=n)
            # (1 - z) * n + z * h_before, by one product.
            np.add(n, np.multiply(z, h_before - n, out=z_d), out=h)

        return step

    def _derive(self, work: Array, after: Array, /) -> None:
        rz, products = work[:2], work[2:4]
        r, z, _, _, n = work
        _, dh_da_r, _, dh_dq, dh_da_n, dh_dh_before = after
        # A product p = s * v of a sigmoid and something else: dp_da is v * s * (1 - s), which is p - p * s.
        by_a = after[1:3]
        np.multiply(products, rz, out=by_a)
        np.subtract(products, by_a, out=by_a)
        np.multiply(1.0 - n * n, 1.0 - z, out=dh_da_n)
        np.multiply(dh_da_n, r, out=dh_dq)
        dh_da_r *= dh_da_n
        dh_dh_before[...] = z

    def _step_back(self, dh: Array, dh_before: Array, dhu: Array, dc: Array, after: Array, /) -> None:
        dh_dhu, dh_dh_before = after[1:4], after[5]
        np.multiply(dh, dh_dhu, out=dhu)
        dh_before += dh * dh_dh_before

    def _dhu_to_dxw(self, dhu: Array, dh: Array, after: Array, /) -> None:
        _, _, dq = dhu
        if self.recurrent_bias is not None:
            self.recurrent_bias.add(dq.sum(axis=(0, 1)))
        da_n, dh_da_n = dq, after[4]  # da_n takes its place.
        np.multiply(dh, dh_da_n, out=da_n)
