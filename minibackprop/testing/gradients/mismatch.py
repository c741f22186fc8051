"""The gradient of a layer beside finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import evolve

from minibackprop.core import Layer, layers_within
from minibackprop.testing.calls import copy_of, forward
from minibackprop.testing.case import Case, Power
from minibackprop.testing.comparing import apart
from minibackprop.testing.gradients.diagnosis.cause import likely_cause
from minibackprop.testing.gradients.directions import (
    Comparison,
    Move,
    compare,
    function_of,
    gradients_at,
    moves,
    point_of,
    rounding_at,
)
from minibackprop.testing.gradients.finite_differences import slopes
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def gradient_mismatch(case: Case, *, of_input: bool) -> Power:
    """
    Compare backward with finite differences; raise where they differ, else return how small an error would have shown.

    The gradient is compared entry by entry on small layers, in random directions on large ones; entries of the input
    that are equal are moved together too: at a tie (of a maximum, say) only the sum of their gradients is defined.
    """
    if of_input and case.x.dtype.kind != "f":
        return {}
    compared = _compared(case, of_input=of_input)
    if wrong := [comparison for comparison in compared if not comparison.agrees]:
        raise _violation(case, compared, wrong, of_input=of_input)
    # Infinity, should nothing be compared at all: an input without entries, say.
    names, point = point_of(case, case.layer())
    empty = [name for name, array in zip(names, point, strict=True) if (name == "input") == of_input and not array.size]
    power: dict[str, float] = dict.fromkeys(empty, np.inf)
    for comparison in compared:
        if comparison.move.name:
            name = comparison.move.name
            power[name] = float(np.fmin(power.get(name, np.nan), comparison.power))
    return power


def _compared(case: Case, *, of_input: bool) -> list[Comparison]:
    layer = case.layer()
    names, point = point_of(case, layer)
    chosen = ["input"] if of_input else names[1:]
    y, _ = forward(copy_of(layer), case.x)
    grad = case.upstream(y)
    gradients = gradients_at(layer, case.x, grad, names)
    directions = moves(case.rng(), names, point, chosen)
    function = function_of(layer)
    found = slopes(function, point, [move.arrays for move in directions])
    compared = compare(directions, gradients, rounding_at(layer, case.x, grad, names, gradients), grad, found)
    # Several kinks at once may look smooth after a later layer: softmax does not see a shift of all entries.
    hidden = bool(layers_within(layer)) and any(c.kinked and c.move.kind == "entry" for c in compared)
    return [
        _where_regions_meet(c, layer, function, point, grad)
        if not c.agrees and (c.kinked or (hidden and c.move.kind != "entry"))
        else c
        for c in compared
    ]


def _where_regions_meet(
    c: Comparison, layer: Layer, function: Callable[[list[Array]], Array], point: list[Array], grad: Array
) -> Comparison:
    """
    Call a gradient that lies outside of the slopes at a kink unknown if more than two smooth regions meet there.

    It may then be that of a region that the direction does not enter (in a sort of three equal entries, or in a ReLU
    network at zero). Slopes at points nearby show such regions. In a composite, what its parts choose at their kinks
    need not add up to the gradient of any region; each part is checked on its own.
    """
    if layers_within(layer):
        return evolve(c, known=False)
    rng = np.random.default_rng(0)
    for _ in range(16):
        scales = [1e-3 * np.maximum(np.abs(array), 1.0) for array in point]
        nearby = [
            array + scale * rng.uniform(-1, 1, array.shape) if array.dtype.kind == "f" else array
            for array, scale in zip(point, scales, strict=True)
        ]
        found = slopes(function, nearby, [c.move.arrays])
        nothing = [np.zeros(array.shape) for array in point]
        (there,) = compare([c.move], nothing, nothing, grad, found)
        # Slopes also change from point to point within a region, but by far less than across a kink.
        slack = c.bound + there.bound + 0.02 * (c.high - c.low)
        if there.known and not c.low - slack <= there.low <= there.high <= c.high + slack:
            return evolve(c, known=False)
    return c


def _label(move: Move) -> str:
    """Name what a move moves: an entry, or the entries that are equal."""
    if move.kind == "entry":
        return str(move.index)
    if move.kind != "ties":
        return move.kind
    moving = next(np.argwhere(array) for array in move.arrays if array.any())
    shown = [str(tuple(int(i) for i in index)) for index in moving[:4]]
    return f"ties {', '.join(shown)}" + (", ..." if len(moving) > len(shown) else "")


def _violation(case: Case, compared: list[Comparison], wrong: list[Comparison], *, of_input: bool) -> ContractViolation:
    worst = sorted(wrong, key=lambda c: -np.nan_to_num(abs(c.analytic - c.low) / (c.bound + abs(c.low)), nan=np.inf))
    first = next((c for c in worst if c.move.kind == "entry"), worst[0])
    name = first.move.name
    of_name = [c for c in compared if c.move.name == name]
    count = sum(not c.agrees for c in of_name)
    what = {"input": "the input", "": "the input and the parameters at once"}.get(name, name)
    rows = [("entry", "backward", "finite differences", "+-")]
    for c in [c for c in worst if c.move.name == name][:4]:
        ours, middle = apart(c.analytic, c.low)
        if c.high - c.low > c.bound:
            middle = f"{c.low:.6g} to {c.high:.6g}"
        rows.append((_label(c.move), ours, middle, f"{c.bound:.1g}"))
    return ContractViolation(
        f"backward's gradient with respect to {what} is not that of forward, "
        f"in {count} of the {len(of_name)} directions checked",
        cause=lambda: likely_cause(case, name, compared, of_input=of_input),
        evidence="\n".join(f"{a:>14} {b:>20} {c:>20}  {d}" for a, b, c, d in rows),
    )
