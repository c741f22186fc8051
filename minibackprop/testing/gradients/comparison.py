"""The gradient along moves: what backward gives, and the interval that finite differences leave for it."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from minibackprop.testing.gradients.directions import Move
from minibackprop.testing.gradients.finite_differences import MARGIN, Slopes
from minibackprop.validation import Array

_EPSILON = float(np.finfo(np.float64).eps)


@frozen(eq=False)
class Comparison:
    """The gradient along one move: from backward, and the interval that finite differences leave for it."""

    move: Move
    analytic: float
    low: float
    high: float
    bound: float
    known: bool
    ends: Array  # The slopes of both sides, of each result, times its upstream gradient, ...
    errors: Array  # ... and the bounds of their errors.

    @property
    def agrees(self) -> bool:
        """Whether the gradient lies within the interval, or none is known."""
        within = self.low - self.bound <= self.analytic <= self.high + self.bound  # False for NaN.
        return not self.known or within

    @property
    def kinked(self) -> bool:
        """Whether the slopes on the two sides differ."""
        return self.high - self.low > self.bound

    def power_of(self, terms: Array) -> float:
        """
        Compute the smallest relative error that would show in a part of the gradient, given by its terms.

        It is infinity where that part is zero, NaN where nothing is known.
        """
        if not self.known:
            return np.nan
        size = abs(float(terms.sum()))
        return (self.bound + self.high - self.low) / size if size > 0 else np.inf


def compare(
    moves: list[Move], gradients: list[Array], noise: list[Array], grad: Array, found: Slopes
) -> list[Comparison]:
    """
    Weigh the slopes of all results with the upstream gradient, and set them beside the gradients from backward.

    These have rounding of their own, which may be far larger than their last place, where terms cancel in backward: it
    is given as `noise`.
    """
    used = grad.ravel() != 0
    weights = grad.ravel()[used]
    compared = []
    with np.errstate(all="ignore"):
        for number, move in enumerate(moves):
            ends = weights * np.stack([found.low[number][used], found.high[number][used]])
            terms = [g * d for g, d in zip(gradients, move.arrays, strict=True)]
            rounding = sum(float((n * np.abs(d)).sum()) for n, d in zip(noise, move.arrays, strict=True))
            size = np.abs(ends).max(axis=0).sum() + sum(np.abs(term).sum() for term in terms)
            errors = np.abs(weights) * found.error[number][used]
            compared.append(
                Comparison(
                    move,
                    analytic=float(sum(term.sum() for term in terms)),
                    low=float(ends.min(axis=0).sum()),
                    high=float(ends.max(axis=0).sum()),
                    bound=float(errors.sum() + 8 * MARGIN * _EPSILON * size) + MARGIN * rounding,
                    known=bool(found.known[number][used].all()),
                    ends=ends,
                    errors=errors,
                )
            )
    return compared
