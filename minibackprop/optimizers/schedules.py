"""Schedules of the learning rate: small functions of the number of the step, which counts from 0.

Every optimizer takes one for its ``learning_rate``; any other callable of this signature serves as well.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import Any

from attrs import field, frozen

from minibackprop.errors import ConfigError
from minibackprop.optimizers.rates import Schedule, as_rate, is_rate, rate_at
from minibackprop.validation import (
    a_number,
    as_float,
    is_integer,
    is_iterable,
    is_not_negative,
    is_positive,
    is_size,
    shortened,
)

_is_factor = a_number("a number above 0 and at most 1", lambda factor: 0 < factor <= 1)

#: More than anybody makes; a float holds it.
_MOST_STEPS = 2**63


def _require_step(schedule: object, step: object) -> None:
    """Require the number of a step."""
    # An int is told at once: the question of is_integer takes several times as long.
    if (type(step) is not int and not is_integer(step)) or not 0 <= step < _MOST_STEPS:
        name = type(schedule).__name__
        raise ConfigError(f"{name}: step", "the number of a step, an integer from 0 on", shortened(step))


@frozen
class StepDecay:
    """
    Multiplies the rate by a factor every so many steps: ``initial * factor ** (step // every)``.

    Parameters
    ----------
    initial : float
        The rate of the first `every` steps.
    every : int
    factor : float
        Above 0 and at most 1.

    Raises
    ------
    ConfigError
        If `initial` is not positive, `every` not a positive integer, or the factor out of its range.

    Examples
    --------
    >>> rate = StepDecay(0.1, every=10, factor=0.5)
    >>> rate(0), rate(9), rate(10), rate(25)
    (0.1, 0.1, 0.05, 0.025)
    """

    initial: float = field(converter=as_float, validator=is_positive)
    every: int = field(validator=is_size)
    factor: float = field(validator=_is_factor)

    def __call__(self, step: int, /) -> float:
        """Compute the rate of a step."""
        _require_step(self, step)
        return self.initial * self.factor ** (step // self.every)


@frozen
class ExponentialDecay:
    """
    Multiplies the rate by a factor over so many steps, a little at each: ``initial * factor ** (step / every)``.

    Parameters
    ----------
    initial : float
        The rate of step 0.
    factor : float
        Above 0 and at most 1.
    every : int
        Over how many steps the rate shrinks by the factor.

    Raises
    ------
    ConfigError
        If `initial` is not positive, the factor out of its range, or `every` not a positive integer.

    Examples
    --------
    >>> rate = ExponentialDecay(0.1, factor=0.25, every=10)
    >>> rate(0), rate(5), rate(10)
    (0.1, 0.05, 0.025)
    """

    initial: float = field(converter=as_float, validator=is_positive)
    factor: float = field(validator=_is_factor)
    every: int = field(default=1, validator=is_size)

    def __call__(self, step: int, /) -> float:
        """Compute the rate of a step."""
        _require_step(self, step)
        return self.initial * math.pow(self.factor, step / self.every)


@frozen
class CosineDecay:
    """
    Decays along half a cosine wave: ``w * initial + (1 - w) * final``, ``w = (1 + cos(pi * step / steps)) / 2``.

    It starts and ends flat, and stays at `final` from step `steps` on (I. Loshchilov and F. Hutter, "SGDR: Stochastic
    Gradient Descent with Warm Restarts", 2017, without the restarts).

    Parameters
    ----------
    initial : float
        The rate of step 0.
    steps : int
        How many steps the decay takes; as a rule, those of the whole training.
    final : float
        The rate at its end, at least 0.

    Raises
    ------
    ConfigError
        If `initial` is not positive, `steps` not a positive integer, or `final` negative or not finite.

    Examples
    --------
    >>> rate = CosineDecay(0.1, steps=100)
    >>> rate(0), round(rate(50), 12), rate(100), rate(1000)
    (0.1, 0.05, 0.0, 0.0)
    """

    initial: float = field(converter=as_float, validator=is_positive)
    steps: int = field(validator=is_size)
    final: float = field(default=0.0, converter=as_float, validator=is_not_negative)

    def __call__(self, step: int, /) -> float:
        """Compute the rate of a step."""
        _require_step(self, step)
        weight = (1 + math.cos(math.pi * min(step / self.steps, 1))) / 2
        return weight * self.initial + (1 - weight) * self.final


@frozen
class WarmUp:
    """
    Rises linearly for some steps: ``then(0) * (step + 1) / (steps + 1)``; goes on as ``then(step - steps)``.

    Step 0 is not wasted on a rate of 0, and step `steps` is the first one at the full rate. Large batches and
    adaptive optimizers benefit from it (P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
    2017).

    Parameters
    ----------
    steps : int
        How many steps come before the full rate.
    then : float or callable
        The full rate, or the schedule that begins with it.

    Raises
    ------
    ConfigError
        If `steps` is not a positive integer, or `then` neither a positive finite number nor a callable.

    Examples
    --------
    >>> rate = WarmUp(3, then=CosineDecay(0.2, steps=100))
    >>> [round(rate(step), 12) for step in (0, 1, 2, 3, 53, 103)]
    [0.05, 0.1, 0.15, 0.2, 0.1, 0.0]
    """

    steps: int = field(validator=is_size)
    then: float | Schedule = field(converter=as_rate, validator=is_rate)

    def __call__(self, step: int, /) -> float:
        """Compute the rate of a step."""
        _require_step(self, step)
        then = self.then
        full = rate_at("WarmUp", then, max(step - self.steps, 0)) if callable(then) else then
        return full * min((step + 1) / (self.steps + 1), 1)


def _as_tuple(values: object) -> object:
    # A string can be iterated over, but is not a sequence of numbers.
    return tuple(values) if is_iterable(values) and not isinstance(values, str) else values


@frozen
class Piecewise:
    """
    Holds one rate until a step, the next from that step on: ``values[k]``, where k of the boundaries are <= step.

    Parameters
    ----------
    boundaries : iterable of int
        The steps at which the next value begins, ascending.
    values : iterable of float
        The rates: one more than there are boundaries, none of them negative.

    Raises
    ------
    ConfigError
        If the boundaries are not ascending positive integers, or the values not as many as said, finite and at least 0.

    Examples
    --------
    >>> rate = Piecewise([100, 150], [0.1, 0.01, 0.001])
    >>> rate(0), rate(99), rate(100), rate(150)
    (0.1, 0.1, 0.01, 0.001)
    """

    boundaries: tuple[int, ...] = field(converter=_as_tuple)
    values: tuple[float, ...] = field(converter=_as_tuple)

    @boundaries.validator
    def _ascend(self, attribute: Any, boundaries: Any) -> None:
        if (
            not isinstance(boundaries, tuple)
            or not all(is_integer(step) for step in boundaries)
            or not all(below < above for below, above in pairwise((0, *boundaries)))
        ):
            raise ConfigError("Piecewise: boundaries", "ascending positive integers", shortened(boundaries))

    @values.validator
    def _fit(self, attribute: Any, values: Any) -> None:
        count = len(self.boundaries) + 1
        if not isinstance(values, tuple) or len(values) != count:
            expected = f"{count} numbers, one more than boundaries"
            raise ConfigError("Piecewise: values", expected, shortened(values))
        for value in values:
            is_not_negative(self, attribute, value)

    def __call__(self, step: int, /) -> float:
        """Look up the rate of a step."""
        _require_step(self, step)
        return self.values[bisect_right(self.boundaries, step)]
