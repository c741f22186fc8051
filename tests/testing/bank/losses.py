"""Losses of a residual: squares, their weights, their reduction."""

import math

import numpy as np

from minibackprop import Loss, ShapeError
from tests.testing.bank.planting import planted_loss


class MeanLoss(Loss):
    """Correct: the mean over samples, weighted, and entries of ``value(prediction - target)``."""

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("loss", f"a target of shape {prediction.shape}", str(target.shape))
        residual = prediction - target.astype(prediction.dtype)
        share = self.shares(residual, weights)
        return float((share * self.value(residual)).sum()), (residual, share)

    def shares(self, residual, weights):
        """Say what each entry counts; all of them sum to 1."""
        if weights is None:
            weights = np.ones_like(residual, float, shape=len(residual))
        if weights.shape != residual.shape[:1]:
            raise ShapeError("loss", f"weights of shape {residual.shape[:1]}", str(weights.shape))
        total = float(weights.sum()) * math.prod(residual.shape[1:])
        if total == 0:
            raise ShapeError("loss", "at least one entry of weight above 0", str(residual.shape))
        return (weights / total).astype(residual.dtype).reshape(-1, *[1] * (residual.ndim - 1))

    def backward(self, cache, scale=1.0):
        residual, share = cache
        return scale * share * self.slope(residual)

    def value(self, residual):
        return residual * residual

    def slope(self, residual):
        return 2 * residual


@planted_loss("factor 2 of the square forgotten", MeanLoss, laws="gradient")
class SquareWithoutTwo(MeanLoss):
    """The 2 of the derivative is left out."""

    def slope(self, residual):
        return residual


@planted_loss("target minus prediction", MeanLoss, laws="gradient")
class SquareTargetFirst(MeanLoss):
    """The article's error, target minus prediction, is the descent's sign, not the gradient's."""

    def slope(self, residual):
        return -2 * residual


@planted_loss("weights forgotten in backward", MeanLoss, laws="gradient")
class WeightsForgotten(MeanLoss):
    """The weights are in the value, but not in its gradient."""

    def backward(self, cache, scale=1.0):
        residual, _ = cache
        return (2 * scale / residual.size) * residual


@planted_loss("weights not normalized", MeanLoss, laws="weights")
class WeightsNotNormalized(MeanLoss):
    """The weighted sum is divided by the number of samples, not by the sum of the weights."""

    def shares(self, residual, weights):
        share = super().shares(residual, weights)
        return share if weights is None else share * (float(weights.sum()) / len(weights))


@planted_loss("weight of 0 counts 1", MeanLoss, laws="weights")
class ZeroForNoWeight(MeanLoss):
    """A weight of 0 is taken for none, which counts 1."""

    def shares(self, residual, weights):
        return super().shares(residual, None if weights is None else np.where(weights, weights, 1.0))

    def total_weight(self, target, weights=None):
        return super().total_weight(target, None if weights is None else np.where(weights, weights, 1.0))


@planted_loss("scale forgotten", MeanLoss, laws="gradient")
class ScaleForgotten(MeanLoss):
    """A part of a batch weighs as much as the whole."""

    def backward(self, cache, scale=1.0):
        return super().backward(cache)


@planted_loss("backward divided by samples only", MeanLoss, laws="gradient")
class MeanOverSamplesOnly(MeanLoss):
    """backward divides by the number of samples, forward by the number of entries."""

    def backward(self, cache, scale=1.0):
        residual, _ = cache
        return super().backward(cache, scale) * math.prod(residual.shape[1:])


@planted_loss("target broadcasts", MeanLoss, laws="shapes")
class TargetBroadcasts(MeanLoss):
    """No check of the shapes: (N, 1) against (N,) is (N, N)."""

    def forward(self, prediction, target, weights=None):
        residual = prediction - target.astype(prediction.dtype)
        share = self.shares(residual, weights)
        return float((share * self.value(residual)).sum()), (residual, share)


@planted_loss("residual computed in place", MeanLoss, laws="arguments untouched")
class ResidualInPlace(MeanLoss):
    """``prediction -= target`` writes to the caller's prediction."""

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("loss", f"a target of shape {prediction.shape}", str(target.shape))
        prediction -= target
        share = self.shares(prediction, weights)
        return float((share * self.value(prediction)).sum()), (prediction, share)


@planted_loss("gradient in the dtype of the target", MeanLoss, laws="dtype")
class DoubleTarget(MeanLoss):
    """A float64 target makes a float64 gradient of a float32 prediction."""

    def forward(self, prediction, target, weights=None):
        value, (residual, share) = super().forward(prediction, target, weights)
        return value, (residual.astype(np.result_type(prediction, target)), share)


class Huber(MeanLoss):
    """Correct: quadratic up to 1, linear beyond."""

    def value(self, residual):
        size = np.abs(residual)
        return np.where(size < 1, residual * residual / 2, size - 0.5)

    def slope(self, residual):
        return np.clip(residual, -1, 1)


@planted_loss("Huber slope not capped", Huber, laws="gradient")
class HuberQuadratic(Huber):
    """The slope beyond 1 goes on growing."""

    def slope(self, residual):
        return residual


class LogCosh(MeanLoss):
    """Correct: ``log cosh`` of the residual, without overflow."""

    def value(self, residual):
        size = np.abs(residual)
        return size + np.log1p(np.exp(-2 * size)) - math.log(2)

    def slope(self, residual):
        return np.tanh(residual)


@planted_loss("log cosh overflows", LogCosh, laws="finite, weights")
class LogCoshOverflows(LogCosh):
    """``np.log(np.cosh(...))`` as written is infinite for large residuals."""

    def value(self, residual):
        return np.log(np.cosh(residual))


class SumSaid(MeanLoss):
    """Correct: a sum that says so."""

    reduction = "sum"

    def shares(self, residual, weights):
        share = super().shares(residual, weights)
        return share * len(residual) if weights is None else share * float(weights.sum())


@planted_loss("sum that is called a mean", SumSaid, laws="reduction")
class SumUnsaid(SumSaid):
    """A sum that is declared a mean."""

    reduction = "mean"
