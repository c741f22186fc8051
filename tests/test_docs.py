"""What the docs promise to be complete, is."""

import re
from pathlib import Path

from minibackprop.testing import ALL

DOCS = Path(__file__).parent.parent / "docs"


def test_every_law_is_explained() -> None:
    """The page on the laws names each of them, in their order."""
    page = (DOCS / "explanation" / "laws.md").read_text(encoding="utf-8")
    assert re.findall(r"^\*\*([\w ]+)\*\*:", page, re.MULTILINE) == [law.name for law in ALL]
