"""Whether a notebook shows what a program displays, and a line of text in it."""

from __future__ import annotations

import sys
from typing import Any


def shell() -> Any:
    """Give the shell of IPython, or None where none runs; nothing is imported for it."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def in_notebook() -> bool:
    """Tell whether this runs in the kernel of a notebook: IPython is there, and not in a terminal."""
    return hasattr(shell(), "kernel")


class Line:
    """A file for a line of text that is rewritten in a place of its own below the cell, whatever comes after it."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Show a text in the place of the last one."""
        from IPython.display import display

        shown = {"text/plain": text.strip()}
        if not shown["text/plain"]:
            return
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def flush(self) -> None:
        """Do nothing: what is written is shown at once."""
