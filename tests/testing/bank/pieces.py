"""What several layers of the bank are made from."""

import numpy as np

from minibackprop import ShapeError
from minibackprop.validation import Array


def draw(*shape: int, seed: int | None = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def rows(a: Array) -> Array:
    """Take all axes but the last as one."""
    return a.reshape(-1, a.shape[-1])


def require_features(x: Array, expected: int) -> None:
    if x.ndim == 0 or x.shape[-1] != expected:
        raise ShapeError("layer", f"(..., {expected})", str(x.shape))


def require_samples(x: Array, *shape: int) -> None:
    if x.shape[1:] != shape or x.ndim != len(shape) + 1:
        raise ShapeError("layer", f"(N, {', '.join(map(str, shape))})", str(x.shape))


def require_sequences(x: Array, features: int, least: int = 1) -> None:
    if x.ndim != 3 or x.shape[1] < least or x.shape[2] != features:
        raise ShapeError("layer", f"(N, at least {least}, {features})", str(x.shape))


def logistic(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def normalized_exp(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
