import numpy as np
import pytest

from minibackprop import (
    SGD,
    ActivationRecorder,
    BatchNorm,
    ConfigError,
    Dense,
    HalfSquaredError,
    Sequential,
    ShapeError,
    Sigmoid,
    Step,
    Trainer,
    three_layer,
)
from tests.example_layers import Square
from tests.inspection.recorded import X, Y, recorder


def test_recorder_keeps_what_the_layer_gives_after_each_step() -> None:
    """The activations are those of the model after so many steps, beginning before the first."""
    model = three_layer()
    found, trainer = ActivationRecorder(model[:2], X), Trainer(model, HalfSquaredError(), SGD(1))
    expected = [model[:2].predict(X)]
    trainer.fit(X, Y, 40, callbacks=[found, lambda _: expected.append(model[:2].predict(X))])
    assert found.steps[:3] == [0, 1, 2]
    for steps, activations in zip(found.steps, found.activations, strict=True):
        np.testing.assert_array_equal(activations, expected[steps])


def test_recorder_looks_ever_less_often() -> None:
    """Each gap is a step, or a tenth of the steps before it."""
    steps = np.array(recorder(2000).steps)
    assert steps[:21].tolist() == list(range(21))
    gaps = np.diff(steps)[20:]
    assert (np.abs(gaps - steps[20:-1] / 10) <= 1).all()
    assert 2000 - steps[-1] <= 200


def test_recorder_goes_on_over_fits_and_begins_anew_with_another_trainer() -> None:
    """Two fits are recorded as one that is as long; a trainer that counts from 0 is not mixed with the last."""
    assert recorder(25, fits=2).steps == recorder(50).steps
    found = recorder(30)
    trainer = Trainer(found.layer, HalfSquaredError(), SGD(1))
    trainer.fit(X, np.zeros((4, 4)), 3, callbacks=[found])
    assert found.steps == [0, 1, 2, 3]
    assert len(found.activations) == 4


def test_recorder_wants_a_layer() -> None:
    """A function or a class is refused."""
    for wrong in (Sigmoid, lambda x: x, None):
        with pytest.raises(ConfigError, match="ActivationRecorder: layer expects an instance of Layer"):
            ActivationRecorder(wrong, X)


def test_states_are_those_that_the_activations_come_from() -> None:
    """Each goes into a model of the same build, buffers too, which then returns what was kept beside it."""
    model = Sequential([Dense(3, 4, rng=0), BatchNorm(4), Dense(4, 1, rng=1)])
    found = ActivationRecorder(model[:2], X, keep_states=True)
    Trainer(model, HalfSquaredError(), SGD(0.1)).fit(X, Y, 40, callbacks=[found])
    assert len(found.states) == len(found.steps) > 20
    assert found.model is model
    twin = Sequential([Dense(3, 4), BatchNorm(4), Dense(4, 1)])
    for state, activations in zip(found.states, found.activations, strict=True):
        twin.load_state_dict(state)
        np.testing.assert_array_equal(twin[:2].predict(X), activations)
    assert not np.array_equal(found.states[0]["1.running_mean"], found.states[-1]["1.running_mean"])


def test_states_are_kept_on_request_alone() -> None:
    """They take memory."""
    assert recorder().states == []
    with pytest.raises(ConfigError, match="ActivationRecorder: keep_states expects True or False, got 1"):
        ActivationRecorder(Square(), X, keep_states=1)


def test_another_model_is_not_mixed_with_the_last() -> None:
    """Not even where its trainer has made more steps."""
    found = ActivationRecorder(three_layer()[:2], X, keep_states=True)
    for steps in (3, 30):
        trainer = Trainer(three_layer(), HalfSquaredError(), SGD(1))
        trainer.fit(X, Y, steps)
        trainer.fit(X, Y, 4, callbacks=[found])
    assert found.steps == [30, 33]
    assert len(found.states) == len(found.activations) == len(found.steps)


def test_nothing_is_half_recorded() -> None:
    """A layer that fails leaves what there is."""
    found = ActivationRecorder(Dense(3, 1, rng=0), X[:, :2], keep_states=True)
    with pytest.raises(ShapeError, match="Dense expects"):
        Trainer(three_layer(), HalfSquaredError(), SGD(1)).fit(X, Y, 2, callbacks=[found])
    assert (found.steps, found.activations, found.states) == ([], [], [])


def test_number_of_entries_is_as_documented() -> None:
    """60,000 steps make 107 of them, which is the memory that states take."""
    found = ActivationRecorder(Square(), np.ones((1, 1)))
    trainer = Trainer(Dense(1, 1), HalfSquaredError(), SGD(1))
    found.on_fit_begin(trainer)
    for number in range(60_000):
        found.on_step_end(Step(trainer, number, 0.0, X, Y))
    assert len(found.steps) == 107
