"""How Sphinx builds these pages; it needs no network."""

import re
import sys
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

project = "minibackprop"
author = "The minibackprop developers"
project_copyright = author
version = release = re.search(r'^__version__ = "(.+)"', (ROOT / "minibackprop/__init__.py").read_text(), re.M)[1]

# The last two stand beside this file.
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs.formulas",
    "docs.linked_names",
]
exclude_patterns = ["_build", "_pictures", "_notebooks"]

html_theme = "furo"
html_title = f"minibackprop {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["custom.css"]

# Copied are the lines after the prompts, without these; of a block with none, all.
copybutton_prompt_text = r">>> |\.\.\.(?: |$)|\$ "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_mock_imports = ["torch", "jax"]  # No extra installs them.
# The docstrings name the types of constructors; short names keep the signatures of methods readable.
autodoc_type_aliases = {name: name for name in ("Array", "ArrayLike", "Callback", "DTypeLike", "Rng", "Source")}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

default_role = "py:obj"
nitpicky = True
# Every reference into the package must resolve. All others would need an inventory from the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!minibackprop\b).*"),
    (r"py:class", r"minibackprop\.testing\.(case\.T|code\.SomeLayer)"),  # Variables of types.
    (r"py:class", r"minibackprop\.training\.(data\.Batch|workers\.(Weighed|Meeting|_Result))"),  # For engines alone.
]


def _plain_signatures(*event):
    """Show an alias or a class by its name, and a default of attrs by its value, not what stands for them."""
    *_, documented, _, signature, returns = event

    def default(reference):
        value = attrs.fields_dict(documented)[reference[1]].default
        return "..." if callable(value) else repr(value)

    signature = signature and re.sub(r"attr_dict\['(\w+)'\]\.default", default, signature)
    signature = signature and re.sub(r"<class 'numpy\.(\w+)'>", r"np.\1", signature)
    return tuple(text and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text) for text in (signature, returns))


def _attributes_of_one_kind(*event):
    """Keep ``x, y : int`` in a section of attributes together: Sphinx would take ``x,`` for the type of ``y``."""
    *_, lines = event
    lines[:] = [
        re.sub(r"^:(ivar|vartype) ([\w, ]+):", lambda field: field[0].replace(", ", ","), line) for line in lines
    ]


def _make_files(app):
    """Make what the pages show and offer; imported here, as only a build needs the packages for it."""
    from docs import exercise_pages, notebooks, pictures

    exercise_pages.make(Path(app.srcdir) / "exercises")
    pictures.make(Path(app.srcdir) / "_pictures")
    notebooks.make(Path(app.srcdir) / "_notebooks")


def setup(app):
    app.connect("builder-inited", _make_files)
    app.connect("autodoc-process-signature", _plain_signatures)
    app.connect("autodoc-process-docstring", _attributes_of_one_kind, priority=600)
