"""
In attention, each position of a sequence looks at all positions, itself too, and takes from those that matter
to it. x has shape (N, T, D): N samples, T positions, D numbers at each. Three weights, (D, d) each, make a
*query* of every position, a *key* and a *value*:

- `Q = x @ Wq`, `K = x @ Wk`, `V = x @ Wv`, each (N, T, d);
- `S = Q @ K.T / sqrt(d)`, the scores, (N, T, T): how well the query of position t fits the key of position u;
- `P = softmax(S)`, the weights, (N, T, T): each row has a sum of 1;
- `y = P @ V`, (N, T, d): each position gets a weighted mean of the values of all.

Here `K.T` is the transpose of each sample's matrix, `transposed(K)` in the code. (A. Vaswani and others,
"Attention Is All You Need", 2017.)

In a *causal* attention, a position looks at itself and at earlier ones only, as when the next word is to be
guessed. The scores of later ones are -inf, minus infinity, before the softmax: their weights become 0.

1. `softmax_backward` goes back through the softmax, with its output P. All weights of a row share one sum, so
   every score acts on every weight of its row. What comes out is `dS = P * (dP - m)`, where m is one number
   for each row: the mean of the row's dP, weighted by P.
2. `forward` is the four lines above, and the mask.
3. `backward` goes through the four lines from the last to the first. Each of y, S, Q, K and V is a product of
   matrices: where y = A @ B, the gradients are `dA = dy @ B.T` and `dB = A.T @ dy`. For the weights,
   `dense_backward` does what you wrote for `Dense`. The last line of each method says which names it needs.
"""

import numpy as np

from minibackprop import Layer, Parameter


def transposed(a):
    """Transpose the matrix of each sample."""
    return np.swapaxes(a, 1, 2)


def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def dense_backward(grad, x, W):
    """Go back through x @ W: add to W's gradient, and return that of x."""
    W.add(x.reshape(-1, x.shape[-1]).T @ grad.reshape(-1, grad.shape[-1]))
    return grad @ W.value.T


def softmax_backward(dP, P):
    """Go back from the weights P, (N, T, T), to the scores."""
    ### BEGIN SOLUTION
    return P * (dP - (dP * P).sum(axis=-1, keepdims=True))
    ### END SOLUTION


class Attention(Layer):
    def __init__(self, D, d, rng, causal=False):
        drawn = rng.normal(size=(3, D, d))
        self.Wq, self.Wk, self.Wv = (Parameter(weight) for weight in drawn)
        self.d, self.causal = d, causal

    def forward(self, x):
        if x.ndim != 3 or x.shape[2] != len(self.Wq.value):
            raise ValueError(
                f"Attention takes (N, T, {len(self.Wq.value)}), not {x.shape}"
            )
        # visible[t, u]: position t may look at u in a causal attention.
        visible = np.tri(x.shape[1], dtype=bool)
        ### BEGIN SOLUTION
        Q, K, V = x @ self.Wq.value, x @ self.Wk.value, x @ self.Wv.value
        S = Q @ transposed(K) / self.d**0.5
        if self.causal:
            S = np.where(visible, S, -np.inf)
        P = softmax(S)
        ### END SOLUTION
        return P @ V, (x, Q, K, V, P)

    def backward(self, grad, cache):
        x, Q, K, V, P = cache
        ### BEGIN SOLUTION
        dV = transposed(P) @ grad
        dS = softmax_backward(grad @ transposed(V), P)
        dQ = dS @ K / self.d**0.5
        dK = transposed(dS) @ Q / self.d**0.5
        ### END SOLUTION
        by_query, by_key = (
            dense_backward(dQ, x, self.Wq),
            dense_backward(dK, x, self.Wk),
        )
        return by_query + by_key + dense_backward(dV, x, self.Wv)
