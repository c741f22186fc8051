"""A stand-in for the notebook that IPython speaks to: what is displayed is kept."""

from __future__ import annotations

import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest


class Notebook:
    """Whatever is displayed has a place in `outputs`; an update changes it there."""

    def __init__(self, patch: pytest.MonkeyPatch, *, kernel: bool = True) -> None:
        self.outputs: list[Any] = []
        self.updates = 0
        self.shell = SimpleNamespace(execution_count=1, InteractiveTB=SimpleNamespace(structured_traceback=self.lines))
        if kernel:
            self.shell.kernel = object()
        patch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: self.shell))
        shown = SimpleNamespace(display=self.display, Image=SimpleNamespace)
        patch.setitem(sys.modules, "IPython.display", shown)

    def display(self, value: Any, **_: object) -> SimpleNamespace:
        self.outputs.append(value)
        return SimpleNamespace(update=partial(self.update, len(self.outputs) - 1))

    def update(self, at: int, value: Any, **_: object) -> None:
        self.outputs[at] = value
        self.updates += 1

    def lines(self, kind: type, value: BaseException, traceback: Any) -> list[str]:
        return ["the traceback", f"{kind.__name__}: {value}", str(traceback is value.__traceback__)]
