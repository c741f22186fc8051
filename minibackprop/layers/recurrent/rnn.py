"""The plain recurrent cell."""

from __future__ import annotations

import numpy as np
from attrs import define

from minibackprop.layers.recurrent.base import Recurrent, Step
from minibackprop.validation import Array


@define(eq=False, slots=False, repr=False, init=False)
class RNN(Recurrent):
    """
    The simple recurrent layer: ``h[t] = tanh(x[t] @ W + b + h[t - 1] @ U)``, which begins with a state of zeros.

    y is all the states, or the last one. Backward goes through time, from the last step to the first. dh[t], the
    gradient with respect to a state, is what dL/dy has for it, plus what the step after it sends back. With da[t] the
    gradient with respect to a[t], the argument of tanh ::

        da[t] = dh[t] * (1 - h[t] ** 2)
        dh[t - 1] += da[t] @ U.T
        dL/dx[t] = da[t] @ W.T

    and as all steps use the same parameters, their gradients are sums over the steps: of ``x[t].T @ da[t]`` for W, of
    ``h[t - 1].T @ da[t]`` for U, and of the rows of da[t] for b.

    From J. Elman, "Finding Structure in Time", 1990.

    Parameters
    ----------
    in_features, out_features : int
        Input of shape (N, T, in_features), N sequences of T steps, gives output of shape (N, T, out_features).
    return_sequences : bool
        Whether y is all the states; else it is the last one, of shape (N, out_features).
    bias : bool
        Whether to add b.
    init, recurrent_init : callable
        Make the initial W and U from ``(shape, rng)``; see `Initializer`.
    dtype : dtype
        float64, float32 or a wider floating-point one.
    rng : Generator, RandomState, int or None
        What W, then U, are drawn from.

    Attributes
    ----------
    weight, recurrent_weight : Parameter
        W and U, of shapes (in_features, out_features) and (out_features, out_features).
    bias : Parameter or None
        b, of shape (out_features,), which starts at zero.
    lengths : array or None
        A side input: how many steps of each sample are valid, as integers of shape (N,), from 0 to T; the rest is
        padding. Whatever the padding holds, y is 0 there, and so is the gradient with respect to x; dL/dy there is
        ignored. The last state is that of the last valid step; for a length of 0, it is zeros.

    Raises
    ------
    ConfigError
        If an argument is out of its range, or what `init` or `recurrent_init` makes is not of the shape it was asked
        for. In a call, if a length is out of its range.
    ShapeError
        In a call, if x has another shape or no steps, or `lengths` another shape.
    DTypeError
        If the input or the gradient is complex, or `lengths` is not an array of integers.

    Examples
    --------
    >>> rnn = RNN(1, 1, init=lambda shape, rng: np.ones(shape), recurrent_init=lambda shape, rng: np.ones(shape))
    >>> x = np.array([[[1.0], [0.0], [0.0]]])
    >>> y, cache = rnn.forward(x)
    >>> y.round(3).tolist()
    [[[0.762], [0.642], [0.566]]]
    >>> rnn.given(lengths=np.array([2])).predict(x).round(3).tolist()
    [[[0.762], [0.642], [0.0]]]

    The first step reaches the last state by the derivatives of all steps:

    >>> back = rnn.backward(np.array([[[0.0], [0.0], [1.0]]]), cache)
    >>> bool(np.isclose(back[0, 0, 0], (1 - y**2).prod()))
    True
    """

    _gates = "h"

    def _stepper(self, hu: Array, work: Array, work_after: Array, /) -> Step:
        (a,) = hu

        def step(xw: Array, _: Array, h: Array) -> None:
            np.add(xw, hu, out=hu)
            np.tanh(a, out=h)

        return step

    def _derivatives(self, after: Array, /) -> Array:
        return 1.0 - after * after

    def _step_back(self, dh: Array, dh_before: Array, da: Array, dc: Array, dh_da: Array, /) -> None:
        np.multiply(dh, dh_da, out=da)
