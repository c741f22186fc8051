"""Inference in float32 of two models of the examples: beside PyTorch and onnxruntime, and how many samples a second."""

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from minibackprop import (
    GELU,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool2D,
    MultiHeadAttention,
    PositionalEncoding,
    ReLU,
    Reshape,
    Residual,
    Sequential,
)
from minibackprop.validation import Array
from tests.benchmarks.attention import torch_block
from tests.benchmarks.paired import Reference, Row, divided, together

THREADS = 1
LETTERS, CONTEXT, WIDTH, BLOCKS = 100, 64, 96, 3
DIGITS, LANGUAGE = "CNN of examples/digits_cnn.py", "transformer of examples/language_model.py"
#: How many samples are predicted in a run.
SAMPLES = {DIGITS: 2048, LANGUAGE: 128}

_random = np.random.default_rng(0)


def model_of(name: str) -> Sequential:
    settings: Any = {"dtype": np.float32, "rng": 0}
    if name == DIGITS:
        convolutions = [Conv2D(*channels, 3, padding=1, **settings) for channels in ((1, 32), (32, 32), (32, 64))]
        pooled = [convolutions[0], ReLU(), convolutions[1], ReLU(), MaxPool2D(2), convolutions[2], ReLU()]
        return Sequential([Reshape((1, 8, 8)), *pooled, Flatten(), Dropout(0.5), Dense(1024, 10, **settings)])
    blocks = [
        Sequential(
            [
                Residual(Sequential([LayerNorm(WIDTH, dtype=np.float32), *inner, Dropout(0.1)]))
                for inner in (
                    [MultiHeadAttention(WIDTH, 4, causal=True, **settings)],
                    [Dense(WIDTH, 4 * WIDTH, **settings), GELU("tanh"), Dense(4 * WIDTH, WIDTH, **settings)],
                )
            ]
        )
        for _ in range(BLOCKS)
    ]
    ends = [LayerNorm(WIDTH, dtype=np.float32), Dense(WIDTH, LETTERS, **settings)]
    return Sequential([Embedding(LETTERS, WIDTH, **settings), PositionalEncoding(WIDTH), *blocks, *ends])


def batches(name: str, batch_size: int) -> list[Array]:
    count = max(1, SAMPLES[name] // (1 if batch_size > 1 else 8) // batch_size)
    if name == DIGITS:
        return list(_random.standard_normal((count, batch_size, 8, 8), dtype=np.float32))
    return list(_random.integers(LETTERS, size=(count, batch_size, CONTEXT)))


def repeated(predict: Callable[[Any], object], samples: list[Any]) -> Callable[[], None]:
    def run_all() -> None:
        for x in samples:
            predict(x)

    return run_all


def by_predict(name: str, batch_size: int) -> Callable[[], object]:
    return repeated(model_of(name).predict, batches(name, batch_size))


@cache
def session_of(name: str) -> Any:
    """Let onnxruntime read the model, written by `to_onnx`."""
    import onnxruntime

    from minibackprop.interop.onnx import to_onnx

    with tempfile.TemporaryDirectory() as directory:
        path, shape = Path(directory, "model.onnx"), (8, 8) if name == DIGITS else (CONTEXT,)
        to_onnx(model_of(name), shape, path, dtype=np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        return onnxruntime.InferenceSession(path, options)


def by_onnxruntime(name: str, batch_size: int) -> Callable[[], object]:
    session = session_of(name)
    return repeated(lambda x: session.run(None, {"x": x}), batches(name, batch_size))


def by_torch(name: str, batch_size: int) -> Callable[[], object]:
    """A model of the same layers, in inference mode."""
    import torch

    model = _torch_model(name).eval()
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == sum(parameter.value.size for parameter in model_of(name).parameters())

    def predict(x: Any) -> None:
        with torch.inference_mode():
            model(x)

    return repeated(predict, [torch.from_numpy(x) for x in batches(name, batch_size)])


def _torch_model(name: str) -> Any:
    import torch
    from torch import nn

    if name == DIGITS:
        convolutions = [nn.Conv2d(*channels, 3, padding=1) for channels in ((1, 32), (32, 32), (32, 64))]
        pooled = [convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), nn.MaxPool2d(2), convolutions[2], nn.ReLU()]
        return nn.Sequential(nn.Unflatten(1, (1, 8)), *pooled, nn.Flatten(), nn.Dropout(0.5), nn.Linear(1024, 10))

    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("angles", torch.zeros(CONTEXT, WIDTH))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.angles

    blocks = [torch_block(WIDTH, approximate="tanh") for _ in range(BLOCKS)]
    return nn.Sequential(
        nn.Embedding(LETTERS, WIDTH), Positions(), *blocks, nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LETTERS)
    )


def run(repeats: int) -> Iterator[Row]:
    references = {"onnxruntime": Reference(by_onnxruntime), "PyTorch": Reference(by_torch)}
    for name in SAMPLES:
        for batch_size in (1, 64):
            found, left_out = together(by_predict, references, name, batch_size, threads=THREADS, repeats=repeats)
            title, samples = f"{name}, batches of {batch_size}", len(batches(name, batch_size)) * batch_size
            for library, each in found.items():
                label = library or "predict"
                yield Row(f"{title}: {label}", [samples / seconds for seconds in each], unit=" /s")
            for library in references:
                values = divided(found[""], found[library]) if library in found else []
                target = 2.0 if (name, library) == (DIGITS, "onnxruntime") else None
                yield Row(f"{title}: predict / {library}", values, target, left_out=left_out.get(library, ""))
