"""``python -m minibackprop.exercises``: list exercises, copy a skeleton, mark it, look at a hint or a solution."""

from __future__ import annotations

import argparse
import io
import re
import runpy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from minibackprop.errors import ConfigError, FileFormatError
from minibackprop.exercises.classroom import written
from minibackprop.exercises.course import EXERCISES, named
from minibackprop.exercises.exercise import CALL, Exercise, wrapped
from minibackprop.exercises.marking import mark_file
from minibackprop.exercises.progress import progress, record

_FOLDER = Path("exercises")
_DESCRIPTION = """\
Exercises that mark themselves: backpropagation from the sigmoid to attention.

  python -m minibackprop.exercises              list them, and how far you are
  python -m minibackprop.exercises copy 1       put the skeleton of the first into your folder
  python -m minibackprop.exercises mark 1       mark what you have written
  python -m minibackprop.exercises hint 1       for when nothing comes to mind
  python -m minibackprop.exercises solution 1   for when nothing helps
  python -m minibackprop.exercises class DIR    mark a folder of such folders, one for each student
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; return 0, or 1 where something is missed or refused."""
    asked = _parser().parse_args(arguments)
    try:
        course = _course(asked.course)
        if asked.what == "list":
            return _list(course, asked)
        if asked.what == "class":
            print(written(course, Path(asked.which or "."), asked.course, asked.seconds, csv=asked.csv))
            return 0
        if asked.what == "mark" and asked.which is None:
            found = [exercise for exercise in course if _path(course, exercise, asked).is_file()]
            if not found:
                raise FileNotFoundError(f"no answer is in {asked.folder} yet; to begin: {_command(asked, 'copy 1')}")
            return max(_mark(course, exercise, asked) for exercise in found)
        exercise = _find(course, asked.which)
        if asked.what == "copy":
            return _copy(course, exercise, asked)
        if asked.what == "mark":
            return _mark(course, exercise, asked)
        print(
            "\n".join(wrapped(exercise.hint, 100))
            if asked.what == "hint"
            else _called(course, exercise, exercise.solution).rstrip()
        )
    except (ConfigError, FileFormatError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m minibackprop.exercises",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = ("list", "copy", "mark", "hint", "solution", "class")
    parser.add_argument("what", nargs="?", default="list", choices=choices, metavar="what", help=", ".join(choices))
    parser.add_argument("which", nargs="?", help="the number of an exercise, or its name; of class, the folder")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="your folder (default: exercises)")
    parser.add_argument("--course", type=Path, help="a file of Python with EXERCISES of your own")
    parser.add_argument("--seconds", type=float, default=60, help="class: how long one exercise may take (60)")
    parser.add_argument("--csv", action="store_true", help="class: comma-separated values, for a spreadsheet")
    return parser


def _course(path: Path | None) -> Sequence[Exercise]:
    if path is None:
        return EXERCISES
    found = runpy.run_path(str(path)).get("EXERCISES")
    if not isinstance(found, (list, tuple)) or not found or not all(isinstance(each, Exercise) for each in found):
        raise ConfigError(str(path), "to have a list EXERCISES of Exercise", type(found).__name__)
    names = [each.name for each in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(str(path), "to have exercises of different names", f"{', '.join(twice)} more than once")
    return found


def _find(course: Sequence[Exercise], which: str | None) -> Exercise:
    """Find an exercise by its number, its name, or the name of a file."""
    if which is not None and which.isdecimal() and 1 <= int(which) <= len(course):
        return course[int(which) - 1]
    return named(which and re.sub(r"^\d+_", "", Path(which).stem), course)


def _path(course: Sequence[Exercise], exercise: Exercise, asked: argparse.Namespace) -> Path:
    folder: Path = asked.folder
    return folder / exercise.file(course.index(exercise) + 1)


def _command(asked: argparse.Namespace, what: str) -> str:
    """Write down a command for the same course and the same folder."""
    parts = ["python -m minibackprop.exercises"]
    if asked.course is not None:
        parts.append(f"--course {shlex.quote(str(asked.course))}")
    if asked.folder != _FOLDER:
        parts.append(f"--folder {shlex.quote(str(asked.folder))}")
    return " ".join([*parts, what])


def _list(course: Sequence[Exercise], asked: argparse.Namespace) -> int:
    done = progress(asked.folder)
    width = max(len(exercise.name) for exercise in course)
    for number, exercise in enumerate(course, 1):
        so_far = done.get(exercise.name)
        told = f"   {so_far.earned} of {so_far.of}" if so_far else ""
        sign = "x" if so_far and so_far.earned == so_far.of else " "
        print(f"[{sign}] {number:2}  {exercise.name:{width}}  {exercise.title}{told}")
    if not done:
        print(f"\nThe first: {_command(asked, 'copy 1')}")
    return 0


def _called(course: Sequence[Exercise], exercise: Exercise, text: str) -> str:
    """Leave out the call of `mark` at the end of a file where `mark` knows no such name, or another one by it."""
    return text if course is EXERCISES else text.removesuffix(CALL.format(name=exercise.name))


def _copy(course: Sequence[Exercise], exercise: Exercise, asked: argparse.Namespace) -> int:
    path = _path(course, exercise, asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_called(course, exercise, exercise.skeleton))
    except FileExistsError:
        raise FileExistsError(f"{path} is there already, and stays as it is; move it away to begin anew") from None
    print(f"{exercise.title}.\n\n{exercise.task}\n\nPredict first: {exercise.question}")
    print(f"\nAll of this stands in {path}. Write your prediction and your code there, then:")
    print(_command(asked, f"mark {course.index(exercise) + 1}"))
    return 0


def _mark(course: Sequence[Exercise], exercise: Exercise, asked: argparse.Namespace) -> int:
    path = _path(course, exercise, asked)
    number = course.index(exercise) + 1
    if not path.exists():
        raise FileNotFoundError(f"there is no {path} yet; to begin: {_command(asked, f'copy {number}')}")
    folder = path.parent.absolute()  # An answer may change the working directory.
    result = mark_file(exercise, path)
    print(f"{result}\n")
    if result.full and number < len(course):
        print(f"The next: {_command(asked, f'copy {number + 1}')}\n")
    try:
        record(folder, exercise.name, result.earned, result.of)
    except (FileFormatError, OSError) as error:
        print(f"How far you are is not kept: {error}", file=sys.stderr)
    return 0 if result.full else 1


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # A line of the reader's may have letters that the terminal has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
