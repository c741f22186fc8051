"""Arrays of NumPy and of other kinds, a GPU's say: told apart, and taken from the one to the other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minibackprop.errors import ConfigError, DTypeError, describe

#: Makes a NumPy array of one of another kind, as `cupy.asnumpy` does.
ToHost: TypeAlias = Callable[[Any], Any]


def kind_of(array: object) -> type:
    """Give what an array is an instance of: `numpy.ndarray` for all of NumPy's, their entries too."""
    return np.ndarray if isinstance(array, (np.ndarray, np.generic)) else type(array)


def name_of(kind: type) -> str:
    """Name a kind of arrays in an error, and whose it is, as several are called ``ndarray``: ``cupy.ndarray``."""
    name, library = kind.__name__, _library(kind)
    return f"{library}.{name}" if getattr(sys.modules.get(library), name, None) is kind else name


def maker_of(kind: type) -> str:
    """Name what makes an array of a kind: ``cupy.asarray``."""
    library = _library(kind)
    return f"{library}.asarray" if hasattr(sys.modules.get(library), "asarray") else kind.__name__


def _library(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def missing_protocols(array: object) -> list[str]:
    """List the protocols that NumPy's functions find arrays of other kinds by, and that this one lacks."""
    return [name for name in ("__array_ufunc__", "__array_function__") if not hasattr(type(array), name)]


def require_to_host(subject: str, to_host: object) -> None:
    """Require a function that makes NumPy arrays, or None."""
    if to_host is not None and (not callable(to_host) or isinstance(to_host, type)):
        expected = "a function that makes a NumPy array of another, such as cupy.asnumpy"
        raise ConfigError(f"{subject}: to_host", expected, describe(to_host))


def on_host(array: Any, subject: str, to_host: ToHost | None = None) -> Any:
    """
    Give an array as NumPy's: itself where it is one, else what `to_host` makes of it.

    By default that is ``array.get()``, as CuPy has it, or where there is none, what `np.asarray` makes.

    Raises
    ------
    DTypeError
        If that is no NumPy array of the same shape and dtype.
    """
    if isinstance(array, (np.ndarray, np.generic)):
        return array
    cause = None
    try:
        found = _to_host(array) if to_host is None else to_host(array)
    except TypeError as error:  # What does not convert says so by this one.
        if to_host is not None:
            raise
        found, cause = array, error
    if isinstance(found, np.ndarray) and found.shape == array.shape and found.dtype == array.dtype:
        return found
    if to_host is not None:
        expected = f"a NumPy array of shape {array.shape} and dtype {array.dtype} from to_host"
        raise DTypeError(subject, expected, describe(found))
    expected = "a NumPy array (to_host=... makes one, and map_arrays copies a model from another device)"
    raise DTypeError(subject, expected, name_of(type(array))) from cause


def _to_host(array: Any) -> Any:
    return array.get() if callable(getattr(array, "get", None)) else np.asarray(array)


def as_kind(array: Any, like: Any, subject: str) -> Any:
    """Take an array to where another one is: to the host, to a device, or nowhere."""
    if isinstance(array, kind := kind_of(like)):
        return array
    found = on_host(array, subject)
    return found if kind is np.ndarray else np.asarray(found, like=like)
