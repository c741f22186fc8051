"""Rates by part of a network, and the best of a run: a network that reads digits learns odd and even from poor labels.

There are 100 images, and a fifth of their labels was drawn anew at random. Trained for long, a network learns the wrong
ones by heart. Two things help: a small rate for what it has learned before, beside a larger one for the new last layer;
and to keep the weights of the epoch that was best on validation data. Of the other images, the network tells right, in
the median of the seeds 0 to 4:

    one rate for all:  last epoch 85.8 %, best epoch 89.4 %
    rates by part:     last epoch 88.3 %, best epoch 88.3 %

Takes a seed, 0 by default.
"""

import copy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import load_digits

from minibackprop import (
    Adam,
    AdamW,
    Checkpoint,
    Dense,
    ParameterGroups,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
    load_weights,
    mlp,
)

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
rng = np.random.default_rng(seed)
x, digits = load_digits(return_X_y=True)
order = rng.permutation(len(x))
x, digits = x[order] / 16, digits[order]
is_odd = digits % 2
labels = np.where(rng.uniform(size=len(x)) < 0.2, rng.integers(0, 2, len(x)), is_odd)
known, few, held_out, others = slice(900), slice(900, 1000), slice(1000, 1200), slice(1200, None)

reader = mlp([64, 128, 64, 10], dtype=np.float32, rng=seed)
Trainer(reader, SoftmaxCrossEntropy(), AdamW(0.002), rng=seed).fit(x[known], digits[known], 30, batch_size=32)


def scores(make_optimizer, path):
    """Train, and measure the weights of the last epoch and of the best."""
    model = Sequential([copy.deepcopy(reader[:-1]), Dense(64, 2, dtype=np.float32, rng=seed)])
    trainer = Trainer(model, SoftmaxCrossEntropy(), make_optimizer(model), metrics=[accuracy], rng=seed)
    best = Checkpoint(path, monitor="val_accuracy", save_best_only=True)
    validation = x[held_out], is_odd[held_out]
    trainer.fit(x[few], labels[few], epochs=60, batch_size=10, validation=validation, callbacks=[best])
    last = trainer.evaluate(x[others], is_odd[others])["accuracy"]
    model.load_state_dict(load_weights(path))
    return last, trainer.evaluate(x[others], is_odd[others])["accuracy"]


with TemporaryDirectory() as directory:
    path = Path(directory) / "best.npz"
    one = scores(lambda _: Adam(0.003), path)
    path.unlink()
    parts = scores(lambda model: ParameterGroups(model, {"0": Adam(0.0001), "1": Adam(0.003)}), path)
print(f"one rate for all:  last epoch {one[0]:.1%}, best epoch {one[1]:.1%}")
print(f"rates by part:     last epoch {parts[0]:.1%}, best epoch {parts[1]:.1%}")
