"""A transformer block, forward and backward: beside PyTorch eager and the bare matrix products."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minibackprop import GELU, Dense, LayerNorm, MultiHeadAttention, Residual, Sequential, keep_freed_memory
from minibackprop.validation import Array
from tests.benchmarks.machine import thread_settings
from tests.benchmarks.paired import Apart, Row, beside

THREADS = 2
SAMPLES, STEPS, WIDTH, HEADS = 32, 64, 64, 4
CALLS = 20

_random = np.random.default_rng(0)
X, GRAD = (_random.standard_normal((SAMPLES, STEPS, WIDTH), dtype=np.float32) for _ in range(2))


def block() -> Sequential:
    """A pre-norm block: causal attention, then a perceptron of four times the width."""
    attention = MultiHeadAttention(WIDTH, HEADS, causal=True, dtype=np.float32, rng=0)
    dense = [Dense(*sizes, dtype=np.float32, rng=0) for sizes in ((WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH))]
    mlp = [dense[0], GELU(), dense[1]]
    norms = [LayerNorm(WIDTH, dtype=np.float32) for _ in range(2)]
    return Sequential([Residual(Sequential([norms[0], attention])), Residual(Sequential([norms[1], *mlp]))])


def by_layers() -> Callable[[], object]:
    model = block()

    keep_freed_memory()  # As `Trainer` does.

    def train() -> None:
        for _ in range(CALLS):
            _, cache = model.forward(X)
            model.backward(GRAD, cache)
            model.clear_gradients()

    return train


def torch_block() -> Any:
    """PyTorch's, with its fused attention."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(WIDTH) for _ in range(2)])
            self.qkv, self.output = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = self.qkv(self.norms[0](x)).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
            x = x + self.output(mixed.transpose(1, 2).reshape(x.shape))
            y: torch.Tensor = x + self.mlp(self.norms[1](x))
            return y

    return Block()


def by_torch(threads: int) -> Callable[[], object]:
    """PyTorch eager."""
    import torch

    torch.set_num_threads(threads)
    model, x, grad = torch_block(), torch.from_numpy(X).requires_grad_(), torch.from_numpy(GRAD)

    def train() -> None:
        for _ in range(CALLS):
            model(x).backward(grad)
            model.zero_grad()
            x.grad = None

    return train


def by_products() -> Callable[[], object]:
    """Nothing but the matrix products, forward and backward, which no NumPy program can do without."""
    sizes = [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH, WIDTH)]
    weights = [_random.standard_normal(shape, dtype=np.float32) for shape in sizes]
    rows = {width: _random.standard_normal((SAMPLES * STEPS, width), dtype=np.float32) for width in (64, 192, 256)}
    heads: Array = _random.standard_normal((SAMPLES, HEADS, STEPS, WIDTH // HEADS), dtype=np.float32)
    scores: Array = _random.standard_normal((SAMPLES, HEADS, STEPS, STEPS), dtype=np.float32)

    def train() -> None:
        for _ in range(CALLS):
            for weight in weights:
                x, grad = (rows[size] for size in weight.shape)
                x.dot(weight)
                x.T.dot(grad)
                grad.dot(weight.T)
            for _ in range(2):
                np.matmul(heads, heads.swapaxes(2, 3))
                np.matmul(scores, heads)
                np.matmul(scores.swapaxes(2, 3), heads)

    return train


def run(repeats: int) -> Iterator[Row]:
    title = f"transformer block, width {WIDTH}, {SAMPLES} x {STEPS} steps"
    for threads in (1, THREADS):
        os.environ |= thread_settings(threads)  # What the processes below are started with.
        with Apart(by_layers) as candidate:
            measured = f"{title}, {threads} threads: layers"
            yield beside(f"{measured} / PyTorch", candidate, by_torch, threads, repeats=repeats, target=1.0)
            yield beside(f"{measured} / its products", candidate, by_products, repeats=repeats, target=None)
