"""Losses of classes: cross-entropies, from logits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from attrs import field, frozen

from minibackprop.errors import ConfigError, DTypeError, MinibackpropError, ShapeError, describe
from minibackprop.losses.base import ReducedLoss, weights_per_entry
from minibackprop.losses.targets import are_labels, as_labels, as_probabilities, require_from_0_to_1
from minibackprop.numerics.error_state import quiet
from minibackprop.numerics.functions import sigmoid, softplus_excess
from minibackprop.validation import Array, as_float, is_fraction, require_numbers, shortened


@frozen
class BinaryCrossEntropy(ReducedLoss):
    """
    The binary cross-entropy, from logits: the mean of ``log(1 + exp(p)) - t * p``.

    That is ``-t * log(s) - (1 - t) * log(1 - s)`` for the probability ``s = sigmoid(p)``, computed in one, so that no
    logit, however large, makes it overflow or lose its gradient ``s - t``. A model for it ends without a `Sigmoid`; one
    turns its predictions into probabilities.

    Parameters
    ----------
    reduction : {"mean", "sum"}
        Whether terms are averaged over all samples, with their weights, and entries, or summed.

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

    from_logits = "sigmoid"

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L; the cache is the arguments, as floats, and the divisor."""
        try:
            _require_floats("BinaryCrossEntropy", prediction)
            if prediction.shape != target.shape:
                expected = f"a target of the prediction's shape {prediction.shape}"
                raise ShapeError("BinaryCrossEntropy", expected, str(target.shape))
            require_from_0_to_1("BinaryCrossEntropy", target)
            target = target.astype(prediction.dtype, copy=False)
            terms, divisor = self._weighted(quiet().run(_logistic_loss, prediction, target), weights)
        except Exception as error:
            require_numbers("BinaryCrossEntropy (prediction)", prediction, error)
            require_numbers("BinaryCrossEntropy (target)", target, error)
            raise
        return float(terms.sum()) / divisor, (prediction, target, weights, divisor)

    def backward(self, cache: tuple[Array, Array, Array | None, float], scale: float = 1.0, /) -> Array:
        """Return ``scale * w * (sigmoid(p) - t)``, divided as the loss is."""
        prediction, target, weights, divisor = cache
        slopes: Array = quiet().run(sigmoid, prediction)
        slopes -= target
        slopes *= float(scale) / divisor
        if weights is not None:
            slopes *= weights_per_entry("BinaryCrossEntropy", weights, slopes)
        return slopes


def _require_floats(subject: str, prediction: Array) -> None:
    if prediction.dtype.kind != "f":
        raise DTypeError(subject, "a floating-point prediction", describe(prediction))


def _logistic_loss(logits: Array, target: Array) -> Array:
    """Compute ``log(1 + exp(p)) - t * p``; what is small is added last, so as not to be lost beside large logits."""
    terms = np.maximum(logits, 0.0)
    terms -= logits * target
    terms += softplus_excess(logits)
    return terms


def _as_class_weights(values: object) -> tuple[float, ...] | None:
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


@frozen
class SoftmaxCrossEntropy(ReducedLoss):
    """
    The cross-entropy of classes, from logits: the mean of ``-log(softmax(p)[label])``.

    In full, ``L = sum(w * c * q * -log(softmax(p))) / sum(w * c * t)`` over samples, positions and classes. The classes
    are the last axis of the prediction. The target t is 1 for the label and 0 else, or a probability for each class; w
    are the weights of the samples, c those of the classes; and q is t with its labels smoothed, ``(1 - e) * t + e /
    C``. Softmax and logarithm are computed in one, so that no logit, however large, makes them overflow or lose the
    gradient ``softmax(p) - t``. A model for it ends without a `Softmax`.

    Parameters
    ----------
    label_smoothing : float
        How much of each label, e, is spread evenly over all C classes, so that no logit need grow without bound; at
        least 0, below 1 (C. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016).
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
        In forward, if labels are not integers; or, with class weights, if integers have the prediction's shape: one-hot
        targets are floats or bools there, since `total_weight` takes integers to be labels.
    TargetError
        In forward, if a label is not one of the classes, or probabilities are negative or do not add up to 1.

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
    minibackprop.errors.TargetError: SoftmaxCrossEntropy expects labels from 0 to 2, got 3 at index (1,)
    """

    from_logits = "softmax"

    label_smoothing: float = field(default=0.0, converter=as_float, validator=is_fraction)
    class_weights: tuple[float, ...] | None = field(default=None, converter=_as_class_weights)

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
        class_weights = np.array(self.class_weights, like=target)
        if target.dtype.kind in "iu":
            labels = as_labels("SoftmaxCrossEntropy", target, len(class_weights))
            counts = class_weights[labels].reshape(target.shape)
        elif target.shape[-1:] == class_weights.shape:
            counts = target @ class_weights
        else:
            expected = f"integer labels, or probabilities of {len(class_weights)} classes"
            raise ShapeError("SoftmaxCrossEntropy", expected, describe(target))
        if weights is not None:
            counts = counts * weights_per_entry("SoftmaxCrossEntropy", weights, counts)
        return float(counts.sum())

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

    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        """Return ``scale * w * c * (softmax(p) * sum(q) - q)``, divided as the loss is."""
        saved, divisor, shape = cache
        backward = _backward_labels if isinstance(saved, _OfLabels) else _backward_distributions
        return backward(saved, float(scale) / divisor).reshape(shape)

    def _forward(self, prediction: Array, target: Array, weights: Array | None) -> tuple[float, Any]:
        """Put all positions into one axis, weight them, and let one of the two halves compute the sum."""
        labelled, shape = self._is_labelled(prediction, target), prediction.shape
        logits = prediction.reshape(-1, shape[-1])
        # In C order, so that entries can be written to by flat indices. Quiet: -inf is as good as a number below all.
        logits = quiet().run(np.subtract, logits, logits.max(axis=1, keepdims=True), order="C")
        if labelled:
            target = as_labels("SoftmaxCrossEntropy", target, shape[-1])
        else:
            target = as_probabilities("SoftmaxCrossEntropy", target).astype(logits.dtype, copy=False)
        if weights is not None:
            given = weights_per_entry("SoftmaxCrossEntropy", weights, prediction[..., 0]).reshape(-1)
            weights = given.repeat(len(logits) // max(len(given), 1)).reshape(-1, 1)
        counts, class_weights = weights, None
        if self.class_weights is not None:
            class_weights = np.array(self.class_weights, dtype=logits.dtype, like=logits)
            counts = (class_weights[target] if labelled else target @ class_weights).reshape(-1, 1)
            counts = counts if weights is None else counts * weights
        divisor = self._divisor(float(len(logits) if counts is None else counts.sum()), shape)

        saved: _OfLabels | _OfDistributions
        if labelled and not self.label_smoothing:
            total, saved = _forward_labels(logits, target, counts)
        else:
            distributions = self._smoothed(_one_hot(target, logits) if labelled else target)
            for factors in (class_weights, weights):
                distributions = distributions if factors is None else distributions * factors
            total, saved = _forward_distributions(logits, distributions)
        return total / divisor, (saved, divisor, shape)

    def _smoothed(self, target: Array) -> Array:
        """Compute ``(1 - e) * t + e / C``."""
        if not self.label_smoothing:
            return target
        smoothed = (1.0 - self.label_smoothing) * target
        smoothed += self.label_smoothing / target.shape[1]
        return smoothed


def _one_hot(labels: Array, like: Array) -> Array:
    rows = np.zeros_like(like)
    rows.reshape(-1)[_entries(labels, like)] = 1.0
    return rows


def _entries(labels: Array, like: Array) -> Array:
    """Find the entry of each label in an array of shape (M, C), as an index of all its entries in one axis."""
    entries: Array = labels + np.arange(0, like.size, like.shape[1], like=like)
    return entries


# The two halves of the cross-entropy, each with its backward pass: sums over M positions, which stand in one axis. They
# take logits from which the largest of each position has been subtracted, and use them up.


class _OfLabels(NamedTuple):
    """What `_forward_labels` leaves to `_backward_labels`."""

    exponentials: Array  # (M, C): softmax is exponentials / sums.
    sums: Array  # (M, 1)
    entries: Array  # (M,): the flat indices of the labels' entries.
    weights: Array | None  # (M, 1)


def _forward_labels(logits: Array, labels: Array, weights: Array | None) -> tuple[float, _OfLabels]:
    """Compute ``sum(w * (log(sum(exp(p))) - p[label]))``; no weights are ones."""
    entries = _entries(labels, logits)
    chosen = logits.reshape(-1)[entries].reshape(-1, 1)
    if weights is not None:  # 0 times the infinity that a difference may overflow to would be NaN.
        np.maximum(chosen, np.finfo(chosen.dtype).min, out=chosen)
    exponentials, sums = _exponentials(logits)
    losses = np.log(sums) - chosen
    total = losses.sum() if weights is None else np.vdot(weights, losses)
    return float(total), _OfLabels(exponentials, sums, entries, weights)


def _backward_labels(saved: _OfLabels, factor: float) -> Array:
    """Compute ``factor * w * softmax(p)``, less ``factor * w`` at the labels."""
    exponentials, sums, entries, weights = saved
    if weights is None:
        grad: Array = np.multiply(exponentials, factor / sums, order="C")
        grad.reshape(-1)[entries] -= factor
    else:
        grad = np.multiply(exponentials, factor * weights / sums, order="C")
        grad.reshape(-1)[entries] -= factor * weights.reshape(-1)
    return grad


class _OfDistributions(NamedTuple):
    """What `_forward_distributions` leaves to `_backward_distributions`."""

    exponentials: Array  # (M, C): softmax is exponentials / sums.
    sums: Array  # (M, 1)
    target: Array  # (M, C)
    totals: Array  # (M, 1): the sums of the target over the classes.


def _forward_distributions(logits: Array, target: Array) -> tuple[float, _OfDistributions]:
    """Compute ``sum(t * (log(sum(exp(p))) - p))`` for a target t that is weighted already."""
    totals = target.sum(axis=1, keepdims=True)
    # 0 times the infinity that a difference may overflow to would be NaN.
    aligned = np.vdot(target, np.maximum(logits, np.finfo(logits.dtype).min, out=logits))
    exponentials, sums = _exponentials(logits)
    total = float(np.vdot(totals, np.log(sums))) - float(aligned)
    return total, _OfDistributions(exponentials, sums, target, totals)


def _backward_distributions(saved: _OfDistributions, factor: float) -> Array:
    """Compute ``factor * (sum(t) * softmax(p) - t)``."""
    exponentials, sums, target, totals = saved
    grad: Array = exponentials * (factor * totals / sums)
    grad -= factor * target
    return grad


def _exponentials(logits: Array) -> tuple[Array, Array]:
    """Compute exponentials in place, and their sums over the classes: softmax is the quotient of the two."""
    exponentials: Array = quiet().run(np.exp, logits, out=logits)
    return exponentials, exponentials.sum(axis=1, keepdims=True)
