"""The gradient of a layer beside finite differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minibackprop.core import layers_within
from minibackprop.testing.case import Case, Power
from minibackprop.testing.gradients.comparison import Comparison
from minibackprop.testing.gradients.diagnosis import likely_cause
from minibackprop.testing.gradients.directions import joint_moves, single_moves
from minibackprop.testing.gradients.kinks import allowing_for_kinks
from minibackprop.testing.gradients.setting import Setting
from minibackprop.testing.violations import ContractViolation

#: A relative error that shows along a direction common to many arrays is looked for no further.
_PLENTY = 1e-6


def gradient_mismatch(case: Case, *, of_input: bool) -> Power:
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
    compared = setting.compare(joint_moves(case.rng(), setting.names, setting.point, chosen))
    power = _power_of(setting, compared, chosen)
    smooth = all(c.agrees and c.known and not c.kinked for c in compared)
    unsure = [name for name in chosen if not smooth or not power[name] <= _PLENTY]
    if unsure and not (smooth and all(_is_zero(setting, name) for name in unsure)):
        compared += setting.compare(single_moves(case.rng(), setting.names, setting.point, unsure))
        compared = allowing_for_kinks(compared, setting, composite=bool(layers_within(setting.layer)))
        for name, found in _power_of(setting, compared, chosen).items():
            power[name] = float(np.fmin(power[name], found))
    if wrong := [comparison for comparison in compared if not comparison.agrees]:
        raise _violation(case, compared, wrong, of_input=of_input)
    return power


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


def _is_zero(setting: Setting, name: str) -> bool:
    """Tell whether the gradient with respect to an array is zero altogether: its entries have no more to say."""
    return not setting.gradients[setting.names.index(name)].any()


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
        label = str(c.move.index) if c.move.kind == "entry" else f"{c.move.kind}"
        middle = f"{c.low:.10g}" if c.high - c.low <= c.bound else f"{c.low:.6g} to {c.high:.6g}"
        rows.append((label, f"{c.analytic:.10g}", middle, f"{c.bound:.1g}"))
    return ContractViolation(
        f"backward's gradient with respect to {what} is not that of forward, "
        f"in {count} of the {len(of_name)} directions checked",
        cause=likely_cause(case, name, compared, of_input=of_input),
        evidence="\n".join(f"{a:>14} {b:>20} {c:>20}  {d}" for a, b, c, d in rows),
    )
