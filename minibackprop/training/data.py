"""Batches: what a step is made on, cut from arrays or made elsewhere, each checked as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from itertools import chain, islice, repeat
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from attrs import define, field
from attrs.validators import optional
from numpy.typing import ArrayLike

from minibackprop.arrays import as_kind, kind_of, name_of
from minibackprop.errors import ConfigError, DTypeError, NonFiniteError, ShapeError, describe
from minibackprop.rng import as_generator
from minibackprop.training.rows import as_rows, as_samples, several_inputs
from minibackprop.validation import Array, is_flag, is_size

#: Batches, or a function that makes an iterable of them.
Source: TypeAlias = Iterable[tuple[Any, ...]] | Callable[[], Iterable[tuple[Any, ...]]]


#: How a batch may look, for error messages.
BATCH = "(x, y), (x, y, weights) or (x, y, weights, given)"


class Form(NamedTuple):
    """What data are to be for a model: what x is cast to, what a floating-point y is, and of which kind of arrays."""

    x: np.dtype[Any] | None
    y: np.dtype[Any] | None
    kind: type | None


class Batch(NamedTuple):
    """Checked samples, targets, weights and side inputs, one a row: what a step is made on, or all data."""

    x: Array
    y: Array
    weights: Array | None = None
    given: Mapping[str, Array] | None = None

    def rows(self, chosen: Array | slice) -> Batch:
        """Choose some of the rows."""
        weights = None if self.weights is None else self.weights[chosen]
        return Batch(self.x[chosen], self.y[chosen], weights, rows_of(self.given, chosen))


def rows_of(given: Mapping[str, Array] | None, chosen: Array | slice) -> Mapping[str, Array] | None:
    """Choose some of the rows of side inputs."""
    return None if given is None else {name: array[chosen] for name, array in given.items()}


def _as_rows(data: Any) -> Any:
    return None if data is None else as_rows("Batches", data)


def _as_given(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    return {name: _as_rows(value) for name, value in given.items()}


def _is_given(_: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"Batches: {attribute.name}", "a dict of arrays by name", describe(value))
    for name, array in value.items():
        _require_rows(f"given[{name!r}]", array)


def _is_rows(_: object, attribute: Any, value: Any) -> None:
    _require_rows(attribute.name, value)


def _require_rows(name: str, value: Any) -> None:
    if not hasattr(value, "shape") or value.ndim < 1:
        raise ConfigError(f"Batches: {name}", "an array, one sample a row", describe(value))


@define(eq=False, slots=False, repr=False)
class Batches:
    """
    The samples in mini-batches, in a new random order on each pass.

    An iterable of ``(x, y)``, of ``(x, y, weights)`` where there are weights, or of ``(x, y, weights, given)`` where
    there are side inputs (the weights may be None then); each is a new array. Any loop can go through it, and
    `Trainer.fit` takes it as its data. Memory-mapped arrays are read a batch at a time.

    Parameters
    ----------
    x, y : array_like
        Samples and targets, one a row. Tables and lists become arrays: rows go by position, not by label.
    weights : array_like, optional
        One a sample, or for each place in the targets.
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
    given : dict of array_like, optional
        Side inputs for the layers that take them, by name, a row for each sample.

    Raises
    ------
    ConfigError
        If an argument makes no sense, or no batch would be left.
    ShapeError
        If `x`, `y`, the weights and the side inputs are not as long as each other.
    DTypeError
        If a table has columns of something else than numbers, or x is sparse; or if some arrays are NumPy's and others
        are not.

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

    x: Array = field(converter=_as_rows, validator=_is_rows)
    y: Array = field(converter=_as_rows, validator=_is_rows)
    weights: Array | None = field(default=None, converter=_as_rows, validator=optional(_is_rows))
    batch_size: int = field(kw_only=True, validator=is_size)
    shuffle: bool = field(default=True, kw_only=True, validator=is_flag)
    drop_last: bool = field(default=False, kw_only=True, validator=is_flag)
    rng: Any = field(default=None, kw_only=True, converter=as_generator)
    rows: Array | None = field(default=None, kw_only=True, validator=optional(_is_rows))
    given: Mapping[str, Array] | None = field(
        default=None, kw_only=True, converter=_as_given, validator=optional(_is_given)
    )

    def __attrs_post_init__(self) -> None:
        sides = {f"given[{name!r}]": array for name, array in (self.given or {}).items()}
        for name, array in {"y": self.y, "weights": self.weights, **sides}.items():
            if array is not None and len(array) != len(self.x):
                raise ShapeError(f"Batches: {name}", f"{len(self.x)} rows, as x has", str(len(array)))
            if array is not None and kind_of(array) is not kind_of(self.x):
                expected = f"{name_of(kind_of(self.x))}, as x is"
                raise DTypeError(f"Batches: {name}", expected, name_of(kind_of(array)))
        if self.rows is not None and (self.rows.ndim != 1 or self.rows.dtype.kind not in "iu"):
            raise ConfigError("Batches: rows", "an array of row numbers", describe(self.rows))
        if self.rows is not None:
            self.rows = as_kind(self.rows, self.x, "Batches: rows")
        if (
            self.rows is not None
            and self.rows.size
            and not -len(self.x) <= self.rows.min() <= self.rows.max() < len(self.x)
        ):
            got = f"some from {self.rows.min()} to {self.rows.max()}"
            raise ConfigError("Batches: rows", f"numbers of the {len(self.x)} rows", got)
        if not len(self):
            raise ConfigError("Batches: batch_size", f"at most the {self._count} samples", str(self.batch_size))

    @property
    def _count(self) -> int:
        return len(self.x if self.rows is None else self.rows)

    def __len__(self) -> int:
        """Count the batches of a pass."""
        whole, rest = divmod(self._count, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Go through the batches of one pass."""
        rows, size = self.rows, self.batch_size
        if self.shuffle:
            order = np.asarray(self.rng.permutation(self._count), like=self.x)
            rows = order if rows is None else rows[order]
        for start in range(0, len(self) * size, size):
            chosen = slice(start, start + size)
            yield self._batch(chosen if rows is None else rows[chosen])

    def _batch(self, chosen: Array | slice) -> tuple[Any, ...]:
        def of(array: Array) -> Array:
            # A plain view of what is mapped: no batch is a memmap then.
            rows: Array = (np.asarray(array) if isinstance(array, np.memmap) else array)[chosen]
            return rows.copy() if isinstance(chosen, slice) else rows

        batch = of(self.x), of(self.y)
        if self.given is not None:
            weights = None if self.weights is None else of(self.weights)
            return *batch, weights, {name: of(array) for name, array in self.given.items()}
        return batch if self.weights is None else (*batch, of(self.weights))

    def __repr__(self) -> str:
        settings = f"batch_size={self.batch_size}, shuffle={self.shuffle}, drop_last={self.drop_last}"
        return f"Batches({self._count} samples, {settings})"


@define(eq=False, repr=False)
class CheckedBatches:
    """Mini-batches of samples that have been checked already."""

    batches: Batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return (Batch(*arrays) for arrays in self.batches)


@define(eq=False, repr=False)
class Stream:
    """
    Batches that are made elsewhere, each checked as it comes.

    Raises
    ------
    ConfigError
        When a pass is made, if it gives something else than batches, or none.
    """

    source: Source
    form: Form
    name: str
    #: A pass that has begun with `begin`, for the next one who asks.
    _begun: Iterator[Batch] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if (
            _is_tuple_of_arrays(self.source)
            or isinstance(self.source, (str, bytes))
            or hasattr(self.source, "dtype")
            or not (callable(self.source) or isinstance(self.source, Iterable))
        ):
            raise self._misfit(self.source)

    def __length_hint__(self) -> int:
        return len(self.source) if isinstance(self.source, Sized) else NotImplemented  # type: ignore[no-any-return]

    def begin(self) -> Batch:
        """Make the first batch of the next pass, so that what is wrong with it is found now."""
        batches = self._pass()
        first = next(batches)
        self._begun = chain([first], batches)
        return first

    def __iter__(self) -> Iterator[Batch]:
        begun, self._begun = self._begun, None
        return self._pass() if begun is None else begun

    def _pass(self) -> Iterator[Batch]:
        number, items = -1, self.source() if callable(self.source) else self.source
        if not isinstance(items, Iterable):
            raise self._misfit(items)
        for number, item in enumerate(items):
            if not isinstance(item, (tuple, list)) or len(item) not in (2, 3, 4):
                got = describe(item) + (f" of length {len(item)}" if isinstance(item, (tuple, list)) else "")
                raise ConfigError(f"Trainer: batch {number}", BATCH, got)
            try:
                yield as_batch(*item, form=self.form)
            except (ShapeError, DTypeError, NonFiniteError, ConfigError) as error:
                error.add_note(f"in batch {number}")
                raise
        if number < 0:
            again = "at least one batch in each epoch (a list, or a function that makes a generator, begins anew)"
            raise ConfigError(f"Trainer: {self.name}", again, "none: a generator that has run dry, perhaps")

    def _misfit(self, got: object) -> ConfigError:
        expected = "batches: an iterable of (x, y), or a function that makes one"
        if _is_tuple_of_arrays(got):
            return ConfigError(f"Trainer: {self.name}", expected, "a tuple of arrays; x and y are two arguments")
        return ConfigError(f"Trainer: {self.name}", expected, describe(got))


def _is_tuple_of_arrays(source: object) -> bool:
    return isinstance(source, tuple) and all(hasattr(part, "__array__") for part in source)


@define(eq=False, repr=False)
class Portions:
    """An endless stream, or a long one, in portions of so many batches: each goes on where the last one ended."""

    stream: Stream
    steps: int
    _batches: Iterator[Batch] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._batches = chain.from_iterable(repeat(self.stream))

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return islice(self._batches, self.steps)


# --- Arrays ----------------------------------------------------------------------------------------------------------


def as_batch(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None, given: Any = None, *, form: Form) -> Batch:
    """Check samples, targets, weights and side inputs, each alone and against each other; cast what is to be cast."""
    if _are_several(x, y):
        raise several_inputs("Trainer: x", f"{len(x)} arrays")  # type: ignore[arg-type]
    x, y = as_samples("x", x, form.x, form.kind), as_samples("y", y, None, form.kind)
    if y.dtype.kind == "f":
        y = as_samples("y", y, form.y)
    if len(x) != len(y):
        raise ShapeError("Trainer", "as many targets as samples", f"x of shape {x.shape} and y of shape {y.shape}")
    sides = as_given(given, len(x), form)
    if weights is None:
        return Batch(x, y, None, sides)
    weights = as_samples("weights", weights, None, form.kind)
    if weights.shape != y.shape[: weights.ndim]:
        expected = f"one for each of the {len(x)} samples, or of the places in a target of shape {y.shape}"
        raise ShapeError("Trainer: weights", expected, f"shape {weights.shape}")
    if weights.min() < 0:
        raise ConfigError("Trainer: weights", "none below 0", str(weights.min()))
    if weights.dtype.kind == "f" and form.y is not None and weights.dtype.itemsize > form.y.itemsize:
        least = np.finfo(form.y).tiny
        if ((weights > 0) & (weights < least)).any() or weights.max() > 1 / least:
            raise ConfigError("Trainer: weights", f"0, or of a size that {form.y} holds", f"up to {weights.max()}")
    return Batch(x, y, weights, sides)


def _are_several(x: object, y: object) -> bool:
    """Tell a list of arrays that each have a row for a sample from one of samples."""
    if not isinstance(x, (list, tuple)) or not x or not isinstance(y, Sized) or len(x) == len(y):
        return False
    return all(hasattr(part, "__array__") and np.shape(part)[:1] == (len(y),) for part in x)


def as_given(given: Any, count: int, form: Form) -> Mapping[str, Array] | None:
    """Check side inputs, each with a row for each of `count` samples; floating-point ones are cast to the model's."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigError("Trainer: given", "a dict of arrays by name", describe(given))
    sides = {}
    for name, value in given.items():
        array = as_samples(f"given[{name!r}]", value, None, form.kind)
        if array.dtype.kind == "f":
            array = as_samples(f"given[{name!r}]", array, form.y)
        if len(array) != count:
            expected = f"a row for each of the {count} samples (what is the same for all is an attribute of the layer)"
            raise ShapeError(f"Trainer: given[{name!r}]", expected, f"shape {array.shape}")
        sides[name] = array
    return sides
