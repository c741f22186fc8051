"""What a reader wrote: the names of their file, what went wrong in it, and where."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np
from attrs import frozen


class Miss(Exception):  # noqa: N818 - no error of the program: a mark that is not earned
    """
    What a check raises where a mark is not earned.

    Attributes
    ----------
    problem : str
        What was seen, in one sentence, with the numbers.
    cause : str
        What is likely wrong, in one sentence, or "".
    look : str
        What to look at, or "".

    Examples
    --------
    >>> def check(answer):
    ...     if answer.double(2) != 4:
    ...         raise Miss("double(2) is not 4", look="what 2 * x is")
    """

    of_python = False  # Whether the code cannot run at all: a hole, or a name that is not there.

    def __init__(self, problem: str, cause: str = "", look: str = "") -> None:
        super().__init__(problem)
        self.problem, self.cause, self.look = problem, cause, look


@frozen(eq=False)
class Answer:
    """
    What a reader wrote: each name of their file is an attribute.

    Attributes
    ----------
    names : dict
        All names at once.

    Raises
    ------
    Miss
        If the file does not have the name that is asked for.

    Examples
    --------
    >>> Answer({"double": lambda x: 2 * x}).double(2)
    4
    """

    names: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "names":
            raise AttributeError(name)
        try:
            return self.names[name]
        except KeyError:
            raise Miss(f"there is no {name} in your file", look="the skeleton, which has that name") from None


def read(path: Path) -> Answer:
    """
    Run a reader's file.

    Raises
    ------
    Miss
        If it is not Python, or raises an error before any function of it is called.
    """
    path = path.absolute()  # The file's own code may change the working directory.
    module = ModuleType(f"_{path.stem}")  # Not the name of another module, and found by pickle.
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    sys.modules[module.__name__] = module
    try:
        code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise Miss(f"the file cannot be read: {error}") from None
    except SyntaxError as error:
        where = f", in {_where(error.lineno, error.text or '')}" if error.lineno else ""
        raise Miss(f"this is not Python yet: {error.msg}{where}", look=_encoding(error.msg)) from None
    except (ValueError, RecursionError, MemoryError) as error:  # Which Python raises them, for what, has changed.
        raise Miss(f"this is not Python yet: {error}", look=_encoding(str(error))) from None
    try:
        exec(code, module.__dict__)
    except RAISED as error:
        if (miss := located(error, module.__dict__)) is None:
            raise
        raise miss from error
    return Answer(module.__dict__)


#: What a reader's code may raise: `exit()` is no Exception, and neither is the Ctrl-C that ends an endless loop.
RAISED = (Exception, SystemExit, KeyboardInterrupt)


def _encoding(told: str) -> str:
    return "how the file is saved: it should be UTF-8, not UTF-16" if "null bytes" in told else ""


def _where(line: int, text: str) -> str:
    text = text.strip()
    return f"line {line}" + (f": {text[:100]}" if text else "")


def located(error: BaseException, names: Mapping[str, Any]) -> Miss | None:
    """Make a miss of an error that was raised in the reader's code, with the line; None if it came from elsewhere."""
    own = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_globals is names]
    if not own:
        return None
    frame, line = own[-1]
    text = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    where = _where(line, text)
    if isinstance(error, NotImplementedError):
        miss = Miss(f"your code is still missing, in {where}")
    elif isinstance(error, SystemExit):
        miss = Miss(f"your code ends the program, in {where}")
    elif isinstance(error, KeyboardInterrupt):
        miss = Miss(f"stopped in {where}", look="loops that do not come to an end, if it took long")
    else:
        miss = Miss(
            "\n".join(filter(None, (f"{type(error).__name__} in {where}", _plainly(error), _shapes(text, frame))))
        )
    miss.of_python = isinstance(error, (NotImplementedError, NameError, AttributeError, TypeError))
    return miss


def unfit(error: BaseException) -> Miss:
    """Make a miss of an error about what the answer is made of, as a class without its base; raise any other again."""
    if not isinstance(error, (TypeError, ValueError, AttributeError, LookupError)):
        raise error
    look = "the names, the arguments and the results of the skeleton, which must stay as they are"
    return Miss(f"{type(error).__name__}: {error}", look=look)


#: What to say beside an error, by words of it: those of frequent mistakes do not tell what to do.
_BESIDE = {
    "'Parameter' object is not subscriptable": "the numbers of a parameter are in its .value",
    r"for \^|'bitwise_xor'": "a power is written **",
    "'(numpy.)?(ndarray|float|float64)' object is not callable": "a product is written with *: 2 * (1 - l)",
    "array of numbers, got tuple": "forward returns two things, a result and a cache: y, cache = layer.forward(x)",
    "arrays can be converted to Python scalars": "a function of math takes one number; np has it for arrays",
    "name 'e' is not defined": "e^-x is np.exp(-x)",
    "^non-broadcastable output": "+= writes into the array on its left, which keeps its shape; a = a + b does not",
}


def _plainly(error: BaseException) -> str:
    """Say what an error means where Python and NumPy speak of themselves, as of a matrix product."""
    told = str(error)
    if sizes := re.search(r"^matmul: .*\(size (\d+) is different from (\d+)\)", told):
        return f"@ needs as many columns on its left as rows on its right: {sizes[2]} and {sizes[1]}"
    beside = [text for words, text in _BESIDE.items() if re.search(words, told)]
    return "\n".join([told, *beside])


def _shapes(text: str, frame: FrameType) -> str:
    """Tell the shapes of the arrays that a line names, which is what most errors of NumPy are about."""
    found = {}
    for name in re.findall(r"[A-Za-z_]\w*(?:\.\w+)*", text):
        first, *attributes = name.removesuffix(".T").split(".")
        value = {**frame.f_globals, **frame.f_locals}.get(first)
        for attribute in attributes:
            with suppress(Exception):  # Of the reader's own, too: a property may raise what it likes.
                value = getattr(value, attribute, None)
        if isinstance(value, np.ndarray):
            turned = ", all of whose axes .T turns around" if name.endswith(".T") and value.ndim > 2 else ""
            found[name.removesuffix(".T")] = f"{value.shape}{turned}"
    return f"there: {', '.join(f'{name} of shape {shape}' for name, shape in found.items())}" if found else ""
