"""What a loss is: how far a prediction is from its target, and the gradient with which backpropagation starts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from attrs import field, frozen

from minibackprop.errors import ConfigError, ShapeError
from minibackprop.numerics.functions import looked_at
from minibackprop.validation import Array, is_one_of, require_numbers, with_axes


class Loss(ABC):
    """
    A function of prediction and target to a number, with its gradient with respect to the prediction.

    The shapes of prediction and target must be equal: NumPy would broadcast (N, 1) against (N,) to (N, N). Only integer
    labels of classes lack the prediction's last axis.

    `weights`, of shape (N,), say how often each sample counts: a weight of 2 is that sample twice. With more leading
    axes they are for positions in samples: (N, T) for the steps of sequences, with 0 for padding. They are finite, and
    none is negative.

    Attributes
    ----------
    reduction : {"mean", "sum"}
        Whether the loss of a batch is the weighted mean over its samples, or their sum. A loss that is a sum must say
        so.
    couples_samples : str
        A class attribute: the reason for which the loss of a batch is neither, since it is over the whole batch on
        purpose ("counts overlaps over the whole batch"), or empty. Such a batch cannot be split.
    from_logits : {"", "softmax", "sigmoid"}
        A class attribute: what the loss computes of the prediction itself, so that a model must not end in it.

    Raises
    ------
    ShapeError
        By the built-in losses: if the shapes of prediction, target and weights do not fit; or if a mean is over
        nothing, as where all weights are 0.
    DTypeError
        If one of them is not an array of real numbers.
    ConfigError
        If a weight is negative or not finite.
    """

    reduction: str = "mean"
    couples_samples: str = ""
    from_logits: str = ""

    @abstractmethod
    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute the loss, and the cache that `backward` needs."""

    @abstractmethod
    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        """
        Return `scale` times the gradient of the loss with respect to the prediction.

        A batch may be split into micro-batches: `scale` is then the share of one of them in the `total_weight` of the
        batch for a mean, and 1 for a sum.
        """

    def total_weight(self, target: Array, weights: Array | None = None, /) -> float:
        """Compute what a mean is divided by, up to a constant: by default the number of samples, or their weights."""
        if weights is not None:
            return sum_of_weights(type(self).__name__, weights)
        try:
            return float(len(target))
        except TypeError as error:
            require_numbers(f"{type(self).__name__} (target)", target, error)
            raise ShapeError(type(self).__name__, "a target with an axis of samples", str(target.shape)) from error

    def __call__(self, prediction: Array, target: Array, weights: Array | None = None, /) -> float:
        """Compute the loss alone."""
        return self.forward(prediction, target, weights)[0]


def sum_of_weights(subject: str, weights: Array) -> float:
    """Add weights up, as float64 whatever they are, and require that none is negative or not finite."""
    require_numbers(f"{subject} (weights)", weights)
    total, least = looked_at(weights.sum(dtype=np.float64), weights.min()) if weights.size else (0.0, 0.0)
    # A sum is finite where all of them are; the smallest is NaN where one is.
    if not 0 <= total < math.inf or not least >= 0:
        wrong = np.argwhere(~((weights >= 0) & (weights < math.inf)))
        index = tuple(int(i) for i in wrong[0]) if len(wrong) else ()
        got = f"{weights[index]} at index {index}" if len(wrong) else f"a sum of {total}"
        raise ConfigError(f"{subject} (weights)", "finite numbers of at least 0", got)
    return total


def weights_per_entry(subject: str, weights: Array, like: Array) -> Array:
    """Shape the weights of samples, or of positions in them, so that they multiply all entries there."""
    require_numbers(f"{subject} (weights)", weights)
    if not weights.ndim or weights.shape != like.shape[: weights.ndim]:
        raise ShapeError(subject, f"weights of shape {like.shape[:1]}, or of more leading axes", str(weights.shape))
    return with_axes(weights.astype(like.dtype, copy=False), like.ndim)


@frozen
class ReducedLoss(Loss):
    """A loss that is the mean or the sum of terms, as the user chooses."""

    reduction: str = field(default="mean", kw_only=True, validator=is_one_of("mean", "sum"))

    def _divisor(self, total: float, shape: tuple[int, ...]) -> float:
        """Compute what the sum of all terms, whose weights add up to `total`, is divided by."""
        if self.reduction == "sum":
            return 1.0
        if total == 0:
            raise ShapeError(type(self).__name__, "at least one entry of weight above 0", f"shape {shape}")
        return total

    def _weighted(self, terms: Array, weights: Array | None) -> tuple[Array, float]:
        """Weight the terms, one for each entry, and compute what their sum is divided by."""
        if weights is None:
            return terms, self._divisor(float(terms.size), terms.shape)
        name = type(self).__name__
        per_entry, total = weights_per_entry(name, weights, terms), sum_of_weights(name, weights)
        entries = terms.size // max(weights.size, 1)  # Of one weight.
        return terms * per_entry, self._divisor(total * entries, terms.shape)
