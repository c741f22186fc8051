"""Recurrent layers: sequences read step by step, with a state that carries on what was read."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ShapeError
from minibackprop.initializers import GlorotUniform, Init, Orthogonal, initial_parameter
from minibackprop.layers._padding import require_lengths
from minibackprop.numerics.error_state import quiet
from minibackprop.rng import Rng, as_generator
from minibackprop.state import Parameter
from minibackprop.validation import Array, is_flag, is_size, require_numbers, require_real

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
        width = self._gates * out_features
        self.weight = initial_parameter(name, init, (in_features, width), dtype, rng)
        shape = (out_features, width)
        self.recurrent_weight = initial_parameter(name, recurrent_init, shape, dtype, rng, "recurrent_init")
        self.bias = initial_parameter(name, self._initial_bias, (width,), dtype) if bias else None
        self._complete()

    def _initial_bias(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Make what b starts with."""
        return np.zeros(shape)

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
        arrays: Array = quiet().run(self._through_time, x, lengths, dtype)
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
        quiet().run(self._back_through_time, total, cache, back)
        return back.swapaxes(0, 1)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of the parameters."""
        quiet().run(self._back_through_time, self._by_states(grad, cache), cache)

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


def to_sigmoids(gates: Array) -> None:
    """Turn ``tanh(a / 2)`` into the sigmoid of a, in place."""
    gates *= 0.5
    gates += 0.5
