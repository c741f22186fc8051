"""Layers of your own: one without parameters, one with, both plain classes, in a model with built-in ones."""

import numpy as np

from minibackprop import SGD, Dense, Layer, MeanSquaredError, Parameter, Sequential, ShapeError, Trainer


class Sine(Layer):
    """y = sin(x); the input is all that backward needs."""

    def forward(self, x):
        return np.sin(x), x

    def backward(self, grad, x):
        return grad * np.cos(x)


class Scale(Layer):
    """y = s * x, with one trained factor for each feature."""

    def __init__(self, features):
        self.features = features
        self.scale = Parameter(np.ones(features))

    def forward(self, x):
        if x.shape[-1] != self.features:  # NumPy would stretch a single feature to many.
            raise ShapeError("Scale", f"(..., {self.features})", str(x.shape))
        return x * self.scale.value, x

    def backward(self, grad, x):
        leading = tuple(range(x.ndim - 1))  # all axes but that of the features
        self.scale.add((grad * x).sum(axis=leading))
        return grad * self.scale.value


x = np.linspace(-3, 3, 200)[:, np.newaxis]
y = np.sin(2 * x) + 0.5 * x

model = Sequential([Dense(1, 32, rng=0), Scale(32), Sine(), Dense(32, 1, rng=1)])
history = Trainer(model, MeanSquaredError(), SGD(learning_rate=0.05)).fit(x, y, epochs=2_000)

print(model)
print("parameters:", [name for name, _ in model.named_parameters()])
print(f"mean squared error: {history.loss[0]:.3f} before training, {history.loss[-1]:.6f} after")
