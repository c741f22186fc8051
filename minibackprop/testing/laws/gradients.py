"""The laws of gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import evolve

from minibackprop.testing.calls import attempt, backward, forward, parameter_gradients, rounding, run, twin
from minibackprop.testing.case import Case, Power, fed
from minibackprop.testing.comparing import named, near, same, side_by_side
from minibackprop.testing.gradients.diagnosis import gradient_mismatch
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def input_gradient(case: Case) -> Power:
    """Compare the gradient of the input with finite differences."""
    return _looked_at_twice(case, of_input=True)


def parameter_gradient(case: Case) -> Power:
    """Compare the gradients of the parameters with finite differences."""
    return _looked_at_twice(case, of_input=False)


def _looked_at_twice(case: Case, *, of_input: bool) -> Power:
    """Look at the batch that was drawn, and at one where a slope may be wrong that is right for most input."""
    power = gradient_mismatch(case, of_input=of_input)
    if case.any_input and case.x.dtype.kind == "f":
        x = case.x
        every_other = (np.arange(len(x)) % 2).reshape(-1, *[1] * (x.ndim - 1))
        edge = (5 * x, 1e-4 * x, every_other * x + 0.0, 1e3 * np.sign(x))[case.seed % 4]
        with fed(case, edge):
            gradient_mismatch(evolve(case, x=edge), of_input=of_input)
    return power


def linearity(case: Case) -> None:
    """Compare answers to upstream gradients, their multiples and their sums."""
    layer = case.layer()
    pristine = twin(layer)
    y, _ = forward(layer, case.x)
    first = case.upstream(y)
    second = case.rng().permutation(first.ravel()).reshape(first.shape)

    def answer(grad: Array) -> dict[str, Array]:
        return dict(run(twin(pristine), case.x, grad).gradients)

    base, other, total = answer(first), answer(second), answer(first + second)
    bounds = rounding(pristine, case.x, first), rounding(pristine, case.x, second)
    for factor in (2.0**-20, -1.0, 2.0**20):
        for name, value in answer(factor * first).items():
            if not near(value, factor * base[name], abs(factor) * bounds[0][name]):
                raise ContractViolation(
                    f"the gradient of {named(name)} for {factor:.3g} * grad is not {factor:.3g} times that for grad",
                    cause=_nonlinear(answer, first, base),
                    evidence=side_by_side(value, factor * base[name], ("got", "expected")),
                )
    for name, value in total.items():
        if not near(value, base[name] + other[name], bounds[0][name] + bounds[1][name]):
            raise ContractViolation(
                f"the gradient of {named(name)} for grad + grad2 is not the sum of those for grad and for grad2",
                cause=_nonlinear(answer, first, base),
                evidence=side_by_side(value, base[name] + other[name], ("got", "expected")),
            )


def _nonlinear(answer: Callable[[Array], dict[str, Array]], grad: Array, base: dict[str, Array]) -> str:
    """Tell a gradient that does not look at `grad` from one that clips it."""
    elsewhere = answer(-3 * grad)
    if any(value.any() and same(elsewhere[name], value) for name, value in base.items()):
        return "upstream gradient ignored"
    tiny, tinier = answer(2.0**-20 * grad), answer(2.0**-21 * grad)
    small = all(
        near(2 * tinier[name], value, 1e-9 * float(np.abs(value).max(initial=0))) for name, value in tiny.items()
    )
    huge, huger = answer(2.0**20 * grad), answer(2.0**21 * grad)
    large = all(near(huge[name], huger[name], 1e-3 * float(np.abs(huger[name]).max(initial=0))) for name in huge)
    return "upstream gradient clipped" if small and large else "backward is not linear in grad"


def gradients_add(case: Case) -> None:
    """Compare the gradients after two passes with the sum of those of each."""
    layer = case.layer()
    pristine = twin(layer)
    bounds = rounding(pristine, case.x, case.upstream)
    one = run(twin(pristine), case.x, case.upstream).gradients
    y, cache = forward(layer, case.x)
    backward(layer, case.upstream(y), cache, case.x)
    backward(layer, case.upstream(y), cache, case.x)
    for name, value in parameter_gradients(layer).items():
        if not near(value, 2 * one[name], bounds[name]):
            cause = (
                "not accumulated: the gradient is assigned, not added" if near(value, one[name], bounds[name]) else ""
            )
            raise ContractViolation(
                f"after two equal backward passes, the gradient of {name} is not twice that of one",
                cause=cause,
                evidence=side_by_side(value, 2 * one[name], ("got", "expected")),
            )


def accumulates(case: Case) -> None:
    """Compare what accumulate adds with what backward adds."""
    layer = case.layer()
    other = twin(layer)
    bounds = rounding(layer, case.x, case.upstream)
    expected = run(twin(layer), case.x, case.upstream).gradients
    y, cache = forward(other, case.x)
    attempt(other, "accumulate", case.upstream(y), cache)
    for name, value in parameter_gradients(other).items():
        if not near(value, expected[name], bounds[name]):
            raise ContractViolation(
                f"accumulate does not do to {name} what backward does",
                evidence=side_by_side(value, expected[name], ("accumulate", "backward")),
            )
