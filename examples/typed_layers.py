"""A layer, a layer of layers and a loss with types that ``mypy --strict`` accepts, trained together."""

import math
from typing import Any

import numpy as np

from minibackprop import Adam, Array, Dense, Layer, Loss, Parameter, Sequential, ShapeError, Sigmoid, Tanh, Trainer


class Scale(Layer):
    """y = s * x, with one trained factor for each feature."""

    def __init__(self, features: int) -> None:
        self.features = features
        self.factor = Parameter(np.ones(features))

    def forward(self, x: Array) -> tuple[Array, Array]:
        if x.shape[-1] != self.features:
            raise ShapeError("Scale", f"(..., {self.features})", str(x.shape))
        return x * self.factor.value, x

    def backward(self, grad: Array, x: Array) -> Array:
        self.factor.add((grad * x).sum(axis=tuple(range(x.ndim - 1))))
        return grad * self.factor.value


class Product(Layer):
    """y = f(x) * g(x); with a sigmoid at the end of g, which lets through a share of f, a gated linear unit."""

    def __init__(self, f: Layer, g: Layer) -> None:
        self.f, self.g = f, g

    def forward(self, x: Array) -> tuple[Array, Any]:
        (a, cache_f), (b, cache_g) = self.f.forward(x), self.g.forward(x)
        return a * b, (a, b, cache_f, cache_g)

    def backward(self, grad: Array, cache: Any) -> Array:
        a, b, cache_f, cache_g = cache
        total: Array = self.f.backward(grad * b, cache_f) + self.g.backward(grad * a, cache_g)
        return total

    def predict(self, x: Array) -> Array:
        return self.f.predict(x) * self.g.predict(x)


class LogCosh(Loss):
    """The mean over samples of the sum of log(cosh(prediction - target)): squares near 0, distances far away."""

    def forward(self, prediction: Array, target: Array, weights: Array | None = None) -> tuple[float, Any]:
        if prediction.shape != target.shape:
            raise ShapeError("LogCosh", f"a target of shape {prediction.shape}", str(target.shape))
        residual = prediction - target.astype(prediction.dtype, copy=False)
        size = np.abs(residual)
        terms = size + np.log1p(np.exp(-2 * size)) - math.log(2)  # No cosh, which overflows.
        share = np.ones_like(size)
        if weights is not None:
            share *= weights.reshape(weights.shape + (1,) * (share.ndim - weights.ndim))
        share /= self.total_weight(target, weights)
        return float((share * terms).sum()), (residual, share)

    def backward(self, cache: Any, scale: float = 1.0) -> Array:
        residual, share = cache
        grad: Array = scale * share * np.tanh(residual)
        return grad


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (400, 2))
    y = x[:, :1] * np.maximum(x[:, 1:], 0) + rng.standard_t(1.5, (400, 1)) / 20  # A few values are far off.

    gated = Product(Dense(2, 16, rng=1), Sequential([Dense(2, 16, rng=2), Sigmoid()]))
    model = Sequential([gated, Scale(16), Tanh(), Dense(16, 1, rng=3)])
    history = Trainer(model, LogCosh(), Adam(0.01), rng=4).fit(x, y, epochs=60, batch_size=40)

    clean = x[:, :1] * np.maximum(x[:, 1:], 0)
    print(f"mean distance from the function without noise: {np.abs(model.predict(x) - clean).mean():.3f}")
