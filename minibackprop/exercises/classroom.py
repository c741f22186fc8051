"""Marking a class: a folder with a folder of answers for each student."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from csv import writer
from pathlib import Path
from tempfile import TemporaryDirectory

from minibackprop.errors import ConfigError
from minibackprop.exercises.exercise import Exercise

_ONE = """
import json, os, runpy, sys
from pathlib import Path
from minibackprop.exercises import EXERCISES
from minibackprop.exercises.marking import mark_file

name, answer, to, course = sys.argv[1:]
course = runpy.run_path(course)["EXERCISES"] if course else EXERCISES
os.chdir(Path(to).parent)
result = mark_file(next(each for each in course if each.name == name), Path(answer))
Path(to).write_text(json.dumps([result.earned, result.of]))
"""


def written(
    course: Sequence[Exercise], folder: Path, course_file: Path | None = None, seconds: float = 60, *, csv: bool = False
) -> str:
    """
    Mark each student's answers, each in a process of its own, and write a table of them.

    Parameters
    ----------
    course : sequence of Exercise
    folder : Path
        Has a folder for each student, with files of the names that ``copy`` gives them.
    course_file : Path, optional
        Where `course` comes from, if it is not the one that ships with the package.
    seconds : float
        How long one exercise may take; then it is stopped.
    csv : bool
        Whether to separate by commas, for a spreadsheet.

    Raises
    ------
    ConfigError
        If the folder has no folder in it, or no time is left for an exercise.
    """
    if not seconds > 0:
        raise ConfigError("class: seconds", "above 0", f"{seconds:g}")
    students = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not students:
        raise ConfigError(str(folder), "to have a folder for each student", "none")
    handed_in = [
        (number, exercise)
        for number, exercise in enumerate(course, 1)
        if any((student / exercise.file(number)).is_file() for student in students)
    ]
    rows = [["student", *(exercise.name for _, exercise in handed_in)]]
    for student in students:
        cells = [
            _marks(exercise, student / exercise.file(number), course_file, seconds) for number, exercise in handed_in
        ]
        rows.append([student.name, *cells])
    if csv:
        table = io.StringIO()
        writer(table, lineterminator="\n").writerows(rows)
        return table.getvalue().rstrip("\n")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _marks(exercise: Exercise, answer: Path, course_file: Path | None, seconds: float) -> str:
    """Mark one answer: "3 of 4", or what became of it."""
    if not answer.is_file():
        return "-"
    if not os.access(answer, os.R_OK):
        return "unreadable"
    with TemporaryDirectory() as empty:
        to = Path(empty) / "marks.json"
        course = str(course_file.resolve()) if course_file else ""
        command = [sys.executable, "-c", _ONE, exercise.name, str(answer.resolve()), str(to), course]
        try:
            subprocess.run(
                command,
                cwd=None if course_file else empty,  # A course may read files beside it, as the command line did.
                timeout=seconds,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # A pipe would be held open by a process that an answer leaves behind.
                stderr=subprocess.DEVNULL,
            )
            earned, of = json.loads(to.read_text(encoding="utf-8"))
        except subprocess.TimeoutExpired:
            return f"over {seconds:g} s"
        except (subprocess.CalledProcessError, OSError, ValueError):
            return "died"
    return f"{earned} of {of}"
