"""A network of the size of MNIST's, in mini-batches: beside PyTorch, scikit-learn and the bare matrix products."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from minibackprop import (
    SGD,
    Adam,
    Dense,
    HeNormal,
    Layer,
    Optimizer,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    Workers,
)
from tests.benchmarks.paired import Reference, Row, beside

SAMPLES, EPOCHS = 12_800, 4
WIDTHS = (784, 256, 128, 10)
RATE, MOMENTUM = 0.01, 0.9

_random = np.random.default_rng(0)
X = _random.standard_normal((SAMPLES, WIDTHS[0]), dtype=np.float32)
Y = _random.integers(0, WIDTHS[-1], SAMPLES)


def by_fit(name: str, batch_size: int, parallel: Workers | None = None) -> Callable[[], object]:
    optimizer: Optimizer = SGD(RATE, momentum=MOMENTUM) if name == "SGD" else Adam()
    layers: list[Layer] = []
    for inputs, outputs in pairwise(WIDTHS):
        layers += [Dense(inputs, outputs, init=HeNormal(), dtype=np.float32, rng=0), ReLU()]
    trainer = Trainer(Sequential(layers[:-1]), SoftmaxCrossEntropy(), optimizer, rng=0, parallel=parallel)
    return lambda: trainer.fit(X, Y, epochs=EPOCHS, batch_size=batch_size)


def by_torch(name: str, batch_size: int) -> Callable[[], object]:
    """PyTorch eager, with its default optimizers; the same order of samples, and the loss recorded as well."""
    import torch

    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise(WIDTHS):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model, loss_function = torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss()
    if name == "SGD":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    else:
        optimizer = torch.optim.Adam(model.parameters())
    x, y, random = torch.from_numpy(X), torch.from_numpy(Y), np.random.default_rng(0)

    def train() -> None:
        for _ in range(EPOCHS):
            order, losses = torch.from_numpy(random.permutation(SAMPLES)), []
            for start in range(0, SAMPLES, batch_size):
                rows = order[start : start + batch_size]
                optimizer.zero_grad()
                loss = loss_function(model(x[rows]), y[rows])
                loss.backward()
                optimizer.step()
                losses.append(loss.item())

    return train


def by_sklearn(name: str, batch_size: int) -> Callable[[], object]:
    """scikit-learn's classifier, which always shuffles."""
    from sklearn.neural_network import MLPClassifier

    classifier = MLPClassifier(
        WIDTHS[1:-1],
        solver=name.lower(),
        batch_size=batch_size,
        learning_rate_init=RATE if name == "SGD" else 0.001,
        momentum=MOMENTUM,
        nesterovs_momentum=False,
        alpha=0.0,
    )
    classes = np.arange(WIDTHS[-1])

    def train() -> None:
        for _ in range(EPOCHS):
            classifier.partial_fit(X, Y, classes=classes)

    return train


def by_products(_: str, batch_size: int) -> Callable[[], object]:
    """Nothing but the matrix products of training, which every NumPy program has to compute."""
    weights = [_random.standard_normal(shape, dtype=np.float32) for shape in pairwise(WIDTHS)]
    hidden = [_random.standard_normal((batch_size, width), dtype=np.float32) for width in WIDTHS]

    def train() -> None:
        for _ in range(EPOCHS):
            for start in range(0, SAMPLES, batch_size):
                inputs = [X[start : start + batch_size], *hidden[1:-1]]
                for x, weight in zip(inputs, weights, strict=True):
                    x.dot(weight)
                for index in (2, 1, 0):
                    inputs[index].T.dot(hidden[index + 1])
                    if index:
                        hidden[index + 1].dot(weights[index].T)

    return train


def run(repeats: int) -> Iterator[Row]:
    for threads in (1, 2):
        for batch_size in (32, 128, 512):
            for name in ("SGD", "Adam"):
                references = {"PyTorch": Reference(by_torch, 1.0), "scikit-learn": Reference(by_sklearn)}
                if name == "SGD":
                    references["its products"] = Reference(by_products, 1.6 if batch_size == 128 else None)
                title = f"784-256-128-10, {name}, batches of {batch_size}, threads: {threads}: fit"
                yield from beside(title, by_fit, references, name, batch_size, threads=threads, repeats=repeats)
