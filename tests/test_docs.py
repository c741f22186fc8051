"""What the docs promise to be complete, is."""

import re
import tomllib
from pathlib import Path

from minibackprop import __version__
from minibackprop.testing import ALL
from tests.test_rooms import FLOOR

ROOT = Path(__file__).parent.parent


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
