"""Workers on the cores of one machine: threads, which NumPy's functions run on at once."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

from minibackprop.errors import ContractError
from minibackprop.training.workers import Meeting, Workers
from minibackprop.validation import Array

_Result = TypeVar("_Result")


class Threads(Workers):
    """
    Workers on threads of their own, each for a part of every batch: ``Trainer(..., parallel=Threads(4))``.

    Each has a copy of the model that shares its values, so the model is in memory once, its gradients once a worker.
    While they work, a matrix product runs on one thread: by threadpoolctl, of the extra `parallel`; and Python lets
    another thread have its turn after 50 µs (`sys.setswitchinterval`). The gradients of the parts are summed in a fixed
    order, so a run repeats bit for bit with as many workers; with another number, sums are rounded elsewhere, and
    layers that draw draw other numbers.

    NumPy lets other threads run within its functions, and Python between them does not: it pays for batches whose
    functions take some ten microseconds and more, not for small ones. On a free-threaded Python, that limit is lifted.

    Parameters
    ----------
    workers : int, optional
        How many; by default as many as the process has cores.

    Raises
    ------
    ConfigError
        If `workers` is below 1, or no integer.

    Warns
    -----
    UserWarning
        Without threadpoolctl, when the first batch is shared; and if that has fewer samples than there are workers:
        some then have nothing to do.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, MeanSquaredError, Trainer, mlp
    >>> x = np.linspace(-1, 1, 64)[:, np.newaxis]
    >>> def trained(**settings):
    ...     trainer = Trainer(mlp([1, 8, 1], rng=0), MeanSquaredError(), SGD(0.1), rng=0, **settings)
    ...     return trainer.fit(x, x * x, epochs=10, batch_size=16).loss
    >>> np.allclose(trained(parallel=Threads(2)), trained())
    True
    """

    _counted = "workers"

    def __init__(self, workers: int | None = None) -> None:
        super().__init__(_cores() if workers is None else workers)
        # Pools that nobody uses at the moment, and the process that they belong to.
        self._idle: list[tuple[int, ThreadPoolExecutor]] = []

    def __repr__(self) -> str:
        return f"Threads({self.count})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Threads, (self.count,)

    def run(self, jobs: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Let each worker do a job; nobody works any longer when this returns, or raises the first worker's error."""
        if len(jobs) < 2:
            return [job() for job in jobs]
        pool = self._pool()
        with _at_work():
            # What is set for this thread, as how NumPy takes an overflow, goes for the others too.
            futures = [pool.submit(copy_context().run, job) for job in jobs[1:]]
            errors: list[BaseException] = []
            results: list[Any] = []
            try:
                results.append(jobs[0]())
            except BaseException as error:  # Ctrl-C too.
                errors.append(error)
            wait(futures)
        self._idle.append((os.getpid(), pool))
        errors += [error for error in (future.exception() for future in futures) if error is not None]
        if errors:
            # That one waited in vain is the consequence of another's error.
            raise min(errors, key=lambda error: isinstance(error, _WaitedInVainError))
        return [*results, *(future.result() for future in futures)]

    def meeting(self, count: int) -> Meeting | None:
        """Make what adds up over workers, which wait for each other."""
        return _Meeting(count)

    def _pool(self) -> ThreadPoolExecutor:
        """Take a pool that nobody uses, or a new one: a fit in a thread, or within a fit, has its own."""
        while self._idle:
            process, pool = self._idle.pop()
            if process == os.getpid():  # In a fork, there are no threads.
                return pool
        return ThreadPoolExecutor(self.count - 1, "minibackprop")


class _WaitedInVainError(ContractError):
    """Another worker has not come: as it has failed, or has done its work without."""

    def __init__(self) -> None:
        super().__init__("a layer that sums over workers (`across`)", "do so as often, whatever samples it is given")


class _Meeting:
    """Where threads wait for each other with an array each, and get the sum."""

    def __init__(self, count: int) -> None:
        self._arrays: list[Any] = [None] * count
        self._condition = threading.Condition()
        # How many have come, to which meeting; and whether one has gone, and comes to none any more.
        self._come, self._number, self._left = 0, 0, False
        self._total: Any = None

    def __call__(self, number: int, array: Array) -> Array:
        """Hand in an array; wait for all others."""
        with self._condition:
            self._arrays[number] = array
            self._come += 1
            this = self._number
            if self._come == len(self._arrays):
                self._total = sum(self._arrays[1:], self._arrays[0])
                self._come, self._number = 0, this + 1
                self._condition.notify_all()
            while self._number == this:
                if self._left:
                    raise _WaitedInVainError
                self._condition.wait()
            # A new one is made only when all have come again, this one included.
            total: Array = self._total
            return total

    def leave(self) -> None:
        """Let nobody wait any longer."""
        with self._condition:
            self._left = True
            self._condition.notify_all()


def _cores() -> int:
    """Count the cores that the process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _controller() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


@cache
def _say_without() -> None:
    told = "matrix products run on threads of their own beside the workers' and slow them down; "
    warnings.warn(f'Threads: {told}pip install "minibackprop[parallel]"', stacklevel=2)


#: In how many seconds a thread that waits for its turn in Python asks for it. NumPy's functions begin and end every few
#: microseconds: at Python's own 5 ms, who has the turn takes it back many times before a thread that waits is awake.
_TURN = 5e-5

#: Held by who has set something for the whole process: of two that overlap, each would restore what the other has set.
_setting = threading.Lock()


@contextmanager
def _at_work() -> Iterator[None]:
    """Let a product take one thread, and Python change threads quickly, if nobody else does so."""
    controller = _controller()
    if controller is None:
        _say_without()
    if not _setting.acquire(blocking=False):
        yield
        return
    turn = sys.getswitchinterval()
    try:
        sys.setswitchinterval(min(turn, _TURN))
        with nullcontext() if controller is None else controller.limit(limits=1, user_api="blas"):
            yield
    finally:
        sys.setswitchinterval(turn + 4e-7)  # As Python cuts off what is less than a microsecond.
        _setting.release()
