import re
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from minibackprop import (
    SGD,
    ActivationRecorder,
    ConfigError,
    Dense,
    HalfSquaredError,
    History,
    Layer,
    ShapeError,
    Trainer,
    plot_decision_boundary,
    plot_hidden_activations,
    plot_history,
    plot_sigmoid,
    three_layer,
)
from tests.example_layers import Square
from tests.inspection.recorded import X, recorder

POINTS = np.array([[-1.0, -2.0], [1.0, -2.0], [0.0, 2.0]])


@pytest.fixture(autouse=True)
def _settings_stay() -> Iterator[None]:
    """No test changes a setting of matplotlib."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before


def recorded(*values: dict[str, float]) -> History:
    """Make a history of some epochs."""
    history = History()
    for value in values:
        history.record(value)
    return history


# --- The axes ---------------------------------------------------------------------------------------------------------

each_plot = pytest.mark.parametrize(
    "plot",
    [
        lambda ax=None: plot_history(recorded({"loss": 1.0}, {"loss": 0.5}), ax=ax),
        lambda ax=None: recorded({"loss": 1.0}, {"loss": 0.5}).plot(ax=ax),
        lambda ax=None: plot_decision_boundary(Dense(2, 1, rng=0), POINTS, [0, 1, 1], ax=ax, resolution=20),
        lambda ax=None: plot_decision_boundary(Dense(2, 3, rng=0), POINTS, [0, 1, 2], ax=ax, resolution=20),
        lambda ax=None: plot_sigmoid(ax),
        lambda ax=None: plot_hidden_activations(recorder(), ax),
    ],
    ids=["history", "method", "one output", "classes", "sigmoid", "hidden"],
)


@each_plot
def test_axes_may_be_given_or_new(plot: Any) -> None:
    """A plot draws into the axes that it is given, or into those of one new figure, and returns them."""
    given, other = plt.subplots(1, 2)[1]
    assert plot(given) is given
    assert given.has_data()
    assert not other.has_data()
    assert plt.get_fignums() == [1]
    new = plot()
    assert isinstance(new, Axes)
    assert plt.get_fignums() == [1, new.figure.number]
    new.figure.canvas.draw()


@each_plot
def test_missing_matplotlib_is_said_with_the_extra(plot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=re.escape('pip install "minibackprop[plot]"')):
        plot()


# --- History ----------------------------------------------------------------------------------------------------------


def curves(ax: Axes) -> dict[str, tuple[list[float], list[float]]]:
    """Read the lines by their labels."""
    return {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines}


def test_history_is_drawn_over_the_epochs_from_1() -> None:
    """Training and validation are lines with their labels; the axes say what they show."""
    history = recorded(*({"loss": 1 / n, "val_loss": 2 / n, "top_accuracy": n} for n in (1.0, 2.0, 4.0)))
    ax = plot_history(history)
    assert curves(ax) == {"training": ([1, 2, 3], [1, 0.5, 0.25]), "validation": ([1, 2, 3], [2, 1, 0.5])}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert all(tick == int(tick) for tick in ax.get_xticks())
    other = plot_history(history, "top_accuracy")
    assert curves(other) == {"training": ([1, 2, 3], [1, 2, 4])}
    assert other.get_ylabel() == "top accuracy"
    assert curves(plot_history(history, "val_loss")) == {"validation": ([1, 2, 3], [2, 1, 0.5])}


def test_history_leaves_the_scale_of_given_axes() -> None:
    """Axes with a logarithmic scale keep it."""
    ax = plt.subplots()[1]
    ax.set_xscale("log")
    plot_history(recorded({"loss": 1.0}, {"loss": 2.0}), ax=ax)
    assert ax.get_xscale() == "log"


def test_single_epoch_is_seen() -> None:
    """One point makes no line, so it has a marker."""
    assert plot_history(recorded({"loss": 1.0})).lines[0].get_marker() == "o"
    assert plot_history(recorded({"loss": 1.0}, {"loss": 1.0})).lines[0].get_marker() != "o"


def test_history_must_have_what_is_to_be_drawn() -> None:
    """Another object, an unknown name and a history without epochs are refused, before there is a figure."""
    with pytest.raises(ConfigError, match=re.escape("expects one of ['loss'], got 'accuracy'")):
        plot_history(recorded({"loss": 1.0}), "accuracy")
    with pytest.raises(ConfigError, match="expects at least one epoch"):
        plot_history(History())
    with pytest.raises(ConfigError, match="expects a History, got dict"):
        plot_history({"loss": [1.0]})
    assert plt.get_fignums() == []


# --- The sigmoid ------------------------------------------------------------------------------------------------------


def test_sigmoid_is_drawn_with_its_tangents() -> None:
    """The curve is the logistic function; each segment touches it, with the slope that stands beside it."""
    ax = plot_sigmoid()
    curve, *tangents, points = ax.lines
    z, y = curve.get_data()
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-z)))
    middles = np.array([tangent.get_xydata().mean(axis=0) for tangent in tangents])
    np.testing.assert_allclose(middles, points.get_xydata(), atol=1e-12)
    np.testing.assert_allclose(middles[:, 1], np.interp(middles[:, 0], z, y), rtol=1e-12)
    steps = np.array([np.diff(tangent.get_xydata(), axis=0)[0] for tangent in tangents])
    slopes = steps[:, 1] / steps[:, 0]
    np.testing.assert_allclose(slopes, np.interp(middles[:, 0], z, np.gradient(y, z)), rtol=1e-3)
    assert [text.get_text() for text in ax.texts] == [f"{slope:.3f}" for slope in slopes]


# --- Hidden activations -----------------------------------------------------------------------------------------------


def test_hidden_activations_are_a_map_of_units_samples_and_steps() -> None:
    """Row by row, the map has each unit's activation for each sample, a column reaching to the next recorded step."""
    found = recorder(200)
    ax = plot_hidden_activations(found)
    mesh = ax.collections[0]
    edges, rows = mesh.get_coordinates()[0, :, 0], np.asarray(mesh.get_array())
    for unit in range(4):
        for sample in range(4):
            expected = [activations[sample, unit] for activations in found.activations]
            np.testing.assert_array_equal(rows[4 * unit + sample], expected)
    assert edges[:-1].tolist() == found.steps
    assert edges[-1] == pytest.approx(1.1 * found.steps[-1], abs=1)
    assert ax.get_ylim() == (16, 0)
    assert dict(zip(ax.get_yticks(), [text.get_text() for text in ax.get_yticklabels()], strict=True)) == {
        2: "unit 0",
        6: "unit 1",
        10: "unit 2",
        14: "unit 3",
    }
    assert [line.get_ydata()[0] for line in ax.lines] == [4, 8, 12]
    assert mesh.get_clim() == (0, 1)


def test_hidden_activations_beyond_0_to_1_are_in_the_range_of_colors() -> None:
    """Other activations than a sigmoid's widen the range."""
    found = ActivationRecorder(Square(), np.array([[2.0, 3.0]]))
    found.on_fit_begin(Trainer(Dense(1, 1), HalfSquaredError(), SGD(1)))
    assert plot_hidden_activations(found).collections[0].get_clim() == (0, 9)
    found.activations[0] = -found.activations[0]
    assert plot_hidden_activations(found).collections[0].get_clim() == (-9, 1)


def test_hidden_activations_must_be_recorded() -> None:
    """Nothing recorded, something else, or activations of other axes are refused, before there is a figure."""
    empty = ActivationRecorder(three_layer()[:2], X)
    with pytest.raises(ConfigError, match="expects to have watched a fit, got nothing recorded"):
        plot_hidden_activations(empty)
    with pytest.raises(ConfigError, match="expects an ActivationRecorder, got list"):
        plot_hidden_activations([np.zeros((4, 4))])
    flat: Layer = ActivationRecorder(Square(), np.zeros(3))
    flat.on_fit_begin(Trainer(Dense(1, 1), HalfSquaredError(), SGD(1)))
    with pytest.raises(ShapeError, match=re.escape("(samples, units), got (3,)")):
        plot_hidden_activations(flat)
    assert plt.get_fignums() == []
