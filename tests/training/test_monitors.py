import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    Callback,
    Checkpoint,
    ConfigError,
    Dense,
    EarlyStopping,
    MeanSquaredError,
    MovingAverage,
    NonFiniteError,
    ReduceLROnPlateau,
    StateDictError,
    Trainer,
)
from tests.training.lines import Scripted, X, Y, new_trainer

# --- EarlyStopping ---------------------------------------------------------------------------------------------------


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


# --- Direction and presence of a monitor -----------------------------------------------------------------------------


MONITORS: dict[str, Callable[..., Any]] = {
    "EarlyStopping": EarlyStopping,
    "ReduceLROnPlateau": ReduceLROnPlateau,
    "Checkpoint": partial(Checkpoint, "never_written", save_best_only=True),
}
each_monitor = pytest.mark.parametrize("name", MONITORS)


@each_monitor
@pytest.mark.parametrize("monitor", ["val_acc", "acc", "val_auc", "f1_loss", "word_accuracy", "val_", "Loss"])
def test_a_direction_is_asked_for(name: str, monitor: str) -> None:
    """Of a value that this package does not name, nobody can know whether smaller is better."""
    message = f'{name}: mode expects mode="min" or mode="max", as .* values of {monitor!r} are better, got None'
    with pytest.raises(ConfigError, match=re.escape(message).replace(r"\.\*", ".*")):
        MONITORS[name](monitor=monitor)
    for mode, worst in (("min", np.inf), ("max", -np.inf)):
        assert MONITORS[name](monitor=monitor, mode=mode).worst == worst


@each_monitor
@pytest.mark.parametrize("prefix", ["", "val_"])
def test_known_directions(name: str, prefix: str) -> None:
    """The loss and the metrics of this package have one, of training and of validation; `mode` overrules it."""
    for known in ("loss", "mean_absolute_error", "mean_squared_error"):
        assert MONITORS[name](monitor=prefix + known).worst == np.inf
        assert MONITORS[name](monitor=prefix + known, mode="max").worst == -np.inf
    for known in ("accuracy", "binary_accuracy", "top_k_accuracy", "r2_score"):
        assert MONITORS[name](monitor=prefix + known).worst == -np.inf
        assert MONITORS[name](monitor=prefix + known, mode="min").worst == np.inf


@each_monitor
@pytest.mark.parametrize(
    ("monitor", "validation", "expected"),
    [
        ("val_acc", None, r"\['loss', 'acc'\], got 'val_acc': fit has no validation data \(validation=\.\.\.\)$"),
        ("val_accuracy", 0.4, r"'acc', 'val_loss', 'val_acc'\], got 'val_accuracy': did you mean 'val_acc'\?$"),
        ("accuracy", 0.4, "got 'accuracy': did you mean 'acc'"),
        ("los", None, "got 'los': did you mean 'loss'"),
        ("val_f1", 0.4, r"got 'val_f1': the Trainer has no metric of that name \(metrics=\{'f1': \.\.\.\}\)$"),
    ],
)
def test_a_value_that_is_not_measured(name: str, monitor: str, validation: Any, expected: str) -> None:
    """The error says which names there will be and the nearest; of validation data only where there are none."""
    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.1), metrics={"acc": Scripted([])}, rng=0)
    with pytest.raises(ConfigError, match=f"^{name}: monitor expects one of .*{expected}"):
        trainer.fit(X, Y, 5, validation=validation, callbacks=[MONITORS[name](monitor=monitor, mode="max")])
    assert trainer.steps == 0


# --- Values that are no numbers --------------------------------------------------------------------------------------


def test_the_best_epoch_of_an_accuracy_is_kept() -> None:
    """A monitor of one's own with its mode: the weights are those of its largest value."""
    _, stopping = run([0.25, 0.5, 0.75, 0.5, 0.5], name="acc", patience=2, mode="max")
    assert (stopping.best, stopping.best_epoch) == (0.75, 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("restore", [True, False])
def test_no_finite_value_stops_with_a_warning(value: float, restore: bool) -> None:
    """There is no best; the run ends after `patience` epochs, and says so. The weights stay the last."""
    with pytest.warns(UserWarning, match=r"^EarlyStopping: val_score was not finite in any of 3 epochs; there are no"):
        trainer, stopping = run([value] * 9, patience=3, restore_best=restore)
    assert trainer.epochs == 3
    assert stopping.best_epoch is None
    reference = new_trainer()
    reference.fit(X, Y, 3)
    assert trainer.model.state_dict() == reference.model.state_dict()


def test_no_finite_value_is_told_before_patience_ends_too() -> None:
    """Where `fit` ends first, nothing is restored either, which is not passed over."""
    with pytest.warns(UserWarning, match="not finite in any of 2 epochs"):
        run([np.nan] * 9, patience=3, epochs=2)


def test_no_warning_where_there_was_a_best_or_no_epoch() -> None:
    """One finite value is enough, wherever it stands; and a run without epochs has nothing to tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run([np.nan, 1, np.nan, np.nan], patience=2)
        run([], epochs=0)


# --- Memory ----------------------------------------------------------------------------------------------------------


def memories() -> dict[str, Any]:
    """Make each callback that has a memory, with something in it."""
    watching = [EarlyStopping(monitor="loss"), ReduceLROnPlateau("loss", patience=1), MovingAverage(0.5)]
    new_trainer(1e-9).fit(X, Y, 3, callbacks=watching)
    checkpoint = Checkpoint("never_written", save_best_only=True)
    checkpoint.load_state_dict({"best": 0.5})
    return {type(each).__name__: each for each in (*watching, checkpoint)}


NONSENSE = [None, "a", 3, [], [1, 2], {}, {"more": 1.0}, {None: 1}]
WRONG = {
    "best": [None, "a", np.nan, [1.0], True, {}, 1j],
    "best_epoch": ["a", -1, 1.5, True, []],
    "wait": [None, "a", -1, 1.5, True, np.nan],
    "resting": [None, "a", -1, 1.5],
    "steps": [None, "a", -1, 1.5, 0, True],
    "reductions": [None, "a", 0.5, [None], ["a"], [0.0], [1.0], [np.nan], {}],
    "best_weights": [None, "a", 3, {"weight": None}, {"weight": "a"}, {"weight": np.array(["a"])}, {3: np.zeros(1)}],
    "weights": [None, "a", 3, {}, {"weight": [1.0]}, {"weight": np.array([None])}, {3: np.zeros(1)}],
}


@pytest.mark.parametrize("name", memories())
def test_a_memory_that_is_none_is_refused(name: str) -> None:
    """Whatever it is instead, the error is a StateDictError that names the callback, and nothing is changed."""
    callback = memories()[name]
    state = callback.state_dict()
    before = repr(vars(callback))
    wrong = [*NONSENSE, *(state | {entry: value} for entry in state for value in WRONG[entry]), state | {"more": 1}]
    for nonsense in wrong:
        with pytest.raises(StateDictError, match=name):
            callback.load_state_dict(nonsense)
        assert repr(vars(callback)) == before
    callback.load_state_dict(state)
    np.testing.assert_equal(callback.state_dict(), state)
