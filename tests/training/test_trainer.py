import copy
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    BinaryCrossEntropy,
    ConfigError,
    Dense,
    Flatten,
    HalfSquaredError,
    Layer,
    LogSoftmax,
    Loss,
    MeanSquaredError,
    NonFiniteError,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    StateDictError,
    Tanh,
    Trainer,
    accuracy,
    mean_absolute_error,
)
from minibackprop.validation import Array
from tests.random_models import gradients, values
from tests.training.problems import X, Y, new_trainer

# --- What a trainer is made of ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (Dense, HalfSquaredError(), SGD(1)),
            "Trainer: model expects an instance of Layer, got the class Dense itself",
        ),
        (([Sigmoid()], HalfSquaredError(), SGD(1)), "Trainer: model expects an instance of Layer, got list"),
        (
            (Sigmoid(), HalfSquaredError, SGD(1)),
            "Trainer: loss expects an instance of Loss, got the class HalfSquaredError itself",
        ),
        ((Sigmoid(), HalfSquaredError(), 0.1), "Trainer: optimizer expects an instance of Optimizer, got float"),
    ],
)
def test_trainer_is_made_of_model_loss_and_optimizer(arguments: tuple[object, ...], message: str) -> None:
    """What is none of the three is refused at construction, a class in place of an object too."""
    with pytest.raises(ConfigError, match=message):
        Trainer(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metrics": 3}, "Trainer: metrics expects a list of callables, or a dict of them by name, got int"),
        ({"metrics": [3]}, r"Trainer: metrics expects callables of \(prediction, target\), got int"),
        ({"metrics": {"loss": mean_absolute_error}}, "Trainer: metrics expects other names than 'loss'"),
        ({"metrics": {"val_x": mean_absolute_error}}, "Trainer: metrics expects other names than .*, got 'val_x'"),
        (
            {"metrics": [accuracy, accuracy]},
            "Trainer: metrics expects a name for each, .*, got two of one",
        ),
        ({"regularizer": 0.1}, "Trainer: regularizer expects an instance of Regularizer, got float"),
        ({"rng": -1}, "rng expects a Generator, a RandomState, a seed"),
    ],
)
def test_wrong_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    """A trainer that could not train is not made."""
    with pytest.raises(ConfigError, match=message):
        Trainer(Dense(1, 1), MeanSquaredError(), SGD(1), **arguments)


# --- What it does ----------------------------------------------------------------------------------------------------


def test_step_is_an_epoch_on_the_full_batch() -> None:
    """`step` does what one epoch of `fit` does, and returns the loss that `fit` records."""
    fitting, stepping = new_trainer(), new_trainer()
    assert fitting.fit(X, Y, 3).loss == [stepping.step(X, Y) for _ in range(3)]
    assert values(fitting.model) == values(stepping.model)
    assert fitting.steps == stepping.steps == 3


def test_history_goes_on_over_fits() -> None:
    """The history is the trainer's own, and a second `fit` goes on where the first ended; 0 epochs add nothing."""
    parts, whole = new_trainer(), new_trainer()
    first = parts.fit(X, Y, 2)
    second = parts.fit(X, Y, 3)
    assert first is second is parts.history is parts.fit(X, Y, 0)
    assert first.loss == whole.fit(X, Y, 5).loss
    assert parts.steps == len(first.loss) == 5


def test_stop_is_heard_from_anywhere() -> None:
    """From the data as well, and after the present step."""
    trainer = new_trainer()

    def batches() -> Iterable[tuple[Array, Array]]:
        for number in range(100):
            if number == 4:
                trainer.stop()
            yield X, Y

    trainer.fit(batches, epochs=3)
    assert trainer.steps == 5
    assert trainer.stopping


@pytest.mark.parametrize("epochs", [-1, 1.0, True, "3"])
def test_epochs_are_a_whole_number(epochs: object) -> None:
    """Anything but an integer of at least 0 is refused."""
    with pytest.raises(ConfigError, match=f"Trainer.fit: epochs expects an integer of at least 0, got {epochs!r}"):
        new_trainer().fit(X, Y, epochs)


def test_epochs_are_not_left_out() -> None:
    """One step on all data would look like a model that does not learn; the message shows what to write."""
    with pytest.raises(ConfigError, match=r"Trainer.fit: epochs expects .*, as in epochs=10, got None"):
        new_trainer().fit(X, Y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shuffle": "no"}, "Trainer.fit: shuffle expects True or False, got 'no'"),
        ({"drop_last": 1}, "Trainer.fit: drop_last expects True or False, got 1"),
        ({"drop_last": True}, "Trainer.fit: drop_last expects a batch_size, got none"),
    ],
)
def test_flags_are_flags(settings: dict[str, Any], message: str) -> None:
    """What would be taken for true, or for nothing, is refused."""
    with pytest.raises(ConfigError, match=message):
        new_trainer().fit(X, Y, 1, **settings)


# --- Its state -------------------------------------------------------------------------------------------------------


def test_state_goes_on_where_it_was() -> None:
    """Another trainer that takes over the state, the model and the optimizer makes the same steps."""
    first = new_trainer(loss=MeanSquaredError())
    first.fit(X, Y, 3, batch_size=2, validation=0.25)
    state = first.state_dict()
    second = copy.deepcopy(first)
    other = new_trainer(loss=MeanSquaredError())
    other.model.load_state_dict(first.model.state_dict())
    other.load_state_dict(state)
    for trainer in (first, second, other):
        trainer.fit(X, Y, 3, batch_size=2, validation=0.25)
    for trainer in (second, other):
        assert values(trainer.model) == values(first.model)
        assert trainer.history.loss == first.history.loss
        assert (trainer.steps, trainer.epochs) == (first.steps, first.epochs)
    assert len(state["history"]["loss"]) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "Trainer: steps expects an integer of at least 0, got -1"),
        ({"epochs": "3"}, "Trainer: epochs expects an integer of at least 0, got '3'"),
        ({"rng": {}}, "Trainer: rng expects the state of a PCG64, got "),
        ({"history": {}}, "History expects a dict of arrays, with the loss, got dict"),
        ({"history": {"loss": [1.0], "val_loss": []}}, "History expects series of one length, got "),
        ({"history": {"loss": ["x"]}}, "History expects arrays of numbers, got "),
        ({"more": 1}, r"Trainer.load_state_dict expects .*extra=\['more'\]"),
    ],
)
def test_state_that_is_none_changes_nothing(change: dict[str, Any], message: str) -> None:
    """All of it is looked at before any of it is taken over."""
    trainer = new_trainer()
    trainer.fit(X, Y, 2)
    before, other = trainer.state_dict(), new_trainer().state_dict()
    with pytest.raises(StateDictError, match=message):
        trainer.load_state_dict(other | change)
    assert repr(trainer.state_dict()) == repr(before)


# --- What is told at construction ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "loss", "where"),
    [
        (Softmax(), SoftmaxCrossEntropy(), "in Softmax"),
        (Sequential([Dense(3, 2), Softmax()]), SoftmaxCrossEntropy(0.1), "in layer 1, Softmax"),
        (Sequential([Sequential([Dense(3, 1), Sigmoid()])]), BinaryCrossEntropy(), "in layer 0.1, Sigmoid"),
        (Sequential([Dense(3, 1), Sigmoid(), Flatten()]), BinaryCrossEntropy(), "in layer 1, Sigmoid"),
        (Sequential([Dense(3, 2), Softmax(), Sequential([])]), SoftmaxCrossEntropy(), "in layer 1, Softmax"),
    ],
)
def test_probabilities_under_a_loss_of_logits_are_told(model: Layer, loss: Loss, where: str) -> None:
    """Such a model trains, badly: a warning names layer and loss, and points to the user's line."""
    with pytest.warns(
        UserWarning, match=f"{type(loss).__name__} takes logits .*, but the model ends {where}: leave"
    ) as told:
        Trainer(model, loss, SGD(0.1))
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (Sequential([Dense(3, 2), Softmax()]), MeanSquaredError()),
        (Sequential([Dense(3, 2), Sigmoid()]), HalfSquaredError()),
        (Sequential([Dense(3, 2), LogSoftmax()]), SoftmaxCrossEntropy()),
        (Sequential([Dense(3, 4), Sigmoid(), Dense(4, 2)]), SoftmaxCrossEntropy()),
        (Sequential([Dense(3, 4), Softmax(), Dense(4, 1)]), BinaryCrossEntropy()),
        (Sequential([Residual(Softmax())]), SoftmaxCrossEntropy()),
        (Sequential([]), SoftmaxCrossEntropy()),
        (Sequential([Dense(3, 2), Tanh()]), SoftmaxCrossEntropy()),
    ],
)
def test_no_false_warning(model: Layer, loss: Loss) -> None:
    """Warnings are errors in these tests."""
    Trainer(model, loss, SGD(0.1))


# --- A step looks before it steps ------------------------------------------------------------------------------------


class Spoil(Layer):
    """Hands on a gradient that is not finite."""

    def __init__(self, value: float) -> None:
        self.value = value

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return x, None

    def backward(self, grad: Array, _: None, /) -> Array:
        return grad * self.value


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_makes_no_step(value: float) -> None:
    """The loss was fine, so that only the weights would tell, too late; `fit` finds it in the next loss."""
    model = Sequential([Dense(3, 1, rng=0), Spoil(value)])
    before = values(model)
    trainer = Trainer(model, MeanSquaredError(), SGD(0.1), rng=0)
    with pytest.raises(NonFiniteError, match=r"the gradient of 0\.weight in step 0 must be finite, got (nan|-?inf)"):
        trainer.step(X, Y)
    assert values(model) == before
    assert gradients(model) == [None, None]
    assert trainer.steps == 0
    with pytest.raises(NonFiniteError):
        trainer.fit(X, Y, 2)
