"""Losses that are unusual: over the whole batch, of labels that are no columns, of probabilities only."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minibackprop import Loss, ShapeError
from minibackprop.validation import Array
from tests.testing.bank.losses import MeanLoss
from tests.testing.bank.planting import planted_loss


def shares(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.random(prediction.shape).round(2)


class Dice(Loss):
    """Correct: one minus twice the overlap of the whole batch, as a share of both sums; smoothed by 1."""

    couples_samples = "is a quotient of sums over the whole batch"

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("Dice", f"a target of shape {prediction.shape}", str(target.shape))
        weights = np.ones_like(prediction, float, shape=len(prediction)) if weights is None else weights
        weights = weights.astype(prediction.dtype).reshape(-1, *[1] * (prediction.ndim - 1))
        p, t = prediction, target.astype(prediction.dtype)
        overlap, size = float((weights * p * t).sum()), 1 + float((weights * (p * p + t * t)).sum())
        return 1 - 2 * overlap / size, (p, t, weights, overlap, size)

    def backward(self, cache, scale=1.0):
        p, t, weights, overlap, size = cache
        return scale * weights * (4 * p * overlap / size**2 - 2 * t / size)


@planted_loss("dice whose denominator is held constant", Dice, laws="gradient", targets=shares)
class DiceOfConstantSize(Dice):
    """Only the overlap is differentiated."""

    def backward(self, cache, scale=1.0):
        _, t, weights, _, size = cache
        return -2 * scale * weights * t / size


@planted_loss("dice whose weights count in the overlap only", Dice, laws="weights", targets=shares)
class DiceHalfWeighted(Dice):
    """The sums below are not weighted."""

    def forward(self, prediction, target, weights=None):
        _, (p, t, counts, overlap, _) = super().forward(prediction, target, weights)
        size = 1 + float((p * p + t * t).sum())
        return 1 - 2 * overlap / size, (p, t, counts, overlap, size)

    def backward(self, cache, scale=1.0):
        p, t, weights, overlap, size = cache
        return scale * (4 * p * overlap / size**2 - 2 * weights * t / size)


@planted_loss("quotient of the batch that does not say so", Dice, laws="reduction", targets=shares)
class DiceUnsaid(Dice):
    """A loss over the whole batch is taken for a mean."""

    couples_samples = ""


def of_centres(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.integers(0, 4, len(prediction))


class CentreLoss(Loss):
    """Correct: half the mean of the squared distances to a centre for each of four labels, in three dimensions."""

    def forward(self, prediction, labels, weights=None):
        if labels.shape != prediction.shape[:1]:
            raise ShapeError("CentreLoss", f"labels of shape {prediction.shape[:1]}", str(labels.shape))
        weights = np.ones_like(prediction, float, shape=len(prediction)) if weights is None else weights
        centres = np.array([[0.0, 0, 0], [1, 0, -1], [0, 2, 1], [-1, 1, 0]], prediction.dtype, like=labels)
        away = prediction - centres[labels]
        share = (weights / weights.sum()).astype(prediction.dtype)[:, np.newaxis]
        return float((share * away * away).sum()) / 2, self.cache(share, away)

    def cache(self, share, away):
        return share * away

    def backward(self, cache, scale=1.0):
        return scale * cache


@planted_loss("direction to the centre only", CentreLoss, laws="gradient", shape=(3,), targets=of_centres)
class CentreDirection(CentreLoss):
    """The gradient of the distance in place of half its square."""

    def cache(self, share, away):
        return share * away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)


class OfChances(MeanLoss):
    """Correct: the cross-entropy of a chance, for what lies between 0 and 1; anything else is refused."""

    def forward(self, prediction, target, weights=None):
        if not np.all((prediction > 0) & (prediction < 1)):
            raise ValueError("chances lie between 0 and 1")
        if prediction.shape != target.shape:
            raise ShapeError("OfChances", f"a target of shape {prediction.shape}", str(target.shape))
        t = target.astype(prediction.dtype)
        share = self.shares(prediction, weights)
        terms = t * np.log(prediction) + (1 - t) * np.log1p(-prediction)
        return -float((share * terms).sum()), (prediction, t, share)

    def backward(self, cache, scale=1.0):
        p, t, share = cache
        return scale * share * (p - t) / (p * (1 - p))


chances = st.integers(1, 4).flatmap(lambda size: arrays(float, (size, 2), elements=st.floats(0.0625, 0.9375)))


@planted_loss("as of logits", OfChances, laws="gradient", shape=chances, targets=shares)
class ChancesAsLogits(OfChances):
    """``p - t`` is the gradient with respect to the logit."""

    def backward(self, cache, scale=1.0):
        p, t, share = cache
        return scale * share * (p - t)
