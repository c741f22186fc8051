"""What an exercise is: a solution with holes, a prediction to make first, a hint, and what it is marked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from attrs import field, frozen

from minibackprop.errors import ConfigError, describe

if TYPE_CHECKING:
    from minibackprop.exercises.answer import Answer

#: What stands between these lines of a solution is what the reader writes; nbgrader has the same marks.
_HOLE = re.compile(r"^( *)### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION\n", re.DOTALL | re.MULTILINE)
#: The end of a reader's file, which marks itself when it is run.
CALL = """

if __name__ == "__main__":
    from minibackprop.exercises import mark

    print(mark("{name}", globals()))
"""


@frozen
class Prediction:
    """
    A question to be answered before any code is written; what counts is that there is an answer.

    Attributes
    ----------
    question : str
        One or two plain sentences.
    answer : float or str
        What is right: a number, or one of the words that the question names.
    because : str
        Why, in a sentence or two: shown beside the reader's own answer, once all marks are earned.

    Examples
    --------
    >>> Prediction("How steep is the sigmoid at most?", 0.25, "At l = 1/2, l (1 - l) is largest.").told(0.5)
    'You predicted 0.5. It is 0.25. At l = 1/2, l (1 - l) is largest.'
    """

    question: str
    answer: float | str = field(repr=False)
    because: str = field(repr=False)

    def told(self, predicted: object) -> str:
        """Set a prediction beside what is right."""
        if self.fits(predicted):
            return f"You predicted {predicted!r}, and so it is. {self.because}"
        return f"You predicted {predicted!r}. It is {self.answer!r}. {self.because}"

    def fits(self, predicted: object) -> bool:
        """Tell whether a prediction is right: a word by its letters, a number to within a twentieth."""
        if isinstance(self.answer, str):
            return self.answer.lower() in re.findall(r"\w+", str(predicted).lower())
        try:
            number = float(Fraction(predicted)) if isinstance(predicted, str) else float(predicted)  # type: ignore[arg-type]
        except (TypeError, ValueError, ArithmeticError):
            return False
        return abs(number - self.answer) <= abs(self.answer) / 20


@frozen
class Mark:
    """
    One thing that an answer is marked for.

    Attributes
    ----------
    title : str
        What holds where it is earned, in a few words.
    check : callable
        Takes the `Answer`, and raises a `Miss`, or the `ContractViolation` of a check, where it is not. It may return a
        line to show where it is.
    """

    title: str
    check: Callable[[Answer], str | None]


def _as_source(source: str | Path) -> str:
    return source.read_text(encoding="utf-8") if isinstance(source, Path) else source


def _as_marks(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    return tuple(marks)


@frozen
class Exercise:
    """
    An exercise: everything that the skeleton, the pages and the marker are made of.

    Parameters
    ----------
    name : str
        One word, as in names of files.
    title : str
    source : str or Path
        The solution, as Python, or where it is. Its docstring is the task, in Markdown. What is between the lines
        ``### BEGIN SOLUTION`` and ``### END SOLUTION`` is what the reader writes.
    prediction : Prediction
    hint : str
        What to unfold if nothing comes to mind.
    marks : sequence of Mark
        In the order in which they are looked at; what one takes for granted, an earlier one has made sure of.

    Raises
    ------
    ConfigError
        If the source is not Python, has no docstring, or no hole.

    Examples
    --------
    >>> source = '''
    ... 'Write a function.'
    ... def double(x):
    ...     ### BEGIN SOLUTION
    ...     return 2 * x
    ...     ### END SOLUTION
    ... '''
    >>> double = Exercise("double", "Twice as much", source, Prediction("Twice 2?", 4, "2 + 2."), "Two of them.", [])
    >>> double.task
    'Write a function.'
    >>> print(double.code)
    def double(x):
        # Your code here.
        raise NotImplementedError("your code")
    """

    name: str
    title: str
    source: str = field(converter=_as_source, repr=False)
    prediction: Prediction
    hint: str = field(repr=False)
    marks: tuple[Mark, ...] = field(converter=_as_marks, repr=False)

    def __attrs_post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise ConfigError("Exercise: name", "one word, as in names of files", repr(self.name))
        if not isinstance(self.prediction, Prediction):
            raise ConfigError(f"Exercise {self.name}: prediction", "a Prediction", describe(self.prediction))
        try:
            documented = ast.get_docstring(ast.parse(self.source))
        except SyntaxError as error:
            raise ConfigError(f"Exercise {self.name}: source", "Python", str(error)) from error
        if not documented:
            raise ConfigError(f"Exercise {self.name}: source", "a docstring, which is the task")
        holes = len(_HOLE.findall(self.source))
        begun, ended = self.source.count("### BEGIN SOLUTION"), self.source.count("### END SOLUTION")
        if not holes == begun == ended or not holes:  # Otherwise a piece of the solution stays in the skeleton.
            raise ConfigError(
                f"Exercise {self.name}: source",
                "lines ### BEGIN SOLUTION, each with ### END SOLUTION on a line after it, indented by spaces",
                f"{begun} and {ended} of them, which make {holes} holes",
            )

    @property
    def question(self) -> str:
        """The question to answer first, as a sentence."""
        return self.prediction.question[:1].upper() + self.prediction.question[1:]

    def file(self, number: int) -> str:
        """Give the name of a reader's file, for the number of the exercise in its course."""
        return f"{number:02}_{self.name}.py"

    @property
    def task(self) -> str:
        """The task, as Markdown."""
        return ast.get_docstring(ast.parse(self.source)) or ""

    @property
    def code(self) -> str:
        """The code that the reader is given, with holes in it."""
        return _HOLE.sub(r'\1# Your code here.\n\1raise NotImplementedError("your code")\n', self._body).strip()

    @property
    def solved(self) -> str:
        """The code without holes."""
        return _HOLE.sub(r"\2", self._body).strip()

    @property
    def skeleton(self) -> str:
        """The file that the reader is given."""
        return self._file(self.code, "None")

    @property
    def solution(self) -> str:
        """The file as it may look at the end."""
        return self._file(self.solved, repr(self.prediction.answer))

    @property
    def _body(self) -> str:
        """What comes after the docstring."""
        docstring = ast.parse(self.source).body[0]
        assert docstring.end_lineno is not None
        return "".join(self.source.splitlines(keepends=True)[docstring.end_lineno :])

    def _file(self, code: str, predicted: str) -> str:
        quotes = "'''" if '"""' in self.task else '"""'
        raw = "r" if "\\" in self.task + self.title else ""
        question = "\n".join(f"# {line}" for line in wrapped(f"Predict first: {self.prediction.question}", 100))
        head = f"{raw}{quotes}\n{self.title}.\n\n{self.task}\n{quotes}\n\n{question}\nprediction = {predicted}\n\n"
        return head + code + "\n" + CALL.format(name=self.name)


def wrapped(text: str, width: int) -> list[str]:
    """Break text into lines, each paragraph of it by itself."""
    return [line for paragraph in text.splitlines() for line in wrap(paragraph, width) or [""]]
