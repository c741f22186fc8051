"""Checks of configuration, for the constructors of layers, optimizers and the rest."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np

from minibackprop.core import ConfigError, DTypeError, ShapeError, describe


def _subject(instance: object, attribute: Any) -> str:
    return f"{type(instance).__name__}: {attribute.alias}"


def is_integer(value: object) -> TypeGuard[int]:
    """Tell whether `value` is a Python or NumPy integer; a bool is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def shortened(value: object) -> str:
    """Write a value in a few characters, whatever it is."""
    return reprlib.repr(value)


def is_size(instance: object, attribute: Any, value: Any) -> None:
    """Require a positive integer (an attrs validator)."""
    if not is_integer(value) or value < 1:
        raise ConfigError(_subject(instance, attribute), "a positive integer", shortened(value))


def is_positive(instance: object, attribute: Any, value: Any) -> None:
    """Require a positive finite number (an attrs validator)."""
    if not _is_real(value) or not 0 < value < math.inf:
        raise ConfigError(_subject(instance, attribute), "a positive finite number", shortened(value))


def is_finite(instance: object, attribute: Any, value: Any) -> None:
    """Require a finite number (an attrs validator)."""
    if not _is_real(value) or not math.isfinite(value):
        raise ConfigError(_subject(instance, attribute), "a finite number", shortened(value))


def is_not_negative(instance: object, attribute: Any, value: Any) -> None:
    """Require a finite number of at least 0 (an attrs validator)."""
    if not _is_real(value) or not 0 <= value < math.inf:
        raise ConfigError(_subject(instance, attribute), "a finite number of at least 0", shortened(value))


def is_fraction(instance: object, attribute: Any, value: Any) -> None:
    """Require a number of at least 0 and below 1 (an attrs validator)."""
    if not _is_real(value) or not 0 <= value < 1:
        raise ConfigError(_subject(instance, attribute), "a number of at least 0 and below 1", shortened(value))


def is_share(instance: object, attribute: Any, value: Any) -> None:
    """Require a number from 0 to 1 (an attrs validator)."""
    if not _is_real(value) or not 0 <= value <= 1:
        raise ConfigError(_subject(instance, attribute), "a number from 0 to 1", shortened(value))


def is_axis(instance: object, attribute: Any, value: Any) -> None:
    """Require the number of an axis within samples: any but 0 (an attrs validator)."""
    if not is_integer(value) or value == 0:
        raise ConfigError(_subject(instance, attribute), "an integer but 0, the axis of samples", shortened(value))


def is_flag(instance: object, attribute: Any, value: Any) -> None:
    """Require True or False (an attrs validator)."""
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigError(_subject(instance, attribute), "True or False", shortened(value))


def is_one_of(*choices: str | None) -> Callable[[object, Any, Any], None]:
    """Make an attrs validator that requires one of a few words (or None)."""
    *others, last = map(repr, choices)
    expected = f"{', '.join(others)} or {last}"

    def check(instance: object, attribute: Any, value: Any) -> None:
        if not (value is None or isinstance(value, str)) or value not in choices:
            raise ConfigError(_subject(instance, attribute), expected, shortened(value))

    return check


def is_a(kind: type) -> Callable[[object, Any, Any], None]:
    """Make an attrs validator that requires an instance of `kind`."""

    def check(instance: object, attribute: Any, value: Any) -> None:
        if not isinstance(value, kind):
            raise ConfigError(_subject(instance, attribute), f"an instance of {kind.__name__}", describe(value))

    return check


def require_numbers(subject: str, x: object, cause: Exception | None = None) -> None:
    """Require that `x` is an array of numbers; no conversion is tried, so that arrays need not be NumPy's."""
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind is None or kind not in "fiubc":
        raise DTypeError(subject, "an array of numbers", describe(x)) from cause


def require_real(subject: str, x: Any, cause: Exception | None = None) -> None:
    """Require an array of real numbers."""
    require_numbers(subject, x, cause)
    if x.dtype.kind == "c":
        raise DTypeError(subject, "real numbers", describe(x)) from cause


def require_size_or_none(subject: str, value: object) -> None:
    """Require a positive integer, or None."""
    if value is not None and (not is_integer(value) or value < 1):
        raise ConfigError(subject, "a positive integer, or None", shortened(value))


def require_gradient(subject: str, grad: Any, shape: tuple[int, ...]) -> None:
    """Require an array of numbers, of the shape of an output."""
    require_numbers(subject, grad)
    if grad.shape != shape:
        raise ShapeError(subject, f"a gradient of shape {shape}", str(grad.shape))
