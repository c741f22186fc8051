"""Convolution: small networks on images of 8x8 and 28x28, beside PyTorch and the bare matrix products.

And single layers beside PyTorch's: depthwise, grouped, of 1x1, and of one large image. What comes in is as another
layer hands it on, the channels last; PyTorch has them first, as it does by default.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from minibackprop import (
    SGD,
    Conv2D,
    Dense,
    Flatten,
    HeNormal,
    Layer,
    MaxPool2D,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    Workers,
    keep_freed_memory,
)
from tests.benchmarks.paired import Reference, Row, beside

CHANNELS = (1, 16, 32)
KERNEL, CLASSES = 3, 10
#: By the size of the images: whether there is pooling after each of the two convolutions.
POOLED = {8: (False, True), 28: (True, True)}
CASES = ((8, 32), (8, 64), (28, 64))
RATE, MOMENTUM = 0.01, 0.9
#: By name: channels in and out, kernel, size of the images, batch, stride, groups.
LAYERS = {
    "depthwise 3x3, 32 channels": (32, 32, 3, 56, 16, 1, 32),
    "depthwise 3x3, 64 channels": (64, 64, 3, 28, 16, 1, 64),
    "depthwise 3x3, 64 channels, stride 2": (64, 64, 3, 28, 16, 2, 64),
    "depthwise 3x3, 128 channels": (128, 128, 3, 14, 32, 1, 128),
    "3x3 in 4 groups, 64 channels": (64, 64, 3, 28, 16, 1, 4),
    "1x1, 64 to 128 channels": (64, 128, 1, 28, 16, 1, 1),
    "3x3, 64 channels": (64, 64, 3, 512, 1, 1, 1),
}
LAYER_TARGET, LAYER_CALLS = 2.0, 4

_random = np.random.default_rng(0)


def data(size: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    samples = batch_size * (96 if size == 8 else 16)
    x = _random.standard_normal((samples, CHANNELS[0], size, size), dtype=np.float32)
    return x, _random.integers(0, CLASSES, samples)


def widths(size: int) -> list[int]:
    """Give the width of the image before each convolution, and that after the last layer of pooling."""
    found = [size]
    for pooled in POOLED[size]:
        found.append(found[-1] // 2 if pooled else found[-1])
    return found


def by_fit(size: int, batch_size: int, parallel: Workers | None = None) -> Callable[[], object]:
    layers: list[Layer] = []
    for (inputs, outputs), pooled in zip(pairwise(CHANNELS), POOLED[size], strict=True):
        layers += [Conv2D(inputs, outputs, KERNEL, padding="same", init=HeNormal(), dtype=np.float32, rng=0), ReLU()]
        layers += [MaxPool2D(2)] * pooled
    layers += [Flatten(), Dense(CHANNELS[-1] * widths(size)[-1] ** 2, CLASSES, dtype=np.float32, rng=0)]
    trainer = Trainer(Sequential(layers), SoftmaxCrossEntropy(), SGD(RATE, momentum=MOMENTUM), rng=0, parallel=parallel)
    x, y = data(size, batch_size)
    return lambda: trainer.fit(x, y, epochs=1, batch_size=batch_size)


def by_torch(size: int, batch_size: int) -> Callable[[], object]:
    """PyTorch eager."""
    import torch

    layers: list[torch.nn.Module] = []
    for (inputs, outputs), pooled in zip(pairwise(CHANNELS), POOLED[size], strict=True):
        layers += [torch.nn.Conv2d(inputs, outputs, KERNEL, padding="same"), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(2)] * pooled
    layers += [torch.nn.Flatten(), torch.nn.Linear(CHANNELS[-1] * widths(size)[-1] ** 2, CLASSES)]
    model, loss_function = torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    x, y = map(torch.from_numpy, data(size, batch_size))

    def train() -> None:
        order, losses = torch.randperm(len(x)), []
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            optimizer.zero_grad()
            loss = loss_function(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    return train


def by_products(size: int, batch_size: int) -> Callable[[], object]:
    """Nothing but the matrix products of training, with all windows laid out in rows beforehand."""
    operands = []
    for (inputs, outputs), width in zip(pairwise(CHANNELS), widths(size)[:-1], strict=True):
        shapes = (batch_size * width**2, inputs * KERNEL**2), (inputs * KERNEL**2, outputs)
        rows, weights = (_random.standard_normal(shape, dtype=np.float32) for shape in shapes)
        operands.append((rows, weights, rows.dot(weights)))
    batches = len(data(size, batch_size)[0]) // batch_size

    def train() -> None:
        for _ in range(batches):
            for index, (rows, weights, grad) in enumerate(operands):
                rows.dot(weights)
                rows.T.dot(grad)
                if index:
                    grad.dot(weights.T)

    return train


def of_layer(backward: bool, name: str) -> Callable[[], object]:
    """Make calls of a layer, forward and back or `predict`, on what another one hands on, the channels last."""
    inputs, outputs, kernel, size, batch_size, stride, groups = LAYERS[name]
    layer = Conv2D(inputs, outputs, kernel, stride, kernel // 2, groups=groups, dtype=np.float32, rng=0)
    x = _random.standard_normal((batch_size, size, size, inputs), dtype=np.float32).transpose(0, 3, 1, 2)
    grad = layer.predict(x)
    keep_freed_memory()

    def call() -> None:
        for _ in range(LAYER_CALLS):
            if backward:
                layer.backward(grad, layer.forward(x)[1])
                layer.clear_gradients()
            else:
                layer.predict(x)

    return call


def of_torch_layer(backward: bool, name: str) -> Callable[[], object]:
    """Make the same of PyTorch, the channels where it has them by default."""
    import torch

    inputs, outputs, kernel, size, batch_size, stride, groups = LAYERS[name]
    layer = torch.nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)
    x = torch.randn(batch_size, inputs, size, size, requires_grad=backward)
    grad = layer(x).detach()

    def call() -> None:
        for _ in range(LAYER_CALLS):
            with torch.set_grad_enabled(backward):
                y = layer(x)
            if backward:
                y.backward(grad)
                layer.zero_grad()
                x.grad = None

    return call


REFERENCES = {"PyTorch": Reference(by_torch, 1.0), "its products": Reference(by_products)}


def run(repeats: int) -> Iterator[Row]:
    for threads in (1, 2):
        for size, batch_size in CASES:
            title = f"CNN on {size}x{size}, batches of {batch_size}, threads: {threads}: fit"
            yield from beside(title, by_fit, REFERENCES, size, batch_size, threads=threads, repeats=repeats)
        for name, (_, _, _, size, batch_size, *_) in LAYERS.items():
            references = {"PyTorch": Reference(of_torch_layer, LAYER_TARGET)}
            for verb, backward in (("forward and backward", True), ("predict", False)):
                title = f"{name}, {batch_size} images of {size}x{size}, threads: {threads}: {verb}"
                yield from beside(title, of_layer, references, backward, name, threads=threads, repeats=repeats)
