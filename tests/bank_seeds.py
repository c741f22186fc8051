"""
The whole bank of planted bugs in many seeds, on demand: every bug is found, every right layer passes.

::

    python -m tests.bank_seeds --to seeds.jsonl             # bugs in 20 seeds, twins in 200; goes on where it was cut
    python -m tests.bank_seeds --to seeds.jsonl --bugs 1 --twins 1 recurrent lstm

One line a check is added to the file, and what the file has is not checked again. Words choose what has one of them in
its name. Seeds go round by round, so that a run that is cut has covered the first seeds of all.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from minibackprop.testing import ContractViolation, check_layer, check_loss
from tests.resumable import Line, covered, in_processes, written
from tests.testing.bank.planting import says
from tests.testing.planted_bugs import BANK, LOSS_BANK, TWINS

Task = tuple[str, str, int]
OF: dict[str, dict[str, Any]] = {
    "bug": {planted.name: planted for planted in BANK},
    "loss bug": {planted.name: planted for planted in LOSS_BANK},
    "twin": {right.name: right for right in TWINS},
    "loss twin": {f"twin of {p.name}": p for p in {p.twin: p for p in LOSS_BANK}.values()},
}


def check(task: Task, examples: int) -> Callable[[], object]:
    """Say what is to be called for a task."""
    kind, name, seed = task
    planted = OF[kind][name]
    if "loss" in kind:
        make = planted.twin if "twin" in kind else planted.bug
        return lambda: check_loss(make, planted.shape, targets=planted.targets, examples=examples, seed=seed)
    make = planted.make if kind == "twin" else planted.bug
    return lambda: check_layer(make, planted.inputs, examples=examples, seed=seed, shrink=False)


def run(task: Task, examples: int) -> Line:
    """Check one bug or twin in one seed."""
    kind, name, seed = task
    line: Line = {"kind": kind, "name": name, "seed": seed, "examples": examples}
    start = time.process_time()
    try:
        check(task, examples)()
        line["law"] = None
    except ContractViolation as violation:
        line |= {"law": violation.law, "cause": violation.cause, "says": str(violation)[:400]}
    except Exception as error:
        line |= {"law": type(error).__name__, "cause": "", "says": str(error)[:400]}
    return line | {"seconds": round(time.process_time() - start, 2)}


def key(line: Line) -> Task:
    """Tell which task a line is of."""
    return line["kind"], line["name"], line["seed"]


def report(lines: dict[Hashable, Line], tasks: Sequence[Task]) -> bool:
    """Print what was covered, what was missed and what was refused; tell whether all is as it should be."""
    faults: Counter[str] = Counter()
    for task in tasks:
        if task not in lines:
            continue
        kind, name, _ = task
        law, planted = lines[task]["law"], OF[kind][name]
        if "twin" in kind and law:
            faults[f"refused: {name}: {law}"] += 1
        elif "bug" in kind and law not in planted.laws:
            faults[f"missed: {name}" if law is None else f"broken where it was not expected: {name}: {law}"] += 1
        elif kind == "bug" and not says(lines[task]["cause"], planted.cause):
            faults[f"another cause: {name}: {lines[task]['cause']}"] += 1
    for kind in OF:
        done = sum(task in lines for task in tasks if task[0] == kind)
        print(f"{kind}: {done} of {sum(task[0] == kind for task in tasks)} checks")
    for fault, count in sorted(faults.items()):
        print(f"{fault} (in {count} seeds)")
    return not faults


def main() -> int:
    """Check what is left, and report on all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bank_seeds", description=__doc__.splitlines()[1])
    parser.add_argument("words", nargs="*", help="only what has one of these in its name")
    parser.add_argument("--to", type=Path, required=True, help="the file of results")
    parser.add_argument("--bugs", type=int, default=20, help="seeds of each bug")
    parser.add_argument("--twins", type=int, default=200, help="seeds of each twin")
    parser.add_argument("--examples", type=int, default=20, help="examples of each law")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="only report on what the file has")
    arguments = parser.parse_args()
    seeds = {kind: arguments.twins if "twin" in kind else arguments.bugs for kind in OF}
    tasks = [
        (kind, name, seed)
        for seed in range(max(seeds.values()))
        for kind, planted in OF.items()
        for name in planted
        if seed < seeds[kind] and (not arguments.words or any(word in name for word in arguments.words))
    ]
    lines = covered(arguments.to, key)
    left = [] if arguments.report else [task for task in tasks if task not in lines]
    one = partial(run, examples=arguments.examples)
    for line in written(arguments.to, in_processes(one, left, arguments.processes)):
        lines[key(line)] = line
    return 0 if report(lines, tasks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
