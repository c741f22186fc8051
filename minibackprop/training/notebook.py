"""Whether a notebook shows what a program displays."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """Tell whether this runs in the kernel of a notebook: IPython is there, and not in a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
