"""What a call leaves behind: on attributes, in buffers, in random streams. It tells one cause from another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.testing.calls import copy_of
from minibackprop.testing.comparing import attributes_of, equal, same
from minibackprop.validation import Array


def streams_of(layer: Layer) -> dict[str, Any]:
    """Collect the states of the random generators that a layer holds."""
    found: dict[str, Any] = {name: g.bit_generator.state for name, g in walk(layer, np.random.Generator)}
    return found | {name: g.get_state(legacy=False) for name, g in walk(layer, np.random.RandomState)}


def changes(before: Layer, after: Layer) -> tuple[list[str], list[str], list[str]]:
    """Name the attributes, the buffers and the random streams that differ between a copy of a layer and the layer."""
    old = attributes_of(before)
    attributes = [name for name, value in attributes_of(after).items() if not equal(value, old.get(name))]
    values = dict(walk(before, Buffer))
    buffers = [
        name
        for name, buffer in walk(after, Buffer)
        if not isinstance(buffer, Parameter) and not same(buffer.value, values[name].value)
    ]
    streams = streams_of(before)
    moved = [name for name, state in streams_of(after).items() if not equal(state, streams.get(name))]
    return attributes, buffers, moved


def cause_of_change(layer: Layer, call: Callable[[Layer], object], verb: str, *, buffers: bool = True) -> str:
    """Say what a call changes on a layer, of what its next call may read; name both where nothing tells."""
    used = copy_of(layer)
    call(used)
    attributes, held, streams = changes(layer, used)
    state = [*attributes, *(held if buffers else [])]
    if streams and not state:
        return f"random numbers: {verb} draws from {', '.join(streams)}"
    if state and not streams:
        return f"state that {verb} changes: {', '.join(state)}"
    if comes_from_global_stream(lambda: call(copy_of(layer))):
        return f"random numbers: {verb} draws from NumPy's global generator"
    return f"random numbers, or state that {verb} changes" + (f": {', '.join([*streams, *state])}" if state else "")


def comes_from_global_stream(call: Callable[[], object]) -> bool:
    """Tell whether a call draws from NumPy's global generator."""
    with _restored():
        before = np.random.get_state(legacy=False)  # noqa: NPY002 - it is what is looked for
        call()
        return not equal(before, np.random.get_state(legacy=False))  # noqa: NPY002


@contextmanager
def _restored() -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def holder_of(layer: Layer, array: Array) -> str:
    """Name the attribute of a layer that an array shares memory with, or ""."""
    held = (*attributes_of(layer).items(), *((name, buffer.value) for name, buffer in walk(layer, Buffer)))
    return next((name for name, value in held if isinstance(value, np.ndarray) and np.shares_memory(value, array)), "")
