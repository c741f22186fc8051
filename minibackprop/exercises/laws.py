"""Laws of the layer contract, as marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer, Miss, located
from minibackprop.exercises.exercise import Mark
from minibackprop.testing.checks.layer import check_layer
from minibackprop.testing.laws.contract import ALL
from minibackprop.testing.strategies.cases import Inputs
from minibackprop.testing.violations import ContractViolation

#: What is looked at first: that there are gradients at all, and that they are those of forward.
GRADIENTS = ("shapes", "gradients add", "input gradient", "parameter gradient")


def gradients(make: Callable[[Answer], Layer], inputs: Inputs, look: Mapping[str, str], **options: Any) -> Mark:
    """
    Mark that the gradients are those of `forward`, by finite differences.

    Parameters
    ----------
    make : callable
        Makes a layer of the answer.
    inputs : tuple of int or strategy
        As of `check_layer`.
    look : dict
        What to look at, by the name of the law that is broken, or by words of the cause.
    **options
        More options of `check_layer`.
    """
    laws = [law for law in ALL if law.name in GRADIENTS]
    return Mark("the gradients are those of forward", _checked(make, inputs, look, {**options, "laws": laws}))


def other_laws(make: Callable[[Answer], Layer], inputs: Inputs, look: Mapping[str, str], **options: Any) -> Mark:
    """Mark that all other laws hold; arguments as of `gradients`."""
    laws = [law for law in ALL if law.name not in GRADIENTS]
    return Mark("the other laws of a layer hold", _checked(make, inputs, look, {**options, "laws": laws}))


def _checked(
    make: Callable[[Answer], Layer], inputs: Inputs, look: Mapping[str, str], options: Mapping[str, Any]
) -> Callable[[Answer], str]:
    def check(answer: Answer) -> str:
        make(answer)  # Here an error is the reader's own; below it is one more broken law.
        try:
            report = check_layer(lambda: make(answer), inputs, **options)
        except ContractViolation as violation:
            names = [law.name for law in options["laws"] if law.name not in options.get("without", {})]
            raise missed(violation, answer, look, names) from violation
        return f"{len(report.kept)} laws: {', '.join(report.kept)}"

    return check


def missed(violation: ContractViolation, answer: Answer, look: Mapping[str, str], laws: list[str]) -> Miss:
    """Make a miss of a violation: what was seen, the cause, what holds, what to look at."""
    if violation.__cause__ is not None and not isinstance(violation.__cause__, ContractViolation):
        try:
            own = located(violation.__cause__, answer.names)
        except Exception:  # Not in the reader's code.
            own = None
        if own and "still missing" in own.problem:
            return own
    says = next((law.says for law in ALL if law.name == violation.law), violation.says)
    held = laws[: laws.index(violation.law)] if violation.law in laws else []
    parts = [f"broken law: {violation.law}" + (f" ({says})" if says else ""), violation.problem, violation.evidence]
    parts.append(f"these hold: {', '.join(held)}" if held else "")
    told = [text for words, text in look.items() if words == violation.law or words in violation.cause]
    return Miss("\n".join(filter(None, parts)), violation.cause, told[0] if told else "")
