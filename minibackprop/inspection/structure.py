"""How a model is put together, for pictures of it: its layers, which of them are the same, and what repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from inspect import signature
from typing import Any

from attrs import define, field, frozen

from minibackprop.core import Layer
from minibackprop.state import CONTAINERS, Parameter, Stateful, configuration, members_of

#: A block of more layers than so many is not looked for among those that repeat.
_LONGEST = 8
_SIMPLE = (bool, int, float, complex, str, bytes, type(None))


@define(eq=False)
class Part:
    """
    What a picture tells of a layer.

    Attributes
    ----------
    place : str
        The first path that leads to it, as in the names of parameters; empty for the model itself.
    settings : str
        Its configuration but for the layers within and what has its default value; or its own ``repr``.
    look : tuple
        What of it itself, without the layers within, makes it like another.
    arrays : dict of int to (int, bool)
        The parameters that it holds itself, by their identity: how many numbers, and whether they are frozen.
    parts : list of (str, Part)
        The layers within, with their names; one that stands in several places is the same `Part` each time.
    times : int
        In how many places it stands.
    key : int
        Two layers have the same key if they are made alike, whatever their weights; one that stands in several places
        has a key of its own.
    """

    layer: Layer
    place: str
    settings: str = ""
    look: tuple[object, ...] = ()
    arrays: dict[int, tuple[int, bool]] = field(factory=dict)
    parts: list[tuple[str, Part]] = field(factory=list)
    times: int = 1
    key: int = -1

    @property
    def name(self) -> str:
        """The name of its class."""
        return type(self.layer).__name__

    def shortened(self, characters: int) -> str:
        """Give the settings, or the beginning of long ones."""
        return self.settings if len(self.settings) <= characters else self.settings[:characters] + "…"

    def all(self) -> list[Part]:
        """List it, and all that is in it, each once."""
        found = {id(self): self}
        for part in (ways := [self]):
            new = {id(inner): inner for _, inner in part.parts if id(inner) not in found}
            found |= new
            ways += new.values()
        return ways

    def numbers(self) -> tuple[int, int]:
        """Count the numbers in its parameters, a shared one once: all of them, and those that are frozen."""
        arrays = {key: array for part in self.all() for key, array in part.arrays.items()}
        return sum(size for size, _ in arrays.values()), sum(size for size, frozen in arrays.values() if frozen)


@frozen
class Row:
    """Parts of a layer that stand one after another, `times` times: one part, or a block of several."""

    first: str
    last: str
    block: tuple[tuple[str, Part], ...]
    times: int


def structure(model: Layer) -> Part:
    """Look at a model, whatever state it is in: what cannot be read of a layer is told in its settings."""
    root = Part(model, "")
    known = {id(model): root}
    order = [root]
    # Depth first, and not a recursion: layers are found in the order in which they are drawn, however deep.
    ways = [iter(_read(root))]
    while ways:
        for label, layer, owner in ways[-1]:
            part = known.get(id(layer))
            if part is None:
                part = known[id(layer)] = Part(layer, f"{owner.place}.{label}" if owner.place else label)
                owner.parts.append((label, part))
                order.append(part)
                ways.append(iter(_read(part)))
                break
            part.times += 1
            owner.parts.append((label, part))
        else:
            ways.pop()
    _compare(order)
    return root


def _read(part: Part) -> list[tuple[str, Layer, Part]]:
    """Read off a layer what is told of it; give the layers that it holds."""
    layer = part.layer
    inner: list[tuple[str, Layer, Part]] = []
    simple, arrays, broken = {}, [], 0
    try:
        for path, value in _held(layer):
            if isinstance(value, Layer):
                inner.append((path, value, part))
            elif isinstance(value, Parameter):
                part.arrays[id(value)] = int(value.value.size), bool(value.frozen)
                arrays.append((path, str(value.value.shape), str(value.value.dtype), value.frozen))
            elif isinstance(value, _SIMPLE) and not path.startswith("_"):
                simple[path] = value
        part.settings = _settings(layer, not inner)
    except Exception as error:  # A picture shows broken layers as well.
        part.settings, broken = f"cannot be read: {type(error).__name__}", id(layer)
    part.look = id(type(layer)), part.settings, repr(simple), repr(arrays), broken
    return inner


def _held(value: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, object]]:
    """Go through what a layer holds itself, by name, in lists, tuples and dicts too."""
    seen = set() if seen is None else seen
    for name, member in members_of(value) or ():
        inner = f"{path}.{name}" if path else str(name)
        if not isinstance(member, CONTAINERS):
            yield inner, member
        elif id(member) not in seen:
            seen.add(id(member))
            yield from _held(member, inner, seen)


def _settings(layer: Layer, alone: bool) -> str:
    """Write the configuration as in a call; or what the own ``__repr__`` gives of a layer that holds no others."""
    name, kind = type(layer).__name__, type(layer)
    if alone and kind.__repr__ is not Stateful.__repr__:
        told = repr(layer)
        inside = told.removeprefix(f"{name}(").removesuffix(")")
        return inside if told == f"{name}({inside})" else told
    shown = {name: value for name, value in configuration(layer).items() if not _has_layers(value)}
    settings = ((name, repr(value)) for name, value in shown.items())
    return ", ".join(f"{name}={value}" for name, value in settings if value != _defaults(kind)[name])


@lru_cache(1000)
def _defaults(kind: type) -> dict[str, str]:
    """Write the defaults of a constructor's arguments."""
    return {name: repr(parameter.default) for name, parameter in signature(kind).parameters.items()}


def _has_layers(value: object) -> bool:
    if isinstance(value, Layer) or not isinstance(value, CONTAINERS):
        return isinstance(value, Layer)
    return any(isinstance(member, Layer) for _, member in _held(value))


def _compare(parts: list[Part]) -> None:
    """Give each part its key; those within a part have theirs before it, so that nothing is compared twice."""
    holders = Counter(key for part in parts for key in part.arrays)
    keys: dict[object, int] = {}
    for part in parts:
        if part.times > 1:  # Itself, wherever it stands; it may be in itself.
            part.key = keys.setdefault(id(part), len(keys))
    # They were found from the outermost inwards.
    for part in reversed(parts):
        if part.times == 1:
            shared = tuple(key for key in part.arrays if holders[key] > 1)
            look = part.look, shared, tuple((label, inner.key) for label, inner in part.parts)
            part.key = keys.setdefault(look, len(keys))


def rows(parts: list[tuple[str, Part]]) -> list[Row]:
    """Put together what repeats: a part, or a block of a few, that stands several times in a row."""
    # Names that the user gave, "query" and "value", are told; positions, "0" and "1", may be put together.
    alike = [(label.rpartition(".")[0] if label.split(".")[-1].isdigit() else label, part.key) for label, part in parts]
    found, at = [], 0
    while at < len(parts):
        length, times = 1, 1
        for candidate in range(1, min(_LONGEST, (len(parts) - at) // 2) + 1):
            block, count = alike[at : at + candidate], 1
            while alike[at + count * candidate : at + (count + 1) * candidate] == block:
                count += 1
            if count > 1 and count * candidate > length * times:
                length, times = candidate, count
        end = at + length * times
        found.append(Row(parts[at][0], parts[end - 1][0], tuple(parts[at : at + length]), times))
        at = end
    return found
