import io
import sys
import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from minibackprop import (
    SGD,
    ConfigError,
    Dense,
    EarlyStopping,
    HalfSquaredError,
    MeanSquaredError,
    PrintEvery,
    ProgressBar,
    SoftmaxCrossEntropy,
    Step,
    Trainer,
    mean_absolute_error,
)
from minibackprop.validation import Array
from tests.example_layers import Scale
from tests.training.lines import X, Y, new_trainer
from tests.training.notebooks import Notebook

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


def test_progress_in_a_notebook_without_widgets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar is a line of text with its own place, not among errors or prints, and no warning asks for ipywidgets."""
    notebook = Notebook(monkeypatch)
    for name in ("tqdm.auto", "tqdm.autonotebook", "tqdm.notebook"):  # As if imported for the first time.
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", sys)  # By which tqdm knows a notebook.
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with warnings.catch_warnings(record=True) as warned:  # An error, tqdm would catch.
        warnings.simplefilter("always")
        new_trainer().fit(X, Y, 4, callbacks=[ProgressBar(), PrintEvery(10)])
    out, err = capsys.readouterr()
    assert out.startswith("step 0: mean absolute error")
    assert (err, warned) == ("", [])
    (line,) = notebook.outputs
    assert line["text/plain"].startswith("epoch 4/4: 100%|██████████| ")


@pytest.mark.parametrize("stops", [True, False])
def test_a_widget_is_red_after_an_error_alone(stops: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where training was asked to stop early, as tqdm would have it: it sees only that steps are left."""
    styles: list[str] = []

    class Widget:
        def __init__(self, **_: object) -> None:
            pass

        def update(self) -> None:
            pass

        def set_description(self, *_: object, **__: object) -> None:
            pass

        set_postfix = set_description

        def disp(self, bar_style: str, check_delay: bool) -> None:
            styles.append(bar_style)

        def close(self) -> None:
            self.disp(bar_style="danger", check_delay=False)

    def end(step: Step) -> None:
        if not stops:
            raise KeyboardInterrupt
        step.trainer.stop()

    Notebook(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=Widget))
    with nullcontext() if stops else pytest.raises(KeyboardInterrupt):
        new_trainer().fit(X, Y, 4, callbacks=[ProgressBar(), end])
    assert styles[-1] == ("success" if stops else "danger")


def test_progress_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tqdm, the error says what to install, before the first step."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    trainer = new_trainer()
    with pytest.raises(ImportError, match=r'pip install "minibackprop\[progress\]"'):
        trainer.fit(X, Y, 4, callbacks=[ProgressBar(Terminal())])
    assert trainer.steps == 0
