from typing import Any

import numpy as np
import pytest

from minibackprop import (
    L2,
    SGD,
    Callback,
    ConfigError,
    Dense,
    HalfSquaredError,
    Layer,
    MeanSquaredError,
    Parameter,
    Plan,
    PrintEvery,
    Step,
    Trainer,
)
from minibackprop.training.callbacks import after_steps, before_steps
from minibackprop.validation import Array
from tests.training.lines import X, Y, new_trainer


class Log(Callback):
    """Writes down what it is called for."""

    def __init__(self, events: list[str], name: str = "") -> None:
        self.events, self.name = events, name

    def on_fit_begin(self, trainer: Trainer, /) -> None:
        self.events.append(f"{self.name}begin {trainer.epochs}")

    def on_step_end(self, step: Step, /) -> None:
        self.events.append(f"{self.name}step {step.number}")

    def on_epoch_end(self, trainer: Trainer, /) -> None:
        assert len(trainer.history) == trainer.epochs
        self.events.append(f"{self.name}epoch {trainer.epochs}")

    def on_fit_end(self, trainer: Trainer, /) -> None:
        self.events.append(f"{self.name}end {trainer.epochs}")


class Late(Log):
    runs_last = True


# --- When callbacks are called ---------------------------------------------------------------------------------------


def test_events_come_in_order() -> None:
    """Begin, the steps of an epoch, the epoch, and so on, and the end; those that run last, last each time."""
    events: list[str] = []
    new_trainer().fit(X, Y, 2, batch_size=2, callbacks=[Late(events, "late "), Log(events)])
    expected = ["begin 0", "step 0", "step 1", "epoch 1", "step 2", "step 3", "epoch 2", "end 2"]
    assert events == [f"{name}{event}" for event in expected for name in ("", "late ")]


def test_a_callback_that_overrides_nothing_does_nothing() -> None:
    """The base class is a callback too."""
    assert len(new_trainer().fit(X, Y, 2, callbacks=[Callback()]).loss) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_end_is_told_however_fit_ends(error: type[BaseException]) -> None:
    """After an error, or Ctrl-C, every callback that was told of the beginning is told of the end."""
    events: list[str] = []

    def fail(step: Step) -> None:
        if step.number == 1:
            raise error

    with pytest.raises(error):
        new_trainer().fit(X, Y, 5, callbacks=[Log(events), fail])
    assert events == ["begin 0", "step 0", "epoch 1", "step 1", "end 1"]


def test_plan() -> None:
    """A callback can see how many epochs and steps are meant to be made, where that is known."""
    plans = []

    class Look(Callback):
        def on_fit_begin(self, trainer: Trainer, /) -> None:
            plans.append(trainer.plan)

    look = Look()
    new_trainer().fit(X, Y, 4, callbacks=[look])
    new_trainer().fit(X, Y, 4, batch_size=2, callbacks=[look])
    new_trainer().fit([(X, Y)] * 3, epochs=4, callbacks=[look])
    new_trainer().fit(lambda: iter([(X, Y)]), epochs=4, callbacks=[look])
    assert plans == [Plan(4, steps, ("loss",)) for steps in (4, 8, 12, None)]


@pytest.mark.parametrize("batch_size", [None, 1])
def test_stop(batch_size: int | None) -> None:
    """A callback can end the run after any step or epoch, which still counts; the next fit runs as usual."""
    trainer = new_trainer()

    def stop_at_4(step: Step) -> None:
        if step.number == 4:
            step.trainer.stop()

    trainer.fit(X, Y, 10, batch_size=batch_size, callbacks=[stop_at_4])
    assert trainer.steps == 5
    assert trainer.epochs == len(trainer.history) == (5 if batch_size is None else 2)
    trainer.fit(X, Y, 3)
    assert trainer.steps == 8


def test_every_end_is_told() -> None:
    """A callback that fails at the end keeps no other from ending."""
    events: list[str] = []

    class Fail(Callback):
        def on_fit_end(self, trainer: Trainer, /) -> None:
            raise ValueError("here")

    trainer = new_trainer()
    with pytest.raises(ValueError, match="here"):
        trainer.fit(X, Y, 1, callbacks=[Fail(), Log(events)])
    assert events[-1] == "end 1"
    assert trainer.callbacks == ()


def test_callbacks_see_the_prediction_before_the_update() -> None:
    """A callback gets the trainer, the step's number, loss and target, and the prediction that the step came from."""
    trainer, seen = new_trainer(), []
    expected = trainer.model.predict(X)

    def watch(step: Step) -> None:
        nonlocal expected
        assert step.trainer is trainer
        np.testing.assert_array_equal(step.prediction, expected)
        np.testing.assert_array_equal(step.target, Y)
        assert step.loss == trainer.loss(expected, Y)
        seen.append(step.number)
        expected = trainer.model.predict(X)
        assert not np.array_equal(expected, step.prediction)

    trainer.fit(X, Y, 2, callbacks=[watch])
    trainer.fit(X, Y, 2, callbacks=iter([watch]))
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("callbacks", [PrintEvery(1), None, [PrintEvery], [3]])
def test_callbacks_are_a_list_of_callables(callbacks: object) -> None:
    """What cannot be called after a step is refused before the first."""
    model = Dense(1, 1, rng=0)
    before = model.state_dict()
    trainer = Trainer(model, HalfSquaredError(), SGD(1))
    with pytest.raises(ConfigError, match=r"Trainer\.fit: callbacks expects"):
        trainer.fit([[1.0]], [[1.0]], 1, callbacks=callbacks)
    np.testing.assert_array_equal(model.state_dict()["weight"], before["weight"])


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_callback_that_fails_leaves_no_gradients(error: type[BaseException]) -> None:
    """What a callback added to the gradients before it failed, or was stopped, is forgotten."""
    model = Dense(1, 1, rng=0)

    def look(_: Step) -> None:
        y, cache = model.forward(np.ones((2, 1)))
        model.backward(y, cache)
        raise error

    trainer = Trainer(model, HalfSquaredError(), SGD(1))
    with pytest.raises(error):
        trainer.fit([[1.0]], [[1.0]], 1, callbacks=[look])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert trainer.steps == 1


# --- Before a step ---------------------------------------------------------------------------------------------------


class Gradients(Callback):
    """Keeps a copy of the gradients of each step."""

    def __init__(self) -> None:
        self.seen: list[list[Array]] = []

    def on_before_step(self, trainer: Trainer, /) -> None:
        self.seen.append([parameter.grad.copy() for parameter in trainer.model.parameters()])


@pytest.mark.parametrize("options", [{}, {"micro_batch_size": 1}], ids=["whole", "micro-batches"])
def test_gradients_are_seen_before_the_step(options: dict[str, Any]) -> None:
    """They are those of the whole batch and of the penalty, once a step, and the step is made from them."""
    look, penalty = Gradients(), L2(0.5)
    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.1), regularizer=penalty, rng=0)
    before = trainer.model.state_dict()
    trainer.fit(X, Y, 1, callbacks=[look], **options)
    other = Dense(1, 1, rng=0)
    prediction, cache = other.forward(X)
    other.accumulate(trainer.loss.backward(trainer.loss.forward(prediction, Y)[1]), cache)
    penalty.backward(other.parameters())
    (seen,) = look.seen
    for grad, parameter, old in zip(seen, other.parameters(), before.values(), strict=True):
        np.testing.assert_allclose(grad, parameter.grad, rtol=1e-14)
        np.testing.assert_allclose(old - 0.1 * grad, trainer.model.state_dict()[parameter_name(other, parameter)])
    trainer.fit(X, Y, 3, batch_size=2, callbacks=[look])
    assert len(look.seen) == 1 + 6


def parameter_name(model: Layer, parameter: Parameter) -> str:
    """Find the name of a parameter."""
    return next(name for name, other in model.named_parameters() if other is parameter)


def test_what_is_bound_before_the_step_is_what_the_step_takes() -> None:
    """Clipping of one's own: a new array in the place of the gradient is what the optimizer gets."""

    class Sign(Callback):
        def on_before_step(self, trainer: Trainer, /) -> None:
            for parameter in trainer.model.parameters():
                parameter.grad = np.sign(parameter.grad)

    trainer = new_trainer(rate=0.125)
    before = trainer.model.state_dict()
    trainer.fit(X, Y, 4, callbacks=[Sign()])
    moves = {name: np.abs(value - before[name]) for name, value in trainer.model.state_dict().items()}
    assert all(np.allclose(move, 0.5, rtol=1e-14) for move in moves.values())


def test_an_error_before_the_step_leaves_no_step() -> None:
    """The weights stay as they were, no step is counted, and no gradient is left behind."""

    class Fail(Callback):
        def on_before_step(self, trainer: Trainer, /) -> None:
            raise ValueError("too large")

    trainer = new_trainer()
    before = trainer.model.state_dict()
    with pytest.raises(ValueError, match="too large"):
        trainer.fit(X, Y, 4, callbacks=[Fail()])
    assert trainer.model.state_dict() == before
    assert trainer.steps == 0
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_only_what_acts_is_called() -> None:
    """A callback that does not override an event costs nothing at it; a callable is called after steps alone."""
    look, log = Gradients(), Log([])
    assert before_steps([look, log, Callback(), print]) == [look.on_before_step]
    assert after_steps([look, log, Callback(), print]) == [log.on_step_end, print]
