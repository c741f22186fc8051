"""Affine maps: wrong formulas, and what a bias, a batch or a clip makes of them."""

from functools import partial

import numpy as np

from minibackprop import Layer, Parameter
from tests.testing.bank.pieces import draw, require_features, rows
from tests.testing.bank.planting import planted


class Affine(Layer):
    """Correct: ``y = x @ W + b``."""

    def __init__(self, n: int = 4, m: int = 3, seed: int | None = 0) -> None:
        self.n, self.m, self.seed = n, m, seed
        self.W = Parameter(draw(n, m, seed=seed) / n**0.5)
        self.b = Parameter(draw(m, seed=None if seed is None else seed + 1))

    def forward(self, x):
        require_features(x, self.n)
        return x @ self.W.value + self.b.value, x

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted(
    "weight gradient averaged over the batch",
    Affine,
    (4,),
    laws="parameter gradient",
    cause="factor is the batch size: a mean",
)
class MeanWeightGradient(Affine):
    """The loss is a mean, so the weight gradient is divided by the batch size: once too often."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad) / max(len(rows(x)), 1))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted(
    "bias gradient averaged over the batch",
    Affine,
    (4,),
    laws="parameter gradient",
    cause="factor is the batch size: a mean",
)
class MeanBiasGradient(Affine):
    """``mean`` for ``sum`` in the bias alone."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0) / max(len(rows(grad)), 1))
        return grad @ self.W.value.T


@planted("weight gradient with the sign of descent", Affine, (4,), laws="parameter gradient", cause="sign flipped")
class DescentSign(Affine):
    """The weight gradient carries the minus of the descent step."""

    def backward(self, grad, x):
        self.W.add(-rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted("bias gradient forgotten", Affine, (4,), laws="parameter gradient, shapes", cause="no gradient reaches b")
class BiasForgotten(Affine):
    """The bias came later, and backward was not told."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        return grad @ self.W.value.T


@planted(
    "bias gradient counts samples",
    Affine,
    (4,),
    laws="parameter gradient, linearity",
    cause="upstream gradient ignored",
)
class BiasCountsSamples(Affine):
    """dy/db is 1, so the bias gradient is the number of samples: the upstream gradient is left out."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(np.full_like(self.b.value, len(rows(x))))
        return grad @ self.W.value.T


@planted(
    "bias gradient summed over features",
    Affine,
    (4,),
    laws="parameter gradient, shapes",
    cause="summed over the wrong axes",
)
class BiasAcrossFeatures(Affine):
    """The bias gradient is summed over the features: an error, unless the batch happens to be as large as b."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=1))
        return grad @ self.W.value.T


@planted(
    "last sample left out of the weight gradient", Affine, (4,), laws="parameter gradient", cause="one sample: the last"
)
class LastSampleDropped(Affine):
    """The outer products are summed in a loop that ends one sample early."""

    def backward(self, grad, x):
        total = np.zeros_like(self.W.value)
        for i in range(len(rows(x)) - 1):
            total = total + np.outer(rows(x)[i], rows(grad)[i])
        self.W.add(total)
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted(
    "last column of the bias gradient left out",
    Affine,
    (4,),
    laws="parameter gradient",
    cause="wrong for one column: the last",
)
class LastColumnDropped(Affine):
    """The bias gradient is filled column by column, and the last column left at zero."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        total = np.zeros_like(self.b.value)
        for j in range(self.m - 1):
            total[j] = rows(grad)[:, j].sum()
        self.b.add(total)
        return grad @ self.W.value.T


@planted("weight decay in backward", Affine, (4,), laws="parameter gradient, linearity", cause="as of weight decay")
class DecayInBackward(Affine):
    """Weight decay is slipped into the weight's gradient."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad) + 0.01 * self.W.value)
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted(
    "upstream gradient clipped",
    Affine,
    (4,),
    laws="linearity, input gradient, parameter gradient",
    cause="upstream gradient clipped",
)
class ClippedUpstream(Affine):
    """Exploding gradients are clipped where they come in, and nobody was told."""

    def backward(self, grad, x):
        return super().backward(np.clip(grad, -1, 1), x)


@planted(
    "upstream gradient clipped by its norm",
    Affine,
    (4,),
    laws="linearity, input gradient, parameter gradient",
    cause="upstream gradient clipped",
)
class NormClippedUpstream(Affine):
    """The gradient is scaled to norm 5 where it is longer."""

    def backward(self, grad, x):
        norm = float(np.sqrt((grad * grad).sum()))
        return super().backward(grad * (5 / norm) if norm > 5 else grad, x)


@planted(
    "gradients cast to float32 and back",
    Affine,
    (4,),
    laws="linearity, dtype, float32 agrees, input gradient, parameter gradient",
    cause="dropped to float32",
)
class SingleGradients(Affine):
    """Gradients are cast to float32 to save memory, and what follows casts them back."""

    def backward(self, grad, x):
        single = grad.astype(np.float32)
        self.W.add((rows(x).T @ rows(single)).astype(self.W.value.dtype))
        self.b.add(rows(grad).sum(axis=0))
        return (single @ self.W.value.T).astype(grad.dtype)


@planted("squeeze after the product", Affine, (4,), laws="batch sizes, shapes, samples independent", cause="squeeze")
class Squeezed(Affine):
    """``squeeze`` after the product drops the axis of a batch of one."""

    def forward(self, x):
        y, cache = super().forward(x)
        return y.squeeze(), cache

    def backward(self, grad, x):
        return super().backward(grad.reshape(*x.shape[:-1], self.m), x)


@planted("extra features cut off", Affine, (4,), laws="feature count", cause="features are left out")
class TakesFirstColumns(Affine):
    """``x[..., :n]`` cuts what is too wide to size."""

    def forward(self, x):
        x = x[..., : self.n]
        return x @ self.W.value + self.b.value, x


@planted("predict without the bias", Affine, (4,), laws="predict agrees", cause="predict does not depend on b")
class PredictWithoutBias(Affine):
    """The bias was added to forward only."""

    def predict(self, x):
        require_features(x, self.n)
        return x @ self.W.value


@planted("accumulate without the bias", Affine, (4,), laws="accumulate", cause="accumulate leaves b out")
class AccumulateWithoutBias(Affine):
    """accumulate was written when there was no bias."""

    def accumulate(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))


@planted(
    "bias added twice by accumulate",
    Affine,
    (4,),
    laws="parameter gradient",
    cause="constant factor: the gradient is 2 times",
)
class AccumulateTwice(Affine):
    """backward calls accumulate, and then adds the bias once more itself: the two drifted apart."""

    def backward(self, grad, x):
        self.accumulate(grad, x)
        return grad @ self.W.value.T

    def accumulate(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        self.b.add(rows(grad).sum(axis=0))


@planted("accumulate calls backward as well", Affine, (4,), laws="accumulate", cause="adds the gradient of W twice")
class AccumulateCallsBoth(Affine):
    """accumulate does its work and then calls backward, which does it again."""

    def accumulate(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.backward(grad, x)


SQUARE_AFFINE = partial(Affine, 3, 3)


class WeightNotTransposed(Affine):
    """``grad @ W`` for ``grad @ W.T``: the shapes fit where W is square."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value


planted("weight not transposed in backward", SQUARE_AFFINE, (3,), laws="input gradient", cause="transposed")(
    partial(WeightNotTransposed, 3, 3)
)


class WeightGradientTransposed(Affine):
    """``grad.T @ x`` for ``x.T @ grad``, as with weights kept (out, in)."""

    def backward(self, grad, x):
        self.W.add(rows(grad).T @ rows(x))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


planted("weight gradient transposed", SQUARE_AFFINE, (3,), laws="parameter gradient", cause="transposed")(
    partial(WeightGradientTransposed, 3, 3)
)
