"""
The smallest network has one input, one weight and one output: `l = sigmoid(x * w)`. Its loss for the target
`y` is half the squared error, `(l - y)^2 / 2`. All of these are single numbers.

1. `forward(x, w)` gives `l`.
2. `gradient(x, y, w)` gives the derivative of the loss with respect to `w`: how much the loss grows when `w`
   grows a little. Multiply the three slopes on the way from `w` to the loss (the chain rule).
3. `step(x, y, w, rate)` gives the weight after one step downhill.
"""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(x, w):
    """Compute the output."""
    ### BEGIN SOLUTION
    return sigmoid(x * w)
    ### END SOLUTION


def gradient(x, y, w):
    """Compute the derivative of (l - y)^2 / 2 with respect to w."""
    ### BEGIN SOLUTION
    l = forward(x, w)
    return (l - y) * l * (1 - l) * x
    ### END SOLUTION


def step(x, y, w, rate):
    """Take one step against the gradient."""
    ### BEGIN SOLUTION
    return w - rate * gradient(x, y, w)
    ### END SOLUTION
