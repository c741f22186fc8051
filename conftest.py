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

# What is about other frameworks runs where they are installed.
collect_ignore = [
    path
    for framework in ("torch", "jax")
    if find_spec(framework) is None
    for path in (f"minibackprop/testing/{framework}.py", f"docs/how-to/check_{framework}.md")
]
collect_ignore.append("tests/parallel/program.py")  # Which runs under mpiexec.
if find_spec("mpi4py") is None:
    collect_ignore.append("minibackprop/parallel/ranks.py")

_parser = PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE)
pytest_collect_file = Sybil(parsers=[_parser], patterns=["*.md"]).pytest()


@pytest.fixture(autouse=True, scope="session")
def _numpy_in_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["np"] = np


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
