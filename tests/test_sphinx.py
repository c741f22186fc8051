"""What the docs add to Sphinx: formulas that need no script, and links from names to the reference."""

import io
import re

import pytest

pytest.importorskip("sphinx", reason="the extra docs is not installed")
pytest.importorskip("math_core", reason="the extra docs is not installed")

from sphinx.application import Sphinx

LINKED = {
    "Dense": "Dense",
    "Dense()": "Dense",
    "Dense(2, 8)": "Dense",
    "minibackprop.Dense": "Dense",
    "Dense.backward": "Dense.backward",
    "Dense.backward(grad, cache)": "Dense.backward",
    "Dense.weight": "Dense",  # Without an entry of its own.
    "save": "save",
    "check_layer": "testing.check_layer",
}
LEFT = (
    "Dens",
    "Denser()",
    "dense",
    "backward",
    "Dense(2).backward(grad)",
    "layers",
    "minibackprop",
    "x.Dense",
    "a = Dense",
)
PAGE = """
.. role:: code(literal)

Of :code:`Layer`
================

{texts}

:math:`\\frac{{1}}{{2}}` :math:`\\nonsense`

.. math:: y = x W

.. toctree::

   other
"""
REFERENCE = """
Other
=====

.. py:class:: minibackprop.Dense

   A ``Layer``; this one is ``Dense``.

   .. py:method:: backward

      Of ``Dense`` too, not ``Dense.backward``.

.. py:class:: minibackprop.Layer
.. py:function:: minibackprop.save
.. py:function:: minibackprop.testing.check_layer
.. py:function:: minibackprop.testing.layers
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A page with all of these, the reference that it links to, and what Sphinx warned of."""
    folder, warnings = tmp_path_factory.mktemp("docs"), io.StringIO()
    (folder / "index.rst").write_text(PAGE.format(texts="\n\n".join(f"``{text}``" for text in (*LINKED, *LEFT))))
    (folder / "other.rst").write_text(REFERENCE)
    settings = {"extensions": ["docs.formulas", "docs.linked_names"], "html_theme": "basic"}
    Sphinx(folder, None, folder / "out", folder / "out", "html", settings, status=None, warning=warnings).build()
    index, other = (
        re.sub(r'<span class="pre">(.*?)</span>', r"\1", (folder / "out" / page).read_text())
        for page in ("index.html", "other.html")
    )
    return index, other, warnings.getvalue()


@pytest.mark.parametrize(("text", "entry"), LINKED.items())
def test_names_link_to_the_reference(built: tuple[str, str, str], text: str, entry: str) -> None:
    """A public name does, called or not; what has no entry leads to that of its class."""
    code = f'<code class="docutils literal notranslate">{text}</code>'
    assert f'href="other.html#minibackprop.{entry}" title="minibackprop.{entry}">{code}</a>' in built[0]


@pytest.mark.parametrize("text", LEFT)
def test_other_texts_do_not(built: tuple[str, str, str], text: str) -> None:
    """Neither other code, nor a word that only a submodule has."""
    assert f'<p><code class="docutils literal notranslate">{text}</code></p>' in built[0]


def test_names_do_not_link_where_that_would_not_help(built: tuple[str, str, str]) -> None:
    """In a heading, or in the entry itself; what stands beside it does."""
    index, other, _ = built
    assert re.findall(r'title="minibackprop\.(\w+)"', other) == ["Layer"]
    assert 'title="minibackprop.Layer"' not in index


def test_formulas_are_mathml(built: tuple[str, str, str]) -> None:
    """In a line and of their own, without a script; Sphinx warns of what is no formula."""
    index, _, warnings = built
    assert '<span class="math"><math><mfrac><mn>1</mn><mn>2</mn></mfrac></math></span>' in index
    assert '<div class="math"><math display="block">' in index
    assert "mathjax" not in index.lower()
    assert re.findall(r"WARNING: ([^\x1b\n]*)", warnings) == [r'the formula \nonsense: 0: Unknown command "\nonsense".']
