"""Links that lead nowhere are found, and the repository has none."""

from pathlib import Path

import pytest

from tests.links import faults_of_repository, faults_of_site


def site(folder: Path, body: str) -> Path:
    """Write a site of two pages and a style, the first with this body."""
    (folder / "index.html").write_text(f"<html><body>{body}</body></html>", encoding="utf-8")
    (folder / "other.html").write_text('<h1 id="a place">Other</h1>', encoding="utf-8")
    (folder / "style.css").write_text("p { background: url(data:image/png;base64,AA) }", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "body",
    [
        '<a href="other.html#a%20place">x</a> <a href="#here">x</a> <p id="here">',
        '<a href="https://example.org/gone">x</a> <a href="mailto:x@example.org">x</a> <a href="#">x</a>',
        '<link rel="stylesheet" href="style.css?v=1"> <img src="data:image/png;base64,AA">',
    ],
)
def test_right_links_pass(tmp_path: Path, body: str) -> None:
    """Those within the site that lead somewhere, and those to other sites, which are not followed."""
    assert faults_of_site(site(tmp_path, body)) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "index.html: gone.html leads nowhere"),
        ('<img src="gone.png">', "index.html: gone.png leads nowhere"),
        ('<a href="#gone">x</a>', "index.html: #gone leads nowhere"),
        ('<a href="other.html#gone">x</a>', "index.html: other.html#gone leads nowhere"),
        ('<script src="https://cdn.example.org/x.js">', "index.html loads https://cdn.example.org/x.js"),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "index.html loads //cdn.example.org/x.css"),
        ('<p style="background: url(https://x.org/y.png)">', "index.html loads https://x.org/y.png"),
    ],
)
def test_wrong_links_are_found(tmp_path: Path, body: str, fault: str) -> None:
    """A file or a place that is not there, and what a page would load from the network."""
    assert faults_of_site(site(tmp_path, body)) == [fault]


def test_styles_load_nothing_from_the_network(tmp_path: Path) -> None:
    """Nor from a file that is not there."""
    (site(tmp_path, "") / "style.css").write_text('@import "https://x.org/y.css"; p { background: url(z.png) }')
    assert faults_of_site(tmp_path) == ["style.css loads https://x.org/y.css", "style.css: z.png leads nowhere"]


def test_a_folder_without_pages_is_no_site(tmp_path: Path) -> None:
    """Else a misspelt folder would pass."""
    assert faults_of_site(tmp_path) == [f"no pages in {tmp_path}"]


def test_repository_links_lead_somewhere(tmp_path: Path) -> None:
    """From its Markdown on top, and the package's page, to files and to headings."""
    assert faults_of_repository() == []
    (tmp_path / "README.md").write_text("# A heading\n[x](#a-heading) `[x](code)` [y](gone.md) [z](README.md#gone)")
    assert faults_of_repository(tmp_path) == [
        "README.md: README.md#gone leads nowhere",
        "README.md: gone.md leads nowhere",
    ]
