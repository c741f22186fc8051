"""
An embedding turns integers into vectors. A text is a row of *tokens*, numbers that stand for its words or letters,
and a network computes with vectors. So each token has a vector of its own, which is learned (Bengio, Ducharme,
Vincent and Jauvin, 2003). They are the rows of a table W, of shape (tokens, size).

1. `forward(x)` takes an array of integers from 0 to tokens - 1, of any shape. At each place of x, y has the row of W
   that the integer there names: x of shape (N, T) gives y of shape (N, T, size).
2. `backward(grad, cache)` adds the gradient of W, of the shape of W. Each vector of grad belongs to the row of W
   that was put there. The same token may occur at many places.
   It returns `None`: there is no gradient with respect to an integer, which cannot change a little.
"""

import numpy as np

from minibackprop import Layer, Parameter


class Embedding(Layer):
    integer_input = True  # Tells the marker, and everyone, that x is integers.

    def __init__(self, tokens, size, rng):
        self.W = Parameter(rng.normal(size=(tokens, size)))

    def forward(self, x):
        if x.dtype.kind not in "iu" or (
            x.size and not 0 <= x.min() <= x.max() < len(self.W.value)
        ):
            raise ValueError(
                f"Embedding takes integers from 0 to {len(self.W.value) - 1}"
            )
        ### BEGIN SOLUTION
        return self.W.value[x], x
        ### END SOLUTION

    def backward(self, grad, cache):
        ### BEGIN SOLUTION
        x = cache
        dW = np.zeros_like(self.W.value)
        np.add.at(dW, x, grad)
        self.W.add(dW)
        return None
        ### END SOLUTION
