"""
Dropout sets entries of its input to zero at random, anew on each forward pass of training. So no hidden unit
can rely on one other unit alone (Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, 2014).

1. `forward(x)` draws a *mask* of the shape of x. Each entry of it is 0 with probability `rate`, and otherwise
   `1 / (1 - rate)`, whatever the others are. The result is `y = x * mask`. The factor makes up for the zeros: on
   average, y is x. (This is called *inverted* dropout. The paper scales when it predicts, instead.)
2. `backward(grad, cache)` returns the gradient with respect to x: that of the y that *this* forward pass gave.
3. `predict(x)` is the layer in use. It drops nothing, and draws nothing.

Random numbers come from the layer's own generator, so that a run can be repeated:
`self.generator.random(shape)` gives an array of that shape, of numbers from 0 up to 1, each as likely as any other.
"""

import numpy as np

from minibackprop import Layer


class Dropout(Layer):
    # Tells the marker, and everyone, that forward draws numbers.
    stochastic = "sets entries to zero at random"

    def __init__(self, rate, seed):
        self.rate = rate
        self.generator = np.random.default_rng(seed)

    def forward(self, x):
        ### BEGIN SOLUTION
        mask = (self.generator.random(x.shape) >= self.rate) / (1 - self.rate)
        return x * mask, mask
        ### END SOLUTION

    def backward(self, grad, cache):
        ### BEGIN SOLUTION
        return grad * cache
        ### END SOLUTION

    def predict(self, x):
        ### BEGIN SOLUTION
        return x
        ### END SOLUTION
