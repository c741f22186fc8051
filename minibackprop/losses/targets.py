"""What the targets of classification may be: labels, or probabilities."""

from __future__ import annotations

import numpy as np

from minibackprop.errors import DTypeError, ShapeError, TargetError, describe
from minibackprop.validation import Array

#: How far from 1 the sum of probabilities may be: they may be rounded, or come from float16.
_TOLERANCE = 1e-3


def _require_reals(subject: str, target: Array) -> None:
    if target.dtype.kind not in "fiub":
        raise DTypeError(subject, "a target of real numbers", describe(target))


def require_from_0_to_1(subject: str, target: Array) -> None:
    """Require numbers from 0 to 1, or bools."""
    _require_reals(subject, target)
    if target.dtype.kind != "b" and target.size and not (target.min() >= 0 and target.max() <= 1):
        raise _misfit(subject, "targets from 0 to 1", target, (target >= 0) & (target <= 1))


def are_labels(subject: str, target: Array, prediction: Array) -> bool:
    """Tell labels from probabilities by their shape; the classes are the last axis of the prediction."""
    shape = prediction.shape
    if len(shape) < 2 or shape[-1] < 2:
        raise ShapeError(subject, "a prediction of shape (N, ..., C), for at least two classes", str(shape))
    if target.shape != shape and target.shape != shape[:-1]:
        expected = f"integer labels of shape {shape[:-1]}, or probabilities of shape {shape}"
        raise ShapeError(subject, expected, str(target.shape))
    return target.shape != shape


def as_labels(subject: str, target: Array, classes: int) -> Array:
    """Require valid labels, and put them into one axis."""
    if target.dtype.kind not in "iu":
        raise DTypeError(subject, "integer labels", _first(target))
    labels = target.reshape(-1).astype(np.intp, copy=False)
    # Without a sign, negative ones are large.
    if labels.size and labels.view(np.uintp).max() >= classes:
        raise _misfit(subject, f"labels from 0 to {classes - 1}", target, (target >= 0) & (target < classes))
    return labels


def as_probabilities(subject: str, target: Array) -> Array:
    """Require probabilities of classes, and put them into two axes."""
    _require_reals(subject, target)
    rows = target.reshape(-1, target.shape[-1])
    if rows.size and not (rows.min() >= 0 and np.abs(rows.sum(axis=1) - 1.0).max() <= _TOLERANCE):
        if not rows.min() >= 0:
            raise _misfit(subject, "probabilities of at least 0", target, target >= 0)
        sums = target.sum(axis=-1)
        expected = "probabilities that add up to 1 over the classes"
        raise _misfit(subject, expected, sums, np.abs(sums - 1.0) <= _TOLERANCE)
    return rows


def _misfit(subject: str, expected: str, values: Array, fits: Array) -> TargetError:
    """Name the first of the values that does not fit."""
    index = tuple(int(i) for i in np.argwhere(~fits)[0])
    return TargetError(subject, expected, f"{values[index]} at index {index}")


def _first(values: Array) -> str:
    """Name the first of the values, all of the wrong kind."""
    return f"{values.flat[0]} at index {(0,) * values.ndim} ({values.dtype})" if values.size else describe(values)
