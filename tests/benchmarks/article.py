"""The article's three-layer network: training by composed layers beside the loop written by hand."""

from collections.abc import Iterator

import numpy as np

from minibackprop import SGD, HalfSquaredError, Trainer, three_layer
from tests.benchmarks.paired import Row, ratios, timed

STEPS = 60_000
X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


def sigma(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def by_hand() -> None:
    """The loop as the article states it; nothing is recorded."""
    random = np.random.RandomState(1)
    syn0 = 2 * random.random_sample((3, 4)) - 1
    syn1 = 2 * random.random_sample((4, 1)) - 1
    for _ in range(STEPS):
        l1 = sigma(X @ syn0)
        l2 = sigma(l1 @ syn1)
        l2_error = Y - l2
        l2_delta = l2_error * l2 * (1 - l2)
        l1_error = l2_delta @ syn1.T
        l1_delta = l1_error * l1 * (1 - l1)
        syn1 += l1.T @ l2_delta
        syn0 += X.T @ l1_delta


def by_hand_with_dot() -> None:
    """The same, with the method ``dot`` for the products: the fastest spelling, if not the clearest."""
    random = np.random.RandomState(1)
    syn0 = 2 * random.random_sample((3, 4)) - 1
    syn1 = 2 * random.random_sample((4, 1)) - 1
    for _ in range(STEPS):
        l1 = sigma(X.dot(syn0))
        l2 = sigma(l1.dot(syn1))
        l2_error = Y - l2
        l2_delta = l2_error * l2 * (1 - l2)
        l1_error = l2_delta.dot(syn1.T)
        l1_delta = l1_error * l1 * (1 - l1)
        syn1 += l1.T.dot(l2_delta)
        syn0 += X.T.dot(l1_delta)


def by_fit(steps: int = STEPS) -> None:
    """`Trainer.fit`, which records the loss of every step."""
    Trainer(three_layer(), HalfSquaredError(), SGD(1)).fit(X, Y, epochs=steps)


def by_loop() -> None:
    """Composed layers in a loop of the user's own."""
    model, loss, optimizer = three_layer(), HalfSquaredError(), SGD(1)
    parameters = model.parameters()
    for _ in range(STEPS):
        prediction, caches = model.forward(X)
        _, loss_cache = loss.forward(prediction, Y)
        model.accumulate(loss.backward(loss_cache), caches)
        optimizer.step(parameters)


def run(repeats: int) -> Iterator[Row]:
    reference = timed(by_hand)
    yield Row("three-layer network: Trainer.fit / by hand", ratios(timed(by_fit), reference, repeats), 1.05)
    yield Row("three-layer network: own loop of layers / by hand", ratios(timed(by_loop), reference, repeats), 1.0)
    fastest = timed(by_hand_with_dot)
    yield Row("three-layer network: Trainer.fit / by hand with .dot", ratios(timed(by_fit), fastest, repeats))
