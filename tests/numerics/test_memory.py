"""Memory is kept between steps."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
from minibackprop.numerics.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step = [np.ones(2**17) for _ in range(20)]
        del step
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
given_back = faults()
keep_freed_memory()
faults()
print(given_back, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have their own ways")
def test_what_a_step_frees_serves_the_next() -> None:
    """Pages that were given back, and cleared anew, in each step are not any more."""
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, text=True)
    given_back, kept = map(int, result.stdout.split())
    assert given_back > 1000
    assert kept < 100
