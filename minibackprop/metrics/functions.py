"""The metrics themselves: functions of whole data, each of which also accumulates over batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isnan

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from minibackprop.errors import ConfigError, ShapeError
from minibackprop.losses.targets import are_labels, as_labels, as_probabilities, require_from_0_to_1
from minibackprop.metrics.base import MeanMetric, Metric, accumulating, weights_of_terms
from minibackprop.validation import Array, as_float, is_integer, require_numbers, shortened

# --- Of numbers ------------------------------------------------------------------------------------------------------


def _absolute_errors(prediction: Array, target: Array) -> Array:
    return np.abs(_differences("mean_absolute_error", prediction, target))


_MEAN_ABSOLUTE_ERROR = MeanMetric("mean_absolute_error", _absolute_errors)


@accumulating(lambda: _MEAN_ABSOLUTE_ERROR)
def mean_absolute_error(prediction: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> float:
    """
    Compute the mean of ``|p - t|`` over all samples and entries: the error that the article prints.

    Parameters
    ----------
    prediction, target : array of one shape
    weights : array, optional
        How much each sample counts, (N,), or each place in the samples, (N, T); as of a loss.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no entry, or no weight.

    Examples
    --------
    >>> mean_absolute_error(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    1.5
    """
    return _MEAN_ABSOLUTE_ERROR(prediction, target, weights)


def _squared_errors(prediction: Array, target: Array) -> Array:
    return np.square(_differences("mean_squared_error", prediction, target))


_MEAN_SQUARED_ERROR = MeanMetric("mean_squared_error", _squared_errors)


@accumulating(lambda: _MEAN_SQUARED_ERROR)
def mean_squared_error(prediction: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> float:
    """
    Compute the mean of ``(p - t)**2`` over all samples and entries.

    Parameters
    ----------
    prediction, target : array of one shape
    weights : array, optional
        As of `mean_absolute_error`.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no entry, or no weight.

    Examples
    --------
    >>> mean_squared_error(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    2.5
    """
    return _MEAN_SQUARED_ERROR(prediction, target, weights)


@frozen(eq=False)
class _Moments:
    """Of each output: the weight, the mean of the targets, their squared deviations from it, the squared residuals."""

    total: Array | float = 0.0
    mean: Array | float = 0.0
    spread: Array | float = 0.0
    residual: Array | float = 0.0

    def __add__(self, other: _Moments) -> _Moments:
        """Put two parts together; sums of squares would lose digits to their difference."""
        total = self.total + other.total
        share = other.total / np.where(total, total, 1)
        apart = other.mean - self.mean
        spread = self.spread + other.spread + self.total * share * apart**2
        return _Moments(total, self.mean + share * apart, spread, self.residual + other.residual)


class _R2(Metric):
    """The coefficient of determination; parts are put together by the parallel formula (Chan et al., 1979)."""

    def reset(self) -> _Moments:
        """Give those of no data."""
        return _Moments()

    def update(self, state: _Moments, prediction: Array, target: Array, weights: Array | None = None, /) -> _Moments:
        """Add what a batch says of the spread of its targets."""
        residuals = _differences("r2_score", prediction, target)
        if not residuals.size:
            raise ShapeError("r2_score", "at least one entry", f"shape {prediction.shape}")
        # All axes but the last are places; a target of one axis is one output.
        outputs = target.shape[-1] if target.ndim > 1 else 1
        if weights is None:
            factors = np.ones_like(residuals, np.float64, shape=())
        else:
            factors = weights_of_terms("r2_score", weights, residuals.shape)
            residuals, target = (np.where(factors > 0, array, 0.0) for array in (residuals, target))
        arrays = np.broadcast_to(factors, residuals.shape), residuals, target
        w, r, t = (array.reshape(-1, outputs).astype(np.float64, copy=False) for array in arrays)
        total = w.sum(axis=0)
        mean = (w * t).sum(axis=0) / np.where(total, total, 1)
        return state + _Moments(total, mean, (w * (t - mean) ** 2).sum(axis=0), (w * r**2).sum(axis=0))

    def result(self, state: _Moments, /) -> float:
        """Average over the outputs."""
        if not np.all(state.total):
            raise ShapeError("r2_score", "some weight above 0", "none")
        spread, residual = state.spread, state.residual
        exact = np.where(residual == 0, 1.0, 0.0)
        scores = np.where(spread == 0, exact, 1 - residual / np.where(spread == 0, 1.0, spread))
        return float((scores + 0 * residual).mean())  # NaN, if a prediction is.


@accumulating(_R2)
def r2_score(prediction: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> float:
    """
    Compute the coefficient of determination, ``R2 = 1 - sum((p - t)**2) / sum((t - mean(t))**2)``.

    1 is perfect, 0 what the mean of the targets would give. Of several outputs, the last axis, it is the mean of
    theirs. An output whose target is always the same has 1 if it is met exactly, else 0, as in scikit-learn; to which
    prediction and target come in the other order.

    Parameters
    ----------
    prediction, target : array of one shape
    weights : array, optional
        As of `mean_absolute_error`.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no entry, or no weight.

    Examples
    --------
    >>> r2_score(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))
    0.5
    """
    return _R2()(prediction, target, weights)


# --- Of classes ------------------------------------------------------------------------------------------------------


class _ClassMetric(MeanMetric):
    """A mean over places with labels: the classes along an axis, and a label that leaves its place out."""

    def __init__(
        self, name: str, terms: Callable[[Array, Array], Array], axis: int = -1, ignore_index: int | None = None
    ) -> None:
        super().__init__(name, terms)
        self.axis, self.ignore_index = axis, ignore_index

    def update(self, state: Array, prediction: Array, target: Array, weights: Array | None = None, /) -> Array:
        """Put the classes last, and leave out what is to be ignored."""
        require_numbers(f"{self.name}: prediction", prediction)
        require_numbers(f"{self.name}: target", target)
        if not is_integer(self.axis) or not (self.axis == -1 or self.axis % max(prediction.ndim, 1) >= 1):
            raise ConfigError(f"{self.name}: axis", "an axis behind that of the samples", shortened(self.axis))
        if not (self.ignore_index is None or is_integer(self.ignore_index)):
            raise ConfigError(f"{self.name}: ignore_index", "an integer, or None", shortened(self.ignore_index))
        labelled = are_labels(self.name, target, prediction, self.axis)
        prediction = np.moveaxis(prediction, self.axis, -1)
        if not labelled:
            target = np.moveaxis(target, self.axis, -1)
        elif self.ignore_index is not None:
            places = target != self.ignore_index
            if weights is not None:
                weights = np.broadcast_to(weights_of_terms(self.name, weights, target.shape), target.shape)[places]
            prediction, target = prediction[places], target[places]
            if not target.size:
                return state
        return super().update(state, prediction, target, weights)


def _hits(prediction: Array, target: Array) -> Array:
    hits: Array = prediction.argmax(axis=-1) == _labels("accuracy", prediction, target)
    return hits & ~_undefined(prediction.max(axis=-1))


def _accuracy(axis: int = -1, ignore_index: int | None = None) -> MeanMetric:
    return _ClassMetric("accuracy", _hits, axis, ignore_index)


@accumulating(_accuracy)
def accuracy(
    prediction: ArrayLike,
    target: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    axis: int = -1,
    ignore_index: int | None = None,
) -> float:
    """
    Compute the share of samples whose class is predicted: that of the largest entry, the first of equal ones.

    Parameters
    ----------
    prediction : array of shape (N, ..., C)
        Logits or probabilities of at least two classes.
    target : array of shape (N, ...) or (N, ..., C)
        Integer labels; or one-hot rows or probabilities, of which the largest entry is the class.
    weights : array, optional
        How much each sample counts, (N,), or each place in the samples, (N, T), with 0 for padding.
    axis : int
        That of the classes, as of `SoftmaxCrossEntropy`: 1 for images (N, C, H, W) with labels (N, H, W).
    ignore_index : int, optional
        A label whose places are left out, as of `SoftmaxCrossEntropy`.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there is no entry, or no weight.
    ConfigError
        If the axis is not one behind that of the samples, or `ignore_index` not an integer.
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
    return _accuracy(axis, ignore_index)(prediction, target, weights)


def _hits_among(prediction: Array, target: Array, k: int) -> Array:
    labels = _labels("top_k_accuracy", prediction, target)[..., np.newaxis]
    if not is_integer(k) or not 1 <= k <= prediction.shape[-1]:
        raise ConfigError("top_k_accuracy: k", f"from 1 to the {prediction.shape[-1]} classes", shortened(k))
    chosen = np.take_along_axis(prediction, labels, axis=-1)
    # Of equal entries the first ones win, as in accuracy.
    before = np.arange(prediction.shape[-1], like=prediction) < labels
    ranks = ((prediction > chosen) | ((prediction == chosen) & before)).sum(axis=-1)
    hits: Array = ranks < k
    return hits & ~_undefined(prediction.max(axis=-1))


def _top_k_accuracy(k: int = 5, axis: int = -1, ignore_index: int | None = None) -> MeanMetric:
    return _ClassMetric("top_k_accuracy", partial(_hits_among, k=k), axis, ignore_index)


@accumulating(_top_k_accuracy)
def top_k_accuracy(
    prediction: ArrayLike,
    target: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    k: int = 5,
    axis: int = -1,
    ignore_index: int | None = None,
) -> float:
    """
    Compute the share of samples whose class is among the `k` largest entries, of equal ones among the first.

    Another `k` for a `Trainer` goes by ``functools.partial(top_k_accuracy, k=3)``.

    Parameters
    ----------
    prediction, target, weights : array
        As of `accuracy`.
    k : int
        From 1, which is `accuracy`, to the number of classes.
    axis, ignore_index : int
        As of `accuracy`.

    Raises
    ------
    ConfigError
        If `k` is out of its range.
    ShapeError, DTypeError, TargetError
        As `accuracy`.

    Examples
    --------
    >>> prediction = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    >>> top_k_accuracy(prediction, np.array([1, 1, 1, 0]), k=2)
    0.75
    """
    return _top_k_accuracy(k, axis, ignore_index)(prediction, target, weights)


def _sides(prediction: Array, target: Array, threshold: float) -> Array:
    _require_like("binary_accuracy", prediction, target)
    if type(threshold := as_float(threshold)) is not float or isnan(threshold):
        raise ConfigError("binary_accuracy: threshold", "a number", shortened(threshold))
    require_from_0_to_1("binary_accuracy", target)
    hits: Array = (prediction > threshold) == (target > 0.5)
    return hits & ~_undefined(prediction)


def _binary_accuracy(threshold: float = 0.0) -> MeanMetric:
    return MeanMetric("binary_accuracy", partial(_sides, threshold=threshold))


@accumulating(_binary_accuracy)
def binary_accuracy(
    prediction: ArrayLike, target: ArrayLike, threshold: float = 0.0, weights: ArrayLike | None = None
) -> float:
    """
    Compute the share of entries that are on the right side of the threshold.

    Another threshold for a `Trainer` goes by ``functools.partial(binary_accuracy, threshold=0.5)``.

    Parameters
    ----------
    prediction : array
        Above the threshold, an entry says yes.
    target : array of the same shape
        From 0 to 1, or bools; above one half, yes is right.
    threshold : float
        0 for logits, 0.5 for probabilities.
    weights : array, optional
        As of `mean_absolute_error`.

    Raises
    ------
    ShapeError
        If the shapes differ, or there is no entry, or no weight.
    ConfigError
        If the threshold is not a number.
    TargetError
        If a target is not from 0 to 1.

    Examples
    --------
    >>> binary_accuracy(np.array([[-2.0], [1.0], [3.0], [4.0]]), np.array([[0], [1], [1], [0]]))
    0.75
    >>> binary_accuracy(np.array([[0.1], [0.9]]), np.array([[False], [False]]), threshold=0.5)
    0.5
    """
    return _binary_accuracy(threshold)(prediction, target, weights)


# --- What prediction and target must be ------------------------------------------------------------------------------


def _labels(subject: str, prediction: Array, target: Array) -> Array:
    """Find the labels of targets that are labels or probabilities, one for each place."""
    if are_labels(subject, target, prediction):
        labels = as_labels(subject, target, prediction.shape[-1])
    else:
        labels = as_probabilities(subject, target).argmax(axis=1)
    return labels.reshape(prediction.shape[:-1])


def _undefined(prediction: Array) -> Array:
    """Find what is NaN: a prediction that is none is a miss, and no first class or no."""
    undefined: Array = prediction != prediction
    return undefined


def _differences(subject: str, prediction: Array, target: Array) -> Array:
    """Compute p - t in float64: small integers would wrap around, and squares of narrower floats overflow."""
    _require_like(subject, prediction, target)
    dtype = np.result_type(prediction.dtype, target.dtype, np.float64)
    differences: Array = prediction.astype(dtype, copy=False) - target
    return differences


def _require_like(subject: str, prediction: Array, target: Array) -> None:
    require_numbers(f"{subject}: prediction", prediction)
    require_numbers(f"{subject}: target", target)
    if prediction.shape == target.shape:
        return
    got = str(target.shape)
    if prediction.shape[:-1] == target.shape and prediction.shape[-1:] == (1,):
        got += ": target[..., np.newaxis] would fit"
    elif prediction.shape[:-1] == target.shape and subject == "binary_accuracy":
        got += ": for labels of several classes there is accuracy"
    raise ShapeError(subject, f"a target of shape {prediction.shape}", got)
