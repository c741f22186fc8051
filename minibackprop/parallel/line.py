"""
What ranks tell each other: before each exchange a status, so that one that fails, or does something else, is found.

MPI has nothing to end a wait with: who calls a collective that the others do not call waits for ever. So every exchange
begins with one sum of eight numbers, whatever it is about. It says whether a rank has failed, and by a checksum whether
all are about to do the same; only then data follow. A rank that fails tells so in the place of its next exchange.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import numpy as np

from minibackprop.errors import MinibackpropError, WorkerError
from minibackprop.training.interrupts import DeferredInterrupt
from minibackprop.validation import Array

_Value = TypeVar("_Value")

#: What a rank says that is done with its program.
_END = "end the program"

#: A status has room for so many numbers that are summed with it.
_ZEROS = (0.0,) * 4

#: For how many seconds a rank that has failed waits for the others to hear of it.
PATIENCE = 10.0

#: How often to look whether an exchange is over before others may have the core in between, how often then, and after
#: that, how many seconds to sleep between two looks. Of two ranks on two cores, none waits longer than in MPI's own
#: calls; of three, one must leave the core to another who is awaited.
_LOOKS, _POLITE_LOOKS, _NAP = 50, 1000, 5e-5
_yield = getattr(os, "sched_yield", partial(time.sleep, 0))

#: What to do about ranks that do not do the same, by what differs.
_REMEDIES = {
    "about to": "as many batches, steps and epochs, and the same calls, on each",
    "batch": "the same batches on each: seed what shuffles, or Ranks(sharded=True) where each has data of its own",
    "class_weights": "a dict, the same on each: data of one rank alone do not tell how often a label is there",
    "steps made": "a trainer on each that is as far as the others: a checkpoint must be there for all to read",
    "epochs made": "a trainer on each that is as far as the others: a checkpoint must be there for all to read",
}


class Report(NamedTuple):
    """What a rank says of itself where something has gone wrong."""

    doing: dict[str, str]
    error: str
    #: The error itself, if it can be sent.
    pickled: bytes | None
    interrupted: bool


class Exchanged(NamedTuple):
    """What an exchange gave: whether a rank has asked to stop; sums of numbers, and of the data."""

    stop: bool
    numbers: list[float]
    data: Array


_NOTHING = np.empty(0)


class Line:
    """
    The line between the ranks of a communicator, which has a duplicate of its own.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm
    """

    def __init__(self, comm: Any) -> None:
        self.rank: int = comm.Get_rank()
        self.count: int = comm.Get_size()
        self._given, self._comm = comm, None
        # An exchange that has begun and not ended: what comes next would be taken for a part of it.
        self._busy = False
        # Who has left.
        self._ended = ""

    def exchange(
        self,
        doing: Mapping[str, str],
        numbers: Sequence[float] = (),
        data: Array = _NOTHING,
        *,
        stop: bool = False,
        error: BaseException | None = None,
        timeout: float,
    ) -> Exchanged:
        """
        Sum a few numbers, and data of one length and dtype, over all ranks, which all are `doing` the same.

        Where a rank says `stop`, the data are not summed. With an `error`, this rank tells the others of it.

        Raises
        ------
        WorkerError
            If another rank has failed, does something else, or does not come in time.
        MinibackpropError, KeyboardInterrupt
            If that is what another rank has failed with.
        """
        if self._ended or self._busy:
            why = self._ended or "an exchange that has not come to its end"
            raise WorkerError("Ranks", f"have nothing left to do together after {why}", f"one about to {_words(doing)}")
        # Ctrl-C in the middle would leave the others in an exchange that this rank does not take part in.
        with DeferredInterrupt() as interrupt:
            self._busy = True
            mark = crc32(repr(doing).encode()) & 0xFFFFF
            # As long as these are exact, all marks are the same if, and only if, sum^2 = count * sum of squares.
            status = [error is not None, stop, mark, mark * mark, *numbers, *_ZEROS[len(numbers) :]]
            total = self._sum(np.array(status, np.float64), doing, interrupt, timeout).tolist()
            failed, stops, marks, squares = map(int, total[:4])
            if failed or self.count * squares != marks * marks:
                reports = self._reports(doing, error, interrupt, timeout)
                self._busy = False
                self._look_who_has_left(reports)
                if error is None:
                    raise told(failure(reports))
            summed = self._sum(data, doing, interrupt, timeout) if data.size and not stops and not failed else data
            self._busy = False
        return Exchanged(bool(stops), total[4:], summed)

    def tell(self, error: BaseException) -> None:
        """Tell all ranks of an error; wait a little for them."""
        if not is_told(error) and not self._busy and not self._ended:
            with suppress(WorkerError):
                self.exchange({"about to": "end with an error"}, error=error, timeout=PATIENCE)
                told(error)

    def gather(self, doing: Mapping[str, str], value: _Value, timeout: float) -> list[_Value]:
        """Give what each rank hands in, in the order of ranks."""
        pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        lengths = np.zeros(self.count, np.int64)
        lengths[self.rank] = len(pickled)
        lengths = self.exchange(doing, data=lengths, timeout=timeout).data
        joined = self.exchange(doing, data=_placed(pickled, self.rank, lengths), timeout=timeout).data
        return [pickle.loads(part) for part in _parts(joined, lengths)]

    def spread(self, doing: Mapping[str, str], value: _Value, timeout: float) -> _Value:
        """Give all ranks what the first one hands in."""
        pickled = b"" if self.rank else pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        length = self.exchange(doing, [len(pickled)], timeout=timeout).numbers[0]
        lengths = np.array([length], np.int64)
        # A sum of one part and zeros.
        found = self.exchange(doing, data=_placed(pickled, 0, lengths), timeout=timeout).data
        (part,) = _parts(found, lengths)
        return pickle.loads(part)  # type: ignore[no-any-return]

    def leave(self) -> None:
        """Take leave at the end of the program: who still waits for this rank is told, and waits no longer."""
        if self._busy:
            self.abort()
        if not self._ended:
            with suppress(Exception):
                self.exchange({"about to": _END}, timeout=float("inf"))

    def abort(self) -> None:
        """End all processes, as nothing else can be told to them."""
        self._given.Abort(1)

    def _sum(self, array: Array, doing: Mapping[str, str], interrupt: DeferredInterrupt, timeout: float) -> Array:
        """Sum arrays of one length and dtype over all ranks; all of them get the same bits."""
        comm = self._comm
        if comm is None:
            comm, request = self._given.Idup()
            self._wait(request, doing, interrupt, timeout)
            self._comm = comm
        total = np.empty_like(array)
        self._wait(comm.Iallreduce(array, total), doing, interrupt, timeout)
        return total

    def _wait(self, request: Any, doing: Mapping[str, str], interrupt: DeferredInterrupt, timeout: float) -> None:
        """Wait until all ranks have come."""
        for _ in range(_LOOKS):
            if request.Test():
                return
        for _ in range(_POLITE_LOOKS):
            if request.Test():
                return
            _yield()
        began = time.monotonic()
        while not request.Test():
            time.sleep(_NAP)
            waited = time.monotonic() - began
            if waited > timeout:
                expected = f"all come within {timeout:g} s (timeout=...) to {_words(doing)}"
                raise WorkerError("Ranks", expected, "one that did not, or hangs")
            if interrupt.pending and waited > PATIENCE:
                interrupt.check()

    def _reports(
        self, doing: Mapping[str, str], error: BaseException | None, interrupt: DeferredInterrupt, timeout: float
    ) -> list[Report]:
        """Gather what all ranks say of themselves."""
        own = pickle.dumps(tuple(report(doing, error)))
        lengths = np.zeros(self.count, np.int64)
        lengths[self.rank] = len(own)
        lengths = self._sum(lengths, doing, interrupt, timeout)
        joined = self._sum(_placed(own, self.rank, lengths), doing, interrupt, timeout)
        return [Report(*pickle.loads(part)) for part in _parts(joined, lengths)]

    def _look_who_has_left(self, reports: list[Report]) -> None:
        left = [rank for rank, each in enumerate(reports) if each.doing.get("about to") == _END]
        if left:
            self._ended = f"the end of {_ranks(left)}"


def report(doing: Mapping[str, str], error: BaseException | None) -> Report:
    """Say what a rank is about to do, or what it has failed with."""
    if error is None:
        return Report(dict(doing), "", None, False)
    text = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    pickled = None
    if isinstance(error, MinibackpropError):
        with suppress(Exception):
            pickled = pickle.dumps(error)
            pickle.loads(pickled)
    return Report(dict(doing), text, pickled, isinstance(error, KeyboardInterrupt))


def failure(reports: Sequence[Report]) -> BaseException:
    """Make the error for a rank where others have failed, or all are about to do different things."""
    if any(each.interrupted for each in reports):
        return KeyboardInterrupt()
    failed = [rank for rank, each in enumerate(reports) if each.error]
    if not failed:
        return _difference([each.doing for each in reports])
    rank = failed[0]
    error, pickled = reports[rank].error, reports[rank].pickled
    if pickled is not None:
        # A program that handles an error of the framework's own does so on all ranks.
        with suppress(Exception):
            found: BaseException = pickle.loads(pickled)
            found.add_note(f"on rank {rank}")
            return found
    return WorkerError(f"rank {rank} of {len(reports)}", "go on", error)


def _difference(doings: Sequence[Mapping[str, str]]) -> WorkerError:
    """Make the error for ranks that do not do the same: it names the first thing that differs."""
    names = dict.fromkeys(name for doing in doings for name in doing)
    for name in names:
        ranks_by_value: dict[str, list[int]] = {}
        for rank, doing in enumerate(doings):
            ranks_by_value.setdefault(doing.get(name, "none"), []).append(rank)
        if len(ranks_by_value) > 1:
            break
    remedy = _REMEDIES.get(name, f"the same {name} on each")
    alike = len(os.path.commonprefix(list(ranks_by_value)))  # noqa: RUF071  (of any texts)
    got = "; ".join(f"{_ranks(ranks)}: {name} {_cut(value, alike)}" for value, ranks in ranks_by_value.items())
    return WorkerError("Ranks", f"do the same ({remedy})", got)


def told(error: BaseException) -> BaseException:
    """Mark an error of which all ranks know."""
    error.__dict__["_told"] = True
    return error


def is_told(error: BaseException) -> bool:
    """Tell whether all ranks know of an error."""
    return "_told" in error.__dict__


def _placed(pickled: bytes, number: int, lengths: Array) -> Array:
    """Put a part in its place among zeros: the sum over ranks then has the parts of all."""
    places = -(-lengths // 8)  # Words of eight bytes, as these are summed faster.
    words = np.zeros(places.sum(), np.int64)
    start = int(places[:number].sum()) * 8
    words.view(np.uint8)[start : start + len(pickled)] = np.frombuffer(pickled, np.uint8)
    return words


def _parts(words: Array, lengths: Array) -> list[bytes]:
    """Take the parts of all ranks out of what was summed."""
    joined, ends = words.tobytes(), np.cumsum(-(-lengths // 8)) * 8
    return [
        joined[start : start + length] for start, length in zip([0, *ends[:-1].tolist()], lengths.tolist(), strict=True)
    ]


def _words(doing: Mapping[str, str]) -> str:
    return doing.get("about to", "go on")


def _ranks(ranks: Sequence[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks[:8]))}{', ...' * (len(ranks) > 8)}"


def _cut(text: str, alike: int) -> str:
    """Shorten a text, of which so much is the same on all ranks, to what is not."""
    start = max(alike - 60, 0)
    return f"{'... ' * (start > 0)}{text[start : start + 200]}{' ...' * (len(text) > start + 200)}"
