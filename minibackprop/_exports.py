"""Public names that are imported when they are first asked for, so that who uses a few does not wait for all."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from types import CodeType
from typing import Any


def exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """
    Make ``__getattr__`` and ``__dir__`` of a package from the imports under its ``if TYPE_CHECKING:``.

    So a public name is written down once, in the import that editors and type checkers read, and its module is not
    imported before the name is used. ``from package.room import *`` stands for all names of a room. ``__all__`` is
    answered too.

    Examples
    --------
    >>> import minibackprop.losses
    >>> "Huber" in minibackprop.losses.__all__, minibackprop.losses.Huber
    (True, <class 'minibackprop.losses.regression.Huber'>)
    """
    code = sys._getframe(1).f_code

    @cache
    def homes() -> dict[str, str]:
        found: dict[str, str] = {}
        for module, name in _imports(code):
            if module.startswith(f"{package}.") and module != __name__:
                found |= dict.fromkeys(import_module(module).__all__ if name == "*" else [name], module)
        return found

    def get(name: str) -> Any:
        if name == "__all__":
            value: Any = list(homes())
        elif name.startswith("__") or name not in homes():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        else:
            value = getattr(import_module(homes()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(homes())


def _imports(code: CodeType) -> Iterator[tuple[str, str]]:
    """Go through what the ``from ... import`` statements of a module import: ``(module, name)``, "*" for a star."""
    module = ""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            module = step.argval
        elif step.opname == "IMPORT_FROM":
            yield module, step.argval
        elif "IMPORT_STAR" in (step.opname, step.argrepr.removeprefix("INTRINSIC_")):
            yield module, "*"
