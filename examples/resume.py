"""A run that is killed and resumed ends with the same weights as one that is not, bit for bit.

The killed run is a process of its own, this script with a path, slowed down so that there is time to kill it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minibackprop import Adam, Checkpoint, CosineDecay, MeanSquaredError, Tanh, Trainer, mlp, resume

EPOCHS = 30


def train(path=None, callbacks=()):
    """Train a network, from the start or from the checkpoint at `path` if there is one."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, size=(200, 1))
    y = np.sin(2 * x) + rng.normal(0, 0.1, x.shape)

    # All of these remember something or draw random numbers: the shuffling of batches, dropout, Adam and its schedule.
    model = mlp([1, 64, 64, 1], Tanh, dropout=0.1, rng=rng)
    trainer = Trainer(model, MeanSquaredError(), Adam(CosineDecay(0.01, steps=10 * EPOCHS)), rng=rng)
    if path is not None:
        if path.exists():
            resume(path, trainer)
            print(f"resumed after {trainer.epochs} of {EPOCHS} epochs")
        callbacks = [Checkpoint(path), *callbacks]
    trainer.fit(x, y, EPOCHS - trainer.epochs, batch_size=20, callbacks=callbacks)
    return trainer


if len(sys.argv) > 1:
    train(Path(sys.argv[1]), callbacks=[lambda _: time.sleep(0.02)])
    sys.exit()

with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / "run.npz"
    with subprocess.Popen([sys.executable, __file__, path]) as run:
        while not path.exists() and run.poll() is None:
            time.sleep(0.01)
        time.sleep(0.5)
        run.kill()
    print(f"the run was killed: exit status {run.returncode}")
    resumed = train(path)

whole = train()
print(f"loss after {EPOCHS} epochs: {resumed.history.loss[-1]} resumed, {whole.history.loss[-1]} in one go")
for (name, one), other in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
    if one.value.tobytes() != other.value.tobytes():
        sys.exit(f"{name} differs")
print("All weights are the same, bit for bit.")
