"""
Rebuild the article's second network from memory: `l1 = sigmoid(l0 @ syn0)`, `l2 = sigmoid(l1 @ syn1)`.
In the code, `l0` is called `x`, and the sigmoid is yours to write.

`train(x, y, syn0, syn1, steps)` takes the inputs (4, 3), the targets (4, 1) and the weights to start from,
(3, 4) and (4, 1). It returns both weights after the last step, and a list of errors: for each step, the mean
of the absolute values of `y - l2`, from before its update. In each step:

1. forward: `l1`, then `l2`;
2. the error and the delta of `l2`, as in the network of two layers;
3. the error of `l1`: what each hidden unit contributed to the delta of `l2`, through the weights `syn1`; then
   its delta;
4. both weights change by the sum of inputs times deltas, the step size being 1. Both deltas are computed
   before either weight changes.

With the weights that the article begins with, the errors of the steps 0, 10,000 and so on are to be those
that it prints: 0.496410031903, 0.00858452565325, 0.00578945986251, 0.00462917677677, 0.00395876528027,
0.00351012256786.
"""

import numpy as np


def train(x, y, syn0, syn1, steps):
    """Train syn0 and syn1, and return them with the errors."""
    errors = []
    for _ in range(steps):
        ### BEGIN SOLUTION
        l1 = 1 / (1 + np.exp(-(x @ syn0)))
        l2 = 1 / (1 + np.exp(-(l1 @ syn1)))
        l2_error = y - l2
        errors.append(np.mean(np.abs(l2_error)))
        l2_delta = l2_error * l2 * (1 - l2)
        l1_error = l2_delta @ syn1.T
        l1_delta = l1_error * l1 * (1 - l1)
        syn1 = syn1 + l1.T @ l2_delta
        syn0 = syn0 + x.T @ l1_delta
        ### END SOLUTION
    return syn0, syn1, errors
