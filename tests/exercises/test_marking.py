"""What is said of answers that cannot be marked, or are marked from within."""

from pathlib import Path

import numpy as np
import pytest

from minibackprop import ConfigError
from minibackprop.exercises import EXERCISES, Answer, Exercise, Mark, Miss, Prediction, expect, mark
from minibackprop.exercises.course import named
from minibackprop.exercises.marking import mark_file
from minibackprop.exercises.progress import progress

SIGMOID = EXERCISES[0]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("def sigmoid(x)\n    return x", ("not Python yet", "line 1: def sigmoid(x)")),
        ("import nothing_of_the_kind", ("ModuleNotFoundError in line 1: import nothing_of_the_kind",)),
        ("1 / 0", ("ZeroDivisionError in line 1: 1 / 0",)),
        ("raise SystemExit", ("ends the program",)),
        ("prediction = 1\nslope = None", ("there is no sigmoid in your file",)),
        ("sigmoid = 3", ("TypeError", "'int' object is not callable")),
        ("def sigmoid():\n    return 1", ("TypeError", "takes 0 positional arguments")),
        ("def sigmoid(x):\n    return str(x)", ("is no array of numbers, but str",)),
        ("def sigmoid(x):\n    return sigmoid(x)", ("RecursionError in line 2",)),
        ("def sigmoid(x):\n    exit()", ("ends the program",)),
        ("", ("there is no sigmoid",)),
        ("raise KeyboardInterrupt", ("stopped in line 1",)),
        ("def sigmoid(x):\n    raise KeyboardInterrupt", ("stopped in line 2", "do not come to an end")),
        ("x = 1\0", ("not Python yet", "UTF-8, not UTF-16")),
        ("(" * 500, ("not Python yet",)),
    ],
)
def test_answers_that_do_not_run_are_told_where(answer: str, says: tuple[str, ...], tmp_path: Path) -> None:
    """No traceback of ours, but the reader's line."""
    path = tmp_path / "01_sigmoid.py"
    path.write_text(answer, encoding="utf-8")
    result = mark_file(SIGMOID, path)
    assert not result.full
    assert all(words in str(result) for words in says), str(result)
    assert all(title in str(result) for title in (each.title for each in SIGMOID.marks))


@pytest.mark.parametrize(
    ("right", "instead", "says"),
    [
        ("(Layer):", ":", "has no attribute"),
        ("def backward(", "def back(", "Can't instantiate abstract class Dense"),
        ("self.W = ", "self.weight = ", "missing=['weight'] and extra=['W']"),
        ("self.W = Parameter(", "self.W = (", "Dense.load_state_dict"),
        ("return x @ self.W.value + self.b.value, x", "return x @ self.W[:], x", "the numbers of a parameter"),
    ],
)
def test_a_changed_skeleton_is_the_reader_s(right: str, instead: str, says: str) -> None:
    """The error was raised in our code, because of theirs."""
    dense = named("dense")
    assert dense.solved.count(right) == 1
    names = {"prediction": 1}
    exec(dense.solved.replace(right, instead), names)
    assert says in " ".join(str(mark(dense, names)).split())


def test_a_cache_that_cannot_be_copied() -> None:
    """Is as good as another."""
    dropout = named("dropout")
    names = {"prediction": 1}
    solved = dropout.solved.replace("return x * mask, mask", "return x * mask, (mask, (n for n in mask))")
    exec(solved.replace("grad * cache", "grad * cache[0]"), names)
    assert mark(dropout, names).full


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    """Python tells it as a mistake of syntax."""
    path = tmp_path / "01_sigmoid.py"
    path.write_bytes(b"x = '\xff'")
    assert "this is not Python yet" in str(mark_file(SIGMOID, path))


def test_a_prediction_need_not_be_right() -> None:
    """It must be there; what is right is told beside it, once all marks are earned."""
    names = {"prediction": None}
    exec(SIGMOID.solved, names)
    assert mark(SIGMOID, names).earned == 3
    assert mark(SIGMOID, names).told == ""
    names["prediction"] = 1
    assert mark(SIGMOID, names).told.startswith("You predicted 1. It is 0.25.")
    assert SIGMOID.prediction.fits(np.float32(0.25))
    assert not SIGMOID.prediction.fits("a quarter")
    assert not SIGMOID.prediction.fits(10**400)
    assert SIGMOID.prediction.fits("1/4")
    assert Prediction("?", "Larger", "").fits(" It gets larger. ")
    assert not Prediction("?", "larger", "").fits("enlarger")
    assert mark(SIGMOID, names | {"prediction": " "}).earned == 3


def test_progress_is_kept_beside_a_file_that_marks_itself(tmp_path: Path) -> None:
    """But not from a notebook, which has no file."""
    path = tmp_path / "01_sigmoid.py"
    names = {"prediction": 1, "__file__": str(path)}
    exec(SIGMOID.solved, names)
    mark("sigmoid", names)
    assert progress(tmp_path)["sigmoid"].earned == 4
    (tmp_path / "progress.json").write_text("mine", encoding="utf-8")
    with pytest.warns(UserWarning, match="how far you are is not kept"):
        assert mark("sigmoid", names).full


def test_only_the_first_lines_that_an_answer_prints_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Of each mark; laws call it many times."""
    names = {"prediction": 1}
    exec(SIGMOID.solved.replace("return 1 /", "for k in range(1000):\n        print(k)\n    return 1 /"), names)
    assert mark(SIGMOID, names).full
    shown = capsys.readouterr().out
    assert "19\n(what your code prints from here on is not shown)" in shown
    assert shown.count("\n") < 100


def test_a_result_tells_neither_the_answer_nor_the_hint() -> None:
    """In a session, which shows what an object is."""
    result = mark("sigmoid", {})
    assert repr(result) == str(result)
    assert "0.25" not in repr(SIGMOID)
    assert SIGMOID.hint not in repr(SIGMOID)


def test_results_are_html_in_a_notebook() -> None:
    """With what the reader wrote escaped."""
    html = mark("sigmoid", {"sigmoid": "<script>"})._repr_html_()
    assert "<script>" not in html
    assert "missed" not in html
    assert "The sigmoid and its slope: 0 of 4" in html


def test_names_that_do_not_exist() -> None:
    """Are refused with those that do."""
    with pytest.raises(ConfigError, match="one of sigmoid, one_weight"):
        mark("sigmiod", {})


def test_mistakes_of_a_check_are_not_the_reader_s() -> None:
    """An error that is not raised by the reader's code comes through."""
    broken = Exercise("x", "X", SIGMOID.source, SIGMOID.prediction, "", [Mark("m", lambda _: str(1 / 0))])
    with pytest.raises(ZeroDivisionError):
        mark(broken, {})


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def f(:", "Python"),
        ("x = 1", "a docstring, which is the task"),
        ('"""Task."""', "### BEGIN SOLUTION"),
        ('"""T."""\n### BEGIN SOLUTION\n1\n### BEGIN SOLUTION\n2\n### END SOLUTION\n', "2 and 1 of them, which make 1"),
        ('"""T."""\nif 1:\n\t### BEGIN SOLUTION\n\t2\n\t### END SOLUTION\n', "indented by spaces"),
    ],
)
def test_exercises_are_held_to_their_form(source: str, says: str) -> None:
    """When they are made."""
    with pytest.raises(ConfigError, match=says):
        Exercise("x", "X", source, SIGMOID.prediction, "", [])
    with pytest.raises(ConfigError, match="one word"):
        Exercise("two words", "X", SIGMOID.source, SIGMOID.prediction, "", [])
    with pytest.raises(ConfigError, match="a Prediction"):
        Exercise("x", "X", SIGMOID.source, "?", "", [])  # type: ignore[arg-type]


def test_tasks_may_have_backslashes_and_quotes() -> None:
    """As formulas have."""
    source = """r'''Write \\frac{a}{b}, and \"\"\"docstrings\"\"\".'''\n### BEGIN SOLUTION\n1\n### END SOLUTION\n"""
    exercise = Exercise("x", "X", source, SIGMOID.prediction, "", [])
    names: dict[str, str] = {}
    exec(exercise.solution, names)
    assert names["__doc__"] == f"\nX.\n\n{exercise.task}\n"


@pytest.mark.parametrize(
    ("got", "want", "says"),
    [
        (None, 1, "nothing is returned"),
        (np.nan, 1, "NaN or infinite"),
        ([[1, 2]], [[1], [2]], "rows and columns are swapped"),
        ([[1, 2], [3, 4]], [[1, 3], [2, 4]], "rows and columns are swapped"),
        ([[1, 2], [3, 4]], [4, 6], "a sum over axis 0 is missing"),
        ([3, 7], [[1, 2], [3, 4]], "this is summed over axis 1"),
        ([-1, 2], [1, -2], "the sign is the wrong way round"),
        ([0, 0], [1, 2], "all of it is zero"),
        ([2, 4], [4, 8], "0.5 times"),
        ([1, 2, 3], [1, 2], r"shape \(3,\), and should have \(2,\)"),
        (np.arange(20.0) + (np.arange(20) == 7), np.arange(20.0), r"is 8 at \(7,\), and should be 7"),
    ],
)
def test_numbers_are_set_beside_the_right_ones(got: object, want: object, says: str) -> None:
    """With how they are related, if one sentence can tell."""
    with pytest.raises(Miss) as caught:
        expect("it", got, want)  # type: ignore[arg-type]
    told = f"{caught.value.problem} {caught.value.cause}"
    assert says.replace("\\", "") in told
    expect("it", want, want)  # type: ignore[arg-type]


def test_one_number_is_no_multiple_of_another() -> None:
    """As every number is one of every other: only simple factors are told."""
    with pytest.raises(Miss) as caught:
        expect("it", 1.2345, 1)
    assert caught.value.cause == ""


def test_an_answer_has_the_names_of_its_file() -> None:
    """Private ones of Python's own are not among them."""
    answer = Answer({"x": 1})
    assert answer.x == 1
    with pytest.raises(Miss, match="there is no y"):
        answer.y  # noqa: B018
    with pytest.raises(AttributeError):
        answer.__wrapped__  # noqa: B018
