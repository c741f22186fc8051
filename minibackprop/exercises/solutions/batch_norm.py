"""
Batch normalization brings each feature to mean 0 and variance 1 over the batch, and from there to a scale and a
shift that are learned (Ioffe and Szegedy, 2015). x has shape (N, features). All of the following is done for each
feature on its own: every mean, variance and sum goes over the N samples.

1. `forward(x)` takes the mean and the variance of the batch (`x.var(axis=0)`, a sum divided by N), and computes
   `s = sqrt(variance + epsilon)`, `n = (x - mean) / s` and `y = weight * n + bias`.
   It also moves the running statistics, each by `new = (1 - momentum) * old + momentum * statistic`. Their
   variance is the one divided by N - 1 (`x.var(axis=0, ddof=1)`): its average over many batches, drawn at
   random, is the variance of all data. A `Buffer` holds what a layer keeps but does not train: assign to
   `self.running_mean.value` and to `self.running_var.value`.
2. `predict(x)` is the same formula with the running statistics: in use, a sample may come alone.
3. `backward(grad, cache)` adds the gradients of weight and bias, and returns the one with respect to x. An x_i
   reaches the loss by three ways, and what they give adds up. With `g = grad * weight`, the gradient with
   respect to n:
   - by its own n_i, as if mean and variance were constants: `g_i * dn_i/dx_i`;
   - by the mean, which is in every n_j: `dmean/dx_i` times the sum over all j of `g_j * dn_j/dmean`;
   - by the variance, which is in every n_j too: `dvariance/dx_i` times the sum of `g_j * dn_j/dvariance`.

   Work out the five derivatives on paper, then write the three ways down with n and s.
"""

import numpy as np

from minibackprop import Buffer, Layer, Parameter


class BatchNorm(Layer):
    # For the marker, and for everyone.
    couples_samples = "normalizes by the mean and the variance of the batch"

    def __init__(self, features, momentum=0.1, epsilon=1e-5):
        self.features, self.momentum, self.epsilon = features, momentum, epsilon
        self.weight = Parameter(np.ones(features))
        self.bias = Parameter(np.zeros(features))
        self.running_mean = Buffer(np.zeros(features))
        self.running_var = Buffer(np.ones(features))

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] != self.features or len(x) < 2:
            raise ValueError(
                f"BatchNorm takes (N, {self.features}) with N > 1, not {x.shape}"
            )
        ### BEGIN SOLUTION
        mean = x.mean(axis=0)
        s = np.sqrt(x.var(axis=0) + self.epsilon)
        n = (x - mean) / s
        m = self.momentum
        self.running_mean.value = (1 - m) * self.running_mean.value + m * mean
        unbiased = x.var(axis=0, ddof=1)
        self.running_var.value = (1 - m) * self.running_var.value + m * unbiased
        return self.weight.value * n + self.bias.value, (n, s)
        ### END SOLUTION

    def predict(self, x):
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ValueError(f"BatchNorm takes (N, {self.features}), not {x.shape}")
        ### BEGIN SOLUTION
        s = np.sqrt(self.running_var.value + self.epsilon)
        n = (x - self.running_mean.value) / s
        return self.weight.value * n + self.bias.value
        ### END SOLUTION

    def backward(self, grad, cache):
        ### BEGIN SOLUTION
        n, s = cache
        self.weight.add((grad * n).sum(axis=0))
        self.bias.add(grad.sum(axis=0))
        g = grad * self.weight.value
        own = g / s
        by_mean = -g.mean(axis=0) / s
        by_variance = -n * (g * n).mean(axis=0) / s
        return own + by_mean + by_variance
        ### END SOLUTION
