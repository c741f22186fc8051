"""`check_model`: it passes what is right and says what is wrong."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    L1,
    L2,
    SGD,
    ConfigError,
    Dense,
    ElasticNet,
    HalfSquaredError,
    Layer,
    Loss,
    MeanSquaredError,
    Parameter,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Trainer,
    three_layer,
)
from minibackprop.testing import ContractViolation, check_model
from minibackprop.validation import Array
from tests.example_layers import HalfOfIt

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])


Y = np.array([[0.0], [1], [1], [0]])


@pytest.mark.parametrize("loss", [HalfSquaredError(), MeanSquaredError()])
def test_model_passes_at_the_users_point(loss: Loss) -> None:
    """A model is checked with its loss on the user's data, and is left as it was."""
    model = three_layer()
    before = model.state_dict()
    report = check_model(model, loss, X, Y)
    assert set(report.power["parameter gradient"]) == {"0.weight", "2.weight"}
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


class HalfPaid(L2):
    """A penalty whose gradient is half of what it should be."""

    def backward(self, parameters: Iterable[Parameter], /) -> None:
        L2(self.strength / 2).backward(parameters)


def test_penalties_are_part_of_the_loss() -> None:
    """A model, its loss and its penalty are one function of the parameters, as the trainer descends it."""
    x, y = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 1, 1, 0, 2, 2])
    model = Sequential([Dense(3, 5, rng=0), Sigmoid(), Dense(5, 3, rng=1)])
    for layer in model[0], model[2]:
        layer.bias.value += 0.5  # At 0, absolute values have no gradient.
    for penalty in (L1(0.3), L2(0.3), ElasticNet(0.2, 0.1, biases=True)):
        check_model(model, SoftmaxCrossEntropy(), x, y, regularizer=penalty)
    with pytest.raises(ContractViolation, match=r"gradient with respect to 0\.weight"):
        check_model(model, SoftmaxCrossEntropy(), x, y, regularizer=HalfPaid(0.3))
    with pytest.raises(ConfigError, match="check_model: regularizer expects an instance of Regularizer, got float"):
        check_model(model, SoftmaxCrossEntropy(), x, y, regularizer=0.3)


def test_a_trainer_stands_for_what_it_trains() -> None:
    """Its model, its loss and its penalty are checked; it is left as it was."""
    trainer = Trainer(three_layer(), MeanSquaredError(), SGD(0.1), regularizer=L2(0.3))
    assert check_model(trainer, X, Y).kept == check_model(three_layer(), MeanSquaredError(), X, Y).kept
    with pytest.raises(ContractViolation, match=r"gradient with respect to 0\.weight"):
        check_model(Trainer(three_layer(), MeanSquaredError(), SGD(0.1), regularizer=HalfPaid(0.3)), X, Y)
    with pytest.raises(ConfigError, match="trainer expects to be given with x and y alone, got regularizer="):
        check_model(trainer, X, Y, regularizer=L2(0.1))  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="trainer expects to be given with x and y alone, got a fourth array"):
        check_model(trainer, MeanSquaredError(), X, Y)  # type: ignore[call-overload]
    assert trainer.steps == 0


class Trim(Layer):
    """The identity, whose backward is not."""

    alters_gradient = "small deltas are zeroed"

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return x, None

    def backward(self, grad: Array, _: None, /) -> Array:
        return np.where(np.abs(grad) < 0.1, 0.0, grad)


def test_altered_gradients_are_taken_for_the_identity() -> None:
    """A layer that says that it alters the gradient does not hide the others' mistakes, nor make up any."""
    check_model(Sequential([Dense(3, 2, rng=0), Trim(), Dense(2, 1, rng=1)]), HalfSquaredError(), X, Y)
    with pytest.raises(ContractViolation, match="gradient"):
        check_model(Sequential([Dense(3, 2, rng=0), Trim(), HalfOfIt(), Dense(2, 1, rng=1)]), HalfSquaredError(), X, Y)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((three_layer, HalfSquaredError(), X, Y), ConfigError, "check_model: model expects an instance of Layer"),
        ((three_layer(), HalfSquaredError, X, Y), ConfigError, "check_model: loss expects an instance of Loss"),
        (
            (three_layer(), HalfSquaredError(), X.tolist(), Y),
            ConfigError,
            "check_model: x expects an instance",
        ),
        ((three_layer(), HalfSquaredError(), X, Y.ravel()), ShapeError, "HalfSquaredError expects a target of"),
        ((three_layer(), HalfSquaredError(), X[:, :2], Y), ShapeError, "layer 0: Dense expects"),
    ],
)
def test_model_that_does_not_fit_is_misuse(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    """What does not fit together is told as such, not as a broken law."""
    with pytest.raises(error, match=message):
        check_model(*arguments)


def test_models_of_either_dtype_pass() -> None:
    """A float32 model is checked in float64."""
    check_model(three_layer().astype(np.float32), HalfSquaredError(), X.astype(np.float32), Y)
