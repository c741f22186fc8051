"""The laws of gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import evolve

from minibackprop.testing.calls import (
    attempt,
    backward,
    copy_of,
    forward,
    gradient_of,
    parameter_gradients,
    rounding,
    run,
)
from minibackprop.testing.case import Case, Power, reproduced_with
from minibackprop.testing.comparing import near, same, side_by_side
from minibackprop.testing.gradients.mismatch import gradient_mismatch
from minibackprop.testing.laws.batches import MANY
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def input_gradient(case: Case) -> Power:
    """Compare the gradient with respect to the input with finite differences."""
    return _here_and_at_an_edge(case, of_input=True)


def parameter_gradient(case: Case) -> Power:
    """Compare the gradients with respect to the parameters with finite differences."""
    return _here_and_at_an_edge(case, of_input=False)


def _here_and_at_an_edge(case: Case, *, of_input: bool) -> Power:
    """Check the batch that was drawn, and one where a gradient may be wrong that is right for most input."""
    power = gradient_mismatch(case, of_input=of_input)
    edge = case.once("edge", lambda: None if (x := _edge(case)) is None else evolve(case, x=x))
    if edge is not None:
        case.saw("batch sizes", len(edge.x))
        case.saw("input", edge.x)
        with reproduced_with(case, edge.x):
            gradient_mismatch(edge, of_input=of_input, measured=False)
    return power


#: Where functions often have a kink: those that clip, and the hard sigmoid and its kin.
_WHOLE = [-6, -3, -1, 0, 1, 3, 6]


def _edge(case: Case) -> Array | None:
    """Make another batch, of entries or of a size that are seldom drawn."""
    x, rng = case.x, case.rng()
    if not case.resizable:
        return None
    any_number = case.any_input and x.dtype.kind == "f"
    # Of a layer that couples samples, no other law looks at many.
    kind = 4 if case.as_it_is().couples_samples and case.seed % 2 else case.seed % 5
    if kind == 4:
        if any_number:
            return _of_any_size(rng, (MANY, *x.shape[1:]))
        rows = np.concatenate([x, case.other]) if case.other.shape[1:] == x.shape[1:] else x
        return rows[np.arange(MANY) % len(rows)]
    if not any_number:
        return None
    every_other = (np.arange(len(x)) % 2).reshape(-1, *[1] * (x.ndim - 1))
    large = 1e3 * np.sign(x) if case.seed // 5 % 2 else _of_any_size(rng, x.shape)
    # Kinks lie at whole numbers.
    return (large, 1e-4 * x, every_other * x + 0.0, rng.choice(_WHOLE, x.shape) * 1.0)[kind]


def _of_any_size(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw entries of either sign, as many between 0.1 and 1 as between 10 and 100."""
    entries: Array = (rng.choice([-1.0, 1.0], shape) * 10.0 ** rng.uniform(-1, 2.5, shape)).round(2)
    return entries


def linearity(case: Case) -> None:
    """Compare the gradients for two upstream gradients with those for their multiples and for their sum."""
    layer = case.layer()
    pristine = copy_of(layer)
    y, _ = forward(layer, case.x)
    first = case.upstream(y)
    second = case.rng().permutation(first.ravel()).reshape(first.shape)

    def gradients_for(grad: Array) -> dict[str, Array]:
        return dict(run(copy_of(pristine), case.x, grad).gradients)

    base, other, total = gradients_for(first), gradients_for(second), gradients_for(first + second)
    bounds = case.rounding(), rounding(pristine, case.x, second)
    for factor in (0.0, 2.0**-20, -1.0, 2.0**20):
        for name, value in gradients_for(factor * first).items():
            if not near(value, factor * base[name], abs(factor) * bounds[0][name]):
                raise ContractViolation(
                    f"{gradient_of(name)} for {factor:.3g} * grad is not {factor:.3g} times that for grad",
                    cause=_nonlinear(gradients_for, first, base),
                    evidence=side_by_side(value, factor * base[name], ("got", "expected")),
                )
    for name, value in total.items():
        if not near(value, base[name] + other[name], bounds[0][name] + bounds[1][name]):
            raise ContractViolation(
                f"{gradient_of(name)} for grad + grad2 is not the sum of those for grad and for grad2",
                cause=_nonlinear(gradients_for, first, base),
                evidence=side_by_side(value, base[name] + other[name], ("got", "expected")),
            )


def _nonlinear(gradients_for: Callable[[Array], dict[str, Array]], grad: Array, base: dict[str, Array]) -> str:
    """Tell a gradient that does not depend on `grad` from one that clips it."""
    elsewhere = gradients_for(-3 * grad)
    if any(value.any() and same(elsewhere[name], value) for name, value in base.items()):
        return "upstream gradient ignored"
    tiny, tinier = gradients_for(2.0**-20 * grad), gradients_for(2.0**-21 * grad)
    small = all(
        near(2 * tinier[name], value, 1e-9 * float(np.abs(value).max(initial=0))) for name, value in tiny.items()
    )
    huge, huger = gradients_for(2.0**20 * grad), gradients_for(2.0**21 * grad)
    large = all(near(huge[name], huger[name], 1e-3 * float(np.abs(huger[name]).max(initial=0))) for name in huge)
    return "upstream gradient clipped" if small and large else "backward is not linear in grad"


def gradients_add(case: Case) -> None:
    """Compare the gradients after two passes with the sum of those of each."""
    layer = case.layer()
    pristine = copy_of(layer)
    bounds = case.rounding()
    one = run(copy_of(pristine), case.x, case.upstream).gradients
    y, cache = forward(layer, case.x)
    backward(layer, case.upstream(y), cache, case.x)
    backward(layer, case.upstream(y), cache, case.x)
    for name, value in parameter_gradients(layer).items():
        if not near(value, 2 * one[name], bounds[name]):
            assigned = near(value, one[name], bounds[name])
            raise ContractViolation(
                f"after two equal backward passes, {gradient_of(name)} is not twice that of one",
                cause="not accumulated: the gradient is assigned, not added" if assigned else "",
                evidence=side_by_side(value, 2 * one[name], ("got", "expected")),
            )


def accumulates(case: Case) -> None:
    """Compare what accumulate adds with what backward adds."""
    layer = case.layer()
    other = copy_of(layer)
    bounds = case.rounding()
    expected = run(copy_of(layer), case.x, case.upstream).gradients
    y, cache = forward(other, case.x)
    attempt(other, "accumulate", case.upstream(y), cache)
    for name, value in parameter_gradients(other).items():
        if not near(value, expected[name], bounds[name]):
            twice = near(value, 2 * expected[name], bounds[name])
            cause = f"accumulate adds the gradient of {name} twice" if twice else ""
            cause = cause if value.any() else f"accumulate leaves {name} out"
            raise ContractViolation(
                f"accumulate does not do to {name} what backward does",
                cause=cause,
                evidence=side_by_side(value, expected[name], ("accumulate", "backward")),
            )
