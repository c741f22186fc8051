"""Memory: the peak of a training step beside what it cannot do without, and that a long fit does not grow."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from minibackprop import SGD, Adam, Conv2D, Optimizer, SoftmaxCrossEntropy, Trainer, mlp
from tests.benchmarks.paired import Row

WIDTHS = (784, 256, 128, 10)
ITEM = np.dtype(np.float32).itemsize


def trained(optimizer: Optimizer, batch_size: int) -> Callable[[int], None]:
    """Return a function that makes so many steps, of a batch each."""
    random = np.random.default_rng(0)
    x = random.standard_normal((batch_size, WIDTHS[0]), dtype=np.float32)
    y = random.integers(0, WIDTHS[-1], batch_size)
    trainer = Trainer(mlp(WIDTHS, dtype=np.float32, rng=0), SoftmaxCrossEntropy(), optimizer)

    def train(steps: int) -> None:
        for _ in range(steps):
            trainer.step(x, y)

    return train


def needed(slots: int, batch_size: int) -> int:
    """Count the bytes of parameters, gradients, optimizer state, activations and one largest temporary."""
    weights = [inputs * outputs for inputs, outputs in pairwise(WIDTHS)]
    parameters = sum(weights) + sum(WIDTHS[1:])
    activations = batch_size * sum(WIDTHS[1:])  # The first layer keeps the data themselves, which are not counted.
    temporary = max(*weights, batch_size * max(WIDTHS[1:]))
    return ITEM * ((2 + slots) * parameters + activations + temporary)


def peak(optimizer: Optimizer, batch_size: int) -> int:
    """Measure the peak of a step, model and optimizer included, the data left out."""
    gc.collect()
    tracemalloc.start()
    train = trained(optimizer, batch_size)
    data = batch_size * (ITEM * WIDTHS[0] + 8)
    train(2)
    tracemalloc.reset_peak()
    train(1)
    found = tracemalloc.get_traced_memory()[1] - data
    tracemalloc.stop()
    return found


def growth() -> float:
    """Divide the peak of the second half of a long fit by that of the first."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((6400, 64)), random.integers(0, 4, 6400)
    trainer = Trainer(mlp((64, 32, 4), rng=0), SoftmaxCrossEntropy(), Adam(), rng=0)
    tracemalloc.start()
    trainer.fit(x, y, epochs=2, batch_size=320)
    peaks = []
    for _ in range(2):
        gc.collect()
        tracemalloc.reset_peak()
        trainer.fit(x, y, epochs=50, batch_size=320)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    return peaks[1] / peaks[0]


def peak_of_image(channels: int, size: int) -> float:
    """Divide the peak of a convolution of one image, forward and back, by the size of its output."""
    layer = Conv2D(channels, channels, 3, padding="same", dtype=np.float32, rng=0)
    x = np.random.default_rng(0).standard_normal((1, channels, size, size), dtype=np.float32)
    gc.collect()
    tracemalloc.start()
    y, cache = layer.forward(x)
    layer.backward(y, cache)
    found = tracemalloc.get_traced_memory()[1] / y.nbytes
    tracemalloc.stop()
    return found


def run(repeats: int) -> Iterator[Row]:  # noqa: ARG001 - counted, not timed
    peak(SGD(0.01), 32)  # What the first call alone needs, modules loaded late say, is not a step's.
    growth()
    for batch_size in (32, 512, 4096):
        for slots, (name, optimizer) in enumerate(
            {"SGD": SGD(0.01), "momentum": SGD(0.01, momentum=0.9), "Adam": Adam()}.items()
        ):
            found = peak(optimizer, batch_size) / needed(slots, batch_size)
            yield Row(f"784-256-128-10, {name}, a batch of {batch_size}: peak of a step / needed", [found], 1.25)
    yield Row("2,000 steps: peak of the second half / of the first", [growth()], 1.01)
    yield Row("64 channels of 1,024x1,024, 3x3: peak of forward and backward / y", [peak_of_image(64, 1024)], 4.0)
