"""Imports: what ``import minibackprop`` takes, beside the two packages that it is built on."""

import os
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks.paired import Row, Timer, ratios

#: What users need not have; and those who have it need not wait for it.
OPTIONAL = ("hypothesis", "pytest", "matplotlib", "tqdm", "sklearn", "torch", "jax", "autograd", "mygrad")


# Users have the compiled files that Python keeps.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run_code(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, check=True, text=True, env=_ENVIRONMENT).stdout


def importing(statement: str) -> Timer:
    """Make a timer of an import in a new process, without the start of the process."""
    code = f"from time import perf_counter as now; start = now(); {statement}; print(now() - start)"
    return lambda: float(run_code(code))


def optional_modules() -> list[str]:
    """List what else is imported."""
    code = f"import sys; from minibackprop import *; print(*sorted(sys.modules.keys() & {set(OPTIONAL)}))"
    return run_code(code).split()


def run(repeats: int) -> Iterator[Row]:
    reference = importing("import numpy, attrs")
    for statement, target in (
        ("import numpy, attrs, minibackprop", 1.3),  # Names are imported when they are first used, so also:
        ("from minibackprop import SGD, HalfSquaredError, Trainer, three_layer", 1.3),
        ("from minibackprop import *", 1.5),
    ):
        importing(statement)()  # Compiles what is not yet compiled.
        yield Row(f"{statement} / import numpy, attrs", ratios(importing(statement), reference, 3 * repeats), target)
    yield Row("optional packages that it imports", [float(len(optional_modules()))], 0.0)
