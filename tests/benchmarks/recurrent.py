"""Recurrent layers over 40 steps, forward and backward: beside PyTorch eager and the bare matrix products."""

from collections.abc import Callable, Iterator

import numpy as np

from minibackprop import GRU, LSTM, RNN, Layer, keep_freed_memory
from tests.benchmarks.paired import Reference, Row, beside

SAMPLES, STEPS = 64, 40
WIDTHS = (32, 64)
CALLS = 20
GATES: dict[type[Layer], int] = {RNN: 1, LSTM: 4, GRU: 3}

_random = np.random.default_rng(0)


def data(width: int) -> np.ndarray:
    return _random.standard_normal((SAMPLES, STEPS, width), dtype=np.float32)


def by_layer(cell: type[Layer], width: int) -> Callable[[], object]:
    """As the first layer of a model, whose input gradient nobody needs."""
    layer, x, grad = cell(width, width, dtype=np.float32, rng=0), data(width), data(width)  # type: ignore[call-arg]

    keep_freed_memory()  # As `Trainer` does.

    def train() -> None:
        for _ in range(CALLS):
            _, cache = layer.forward(x)
            layer.accumulate(grad, cache)
            layer.clear_gradients()

    return train


def by_torch(cell: type[Layer], width: int) -> Callable[[], object]:
    """PyTorch eager; its LSTM is oneDNN's, all steps in one call."""
    import torch

    layer = getattr(torch.nn, cell.__name__)(width, width, batch_first=True)
    x, grad = torch.from_numpy(data(width)), torch.from_numpy(data(width))

    def train() -> None:
        for _ in range(CALLS):
            layer.zero_grad()
            layer(x)[0].backward(grad)

    return train


def by_products(cell: type[Layer], width: int) -> Callable[[], object]:
    """Nothing but the matrix products: one for all steps where that can be, else one a step."""
    weight = _random.standard_normal((width, GATES[cell] * width), dtype=np.float32)
    rows = data(width).reshape(STEPS * SAMPLES, width)
    by_gates = _random.standard_normal((STEPS * SAMPLES, GATES[cell] * width), dtype=np.float32)
    state, step = rows[:SAMPLES], by_gates[:SAMPLES]

    def train() -> None:
        for _ in range(CALLS):
            rows.dot(weight)
            for _ in range(STEPS):
                state.dot(weight)
                step.dot(weight.T)
            rows.T.dot(by_gates)
            rows.T.dot(by_gates)

    return train


def run(repeats: int) -> Iterator[Row]:
    for threads in (1, 2):
        for cell in GATES:
            goal = 1.3 if (cell, threads) == (LSTM, 2) else 1.0
            references = {"PyTorch": Reference(by_torch, goal), "its products": Reference(by_products)}
            for width in WIDTHS:
                title = f"{cell.__name__}, {width} units, {STEPS} steps, threads: {threads}: layer"
                yield from beside(title, by_layer, references, cell, width, threads=threads, repeats=repeats)
