"""Checks of configuration, for the constructors of layers, optimizers and the rest."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minibackprop.arrays import as_kind
from minibackprop.errors import ConfigError, DTypeError, ShapeError, StateDictError, describe

#: What flows through layers, for type checkers: an array of any shape and dtype, NumPy's or one that acts like it.
Array: TypeAlias = NDArray[Any]


def as_float_dtype(subject: str, dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as a NumPy one, and require that it is floating-point, and not narrower than float32."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise ConfigError(subject, "a floating-point dtype", shortened(dtype)) from error
    if found.kind != "f":
        raise ConfigError(subject, "a floating-point dtype", str(found))
    if found.itemsize < 4:  # float16 ends at 65504, and has 0 for what keeps an optimizer's divisor from 0.
        raise ConfigError(subject, "float32 or a wider floating-point dtype", str(found))
    return found


def as_array(subject: str, value: ArrayLike) -> Array:
    """Make a NumPy array of a list, a column of a table and the like; leave arrays, NumPy's or other, as they are."""
    try:
        return value if hasattr(value, "__array_function__") else np.asarray(value)  # type: ignore[return-value]
    except ValueError as error:
        raise ShapeError(subject, "an array, or lists of one length", str(error)) from error


def with_axes(weights: Array, ndim: int) -> Array:
    """Give weights of leading axes, those of samples or of places in them, as many axes as what they multiply has."""
    return weights.reshape(*weights.shape, *[1] * (ndim - weights.ndim))


def copied(value: ArrayLike) -> Array:
    """Copy `value`: an array into one of its own kind, which need not be NumPy's; a number or list into NumPy's."""
    return value.copy() if hasattr(value, "__array_function__") else np.array(value)  # type: ignore[union-attr]


def require_names(subject: str, state: Mapping[str, ArrayLike], expected: Mapping[str, object]) -> None:
    """Require that a state has an entry for each name that is expected, and no others."""
    if not hasattr(state, "keys"):
        raise StateDictError(subject, "a mapping of names to arrays", describe(state))
    if state.keys() != expected.keys():
        missing = sorted(expected.keys() - state.keys())
        extra = sorted(map(str, state.keys() - expected.keys()))
        raise StateDictError(subject, str(list(expected)), f"{missing=} and {extra=}")


def state_entry(value: ArrayLike, like: Array, subject: str) -> Array:
    """
    Copy an entry of a state to where the array `like` is, on a device or on none.

    It is required to have that one's shape, and to cast to its dtype.
    """
    shape = np.shape(like)
    try:
        array = copied(value)
    except ValueError as error:  # Lists of different lengths.
        raise StateDictError(subject, f"shape {shape}", str(error)) from error
    if array.shape != shape:
        raise StateDictError(subject, f"shape {shape}", str(array.shape))
    if not np.can_cast(array.dtype, like.dtype, "same_kind"):
        raise StateDictError(subject, f"what casts to {like.dtype}", str(array.dtype))
    return as_kind(array, like, subject)  # type: ignore[no-any-return]


def require_arrays(subject: str, state: Any) -> dict[str, Array]:
    """Copy the arrays of a state, and require that it is a dict of arrays of numbers by name."""
    if not isinstance(state, Mapping):
        raise StateDictError(subject, "a dict of arrays by name", describe(state))
    arrays = {}
    for name, value in state.items():
        kind = getattr(getattr(value, "dtype", None), "kind", " ")
        if not isinstance(name, str) or kind not in _NUMBERS:
            raise StateDictError(f"{subject}: {shortened(name)}", "an array of numbers", describe(value))
        arrays[name] = copied(value)
    return arrays


def _subject(instance: object, attribute: Any) -> str:
    return f"{type(instance).__name__}: {attribute.alias}"


def is_integer(value: object) -> TypeGuard[int]:
    """Tell whether `value` is a Python or NumPy integer; a bool is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def shortened(value: object) -> str:
    """Write a value in a few characters, whatever it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python does not write an integer of thousands of digits.
        return describe(value)


def as_float(value: Any) -> Any:
    """
    Make a Python float of a number, and leave the rest to a validator (an attrs converter).

    A NumPy scalar in a formula would make float64 of float32.
    """
    try:
        return float(value) if _is_real(value) else value
    except OverflowError:  # An integer that no float holds.
        return math.inf if value > 0 else -math.inf


def is_iterable(values: object) -> TypeGuard[Iterable[Any]]:
    """Tell whether one can go through `values`; an array without axes only looks as if one could."""
    return isinstance(values, Iterable) and getattr(values, "ndim", 1) != 0


def as_tuple(values: Any) -> Any:
    """Make a tuple of an iterable, and leave the rest to a validator (an attrs converter)."""
    return tuple(values) if is_iterable(values) else values


def a_number(
    expected: str, fits: Callable[[float], bool], kind: Callable[[object], bool] = _is_real
) -> Callable[[object, Any, Any], None]:
    """Make an attrs validator that requires a number of a kind, real by default, that `fits`."""

    def check(instance: object, attribute: Any, value: Any) -> None:
        if not kind(value) or not fits(value):
            raise ConfigError(_subject(instance, attribute), expected, shortened(value))

    return check


is_size = a_number("a positive integer", lambda n: n >= 1, is_integer)
is_axis = a_number("an integer but 0, the axis of samples", lambda n: n != 0, is_integer)
is_finite = a_number("a finite number", math.isfinite)
is_positive = a_number("a positive finite number", lambda x: 0 < x < math.inf)
is_not_negative = a_number("a finite number of at least 0", lambda x: 0 <= x < math.inf)
is_fraction = a_number("a number of at least 0 and below 1", lambda x: 0 <= x < 1)
is_from_0_to_1 = a_number("a number from 0 to 1", lambda x: 0 <= x <= 1)


def is_flag(instance: object, attribute: Any, value: Any) -> None:
    """Require True or False (an attrs validator)."""
    require_flag(_subject(instance, attribute), value)


def require_flag(subject: str, value: object) -> None:
    """Require True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ConfigError(subject, "True or False", shortened(value))


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


#: The kinds of dtypes whose entries are real numbers.
_NUMBERS = "fiub"


def require_numbers(subject: str, x: object, cause: Exception | None = None) -> None:
    """Require that `x` is an array of real numbers; no conversion is tried, so that arrays need not be NumPy's."""
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind is None or kind not in _NUMBERS:
        expected = "real numbers" if kind == "c" else "an array of numbers"
        raise DTypeError(subject, expected, describe(x)) from cause


def require_size_or_none(subject: str, value: object) -> None:
    """Require a positive integer, or None."""
    if value is not None and (not is_integer(value) or value < 1):
        raise ConfigError(subject, "a positive integer, or None", shortened(value))


def require_gradient(layer: object, grad: Any, shape: tuple[int, ...]) -> None:
    """Require of what comes to `backward` an array of numbers, of the shape of the output."""
    if getattr(grad, "shape", None) == shape and getattr(grad.dtype, "kind", " ") in _NUMBERS:
        return
    name = type(layer).__name__
    require_numbers(name, grad)
    raise ShapeError(name, f"a gradient of shape {shape}", str(grad.shape))
