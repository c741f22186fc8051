"""What is likely wrong with a gradient, from where and how it differs from finite differences."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from minibackprop.testing.case import Case
from minibackprop.testing.gradients.comparison import Comparison
from minibackprop.testing.gradients.diagnosis.evidence import Evidence, of_both_signs, rich
from minibackprop.testing.gradients.diagnosis.factors import constant_factor, factor_by_sample, forgotten_factor
from minibackprop.testing.gradients.diagnosis.places import (
    left_out,
    line,
    masked,
    moved,
    of_another,
    one_right,
    overwritten,
    samples_mixed,
    step_to_step,
    swapped,
    transposed,
)
from minibackprop.testing.gradients.diagnosis.terms import (
    diagonal_only,
    identity,
    low_rank,
    product_rule,
    tied,
    zeros,
)
from minibackprop.testing.gradients.diagnosis.upstream import (
    added,
    clipped,
    ignored,
    nearly,
    none_added,
    nonlinear,
    not_finite,
    single,
)
from minibackprop.testing.gradients.diagnosis.values import (
    independent_of,
    other_cache,
    range_between,
    range_of_values,
    size_of_input,
    special_parameter,
    stale,
    vanishing_parameter,
)
from minibackprop.testing.violations import ContractViolation

#: The sharpest first: what explains every number, before what explains where they differ. Of a group, all that fit are
#: named: none says more than the others.
_SUSPICIONS: tuple[tuple[Callable[[Evidence], str], ...], ...] = (
    (not_finite,),
    (none_added,),
    (ignored,),
    (added,),
    (clipped,),
    (nonlinear,),
    (single,),
    (constant_factor,),
    (swapped,),
    (forgotten_factor, stale, of_another, other_cache),
    (factor_by_sample,),
    (nearly,),
    (transposed,),
    (samples_mixed,),
    (step_to_step,),
    (overwritten,),
    (line,),
    (moved, identity),
    (left_out,),
    (one_right,),
    (product_rule,),
    (tied,),
    (special_parameter,),
    (range_of_values,),
    (masked,),
    (diagonal_only,),
    (independent_of,),
    (vanishing_parameter,),
    (zeros,),
    (low_rank,),
    (size_of_input,),
)


def likely_cause(case: Case, name: str, compared: list[Comparison], *, of_input: bool) -> str:
    """Try each suspicion in turn, the sharpest first, on a batch that shows more if the gradient is wrong there too."""
    if not name:
        return ""
    wrong = [c for c in compared if not c.agrees and c.move.name]
    smooth = [c for c in wrong if c.high - c.low <= c.bound]
    tied = [c for c in wrong if c.move.kind == "ties"]
    if tied and all(c.move.kind == "ties" for c in smooth) and not any(c.move.kind == "entry" for c in wrong):
        return "equal entries each get the whole gradient, which is theirs together"
    if not smooth:
        return "wrong at a kink only: the gradient lies outside of the two one-sided slopes"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if cause := _held_against(case, name):
            return cause
    others = {c.move.name for c in compared if not c.agrees} - {name, ""}
    return f"one parameter wrong: {name}" if not of_input and not others and len(case.layer().parameters()) > 1 else ""


def _held_against(case: Case, name: str) -> str:
    here = elsewhere = None
    plain = rich(case)
    for batch in dict.fromkeys((of_both_signs(plain), plain, case)):
        with suppress(ContractViolation):
            here = Evidence.gather(batch, name)
            if here.wrong.any():
                break
            elsewhere = here if elsewhere is None and batch is not case else elsewhere
    if here is None or not here.wrong.any():
        return ""
    if elsewhere is not None and here.case is case and elsewhere.right.any():  # Right for most input.
        return clipped(here) or range_between(here, elsewhere)
    for group in _SUSPICIONS:
        found = []
        for suspicion in group:
            with suppress(Exception):  # An experiment that the layer does not go along with.
                found.append(suspicion(here))
        if causes := list(filter(None, found)):
            return causes[0] if len(causes) == 1 else f"either {', or '.join(causes)}"
    return ""
