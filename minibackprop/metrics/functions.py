"""Metrics: numbers for people to read, which need no gradient."""

from __future__ import annotations

import numpy as np

from minibackprop.errors import ShapeError
from minibackprop.losses.targets import are_labels, as_labels, as_probabilities, require_from_0_to_1
from minibackprop.validation import Array, require_numbers


def mean_absolute_error(prediction: Array, target: Array) -> float:
    """
    Compute the mean of ``|p - t|`` over all samples and entries: the error that the article prints.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no entry.

    Examples
    --------
    >>> mean_absolute_error(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    1.5
    """
    _require_like("mean_absolute_error", prediction, target)
    return float(np.mean(np.abs(prediction - target)))


def accuracy(prediction: Array, target: Array) -> float:
    """
    Compute the share of samples whose class is predicted: that of the largest entry, the first of equal ones.

    Parameters
    ----------
    prediction : array of shape (N, ..., C)
        Logits or probabilities of at least two classes.
    target : array of shape (N, ...) or (N, ..., C)
        Integer labels; or one-hot rows or probabilities, of which the largest entry is the class.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there is no entry.
    DTypeError
        If labels are not integers.
    TargetError
        If a label is not one of the classes, or probabilities are negative or do not add up to 1.

    Examples
    --------
    >>> prediction = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    >>> accuracy(prediction, np.array([0, 1, 2, 2]))
    0.75
    """
    require_numbers("accuracy: prediction", prediction)
    require_numbers("accuracy: target", target)
    labelled = are_labels("accuracy", target, prediction)
    _require_some("accuracy", prediction)
    if labelled:
        classes = as_labels("accuracy", target, prediction.shape[-1])
    else:
        classes = as_probabilities("accuracy", target).argmax(axis=1)
    return float(np.mean(prediction.argmax(axis=-1).reshape(-1) == classes))


def binary_accuracy(prediction: Array, target: Array, threshold: float = 0.0) -> float:
    """
    Compute the share of entries that are on the right side of the threshold.

    Parameters
    ----------
    prediction : array
        Above the threshold, an entry says yes.
    target : array of the same shape
        From 0 to 1, or bools; above one half, yes is right.
    threshold : float
        0 for logits, 0.5 for probabilities.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no entry.
    TargetError
        If a target is not from 0 to 1.

    Examples
    --------
    >>> binary_accuracy(np.array([[-2.0], [1.0], [3.0], [4.0]]), np.array([[0], [1], [1], [0]]))
    0.75
    >>> binary_accuracy(np.array([[0.1], [0.9]]), np.array([[False], [False]]), threshold=0.5)
    0.5
    """
    _require_like("binary_accuracy", prediction, target)
    require_from_0_to_1("binary_accuracy", target)
    return float(np.mean((prediction > threshold) == (target > 0.5)))


def _require_like(subject: str, prediction: Array, target: Array) -> None:
    require_numbers(f"{subject}: prediction", prediction)
    require_numbers(f"{subject}: target", target)
    if prediction.shape != target.shape:
        raise ShapeError(subject, f"a target of shape {prediction.shape}", str(target.shape))
    _require_some(subject, prediction)


def _require_some(subject: str, prediction: Array) -> None:
    if not prediction.size:
        raise ShapeError(subject, "at least one entry", f"shape {prediction.shape}")
