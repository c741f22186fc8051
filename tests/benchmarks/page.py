"""Write the page of figures from a run: ``python -m tests.benchmarks.page speed.json docs/reference/speed.md``."""

import json
import sys
from datetime import UTC, datetime
from importlib import import_module
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from tests.benchmarks.__main__ import rounded

TOP = """# Speed in figures

{count} rows of one run of `python -m tests.benchmarks --json speed.json`, written by `python -m tests.benchmarks.page`.
What they mean, and why some targets are missed, is told in [Speed](../explanation/speed.md).

A ratio is the time of the first named divided by that of the second: below 1, the first is faster. Both ran in turn,
with as many threads and cores, in processes of their own where another library is involved. Shown are the median over
the rounds, the quartiles, and the target, which the median meets or misses.

{machine}

{busy} Started on {started} (UTC).
"""


def page(run: dict[str, Any]) -> str:
    """Write the whole page."""
    machine = ", ".join(f"{name} {value}" for name, value in run["machine"].items())
    shares = [state["share of the cores for others"] for state in run["states"]]
    busy = f"While a part ran, at most {max(shares):.1%} of the cores' time went to other things."
    started = datetime.fromtimestamp(run["states"][0]["started"], UTC).strftime("%Y-%m-%d at %H:%M")
    sections = [TOP.format(count=len(run["rows"]), machine=machine, busy=busy, started=started)]
    seen: set[str] = set()
    for part, rows in groupby(run["rows"], itemgetter("part")):
        title, _, about = (import_module(f"tests.benchmarks.{part}").__doc__ or "").strip().partition(": ")
        about = about.replace("``", "`")
        if part in seen:
            title, about = f"{title}, once more", "The same, after all other parts."
        seen.add(part)
        lines = [f"## {title}", "", about[0].upper() + about[1:], "", "| what | median | quartiles | target |"]
        sections.append("\n".join([*lines, "|---|---|---|---|", *map(line, rows), ""]))
    return "\n".join(sections)


def line(row: dict[str, Any]) -> str:
    """Write a row of a table."""
    name, unit = row["name"].replace("|", "\\|"), row["unit"]
    if row["median"] is None:
        return f"| {name} | left out: {row['left_out']} | | |"
    target = ""
    if row["target"] is not None:
        target = f"{row['target']:g}{unit}, {'met' if row['median'] <= row['target'] else 'missed'}"
    return f"| {name} | {rounded(row['median'])}{unit} | {rounded(row['low'])} to {rounded(row['high'])} | {target} |"


if __name__ == "__main__":
    source, destination = map(Path, sys.argv[1:])
    destination.write_text(page(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")
