"""The check of a bare function's vector-Jacobian product, and of anything else at a point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen
from hypothesis import strategies as st

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.testing.case import Case, StandIn
from minibackprop.testing.code import written
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.gradients import input_gradient, linearity
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search, seeded
from minibackprop.validation import Array

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

#: How many upstream gradients are tried at a point that the user gives.
_UPSTREAM = 5


def check_gradients(
    function: Callable[[Array], Array], vjp: Callable[[Array, Array], Array], x: Array, *, seed: int | None = None
) -> Report:
    """
    Check the gradient of a bare function at a point.

    Parameters
    ----------
    function : callable
        Takes an array, and returns one.
    vjp : callable
        The vector-Jacobian product: takes x and an upstream gradient, shaped like the result, and returns the gradient
        with respect to x.
    x : array
        The point, of floating-point numbers.
    seed : int, optional
        The seed of the upstream gradients. By default as of `check_layer`.

    Raises
    ------
    ContractViolation
        If `vjp` is not the gradient of `function`, or not linear.
    Inconclusive
        If finite differences could not tell.
    ConfigError
        If `x` is not an array of floating-point numbers.

    Examples
    --------
    >>> report = check_gradients(np.sin, lambda x, grad: grad * np.cos(x), np.array([0.5, 2.0]))
    >>> report.power["input gradient"]["input"] < 1e-8
    True
    """
    for name, value in (("function", function), ("vjp", vjp)):
        if not callable(value):
            raise ConfigError(f"check_gradients: {name}", "a callable", describe(value))
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.size:
        raise ConfigError("check_gradients: x", "an array of floating-point numbers", describe(x))
    laws = [
        Law("input gradient", "vjp returns the vector-Jacobian product of the function.", input_gradient),
        Law("linearity", "vjp is linear in the upstream gradient.", linearity),
    ]
    return check_at_a_point(lambda: _Function(function, vjp), x.astype(np.float64), laws, seed)


def check_at_a_point(make: Callable[[], Layer], x: Array, laws: list[Law], seed: int | None) -> Report:
    """Check laws for one layer at one point, with several upstream gradients."""
    numbers = np.random.default_rng(seeded(seed)).integers(0, 2**16, _UPSTREAM)
    cases = st.sampled_from([Case(make, make, x, x, int(number), any_input=False) for number in numbers])
    return search(cases, laws, configured(_UPSTREAM), seed)


@frozen(eq=False, slots=False)
class _Function(StandIn):
    function: Callable[[Array], Array]
    vjp: Callable[[Array, Array], Array]

    def code(self, x: Array, grad: Array) -> str:
        return f"x = {written(x)}\ngrad = {written(grad)}\ny = function(x)\ngrad_x = vjp(x, grad)"

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return np.asarray(self.function(x)), x

    def backward(self, grad: Array, x: Array, /) -> Array:
        return np.asarray(self.vjp(x, grad))
