"""Whether a number, or an array of them, is what it should be; where not, which slip gives what came."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import indent
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minibackprop.exercises.answer import Miss
from minibackprop.validation import Array

#: Of an array with more entries, only the one that is furthest off is shown.
_SHOWN = 12


def expect(
    what: str,
    got: Any,
    want: ArrayLike,
    *,
    slips: Mapping[str, ArrayLike] | None = None,
    look: str = "",
    tolerance: float = 1e-9,
) -> None:
    """
    Require that what the reader's code gave is right.

    Parameters
    ----------
    what : str
        What was computed, as in ``"slope(l) for l = 0.5"``.
    got, want : array_like
    slips : dict, optional
        By the cause, in a sentence: what comes of a slip that readers make. The first that fits is the cause.
    look : str, optional
        What to look at if it is wrong.
    tolerance : float
        How far off an entry may be, relative to the largest.

    Raises
    ------
    Miss
        If it is not: nothing was returned, the shape is another, or the numbers are.

    Examples
    --------
    >>> expect("the sum of 2 and 3", 5.0, 5)
    >>> try:
    ...     expect("the sum of 2 and 3", 6, 5, slips={"that is their product": 6})
    ... except Miss as miss:
    ...     print(miss.problem, miss.cause, sep="; ")
    the sum of 2 and 3 is 6, and should be 5; that is their product
    """
    if got is None:
        raise Miss(f"{what} is None", "nothing is returned", look or "the last line: a function gives what it returns")
    right, came = np.asarray(want, dtype=np.float64), _numbers(what, got, look)
    tolerance = max(tolerance, _tolerance(got))
    if came.shape == right.shape and _close(came, right, tolerance):
        return
    cause = next((told for told, slip in (slips or {}).items() if _is(came, slip, tolerance)), "")
    if came.shape != right.shape:
        problem = f"{what} has shape {came.shape}, and should have {right.shape}"
    elif right.size <= _SHOWN:
        problem = _both(what, came, right)
    else:
        index = tuple(int(i) for i in np.unravel_index(np.argmax(_distance(came, right)), right.shape))
        problem = f"{what} is {came[index]:.6g} at {index}, and should be {right[index]:.6g}"
    raise Miss(problem, cause or _relation(came, right, tolerance), look)


def _numbers(what: str, got: Any, look: str) -> Array:
    try:
        numbers = np.asarray(got)
        if numbers.dtype.kind in "biuf":
            return numbers.astype(np.float64)
    except (TypeError, ValueError):
        pass
    raise Miss(f"{what} is no array of numbers, but {type(got).__name__}", look=look)


def _tolerance(got: Any) -> float:
    """Say how exact numbers of this type can be: float32 has seven digits."""
    return 1e-5 if getattr(got, "dtype", None) in ("float32", "float16") else 0.0


def _is(came: Array, slip: ArrayLike, tolerance: float) -> bool:
    slipped = np.asarray(slip, dtype=np.float64)
    if came.shape != slipped.shape:
        return False
    nan = np.isnan(came) & np.isnan(slipped)
    return _close(np.where(nan, 0, came), np.where(nan, 0, slipped), tolerance)


def _distance(came: Array, right: Array) -> Array:
    with np.errstate(all="ignore"):
        apart: Array = np.abs(came - right)
    return np.where(came == right, 0, np.where(np.isnan(apart), np.inf, apart))


def _close(came: Array, right: Array, tolerance: float) -> bool:
    return bool(np.all(_distance(came, right) <= tolerance * max(np.abs(right).max(initial=0), 1e-300)))


def _relation(came: Array, right: Array, tolerance: float) -> str:
    """Say how wrong numbers have to do with the right ones, if one sentence can."""
    if came.shape != right.shape:
        if came.size == right.size and right.ndim > 1 and _is(came, right.T, tolerance):
            return "rows and columns are swapped"
        for axis in range(came.ndim):
            if _is(came.sum(axis=axis), right, tolerance):
                return f"a sum over axis {axis} is missing"
        for axis in range(right.ndim):
            if _is(came, right.sum(axis=axis), tolerance):
                return f"this is summed over axis {axis}, and should not be"
        return ""
    if not np.isfinite(came).all():
        return "some of it is NaN or infinite: an overflow, a division by zero, or a logarithm of zero"
    if _close(came, -right, tolerance):
        return "the sign is the wrong way round"
    if not came.any():
        return "all of it is zero"
    factors = came[right != 0] / right[right != 0]
    if factors.size and _close(came, factors.flat[0] * right, tolerance):
        factor = float(factors.flat[0])
        # Of one number, every other is a multiple.
        if factors.size > 1 or any(abs(n * factor - round(n * factor)) < tolerance for n in range(1, 5)):
            return f"it is {factor:.4g} times what it should be"
    if right.ndim == 2 and right.shape[0] == right.shape[1] and _close(came, right.T, tolerance):
        return "rows and columns are swapped"
    return ""


def _both(what: str, came: Array, right: Array) -> str:
    if not right.ndim:
        return f"{what} is {float(came):.8g}, and should be {float(right):.8g}"
    shown = [indent(np.array2string(each, precision=6, suppress_small=True), " " * 4) for each in (came, right)]
    apart = f"\n(they differ by up to {_distance(came, right).max():.1g})" if shown[0] == shown[1] else ""
    return f"{what} is\n{shown[0]}\nand should be\n{shown[1]}{apart}"
