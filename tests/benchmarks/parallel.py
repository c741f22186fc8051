"""Steps of `fit` shared by threads: beside one pass with products on as many threads, and beside PyTorch."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minibackprop import LSTM, SGD, MeanSquaredError, Sequential, Threads, Trainer
from tests.benchmarks import attention, classifier, convolution
from tests.benchmarks.machine import thread_settings
from tests.benchmarks.paired import Apart, Row, beside

THREADS = 2
CASES = ("CNN on 28x28, batches of 64", "transformer block", "MLP, batches of 512", "LSTM, 40 steps, batches of 64")
TARGETS = dict(zip(CASES, (0.9, 1.0, 1.0, None), strict=True))
RATE, STEPS = 0.01, 12

_random = np.random.default_rng(0)


def by_fit(case: str, workers: int) -> Callable[[], object]:
    parallel = Threads(workers) if workers else None
    if case == CASES[0]:
        return convolution.by_fit(28, 64, THREADS, parallel)
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
        return convolution.by_torch(28, 64, THREADS)
    if case == CASES[2]:
        return classifier.by_torch("SGD", 512)
    torch.set_num_threads(THREADS)
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
    os.environ |= thread_settings(THREADS)
    for case in CASES:
        with Apart(by_fit, case, THREADS) as shared:
            title = f"{case}: fit by {THREADS} threads"
            yield beside(f"{title} / without", shared, by_fit, case, 0, repeats=repeats, target=1.0)
            yield beside(f"{title} / PyTorch", shared, by_torch, case, repeats=repeats, target=TARGETS[case])
