"""Copies of a model, one for each worker: the same values; gradients, buffers and random streams of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import is_
from typing import Any

import numpy as np
from attrs import define

from minibackprop.core import Layer, named_layers
from minibackprop.errors import ContractError
from minibackprop.rng import is_stream
from minibackprop.state import CONTAINERS, Buffer, Parameter, Stateful, copy_with, walk
from minibackprop.training.workers import Meeting
from minibackprop.validation import Array

#: What a buffer becomes that the workers have changed: the first one's, the mean over samples, old + sum of changes.
AGGREGATIONS = ("first", "mean", "sum")


class Replica:
    """
    A copy of a model for the worker of a number.

    What the worker adds to gradients, writes into buffers and draws does not reach the model, nor the other workers.
    """

    def __init__(self, model: Layer, number: int) -> None:
        self.number = number
        twins: list[tuple[Any, Any]] = []
        for _, part in walk(model, object):
            if isinstance(part, Buffer):
                twins.append((part, copy.copy(part)))
            elif is_stream(part):
                twins.append((part, copy.deepcopy(part)))
            elif not isinstance(part, (Stateful, *CONTAINERS)):
                twins.append((part, part))
        self.model = copy_with(model, twins)
        self.parameters = [(old, new) for old, new in twins if isinstance(old, Parameter)]
        self.buffers = [(old, new) for old, new in twins if isinstance(old, Buffer) and not isinstance(old, Parameter)]
        self.streams = [new for old, new in twins if is_stream(old)]
        self.synchronizing = synchronizing_layers(self.model)
        self._looked = False

    def prepare(self, seeds: list[int], across: Callable[[Array], Array] | None) -> None:
        """Take the values that the model has now, and random streams that belong to the worker's number."""
        for old, new in self.parameters:
            new.value, new.frozen, new.grad = old.value, old.frozen, None  # A step that failed has left some.
        for old_buffer, new_buffer in self.buffers:
            new_buffer.value = old_buffer.value.copy()  # So that a change in place does not reach the model.
        for stream, seed in zip(self.streams, seeds, strict=True):
            _reseed(stream, np.random.SeedSequence([seed, self.number]))
        for layer in self.synchronizing:
            object.__setattr__(layer, "across", across)

    def clear_gradients(self) -> None:
        """Forget every gradient, without a search for the parameters."""
        for _, parameter in self.parameters:
            parameter.grad = None

    def require_nothing_new(self) -> None:
        """Require that the first forward of a layer has made no parameters, which the model would never get."""
        if not self._looked and sum(1 for _ in walk(self.model, Buffer)) != len(self.parameters) + len(self.buffers):
            expected = "have them before workers share the model: one model.predict(x[:1]) lets it make them"
            raise ContractError("a layer that makes its parameters in forward", expected)
        self._looked = True


class Replicas:
    """The copies of a model for workers, made anew where something else than values has changed in it."""

    def __init__(self, model: Layer, first: int) -> None:
        self.model, self.first = model, first
        self._copies: list[Replica] = []
        self._owners: list[Stateful] = []
        self._settings: list[list[object]] = []
        self._streams: list[Any] = []
        self.parameters: list[Parameter] = []
        self.aggregations: list[Aggregation] = []
        self.synchronizing: list[Layer] = []

    def refresh(self) -> bool:
        """
        Begin anew where an attribute of a layer is another: a callback may have changed a rate, or a layer.

        Tells whether there was anything to do.
        """
        if self._owners and all(map(_are_same, map(_settings_of, self._owners), self._settings)):
            return False
        self._copies = []
        self._owners = [part for _, part in walk(self.model, Stateful)]
        self._settings = [_settings_of(owner) for owner in self._owners]
        self._streams = [part for _, part in walk(self.model, object) if is_stream(part)]
        self.parameters = self.model.parameters()
        self.synchronizing = synchronizing_layers(self.model)
        self.aggregations = list(_aggregations(self.model, self._owners))
        return True

    def prepared(self, count: int, meeting: Meeting | None) -> list[Replica]:
        """Give `count` copies that are ready for a step; each draws other random numbers, in each step."""
        while len(self._copies) < count:
            self._copies.append(Replica(self.model, self.first + len(self._copies)))
        # As many draws from each of the model's streams, whoever works: the processes stay in step with each other.
        seeds = [int.from_bytes(stream.bytes(16), "little") for stream in self._streams]
        for number, replica in enumerate(self._copies[:count]):
            replica.prepare(seeds, None if meeting is None else partial(meeting, number))
        return self._copies[:count]


@define(eq=False, repr=False)
class Aggregation:
    """What becomes of a buffer that the copies of a layer may have changed."""

    buffer: Buffer
    where: str
    how: str

    @property
    def like(self) -> Array:
        """An array of the shape and dtype of what `found` gives."""
        return self.buffer.value

    def found(self, values: list[Array], sizes: list[int], rank: int) -> Array | None:
        """Give what this process adds to the sum over all: its copies' values, and how many samples each has seen."""
        old = self.buffer.value
        if not self.how and not all(_equal(value, old) for value in values):
            expected = "leave its buffers as they are in forward, or say in `aggregation` what becomes of the workers'"
            raise ContractError(f"{self.where}, shared by workers,", expected)
        if self.how == "first":
            return values[0] if values and not rank else None
        if self.how == "mean":
            return summed(size * value for size, value in zip(sizes, values, strict=True))
        return summed(value - old for value in values) if self.how == "sum" else None

    def take(self, total: Array, count: float) -> None:
        """Put the sum over all processes into the model, from so many samples."""
        old = self.buffer.value
        new = old + total if self.how == "sum" else total / count if self.how == "mean" else total
        self.buffer.value = new.astype(old.dtype, copy=False)


def _aggregations(model: Layer, owners: list[Stateful]) -> Iterator[Aggregation]:
    members = ((owner, name, value) for owner in owners for name, value in Stateful._members(owner))
    places = {id(part): (owner, name) for owner, name, value in members for part in _with_contents([value])}
    for path, buffer in walk(model, Buffer):
        if isinstance(buffer, Parameter):
            continue
        owner, name = places[id(buffer)]
        how = getattr(owner, "aggregation", {}).get(name, "")
        if how not in ("", *AGGREGATIONS):
            raise ContractError(f"{type(owner).__name__}.aggregation", f"name one of {AGGREGATIONS} for {name}", how)
        yield Aggregation(buffer, f"{type(owner).__name__}, with its buffer {path}", how)


def synchronizing_layers(model: Layer) -> list[Layer]:
    """List the layers that take sums over all workers, as they are not frozen."""
    return [layer for _, layer in named_layers(model) if layer.synchronizes and not layer.frozen]


def summed(arrays: Iterable[Array | None]) -> Array | None:
    """Add up, in their order, those that are there."""
    total: Array | None = None
    for array in arrays:
        if array is not None:
            total = array if total is None else total + array
    return total


def _equal(value: Array, old: Array) -> bool:
    return value is old or (value.dtype == old.dtype and bool(((value == old) | (value != value) & (old != old)).all()))


def _settings_of(owner: Stateful) -> list[object]:
    """List the attributes of a layer, and what is in them, in which a callback may have put something else."""
    return _with_contents([value for name, value in Stateful._members(owner) if name != "_beginning"])


def _with_contents(values: list[Any]) -> list[object]:
    """Add to a list what the lists, tuples and dicts in it hold."""
    for value in values:  # Which grows meanwhile.
        if isinstance(value, CONTAINERS):
            values.extend(value.values() if isinstance(value, dict) else value)
    return values


def _are_same(some: list[object], others: list[object]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


def _reseed(stream: Any, seed: np.random.SeedSequence) -> None:
    """Begin a random stream anew."""
    if isinstance(stream, np.random.Generator):
        stream.bit_generator.state = type(stream.bit_generator)(seed).state
    else:
        stream.set_state(np.random.RandomState(np.random.MT19937(seed)).get_state())
