"""
A chain of layers is a layer again: `forward` hands x from one to the next, and `backward` hands the gradient
back, the last layer first. This is all that "backpropagation" is.

Each layer's `forward` returns its result and its cache, and its `backward` wants that very cache back. So the
cache of a chain is the list of its layers' caches.

The layers are in `self.layers`. There may be any number of them, none too: then x comes out as it went in.
"""

from minibackprop import Layer


class Chain(Layer):
    def __init__(self, layers):
        self.layers = list(layers)

    def forward(self, x):
        ### BEGIN SOLUTION
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x)
            caches.append(cache)
        return x, caches
        ### END SOLUTION

    def backward(self, grad, caches):
        ### BEGIN SOLUTION
        for layer, cache in zip(reversed(self.layers), reversed(caches), strict=True):
            grad = layer.backward(grad, cache)
        return grad
        ### END SOLUTION

    def predict(self, x):
        """Do what forward does, as it is done in use: no cache is kept."""
        for layer in self.layers:
            x = layer.predict(x)
        return x
