"""The gradient of a layer beside finite differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minibackprop.core import layers_within
from minibackprop.testing.case import Case, Power
from minibackprop.testing.comparing import apart
from minibackprop.testing.gradients.comparison import Comparison
from minibackprop.testing.gradients.diagnosis.cause import likely_cause
from minibackprop.testing.gradients.directions import Move, joint_move, single_moves
from minibackprop.testing.gradients.kinks import allowing_for_kinks
from minibackprop.testing.gradients.setting import Setting
from minibackprop.testing.side_inputs import without_side_inputs
from minibackprop.testing.violations import ENOUGH, ContractViolation

#: Arrays for which an error of this size, relative to the gradient, might not show move without the others, and in
#: shorter steps; those for which one of ENOUGH might not, one at a time, up to so many of their entries on their own.
_PLENTY, _SHORT, _FEW = 1e-5, 2.0**-6, 4


def gradient_mismatch(case: Case, *, of_input: bool, measured: bool = True) -> Power:
    """
    Compare backward with finite differences; raise where they differ, else return how small an error would have shown.

    All arrays move at once first, in random directions: a wrong gradient shows there as surely as along its entries.
    These are looked at one by one, and equal entries together (at a tie, of a maximum say, only the sum of their
    gradients is defined), where a direction shows an error, lies at a kink, or says too little of an array.
    """
    if of_input and case.x.dtype.kind != "f":
        return {}
    setting = Setting.of(case)
    chosen = ["input"] if of_input else setting.names[1:]
    at = setting.names, setting.point
    rng = case.rng()
    compared = setting.compare([joint_move(rng, *at, chosen)])
    if _tell_all(compared) and (unsure := _unsure(setting, compared, chosen, _PLENTY if measured else ENOUGH)):
        compared += setting.compare([joint_move(rng, *at, unsure, size=_SHORT)])
    if not _tell_all(compared):
        compared += setting.compare([joint_move(rng, *at, chosen), *single_moves(rng, *at, chosen)])
        composite = bool(layers_within(without_side_inputs(setting.layer)))
        compared = allowing_for_kinks(compared, setting, composite=composite)
    elif measured and (unsure := _unsure(setting, compared, chosen, ENOUGH)):
        compared += setting.compare(single_moves(rng, *at, unsure, few=_FEW, random=2))
    if wrong := [comparison for comparison in compared if not comparison.agrees]:
        raise _violation(case, compared, wrong, of_input=of_input)
    return _power_of(setting, compared, chosen)


def _tell_all(compared: Sequence[Comparison]) -> bool:
    """Tell whether directions agree, none at a kink: then their parts have no more to say."""
    return all(c.agrees and not c.kinked for c in compared)


def _unsure(setting: Setting, compared: Sequence[Comparison], names: Sequence[str], enough: float) -> list[str]:
    """Find the gradients of which an error might not show, among those that are not zero altogether."""
    power = _power_of(setting, compared, names)
    return [n for n in names if not power[n] <= enough and setting.gradients[setting.names.index(n)].any()]


def _power_of(setting: Setting, compared: Sequence[Comparison], names: Sequence[str]) -> dict[str, float]:
    """Compute the smallest relative error of each gradient that would have shown along any direction."""
    power = {}
    for name in names:
        place = setting.names.index(name)
        size = setting.point[place].size
        # Infinity, should nothing be compared at all: an input without entries, say.
        power[name] = np.nan if size else np.inf
        for c in compared if size else ():
            if c.move.arrays[place].any():
                power[name] = float(np.fmin(power[name], c.power_of(setting.gradients[place] * c.move.arrays[place])))
    return power


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
    named = [c for c in worst if c.move.name] or worst
    first = next((c for c in named if c.move.kind == "entry"), named[0])
    name = first.move.name
    of_name = [c for c in compared if c.move.name == name]
    count = sum(not c.agrees for c in of_name)
    what = {"input": "the input", "": "all parameters at once"}.get(name, name)
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
