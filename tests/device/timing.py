"""What a step of training takes on a GPU, beside the processor, and beside PyTorch on the same GPU."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from attrs import frozen

import minibackprop as mb
from minibackprop import Layer
from tests.device.kit import HOST, Kit

REPEATS = 30


@frozen
class Network:
    """A network to time, of float32: ours, the same one in PyTorch, and the shape of a batch."""

    ours: Callable[[], Layer]
    theirs: Callable[[Any], Any]
    shape: tuple[int, ...]
    #: Of the labels, one for each place.
    places: tuple[int, ...]
    classes: int


def _mlp() -> Layer:
    return mb.mlp([784, 512, 512, 10], rng=0, dtype=np.float32)


def _cnn() -> Layer:
    conv = [mb.Conv2D(1, 16, 3, padding=1, rng=0), mb.ReLU(), mb.MaxPool2D(2)]
    conv += [mb.Conv2D(16, 32, 3, padding=1, rng=1), mb.ReLU(), mb.MaxPool2D(2)]
    return mb.Sequential([*conv, mb.Flatten(), mb.Dense(1568, 10, rng=2)]).astype(np.float32)


def _block() -> Layer:
    attention = mb.Sequential([mb.LayerNorm(64), mb.MultiHeadAttention(64, 4, causal=True, rng=0)])
    wide = mb.Sequential([mb.LayerNorm(64), mb.Dense(64, 256, rng=1), mb.GELU(), mb.Dense(256, 64, rng=2)])
    return mb.Sequential([mb.Residual(attention), mb.Residual(wide), mb.Dense(64, 10, rng=3)]).astype(np.float32)


def _torch_mlp(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def _torch_cnn(torch: Any) -> Any:
    nn = torch.nn
    conv = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    conv += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*conv, nn.Flatten(), nn.Linear(1568, 10))


def _torch_block(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(64), nn.LayerNorm(64)
            self.qkv, self.output, self.head = nn.Linear(64, 192), nn.Linear(64, 64), nn.Linear(64, 10)
            self.wide = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64))

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = self.qkv(self.first(x)).reshape(n, t, 3, 4, 16).permute(2, 0, 3, 1, 4)
            attended = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.output(attended.transpose(1, 2).reshape(n, t, 64))
            return self.head(x + self.wide(self.second(x)))

    return Block()


NETWORKS = {
    "MLP, 784-512-512-10, batches of 512": Network(_mlp, _torch_mlp, (512, 784), (512,), 10),
    "CNN on 28 x 28, batches of 64": Network(_cnn, _torch_cnn, (64, 1, 28, 28), (64,), 10),
    "transformer block of width 64, 32 x 64 steps": Network(_block, _torch_block, (32, 64, 64), (32, 64), 10),
}


def _timed(step: Callable[[], object], wait: Callable[[], object], repeats: int) -> float:
    """Give the median of the times of a step, in milliseconds."""
    for _ in range(3):
        step()
    times = []
    for _ in range(repeats):
        wait()
        begun = time.perf_counter()
        step()
        wait()
        times.append(1e3 * (time.perf_counter() - begun))
    return median(times)


def _data(network: Network) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=network.shape).astype(np.float32), rng.integers(0, network.classes, size=network.places)


def time_ours(network: Network, kit: Kit, wait: Callable[[], object], repeats: int = REPEATS) -> float:
    """Time a step of Adam with arrays of a kit."""
    model, loss, optimizer = kit.model(network.ours()), mb.SoftmaxCrossEntropy(), mb.Adam(1e-3)
    x, y = map(kit.array, _data(network))
    parameters = model.parameters()

    def step() -> None:
        prediction, cache = model.forward(x)
        _, loss_cache = loss.forward(prediction, y)
        model.accumulate(loss.backward(loss_cache), cache)
        optimizer.step(parameters)

    return _timed(step, wait, repeats)


def time_theirs(network: Network, torch: Any, device: str, repeats: int = REPEATS) -> float:
    """Time the same in PyTorch; the loss is looked at in each step, as ours is."""
    model = network.theirs(torch).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x, y = (torch.from_numpy(each).to(device) for each in _data(network))

    def step() -> None:
        optimizer.zero_grad()
        prediction = model(x)
        loss = torch.nn.functional.cross_entropy(prediction.reshape(-1, network.classes), y.reshape(-1))
        loss.backward()
        optimizer.step()
        loss.item()

    return _timed(step, torch.cuda.synchronize if device == "cuda" else lambda: None, repeats)


def report(kit: Kit, wait: Callable[[], object], repeats: int = REPEATS) -> list[str]:
    """Write a row of a table for each network."""
    try:
        import torch
    except ImportError:
        torch = None
    on_gpu = torch is not None and torch.cuda.is_available()
    rows = ["| ms a step, float32 | NumPy | " + f"{kit.name} | PyTorch on the same GPU |", "|---|---|---|---|"]
    for name, network in NETWORKS.items():
        ours = [time_ours(network, HOST, lambda: None, repeats), time_ours(network, kit, wait, repeats)]
        theirs = f"{time_theirs(network, torch, 'cuda', repeats):.2f}" if on_gpu else "not there"
        rows.append(f"| {name} | {ours[0]:.2f} | {ours[1]:.2f} | {theirs} |")
    return rows
