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


def misshapen(subject: str, prediction: Array, target: Array) -> ShapeError:
    """Make the error for a target that does not have the prediction's shape."""
    remedy = ""
    if target.shape == prediction.shape[:-1] and prediction.shape[-1] == 1:
        remedy = f": write y[{_axes(target.ndim)}, np.newaxis]"
    elif target.shape[:-1] == prediction.shape and target.shape[-1:] == (1,):
        remedy = f": write y[{_axes(prediction.ndim)}, 0]"
    return ShapeError(subject, f"a target of the prediction's shape {prediction.shape}", f"{target.shape}{remedy}")


def _axes(count: int) -> str:
    return ":" if count == 1 else "..."


def are_labels(subject: str, target: Array, prediction: Array, axis: int = -1) -> bool:
    """Tell labels from probabilities by their shape; the classes lie along an axis of the prediction, not the first."""
    shape = prediction.shape
    if not -len(shape) < axis < len(shape) or shape[axis] < 2:
        layout = "of shape (N, ..., C)" if axis == -1 else f"with its classes along axis {axis}, after that of samples"
        raise ShapeError(subject, f"a prediction {layout}, for at least two classes", str(shape))
    places = _without(shape, axis)
    if target.shape != shape and target.shape != places:
        others = [other for other in range(1, len(shape)) if target.shape == _without(shape, other)]
        remedy = f": if the classes lie along axis {others[0]}, say axis={others[0]}" if others else ""
        expected = f"integer labels of shape {places}, or probabilities of shape {shape}"
        raise ShapeError(subject, expected, f"{target.shape}{remedy}")
    return target.shape != shape


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Give a shape without one of its axes."""
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def require_labels(subject: str, target: Array) -> None:
    """Require integers, or bools for labels 0 and 1."""
    if target.dtype.kind not in "iub":
        raise DTypeError(subject, "integer labels", f"{_first(target)}{_cast_to_labels(target)}")


def as_labels(subject: str, target: Array, classes: int) -> Array:
    """Require valid labels, and put them into one axis."""
    labels = in_one_axis(subject, target)
    if labels.size and largest_of(labels) >= classes:
        raise _misfit(subject, f"labels from 0 to {classes - 1}", target, (target >= 0) & (target < classes))
    return labels


def in_one_axis(subject: str, target: Array) -> Array:
    """Require labels, which may be of no class, and put them into one axis."""
    require_labels(subject, target)
    labels: Array = target.reshape(-1).astype(np.intp, copy=False)
    return labels


def largest_of(labels: Array) -> Array:
    """Find the largest label, where negative ones are larger than all others."""
    largest: Array = labels.view(np.uintp).max()  # Without a sign.
    return largest


def as_probabilities(subject: str, target: Array, axis: int = -1) -> Array:
    """Require probabilities of classes along an axis, and put them into two axes, the classes last."""
    _require_reals(subject, target)
    classes = target.shape[axis]
    rows = (target if axis == -1 else np.moveaxis(target, axis, -1)).reshape(-1, classes)
    if rows.size and not (rows.min() >= 0 and np.abs(rows.sum(axis=1) - 1.0).max() <= _TOLERANCE):
        if not rows.min() >= 0:
            raise _misfit(subject, "probabilities of at least 0", target, target >= 0)
        sums = target.sum(axis=axis)
        expected = "probabilities that add up to 1 over the classes"
        raise _misfit(subject, expected, sums, np.abs(sums - 1.0) <= _TOLERANCE)
    return rows


def _misfit(subject: str, expected: str, values: Array, fits: Array) -> TargetError:
    """Name the first of the values that does not fit."""
    index = tuple(int(i) for i in np.argwhere(~fits)[0])
    return TargetError(subject, expected, f"{values[index]} at index {index}")


def _cast_to_labels(values: Array) -> str:
    """Say how labels of another kind become integers, where that is plain."""
    first = values.flat[0] if values.size else None
    if isinstance(first, str):
        return ": write np.unique(y, return_inverse=True)[1]"
    if values.dtype.kind == "f" and np.isfinite(values).all() and not (values % 1).any():
        return ": write y.astype(int)"
    return ""


def _first(values: Array) -> str:
    """Name the first of the values, all of the wrong kind."""
    return f"{values.flat[0]} at index {(0,) * values.ndim} ({values.dtype})" if values.size else describe(values)
