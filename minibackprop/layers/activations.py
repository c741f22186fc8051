"""Activations: functions of one entry at a time, without parameters."""

from __future__ import annotations

import numpy as np
from attrs import define

from minibackprop.core import Array, Layer, ShapeError
from minibackprop.floating_point import quiet
from minibackprop.validation import require_numbers


@define(eq=False, slots=False, repr=False)
class Sigmoid(Layer):
    """
    The logistic function of each entry: ``y = 1 / (1 + exp(-x))``.

    Backward takes the slope from the output alone, as the article does: ``dL/dx = dL/dy * y * (1 - y)``. The limits 0
    and 1 are exact, for any finite input, and reached without a warning.

    Raises
    ------
    DTypeError
        If the input is no array of numbers.
    ShapeError
        In backward, if the gradient has not the shape of the output.

    Examples
    --------
    >>> y, cache = Sigmoid().forward(np.array([[-1000.0, 0.0, 1000.0]]))
    >>> y
    array([[0. , 0.5, 1. ]])
    >>> Sigmoid().backward(np.ones((1, 3)), cache)
    array([[0.  , 0.25, 0.  ]])
    """

    leading_axes = True

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        """Compute y, which is the cache too."""
        y = self.predict(x)
        return y, y

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        try:
            if x.dtype.kind in "biu":
                x = x * 1.0  # Negation wraps unsigned integers around, and refuses booleans.
            y = quiet.run(np.exp, -x)
        except Exception as error:
            require_numbers("Sigmoid", x, error)
            raise
        y += 1.0
        # Quiet too: the result may be subnormal.
        result: Array = quiet.run(np.reciprocal, y)
        return result

    def backward(self, grad: Array, y: Array, /) -> Array:
        """Return dL/dx."""
        try:
            if grad.shape != y.shape:
                raise ShapeError("Sigmoid", f"a gradient of shape {y.shape}", str(grad.shape))
            delta = grad * y
            delta *= 1.0 - y
        except Exception as error:
            require_numbers("Sigmoid", grad, error)
            raise
        return delta
