"""A checkpoint that keeps the best: what it writes, what it remembers, and how it goes with the latest one."""

from collections.abc import Callable
from pathlib import Path
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
    FileFormatError,
    MeanSquaredError,
    StateDictError,
    Trainer,
    load,
    load_weights,
    resume,
    save,
    save_checkpoint,
)
from minibackprop.saving.archive import read_archive, write_archive
from minibackprop.validation import Array
from tests.training.lines import Scripted, X, Y

VALIDATION = (X[:2], Y[:2])


def scored(values: list[float], seed: int = 0, done: int = 0) -> Trainer:
    """Make a trainer whose validation score is the next of these after each epoch."""
    metrics = {"score": Scripted(values[done:])}
    return Trainer(Dense(1, 1, rng=seed), MeanSquaredError(), SGD(0.1, momentum=0.5), metrics=metrics, rng=seed)


def best(path: Path, mode: str = "min", every: int = 1) -> Checkpoint:
    return Checkpoint(path, every, monitor="val_score", mode=mode, save_best_only=True)


def epoch_of(path: Path) -> int:
    """Read after which epoch a file was written."""
    epochs: int = read_archive(path)[1]["state"]["dict"]["trainer"]["dict"]["epochs"]
    return epochs


class Epochs(Callback):
    """Writes down after each epoch which one the file is of."""

    runs_last = True

    def __init__(self, path: Path) -> None:
        self.path, self.seen = path, []

    def on_epoch_end(self, run: Trainer, /) -> None:
        self.seen.append(epoch_of(self.path) if self.path.exists() else None)


@pytest.mark.parametrize(
    ("values", "mode", "every", "written"),
    [
        ([3, 2, 4, 1, 2], "min", 1, [1, 2, 2, 4, 4]),
        ([3, 2, 4, 1, 2], "max", 1, [1, 1, 3, 3, 3]),
        ([3, 3, 3], "min", 1, [1, 1, 1]),
        ([np.nan, 3, np.inf, -np.inf, 2], "min", 1, [None, 2, 2, 2, 5]),
        ([3, 2, 4, 1, 3], "min", 2, [None, 2, 2, 4, 4]),
        ([3, 2, 4, 1, 0], "min", 2, [None, 2, 2, 4, 5]),
    ],
)
def test_only_what_is_better_is_written(
    tmp_path: Path, values: list[float], mode: str, every: int, written: list[int | None]
) -> None:
    """At each epoch that is looked at; the last one of the fit does not force a worse one in."""
    epochs = Epochs(tmp_path / "best")
    callbacks = [best(tmp_path / "best", mode, every), epochs]
    scored(values).fit(X, Y, len(values), validation=VALIDATION, callbacks=callbacks)
    assert epochs.seen == written


def test_the_file_has_the_best_weights(tmp_path: Path) -> None:
    """Those that early stopping goes back to; the latest file has the last, from which a run can go on."""
    run = scored([3, 2, 1, 2, 2])
    stopping = EarlyStopping(2, "val_score", mode="min")
    callbacks = [stopping, best(tmp_path / "best"), Checkpoint(tmp_path / "latest")]
    run.fit(X, Y, 50, validation=VALIDATION, callbacks=callbacks)
    assert (epoch_of(tmp_path / "best"), epoch_of(tmp_path / "latest")) == (3, 5)
    np.testing.assert_equal(load_weights(tmp_path / "best"), run.model.state_dict())
    bare = scored([0] * 5)
    bare.fit(X, Y, 5, validation=VALIDATION)
    np.testing.assert_equal(load_weights(tmp_path / "latest"), bare.model.state_dict())


def test_another_fit_does_not_replace_a_better_file(tmp_path: Path) -> None:
    """The best is that of all fits that the callback sees, and is told in its state."""
    run, keep = scored([3, 1, 2, 2, 0.5]), best(tmp_path / "best")
    for epochs, written in ((2, 2), (2, 2), (1, 5)):
        run.fit(X, Y, epochs, validation=VALIDATION, callbacks=[keep])
        assert epoch_of(tmp_path / "best") == written
    assert keep.state_dict() == {"best": 0.5}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("end", [1, 2, 3, 4])
def test_a_resumed_run_does_not_replace_a_better_file(tmp_path: Path, order: int, end: int) -> None:
    """The best value is in the latest file, in whatever order the two stand, and in the best file itself."""
    values = [3, 1, 2, 2, 0.5]

    def callbacks() -> list[Callback]:
        return [best(tmp_path / "best"), Checkpoint(tmp_path / "latest")][::order]

    scored(values).fit(X, Y, end, validation=VALIDATION, callbacks=callbacks())
    again, resumed = callbacks(), scored(values, seed=1, done=end)
    resume(tmp_path / "latest", resumed, again)
    epochs = Epochs(tmp_path / "best")
    resumed.fit(X, Y, 5 - end, validation=VALIDATION, callbacks=[*again, epochs])
    assert epochs.seen == [1, 2, 2, 2, 5][end:]
    whole = scored(values)
    whole.fit(X, Y, 5, validation=VALIDATION)
    np.testing.assert_equal(resumed.model.state_dict(), whole.model.state_dict())


def test_going_on_from_the_best_file_itself(tmp_path: Path) -> None:
    """It knows its own value, and those of others that look at the same epoch, wherever they stand."""
    values = [3, 1, 0]
    callbacks = [best(tmp_path / "a"), best(tmp_path / "b"), best(tmp_path / "c", mode="max")]
    scored(values).fit(X, Y, 2, validation=VALIDATION, callbacks=callbacks)
    again = [best(tmp_path / name) for name in "abc"]
    resume(tmp_path / "a", scored(values, done=2), again)
    assert [each.best for each in again] == [1, 1, 3]


class Killed(BaseException):
    """A kill."""


@pytest.mark.parametrize("order", [1, -1])
def test_a_kill_between_the_two_files_loses_no_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    """The best is written first: what the latest file says of it is true, at any moment."""
    values = [3, 1, 2]
    callbacks = [best(tmp_path / "best"), Checkpoint(tmp_path / "latest")][::order]
    run = scored(values)
    written = []

    def write(path: Path, *content: Any) -> None:
        write_archive(path, *content)
        written.append(path.name)
        if len(written) == 3:
            raise Killed

    monkeypatch.setattr("minibackprop.saving.checkpoint.write_archive", write)
    with pytest.raises(Killed):
        run.fit(X, Y, 3, validation=VALIDATION, callbacks=callbacks)
    assert written == ["best", "latest", "best"]


def test_it_may_join_a_run_that_was_begun_without_it(tmp_path: Path) -> None:
    """A file without its memory is gone on from; it then begins anew. The memory of others is not left out."""
    values = [3, 1, 2]
    stopping, latest = EarlyStopping(5, "val_score", mode="min"), Checkpoint(tmp_path / "latest")
    scored(values).fit(X, Y, 1, validation=VALIDATION, callbacks=[stopping, latest])
    again, keep = EarlyStopping(5, "val_score", mode="min"), best(tmp_path / "best")
    run = scored(values, done=1)
    resume(tmp_path / "latest", run, [keep, again, latest])
    assert (again.best, keep.best) == (3, np.inf)
    run.fit(X, Y, 2, validation=VALIDATION, callbacks=[keep, again, latest])
    assert epoch_of(tmp_path / "best") == 2
    with pytest.raises(StateDictError, match="resume: best checkpoint 0 expects nothing, got Checkpoint"):
        resume(tmp_path / "latest", run, [again])
    resume(tmp_path / "latest", run, [again, keep])


def test_a_plain_one_remembers_nothing(tmp_path: Path) -> None:
    """So it need not be named where a run is resumed, and files of earlier releases are gone on from with it."""
    run = scored([3, 1, 2])
    run.fit(X, Y, 1, validation=VALIDATION, callbacks=[Checkpoint(tmp_path / "run")])
    for callbacks in ([], [Checkpoint(tmp_path / "run")], [Checkpoint(tmp_path / "a"), Checkpoint(tmp_path / "b")]):
        resume(tmp_path / "run", run, callbacks)
        save_checkpoint(run, tmp_path / "again", callbacks)
        assert (tmp_path / "again").read_bytes() == (tmp_path / "run").read_bytes()


class Wrapping(Callback):
    """A callback that hands an epoch on to a checkpoint of its own."""

    def __init__(self, inner: Checkpoint) -> None:
        self.inner = inner

    def on_epoch_end(self, run: Trainer, /) -> None:
        self.inner.on_epoch_end(run)


def test_one_that_is_not_in_the_list_saves_for_itself(tmp_path: Path) -> None:
    """Whoever calls it."""
    run = scored([3, 1, 2])
    wrapping = Wrapping(Checkpoint(tmp_path / "inner"))
    run.fit(X, Y, 2, validation=VALIDATION, callbacks=[wrapping, Checkpoint(tmp_path / "outer")])
    assert epoch_of(tmp_path / "inner") == epoch_of(tmp_path / "outer") == 2


def test_no_finite_value_is_told(tmp_path: Path) -> None:
    """That there is no file is not passed over."""
    with pytest.warns(UserWarning, match="Checkpoint: val_score was not finite in any of 3 epochs; no file"):
        scored([np.nan] * 3).fit(X, Y, 3, validation=VALIDATION, callbacks=[best(tmp_path / "best")])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"monitor": "val_loss"}, "monitor expects save_best_only=True beside it, got save_best_only=False"),
        ({"mode": "min"}, "mode expects save_best_only=True beside it, got save_best_only=False"),
        ({"monitor": 3, "save_best_only": True}, "monitor expects an instance of str, got int"),
        ({"mode": "best", "save_best_only": True}, "mode expects 'min', 'max' or None, got 'best'"),
        ({"save_best_only": 1}, "save_best_only expects True or False, got 1"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, Any], message: str) -> None:
    """A monitor that would not be looked at too."""
    with pytest.raises(ConfigError, match=f"^Checkpoint: {message}"):
        Checkpoint("run", **settings)


def test_the_validation_loss_is_watched_by_default(tmp_path: Path) -> None:
    """As `EarlyStopping` does; the error where there is none comes before the first step."""
    assert Checkpoint("run", save_best_only=True).monitor == "val_loss"
    run = scored([3])
    with pytest.raises(ConfigError, match=r"^Checkpoint: monitor .* fit has no validation data"):
        run.fit(X, Y, 1, callbacks=[Checkpoint(tmp_path / "run", save_best_only=True)])
    assert run.steps == 0


# --- Weights without a trainer ---------------------------------------------------------------------------------------


WRITERS: dict[str, Callable[[Trainer, Path], None]] = {
    "checkpoint": save_checkpoint,
    "model": lambda run, path: save(run.model, path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_weights_are_read_without_a_trainer(tmp_path: Path, kind: str) -> None:
    """From a checkpoint or a model: the arrays by the names of the model's `state_dict`."""
    run = scored([])
    run.fit(X, Y, 2)
    WRITERS[kind](run, tmp_path / "file")
    weights = load_weights(tmp_path / "file")
    np.testing.assert_equal(weights, run.model.state_dict())
    other = Dense(1, 1, rng=1)
    other.load_state_dict(weights)
    np.testing.assert_equal(other.predict(X), run.model.predict(X))


def changed(path: Path, change: Callable[[dict[str, Any], dict[str, Array]], Any]) -> None:
    """Write a file again with another content."""
    arrays, info = read_archive(path)
    change(info, arrays)
    write_archive(path, arrays, info)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Text, a missing file, one of another kind, and a checkpoint whose model is not there."""
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        load_weights(path)
    path.write_text("hello")
    with pytest.raises(FileFormatError, match="whole and unchanged"):
        load_weights(path)
    save_checkpoint(scored([]), path)
    with pytest.raises(FileFormatError, match=r"got a checkpoint; .*load_weights\(path\)"):
        load(path)
    changed(path, lambda info, _: info["state"]["dict"].update(model={"array": "nothing"}))
    with pytest.raises(FileFormatError, match="whole and unchanged"):
        load_weights(path)
    changed(path, lambda info, _: info.update(kind="something"))
    with pytest.raises(FileFormatError, match="a checkpoint that Checkpoint wrote, got something else"):
        load_weights(path)
