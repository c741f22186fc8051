"""The same convolutional network, trained alone, on two threads, on two processes, and on arrays like a GPU's.

Each reads as many of the held-out digits, as it is the same training but for rounding. The processes are this script
again, started by mpiexec: ``mpiexec -n 2 python many_workers.py ranks``.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from minibackprop import (
    Adam,
    Conv2D,
    Dense,
    Flatten,
    MaxPool2D,
    Ranks,
    ReLU,
    Reshape,
    Sequential,
    SoftmaxCrossEntropy,
    Threads,
    Trainer,
    accuracy,
)
from minibackprop.testing import DeviceArray

x, y = load_digits(return_X_y=True)
x = x / 16
train, test = slice(0, 1400), slice(1400, None)


def run(name, parallel=None, to_device=np.asarray):
    """Train on some of the digits, and say how many of the others are read."""
    rng = np.random.default_rng(0)
    model = Sequential(
        [
            Reshape((1, 8, 8)),
            Conv2D(1, 16, 3, padding=1, rng=rng),
            ReLU(),
            MaxPool2D(2),
            Conv2D(16, 32, 3, padding=1, rng=rng),
            ReLU(),
            Flatten(),
            Dense(32 * 4 * 4, 10, rng=rng),
        ]
    ).map_arrays(to_device)
    trainer = Trainer(model, SoftmaxCrossEntropy(), Adam(0.003), metrics=[accuracy], parallel=parallel, rng=0)
    start = time.perf_counter()
    trainer.fit(to_device(x[train]), to_device(y[train]), epochs=6, batch_size=50)
    seconds = time.perf_counter() - start
    found = trainer.evaluate(to_device(x[test]), to_device(y[test]))
    if parallel is None or parallel.rank == 0:
        right = round(found["accuracy"] * len(y[test]))
        print(f"{name}: {right} of {len(y[test])} digits, loss {found['loss']:.6f}, {seconds:.1f} s", flush=True)


if sys.argv[1:] == ["ranks"]:
    ranks = Ranks()
    run(f"{ranks.count} ranks", ranks)
    sys.exit()

run("alone")
run("2 threads", Threads(2))
run("a stand-in for a GPU", to_device=DeviceArray)
mpiexec = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
if mpiexec:
    subprocess.run([mpiexec, "-n", "2", sys.executable, "-W", "error", __file__, "ranks"], check=True)
