"""
The numerical tests with the wide kernels switched off: ``python -m tests.narrow_kernels``.

NumPy and its BLAS choose their kernels by what the processor can do, and kernels differ in the last digits. A tolerance
that was found on one processor may fail on the next; here the tests meet the kernels of an older one. On x86-64 only.
Options and paths for pytest may follow.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
#: Where no digit counts: files, texts, pictures, scripts; and the checks of checks, which look for more than digits.
LEFT_OUT = (
    *("saving", "inspection", "checks", "laws", "strategies", "test_docs.py", "test_examples.py", "test_main.py"),
    *("test_public_names.py", "test_readme.py", "test_rooms.py", "test_shown_layers.py", "test_planted_bugs.py"),
    *("test_contract.py", "test_interrupts.py", "test_report.py", "test_search.py", "test_violations.py"),
)


def wide_features() -> list[str]:
    """List what the processor can do beyond what NumPy was built to need, and NumPy has kernels for."""
    # Asked of NumPy, since it refuses to switch off, or warns of, what it does not know or does not use.
    features: list[str] = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return features


def narrow_environment() -> dict[str, str]:
    """Make the variables that have NumPy and OpenBLAS choose the kernels of an older processor."""
    wide = wide_features()
    has_avx512 = any(feature == "X86_V4" or feature.startswith("AVX512") for feature in wide)
    narrow = {"NPY_DISABLE_CPU_FEATURES": " ".join(wide), "OPENBLAS_CORETYPE": "Haswell" if has_avx512 else "Nehalem"}
    return {**os.environ, **narrow}


def main(options: list[str]) -> int:
    """Run the tests; return the exit status of pytest, or 0 where it is not known what to switch off."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        print(f"Skipped: wide kernels are switched off on x86-64 only, and this is {platform.machine()}.")
        return 0
    environment = narrow_environment()
    ask = "from tests.narrow_kernels import wide_features; print(*wide_features())"
    left = subprocess.check_output([sys.executable, "-c", ask], cwd=ROOT, env=environment, text=True)
    if left.strip():
        raise SystemExit(f"still switched on: {left}")
    for variable in ("NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE"):
        print(f"{variable}={environment[variable]}")
    ignored = [f"--ignore-glob=*/{name}" for name in LEFT_OUT]
    arguments = [*ignored, *(options or ["tests"])]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
