"""Run the benchmarks and print a table: ``python -m tests.benchmarks [PART ...] [--repeats N] [--json FILE]``."""

import argparse
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

#: Each part by name, with the threads that matrix products may use in its process, as NumPy asks for them once. What is
#: compared with another library runs in processes that the part starts, with the threads that its rows name.
PARTS = {
    "bounds": 1,
    "article": 1,
    "others": 1,
    "classifier": 1,
    "subnormals": 1,
    "depth": 1,
    "convolution": 1,
    "recurrent": 1,
    "attention": 1,
    "parallel": 1,
    "models": 1,
    "inference": 1,
    "memory": 1,
    "imports": 1,
    "checker": 1,
    "scaling": 1,
}

#: Of the column of names.
WIDTH = 80


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
    from tests.benchmarks.machine import description, thread_settings, watched

    machine = description()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{'median of ' + str(arguments.repeats) + ' rounds':{WIDTH}}  {'':>7}   (quartiles)       target")
    found: list[dict[str, object]] = []
    states = []
    for part in arguments.parts or [*PARTS, "bounds"]:
        state = watched()
        command = [sys.executable, "-m", "tests.benchmarks", part, "--inside", "--repeats", str(arguments.repeats)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | thread_settings(PARTS[part])
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                row = json.loads(line)
                print(as_text(row), flush=True)
                found.append({"part": part} | row)
        if process.returncode:
            sys.exit(f"{part} failed")
        states.append({"part": part} | state())
        print(", ".join(f"{name} {value}" for name, value in states[-1].items()), flush=True)
    if arguments.json:
        kept = {"machine": machine, "states": states, "rows": found}
        arguments.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


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
        return f"{row['name']:{WIDTH}}  left out: {row['left_out'] or 'not measured'}"
    median, low, high = (rounded(row[key]) for key in ("median", "low", "high"))  # type: ignore[arg-type]
    middle = f"{median:>7}{row['unit']:3}({low} to {high})"
    target = row["target"]
    if target is None:
        return f"{row['name']:{WIDTH}}  {middle}"
    verdict = "met" if row["median"] <= target else "missed"  # type: ignore[operator]
    return f"{row['name']:{WIDTH}}  {middle:29} {target:5.2f} {verdict}"


def rounded(value: float) -> str:
    """Write a number with two decimals where they say something."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
