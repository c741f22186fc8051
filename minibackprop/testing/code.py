"""Arrays, layers and what makes them, written down as Python that can be pasted."""

from __future__ import annotations

import ast
import linecache
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from inspect import Parameter as Argument
from inspect import signature
from types import FunctionType
from typing import Any, TypeVar

import numpy as np
from hypothesis.control import current_build_context
from hypothesis.vendor.pretty import IDKey

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.state import configuration
from minibackprop.validation import Array

Drawn = TypeVar("Drawn")

SomeLayer = TypeVar("SomeLayer", bound=Layer)


def with_state(layer: SomeLayer, state: Mapping[str, Array]) -> SomeLayer:
    """
    Load a state into a layer, and return that layer: what drawn layers are printed with.

    Parameters
    ----------
    layer : Layer
    state : dict of str to array
        As of ``layer.state_dict()``.

    Raises
    ------
    ConfigError
        If `layer` is not a `Layer`; and what `load_state_dict` raises.

    Examples
    --------
    >>> from minibackprop import Dense
    >>> with_state(Dense(2, 1, bias=False), {"weight": np.array([[2.0], [3.0]])}).predict(np.ones((1, 2)))
    array([[5.]])
    """
    if not isinstance(layer, Layer):
        raise ConfigError("with_state: layer", "an instance of Layer", describe(layer))
    layer.load_state_dict(state)
    return layer


#: Entries of an array that are all written, so that the code runs; of more, only the ends are shown.
_MOST = 10_000


def written(value: Array) -> str:
    """Write an array as Python."""
    if value.size == 0:
        return f"np.zeros({value.shape}, dtype=np.{value.dtype})"
    with np.printoptions(nanstr="np.nan", infstr="np.inf"):
        text = np.array2string(value, separator=", ", threshold=_MOST, floatmode="unique").replace("\n", "\n    ")
    return f"np.array({text}, dtype=np.{value.dtype})" if value.dtype != np.float64 else f"np.array({text})"


def written_layer(layer: Layer) -> str:
    """
    Write a layer, and those in it, as a call of its class; one that stands in several places gets a name.

    Raises
    ------
    TypeError
        If an argument of a constructor cannot be read off the layer.
    """
    places, names = Counter[int](), dict[int, str]()

    def count(value: object) -> None:
        for part in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(part, Layer):
                places[id(part)] += 1
                if places[id(part)] == 1:
                    count(list(configuration(part).values()))
            elif isinstance(part, (list, tuple)):
                count(part)

    def write(value: object) -> str:
        if isinstance(value, Layer):
            if places[id(value)] < 2:
                return _call(value, write)
            if id(value) in names:
                return names[id(value)]
            call = _call(value, write)
            names[id(value)] = f"layer_{len(names) + 1}"
            return f"({names[id(value)]} := {call})"
        if isinstance(value, np.ndarray):
            return written(value)
        if isinstance(value, (list, tuple)) and any(isinstance(part, Layer) for part in value):
            return f"[{', '.join(map(write, value))}]"
        return repr(value)

    count(layer)
    return write(layer)


def written_with_state(layer: Layer) -> str:
    """Write a layer with its weights."""
    state, text = layer.state_dict(), written_layer(layer)
    dtypes = {value.dtype for value in state.values() if value.dtype.kind == "f"}
    if len(dtypes) == 1 and (dtype := dtypes.pop()) != np.float64:
        text += f".astype(np.{dtype})"
    entries = ", ".join(f"{name!r}: {written(value)}" for name, value in state.items())
    return f"with_state({text}, {{{entries}}})" if state else text


def _call(layer: Layer, write: Callable[[object], str]) -> str:
    """Write the call that makes a layer like this one, without what is as by default."""
    found, arguments = configuration(layer), []
    for number, (name, argument) in enumerate(signature(type(layer)).parameters.items()):
        if name in found:
            value, default = found[name], argument.default
            if type(value) is type(default) and isinstance(value, (bool, int, float, str)) and value == default:
                continue
            positional = (default is Argument.empty or not number) and argument.kind is not Argument.KEYWORD_ONLY
            arguments.append(write(value) if positional else f"{name}={write(value)}")
        elif name not in layer.used_up:
            raise TypeError(f"{type(layer).__name__} does not keep its argument {name}")
    return f"{type(layer).__name__}({', '.join(arguments)})"


def call_of(make: Callable[[], object], given_to: str = "check_layer") -> str:
    """Write down how something is made: the body of a lambda that stands on one line, else the call."""
    code = ""
    if isinstance(make, partial):
        arguments = [*map(_named, make.args), *(f"{key}={_named(value)}" for key, value in make.keywords.items())]
        code = f"{_named(make.func)}({', '.join(arguments)})"
    elif isinstance(make, FunctionType) and make.__name__ == "<lambda>":
        code = _body_of(make)
    elif hasattr(make, "__name__"):
        code = f"{make.__name__}()"
    return code if _is_expression(code) else f"make()  # what was given to {given_to}"


def _named(value: object) -> str:
    """Write a class or a function by its name."""
    return value.__name__ if isinstance(value, (type, FunctionType)) else repr(value)


def _is_expression(code: str) -> bool:
    try:
        ast.parse(code, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _body_of(function: FunctionType) -> str:
    """Cut out the source of what a lambda returns; "" if it is not to be had, or stands on several lines."""
    code = function.__code__
    spans = [span for span in code.co_positions() if None not in span and span[2] != span[3]]
    if not spans or {line for span in spans for line in span[:2]} != {code.co_firstlineno}:
        return ""
    line = linecache.getline(code.co_filename, code.co_firstlineno).encode()
    return line[min(span[2] or 0 for span in spans) : max(span[3] or 0 for span in spans)].decode(errors="replace")


def shown_as(value: Drawn, write: Callable[[Any], str]) -> Drawn:
    """Let Hypothesis print a value that is being drawn by `write`, in a falsifying example; return the value."""

    def show(obj: object, printer: Any, cycle: bool) -> None:  # noqa: ARG001
        for number, line in enumerate(write(obj).splitlines()):
            if number:
                printer.break_()
            printer.text(line)

    with suppress(Exception):  # It has no public way to say so; if this one closes, it prints what it would.
        current_build_context().known_object_printers[IDKey(value)].append(show)
    return value
