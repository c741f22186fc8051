"""The machine at the moment: products, passes over memory, functions of single numbers, and calls.

What a program does with NumPy takes no less than these. The suite measures them before the other parts and once more
after them.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import numpy as np

from tests.benchmarks.paired import Apart, Row, in_turn

THREADS = 1
SIDE, LARGE, SMALL, CALLS = 1024, 2**24, 2**15, 20_000

_random = np.random.default_rng(0)


def product() -> Callable[[], object]:
    left, right, out = (_random.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(3))
    return lambda: np.dot(left, right, out)


def passes(size: int) -> Callable[[], object]:
    """Read so many numbers and write as many, all of `LARGE` in pieces; `np.copyto` depends on where arrays lie."""
    values, out = (np.ones(size, np.float32) for _ in range(2))

    def run_all() -> None:
        for _ in range(LARGE // size):
            np.negative(values, out)

    return run_all


def exponentials() -> Callable[[], object]:
    values, out = (_random.standard_normal(SMALL, dtype=np.float32) for _ in range(2))

    def run_all() -> None:
        for _ in range(LARGE // SMALL):
            np.exp(values, out)

    return run_all


def calls() -> Callable[[], object]:
    values = np.ones(4)

    def run_all() -> None:
        for _ in range(CALLS):
            np.add(values, values)

    return run_all


#: What is timed with how many threads; how much of it there is in a run; and its unit.
WORK = {
    "product of 1,024 x 1,024 float32, one thread": (product, 1, 2 * SIDE**3 / 1e9, " GFLOP/s"),
    "the same, two threads": (product, 2, 2 * SIDE**3 / 1e9, " GFLOP/s"),
    "np.negative of 64 MiB, read and written": (partial(passes, LARGE), 1, 8 * LARGE / 1e9, " GB/s"),
    "np.negative of 128 KiB, read and written": (partial(passes, SMALL), 1, 8 * LARGE / 1e9, " GB/s"),
    "np.exp of 32,768 float32": (exponentials, 1, LARGE / 1e9, " G/s"),
    "np.add of four float64": (calls, 1, CALLS / 1e6, " M calls/s"),
}


def run(repeats: int) -> Iterator[Row]:
    with ExitStack() as stack:
        timers = {name: stack.enter_context(Apart(make, threads=threads)) for name, (make, threads, *_) in WORK.items()}
        found = in_turn(timers, repeats)
    for name, (_, _, amount, unit) in WORK.items():
        yield Row(name, [amount / seconds for seconds in found[name]], unit=unit)
