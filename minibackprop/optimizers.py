"""Optimizers: how a gradient becomes a step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from attrs import define, field

from minibackprop.core import Parameter
from minibackprop.validation import is_positive


class Optimizer(ABC):
    """What changes parameters by their gradients."""

    @abstractmethod
    def step(self, parameters: Iterable[Parameter], /) -> None:
        """Update each parameter that has a gradient, in place, and clear the gradient."""


@define(eq=False, slots=False)
class SGD(Optimizer):
    """
    Gradient descent: ``p -= learning_rate * dL/dp``. "Stochastic" where the gradient is that of a mini-batch.

    Parameters
    ----------
    learning_rate : float
        The step size, which the article calls alpha; its own loops have no factor, which is a rate of 1.

    Raises
    ------
    ConfigError
        If the rate is not a positive finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import Parameter
    >>> p = Parameter([1.0, 2.0])
    >>> p.add(np.array([10.0, 0.0]))
    >>> SGD(learning_rate=0.1).step([p])
    >>> p.value, p.grad
    (array([0., 2.]), None)
    """

    learning_rate: float = field(validator=is_positive)

    def step(self, parameters: Iterable[Parameter], /) -> None:
        """Update each parameter that has a gradient, in place, and clear the gradient."""
        # A NumPy scalar would make float64 of float32.
        rate = float(self.learning_rate)
        for parameter in parameters:
            grad = parameter.grad
            if grad is not None:
                value = parameter.value
                value -= grad if rate == 1 else rate * grad
                parameter.grad = None
