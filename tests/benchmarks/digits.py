"""The accuracies of ``examples/digits.py`` and ``digits_cnn.py``: ``python -m tests.benchmarks.digits``.

Beside that of scikit-learn's `MLPClassifier` with its defaults, on the same held-out fifths of the same data with the
same scaling.
"""

import contextlib
import io
import os
import runpy
import sys
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from tests.benchmarks.machine import thread_settings

EXAMPLES = Path(__file__).parents[2] / "examples"
SEEDS = range(5)


def run_example(name: str, seed: int) -> dict[str, Any]:
    """Run a script as it is, in silence, and return its variables."""
    sys.argv[1:] = [str(seed)]
    with contextlib.redirect_stdout(io.StringIO()):
        return runpy.run_path(str(EXAMPLES / name))


def compare(seed: int) -> tuple[float, float, float, float]:
    """Compute the accuracies, the first example's and scikit-learn's, and the seconds that each took."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    start = perf_counter()
    example = run_example("digits.py", seed)
    middle = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # By default, it ends after 200 epochs.
        other = MLPClassifier(random_state=seed).fit(example["x_train"], example["y_train"])
    end = perf_counter()
    return example["score"], other.score(example["x_test"], example["y_test"]), middle - start, end - middle


def main() -> None:
    # Before NumPy is loaded: the matrices are so small that a second thread only gets in the way.
    os.environ |= thread_settings(1)
    print("seed   digits.py  scikit-learn  digits_cnn.py  (seconds, one thread)")
    ours, theirs, convolutional = [], [], []
    for seed in SEEDS:
        score, other, seconds, other_seconds = compare(seed)
        start = perf_counter()
        best = run_example("digits_cnn.py", seed)["score"]
        times = f"({seconds:.1f}, {other_seconds:.1f} and {perf_counter() - start:.1f})"
        ours.append(score)
        theirs.append(other)
        convolutional.append(best)
        print(f"{seed:<6}{score:10.2%}  {other:12.2%}  {best:13.2%}  {times}", flush=True)
    print(f"median{median(ours):10.2%}  {median(theirs):12.2%}  {median(convolutional):13.2%}")


if __name__ == "__main__":
    main()
