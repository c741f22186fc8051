"""All exercises: solutions get full marks, skeletons none, and each wrong answer is told what leads to the mend."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

from docs import exercise_pages
from minibackprop.exercises import EXERCISES, Exercise, Result
from minibackprop.exercises.course import named
from minibackprop.exercises.marking import mark_file
from tests.exercises.right import RIGHT
from tests.exercises.wrong.wrong_answer import Wrong
from tests.test_code_width import too_wide

WRONG = [
    pytest.param(exercise, wrong, id=f"{exercise.name}-{wrong.slip.replace(' ', '-')}")
    for exercise in EXERCISES
    for wrong in import_module(f"tests.exercises.wrong.{exercise.name}").WRONG
]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_solutions_reach_full_marks(exercise: Exercise, tmp_path: Path) -> None:
    """With the right prediction in them."""
    path = tmp_path / "answer.py"
    path.write_text(exercise.solution, encoding="utf-8")
    result = mark_file(exercise, path)
    assert result.full, str(result)
    assert "and so it is" in result.told


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_skeletons_are_told_what_is_missing(exercise: Exercise, tmp_path: Path) -> None:
    """No mark is given for nothing, and the first message names the line of the hole."""
    path = tmp_path / "answer.py"
    path.write_text(exercise.skeleton, encoding="utf-8")
    result = mark_file(exercise, path)
    assert result.earned == 0
    hole = next(number for number, line in enumerate(exercise.skeleton.splitlines(), 1) if "raise Not" in line)
    assert f"your code is still missing, in line {hole}" in str(result)


def _changed(exercise: Exercise, changes: Mapping[str, str], path: Path) -> Result:
    """Mark the solution with other pieces in it."""
    head, mark, answer = exercise.solution.partition("\n# Predict first")
    for right, instead in changes.items():
        assert answer.count(right) == 1, f"{right} occurs {answer.count(right)} times"
        answer = answer.replace(right, instead)
    path.write_text(head + mark + answer, encoding="utf-8")
    return mark_file(exercise, path)


@pytest.mark.parametrize(
    ("name", "changes"),
    [pytest.param(name, changes, id=f"{name}-{style}") for name in RIGHT for style, changes in RIGHT[name].items()],
)
def test_other_styles_reach_full_marks(name: str, changes: dict[str, str], tmp_path: Path) -> None:
    """What counts is what comes out: not the formula, the kind of cache, or float64."""
    result = _changed(named(name), changes, tmp_path / "answer.py")
    assert result.full, str(result)


@pytest.mark.parametrize(("exercise", "wrong"), WRONG)
def test_wrong_answers_are_explained(exercise: Exercise, wrong: Wrong, tmp_path: Path) -> None:
    """The mark that is missed is that of the slip; what is said names the cause or where to look."""
    result = _changed(exercise, wrong.changes, tmp_path / "answer.py")
    missed = [outcome for outcome in result.outcomes if outcome.earned is False]
    assert len(missed) == 1, str(result)
    assert wrong.mark in missed[0].title, str(result)
    told = " ".join(str(result).split())
    for words in wrong.says:
        assert words in told, str(result)


@pytest.mark.parametrize(
    ("number", "exercise"), list(enumerate(EXERCISES, 1)), ids=lambda each: getattr(each, "name", "")
)
def test_pages_have_all_of_an_exercise(number: int, exercise: Exercise) -> None:
    """In code that fits into its column."""
    page = exercise_pages.page(number, exercise)
    for part in (exercise.task, exercise.question, exercise.code, exercise.hint, exercise.solved):
        assert part in page
    assert too_wide(page) == []


def test_every_mark_can_be_missed() -> None:
    """By a wrong answer that readers give."""
    for exercise in EXERCISES:
        titles = {wrong.mark for wrong in import_module(f"tests.exercises.wrong.{exercise.name}").WRONG}
        never = [mark.title for mark in exercise.marks if not any(title in mark.title for title in titles)]
        assert not never, f"{exercise.name}: {never}"
