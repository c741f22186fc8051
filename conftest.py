"""What pytest needs to run every example of the docs, and Hypothesis to be the same on each run."""

import os
import sys
from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from importlib.util import find_spec

# Each worker of pytest-xdist has one core: threads of matrix products would only wait for each other.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

# A fixed seed by default, so that a failure is the change's own; HYPOTHESIS_PROFILE=thorough looks further.
settings.register_profile("default", derandomize=True, deadline=None, database=None, max_examples=50)
settings.register_profile(
    "thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

os.environ.setdefault("MPLBACKEND", "Agg")  # Plots need no screen.

# What is about other packages runs where they are installed.
_NEEDS = {
    "minibackprop/testing/torch.py": ["torch"],
    "minibackprop/testing/jax.py": ["jax"],
    "docs/notebooks.py": ["jupytext"],
    "docs/formulas.py": ["sphinx", "math_core"],
    "docs/linked_names.py": ["sphinx"],
    "docs/how-to/check_torch.md": ["torch"],
    "docs/how-to/check_jax.md": ["jax"],
    "docs/how-to/weights_from_pytorch.md": ["torch", "safetensors"],
    "docs/how-to/data_where_they_are.md": ["torch", "pyarrow"],
    "minibackprop/interop/onnx": ["onnx"],
    "docs/how-to/export_to_onnx.md": ["onnx", "onnxruntime"],
    "tests/interop/test_onnx.py": ["onnx", "onnxruntime"],
    "minibackprop/parallel/ranks.py": ["mpi4py"],
}
collect_ignore = [path for path, packages in _NEEDS.items() if not all(map(find_spec, packages))]
collect_ignore.append("tests/parallel/program.py")  # Which runs under mpiexec.

_parser = PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE)
pytest_collect_file = Sybil(parsers=[_parser], patterns=["*.md"]).pytest()


@pytest.fixture(autouse=True, scope="session")
def _numpy_in_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["np"] = np


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    _close_figures()  # Those that a module, or a block of a page, has opened while it was read.
    yield
    _close_figures()


def _close_figures() -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
