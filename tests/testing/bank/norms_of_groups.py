"""Normalizations over groups, instances, batches and weights: over which axes, and what depends on what."""

import numpy as np

from minibackprop import Buffer, Layer, Parameter, ShapeError
from tests.testing.bank.batch_norm import BatchNorm
from tests.testing.bank.pieces import draw, require_features, rows
from tests.testing.bank.planting import planted


class RootMeanSquare(Layer):
    """Correct: ``x / sqrt(mean(x**2) + epsilon) * gamma``; gamma starts at ones."""

    epsilon = 1e-2

    def __init__(self, n: int = 4) -> None:
        self.n = n
        self.gamma = Parameter(np.ones(n))

    def forward(self, x):
        require_features(x, self.n)
        inverse = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.epsilon)
        return x * inverse * self.gamma.value, (x, inverse)

    def backward(self, grad, cache):
        x, inverse = cache
        self.gamma.add(rows(grad * x * inverse).sum(axis=0))
        return self.through(grad * self.gamma.value, x, inverse)

    def through(self, grad, x, inverse):
        normal = x * inverse
        return inverse * (grad - normal * (grad * normal).mean(axis=-1, keepdims=True))


@planted(
    "root mean square with a sum in backward",
    RootMeanSquare,
    (4,),
    laws="input gradient",
    cause="of a wrong sign or factor: the Jacobian differs from the right one by a matrix of rank 1",
)
class RootMeanSquareSum(RootMeanSquare):
    """``sum`` for ``mean`` in the share of the root. Wanted cause: one term too large, by the width."""

    def through(self, grad, x, inverse):
        normal = x * inverse
        return inverse * (grad - normal * (grad * normal).sum(axis=-1, keepdims=True))


@planted(
    "root mean square with epsilon outside", RootMeanSquare, (4,), laws="input gradient", cause="as where an epsilon"
)
class EpsilonOutside(RootMeanSquare):
    """``1 / (sqrt(mean) + epsilon)`` in backward. Wanted cause: wrong for small values, nearly equal."""

    def through(self, grad, x, inverse):
        outside = 1 / (np.sqrt((x * x).mean(axis=-1, keepdims=True)) + self.epsilon)
        return super().through(grad, x, outside)


@planted(
    "root mean square without its gamma in backward",
    RootMeanSquare,
    (4,),
    laws="input gradient",
    cause="a factor is forgotten: gamma",
)
class GammaForgotten(RootMeanSquare):
    """gamma starts at ones, where nobody misses it. Wanted cause: gamma (a scale) forgotten."""

    def backward(self, grad, cache):
        x, inverse = cache
        self.gamma.add(rows(grad * x * inverse).sum(axis=0))
        return self.through(grad, x, inverse)


@planted("root mean square of one sign", RootMeanSquare, (4,), laws="input gradient", cause="wrong sign of one term")
class RootMeanSquarePlus(RootMeanSquare):
    """The share of the root is added. Wanted cause: wrong sign of one term."""

    def through(self, grad, x, inverse):
        normal = x * inverse
        return inverse * (grad + normal * (grad * normal).mean(axis=-1, keepdims=True))


class Groups(Layer):
    """Correct: (channels, length) normalized in two groups of two channels; a gamma for each channel."""

    epsilon = 1e-2

    def __init__(self, groups: int = 2, channels: int = 4) -> None:
        self.groups, self.channels = groups, channels
        self.gamma = Parameter(1 + 0.5 * draw(channels, 1))

    def forward(self, x):
        if x.ndim != 3 or x.shape[1] != self.channels or not x.shape[2]:
            raise ShapeError("Groups", f"(N, {self.channels}, at least 1)", str(x.shape))
        a = self.grouped(x)
        inverse = 1 / np.sqrt(a.var(axis=(2, 3), keepdims=True) + self.epsilon)
        normal = (a - a.mean(axis=(2, 3), keepdims=True)) * inverse
        return normal.reshape(x.shape) * self.gamma.value, (normal, inverse)

    def grouped(self, x):
        return x.reshape(len(x), self.groups, self.channels // self.groups, x.shape[2])

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add(self.of_gamma(grad, normal.reshape(grad.shape)))
        a = self.grouped_back(grad * self.gamma.value)
        return self.through(a, normal, inverse).reshape(grad.shape)

    def of_gamma(self, grad, normal):
        return (grad * normal).sum(axis=(0, 2))[:, None]

    def grouped_back(self, grad):
        return self.grouped(grad)

    def through(self, a, normal, inverse):
        along = (a * normal).mean(axis=(2, 3), keepdims=True)
        return inverse * (a - a.mean(axis=(2, 3), keepdims=True) - normal * along)


@planted("group norm over the length only in backward", Groups, (4, 3), laws="input gradient", cause="term missing")
class GroupsOverLength(Groups):
    """Means over the length alone, as for instances. Wanted cause: over the wrong axis."""

    def through(self, a, normal, inverse):
        along = (a * normal).mean(axis=3, keepdims=True)
        return inverse * (a - a.mean(axis=3, keepdims=True) - normal * along)


@planted(
    "group norm's channels interleaved in backward",
    Groups,
    (4, 3),
    laws="input gradient",
    cause="a wrong axis, index or mask",
)
class GroupsInterleaved(Groups):
    """The channels are dealt to the groups in turn on the way back. Wanted cause: permuted, wrong axes."""

    def grouped_back(self, grad):
        return self.grouped(grad).swapaxes(1, 2)


@planted("group norm without the mean's share", Groups, (4, 3), laws="input gradient", cause="term missing")
class GroupsWithoutMean(Groups):
    """The mean is treated as a constant. Wanted cause: term missing."""

    def through(self, a, normal, inverse):
        return inverse * (a - normal * (a * normal).mean(axis=(2, 3), keepdims=True))


class WeightNorm(Layer):
    """Correct: ``y = x @ (g * V / |V|)``, the length of each column; g starts at ones."""

    def __init__(self, n: int = 3) -> None:
        self.n = n
        self.V = Parameter(draw(n, n))
        self.g = Parameter(np.ones(n))

    def forward(self, x):
        require_features(x, self.n)
        length = np.sqrt((self.V.value**2).sum(axis=0))
        return x @ (self.V.value * (self.g.value / length)), x

    def backward(self, grad, x):
        length = np.sqrt((self.V.value**2).sum(axis=0))
        unit = self.V.value / length
        W = rows(x).T @ rows(grad)
        self.g.add(self.of_length(W, unit))
        self.V.add(self.of_direction(W, unit, length))
        return grad @ (unit * self.g.value).T

    def of_length(self, full, unit):
        return (full * unit).sum(axis=0)

    def of_direction(self, full, unit, length):
        return self.g.value / length * (full - unit * (full * unit).sum(axis=0))


@planted(
    "weight norm's length taken for a constant",
    WeightNorm,
    (3,),
    laws="parameter gradient",
    cause="one parameter wrong: V",
)
class WeightNormConstant(WeightNorm):
    """The gradient of V is not projected. Wanted cause: one parameter wrong, term missing."""

    def of_direction(self, full, unit, length):
        return self.g.value / length * full


@planted(
    "weight norm without g in the direction's gradient",
    WeightNorm,
    (3,),
    laws="parameter gradient",
    cause="a factor is forgotten: g",
)
class WeightNormForgetsG(WeightNorm):
    """g is one at first, and left out. Wanted cause: scale forgotten (g)."""

    def of_direction(self, full, unit, length):
        return (full - unit * (full * unit).sum(axis=0)) / length


@planted(
    "weight norm projected along rows", WeightNorm, (3,), laws="parameter gradient", cause="one parameter wrong: V"
)
class WeightNormRows(WeightNorm):
    """V is square: a sum over axis 1 fits. Wanted cause: summed over the wrong axis, one parameter wrong."""

    def of_direction(self, full, unit, length):
        return self.g.value / length * (full - unit * (full * unit).sum(axis=1, keepdims=True))


@planted("batch norm without the mean's share", BatchNorm, (3,), laws="input gradient", cause="term missing")
class BatchNormConstantMean(BatchNorm):
    """The mean is treated as a constant, the variance not. Wanted cause: term missing."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        grad = grad * self.gamma.value
        return inverse * (grad - normal * (grad * normal).mean(axis=0))


@planted(
    "batch norm predicts by the batch at hand",
    BatchNorm,
    (3,),
    laws="predictions independent, samples independent, batch sizes, frozen",
    cause="samples mixed",
)
class BatchNormPredictsByBatch(BatchNorm):
    """predict normalizes by the batch's own statistics. Wanted cause: samples mixed in predict."""

    def predict(self, x):
        require_features(x, self.n)
        axes = tuple(range(x.ndim - 1))
        mean, var = (x.mean(axis=axes), x.var(axis=axes)) if x.size else (self.mean.value, self.var.value)
        return (x - mean) / np.sqrt(var + self.epsilon) * self.gamma.value + self.beta.value


@planted(
    "batch norm's unbiased variance of one sample", BatchNorm, (3,), laws="finite, batch sizes, dtype, copies agree"
)
class BatchNormUnbiasedOfOne(BatchNorm):
    """``n / (n - 1)`` makes NaN of the running variance after a batch of one. Wanted cause: a batch of one."""

    def forward(self, x):
        before = self.var.value.copy()
        y, cache = super().forward(x)
        with np.errstate(all="ignore"):
            var = x.var(axis=0) * np.divide(len(x), len(x) - 1)
        self.var.value[...] = before + 0.1 * (var - before)
        return y, cache


@planted(
    "batch norm backward wrong above eight samples",
    BatchNorm,
    (3,),
    laws="input gradient",
    cause="term missing | batch",
)
class BatchNormBlocks(BatchNorm):
    """Sums are taken in blocks of eight, and only the first counts. Wanted cause: wrong for large batches."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        grad = grad * self.gamma.value
        mean, along = grad[:8].sum(axis=0) / len(grad), (grad * normal)[:8].sum(axis=0) / len(grad)
        return inverse * (grad - mean - normal * along)


class OverTime(Layer):
    """Correct: batch normalization of sequences over samples and steps, without scale."""

    couples_samples = "normalizes by the statistics of the batch"
    epsilon = 1e-2

    def __init__(self, n: int = 2) -> None:
        self.n = n
        self.mean, self.var = Buffer(np.zeros(n)), Buffer(np.ones(n))

    def forward(self, x):
        self.require(x)
        if x.shape[0] == 0:
            raise ShapeError("OverTime", "at least one sample", str(x.shape))
        mean, var = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
        self.mean.value += 0.1 * (mean - self.mean.value)
        self.var.value += 0.1 * (var - self.var.value)
        inverse = 1 / np.sqrt(var + self.epsilon)
        normal = (x - mean) * inverse
        return normal, (normal, inverse)

    def require(self, x):
        if x.ndim != 3 or x.shape[2] != self.n or not x.shape[1]:
            raise ShapeError("OverTime", f"(N, at least 1, {self.n})", str(x.shape))

    def predict(self, x):
        self.require(x)
        return (x - self.mean.value) / np.sqrt(self.var.value + self.epsilon)

    def backward(self, grad, cache):
        normal, inverse = cache
        count = self.count(grad)
        mean, along = grad.sum(axis=(0, 1)) / count, (grad * normal).sum(axis=(0, 1)) / count
        return inverse * (grad - mean - normal * along)

    def count(self, grad):
        return grad.shape[0] * grad.shape[1]


@planted(
    "batch norm over time counts samples only",
    OverTime,
    (3, 2),
    laws="input gradient",
    cause="term missing, or of a wrong sign or factor",
)
class OverTimeCountsSamples(OverTime):
    """``len(grad)`` for samples times steps. Wanted cause: one term too large."""

    def count(self, grad):
        return len(grad)
