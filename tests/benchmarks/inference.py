"""Inference: one sample through the three-layer network, and many threads at a time."""

from collections.abc import Callable, Iterator
from threading import Thread

import numpy as np

from minibackprop import Layer, mlp, three_layer
from tests.benchmarks.paired import Row, ratios, timed

THREADS = 1
CALLS = 40_000
X = np.array([[0.0, 1, 1]])


def by_predict(model: Layer, x: np.ndarray, calls: int) -> Callable[[], None]:
    def predict() -> None:
        for _ in range(calls):
            model.predict(x)

    return predict


def by_hand(x: np.ndarray, calls: int) -> Callable[[], None]:
    syn0, syn1 = (parameter.value for parameter in three_layer().parameters())

    def predict() -> None:
        for _ in range(calls):
            1 / (1 + np.exp(-((1 / (1 + np.exp(-(x @ syn0)))) @ syn1)))

    return predict


def by_hand_with_dot(x: np.ndarray, calls: int) -> Callable[[], None]:
    syn0, syn1 = (parameter.value for parameter in three_layer().parameters())

    def predict() -> None:
        for _ in range(calls):
            1 / (1 + np.exp(-((1 / (1 + np.exp(-x.dot(syn0)))).dot(syn1))))

    return predict


def in_threads(function: Callable[[], None], count: int) -> Callable[[], None]:
    def run_all() -> None:
        threads = [Thread(target=function) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run_all


def run(repeats: int) -> Iterator[Row]:
    model = three_layer()
    predict = timed(by_predict(model, X, CALLS))
    yield Row("one sample, three layers: predict / by hand", ratios(predict, timed(by_hand(X, CALLS)), repeats), 1.15)
    other = timed(by_hand_with_dot(X, CALLS))
    yield Row("one sample, three layers: predict / by hand with .dot", ratios(predict, other, repeats))
    large, batch = mlp([784, 256, 128, 10], dtype=np.float32, rng=0), np.zeros((32, 784), np.float32)
    for name, calls_of, calls, target in (
        ("one sample, three layers", lambda n: by_predict(model, X, n), CALLS, 1.0),
        ("the same by hand", lambda n: by_hand(X, n), CALLS, None),
        ("the same by hand with .dot", lambda n: by_hand_with_dot(X, n), CALLS, None),
        ("32 samples, 784-256-128-10", lambda n: by_predict(large, batch, n), 1600, 1.0),
    ):
        found = ratios(timed(in_threads(calls_of(calls // 8), 8)), timed(calls_of(calls)), repeats)
        yield Row(f"{name}: 8 threads / one", found, target)
