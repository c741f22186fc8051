"""The way through time and back, which all recurrent layers share: sequences, blocks of steps, and padding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from itertools import cycle
from typing import Any, ClassVar, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ShapeError
from minibackprop.initializers import GlorotUniform, Init, Orthogonal, initial_parameter
from minibackprop.layers._padding import require_lengths, valid_steps
from minibackprop.numerics.error_state import quiet
from minibackprop.rng import Rng, as_generator
from minibackprop.state import Parameter
from minibackprop.validation import Array, is_flag, is_size, require_gradient, require_numbers

#: The input; the state of each step, that before the first one too, and what is kept beside it; and the lengths.
_Cache: TypeAlias = tuple[Array, Array, Array | None]

#: ``step(xw, h_before, h)``
Step: TypeAlias = Callable[[Array, Array, Array], None]

#: How many entries of gates are worked on at a time, at least a step's: few enough to stay in the processor's cache.
_BLOCK = 2**17

#: How many steps have arrays of their own to work in, at most: each costs some time, whatever its size.
_STEPPERS = 32


@define(eq=False, slots=False, repr=False, init=False)
class Recurrent(Layer):
    """
    What recurrent layers share: the way through time and back, and sequences of different lengths.

    A subclass is a cell: the equations of one step, and their derivatives. W, U and b are blocks of columns, one for
    each gate. The base computes ``xw = x[t] @ W + b`` and ``hu = h[t - 1] @ U``; from these, the cell computes the
    arrays of the step, of shape (N, out_features). On the way back, the cell turns dh, the gradient with respect to
    h[t], into those with respect to hu and xw; from these, the base computes the gradients with respect to W, U, b,
    x[t] and h[t - 1].
    """

    side_inputs = ("lengths",)

    #: The gates, in the order of their columns; which of them are sigmoids, in the order of `hu`.
    _gates: ClassVar[str]
    _sigmoids: ClassVar[str] = ""
    #: How many arrays a step works in, and how many are kept of it beside h.
    _workspace: ClassVar[int] = 0
    _derived: ClassVar[int] = 0

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
        columns = len(self._gates) * out_features
        self.weight = initial_parameter(name, init, (in_features, columns), dtype, rng)
        shape = (out_features, columns)
        self.recurrent_weight = initial_parameter(name, recurrent_init, shape, dtype, rng, "recurrent_init")
        self.bias = initial_parameter(name, self._initial_bias, (columns,), dtype) if bias else None
        self._complete()

    def _initial_bias(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Make what b starts with."""
        return np.zeros(shape)

    def _complete(self) -> None:
        """Add what only this cell has."""

    @abstractmethod
    def _stepper(self, hu: Array, work: Array, work_after: Array, /) -> Step:
        """
        Make the function that computes a step, ``step(xw, h_before, h)``: it writes h.

        It works in the arrays `work`, and the step after it in `work_after`. Few steps have arrays of their own: the
        next ones use them again, so that they stay in the processor's cache, and views of them are made once. In the
        beginning, they are zeros. `hu` and `xw`, by gates, may be written to; the gates that are sigmoids come first,
        and are negated: see `exp_to_sigmoid`.
        """

    def _derive(self, work: Array, after: Array, /) -> None:
        """
        Write what `_step_back` needs of the `work` of some steps into ``after[1:]``; ``after[0]`` is h.

        The steps are the second axis. A name such as `dh_da` stands for the derivative of h with respect to a.
        """

    def _derivatives(self, after: Array, /) -> Array:
        """Give what `_step_back` needs of a block of steps, step by step: by default, h and what `_derive` wrote."""
        return after

    @abstractmethod
    def _step_back(self, dh: Array, dh_before: Array, dhu: Array, dc: Array, after: Array, /) -> None:
        """
        Write the gradient with respect to hu, by gates, into `dhu`; `dh` is the one with respect to h.

        What reaches h[t - 1] on another way than by hu is added to `dh_before`. `dc` is for what a cell keeps beside h:
        it is handed from each step to the one before, and starts as zeros.
        """

    def _dhu_to_dxw(self, dhu: Array, dh: Array, after: Array, /) -> None:
        """
        Turn the `dhu` of a block of steps, by gates, into the gradient with respect to xw.

        The two are the same where a cell adds up xw and hu.
        """

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y; the cache is x, and the states of all steps with what backward needs beside them."""
        states = self._states(x, self._derived)
        return self._output(x, states), (x, states, self.lengths)

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        return self._output(x, self._states(x, 0))

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradients of the parameters, and return dL/dx."""
        x, dh = cache[0], self._state_gradients(grad, cache)
        dx = np.empty((x.shape[1], len(x), x.shape[2]), dh.dtype, like=x)
        quiet().run(self._back_through_time, dh, cache, dx)
        return dx.swapaxes(0, 1)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of the parameters."""
        quiet().run(self._back_through_time, self._state_gradients(grad, cache), cache)

    def _states(self, x: Array, derived: int) -> Array:
        """Check x; compute the states, that before the first step included, and keep so many arrays beside each."""
        name, lengths = type(self).__name__, self.lengths
        require_numbers(name, x)
        if x.ndim != 3 or x.shape[2] != self.in_features or not x.shape[1]:
            raise ShapeError(name, f"(N, T, {self.in_features}), of at least one step", str(x.shape))
        if lengths is not None:
            require_lengths(name, lengths, x)
        # In one piece, step after step: calls on memory without gaps are fastest, and the system is asked for it once.
        dtype = np.result_type(x.dtype, self.weight.value.dtype)
        states = np.empty((x.shape[1] + 1, 1 + derived, len(x), self.out_features), dtype, like=x)
        quiet().run(self._through_time, x, states)
        return states

    def _output(self, x: Array, states: Array) -> Array:
        """Arrange the states as y."""
        h, lengths = states[:, 0], self.lengths
        if not self.return_sequences:
            last: Array = h[-1].copy() if lengths is None else h[lengths, np.arange(len(x), like=lengths)]
            return last
        y = h[1:] if lengths is None else np.where(valid_steps(lengths, 0, x.shape[1]), h[1:], 0.0)
        return y.swapaxes(0, 1).copy()

    def _through_time(self, x: Array, states: Array) -> None:
        """Compute the states, and what is kept beside them where there is room for it."""
        (samples, steps, _), width, dtype = x.shape, self.out_features, states.dtype
        w = self.weight.value if self.bias is None else np.vstack([self.weight.value, self.bias.value])
        w, u = (self._for_exp(weight.astype(dtype, copy=False)) for weight in (w, self.recurrent_weight.value))
        gates, kept = len(w), states.shape[1] > 1
        blocks = self._blocks(samples, steps, _STEPPERS if kept else steps)
        hu = np.empty((gates, samples, width), dtype, like=x)
        product: Callable[..., Any] = np.matmul
        hu_out: Array = hu
        if 1 in (gates, samples):  # Where gates lie beside each other as columns do, one product costs less.
            product, hu_out = np.dot, hu.reshape(samples, gates * width)
            u = u.swapaxes(0, 1).reshape(width, gates * width)
        work = np.zeros((blocks[0][1] if kept else 1, self._workspace, samples, width), dtype, like=x)
        steppers = [self._stepper(hu, *pair) for pair in zip(work, [*work[1:], work[0]], strict=True)]
        states[0, 0] = 0.0
        for start, stop in blocks:
            xw = np.matmul(self._rows(x, self.lengths, start, stop, dtype), w)
            xw = xw.reshape(gates, stop - start, samples, width).swapaxes(0, 1)
            block = xw, states[start:stop, 0], states[start + 1 : stop + 1, 0]
            for xw_t, h_before, h, step in zip(*block, cycle(steppers)):
                product(h_before, u, hu_out)
                step(xw_t, h_before, h)
            if kept:
                self._derive(work[: stop - start].swapaxes(0, 1), states[start + 1 : stop + 1].swapaxes(0, 1))

    def _back_through_time(self, dh: Array, cache: _Cache, dx: Array | None = None) -> None:
        """Add to the gradients of the parameters, and write dL/dx into `dx`, time first."""
        x, states, lengths = cache
        (samples, steps, _), dtype, (width, columns) = x.shape, dh.dtype, self.recurrent_weight.value.shape
        w_back, u_back = (p.value.T.astype(dtype, copy=False) for p in (self.weight, self.recurrent_weight))
        dw = np.zeros((self.in_features + self.use_bias, columns), dtype, like=dh)
        du = np.zeros((width, columns), dtype, like=dh)
        dc, by_hu = np.zeros_like(dh[0]), np.empty_like(dh[0])
        for start, stop in reversed(self._blocks(samples, steps, steps)):
            dhu = np.empty((stop - start, samples, columns), dtype, like=dh)
            dhu_by_gates, after = self._by_gates(dhu), self._derivatives(states[start + 1 : stop + 1])
            block = dh[start + 1 : stop + 1], dh[start:stop], dhu, dhu_by_gates, after
            # The gradient with respect to a state is complete once all later steps have added to it.
            for dh_t, dh_before, dhu_t, by_gates, of_step in zip(*(array[::-1] for array in block), strict=True):
                self._step_back(dh_t, dh_before, by_gates, dc, of_step)
                np.dot(dhu_t, u_back, by_hu)
                dh_before += by_hu
            rows = dhu.reshape((stop - start) * samples, columns)
            if not self.recurrent_weight.frozen:
                du += states[start:stop, 0].reshape(len(rows), width).T.dot(rows)
            self._dhu_to_dxw(dhu_by_gates.swapaxes(0, 1), dh[start + 1 : stop + 1], after.swapaxes(0, 1))
            if not all(p is None or p.frozen for p in (self.weight, self.bias)):
                dw += self._rows(x, lengths, start, stop, dtype).T.dot(rows)
            if dx is not None:
                np.dot(rows, w_back, dx[start:stop].reshape(len(rows), self.in_features))
        self.weight.add(dw[: self.in_features])
        self.recurrent_weight.add(du)
        if self.bias is not None:
            self.bias.add(dw[-1])

    def _state_gradients(self, grad: Array, cache: _Cache) -> Array:
        """Arrange dL/dy as the gradient with respect to each state, that before the first step included."""
        x, states, lengths = cache
        samples, steps, _ = x.shape
        y_shape = (samples, steps, self.out_features) if self.return_sequences else (samples, self.out_features)
        require_gradient(self, grad, y_shape)
        require_numbers(type(self).__name__, grad)
        dtype = np.result_type(grad.dtype, states.dtype)
        dh = np.zeros((steps + 1, samples, self.out_features), dtype, like=grad)
        if not self.return_sequences:
            dh[steps if lengths is None else lengths, np.arange(samples, like=x)] = grad
        else:
            by_time = grad.swapaxes(0, 1)
            dh[1:] = by_time if lengths is None else np.where(valid_steps(lengths, 0, steps), by_time, 0.0)
        return dh

    def _blocks(self, samples: int, steps: int, largest: int) -> list[tuple[int, int]]:
        """Divide the steps into blocks, each from its first step to the one after its last."""
        size = min(largest, max(1, _BLOCK // max(1, len(self._gates) * samples * self.out_features)))
        return [(start, min(start + size, steps)) for start in range(0, steps, size)]

    def _rows(self, x: Array, lengths: Array | None, start: int, stop: int, dtype: np.dtype[Any]) -> Array:
        """Arrange some steps as rows, time first; for the bias, each ends in a 1."""
        inputs = x.swapaxes(0, 1)[start:stop]
        if lengths is not None:
            # Whatever stands in the padding, be it NaN, goes nowhere.
            inputs = np.where(valid_steps(lengths, start, stop), inputs, 0)
        rows = np.empty((stop - start, len(x), self.in_features + self.use_bias), dtype, like=x)
        rows[..., : self.in_features] = inputs
        rows[..., self.in_features :] = 1.0
        return rows.reshape((stop - start) * len(x), self.in_features + self.use_bias)

    def _by_gates(self, columns: Array) -> Array:
        """View (..., N, gates * out_features) as (..., gates, N, out_features)."""
        shape = (*columns.shape[:-1], len(self._gates), self.out_features)
        return columns.reshape(shape).swapaxes(-3, -2)

    def _for_exp(self, weight: Array) -> Array:
        """Arrange (n, gates * out_features) by gates, sigmoids first and negated: see `exp_to_sigmoid`."""
        by_gates = self._by_gates(weight)
        if not self._sigmoids:
            return by_gates
        others = [gate for gate in self._gates if gate not in self._sigmoids]
        ordered: Array = np.take(by_gates, [self._gates.index(gate) for gate in [*self._sigmoids, *others]], axis=0)
        sigmoids = ordered[: len(self._sigmoids)]
        np.negative(sigmoids, out=sigmoids)
        return ordered


def exp_to_sigmoid(gates: Array) -> None:
    """
    Turn ``exp(-a)`` into the sigmoid of a, in place: ``1 / (1 + exp(-a))``; where exp overflows, it is 0.

    That a comes negated costs nothing: the weights are negated, which is exact.
    """
    gates += 1.0
    np.reciprocal(gates, out=gates)
