"""All layers: forward, backward, prediction and state, with side inputs where a layer takes them."""

from collections.abc import Callable
from typing import Any

import numpy as np

import minibackprop as mb
from minibackprop import Layer
from tests.device.kit import CASES, Kit

#: Makes each layer, and the shape of its batch.
LAYERS: dict[str, tuple[Callable[[], Layer], tuple[int, ...]]] = {
    "Add": (lambda: mb.Add([mb.Dense(3, 4, rng=0), mb.Dense(3, 4, rng=1)]), (5, 3)),
    "ArticleNetwork": (lambda: mb.three_layer(rng=0), (4, 3)),
    "AvgPool1D": (lambda: mb.AvgPool1D(3, 2, 1), (2, 3, 7)),
    "AvgPool2D": (lambda: mb.AvgPool2D(2), (2, 3, 4, 6)),
    "BatchNorm": (lambda: mb.BatchNorm(3), (5, 3)),
    "Concat": (lambda: mb.Concat([mb.Dense(3, 4, rng=0), mb.Identity()]), (5, 3)),
    "Conv1D": (lambda: mb.Conv1D(3, 4, 3, padding=1, rng=0), (2, 3, 7)),
    "Conv1D, dilated": (lambda: mb.Conv1D(3, 4, 2, dilation=2, padding="same", rng=0), (2, 3, 7)),
    "Conv2D": (lambda: mb.Conv2D(3, 4, 3, padding=1, rng=0), (2, 3, 6, 5)),
    "Conv2D, strides and groups": (lambda: mb.Conv2D(4, 6, 3, stride=2, groups=2, rng=0), (2, 4, 7, 7)),
    "DeltaTrim": (lambda: mb.DeltaTrim(0.1, 0.8), (5, 3)),
    "Dense": (lambda: mb.Dense(3, 4, rng=0), (5, 3)),
    "Dense, over two axes": (lambda: mb.Dense(3, 4, rng=0), (5, 2, 3)),
    "Dropout": (lambda: mb.Dropout(0.4, rng=0), (5, 3)),
    "ELU": (lambda: mb.ELU(1.5), (5, 3)),
    "Embedding": (lambda: mb.Embedding(7, 3, rng=0), (4, 5)),
    "Flatten": (mb.Flatten, (2, 3, 4)),
    "GELU": (mb.GELU, (5, 3)),
    "GELU, by tanh": (lambda: mb.GELU("tanh"), (5, 3)),
    "GRU": (lambda: mb.GRU(3, 4, rng=0), (2, 5, 3)),
    "GRU, last step": (lambda: mb.GRU(3, 4, return_sequences=False, rng=0), (2, 5, 3)),
    "GlobalAvgPool": (mb.GlobalAvgPool, (2, 3, 5, 4)),
    "GroupNorm": (lambda: mb.GroupNorm(2, 4), (3, 4, 5)),
    "Identity": (mb.Identity, (5, 3)),
    "LSTM": (lambda: mb.LSTM(3, 4, rng=0), (2, 5, 3)),
    "LSTM, last step": (lambda: mb.LSTM(3, 4, return_sequences=False, rng=0), (2, 5, 3)),
    "LayerNorm": (lambda: mb.LayerNorm(3), (5, 3)),
    "LeakyReLU": (mb.LeakyReLU, (5, 3)),
    "LogSoftmax": (mb.LogSoftmax, (5, 3)),
    "MaxPool1D": (lambda: mb.MaxPool1D(3, 2, 1), (2, 3, 7)),
    "MaxPool2D": (lambda: mb.MaxPool2D(2), (2, 3, 4, 6)),
    "MultiHeadAttention": (lambda: mb.MultiHeadAttention(4, 2, rng=0), (3, 5, 4)),
    "MultiHeadAttention, causal": (lambda: mb.MultiHeadAttention(4, 2, causal=True, rng=0), (3, 5, 4)),
    "PositionalEncoding": (lambda: mb.PositionalEncoding(4), (3, 5, 4)),
    "RMSNorm": (lambda: mb.RMSNorm(3), (5, 3)),
    "RNN": (lambda: mb.RNN(3, 4, rng=0), (2, 5, 3)),
    "ReLU": (mb.ReLU, (5, 3)),
    "Reshape": (lambda: mb.Reshape((4, 3)), (2, 12)),
    "Residual": (lambda: mb.Residual(mb.Dense(3, 3, rng=0)), (5, 3)),
    "Sequential": (lambda: mb.Sequential([mb.Dense(3, 4, rng=0), mb.Tanh(), mb.Dense(4, 2, rng=1)]), (5, 3)),
    "SiLU": (mb.SiLU, (5, 3)),
    "Sigmoid": (mb.Sigmoid, (5, 3)),
    "Softmax": (mb.Softmax, (5, 3)),
    "Softplus": (mb.Softplus, (5, 3)),
    "Tanh": (mb.Tanh, (5, 3)),
    "Transpose": (mb.Transpose, (2, 3, 4)),
}
#: What goes into `given`, for each that takes it.
GIVEN: dict[str, dict[str, Any]] = {
    **{name: {"lengths": np.array([5, 3])} for name in ("RNN", "GRU", "GRU, last step", "LSTM", "LSTM, last step")},
    "MultiHeadAttention": {"lengths": np.array([5, 3, 1])},
    "MultiHeadAttention, causal": {"mask": np.tri(3, 5, 2, dtype=bool)},
}


def passed(layer: Layer, x: np.ndarray, given: dict[str, Any], kit: Kit) -> dict[str, Any]:
    """Send a batch through a layer, and a gradient back."""
    rng, model = np.random.default_rng(1), kit.model(layer)
    call = model.given(**{name: kit.array(value) for name, value in given.items()}) if given else model
    y, cache = call.forward(kit.array(x))
    back = call.backward(kit.array(rng.normal(size=y.shape).astype(y.dtype)), cache)
    return {
        "forward": y,
        "backward": back,
        "gradients": {name: parameter.grad for name, parameter in model.named_parameters()},
        "predict": call.predict(kit.array(x)),
        "state": model.state_dict(),
    }


def _compared(name: str) -> Callable[[Kit], Any]:
    make, shape = LAYERS[name]

    def run(kit: Kit) -> Any:
        rng = np.random.default_rng(0)
        x = rng.integers(0, 7, size=shape) if name == "Embedding" else rng.normal(size=shape)
        found = {"float64": passed(make(), x, {}, kit)}
        if name in GIVEN:
            found["given"] = passed(make(), x, GIVEN[name], kit)
        return found

    return run


for _name in LAYERS:
    CASES[f"layer {_name}"] = _compared(_name)
