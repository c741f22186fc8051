"""
A loss says in one number how wrong a batch of predictions is. Its gradient with respect to the predictions is
where each pass back begins.

Write the mean squared error: the mean of `(p - t)^2` over all entries of the batch. The predictions p and the
targets t have the shape (N, outputs). So far we took half the *sum* of the squares, whose gradient is `p - t`.
A mean is divided by the number of its entries, and so is its gradient. And here no half takes the 2 of the
square away.

`weights` say how much each sample counts. A weight of 2 is as much as the sample occurring twice, and one of 0
as its absence. The mean is then `sum(w * (p - t)^2) / sum(w)`. The lines above the hole make `w`, of shape
(N, outputs). It is 1 everywhere if no weights are given, so this one formula serves both.

`forward(p, t, weights)` returns the mean, as a float, and a cache. `backward(cache, scale)` returns the
gradient with respect to p, in the shape of p, times the number `scale`. (Whoever cuts a batch into parts gives
each part its share of the batch as the scale. Otherwise it is 1.)
"""

import numpy as np

from minibackprop import Loss


class MeanSquaredError(Loss):
    def forward(self, p, t, weights=None):
        if p.shape != t.shape:
            raise ValueError(
                f"the predictions have shape {p.shape}, and the targets {t.shape}"
            )
        t = t.astype(p.dtype)
        w = np.ones_like(p)
        if weights is not None:
            # A column, one number for each sample, which is repeated for each output.
            w = w * weights.astype(p.dtype).reshape(-1, 1)
        ### BEGIN SOLUTION
        difference = p - t
        value = np.sum(w * difference**2) / np.sum(w)
        return float(value), (difference, w)
        ### END SOLUTION

    def backward(self, cache, scale=1.0):
        ### BEGIN SOLUTION
        difference, w = cache
        return scale * 2 * w * difference / np.sum(w)
        ### END SOLUTION
