"""Deep and narrow, shallow and wide: what a layer costs above its NumPy calls, and that costs grow linearly."""

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np

from minibackprop import SGD, Dense, HalfSquaredError, Layer, ReLU, Sequential, Sigmoid, Trainer
from tests.benchmarks.paired import Row, in_turn, ratios, seconds, timed

THREADS = 1
DEPTH, WIDTH, SAMPLES, STEPS = 1_000, 4, 4, 10
_random = np.random.default_rng(0)


def data(samples: int = SAMPLES) -> np.ndarray:
    return _random.uniform(-1, 1, (samples, WIDTH))


def chain(kinds: list[Callable[[], Layer]], depth: int = DEPTH) -> Sequential:
    """Make a chain of layers whose kinds take turns."""
    return Sequential([kinds[index % len(kinds)]() for index in range(depth)])


def dense() -> Layer:
    return Dense(WIDTH, WIDTH, bias=False, rng=_random)


def biased() -> Layer:
    return Dense(WIDTH, WIDTH, rng=_random)


def by_layers(model: Sequential, x: np.ndarray) -> Callable[[], None]:
    parameters = model.parameters()

    def train() -> None:
        for _ in range(STEPS):
            y, caches = model.forward(x)
            model.backward(y, caches)
            for parameter in parameters:
                parameter.grad = None

    return train


def dense_calls(x: np.ndarray) -> Callable[[], None]:
    """The NumPy calls of a chain of `dense`, alone."""
    weights = [layer.weight.value for layer in chain([dense])]  # type: ignore[attr-defined]

    def train() -> None:
        for _ in range(STEPS):
            y = x
            inputs = []
            for weight in weights:
                inputs.append(y)
                y = y.dot(weight)
            for weight, cache in zip(reversed(weights), reversed(inputs), strict=True):
                cache.T.dot(y)
                y = y.dot(weight.T)

    return train


def biased_calls(x: np.ndarray) -> Callable[[], None]:
    """The NumPy calls of a chain of `biased`, alone."""
    layers = [(layer.weight.value, layer.bias.value) for layer in chain([biased])]  # type: ignore[attr-defined]

    def train() -> None:
        for _ in range(STEPS):
            y = x
            inputs = []
            for weight, bias in layers:
                inputs.append(y)
                y = y.dot(weight)
                y += bias
            for (weight, _), cache in zip(reversed(layers), reversed(inputs), strict=True):
                cache.T.dot(y)
                y.sum(axis=0)
                y = y.dot(weight.T)

    return train


def sigmoid_calls(x: np.ndarray) -> Callable[[], None]:
    """The NumPy calls of a chain of `Sigmoid`, alone."""

    def train() -> None:
        for _ in range(STEPS):
            y = x
            outputs = []
            for _ in range(DEPTH):
                y = -y
                np.exp(y, y)
                y += 1.0
                np.reciprocal(y, y)
                outputs.append(y)
            for cache in reversed(outputs):
                y = y * cache
                y *= 1.0 - cache

    return train


def relu_calls(x: np.ndarray) -> Callable[[], None]:
    """The NumPy calls of a chain of `ReLU`, alone."""

    def train() -> None:
        for _ in range(STEPS):
            y = x
            outputs = []
            for _ in range(DEPTH):
                y = np.maximum(y, 0.0)
                outputs.append(y)
            for cache in reversed(outputs):
                back = np.sign(cache)
                back *= y
                y = back

    return train


def one_call() -> float:
    """Time a NumPy call on four numbers, in seconds: the fastest of many, as what layers cost is counted in these."""
    a, b = data(1)[0], data(1)[0]

    def calls() -> None:
        for _ in range(DEPTH):
            np.add(a, b)

    return min(seconds(calls) for _ in range(20)) / DEPTH


def fit(depth: int = DEPTH, samples: int = SAMPLES, steps: int = STEPS) -> Callable[[], None]:
    """Train a chain of `Dense` and `Sigmoid` by `Trainer.fit`."""
    trainer, x = Trainer(chain([dense, Sigmoid], depth), HalfSquaredError(), SGD(0.1)), data(samples)

    def train() -> None:
        trainer.fit(x, x, epochs=steps)

    return train


def peak(function: Callable[[], object]) -> int:
    """Measure how many bytes of memory a call has at most."""
    function()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    function()
    found = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return found


def wide_by_fit() -> Callable[[], None]:
    model = Sequential([Dense(2048, 2048, bias=False, rng=0), Sigmoid()])
    trainer, x = Trainer(model, HalfSquaredError(), SGD(0.1)), _random.uniform(-1, 1, (64, 2048))
    y = np.zeros_like(x)

    def train() -> None:
        trainer.fit(x, y, epochs=STEPS)

    return train


def wide_by_hand() -> Callable[[], None]:
    x, weight = _random.uniform(-1, 1, (64, 2048)), _random.uniform(-0.04, 0.04, (2048, 2048))
    target = np.zeros_like(x)

    def train() -> None:
        for _ in range(STEPS):
            y = 1 / (1 + np.exp(-x.dot(weight)))
            delta = (y - target) * y * (1 - y)
            weight[...] -= 0.1 * x.T.dot(delta)

    return train


def run(repeats: int) -> Iterator[Row]:
    x = data()
    for name, kind, calls in (
        ("Dense without bias", dense, dense_calls),
        ("Dense", biased, biased_calls),
        ("ReLU", ReLU, relu_calls),
        ("Sigmoid", Sigmoid, sigmoid_calls),
    ):
        found = in_turn({"layers": timed(by_layers(chain([kind]), x)), "calls": timed(calls(x))}, repeats)
        pairs = zip(found["layers"], found["calls"], strict=True)
        excess = [(above - below) / (STEPS * DEPTH) / one_call() for above, below in pairs]
        yield Row(f"forward and backward of a {name}, above its NumPy calls", excess, 3.0, " calls")
    for name, many in (
        ("depth", {"depth": 4 * DEPTH}),
        ("batch", {"samples": 4000 * SAMPLES, "depth": DEPTH // 10}),
        ("steps", {"steps": 4 * STEPS}),
    ):
        few = {key: value // 4 for key, value in many.items()}
        if name == "batch":
            few["depth"] = many["depth"]
        large, small = fit(**many), fit(**few)
        yield Row(f"a quadruple of {name}: time / 4", [r / 4 for r in ratios(timed(large), timed(small), repeats)], 1.1)
        yield Row(f"a quadruple of {name}: memory / 4", [peak(large) / peak(small) / 4], 1.1)
    yield Row("2,048 wide: fit / by hand", ratios(timed(wide_by_fit()), timed(wide_by_hand()), repeats), 1.0)
