"""Small trainers and data, and what the tests of training ask of them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    Dense,
    HalfSquaredError,
    Layer,
    Loss,
    MeanSquaredError,
    Optimizer,
    Parameter,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Trainer,
    mlp,
)
from minibackprop.validation import Array

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


def new_trainer(dtype: type = np.float64, loss: Loss = HalfSquaredError()) -> Trainer:  # noqa: B008
    """Make a trainer of a small model, always the same."""
    model = Sequential([Dense(3, 4, rng=0, dtype=dtype), Sequential([Sigmoid(), Dense(4, 1, rng=1, dtype=dtype)])])
    return Trainer(model, loss, SGD(0.1))


each_verb = pytest.mark.parametrize(
    "train",
    [lambda trainer, x, y: trainer.fit(x, y, 3), lambda trainer, x, y: trainer.step(x, y)],
    ids=["fit", "step"],
)

Train = Callable[[Trainer, Any, Any], object]


def classes(**settings: Any) -> tuple[Trainer, Array, Array]:
    """Make a trainer of a small classifier, samples and labels."""
    rng = np.random.default_rng(0)
    return Trainer(mlp([3, 4, 3], rng=0), SoftmaxCrossEntropy(), SGD(0.1), rng=0, **settings), *(
        rng.normal(size=(40, 3)),
        rng.integers(0, 3, 40),
    )


each_loss = pytest.mark.parametrize(
    "loss", [HalfSquaredError(), MeanSquaredError(), SoftmaxCrossEntropy(class_weights=[1.0, 3.0])]
)


def labelled(loss: Loss, rng: np.random.Generator, count: int) -> tuple[Layer, Array, Array]:
    """Make a model, samples, and targets that fit the loss."""
    x = rng.normal(size=(count, 3))
    labels = rng.integers(0, 2, count)
    target = labels if isinstance(loss, SoftmaxCrossEntropy) else rng.normal(size=(count, 2))
    return Sequential([Dense(3, 4, rng=rng), Sigmoid(), Dense(4, 2, rng=rng)]), x, target


def gradients_of(model: Layer, loss: Loss, *data: Array, **settings: Any) -> tuple[float, dict[str, Array]]:
    """Give the loss of a step, and the gradients that it is made with."""
    kept: dict[str, Array] = {}

    class Keep(Optimizer):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            kept.update({name: parameter.grad for name, parameter in model.named_parameters()})
            for parameter in parameters:
                parameter.clear()

    return Trainer(model, loss, Keep()).step(*data, **settings), kept


def assert_equal(ours: dict[str, Array], theirs: dict[str, Array]) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12)
