"""Marking a class's folder."""

from pathlib import Path

from minibackprop.exercises import EXERCISES
from minibackprop.exercises.classroom import written


def test_each_student_gets_a_row(tmp_path: Path) -> None:
    """Of what they handed in; who hangs, or takes the process along, costs the others nothing."""
    right = EXERCISES[0].solution
    answers = {
        "ada": right,
        "alan": right.replace("return l * (1 - l)", "while True: pass"),
        "grace": right.replace("return l * (1 - l)", "__import__('os')._exit(0)"),
        "kurt": right.replace("return l * (1 - l)", "return l"),
        "none": None,
    }
    for name, answer in answers.items():
        (tmp_path / name).mkdir()
        if answer:
            (tmp_path / name / "01_sigmoid.py").write_text(answer, encoding="utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").touch()
    assert written(EXERCISES, tmp_path, seconds=5).splitlines() == [
        "student  sigmoid",
        "ada      4 of 4",
        "alan     over 5 s",
        "grace    died",
        "kurt     3 of 4",
        "none     -",
    ]
    assert sorted(path.name for path in (tmp_path / "ada").iterdir()) == ["01_sigmoid.py"]


def test_comma_separated(tmp_path: Path) -> None:
    """For a spreadsheet."""
    (tmp_path / "Doe, Jane").mkdir()
    assert written(EXERCISES, tmp_path, csv=True) == 'student\n"Doe, Jane"'
