"""
Write the sigmoid, `1 / (1 + e^-x)`, and its slope. Both take an array, and return one of the same shape.

The slope is asked for in terms of the sigmoid's own output: `slope(l)` takes `l = sigmoid(x)`, not `x`. A
network has `l` at hand when it goes back, so it need not compute an exponential again.

The sigmoid is to give 0 for -1000 and 1 for 1000, without a NaN.
"""

import numpy as np


def sigmoid(x):
    """Squash each number of x to between 0 and 1."""
    ### BEGIN SOLUTION
    return 1 / (1 + np.exp(-x))
    ### END SOLUTION


def slope(l):
    """Say how steep the sigmoid is where its output is l."""
    ### BEGIN SOLUTION
    return l * (1 - l)
    ### END SOLUTION
