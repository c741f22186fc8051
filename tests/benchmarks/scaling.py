"""
Steps of `fit` by ranks of MPI: measured on this machine, beside what a formula predicts; and predicted on many.

``python -m tests.benchmarks.scaling`` prints the tables of the page "Beyond one machine".
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from math import ceil, log2
from pathlib import Path
from shutil import which
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from minibackprop import (
    SGD,
    Callback,
    Conv2D,
    Dense,
    Flatten,
    HeNormal,
    Layer,
    MaxPool2D,
    Ranks,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Step,
    Trainer,
    mlp,
)
from tests.benchmarks.machine import description, thread_settings, wait_until_idle
from tests.benchmarks.paired import Row

#: Strong scaling divides a batch of BATCH among the ranks; weak scaling gives EACH samples to each of them.
BATCH, EACH = 1024, 64
#: The numbers of samples that one rank alone is timed with; the time of others is interpolated.
SIZES = (1, 16, EACH, 256, 512, BATCH)
HERE, FAR = (1, 2, 3, 4), (1, 2, 4, 16, 64, 256, 1024)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
PATIENCE = 300.0


# --- What a step costs -----------------------------------------------------------------------------------------------


class Cost(NamedTuple):
    """What a step of a model costs one rank: seconds by numbers of samples, and how many bytes its gradients have."""

    samples: tuple[int, ...]
    seconds: tuple[float, ...]
    bytes: int

    @property
    def serial(self) -> float:
        """What no other rank takes off: a step on one sample, of which nearly all is the same for more."""
        return self.seconds[0]

    def compute(self, samples: int) -> float:
        """What so many samples take beside the serial part."""
        return float(np.interp(samples, self.samples, self.seconds)) - self.serial


class Link(NamedTuple):
    """What lies between ranks: seconds for a message, and bytes in a second."""

    latency: float
    bandwidth: float


class Overhead(NamedTuple):
    """What ranks do themselves for a reduction: seconds for a step, and bytes copied in a second, to one flat array."""

    step: float
    copied: float


#: Assumed, not measured: TCP over 10 Gbit/s, and remote direct memory access over 100 Gbit/s.
ASSUMED = {"10 Gbit/s": Link(30e-6, 1.25e9), "100 Gbit/s": Link(2e-6, 12.5e9)}

#: How often a step waits for messages, times log2(ranks): once for each of two statuses, twice for the gradients.
ROUNDS = 4


def reduction(count: int, cost: Cost, link: Link, overhead: Overhead) -> float:
    """Predict the seconds that `count` ranks, each with a core of its own, take to sum their gradients."""
    if count == 1:
        return 0.0
    latency = overhead.step + ROUNDS * ceil(log2(count)) * link.latency
    return latency + cost.bytes / overhead.copied + 2 * (count - 1) / count * cost.bytes / link.bandwidth


def step(count: int, samples: int, cost: Cost, link: Link, overhead: Overhead, cores: float = np.inf) -> float:
    """Predict the seconds of a step with so many samples for each of `count` ranks, which share so many cores."""
    crowd = max(1, ceil(count / cores))  # All wait for those that have a core together.
    return crowd * (cost.compute(samples) + cost.serial + reduction(count, cost, link, overhead))


def enough(cost: Cost, link: Link, overhead: Overhead) -> int:
    """Find the least number of ranks for which the reduction takes as long as what they divide."""
    samples = cost.samples[-1]
    for count in range(2, samples + 1):
        if reduction(count, cost, link, overhead) >= cost.compute(samples) / count:
            return count
    return samples


# --- What is measured ------------------------------------------------------------------------------------------------


def small() -> Layer:
    return mlp([128, 256, 256, 10], dtype=np.float32, rng=0)


def images() -> Layer:
    layers: list[Layer] = []
    for inputs, outputs in ((1, 16), (16, 32)):
        layers += [Conv2D(inputs, outputs, 3, padding="same", init=HeNormal(), dtype=np.float32, rng=0), ReLU()]
        layers += [MaxPool2D(2)]
    layers += [Flatten(), Dense(1568, 632, init=HeNormal(), dtype=np.float32, rng=0), ReLU()]
    return Sequential([*layers, Dense(632, 10, dtype=np.float32, rng=0)])


def large() -> Layer:
    return mlp([784, 2400, 2400, 960, 10], dtype=np.float32, rng=0)


class Model(NamedTuple):
    make: Callable[[], Layer]
    inputs: tuple[int, ...]


MODELS = {
    "MLP of 1e5": Model(small, (128,)),
    "CNN of 1e6": Model(images, (1, 28, 28)),
    "MLP of 1e7": Model(large, (784,)),
}


class Clock(Callback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_end(self, step: Step, /) -> None:
        self.times.append(perf_counter())

    @property
    def seconds(self) -> float:
        """The time of a step that little else disturbs: the first quartile; the first step is not counted."""
        return float(np.percentile(np.diff(self.times[1:]), 25))


def timed_steps(name: str, samples: int, ranks: Ranks | None) -> float:
    """Time steps with so many samples for this rank, which has data of its own."""
    model, random, clock = MODELS[name], np.random.default_rng(0), Clock()
    rows = samples * (5 + min(25, 512 // samples))
    x = random.standard_normal((rows, *model.inputs), dtype=np.float32)
    trainer = Trainer(model.make(), SoftmaxCrossEntropy(), SGD(0.001, momentum=0.9), rng=0, parallel=ranks)
    trainer.fit(x, random.integers(0, 10, rows), epochs=1, batch_size=samples, callbacks=[clock])
    return clock.seconds


def timed_model(name: str, ranks: Ranks) -> dict[str, float]:
    """Time steps of one model by all ranks: by the numbers of samples, for one rank; or by how they are divided."""
    if ranks.count == 1:
        return {str(samples): timed_steps(name, samples, None) for samples in SIZES}
    divided = {"strong": ceil(BATCH / ranks.count), "weak": EACH}
    return {scaling: timed_steps(name, samples, ranks) for scaling, samples in divided.items()}


def timed_sums(ranks: Ranks) -> dict[str, float]:
    """Time what two ranks do between their passes: both by `Ranks`, and by the library of MPI alone."""
    from mpi4py import MPI

    def least(function: Callable[[], object], times: int) -> float:
        found = []
        for _ in range(times):
            MPI.COMM_WORLD.Barrier()
            start = perf_counter()
            function()
            found.append(perf_counter() - start)
        return min(found)

    def reduce(array: Any) -> float:
        return least(lambda: ranks.reduce([array], [array], [0.0, 0.0]), 20)

    def alone(array: Any) -> float:
        total = np.empty_like(array)
        return least(lambda: MPI.COMM_WORLD.Allreduce(array, total), 20)

    few, many = np.zeros(8, np.float32), np.zeros(10_000_000, np.float32)
    line = ranks._line
    assert line is not None
    found = {"status": least(lambda: line.exchange({"about to": "measure"}, timeout=PATIENCE), 200)}
    found |= {"few": min(reduce(few) for _ in range(10)), "message": min(alone(np.zeros(8)) for _ in range(10))}
    return found | {"many": reduce(many), "many alone": alone(many)}


def program(what: str) -> None:
    """Be one of the ranks."""
    ranks = Ranks(sharded=True, timeout=PATIENCE)
    found = timed_sums(ranks) if what == "sums" else timed_model(what, ranks)
    if not ranks.rank:
        print(json.dumps(found))


def by_ranks(count: int, what: str) -> dict[str, float]:
    """Let so many ranks measure something."""
    wait_until_idle(2.0)
    command = ["mpiexec", "-n", str(count), sys.executable, "-m", "tests.benchmarks.scaling", "--rank", what]
    settings = os.environ | thread_settings(1) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def least_of(repeats: int, count: int, what: str) -> dict[str, float]:
    """Let so many ranks measure something in several runs; take the shortest times."""
    runs = [by_ranks(count, what) for _ in range(repeats)]
    return {name: min(each[name] for each in runs) for name in runs[0]}


def cost_of(name: str, alone: dict[str, float]) -> Cost:
    parameters = sum(parameter.value.size for parameter in MODELS[name].make().parameters())
    return Cost(SIZES, tuple(alone[str(samples)] for samples in SIZES), 4 * parameters)


def link_of(sums: dict[str, float]) -> tuple[Link, Overhead]:
    """Compute the constants of this machine, of what two ranks were timed with; of 4e7 bytes, each sends as many."""
    bandwidth = 4e7 / (sums["many alone"] - sums["message"])
    copied = 4e7 / max(1e-9, sums["many"] - sums["many alone"] - sums["few"])
    # A step of ranks that have data of their own begins with a status, too. The messages are counted in `reduction`.
    return Link(sums["message"], bandwidth), Overhead(
        max(0.0, sums["few"] + sums["status"] - ROUNDS * sums["message"]), copied
    )


# --- What is shown ---------------------------------------------------------------------------------------------------


def run(repeats: int) -> Iterator[Row]:
    """Measure each number of ranks in turn."""
    if which("mpiexec") is None:
        yield Row("steps by ranks", [], left_out="no mpiexec")
        return
    link, overhead = link_of(least_of(min(repeats, 3), 2, "sums"))
    for name in MODELS:
        rounds = [{count: by_ranks(count, name) for count in HERE} for _ in range(repeats)]
        for scaling, title in (("strong", f"a batch of {BATCH}"), ("weak", f"{EACH} samples each")):
            for count in HERE[1:]:
                ratios, misses = [], []
                for found in rounds:
                    cost, measured = cost_of(name, found[1]), found[count][scaling]
                    samples = ceil(BATCH / count) if scaling == "strong" else EACH
                    ratios.append(measured / found[1][str(BATCH if scaling == "strong" else EACH)])
                    misses.append(measured / step(count, samples, cost, link, overhead, CORES))
                yield Row(f"{name}, {title}: {count} ranks / one", ratios)
                yield Row(f"{name}, {title}: {count} ranks / predicted", misses)


def measure(repeats: int) -> dict[str, dict[str, float]]:
    """Measure all that the page is made from."""
    found = {"sums": least_of(repeats, 2, "sums")}
    return found | {f"{name}, {count}": least_of(repeats, count, name) for name in MODELS for count in HERE}


def show(measured: dict[str, dict[str, float]]) -> None:
    """Print the tables of the page."""
    sums = measured["sums"]
    link, overhead = link_of(sums)
    print("sums", {name: f"{1e6 * seconds:.1f} us" for name, seconds in sums.items()})
    print(f"message {1e6 * link.latency:.1f} us, {link.bandwidth / 1e9:.2f} GB/s; ", end="")
    print(f"a step {1e6 * overhead.step:.0f} us, copies {overhead.copied / 1e9:.2f} GB/s")
    links = {"shared memory": link, **ASSUMED}
    for name in MODELS:
        cost = cost_of(name, measured[f"{name}, 1"])
        print(f"\n{name}: {cost.bytes // 4} parameters, {cost.bytes / 1e6:.2f} MB; ms by samples", end=" ")
        print({samples: f"{1e3 * seconds:.3g}" for samples, seconds in zip(SIZES, cost.seconds, strict=True)})
        for scaling in ("strong", "weak"):
            for count in HERE[1:]:
                samples = ceil(BATCH / count) if scaling == "strong" else EACH
                expected = step(count, samples, cost, link, overhead, CORES)
                found = measured[f"{name}, {count}"][scaling]
                print(f"| {name}, {scaling} | {count} | {1e3 * expected:.3g} | {1e3 * found:.3g} |", end=" ")
                print(f"{found / expected:.2f} |")
        for label, each in links.items():
            for scaling in ("strong", "weak"):
                samples_by_count = {count: ceil(BATCH / count) if scaling == "strong" else EACH for count in FAR}
                row = [step(count, samples, cost, each, overhead) for count, samples in samples_by_count.items()]
                print(f"| {name}, {label}, {scaling} | {' | '.join(f'{1e3 * seconds:.3g}' for seconds in row)} |")
            print(f"enough ranks by {label}: {enough(cost, each, overhead)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank"]:
        program(sys.argv[2])
    else:
        print(description())
        show(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
