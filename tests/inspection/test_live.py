import sys
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

import minibackprop.inspection.live
from minibackprop import SGD, Callback, ConfigError, Dense, History, LiveCurves, MeanSquaredError, Trainer, Workers
from tests.training.lines import X, Y, new_trainer
from tests.training.notebooks import Notebook

FigureCanvasAgg(Figure())  # With the first canvas of a class, matplotlib asks IPython more than the stand-in knows.


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note what is drawn, and of how many epochs."""
    found: list[tuple[str, int]] = []
    plot = minibackprop.inspection.live.plot_history

    def noted(history: History, name: str, ax: Any) -> Any:
        found.append((name, len(history)))
        return plot(history, name, ax)

    monkeypatch.setattr(minibackprop.inspection.live, "plot_history", noted)
    return found


def test_curves_are_redrawn_in_one_place(monkeypatch: pytest.MonkeyPatch, drawn: list[tuple[str, int]]) -> None:
    """After each epoch and at the end, each name beside the others, as a picture that replaces the last."""
    notebook, trainer = Notebook(monkeypatch), new_trainer()
    trainer.fit(X, Y, 2, validation=(X, Y), callbacks=[LiveCurves(["loss", "val_loss"], every=0)])
    assert drawn == [(name, epochs) for epochs in (1, 2, 2) for name in ("loss", "val_loss")]
    (picture,) = notebook.outputs
    assert notebook.updates == 2
    assert picture.data.startswith(b"\x89PNG")


def test_curves_have_the_colours_that_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a dark style, light labels stand on dark, not on white."""
    notebook = Notebook(monkeypatch)
    with mpl.rc_context({"figure.facecolor": "#102030"}):
        new_trainer().fit(X, Y, 1, callbacks=[LiveCurves()])
    corner = imread(BytesIO(notebook.outputs[0].data))[0, 0, :3]
    np.testing.assert_allclose(corner * 255, [0x10, 0x20, 0x30], atol=1)


def test_curves_wait_between_pictures(monkeypatch: pytest.MonkeyPatch, drawn: list[tuple[str, int]]) -> None:
    """The first epoch is drawn at once, the others when it is time, the last state at the end."""
    Notebook(monkeypatch)
    clock = iter([10.0, 10.5, 11.0, 11.0, 11.9, 12.0])
    monkeypatch.setattr(minibackprop.inspection.live, "monotonic", lambda: next(clock))
    new_trainer().fit(X, Y, 4, callbacks=[LiveCurves("loss", every=1)])
    assert [epochs for _, epochs in drawn] == [1, 3, 4]


def test_another_fit_has_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to the cell that runs."""
    notebook, trainer, curves = Notebook(monkeypatch), new_trainer(), LiveCurves()
    for _ in range(2):
        trainer.fit(X, Y, 1, callbacks=[curves])
    assert len(notebook.outputs) == 2


def test_the_last_state_is_drawn_after_an_error(monkeypatch: pytest.MonkeyPatch, drawn: list[tuple[str, int]]) -> None:
    """Also where Ctrl-C ends the fit; if there was no epoch, nothing."""

    class Interrupt(Callback):
        def __init__(self, epochs: int) -> None:
            self.epochs = epochs

        def on_step_end(self, step: Any, /) -> None:
            if step.trainer.epochs == self.epochs:
                raise KeyboardInterrupt

    notebook = Notebook(monkeypatch)
    for epochs in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            new_trainer().fit(X, Y, 4, callbacks=[LiveCurves(every=3600), Interrupt(epochs)])
    assert [found for _, found in drawn] == [1, 2]
    assert len(notebook.outputs) == 1


@pytest.mark.parametrize("where", ["Python", "IPython", "another process"])
def test_a_terminal_is_left_alone(
    where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is drawn or written, and matplotlib is not asked for; of many processes, the first draws."""
    notebook, workers = Notebook(monkeypatch, kernel=where == "another process"), Workers(1)
    workers.rank = int(where == "another process")
    if where == "Python":
        monkeypatch.delitem(sys.modules, "IPython")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.1), parallel=workers)
    trainer.fit(X, Y, 2, callbacks=[LiveCurves()])
    assert notebook.outputs == []
    assert "".join(capsys.readouterr()) == ""


def test_curves_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib, a notebook is told what to install, before the first step."""
    Notebook(monkeypatch)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    trainer = new_trainer()
    with pytest.raises(ImportError, match=r'LiveCurves needs matplotlib: pip install "minibackprop\[plot\]"'):
        trainer.fit(X, Y, 2, callbacks=[LiveCurves()])
    assert trainer.steps == 0


def test_curves_of_what_is_not_measured_are_refused() -> None:
    """Before the first step, in a terminal too."""
    trainer = new_trainer()
    with pytest.raises(ConfigError, match=r"LiveCurves: names expects some of \['loss'\], got 'val_loss'"):
        trainer.fit(X, Y, 2, callbacks=[LiveCurves(["loss", "val_loss"])])
    assert trainer.steps == 0


@pytest.mark.parametrize("names", [[], 3, None, [3], {}])
def test_names_must_be_names(names: object) -> None:
    """At least one, and each a string."""
    with pytest.raises(ConfigError, match="LiveCurves: names expects names of values"):
        LiveCurves(names)
