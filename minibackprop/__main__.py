"""``python -m minibackprop``: train the article's networks, and set the figures beside the published ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from minibackprop.article import ERROR, OUTPUT, X, agreement, three_layer_errors, two_layer_output


def main(arguments: Sequence[str] | None = None) -> int:
    """Train both networks, print the comparison, and return 0 if every digit agrees, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m minibackprop",
        description="Train the article's two networks as composed layers, and print the figures beside the published "
        "ones. The exit status is 0 if every published digit is reproduced, 1 if not.",
    )
    parser.parse_args(arguments)
    samples = [" ".join(f"{entry:.0f}" for entry in row) for row in X]
    agree = _compare("Two-layer network: output after 10,000 steps", "sample", samples, two_layer_output(), OUTPUT)
    print()
    steps = [f"{step:,}" for step in ERROR]
    title = "Three-layer network: mean absolute error before the update of a step"
    agree &= _compare(title, "step", steps, three_layer_errors(), tuple(ERROR.values()))
    print("\nEvery published digit is reproduced." if agree else "\nSome digits differ from the published ones.")
    return 0 if agree else 1


def _compare(title: str, head: str, rows: Sequence[str], measured: Sequence[float], published: Sequence[str]) -> bool:
    print(f"{title}\n\n  {head:>6}  {'measured':>20}  {'published':>16}  digits that agree")
    counts = []
    for row, value, text in zip(rows, measured, published, strict=True):
        shared, total = agreement(value, text)
        counts.append(shared == total)
        print(f"  {row:>6}  {value:>20.16f}  {text:>16}  {shared} of {total}")
    return all(counts)


if __name__ == "__main__":
    sys.exit(main())
