"""The way through time and back, which all recurrent layers share: sequences, blocks of steps, and padding."""

from __future__ import annotations

from abc import abstractmethod
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
from minibackprop.validation import Array, is_flag, is_size, require_gradient, require_real

#: The input, the arrays of all steps, and the lengths.
_Cache: TypeAlias = tuple[Array, Array, Array | None]

#: How many entries of gates are worked on at a time, at least a step's: few enough to stay in the processor's cache.
_BLOCK = 2**16


@define(eq=False, slots=False, repr=False, init=False)
class Recurrent(Layer):
    """
    What recurrent layers share: the way through time and back, and sequences of different lengths.

    A subclass is a cell: the equations of one step, and their derivatives. W, U and b are blocks of columns, one for
    each gate. The base computes ``xw = x[t] @ W + b`` and ``hu = h[t - 1] @ U``; the cell makes of them the arrays of
    the step. Going back, the cell makes of dh[t], the gradient with respect to the state, those with respect to hu and
    xw; the base computes from these the gradients of W, U, b, x[t] and h[t - 1].

    All arrays of a step have shape (N, out_features).
    """

    side_inputs = ("lengths",)

    #: The arrays that a step computes, a letter each; the state h is the first.
    _arrays: ClassVar[str]
    #: The gates, in the order of their columns, and which of them are sigmoids.
    _gates: ClassVar[str]
    _sigmoids: ClassVar[str] = ""

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
    def _step(self, before: Array, after: Array, xw: Array, hu: Array, /) -> None:
        """
        Write the arrays of a step into `after`; `before` has those of the step before.

        `xw` and `hu`, by gates, may be written to. Where the gate is a sigmoid, they are halved: see `tanh_to_sigmoid`.
        """

    @abstractmethod
    def _derivatives(self, before: Array, after: Array, /) -> tuple[Array, ...]:
        """
        Compute all that `_step_back` needs and that does not depend on the gradient, for a block of steps at once.

        The arrays of a block have shape (steps, N, out_features). Those that are returned have the steps as first axis.
        """

    @abstractmethod
    def _step_back(self, dh: Array, dh_before: Array, dhu: Array, dc: Array, /, *derivatives: Array) -> None:
        """
        Write the gradient with respect to hu, by gates, into `dhu`; `dh` is that with respect to the state.

        What reaches the state before by another way than hu is added to `dh_before`. In `dc`, which starts as zeros, a
        cell passes on the gradient with respect to what it keeps beside h.
        """

    def _to_xw(self, dhu: Array, dh: Array, /, *derivatives: Array) -> None:
        """
        Turn `dhu` of a block of steps into the gradient with respect to xw.

        They are the same where a cell adds up the two.
        """

    def forward(self, x: Array, /) -> tuple[Array, _Cache]:
        """Compute y; the cache is x and the arrays of all steps."""
        name, lengths = type(self).__name__, self.lengths
        require_real(name, x)
        if x.ndim != 3 or x.shape[2] != self.in_features or not x.shape[1]:
            raise ShapeError(name, f"(N, T, {self.in_features}), of at least one step", str(x.shape))
        if lengths is not None:
            require_lengths(name, lengths, x)
        arrays: Array = quiet().run(self._through_time, x, lengths)
        h, cache = arrays[:, 0], (x, arrays, lengths)
        if not self.return_sequences:
            last: Array = h[-1].copy() if lengths is None else h[lengths, np.arange(len(x), like=lengths)]
            return last, cache
        y = h[1:].swapaxes(0, 1)
        if lengths is not None:
            y = np.where(valid_steps(lengths, 0, x.shape[1]), y, 0.0)
        return y.copy(), cache

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        return Recurrent.forward(self, x)[0]

    def backward(self, grad: Array, cache: _Cache, /) -> Array:
        """Add to the gradients of the parameters, and return dL/dx."""
        x, dh = cache[0], self._state_gradients(grad, cache)
        dx = np.empty((x.shape[1], len(x), x.shape[2]), dh.dtype, like=x)
        quiet().run(self._back_through_time, dh, cache, dx)
        return dx.swapaxes(0, 1)

    def accumulate(self, grad: Array, cache: _Cache, /) -> None:
        """Add to the gradients of the parameters."""
        quiet().run(self._back_through_time, self._state_gradients(grad, cache), cache)

    def _through_time(self, x: Array, lengths: Array | None) -> Array:
        """Compute the arrays of all steps, those before the first step included, which are zeros."""
        (samples, steps, _), gates, width = x.shape, len(self._gates), self.out_features
        dtype = np.result_type(x.dtype, self.weight.value.dtype)
        weight = self.weight.value if self.bias is None else np.vstack([self.weight.value, self.bias.value])
        weight, recurrent = (self._halve_sigmoids(w.astype(dtype)) for w in (weight, self.recurrent_weight.value))
        # In one piece, step after step: calls on memory without gaps are fastest, and the system is asked for it once.
        arrays = np.empty((steps + 1, len(self._arrays), samples, width), dtype, like=x)
        arrays[0] = 0.0
        product = np.empty((samples, gates * width), dtype, like=x)
        hu = product.reshape(samples, gates, width).swapaxes(0, 1)
        for start, stop in self._blocks(samples, steps):
            rows = self._rows(x, lengths, start, stop, dtype).dot(weight)
            xws = rows.reshape(stop - start, samples, gates, width).swapaxes(1, 2)
            for before, after, xw in zip(arrays[start:stop], arrays[start + 1 : stop + 1], xws, strict=True):
                np.dot(before[0], recurrent, product)
                self._step(before, after, xw, hu)
        return arrays

    def _back_through_time(self, dh: Array, cache: _Cache, dx: Array | None = None) -> None:
        """Add to the gradients of the parameters, and write dL/dx into `dx`, time first."""
        x, arrays, lengths = cache
        (steps, samples, width), gates, dtype = dh.shape, len(self._gates), dh.dtype
        weight, recurrent = (p.value.T.astype(dtype, copy=False) for p in (self.weight, self.recurrent_weight))
        d_weight = np.zeros((self.in_features + self.use_bias, gates * width), dtype, like=dh)
        d_recurrent = np.zeros((width, gates * width), dtype, like=dh)
        dc, product = np.zeros_like(dh[0]), np.empty_like(dh[0])
        for start, stop in reversed(self._blocks(samples, steps - 1)):
            before, after = (arrays[one:other].swapaxes(0, 1) for one, other in ((start, stop), (start + 1, stop + 1)))
            derivatives = self._derivatives(before, after)
            d = np.empty((stop - start, samples, gates * width), dtype, like=dh)
            dhu = d.reshape(stop - start, samples, gates, width).swapaxes(1, 2)
            block = dh[start + 1 : stop + 1], dh[start:stop], d, dhu, *derivatives
            # The gradient with respect to a state is complete once all later steps have added to it.
            for dh_t, dh_before, row, dhu_t, *slopes in zip(*(array[::-1] for array in block), strict=True):
                self._step_back(dh_t, dh_before, dhu_t, dc, *slopes)
                np.dot(row, recurrent, product)
                dh_before += product
            rows = d.reshape((stop - start) * samples, gates * width)
            d_recurrent += before[0].reshape(len(rows), width).T.dot(rows)
            self._to_xw(dhu.swapaxes(0, 1), dh[start + 1 : stop + 1], *derivatives)
            d_weight += self._rows(x, lengths, start, stop, dtype).T.dot(rows)
            if dx is not None:
                np.dot(rows, weight, dx[start:stop].reshape(len(rows), self.in_features))
        self.weight.add(d_weight[: self.in_features])
        self.recurrent_weight.add(d_recurrent)
        if self.bias is not None:
            self.bias.add(d_weight[-1])

    def _state_gradients(self, grad: Array, cache: _Cache) -> Array:
        """Arrange dL/dy as the gradient with respect to each state, that before the first step included."""
        x, arrays, lengths = cache
        samples, steps, _ = x.shape
        y_shape = (samples, steps, self.out_features) if self.return_sequences else (samples, self.out_features)
        require_gradient(self, grad, y_shape)
        require_real(type(self).__name__, grad)
        dtype = np.result_type(grad.dtype, arrays.dtype)
        dh = np.zeros((steps + 1, samples, self.out_features), dtype, like=grad)
        if not self.return_sequences:
            dh[steps if lengths is None else lengths, np.arange(samples, like=x)] = grad
        else:
            valid = grad if lengths is None else np.where(valid_steps(lengths, 0, steps), grad, 0.0)
            dh[1:] = valid.swapaxes(0, 1)
        return dh

    def _blocks(self, samples: int, steps: int) -> list[tuple[int, int]]:
        """Divide the steps into runs, from each first to the one after its last."""
        size = max(1, _BLOCK // max(1, len(self._gates) * samples * self.out_features))
        return [(start, min(start + size, steps)) for start in range(0, steps, size)]

    def _rows(self, x: Array, lengths: Array | None, start: int, stop: int, dtype: np.dtype[Any]) -> Array:
        """Arrange some steps as rows, time first; for the bias, each ends in a 1."""
        inputs = x[:, start:stop]
        if lengths is not None:
            # Whatever stands in the padding, be it NaN, goes nowhere.
            inputs = np.where(valid_steps(lengths, start, stop), inputs, 0)
        rows = np.ones((stop - start, len(x), self.in_features + self.use_bias), dtype, like=x)
        rows[..., : self.in_features] = inputs.swapaxes(0, 1)
        return rows.reshape((stop - start) * len(x), self.in_features + self.use_bias)

    def _halve_sigmoids(self, weight: Array) -> Array:
        """Halve the columns of the gates that are sigmoids, in place: see `tanh_to_sigmoid`."""
        by_gates = weight.reshape(-1, len(self._gates), self.out_features)
        for gate in self._sigmoids:
            by_gates[:, self._gates.index(gate)] *= 0.5
        return weight


def tanh_to_sigmoid(gates: Array) -> None:
    """
    Turn ``tanh(a / 2)`` into the sigmoid of a, in place: ``(1 + tanh(a / 2)) / 2``.

    NumPy's tanh takes a third of the time that an exponential and a division take, and nothing overflows. That a comes
    halved costs nothing: the weights are halved, which is exact.
    """
    gates *= 0.5
    gates += 0.5
