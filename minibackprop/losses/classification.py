"""Losses of classes: cross-entropies, from logits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from attrs import field, frozen

from minibackprop.arrays import kind_of
from minibackprop.errors import ConfigError, DTypeError, MinibackpropError, ShapeError, describe
from minibackprop.losses.base import ReducedLoss, sum_of_weights, weights_per_entry
from minibackprop.losses.targets import (
    are_labels,
    as_labels,
    as_probabilities,
    in_one_axis,
    largest_of,
    misshapen,
    require_from_0_to_1,
    require_labels,
)
from minibackprop.numerics.error_state import quiet
from minibackprop.numerics.functions import looked_at, sigmoid, softplus_excess
from minibackprop.validation import (
    Array,
    as_float,
    as_tuple,
    is_axis,
    is_fraction,
    is_integer,
    require_numbers,
    shortened,
)


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
                raise misshapen("BinaryCrossEntropy", prediction, target)
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
    numbers = as_tuple(values)
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(numbers, tuple):
        raise ConfigError(subject, "a sequence of numbers, one for each class", shortened(values))
    for index, value in enumerate(numbers):
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < as_float(value) < math.inf:
            raise ConfigError(subject, "positive finite numbers", f"{shortened(value)} at index {index}")
    return tuple(float(value) for value in numbers)


def _as_ignore_index(value: Any) -> int | None:
    if value is None or is_integer(value):
        return value if value is None else int(value)
    raise ConfigError("SoftmaxCrossEntropy: ignore_index", "an integer, or None", shortened(value))


@frozen
class SoftmaxCrossEntropy(ReducedLoss):
    """
    The cross-entropy of classes, from logits: the mean of ``-log(softmax(p)[label])``.

    In full, ``L = sum(w * c * q * -log(softmax(p))) / sum(w * c)``, the first sum over samples, positions and classes,
    the second over samples and positions. The target t is 1 for the label and 0 else, or a probability for each class;
    w are the weights of the samples; c is the weight of a position by its class, ``sum(class_weights * t)``, that of
    its label; and q is t with its labels smoothed, ``(1 - e) * t + e / C``. Softmax and logarithm are computed in one,
    so that no logit, however large, makes them overflow or lose the gradient ``softmax(p) - t``. A model for it ends
    without a `Softmax`.

    Parameters
    ----------
    label_smoothing : float
        How much of each label, e, is spread evenly over all C classes, so that no logit need grow without bound; at
        least 0, below 1 (C. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016).
    class_weights : sequence of float, optional
        How much a sample of each class counts; more for a rare one, say. Kept as a tuple. A sample's whole loss is
        weighed by its own label's weight, so that weights and smoothing may be used together. A mean divides by the sum
        of these weights. (PyTorch divides labels by the same, probabilities by the number of positions; and it weighs
        each term of a sample by that term's class, so that of a smoothed label the small share of a rare class counts
        as much as that class does.)
    ignore_index : int, optional
        A label that counts nothing: no loss, no gradient, and no share in what a mean divides by. One of the classes,
        or a number that is none, such as -100 or 255. Targets are labels then. (PyTorch has -100 by default.)
    axis : int
        Where the classes of the prediction lie: any axis but that of samples, which is the first; from 1, or negative.
        1 for images (N, C, H, W), as `Conv2D` makes them, with labels (N, H, W).
    reduction : {"mean", "sum"}
        With "sum", nothing is divided by.

    Raises
    ------
    ConfigError
        If the smoothing is not in [0, 1), a class weight is not positive and finite, `ignore_index` is not an integer
        or None, `axis` is not an integer or is 0, or the reduction is another.
    ShapeError
        In forward, unless the prediction is (N, ..., C), or has its classes along `axis`, with at least two classes and
        as many as class weights, and the target has its shape, or that without the axis of the classes.
    DTypeError
        In forward, if labels are not integers or bools; if there is an `ignore_index`, and the target is probabilities;
        or, with class weights, if integers have the prediction's shape, or bools that of both labels and one-hot rows:
        `total_weight`, which sees no prediction, takes integers to be labels, and those bools to be one-hot.
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
    ignore_index: int | None = field(default=None, kw_only=True, converter=_as_ignore_index)
    axis: int = field(default=-1, kw_only=True, validator=is_axis)

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L, and the cache."""
        try:
            return self._forward(prediction, target, weights)
        except MinibackpropError:
            raise
        except Exception as error:
            require_numbers("SoftmaxCrossEntropy (prediction)", prediction, error)
            require_numbers("SoftmaxCrossEntropy (target)", target, error)
            if isinstance(error, IndexError):
                self._labels(target, prediction.shape[self.axis])
            raise

    def total_weight(self, target: Array, weights: Array | None = None, /) -> float:
        """Compute what a mean is divided by, up to a constant: the weights of what counts, times those of classes."""
        classes = self.class_weights
        if classes is None and self.ignore_index is None:
            return super().total_weight(target, weights)
        require_numbers("SoftmaxCrossEntropy (target)", target)
        if classes is None:
            require_labels("SoftmaxCrossEntropy", target)
            counts = (target != self.ignore_index).astype(np.float64)
        elif self._seems_labelled(target):
            labels, kept = self._labels(target, len(classes))
            counts = self._by_class(labels)
            counts = (counts if kept is None else counts * kept).reshape(target.shape)
        elif self._seems_spread(target):
            counts = self._by_class(np.moveaxis(target, self.axis, -1))
        else:
            expected = f"integer labels, or probabilities of {len(classes)} classes"
            raise ShapeError("SoftmaxCrossEntropy", expected, describe(target))
        if weights is not None:
            sum_of_weights("SoftmaxCrossEntropy", weights)
            counts = counts * weights_per_entry("SoftmaxCrossEntropy", weights, counts)
        return float(counts.sum())

    def _seems_labelled(self, target: Array) -> bool:
        """Tell labels from probabilities where the prediction is not known, but the number of classes is."""
        kind = target.dtype.kind
        return kind in "iu" or (kind == "b" and not self._seems_spread(target))

    def _seems_spread(self, target: Array) -> bool:
        """Tell whether the target has an axis of as many classes as have weights."""
        inside = -target.ndim < self.axis < target.ndim
        return inside and target.shape[self.axis] == len(self.class_weights or ())

    def _is_labelled(self, prediction: Array, target: Array) -> bool:
        """Tell labels from probabilities, and require that all shapes fit."""
        _require_floats("SoftmaxCrossEntropy", prediction)
        labelled = are_labels("SoftmaxCrossEntropy", target, prediction, self.axis)
        if self.ignore_index is not None and not labelled:
            expected = "integer labels, where there is an ignore_index"
            raise DTypeError("SoftmaxCrossEntropy", expected, f"probabilities, {describe(target)}")
        if self.class_weights is not None:
            if prediction.shape[self.axis] != len(self.class_weights):
                expected = f"a prediction of {len(self.class_weights)} classes, one for each class weight"
                raise ShapeError("SoftmaxCrossEntropy", expected, str(prediction.shape))
            if target.dtype.kind in "iub" and self._seems_labelled(target) is not labelled:
                kinds = "labels of integers" if labelled else "one-hot targets of floats or bools"
                raise DTypeError("SoftmaxCrossEntropy", f"{kinds}, where classes have weights", describe(target))
        return labelled

    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        """Return ``scale * w * c * (softmax(p) - q)``, divided as the loss is."""
        saved, divisor, shape = cache
        backward = _backward_labels if isinstance(saved, _OfLabels) else _backward_distributions
        grad = backward(saved, float(scale) / divisor).reshape(shape)
        return grad if self.axis == -1 else np.moveaxis(grad, -1, self.axis)

    def _forward(self, prediction: Array, target: Array, weights: Array | None) -> tuple[float, Any]:
        """Put all positions into one axis, weight them, and let one of the two halves compute the sum."""
        labelled = self._is_labelled(prediction, target)
        prediction = prediction if self.axis == -1 else np.moveaxis(prediction, self.axis, -1)
        shape = prediction.shape
        logits = prediction.reshape(-1, shape[-1])
        # Quiet: -inf is as good as a number below all.
        logits = quiet().run(np.subtract, logits, logits.max(axis=1, keepdims=True))
        if not logits.flags.c_contiguous:  # Entries are written to by flat indices.
            logits = logits.copy()
        counts = None
        # A device's labels are looked at together with the sum: the host waits once.
        late = labelled and kind_of(target) is not np.ndarray and target.size > 0
        given = target
        if labelled:
            target, counts = self._labels(given, None if late else shape[-1])
        else:
            target = as_probabilities("SoftmaxCrossEntropy", target, self.axis)
        if self.class_weights is not None:
            by_class = self._by_class(target)
            counts = by_class if counts is None else counts * by_class
        if weights is not None:
            sum_of_weights("SoftmaxCrossEntropy", weights)
            factors = weights_per_entry("SoftmaxCrossEntropy", weights, prediction[..., 0]).reshape(-1)
            factors = factors.repeat(len(logits) // max(len(factors), 1))
            counts = factors if counts is None else counts * factors
        divisor = self._divisor(float(len(logits) if counts is None else counts.sum(dtype=np.float64)), shape)
        if counts is not None:
            counts = counts.astype(logits.dtype, copy=False).reshape(-1, 1)

        saved: _OfLabels | _OfDistributions
        if labelled and not self.label_smoothing:
            total, saved = _forward_labels(logits, target, counts)
        else:
            spread = self._smoothed(_one_hot(target, logits) if labelled else target.astype(logits.dtype, copy=False))
            total, saved = _forward_distributions(logits, spread if counts is None else spread * counts)
        if not late:
            return float(total) / divisor, (saved, divisor, shape)
        value, largest = looked_at(total, largest_of(target))
        if largest >= shape[-1]:
            self._labels(given, shape[-1])
        return value / divisor, (saved, divisor, shape)

    def _labels(self, target: Array, classes: int | None) -> tuple[Array, Array | None]:
        """
        Put labels into one axis; give 0 for those that are ignored, None where none can be.

        They are checked where the number of classes is given.
        """
        name = "SoftmaxCrossEntropy"
        require_labels(name, target)
        kept = None if self.ignore_index is None else target != self.ignore_index
        shown = target if kept is None else np.where(kept, target, 0)
        labels = in_one_axis(name, shown) if classes is None else as_labels(name, shown, classes)
        return labels, None if kept is None else kept.reshape(-1).astype(np.float64)

    def _by_class(self, target: Array) -> Array:
        """Compute the weight of each position by its class: for labels in one axis, or probabilities in more."""
        class_weights = np.array(self.class_weights, like=target)
        by_class: Array = class_weights[target] if target.ndim == 1 else target @ class_weights
        return by_class

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


def _forward_labels(logits: Array, labels: Array, weights: Array | None) -> tuple[Array, _OfLabels]:
    """Compute ``sum(w * (log(sum(exp(p))) - p[label]))``; no weights are ones."""
    entries = _entries(labels, logits)
    chosen = logits.reshape(-1)[entries].reshape(-1, 1)
    if weights is not None:  # 0 times the infinity that a difference may overflow to would be NaN.
        np.maximum(chosen, np.finfo(chosen.dtype).min, out=chosen)
    exponentials, sums = _exponentials(logits)
    losses = np.log(sums) - chosen
    total = losses.sum() if weights is None else np.vdot(weights, losses)
    return total, _OfLabels(exponentials, sums, entries, weights)


def _backward_labels(saved: _OfLabels, factor: float) -> Array:
    """Compute ``factor * w * softmax(p)``, less ``factor * w`` at the labels."""
    exponentials, sums, entries, weights = saved
    if weights is None:
        grad: Array = exponentials * (factor / sums)
        grad.reshape(-1)[entries] -= factor
    else:
        grad = exponentials * (factor * weights / sums)
        grad.reshape(-1)[entries] -= factor * weights.reshape(-1)
    return grad


class _OfDistributions(NamedTuple):
    """What `_forward_distributions` leaves to `_backward_distributions`."""

    exponentials: Array  # (M, C): softmax is exponentials / sums.
    sums: Array  # (M, 1)
    target: Array  # (M, C)
    totals: Array  # (M, 1): the sums of the target over the classes.


def _forward_distributions(logits: Array, target: Array) -> tuple[Array, _OfDistributions]:
    """Compute ``sum(t * (log(sum(exp(p))) - p))`` for a target t that is weighted already."""
    totals = target.sum(axis=1, keepdims=True)
    # 0 times the infinity that a difference may overflow to would be NaN.
    aligned = np.vdot(target, np.maximum(logits, np.finfo(logits.dtype).min, out=logits))
    exponentials, sums = _exponentials(logits)
    total = np.vdot(totals, np.log(sums)).astype(np.float64) - aligned.astype(np.float64)
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
