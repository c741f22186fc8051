"""What the docs promise to be complete, is."""

import re
import tomllib
from pathlib import Path

import pytest

from minibackprop import __version__
from minibackprop.testing import ALL
from tests.test_rooms import FLOOR

ROOT = Path(__file__).parent.parent
#: As many characters fit into the theme's column on a desk: 46 em of 16 pixels less its margins, at 13 * 0.6 each, and
#: some to spare for wider fonts.
COLUMN = 88


def test_every_law_is_explained() -> None:
    """The page on the laws names each of them, in their order."""
    page = (ROOT / "docs" / "explanation" / "laws.md").read_text(encoding="utf-8")
    assert re.findall(r"^\*\*([\w ]+)\*\*:", page, re.MULTILINE) == [law.name for law in ALL]


def test_every_room_is_described() -> None:
    """The page within the package names each of them."""
    page = (ROOT / "minibackprop" / "README.md").read_text(encoding="utf-8")
    assert [room for room in FLOOR if f"`{room}`" not in page and f"`{room}/`" not in page] == []


def test_install_commands_work() -> None:
    """The package is on no index: pages install it from its folder or a wheel, with extras that there are."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    by_name = []
    for page in pages:
        for command in re.findall(r"pip install ([^`\n#&]+)", page.read_text(encoding="utf-8")):
            if re.search(r"(?<!/)minibackprop", command):
                by_name.append(page.name)
            for asked in re.findall(r"(?:\.|minibackprop|\.whl)\[([\w,]+)\]", command):
                assert f'[{asked}]"' in command, f"{page}: a shell may expand [{asked}], so it stands in quotes"
                assert set(asked.split(",")) <= extras.keys(), f"{page}: {command}"
    assert by_name == ["install.md"]  # Where it says that this is for an environment that has the package.
    page = (ROOT / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"minibackprop-(\S+)-py3", page)) == {__version__}
    assert [extra for extra in extras if f"`{extra}`" not in page] == []


def too_wide(page: str) -> list[str]:
    """List the lines of code that do not fit; output is shown as it is printed, and goes on below where it does not."""
    lines = []
    for _, language, block in re.findall(r"^(```+)([^\n]*)\n(.*?)^\1$", page, re.DOTALL | re.MULTILINE):
        code = block.splitlines()
        if block.startswith(">>> "):
            code = [line for line in code if line.startswith((">>> ", "... "))]
        if language not in ("", "text", "{eval-rst}"):
            lines += [line for line in code if len(line) > COLUMN]
    return lines


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.stem)
def test_code_fits_into_its_column(page: Path) -> None:
    """No line of code on a page is cut, or wrapped, on a desk."""
    assert too_wide(page.read_text(encoding="utf-8")) == []


def test_code_that_does_not_fit_is_found() -> None:
    """In programs, sessions and commands; not in what they print."""
    line = "x" * (COLUMN + 1)
    blocks = [("{eval-rst}", line), ("python", line), ("sh", line[1:]), ("text", line), ("", line)]
    assert too_wide(line.join(f"\n```{language}\n{code}\n```\n" for language, code in blocks)) == [line]
    assert too_wide(f"```python\n>>> {line}\n{line}\n... {line}\n```") == [f">>> {line}", f"... {line}"]
