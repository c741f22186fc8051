"""Marking: each mark in turn, and what is said of it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from textwrap import indent
from typing import Any, TextIO

import numpy as np
from attrs import frozen

from minibackprop.errors import FileFormatError
from minibackprop.exercises.answer import RAISED, Answer, Miss, located, read, unfit
from minibackprop.exercises.exercise import Exercise, Mark, wrapped
from minibackprop.exercises.progress import record
from minibackprop.inspection.html import escaped, framed
from minibackprop.testing.violations import ContractViolation

#: So many lines of what a reader's code prints are shown for each mark.
_PRINTED = 20


@frozen
class Outcome:
    """What came of a mark: whether it is earned, and what is said; None where an earlier one is missed."""

    title: str
    earned: bool | None
    told: str = ""
    miss: Miss | None = None


@frozen(repr=False)
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

    __repr__ = __str__  # In a session, a result is read as it is printed.

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
        return Result(exercise, [Outcome("the file can be run", False, miss=miss), *_later(exercise.marks)])


def marked(exercise: Exercise, answer: Answer) -> Result:
    """Go through the marks, up to the first that is missed."""
    predicted = answer.names.get("prediction")
    outcomes = [Outcome("a prediction is made", True)]
    if predicted is None or predicted is Ellipsis or (isinstance(predicted, str) and not predicted.strip()):
        look = "a line `prediction = ...` with your answer, right or wrong"
        outcomes = [Outcome("a prediction is made", False, miss=Miss(exercise.question, look=look))]
    for number, each in enumerate(exercise.marks, 1):
        miss: Miss | None = None
        told = None
        try:
            with np.errstate(all="ignore"), redirect_stdout(_FewLines(sys.stdout)):
                told = each.check(answer)
        except Miss as error:
            miss = error
        except ContractViolation as error:
            miss = Miss(error.problem, error.cause)
        except RAISED as error:
            miss = located(error, answer.names) or unfit(error)
        outcomes.append(Outcome(each.title, miss is None, told or "", miss))
        if miss is not None:
            outcomes += _later(exercise.marks[number:])
            break
    full = all(outcome.earned for outcome in outcomes)
    return Result(exercise, outcomes, exercise.prediction.told(predicted) if full else "")


def _later(marks: Iterable[Mark]) -> list[Outcome]:
    return [Outcome(each.title, None) for each in marks]


class _FewLines(StringIO):
    """Lets the first lines through that a reader's code prints, which laws call many times."""

    def __init__(self, shown: TextIO) -> None:
        super().__init__()
        self.shown, self.lines = shown, 0

    def write(self, text: str, /) -> int:
        if self.lines < _PRINTED:
            self.shown.write(text)
            self.lines += text.count("\n")
            if self.lines >= _PRINTED:
                self.shown.write("(what your code prints from here on is not shown)\n")
        return len(text)

    def flush(self) -> None:
        self.shown.flush()
