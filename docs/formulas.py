"""Formulas as MathML, made when the pages are built: a browser shows them with no script and no network."""

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

CONVERTER = LatexToMathML(fancy_error=False)
LOGGER = logging.getLogger(__name__)


def _write(writer, node, tag):
    try:
        mathml = CONVERTER.convert_with_local_state(node.astext(), displaystyle=tag == "div")
    except LatexError as error:
        LOGGER.warning("the formula %s: %s", node.astext(), error, location=node)
        mathml = writer.encode(node.astext())
    writer.body.append(f'<{tag} class="math">{mathml}</{tag}>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda writer, node: _write(writer, node, "span"), None),
        block_renderers=(lambda writer, node: _write(writer, node, "div"), None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
