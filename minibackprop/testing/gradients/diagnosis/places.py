"""Suspicions about where gradients go: to the wrong places, to some of those that they belong to, to too many."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from attrs import evolve

from minibackprop.testing.case import StandIn
from minibackprop.testing.gradients.diagnosis.evidence import Evidence, fits, near
from minibackprop.testing.gradients.diagnosis.measured import (
    Measured,
    backward_of,
    jacobian,
    ratio_of,
    with_parameter,
)
from minibackprop.testing.gradients.setting import point_of
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def transposed(e: Evidence) -> str:
    """See whether a matrix is used where its transpose belongs."""
    if e.name == "input" and e.whole and e.array.size == e.y.size and fits(e, e.ours.T):
        return (
            "transposed: backward multiplies by the Jacobian, not by its transpose (a matrix not transposed, an order "
            "not inverted, or factors not in reverse order)"
        )
    shape = e.array.shape
    if len(e.columns) < e.array.size or len(shape) < 2:
        return ""
    for axis in range(len(shape) - 1):
        if shape[axis] == shape[axis + 1] > 1 and fits(e, _flat(_by_axes(e).swapaxes(axis + 1, axis + 2))):
            return "transposed"
    return ""


def _by_axes(e: Evidence) -> Array:
    return e.ours.reshape(len(e.rows), *e.array.shape)


def _flat(ours: Array) -> Array:
    return ours.reshape(len(ours), -1)


def swapped(e: Evidence) -> str:
    """See whether two arrays of the same shape have each other's gradient."""
    return cause if (cause := of_another(e)).startswith("swapped") else ""


def of_another(e: Evidence) -> str:
    """See whether the gradient is that of another array of the same shape."""
    names, point = point_of(e.case, e.layer)
    for other, value in zip(names, point, strict=True):
        if other == e.name or value.shape != e.array.shape or value.dtype.kind != "f":
            continue
        measured = jacobian(e.case, other, e.columns, e.rows)
        with np.errstate(all="ignore"):
            expected = e.grad.ravel()[e.rows] @ np.where(measured.known, measured.theirs, 0)
        if measured.known.all() and near(e.gradient, expected):
            theirs = backward_of(e.case, other, e.grad).ravel()[e.columns]
            both = near(theirs, e.expected)
            return (
                f"swapped: the gradients of {e.name} and {other}" if both else f"{e.name} gets the gradient of {other}"
            )
    return ""


def moved(e: Evidence) -> str:
    """See whether the entries are right, but stand in other places: reversed, shifted, by another axis."""
    if len(e.columns) == e.array.size and e.array.size > 1:
        for axis in range(e.array.ndim):
            if e.array.shape[axis] < 2:
                continue
            if fits(e, _flat(np.flip(_by_axes(e), axis + 1))):
                return f"in the wrong places: reversed along axis {axis}"
            for by in range(1, e.array.shape[axis]):
                if fits(e, _flat(np.roll(_by_axes(e), -by, axis + 1))):
                    return f"in the wrong places: {_by(e.array.shape[axis], by)} along axis {axis}"
            if cause := _shifted(e, axis):
                return cause
    rows = e.off.any(axis=1)
    ours, theirs = np.sort(e.ours[rows], axis=1), np.sort(e.theirs[rows], axis=1)
    scale = np.abs(theirs).max(axis=1, keepdims=True, initial=0)
    alike = np.asarray(np.all(np.abs(ours - theirs) <= 1e-6 * scale, axis=1))
    gone = ~np.asarray(ours.any(axis=1))  # Where another result sent its own to the same place.
    if np.count_nonzero(alike) <= np.count_nonzero(gone) or not np.all(alike | gone) or not scale.all():
        return ""
    return _other_axis(e) or "in the wrong places: the entries are right, but each result sends them to other places"


def _by(length: int, by: int) -> str:
    return "its halves exchanged" if 2 * by == length else f"moved by {by if 2 * by < length else by - length}"


def _shifted(e: Evidence, axis: int) -> str:
    """See whether all entries but those at one end are those of their neighbours."""
    ours, theirs = (np.moveaxis(m.reshape(len(e.rows), *e.array.shape), axis + 1, 0) for m in (e.ours, e.theirs))
    if len(ours) < 3:
        return ""
    for by, where in ((1, "before"), (-1, "after")):
        mine, others = (ours[1:], theirs[:-1]) if by == 1 else (ours[:-1], theirs[1:])
        if near(mine, others) and all(near(a, b) for a, b in zip(mine, others, strict=True)):
            return f"in the wrong places: along axis {axis}, an entry has the gradient of the one {where} it"
    return ""


def _other_axis(e: Evidence) -> str:
    """See whether a sum goes over one axis of the result in place of another."""
    if e.name == "input" or e.array.ndim != 1 or not e.whole:
        return ""
    results = e.places(of_results=True)
    one = np.count_nonzero(e.ours, axis=1) == 1
    if not one.all() or not np.array_equal(np.count_nonzero(e.theirs, axis=1), np.ones(len(e.rows))):
        return ""
    ours, theirs = (np.abs(m).argmax(axis=1) for m in (e.ours, e.theirs))
    for axis, index in enumerate(results):
        for right, belongs in enumerate(results):
            if axis != right and np.array_equal(index, ours) and np.array_equal(belongs, theirs):
                return f"summed over the wrong axes: entries go by axis {axis} of the result, not by axis {right}"
    return ""


def samples_mixed(e: Evidence) -> str:
    """See whether the gradient of one sample goes to another."""
    count = len(e.x) if e.x.ndim else 0
    if e.name != "input" or e.y.shape[:1] != (count,) or count < 2 or not e.whole:
        return ""
    ours, theirs = e._mixed(e.ours), e._mixed(e.theirs)
    if theirs and not e.layer.couples_samples:
        return "samples mixed: the result for one depends on another"
    return "samples mixed: the gradient of one goes to another" if ours and not theirs else ""


def left_out(e: Evidence) -> str:
    """See whether results in some places of an axis send no gradient, or one that is wrong by a factor."""
    if not e.y.ndim or len(e.rows) < e.y.size:
        return ""
    wrong, known = np.asarray(e.off.any(axis=1)), np.asarray(e.jacobian.sure.any(axis=1))
    for axis, index in enumerate(e.places(of_results=True)):
        length = e.y.shape[axis]
        lines = np.unique(index[wrong])
        bad = np.isin(index, lines)
        if not len(lines) or length < 2 or not np.all(wrong[bad & known]) or not (known & ~bad).any():
            continue
        again = _with_other_values(e)
        if again.off.shape == e.off.shape and not np.array_equal(np.unique(index[again.off.any(axis=1)]), lines):
            continue
        ratio = ratio_of(Measured(*(m[bad] for m in (e.ours, e.theirs, e.jacobian.error, e.jacobian.known))))
        how = "left out" if not e.ours[bad].any() else _by_factor(ratio)
        samples = axis == 0 and length == len(e.x)
        if len(lines) > 1 and (not how or samples):
            continue
        where = f"{_which(lines[0], length)} of {length}" if len(lines) == 1 else f"places {_listed(lines)} of {length}"
        what = "for one sample" if samples else f"for results along axis {axis}"
        return f"wrong {what}: {where}" + (f", {'which are ' if len(lines) > 1 else 'which is '}{how}" if how else "")
    return ""


def _by_factor(ratio: float | None) -> str:
    return "" if ratio is None else "negated" if np.isclose(ratio, -1) else f"wrong by a factor of {ratio:.6g}"


def _which(line: int, length: int) -> str:
    return "the last" if line == length - 1 else "the first" if line == 0 else f"number {line}"


def _listed(lines: Array) -> str:
    return ", ".join(map(str, lines[:4])) + (", ..." if len(lines) > 4 else "")


def step_to_step(e: Evidence) -> str:
    """See whether the gradient is right within each place of an axis, and wrong from place to place."""
    if e.name != "input" or not e.whole or e.x.ndim < 3 or e.y.ndim < 2:
        return ""
    for axis in range(1, e.x.ndim - 1):
        if axis < e.y.ndim and e.y.shape[axis] == e.x.shape[axis] > 1:
            lag = e.places(of_results=True)[axis][:, np.newaxis] - e.places()[axis]
            within, between = lag == 0, lag != 0
            if e.off[within].any() or not e.off[between].any() or not (e.jacobian.sure & within).any():
                continue
            if np.any(e.off & (e.theirs == 0)):
                continue
            nothing = not e.ours[e.off].any()
            how = "nothing is carried there" if nothing else "what is carried there is wrong"
            return f"right within each step along axis {axis}, wrong from step to step: {how}"
    return ""


def one_right(e: Evidence) -> str:
    """See whether the gradient is right in one place of an axis only, whatever the values are."""
    if e.name != "input" or not e.whole:
        return ""
    again = (e, _with_other_values(e))
    for axis in range(1, e.array.ndim):
        length = e.array.shape[axis]
        right = [np.unique(one.places()[axis][~one.wrong]) for one in again]
        if length > 2 and all(len(found) == 1 for found in right) and right[0] == right[1] and e.right.any():
            return f"right in one place along axis {axis} only: {_which(right[0][0], length)} of {length}"
    return ""


def overwritten(e: Evidence) -> str:
    """See whether entries that many results use have the gradients of some of them only."""
    used, wrong = np.count_nonzero(e.theirs, axis=0), np.asarray(e.off.any(axis=0))
    if not e.jacobian.known.all() or not wrong.any():
        return ""
    cause = (
        "overwritten: where several results use one entry, it has the gradient of one of them (= for +=, or an index "
        "that occurs twice: np.add.at)"
    )
    if e.x.dtype.kind in "iu":
        return cause if _last_only(e, wrong) else ""
    if np.any(e.off & ~((e.ours == 0) & (e.theirs != 0))):
        return ""
    whole = left_out(e)
    if "left out" in whole:  # Those that are written first are lost, if places are fixed.
        cause = f"either {cause}, or {whole}"
    some, once = np.count_nonzero(e.ours[:, wrong], axis=0), used[~wrong & (used > 0)]
    apart = once.size and once.max() < used[wrong].min() and some.min() > 0 and some.max() <= once.max()
    selects = np.all(np.count_nonzero(e.theirs, axis=1) <= 1) and np.all(some == 1) and np.all(once == 1)
    return cause if apart or (selects and e.name != "input") else ""


def _last_only(e: Evidence, wrong: Array) -> bool:
    """Tell whether each row that was looked up several times has the gradient of one time."""
    times, rest = np.divmod(e.theirs, np.where(e.ours == 0, 1, e.ours))
    whole = (e.ours == 0) | ((np.abs(rest) < 1e-6) & (times >= 1)) | (np.abs(rest - e.ours) < 1e-6)
    samples = e.places(of_results=True)[0]
    one = all(len(np.unique(samples[e.ours[:, column] != 0])) == 1 for column in np.flatnonzero(wrong))
    return bool(np.all(whole | (e.theirs == 0)) and one and not np.any(e.ours[e.theirs == 0]))


def masked(e: Evidence) -> str:
    """See whether entries are let through in one direction only, and all others are right up to a factor."""
    ours, theirs = (np.where(np.abs(m) > 0, m, 0) for m in (e.ours, e.theirs))
    through = (ours != 0) & (theirs == 0) & e.jacobian.known & (e.jacobian.error < 1e-6 * np.abs(ours).max(initial=0))
    stopped = (ours == 0) & (theirs != 0) & e.off
    both = (ours != 0) & (theirs != 0)
    if not both.any() or not e.jacobian.known.all():
        return ""
    ratios = ours[both] / theirs[both]
    if np.ptp(ratios) > 1e-6 * np.abs(ratios).max() or (through.any() and stopped.any()):
        return ""
    if np.any(np.any(through, axis=0) & np.any(both | stopped, axis=0)) and np.any(
        np.any(through, axis=1) & np.any(both | stopped, axis=1)
    ):
        return ""  # Not whole entries or whole results: terms.
    if through.any():
        return "mask in one direction only: backward lets through what forward stops"
    dropped = np.any(stopped, axis=0)
    if np.all(stopped[:, dropped] | (theirs[:, dropped] == 0)) and dropped.any() and not np.any(e.off & ~stopped):
        return "mask in one direction only: backward stops what forward lets through"
    return ""


def line(e: Evidence) -> str:
    """Look for one row or column of the array that is wrong, whatever the values are."""
    if not e.right.any() or not e.array.ndim:
        return ""
    again = (e, _with_other_values(e))
    if again[1] is e and len(e.x) < 3:
        return ""  # What goes by values cannot be told from what goes by places.
    for axis in range(e.array.ndim):
        length = e.array.shape[axis]
        if length < 2 or (axis == 0 and e.name == "input" and length != len(e.x)):
            continue
        lines = [np.unique(one.places()[axis][one.wrong]) for one in again]
        if any(len(found) != 1 for found in lines) or lines[0] != lines[1]:
            continue
        at = lines[0][0]
        if any(one.right[one.places()[axis] == at].any() for one in again):
            continue
        which = _which(at, length)
        kind = "column" if axis == e.array.ndim - 1 else "row" if axis == 0 else f"place along axis {axis}"
        detail = masked(e).partition(": ")[2]
        return f"wrong for one {kind}: {which} of {length}" + (f": {detail}" if "lets through what" in detail else "")
    return ""


def _with_other_values(e: Evidence) -> Evidence:
    """Gather the evidence again with other parameters and input: what goes by values, is wrong in other places then."""
    rng, case = np.random.default_rng(3), e.case
    if e.case.any_input and e.x.dtype.kind == "f" and not isinstance(e.layer, StandIn):
        case = evolve(case, x=-e.x * rng.uniform(0.3, 3, e.x.shape))
    other = case
    for name, parameter in e.layer.named_parameters():
        if not parameter.frozen:
            mixed = rng.permutation(parameter.value.ravel()).reshape(parameter.value.shape)
            other = with_parameter(other, name, mixed * rng.choice([-1.0, 1.0], mixed.shape))
    with suppress(ContractViolation):
        again = Evidence.gather(other, e.name)
        if again.jacobian.known.any() and np.isfinite(again.ours).all():
            return again
    return e if case is e.case else Evidence.gather(case, e.name)
