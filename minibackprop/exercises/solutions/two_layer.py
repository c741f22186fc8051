"""
Rebuild the article's first network from memory: `l1 = sigmoid(l0 @ syn0)`, with `l0` the inputs, a sample a
row. In the code, `l0` is called `x`, and the sigmoid is yours to write.

`train(x, y, syn0, steps)` takes the inputs of shape (4, 3), the targets (4, 1) and the weights to start from
(3, 1). It takes `steps` steps, each on all samples at once, and returns the weights after the last one, and
`l1` as the last step computed it. In each step:

1. forward: `l1` of all samples;
2. the error `y - l1`, and from it the delta, the error times the slope;
3. each weight changes by the sum, over all samples, of its input times the delta. The step size is 1.

With the weights that the article begins with, the output after 10,000 steps is to be that which it prints:
0.00966449, 0.00786506, 0.99358898, 0.99211957.
"""

import numpy as np


def train(x, y, syn0, steps):
    """Train syn0, and return it with the last l1."""
    for _ in range(steps):
        ### BEGIN SOLUTION
        l1 = 1 / (1 + np.exp(-(x @ syn0)))
        l1_error = y - l1
        l1_delta = l1_error * l1 * (1 - l1)
        syn0 = syn0 + x.T @ l1_delta
        ### END SOLUTION
    return syn0, l1
