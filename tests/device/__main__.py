"""
What the package computes on a GPU beside what it computes with NumPy: ``python -m tests.device``.

All layers, losses, metrics, regularizers, optimizers, `Trainer.fit` with its options, callbacks, checkpoints: with CuPy
(the extra `gpu`), within rounding; and then the times of steps, beside the processor and PyTorch on the same GPU. Where
there is no GPU, it says so. ``--stand-in`` makes the same comparisons with `minibackprop.testing.DeviceArray`, to the
bit, and needs none; ``--no-times`` leaves the times out; ``--only TEXT`` chooses the comparisons with this in the name.
"""

import argparse
import sys
import time
from collections.abc import Callable

from tests.device import layers, parts, saving, training  # noqa: F401 - they add their cases
from tests.device.kit import CASES, STAND_IN, Kit, compare
from tests.device.timing import report

#: Of float64, how far sums in another order may take results, over the steps of a short run: some thousand roundings.
ROUNDING = 1e-11


class NoGpuError(Exception):
    """There is no GPU, or no CuPy to work on it."""


def cupy_kit() -> tuple[Kit, Callable[[], object], str]:
    """Give CuPy's kit, what waits for the GPU, and the name of the card."""
    try:
        import cupy
    except ImportError as error:
        raise NoGpuError(f'CuPy is not installed: pip install "minibackprop[gpu]" ({error})') from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        card = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode() if count else ""
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise NoGpuError(f"CuPy {cupy.__version__} finds no GPU: {error}") from error
    if not count:
        raise NoGpuError(f"CuPy {cupy.__version__} finds no GPU")
    kit = Kit(f"CuPy {cupy.__version__}", cupy.asarray, cupy.asnumpy, ROUNDING)
    return kit, cupy.cuda.Device().synchronize, card


def compare_all(kit: Kit, only: str = "") -> int:
    """Make the comparisons, and print each that fails; give the number of these."""
    failed, names = 0, [name for name in CASES if only in name]
    begun = time.perf_counter()
    for name in names:
        try:
            compare(name, kit)
        except Exception as error:  # Each of them, whatever is wrong with one.
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
    took = time.perf_counter() - begun
    print(
        f"{len(names) - failed} of {len(names)} comparisons of {kit.name} with NumPy hold, in {took:.0f} s", flush=True
    )
    return failed


def main(arguments: list[str]) -> int:
    """Run, and give the exit status: 1 where a comparison fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.device", description=__doc__)
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--no-times", action="store_true")
    parser.add_argument("--only", default="", metavar="TEXT")
    options = parser.parse_args(arguments)
    if options.stand_in:
        return min(compare_all(STAND_IN, options.only), 1)
    try:
        kit, wait, card = cupy_kit()
    except NoGpuError as error:
        print(f"Not run, as there is no GPU to run on. {error}.\nWith --stand-in, it runs without one.")
        return 0
    print(f"On a {card}", flush=True)
    failed = compare_all(kit, options.only)
    if not options.no_times:
        print(*report(kit, wait), sep="\n", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
