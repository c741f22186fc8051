"""Losses: how far a prediction is from its target, as a number, and the gradient with which backpropagation starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from attrs import frozen

from minibackprop.core import Array, ShapeError
from minibackprop.validation import require_numbers


class Loss(ABC):
    """
    A function of prediction and target to a number, with its gradient by the prediction.

    The shapes of prediction and target must be equal: NumPy would broadcast (N, 1) against (N,) to (N, N).

    `weights`, of shape (N,), counts each sample that often: a weight of 2 is the same as the sample standing twice.
    """

    @abstractmethod
    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute the loss, and the cache that `backward` needs."""

    @abstractmethod
    def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
        """
        Return `scale` times the gradient of the loss by the prediction.

        A batch may be worked off in parts: `scale` is then the part's share of the batch, for a mean the share of
        the sum of the weights, for a sum 1.
        """

    def __call__(self, prediction: Array, target: Array, weights: Array | None = None, /) -> float:
        """Compute the loss alone."""
        return self.forward(prediction, target, weights)[0]


def _residual(subject: str, prediction: Array, target: Array) -> Array:
    try:
        if prediction.shape != target.shape:
            raise ShapeError(subject, f"a target of the prediction's shape {prediction.shape}", str(target.shape))
        # A float64 target would make a float64 gradient.
        if target.dtype != prediction.dtype or prediction.dtype.kind == "O":
            require_numbers(f"{subject} (prediction)", prediction)
            require_numbers(f"{subject} (target)", target)  # A cast would parse strings.
            target = target.astype(prediction.dtype)
        return prediction - target
    except Exception as error:
        require_numbers(f"{subject} (prediction)", prediction, error)
        require_numbers(f"{subject} (target)", target, error)
        raise


def _per_entry(subject: str, weights: Array, like: Array) -> Array:
    """Shape the weights of samples so that they multiply all entries of their sample."""
    require_numbers(f"{subject} (weights)", weights)
    if weights.shape != like.shape[:1]:
        raise ShapeError(subject, f"weights of shape {like.shape[:1]}", str(weights.shape))
    return weights.astype(like.dtype, copy=False).reshape(-1, *[1] * (like.ndim - 1))


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
class MeanSquaredError(Loss):
    """
    The mean of squares, over all samples and entries: ``L = sum(w * (p - t)**2) / (sum(w) * entries of a sample)``.

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
        """Compute L; the cache is the weighted residuals and what their squares are divided by."""
        residual = _residual("MeanSquaredError", prediction, target)
        weighted, total = residual, float(residual.size)
        if weights is not None:
            weighted = residual * _per_entry("MeanSquaredError", weights, residual)
            total = float(weights.sum()) * (residual.size // max(len(residual), 1))
        if total == 0:
            raise ShapeError("MeanSquaredError", "at least one entry of weight above 0", f"shape {residual.shape}")
        return float(np.vdot(residual, weighted)) / total, (weighted, total)

    def backward(self, cache: tuple[Array, float], scale: float = 1.0, /) -> Array:
        """Return ``scale * 2 * w * (p - t)``, divided as the loss is."""
        weighted, total = cache
        return (2 * float(scale) / total) * weighted
