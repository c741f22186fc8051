"""
Checks of drawn networks, on demand: all are right, so that each violation is a false alarm of the checker.

::

    python -m tests.stress --to stress.jsonl                 # 2,000 checks; goes on where it was cut
    python -m tests.stress --to stress.jsonl --checks 100    # as far as the first 100
    python -m tests.stress --show 17                         # the network of one check, and what the check says

Each check has its number for a seed: it draws a shape, a network for it, and checks that. One line a check is added to
the file, and what the file has is not checked again.
"""

import argparse
import copy
import math
import re
import time
from collections import Counter
from collections.abc import Hashable
from functools import partial
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from minibackprop import BatchNorm, DeltaTrim, Dropout, Layer, Sequential
from minibackprop.testing import ContractViolation, Inconclusive, check_layer, layers, models
from minibackprop.validation import Array
from tests.resumable import Line, covered, in_processes, written

Inputs = tuple[int, ...] | st.SearchStrategy[Array]
SHAPES = st.sampled_from([(1,), (3,), (5,), (3, 2), (2, 4), (4, 3), (1, 4, 4), (2, 3, 4)])
VOCABULARY = 6
#: How many networks are drawn to take the last: the first that Hypothesis draws are the plainest.
DRAWN = 12


@st.composite
def networks(draw: st.DrawFn) -> tuple[Layer, Inputs]:
    """Draw a right layer, and the shape of its samples or a strategy of batches."""
    shape, kind = draw(SHAPES), draw(st.sampled_from(["layer", "model", "outputs", "special", "indices"]))
    if kind == "layer":
        return draw(layers(shape)), shape
    if kind == "model":
        return draw(models(shape)), shape
    if kind == "outputs":
        return draw(models(shape, draw(st.integers(1, 3)))), shape
    if kind == "special":
        rng = draw(st.integers(0, 99))
        special = draw(st.sampled_from([BatchNorm(shape[0]), Dropout(0.3, rng=rng), DeltaTrim(0.1, 1.0)]))
        return Sequential([draw(layers(shape)), special, draw(layers(shape))]), shape
    steps = shape[:2]
    return draw(models(steps, vocabulary=VOCABULARY)), st.integers(1, 3).flatmap(partial(_indices, steps))


def _indices(steps: tuple[int, ...], samples: int) -> st.SearchStrategy[Array]:
    size = samples * math.prod(steps)
    entries = st.lists(st.integers(0, VOCABULARY - 1), min_size=size, max_size=size)
    return entries.map(lambda entries: np.reshape(entries, (samples, *steps)))


def network(number: int) -> tuple[Layer, Inputs]:
    """Draw the network of a check, the same for the same number."""
    drawn = []

    @seeded(number)
    @settings(
        max_examples=DRAWN, database=None, phases=[Phase.generate], deadline=None, suppress_health_check=HealthCheck
    )
    @given(networks())
    def draw(one: tuple[Layer, Inputs]) -> None:
        drawn.append(one)

    draw()
    return drawn[-1]


def check(number: int, examples: int) -> Line:
    """Check one network, and say what came of it."""
    made, inputs = network(number)
    shape = inputs if isinstance(inputs, tuple) else "indices"
    line = {"number": number, "network": repr(made), "inputs": str(shape), "examples": examples, "verdict": "passed"}
    start = time.process_time()
    try:
        check_layer(lambda: copy.deepcopy(made), inputs, seed=number, examples=examples, shrink=False)
    except Inconclusive as violation:
        line |= {"verdict": "inconclusive", "law": violation.law, "says": str(violation)[:2000]}
    except ContractViolation as violation:
        line |= {
            "verdict": "false alarm",
            "law": violation.law,
            "cause": violation.cause,
            "says": str(violation)[:4000],
        }
    except Exception as error:
        line |= {"verdict": "false alarm", "law": type(error).__name__, "says": str(error)[:4000]}
    return line | {"seconds": round(time.process_time() - start, 2)}


def report(lines: list[Line], checks: int) -> bool:
    """Print what was covered, and each false alarm; tell whether there was none."""
    verdicts = Counter(line["verdict"] for line in lines)
    print(f"{len(lines)} of {checks} checks:", ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    kinds = Counter(name for line in lines for name in set(re.findall(r"(\w+)\(", line["network"])))
    print("networks with", ", ".join(f"{name} {count}" for name, count in kinds.most_common()))
    alarms = [line for line in lines if line["verdict"] == "false alarm"]
    for line in alarms:
        print(f"\n{line['number']}: {line['law']}: {line['network']} for {line['inputs']}\n{line['says']}")
    return not alarms


def main() -> int:
    """Check what is left, and report on all."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__.splitlines()[1])
    parser.add_argument("--to", type=Path, help="the file of results")
    parser.add_argument("--checks", type=int, default=2000)
    parser.add_argument("--examples", type=int, default=10, help="examples of each law")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--show", type=int, help="one check only, printed")
    arguments = parser.parse_args()
    if arguments.show is not None:
        return 0 if report([check(arguments.show, arguments.examples)], 1) else 1
    if arguments.to is None:
        parser.error("--to or --show is needed")
    lines: dict[Hashable, Line] = covered(arguments.to, lambda line: line["number"])
    left = [number for number in range(arguments.checks) if number not in lines]
    one = partial(check, examples=arguments.examples)
    for line in written(arguments.to, in_processes(one, left, arguments.processes)):
        lines[line["number"]] = line
    return 0 if report([lines[n] for n in range(arguments.checks) if n in lines], arguments.checks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
