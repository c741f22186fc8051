"""Means and variances, and the gradient through them: what all normalizations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minibackprop.errors import ShapeError
from minibackprop.validation import Array, require_numbers


def require_features(layer: object, x: Array, features: int) -> None:
    """Require real numbers, and so many features along the last axis."""
    if getattr(x, "shape", ())[-1:] != (features,) or x.dtype.kind != "f":
        name = type(layer).__name__
        require_numbers(name, x)
        if x.shape[-1:] != (features,):
            raise ShapeError(name, f"(..., {features})", str(x.shape))


def require_channels(layer: object, x: Array, channels: int) -> None:
    """Require real numbers, and so many channels along axis 1; NumPy would broadcast a single one."""
    if getattr(x, "shape", ())[1:2] != (channels,) or x.dtype.kind != "f":
        name = type(layer).__name__
        require_numbers(name, x)
        if x.shape[1:2] != (channels,):
            raise ShapeError(name, f"(N, {channels}) or (N, {channels}, ...)", str(x.shape))


def as_real(x: Array) -> Array:
    """Return x; integers as floating-point numbers, since their sums might wrap around."""
    return x if x.dtype.kind == "f" else x * 1.0


def along(x: Array, axis: int, values: Array) -> Array:
    """Shape one number for each place along an axis so that it meets that axis of x."""
    return values.reshape(-1, *[1] * (x.ndim - 1 - axis % x.ndim))


def sums(axis: int, *factors: Array) -> Array:
    """Sum a product over all axes but one, without an array of the products."""
    axes = list(range(factors[0].ndim))
    operands: list[Any] = [operand for factor in factors for operand in (factor, axes)]
    found: Array = np.einsum(*operands, [axes[axis]])
    return found


def row_means(*factors: Array) -> Array:
    """Average a product over each row, as a column: 0 for rows of no entries."""
    rows, *others = factors
    width = rows.shape[1]
    # A product with ones takes a third of the time of a sum.
    total = sums(0, *factors) if others else rows.dot(np.ones_like(rows, shape=width))
    return (total / (width or 1))[:, np.newaxis]


def centre(x: Array, axis: int, count: int) -> tuple[Array, Array]:
    """Compute x - mean, and the mean of the `count` values that there are at each place along an axis."""
    mean = sums(axis, x) / count
    centred: Array = x - along(x, axis, mean)
    # The mean of large values may be rounded by more than they vary: take away what is left of it.
    rest = sums(axis, centred) / count
    centred -= along(x, axis, rest)
    return centred, mean + rest


def centre_across(x: Array, axis: int, count: int, across: Callable[[Array], Array]) -> tuple[Array, Array, Array, int]:
    """Compute x - mean, mean, variance and count of the values that all workers have, at each place along an axis."""
    total, counts = across(np.stack([own := sums(axis, x), np.full_like(own, count)]))
    count = int(counts[0])
    mean = total / count
    centred: Array = x - along(x, axis, mean)
    rest, squares = across(np.stack([sums(axis, centred), sums(axis, centred, centred)])) / count
    centred -= along(x, axis, rest)
    return centred, mean + rest, squares - rest * rest, count


def normalize_rows(rows: Array, epsilon: float) -> tuple[Array, Array]:
    """Compute n = (x - mean) / s and 1 / s, with s = sqrt(var + epsilon), row by row."""
    n = rows - row_means(rows)
    n -= row_means(n)  # As in `centre`.
    inverse = 1 / np.sqrt(row_means(n, n) + epsilon)
    n *= inverse
    return n, inverse


def through_statistics(grad: Array, normal: Array, mean: Array | float, slope: Array, scale: Array) -> Array:
    """Compute ``scale * (grad - mean - normal * slope)``: what is left when the statistics follow the input."""
    back: Array = normal * slope
    back += mean
    np.subtract(grad, back, out=back)
    back *= scale
    return back
