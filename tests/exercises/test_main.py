"""The command line of the exercises."""

import os
from pathlib import Path

import pytest

from minibackprop.exercises import EXERCISES
from minibackprop.exercises.__main__ import main

COURSE = '''
from minibackprop.exercises import Exercise, Mark, Prediction, expect

SOURCE = """
'Return twice x.'


def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
"""
EXERCISES = [
    Exercise(
        "double", "Twice", SOURCE, Prediction("twice 2?", 4, "2 + 2."), "Add.",
        [Mark("double doubles", lambda answer: expect("double(3)", answer.double(3), 6))],
    )
]
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder; give the one that answers go to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "exercises"


def test_lists_them_numbered_one_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing done yet, and a word on how to begin."""
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for number, (line, exercise) in enumerate(zip(lines, EXERCISES, strict=False), 1):
        assert line.startswith(f"[ ] {number:2}  {exercise.name} ")
        assert line.endswith(exercise.title)
    assert lines[-1] == "The first: python -m minibackprop.exercises copy 1"
    assert not folder.exists()


def test_goes_from_the_skeleton_to_full_marks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Copied, marked, solved, marked again; the list knows."""
    assert main(["copy", "1"]) == 0
    path = folder / "01_sigmoid.py"
    assert path.read_text(encoding="utf-8") == EXERCISES[0].skeleton
    shown = capsys.readouterr().out
    assert EXERCISES[0].task in shown
    assert "mark 1" in shown
    assert main(["mark", "1"]) == 1
    assert "your code is still missing" in capsys.readouterr().out
    path.write_text(EXERCISES[0].solution, encoding="utf-8")
    assert main(["mark", "sigmoid"]) == main(["mark", "exercises/01_sigmoid.py"]) == 0
    assert "The next: python -m minibackprop.exercises copy 2" in capsys.readouterr().out
    assert main([]) == 0
    path.write_text(f"import os\n{EXERCISES[0].solution}\nos.chdir('..')\n1 / 0", encoding="utf-8")
    assert main(["mark", "1"]) == 1
    assert "1 / 0" in capsys.readouterr().out
    os.chdir(folder.parent)
    assert main([]) == 0
    assert "[x] 1 sigmoid The sigmoid and its slope 4 of 4" in " ".join(capsys.readouterr().out.split())


def test_never_overwrites_what_was_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second copy is refused, and says what to do."""
    main(["copy", "2"])
    path = folder / "02_one_weight.py"
    path.write_text("mine", encoding="utf-8")
    assert main(["copy", "2"]) == 1
    assert "stays as it is; move it away to begin anew" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "mine"


def test_marks_all_that_are_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a number; full marks only if all have them."""
    for number in ("1", "2"):
        main(["copy", number])
    (folder / "01_sigmoid.py").write_text(EXERCISES[0].solution, encoding="utf-8")
    capsys.readouterr()
    assert main(["mark"]) == 1
    shown = capsys.readouterr().out
    assert "The sigmoid and its slope: 4 of 4" in shown
    assert "One weight, by hand: 0 of" in shown


def test_hint_and_solution(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are printed; the solution is a file that reaches full marks."""
    assert main(["hint", "1"]) == 0
    assert " ".join(capsys.readouterr().out.split()) == EXERCISES[0].hint
    assert main(["solution", "1"]) == 0
    assert capsys.readouterr().out.strip() == EXERCISES[0].solution.strip()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mark", "1"], "there is no exercises"),
        (["mark"], "no answer is in exercises yet; to begin: python -m minibackprop.exercises copy 1"),
        (["class", ".", "--seconds", "0"], "above 0"),
        (["copy", "99"], "a number up to"),
        (["copy", "nonsense"], "or one of sigmoid, one_weight"),
        (["copy"], "a number up to"),
        (["class", "."], "a folder for each student"),
        (["class", "nowhere"], "nowhere"),
        (["--course", "nowhere.py", "list"], "nowhere.py"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_nonsense_is_refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, and with a status of 1."""
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_a_course_of_ones_own(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed, copied and marked as ours are."""
    course = tmp_path / "course.py"
    course.write_text(COURSE, encoding="utf-8")
    assert main(["--course", str(course)]) == 0
    assert "[ ]  1  double  Twice" in capsys.readouterr().out
    assert main(["--course", str(course), "copy", "1"]) == 0
    path = folder / "01_double.py"
    written = path.read_text(encoding="utf-8").replace('raise NotImplementedError("your code")', "return x + x")
    path.write_text(written.replace("prediction = None", "prediction = 5"), encoding="utf-8")
    assert main(["--course", str(course), "mark", "1"]) == 0
    assert "You predicted 5. It is 4. 2 + 2." in capsys.readouterr().out


def test_commands_to_follow_have_the_same_course_and_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Quoted where they have spaces; a file that `mark` would not find by its name does not call it."""
    course, folder = tmp_path / "course.py", tmp_path / "my answers"
    course.write_text(COURSE, encoding="utf-8")
    call = f"python -m minibackprop.exercises --course {course} --folder '{folder}'"
    options = ["--course", str(course), "--folder", str(folder)]
    main(options)
    assert f"The first: {call} copy 1" in capsys.readouterr().out
    main([*options, "copy", "1"])
    assert capsys.readouterr().out.endswith(f"{call} mark 1\n")
    assert "__main__" not in (folder / "01_double.py").read_text(encoding="utf-8")


def test_what_came_is_told_although_progress_cannot_be_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a damaged file stays as it is."""
    main(["copy", "1"])
    (folder / "progress.json").write_text("mine", encoding="utf-8")
    capsys.readouterr()
    assert main(["mark", "1"]) == 1
    shown = capsys.readouterr()
    assert "your code is still missing" in shown.out
    assert "How far you are is not kept" in shown.err
    assert (folder / "progress.json").read_text(encoding="utf-8") == "mine"


def test_a_course_with_a_name_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is kept by name."""
    course = tmp_path / "course.py"
    course.write_text(f"{COURSE}\nEXERCISES *= 2\n", encoding="utf-8")
    assert main(["--course", str(course)]) == 1
    assert "double more than once" in capsys.readouterr().err


def test_a_course_without_exercises_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Saying what it must have."""
    course = tmp_path / "course.py"
    course.write_text("EXERCISES = []", encoding="utf-8")
    assert main(["--course", str(course)]) == 1
    assert "a list EXERCISES of Exercise" in capsys.readouterr().err
