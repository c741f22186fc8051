"""Timing in turn: on a noisy machine, things are comparable only when they run one after the other, several times."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter, process_time
from typing import NamedTuple, TypeAlias
from unittest.mock import patch

from tests.benchmarks.machine import busy_seconds, keep_to_cores, thread_settings, wait_until_idle

#: Runs something once, and says how many seconds it took.
Timer: TypeAlias = Callable[[], float]

#: Makes what is timed.
Maker: TypeAlias = Callable[..., Callable[[], object]]


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


def in_turn(timers: Mapping[str, Timer], repeats: int) -> dict[str, list[float]]:
    """Time all in turn, and return the seconds of each by its name; every other round runs backwards."""
    found: dict[str, list[float]] = {name: [] for name in timers}
    for repeat in range(repeats):
        for name in reversed(list(timers)) if repeat % 2 else timers:
            found[name].append(timers[name]())
    return found


def ratios(candidate: Timer, reference: Timer, repeats: int) -> list[float]:
    """Time candidate and reference in turn, and return the ratio of each pair."""
    found = in_turn({"candidate": candidate, "reference": reference}, repeats)
    return divided(found["candidate"], found["reference"])


def divided(above: Iterable[float], below: Iterable[float]) -> list[float]:
    """Divide the seconds of each round by those of another in the same round."""
    return [each / other for each, other in zip(above, below, strict=True)]


class Apart(AbstractContextManager["Apart"]):
    """
    A timer of a function in a process of its own: the threads of two libraries would get in each other's way.

    Parameters
    ----------
    make : callable
        Makes the function from `arguments`, there, before each run anew. That a library is missing is raised here.
    threads : int
        How many threads the products of any library may use there, and how many cores all threads together.
    """

    def __init__(self, make: Maker, *arguments: object, threads: int) -> None:
        context = get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, threads, make, arguments), daemon=True)
        with patch.dict("os.environ", thread_settings(threads)):
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


class Reference(NamedTuple):
    """What something is timed beside, and at most how many times its time that should take."""

    make: Maker
    target: float | None = None


def beside(
    title: str, make: Maker, references: Mapping[str, Reference], *arguments: object, threads: int, repeats: int
) -> Iterator[Row]:
    """Time what is made of the arguments beside each reference, in turn; without those whose library is missing."""
    found, left_out = together(make, references, *arguments, threads=threads, repeats=repeats)
    for name, reference in references.items():
        values = divided(found[""], found[name]) if name in found else []
        yield Row(f"{title} / {name}", values, reference.target, left_out=left_out.get(name, ""))


def together(
    make: Maker, references: Mapping[str, Reference], *arguments: object, threads: int, repeats: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return the seconds of what is made, under "", and of the references, by name; and why a reference is missing."""
    left_out = {}
    with ExitStack() as stack:
        timers = {"": stack.enter_context(Apart(make, *arguments, threads=threads))}
        for name, reference in references.items():
            try:
                timers[name] = stack.enter_context(Apart(reference.make, *arguments, threads=threads))
            except ImportError as error:
                left_out[name] = str(error)
        return in_turn(timers, repeats), left_out


def _serve(connection: Connection, threads: int, make: Maker, arguments: tuple[object, ...]) -> None:
    keep_to_cores(threads)
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
