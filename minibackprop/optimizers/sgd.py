"""Gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field

from minibackprop.errors import ConfigError
from minibackprop.optimizers.base import GradientDescent, as_list
from minibackprop.state import Parameter
from minibackprop.validation import Array, as_float, is_flag, is_fraction


@define(eq=False, slots=False, repr=False)
class SGD(GradientDescent):
    """
    Gradient descent: ``p -= learning_rate * g``, g = dL/dp. "Stochastic" where g is that of a mini-batch.

    With `momentum`, the step is taken along a decaying sum of gradients: ``v = momentum * v + g``, ``p -=
    learning_rate * v`` (B. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964). With
    `nesterov`, along what the sum would be after one gradient more like this one: ``p -= learning_rate * (g + momentum
    * v)`` (Y. Nesterov, 1983, in the form of I. Sutskever et al., "On the importance of initialization and momentum in
    deep learning", 2013). PyTorch computes both so; the slot ``momentum`` is v.

    Parameters
    ----------
    learning_rate : float or callable
        The step size, which the article calls alpha; its loops have no factor, which is a rate of 1. Or a schedule.
    momentum : float
        At least 0 and below 1. The steps are ``1 / (1 - momentum)`` times as long where gradients stay the same.
    nesterov : bool
    clip_norm, clip_value : float, optional
        Limits of the gradients, as of every `GradientDescent`.

    Raises
    ------
    ConfigError
        If the rate is neither a positive finite number nor a callable, the momentum out of its range, or 0 with
        `nesterov`.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> p = Parameter([1.0, 2.0])
    >>> p.add(np.array([10.0, 0.0]))
    >>> SGD(learning_rate=0.1).step([p])
    >>> p.value, p.grad
    (array([0., 2.]), None)
    """

    momentum: float = field(default=0.0, converter=as_float, validator=is_fraction)
    nesterov: bool = field(default=False, validator=is_flag)

    @nesterov.validator
    def _has_momentum(self, attribute: Any, value: bool) -> None:
        if value and not self.momentum:
            raise ConfigError("SGD: nesterov", "a momentum above 0", f"{self.momentum}")

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The names of the arrays that the rule keeps for each parameter."""
        return ("momentum",) if self.momentum else ()

    def step(self, parameters: Iterable[Parameter], /) -> None:
        """Update each parameter that has a gradient, in place, and clear the gradient."""
        if self.momentum or self.clip_norm is not None or self.clip_value is not None:
            super().step(parameters)
            return
        # The same for the plain rule, without the overhead, which would show in the steps of the smallest networks.
        if type(parameters) is not list:
            parameters = as_list(self, parameters)
        rate = self.learning_rate
        if type(rate) is not float:
            self._enter(parameters)
            rate = self._rate()
        scaled = rate != 1
        memory = self._memory
        entered = memory.entered
        for parameter in parameters:
            if id(parameter) not in entered:
                entered = self._enter(parameters)
            grad = parameter.grad
            if grad is not None:
                if scaled and grad.size > _BLOCK:
                    _subtract_scaled(parameter.value, rate, grad)
                else:  # Bound anew: what arithmetic makes of an array without axes cannot be written to.
                    parameter.value -= rate * grad if scaled else grad
                parameter.grad = None
        memory.run.steps += 1

    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
        """Take one step."""
        if slots:
            (velocity,) = slots
            velocity *= self.momentum
            velocity += grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        _subtract_scaled(value, rate, grad)


#: How many entries of a product stay in the processor's cache until they are used.
_BLOCK = 2**18


def _subtract_scaled(value: Array, rate: float, direction: Array) -> None:
    """Do ``value -= rate * direction``; in blocks of rows where the product would be another large array."""
    if value.size <= _BLOCK:
        value -= rate * direction
        return
    rows = max(1, _BLOCK * len(value) // value.size)
    for start in range(0, len(value), rows):
        value[start : start + rows] -= rate * direction[start : start + rows]
