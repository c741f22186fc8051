"""Side inputs that tell valid steps from padding."""

from __future__ import annotations

import numpy as np

from minibackprop.errors import ConfigError, DTypeError, ShapeError, describe
from minibackprop.validation import Array


def require_lengths(layer: str, lengths: Array, x: Array) -> None:
    """Require a number of steps for each sample of x, from 0 to as many as there are."""
    samples, steps = x.shape[:2]
    _require(f"{layer}: lengths", lengths, "iu", "integers", (samples,))
    if np.any(wrong := (lengths < 0) | (lengths > steps)):
        raise ConfigError(f"{layer}: lengths", f"numbers from 0 to {steps}, the steps of x", str(lengths[wrong][0]))


def require_mask(layer: str, mask: Array, x: Array) -> None:
    """Require a boolean for each step of each sample of x."""
    _require(f"{layer}: mask", mask, "b", "booleans", x.shape[:2])


def valid_steps(lengths: Array, start: int, stop: int) -> Array:
    """Tell which of some steps are valid, time first: in the shape (steps, N, 1)."""
    steps = np.arange(start, stop, like=lengths)
    valid: Array = steps[:, np.newaxis, np.newaxis] < lengths[:, np.newaxis]
    return valid


def _require(subject: str, value: Array, kinds: str, entries: str, shape: tuple[int, ...]) -> None:
    if getattr(getattr(value, "dtype", None), "kind", " ") not in kinds:
        raise DTypeError(subject, f"an array of {entries}", describe(value))
    if value.shape != shape:
        raise ShapeError(subject, f"shape {shape}", str(value.shape))
