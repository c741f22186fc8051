"""What a reader wrote: the names of their file, what went wrong in it, and where."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from collections.abc import Mapping
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
    module = ModuleType(f"_{path.stem}")  # Not the name of another module, and found by pickle.
    module.__file__ = str(path)
    linecache.checkcache(str(path))
    sys.modules[module.__name__] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)
    except SyntaxError as error:
        where = f"line {error.lineno}" + (f": {error.text.strip()}" if error.text else "")
        raise Miss(f"this is not Python yet: {error.msg}, in {where}") from None
    except UnicodeDecodeError as error:
        raise Miss(f"this is not a text file of UTF-8: {error.reason}") from None
    except (Exception, SystemExit) as error:
        raise located(error, module.__dict__) from error
    return Answer(module.__dict__)


def located(error: BaseException, names: Mapping[str, Any]) -> Miss:
    """Make a miss of an error in the reader's code, with the line; an error from elsewhere is raised again."""
    own = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_globals is names]
    if not own and isinstance(error, TypeError) and _is_about_a_call(str(error), names):
        return Miss(
            f"TypeError: {error}", look="the names and the arguments of the skeleton, which must stay as they are"
        )
    if not own:
        raise error
    frame, line = own[-1]
    text = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
    where = f"line {line}" + (f": {text}" if text else "")
    if isinstance(error, NotImplementedError):
        miss = Miss(f"your code is still missing, in {where}")
    elif isinstance(error, SystemExit):
        miss = Miss(f"your code ends the program, in {where}")
    else:
        miss = Miss(
            "\n".join(filter(None, (f"{type(error).__name__} in {where}", _plainly(error), _shapes(text, frame))))
        )
    miss.of_python = isinstance(error, (NotImplementedError, NameError, AttributeError, TypeError))
    return miss


def _is_about_a_call(told: str, names: Mapping[str, Any]) -> bool:
    called = re.match(r"([\w.]+)\(\)", told)
    return "is not callable" in told or bool(called and called[1].split(".")[0] in names)


def _plainly(error: BaseException) -> str:
    """Say what is wrong with a matrix product in plain words; NumPy speaks of its own kernels."""
    told = str(error)
    sizes = re.search(r"^matmul: .*\(size (\d+) is different from (\d+)\)", told)
    return f"@ needs as many columns on its left as rows on its right: {sizes[2]} and {sizes[1]}" if sizes else told


def _shapes(text: str, frame: FrameType) -> str:
    """Tell the shapes of the arrays that a line names, which is what most errors of NumPy are about."""
    found = {}
    for name in re.findall(r"[A-Za-z_]\w*(?:\.\w+)*", text):
        first, *attributes = name.removesuffix(".T").split(".")
        value = {**frame.f_globals, **frame.f_locals}.get(first)
        for attribute in attributes:
            value = getattr(value, attribute, None)
        if isinstance(value, np.ndarray):
            found[name.removesuffix(".T")] = value.shape
    return f"there: {', '.join(f'{name} of shape {shape}' for name, shape in found.items())}" if found else ""
