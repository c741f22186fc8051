"""Side inputs for a batch: handed to the layers that take them by a copy of the model that shares its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from minibackprop.core import Layer, named_layers
from minibackprop.errors import ShapeError
from minibackprop.state import CONTAINERS, Buffer, Stateful, copy_with, walk
from minibackprop.validation import Array

_Result = TypeVar("_Result")


def called_with(model: Layer, given: Mapping[str, Array], call: Callable[[Layer], _Result]) -> _Result:
    """Call with a copy of the model that has the side inputs; what its layers make in the call, the model keeps."""
    twin = model.given(**given)
    result = call(twin)
    known = {id(buffer) for _, buffer in walk(model, Buffer)}
    if not all(id(buffer) in known for _, buffer in walk(twin, Buffer)):
        _keep(model, twin)
    return result


def _keep(model: Layer, twin: Layer) -> None:
    """Let each layer of the model have what its twin has, but for side inputs: parameters made in a first forward."""
    layers, twins = dict(named_layers(model)), dict(named_layers(twin))
    pairs = [(layer, twins[path]) for path, layer in layers.items()]
    shared = [part for _, part in walk(twin, object) if not isinstance(part, (Layer, *CONTAINERS))]
    instead = [*((twin, layer) for layer, twin in pairs), *((part, part) for part in shared)]
    for layer, made in pairs:
        value: Any
        for name, value in Stateful._members(made):
            if name not in layer.side_inputs:
                object.__setattr__(layer, name, copy_with(value, instead))


def note_carried(error: BaseException, model: Layer) -> None:
    """Say in an error about shapes that side inputs which the model carries, for all data, do not go with a batch."""
    if isinstance(error, ShapeError):
        for _, layer in named_layers(model):
            for name in layer.side_inputs:
                if getattr(layer, name, None) is not None:
                    error.add_note(f"the model carries {name}; those of a batch go into given={{'{name}': ...}}")
