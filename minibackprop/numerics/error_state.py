"""NumPy's floating-point warnings: silenced where an overflow is part of the method, raised where it must not be."""

from __future__ import annotations

import threading
from contextvars import Context
from typing import Any

import numpy as np


class _Prepared(threading.local):
    """
    Calls NumPy functions under other settings of `np.seterr`, without warnings by ``quiet.run(np.exp, x)``.

    NumPy keeps its error state in a context variable, so a context prepared once does what ``np.errstate`` does, for a
    tenth of the price. One for each thread, since a context cannot be entered twice at a time.

    Examples
    --------
    >>> with np.errstate(all="raise"):
    ...     quiet.run(np.exp, np.array([1000.0]))
    array([inf])
    """

    def __init__(self, **settings: Any) -> None:
        context = Context()
        context.run(np.seterr, **settings)
        self.run = context.run


#: Without warnings, where an overflow is part of the method.
quiet = _Prepared(all="ignore")

#: With a FloatingPointError for an overflow, which the processor notices on its own: no pass over the array is needed.
strict = _Prepared(all="ignore", over="raise")


def without_warnings() -> np.errstate:
    """Make a context in which NumPy does not warn; where the user has asked it to raise, it does."""
    return np.errstate(**{kind: "ignore" for kind, how in np.geterr().items() if how == "warn"})  # type: ignore[arg-type]
