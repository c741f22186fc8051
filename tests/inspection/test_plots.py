import re
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet

from minibackprop import (
    SGD,
    ActivationRecorder,
    ConfigError,
    Dense,
    DTypeError,
    HalfSquaredError,
    History,
    Layer,
    NonFiniteError,
    Sequential,
    ShapeError,
    Sigmoid,
    Trainer,
    plot_decision_boundary,
    plot_hidden_activations,
    plot_history,
    plot_sigmoid,
    three_layer,
)
from minibackprop.validation import Array
from tests.example_layers import Square

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])
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


def recorder(steps: int = 30, fits: int = 1) -> ActivationRecorder:
    """Record the article's network over some steps."""
    model = three_layer()
    found, trainer = ActivationRecorder(model[:2], X), Trainer(model, HalfSquaredError(), SGD(1))
    for _ in range(fits):
        trainer.fit(X, Y, steps, callbacks=[found])
    return found


class Formula(Square):
    """A classifier that computes its scores by a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return self.function(*x.T), x


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


# --- Decision boundary ------------------------------------------------------------------------------------------------


def heights(ax: Axes) -> Array:
    """Read the map behind the samples, from low to high."""
    mesh = next(artist for artist in ax.collections if hasattr(artist, "get_coordinates"))
    return np.asarray(mesh.get_array()).reshape(mesh.get_coordinates().shape[0] - 1, -1)


def line(ax: Axes) -> Array:
    """Read the points of the boundary."""
    (contour,) = (artist for artist in ax.collections if isinstance(artist, QuadContourSet))
    return np.concatenate([path.vertices for path in contour.get_paths()])


@pytest.mark.parametrize(
    ("function", "logits"),
    [
        (lambda a, b: 3 * (a + b - 1)[:, np.newaxis], None),
        (lambda a, b: np.clip(0.5 + (a + b - 1)[:, np.newaxis] / 9, 0, 1), False),
    ],
    ids=["logit", "probability"],
)
def test_boundary_is_where_both_classes_are_as_likely(function: Any, logits: bool | None) -> None:
    """With one output, the line runs where a logit is 0, or a probability one half, and higher is above it."""
    ax = plot_decision_boundary(Formula(function), POINTS, [0, 0, 1], logits=logits, resolution=51)
    np.testing.assert_allclose(line(ax).sum(axis=1), 1, atol=0.01)
    assert heights(ax)[0, 0] < 0.5 < heights(ax)[-1, -1]
    assert heights(ax)[0, -1] != pytest.approx(heights(ax)[-1, 0])
    a, b = np.meshgrid(np.linspace(-1.2, 1.2, 51), np.linspace(-2.4, 2.4, 51))
    score = function(a.ravel(), b.ravel()).reshape(51, 51)
    expected = score if logits is False else 1 / (1 + np.exp(-score))
    np.testing.assert_allclose(heights(ax), expected, rtol=1e-12)


def test_sigmoid_at_the_end_makes_probabilities() -> None:
    """What ends with a sigmoid, nested too, is not put through another one, unless asked for."""
    score = Formula(lambda a, b: (a + 10 * b)[:, np.newaxis])
    plain = plot_decision_boundary(score, POINTS, [0, 0, 1], resolution=9)
    for model in (Sequential([score, Sigmoid()]), Sequential([score, Sequential([Sigmoid()])])):
        ax = plot_decision_boundary(model, POINTS, [0, 0, 1], resolution=9)
        np.testing.assert_array_equal(heights(ax), heights(plain))
    twice = plot_decision_boundary(model, POINTS, [0, 0, 1], resolution=9, logits=True)
    assert heights(twice).min() >= 0.5
    assert len(twice.collections) == 2  # No line, and no warning that there is none.


def test_regions_are_those_of_the_largest_score() -> None:
    """With an output for each class, every point has the number of the class that scores most."""
    model = Formula(lambda a, b: np.stack([-a, a, b + 0.5], axis=1))
    ax = plot_decision_boundary(model, POINTS, [0, 1, 2], resolution=40)
    a, b = np.meshgrid(np.linspace(-1.2, 1.2, 40), np.linspace(-2.4, 2.4, 40))
    np.testing.assert_array_equal(heights(ax), np.argmax([-a, a, b + 0.5], axis=0))
    assert ax.get_xlim() == pytest.approx((-1.2, 1.2))
    assert ax.get_ylim() == pytest.approx((-2.4, 2.4))


@pytest.mark.parametrize(
    "y",
    [[0, 2, 1], np.array([[0], [2], [1]]), np.eye(3)[[0, 2, 1]], [0.0, 2.0, 1.0]],
    ids=["N", "N1", "one-hot", "float"],
)
def test_samples_have_the_color_of_their_class(y: Any) -> None:
    """Each sample is drawn where it is, in the color of its class's region, however the classes are written."""
    ax = plot_decision_boundary(Dense(2, 3, rng=0), POINTS, y, resolution=5)
    mesh, dots = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), POINTS)
    np.testing.assert_array_equal(dots.get_array(), [0, 2, 1])
    assert dots.get_cmap() is mesh.get_cmap()
    assert dots.get_clim() == mesh.get_clim() == (0, 2)
    assert len({tuple(color) for color in dots.get_cmap()(np.arange(3))}) == 3


def test_colors_do_not_depend_on_which_classes_have_samples() -> None:
    """A class without samples keeps its color, and so do the others."""
    ax = plot_decision_boundary(Dense(2, 3, rng=0), POINTS, [1, 1, 2], resolution=5)
    assert [artist.get_clim() for artist in ax.collections] == [(0, 2), (0, 2)]


def test_samples_may_be_booleans_or_all_alike() -> None:
    """The exclusive or as booleans is drawn like numbers, and a single sample has a plane around it."""
    ax = plot_decision_boundary(
        Dense(2, 1, rng=0), np.array([[True, False], [False, True]]), [True, False], resolution=5
    )
    assert ax.get_xlim() == pytest.approx((-0.1, 1.1))
    ax = plot_decision_boundary(Dense(2, 1, rng=0), np.array([[3, 200]], np.uint8), [1], resolution=5)
    assert ax.get_ylim() == pytest.approx((199.9, 200.1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": Dense}, ConfigError, "model expects a Layer, got the class Dense itself"),
        ({"x": np.zeros((3, 3))}, ShapeError, "samples of two numbers, (N, 2), got (3, 3)"),
        ({"x": np.zeros(2)}, ShapeError, "samples of two numbers, (N, 2), got (2,)"),
        ({"x": np.zeros((0, 2))}, ShapeError, "samples of two numbers, (N, 2), got (0, 2)"),
        ({"x": [["a", "b"]]}, DTypeError, "x expects an array of numbers"),
        ({"x": [[0, 1], [2, 3], [4, np.nan]]}, NonFiniteError, "x must be finite"),
        ({"y": ["a", "b", "c"]}, DTypeError, "y expects an array of numbers"),
        ({"y": [0, 1]}, ShapeError, "(3,), (3, 1) or one-hot, (3, 2), got (2,)"),
        ({"y": np.eye(3)}, ShapeError, "or one-hot, (3, 2), got (3, 3)"),
        ({"y": [0, 1, 2]}, ConfigError, "classes from 0 to 1, got 2"),
        ({"y": [0, 1, -1]}, ConfigError, "classes from 0 to 1, got -1"),
        ({"y": [0, 0.5, 1]}, ConfigError, "classes from 0 to 1, got 0.5"),
        ({"resolution": 1}, ConfigError, "an integer of at least 2, got 1"),
        ({"resolution": 10.0}, ConfigError, "an integer of at least 2, got 10.0"),
        ({"model": Dense(3, 1)}, ShapeError, "Dense expects (..., 3)"),
        ({"model": Formula(lambda a, b: a + b)}, ShapeError, "to return (N, classes) or (N, 1), got (25,)"),
        ({"model": Formula(lambda *_: np.ones((3, 2)))}, ShapeError, "to return (N, classes) or (N, 1), got (3, 2)"),
        ({"model": Formula(lambda *_: np.full((25, 1), np.inf))}, NonFiniteError, "output must be finite"),
    ],
)
def test_bad_input_of_the_boundary_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    """What cannot be drawn is refused with the reason, before there is a figure."""
    arguments = {"model": Dense(2, 1, rng=0), "x": POINTS, "y": [0, 1, 1], "resolution": 5} | change
    with pytest.raises(error, match=re.escape(message)):
        plot_decision_boundary(**arguments)
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
