"""Functions that NumPy does not have: the sigmoid, softplus, the normal distribution; and sums, fast or anywhere.

Overflow and underflow are part of the formulas of one entry at a time: call them within `quiet`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minibackprop.validation import Array


def sigmoid(x: Array) -> Array:
    """
    Compute the logistic function, ``1 / (1 + exp(-x))``, in a fresh array; its slope is ``y * (1 - y)``.

    The limits 0 and 1 are exact for any finite x: where exp overflows, 1 / infinity is 0. The dtype is kept.

    Examples
    --------
    >>> sigmoid(np.array([-1.0, 0.0, 1.0])).round(6)
    array([0.268941, 0.5     , 0.731059])
    """
    if x.size == 1:  # NumPy takes three times as long to write a single entry in place.
        return np.reciprocal(1.0 + np.exp(-x))
    y: Array = -x
    np.exp(y, y)
    y += 1.0
    np.reciprocal(y, y)
    return y


def softplus(x: Array) -> Array:
    """
    Compute ``log(1 + exp(x))`` in a fresh array; its slope is ``sigmoid(x)``, which is ``1 - exp(-y)``.

    As ``max(x, 0) + log(1 + exp(-|x|))``, where nothing overflows, and no digits are lost. The dtype is kept.

    Examples
    --------
    >>> softplus(np.array([-1.0, 0.0, 50.0])).round(6)
    array([ 0.313262,  0.693147, 50.      ])
    """
    y = softplus_excess(x)
    y += np.maximum(x, 0.0)
    return y


def softplus_excess(x: Array) -> Array:
    """
    Compute ``log(1 + exp(-|x|))`` in a fresh array: by how much softplus is above ``max(x, 0)``.

    Examples
    --------
    >>> softplus_excess(np.array([-1.0, 0.0, 1.0])).round(6)
    array([0.313262, 0.693147, 0.313262])
    """
    y = np.abs(x)
    np.negative(y, y)
    np.exp(y, y)
    np.log1p(y, y)
    return y


# For `normal`: J. F. Hart et al., "Computer Approximations", 1968, approximation ERFC 5666, in the form that G. West
# gives it ("Better Approximations to Cumulative Normal Functions", 2005); the highest power first.
NUMERATOR = (
    3.52624965998911e-02,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)

DENOMINATOR = (
    8.83883476483184e-02,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)

#: Beyond this, the density is 0 in any floating-point type; below it, the polynomials do not overflow.
FAR = 200.0

# For `normal` in float32: the innermost b of its continued fraction, and the other levels (a, b) outwards, as Remez's
# algorithm finds them for x up to 14; the last one is rounded so that P(0) is 0.5.
INNERMOST = 0.0454431752
LEVELS = ((22.8725129, 5.87083642), (-8.74116419, 1.39867824), (1.10678721, -0.00325767))


def normal(x: Array) -> tuple[Array, Array]:
    """
    Compute the standard normal distribution function, ``P(x) = (1 + erf(x / sqrt(2))) / 2``, and its density.

    For x <= 0, P is ``exp(-x**2 / 2)`` times a fraction of two polynomials in -x, whose coefficients are all positive,
    so that nothing cancels; for x > 0, it is 1 less that of -x. In float32, a continued fraction serves, which takes
    half the time. The error is a few roundings of 1, and no more than 1e-5 of P (2e-5 in float32) where P is far
    smaller than that. The dtype is kept.

    Examples
    --------
    >>> distribution, density = normal(np.array([-1.0, 0.0, 1.0]))
    >>> distribution.round(6)
    array([0.158655, 0.5     , 0.841345])
    >>> density.round(6)
    array([0.241971, 0.398942, 0.241971])
    """
    size = np.abs(x)
    if x.dtype.itemsize <= 4:
        tail = _density_over_tail(size)
        density = _into_exp(size)
        density *= (2 * math.pi) ** -0.5
        np.divide(density, tail, out=tail)
    else:
        np.minimum(size, FAR, out=size)
        tail = _polynomial(NUMERATOR, size)
        tail /= _polynomial(DENOMINATOR, size)
        density = _into_exp(size)
        tail *= density
        density *= (2 * math.pi) ** -0.5
    # Not np.where(x > 0, 1.0 - tail, tail): a choice at each entry takes longer than arithmetic.
    np.subtract(x > 0, tail, out=tail)
    np.abs(tail, out=tail)
    return tail, density


def _into_exp(x: Array) -> Array:
    """Compute ``exp(-x**2 / 2)`` in the place of x."""
    x *= x
    x *= -0.5
    np.exp(x, x)
    return x


def _density_over_tail(x: Array) -> Array:
    """Compute P'(x) / (1 - P(x)), for x >= 0, as ``x + b + a / (x + b' + a' / (x + b'' + ...))``."""
    y = x + INNERMOST
    for a, b in LEVELS:
        np.divide(a, y, y)
        y += x
        y += b
    return y


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Evaluate a polynomial by Horner's rule."""
    first, *others, last = coefficients
    y = first * x
    for coefficient in others:
        y += coefficient
        y *= x
    y += last
    return y


def column_sums(rows: Array) -> Array:
    """
    Add rows up. Many rows as a product with ones, which takes a third of the time of ``rows.sum(axis=0)``.

    Examples
    --------
    >>> column_sums(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    total: Array = rows.sum(axis=0) if len(rows) < 128 else np.ones_like(rows, shape=len(rows)).dot(rows)
    return total


def looked_at(*numbers: Any) -> list[float]:
    """
    Give numbers as Python's: those that are arrays of a device come to the host together, and it waits once for them.

    Examples
    --------
    >>> looked_at(np.float32(0.5), np.int64(3))
    [0.5, 3.0]
    """
    if isinstance(numbers[0], np.generic):
        return [float(number) for number in numbers]
    return np.stack([number.astype(np.float64) for number in numbers]).tolist()  # type: ignore[no-any-return]


def added(numbers: Iterable[Any]) -> float:
    """
    Add numbers up as float64, in their order; those that are arrays of a device, there: they are looked at once.

    Examples
    --------
    >>> added([np.float32(0.5), np.float32(0.25)])
    0.75
    """
    total: Any = 0.0
    for number in numbers:
        total += float(number) if isinstance(number, np.generic) else number.astype(np.float64)
    return float(total)
