"""Losses of classes: binary cross-entropy, and cross-entropy of labels."""

import numpy as np

from minibackprop import Loss, ShapeError
from minibackprop.validation import Array
from tests.testing.bank.losses import MeanLoss
from tests.testing.bank.planting import planted_loss


def answers(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.integers(0, 2, prediction.shape)


class Logistic(MeanLoss):
    """Correct: binary cross-entropy, from logits."""

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("loss", f"a target of shape {prediction.shape}", str(target.shape))
        target = target.astype(prediction.dtype)
        share = self.shares(prediction, weights)
        return float((share * self.terms(prediction, target)).sum()), (prediction, target, share)

    def terms(self, logits, target):
        return np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))

    def backward(self, cache, scale=1.0):
        logits, target, share = cache
        return scale * share * self.slopes(self.sigmoid(logits), target)

    def sigmoid(self, logits):
        return 0.5 + 0.5 * np.tanh(0.5 * logits)

    def slopes(self, s, target):
        return s - target


@planted_loss("slope of the sigmoid twice", Logistic, laws="gradient", targets=answers)
class LogisticOfProbabilities(Logistic):
    """The derivative of the sigmoid is multiplied in, as for probabilities."""

    def slopes(self, s, target):
        return (s - target) * s * (1 - s)


@planted_loss("logistic loss as it is written", Logistic, laws="gradient, finite, weights", targets=answers)
class LogisticAsWritten(Logistic):
    """``log(sigmoid)`` and ``log(1 - sigmoid)`` in two steps are infinite for large logits."""

    def terms(self, logits, target):
        s = self.sigmoid(logits)
        return -target * np.log(s) - (1 - target) * np.log(1 - s)


@planted_loss("logistic loss without the term of no", Logistic, laws="gradient", targets=answers)
class LogisticOfNo(Logistic):
    """The term of the negative class is left out, as in the cross-entropy of many classes."""

    def terms(self, logits, target):
        return target * (np.maximum(logits, 0) - logits + np.log1p(np.exp(-np.abs(logits))))


def labels(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.integers(0, 3, len(prediction))


class CrossEntropy(Loss):
    """Correct: the cross-entropy of labels from 0 to 2, smoothed, whose classes have weights; the mean over these."""

    smoothing = 0.1

    def classes(self, logits):
        return np.array([1.0, 2.0, 0.5], logits.dtype, like=logits)

    def forward(self, logits, labels, weights=None):
        self.require(logits, labels)
        shifted = self.shifted(logits)
        log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        counts = np.ones_like(logits, shape=len(labels)) if weights is None else weights.astype(logits.dtype)
        weighted = counts[:, np.newaxis] * self.classes(logits) * self.spread(logits, labels)
        total = self.total(logits, labels, weights)
        return -float((weighted * log_softmax).sum()) / total, (np.exp(log_softmax), weighted, total)

    def require(self, logits, labels):
        if labels.shape != logits.shape[:1]:
            raise ShapeError("loss", f"labels of shape {logits.shape[:1]}", str(labels.shape))

    def shifted(self, logits):
        return logits - logits.max(axis=1, keepdims=True)

    def spread(self, logits, labels):
        return (1 - self.smoothing) * self.one_hot(logits, labels) + self.smoothing / logits.shape[1]

    def one_hot(self, logits, labels):
        return np.asarray(np.eye(logits.shape[1]), logits.dtype, like=logits)[labels]

    def total(self, logits, labels, weights):
        return self.total_weight(labels, weights)

    def total_weight(self, labels, weights=None):
        of_classes = np.array([1.0, 2.0, 0.5], like=labels)[labels]
        return float(of_classes.sum() if weights is None else (weights * of_classes).sum())

    def backward(self, cache, scale=1.0):
        softmax, weighted, total = cache
        return (scale / total) * (softmax * weighted.sum(axis=1, keepdims=True) - weighted)


@planted_loss("label smoothing forgotten in backward", CrossEntropy, laws="gradient", shape=(3,), targets=labels)
class SmoothingForgotten(CrossEntropy):
    """backward takes the labels without smoothing."""

    def backward(self, cache, scale=1.0):
        softmax, weighted, total = cache
        unsmoothed = np.where(weighted == weighted.max(axis=1, keepdims=True), weighted.sum(axis=1, keepdims=True), 0)
        return super().backward((softmax, unsmoothed, total), scale)


@planted_loss("label smoothing of two kinds", CrossEntropy, laws="gradient", shape=(3,), targets=labels)
class SmoothedOverOthers(CrossEntropy):
    """What is taken from a label goes to the other classes in forward, and to all in backward."""

    def forward(self, logits, labels, weights=None):
        _, cache = super().forward(logits, labels, weights)
        softmax, weighted, total = cache
        part = self.smoothing * weighted.sum(axis=1, keepdims=True) / 6
        other = weighted + np.where(self.one_hot(logits, labels) > 0, -2 * part, part)
        return -float((other * np.log(softmax + 1e-300)).sum()) / total, cache


@planted_loss("class weights forgotten in backward", CrossEntropy, laws="gradient", shape=(3,), targets=labels)
class ClassWeightsForgotten(CrossEntropy):
    """``softmax - target``, as without class weights."""

    def backward(self, cache, scale=1.0):
        softmax, weighted, total = cache
        return (scale / total) * (softmax - weighted / weighted.sum(axis=1, keepdims=True))


@planted_loss("softmax not weighted", CrossEntropy, laws="gradient", shape=(3,), targets=labels)
class SoftmaxUnweighted(CrossEntropy):
    """The class weights are in the target, but not in what softmax is multiplied by."""

    def backward(self, cache, scale=1.0):
        softmax, weighted, total = cache
        return (scale / total) * (softmax - weighted)


@planted_loss(
    "mean over samples for the weights of classes", CrossEntropy, laws="reduction", shape=(3,), targets=labels
)
class ClassesNotCounted(CrossEntropy):
    """The mean is over samples, but the total weight that of their classes."""

    def total(self, logits, labels, weights):
        return float(len(labels) if weights is None else weights.sum())


@planted_loss("total weight without class weights", CrossEntropy, laws="reduction", shape=(3,), targets=labels)
class ClassesNotInTotal(CrossEntropy):
    """The mean is over the weights of classes, but the total weight the number of samples: parts count wrongly."""

    def total(self, logits, labels, weights):
        return super().total_weight(labels, weights)

    def total_weight(self, labels, weights=None):
        return float(len(labels) if weights is None else weights.sum())


@planted_loss("total weight without sample weights", CrossEntropy, laws="reduction", shape=(3,), targets=labels)
class TotalOfSamples(CrossEntropy):
    """The total weight knows the classes, but not the weights of the samples."""

    def total(self, logits, labels, weights):
        return super().total_weight(labels, weights)

    def total_weight(self, labels, weights=None):
        return super().total_weight(labels)


@planted_loss("labels from one", CrossEntropy, laws="labels", shape=(3,), targets=labels)
class LabelsFromOne(CrossEntropy):
    """Labels are taken to begin at 1: 0 is the last class, and one beyond the last is taken."""

    def one_hot(self, logits, labels):
        return super().one_hot(logits, labels - 1)

    def total_weight(self, labels, weights=None):
        return super().total_weight(labels - 1, weights)


@planted_loss("gradient of the next label", CrossEntropy, laws="gradient", shape=(3,), targets=labels)
class GradientOfNextLabel(CrossEntropy):
    """backward takes the class after the label."""

    def backward(self, cache, scale=1.0):
        softmax, weighted, total = cache
        return super().backward((softmax, np.roll(weighted, 1, axis=1), total), scale)


@planted_loss("softmax over the batch in backward", CrossEntropy, laws="gradient", shape=(3,), targets=labels)
class SoftmaxOverSamples(CrossEntropy):
    """The softmax that backward uses is one over the samples."""

    def backward(self, cache, scale=1.0):
        softmax, weighted, total = cache
        return super().backward((softmax / softmax.sum(axis=0), weighted, total), scale)


@planted_loss("softmax overflows", CrossEntropy, laws="finite, weights", shape=(3,), targets=labels)
class SoftmaxOverflows(CrossEntropy):
    """The largest logit is not subtracted."""

    def shifted(self, logits):
        return logits


@planted_loss("class weights in float64", CrossEntropy, laws="dtype", shape=(3,), targets=labels)
class ClassWeightsDouble(CrossEntropy):
    """The class weights are float64, and so is the gradient of a float32 prediction."""

    def classes(self, logits):
        return np.array([1.0, 2.0, 0.5])


@planted_loss("labels broadcast", CrossEntropy, laws="shapes", shape=(3,), targets=labels)
class LabelsBroadcast(CrossEntropy):
    """Labels of shape (N, 1) are taken, and broadcast against each other."""

    def require(self, logits, labels):
        if len(labels) != len(logits):
            raise ShapeError("loss", f"labels of shape {logits.shape[:1]}", str(labels.shape))

    def forward(self, logits, labels, weights=None):
        if labels.ndim == 1:
            return super().forward(logits, labels, weights)
        log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -float(log_softmax[np.arange(len(labels)), labels].mean()), None


@planted_loss("softmax kept on the loss", CrossEntropy, laws="weights", shape=(3,), targets=labels)
class SoftmaxOnSelf(CrossEntropy):
    """The softmax is kept on the loss: that of the last batch, whichever backward asks for."""

    def forward(self, logits, labels, weights=None):
        value, (self.softmax, *cache) = super().forward(logits, labels, weights)
        return value, cache

    def backward(self, cache, scale=1.0):
        return super().backward((self.softmax, *cache), scale)
