"""What is likely wrong with a gradient, from where and how it differs from finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import evolve, frozen

from minibackprop.core import Layer
from minibackprop.testing.calls import copy_of, forward
from minibackprop.testing.case import Case
from minibackprop.testing.gradients.comparison import Comparison, compare
from minibackprop.testing.gradients.directions import Move, scale_of
from minibackprop.testing.gradients.finite_differences import slopes
from minibackprop.testing.gradients.function import LayerFunction
from minibackprop.testing.gradients.setting import gradients_at, point_of, rounding_at
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

#: Jacobians are computed for arrays of up to this many entries.
_MAX_ENTRIES = 400


def likely_cause(case: Case, name: str, compared: list[Comparison], *, of_input: bool) -> str:
    """Try each suspicion in turn, the sharpest first, on a batch that shows more if the gradient is wrong there too."""
    if not name:
        return ""
    wrong = [c for c in compared if not c.agrees and c.move.name]
    if all(c.move.kind == "ties" for c in wrong):
        return "equal entries each get the whole gradient, which is theirs together"
    if all(c.high - c.low > c.bound for c in wrong):
        return "wrong at a kink only: the gradient lies outside of the two one-sided slopes"
    if dict(zip(*point_of(case, case.layer()), strict=True))[name].size > _MAX_ENTRIES:
        return ""
    try:
        evidence, elsewhere = _Evidence.gather(_varied(case), name), None
        if not evidence.wrong.any():
            evidence, elsewhere = _Evidence.gather(case, name), evidence
    except ContractViolation:
        return ""
    if not evidence.wrong.any():
        return ""
    if elsewhere is not None and elsewhere.right.any():  # Right for most input.
        return _clipped(evidence) or _range_between(evidence, elsewhere)
    for suspicion in _SUSPICIONS:
        if cause := suspicion(evidence):
            return cause
    others = {c.move.name for c in compared if not c.agrees} - {name, ""}
    return f"one parameter wrong: {name}" if not of_input and not others and len(case.layer().parameters()) > 1 else ""


def _varied(case: Case) -> Case:
    """Make a batch in which negative, positive, large and small entries occur in several samples."""
    if not case.any_input:
        return case
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(4, *case.x.shape[1:])) * 10.0 ** rng.uniform(-1, 1, (4, *case.x.shape[1:]))).round(2)
    return evolve(case, x=x)


@frozen(eq=False)
class _Evidence:
    """The gradient with respect to one array, entry by entry, and both Jacobians that it comes from."""

    case: Case
    layer: Layer
    name: str
    x: Array
    array: Array  # What the gradient is with respect to.
    grad: Array
    analytic: Array  # What backward gives, ...
    numeric: Array  # ... and what finite differences do.
    wrong: Array
    right: Array  # Agrees, and is not zero.
    analytic_jacobian: Array  # (results, entries)
    numeric_jacobian: Array

    @classmethod
    def gather(cls, case: Case, name: str) -> _Evidence:
        layer = case.layer()
        names, point = point_of(case, layer)
        place = names.index(name)
        array = point[place]
        entries = []
        scales = scale_of(array)
        for index in np.ndindex(array.shape):
            arrays = [np.zeros_like(other) for other in point]
            arrays[place][index] = scales[index]
            entries.append(Move(name, "entry", arrays, index))
        y, _ = forward(copy_of(layer), case.x)
        grad = case.upstream(y)
        function = LayerFunction(layer, case.surrogate)
        found = slopes(function, point, [entry.arrays for entry in entries], function.of_many)
        gradients = gradients_at(layer, case.x, grad, names)
        compared = compare(entries, gradients, rounding_at(layer, case.x, grad, names, gradients), grad, found)
        scale = scales.ravel()

        def entrywise(values: list[float]) -> Array:
            return (np.array(values) / scale).reshape(array.shape)

        wrong = np.array([not c.agrees for c in compared]).reshape(array.shape)
        sure = np.array([c.known and c.power < 1e-3 for c in compared]).reshape(array.shape)
        rows = []
        for number in range(y.size):
            unit = np.zeros(y.size)
            unit[number] = 1.0
            rows.append(gradients_at(layer, case.x, unit.reshape(y.shape), names)[place].ravel())
        return cls(
            case,
            layer,
            name,
            case.x,
            array,
            grad,
            entrywise([c.analytic for c in compared]),
            entrywise([(c.low + c.high) / 2 for c in compared]),
            wrong,
            sure & ~wrong,
            np.array(rows),
            ((found.low + found.high) / 2 / scale[:, np.newaxis]).T,
        )

    def backward(self, grad: Array) -> Array:
        """Compute the gradient that backward gives for another upstream gradient."""
        names, _ = point_of(self.case, self.layer)
        return gradients_at(self.layer, self.x, grad, names)[names.index(self.name)]


def _close(ours: Array, theirs: Array) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(ours - theirs) <= 1e-6 * np.abs(theirs).max(initial=0)) and np.any(theirs))


def _not_finite(e: _Evidence) -> str:
    return "" if np.isfinite(e.analytic).all() else "backward overflows or divides by zero"


def _none_added(e: _Evidence) -> str:
    several = len(e.layer.parameters()) > 1
    prefix = "one parameter wrong: " if several and e.name != "input" else ""
    return f"{prefix}no gradient reaches {e.name}" if not e.analytic.any() else ""


def _sign(e: _Evidence) -> str:
    return "sign flipped" if _close(-e.analytic, e.numeric) else ""


def _ignored(e: _Evidence) -> str:
    return "upstream gradient ignored" if _close(e.backward(-3 * e.grad), e.analytic) else ""


def _nearly(e: _Evidence) -> str:
    return "nearly right: an approximation, or digits lost where terms cancel" if _close(e.analytic, e.numeric) else ""


def _clipped(e: _Evidence) -> str:
    small = 2.0**-20
    fits = _close(e.backward(small * e.grad) / small, e.numeric)
    return "upstream gradient clipped, or what backward makes of it" if fits else ""


def _nonlinear(e: _Evidence) -> str:
    return "" if _close(e.backward(-3 * e.grad), -3 * e.analytic) else "backward is not linear in grad"


def _float32(e: _Evidence) -> str:
    with np.errstate(all="ignore"):
        cast = np.array_equal(e.analytic, e.analytic.astype(np.float32)) and _close(e.analytic, e.numeric)
    return "dropped to float32" if cast else ""


def _factor(e: _Evidence) -> str:
    factor = _ratio(e)
    if factor is None:
        return ""
    if not e.case.any_input:
        return _constant(e, factor)
    more = evolve(e.case, x=np.concatenate([e.x, e.x, e.x[:1]]))
    again = _ratio(_Evidence.gather(more, e.name))
    sizes = len(e.x), len(more.x)
    if again is not None and not np.isclose(again, factor):
        for power in (1, -1):
            if np.allclose([factor, again], [float(size) ** power for size in sizes]):
                return f"factor is the batch size: {'a sum' if power == 1 else 'a mean'} where the other belongs"
    return _constant(e, factor)


def _constant(e: _Evidence, factor: float) -> str:
    times = f"the gradient is {factor:.8g} times what it should be"
    widths = {*e.x.shape[1:], *e.grad.shape[1:], int(np.prod(e.x.shape[1:])), int(np.prod(e.grad.shape[1:]))} - {1, 2}
    for width in sorted(widths):  # Not 2: a factor of 2 is more often a forgotten one.
        if np.isclose(factor, width) or np.isclose(factor, 1 / width):
            return f"factor is a width: {times}, and {width} is a width"
    return f"constant factor: {times}"


def _ratio(e: _Evidence) -> float | None:
    """Compute the factor by which the gradient is too large, if it is the same for all of several entries."""
    size = np.abs(e.numeric) > 1e-3 * np.abs(e.numeric).max()
    with np.errstate(all="ignore"):
        ratios = e.analytic[size] / e.numeric[size]
    same = ratios.size > 1 and np.isfinite(ratios).all() and np.ptp(ratios) <= 1e-6 * np.abs(ratios).max()
    same &= not np.isclose(np.median(ratios), 1, rtol=1e-7)
    zero_alike = np.all(np.abs(e.analytic[~size]) <= 2e-3 * np.abs(e.analytic).max())
    return float(np.median(ratios)) if same and zero_alike else None


def _transposed(e: _Evidence) -> str:
    if e.name == "input" and e.x.size == e.grad.size and _close(e.analytic_jacobian.T, e.numeric_jacobian):
        return "transposed: backward multiplies by the Jacobian, not by its transpose"
    square = e.array.ndim == 2 and e.array.shape[0] == e.array.shape[1] > 1
    return "transposed" if square and _close(e.analytic.T, e.numeric) else ""


def _stale(e: _Evidence) -> str:
    """See whether the gradient is right for the parameters that the layer was made with."""
    if not e.layer.parameters():
        return ""
    made = evolve(e.case, layer=lambda: e.case.make().astype(np.float64))
    fits = _Evidence.gather(made, e.name)
    right = fits.right.any() and not fits.wrong.any()
    return "stale: backward uses the parameters that the layer was made with" if right else ""


def _mixed(e: _Evidence) -> str:
    count = len(e.x)
    if e.name != "input" or e.grad.shape[:1] != (count,) or count < 2:
        return ""
    apart = ~np.eye(count, dtype=bool)
    ours, theirs = (
        np.abs(jacobian).reshape(count, -1, count, e.x.size // count).max(axis=(1, 3))[apart].any()
        for jacobian in (e.analytic_jacobian, e.numeric_jacobian)
    )
    if theirs and not e.layer.couples_samples:
        return "samples mixed: the result for one depends on another"
    return "samples mixed: the gradient of one goes to another" if ours and not theirs else ""


def _part(e: _Evidence) -> str:
    """Look for a line between entries that are right and entries that are wrong."""
    if not e.right.any() or e.analytic.ndim == 0:
        return ""
    for axis, line in ((0, "row"), (e.analytic.ndim - 1, "column")):
        if e.analytic.shape[axis] < 2 or (line == "row" and e.analytic.ndim == 1):
            continue
        lines = np.unique(np.nonzero(e.wrong)[axis])
        if len(lines) == 1 and not np.take(e.right, lines, axis).any():
            which = "the last" if lines[0] == e.analytic.shape[axis] - 1 else f"number {lines[0]}"
            return f"wrong for one {line}: {which} of {e.analytic.shape[axis]}"
    return ""


def _range(e: _Evidence) -> str:
    """Look for a range of inputs for which the gradient is wrong."""
    return _range_between(e, e)


def _range_between(wrong: _Evidence, right: _Evidence) -> str:
    """Look for a line between the inputs for which the gradient is wrong, and those for which it is right."""
    if wrong.name != "input" or not right.right.any():
        return ""
    bad, good = wrong.x[wrong.wrong], right.x[right.right]
    if not bad.any() and good.all():
        return "wrong where the input is zero"
    if bad.max() < 0 <= good.min():
        return "wrong for negative inputs only"
    if good.max() <= 0 < bad.min():
        return "wrong for positive inputs only"
    least, most = np.abs(bad).min(), np.abs(good).max()
    return f"wrong for large values only: right up to {most:.3g}, wrong from {least:.3g}" if least > most else ""


def _missing(e: _Evidence) -> str:
    """See what is missing in the Jacobian of each sample: a missing term is often of low rank, or off the diagonal."""
    count = len(e.x)
    if e.name == "input" and e.grad.shape[:1] == (count,) and not e.layer.couples_samples:
        width, results = e.x.size // count, e.grad.size // count
        blocks = [
            (j.reshape(count, results, count, width)[i, :, i], k.reshape(count, results, count, width)[i, :, i])
            for j, k in [(e.analytic_jacobian, e.numeric_jacobian)]
            for i in range(count)
        ]
    else:
        blocks = [(e.analytic_jacobian, e.numeric_jacobian)]
    if all(a.shape[0] == a.shape[1] and _close(b - a, np.eye(len(a))) for a, b in blocks):
        return "term missing: the identity, as of a skip connection"
    diagonal = all(not np.any(theirs - np.diag(np.diag(theirs))) for _, theirs in blocks if np.ptp(theirs.shape) == 0)
    if diagonal:
        return ""
    if all(np.any((ours == 0) & (np.abs(theirs) > 1e-6 * np.abs(theirs).max())) for ours, theirs in blocks):
        return "term missing: entries of the Jacobian are zero that should not be"
    if min(blocks[0][0].shape) > 2:
        tolerance = 1e-6 * max(np.abs(theirs).max() for _, theirs in blocks)
        ranks = [np.linalg.matrix_rank(ours - theirs, tol=tolerance) for ours, theirs in blocks]
        full = [np.linalg.matrix_rank(theirs, tol=tolerance) for _, theirs in blocks]
        if 0 < max(ranks) <= max(1, max(full) // 2):
            return f"term missing: the Jacobian differs from the right one by a matrix of rank {max(ranks)}"
    return ""


_SUSPICIONS: tuple[Callable[[_Evidence], str], ...] = (
    _not_finite,
    _none_added,
    _sign,
    _ignored,
    _float32,
    _nearly,
    _clipped,
    _nonlinear,
    _factor,
    _transposed,
    _stale,
    _mixed,
    _part,
    _missing,
    _range,
)
