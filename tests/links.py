"""
What the built pages point to, and load, is there: ``python -m tests.links FOLDER``.

Each link within the site leads to a file, and to a place in it where it names one; no page loads anything from the
network. Links to other sites are not followed.
"""

import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.environments import ROOT

#: What a browser loads as it shows the page; a link is only followed.
LOADING = {"img", "script", "link", "source", "video", "audio", "iframe", "embed", "object", "track"}
STYLE = re.compile(r"""(?:\burl\(\s*|@import\s+)["']?([^"')\s]+)""")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


class Page(HTMLParser):
    """The places of a page, what it points to, and of that, what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places, self.targets, self.loads = {""}, set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.places.add(value)
            elif value and name in ("href", "src", "data", "poster"):
                self.targets.add(value)
                if tag in LOADING:
                    self.loads.add(value)
            elif value and name == "style":
                self.loads.update(STYLE.findall(value))


def faults_of_site(folder: Path) -> list[str]:
    """List the links within built pages that lead nowhere, and what the pages load from the network."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.resolve().rglob("*.html"))}
    loads = {path: page.loads for path, page in pages.items()}
    for path in sorted(folder.resolve().rglob("*.css")):
        loads[path] = set(STYLE.findall(path.read_text(encoding="utf-8")))

    def places(path: Path) -> set[str] | None:
        return pages[path].places if path in pages else None

    faults = [] if pages else [f"no pages in {folder}"]
    faults += [
        f"{path} loads {address}" for path, each in loads.items() for address in each if urlsplit(address).netloc
    ]
    for path, each in loads.items():
        targets = each | pages[path].targets if path in pages else each
        faults += [f"{path}: {target} leads nowhere" for target in targets if not leads(path, target, places)]
    return sorted(fault.replace(f"{folder.resolve()}/", "") for fault in faults)


def faults_of_repository(folder: Path = ROOT) -> list[str]:
    """List the links of the Markdown on top of the repository, and of the package's page, that lead nowhere."""
    faults = []
    for path in [*sorted(folder.glob("*.md")), *sorted(folder.glob("minibackprop/*.md"))]:
        text = CODE.sub("", path.read_text(encoding="utf-8"))
        targets = {*re.findall(r"\]\(([^)\s]+)\)", text), *Page(text).targets}
        faults += [f"{path.name}: {target} leads nowhere" for target in targets if not leads(path, target, headings)]
    return sorted(faults)


def headings(path: Path) -> set[str] | None:
    """Give the places of a file of Markdown: its headings, as GitHub writes them."""
    if path.suffix != ".md":
        return None
    found = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {"", *(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found)}


def leads(path: Path, target: str, places: Callable[[Path], set[str] | None]) -> bool:
    """Tell whether a link of this page leads to a file, and to a place in it; one to elsewhere counts as such."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return True
    end = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not end.exists():
        return False
    known = places(end)
    return known is None or unquote(parts.fragment) in known


def main(folder: str) -> int:
    """Look at all of them; return 0 if each leads somewhere."""
    faults = faults_of_site(Path(folder))
    print(*faults, sep="\n", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
