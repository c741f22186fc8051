"""Derivatives by finite differences, with error bounds that are computed rather than chosen.

A function is sampled on both sides of a point at steps that shrink from `STEPS[0]` to `STEPS[-1]`. Richardson's
extrapolation (L. F. Richardson, 1911; as a table with error estimates: C. J. F. Ridders, "Accurate computation of F'(x)
and F'(x) F''(x)", 1982) takes the slopes to step zero, once from central differences and once from each side. The sides
agree where the function is smooth. Where they do not, there is a kink, and every value between the two one-sided slopes
is a correct derivative. Rounding is measured: it is what makes the slopes at the smallest steps disagree.

The smaller steps are taken only where the larger ones do not say enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from attrs import frozen

from minibackprop.validation import Array

#: From an eighth down to about 5e-7; powers of two, so that adding one to a number of like size is exact.
STEPS = 2.0 ** -np.arange(3, 22, 2)

_RATIO = float(STEPS[0] / STEPS[1])

#: The steps that are taken first, the smallest as a witness, and the relative error at which they are enough.
_FIRST, _ENOUGH = 5, 1e-8

#: How often its estimate an error may be. Estimates are near 1e-12 of the slope on well-scaled input, so that a wide
#: margin costs nothing that a user would notice.
MARGIN = 32.0

_EPSILON = float(np.finfo(np.float64).eps)


@frozen(eq=False)
class Slopes:
    """
    What is known of the derivatives of m outputs along n directions.

    Attributes
    ----------
    low, high : array of shape (n, m)
        Every value between them is a correct derivative. They are the one-sided slopes at a kink, else equal.
    error : array of shape (n, m)
        A bound of the error of both.
    known : array of bool, of shape (n, m)
        False where no reliable estimate could be had: rounding or overflow drowned it, or the function jumps.
    """

    low: Array
    high: Array
    error: Array
    known: Array


#: A point, as a list of arrays.
Point = Sequence[Array]

#: What computes the values of a function at many points, a row for each.
Sampler = Callable[[Iterable[Point]], Array]


def slopes(
    function: Callable[[list[Array]], Array], point: Point, directions: Sequence[Point], sampler: Sampler | None = None
) -> Slopes:
    """
    Estimate the derivatives of `function` at `point`, a list of arrays, along `directions`, each a list alike.

    The scale of a direction is the caller's: `function` should be smooth for steps up to a small part of it. What can
    compute the function at many points faster than one by one is given as `sampler`.

    Examples
    --------
    >>> x, d = np.array([0.5, 2.0]), np.array([1.0, 0.0])
    >>> found = slopes(lambda point: np.exp(point[0]), [x], [[d]])
    >>> bool(np.all(np.abs(found.low - np.exp(x) * d) <= found.error)), bool(found.error.max() < 1e-9)
    (True, True)
    """

    def one_by_one(points: Iterable[Point]) -> Array:
        return np.array([np.asarray(function(list(moved)), dtype=np.float64).ravel() for moved in points])

    sample = one_by_one if sampler is None else sampler
    with np.errstate(all="ignore"):
        scale = np.array([max(1.0, *(np.abs(move).max(initial=0) for move in d)) for d in directions])
        start = np.append(STEPS[:_FIRST], STEPS[-1])
        values = sample(chain([point], _moved(point, directions, start)))
        centre, (above, below) = values[0], _sides(values[1:], len(start), len(directions))
        found = _extrapolate(centre, above[:-1], below[:-1], scale, start[:-1])
        rest = np.flatnonzero(~_says_enough(found, centre, above[-1], below[-1], scale)).tolist()
        if rest:
            further = STEPS[_FIRST:-1]
            values = sample(_moved(point, [directions[number] for number in rest], further))
            over, under = (
                np.concatenate([side[:-1, rest], more, side[-1:, rest]])
                for side, more in zip((above, below), _sides(values, len(further), len(rest)), strict=True)
            )
            refined = _extrapolate(centre, over, under, scale[rest], STEPS)
            for name in ("low", "high", "error", "known"):
                getattr(found, name)[rest] = getattr(refined, name)
    return found


def _moved(point: Point, directions: Sequence[Point], steps: Array) -> Iterator[Point]:
    """Go through all steps, directions and sides."""
    moving = [[bool(move.any()) for move in direction] for direction in directions]
    for step in steps:
        for direction, moves in zip(directions, moving, strict=True):
            for signed in (step, -step):  # What does not move stays as it is: an array of integers, say.
                yield [a + signed * d if m else a for a, d, m in zip(point, direction, moves, strict=True)]


def _sides(values: Array, steps: int, directions: int) -> tuple[Array, Array]:
    """Part the values into those of both sides, two arrays of (steps, directions, outputs)."""
    parted = values.reshape(steps, directions, 2, values.shape[1])
    return parted[:, :, 0], parted[:, :, 1]


def _says_enough(found: Slopes, centre: Array, above: Array, below: Array, scale: Array) -> Array:
    """Tell for each direction whether all slopes are known well, none is at a kink, and the smallest step agrees."""
    smallest = STEPS[-1]
    size = np.maximum(np.abs(found.low).max(axis=1, initial=0), 1e-3 * np.abs(centre).max(initial=0))
    last_place = _EPSILON * (np.maximum(np.abs(above), np.abs(below)) + scale[:, np.newaxis])
    agrees = np.abs((above - below) / (2 * smallest) - found.low) <= found.error + MARGIN * last_place / smallest
    well = (found.error <= _ENOUGH * size[:, np.newaxis]) & (found.low == found.high) & found.known & agrees
    said: Array = well.all(axis=1)
    return said


def _extrapolate(centre: Array, above: Array, below: Array, scale: Array, steps: Array) -> Slopes:
    smallest, steps = steps[-1], steps[:, np.newaxis, np.newaxis]
    central = (above - below) / (2 * steps)
    # Rounding, in the values themselves: what the slopes at the smallest steps disagree by, without what goes with the
    # step's second and fourth power, ...
    plain = central
    for gain in (_RATIO**2, _RATIO**4):
        plain = plain[1:] + np.diff(plain, axis=0) / (gain - 1)
    jumps = np.abs(np.diff(plain[-4:], axis=0))
    disagreement = (jumps * steps[-len(jumps) :]).max(axis=0)
    noise = np.nan_to_num(disagreement, nan=np.inf)
    # ... and never less than a few units in the last place: of the values, of the point that moves, and of the numbers
    # of order one, and of the point's own order, that a formula may hold ("1 + erf(x)").
    last_place = _EPSILON * (np.maximum(np.abs(above), np.abs(below)) + np.abs(central) + scale[:, np.newaxis])
    in_values = noise + 4 * last_place
    rounding = in_values / steps
    from_right, from_left = (above - centre) / steps, (centre - below) / steps

    both, both_error = _to_step_zero(central, rounding, order=2)
    both_error += in_values[-1] / _length_of_bend(np.abs(from_right - from_left) - 4 * rounding, steps)
    one_sided, their_error = _to_step_zero(np.stack([from_right, from_left], 1), rounding[:, np.newaxis], order=1)
    (right, left), (right_error, left_error) = one_sided, their_error

    gap = np.abs(right - left)
    kink = gap > MARGIN * (right_error + left_error)
    # Sides that may be one or may be two, as next to a kink that is nearer than the steps reach.
    unsure = ~kink & (gap > 2 * (right_error + left_error))
    low = np.where(kink, np.minimum(right, left), both)
    high = np.where(kink, np.maximum(right, left), both)
    error = MARGIN * np.where(kink, right_error + left_error, both_error)

    # More than rounding can explain, and as large as the slope itself where the step is smallest: the function is
    # noisy, or does something on a scale that the steps do not resolve.
    unexplained = noise > 1e3 * last_place.max(axis=0)
    drowned = unexplained & (noise / smallest > 0.1 * np.abs(central).max(axis=0))
    known = np.isfinite(low) & np.isfinite(high) & np.isfinite(error) & ~drowned & ~unsure
    return Slopes(low, high, error, known)


def _length_of_bend(apart: Array, steps: Array) -> Array:
    """
    Estimate the length within which the slope changes, from how far the slopes of the two sides are apart.

    Central differences do not see what is even about the point. Close to the middle of a rounded corner they agree on
    the mean of its two slopes, until the steps are as small as the corner; and what these see may pass for rounding. So
    rounding counts at least as much as it does at a step of this length. Where the function is smooth for all steps,
    that is the largest of them, and adds next to nothing.
    """
    apart = np.where(np.isfinite(apart) & (apart > 0), apart, 0)
    share = apart / apart.max(axis=0)
    length: Array = 1 / (share / steps).max(axis=0)
    return np.nan_to_num(length, nan=np.inf)  # The sides are nowhere apart.


def _to_step_zero(table: Array, rounding: Array, order: int) -> tuple[Array, Array]:
    """Extrapolate slopes whose error goes with step**order, step**(2 * order), ...; choose the best of the table."""
    best = np.full(table.shape[1:], np.nan)
    best_error = np.full(table.shape[1:], np.inf)
    column = table
    for depth in range(1, 5):
        gain = _RATIO ** (order * depth)
        refined = column[1:] + (column[1:] - column[:-1]) / (gain - 1)
        error = np.maximum(np.abs(refined - column[1:]), np.abs(refined - column[:-1])) + 2 * rounding[depth:]
        # At smaller steps the slopes must not move away again, beyond their rounding: large steps may have agreed on
        # something else (the mean of a fast wave, the slope of a staircase).
        levels = range(len(refined))
        far = np.abs(table[depth:, np.newaxis] - refined) - 4 * rounding[depth:, np.newaxis]
        nearest = far[levels, levels]
        far[np.triu_indices(len(refined), 1)] = -np.inf  # Steps that are larger.
        error += np.maximum(far.max(axis=0) - nearest - 4 * rounding[depth:], 0)
        error[~np.isfinite(error)] = np.inf
        choice = error.argmin(axis=0)
        chosen, chosen_error = np.choose(choice, refined), np.choose(choice, error)
        better = chosen_error < best_error
        best, best_error = np.where(better, chosen, best), np.where(better, chosen_error, best_error)
        column = refined
    return best, best_error
