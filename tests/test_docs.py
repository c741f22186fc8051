"""What the docs promise to be complete, is."""

import re
from pathlib import Path

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
