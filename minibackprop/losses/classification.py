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
from minibackprop.losses.targets import are_labels, as_labels, as_probabilities, require_shares
from minibackprop.numerics.error_state import quiet
from minibackprop.validation import Array, is_fraction, require_numbers, shortened


@frozen
class BinaryCrossEntropy(ReducedLoss):
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
            terms, divisor = self._weighted(quiet().run(_logistic_loss, prediction, target), weights)
        except Exception as error:
            require_numbers("BinaryCrossEntropy (prediction)", prediction, error)
            require_numbers("BinaryCrossEntropy (target)", target, error)
            raise
        return float(terms.sum()) / divisor, (prediction, target, weights, divisor)

    def backward(self, cache: tuple[Array, Array, Array | None, float], scale: float = 1.0, /) -> Array:
        """Return ``scale * w * (sigmoid(p) - t)``, divided as the loss is."""
        prediction, target, weights, divisor = cache
        slopes: Array = quiet().run(_sigmoid, prediction)
        slopes -= target
        slopes *= float(scale) / divisor
        if weights is not None:
            slopes *= weights_per_entry("BinaryCrossEntropy", weights, slopes)
        return slopes


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


class _Softmaxed(NamedTuple):
    """What forward of the cross-entropy leaves to backward, with M positions in one axis."""

    powers: Array  # (M, C): softmax is powers / sums.
    sums: Array  # (M, 1)
    mass: Array | None  # (M, 1): the sum of the weighted target over the classes; None for ones.
    aimed: Array  # (M, C): the weighted target; or (M,): where in powers the labels are, which get all of the mass.
    divisor: float
    shape: tuple[int, ...]


@frozen
class SoftmaxCrossEntropy(ReducedLoss):
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
    minibackprop.errors.TargetError: SoftmaxCrossEntropy expects labels from 0 to 2, got 3 at index (1,)
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
            named = named * weights_per_entry("SoftmaxCrossEntropy", weights, named)
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
        shifted = quiet().run(np.subtract, logits, logits.max(axis=1, keepdims=True), order="C")
        table = None
        if self.class_weights is not None:
            table = np.array(self.class_weights, dtype=shifted.dtype, like=shifted)
        if weights is not None:
            given = weights_per_entry("SoftmaxCrossEntropy", weights, prediction[..., 0]).reshape(-1)
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
        powers = quiet().run(np.exp, shifted, out=shifted)
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
