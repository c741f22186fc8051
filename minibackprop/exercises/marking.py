"""Marking: each mark in turn, and what is said of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
from attrs import frozen

from minibackprop.errors import FileFormatError
from minibackprop.exercises.answer import RAISED, Answer, Miss, located, read, unfit
from minibackprop.exercises.exercise import Exercise, wrapped
from minibackprop.exercises.progress import record
from minibackprop.inspection.html import escaped, framed
from minibackprop.testing.violations import ContractViolation


@frozen
class Outcome:
    """What came of a mark: whether it is earned, and what is said; None where an earlier one is missed."""

    title: str
    earned: bool | None
    told: str = ""
    miss: Miss | None = None


@frozen
class Result:
    """
    What came of an exercise.

    Attributes
    ----------
    exercise : Exercise
    outcomes : list of Outcome
        One for each mark.
    told : str
        The prediction beside what is right, once all marks are earned.
    """

    exercise: Exercise
    outcomes: list[Outcome]
    told: str = ""

    @property
    def earned(self) -> int:
        """How many marks are earned."""
        return sum(outcome.earned is True for outcome in self.outcomes)

    @property
    def of(self) -> int:
        """How many there are."""
        return len(self.outcomes)

    @property
    def full(self) -> bool:
        """Whether all of them are."""
        return self.earned == self.of

    def __str__(self) -> str:
        lines = [f"{self.exercise.title}: {self.earned} of {self.of}", ""]
        for outcome in self.outcomes:
            word = {True: "earned", False: "missed", None: "later "}[outcome.earned]
            lines.append(f"  {word}  {outcome.title}")
            told = "\n".join(line for text in _told(outcome) for line in _lines(text))
            lines += [indent(told, " " * 10)] if told else []
        return "\n".join([*lines, "", *wrapped(self.told, 100)] if self.told else lines)

    def _repr_html_(self) -> str:
        """Make a list for a notebook."""
        parts = [f"<b>{escaped(self.exercise.title)}: {self.earned} of {self.of}</b>"]
        for outcome in self.outcomes:
            sign = {True: "&#10003;", False: "&#10007;", None: "&hellip;"}[outcome.earned]
            shown = "".join(f"<pre>{escaped(text)}</pre>" for text in _told(outcome))
            kind = ' class="wrong"' if outcome.earned is False else ""
            parts.append(f"<div{kind}>{sign} {escaped(outcome.title)}{shown}</div>")
        return framed("".join(parts) + (f"<div>{escaped(self.told)}</div>" if self.told else ""))


def _lines(text: str) -> list[str]:
    """Break sentences into lines; tables of numbers stay as they are."""
    return [line for each in text.splitlines() for line in ([each] if each.startswith("    ") else wrapped(each, 100))]


def _told(outcome: Outcome) -> list[str]:
    miss = outcome.miss
    if miss is None:
        return [outcome.told] if outcome.told else []
    named = [("cause", miss.cause), ("look at", miss.look)]
    return [miss.problem, *(f"{name}: {text}" for name, text in named if text)]


def mark(exercise: str | Exercise, names: Mapping[str, Any]) -> Result:
    """
    Mark an exercise, from within the reader's own file or notebook.

    Parameters
    ----------
    exercise : str or Exercise
        The name of one that ships with the package, or one of your own.
    names : dict
        What the reader wrote: ``globals()``. If it was written in a file, progress is kept beside that.

    Returns
    -------
    Result
        Prints as the list of marks; a notebook shows it as HTML.

    Raises
    ------
    ConfigError
        If there is no exercise of that name.

    Examples
    --------
    >>> def sigmoid(x):
    ...     return 1 / (1 + np.exp(x))
    >>> def slope(l):
    ...     return l * (1 - l)
    >>> print(mark("sigmoid", {"sigmoid": sigmoid, "slope": slope, "prediction": 0.5}))
    The sigmoid and its slope: 1 of 4
    <BLANKLINE>
      earned  a prediction is made
      missed  sigmoid(x) is 1 / (1 + e^-x)
    ...
    """
    if not isinstance(exercise, Exercise):
        from minibackprop.exercises.course import named

        exercise = named(exercise)
    result = marked(exercise, Answer(names))
    if isinstance(file := names.get("__file__"), str) and Path(file).suffix == ".py":
        try:
            record(Path(file).parent, exercise.name, result.earned, result.of)
        except (FileFormatError, OSError) as error:
            warnings.warn(f"how far you are is not kept: {error}", stacklevel=2)
    return result


def mark_file(exercise: Exercise, path: Path) -> Result:
    """Mark what is in a file."""
    try:
        return marked(exercise, read(path))
    except Miss as miss:
        first, *rest = [_predicted_title(), *(each.title for each in exercise.marks)]
        return Result(exercise, [Outcome(first, False, miss=miss), *(Outcome(title, None) for title in rest)])


def marked(exercise: Exercise, answer: Answer) -> Result:
    """Go through the marks, up to the first that is missed."""
    predicted = answer.names.get("prediction")
    outcomes = [Outcome(_predicted_title(), True)]
    if predicted is None or predicted is Ellipsis:
        look = "the line `prediction = None`: any answer counts, right or wrong"
        outcomes = [Outcome(_predicted_title(), False, miss=Miss(exercise.question, look=look))]
    missed = False
    for each in exercise.marks:
        if missed:
            outcomes.append(Outcome(each.title, None))
            continue
        miss: Miss | None = None
        told = None
        try:
            with np.errstate(all="ignore"):
                told = each.check(answer)
        except Miss as error:
            miss = error
        except ContractViolation as error:
            miss = Miss(error.problem, error.cause)
        except RAISED as error:
            miss = located(error, answer.names) or unfit(error)
        missed = miss is not None
        outcomes.append(Outcome(each.title, not missed, told or "", miss))
    full = all(outcome.earned for outcome in outcomes)
    return Result(exercise, outcomes, exercise.prediction.told(predicted) if full else "")


def _predicted_title() -> str:
    return "a prediction is made"
