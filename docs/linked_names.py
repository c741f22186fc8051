"""Public names in code style become links to their entries in the reference: `Dense`, `Trainer.fit`, `Adam(0.01)`."""

import re

from docutils import nodes
from sphinx.addnodes import desc, desc_signature
from sphinx.util.nodes import make_refnode

MODULE = re.compile(r"([a-z_]\w*\.)*")
NAME = re.compile(r"([a-zA-Z_][\w.]*)(\([^()]*\))?")


def short_names(objects):
    """Map what pages call the objects of the reference, such as ``"Dense.backward"``, to their full names."""
    names = {}
    for full, entry in objects.items():
        module = MODULE.match(full)[0]
        name = full.removeprefix(module)
        # What a submodule calls by a word of plain English, as testing does `layers`, means something else in a text.
        if not entry.aliased and (module == "minibackprop." or not re.fullmatch("[a-z]+", name)):
            names[name] = names[full] = full
    return names


def named(text, names):
    """Find what a text in code style names: the full name of it, or of its class; None where it names nothing."""
    if match := NAME.fullmatch(text):
        return names.get(match[1]) or names.get(match[1].rpartition(".")[0])
    return None


def link_names(app, page, name_of_page):
    """Link them on a page, but for those in headings, in other links and in the very entries."""
    objects = app.env.get_domain("py").objects
    names = short_names(objects)
    for literal in list(page.findall(nodes.literal)):
        full = named(literal.astext(), names)
        if full is not None and not _is_left(literal, entry := objects[full]):
            end = (entry.docname, entry.node_id, literal.deepcopy(), full)
            literal.replace_self(make_refnode(app.builder, name_of_page, *end))


def _is_left(node, entry):
    while node := node.parent:
        if isinstance(node, (nodes.title, nodes.reference, desc_signature)):
            return True
        if isinstance(node, desc) and entry.node_id in node[0]["ids"]:
            return True
    return False


def setup(app):
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
