"""Paired timing: on a noisy machine, two things are comparable only when they run in turn."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter, process_time
from typing import NamedTuple, TypeAlias

from tests.benchmarks.machine import busy_seconds, wait_until_idle

#: Runs something once, and says how many seconds it took.
Timer: TypeAlias = Callable[[], float]


class Row(NamedTuple):
    """A line of the table: one value for each repeat, ratios unless there is a unit; the target is for their median."""

    name: str
    values: Iterable[float]
    target: float | None = None
    unit: str = ""
    left_out: str = ""


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    start = perf_counter()
    function()
    return perf_counter() - start


def timed(function: Callable[[], object]) -> Timer:
    """Make a timer of a function."""
    return lambda: seconds(function)


def alternated(candidate: Timer, reference: Timer, repeats: int) -> list[tuple[float, float]]:
    """Time candidate and reference in turn, and return the pairs; odd pairs run the reference first."""
    found = []
    for repeat in range(repeats):
        if repeat % 2:
            below = reference()
            found.append((candidate(), below))
        else:
            above = candidate()
            found.append((above, reference()))
    return found


def ratios(candidate: Timer, reference: Timer, repeats: int) -> list[float]:
    """Time candidate and reference in turn, and return the ratio of each pair."""
    return [above / below for above, below in alternated(candidate, reference, repeats)]


class Apart(AbstractContextManager["Apart"]):
    """
    A timer of a function in a process of its own: the threads of two libraries would get in each other's way.

    Parameters
    ----------
    make : callable
        Makes the function from `arguments`, there, before each run anew. That a library is missing is raised here.
    """

    def __init__(self, make: Callable[..., Callable[[], object]], *arguments: object) -> None:
        context = get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, make, arguments), daemon=True)
        self._process.start()
        there.close()
        if (error := self._connection.recv()) is not None:
            self.__exit__()
            raise error

    def __call__(self) -> float:
        for _ in range(10):
            wait_until_idle()  # Also until threads without work, which keep a core busy for a while, are at rest.
            before = busy_seconds()
            self._connection.send(True)
            elapsed, own = self._connection.recv()
            # Threads that wait for each other become many times slower where something else takes one of the cores.
            if busy_seconds() - before - own < 0.1 * elapsed + 0.02:
                break
        return float(elapsed)

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join()


def beside(
    title: str,
    candidate: Timer,
    make: Callable[..., Callable[[], object]],
    *arguments: object,
    repeats: int,
    target: float | None,
) -> Row:
    """Make the row of a candidate beside what is made apart; left out where its library is missing."""
    try:
        with Apart(make, *arguments) as reference:
            return Row(title, ratios(candidate, reference, repeats), target)
    except ImportError as error:
        return Row(title, [], left_out=str(error))


def _serve(connection: Connection, make: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> None:
    try:
        make(*arguments)()
    except ImportError as error:
        connection.send(ImportError(str(error)))
        return
    connection.send(None)
    try:
        while connection.recv():
            before = process_time()
            function = make(*arguments)
            elapsed = seconds(function)
            connection.send((elapsed, process_time() - before))
    except EOFError:
        pass
