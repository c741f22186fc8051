"""The gradient along directions: what backward gives, and the interval that finite differences leave for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen

from minibackprop.core import Layer
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.testing.calls import copy_of, forward, perturbed, run, with_perturbed_parameters
from minibackprop.testing.case import Case
from minibackprop.testing.gradients.finite_differences import MARGIN, Slopes
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

_EPSILON = float(np.finfo(np.float64).eps)

#: In an array of up to this many entries, each is moved on its own; in a larger one some are, and all at once in random
#: directions. Many arrays share these numbers.
_FEW = 40

_RANDOM = 8


@frozen(eq=False)
class Move:
    """A direction in the space of the input and all parameters: which array moves, and how."""

    name: str  # "input", or a parameter's; "" where all move at once
    kind: str  # "entry", "ties" or "random"
    arrays: list[Array]
    index: tuple[int, ...] = ()


@frozen(eq=False)
class Comparison:
    """The gradient along one move: from backward, and the interval that finite differences leave for it."""

    move: Move
    analytic: float
    low: float
    high: float
    bound: float
    known: bool

    @property
    def agrees(self) -> bool:
        """Whether the gradient lies within the interval, or none is known."""
        within = self.low - self.bound <= self.analytic <= self.high + self.bound  # False for NaN.
        return not self.known or within

    @property
    def kinked(self) -> bool:
        """Whether the slopes on the two sides differ."""
        return self.high - self.low > self.bound

    @property
    def power(self) -> float:
        """The smallest relative error that would show: infinity where the gradient is zero, NaN where unknown."""
        if not self.known:
            return np.nan
        size = min(abs(self.low), abs(self.high)) if self.low * self.high > 0 else 0.0
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
            compared.append(
                Comparison(
                    move,
                    analytic=float(sum(term.sum() for term in terms)),
                    low=float(ends.min(axis=0).sum()),
                    high=float(ends.max(axis=0).sum()),
                    bound=float((np.abs(weights) * found.error[number][used]).sum() + 8 * MARGIN * _EPSILON * size)
                    + MARGIN * rounding,
                    known=bool(found.known[number][used].all()),
                )
            )
    return compared


def moves(rng: np.random.Generator, names: list[str], point: list[Array], chosen: list[str]) -> list[Move]:
    """Choose directions in which to move those arrays of a point that are `chosen` by name."""
    found = []

    def move(name: str, kind: str, entries: Array, index: tuple[int, ...] = ()) -> None:
        arrays = [entries if name == other else np.zeros_like(array) for other, array in zip(names, point, strict=True)]
        found.append(Move(name, kind, arrays, index))

    share = max(1, sum(name in chosen for name in names) // 3)
    few, random = max(_FEW // share, 2), max(_RANDOM // share, 2)
    for name, array in zip(names, point, strict=True):
        if name not in chosen or not array.size:
            continue
        scale = scale_of(array)
        picked = np.arange(array.size) if array.size <= few else rng.choice(array.size, random, replace=False)
        for flat in picked:
            index = tuple(int(i) for i in np.unravel_index(flat, array.shape))
            entries = np.zeros_like(array)
            entries[index] = scale[index]
            move(name, "entry", entries, index)
        if array.size > few:
            for _ in range(random):
                move(name, "random", scale * rng.choice([-1.0, 1.0], array.shape))
        if name == "input":
            for equal in _ties(array)[:_RANDOM]:
                move(name, "ties", scale * equal)
    together = [
        scale_of(array) * rng.choice([-1.0, 1.0], array.shape)
        if (name in chosen or name == "input") and array.dtype.kind == "f"
        else np.zeros_like(array)
        for name, array in zip(names, point, strict=True)
    ]
    return [*found, Move("", "random", together)]


def scale_of(array: Array) -> Array:
    """Compute how far a step of one moves each entry: a power of two near its size, and at least one."""
    scale: Array = 2.0 ** np.floor(np.log2(np.maximum(np.abs(array), 1.0)))
    return scale


def _ties(x: Array) -> list[Array]:
    """Mark the entries that are equal within each sample, a mask for each value that occurs more than once."""
    masks = []
    for row in range(len(x) if x.ndim else 0):
        values, counts = np.unique(x[row], return_counts=True)
        for value in values[counts > 1]:
            mask = np.zeros(x.shape)
            mask[row] = x[row] == value
            masks.append(mask)
    return masks


def point_of(case: Case, layer: Layer) -> tuple[list[str], list[Array]]:
    """Name the input and all parameters that are trained, and list their values."""
    parameters = [(name, p) for name, p in layer.named_parameters() if not p.frozen]
    return ["input", *(name for name, _ in parameters)], [case.x, *(p.value.copy() for _, p in parameters)]


def gradients_at(layer: Layer, x: Array, grad: Array, names: list[str]) -> list[Array]:
    """Compute the gradients that backward gives, in the order of the names."""
    done = run(copy_of(layer), x, grad).gradients
    return [done.get(name, np.zeros(x.shape)) for name in names]


def rounding_at(layer: Layer, x: Array, grad: Array, names: list[str], gradients: list[Array]) -> list[Array]:
    """
    Measure the rounding in gradients, by changes in the last place of all that they are computed from.

    All of x changes by the same factor, so that zeros and ties stay as they are.
    """
    rng = np.random.default_rng(0)
    noise = [np.zeros(gradient.shape) for gradient in gradients]
    for sign in (1.0, -1.0):
        moved = with_perturbed_parameters(layer, rng)
        nearby = x * (1 + sign * np.finfo(x.dtype).eps) if x.dtype.kind == "f" else x
        for most, other, gradient in zip(
            noise, gradients_at(moved, nearby, perturbed(grad, rng), names), gradients, strict=True
        ):
            with np.errstate(all="ignore"):
                np.maximum(most, np.nan_to_num(np.abs(other - gradient)), out=most)
    return noise


def function_of(layer: Layer) -> Callable[[list[Array]], Array]:
    """Make a function of the input and the parameters, as a list, to the result of forward."""
    pristine = copy_of(layer)
    # Only what a forward pass leaves as it was may be used for the next one.
    keeps = not layer.stochastic and all(isinstance(buffer, Parameter) for _, buffer in walk(layer, Buffer))
    parameters = [parameter for parameter in pristine.parameters() if not parameter.frozen]
    shape: tuple[int, ...] | None = None

    def function(point: list[Array]) -> Array:
        nonlocal shape
        for parameter, value in zip(parameters, point[1:], strict=True):
            parameter.value[...] = value
        probe = pristine if keeps else copy_of(pristine)
        try:
            y, _ = forward(probe, point[0])
        except ContractViolation:
            if shape is None:
                raise
            return np.full(shape, np.nan)  # A step that led out of what the layer takes.
        shape = y.shape
        return y

    return function
