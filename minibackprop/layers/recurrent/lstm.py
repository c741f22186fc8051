"""Long short-term memory."""

from __future__ import annotations

import numpy as np
from attrs import define

from minibackprop.layers.recurrent.base import Recurrent, exp_to_sigmoid
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
    _arrays = 6
    _derived = 6

    def _initial_bias(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        b = np.zeros(shape)
        _, f, _, _ = b.reshape(4, self.out_features)
        f[...] = 1.0
        return b

    def _step(self, h_before: Array, h: Array, here: Array, after: Array, xw: Array, hu: Array, /) -> None:
        o, _, _, g, _, tanh_c = here
        oif, i_f, g_c, c = here[:3], here[1:3], here[3:5], after[4]  # This c is c[t], that beside g is c[t - 1].
        a = np.add(xw, hu, out=hu)
        np.exp(a[:3], out=oif)
        exp_to_sigmoid(oif)
        np.tanh(a[3], out=g)
        written, kept = np.multiply(i_f, g_c, out=a[:2])
        np.add(written, kept, out=c)
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=h)

    def _derive(self, h_before: Array, h: Array, here: Array, derived: Array, /) -> None:
        o, i, f, g, c_before, tanh_c = here
        dc_da_i, dc_da_f, dc_da_g, dh_da_o, dh_dc, dc_dc = derived
        # i * (1 - i) is i - i * i, and o * (1 - tanh(c) ** 2) is o - h * tanh(c).
        np.multiply(i, i, out=dc_da_i)
        np.subtract(i, dc_da_i, out=dc_da_i)
        dc_da_i *= g
        np.multiply(f, f, out=dc_da_f)
        np.subtract(f, dc_da_f, out=dc_da_f)
        dc_da_f *= c_before
        np.multiply(g, g, out=dc_da_g)
        np.subtract(1.0, dc_da_g, out=dc_da_g)
        dc_da_g *= i
        np.multiply(o, o, out=dh_da_o)
        np.subtract(o, dh_da_o, out=dh_da_o)
        dh_da_o *= tanh_c
        np.multiply(h, tanh_c, out=dh_dc)
        np.subtract(o, dh_dc, out=dh_dc)
        dc_dc[...] = f

    def _step_back(self, dh: Array, dh_before: Array, da: Array, dc: Array, derived: Array, /) -> None:
        dh_da_o, dh_dc, dc_dc = derived[3:]
        dc += dh * dh_dc
        np.multiply(dc, derived[:3], out=da[:3])
        np.multiply(dh, dh_da_o, out=da[3])
        dc *= dc_dc
