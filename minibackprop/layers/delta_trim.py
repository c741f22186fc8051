"""Trimming of deltas: the identity, but for the gradients that come back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from attrs import define, field

from minibackprop.errors import ConfigError
from minibackprop.layers.activations import Activation
from minibackprop.numerics.error_state import quiet
from minibackprop.validation import Array, as_float, is_not_negative, is_positive, shortened


@define(eq=False, slots=False, repr=False)
class DeltaTrim(Activation):
    """
    The identity forwards; on the way back, small deltas become zero, and large ones are clipped.

    Entries of dL/dy smaller than `smallest` in absolute value become 0, those larger than `largest` become
    ``+-largest``. So dL/dx is not the gradient of y = x, and the layer declares it in `alters_gradient`.

    Parameters
    ----------
    smallest : float
        0 zeroes nothing.
    largest : float
        Infinity clips nothing.

    Raises
    ------
    ConfigError
        If `smallest` is not a finite number of at least 0, or `largest` is not a positive number of at
        least `smallest`.

    Examples
    --------
    >>> trim = DeltaTrim(smallest=0.1, largest=2.0)
    >>> y, cache = trim.forward(np.zeros((1, 4)))
    >>> trim.backward(np.array([[0.05, 0.1, -1.0, -30.0]]), cache)
    array([[ 0. ,  0.1, -1. , -2. ]])
    """

    alters_gradient = "zeroes small deltas and clips large ones"

    smallest: float = field(default=0.0, converter=as_float, validator=is_not_negative)
    largest: float = field(default=math.inf, converter=as_float)

    @largest.validator
    def _is_limit(self, attribute: Any, value: Any) -> None:
        if not (isinstance(value, float) and value == math.inf):
            is_positive(self, attribute, value)
        if value < self.smallest:
            raise ConfigError("DeltaTrim: largest", f"at least smallest = {self.smallest}", shortened(value))

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return x, x

    def _backward(self, grad: Array, y: Array) -> Array:
        # Quiet: float32 has infinity for a limit that is large enough.
        back: Array = quiet().run(np.clip, grad, -self.largest, self.largest)
        back *= np.abs(grad) >= self.smallest
        return back
