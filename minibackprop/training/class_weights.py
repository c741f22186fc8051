"""Weights of classes: what makes a sample count by its label, in whatever loss."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np
from attrs import define, field

from minibackprop.arrays import on_host
from minibackprop.errors import ConfigError, DTypeError, describe
from minibackprop.losses.base import Loss
from minibackprop.validation import Array, as_float, shortened, with_axes


@define(eq=False)
class ClassWeighted(Loss):
    """A loss in which each place counts by its label, 1 where it is not named, beside the weight that it has."""

    loss: Loss
    class_weights: Mapping[int, float]
    # The same as arrays, in the order of the labels.
    _labels: Array = field(init=False)
    _factors: Array = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._labels = np.array(sorted(self.class_weights))
        self._factors = np.array([self.class_weights[int(label)] for label in self._labels])

    @property
    def reduction(self) -> str:  # type: ignore[override]
        """That of the loss within."""
        return self.loss.reduction

    @property
    def couples_samples(self) -> str:  # type: ignore[override]
        """That of the loss within."""
        return self.loss.couples_samples

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute the loss, and the cache."""
        if self.loss.from_logits == "softmax" and target.shape == prediction.shape:
            raise _no_labels(target)
        classes = {"softmax": prediction.shape[getattr(self.loss, "axis", -1)], "sigmoid": 2}.get(self.loss.from_logits)
        if classes is not None and not all(0 <= label < classes for label in self.class_weights):
            expected = f"labels from 0 to {classes - 1} as its keys"
            raise ConfigError("Trainer.fit: class_weights", expected, str(sorted(self.class_weights)))
        return self.loss.forward(prediction, target, self._weights(target, weights))

    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        """Return `scale` times the gradient."""
        return self.loss.backward(cache, scale)

    def total_weight(self, target: Array, weights: Array | None = None, /) -> float:
        """Compute what a mean is divided by, up to a constant."""
        return self.loss.total_weight(target, self._weights(target, weights))

    def _weights(self, target: Array, weights: Array | None) -> Array:
        found = labels_of(target)
        labels, factors = (np.asarray(each, like=found) for each in (self._labels, self._factors))
        places = np.minimum(np.searchsorted(labels, found), len(labels) - 1)
        counts: Array = np.where(labels[places] == found, factors[places], 1.0)
        return counts if weights is None else counts * with_axes(weights, counts.ndim)


def as_class_weights(value: object) -> Mapping[int, float]:
    """Require a weight for each of some labels."""
    subject = "Trainer.fit: class_weights"
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(subject, "'balanced', or a dict of weights by label", shortened(value))
    for label, weight in value.items():
        numbers = isinstance(label, (Integral, np.bool_)) and isinstance(weight, Real)
        if not numbers or isinstance(weight, bool) or not 0 < as_float(weight) < inf:
            got = f"{shortened(weight)} for {shortened(label)}"
            raise ConfigError(
                subject, "finite numbers above 0, by integer labels (samples are left out by weights)", got
            )
    return {int(label): float(weight) for label, weight in value.items()}


def balanced(target: Array, weights: Array | None, ignored: int | None) -> Mapping[int, float]:
    """Compute ``N / (C * count)`` for each of the C labels of N places: those that are not ignored, nor of weight 0."""
    labels = labels_of(target)
    counted = np.ones_like(labels, bool) if ignored is None else labels != ignored
    if weights is not None:
        counted &= with_axes(weights, labels.ndim) > 0
    classes, counts = np.unique(on_host(labels[counted], "Trainer.fit: y"), return_counts=True)
    share = counts.sum() / max(len(classes), 1)
    return {int(label): share / int(count) for label, count in zip(classes, counts, strict=True)}


def labels_of(target: Array, purpose: str = "class_weights") -> Array:
    """Find the labels of targets: integers or booleans, or whole numbers, one a sample."""
    if target.dtype.kind in "iub":
        return target.astype(np.intp, copy=False)
    if target.dtype.kind == "f" and target.size == len(target):
        labels = target.astype(np.intp)
        if (labels == target).all():
            return labels
    raise _no_labels(target, purpose)


def _no_labels(target: Array, purpose: str = "class_weights") -> DTypeError:
    expected = "integer labels (for one-hot rows, y.argmax(axis=1))"
    return DTypeError(f"Trainer.fit: y, with {purpose},", expected, describe(target))
