"""Data for training: checked samples and targets, and mini-batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import ArrayLike

from minibackprop.errors import ConfigError, DTypeError, NonFiniteError, ShapeError, describe
from minibackprop.rng import as_generator
from minibackprop.validation import Array, is_flag, is_size, require_numbers

#: Samples, targets and weights, one a row.
Batch: TypeAlias = tuple[Array, Array, Array | None]

#: What x is cast to, and what a floating-point y is; None for what stays as it is.
DTypes: TypeAlias = tuple[np.dtype[Any] | None, np.dtype[Any] | None]

#: Batches, or a function that makes an iterable of them.
Source: TypeAlias = Iterable[tuple[ArrayLike, ...]] | Callable[[], Iterable[tuple[ArrayLike, ...]]]


def _is_rows(_: object, attribute: Any, value: Any) -> None:
    if value is not None and (not hasattr(value, "shape") or value.ndim < 1):
        raise ConfigError(f"Batches: {attribute.name}", "an array, one sample a row", describe(value))


@define(eq=False, slots=False, repr=False)
class Batches:
    """
    The samples in mini-batches, in a new random order on each pass.

    An iterable of ``(x, y)``, or of ``(x, y, weights)`` where there are weights; each is a new array. Any loop can go
    through it, and `Trainer.fit` takes it as its data. Memory-mapped arrays are read a batch at a time.

    Parameters
    ----------
    x, y : array
        Samples and targets, one a row.
    weights : array, optional
        One a sample.
    batch_size : int
        How many samples a batch has.
    shuffle : bool
        Whether to draw a new order for each pass, or to keep the order of the rows.
    drop_last : bool
        Whether to leave out the last batch where it is shorter than the others.
    rng : Generator, RandomState, int or None
        What the orders are drawn from.
    rows : array of int, optional
        Which rows to take; by default all.

    Raises
    ------
    ConfigError
        If an argument makes no sense, or no batch would be left.
    ShapeError
        If `x`, `y` and the weights are not as long as each other.

    Examples
    --------
    >>> x = np.arange(5.0)[:, np.newaxis]
    >>> for samples, targets in Batches(x, 2 * x, batch_size=2, rng=0):
    ...     print(samples.ravel(), targets.ravel())
    [2. 4.] [4. 8.]
    [3. 0.] [6. 0.]
    [1.] [2.]
    >>> len(Batches(x, 2 * x, batch_size=2, drop_last=True))
    2
    """

    x: Array = field(validator=_is_rows)
    y: Array = field(validator=_is_rows)
    weights: Array | None = field(default=None, validator=_is_rows)
    batch_size: int = field(kw_only=True, validator=is_size)
    shuffle: bool = field(default=True, kw_only=True, validator=is_flag)
    drop_last: bool = field(default=False, kw_only=True, validator=is_flag)
    rng: Any = field(default=None, kw_only=True, converter=as_generator)
    rows: Array | None = field(default=None, kw_only=True, validator=_is_rows)

    def __attrs_post_init__(self) -> None:
        for name, array in (("y", self.y), ("weights", self.weights)):
            if array is not None and len(array) != len(self.x):
                raise ShapeError(f"Batches: {name}", f"{len(self.x)} rows, as x has", str(len(array)))
        if self.rows is not None and (self.rows.ndim != 1 or self.rows.dtype.kind not in "iu"):
            raise ConfigError("Batches: rows", "an array of row numbers", describe(self.rows))
        if not len(self):
            raise ConfigError("Batches: batch_size", f"at most the {self._count} samples", str(self.batch_size))

    @property
    def _count(self) -> int:
        return len(self.x if self.rows is None else self.rows)

    def __len__(self) -> int:
        """Count the batches of a pass."""
        whole, rest = divmod(self._count, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """Go through the batches of one pass."""
        rows, size = self.rows, self.batch_size
        arrays = [self.x, self.y] if self.weights is None else [self.x, self.y, self.weights]
        # Plain views of what is mapped: no batch is a memmap then.
        arrays = [np.asarray(array) if isinstance(array, np.memmap) else array for array in arrays]
        if self.shuffle:
            order = self.rng.permutation(self._count)
            rows = order if rows is None else rows[order]
        for start in range(0, len(self) * size, size):
            if rows is None:
                yield tuple(array[start : start + size].copy() for array in arrays)
            else:
                chosen = rows[start : start + size]
                yield tuple(array[chosen] for array in arrays)

    def __repr__(self) -> str:
        settings = f"batch_size={self.batch_size}, shuffle={self.shuffle}, drop_last={self.drop_last}"
        return f"Batches({self._count} samples, {settings})"


def as_samples(name: str, data: ArrayLike, dtype: np.dtype[Any] | None = None) -> Array:
    """
    Make an array of finite numbers, cast to `dtype`, with at least one sample.

    A memory-mapped array is returned as it is: its batches are to be cast and looked at, as they are read.
    """
    subject = f"Trainer: {name}"
    try:
        array: Array = data if hasattr(data, "__array_function__") else np.asarray(data)  # type: ignore[assignment]
    except ValueError as error:
        raise ShapeError(subject, "samples of one shape", str(error)) from error
    require_numbers(subject, array)
    if isinstance(array, (np.ma.MaskedArray, np.matrix)):
        raise DTypeError(subject, "a plain array", type(array).__name__)
    if array.dtype.kind == "c":
        raise DTypeError(subject, "real numbers", describe(array))
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
        range_ = f", which {dtype} does not hold" if np.isfinite(given[index]) else ""
        raise NonFiniteError(f"{subject}", "finite", f"{given[index]} at index {index}{range_}")
    if type(array) is np.ndarray and array.flags.writeable:
        array = (
            array.view()
        )  # A layer or a metric that writes into it is stopped there, and the user's own data are safe.
        array.flags.writeable = False
    return array


def as_batch(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None, dtypes: DTypes) -> Batch:
    """Check samples, targets and weights, each alone and against each other; cast samples and targets."""
    x, y = as_samples("x", x, dtypes[0]), as_samples("y", y)
    if y.dtype.kind == "f":
        y = as_samples("y", y, dtypes[1])
    if len(x) != len(y):
        raise ShapeError("Trainer", "as many targets as samples", f"x of shape {x.shape} and y of shape {y.shape}")
    if weights is None:
        return x, y, None
    weights = as_samples("weights", weights)
    if weights.shape != y.shape[: weights.ndim]:
        expected = f"one for each of the {len(x)} samples, or of the places in a target of shape {y.shape}"
        raise ShapeError("Trainer: weights", expected, f"shape {weights.shape}")
    if weights.min() < 0:
        raise ConfigError("Trainer: weights", "none below 0", str(weights.min()))
    return x, y, weights


def require_some_weight(samples: Batch) -> None:
    """Require that not all samples count nothing."""
    weights = samples[2]
    if weights is not None and not weights.any():
        raise ConfigError("Trainer: weights", "some above 0", "none")


@define(eq=False)
class Stream:
    """
    An iterable of checked batches, of what a user gave as one of unchecked batches.

    Raises
    ------
    ConfigError
        When a pass is made, if it gives something else than batches, or none.
    """

    source: Source
    dtypes: DTypes
    name: str

    def __attrs_post_init__(self) -> None:
        if hasattr(self.source, "dtype") or not (callable(self.source) or isinstance(self.source, Iterable)):
            raise self._misfit(self.source)

    def _misfit(self, got: object) -> ConfigError:
        expected = "batches: an iterable of (x, y), or a function that makes one"
        return ConfigError(f"Trainer: {self.name}", expected, describe(got))

    def __length_hint__(self) -> int:
        return len(self.source) if isinstance(self.source, Sized) else NotImplemented  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[Batch]:
        number, items = -1, self.source() if callable(self.source) else self.source
        if not isinstance(items, Iterable):
            raise self._misfit(items)
        for number, item in enumerate(items):
            if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
                got = describe(item) + (f" of length {len(item)}" if isinstance(item, (tuple, list)) else "")
                raise ConfigError(f"Trainer: batch {number}", "(x, y) or (x, y, weights)", got)
            try:
                yield as_batch(item[0], item[1], item[2] if len(item) == 3 else None, self.dtypes)
            except (ShapeError, DTypeError, NonFiniteError, ConfigError) as error:
                error.add_note(f"in batch {number}")
                raise
        if number < 0:
            again = "at least one batch in each epoch (a list, or a function that makes a generator, begins anew)"
            raise ConfigError("Trainer", again, "none: a generator that has run dry, perhaps")


@define(eq=False)
class Prepared:
    """An iterable of batches whose samples have been checked already."""

    batches: Batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        weighted = self.batches.weights is not None
        for batch in self.batches:
            yield batch if weighted else (*batch, None)  # type: ignore[misc]


def in_batches(
    samples: Batch,
    dtypes: DTypes,
    batch_size: int | None,
    rng: Any = None,
    drop_last: bool = False,
    rows: Array | None = None,
) -> Iterable[Batch]:
    """Divide checked samples into batches, shuffled where there is an `rng`; without a `batch_size`, one batch."""
    x, y, weights = samples
    mapped = any(isinstance(array, np.memmap) for array in samples)
    if batch_size is None and not mapped:
        return [samples if rows is None else (x[rows], y[rows], None if weights is None else weights[rows])]
    size = batch_size or len(x)
    batches = Batches(x, y, weights, batch_size=size, shuffle=rng is not None, drop_last=drop_last, rng=rng, rows=rows)
    return Stream(batches, dtypes, "x") if mapped else Prepared(batches)
