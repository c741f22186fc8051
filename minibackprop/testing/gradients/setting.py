"""A case made ready for comparisons: a point, an upstream gradient, and what backward gives there."""

from __future__ import annotations

import numpy as np
from attrs import frozen

from minibackprop.core import Layer
from minibackprop.testing.calls import copy_of, forward, perturbed, run, with_perturbed_parameters
from minibackprop.testing.case import Case
from minibackprop.testing.gradients.comparison import Comparison, compare
from minibackprop.testing.gradients.directions import Move
from minibackprop.testing.gradients.finite_differences import slopes
from minibackprop.testing.gradients.function import LayerFunction
from minibackprop.validation import Array

#: What a change of the last place does to a gradient is rounding if it is this small beside the gradient, ...
_SMALL = 1e-6

#: ... or if a change of so many last places does clearly more. Else it is the jump at a kink.
_MANY_PLACES, _CLEARLY_MORE = 256, 8


@frozen(eq=False)
class Setting:
    """
    A point, an upstream gradient, and what backward gives there.

    Attributes
    ----------
    layer : Layer
    names : list of str
        "input", and the parameters that are trained.
    point : list of array
        Their values.
    grad : array
        The upstream gradient.
    gradients, noise : list of array
        What backward gives, and the rounding in it.
    function : LayerFunction
        What is differentiated.
    """

    layer: Layer
    names: list[str]
    point: list[Array]
    grad: Array
    gradients: list[Array]
    noise: list[Array]
    function: LayerFunction

    @classmethod
    def of(cls, case: Case) -> Setting:
        """Make both passes of a case, once."""
        return case.once("setting", lambda: cls._of(case))

    @classmethod
    def _of(cls, case: Case) -> Setting:
        layer = case.layer()
        names, point = point_of(case, layer)
        grad = case.upstream(forward(copy_of(layer), case.x)[0])
        function = LayerFunction(layer, case.surrogate)
        if case.surrogate:
            function.require_shape(case.x, grad.shape)
        gradients = gradients_at(layer, case.x, grad, names)
        noise = rounding_at(layer, case.x, grad, names, gradients)
        return cls(layer, names, point, grad, gradients, noise, function)

    def compare(self, moves: list[Move]) -> list[Comparison]:
        """Hold the gradients against finite differences, along moves."""
        found = slopes(self.function, self.point, [move.arrays for move in moves], self.function.of_many)
        return compare(moves, self.gradients, self.noise, self.grad, found)


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

    Zeros stay as they are. Equal entries do not, or what cancels exactly would go on doing so; a gradient that jumps by
    it, since the point lies on a kink, does so whether the change is of one place or of many.
    """
    noise = [np.zeros(gradient.shape) for gradient in gradients]
    for seed in (0, 1):
        changes = [_changes(layer, x, grad, names, gradients, seed, places) for places in (1, _MANY_PLACES)]
        for most, gradient, near, far in zip(noise, gradients, *changes, strict=True):
            jumps = (near > _SMALL * np.abs(gradient).max(initial=0)) & (far < _CLEARLY_MORE * near)
            np.maximum(most, np.where(jumps, 0, near), out=most)
    return noise


def _changes(
    layer: Layer, x: Array, grad: Array, names: list[str], gradients: list[Array], seed: int, places: int
) -> list[Array]:
    """Compute by how much gradients change if all that they are computed from does, by so many last places."""
    rng = np.random.default_rng(seed)
    moved = with_perturbed_parameters(layer, rng, places)
    done = run(moved, perturbed(x, rng, places), perturbed(grad, rng, places)).gradients
    others = (done.get(name, gradient) for name, gradient in zip(names, gradients, strict=True))
    with np.errstate(all="ignore"):
        return [np.nan_to_num(np.abs(ours - theirs)) for ours, theirs in zip(others, gradients, strict=True)]
