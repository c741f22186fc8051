"""What is differentiated: the forward pass of a layer, as a function of the input and of all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, islice

import numpy as np

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.testing.calls import copy_of, forward
from minibackprop.testing.gradients.finite_differences import Point
from minibackprop.testing.side_inputs import as_called
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

#: A function of a layer and its input that the gradient is meant to be that of, in place of forward.
Surrogate = Callable[[Layer, Array], Array]

#: Inputs are put together up to this many entries.
_MOST_ENTRIES = 2**17


class LayerFunction:
    """
    The result of a layer's forward pass, of a point: the input, and the parameters that are trained.

    Points of other inputs go through one forward pass as one batch, where no sample depends on another: the layer must
    not say so, and its first such batch must give what its parts do.
    """

    def __init__(self, layer: Layer, surrogate: Surrogate | None = None) -> None:
        self._pristine = copy_of(layer)
        self._surrogate = surrogate
        # Only what a forward pass leaves as it was may be used for the next one.
        self._keeps = not layer.stochastic and all(isinstance(buffer, Parameter) for _, buffer in walk(layer, Buffer))
        self._parameters = [parameter for parameter in self._pristine.parameters() if not parameter.frozen]
        self._stackable: bool | None = None if self._keeps and not layer.couples_samples else False
        self._shape: tuple[int, ...] | None = None

    def __call__(self, point: Point) -> Array:
        """Compute the result at a point; NaN where a step led out of what the layer takes."""
        self._set(point)
        try:
            y = self._result(point[0])
        except ContractViolation:
            if self._shape is None:
                raise
            return np.full(self._shape, np.nan)
        self._shape = y.shape
        return y

    def require_shape(self, x: Array, shape: tuple[int, ...]) -> None:
        """Require of a surrogate that it gives an array that has the shape of the result of forward."""
        y = self._surrogate(as_called(copy_of(self._pristine), x), x) if self._surrogate else None
        if not isinstance(y, np.ndarray) or y.shape != shape:
            raise ConfigError(
                "surrogate", f"to give an array like the result of forward, of shape {shape}", describe(y)
            )

    def of_many(self, points: Iterable[Point]) -> Array:
        """Compute the results at many points, a flat row for each."""
        rows: list[Array] = []
        waiting = iter(points)
        while first := next(waiting, None):
            together = self._stackable is not False and first[0].ndim > 0
            at_once = max(1, _MOST_ENTRIES // max(first[0].size, 1)) if together else 1
            group = [first, *islice(waiting, at_once - 1)]
            while group:
                alike = _of_same_parameters(group)
                rows += self._stacked(group[:alike]) if alike > 1 else [self._flat(group[0])]
                del group[:alike]
        return np.array(rows)

    def _flat(self, point: Point) -> Array:
        return np.asarray(self(point), dtype=np.float64).ravel()

    def _stacked(self, points: list[Point]) -> list[Array]:
        if self._stackable is None:
            self._stackable = self._gives_what_parts_do(points)
        together = self._of_batch(points) if self._stackable else None
        return [self._flat(point) for point in points] if together is None else together

    def _of_batch(self, points: list[Point]) -> list[Array] | None:
        self._set(points[0])
        x = np.concatenate([point[0] for point in points])
        try:
            y = self._result(x)
        except ContractViolation:  # One step may have led out of what the layer takes.
            return None
        if y.shape[:1] != (len(x),):
            return None
        return list(np.asarray(y, dtype=np.float64).reshape(len(points), -1))

    def _gives_what_parts_do(self, points: list[Point]) -> bool:
        """Compare a batch with its parts, at some points."""
        some = points[:: max(1, len(points) // 4)]
        together, alone = self._of_batch(some), [self._flat(point) for point in some]
        if together is None:
            return False
        size = np.nan_to_num(np.abs(alone)).max(initial=0)
        return bool(np.allclose(together, alone, rtol=0, atol=1e-12 * size, equal_nan=True))

    def _set(self, point: Point) -> None:
        for parameter, value in zip(self._parameters, point[1:], strict=True):
            parameter.value[...] = value

    def _result(self, x: Array) -> Array:
        layer = self._pristine if self._keeps else copy_of(self._pristine)
        return forward(layer, x)[0] if self._surrogate is None else np.asarray(self._surrogate(as_called(layer, x), x))


def _of_same_parameters(points: list[Point]) -> int:
    """Count the points at the beginning that differ in nothing but the input."""
    parameters = points[0][1:]
    same = (all(map(_is, point[1:], parameters)) for point in points)
    return next((number for number, alike in enumerate(chain(same, [False])) if not alike), len(points))


def _is(one: object, other: object) -> bool:
    return one is other
