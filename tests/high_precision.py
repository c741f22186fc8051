"""Functions to 100 digits, in decimal arithmetic: what formulas in floating-point numbers are held against."""

from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np

Function = Callable[[Decimal], Decimal]
STEP = Decimal("1e-30")
DIGITS = 100
#: What a kernel of exp, log and their like may be off by, relative to its result: NumPy's own tests allow one unit in
#: the last place beyond rounding (4 in float32), whatever processor it is for. A C library is no worse.
KERNEL = {np.float64: 1.5 * 2.0**-52, np.float32: 4.5 * 2.0**-23, np.longdouble: 1.5 * 2.0**-52}
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798")


def value(function: Function, x: float) -> float:
    """Compute ``function(x)``, rounded once."""
    with localcontext(prec=DIGITS):
        return float(function(Decimal(x)))


def slope(function: Function, x: float) -> float:
    """Compute the slope of `function` at x by a central difference, which is off by 1e-60."""
    with localcontext(prec=DIGITS):
        return float((function(Decimal(x) + STEP) - function(Decimal(x) - STEP)) / (2 * STEP))


def sigmoid(x: Decimal) -> Decimal:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + (-x).exp())


def tanh(x: Decimal) -> Decimal:
    """The ratio of sinh and cosh."""
    return (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())


def normal_distribution(x: Decimal) -> Decimal:
    """
    1/2 + density * (x + x**3 / 3 + x**5 / (3 * 5) + ...).

    From G. Marsaglia, "Evaluating the Normal Distribution", 2004.
    """
    if not x:
        return Decimal("0.5")
    term = total = x
    odd = 1
    while abs(term) > abs(total) * Decimal(10) ** -DIGITS:
        odd += 2
        term *= x * x / odd
        total += term
    return Decimal("0.5") + total * normal_density(x)


def normal_tail(x: Decimal) -> Decimal:
    """The same for x <= -5, where that is a small difference: density / (-x + 1 / (-x + 2 / (-x + ...)))."""
    fraction = -x
    for number in range(400, 0, -1):
        fraction = -x + number / fraction
    return normal_density(x) / fraction


def normal_density(x: Decimal) -> Decimal:
    """exp(-x**2 / 2) / sqrt(2 * pi)."""
    return (-x * x / 2).exp() / (2 * PI).sqrt()
