"""The seam between a step and who works on it: parts of a batch, sums of what came of them, a failure told to all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from minibackprop.errors import ConfigError
from minibackprop.training.data import Batch
from minibackprop.validation import Array, is_integer, shortened

_Result = TypeVar("_Result")


class Weighed(NamedTuple):
    """A batch, and what it counts for."""

    #: None where a process has no samples left, and others have.
    batch: Batch | None
    #: The total weight of what the step is made on, by all processes.
    total_weight: float
    #: By what the gradient of the step is multiplied.
    share: float


class Workers:
    """
    Who works on a batch at once: `count` workers, each on some of its rows, with a copy of the model.

    A step needs of them which rows a process has (`part`), that each of its workers does its work (`run`), sums over
    all processes (`reduce`, and `meeting` in the middle of a layer), and that a failure ends all of them (`fail`).
    These here are of one process, and work one after the other: in more time than one pass takes, but what they find
    is, bit for bit, what as many `Threads` find.

    Parameters
    ----------
    count : int
        How many workers, at least 1.

    Attributes
    ----------
    count, here : int
        How many there are, and how many of them in this process.
    rank : int
        The number of this process, from 0; the first one prints, and writes files.
    """

    def __init__(self, count: int) -> None:
        if not is_integer(count) or count < 1:
            raise ConfigError(f"{type(self).__name__}: {self._counted}", "an integer of at least 1", shortened(count))
        self.count = self.here = int(count)
        self.rank = 0

    _counted = "count"

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.here == self.count

    # --- What a step needs -------------------------------------------------------------------------------------------

    def part(self, batch: Batch) -> Batch | None:
        """Choose the rows of this process; None where none are left for it."""
        return batch

    def run(self, jobs: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Let each worker of this process do a job, and give the results in their order, when all are done."""
        return [job() for job in jobs]

    def meeting(self, count: int) -> Meeting | None:
        """Make what adds up over `count` workers of this process, and all processes; None if they cannot wait."""
        return None

    def reduce(
        self, arrays: Sequence[Array | None], like: Sequence[Array], numbers: Sequence[float], stop: bool = False
    ) -> tuple[list[Array | None], list[float]]:
        """
        Sum each array, and each number, over all processes, in their order; an array that is None adds nothing.

        `like` has an array of the shape and dtype of each. Where any process says `stop`, all raise `Stopped` instead.
        """
        return list(arrays), list(numbers)

    def collect(self, value: _Result) -> list[_Result]:
        """Give what each process hands in, in their order."""
        return [value]

    def fail(self, error: BaseException) -> None:
        """Tell all processes of an error, so that none waits for this one."""

    # --- What a run needs beside it ----------------------------------------------------------------------------------

    def begin(self, trainer: Any) -> None:
        """Take the model, and all that is drawn from, as the first process has them."""

    def shuffler(self, rng: np.random.Generator) -> np.random.Generator:
        """Give what this process shuffles its data with; as much is drawn from `rng` in all processes."""
        return rng

    def rounds(self, batches: Iterator[Weighed]) -> Iterable[Weighed]:
        """Give the batches of an epoch, one for each step that all processes make together."""
        return batches

    def agree(self, stop: bool) -> bool:
        """Tell whether any process says `stop`."""
        return stop

    def require_same(self, run: Mapping[str, str]) -> None:
        """Require that all processes are about to do the same; `run` says what, by name."""

    def end(self) -> None:
        """Wait for all processes at the end of a run."""


class Meeting(Protocol):
    """Where workers wait for each other in the middle of their parts."""

    def __call__(self, number: int, array: Array) -> Array:
        """Sum what all workers hand in, in the order of their numbers: from 0, those of this process."""

    def leave(self) -> None:
        """Let nobody wait any longer for one whose work is done, or who has failed."""


class Stopped(Exception):  # noqa: N818
    """A process has asked to stop before a step: none makes it."""


def is_first(workers: Workers | None) -> bool:
    """Tell whether this process is the one that prints, and writes files."""
    return workers is None or not workers.rank


@contextmanager
def told_to_all(workers: Workers | None, end: bool = True) -> Iterator[None]:
    """Tell all processes of an error in this one; without any, they end together, if asked to."""
    if workers is None:
        yield
        return
    try:
        yield
        if end:
            workers.end()
    except BaseException as error:
        workers.fail(error)
        raise
