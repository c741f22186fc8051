"""Attention."""

import numpy as np

from minibackprop import Layer, Parameter
from tests.testing.bank.pieces import draw, normalized_exp, require_features, rows
from tests.testing.bank.planting import planted


class Attention(Layer):
    """Correct: ``softmax(x W x.T / sqrt(d)) x`` over sequences (time, d)."""

    def __init__(self, d: int = 3) -> None:
        self.d, self.scale = d, d**-0.5
        self.W = Parameter(draw(d, d))

    def forward(self, x):
        require_features(x, self.d)
        weights = normalized_exp(x @ self.W.value @ x.swapaxes(-1, -2) * self.scale)
        return weights @ x, (x, weights)

    def backward(self, grad, cache):
        x, weights = cache
        upstream = grad @ x.swapaxes(-1, -2)
        scores = weights * (upstream - (upstream * weights).sum(axis=-1, keepdims=True)) * self.scale
        self.W.add(self.of_weight(x, scores))
        return self.of_input(grad, x, weights, scores)

    def of_weight(self, x, scores):
        return rows(x).T @ rows(scores @ x)

    def of_input(self, grad, x, weights, scores):
        queries, keys = scores @ x @ self.W.value.T, scores.swapaxes(-1, -2) @ x @ self.W.value
        return queries + keys + weights.swapaxes(-1, -2) @ grad


@planted(
    "attention without the way through the values",
    Attention,
    (4, 3),
    laws="input gradient",
    cause="as of a weighted sum over the axis before the last",
)
class AttentionWithoutValues(Attention):
    """x reaches the result as query, key and value; the last way is forgotten."""

    def of_input(self, grad, x, weights, scores):
        return scores @ x @ self.W.value.T + scores.swapaxes(-1, -2) @ x @ self.W.value


@planted(
    "attention not scaled in the weight gradient",
    Attention,
    (4, 3),
    laws="parameter gradient",
    cause="which is 1 / scale",
)
class AttentionNotScaledBack(Attention):
    """The weight gradient leaves out the 1 / sqrt(d) of forward."""

    def of_weight(self, x, scores):
        return rows(x).T @ rows(scores @ x) / self.scale


@planted("attention with a NumPy scale", Attention, (4, 3), laws="dtype", cause="a float64 constant")
class AttentionDoubleScale(Attention):
    """``np.sqrt(d)`` is a float64 scalar."""

    def __init__(self, d=3):
        super().__init__(d)
        self.scale = 1 / np.sqrt(d)
