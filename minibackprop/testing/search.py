"""The search for a broken law: Hypothesis draws cases, laws are checked for them, a report says what was shown."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from zlib import crc32

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, core, given, reject, settings
from hypothesis import seed as fixed_seed
from hypothesis.errors import FlakyFailure, HypothesisException, Unsatisfiable
from hypothesis.strategies import SearchStrategy

from minibackprop.errors import ConfigError
from minibackprop.testing.calls import gradient_of
from minibackprop.testing.case import Case, Draft, Power
from minibackprop.testing.laws.base import Law
from minibackprop.testing.report import Coverage, Report
from minibackprop.testing.violations import ENOUGH, ContractViolation, Inconclusive
from minibackprop.validation import is_integer, shortened

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

#: What is drawn: cases, or what they are made of where to make one takes long.
Drawn = Case | Draft

#: Where layers are drawn, a parameter that fewer of them have may have shown nothing by bad luck.
_ENOUGH_LAYERS = 4

#: For at least so many examples each law is checked.
_ENOUGH_EXAMPLES = 10


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


def seeded(seed: int | None) -> int:
    """Choose the seed: the one that is given, else that of ``pytest --hypothesis-seed``, else 0."""
    if seed is not None:
        if not is_integer(seed) or seed < 0:
            raise ConfigError("seed", "an integer of at least 0, or None", shortened(seed))
        return int(seed)
    of_all = core.global_force_seed  # Text is a seed for Hypothesis as well.
    return 0 if of_all is None else of_all if is_integer(of_all) and of_all >= 0 else crc32(str(of_all).encode())


def search(cases: SearchStrategy[Drawn], laws: Sequence[Law], chosen: settings, seed: int | None) -> Report:
    """
    Check the laws for as many cases as the settings say.

    Raises
    ------
    ContractViolation
        Of the first law, in their order, that any case breaks: that one says best what is wrong.
    """
    seed = seeded(seed)
    report, coverage = Report(), Coverage()
    rare: Counter[tuple[str, str]] = Counter()
    kept: Counter[str] = Counter()
    enough = max(chosen.max_examples // 2, _ENOUGH_EXAMPLES)
    looked_at: set[int] = set()
    broken: list[tuple[int, ContractViolation, Case]] = []

    def run(drawn: Drawn) -> None:
        _require_another(drawn, looked_at)
        case = _made(drawn)
        looked_at.add(case.seed)
        # Once a law is found to be broken, only earlier ones matter.
        for number, law in enumerate(laws[: broken[-1][0] if broken else None]):
            if not law.each_time and kept[law.name] >= enough:
                continue
            try:
                if reason := law.lifted(case):
                    report.lifted[law.name] = reason
                    continue
                kept[law.name] += 1
                _record_power(report, law, case, _check(law, case), rare)
            except ContractViolation as violation:
                broken.append((number, violation, case))
                return
            except ConfigError:  # Hypothesis makes the same example again, to see the same error.
                looked_at.discard(case.seed)
                raise
        if not broken:
            coverage.see(case)

    _run(cases, run, chosen, seed)
    if broken:
        number, violation, case = broken[-1]
        if Phase.shrink in chosen.phases and (shrunk := _shrunk(cases, laws[number], chosen, seed)):
            first, (violation, case) = violation, shrunk
            if not case.any_input and _subject(first) == _subject(violation):
                # No other batch can be made for it, and a small one shows less.
                violation.cause = first.cause or violation.cause
        raise _complete(violation, laws[number], case) from violation.__cause__
    report.kept = [law.name for law in laws if law.name in kept]
    report.covered = coverage.told()
    report.lifted = {name: reason for name, reason in report.lifted.items() if name not in kept}
    for name, found in report.power.items():
        require_power(name, {what: power for what, power in found.items() if not 0 < rare[name, what] < _ENOUGH_LAYERS})
    return report


def _subject(violation: ContractViolation) -> str:
    return violation.problem.partition(", in ")[0]


def _shrunk(
    cases: SearchStrategy[Drawn], law: Law, chosen: settings, seed: int
) -> tuple[ContractViolation, Case] | None:
    """Let Hypothesis shrink the example; return None if the violation does not occur again, as with random values."""
    seen: list[Case] = []
    looked_at: set[int] = set()
    causes: list[str | Callable[[], str]] = []

    def run(drawn: Drawn) -> None:
        if not causes:
            _require_another(drawn, looked_at)
        case = _made(drawn)
        looked_at.add(case.seed)
        if law.lifted(case):
            return
        seen.append(case)
        try:
            _check(law, case)
        except ContractViolation as violation:
            causes.append(violation._cause)  # Experiments are for the last; Hypothesis prints others, too.
            violation._cause = ""
            raise

    try:
        _run(cases, run, chosen, seed)
    except ContractViolation as violation:
        violation._cause = causes[-1]
        return violation, seen[-1]
    except FlakyFailure:
        return None
    return None


def _require_another(drawn: Drawn, looked_at: set[int]) -> None:
    """Skip an example that repeats the random numbers of an earlier one, as most of Hypothesis' mutations do."""
    if drawn.seed in looked_at:
        reject()


def _made(drawn: Drawn) -> Case:
    return drawn.case() if isinstance(drawn, Draft) else drawn


def _run(cases: SearchStrategy[Drawn], run: Callable[[Drawn], None], chosen: settings, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of empty batches, say, which are drawn on purpose.
        try:
            fixed_seed(seed)(chosen(given(cases)(run)))()
        except Unsatisfiable as error:
            raise ConfigError("inputs", "a strategy that draws batches of at least one sample", "none") from error


def _record_power(report: Report, law: Law, case: Case, power: object, rare: Counter[tuple[str, str]]) -> None:
    """Record what a law could have found in the best case, and how often drawn layers have each parameter."""
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
            reason = (
                "in none could finite differences measure it: rounding, overflow or jumps drowned it"
                if np.isnan(smallest)
                else "in each it was zero, or too small to tell from zero"
            )
            raise Inconclusive(f"the examples say nothing about {gradient_of(name)}: {reason}", law=law)


def _check(law: Law, case: Case) -> Power | None:
    """Check a law for a case; whatever it raises becomes a violation."""
    try:
        return law.check(case)
    except (ContractViolation, ConfigError, HypothesisException):
        raise
    except AssertionError as error:
        raise ContractViolation(str(error) or "an assertion of the law fails") from error
    except Exception as error:
        raise ContractViolation(f"{type(error).__name__} while this law was checked: {error}") from error


def _complete(violation: ContractViolation, law: Law, case: Case) -> ContractViolation:
    """Add the law, the cause and the code, and remove the notes of Hypothesis."""
    violation.law, violation.cause = law.name, violation.cause
    if not str(getattr(law.check, "__module__", "")).startswith(f"{__package__}."):  # Those of the kit are in the docs.
        violation.says = law.says
    with contextlib.suppress(Exception):  # What is wrong with the layer may prevent writing it down.
        violation.example = violation.example or case.code()
        if law.name == "parameter gradient":
            violation.example += "\ngrads = {name: parameter.grad for name, parameter in layer.named_parameters()}"
    violation.__notes__ = []
    if violation.__cause__ is not None:
        violation.__cause__.__traceback__ = _of_the_user(violation.__cause__.__traceback__)
    return violation.with_traceback(None)


def _of_the_user(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out how the kit came to call what raised an error, unless that is all there is."""
    rest = traceback
    while rest is not None and rest.tb_frame.f_globals.get("__name__", "").startswith(f"{__package__}."):
        rest = rest.tb_next
    return rest or traceback
