"""Laws of the contracts of layers and losses, as marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer, Miss, located
from minibackprop.exercises.exercise import Mark
from minibackprop.losses.base import Loss
from minibackprop.testing.checks.layer import check_layer
from minibackprop.testing.checks.loss import Predictions, check_loss
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.contract import ALL
from minibackprop.testing.laws.losses import LOSS_LAWS
from minibackprop.testing.report import Report
from minibackprop.testing.strategies.cases import Inputs
from minibackprop.testing.violations import ContractViolation

#: What is looked at first: that there are gradients at all, and that they are those of forward.
GRADIENTS = ("shapes", "gradients add", "input gradient", "parameter gradient")
#: The same of losses.
LOSS_GRADIENT = ("value", "gradient")
#: Of more laws that hold, only the number is told.
_NAMED = 6
#: Laws that no exercise speaks of: an array of zeros that `np.zeros` made, say, is a right answer.
NOT_TAUGHT = {
    "dtype": "only float64 is taught: what np.zeros and np.sqrt make is right",
    "other arrays": "only NumPy's arrays are taught, not those of a GPU",
}


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
    return Mark("the gradients are those of forward", _checked(check_layer, make, inputs, look, laws, options))


def other_laws(make: Callable[[Answer], Layer], inputs: Inputs, look: Mapping[str, str], **options: Any) -> Mark:
    """Mark that all other laws hold; arguments as of `gradients`."""
    laws = [law for law in ALL if law.name not in GRADIENTS]
    return Mark("the other laws of a layer hold", _checked(check_layer, make, inputs, look, laws, options))


def loss_gradient(
    make: Callable[[Answer], Loss], predictions: Predictions, look: Mapping[str, str], **options: Any
) -> Mark:
    """
    Mark that the gradient of a loss is that of `forward`, by finite differences.

    Parameters
    ----------
    make : callable
        Makes a loss of the answer.
    predictions : tuple of int or strategy
        As of `check_loss`.
    look : dict
        What to look at, by the name of the law that is broken, or by words of the cause.
    **options
        More options of `check_loss`.
    """
    laws = [law for law in LOSS_LAWS if law.name in LOSS_GRADIENT]
    return Mark("the gradient is that of forward", _checked(check_loss, make, predictions, look, laws, options))


def other_loss_laws(
    make: Callable[[Answer], Loss], predictions: Predictions, look: Mapping[str, str], **options: Any
) -> Mark:
    """Mark that all other laws of a loss hold; arguments as of `loss_gradient`."""
    laws = [law for law in LOSS_LAWS if law.name not in LOSS_GRADIENT]
    return Mark("the other laws of a loss hold", _checked(check_loss, make, predictions, look, laws, options))


def _checked(
    check: Callable[..., Report],
    make: Callable[[Answer], object],
    inputs: object,
    look: Mapping[str, str],
    laws: Sequence[Law],
    options: Mapping[str, Any],
) -> Callable[[Answer], str]:
    without = options.get("without", {})
    options = {name: value for name, value in options.items() if name != "without"}
    laws = [law for law in laws if law.name not in without]

    def run(answer: Answer, laws: Sequence[Law], **more: Any) -> Report:
        return check(lambda: make(answer), inputs, laws=laws, **{**options, **more})

    def checked(answer: Answer) -> str:
        make(answer)  # Here an error is the reader's own; below it is one more broken law.
        try:
            report = run(answer, laws)
        except ContractViolation as violation:
            names = [law.name for law in laws]
            number = names.index(violation.law) if violation.law in names else len(laws)
            says = laws[number].says if number < len(laws) else violation.says
            held: list[str] = []
            if number:  # The earlier ones hold; which of them bind this layer, one example tells.
                with suppress(ContractViolation):
                    held = [law for law in run(answer, laws[:number], examples=1, shrink=False).kept if law in names]
            raise _missed(violation, answer, look, says, held) from violation
        kept = f"{len(report.kept)} laws"
        return kept if len(report.kept) > _NAMED else f"{kept}: {', '.join(report.kept)}"

    return checked


def _missed(
    violation: ContractViolation, answer: Answer, look: Mapping[str, str], says: str, held: Sequence[str]
) -> Miss:
    """Make a miss of a violation: what was seen, the cause, what holds, what to look at."""
    own = located(violation.__cause__, answer.names) if violation.__cause__ else None
    if own and own.of_python:
        own.look = look.get(violation.law, "") if violation.law != "shapes" else ""
        return own
    seen = [own.problem] if own else [violation.problem, violation.evidence]
    parts = [f"broken law: {violation.law}" + (f" ({says})" if says else ""), *seen]
    parts.append(f"these hold: {', '.join(held)}" if held else "")
    told = [text for words, text in look.items() if words == violation.law or words in violation.cause]
    return Miss("\n".join(filter(None, parts)), violation.cause, told[0] if told else "")
