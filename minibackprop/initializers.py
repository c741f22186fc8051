"""First values of weights: small objects, called with a shape and a source of random numbers.

All of them draw in float64, so that the draws do not depend on the dtype of the layer, which casts the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from attrs import field, frozen

from minibackprop.core import Array, ConfigError, ShapeError
from minibackprop.rng import Rng, as_generator
from minibackprop.validation import is_finite


class Initializer(ABC):
    """What makes the first values of a weight array; any callable of this signature serves as one."""

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Make a float64 array of `shape`."""


@frozen
class Zeros(Initializer):
    """
    All zeros, as is usual for biases.

    Weights should not start so: units that start equal stay equal.

    Examples
    --------
    >>> Zeros()((2, 3))
    array([[0., 0., 0.],
           [0., 0., 0.]])
    """

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Make zeros; `rng` is not used."""
        return np.zeros(shape)


@frozen
class Uniform(Initializer):
    """
    Draws from the uniform distribution over [low, high).

    ``Uniform(-1, 1)`` is the article's ``2 * u - 1``, to the bit.

    Parameters
    ----------
    low, high : float

    Raises
    ------
    ConfigError
        If one is not finite, or `low` is above `high`.

    Examples
    --------
    >>> Uniform(-1, 1)((3, 1), np.random.RandomState(1))
    array([[-0.16595599],
           [ 0.44064899],
           [-0.99977125]])
    """

    low: float = field(default=-1.0, validator=is_finite)
    high: float = field(default=1.0, validator=is_finite)

    @high.validator
    def _is_above_low(self, attribute: Any, value: float) -> None:
        if self.low > value:
            raise ConfigError("Uniform: high", f"at least low = {self.low}", repr(value))

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        return as_generator(rng).uniform(self.low, self.high, shape)


@frozen
class GlorotUniform(Initializer):
    """
    Draws from the uniform distribution over [-a, a), a = sqrt(6 / (fan_in + fan_out)).

    Keeps the variance of activations and of gradients alike from layer to layer, where the activation is near to
    the identity around 0 (X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010). The shape is (fan_in, fan_out).

    Raises
    ------
    ShapeError
        If the shape has not two axes.

    Examples
    --------
    >>> bool(np.all(np.abs(GlorotUniform()((4, 2), 0)) <= 1))
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        if len(shape) != 2:
            raise ShapeError("GlorotUniform", "a shape (fan_in, fan_out)", str(shape))
        limit = (6 / sum(shape)) ** 0.5
        return as_generator(rng).uniform(-limit, limit, shape)
