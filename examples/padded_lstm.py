"""The adding problem, on sequences of different lengths: an LSTM reads padded batches, and the padding goes nowhere.

Each step has a number and a mark; the target is the sum of the two numbers that are marked (S. Hochreiter and J.
Schmidhuber, "Long short-term memory", 1997). To answer with the mean of the sums is a mean squared error of 1/6. Takes
a seed, 0 by default, and a number of epochs.
"""

import sys

import numpy as np

from minibackprop import LSTM, Adam, Dense, MeanSquaredError, Sequential, Trainer, r2_score

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 40
longest = 20


def sequences(count, rng):
    """Draw sequences of 4 to 20 steps; what lies beyond the last one is filled with 1,000."""
    lengths = rng.integers(4, longest + 1, count)
    valid = np.arange(longest) < lengths[:, np.newaxis]
    # The two marked places: the first two of a random order of the valid ones.
    order = np.argsort(np.where(valid, rng.uniform(size=valid.shape), 2), axis=1)
    marks = np.zeros(valid.shape)
    np.put_along_axis(marks, order[:, :2], 1, axis=1)
    numbers = rng.uniform(size=valid.shape)
    x = np.where(valid[:, :, np.newaxis], np.stack([numbers, marks], axis=2), 1000.0)
    return x, (numbers * marks).sum(axis=1, keepdims=True), lengths


rng = np.random.default_rng(seed)
x, y, lengths = sequences(4000, rng)
x_test, y_test, lengths_test = sequences(1000, rng)

model = Sequential(
    [LSTM(2, 32, return_sequences=False, dtype=np.float32, rng=rng), Dense(32, 1, dtype=np.float32, rng=rng)]
)
trainer = Trainer(model, MeanSquaredError(), Adam(0.005, clip_norm=1.0), metrics=[r2_score], rng=seed)
trainer.fit(x, y, epochs, batch_size=50, given={"lengths": lengths})

measured = trainer.evaluate(x_test, y_test, given={"lengths": lengths_test}, batch_size=250)
error, r2 = measured["loss"], measured["r2_score"]
print(f"mean squared error {error:.5f} of new sequences (R2 {r2:.3f}), of the mean {y_test.var():.3f}")
for length in (4, 12, 20):
    rows = lengths_test == length
    error = np.abs(trainer.predict(x_test[rows], given={"lengths": lengths_test[rows]}) - y_test[rows]).mean()
    print(f"{length:2} steps: mean absolute error {error:.3f}")
