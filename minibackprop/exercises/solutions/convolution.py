"""
A convolution looks at a sequence through a small window. x has shape (N, T, inputs): N samples, T positions, and
at each position a vector. The *kernel* W has shape (K, inputs, outputs): one matrix for each of the K places of
the window. At each position t where the whole window fits,

`y[t] = b + x[t] @ W[0] + x[t + 1] @ W[1] + ... + x[t + K - 1] @ W[K - 1]`

and the same for every sample. So y has T - K + 1 positions, and shape (N, T - K + 1, outputs).

This is `Dense` at each place of the window, with one W for all positions (Y. LeCun and others, "Backpropagation
Applied to Handwritten Zip Code Recognition", 1989). No loop over the positions is needed: place k of all windows
at once is the slice `x[:, k : k + T - K + 1]`. A loop over k is enough, forward and backward.

`backward` adds the gradients of W and b, and returns the one with respect to x. (`Conv1D` of the package does the
same, with the axes in another order, and can leave out positions or add zeros at the ends.)
"""

import numpy as np

from minibackprop import Layer, Parameter


class Convolution(Layer):
    def __init__(self, inputs, outputs, width, rng):
        self.W = Parameter(rng.normal(size=(width, inputs, outputs)))
        self.b = Parameter(np.zeros(outputs))

    def forward(self, x):
        K, inputs = self.W.value.shape[:2]
        if x.ndim != 3 or x.shape[1] < K or x.shape[2] != inputs:
            raise ValueError(
                f"Convolution takes (N, T, {inputs}) with T >= {K}, not {x.shape}"
            )
        positions = x.shape[1] - K + 1
        ### BEGIN SOLUTION
        y = self.b.value
        for k in range(K):
            y = y + x[:, k : k + positions] @ self.W.value[k]
        return y, x
        ### END SOLUTION

    def backward(self, grad, cache):
        K, inputs, outputs = self.W.value.shape
        positions = grad.shape[1]
        # To be filled, a place of the window at a time, and added.
        W_grad = np.zeros_like(self.W.value)
        ### BEGIN SOLUTION
        x = cache
        x_grad = np.zeros_like(x)
        for k in range(K):
            window = x[:, k : k + positions]
            W_grad[k] = window.reshape(-1, inputs).T @ grad.reshape(-1, outputs)
            x_grad[:, k : k + positions] += grad @ self.W.value[k].T
        self.W.add(W_grad)
        self.b.add(grad.sum(axis=(0, 1)))
        return x_grad
        ### END SOLUTION
