"""Dropout: random zeros in training, against units that rely on each other."""

from __future__ import annotations

import numpy as np
from attrs import define, field

from minibackprop.core import Layer
from minibackprop.rng import Rng, private_generator
from minibackprop.validation import Array, as_float, is_fraction, require_gradient, require_numbers


@define(eq=False, slots=False, repr=False, init=False)
class Dropout(Layer):
    """
    Sets entries to zero at random in training, and scales the others up: ``y = x * m``.

    Each entry of the mask m is drawn anew on each forward pass: 0 with probability `rate`, else ``1 / (1 - rate)``, so
    that y is x on average. So `predict` needs no factor: it is the identity, and returns x itself.
    Backward uses the mask of its forward pass: ``dL/dx = dL/dy * m``.

    From N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever and R. Salakhutdinov, "Dropout: A Simple Way to Prevent
    Neural Networks from Overfitting", 2014; scaling in training, rather than in prediction, is called inverted dropout.

    Parameters
    ----------
    rate : float
        The probability of a zero, from 0 (the identity, though numbers are drawn) to below 1.
    rng : Generator, RandomState, int or None
        What the layer's own generator is seeded from. Layers of one model should get one generator, or a seed each:
        the same seed draws the same masks.

    Attributes
    ----------
    generator : Generator
        What masks are drawn from. Copies and pickles carry its state, a ``state_dict`` does not. The draws depend on
        the shape of x alone, not on its dtype.

    Raises
    ------
    ConfigError
        If `rate` is not in [0, 1), or `rng` is not a source of random numbers.

    Examples
    --------
    >>> dropout = Dropout(0.5, rng=2)
    >>> y, mask = dropout.forward(np.array([[1.0, 2.0, 3.0, 4.0]]))
    >>> y
    array([[2., 0., 6., 0.]])
    >>> dropout.backward(np.ones((1, 4)), mask)
    array([[2., 0., 2., 0.]])
    >>> dropout.predict(np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([[1., 2., 3., 4.]])
    """

    stochastic = "sets entries to zero at random"
    leading_axes = True
    freezable = True

    rate: float = field(converter=as_float, validator=is_fraction)
    generator: np.random.Generator = field(init=False)

    def __init__(self, rate: float = 0.5, *, rng: Rng = None) -> None:
        self.__attrs_init__(rate)
        self.generator = private_generator(rng)

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        """Compute y; the mask is the cache."""
        x = self.predict(x)
        if self.frozen:
            return x, np.ones_like(x)
        # 24 bits are enough to compare with a rate, and cost less than 53.
        kept = self.generator.random(x.shape, dtype=np.float32) >= self.rate
        mask = np.asarray(np.multiply(kept, 1 / (1 - self.rate), dtype=x.dtype), like=x)
        return x * mask, mask

    def predict(self, x: Array, /) -> Array:
        """Return x; integers as floating-point numbers."""
        if getattr(getattr(x, "dtype", None), "kind", None) == "f":
            return x
        require_numbers("Dropout", x)
        return x * 1.0

    def backward(self, grad: Array, mask: Array, /) -> Array:
        """Return dL/dx."""
        require_gradient(self, grad, mask.shape)
        back: Array = grad * mask
        return back
