"""Losses of whole vectors: margins, angles, distributions, overlaps, and parts of one array."""

import numpy as np

from minibackprop import Loss, ShapeError
from minibackprop.validation import Array
from tests.testing.bank.cross_entropy import Logistic, answers
from tests.testing.bank.losses import MeanLoss
from tests.testing.bank.planting import planted_loss


def labels(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.integers(0, prediction.shape[-1], len(prediction))


def positive(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.uniform(0.1, 2.0, prediction.shape)


def margins(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.uniform(0.5, 2.0, len(prediction))


class VectorLoss(Loss):
    """A weighted mean over samples of `terms`, whose slopes are those of one sample's term."""

    def forward(self, prediction, target, weights=None):
        if target.shape != self.target_shape(prediction):
            raise ShapeError("loss", f"a target of shape {self.target_shape(prediction)}", str(target.shape))
        if target.dtype.kind == "f":
            target = target.astype(prediction.dtype)
        counts = np.ones_like(prediction, float, shape=len(prediction)) if weights is None else weights
        if counts.shape != prediction.shape[:1] or not counts.sum():
            raise ShapeError("loss", f"weights of shape {prediction.shape[:1]}, not all 0", str(counts.shape))
        share = (counts / counts.sum()).astype(prediction.dtype)
        return float((share * self.terms(prediction, target)).sum()), (prediction, target, share)

    def target_shape(self, prediction):
        return prediction.shape

    def backward(self, cache, scale=1.0):
        prediction, target, share = cache
        share = share.reshape(-1, *[1] * (prediction.ndim - 1))
        return scale * share * self.slopes(prediction, target)


class Margins(VectorLoss):
    """Correct: the sum over other classes of ``max(0, 1 + x[class] - x[label])``."""

    def target_shape(self, x):
        return x.shape[:1]

    def over(self, x, label):
        here = np.arange(len(x), like=x)
        over = 1 + x - x[here, label][:, None]
        over[here, label] = 0
        return over

    def terms(self, x, label):
        return np.maximum(self.over(x, label), 0).sum(axis=1)

    def slopes(self, x, label):
        slopes = (self.over(x, label) > 0).astype(x.dtype)
        slopes[np.arange(len(x), like=x), label] = self.of_label(slopes)
        return slopes

    def of_label(self, slopes):
        return -slopes.sum(axis=1)


@planted_loss("label counted once for all margins", Margins, laws="gradient", shape=(4,), targets=labels)
class MarginsCountOnce(Margins):
    """-1 for the label, however many classes are within the margin. Wanted cause: wrong at the label's column."""

    def of_label(self, slopes):
        return -(slopes.sum(axis=1) > 0).astype(slopes.dtype)


class Angle(VectorLoss):
    """Correct: ``1 - cos`` of the angle between prediction and target, lengths softened at zero."""

    softness = 1e-2

    def parts(self, x, target):
        of_x = np.sqrt((x * x).sum(axis=1, keepdims=True) + self.softness)
        of_target = np.sqrt((target * target).sum(axis=1, keepdims=True) + self.softness)
        return x / of_x, target / of_target, of_x

    def terms(self, x, target):
        x, target, _ = self.parts(x, target)
        return 1 - (x * target).sum(axis=1)

    def slopes(self, x, target):
        x, target, length = self.parts(x, target)
        return -(target - self.projection(x, target)) / length

    def projection(self, x, target):
        return x * (x * target).sum(axis=1, keepdims=True)


@planted_loss("angle with a constant length", Angle, laws="gradient", shape=(3,))
class AngleConstantLength(Angle):
    """The length of the prediction is taken for a constant. Wanted cause: term missing."""

    def projection(self, x, target):
        return np.zeros_like(x)


class Divergence(VectorLoss):
    """Correct: ``sum t (log t - log softmax(x))`` for positive t that need not sum to 1."""

    def log_softmax(self, x):
        shifted = x - x.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def terms(self, x, target):
        return (target * (np.log(target) - self.log_softmax(x))).sum(axis=1)

    def slopes(self, x, target):
        return np.exp(self.log_softmax(x)) * self.total(target) - target

    def total(self, target):
        return target.sum(axis=1, keepdims=True)


@planted_loss("target taken for a distribution", Divergence, laws="gradient", shape=(3,), targets=positive)
class DivergenceOfOne(Divergence):
    """``softmax - t``, as if t summed to 1. Wanted cause: term missing, a factor that depends on the target."""

    def total(self, target):
        return np.ones((len(target), 1), target.dtype)


class Triplet(VectorLoss):
    """Correct: anchor, near and far in one array (3, d): ``max(0, margin + |a - n|**2 - |a - f|**2)``."""

    def target_shape(self, x):
        return x.shape[:1]

    def terms(self, x, margin):
        near, far = x[:, 0] - x[:, 1], x[:, 0] - x[:, 2]
        return np.maximum(margin + (near * near).sum(axis=1) - (far * far).sum(axis=1), 0)

    def slopes(self, x, margin):
        near, far = x[:, 0] - x[:, 1], x[:, 0] - x[:, 2]
        active = (self.terms(x, margin) > 0)[:, None, None].astype(x.dtype)
        return 2 * active * np.stack([self.of_anchor(near, far), -near, far], axis=1)

    def of_anchor(self, near, far):
        return near - far


@planted_loss("anchor without its far half", Triplet, laws="gradient", shape=(3, 2), targets=margins)
class TripletHalf(Triplet):
    """The anchor is drawn to the near one only. Wanted cause: term missing, wrong for one row, the first."""

    def of_anchor(self, near, far):
        return near


class Gaussian(VectorLoss):
    """Correct: mean m and log variance s in one array (2,), target (1,): ``(s + (t - m)**2 exp(-s)) / 2``, s to 8."""

    def target_shape(self, x):
        return (len(x), 1)

    def parts(self, x, target):
        return target[:, 0] - x[:, 0], 8 * np.tanh(x[:, 1] / 8)

    def terms(self, x, target):
        residual, s = self.parts(x, target)
        return (s + residual * residual * np.exp(-s)) / 2

    def slopes(self, x, target):
        residual, s = self.parts(x, target)
        precision = np.exp(-s)
        of_s = self.of_variance(residual * residual * precision) * (1 - (s / 8) ** 2)
        return np.stack([-residual * precision, of_s], axis=1)

    def of_variance(self, square):
        return (1 - square) / 2


def one_column(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.normal(size=(len(prediction), 1))


@planted_loss("log variance without its half", Gaussian, laws="gradient", shape=(2,), targets=one_column)
class GaussianWithoutHalf(Gaussian):
    """The 1/2 is missing from one of the terms. Wanted cause: wrong for one column, the last."""

    def of_variance(self, square):
        return 1 / 2 - square


class Overlap(VectorLoss):
    """Correct: ``1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1)`` of each sample, p the sigmoid of x."""

    def sigmoid(self, x):
        return 0.5 + 0.5 * np.tanh(0.5 * x)

    def parts(self, x, target):
        p = self.sigmoid(x)
        return p, 2 * (p * target).sum(axis=1, keepdims=True) + 1, (p + target).sum(axis=1, keepdims=True) + 1

    def terms(self, x, target):
        _, above, below = self.parts(x, target)
        return 1 - (above / below)[:, 0]

    def slopes(self, x, target):
        p, above, below = self.parts(x, target)
        return -p * (1 - p) * self.quotient(2 * target, above, below)

    def quotient(self, of_above, above, below):
        return (of_above * below - above) / below**2


def masks(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.integers(0, 2, prediction.shape).astype(float)


@planted_loss("overlap's denominator taken for a constant", Overlap, laws="gradient", shape=(4,), targets=masks)
class OverlapConstant(Overlap):
    """The second half of the quotient rule is left out. Wanted cause: term missing."""

    def quotient(self, of_above, above, below):
        return of_above / below


class Focal(Logistic):
    """Correct: the logistic loss times ``(1 - p)**2``, p the chance given to the answer."""

    def terms(self, logits, target):
        return super().terms(logits, target) * (1 - self.chance(logits, target)) ** 2

    def chance(self, logits, target):
        s = self.sigmoid(logits)
        return np.where(target > 0.5, s, 1 - s)

    def backward(self, cache, scale=1.0):
        logits, target, share = cache
        p = self.chance(logits, target)
        sign = np.where(target > 0.5, 1, -1).astype(logits.dtype)
        return scale * share * sign * (1 - p) ** 2 * self.slopes_of(p, Logistic.terms(self, logits, target))

    def slopes_of(self, p, loss):
        return -(1 - p) - 2 * p * loss


@planted_loss("focus taken for a constant", Focal, laws="gradient", targets=answers)
class FocalConstant(Focal):
    """The factor ``(1 - p)**2`` is not differentiated. Wanted cause: term missing."""

    def slopes_of(self, p, loss):
        return -(1 - p)


class Quantile(MeanLoss):
    """Correct: three quarters of what the prediction is too low, one quarter of what it is too high."""

    def value(self, residual):
        return np.where(residual > 0, 0.25 * residual, -0.75 * residual)

    def slope(self, residual):
        return np.where(residual > 0, 0.25, -0.75).astype(residual.dtype)


@planted_loss("quantile of the other side", Quantile, laws="gradient")
class QuantileOtherSide(Quantile):
    """q and 1 - q change places in backward. Wanted cause: sides swapped, depends on the residual's sign."""

    def slope(self, residual):
        return np.where(residual > 0, 0.75, -0.25).astype(residual.dtype)


class Rounded(MeanLoss):
    """Correct: ``r**2 / (2 beta)`` for residuals below beta, ``|r| - beta / 2`` beyond; beta is a half."""

    beta = 0.5

    def value(self, residual):
        size = np.abs(residual)
        return np.where(size < self.beta, residual * residual / (2 * self.beta), size - self.beta / 2)

    def slope(self, residual):
        return np.clip(self.inner(residual), -1, 1)

    def inner(self, residual):
        return residual / self.beta


@planted_loss("small residuals not divided by beta", Rounded, laws="gradient")
class RoundedBare(Rounded):
    """Right beyond 1 and at 0. Wanted cause: wrong for small residuals."""

    def inner(self, residual):
        return residual


@planted_loss("weights applied twice", MeanLoss, laws="gradient, weights")
class WeightsTwice(MeanLoss):
    """The share, which has the weight, is multiplied by it again. Wanted cause: weights twice in backward."""

    def backward(self, cache, scale=1.0):
        residual, share = cache
        return super().backward((residual, share * share * residual.size), scale)


class Poisson(MeanLoss):
    """Correct: of a squared prediction, for which the rate is ``x**2 + 1``: ``rate - t log(rate)``."""

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("loss", f"a target of shape {prediction.shape}", str(target.shape))
        target = target.astype(prediction.dtype)
        share = self.shares(prediction, weights)
        rate = prediction * prediction + 1
        return float((share * (rate - target * np.log(rate))).sum()), (prediction, target, share)

    def backward(self, cache, scale=1.0):
        x, target, share = cache
        return scale * share * self.of_rate(x, target)

    def of_rate(self, x, target):
        return 2 * x * (1 - target / (x * x + 1))


@planted_loss("slope of the rate, not of its root", Poisson, laws="gradient", targets=positive)
class PoissonOfRate(Poisson):
    """The inner derivative of the square is left out. Wanted cause: a factor that depends on x."""

    def of_rate(self, x, target):
        return 1 - target / (x * x + 1)
