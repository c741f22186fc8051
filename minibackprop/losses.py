"""Losses: how far a prediction is from its target, as a number, and the gradient with which backpropagation starts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from attrs import field, frozen

from minibackprop.core import Array, ConfigError, DTypeError, MinibackpropError, ShapeError, describe
from minibackprop.floating_point import quiet
from minibackprop.validation import is_fraction, is_one_of, is_positive, require_numbers, shortened

#: How far from 1 probabilities may add up: they may be rounded, or come from float16.
_TOLERANCE = 1e-3


class TargetError(MinibackpropError, ValueError):
    """A target of the right shape that means nothing: a label of no class, probabilities that do not add up to 1."""


class Loss(ABC):
    """
    A function of prediction and target to a number, with its gradient by the prediction.

    The shapes of prediction and target must be equal: NumPy would broadcast (N, 1) against (N,) to (N, N). Only integer
    labels of classes lack the prediction's last axis.

    `weights`, of shape (N,), counts each sample that often: a weight of 2 is the same as the sample standing twice.
    With more leading axes, they count the places in samples: (N, T) for the steps of sequences, 0 for padding.

    Attributes
    ----------
    reduction : {"mean", "sum"}
        Whether the loss of a batch is the mean over its samples, weighted, or their sum. A sum must say so.
    """

    reduction: str = "mean"

    @abstractmethod
    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute the loss, and the cache that `backward` needs."""

    @abstractmethod
    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        """
        Return `scale` times the gradient of the loss by the prediction.

        A batch may be worked off in parts: `scale` is then the part's share of the batch, for a mean that of the
        `total_weight`, for a sum 1.
        """

    def total_weight(self, target: Array, weights: Array | None = None, /) -> float:
        """Compute what a mean is divided by, up to a constant: by default the number of samples, or their weights."""
        return float(len(target)) if weights is None else float(weights.sum())

    def __call__(self, prediction: Array, target: Array, weights: Array | None = None, /) -> float:
        """Compute the loss alone."""
        return self.forward(prediction, target, weights)[0]


def _residual(subject: str, prediction: Array, target: Array) -> Array:
    try:
        if prediction.shape != target.shape:
            raise ShapeError(subject, f"a target of the prediction's shape {prediction.shape}", str(target.shape))
        # A float64 target would make a float64 gradient.
        if target.dtype is not prediction.dtype or prediction.dtype.kind != "f":
            require_numbers(f"{subject} (prediction)", prediction)
            require_numbers(f"{subject} (target)", target)  # A cast would parse strings.
            target = target.astype(prediction.dtype)
        return prediction - target
    except Exception as error:
        require_numbers(f"{subject} (prediction)", prediction, error)
        require_numbers(f"{subject} (target)", target, error)
        raise


def _per_entry(subject: str, weights: Array, like: Array) -> Array:
    """Shape the weights of samples, or of places in them, so that they multiply all entries there."""
    require_numbers(f"{subject} (weights)", weights)
    if not weights.ndim or weights.shape != like.shape[: weights.ndim]:
        raise ShapeError(subject, f"weights of shape {like.shape[:1]}, or of more leading axes", str(weights.shape))
    return weights.astype(like.dtype, copy=False).reshape(*weights.shape, *[1] * (like.ndim - weights.ndim))


@frozen
class HalfSquaredError(Loss):
    """
    Half the sum of squares, over all samples and entries: ``L = sum(w * (p - t)**2) / 2``.

    The article's loss: its gradient ``w * (p - t)`` is the article's error with the sign of descent.

    Examples
    --------
    >>> loss = HalfSquaredError()
    >>> value, cache = loss.forward(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    >>> value
    2.5
    >>> loss.backward(cache)
    array([[1.],
           [2.]])
    """

    reduction = "sum"

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Array]:
        """Compute ``(L, dL/dp)``."""
        residual = _residual("HalfSquaredError", prediction, target)
        weighted = residual if weights is None else residual * _per_entry("HalfSquaredError", weights, residual)
        return 0.5 * float(np.vdot(residual, weighted)), weighted

    def backward(self, weighted: Array, scale: float = 1.0, /) -> Array:
        """Return ``scale * w * (p - t)``."""
        # float: a NumPy scalar would make float64 of float32.
        return weighted if scale == 1 else float(scale) * weighted


@frozen
class _Reduced(Loss):
    """A loss that is the mean or the sum of terms, as its user says."""

    reduction: str = field(default="mean", kw_only=True, validator=is_one_of("mean", "sum"))

    def _divisor(self, total: float, shape: tuple[int, ...]) -> float:
        """Say what the sum of all terms, of weights that add up to `total`, is divided by."""
        if self.reduction == "sum":
            return 1.0
        if total == 0:
            raise ShapeError(type(self).__name__, "at least one entry of weight above 0", f"shape {shape}")
        return total

    def _weighted(self, terms: Array, weights: Array | None) -> tuple[Array, float]:
        """Weigh the terms, one for each entry, and say what they are divided by."""
        if weights is None:
            return terms, self._divisor(float(terms.size), terms.shape)
        weighted = terms * _per_entry(type(self).__name__, weights, terms)
        entries = terms.size // max(weights.size, 1)  # That a weight is for.
        return weighted, self._divisor(float(weights.sum()) * entries, terms.shape)


@frozen
class _OfResiduals(_Reduced):
    """A loss of the residuals ``p - t``, whose forward leaves their weighted slopes and a factor to backward."""

    def backward(self, cache: tuple[Array, float], scale: float = 1.0, /) -> Array:
        """Return `scale` times the gradient."""
        slopes, factor = cache
        return (float(scale) * factor) * slopes


@frozen
class MeanSquaredError(_OfResiduals):
    """
    The squares, over all samples and entries: ``L = sum(w * (p - t)**2) / (sum(w) * entries of a sample)``.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        With "sum", nothing is divided by.

    Raises
    ------
    ConfigError
        If the reduction is another.

    Examples
    --------
    >>> loss = MeanSquaredError()
    >>> value, cache = loss.forward(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    >>> value
    2.5
    >>> loss.backward(cache)
    array([[1.],
           [2.]])
    """

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L, and the cache."""
        residual = _residual("MeanSquaredError", prediction, target)
        weighted, divisor = self._weighted(residual, weights)
        return float(np.vdot(residual, weighted)) / divisor, (weighted, 2 / divisor)


@frozen
class MeanAbsoluteError(_OfResiduals):
    """
    The sizes of the errors, over all samples and entries: ``L = sum(w * |p - t|) / (sum(w) * entries of a sample)``.

    Less moved by outliers than squares: the slope is the sign of the error, whatever its size, and 0 where there is
    none.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        With "sum", nothing is divided by.

    Raises
    ------
    ConfigError
        If the reduction is another.

    Examples
    --------
    >>> loss = MeanAbsoluteError()
    >>> value, cache = loss.forward(np.array([[1.0], [-3.0]]), np.array([[0.0], [0.0]]))
    >>> value
    2.0
    >>> loss.backward(cache)
    array([[ 0.5],
           [-0.5]])
    """

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L, and the cache."""
        residual = _residual("MeanAbsoluteError", prediction, target)
        signs, divisor = self._weighted(np.sign(residual), weights)
        return float(np.vdot(residual, signs)) / divisor, (signs, 1 / divisor)


@frozen
class Huber(_OfResiduals):
    """
    Squares of small errors, sizes of large ones.

    The mean of ``r**2 / 2`` where ``|r| <= delta``, and of ``delta * (|r| - delta / 2)`` elsewhere, with ``r = p - t``.
    The slope is r, clipped to `delta` (P. J. Huber, "Robust estimation of a location parameter", 1964).

    Parameters
    ----------
    delta : float
        Where an error begins to be large, in units of the target.
    reduction : {"mean", "sum"}
        Whether terms are averaged over all samples, weighted, and entries, or added up.

    Raises
    ------
    ConfigError
        If `delta` is not a positive finite number, or the reduction is another.

    Examples
    --------
    >>> loss = Huber(delta=1.0)
    >>> value, cache = loss.forward(np.array([[0.5], [-3.0]]), np.array([[0.0], [0.0]]))
    >>> value == (0.5**2 / 2 + (3 - 0.5)) / 2
    True
    >>> loss.backward(cache)
    array([[ 0.25],
           [-0.5 ]])
    """

    delta: float = field(default=1.0, validator=is_positive)

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L, and the cache."""
        residual = _residual("Huber", prediction, target)
        delta = float(self.delta)
        clipped = quiet.run(residual.clip, -delta, delta)  # Quiet: a delta beyond float32 clips nothing.
        slopes, divisor = self._weighted(clipped, weights)
        # Times a slope r, r/2; times a slope delta, |r| - delta/2.
        return float(np.vdot(residual - 0.5 * clipped, slopes)) / divisor, (slopes, 1 / divisor)


@frozen
class BinaryCrossEntropy(_Reduced):
    """
    The cross-entropy of yes and no, from logits: the mean of ``log(1 + exp(p)) - t * p``.

    That is ``-t * log(s) - (1 - t) * log(1 - s)`` for the probability ``s = sigmoid(p)``, computed in one so that no
    logit of any size makes it overflow or lose its gradient ``s - t``. A model for it ends without a `Sigmoid`; its
    predictions are probabilities once passed through one.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        Whether terms are averaged over all samples, weighted, and entries, or added up.

    Raises
    ------
    ConfigError
        If the reduction is another.
    TargetError
        In forward, if a target, of the prediction's shape, is not from 0 to 1. Bools and integers serve too.

    Examples
    --------
    >>> loss = BinaryCrossEntropy()
    >>> value, cache = loss.forward(np.array([[0.0], [1000.0]]), np.array([[1], [0]]))
    >>> value == (math.log(2) + 1000) / 2
    True
    >>> loss.backward(cache)
    array([[-0.25],
           [ 0.5 ]])
    """

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L; the cache is the arguments, as floats, and what is divided by."""
        try:
            _require_floats("BinaryCrossEntropy", prediction)
            if prediction.shape != target.shape:
                expected = f"a target of the prediction's shape {prediction.shape}"
                raise ShapeError("BinaryCrossEntropy", expected, str(target.shape))
            require_shares("BinaryCrossEntropy", target)
            target = target.astype(prediction.dtype, copy=False)
            terms, divisor = self._weighted(quiet.run(_logistic_loss, prediction, target), weights)
        except Exception as error:
            require_numbers("BinaryCrossEntropy (prediction)", prediction, error)
            require_numbers("BinaryCrossEntropy (target)", target, error)
            raise
        return float(terms.sum()) / divisor, (prediction, target, weights, divisor)

    def backward(self, cache: tuple[Array, Array, Array | None, float], scale: float = 1.0, /) -> Array:
        """Return ``scale * w * (sigmoid(p) - t)``, divided as the loss is."""
        prediction, target, weights, divisor = cache
        slopes: Array = quiet.run(_sigmoid, prediction)
        slopes -= target
        slopes *= float(scale) / divisor
        if weights is not None:
            slopes *= _per_entry("BinaryCrossEntropy", weights, slopes)
        return slopes


def _require_reals(subject: str, target: Array) -> None:
    if target.dtype.kind not in "fiub":
        raise DTypeError(subject, "a target of real numbers", describe(target))


def _require_floats(subject: str, prediction: Array) -> None:
    if prediction.dtype.kind != "f":
        raise DTypeError(subject, "a floating-point prediction", describe(prediction))


def _logistic_loss(logits: Array, target: Array) -> Array:
    terms = np.maximum(logits, 0.0)
    terms -= logits * target
    powers = np.copysign(logits, -1.0)
    np.exp(powers, out=powers)
    terms += np.log1p(powers, out=powers)
    return terms


def _sigmoid(logits: Array) -> Array:
    powers = np.exp(-logits)
    powers += 1.0
    return np.reciprocal(powers, out=powers)


def _class_weights(values: object) -> tuple[float, ...] | None:
    subject = "SoftmaxCrossEntropy: class_weights"
    if values is None:
        return None
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise ConfigError(subject, "a sequence of numbers, one for each class", shortened(values))
    numbers = tuple(values)
    for index, value in enumerate(numbers):
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
            raise ConfigError(subject, "positive finite numbers", f"{shortened(value)} at index {index}")
    return tuple(float(value) for value in numbers)


def require_shares(subject: str, target: Array) -> None:
    """Require numbers from 0 to 1, or bools."""
    _require_reals(subject, target)
    if target.dtype.kind != "b" and target.size and not (target.min() >= 0 and target.max() <= 1):
        raise _misfit(subject, "targets from 0 to 1", target, (target >= 0) & (target <= 1))


def are_labels(subject: str, target: Array, prediction: Array) -> bool:
    """Tell labels of classes from probabilities, by their shape; the classes are the last axis of the prediction."""
    shape = prediction.shape
    if len(shape) < 2 or shape[-1] < 2:
        raise ShapeError(subject, "a prediction of shape (N, ..., C), for at least two classes", str(shape))
    if target.shape != shape and target.shape != shape[:-1]:
        expected = f"integer labels of shape {shape[:-1]}, or probabilities of shape {shape}"
        raise ShapeError(subject, expected, str(target.shape))
    return target.shape != shape


def as_labels(subject: str, target: Array, classes: int) -> Array:
    """Require numbers of classes, and put them into one axis."""
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


class _Softmaxed(NamedTuple):
    """What forward of the cross-entropy leaves to backward, with M positions in one axis."""

    powers: Array  # (M, C): softmax is powers / sums.
    sums: Array  # (M, 1)
    mass: Array | None  # (M, 1): the sum of the weighted target over the classes; None for ones.
    aimed: Array  # (M, C): the weighted target; or (M,): where in powers the labels are, which get all of the mass.
    divisor: float
    shape: tuple[int, ...]


@frozen
class SoftmaxCrossEntropy(_Reduced):
    """
    The cross-entropy of classes, from logits: the mean of ``-log(softmax(p)[label])``.

    In full, ``L = sum(w * c * q * -log(softmax(p))) / sum(w * c * t)`` over samples, positions and classes. The classes
    are the last axis of the prediction. The target t is 1 for the label and 0 else, or a probability for each class; w
    are the weights of the samples, c those of the classes; and q is t with its labels smoothed, ``(1 - e) * t + e /
    C``. Softmax and logarithm are computed in one, so that no logit of any size makes them overflow or lose the
    gradient ``softmax(p) - t``. A model for it ends without a `Softmax`.

    Parameters
    ----------
    label_smoothing : float
        How much of each label, e, is spread evenly over all C classes, so that no logit need grow without end; at least
        0, below 1 (C. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016).
    class_weights : sequence of float, optional
        How much each class counts, c; more for a rare one, say. Kept as a tuple. A mean divides by the weights of the
        classes that the targets name: for labels as PyTorch does, for probabilities so that one-hot rows give what
        their labels give (where PyTorch divides by the number of positions).
    reduction : {"mean", "sum"}
        With "sum", nothing is divided by.

    Raises
    ------
    ConfigError
        If the smoothing is not in [0, 1), a class weight is not positive and finite, or the reduction is another.
    ShapeError
        In forward, unless the prediction is (N, ..., C), with at least two classes and as many as class weights, and
        the target has its shape, or that without the last axis.
    DTypeError
        In forward, if labels are no integers; or, with class weights, if integers have the prediction's shape: one-hot
        targets are floats or bools there, since `total_weight` takes integers for labels.
    TargetError
        In forward, if a label names no class, or probabilities are negative or do not add up to 1.

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
    >>> value, cache = loss.forward(logits, np.array([0, 1]))
    >>> round(value, 12) == round(-(math.log(0.5) + math.log(0.75)) / 2, 12)
    True
    >>> loss.backward(cache).round(4)
    array([[-0.25  ,  0.125 ,  0.125 ],
           [ 0.0625, -0.125 ,  0.0625]])
    >>> loss(logits, np.array([0, 3]))
    Traceback (most recent call last):
    ...
    minibackprop.losses.TargetError: SoftmaxCrossEntropy expects labels from 0 to 2, got 3 at index (1,)
    """

    label_smoothing: float = field(default=0.0, validator=is_fraction)
    class_weights: tuple[float, ...] | None = field(default=None, converter=_class_weights)

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L, and the cache."""
        try:
            return self._forward(prediction, target, weights)
        except MinibackpropError:
            raise
        except Exception as error:
            require_numbers("SoftmaxCrossEntropy (prediction)", prediction, error)
            require_numbers("SoftmaxCrossEntropy (target)", target, error)
            raise

    def total_weight(self, target: Array, weights: Array | None = None, /) -> float:
        """Compute what a mean is divided by, up to a constant: the weights of all samples, times those of classes."""
        if self.class_weights is None:
            return super().total_weight(target, weights)
        require_numbers("SoftmaxCrossEntropy (target)", target)
        table = np.array(self.class_weights, like=target)
        if target.dtype.kind in "iu":
            named = table[as_labels("SoftmaxCrossEntropy", target, len(table))].reshape(target.shape)
        elif target.shape[-1:] == table.shape:
            named = target @ table
        else:
            expected = f"integer labels, or probabilities of {len(table)} classes"
            raise ShapeError("SoftmaxCrossEntropy", expected, describe(target))
        if weights is not None:
            named = named * _per_entry("SoftmaxCrossEntropy", weights, named)
        return float(named.sum())

    def _is_labelled(self, prediction: Array, target: Array) -> bool:
        """Tell labels from probabilities, and require that all shapes fit."""
        _require_floats("SoftmaxCrossEntropy", prediction)
        labelled = are_labels("SoftmaxCrossEntropy", target, prediction)
        if self.class_weights is not None:
            if prediction.shape[-1] != len(self.class_weights):
                expected = f"a prediction of {len(self.class_weights)} classes, one for each class weight"
                raise ShapeError("SoftmaxCrossEntropy", expected, str(prediction.shape))
            if not labelled and target.dtype.kind in "iu":
                expected = "one-hot targets of floats or bools, where classes have weights"
                raise DTypeError("SoftmaxCrossEntropy", expected, describe(target))
        return labelled

    def _forward(self, prediction: Array, target: Array, weights: Array | None) -> tuple[float, _Softmaxed]:
        shape = prediction.shape
        labelled = self._is_labelled(prediction, target)
        logits = prediction.reshape(-1, shape[-1])
        # In C order, so that entries can be written to by flat indices. Quiet: -inf is as good as a number below all.
        shifted = quiet.run(np.subtract, logits, logits.max(axis=1, keepdims=True), order="C")
        table = None
        if self.class_weights is not None:
            table = np.array(self.class_weights, dtype=shifted.dtype, like=shifted)
        if weights is not None:
            given = _per_entry("SoftmaxCrossEntropy", weights, prediction[..., 0]).reshape(-1)
            weights = given.repeat(len(logits) // max(len(given), 1)).reshape(-1, 1)

        if labelled:
            labels = as_labels("SoftmaxCrossEntropy", target, shape[-1])
            index = labels + np.arange(0, shifted.size, shape[-1], like=shifted)
            named = None if table is None else table[labels].reshape(-1, 1)
        else:
            spread = as_probabilities("SoftmaxCrossEntropy", target).astype(shifted.dtype, copy=False)
            named = None if table is None else (spread @ table).reshape(-1, 1)
        counts = weights if named is None else named if weights is None else named * weights
        divisor = self._divisor(float(len(logits) if counts is None else counts.sum()), shape)

        if labelled and not self.label_smoothing:
            picked = shifted.reshape(-1)[index]
            mass, aimed = counts, index
            # 0 times the infinity that a difference may overflow to would be NaN.
            lowest = np.finfo(picked.dtype).min
            against = picked.sum() if counts is None else np.vdot(counts, np.maximum(picked, lowest, out=picked))
        else:
            if labelled:
                spread = np.zeros_like(shifted)
                spread.reshape(-1)[index] = 1.0
            if self.label_smoothing:
                share = float(self.label_smoothing)
                spread = (1.0 - share) * spread
                spread += share / shape[-1]
            aimed = spread if table is None else spread * table
            aimed = aimed if weights is None else aimed * weights
            mass = aimed.sum(axis=1, keepdims=True)
            against = np.vdot(aimed, np.maximum(shifted, np.finfo(shifted.dtype).min, out=shifted))
        powers = quiet.run(np.exp, shifted, out=shifted)
        sums = powers.sum(axis=1, keepdims=True)
        logs = np.log(sums)
        value = float(logs.sum() if mass is None else np.vdot(mass, logs)) - float(against)
        return value / divisor, _Softmaxed(powers, sums, mass, aimed, divisor, shape)

    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        """Return ``scale * w * c * (softmax(p) * sum(q) - q)``, divided as the loss is."""
        powers, sums, mass, aimed, divisor, shape = cache
        factor = float(scale) / divisor
        grad: Array = np.multiply(powers, (factor if mass is None else factor * mass) / sums, order="C")
        if aimed.ndim == 1:
            grad.reshape(-1)[aimed] -= factor if mass is None else factor * mass.reshape(-1)
        else:
            grad -= factor * aimed
        result: Array = grad.reshape(shape)
        return result
