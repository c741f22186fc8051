"""Recurrent layers: sequences read step by step, with a state that carries on what was read."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Array, Layer, Parameter, ShapeError, floating
from minibackprop.floating_point import quiet
from minibackprop.initializers import GlorotUniform, Init, Orthogonal, first_values
from minibackprop.layers.padding import require_lengths
from minibackprop.rng import Rng, as_generator
from minibackprop.validation import is_flag, is_size, require_numbers, require_real

#: The input, all that the steps have computed, and the lengths.
_Cache: TypeAlias = tuple[Array, Array, Array | None]

#: How many entries of gates are worked on at a time, at least a step's: few enough to stay in the processor's cache.
_BLOCK = 2**16


@define(eq=False, slots=False, repr=False, init=False)
class Recurrent(Layer):
    """
    What recurrent layers share: the way through time and back, and sequences of different lengths.

    A subclass is a cell. Both products, ``x W + b`` and ``h U``, are blocks of columns, the gates. A cell says in
    `_step` how they make the next state; in `_slopes` and `_step_back`, how the gradient by a state becomes that by the
    gates. What it computes in a step are arrays of shape (N, out_features), the state first and the gates last.
    """

    side_inputs = ("lengths",)

    #: How many arrays a step has, how many of them are gates, and which of these are sigmoids.
    _arrays: ClassVar[int]
    _gates: ClassVar[int]
    _sigmoids: ClassVar[tuple[int | slice, ...]] = ()

    in_features: int = field(validator=is_size)
    out_features: int = field(validator=is_size)
    return_sequences: bool = field(validator=is_flag)
    use_bias: bool = field(validator=is_flag, alias="bias")
    weight: Parameter = field(init=False)
    recurrent_weight: Parameter = field(init=False)
    bias: Parameter | None = field(init=False)
    lengths: Array | None = field(default=None, init=False)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        return_sequences: bool = True,
        bias: bool = True,
        init: Init = GlorotUniform(),
        recurrent_init: Init = Orthogonal(),
        dtype: DTypeLike = np.float64,
        rng: Rng = None,
    ) -> None:
        self.__attrs_init__(in_features, out_features, return_sequences, bias)
        name, rng = type(self).__name__, as_generator(rng)
        dtype, width = floating(f"{name}: dtype", dtype), self._gates * out_features
        first = first_values(name, init, (in_features, width), rng)
        recurrent = first_values(name, recurrent_init, (out_features, width), rng, "recurrent_init")
        self.weight, self.recurrent_weight = Parameter(first.astype(dtype)), Parameter(recurrent.astype(dtype))
        self.bias = Parameter(np.zeros(width, dtype)) if bias else None
        self._complete()

    def _complete(self) -> None:
        """Add what only this cell has."""

    @abstractmethod
    def _step(self, before: Array, after: Array, inputs: Array, product: Array) -> None:
        """
        Fill in `after`, the arrays of a step, from those of the step before.

        `inputs` and `product`, which may be written to, are ``x W + b`` and ``h U``, by gates; they are halved where
        the gate is a sigmoid.
        """

    @abstractmethod
    def _slopes(self, before: Array, after: Array) -> tuple[Array, ...]:
        """Compute all that the gradient is not needed for, for many steps at once: arrays for `_step_back`."""

    @abstractmethod
    def _step_back(self, dh: Array, dh_before: Array, d: Array, carry: Array, *slopes: Array) -> None:
        """
        Write the gradient by the gates' ``h U`` into `d`, from `dh`, that by the state.

        What reaches the state before on another way than by ``h U`` is added to `dh_before`. `carry` is the cell's own,
        from each step to the one before; it starts as zeros.
        """

    def _by_inputs(self, d: Array, *slopes: Array) -> Array:
        """Turn the gradient by ``h U``, in rows, into that by ``x W + b``: the same, where a cell adds up the two."""
        return d

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y; the cache is x and what each step has computed."""
        name = type(self).__name__
        try:
            if x.ndim != 3 or x.shape[2] != self.in_features or not x.shape[1]:
                raise ShapeError(name, f"(N, T, {self.in_features}), of at least one step", str(x.shape))
            dtype = np.result_type(x.dtype, self.weight.value.dtype)
            if dtype.kind != "f":
                require_real(name, x)
            lengths = self.lengths
            if lengths is not None:
                require_lengths(name, lengths, x)
        except Exception as error:
            require_numbers(name, x, error)
            raise
        arrays: Array = quiet.run(self._through_time, x, lengths, dtype)
        states = arrays[:, 0]
        if not self.return_sequences:
            last: Array = states[-1].copy() if lengths is None else states[lengths, np.arange(len(x), like=lengths)]
            return last, (x, arrays, lengths)
        y = states[1:] if lengths is None else np.where(_real(lengths, 0, x.shape[1]), states[1:], 0.0)
        return y.swapaxes(0, 1).copy(), (x, arrays, lengths)

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        return Recurrent.forward(self, x)[0]

    def _through_time(self, x: Array, lengths: Array | None, dtype: np.dtype[Any]) -> Array:
        """Compute the arrays of all steps, those before the first step included, which are zeros."""
        samples, steps, _ = x.shape
        gates, width = self._gates, self.out_features
        weight = self.weight.value if self.bias is None else np.vstack([self.weight.value, self.bias.value])
        weight, recurrent = self._halved(weight, dtype), self._halved(self.recurrent_weight.value, dtype)
        # In one piece, step after step: calls on memory without gaps are fastest, and the system is asked for it once.
        arrays = np.empty((steps + 1, self._arrays, samples, width), dtype, like=x)
        arrays[0] = 0.0
        product = np.empty((samples, gates * width), dtype, like=x)
        by_gates = product.reshape(samples, gates, width).swapaxes(0, 1)
        for start, stop in self._blocks(arrays):
            inputs = self._rows(x, lengths, start, stop, dtype).dot(weight)
            inputs = inputs.reshape(stop - start, samples, gates, width).swapaxes(1, 2)
            for before, after, step in zip(arrays[start:stop], arrays[start + 1 : stop + 1], inputs, strict=True):
                np.dot(before[0], recurrent, product)
                self._step(before, after, step, by_gates)
        return arrays

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradients of the parameters, and return dL/dx."""
        x, total = cache[0], self._by_states(grad, cache)
        back = np.empty((x.shape[1], len(x), x.shape[2]), total.dtype, like=x)
        quiet.run(self._back_through_time, total, cache, back)
        return back.swapaxes(0, 1)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of the parameters."""
        quiet.run(self._back_through_time, self._by_states(grad, cache), cache)

    def _back_through_time(self, total: Array, cache: _Cache, back: Array | None = None) -> None:
        """Add to the gradients of the parameters, and write dL/dx into `back`, time first."""
        x, arrays, lengths = cache
        (_, samples, width), gates, dtype = total.shape, self._gates, total.dtype
        weight, recurrent = (p.value.T.astype(dtype, copy=False) for p in (self.weight, self.recurrent_weight))
        d_weight = np.zeros((self.in_features + self.use_bias, gates * width), dtype, like=total)
        d_recurrent = np.zeros((width, gates * width), dtype, like=total)
        carry, product = np.zeros_like(total[0]), np.empty_like(total[0])
        for start, stop in reversed(self._blocks(arrays)):
            before, count = arrays[start:stop], (stop - start) * samples
            slopes = self._slopes(before, arrays[start + 1 : stop + 1])
            d = np.empty((stop - start, samples, gates * width), dtype, like=total)
            by_gates = d.reshape(stop - start, samples, gates, width).swapaxes(1, 2)
            steps = total[start + 1 : stop + 1], total[start:stop], d, by_gates, *slopes
            # The gradient by a state is complete once all later steps have added to it.
            for dh, dh_before, row, step, *slope in zip(*(array[::-1] for array in steps), strict=True):
                self._step_back(dh, dh_before, step, carry, *slope)
                np.dot(row, recurrent, product)
                dh_before += product
            d = d.reshape(count, gates * width)
            d_recurrent += before[:, 0].reshape(count, width).T.dot(d)
            d = self._by_inputs(d, *slopes)
            d_weight += self._rows(x, lengths, start, stop, dtype).T.dot(d)
            if back is not None:
                np.dot(d, weight, back[start:stop].reshape(count, self.in_features))
        self.weight.add(d_weight[: self.in_features])
        self.recurrent_weight.add(d_recurrent)
        if self.bias is not None:
            self.bias.add(d_weight[-1])

    def _by_states(self, grad: Array, cache: _Cache) -> Array:
        """Arrange dL/dy as the gradient by each state, that before the first step included."""
        (x, arrays, lengths), name = cache, type(self).__name__
        samples, steps, _ = x.shape
        expected = (samples, steps, self.out_features) if self.return_sequences else (samples, self.out_features)
        try:
            if grad.shape != expected:
                raise ShapeError(name, f"a gradient of shape {expected}", str(grad.shape))
            dtype = np.result_type(grad.dtype, arrays.dtype)
            if dtype.kind != "f":
                require_real(name, grad)
            total = np.zeros((steps + 1, samples, self.out_features), dtype, like=grad)
            if not self.return_sequences:
                total[steps if lengths is None else lengths, np.arange(samples, like=x)] = grad
            else:
                by_time = grad.swapaxes(0, 1)
                total[1:] = by_time if lengths is None else np.where(_real(lengths, 0, steps), by_time, 0.0)
        except Exception as error:
            require_numbers(name, grad, error)
            raise
        return total

    def _blocks(self, arrays: Array) -> list[tuple[int, int]]:
        """Divide the steps into runs, from each first to the one after its last."""
        steps, (_, samples, width) = len(arrays) - 1, arrays.shape[1:]
        size = max(1, _BLOCK // max(1, self._gates * samples * width))
        return [(start, min(start + size, steps)) for start in range(0, steps, size)]

    def _rows(self, x: Array, lengths: Array | None, start: int, stop: int, dtype: np.dtype[Any]) -> Array:
        """Arrange some steps as rows, time first; for the bias, each ends in a 1."""
        inputs = x.swapaxes(0, 1)[start:stop]
        if lengths is not None:
            # Whatever stands in the padding, be it NaN, goes nowhere.
            inputs = np.where(_real(lengths, start, stop), inputs, 0)
        rows = np.ones((*inputs.shape[:2], self.in_features + self.use_bias), dtype, like=x)
        rows[..., : self.in_features] = inputs
        return rows.reshape((stop - start) * len(x), self.in_features + self.use_bias)

    def _halved(self, weight: Array, dtype: np.dtype[Any]) -> Array:
        """
        Copy a weight, with the columns of sigmoids halved.

        For ``sigmoid(a) = (1 + tanh(a / 2)) / 2``: NumPy's tanh takes a third of the time that an exponential and a
        division take, and nothing overflows. To halve is exact.
        """
        weight = weight.astype(dtype)
        by_gates = weight.reshape(-1, self._gates, self.out_features)
        for sigmoids in self._sigmoids:
            by_gates[:, sigmoids] *= 0.5
        return weight


def _real(lengths: Array, start: int, stop: int) -> Array:
    """Tell which of some steps are no padding, in the shape (steps, N, 1)."""
    steps = np.arange(start, stop, like=lengths)
    real: Array = steps[:, np.newaxis, np.newaxis] < lengths[:, np.newaxis]
    return real


def _to_sigmoids(gates: Array) -> None:
    """Turn ``tanh(a / 2)`` into the sigmoid of a, in place."""
    gates *= 0.5
    gates += 0.5


@define(eq=False, slots=False, repr=False, init=False)
class RNN(Recurrent):
    """
    The simple recurrent layer: ``h[t] = tanh(x[t] @ W + b + h[t - 1] @ U)``, which begins with a state of zeros.

    y is all the states, or the last one. Backward goes through time, from the last step to the first. The gradient by a
    state, dh[t], is what dL/dy has for it and what the step after it sends back. With a[t], the argument of tanh ::

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
        Make the first W and U from ``(shape, rng)``; see `Initializer`.
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
        A side input: how many steps of each sample are no padding, as integers of shape (N,), from 0 to T. Whatever
        the padding holds, y is 0 there, and so is the gradient of x; dL/dy there is ignored. The last state is the one
        at the length; for a length of 0, it is zeros.

    Raises
    ------
    ConfigError
        If an argument is out of its range, or what `init` or `recurrent_init` makes is not of the shape it was asked
        for. In a call, if a length is out of its range.
    ShapeError
        In a call, if x has another shape or no steps, or `lengths` another shape; in backward, if the gradient has not
        the shape of the output.
    DTypeError
        If the input, or in backward the gradient, is no array of real numbers, or `lengths` none of integers.

    Examples
    --------
    >>> rnn = RNN(1, 1, init=lambda shape, rng: np.ones(shape), recurrent_init=lambda shape, rng: np.ones(shape))
    >>> x = np.array([[[1.0], [0.0], [0.0]]])
    >>> y, cache = rnn.forward(x)
    >>> y.round(3).tolist()
    [[[0.762], [0.642], [0.566]]]
    >>> rnn.given(lengths=np.array([2])).predict(x).round(3).tolist()
    [[[0.762], [0.642], [0.0]]]

    The first step reaches the last state by the slopes of all steps:

    >>> back = rnn.backward(np.array([[[0.0], [0.0], [1.0]]]), cache)
    >>> bool(np.isclose(back[0, 0, 0], (1 - y**2).prod()))
    True
    """

    _arrays = 1
    _gates = 1

    def _step(self, before: Array, after: Array, inputs: Array, product: Array) -> None:
        np.add(inputs, product, after)
        np.tanh(after, after)

    def _slopes(self, before: Array, after: Array) -> tuple[Array, ...]:
        slopes = after * after
        np.subtract(1.0, slopes, slopes)
        return (slopes,)

    def _step_back(self, dh: Array, dh_before: Array, d: Array, carry: Array, *slopes: Array) -> None:
        np.multiply(slopes[0], dh, d)


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
    with a gradient by the cell, dc, beside dh. Each step adds to dc what comes by the state, and hands on the rest ::

        dc[t] += dh[t] * o * (1 - tanh(c[t]) ** 2)
        di, df, dg, do = dc[t] * g, dc[t] * c[t - 1], dc[t] * i, dh[t] * tanh(c[t])
        dc[t - 1] = dc[t] * f

    Times the slopes ``i * (1 - i)``, ``f * (1 - f)``, ``1 - g ** 2`` and ``o * (1 - o)``, these are the da[t] of `RNN`.
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

    _arrays = 6
    _gates = 4
    _sigmoids = (slice(0, 2), 3)

    def _complete(self) -> None:
        if self.bias is not None:
            self.bias.value[self.out_features : 2 * self.out_features] = 1.0

    def _step(self, before: Array, after: Array, inputs: Array, product: Array) -> None:
        h, c, i, f, g, o = after
        product += inputs
        np.tanh(product, after[2:])
        _to_sigmoids(after[2:4])
        _to_sigmoids(o)
        np.multiply(f, before[1], c)
        np.multiply(i, g, h)
        c += h
        np.tanh(c, h)
        h *= o

    def _slopes(self, before: Array, after: Array) -> tuple[Array, ...]:
        h, c, i, f, g, o = after.swapaxes(0, 1)
        tanh_c = np.tanh(c)
        slopes = after[:, 2:] * after[:, 2:]
        np.subtract(after[:, 2:4], slopes[:, :2], slopes[:, :2])
        np.subtract(1.0, slopes[:, 2], slopes[:, 2])
        np.subtract(o, slopes[:, 3], slopes[:, 3])
        for gate, factor in enumerate((g, before[:, 1], i, tanh_c)):
            slopes[:, gate] *= factor
        by_state = h * tanh_c
        np.subtract(o, by_state, by_state)
        return slopes[:, :3], slopes[:, 3], by_state, f

    def _step_back(self, dh: Array, dh_before: Array, d: Array, carry: Array, *slopes: Array) -> None:
        by_cell, by_output, by_state, f = slopes
        by_state *= dh
        carry += by_state
        np.multiply(by_cell, carry, d[:3])
        np.multiply(by_output, dh, d[3])
        carry *= f


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
        _to_sigmoids(after[2:4])
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
