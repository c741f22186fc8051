"""Saving a model: its layers as JSON, its arrays beside them, and the way back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from inspect import Signature, isabstract, signature
from math import prod
from typing import Any, TypeAlias

import numpy as np

from minibackprop.arrays import ToHost, on_host, require_to_host
from minibackprop.core import Layer, named_layers
from minibackprop.errors import ConfigError, ContractError, FileFormatError, describe
from minibackprop.initializers import placeholders
from minibackprop.saving.archive import (
    Json,
    StrPath,
    damaged,
    decode,
    encode,
    plain_only,
    read_archive,
    require_kind,
    require_path,
    write_archive,
)
from minibackprop.saving.marks import freeze_parts, frozen_parts
from minibackprop.state import Buffer, configuration, copy_with, walk
from minibackprop.validation import Array, is_iterable, shortened

#: Custom layers by their names.
_Custom: TypeAlias = Mapping[str, type[Layer]]

#: How many layers a file may hold; and how many if each is counted in all that it is in, at any depth, as often as it
#: stands there: 1,400 in each other. What goes beyond was made to take long.
_MOST_LAYERS, _MOST_PLACES = 10_000, 1_000_000

_STORABLE = "None, a bool, number, string, layer, or a list, tuple or dict of these"


def save(model: Layer, path: StrPath, *, to_host: ToHost | None = None) -> None:
    """
    Write a model into one file: its architecture, and the values of its parameters and buffers.

    Each layer is described by the arguments of its constructor, read off the attributes of their names as `repr` shows
    them. They may be None, booleans, numbers, strings, layers, and lists, tuples and dicts of these. What a layer lists
    in its attribute ``used_up`` (``rng``, ``init``, ``recurrent_init`` and ``dtype`` if it says nothing else) may also
    be of other kinds, or not kept, and is not saved then. Layers and parameters that stand in several places are tied
    again by `load`. Random streams are not saved (a `Checkpoint` does save them), nor are gradients.

    The file is an ``.npz`` archive without pickle; ``np.load(path)`` gives the arrays by the names that `state_dict`
    has. It takes the place of an older one as a whole, so a crash leaves the one or the other.

    Parameters
    ----------
    model : Layer
    path : str or path
        Used as it is given; no ending is added.
    to_host : callable, optional
        Makes a NumPy array of one that is elsewhere, as `cupy.asnumpy` does; by default ``array.get()``, or where
        there is none, what `np.asarray` makes. ``load(path).map_arrays(cupy.asarray)`` takes the model back.

    Raises
    ------
    ConfigError
        If an argument of a layer has a value of another kind, or is not kept as an attribute; or if `path` is none.
    DTypeError
        If `to_host` gives no NumPy array of the same shape and dtype.
    ContractError
        If the constructors, with these arguments, do not make the same model: one layer makes parameters later, say, or
        a plain value or array among its attributes has changed since.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from minibackprop import Dense, Sequential, Sigmoid
    >>> model = Sequential([Dense(3, 2, rng=0), Sigmoid()])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save(model, f"{directory}/model.npz")
    ...     loaded = load(f"{directory}/model.npz")
    >>> loaded
    Sequential([
        Dense(in_features=3, out_features=2, bias=True),
        Sigmoid(),
    ])
    >>> np.array_equal(loaded.predict(np.ones((1, 3))), model.predict(np.ones((1, 3))))
    True
    """
    if not isinstance(model, Layer):
        raise ConfigError("save: model", "an instance of Layer", describe(model))
    require_path("save", path)
    require_to_host("save", to_host)
    for place, layer in named_layers(model):
        for name in layer.side_inputs:
            if getattr(layer, name, None) is not None:
                got = f"{name} in {f'layer {place}' if place else 'it'}"
                raise ConfigError("save: model", "the model itself, not a copy with side inputs, from `given`", got)
    arrays = {name: on_host(value, f"save: {name}", to_host) for name, value in model.state_dict().items()}
    custom = _custom_classes(model)
    try:
        info = {"kind": "model", "layers": _records(model), "ties": _ties(model), "frozen": frozen_parts(model)}
    except RecursionError as error:
        raise ConfigError("save: model", "layers and lists that are nested less deeply") from error
    try:
        _require_same(_rebuilt(json.loads(json.dumps(info)), arrays, custom), model)
    except Exception as error:
        expected = "be what the constructors of its layers make of their arguments, or it could not be loaded"
        raise ContractError(f"save: {type(model).__name__}", expected, str(error)) from error
    write_archive(path, arrays, info)


def load(path: StrPath, classes: Iterable[type[Layer]] = ()) -> Layer:
    """
    Read a model that `save` wrote.

    Nothing that the file names is imported, and nothing in it is run: the layers are the package's own, and those of
    `classes`. Arrays have the dtypes that they had. A layer that draws random numbers does so from fresh entropy.

    Parameters
    ----------
    path : str or path
    classes : iterable of type
        The classes of the custom layers in the file, which knows them by their names alone.

    Raises
    ------
    FileFormatError
        If the file is damaged, of another format or of a later version, or holds something else than a model; also if
        the layers do not take what it says of them.
    ConfigError
        If it has a custom layer that is not among `classes`; or if an argument makes no sense.
    OSError
        If there is no file, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from minibackprop import Layer
    >>> class Square(Layer):
    ...     def forward(self, x):
    ...         return x * x, x
    ...
    ...     def backward(self, grad, x):
    ...         return 2 * x * grad
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save(Square(), f"{directory}/square.npz")
    ...     load(f"{directory}/square.npz", classes=[Square])
    Square()
    """
    require_path("load", path)
    named = _by_name(classes)
    arrays, info = read_archive(path)
    if info.get("kind") == "checkpoint":
        got = "a checkpoint; model.load_state_dict(load_weights(path)) takes the weights from it"
        raise FileFormatError(os.fspath(path), "a model that save wrote", got)
    require_kind(path, info, "model", "save")
    try:
        custom = {record["custom"] for record in info["layers"] if "custom" in record}
        unknown = ", ".join(sorted(custom - named.keys()))
        model = None if unknown else _rebuilt(info, arrays, named)
    except Exception as error:
        raise damaged(path, error) from error
    if model is None:
        expected = f"the classes of the custom layers in the file: load(path, classes=[{unknown}])"
        raise ConfigError("load: classes", expected, shortened(sorted(named)))
    return model


def load_weights(path: StrPath) -> dict[str, Array]:
    """
    Read the values of a model's parameters and buffers, by name, from a file of `save` or of a `Checkpoint`.

    No layer is made, so it does without the classes, the trainer and the code of the run.
    ``model.load_state_dict(load_weights(path))`` gives them to a model, and with ``strict=False`` what fits by name.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    ConfigError
        If `path` is none.
    FileFormatError
        If the file is damaged, of another format or of a later version.
    OSError
        If there is no file, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from minibackprop import SGD, Checkpoint, Dense, MeanSquaredError, Trainer
    >>> trainer = Trainer(Dense(2, 1, rng=0), MeanSquaredError(), SGD(0.1))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     callbacks = [Checkpoint(f"{directory}/run.npz")]
    ...     _ = trainer.fit(np.ones((3, 2)), np.ones((3, 1)), 5, callbacks=callbacks)
    ...     weights = load_weights(f"{directory}/run.npz")
    >>> list(weights), np.array_equal(weights["weight"], trainer.model.weight.value)
    (['weight', 'bias'], True)
    """
    require_path("load_weights", path)
    arrays, info = read_archive(path)
    if info.get("kind") == "model":
        return arrays
    require_kind(path, info, "checkpoint", "Checkpoint")
    try:
        weights = decode(info["state"]["dict"]["model"], lambda mark, name: {"array": arrays}[mark][name])
        if not isinstance(weights, dict) or not all(isinstance(value, np.ndarray) for value in weights.values()):
            raise TypeError("the state of its model is no arrays by name")
    except Exception as error:
        raise damaged(path, error) from error
    return weights


# --- Layers as records -----------------------------------------------------------------------------------------------


def built_in(name: str) -> type[Layer] | None:
    """Find a layer that need not be passed to `load`: one that the package exports. Only its module is imported."""
    for room in ("layers", "core", "article"):
        kind = getattr(import_module(f"minibackprop.{room}"), name, None)
        if isinstance(kind, type) and issubclass(kind, Layer) and not isabstract(kind):
            return kind
    return None


def _by_name(classes: Iterable[type[Layer]]) -> dict[str, type[Layer]]:
    if not is_iterable(classes):
        raise ConfigError("load: classes", "a list of layer classes", describe(classes))
    named: dict[str, type[Layer]] = {}
    for kind in classes:
        if not (isinstance(kind, type) and issubclass(kind, Layer)):
            raise ConfigError("load: classes", "subclasses of Layer", describe(kind))
        if named.setdefault(kind.__name__, kind) is not kind:
            raise ConfigError("load: classes", "one class of a name", f"two {kind.__name__}")
    return named


def _is_built_in(layer: Layer) -> bool:
    return built_in(type(layer).__name__) is type(layer)


def _subject(path: str, layer: Layer) -> str:
    name = type(layer).__name__
    return f"save: layer {path} ({name})" if path else f"save: {name}"


def _custom_classes(model: Layer) -> dict[str, type[Layer]]:
    """Collect the classes of a model that are not the package's own, by the names that a file knows them by."""
    custom: dict[str, type[Layer]] = {}
    for path, layer in named_layers(model):
        kind = type(layer)
        if not _is_built_in(layer) and custom.setdefault(kind.__name__, kind) is not kind:
            raise ConfigError(_subject(path, layer), "one custom class of a name", f"two {kind.__name__}")
    return custom


def _records(model: Layer) -> list[Json]:
    """Describe the model as a list of layers, each after those that it is made of, which it names by their number."""
    paths = {id(layer): path for path, layer in named_layers(model)}
    records: list[Json] = []
    numbers: dict[int, tuple[Layer, int]] = {}  # Holds on to the layers, so that no id is used again.

    def reference(value: object) -> Json:
        return {"layer": add(value)} if isinstance(value, Layer) else plain_only(value)

    def add(layer: Layer) -> int:
        if id(layer) in numbers:
            return numbers[id(layer)][1]
        subject = _subject(paths.get(id(layer), ""), layer)
        found, config = configuration(layer), {}
        for argument in signature(type(layer)).parameters:
            if argument in layer.used_up:
                with suppress(KeyError, TypeError):  # Kept all the same, as a plain value.
                    config[argument] = encode(found[argument], plain_only)
                continue
            if argument not in found:
                raise ConfigError(subject, f"to keep its argument {argument} as an attribute of that name")
            try:
                config[argument] = encode(found[argument], reference)
            except ConfigError:  # A TypeError too, of a layer within this one, which it names.
                raise
            except TypeError as error:
                raise ConfigError(f"{subject}: {argument}", _STORABLE, str(error)) from error
        numbers[id(layer)] = layer, len(records)
        records.append({"class" if _is_built_in(layer) else "custom": type(layer).__name__, "config": config})
        return len(records) - 1

    add(model)
    return records


def _rebuilt(info: Mapping[str, Json], arrays: Mapping[str, Array], custom: _Custom) -> Layer:
    """Make the layers, one after the other, tie what is to be tied, and give each array its place."""
    largest = max((prod(value.shape) for value in arrays.values()), default=0)

    def placeholder(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Make what an array of the file will replace, without memory of its own."""
        if prod(shape) > largest:
            raise ValueError(f"an array of shape {shape} is missing")
        return np.broadcast_to(np.zeros((), dtype), shape)

    with placeholders(placeholder):
        made = _constructed(info["layers"], custom)
    model, places = _tied(made, arrays, info["ties"])
    for name, value in arrays.items():
        buffer = places[name]
        if np.shape(buffer.value) != value.shape or buffer.value.dtype.kind != value.dtype.kind:
            raise ValueError(f"{name} would be {describe(buffer.value)}, where it is {describe(value)}")
        buffer.value = value
    if "frozen" in info:  # As of version 2.
        freeze_parts(model, info["frozen"])
    return model


def _constructed(records: list[Json], custom: _Custom) -> Layer:
    """Make each layer of those before it, which its arguments refer to, and give the last."""
    layers: dict[int, Layer] = {}
    sizes: dict[int, int] = {}  # How many layers each is made of, itself included, in however many places they stand.
    signatures: dict[type[Layer], Signature] = {}
    used: list[int] = []
    total = 0

    def part(mark: str, number: int) -> Layer:
        used.append(number)
        return {"layer": layers}[mark][number]

    if len(records) > _MOST_LAYERS:
        raise ValueError(f"{len(records)} layers, of which a file may hold {_MOST_LAYERS}")
    for record in records:
        used.clear()
        config = decode({"dict": record["config"]}, part)
        ((mark, name),) = ((mark, name) for mark, name in record.items() if mark != "config")
        kind = built_in(name) if mark == "class" else custom.get(name) if mark == "custom" else None
        if kind is None:
            raise ValueError(f"this version has no layer {name}")
        sizes[len(layers)] = 1 + sum(sizes[number] for number in used)
        total += sizes[len(layers)]
        if total > _MOST_PLACES:
            raise ValueError(f"layers in more than {_MOST_PLACES} places, one within another")
        if kind not in signatures:
            signatures[kind] = signature(kind)
        call = signatures[kind].bind_partial()
        if unknown := sorted(config.keys() - call.signature.parameters.keys()):
            raise ValueError(f"{name} takes no {unknown}")
        call.arguments |= config
        call.apply_defaults()
        layers[len(layers)] = kind(*call.args, **call.kwargs)
    return layers[len(layers) - 1]


def _tied(model: Layer, arrays: Mapping[str, Array], ties: Mapping[str, str]) -> tuple[Layer, dict[str, Buffer]]:
    """Let what is shared stand in all its places; give the model, which may be a copy, and what stands where."""
    places = dict(_places(model))
    if places.keys() != arrays.keys() | ties.keys() or not arrays.keys() >= set(ties.values()):
        missing = sorted((arrays.keys() | ties.keys()) - places.keys())
        extra = sorted(places.keys() - arrays.keys() - ties.keys())
        raise ValueError(f"missing={shortened(missing)} arrays, extra={shortened(extra)}")
    twins = {id(places[path]): places[name] for path, name in ties.items() if places[path] is not places[name]}
    if twins:
        # A deep copy reaches every place there is, tuples and slots too; it makes no copies of the parameters.
        model = copy_with(model, [(buffer, twins.get(id(buffer), buffer)) for buffer in places.values()])
        places = dict(_places(model))
    if len({id(places[name]) for name in arrays}) < len(arrays):
        raise ValueError("arrays that would be tied, and are not")
    return model, places


def _require_same(rebuilt: Layer, model: Layer) -> None:
    """Require that nothing would get lost on the way through the file, but random streams."""
    (parts, values), (new_parts, new_values) = _outline(model), _outline(rebuilt)
    # Each part must be there; an attribute that the constructor does not make is a cached property, say.
    now, then = parts | values, new_parts | new_values
    for path in [*(parts | new_parts), *(path for path in values if path in new_values)]:
        if now.get(path, "missing") != then.get(path, "missing"):
            found, expected = (shortened(outline.get(path, "missing")) for outline in (then, now))
            raise ValueError(f"{path or 'the model'} would be {found}, where it is {expected}")


def _outline(model: Layer) -> tuple[dict[str, Json], dict[str, Json]]:
    """Give what loading must bring back: the classes of layers, parameters and buffers; and all plain attributes."""
    parts: dict[str, Json] = {path: type(buffer).__name__ for path, buffer in _places(model)}
    values: dict[str, Json] = {}
    for path, layer in named_layers(model):
        parts[path] = type(layer).__name__
        for name, value in layer._members():
            with suppress(TypeError):
                values[f"{path}.{name}" if path else name] = encode(value, partial(_shown, name in layer.used_up))
    return parts, values


def _shown(used_up: bool, value: object) -> Json:
    """Stand for a value that is not plain (a `special` for `encode`); a generator or initializer is not compared."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = str((value.dtype, value.shape)).encode() + value.tobytes()
        import hashlib  # With the cryptography of the system, which takes a while.

        return f"array {hashlib.sha256(content).hexdigest()[:16]}"
    if used_up:
        return repr(value) if isinstance(value, (np.dtype, type)) else plain_only(value)
    return type(value).__name__


def _places(model: Layer) -> Iterator[tuple[str, Buffer]]:
    """Find every place where a parameter or buffer stands: unlike with `walk`, a shared one comes several times."""

    def within(members: Iterable[tuple[object, object]], path: str) -> Iterator[tuple[str, Buffer]]:
        for name, value in members:
            here = f"{path}.{name}" if path else str(name)
            if isinstance(value, Buffer):
                yield here, value
            elif isinstance(value, dict):
                yield from within(value.items(), here)
            elif isinstance(value, (list, tuple)):
                yield from within(enumerate(value), here)

    for path, layer in named_layers(model):
        yield from within(layer._members(), path)


def _ties(model: Layer) -> dict[str, str]:
    """Tell, for every other place of a shared parameter or buffer, the name that it goes by."""
    names = {id(buffer): name for name, buffer in walk(model, Buffer)}
    return {path: names[id(buffer)] for path, buffer in _places(model) if path != names[id(buffer)]}
