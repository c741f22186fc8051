"""Steps of `fit` shared by threads: beside one pass with products on as many threads, and beside PyTorch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minibackprop import LSTM, SGD, MeanSquaredError, Sequential, Threads, Trainer
from tests.benchmarks import attention, classifier, convolution
from tests.benchmarks.paired import Reference, Row, beside

CASES = ("CNN on 28x28, batches of 64", "transformer block", "MLP, batches of 512", "LSTM, 40 steps, batches of 64")
TARGETS = dict(zip(CASES, (1.0, 1.0, 1.0, 1.3), strict=True))
RATE, STEPS = 0.01, 12

_random = np.random.default_rng(0)


def by_threads(case: str) -> Callable[[], object]:
    return by_fit(case, Threads(2))


def by_fit(case: str, parallel: Threads | None = None) -> Callable[[], object]:
    if case == CASES[0]:
        return convolution.by_fit(28, 64, parallel)
    if case == CASES[2]:
        return classifier.by_fit("SGD", 512, parallel)
    x, y, size = _sequences(case)
    model: Any = attention.block()
    if case == CASES[3]:
        model = Sequential([LSTM(32, 64, dtype=np.float32, rng=0)])
    trainer = Trainer(model, MeanSquaredError(), SGD(RATE), rng=0, parallel=parallel)
    return lambda: trainer.fit(x, y, epochs=1, batch_size=size)


def by_torch(case: str) -> Callable[[], object]:
    import torch

    if case == CASES[0]:
        return convolution.by_torch(28, 64)
    if case == CASES[2]:
        return classifier.by_torch("SGD", 512)
    model: Any = attention.torch_block() if case == CASES[1] else torch.nn.LSTM(32, 64, batch_first=True)
    x, y, size = _sequences(case)
    optimizer, loss_function = torch.optim.SGD(model.parameters(), lr=RATE), torch.nn.MSELoss()
    samples, targets = torch.from_numpy(x), torch.from_numpy(y)

    def train() -> None:
        order, losses = torch.randperm(len(x)), []
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            optimizer.zero_grad()
            y = model(samples[rows])
            loss = loss_function(y[0] if isinstance(y, tuple) else y, targets[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    return train


def _sequences(case: str) -> tuple[Any, Any, int]:
    size, steps, inputs = (attention.SAMPLES, attention.STEPS, attention.WIDTH) if case == CASES[1] else (64, 40, 32)
    x, y = (
        _random.standard_normal((size * STEPS, steps, width), dtype=np.float32) for width in (inputs, attention.WIDTH)
    )
    return x, y, size


def run(repeats: int) -> Iterator[Row]:
    for case in CASES:
        references = {"without": Reference(by_fit, 1.0), "PyTorch": Reference(by_torch, TARGETS[case])}
        yield from beside(f"{case}: fit by 2 threads", by_threads, references, case, threads=2, repeats=repeats)
