"""The tutorial's pages and the exercises as notebooks, made whenever the docs are built."""

import base64
import re
from doctest import DocTestParser, Example
from pathlib import Path

import jupytext
import nbformat

from docs import exercise_pages
from minibackprop.exercises import EXERCISES, Exercise

DOCS = Path(__file__).parent
PAGES = tuple(
    DOCS / "tutorial" / f"{name}.md"
    for name in ("one_layer", "hidden_layer", "composition", "first_layer", "checked_layer")
)
HEAD = """\
This notebook is a page of minibackprop's tutorial. It needs the package with its extras `testing` and `plot`, in the
environment of this kernel: `pip install ".[testing,plot]"` in the folder of a clone.

"""


def make(folder: Path) -> None:
    """Make all notebooks."""
    folder.mkdir(exist_ok=True)
    for page in PAGES:
        nbformat.write(notebook(page), folder / f"{page.stem}.ipynb")
    for number, exercise in enumerate(EXERCISES, 1):
        nbformat.write(of_exercise(number, exercise), folder / Path(exercise.file(number)).with_suffix(".ipynb"))


def notebook(page: Path) -> nbformat.NotebookNode:
    """Make a notebook of a page; a cell ends where the page shows what its code gives."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^```python\n(>>>.*?)^```$", lambda block: _cells(block[1]), text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^[^\n]*\{download\}[^\n]*\n\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^```\{raw\}.*?^```\n\n", "", text, flags=re.DOTALL | re.MULTILINE)  # Players, and what cells show.
    text = re.sub(r"(?<!!)\[([^\]]+)\]\(([^)]+)\)", _link, text)
    title, rest = text.split("\n\n", 1)
    made = _read(f"{title}\n\n{HEAD}{rest}")
    for cell in made.cells:
        _attach_pictures(cell, page.parent)
    return made


def of_exercise(number: int, exercise: Exercise) -> nbformat.NotebookNode:
    """Make a notebook of an exercise."""
    return _read(exercise_pages.notebook(number, exercise))


def _read(text: str) -> nbformat.NotebookNode:
    made = jupytext.reads(text, fmt="md")
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"  # The same each time.
    return made


def _cells(session: str) -> str:
    """Make cells of an interactive session: what is shown is the value of a cell's last line."""
    blocks, lines = [], ""
    for example in DocTestParser().get_examples(session):
        lines += example.source
        if example.want:
            blocks.append(_cell(lines, example))
            lines = ""
    return "\n\n".join([*blocks, f"```python\n{lines}```"] if lines else blocks)


def _cell(code: str, last: Example) -> str:
    tags = ' tags=["raises-exception"]' if last.exc_msg else ""
    return f"```python{tags}\n{code}```"


def _link(link: re.Match[str]) -> str:
    """Point to other notebooks; to the other pages, by their titles alone."""
    text, target = link.groups()
    if DOCS / "tutorial" / target in PAGES:
        return f"[{text}]({target.removesuffix('md')}ipynb)"
    return link[0] if "://" in target else text


def _attach_pictures(cell: nbformat.NotebookNode, folder: Path) -> None:
    """Put the pictures that a cell shows into it."""
    for path in re.findall(r"!\[[^\]]*\]\(([^):]+)\)", cell.source):
        picture = (folder / path).with_suffix(".png")
        data = base64.b64encode(picture.read_bytes()).decode()
        cell.setdefault("attachments", {})[picture.name] = {"image/png": data}
        cell.source = cell.source.replace(f"({path})", f"(attachment:{picture.name})")
