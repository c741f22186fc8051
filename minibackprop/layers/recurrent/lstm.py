"""Long short-term memory."""

from __future__ import annotations

import numpy as np
from attrs import define

from minibackprop.layers.recurrent.base import Recurrent, Step, exp_to_sigmoid
from minibackprop.rng import Rng
from minibackprop.validation import Array


@define(eq=False, slots=False, repr=False, init=False)
class LSTM(Recurrent):
    """
    Long short-term memory: a cell c beside the state h, which gates write to, keep and read.

    With s for the sigmoid, and W, U and b in four blocks of columns ::

        i = s(x[t] @ W_i + b_i + h[t - 1] @ U_i)         what is written
        f = s(x[t] @ W_f + b_f + h[t - 1] @ U_f)         what is kept
        g = tanh(x[t] @ W_g + b_g + h[t - 1] @ U_g)
        o = s(x[t] @ W_o + b_o + h[t - 1] @ U_o)         what is read
        c[t] = f * c[t - 1] + i * g
        h[t] = o * tanh(c[t])

    h and c begin as zeros; y is all the states h, or the last one. Backward goes through time as that of `RNN` does,
    with dc, the gradient with respect to the cell, beside dh. With da the gradients with respect to the arguments of s
    and tanh, together the da[t] of `RNN` ::

        dc[t] += dh[t] * o * (1 - tanh(c[t]) ** 2)
        da_i = dc[t] * g * i * (1 - i)
        da_f = dc[t] * c[t - 1] * f * (1 - f)
        da_g = dc[t] * i * (1 - g ** 2)
        da_o = dh[t] * tanh(c[t]) * o * (1 - o)
        dc[t - 1] = dc[t] * f

    While f is near to 1, a gradient passes many steps as it is.

    From S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", 1997; f is from F. Gers, J. Schmidhuber and
    F. Cummins, "Learning to Forget: Continual Prediction with LSTM", 2000.

    All arguments, errors and the side input `lengths` are those of `RNN`.

    Attributes
    ----------
    weight, recurrent_weight : Parameter
        W and U, of shapes (in_features, 4 * out_features) and (out_features, 4 * out_features): i, f, g and o.
    bias : Parameter or None
        b, of shape (4 * out_features,). It starts at zero, that of f at one: a cell that forgets from the start would
        not learn what to keep (R. Jozefowicz, W. Zaremba and I. Sutskever, "An Empirical Exploration of Recurrent
        Network Architectures", 2015).
    lengths : array or None
        As for `RNN`.

    Examples
    --------
    >>> lstm = LSTM(3, 2, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(5, 7, 3))
    >>> y = lstm.predict(x)
    >>> y.shape
    (5, 7, 2)

    With lengths, each sample gives what it gives alone:

    >>> y = lstm.given(lengths=np.array([7, 4, 1, 0, 2])).predict(x)
    >>> np.allclose(y[1, :4], lstm.predict(x[1:2, :4])[0]), bool(y[1, 4:].any())
    (True, False)
    """

    _gates = "ifgo"
    _sigmoids = "oif"
    _workspace = 8
    _derived = 6

    def _initial_bias(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        b = np.zeros(shape)
        _, f, _, _ = b.reshape(4, self.out_features)
        f[...] = 1.0
        return b

    def _stepper(self, hu: Array, work: Array, work_after: Array, /) -> Step:
        a_oif, a_g = hu[:3], hu[3]
        oif, i_f, g_c, ig_fc = work[:3], work[1:3], work[4:6], work[6:]
        o, _, _, tanh_c, g, _, i_g, f_c = work  # The c among them is c[t - 1].
        c = work_after[5]

        def step(xw: Array, _: Array, h: Array) -> None:
            np.add(xw, hu, out=hu)
            np.exp(a_oif, out=oif)
            exp_to_sigmoid(oif)
            np.tanh(a_g, out=g)
            np.multiply(i_f, g_c, out=ig_fc)
            np.add(i_g, f_c, out=c)
            np.tanh(c, out=tanh_c)
            np.multiply(o, tanh_c, out=h)

        return step

    def _derive(self, work: Array, after: Array, /) -> None:
        o, i, f, tanh_c, g, _, i_g, _ = work
        h, dh_da_o, _, _, dc_da_g, dh_dc, dc_dc_before = after
        # A product p = s * v of a sigmoid and something else: dp_da is v * s * (1 - s), which is p - p * s.
        i_f, ig_fc, dc_da_if = work[1:3], work[6:], after[2:4]
        np.multiply(ig_fc, i_f, out=dc_da_if)
        np.subtract(ig_fc, dc_da_if, out=dc_da_if)
        np.multiply(h, o, out=dh_da_o)
        np.subtract(h, dh_da_o, out=dh_da_o)
        # Of a product p = s * t with a tanh: s * (1 - t ** 2), which is s - p * t.
        np.multiply(i_g, g, out=dc_da_g)
        np.subtract(i, dc_da_g, out=dc_da_g)
        np.multiply(h, tanh_c, out=dh_dc)
        np.subtract(o, dh_dc, out=dh_dc)
        dc_dc_before[...] = f

    def _step_back(self, dh: Array, dh_before: Array, da: Array, dc: Array, after: Array, /) -> None:
        _, dh_da_o, _, _, _, dh_dc, dc_dc_before = after
        dc_da_ifg = after[2:5]
        dc += dh * dh_dc
        np.multiply(dc, dc_da_ifg, out=da[:3])
        np.multiply(dh, dh_da_o, out=da[3])
        dc *= dc_dc_before
