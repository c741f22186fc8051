"""The pages of the exercises, made of the exercises themselves whenever the docs are built; each is a notebook too."""

from pathlib import Path

from minibackprop.exercises import EXERCISES, Exercise

DOCS = Path(__file__).parent
_PAGE = """\
# {number}. {title}

This page is a notebook too: {{download}}`{stem}.ipynb <../_notebooks/{stem}.ipynb>`.

{task}

## Predict first

{question}

## Your code

```sh
python -m minibackprop.exercises copy {number}
```

puts this into the file `exercises/{stem}.py`, below the task. Write what is missing where `NotImplementedError` is
raised.

```python
{code}
```

```sh
python -m minibackprop.exercises mark {number}
```

tells which of these hold, and what to look at where one does not:

{marks}

<details><summary>Hint</summary>

{hint}

</details>

<details><summary>Solution</summary>

```python
{solved}
```

</details>
"""
_NOTEBOOK = """\
# {number}. {title}

This notebook is an exercise of minibackprop. It needs the package with its extra `testing`, in the environment of this
kernel: `pip install ".[testing]"` in the folder of a clone.

{task}

## Predict first

{question}

```python
prediction = None
```

## Your code

Write what is missing where `NotImplementedError` is raised.

```python
{code}
```

```python
from minibackprop.exercises import mark

mark("{name}", globals())
```

A hint, and the solution: `python -m minibackprop.exercises hint {number}`, and `solution {number}`.
"""


def make(folder: Path) -> None:
    """Write all pages."""
    for number, exercise in enumerate(EXERCISES, 1):
        path = folder / Path(exercise.file(number)).with_suffix(".md")
        text = page(number, exercise)
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # Sphinx reads what is new.
            path.write_text(text, encoding="utf-8")


def page(number: int, exercise: Exercise) -> str:
    """Make the page of an exercise."""
    return _PAGE.format(**_parts(number, exercise))


def notebook(number: int, exercise: Exercise) -> str:
    """Make the text of the notebook of an exercise."""
    return _NOTEBOOK.format(**_parts(number, exercise))


def _parts(number: int, exercise: Exercise) -> dict[str, object]:
    return {
        "number": number,
        "stem": Path(exercise.file(number)).stem,
        "name": exercise.name,
        "title": exercise.title,
        "task": exercise.task,
        "question": exercise.question,
        "code": exercise.code,
        "solved": exercise.solved,
        "hint": exercise.hint,
        "marks": "\n".join(f"- {mark.title}" for mark in exercise.marks),
    }
