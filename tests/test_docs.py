"""What the docs promise to be complete, is."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest

import minibackprop
from minibackprop import GradientDescent, Initializer, Layer, Loss, Regularizer, __version__
from minibackprop.testing import ALL
from tests.pages import WRITTEN
from tests.test_rooms import FLOOR

ROOT = Path(__file__).parent.parent


def test_every_law_is_explained() -> None:
    """The page on the laws names each of them, in their order."""
    page = (ROOT / "docs" / "explanation" / "laws.md").read_text(encoding="utf-8")
    assert re.findall(r"^\*\*([\w ]+)\*\*:", page, re.MULTILINE) == [law.name for law in ALL]


def _rows(page: str) -> dict[str, str]:
    """Give the rows of all tables of a page by the names in code style in their first cells."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\|(.*?)\|(.*)\|$", text, re.MULTILINE)
    found: dict[str, str] = {}
    for first, others in rows:
        for name in re.findall(r"`(\w+)", first):
            found[name] = found.get(name, "") + others
    return found


@pytest.mark.parametrize(
    ("page", "base"),
    [
        ("layers", Layer),
        ("losses", Loss),
        ("initializers", Initializer),
        ("regularizers", Regularizer),
        ("optimizers", GradientDescent),
    ],
)
def test_every_public_class_has_its_row(page: str, base: type) -> None:
    """The tables of the reference have each layer, each loss and so on."""
    public = (getattr(minibackprop, name) for name in dir(minibackprop))
    kinds = {
        kind.__name__
        for kind in public
        if isinstance(kind, type) and issubclass(kind, base) and not inspect.isabstract(kind)
    }
    rows = _rows(f"reference/{page}.md")
    assert kinds - rows.keys() - {"ArticleNetwork"} == set()


def test_rows_of_layers_say_what_is_special() -> None:
    """What a layer declares about itself, and the laws go by, is in its row."""
    rows = _rows("reference/layers.md")
    words = {
        "stochastic": "*stochastic*",
        "couples_samples": "*couples samples*",
        "alters_gradient": "*alters the grad",
    }
    for name in rows.keys() & set(dir(minibackprop)):
        kind = getattr(minibackprop, name)
        for attribute, word in words.items():
            declared = getattr(kind, attribute)  # Of a class that composes others, a property.
            assert (word in rows[name]) is (isinstance(declared, str) and declared != ""), (name, attribute)


def test_a_page_that_names_the_article_links_it() -> None:
    """By its title, with author and year, whether the page's text names it or the entries that it shows."""
    link = "[A Neural Network in 11 lines of Python](https://iamtrask.github.io/2015/07/12/basic-python-network/)"
    missing = []
    for page in WRITTEN:
        text = page.read_text(encoding="utf-8")
        prose = re.sub(r"^#[^\n]*|```.*?```|`[^`]*`|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)
        entries = re.findall(r"^\.\. auto\w+:: (\w+)$", text, re.MULTILINE)
        shown = " ".join(inspect.getdoc(getattr(minibackprop, name, None)) or "" for name in entries)
        words = " ".join(text.split())
        if re.search(r"\barticle\b", prose + shown) and not (link in words and re.search(r"Trask, 2015\b", words)):
            missing.append(str(page.relative_to(ROOT)))
    assert missing == []


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
