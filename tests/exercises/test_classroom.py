"""Marking a class's folder."""

from pathlib import Path

import pytest

from minibackprop import ConfigError
from minibackprop.exercises import EXERCISES
from minibackprop.exercises.classroom import written

RIGHT = EXERCISES[0].solution


def test_each_student_gets_a_row(tmp_path: Path) -> None:
    """Of what they handed in; who takes the process along costs the others nothing."""
    answers = {
        "ada": RIGHT,
        "grace": RIGHT.replace("return l * (1 - l)", "__import__('os')._exit(0)"),
        "kurt": RIGHT.replace("return l * (1 - l)", "return l"),
        "none": None,
    }
    for name, answer in answers.items():
        (tmp_path / name).mkdir()
        if answer:
            (tmp_path / name / "01_sigmoid.py").write_text(answer, encoding="utf-8")
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").touch()
    assert written(EXERCISES, tmp_path, seconds=120).splitlines() == [
        "student  sigmoid",
        "ada      4 of 4",
        "grace    died",
        "kurt     3 of 4",
        "none     -",
    ]
    assert sorted(path.name for path in (tmp_path / "ada").iterdir()) == ["01_sigmoid.py"]


def test_who_hangs_is_stopped(tmp_path: Path) -> None:
    """After the time that one exercise may take."""
    (tmp_path / "alan").mkdir()
    answer = RIGHT.replace("return l * (1 - l)", "__import__('time').sleep(60)")
    (tmp_path / "alan" / "01_sigmoid.py").write_text(answer, encoding="utf-8")
    assert "over 1 s" in written(EXERCISES, tmp_path, seconds=1)


def test_comma_separated(tmp_path: Path) -> None:
    """For a spreadsheet."""
    (tmp_path / 'Doe, Jane "JD"').mkdir()
    assert written(EXERCISES, tmp_path, csv=True) == 'student\n"Doe, Jane ""JD"""'


def test_a_process_left_behind_holds_nobody_up(tmp_path: Path) -> None:
    """Nor does a question to the keyboard; neither what lies about where a file is expected."""
    for name, line in (("ada", "__import__('subprocess').Popen(['sleep', '30'])"), ("alan", "input()")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "01_sigmoid.py").write_text(f"{line}\n{EXERCISES[0].solution}", encoding="utf-8")
    (tmp_path / "grace" / "01_sigmoid.py").mkdir(parents=True)
    (tmp_path / "kurt").mkdir()
    (tmp_path / "kurt" / "01_sigmoid.py").symlink_to("nowhere")
    cells = [line.split(maxsplit=1)[1] for line in written(EXERCISES, tmp_path, seconds=20).splitlines()]
    assert cells == ["sigmoid", "4 of 4", "0 of 4", "-", "-"]


def test_a_course_with_files_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was found on the command line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text(EXERCISES[0].source, encoding="utf-8")
    (tmp_path / "course.py").write_text(
        "from pathlib import Path\nfrom attrs import evolve\nfrom minibackprop.exercises import EXERCISES as OURS\n"
        'EXERCISES = [evolve(OURS[0], source=Path("beside.py"))]\n',
        encoding="utf-8",
    )
    (tmp_path / "class" / "ada").mkdir(parents=True)
    (tmp_path / "class" / "ada" / "01_sigmoid.py").write_text(EXERCISES[0].solution, encoding="utf-8")
    table = written(EXERCISES[:1], tmp_path / "class", Path("course.py"))
    assert table.splitlines() == ["student  sigmoid", "ada      4 of 4"]


def test_time_is_needed(tmp_path: Path) -> None:
    """Some, at least."""
    with pytest.raises(ConfigError, match="above 0"):
        written(EXERCISES, tmp_path, seconds=-1)
