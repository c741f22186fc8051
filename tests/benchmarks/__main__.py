"""Run the benchmarks and print a table: ``python -m tests.benchmarks [--repeats N]``."""

import os

# Before NumPy is loaded: the article's matrices are so small that a second thread only gets in the way.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import platform

import numpy as np

from tests.benchmarks import article


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="how many pairs of runs a ratio is the median of")
    repeats = parser.parse_args().repeats
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, one thread, median of {repeats} pairs")
    print(f"{'':58}  ratio   (quartiles)")
    for name, ratios in article.run(repeats):
        low, median, high = np.percentile(ratios, [25, 50, 75])
        print(f"{name:58}  {median:5.2f}   ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
