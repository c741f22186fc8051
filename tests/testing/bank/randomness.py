"""Dropout and noise."""

import numpy as np

from minibackprop import Layer
from tests.testing.bank.planting import planted


class Dropout(Layer):
    """Correct: entries dropped with probability 0.4, the others scaled up."""

    stochastic = "drops entries at random"
    kept = 0.6

    def __init__(self, seed: int | None = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def forward(self, x):
        mask = np.asarray(self.rng.random(x.shape) < self.kept, like=x)
        return x * mask / self.kept, mask

    def predict(self, x):
        return x

    def backward(self, grad, mask):
        return grad * mask / self.kept


@planted(
    "dropout redraws its mask",
    Dropout,
    (4,),
    laws="input gradient, gradients add, arguments untouched",
    cause="mask redrawn",
)
class DropoutRedraws(Dropout):
    """backward draws a mask of its own."""

    def backward(self, grad, mask):
        return grad * (self.rng.random(grad.shape) < self.kept) / self.kept


@planted("dropout not rescaled in backward", Dropout, (4,), laws="input gradient", cause="which is kept")
class DropoutNotRescaled(Dropout):
    """backward does not scale up."""

    def backward(self, grad, mask):
        return grad * mask


@planted(
    "dropout ignores its mask in backward", Dropout, (4,), laws="input gradient", cause="mask in one direction only"
)
class DropoutIgnoresMask(Dropout):
    """backward lets everything through."""

    def backward(self, grad, mask):
        return grad.copy()


@planted("dropout from the global generator", Dropout, (4,), laws="determinism", cause="NumPy's global one")
class DropoutGlobal(Dropout):
    """The mask comes from NumPy's global generator."""

    def forward(self, x):
        mask = np.random.random(x.shape) < self.kept  # noqa: NPY002 - the slip
        return x * mask / self.kept, mask

    predict = Dropout.predict


@planted(
    "dropout in predict", Dropout, (4,), laws="determinism, predict leaves no trace", cause="predict draws from rng"
)
class DropoutInPrediction(Dropout):
    """predict is forward."""

    predict = Layer.predict


@planted("dropout mask in float64", Dropout, (4,), laws="dtype", cause="a float64 constant")
class DropoutDoubleMask(Dropout):
    """A mask divided by its probability is a float64 array."""

    def forward(self, x):
        mask = (self.rng.random(x.shape) < self.kept) / self.kept
        return x * mask, mask

    predict = Dropout.predict

    def backward(self, grad, mask):
        return grad * mask


@planted("dropout mask on self", Dropout, (4,), laws="two open passes", cause="stale")
class DropoutMaskOnSelf(Dropout):
    """The mask of the latest forward is kept on self."""

    def forward(self, x):
        y, self.mask = super().forward(x)
        return y, None

    predict = Dropout.predict

    def backward(self, grad, _):
        return super().backward(grad, self.mask)


@planted(
    "dropout with the generator of the class",
    Dropout,
    (4,),
    laws="determinism, instances share nothing",
    cause="from one that copies share",
)
class DropoutClassGenerator(Dropout):
    """One generator for the class: what an instance draws depends on how often others drew."""

    rng = np.random.default_rng(0)

    def __init__(self):
        pass


class Noise(Layer):
    """Correct: tanh of the input and, in training, noise."""

    stochastic = "adds noise"

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        noise = np.asarray(self.rng.normal(size=x.shape), x.dtype, like=x)
        y = np.tanh(x + 0.1 * noise)
        return y, y

    def predict(self, x):
        return np.tanh(x)

    def backward(self, grad, y):
        return grad * (1 - y * y)


@planted(
    "noise undeclared", Noise, (3,), laws="determinism, predict agrees, predict leaves no trace", cause="draws from rng"
)
class NoiseUndeclared(Noise):
    """Nothing says that forward is random, and predict is forward."""

    stochastic = ""
    predict = Layer.predict
