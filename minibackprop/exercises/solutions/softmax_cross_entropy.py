"""
A network that tells classes apart has one output for each class, a *logit*: any number, the larger the likelier.
The logits z have the shape (N, classes). Each sample has a *label*, the number of its class, counted from 0. The
labels y are integers, of shape (N,).

1. `softmax(z)` makes probabilities of each row of z: `p_j = e^(z_j) / (e^(z_0) + e^(z_1) + ...)`. It is to be
right for logits of 1000 too, although `e^1000` overflows. So first subtract from each row its largest logit. This
does not change the quotients.

2. The cross-entropy of a sample is `-log p_y`, where p_y is the probability of its label. It is 0 if the network
is sure and right, and large if it is sure and wrong. `forward(z, y, weights)` returns the mean over the samples,
as a float, and a cache. Here a p_y may be so small that it is rounded to 0, which has no logarithm. The same loss
is `log(e^(z_0) + e^(z_1) + ...) - z_y`, and this needs no logarithm of p_y.

3. `backward(cache, scale)` returns the gradient with respect to z, in the shape of z, times `scale`. Derive it
from the second formula. It is simpler than the gradient of the softmax alone.

Weights count as in the last exercise: the mean is `sum(w * losses) / sum(w)`. The lines above the hole make `w`,
of shape (N,).
"""

import numpy as np

from minibackprop import Loss


def softmax(z):
    """Make probabilities of each row of logits."""
    ### BEGIN SOLUTION
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
    ### END SOLUTION


class SoftmaxCrossEntropy(Loss):
    def forward(self, z, y, weights=None):
        if y.shape != z.shape[:1]:
            raise ValueError(f"the logits have shape {z.shape}, the labels {y.shape}")
        if y.min() < 0 or y.max() >= z.shape[1]:
            raise ValueError(
                f"the labels of {z.shape[1]} classes are 0 to {z.shape[1] - 1}"
            )
        w = np.ones_like(z[:, 0]) if weights is None else weights.astype(z.dtype)
        rows = np.arange(len(y))  # z[rows, y] is the logit of each sample's label.
        ### BEGIN SOLUTION
        shifted = z - z.max(axis=1, keepdims=True)
        losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, y]
        return float(np.sum(w * losses) / np.sum(w)), (softmax(z), y, w)
        ### END SOLUTION

    def backward(self, cache, scale=1.0):
        ### BEGIN SOLUTION
        p, y, w = cache
        grad = p.copy()
        grad[np.arange(len(y)), y] -= 1
        return scale * grad * w.reshape(-1, 1) / np.sum(w)
        ### END SOLUTION
