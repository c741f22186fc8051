"""Losses of numbers: squared, absolute and Huber errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import field, frozen

from minibackprop.losses.base import Loss, ReducedLoss, sum_of_weights, weights_per_entry
from minibackprop.losses.targets import misshapen
from minibackprop.numerics.error_state import quiet
from minibackprop.validation import Array, as_float, is_positive, require_numbers


def _residual(subject: str, prediction: Array, target: Array) -> Array:
    try:
        if prediction.shape != target.shape:
            raise misshapen(subject, prediction, target)
        if target.dtype is not prediction.dtype or prediction.dtype.kind != "f":
            require_numbers(f"{subject} (prediction)", prediction)
            require_numbers(f"{subject} (target)", target)  # A cast would parse strings.
            prediction = prediction if prediction.dtype.kind == "f" else prediction * 1.0  # Small integers wrap around.
            target = target.astype(prediction.dtype)  # A float64 target would make a float64 gradient.
        return prediction - target
    except Exception as error:
        require_numbers(f"{subject} (prediction)", prediction, error)
        require_numbers(f"{subject} (target)", target, error)
        raise


@frozen
class HalfSquaredError(Loss):
    """
    Half the sum of squares, over all samples and entries: ``L = sum(w * (p - t)**2) / 2``.

    The article's loss: its gradient ``w * (p - t)`` is the article's error with the opposite sign.

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
        residual = weighted = _residual("HalfSquaredError", prediction, target)
        if weights is not None:
            per_entry = weights_per_entry("HalfSquaredError", weights, residual)
            sum_of_weights("HalfSquaredError", weights)  # Which looks at each of them.
            weighted = residual * per_entry
        return 0.5 * float(np.vdot(residual, weighted)), weighted

    def backward(self, weighted: Array, scale: float = 1.0, /) -> Array:
        """Return ``scale * w * (p - t)``."""
        # float, as a NumPy scalar would make float64 of float32.
        return weighted if scale == 1 else float(scale) * weighted


class _OfResiduals(ReducedLoss):
    """A loss of the residuals ``p - t``, whose cache is its slopes, weighted, and what they are multiplied by."""

    def backward(self, cache: tuple[Array, float], scale: float = 1.0, /) -> Array:
        """Return `scale` times the gradient."""
        slopes, factor = cache
        return (float(scale) * factor) * slopes


@frozen
class MeanSquaredError(_OfResiduals):
    """
    The mean of squares over all samples and entries: ``L = sum(w * (p - t)**2) / (sum(w) * entries of a sample)``.

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
    The mean of absolute errors over all samples and entries: ``L = sum(w * |p - t|) / (sum(w) * entries of a sample)``.

    More robust to outliers than squares: the slope is the sign of the error, whatever its size, and 0 where there is
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
    Squares of small errors, absolute values of large ones.

    The mean of ``r**2 / 2`` where ``|r| <= delta``, and of ``delta * (|r| - delta / 2)`` elsewhere, with ``r = p - t``.
    The slope is r, clipped to `delta` (P. J. Huber, "Robust estimation of a location parameter", 1964).

    Parameters
    ----------
    delta : float
        From where on an error is large, in units of the target.
    reduction : {"mean", "sum"}
        Whether terms are averaged over all samples, with their weights, and entries, or summed.

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

    delta: float = field(default=1.0, converter=as_float, validator=is_positive)

    def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
        """Compute L, and the cache."""
        residual = _residual("Huber", prediction, target)
        clipped = quiet().run(residual.clip, -self.delta, self.delta)  # Quiet: a delta beyond float32 clips nothing.
        slopes, divisor = self._weighted(clipped, weights)
        # r - clipped / 2, times the slope: r/2 times r where the error is small, |r| - delta/2 times delta elsewhere.
        return float(np.vdot(residual - 0.5 * clipped, slopes)) / divisor, (slopes, 1 / divisor)
