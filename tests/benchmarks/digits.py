"""The accuracy of ``examples/digits.py`` beside that of scikit-learn: ``python -m tests.benchmarks.digits``.

On the same held-out fifths of the same data with the same scaling; scikit-learn's `MLPClassifier` has its defaults.
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

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"
SEEDS = range(5)


def run_example(seed: int) -> dict[str, Any]:
    """Run the script as it is, in silence, and return its variables."""
    sys.argv[1:] = [str(seed)]
    with contextlib.redirect_stdout(io.StringIO()):
        return runpy.run_path(str(EXAMPLE))


def compare(seed: int) -> tuple[float, float, float, float]:
    """Compute the accuracies, the example's and scikit-learn's, and the seconds that each took."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    start = perf_counter()
    example = run_example(seed)
    middle = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # By default, it ends after 200 epochs.
        other = MLPClassifier(random_state=seed).fit(example["x_train"], example["y_train"])
    end = perf_counter()
    return example["score"], other.score(example["x_test"], example["y_test"]), middle - start, end - middle


def main() -> None:
    # Before NumPy is loaded: the matrices are so small that a second thread only gets in the way.
    os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    print("seed  minibackprop  scikit-learn  (seconds, one thread)")
    ours, theirs = [], []
    for seed in SEEDS:
        score, other, seconds, other_seconds = compare(seed)
        ours.append(score)
        theirs.append(other)
        print(f"{seed:4}  {score:12.2%}  {other:12.2%}  ({seconds:.1f} and {other_seconds:.1f})")
    print(f"median{median(ours):12.2%}  {median(theirs):12.2%}")


if __name__ == "__main__":
    main()
