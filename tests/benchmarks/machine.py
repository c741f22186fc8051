"""What the benchmarks run on, how fast that is at the moment, and whether it has anything else to do."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from sysconfig import get_config_var
from time import sleep, time

LIBRARIES = ("numpy", "attrs", "torch", "onnxruntime", "scikit-learn", "jax", "autograd", "mygrad")


def thread_settings(count: int) -> dict[str, str]:
    """Say in environment variables how many threads matrix products may use; libraries read them as they are loaded."""
    return {f"{library}_NUM_THREADS": str(count) for library in ("OPENBLAS", "OMP", "MKL")}


def keep_to_cores(count: int) -> None:
    """Keep this process to so many cores, where the system can: not all libraries ask how many threads they may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


def description() -> dict[str, str]:
    """Describe the machine, and the versions of what is compared."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        # Distributions build it so; compiled without, it takes a fifth longer around each NumPy call.
        "optimized": str("--enable-optimizations" in (get_config_var("CONFIG_ARGS") or "")),
    }
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def busy_seconds() -> float:
    """Say how long the cores have been at work since the start, all added up; 0 where the system does not tell."""
    try:
        times = [int(entry) for entry in Path("/proc/stat").read_text().split()[1:9]]
    except OSError:
        return 0.0
    return (sum(times) - times[3] - times[4]) / os.sysconf("SC_CLK_TCK")  # Less idle, and waiting for a disk.


def watched() -> Callable[[], dict[str, float]]:
    """Begin to watch; what is returned says since when, how long, and how busy the cores were with other things."""
    start, busy, own = time(), busy_seconds(), _children_seconds()

    def state() -> dict[str, float]:
        elapsed = time() - start
        others = busy_seconds() - busy - (_children_seconds() - own)
        share = max(0.0, others) / elapsed / (os.cpu_count() or 1)
        return {"started": int(start), "seconds": round(elapsed, 1), "share of the cores for others": round(share, 3)}

    return state


def _children_seconds() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def wait_until_idle(patience: float = 60.0) -> None:
    """Wait until nothing else runs, for so many seconds at most."""
    for _ in range(int(patience / 0.25)):
        before = busy_seconds()
        sleep(0.25)
        if busy_seconds() - before < 0.05:
            return
