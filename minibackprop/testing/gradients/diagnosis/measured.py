"""What backward gives and what finite differences do, at any point: whole Jacobians, and a few random directions."""

from __future__ import annotations

import numpy as np
from attrs import evolve, frozen

from minibackprop.core import Layer
from minibackprop.testing.calls import copy_of, forward
from minibackprop.testing.case import Case
from minibackprop.testing.gradients.directions import scale_of
from minibackprop.testing.gradients.finite_differences import slopes
from minibackprop.testing.gradients.function import LayerFunction
from minibackprop.testing.gradients.setting import gradients_at, point_of
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

#: Relative to the largest slope of a result: what rounding in backward may be, and more than that is wrong.
ROUNDING = 1e-9


@frozen(eq=False)
class Measured:
    """Slopes from backward and by finite differences, of one shape, with what the latter may be wrong by."""

    ours: Array
    theirs: Array
    error: Array
    known: Array

    @property
    def off(self) -> Array:
        """Where they differ; where finite differences cannot tell, they do not."""
        scale = np.nanmax(np.abs(np.where(self.known, self.theirs, 0)), axis=-1, keepdims=True, initial=0)
        with np.errstate(all="ignore"):
            near = np.abs(self.ours - self.theirs) <= self.error + ROUNDING * scale
        off: Array = self.known & ~near
        return off

    @property
    def sure(self) -> Array:
        """Where an error of a thousandth would show."""
        sure: Array = self.known & (self.error < 1e-3 * np.abs(self.theirs))
        return sure


def value_of(case: Case, name: str) -> Array:
    """Give the values of the array that a gradient is with respect to."""
    names, point = point_of(case, case.layer())
    return point[names.index(name)]


def backward_of(case: Case, name: str, grad: Array) -> Array:
    """Compute the gradient that backward gives for an upstream gradient."""
    layer = case.layer()
    names, _ = point_of(case, layer)
    return gradients_at(layer, case.x, grad, names)[names.index(name)]


def jacobian(case: Case, name: str, entries: Array, results: Array) -> Measured:
    """Measure the Jacobian, of shape (results, entries), for those of each that are given by flat indices."""
    array, y = value_of(case, name), result_of(case)
    directions = []
    for flat in entries:
        direction = np.zeros_like(array)
        direction.flat[flat] = scale_of(array).flat[flat]
        directions.append(direction)
    theirs, error, known = _numeric(case, name, directions, scale_of(array).ravel()[entries])
    ours = np.empty((len(results), len(entries)))
    for row, flat in enumerate(results):
        unit = np.zeros(y.shape)
        unit.flat[flat] = 1.0
        ours[row] = backward_of(case, name, unit).ravel()[entries]
    return Measured(ours, theirs.T[results], error.T[results], known.T[results])


def along(case: Case, name: str, scale: Array | None = None) -> Measured:
    """Measure the gradient for the case's upstream gradient, along six random directions of the scale of the array."""
    rng, array = np.random.default_rng(7), value_of(case, name)
    scale = scale_of(array) if scale is None else scale
    grad = case.upstream(result_of(case))
    directions = [scale * rng.choice([-1.0, 1.0], array.shape) for _ in range(6)]
    theirs, error, known = _numeric(case, name, directions, np.ones(len(directions)))
    gradient = backward_of(case, name, grad)
    ours = np.array([float((gradient * direction).sum()) for direction in directions])
    weights = grad.ravel()
    with np.errstate(all="ignore"):
        slack = ROUNDING * (np.abs(theirs * weights).sum(axis=1) + np.abs(gradient * scale).sum())
        return Measured(ours, theirs @ weights, error @ np.abs(weights) + slack, np.asarray(known.all(axis=1)))


def is_right(case: Case, name: str) -> bool:
    """Tell whether the gradient is right, and not zero, at a point where something may be special."""
    try:
        measured = along(case, name)
    except ContractViolation:
        return False
    return bool(measured.known.all() and not measured.off.any() and measured.sure.any())


def factor_at(case: Case, name: str) -> float | None:
    """Compute the factor by which the gradient is too large, if it is one along all directions."""
    try:
        measured = along(case, name)
    except ContractViolation:
        return None
    return ratio_of(measured)


def ratio_of(measured: Measured) -> float | None:
    """Compute the ratio of ours to theirs, if it is the same wherever it can be told, and zeros agree."""
    sizes = np.abs(np.where(measured.known, measured.theirs, 0))
    large = measured.sure & (sizes > 1e-3 * sizes.max(initial=0))
    if np.count_nonzero(large) < 2:
        return None
    with np.errstate(all="ignore"):
        ratios = measured.ours[large] / measured.theirs[large]
        ratio = float(np.median(ratios))
        others = Measured(measured.ours, ratio * measured.theirs, abs(ratio) * measured.error, measured.known)
    apart = min(1e-6, 1e-3 * abs(ratio - 1)) * abs(ratio)
    alike = np.isfinite(ratio) and np.all(np.abs(ratios - ratio) <= apart + measured.error[large] / sizes[large])
    if not alike or np.isclose(ratio, 1, rtol=1e-8, atol=0) or ratio == 0:
        return None
    return None if others.off[sizes <= 1e-3 * sizes.max(initial=0)].any() else ratio


def result_of(case: Case) -> Array:
    """Compute the result of forward."""
    return forward(copy_of(case.layer()), case.x)[0]


def with_parameter(case: Case, name: str, value: Array) -> Case:
    """Let a parameter have another value."""

    def layer() -> Layer:
        made = case.layer()
        dict(made.named_parameters())[name].value[...] = value
        return made

    return evolve(case, layer=layer)


def _numeric(case: Case, name: str, directions: list[Array], scales: Array) -> tuple[Array, Array, Array]:
    """Estimate the slopes of all results along directions of one array, per unit of their scales; kinks are unknown."""
    layer = case.layer()
    names, point = point_of(case, layer)
    place = names.index(name)
    moves = []
    for direction in directions:
        arrays = [np.zeros_like(array) for array in point]
        arrays[place] = direction
        moves.append(arrays)
    function = LayerFunction(layer, case.surrogate)
    found = slopes(function, point, moves, function.of_many)
    by = scales[:, np.newaxis]
    known = found.known & (found.high - found.low <= found.error)
    with np.errstate(all="ignore"):
        return (found.low + found.high) / 2 / by, found.error / by, known
