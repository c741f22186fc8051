"""The public names: what `minibackprop` exports, and that it is imported late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import minibackprop


def test_names_are_those_that_type_checkers_see() -> None:
    """The imports for type checkers and the table for programs name the same things from the same modules."""
    source = Path(minibackprop.__file__).read_text(encoding="utf-8")
    (block,) = (node for node in ast.parse(source).body if isinstance(node, ast.If))
    seen = {
        f"{node.module}.{alias.asname}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {f"minibackprop.{module}.{name}" for name, module in minibackprop._HOMES.items()}


@pytest.mark.parametrize("name", minibackprop.__all__)
def test_names_are_found(name: str) -> None:
    """Each is there, and stands in `dir`."""
    assert getattr(minibackprop, name).__name__ == name
    assert name in dir(minibackprop)


def test_other_names_are_not() -> None:
    """A misspelt name is an AttributeError, and an ImportError where it is imported."""
    with pytest.raises(AttributeError, match="module 'minibackprop' has no attribute 'Desne'"):
        minibackprop.Desne  # type: ignore[attr-defined] # noqa: B018


def test_importing_imports_no_more_than_is_asked_for() -> None:
    """The package alone is light; a layer brings what it needs, and no optional package is ever imported."""
    code = """
import sys, minibackprop
print(*(name for name in sys.modules if name.startswith("minibackprop.") or name == "numpy"))
from minibackprop import *
print(*sorted(sys.modules.keys() & {"hypothesis", "pytest", "matplotlib", "tqdm", "sklearn", "torch"}))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert result.stdout.split() == []
