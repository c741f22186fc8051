"""Inactive units: what the optimizers keep of them decays to nothing, and must not become slow on the way."""

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from minibackprop import SGD, Adam, Callback, Dense, HalfSquaredError, Optimizer, ReLU, Sequential, Trainer
from tests.benchmarks.paired import Row

EPOCHS, STEPS, WIDTH = 100, 50, 256


class Clock(Callback):
    """Notes when each epoch ends; at the end of the first, makes half of the hidden units inactive."""

    def __init__(self, model: Sequential) -> None:
        self.model = model
        self.ends: list[float] = []

    def on_epoch_end(self, trainer: Trainer) -> None:
        if not self.ends:
            self.model[0].bias.value[: WIDTH // 2] = -1e6  # type: ignore[attr-defined]
        self.ends.append(perf_counter())


def train(optimizer: Optimizer) -> tuple[np.ndarray, float]:
    """Return the seconds of each epoch, and which share of what the optimizer keeps is subnormal in the end."""
    random = np.random.default_rng(0)
    x = random.standard_normal((8 * STEPS, WIDTH), dtype=np.float32)
    model = Sequential([Dense(WIDTH, WIDTH, dtype=np.float32, rng=0), ReLU(), Dense(WIDTH, 1, dtype=np.float32, rng=1)])
    clock = Clock(model)
    Trainer(model, HalfSquaredError(), optimizer, rng=0).fit(x, x[:, :1], EPOCHS, batch_size=8, callbacks=[clock])
    slots = [slot for slot in optimizer.state_dict(model).values() if slot.dtype == np.float32]
    kept = np.abs(np.concatenate([slot.ravel() for slot in slots]))
    return np.diff(clock.ends), float(np.mean((kept > 0) & (kept < np.finfo(np.float32).tiny)))


def run(repeats: int) -> Iterator[Row]:
    for name, make in (("momentum", lambda: SGD(1e-4, momentum=0.9)), ("Adam", Adam)):
        found = [train(make()) for _ in range(repeats)]  # type: ignore[operator]
        # An epoch takes milliseconds: three around the one that is meant.
        ratios = [float(np.median(times[-3:]) / np.median(times[:3])) for times, _ in found]
        yield Row(f"inactive units, {name}: hundredth epoch / second", ratios, 1.1)
        yield Row(f"inactive units, {name}: share of subnormal numbers kept", [share for _, share in found], 0.0)
