"""Points at which several smooth regions meet: what finite differences can say there, and what not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve

from minibackprop.testing.gradients.comparison import Comparison
from minibackprop.testing.gradients.directions import joint_move, scale_of
from minibackprop.testing.gradients.setting import Setting
from minibackprop.validation import Array

#: How far from the point slopes are taken, and over which step, as parts of the scale of the arrays.
_FAR, _NEAR, _STEP = 2.0**-10, 2.0**-15, 2.0**-20

_NEIGHBOURS, _DIRECTIONS = 16, 6


def allowing_for_kinks(compared: Sequence[Comparison], setting: Setting, *, composite: bool) -> list[Comparison]:
    """
    Call what no finite difference can tell unknown: whether a gradient that differs is that of a region nearby.

    Where two regions meet, the gradient lies between the slopes of both sides. Where more do (in a sort of three equal
    entries, or in a ReLU network at zero), it may be that of a region that a direction does not enter, whether or not
    the slopes of its two sides differ. Slopes at points nearby show such regions. In a composite, what its parts choose
    at their kinks need not add up to the gradient of any region; each part is checked on its own.
    """
    wrong = [number for number, c in enumerate(compared) if not c.agrees]
    if not wrong:
        return list(compared)
    # Several kinks at once may look smooth after a later layer: softmax does not see a shift of all entries.
    if composite and any(c.kinked for c in compared):
        return [c if c.agrees else evolve(c, known=False) for c in compared]
    # A direction does not show the regions in which the slope along it is like that of a side: so several.
    first = next(c.move for c in compared if c.move.kind == "random")
    moving = [name for name, array in zip(setting.names, first.arrays, strict=True) if array.any()]
    rng = np.random.default_rng(0)
    moves = [joint_move(rng, setting.names, setting.point, moving) for _ in range(_DIRECTIONS)]
    given, compared = len(compared), [*compared, *setting.compare(moves)]
    random = range(given, len(compared))
    looked_at = sorted({*wrong, *random})
    weights = setting.grad.ravel()
    slopes = [_slopes_nearby(setting, [compared[n] for n in looked_at], radius) for radius in (_NEAR, _FAR)]
    near, far = (weights[weights != 0] * found[..., weights != 0] for found in slopes)
    rows = {number: row for row, number in enumerate(looked_at)}
    many = np.any([_several_regions(compared[n], near[rows[n]], far[rows[n]]) for n in random], axis=0)
    return [_of_a_region(c, near[rows[n]], many) if n in wrong else c for n, c in enumerate(compared[:given])]


def _slopes_nearby(setting: Setting, compared: Sequence[Comparison], radius: float) -> Array:
    """Estimate the slopes of all results at random points nearby: an array of (directions, points, results)."""
    rng = np.random.default_rng(0)
    points: list[list[Array]] = []
    for _ in range(_NEIGHBOURS):
        nearby = [
            array + radius * scale_of(array) * rng.uniform(-1, 1, array.shape) if array.dtype.kind == "f" else array
            for array in setting.point
        ]
        points += [
            [a + step * d if d.any() else a for a, d in zip(nearby, c.move.arrays, strict=True)]
            for c in compared
            for step in (_STEP, -_STEP)
        ]
    with np.errstate(all="ignore"):
        values = setting.function.of_many(points).reshape(_NEIGHBOURS, len(compared), 2, -1)
        found: Array = (values[:, :, 0] - values[:, :, 1]) / (2 * _STEP)
    return found.swapaxes(0, 1)


def _several_regions(c: Comparison, near: Array, far: Array) -> Array:
    """Tell for each result whether slopes close by are neither that of one side nor that of the other."""
    low, high = c.ends.min(axis=0), c.ends.max(axis=0)
    # Slopes change within a region too, but less the closer it is, where those of other regions do not.
    with np.errstate(all="ignore"):
        beyond, further = (np.maximum(low - found, found - high).max(axis=0) for found in (near, far))
        slack = c.errors + 0.02 * (high - low) + np.maximum(further, 0) / 8 + 1e-6 * np.abs(near).max(axis=0)
        outside: Array = beyond > slack
    return outside


def _of_a_region(c: Comparison, near: Array, many: Array) -> Comparison:
    """Widen the interval by what the slopes nearby span, where several regions meet; few points miss some of them."""
    if not many.any():
        return c
    if c.move.kind == "entry":  # It may be that of a region which no point found.
        return evolve(c, known=False)
    low = np.minimum(c.ends.min(axis=0), near.min(axis=0))[many]
    high = np.maximum(c.ends.max(axis=0), near.max(axis=0))[many]
    width = float((high - low).sum())
    low_before, high_before = c.ends.min(axis=0)[many].sum(), c.ends.max(axis=0)[many].sum()
    return evolve(c, low=c.low - low_before + low.sum() - width, high=c.high - high_before + high.sum() + width)
