"""What the layers around functions of other frameworks share."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ContractError, ShapeError, describe
from minibackprop.state import Buffer
from minibackprop.validation import Array

#: What is held, by its identity, where a pickle cannot hold it.
_alive: WeakValueDictionary[int, Held] = WeakValueDictionary()


class Held:
    """
    Holds a function, which copies of a layer share, or a module with state of its own, which they copy.

    What cannot be pickled, a local class say, is pickled as a reference that is good in the same process, as long as
    what it refers to is alive.
    """

    def __init__(self, value: Any, *, shared: bool) -> None:
        self.value, self.shared = value, shared

    def __deepcopy__(self, memo: dict[int, Any]) -> Held:
        return self if self.shared else Held(copy.deepcopy(self.value, memo), shared=False)

    def __reduce__(self) -> Any:
        try:
            return _unpickled, (pickle.dumps(self.value), self.shared)
        except Exception:
            _alive[id(self)] = self
            return _found, (id(self),)


def _unpickled(pickled: bytes, shared: bool) -> Held:
    return Held(pickle.loads(pickled), shared=shared)


def _found(number: int) -> Held:
    if number not in _alive:
        raise ContractError("a pickle of a function that has no importable name", "be read where it was written")
    return copy.deepcopy(_alive[number])


class Adapter(Layer):
    """A layer around a function of another framework: its arrays have the names that they have there."""

    freezable = True

    def __init__(self, name: str, held: Held, arrays: Mapping[str, Buffer], **declared: list[str]) -> None:
        self.name, self.held, self.arrays = name, held, dict(arrays)
        for what, reasons in declared.items():
            if not all(isinstance(reason, str) for reason in reasons):
                raise ConfigError(f"{type(self).__name__}: {what}", "the reason, as a str", describe(reasons[0]))
            setattr(self, what, "; ".join(dict.fromkeys(filter(None, reasons))))

    def _members(self) -> Iterator[tuple[str, object]]:
        for name, value in vars(self).items():
            if name == "arrays":
                yield from self.arrays.items()
            else:
                yield name, value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @contextmanager
    def _refusing(self, x: Array) -> Iterator[None]:
        """Turn what the framework raises for a shape into a `ShapeError`; frameworks have no error of their own."""
        try:
            yield
        except (RuntimeError, TypeError, AssertionError, IndexError) as error:
            # An error of a class of the framework's own says what it is.
            if type(error).__module__ != "builtins" or not _OF_SHAPES.search(str(error)):
                raise
            why = str(error).strip().partition("\n")[0]
            raise ShapeError(repr(self), "input of a shape that it takes", f"{x.shape}: {why}") from error


#: Words of the messages for shapes that do not fit.
_OF_SHAPES = re.compile(r"shape|size|\bdim|channel|elements", re.IGNORECASE)


def require_inputs(subject: str, function: Any, count: int, expected: str) -> None:
    """Require that a function can be called with so many arguments; one that does not say what it takes may."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*range(count))
    except TypeError:
        raise ConfigError(subject, expected, f"one that takes {signature}") from None
