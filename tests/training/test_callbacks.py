import io
import sys
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    Callback,
    ConfigError,
    Dense,
    EarlyStopping,
    HalfSquaredError,
    MeanSquaredError,
    NonFiniteError,
    Plan,
    PrintEvery,
    ProgressBar,
    SoftmaxCrossEntropy,
    Step,
    Trainer,
    mean_absolute_error,
)
from minibackprop.validation import Array
from tests.example_layers import Scale

X = np.array([[0.0], [1.0], [2.0]])

Y = 3 * X + 1


def new_trainer(rate: float = 0.1) -> Trainer:
    """Make a trainer of a line, always the same."""
    return Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(rate), rng=0)


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


def test_a_fit_that_cannot_begin_changes_nothing() -> None:
    """Where a callback refuses to begin, none is told of an end: the state that was resumed stays for the next try."""

    class Refuse(Callback):
        runs_last = True

        def on_fit_begin(self, trainer: Trainer, /) -> None:
            raise OSError

    trainer, stopping = run([3, 2, 1, 2, 2], patience=2)
    state = stopping.state_dict()
    trainer.model.weight.value[...] = 7.0
    stopping.load_state_dict(state)
    with pytest.raises(OSError):  # noqa: PT011
        trainer.fit(X, Y, 5, validation=(X[:2], Y[:2]), callbacks=[stopping, Refuse()])
    assert trainer.model.weight.value == 7.0
    trainer.fit(X, Y, 5, validation=(X[:2], Y[:2]), callbacks=[stopping])
    assert trainer.epochs == 5
    assert trainer.model.weight.value == state["best_weights"]["weight"]


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


# --- PrintEvery ------------------------------------------------------------------------------------------------------


def test_print_every(capsys: pytest.CaptureFixture[str]) -> None:
    """The error is printed at step 0 and every so many steps from there, over fits, with its metric's name."""
    trainer, errors = new_trainer(), []

    def record(step: Step) -> None:
        errors.append(mean_absolute_error(step.prediction, step.target))

    for _ in range(2):
        trainer.fit(X, Y, 4, callbacks=[record, PrintEvery(3)])
    lines = [f"step {step}: mean absolute error {errors[step]:.12g}\n" for step in (0, 3, 6)]
    assert capsys.readouterr().out == "".join(lines)


def test_print_every_takes_a_metric_and_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """Any function of prediction and target is printed, to any file."""

    def worst(prediction: Array, target: Array) -> float:
        return float(np.abs(prediction - target).max())

    file = io.StringIO()
    Trainer(Scale([1.0]), HalfSquaredError(), SGD(1)).fit(
        [[1.0], [2.0]], [[0.5], [0.0]], 1, callbacks=[PrintEvery(1, worst, file)]
    )
    assert file.getvalue() == "step 0: worst 2\n"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "10"])
def test_print_every_positive_number_of_steps(steps: object) -> None:
    """Anything but a positive integer is refused."""
    with pytest.raises(ConfigError, match=f"PrintEvery: steps expects a positive integer, got {steps!r}"):
        PrintEvery(steps)


def test_print_every_falls_back_to_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    """Labels have no mean absolute error."""
    trainer = Trainer(Dense(1, 2, rng=0), SoftmaxCrossEntropy(), SGD(0.1))
    history = trainer.fit(X, np.array([0, 1, 1]), 2, callbacks=[PrintEvery(2)])
    assert capsys.readouterr().out == f"step 0: loss {history.loss[0]:.12g}\n"


# --- EarlyStopping ---------------------------------------------------------------------------------------------------


class Scripted:
    """A metric that gives the next of some values each time it is asked about the validation data."""

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)

    def __call__(self, prediction: np.ndarray, target: np.ndarray) -> float:
        return next(self.values) if len(target) == 2 else 0.0


def run(values: list[float], name: str = "score", epochs: int = 50, **settings: Any) -> tuple[Trainer, EarlyStopping]:
    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.1), metrics={name: Scripted(values)})
    settings = {"mode": "min" if name == "score" else None} | settings
    stopping = EarlyStopping(monitor=f"val_{name}", **settings)
    trainer.fit(X, Y, epochs, validation=(X[:2], Y[:2]), callbacks=[stopping])
    return trainer, stopping


@pytest.mark.parametrize(
    ("values", "settings", "epochs", "best_epoch"),
    [
        ([3, 2, 1, 2, 2, 2, 9], {"patience": 3}, 6, 2),
        ([3, 2, 2, 2, 1], {"patience": 2}, 4, 1),
        ([3, 2, 1.9, 1.8, 1.7], {"patience": 2, "min_delta": 0.5}, 4, 1),
        ([3, 2, 1.9, 1.4, 1.3, 1.2], {"patience": 2, "min_delta": 0.5}, 6, 3),
        ([1, 2, 3, 2, 2], {"patience": 2, "mode": "max"}, 5, 2),
        ([1, 2, 3, 2, 2], {"patience": 2, "name": "accuracy"}, 5, 2),
        ([1, 2, 3, 2, 2], {"patience": 2, "name": "accuracy", "mode": "min"}, 3, 0),
        ([3, np.nan, np.nan, np.nan], {"patience": 3}, 4, 0),
        ([np.nan, 2, 3, 4], {"patience": 2}, 4, 1),
    ],
)
def test_early_stopping_ends_when_nothing_gets_better(
    values: list[float], settings: dict[str, Any], epochs: int, best_epoch: int
) -> None:
    """It ends after `patience` epochs without improvement by more than `min_delta`, in the direction that is better."""
    trainer, stopping = run(values, **settings)
    assert trainer.epochs == epochs
    assert stopping.best_epoch == best_epoch
    assert stopping.best == values[best_epoch]
    assert stopping.wait == settings["patience"]


@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping_restores_the_best_weights(restore: bool) -> None:
    """The weights are those after the best epoch, or where that is not wanted, the last."""
    trainer, _ = run([3, 2, 1, 2, 2], patience=2, restore_best=restore)
    reference = new_trainer()
    reference.fit(X, Y, 3 if restore else 5)
    assert trainer.model.state_dict() == reference.model.state_dict()


def test_early_stopping_restores_after_an_error_too() -> None:
    """Training that diverges leaves the best weights, not the last."""
    trainer = new_trainer(rate=5.0)
    with pytest.raises(NonFiniteError, match="try a smaller learning rate"):
        trainer.fit(X, Y, 10_000, validation=(X, Y), callbacks=[EarlyStopping(9999)])
    reference = new_trainer(rate=5.0)
    reference.fit(X, Y, 1)
    assert trainer.model.state_dict() == reference.model.state_dict()


def test_early_stopping_begins_anew() -> None:
    """Another fit has patience again, unless a checkpoint's state was loaded: that is gone on from."""
    trainer, stopping = run([3, 2, 1, 2, 2], patience=2)
    state = stopping.state_dict()
    trainer.metrics = {"score": Scripted([5, 4, 6, 6])}
    trainer.fit(X, Y, 50, validation=(X[:2], Y[:2]), callbacks=[stopping])
    assert (stopping.best, stopping.best_epoch) == (4, 6)
    stopping.load_state_dict(state)
    trainer.fit(X, Y, 50, validation=(X[:2], Y[:2]), callbacks=[stopping])
    assert (stopping.best, stopping.best_epoch, stopping.wait, trainer.epochs) == (1, 2, 2, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patience": 0}, "EarlyStopping: patience expects a positive integer, got 0"),
        ({"mode": "best"}, "EarlyStopping: mode expects 'min', 'max' or None, got 'best'"),
        ({"min_delta": np.nan}, "EarlyStopping: min_delta expects a finite number of at least 0, got nan"),
        ({"monitor": 5}, "EarlyStopping: monitor expects an instance of str, got int"),
        ({"restore_best": 1}, "EarlyStopping: restore_best expects True or False, got 1"),
    ],
)
def test_early_stopping_refuses(arguments: dict[str, Any], message: str) -> None:
    """Nonsense is refused at construction."""
    with pytest.raises(ConfigError, match=message):
        EarlyStopping(**arguments)


def test_early_stopping_needs_its_value() -> None:
    """A value that the history has not is named, with those that it has."""
    trainer = new_trainer()
    with pytest.raises(
        ConfigError, match=r"monitor expects one of \['loss'\], got 'val_loss': fit has no validation data"
    ):
        trainer.fit(X, Y, 5, callbacks=[EarlyStopping()])
    assert trainer.steps == 0


def test_state_of_early_stopping_is_a_copy() -> None:
    """What is done to the arrays of a state does not reach the best weights, nor those of who loaded it."""
    trainer, stopping = run([3, 2, 1, 2, 2], patience=2)
    best = trainer.model.state_dict()
    state = stopping.state_dict()
    other = EarlyStopping(monitor="val_score", patience=2, mode="min")
    other.load_state_dict(state)
    for array in state["best_weights"].values():
        array[...] = 7
    for each in (stopping, other):
        np.testing.assert_equal(each.state_dict()["best_weights"], best)


# --- ProgressBar -----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_in_a_log_file() -> None:
    """Where no line can be redrawn, a tenth of the epochs get a plain line, without control characters."""
    log = io.StringIO()
    trainer = new_trainer()
    trainer.fit(X, Y, 3, batch_size=1)
    trainer.fit(X, Y, 25, batch_size=2, validation=(X, Y), callbacks=[ProgressBar(log)])
    lines = log.getvalue().splitlines()
    epochs = [line.partition(":")[0] for line in lines]
    assert epochs == [f"epoch {done} of 25" for done in (3, 5, 8, 10, 13, 15, 18, 20, 23, 25)]
    assert lines[-1].startswith("epoch 25 of 25: loss ")
    assert all(f"val_loss {trainer.history['val_loss'][-1]:.4g}" in line for line in lines[-1:])
    assert "\r" not in log.getvalue()


def test_progress_tells_the_last_epoch() -> None:
    """Also where training is stopped long before the first tenth, and before an epoch that is not one of those told."""
    for patience, told in ((2, ["epoch 3 of 1000"]), (104, ["epoch 100 of 1000", "epoch 105 of 1000"])):
        log = io.StringIO()
        stopping = EarlyStopping(patience, monitor="loss", min_delta=1e9)
        new_trainer().fit(X, Y, 1000, callbacks=[stopping, ProgressBar(log)])
        assert [line.partition(":")[0] for line in log.getvalue().splitlines()] == told


def test_progress_in_a_terminal() -> None:
    """A bar over all steps shows the epoch, the loss and the metrics, and is closed with its last state."""
    terminal = Terminal()
    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.1), metrics={"size": lambda p, _: len(p)})
    trainer.fit(X, Y, 4, batch_size=2, callbacks=[ProgressBar(terminal)])
    last = terminal.getvalue().rpartition("\r")[2]
    assert "epoch 4/4" in last
    assert "8/8" in last
    assert "size=1.67" in last
    assert f"loss={trainer.history.loss[-1]:.3g}" in last


def test_progress_bar_is_closed_after_an_error() -> None:
    """The terminal is left with a finished line; another fit can show another bar."""
    terminal = Terminal()
    bar = ProgressBar(terminal)

    def fail(_: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        new_trainer().fit(X, Y, 4, callbacks=[bar, fail])
    assert terminal.getvalue().endswith("\n")
    new_trainer().fit(X, Y, 4, callbacks=[bar])
    assert "epoch 4/4" in terminal.getvalue()


def test_progress_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tqdm, the error says what to install, before the first step."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    trainer = new_trainer()
    with pytest.raises(ImportError, match=r'pip install "minibackprop\[progress\]"'):
        trainer.fit(X, Y, 4, callbacks=[ProgressBar(Terminal())])
    assert trainer.steps == 0
