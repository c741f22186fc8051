"""What a training run remembers: collected, turned into arrays and JSON and back, and taken over again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from minibackprop.arrays import ToHost, on_host
from minibackprop.core import Layer, named_layers
from minibackprop.saving.archive import Json, decode, encode, plain_only
from minibackprop.saving.marks import freeze_parts, frozen_parts
from minibackprop.state import Buffer, walk
from minibackprop.training.trainer import Trainer
from minibackprop.validation import Array, as_array

State: TypeAlias = dict[str, Any]


def parts_of(trainer: Trainer, stateful: dict[str, Any]) -> dict[str, str]:
    """Give what must be the same where the state is taken over."""
    model = trainer.model
    parts = {"loss": type(trainer.loss).__name__, "optimizer": type(trainer.optimizer).__name__}
    if trainer.regularizer is not None:
        parts["regularizer"] = type(trainer.regularizer).__name__
    for key, optimizer in getattr(trainer.optimizer, "optimizers", {}).items():
        parts[f"optimizer {key}"] = type(optimizer).__name__
    for path, layer in named_layers(model):
        parts[f"layer {path}" if path else "the model"] = type(layer).__name__
    for name, buffer in walk(model, Buffer):
        parts[f"array {name}"] = f"shape {np.shape(buffer.value)} and dtype {buffer.value.dtype}"
    for path, state in _streams(model).items():
        parts[f"generator {path}"] = ("RandomState of " if "gauss" in state else "") + state["bit_generator"]
    return parts | {name: type(callback).__name__ for name, callback in stateful.items()}


def state_of(trainer: Trainer, stateful: dict[str, Any]) -> State:
    """Collect what the run remembers."""
    model = trainer.model
    state: State = {
        "model": _arrays(model.state_dict()),
        "optimizer": _arrays(trainer.optimizer.state_dict(model)),
        "random": _streams(model),
        "trainer": trainer.state_dict(),
        "frozen": frozen_parts(model),
    }
    return state | {name: callback.state_dict() for name, callback in stateful.items()}


def _arrays(values: Mapping[str, Array]) -> dict[str, Array]:
    """Make arrays of entries of arrays, which arithmetic makes of those without axes."""
    return {name: as_array(name, value) for name, value in values.items()}


def take_over(state: State, trainer: Trainer, stateful: dict[str, Any], *, back: bool = False) -> None:
    """Undo `state_of`."""
    model = trainer.model
    if back:  # To what there was, which need not have been finite.
        model._overwrite(state["model"])
    else:
        model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"], model)
    for path, generator in walk(model, np.random.Generator):
        generator.bit_generator.state = state["random"][path]
    for path, old in walk(model, np.random.RandomState):
        old.set_state(state["random"][path])
    trainer.load_state_dict(state["trainer"])
    if "frozen" in state:  # As of version 2.
        freeze_parts(model, state["frozen"])
    for name, callback in stateful.items():
        callback.load_state_dict(state[name])
    model.clear_gradients()


def _streams(model: Layer) -> dict[str, Any]:
    """Give the state of each random stream, by its path."""
    generators = {path: generator.bit_generator.state for path, generator in walk(model, np.random.Generator)}
    return generators | {path: old.get_state(legacy=False) for path, old in walk(model, np.random.RandomState)}


def split(state: object, arrays: dict[str, Array], name: str, to_host: ToHost | None = None) -> Json:
    """
    Turn nested dicts of plain values and arrays into JSON; it refers to the arrays, which are added to `arrays`.

    Those of a device are taken to the host for it.
    """

    def entry(value: object, path: str) -> Json:
        if type(value) is dict:
            return {"dict": {key: entry(part, f"{path}.{key}") for key, part in value.items()}}
        return encode(value, lambda part: array(part, path))

    def array(value: object, path: str) -> Json:
        if not hasattr(value, "__array_function__"):
            return plain_only(value)
        while path in arrays:
            path += "'"
        arrays[path] = on_host(value, f"Checkpoint: {path}", to_host)
        return {"array": path}

    return entry(state, name)


def joined(state: Json, arrays: Mapping[str, Array]) -> Any:
    """Undo `split`."""
    return decode(state, lambda mark, name: {"array": arrays}[mark][name])
