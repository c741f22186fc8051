"""The pages of the docs, which several tests go through."""

from tests.environments import ROOT

#: Those that are written; the pages of single exercises are made of these whenever the docs are, and tested as such.
WRITTEN = [page for page in sorted((ROOT / "docs").rglob("*.md")) if not page.name[0].isdigit()]
