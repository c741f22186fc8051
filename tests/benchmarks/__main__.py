"""Run the benchmarks and print a table: ``python -m tests.benchmarks [PART ...] [--repeats N] [--json FILE]``."""

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

#: Each part by name, with the threads that matrix products may use: a process of its own, as NumPy asks for them once.
PARTS = {
    "article": 1,
    "others": 1,
    "classifier": 2,
    "subnormals": 1,
    "depth": 1,
    "convolution": 2,
    "recurrent": 2,
    "attention": 2,
    "parallel": 2,
    "scaling": 1,
    "inference": 1,
    "memory": 1,
    "imports": 1,
    "checker": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; by default all")
    parser.add_argument("--repeats", type=int, default=9, help="how many pairs of runs a ratio is the median of")
    parser.add_argument("--json", type=Path, help="also write the rows, and what they were measured on, to this file")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if arguments.inside:
        rows(arguments.parts[0], arguments.repeats)
        return
    from tests.benchmarks.machine import description, thread_settings

    machine = description()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{'median of ' + str(arguments.repeats) + ' pairs':72}  {'':>7}   (quartiles)       target")
    found = []
    for part in arguments.parts or PARTS:
        command = [sys.executable, "-m", "tests.benchmarks", part, "--inside", "--repeats", str(arguments.repeats)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | thread_settings(PARTS[part])
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                row = json.loads(line)
                print(as_text(row), flush=True)
                found.append({"part": part, "threads": PARTS[part]} | row)
        if process.returncode:
            sys.exit(f"{part} failed")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "rows": found}, indent=1), encoding="utf-8")


def rows(part: str, repeats: int) -> None:
    """Run one part, and print a line of JSON for each row."""
    import numpy as np

    for row in import_module(f"tests.benchmarks.{part}").run(repeats):
        values = [float(value) for value in row.values]
        low, median, high = map(float, np.percentile(values, [25, 50, 75])) if values else (None, None, None)
        kept = {"name": row.name, "low": low, "median": median, "high": high, "unit": row.unit, "target": row.target}
        print(json.dumps(kept | {"left_out": row.left_out}), flush=True)


def as_text(row: dict[str, object]) -> str:
    """Write a row for people to read."""
    if row["median"] is None:
        return f"{row['name']:72}  left out: {row['left_out'] or 'not measured'}"
    middle = f"{row['median']:7.2f}{row['unit']:3}({row['low']:.2f} to {row['high']:.2f})"
    target = row["target"]
    if target is None:
        return f"{row['name']:72}  {middle}"
    verdict = "met" if row["median"] <= target else "missed"  # type: ignore[operator]
    return f"{row['name']:72}  {middle:29} {target:5.2f} {verdict}"


if __name__ == "__main__":
    main()
