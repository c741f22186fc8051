"""The search for a broken law: cases drawn by Hypothesis, laws put to them, and a report of what was shown."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as fixed_seed
from hypothesis.errors import FlakyFailure, HypothesisException, Unsatisfiable
from hypothesis.strategies import SearchStrategy

from minibackprop.errors import ConfigError
from minibackprop.testing.case import Case, Power
from minibackprop.testing.laws.base import Law
from minibackprop.testing.report import Report
from minibackprop.testing.violations import ContractViolation, Inconclusive
from minibackprop.validation import is_integer

#: Of layers that are drawn, a parameter that few of them have may have been unlucky in all of these.
_FEW = 4

#: A draw counts where an error of this size, relative to the gradient, would have shown.
ENOUGH = 1e-3


def configured(examples: int | None, *, shrink: bool = True) -> settings:
    """Make the settings for a search; by default of a fifth as many examples as the user's profile has."""
    if examples is None:
        assert settings.default is not None
        examples = max(1, settings.default.max_examples // 5)
    if not is_integer(examples) or examples < 1:
        raise ConfigError("examples", "a positive integer", repr(examples))
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
    )


def search(cases: SearchStrategy[Case], laws: Sequence[Law], chosen: settings, seed: int) -> Report:
    """
    Put the laws to as many cases as the settings say.

    Raises
    ------
    ContractViolation
        Of the first law, in their order, that any case breaks: it tells best what is wrong.
    """
    if not is_integer(seed):
        raise ConfigError("seed", "an integer", repr(seed))
    report = Report()
    rare: Counter[tuple[str, str]] = Counter()
    kept: set[str] = set()
    broken: list[tuple[int, ContractViolation, Case]] = []

    def run(case: Case) -> None:
        # Once a law is found to be broken, only earlier ones matter.
        for number, law in enumerate(laws[: broken[-1][0] if broken else None]):
            try:
                if reason := law.lifted(case):
                    report.lifted[law.name] = reason
                    continue
                kept.add(law.name)
                _enter(report, law, case, _put(law, case), rare)
            except ContractViolation as violation:
                broken.append((number, violation, case))
                return

    _run(cases, run, chosen, seed)
    if broken:
        number, violation, case = broken[-1]
        if Phase.shrink in chosen.phases:
            violation, case = _smaller(cases, laws[number], chosen, seed) or (violation, case)
        raise _complete(violation, laws[number], case) from violation.__cause__
    report.kept = [law.name for law in laws if law.name in kept]
    report.lifted = {name: reason for name, reason in report.lifted.items() if name not in kept}
    for name, found in report.power.items():
        require_power(name, {what: power for what, power in found.items() if not 0 < rare[name, what] < _FEW})
    return report


def _smaller(
    cases: SearchStrategy[Case], law: Law, chosen: settings, seed: int
) -> tuple[ContractViolation, Case] | None:
    """Let Hypothesis shrink the example; None if the violation is not seen again, as of a layer with random values."""
    seen: list[Case] = []

    def run(case: Case) -> None:
        if not law.lifted(case):
            seen.append(case)
            _put(law, case)

    try:
        _run(cases, run, chosen, seed)
    except ContractViolation as violation:
        return violation, seen[-1]
    except FlakyFailure:
        return None
    return None


def _run(cases: SearchStrategy[Case], run: Callable[[Case], None], chosen: settings, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of empty batches, say, which are drawn on purpose.
        try:
            fixed_seed(seed)(chosen(given(cases)(run)))()
        except Unsatisfiable as error:
            raise ConfigError("inputs", "a strategy that draws batches of at least one sample", "none") from error


def _enter(report: Report, law: Law, case: Case, power: object, rare: Counter[tuple[str, str]]) -> None:
    """Enter what a law could have found; the best case counts. Count how often drawn layers have each parameter."""
    if power is None:
        return
    if not isinstance(power, Mapping) or not all(isinstance(value, float) for value in power.values()):
        raise ConfigError(f"the law {law.name}", "to return None, or floats by name", repr(power))
    found = report.power.setdefault(law.name, {})
    for name, smallest in power.items():
        key = name.rpartition(".")[2] if case.varied else name
        rare[law.name, key] += case.varied
        found[key] = float(np.fmin(found.get(key, np.nan), smallest))


def require_power(law: str, power: Power) -> None:
    """Require that a wrong gradient would have shown in at least one case."""
    for name, smallest in power.items():
        if not smallest <= ENOUGH:
            what = "the input" if name == "input" else name
            reason = (
                "in none could finite differences tell it: rounding, overflow or jumps drowned them"
                if np.isnan(smallest)
                else "in each it was zero, or too small to tell from zero"
            )
            raise Inconclusive(f"the examples say nothing of the gradient of {what}: {reason}", law=law)


def _put(law: Law, case: Case) -> Power | None:
    """Put a law to a case; whatever is raised in it becomes a violation."""
    try:
        return law.check(case)
    except (ContractViolation, ConfigError, HypothesisException):
        raise
    except AssertionError as error:
        raise ContractViolation(str(error) or "an assertion of the law fails") from error
    except Exception as error:
        raise ContractViolation(f"{type(error).__name__} while this law was checked: {error}") from error


def _complete(violation: ContractViolation, law: Law, case: Case) -> ContractViolation:
    """Add the law and the code, and take off what Hypothesis noted."""
    violation.law = law.name
    with contextlib.suppress(Exception):  # What is wrong with the layer may stand in the way of writing it down.
        violation.example = violation.example or case.code()
    violation.__notes__ = []
    return violation.with_traceback(None)
