"""The tutorial's notebooks hold the code of their pages, and give what the pages show."""

import base64
import re
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, DocTestParser, OutputChecker
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jupytext", reason="the extra notebooks is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra notebooks is not installed")

from docs import notebooks, pictures
from minibackprop.exercises import EXERCISES, Exercise
from tests.test_shown_layers import python_of


@pytest.fixture(scope="module", autouse=True)
def _pictures() -> None:
    pictures.make(notebooks.DOCS / "_pictures")


@pytest.mark.parametrize("page", notebooks.PAGES, ids=lambda page: page.stem)
def test_notebook_gives_what_its_page_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All code of the page is in its cells, in order, and each output is that of the page, errors too."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    book = notebooks.notebook(page)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert "".join(cell.source + "\n" for cell in code).split() == python_of(page).split()

    nbclient.NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    text = page.read_text(encoding="utf-8")
    sessions = re.findall(r"^```python\n(>>>.*?)^```$", text, re.DOTALL | re.MULTILINE)
    shown = [example for each in sessions for example in DocTestParser().get_examples(each) if example.want]
    printed = [cell for cell in code if cell.outputs]
    assert len(printed) == len(shown)
    for cell, example in zip(printed, shown, strict=True):
        want, got = re.sub(r"^(\w+\.)+(?=\w+Violation:)", "", example.exc_msg or example.want), output_of(cell)
        assert OutputChecker().check_output(want, got, ELLIPSIS | NORMALIZE_WHITESPACE), f"{want}\n---\n{got}"


def test_a_notebook_names_the_extras_that_it_needs() -> None:
    """Who has the notebook alone has nothing else to go by."""
    code = "".join(python_of(page) for page in notebooks.PAGES)
    extras = re.findall(r"\w+", re.search(r"\.\[(.+?)\]", notebooks.HEAD)[1])
    assert sorted(extras) == sorted(name for name in ("plot", "testing") if re.search(rf"\b{name}(_\w+)?\b", code))


def test_pictures_are_in_the_notebook() -> None:
    """As PNG: JupyterLab shows no attached SVG, but a broken picture."""
    cells = [
        cell for page in notebooks.PAGES for cell in notebooks.notebook(page).cells if cell.cell_type == "markdown"
    ]
    shown = [re.findall(r"!\[[^\]]*\]\(attachment:([^)]+)\)", cell.source) for cell in cells]
    assert sorted(name for names in shown for name in names) == [
        "hidden.png",
        "learn_boundary.png",
        "learn_hidden.png",
        "learn_weights.png",
        "sigmoid.png",
    ]
    assert "![" not in "".join(re.sub(r"!\[[^\]]*\]\(attachment:", "", cell.source) for cell in cells)
    for cell, names in zip(cells, shown, strict=True):
        assert sorted(cell.get("attachments", {})) == sorted(names)
        for kinds in cell.get("attachments", {}).values():
            assert list(kinds) == ["image/png"]
            assert base64.b64decode(kinds["image/png"]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("number", "exercise"), list(enumerate(EXERCISES, 1)), ids=lambda each: getattr(each, "name", "")
)
def test_exercises_are_marked_in_their_last_cell(
    number: int, exercise: Exercise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the solution in the cell of the code, and a prediction, it shows full marks."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    book = notebooks.of_exercise(number, exercise)
    prediction, code, last = (cell for cell in book.cells if cell.cell_type == "code")
    assert (prediction.source, code.source) == ("prediction = None", exercise.code)
    prediction.source, code.source = f"prediction = {exercise.prediction.answer!r}", exercise.solved
    nbclient.NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    (shown,) = last.outputs
    count = len(exercise.marks) + 1
    assert f"{exercise.title}: {count} of {count}" in shown.data["text/html"].replace("&#x27;", "'")


def output_of(cell: Any) -> str:
    """Give what a cell prints, or its value, or the end of its error."""
    found = ""
    for output in cell.outputs:
        if output.output_type == "error":
            found += f"{output.ename}: {output.evalue}\n"
        elif output.output_type != "display_data":  # A violation's parts, above its traceback.
            found += output.text if output.output_type == "stream" else output.data["text/plain"] + "\n"
    return found
