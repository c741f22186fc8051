"""Scales and normalizations, of each sample."""

import numpy as np

from minibackprop import Layer, Parameter
from tests.testing.bank.pieces import draw, require_features, rows
from tests.testing.bank.planting import planted


class ScaleShift(Layer):
    """Correct: ``y = x * gamma + beta``."""

    def __init__(self, n: int = 4) -> None:
        self.n = n
        self.gamma = Parameter(1 + 0.5 * draw(n))
        self.beta = Parameter(draw(n, seed=1))

    def forward(self, x):
        require_features(x, self.n)
        return x * self.gamma.value + self.beta.value, x

    def backward(self, grad, x):
        self.gamma.add(rows(grad * x).sum(axis=0))
        self.beta.add(rows(grad).sum(axis=0))
        return grad * self.gamma.value


@planted(
    "scale broadcasts a single feature", ScaleShift, (4,), laws="feature count", cause="a single feature is broadcast"
)
class ScaleBroadcasts(ScaleShift):
    """No check of the width: one feature is stretched to all."""

    def forward(self, x):
        return x * self.gamma.value + self.beta.value, x


@planted("scale gradient keeps an axis", ScaleShift, (4,), laws="shapes", cause="keepdims")
class ScaleKeepsAxis(ScaleShift):
    """``keepdims=True`` leaves a gradient of shape (1, n), which SGD broadcasts into shape."""

    def backward(self, grad, x):
        total = rows(grad * x).sum(axis=0, keepdims=True)
        self.gamma.grad = total if self.gamma.grad is None else self.gamma.grad + total
        self.beta.add(rows(grad).sum(axis=0))
        return grad * self.gamma.value


@planted(
    "scale gradient from the output",
    ScaleShift,
    (4,),
    laws="parameter gradient",
    cause="output is used where the input belongs",
)
class ScaleTimesOutput(ScaleShift):
    """The gradient of gamma is taken with the output for the input."""

    def forward(self, x):
        y, _ = super().forward(x)
        return y, y


@planted("scale gradient divided by the width", ScaleShift, (4,), laws="parameter gradient", cause="factor is a width")
class ScaleTimesWidth(ScaleShift):
    """The gradient of gamma is a mean over the features as well."""

    def backward(self, grad, x):
        self.gamma.add(rows(grad * x).sum(axis=0) / self.n)
        self.beta.add(rows(grad).sum(axis=0))
        return grad * self.gamma.value


@planted("predict without the scale", ScaleShift, (4,), laws="predict agrees", cause="predict does not depend on gamma")
class ScaleGoesMissing(ScaleShift):
    """predict adds beta, but does not scale."""

    def predict(self, x):
        require_features(x, self.n)
        return x + self.beta.value


@planted(
    "state_dict of live arrays", ScaleShift, (4,), laws="copies agree, no aliasing", cause="state_dict gives no copies"
)
class LiveState(ScaleShift):
    """state_dict gives the arrays themselves: what was saved goes on learning."""

    def state_dict(self):
        return {name: parameter.value for name, parameter in self.named_parameters()}


class LayerNorm(Layer):
    """Correct: each sample to mean 0 and variance 1, then scaled and shifted."""

    epsilon = 1e-3

    def __init__(self, n: int = 5) -> None:
        self.n = n
        self.gamma = Parameter(1 + 0.5 * draw(n))
        self.beta = Parameter(draw(n, seed=1))

    def forward(self, x):
        require_features(x, self.n)
        inverse = 1 / np.sqrt(self.variance(x) + self.epsilon)
        normal = (x - x.mean(axis=-1, keepdims=True)) * inverse
        return normal * self.gamma.value + self.beta.value, (normal, inverse)

    def variance(self, x):
        return x.var(axis=-1, keepdims=True)

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add(rows(grad * normal).sum(axis=0))
        self.beta.add(rows(grad).sum(axis=0))
        return self.through(grad * self.gamma.value, normal, inverse)

    def through(self, grad, normal, inverse):
        along = (grad * normal).mean(axis=-1, keepdims=True)
        return inverse * (grad - grad.mean(axis=-1, keepdims=True) - normal * along)


@planted(
    "layer norm without the way through the variance", LayerNorm, (5,), laws="input gradient", cause="term missing"
)
class NormWithoutVariancePath(LayerNorm):
    """The variance is treated as a constant."""

    def through(self, grad, normal, inverse):
        return inverse * (grad - grad.mean(axis=-1, keepdims=True))


@planted("layer norm without the way through the mean", LayerNorm, (5,), laws="input gradient", cause="term missing")
class NormWithoutMeanPath(LayerNorm):
    """The mean is treated as a constant."""

    def through(self, grad, normal, inverse):
        return inverse * (grad - normal * (grad * normal).mean(axis=-1, keepdims=True))


@planted(
    "layer norm scaled after its Jacobian", LayerNorm, (5,), laws="input gradient", cause="factors not in reverse order"
)
class NormScaledAfterwards(LayerNorm):
    """gamma is multiplied in after the normalization's Jacobian, which does not commute with it."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add(rows(grad * normal).sum(axis=0))
        self.beta.add(rows(grad).sum(axis=0))
        return self.through(grad, normal, inverse) * self.gamma.value


@planted("layer norm backward without epsilon", LayerNorm, (5,), laws="input gradient", cause="an epsilon is left out")
class NormBareDeviation(LayerNorm):
    """backward divides by the standard deviation, without the epsilon of forward."""

    def through(self, grad, normal, inverse):
        bare = 1 / np.sqrt(np.maximum(1 / inverse**2 - self.epsilon, 1e-12))
        return super().through(grad, normal, bare)


@planted("layer norm without epsilon", LayerNorm, (5,), laws="finite", cause="overflow, or a division by zero")
class NormWithoutEpsilon(LayerNorm):
    """No epsilon at all: a constant sample is 0 / 0."""

    epsilon = 0.0


@planted("layer norm centres its argument", LayerNorm, (5,), laws="arguments untouched", cause="argument overwritten")
class NormInPlace(LayerNorm):
    """``x -= mean`` centres the caller's array."""

    def forward(self, x):
        require_features(x, self.n)
        x -= x.mean(axis=-1, keepdims=True)
        return super().forward(x)


@planted(
    "layer norm by the variance of the batch",
    LayerNorm,
    (5,),
    laws="samples independent, input gradient",
    cause="samples mixed",
)
class NormOfBatch(LayerNorm):
    """``x.var()`` without its axis is over all samples."""

    def variance(self, x):
        return np.full_like(x[..., :1], x.var() if x.size else 1)


@planted("layer norm by moments", LayerNorm, (5,), laws="float32 agrees, finite", cause="where terms cancel")
class NormByMoments(LayerNorm):
    """``mean(x**2) - mean(x)**2`` cancels: in float32 it is negative for large, nearly equal entries."""

    def variance(self, x):
        return (x * x).mean(axis=-1, keepdims=True) - x.mean(axis=-1, keepdims=True) ** 2


class UnitLength(Layer):
    """Correct: each sample divided by its length, softened at zero."""

    softness = 1e-3

    def forward(self, x):
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True) + self.softness)
        y = x / length
        return y, (y, length)

    def backward(self, grad, cache):
        y, length = cache
        return (grad - y * (grad * y).sum(axis=-1, keepdims=True)) / length


@planted("zero sample normalized", UnitLength, (3,), laws="finite", cause="overflow, or a division by zero")
class UnitLengthOfZero(UnitLength):
    """Without softening, a sample of zeros is 0 / 0."""

    softness = 0.0


@planted("length treated as a constant", UnitLength, (3,), laws="input gradient", cause="term missing")
class UnitLengthConstant(UnitLength):
    """The length is treated as a constant."""

    def backward(self, grad, cache):
        _, length = cache
        return grad / length


@planted("length of the whole batch", UnitLength, (3,), laws="samples independent", cause="samples mixed")
class UnitLengthOfBatch(UnitLength):
    """``np.linalg.norm(x)`` without its axis is the length of the whole batch."""

    def forward(self, x):
        length = np.sqrt((x * x).sum() + self.softness)
        y = x / length
        return y, (y, length)

    def backward(self, grad, cache):
        y, length = cache
        return (grad - y * (grad * y).sum()) / length


class SoftLength(Layer):
    """Correct: the length of each sample, rounded off at zero."""

    softness = 1e-3

    def forward(self, x):
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True) + self.softness)
        return length, (x, length)

    def backward(self, grad, cache):
        x, length = cache
        return grad * x / length


@planted("gradient of the length at zero", SoftLength, (3,), laws="finite", cause="overflow, or a division by zero")
class LengthOfZero(SoftLength):
    """The length has no gradient at zero, and the formula is 0 / 0 there; forward is fine."""

    softness = 0.0


class ByMaximum(Layer):
    """Correct: ``x / (1 + max|x|)``, the maximum of the sample, treated with its own gradient."""

    def forward(self, x):
        size = np.abs(x)
        where = size.argmax(axis=-1, keepdims=True)
        scale = 1 + np.take_along_axis(size, where, axis=-1)
        return x / scale, (x, where, scale)

    def backward(self, grad, cache):
        x, where, scale = cache
        back = grad / scale
        along = (grad * x).sum(axis=-1, keepdims=True) / scale**2
        top = np.take_along_axis(back, where, axis=-1) - np.sign(np.take_along_axis(x, where, axis=-1)) * along
        np.put_along_axis(back, where, top, axis=-1)
        return back


@planted("maximum treated as a constant", ByMaximum, (3,), laws="input gradient", cause="term missing")
class ByMaximumConstant(ByMaximum):
    """The maximum is treated as a constant."""

    def backward(self, grad, cache):
        _, _, scale = cache
        return grad / scale
