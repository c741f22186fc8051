"""Side inputs of a drawn layer: those of each row of the batch go with it through every law."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import define, field

from minibackprop.core import Layer, side_inputs_of
from minibackprop.errors import ConfigError, describe
from minibackprop.validation import Array, shortened


@define(eq=False, slots=False, repr=False)
class WithSideInputs(Layer):
    """A layer with side inputs of some rows, which larger batches repeat; its parts keep their names."""

    layer: Layer
    side_inputs_of_rows: dict[str, Array]
    _as_called: dict[int, Layer] = field(factory=dict, init=False)  # By number of rows: to make one takes long.

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Call forward of the layer, given the side inputs of as many rows as x has."""
        given = self.as_called(x)
        result = given.forward(x)
        return (result[0], (given, result[1])) if type(result) is tuple and len(result) == 2 else result

    def backward(self, grad: Array, cache: Any, /) -> Array | None:
        """Call backward of the layer that went forward."""
        given, cache = cache
        back: Array | None = given.backward(grad, cache)
        return back

    def accumulate(self, grad: Array, cache: Any, /) -> None:
        """Call accumulate of the layer that went forward."""
        given, cache = cache
        given.accumulate(grad, cache)

    def predict(self, x: Array, /) -> Array:
        """Call predict of the layer, given the side inputs of as many rows as x has."""
        return self.as_called(x).predict(x)

    def of_rows(self, rows: slice) -> WithSideInputs:
        """Give the layer the side inputs of other rows of the batch."""
        return WithSideInputs(self.layer, {name: array[rows] for name, array in self.side_inputs_of_rows.items()})

    def as_called(self, x: Array) -> Layer:
        """Give the layer with the side inputs of as many rows as x has; it shares all arrays."""
        if len(x) not in self._as_called:
            self._as_called[len(x)] = self.layer.given(**self.for_batch(x))
        return self._as_called[len(x)]

    def for_batch(self, x: Array) -> dict[str, Array]:
        """Repeat the side inputs, or cut them, to as many rows as x has."""
        return {name: array[np.arange(len(x)) % len(array)] for name, array in self.side_inputs_of_rows.items()}

    def freeze(self) -> WithSideInputs:
        """Freeze the layer, and make those anew that are called."""
        self._as_called.clear()
        return super().freeze()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_as_called": {}}

    def _members(self) -> Iterator[tuple[str, object]]:
        yield "", self.layer


def without_side_inputs(layer: Layer) -> Layer:
    """Give the layer of the user's."""
    return layer.layer if isinstance(layer, WithSideInputs) else layer


def as_called(layer: Layer, x: Array) -> Layer:
    """Give the layer of the user's, with its side inputs for x."""
    return layer.as_called(x) if isinstance(layer, WithSideInputs) else layer


def of_rows(layer: Layer, rows: slice) -> Layer:
    """Give a layer that has side inputs those of other rows."""
    return layer.of_rows(rows) if isinstance(layer, WithSideInputs) else layer


def drawn(layer: Layer, x: Array, rng: np.random.Generator) -> list[dict[str, Array]]:
    """
    Draw side inputs whose meaning is known from their names, the first choice first.

    These are `lengths`, integers of shape (N,), and `mask`, booleans of shape (N, T), where T is axis 1 of x; at least
    one step of each sample counts.
    """
    if x.ndim < 2 or not x.shape[1]:
        return []
    steps = x.shape[1]
    mask = rng.random((len(x), steps)) < rng.uniform(0.1, 0.9)
    mask[np.arange(len(x)), rng.integers(0, steps, len(x))] = True
    known = {"lengths": rng.integers(1, steps + 1, len(x)), "mask": mask}
    names = sorted(side_inputs_of(layer) & known.keys())
    chosen = {name: known[name] for name in names if rng.random() < 0.7}
    choices = [chosen, *({name: known[name]} for name in rng.permutation(names))]
    return [choice for choice in choices if choice]


def as_side_inputs(given: object, layer: Layer, x: Array) -> dict[str, Array]:
    """Require of what a user's callable gives that the layer takes it, and that it has a row for each sample."""
    if not isinstance(given, Mapping):
        raise ConfigError("given", "to return a dict of side inputs by name", describe(given))
    known, made = side_inputs_of(layer), {}
    for name, value in given.items():
        if name not in known:
            raise ConfigError("given", f"to return side inputs that the layer takes, {sorted(known)}", shortened(name))
        made[name] = array = np.asarray(value)
        if array.dtype.kind not in "fiub" or array.shape[:1] != (len(x),):
            got = describe(value)
            raise ConfigError(f"given: {name}", f"an array with a row for each of the {len(x)} samples", got)
    return made
