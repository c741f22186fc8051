"""
A `Dense` layer is the line `l0 @ syn0` on its own, with a bias: `y = x @ W + b`, with x of shape (N, inputs),
W of shape (inputs, outputs) and b of shape (outputs,).

A layer has two methods. `forward(x)` returns y and a *cache*: whatever `backward` will need. `backward(grad,
cache)` takes the gradient of the loss with respect to y, of the shape of y. It adds the gradients of the
parameters by `self.W.add(...)` and `self.b.add(...)`, and returns the gradient with respect to x. The numbers
themselves are `self.W.value` and `self.b.value`.

A batch may be empty (N = 0), as a data set may be. Give `add` arrays of your own, not rows of `grad`.

Nothing else is asked for: no learning rate, no update. That is an optimizer's work.
"""

import numpy as np

from minibackprop import Layer, Parameter


class Dense(Layer):
    def __init__(self, inputs, outputs, rng):
        self.W = Parameter(rng.normal(size=(inputs, outputs)))
        self.b = Parameter(np.zeros(outputs))

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] != len(self.W.value):
            raise ValueError(f"Dense takes (N, {len(self.W.value)}), not {x.shape}")
        ### BEGIN SOLUTION
        return x @ self.W.value + self.b.value, x
        ### END SOLUTION

    def backward(self, grad, cache):
        ### BEGIN SOLUTION
        x = cache
        self.W.add(x.T @ grad)
        self.b.add(grad.sum(axis=0))
        return grad @ self.W.value.T
        ### END SOLUTION
