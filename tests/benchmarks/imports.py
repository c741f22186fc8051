"""What ``import minibackprop`` takes, beside the two packages that it is built on."""

import os
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.paired import Row, Timer, ratios

#: What users need not have, and those who have it not pay for.
OPTIONAL = ("hypothesis", "pytest", "matplotlib", "tqdm", "sklearn", "torch", "jax", "autograd", "mygrad")


# Users have the compiled files that Python keeps.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_code(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, check=True, text=True, env=_ENVIRONMENT).stdout


def importing(what: str) -> Timer:
    """Make a timer of an import in a new process, without the start of the process."""
    code = f"from time import perf_counter as now; start = now(); import {what}; print(now() - start)"
    return lambda: float(run_code(code))


def optional_modules() -> list[str]:
    """List what else is imported."""
    code = f"import sys, minibackprop; print(*sorted(sys.modules.keys() & {set(OPTIONAL)}))"
    return run_code(code).split()


def run(repeats: int) -> Iterator[Row]:
    importing("minibackprop")()  # Compiles what is not yet compiled.
    found = ratios(importing("minibackprop"), importing("numpy, attrs"), 3 * repeats)
    yield Row("import minibackprop / import numpy, attrs", found, 1.3)
    yield Row("optional packages that it imports", [float(len(optional_modules()))], 0.0)
