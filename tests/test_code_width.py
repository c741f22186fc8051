"""The code of the pages is no wider than their column."""

import re
from pathlib import Path

import pytest

from tests.pages import WRITTEN

#: As many characters fit into the theme's column on a desk: 46 em of 16 pixels less its margins, at 13 * 0.6 each, and
#: some to spare for wider fonts.
COLUMN = 88


def too_wide(page: str) -> list[str]:
    """List the lines of code that do not fit; output is shown as it is printed, and goes on below where it does not."""
    lines = []
    for _, language, block in re.findall(r"^(```+)([^\n]*)\n(.*?)^\1$", page, re.DOTALL | re.MULTILINE):
        code = block.splitlines()
        if block.startswith(">>> "):
            code = [line for line in code if line.startswith((">>> ", "... "))]
        if language.isalpha() and language != "text":  # Neither output nor a directive.
            lines += [line for line in code if len(line) > COLUMN]
    return lines


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_code_fits_into_its_column(page: Path) -> None:
    """No line of code on a page is cut, or wrapped, on a desk."""
    assert too_wide(page.read_text(encoding="utf-8")) == []


def test_code_that_does_not_fit_is_found() -> None:
    """In programs, sessions and commands; not in what they print."""
    line = "x" * (COLUMN + 1)
    blocks = [("{glossary}", line), ("python", line), ("sh", line[1:]), ("text", line), ("", line)]
    assert too_wide(line.join(f"\n```{language}\n{code}\n```\n" for language, code in blocks)) == [line]
    assert too_wide(f"```python\n>>> {line}\n{line}\n... {line}\n```") == [f">>> {line}", f"... {line}"]
