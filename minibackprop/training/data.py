"""Data for training: taken in, checked before they are used, and divided into mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from numbers import Real
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from attrs import define, field
from numpy.typing import ArrayLike

from minibackprop.core import Layer, takes_integers
from minibackprop.errors import ConfigError, ContractError, DTypeError, NonFiniteError, ShapeError, describe
from minibackprop.losses.base import Loss
from minibackprop.rng import as_generator
from minibackprop.validation import Array, is_flag, is_integer, is_size, require_numbers, require_size_or_none

#: Batches, or a function that makes an iterable of them.
Source: TypeAlias = Iterable[tuple[ArrayLike, ...]] | Callable[[], Iterable[tuple[ArrayLike, ...]]]

#: What x is cast to, and what a floating-point y is; None for what stays as it is.
DTypes: TypeAlias = tuple[np.dtype[Any] | None, np.dtype[Any] | None]


class Batch(NamedTuple):
    """Checked samples, targets and weights, one a row: what a step is made on, or all data."""

    x: Array
    y: Array
    weights: Array | None = None

    def rows(self, chosen: Array | slice) -> Batch:
        """Choose some of the rows."""
        return Batch(self.x[chosen], self.y[chosen], None if self.weights is None else self.weights[chosen])


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


# --- What a user gives -----------------------------------------------------------------------------------------------


@define(eq=False)
class Intake:
    """
    Takes in data for a model and its loss: refuses what does not fit them, and divides the rest into batches.

    Arrays are checked before the first step; batches that are made elsewhere, or are read from a memory-mapped file, as
    they come.
    """

    model: Layer
    loss: Loss
    batch_size: int | None = None
    dtypes: DTypes = field(init=False)

    def __attrs_post_init__(self) -> None:
        require_size_or_none("Trainer: batch_size", self.batch_size)
        found = {parameter.value.dtype for parameter in self.model.parameters()}
        dtype = np.result_type(*found) if found else None
        self.dtypes = None if takes_integers(self.model) else dtype, dtype

    def for_step(self, x: Any, y: Any, weights: Any) -> Batch:
        """Take in the arrays of a step."""
        samples = as_batch(x, y, weights, self.dtypes)
        if samples.weights is not None and not samples.weights.any():
            raise ConfigError("Trainer: weights", "some above 0", "none")
        return samples

    def for_evaluation(self, x: Any, y: Any, weights: Any) -> Iterable[Batch]:
        """Take in data to evaluate the model on."""
        return self._in_batches(self._data(x, y, weights))

    def for_fit(
        self,
        x: Any,
        y: Any,
        weights: Any,
        validation: Any,
        *,
        rng: np.random.Generator | None,
        drop_last: bool,
        split_seed: int,
    ) -> tuple[Iterable[Batch], Iterable[Batch] | None]:
        """Take in data to train on, shuffled where there is an `rng`, and those to validate with, if any."""
        data, rows, validation_batches = self._data(x, y, weights), None, None
        if isinstance(validation, Real):
            if isinstance(data, Stream):
                raise _no_arrays("a fraction to hold out", x)
            rows, held_out = _split(len(data.x), validation, split_seed)
            validation_batches = self._in_batches(data, held_out)
        elif validation is not None:
            validation_batches = self._in_batches(self._validation(validation))
        return self._in_batches(data, rows, rng, drop_last), validation_batches

    def _data(self, x: Any, y: Any, weights: Any) -> Batch | Stream:
        """Take in arrays, or with `y` None, batches that are made elsewhere."""
        if is_integer(y) and not hasattr(x, "dtype"):
            raise ConfigError("Trainer.fit: y", f"targets; epochs={y} goes by its name where there are none", repr(y))
        if y is None:
            for name, value in (("weights", weights), ("batch_size", self.batch_size)):
                if value is not None:
                    raise _no_arrays(name, x)
            return Stream(x, self.dtypes, "x without y")
        samples = self.for_step(x, y, weights)
        self._require_fitting_targets(samples)
        return samples

    def _validation(self, data: Any) -> Batch | Stream:
        """Take in ``(x, y)`` or ``(x, y, weights)``, or batches; a list of arrays is no list of batches."""
        if isinstance(data, tuple) or (isinstance(data, list) and any(hasattr(entry, "dtype") for entry in data)):
            if len(data) not in (2, 3):
                raise ConfigError("Trainer: validation", "(x, y) or (x, y, weights)", f"{len(data)} entries")
            samples = as_batch(data[0], data[1], data[2] if len(data) == 3 else None, self.dtypes)
            self._require_fitting_targets(samples)
            return samples
        return Stream(data, self.dtypes, "validation")

    def _in_batches(
        self,
        data: Batch | Stream,
        rows: Array | None = None,
        rng: np.random.Generator | None = None,
        drop_last: bool = False,
    ) -> Iterable[Batch]:
        """Divide arrays into batches; without a `batch_size`, one."""
        if isinstance(data, Stream):
            return data
        memory_mapped = any(isinstance(array, np.memmap) for array in data)
        if self.batch_size is None and not memory_mapped:
            return [data if rows is None else data.rows(rows)]
        size, shuffle = self.batch_size or len(data.x), rng is not None
        batches = Batches(*data, batch_size=size, shuffle=shuffle, drop_last=drop_last, rng=rng, rows=rows)
        return Stream(batches, self.dtypes, "x") if memory_mapped else CheckedBatches(batches)

    def _require_fitting_targets(self, samples: Batch) -> None:
        """
        Require that the loss takes all targets, so that a wrong one is found before the first step, by its row.

        The prediction of the first sample stands for that of each.
        """
        try:
            first = self.model.predict(np.asarray(samples.x[:1], self.dtypes[0], like=samples.x))
        except Exception:
            return  # The first step will say it better, as it goes by forward.
        rows = max(1, _ENTRIES_AT_ONCE // max(first.size, 1))
        for start in range(0, len(samples.y), rows):
            target = samples.y[start : start + rows]
            try:
                _require_loss(self.loss, np.broadcast_to(first, (len(target), *first.shape[1:])), target)
            except Exception as error:
                if start:
                    error.add_note(f"where index 0 is that of sample {start}")
                raise


#: How many entries of predictions to hold against targets in one go, before the first step.
_ENTRIES_AT_ONCE = 10_000_000


def _require_loss(loss: Loss, prediction: Array, target: Array) -> None:
    """Require of the loss what each step relies on: a float and a cache, and a gradient of the prediction's shape."""
    name = type(loss).__name__
    result: Any = loss.forward(prediction, target)
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Real):
        got = f"({', '.join(map(describe, result))})" if isinstance(result, tuple) else describe(result)
        raise ContractError(f"{name}.forward", "return a pair of a float and a cache", got)
    grad = loss.backward(result[1])
    if getattr(grad, "shape", None) != prediction.shape:
        raise ContractError(f"{name}.backward", f"return a gradient of shape {prediction.shape}", describe(grad))


def _no_arrays(name: str, x: object) -> ConfigError:
    """Make the error for a setting that says something of arrays only."""
    return ConfigError("Trainer: x", f"samples with targets y, as {name} is given", describe(x))


def _split(count: int, fraction: Real, seed: int) -> tuple[Array, Array]:
    """Divide the rows into those to train on and those to hold out."""
    held_out = round(count * float(fraction))
    if not 0 < held_out < count:
        expected = f"a fraction that leaves some of the {count} samples on either side"
        raise ConfigError("Trainer.fit: validation", expected, repr(fraction))
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


@define(eq=False)
class CheckedBatches:
    """Mini-batches of samples that have been checked already."""

    batches: Batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return (Batch(*arrays) for arrays in self.batches)


@define(eq=False)
class Stream:
    """
    Batches that are made elsewhere, each checked as it comes.

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

    def _misfit(self, got: object) -> ConfigError:
        expected = "batches: an iterable of (x, y), or a function that makes one"
        return ConfigError(f"Trainer: {self.name}", expected, describe(got))


# --- Arrays ----------------------------------------------------------------------------------------------------------


def as_batch(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None, dtypes: DTypes) -> Batch:
    """Check samples, targets and weights, each alone and against each other; cast samples and targets."""
    x, y = as_samples("x", x, dtypes[0]), as_samples("y", y)
    if y.dtype.kind == "f":
        y = as_samples("y", y, dtypes[1])
    if len(x) != len(y):
        raise ShapeError("Trainer", "as many targets as samples", f"x of shape {x.shape} and y of shape {y.shape}")
    if weights is None:
        return Batch(x, y)
    weights = as_samples("weights", weights)
    if weights.shape != y.shape[: weights.ndim]:
        expected = f"one for each of the {len(x)} samples, or of the places in a target of shape {y.shape}"
        raise ShapeError("Trainer: weights", expected, f"shape {weights.shape}")
    if weights.min() < 0:
        raise ConfigError("Trainer: weights", "none below 0", str(weights.min()))
    return Batch(x, y, weights)


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
        beyond = f", which {dtype} does not hold" if np.isfinite(given[index]) else ""
        raise NonFiniteError(subject, "finite", f"{given[index]} at index {index}{beyond}")
    if type(array) is np.ndarray and array.flags.writeable:
        # A layer or a metric that writes into it is stopped there, and the user's own data are safe.
        array = array.view()
        array.flags.writeable = False
    return array
