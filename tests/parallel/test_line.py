"""The line between ranks, with threads in their place: no exchange of one meets another exchange of the other."""

# ruff: noqa: N802
from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import ConfigError, WorkerError
from minibackprop.parallel.line import Line, failure, is_told, report
from minibackprop.validation import Array


class World:
    """What threads share that stand for ranks."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.sent: defaultdict[int, dict[int, Array]] = defaultdict(dict)
        self.aborted = False


class Comm:
    """A communicator of threads: sums alone, and each a mistake if arrays of two kinds meet in it."""

    def __init__(self, world: World, rank: int) -> None:
        self.world, self.rank, self.calls = world, rank, 0

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.world.count

    def Idup(self) -> tuple[Comm, Request]:
        return self, Request(lambda: True)

    def Iallreduce(self, array: Array, total: Array) -> Request:
        number, world = self.calls, self.world
        self.calls += 1
        world.sent[number][self.rank] = array.copy()

        def is_over() -> bool:
            sent = world.sent[number]
            if len(sent) < world.count:
                return False
            assert len({(each.shape, each.dtype) for each in sent.values()}) == 1, "two exchanges have met"
            total[:] = sum(sent[rank] for rank in range(world.count))
            return True

        return Request(is_over)

    def Abort(self, status: int) -> None:
        assert status
        self.world.aborted = True


class Request:
    def __init__(self, is_over: Callable[[], bool]) -> None:
        self.Test = is_over


def on_ranks(*programs: Callable[[Line], object]) -> list[Any]:
    """Run a program on each rank; give what each returns, or raises."""
    world = World(len(programs))
    found: list[Any] = [None] * len(programs)

    def run(rank: int) -> None:
        line = Line(Comm(world, rank))
        try:
            found[rank] = programs[rank](line)
        except BaseException as error:
            found[rank] = error
            line.tell(error)
        line.leave()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(programs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a rank waits for ever"
    assert not world.aborted
    return found


def exchanged(line: Line, doing: str = "add", **settings: Any) -> Any:
    return line.exchange({"about to": doing}, **({"timeout": 30} | settings))


# --- What ranks hand in ----------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers()), min_size=1, max_size=4))
def test_gathers_values_in_order(values: list[list[int]]) -> None:
    """Each rank gets what all hand in, however long it is; and what the first one hands in, alone."""

    def program(value: list[int]) -> Callable[[Line], object]:
        return lambda line: (line.gather({}, value, 30), line.spread({}, value, 30))

    assert on_ranks(*map(program, values)) == [(values, values[0])] * len(values)


def test_sums_numbers_and_data() -> None:
    """A few numbers go with the status; data follow, unless a rank asks to stop."""

    def program(line: Line) -> object:
        first = exchanged(line, numbers=[line.rank, 1.5], data=np.array([line.rank, 2], np.float32))
        second = exchanged(line, data=np.ones(3), stop=line.rank == 2)
        return first.stop, first.numbers[:2], first.data.tolist(), second.stop, exchanged(line, numbers=[1]).numbers[0]

    assert on_ranks(program, program, program) == [(False, [3, 4.5], [3, 6], True, 3)] * 3


# --- What goes wrong -------------------------------------------------------------------------------------------------

_calls = st.sampled_from(["add", "gather", "spread", "raise", "interrupt"])


@given(st.lists(st.lists(_calls, max_size=4), min_size=2, max_size=3))
def test_no_rank_waits_for_ever(programs: list[list[str]]) -> None:
    """Whatever each rank does, and where it fails: all get as far as they do the same, and then end."""

    def program(calls: list[str]) -> Callable[[Line], object]:
        def run(line: Line) -> object:
            for number, call in enumerate(calls):
                done[line.rank] = number
                if call == "add":
                    exchanged(line, data=np.ones(5))
                elif call == "gather":
                    line.gather({"about to": "gather"}, "x" * 10 * line.rank, 30)
                elif call == "spread":
                    line.spread({"about to": "spread"}, "y", 30)
                else:
                    raise {"raise": ValueError, "interrupt": KeyboardInterrupt}[call]
            done[line.rank] = len(calls)
            return exchanged(line, "end")

        return run

    done = [0] * len(programs)
    found = on_ranks(*map(program, programs))
    alike = 0
    while all(len(calls) > alike and calls[alike] == programs[0][alike] for calls in programs):
        if programs[0][alike] in ("raise", "interrupt"):
            break
        alike += 1
    if all(calls == programs[0] for calls in programs) and alike == len(programs[0]):
        assert not any(isinstance(each, BaseException) for each in found)
        return
    assert done == [alike] * len(programs)
    at = [calls[alike] if len(calls) > alike else "end" for calls in programs]
    for call, error in zip(at, found, strict=True):
        expected: type[BaseException] = WorkerError
        if call == "raise":
            expected = ValueError
        elif call == "interrupt" or "interrupt" in at:
            expected = KeyboardInterrupt
        assert type(error) is expected


def test_who_comes_late_is_awaited_for_so_long() -> None:
    """After that it is an error, which says what to change; the line is of no more use then."""
    line = Line(Comm(World(2), 0))
    with pytest.raises(WorkerError, match=r"all come within 0.01 s \(timeout=...\) to add"):
        exchanged(line, timeout=0.01)
    with pytest.raises(WorkerError, match="nothing left to do together after an exchange that has not come to its end"):
        exchanged(line)
    line.tell(ValueError())  # Which would wait for nobody.


def test_a_line_in_pieces_ends_all_processes() -> None:
    """Where a rank ends in the middle of an exchange, nothing can be told to the others any more."""
    world = World(2)
    line = Line(Comm(world, 0))
    with pytest.raises(WorkerError):
        exchanged(line, timeout=0.01)
    line.leave()
    assert world.aborted


def test_who_has_left_is_not_awaited() -> None:
    """A rank that is done with its program says so, and the others know it from then on."""

    def goes_on(line: Line) -> list[str]:
        errors = []
        for _ in range(2):
            with pytest.raises(WorkerError) as caught:
                exchanged(line)
            errors.append(str(caught.value))
        return errors

    first, second = on_ranks(goes_on, lambda _: None)[0]
    assert "rank 0: about to add; rank 1: about to end the program" in first
    assert "nothing left to do together after the end of rank 1" in second


# --- What is said ----------------------------------------------------------------------------------------------------


def test_errors_of_the_family_are_raised_everywhere() -> None:
    """As they are, with a note; others are named, with their notes. An interrupt goes before all."""
    error, other = ConfigError("Dense", "a size", "-1"), ValueError("boom")
    other.add_note("in layer 3")
    going = report({"about to": "add"}, None)
    found = failure([going, report({}, error)])
    assert (type(found), str(found), found.__notes__) == (ConfigError, str(error), ["on rank 1"])
    assert str(failure([going, report({}, other)])) == "rank 1 of 2 must go on, got ValueError: boom\nin layer 3"
    assert type(failure([report({}, other), report({}, KeyboardInterrupt())])) is KeyboardInterrupt


def test_an_error_that_cannot_be_sent_is_named() -> None:
    """One of the family that does not survive pickling."""

    class OddError(ConfigError):
        pass

    told = failure([report({}, OddError("a", "b", "c")), report({}, None)])
    assert (type(told), str(told)) == (WorkerError, "rank 0 of 2 must go on, got OddError: a expects b, got c")


def test_the_difference_is_shown() -> None:
    """Of long descriptions, that part which is not the same."""
    same = "layer, " * 100
    text = str(failure([report({"layers": same + end}, None) for end in ("Dense", "Conv", "Dense")]))
    assert "ranks 0, 2: layers ... " in text
    assert "Dense; rank 1: layers ... " in text
    assert len(text) < 400


def test_an_error_is_told_once() -> None:
    """Where one call is made within another, the outer one does not tell of it again."""
    error = ValueError()

    def fails(line: Line) -> bool:
        line.tell(error)
        line.tell(error)
        return is_told(error)

    def waits(line: Line) -> Any:
        with pytest.raises(WorkerError) as caught:
            exchanged(line)
        line.tell(caught.value)
        return is_told(caught.value)

    assert on_ranks(fails, waits) == [True, True]
