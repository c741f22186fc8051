"""The article's three-layer network in other libraries: each function, if its library is there, makes a training."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from tests.benchmarks.article import X, Y, by_fit
from tests.benchmarks.paired import Reference, Row, beside

#: Trains for `STEPS` steps.
Training: TypeAlias = Callable[[], object]
STEPS = 3_000


def initial_weights() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(1)
    return 2 * random.random_sample((3, 4)) - 1, 2 * random.random_sample((4, 1)) - 1


def pytorch() -> Training:
    """PyTorch eager, with its optimizer."""
    import torch

    x, y = torch.from_numpy(X), torch.from_numpy(Y)

    def train(steps: int = STEPS) -> None:
        weights = [torch.from_numpy(weight).requires_grad_() for weight in initial_weights()]
        optimizer, losses = torch.optim.SGD(weights, lr=1.0), []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = 0.5 * ((torch.sigmoid(torch.sigmoid(x @ weights[0]) @ weights[1]) - y) ** 2).sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    return train


def autograd() -> Training:
    from autograd import numpy as anp
    from autograd import value_and_grad

    def sigma(z: Any) -> Any:
        return 1 / (1 + anp.exp(-z))

    @value_and_grad  # type: ignore[untyped-decorator]
    def loss(weights: Any) -> Any:
        return 0.5 * anp.sum((sigma(anp.dot(sigma(anp.dot(X, weights[0])), weights[1])) - Y) ** 2)

    def train(steps: int = STEPS) -> None:
        weights, losses = list(initial_weights()), []
        for _ in range(steps):
            value, grads = loss(weights)
            losses.append(value)
            for weight, grad in zip(weights, grads, strict=True):
                weight -= grad

    return train


def jax() -> Training:
    """JAX with a compiled step, in float64."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")

    def loss(weights: Any) -> Any:
        return 0.5 * ((jax.nn.sigmoid(jax.nn.sigmoid(X @ weights[0]) @ weights[1]) - Y) ** 2).sum()

    @jax.jit
    def step(weights: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(weights)
        return value, [weight - grad for weight, grad in zip(weights, grads, strict=True)]

    def train(steps: int = STEPS) -> None:
        weights, losses = [jnp.array(weight) for weight in initial_weights()], []
        for _ in range(steps):
            value, weights = step(weights)
            losses.append(float(value))

    train(1)  # Compiles.
    return train


def mygrad() -> Training:
    import mygrad as mg
    from mygrad.nnet import sigmoid

    def train(steps: int = STEPS) -> None:
        weights, losses = [mg.tensor(weight) for weight in initial_weights()], []
        for _ in range(steps):
            residual = sigmoid(mg.matmul(sigmoid(mg.matmul(X, weights[0])), weights[1])) - Y
            loss = 0.5 * (residual**2).sum()
            loss.backward()
            losses.append(loss.item())
            for weight in weights:
                weight.data -= weight.grad

    return train


def ours() -> Training:
    return lambda: by_fit(STEPS)


OTHERS = {"PyTorch": pytorch, "JAX, compiled": jax, "MyGrad": mygrad, "autograd": autograd}


def run(repeats: int) -> Iterator[Row]:
    references = {name: Reference(make) for name, make in OTHERS.items()}
    yield from beside("three-layer network: Trainer.fit", ours, references, threads=1, repeats=repeats)
