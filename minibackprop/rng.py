"""Explicit randomness: the one place where a seed becomes a source of random numbers."""

from __future__ import annotations

from typing import TypeAlias, TypeGuard

import numpy as np

from minibackprop.errors import ConfigError
from minibackprop.validation import is_integer

#: A generator, a legacy ``RandomState``, a seed, or None for fresh entropy. In quotes, as NumPy imports its random
#: numbers when they are first asked for, which takes a while.
Rng: TypeAlias = "np.random.Generator | np.random.RandomState | int | None"


def is_stream(value: object) -> TypeGuard[np.random.Generator | np.random.RandomState]:
    """Tell whether a value is what a layer may keep to draw from."""
    return isinstance(value, (np.random.Generator, np.random.RandomState))


def as_generator(rng: Rng) -> np.random.Generator | np.random.RandomState:
    """
    Return `rng` itself where it draws numbers, and a new generator where it is a seed or None.

    Examples
    --------
    >>> as_generator(0).random() == np.random.default_rng(0).random()
    True
    """
    if is_stream(rng):
        return rng
    if rng is None or (is_integer(rng) and rng >= 0):
        return np.random.default_rng(rng)
    raise ConfigError("rng", "a Generator, a RandomState, a seed of at least 0, or None", repr(rng))


def private_generator(rng: Rng) -> np.random.Generator:
    """
    Make a generator of its own for a layer or another object that draws later, seeded by 16 bytes drawn from `rng`.

    Two that are made from one source of random numbers differ. One made from a seed draws other numbers than weights
    that were made from the same seed.

    Raises
    ------
    ConfigError
        If `rng` is none of what `as_generator` takes.

    Examples
    --------
    >>> private_generator(0).random() == private_generator(0).random()
    True
    >>> shared = np.random.default_rng(0)
    >>> private_generator(shared).random() == private_generator(shared).random()
    False
    """
    return np.random.default_rng(int.from_bytes(as_generator(rng).bytes(16), "little"))
