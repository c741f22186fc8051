"""``python -m minibackprop``: train the article's networks, and set the figures beside the published ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from itertools import takewhile

import numpy as np

from minibackprop.callbacks import Step
from minibackprop.losses import HalfSquaredError
from minibackprop.metrics import mean_absolute_error
from minibackprop.models import ArticleNetwork, three_layer, two_layer
from minibackprop.optimizers import SGD
from minibackprop.training import Trainer

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
FIRST_COLUMN = np.array([[0.0], [0], [1], [1]])
EITHER_NOT_BOTH = np.array([[0.0], [1], [1], [0]])

# As the article prints them: the text carries the number of digits.
OUTPUT = ("0.00966449", "0.00786506", "0.99358898", "0.99211957")
ERROR = {
    0: "0.496410031903",
    10_000: "0.00858452565325",
    20_000: "0.00578945986251",
    30_000: "0.00462917677677",
    40_000: "0.00395876528027",
    50_000: "0.00351012256786",
}


def two_layer_output(steps: int = 10_000) -> list[float]:
    """Train the two-layer network, and return the output that its last step was made from."""
    seen: list[float] = []

    def keep_last(step: Step) -> None:
        if step.number == steps - 1:
            seen.extend(step.prediction.ravel().tolist())

    _trainer(two_layer()).fit(X, FIRST_COLUMN, steps, callbacks=[keep_last])
    return seen


def three_layer_errors(at: Iterable[int] = tuple(ERROR)) -> list[float]:
    """Train the three-layer network, and return the mean absolute error from before each of the steps `at`."""
    wanted = set(at)
    seen: list[float] = []

    def keep_error(step: Step) -> None:
        if step.number in wanted:
            seen.append(mean_absolute_error(step.prediction, step.target))

    _trainer(three_layer()).fit(X, EITHER_NOT_BOTH, 60_000, callbacks=[keep_error])
    return seen


def agreement(measured: float, published: str) -> tuple[int, int]:
    """
    Count the significant digits of `published`, and how many of them `measured` shares, rounded to as many places.

    Examples
    --------
    >>> agreement(0.0096644912, "0.00966449"), agreement(0.009664, "0.00966449")
    ((6, 6), (4, 6))
    """
    places = len(published.partition(".")[2])
    pairs = zip(f"{measured:.{places}f}", published, strict=False)
    shared = "".join(theirs for ours, theirs in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return len(_significant(shared)), len(_significant(published))


def _significant(digits: str) -> str:
    return digits.replace(".", "").lstrip("0")


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


def _trainer(model: ArticleNetwork) -> Trainer:
    return Trainer(model, HalfSquaredError(), SGD(learning_rate=1))


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
