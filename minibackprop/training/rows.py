"""Whatever has rows, as arrays: tables, columns, tensors and lists, by position; and the checks of each array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minibackprop.arrays import kind_of, maker_of, name_of
from minibackprop.errors import DTypeError, NonFiniteError, ShapeError, describe
from minibackprop.validation import Array, require_numbers, shortened


def as_rows(subject: str, data: Any) -> Array:
    """
    Make an array of what has rows: row i is the i-th, whatever its label.

    Arrays, NumPy's or other, stay as they are. Columns of a table must be of numbers, booleans, or categories that are;
    one that is given alone may be of lists, as Arrow has vectors and images.
    """
    if hasattr(data, "__array_function__"):
        return data  # type: ignore[no-any-return]
    if hasattr(data, "tocsr"):
        raise DTypeError(subject, "dense rows, as .toarray() makes them", f"a sparse {type(data).__name__}")
    if isinstance(data, Mapping):
        raise several_inputs(subject, "a dict")
    columns = _columns(data)
    if columns is None:
        return _as_column(subject, data)
    named = [(f"{subject}: column {shortened(name)}", column) for name, column in columns]
    arrays = [_as_column(name, column) for name, column in named]
    if not arrays:
        raise ShapeError(subject, "at least one column", "none")
    for (name, _), array in zip(named, arrays, strict=True):
        _require_numbers(name, array)
        if array.ndim != 1:
            expected = "a number in each row (a column of arrays is given alone, without the table)"
            raise DTypeError(name, expected, describe(array))
    return np.stack(arrays, axis=1)


def several_inputs(subject: str, got: str) -> DTypeError:
    """Make the error for several inputs in the place of one."""
    ways = "several of them stand in one, and branches (Concat) take their parts; lengths and masks go into given={...}"
    return DTypeError(subject, f"one array ({ways})", got)


def _columns(data: Any) -> Iterator[tuple[object, object]] | None:
    """Go through the columns of a table, if it is one: of Arrow, polars or pandas."""
    if hasattr(data, "itercolumns"):
        return zip(data.column_names, data.itercolumns(), strict=True)
    if hasattr(data, "iter_columns"):
        return ((column.name, column) for column in data.iter_columns())
    return iter(data.items()) if hasattr(data, "iloc") and hasattr(data, "columns") else None


def _as_column(subject: str, data: Any) -> Array:
    """Make an array of a column of a table, a tensor or a list."""
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(subject, "samples of one shape", str(error)) from error
    except (TypeError, RuntimeError) as error:  # A tensor that is elsewhere, say, or waits for its gradient.
        raise DTypeError(subject, "what NumPy makes an array of", str(error)) from error
    if array.dtype != object:
        return array
    if not array.ndim:  # What NumPy makes of anything else.
        raise DTypeError(subject, "an array of numbers", describe(data))
    if array.ndim == 1 and array.size and isinstance(array[0], _LISTS):
        # A column of lists, as Arrow and pandas have images and vectors.
        other = next((i for i, value in enumerate(array) if not isinstance(value, _LISTS)), None)
        if other is not None:
            raise DTypeError(subject, "a list in each row", f"{shortened(array[other])} at index {(other,)}")
        rows = [_as_column(subject, value) for value in array]
        shapes = list(dict.fromkeys(row.shape for row in rows))
        if len(shapes) > 1:
            raise ShapeError(subject, "samples of one shape", f"{shapes[0]} and {shapes[1]}")
        return np.stack(rows)
    for index, value in np.ndenumerate(array):
        if not isinstance(value, (Real, np.bool_)):
            got = f"{shortened(value)} at index {index}"
            raise DTypeError(subject, "an array of numbers", got + (_NUMBERED if isinstance(value, str) else ""))
    return np.array(array.tolist())  # Integers stay integers, and booleans are a kind of their own.


_LISTS = (np.ndarray, list, tuple)
_NUMBERED = "; np.unique(labels, return_inverse=True)[1] makes numbers of labels"


def _require_numbers(subject: str, array: Any) -> None:
    if getattr(getattr(array, "dtype", None), "kind", None) in ("U", "S"):
        raise DTypeError(subject, "an array of numbers", describe(array) + _NUMBERED)
    require_numbers(subject, array)


def _misplaced(subject: str, name: str, array: Array, kind: type) -> DTypeError:
    """Make the error for data that are not where the model is: nothing is moved without a word, as that takes time."""
    if kind is np.ndarray:
        remedy = f"model.map_arrays({maker_of(type(array))}) takes a model to where they are"
    else:
        remedy = f"{maker_of(kind)}({name}) takes it to where the model is"
    expected = f"{name_of(kind)}, as the model's arrays are ({remedy})"
    return DTypeError(subject, expected, name_of(kind_of(array)))


def as_samples(name: str, data: ArrayLike, dtype: np.dtype[Any] | None = None, kind: type | None = None) -> Array:
    """
    Make an array of finite numbers, cast to `dtype`, with at least one sample; it is to be of a kind, the model's.

    A memory-mapped array is returned as it is: its batches are to be cast and looked at, as they are read.
    """
    subject = f"Trainer: {name}"
    array = as_rows(subject, data)
    _require_numbers(subject, array)
    if kind is not None and not isinstance(array, kind):
        raise _misplaced(subject, name, array, kind)
    if isinstance(array, (np.ma.MaskedArray, np.matrix)):
        raise DTypeError(subject, "a plain array", type(array).__name__)
    if array.ndim == 0 or len(array) == 0:
        raise ShapeError(subject, "one sample a row, and at least one", f"shape {array.shape}")
    if isinstance(array, np.memmap):
        return array
    given = array
    if dtype is not None:
        with np.errstate(over="ignore"):  # What does not fit into float32 is found below, as infinity.
            array = array.astype(dtype, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        beyond = f", which {dtype} does not hold" if np.isfinite(given[index]) else ""
        names = [column for column, _ in _columns(data) or ()]
        where = f", column {shortened(names[index[1]])}" if names else ""
        raise NonFiniteError(subject, "finite", f"{given[index]} at index {index}{where}{beyond}")
    if type(array) is np.ndarray and array.flags.writeable:
        # A layer or a metric that writes into it is stopped there, and the user's own data are safe.
        array = array.view()
        array.flags.writeable = False
    return array
