"""The exceptions, one family, and how a value is described in a message."""

from __future__ import annotations

import numpy as np


class MinibackpropError(Exception):
    """
    What every error of the framework's own has in common: a subject, what it expects, and what it got.

    Attributes
    ----------
    subject, expected, got : str
        The parts of the message.
    position : tuple of int or str
        Where in the model the layer stands, from the outermost composite inwards, as in the names of parameters; empty
        outside of one.
    """

    verb = "expects"

    def __init__(self, subject: str, expected: str, got: str = "") -> None:
        super().__init__(subject, expected, got)
        self.subject, self.expected, self.got = subject, expected, got
        self.position: tuple[int | str, ...] = ()

    def __str__(self) -> str:
        where = f"layer {'.'.join(map(str, self.position))}: " if self.position else ""
        return f"{where}{self.subject} {self.verb} {self.expected}" + (f", got {self.got}" if self.got else "")


class ConfigError(MinibackpropError, ValueError, TypeError):
    """An argument of a constructor, or a setting, that makes no sense."""


class ShapeError(MinibackpropError, ValueError):
    """An array of the wrong shape."""


class DTypeError(MinibackpropError, TypeError):
    """An array of the wrong kind of entries, or something that is no array."""


class NonFiniteError(MinibackpropError, ValueError, FloatingPointError):
    """NaN or infinity in data, or in a loss."""

    verb = "must be"


class StateDictError(MinibackpropError, ValueError):
    """A ``state_dict`` that does not fit the layer."""


class ContractError(MinibackpropError, TypeError):
    """A layer that does not do what every layer must."""

    verb = "must"


class FileFormatError(MinibackpropError, ValueError):
    """A file that cannot be read: foreign, damaged, of a later version, or holding something else than expected."""

    verb = "must be"


def describe(value: object) -> str:
    """Say in a few words what `value` is, for the end of an error message."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself"
    name = type(value).__name__
    return f"{name} of shape {value.shape} and dtype {value.dtype}" if isinstance(value, np.ndarray) else name


class TargetError(MinibackpropError, ValueError):
    """A target of the right shape that means nothing: a label of no class, probabilities that do not add up to 1."""


class WorkerError(MinibackpropError, RuntimeError):
    """Another process of a run has failed, does something else, or does not answer."""

    verb = "must"
