"""The evidence that suspicions are held against: a Jacobian from backward and one by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from attrs import evolve, frozen

from minibackprop.core import Layer
from minibackprop.state import Buffer, walk
from minibackprop.testing.case import Case, StandIn
from minibackprop.testing.gradients.diagnosis.measured import (
    Measured,
    backward_of,
    jacobian,
    result_of,
    value_of,
    with_parameter,
)
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

#: Jacobians have up to this many rows and columns; of larger arrays, a block is looked at.
_MOST = 200

#: A batch of up to this many samples is made, so that about so many entries can be compared.
_SAMPLES, _ENTRIES = 12, 36


@frozen(eq=False)
class Evidence:
    """
    The gradient with respect to one array, from backward and by finite differences, as Jacobians.

    Rows are results, columns entries of the array. Of large arrays, a block of each is looked at: `columns` and `rows`
    are flat indices, and `whole` says whether they are all.
    """

    case: Case
    name: str
    array: Array
    y: Array
    grad: Array
    gradient: Array  # What backward gives for grad.
    expected: Array  # What finite differences give for it: of the columns, and where all rows are known.
    jacobian: Measured
    columns: Array
    rows: Array

    @classmethod
    def gather(cls, case: Case, name: str) -> Evidence:
        """Measure both Jacobians."""
        array, y = value_of(case, name), result_of(case)
        columns, rows = _block(array.shape), _block(y.shape)
        grad = np.zeros(y.shape)
        grad.flat[rows] = case.upstream(y).ravel()[rows]
        measured = jacobian(case, name, columns, rows)
        with np.errstate(all="ignore"):
            expected = grad.ravel()[rows] @ np.where(measured.known, measured.theirs, 0)
        return cls(
            case,
            name,
            array,
            y,
            grad,
            backward_of(case, name, grad).ravel()[columns],
            expected,
            measured,
            columns,
            rows,
        )

    @property
    def layer(self) -> Layer:
        """A layer, to look at."""
        return self.case.layer()

    @property
    def x(self) -> Array:
        """The batch."""
        return self.case.x

    @property
    def whole(self) -> bool:
        """Whether all rows and all columns are looked at."""
        return len(self.columns) == self.array.size and len(self.rows) == self.y.size

    @property
    def ours(self) -> Array:
        """The Jacobian that backward multiplies by."""
        return self.jacobian.ours

    @property
    def theirs(self) -> Array:
        """The Jacobian by finite differences; where they cannot tell, ours."""
        return np.where(self.jacobian.known, self.jacobian.theirs, self.jacobian.ours)

    @property
    def off(self) -> Array:
        """Where the two Jacobians differ."""
        return self.jacobian.off

    @property
    def missed(self) -> Array:
        """The columns whose gradient is wrong for this very upstream gradient."""
        slack = np.abs(self.grad.ravel()[self.rows]) @ self.jacobian.error
        scale = np.abs(self.expected).max(initial=0) * 1e-9
        with np.errstate(all="ignore"):
            missed: Array = self.jacobian.known.all(axis=0) & ~(np.abs(self.gradient - self.expected) <= slack + scale)
        return missed

    @property
    def wrong(self) -> Array:
        """The columns that are wrong for some result or for this upstream gradient."""
        wrong: Array = self.off.any(axis=0) | self.missed
        return wrong

    @property
    def right(self) -> Array:
        """The columns that are right: known, and not just too small to tell."""
        zero = (self.ours == 0) & (self.theirs == 0)
        right: Array = ~self.wrong & (self.jacobian.sure.any(axis=0) | zero.all(axis=0))
        return right

    @property
    def independent(self) -> bool:
        """Whether each sample has rows and columns of its own."""
        count = len(self.x)
        return (
            self.name == "input"
            and self.y.shape[:1] == (count,)
            and not self.layer.couples_samples
            and self.whole
            and not self._mixed(self.theirs)
        )

    def _mixed(self, matrix: Array) -> bool:
        count = len(self.x)
        tall = np.abs(matrix).reshape(count, self.y.size // count, count, self.array.size // count)
        return bool(tall.max(axis=(1, 3), initial=0)[~np.eye(count, dtype=bool)].any())

    def blocks(self) -> list[tuple[Array, Array]]:
        """Cut the two Jacobians into those of each sample, where these are independent."""
        if not self.independent:
            return [(self.ours, self.theirs)]
        count = len(self.x)
        shape = count, self.y.size // count, count, self.array.size // count
        ours, theirs = self.ours.reshape(shape), self.theirs.reshape(shape)
        return [(ours[n, :, n], theirs[n, :, n]) for n in range(count)]

    def places(self, of_results: bool = False) -> tuple[Array, ...]:
        """Give the indices of all columns along each axis of the array; or of all rows along those of the result."""
        shape, flat = (self.y.shape, self.rows) if of_results else (self.array.shape, self.columns)
        return np.unravel_index(flat, shape) if shape else ()

    def quantities(self) -> Iterator[tuple[str, Array]]:
        """Go through what a formula may be made of: parameters, buffers, the input, the result, a target."""
        layer = self.layer
        for name, buffer in walk(layer, Buffer):
            if buffer.value.dtype.kind == "f":
                yield name, buffer.value
        if isinstance(layer, StandIn):
            yield from ((name, value) for name, value in layer.beside(self.x).items() if value.dtype.kind == "f")
        if self.x.dtype.kind == "f":
            yield "the input" if not isinstance(layer, StandIn) else "the prediction", self.x
        yield "the result", self.y


def near(ours: Array, theirs: Array, tolerance: float = 1e-6) -> bool:
    """Tell whether two arrays are equal to within a share of the largest, and not zero."""
    if ours.shape != theirs.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(ours - theirs) <= tolerance * np.abs(theirs).max(initial=0)) and np.any(theirs))


def fits(e: Evidence, ours: Array) -> bool:
    """Tell whether another Jacobian is the right one, wherever finite differences can tell; zero fits nothing."""
    known = e.jacobian.known
    scale = np.abs(np.where(known, e.jacobian.theirs, 0)).max(axis=1, keepdims=True, initial=0)
    with np.errstate(all="ignore"):
        close = np.abs(ours - e.jacobian.theirs) <= e.jacobian.error + 1e-7 * scale
    return bool(np.all(close | ~known) and e.jacobian.sure.any() and known.mean() > 0.5)


def rich(case: Case) -> Case:
    """Make a batch in which negative, positive, large and small entries occur in several samples."""
    rng, layer = np.random.default_rng(1), case.layer()
    if isinstance(layer, StandIn):
        return case if (other := layer.rich()) is None else evolve(case, x=other[1], layer=_rich_of(case))
    if case.any_input and case.x.dtype.kind == "f":
        shape = (_count(case), *case.x.shape[1:])
        return evolve(case, x=(rng.normal(size=shape) * 10.0 ** rng.uniform(-1, 1, shape)).round(2))
    parts = [x for x in (case.x, case.other, *case.pool) if x.shape[1:] == case.x.shape[1:]]
    together = np.concatenate(parts)
    return evolve(case, x=together[rng.permutation(len(together))[: _count(case)]])


def of_both_signs(case: Case) -> Case:
    """Negate every other entry of parameters whose entries have one sign, in which a slip of signs would not show."""
    for name, parameter in case.layer().named_parameters():
        value = parameter.value
        if not parameter.frozen and value.size > 1 and (np.all(value > 0) or np.all(value < 0)):
            case = with_parameter(case, name, value * (-1.0) ** np.arange(value.size).reshape(value.shape))
    return case


def resized(case: Case, count: int) -> Case | None:
    """Repeat the samples to another number of them; None where that makes no sense."""
    if case.x.ndim == 0:
        return None
    rows = np.arange(count) % len(case.x)
    layer = case.layer()
    if not isinstance(layer, StandIn):
        return evolve(case, x=case.x[rows])
    return None if layer.rows(rows) is None else evolve(case, x=case.x[rows], layer=_rows_of(case, rows))


def _rows_of(case: Case, rows: Array) -> Callable[[], Layer]:
    def layer() -> Layer:
        made = case.layer()
        assert isinstance(made, StandIn)
        chosen = made.rows(rows)
        assert chosen is not None
        return chosen

    return layer


def _rich_of(case: Case) -> Callable[[], Layer]:
    def layer() -> Layer:
        made = case.layer()
        assert isinstance(made, StandIn)
        other = made.rich()
        assert other is not None
        return other[0]

    return layer


def _count(case: Case) -> int:
    """Choose the number of samples: enough to see what they have in common, not too many entries to measure."""
    size = max(1, int(np.prod(case.x.shape[1:])))
    with suppress(ContractViolation):
        size = max(size, result_of(case).size // max(1, len(case.x)))
    return int(np.clip(min(-(-_ENTRIES // size), _MOST // size), 2, _SAMPLES))


def _block(shape: tuple[int, ...]) -> Array:
    """Choose the entries to look at, by their flat indices: all, or those in the first and last places of each axis."""
    lengths = list(shape)
    while np.prod(lengths, dtype=int) > _MOST:
        lengths[int(np.argmax(lengths))] -= 1
    kept = [
        np.r_[0 : length - length // 2, full - length // 2 : full] for length, full in zip(lengths, shape, strict=True)
    ]
    chosen: Array = (
        np.ravel_multi_index(np.meshgrid(*kept, indexing="ij"), shape).ravel() if shape else np.zeros(1, int)
    )
    return chosen
