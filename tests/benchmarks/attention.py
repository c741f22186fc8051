"""A transformer block, forward and backward: beside PyTorch eager and the bare matrix products."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minibackprop import GELU, Dense, LayerNorm, MultiHeadAttention, Residual, Sequential, keep_freed_memory
from minibackprop.validation import Array
from tests.benchmarks.paired import Reference, Row, beside

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


def torch_block(width: int = WIDTH, approximate: str = "none") -> Any:
    """PyTorch's, with its fused attention."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
            self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
            activation = nn.GELU(approximate)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), activation, nn.Linear(4 * width, width))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = self.qkv(self.norms[0](x)).view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
            x = x + self.output(mixed.transpose(1, 2).reshape(x.shape))
            y: torch.Tensor = x + self.mlp(self.norms[1](x))
            return y

    return Block()


def by_torch() -> Callable[[], object]:
    """PyTorch eager."""
    import torch

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


REFERENCES = {"PyTorch": Reference(by_torch, 1.0), "its products": Reference(by_products)}


def run(repeats: int) -> Iterator[Row]:
    for threads in (1, 2):
        title = f"transformer block, width {WIDTH}, {SAMPLES} x {STEPS} steps, threads: {threads}: layers"
        yield from beside(title, by_layers, REFERENCES, threads=threads, repeats=repeats)
