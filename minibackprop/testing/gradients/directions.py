"""The directions along which gradients are compared: entries, equal entries together, all entries at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen

from minibackprop.validation import Array

#: How many entries move one by one, and how many are chosen of more.
_FEW, _RANDOM = 40, 8


@frozen(eq=False)
class Move:
    """A direction in the space of the input and all parameters: which array moves, and how."""

    name: str  # "input", or a parameter's; "" where all move at once
    kind: str  # "entry", "ties" or "random"
    arrays: list[Array]
    index: tuple[int, ...] = ()


def joint_move(
    rng: np.random.Generator,
    names: Sequence[str],
    point: Sequence[Array],
    chosen: Sequence[str],
    size: float = 1.0,
) -> Move:
    """Choose a random direction in which all arrays that are `chosen` by name move at once; a wrong one shows there."""
    name = chosen[0] if len(chosen) == 1 else ""
    moving = [other in chosen and array.dtype.kind == "f" for other, array in zip(names, point, strict=True)]
    arrays = [size * _at_random(rng, a) if m else np.zeros(a.shape) for a, m in zip(point, moving, strict=True)]
    return Move(name, "random", arrays)


def single_moves(
    rng: np.random.Generator,
    names: Sequence[str],
    point: Sequence[Array],
    chosen: Sequence[str],
    few: int = _FEW,
    random: int = _RANDOM,
) -> list[Move]:
    """
    Choose directions in which the arrays that are `chosen` by name move one at a time.

    In an array of up to `few` entries, each moves on its own; in a larger one, `random` of them do, and all at once in
    as many directions. Many arrays share these numbers.
    """
    found = []
    nothing = [np.zeros(array.shape) for array in point]

    def move(place: int, kind: str, entries: Array, index: tuple[int, ...] = ()) -> None:
        arrays = [entries if place == other else zeros for other, zeros in enumerate(nothing)]
        found.append(Move(names[place], kind, arrays, index))

    share = max(1, len(chosen) // 3)
    few, random = max(few // share, 2), max(random // share, 2)
    for place, (name, array) in enumerate(zip(names, point, strict=True)):
        if name not in chosen or not array.size:
            continue
        scale = scale_of(array)
        picked = np.arange(array.size) if array.size <= few else rng.choice(array.size, random, replace=False)
        for flat in picked:
            index = tuple(int(i) for i in np.unravel_index(flat, array.shape))
            entries = np.zeros(array.shape)
            entries[index] = scale[index]
            move(place, "entry", entries, index)
        if array.size > few:
            for _ in range(random):
                move(place, "random", _at_random(rng, array))
        if name == "input":
            for equal in _ties(array)[:_RANDOM]:
                move(place, "ties", scale * equal)
    return found


def _at_random(rng: np.random.Generator, array: Array) -> Array:
    """Draw a direction of any signs; of unlike sizes, since what is equal may hide a kink."""
    direction: Array = scale_of(array) * (rng.integers(0, 2, array.shape) * 2.0 - 1) * rng.uniform(0.5, 1, array.shape)
    return direction


def scale_of(array: Array) -> Array:
    """Compute how far a step of one moves each entry: a power of two near its size, at least one; no infinity moves."""
    size = np.where(np.isfinite(array), np.maximum(np.abs(array), 1.0), 0.5)
    scale: Array = np.where(size < 1, 0.0, 2.0 ** np.floor(np.log2(size)))
    return scale


def _ties(x: Array) -> list[Array]:
    """Mark the entries that are equal within each sample, a mask for each value that occurs more than once."""
    masks = []
    for row in range(len(x) if x.ndim else 0):
        values, counts = np.unique(x[row], return_counts=True)
        for value in values[counts > 1]:
            mask = np.zeros(x.shape)
            mask[row] = x[row] == value
            masks.append(mask)
    return masks
