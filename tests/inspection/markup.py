"""A strict reader of the HTML that notebooks show."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

#: What the pictures are made of; no script, no style on elements, nothing that loads or runs.
TAGS = set("style div span b br code pre details summary table thead tbody tr th td svg polyline".split())  # noqa: SIM905
ATTRIBUTES = {"class", "open", "scope", "viewbox", "preserveaspectratio", "aria-hidden", "points"}
VOID = {"br"}


@dataclass
class Element:
    tag: str
    kind: str = ""
    open: bool = False
    children: list[Element | str] = field(default_factory=list)

    @property
    def elements(self) -> list[Element]:
        return [child for child in self.children if isinstance(child, Element)]

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str = "", kind: str = "") -> list[Element]:
        found = [self] if (tag in ("", self.tag) and kind in ("", self.kind)) else []
        return found + [element for child in self.elements for element in child.all(tag, kind)]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self.ways = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag in TAGS, f"<{tag}>"
        assert given.keys() <= ATTRIBUTES, given
        element = Element(tag, given.get("class") or "", "open" in given)
        self.ways[-1].children.append(element)
        if tag not in VOID:
            self.ways.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.ways.pop().tag == tag, f"</{tag}>"

    def handle_data(self, data: str) -> None:
        self.ways[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def read(html: str) -> Element:
    """Read HTML that must be complete, and of known elements only; give what stands beside the style."""
    html.encode("utf-8")
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.ways == [reader.root], "all is closed"
    style, shown = reader.root.elements
    assert (style.tag, shown.tag, shown.kind) == ("style", "div", "minibackprop")
    return shown
