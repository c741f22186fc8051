"""The learning rate of an optimizer: a fixed one, or a schedule that gives it for the number of a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from minibackprop.errors import ConfigError
from minibackprop.validation import a_number, as_float, shortened

#: What gives the learning rate of each step.
Schedule: TypeAlias = Callable[[int], float]


_is_fixed_rate = a_number("a positive finite number or a schedule", lambda rate: 0 < rate < math.inf)


def is_rate(instance: object, attribute: Any, value: Any) -> None:
    """Require a positive finite number or a schedule (an attrs validator)."""
    if not callable(value) or isinstance(value, type):
        _is_fixed_rate(instance, attribute, value)


def rate_at(subject: str, schedule: Schedule, step: int) -> float:
    """Compute the rate of a step, and require of the schedule that it is one."""
    rate = schedule(step)
    if type(rate) is not float:
        rate = as_float(rate)
    if type(rate) is not float or not 0 <= rate < math.inf:
        expected = "a finite number of at least 0"
        raise ConfigError(f"{subject}: the learning rate of step {step}", expected, shortened(rate))
    return rate


def as_rate(value: float | Schedule) -> float | Schedule:
    """Make a Python float of a rate, and leave a schedule as it is (an attrs converter)."""
    return value if callable(value) else as_float(value)
