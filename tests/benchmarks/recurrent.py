"""Recurrent layers over 40 steps, forward and backward: beside PyTorch eager and the bare matrix products."""

import os
from collections.abc import Callable, Iterator

import numpy as np

from minibackprop import GRU, LSTM, RNN, Layer, keep_freed_memory
from tests.benchmarks.machine import thread_settings
from tests.benchmarks.paired import Apart, Row, beside

SAMPLES, STEPS = 64, 40
WIDTHS = (32, 64)
CALLS = 20
GATES: dict[type[Layer], int] = {RNN: 1, LSTM: 4, GRU: 3}

_random = np.random.default_rng(0)


def data(width: int) -> np.ndarray:
    return _random.standard_normal((SAMPLES, STEPS, width), dtype=np.float32)


def by_layer(cell: type[Layer], width: int, _: int) -> Callable[[], object]:
    """As the first layer of a model, whose input gradient nobody needs."""
    layer, x, grad = cell(width, width, dtype=np.float32, rng=0), data(width), data(width)  # type: ignore[call-arg]

    keep_freed_memory()  # As `Trainer` does.

    def train() -> None:
        for _ in range(CALLS):
            _, cache = layer.forward(x)
            layer.accumulate(grad, cache)
            layer.clear_gradients()

    return train


def by_torch(cell: type[Layer], width: int, threads: int) -> Callable[[], object]:
    """PyTorch eager; its LSTM is oneDNN's, all steps in one call."""
    import torch

    torch.set_num_threads(threads)
    layer = getattr(torch.nn, cell.__name__)(width, width, batch_first=True)
    x, grad = torch.from_numpy(data(width)), torch.from_numpy(data(width))

    def train() -> None:
        for _ in range(CALLS):
            layer.zero_grad()
            layer(x)[0].backward(grad)

    return train


def by_products(cell: type[Layer], width: int, _: int) -> Callable[[], object]:
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


REFERENCES = {"PyTorch": by_torch, "its products": by_products}


def run(repeats: int) -> Iterator[Row]:
    for threads in (1, 2):
        os.environ |= thread_settings(threads)  # What the processes below are started with.
        for cell in GATES:
            for width in WIDTHS:
                with Apart(by_layer, cell, width, threads) as candidate:
                    for reference, make in REFERENCES.items():
                        title = (
                            f"{cell.__name__}, {width} units, {STEPS} steps, threads: {threads}: layer / {reference}"
                        )
                        goal = 1.0 if reference == "PyTorch" else None
                        yield beside(title, candidate, make, cell, width, threads, repeats=repeats, target=goal)
