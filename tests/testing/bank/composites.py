"""Layers that hold layers."""

from functools import partial

from minibackprop import Layer, Sequential
from tests.testing.bank.activations import Tanh
from tests.testing.bank.affine import Affine
from tests.testing.bank.planting import planted
from tests.testing.bank.randomness import Dropout


class Residual(Layer):
    """Correct: ``y = x + inner(x)``."""

    def __init__(self, inner: Layer | None = None) -> None:
        self.inner = Sequential([Affine(3, 3), Tanh()]) if inner is None else inner

    def forward(self, x):
        y, cache = self.inner.forward(x)
        return x + y, cache

    def predict(self, x):
        return x + self.inner.predict(x)

    def backward(self, grad, cache):
        return grad + self.inner.backward(grad, cache)

    def accumulate(self, grad, cache):
        self.inner.accumulate(grad, cache)


@planted("residual without its skip", Residual, (3,), laws="input gradient", cause="term missing: the identity")
class ResidualWithoutSkip(Residual):
    """The way around the inner layer is forgotten on the way back."""

    def backward(self, grad, cache):
        return self.inner.backward(grad, cache)


@planted("residual added into the gradient", Residual, (3,), laws="arguments untouched", cause="argument overwritten")
class ResidualIntoGradient(Residual):
    """``grad +=`` adds the inner gradient to the caller's array."""

    def backward(self, grad, cache):
        grad += self.inner.backward(grad, cache)
        return grad


@planted("residual accumulates nothing", Residual, (3,), laws="accumulate", cause="accumulate leaves inner.0.W out")
class ResidualAccumulatesNothing(Residual):
    """accumulate was stubbed out."""

    def accumulate(self, grad, cache):
        pass


def dropping(residual: type[Residual]) -> Layer:
    return residual(Sequential([Affine(3, 3), Dropout(0)]))


DROPPING = partial(dropping, Residual)


class ResidualTrainsAtInference(Residual):
    """predict runs the inner layer's forward, dropout included."""

    def predict(self, x):
        return x + self.inner.forward(x)[0]


planted(
    "residual runs forward in predict",
    DROPPING,
    (3,),
    laws="determinism, predict leaves no trace, copies agree",
    cause="predict draws from inner.1.rng",
)(partial(dropping, ResidualTrainsAtInference))
