import re
import sys
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.animation import AbstractMovieWriter, FuncAnimation
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from minibackprop import (
    ActivationRecorder,
    Adam,
    BatchNorm,
    ConfigError,
    Dense,
    HalfSquaredError,
    Sequential,
    ShapeError,
    StateDictError,
    Trainer,
    animate_decision_boundary,
    animate_hidden_activations,
    animate_weights,
    plot_decision_boundary,
    three_layer,
)
from minibackprop.validation import Array
from tests.example_layers import Square
from tests.inspection.recorded import X, Y, recorder

FOUND = recorder(15, keep_states=True)
POINTS = X[:, :2]


class WithOne(Square):
    """Adds the third input of the article's samples."""

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return np.concatenate([x, np.ones((len(x), 1))], axis=1), x


class Frames(AbstractMovieWriter):
    """Looks at each frame instead of writing it."""

    def __init__(self, look: Callable[[Figure], Any]) -> None:
        super().__init__()
        self.look, self.seen = look, list[Any]()

    def setup(self, fig: Figure, outfile: Any, dpi: float | None = None) -> None:
        super().setup(fig, outfile, dpi)

    def grab_frame(self, **_: Any) -> None:
        self.seen.append((self.fig.get_suptitle(), self.look(self.fig)))

    def finish(self) -> None:
        pass


def frames(animation: FuncAnimation, look: Callable[[Figure], Any]) -> list[tuple[str, Any]]:
    """Give the title of each frame, and what is seen in it."""
    writer = Frames(look)
    animation.save("none.gif", writer=writer)
    return writer.seen


def maps(figure: Figure) -> list[Array]:
    """Read the maps in a figure."""
    return [np.array(image.get_array()) for ax in figure.axes for image in ax.images]


def mesh(figure: Figure) -> Array:
    """Read the heights over the plane."""
    (found,) = (artist for artist in figure.axes[0].collections if hasattr(artist, "get_coordinates"))
    return np.array(found.get_array())


def title(index: int) -> str:
    known = {0: "before the first step", 1: "after 1 step"}
    return known.get(FOUND.steps[index], f"after {FOUND.steps[index]:,} steps")


each_animation = pytest.mark.parametrize(
    "animate",
    [
        animate_hidden_activations,
        animate_weights,
        lambda found, **options: animate_decision_boundary(
            found, POINTS, Y, Sequential([WithOne(), found.model]), resolution=5, **options
        ),
    ],
    ids=["hidden", "weights", "boundary"],
)


def test_hidden_activations_are_those_that_were_recorded() -> None:
    """Each frame is a table of samples and units, with its numbers, and the steps that it was taken after."""
    animation = animate_hidden_activations(FOUND, frames=1000, figure=Figure())
    seen = frames(animation, lambda figure: (maps(figure), [text.get_text() for text in figure.axes[0].texts]))
    assert [title for title, _ in seen] == [title(index) for index in range(len(FOUND.steps))]
    for (_, ([image], texts)), activations in zip(seen, FOUND.activations, strict=True):
        np.testing.assert_array_equal(image, activations)
        assert texts == [f"{value:.2f}" for value in activations.ravel()]


def test_samples_have_the_names_of_their_input() -> None:
    """A few numbers that tell a sample; rows of many have none."""
    figure = Figure()
    frames(animate_hidden_activations(FOUND, frames=1, figure=figure), maps)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["0 0 1", "0 1 1", "1 0 1", "1 1 1"]
    wide = ActivationRecorder(Square(), np.arange(5.0).repeat(20).reshape(20, 5))
    wide.on_fit_begin(Trainer(Dense(1, 1), HalfSquaredError(), Adam()))
    figure = Figure()
    frames(animate_hidden_activations(wide, figure=figure), maps)
    ax, bar = figure.axes
    assert (len(ax.texts), ax.images[0].get_clim(), bar.get_ylabel()) == (0, (0, 16), "activation")
    assert [text.get_text() for text in ax.get_yticklabels()] == [str(row) for row in range(0, 20, 2)]


def test_weights_are_those_that_were_kept() -> None:
    """A map for each matrix, and in all frames the same range of colors, with 0 in the middle."""
    seen = frames(
        animate_weights(FOUND, frames=1000, figure=Figure()),
        lambda figure: (
            maps(figure),
            [ax.get_title() for ax in figure.axes],
            [ax.images[0].get_clim() for ax in figure.axes],
        ),
    )
    largest = {name: max(np.abs(state[name]).max() for state in FOUND.states) for name in ("0.weight", "2.weight")}
    for (_, (images, titles, limits)), state in zip(seen, FOUND.states, strict=True):
        assert titles == list(largest)
        assert limits == [(-most, most) for most in largest.values()]
        for image, name in zip(images, largest, strict=True):
            np.testing.assert_array_equal(image, state[name])


def test_weights_of_other_axes_are_drawn_as_matrices() -> None:
    """A vector is a row where it is asked for, and later axes stand side by side."""
    found = recorder(1, keep_states=True)
    found.states = [{"bias": np.arange(3.0), "kernel": np.arange(24.0).reshape(2, 3, 4)}] * len(found.states)
    shapes = {None: [(2, 12)], "bias": [(1, 3)], ("bias", "kernel"): [(1, 3), (2, 12)]}
    for names, expected in shapes.items():
        [*_, (_, images)] = frames(animate_weights(found, names, figure=Figure()), maps)
        assert [image.shape for image in images] == expected


def test_axes_have_names_where_they_are_inputs_and_outputs() -> None:
    """Those of a matrix are; a vector is no input, and the first axis of a convolution's kernel counts its outputs."""
    found = recorder(1, keep_states=True)
    found.states = [{"weight": np.ones((2, 2)), "bias": np.ones(3), "kernel": np.ones((2, 3, 4))}] * len(found.states)
    figure = Figure()
    frames(animate_weights(found, ("weight", "weight", "bias", "kernel"), frames=1, figure=figure), maps)
    named = {ax.get_title(): (ax.get_ylabel(), ax.get_xlabel()) for ax in figure.axes if ax.get_title()}
    assert named == {"weight": ("input", "output"), "bias": ("", ""), "kernel": ("", "")}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_seen_and_leaves_the_others_their_colors(odd: float) -> None:
    """A cell that says so, in letters that are not of its own color."""
    found = recorder(1, keep_states=True)
    found.activations[-1][0, 0] = found.states[-1]["0.weight"][0, 0] = odd
    for animate in (animate_hidden_activations, animate_weights):
        figure = Figure()
        frames(animate(found, figure=figure), maps)
        ax = figure.axes[0]
        cell, text = ax.images[0].to_rgba(np.array([[odd]]))[0, 0], ax.texts[0]
        assert text.get_text() == f"{odd:.2f}"
        assert cell[3] == 1
        assert abs(cell[:3].mean() - (0 if text.get_color() == "black" else 1)) > 0.5
        assert np.isfinite(ax.images[0].get_clim()).all()
        assert ax.images[0].get_clim()[1] < 3


def test_boundary_is_that_of_the_model_as_it_was() -> None:
    """Each frame is what `plot_decision_boundary` draws of it, and of one line there is one at a time."""
    plane = Sequential([WithOne(), FOUND.model])
    animation = animate_decision_boundary(FOUND, POINTS, Y, plane, frames=7, resolution=20, figure=Figure())

    def look(figure: Figure) -> tuple[Array, int]:
        return mesh(figure), sum(isinstance(artist, QuadContourSet) for artist in figure.axes[0].collections)

    seen = frames(animation, look)
    assert len(seen) == 7
    twin = three_layer()
    for name, (heights, lines) in seen:
        index = [title(index) for index in range(len(FOUND.steps))].index(name)
        twin.load_state_dict(FOUND.states[index])
        ax = Figure().subplots()
        plot_decision_boundary(Sequential([WithOne(), twin]), POINTS, Y, resolution=20, ax=ax)
        np.testing.assert_array_equal(heights, mesh(ax.figure))
        assert lines == 1
    assert seen[0][0] == "before the first step"
    assert seen[-1][0] == title(-1)


def test_boundary_of_several_classes_and_of_buffers() -> None:
    """By default it is that of the model that was trained, with the statistics that it had, and its classes."""
    model = Sequential([Dense(2, 8, rng=0), BatchNorm(8), Square(), Dense(8, 3, rng=1)])
    found = ActivationRecorder(model[:2], POINTS, keep_states=True)
    Trainer(model, HalfSquaredError(), Adam(0.1)).fit(POINTS, np.eye(4)[:, :3], 30, callbacks=[found])
    last = {name: value.copy() for name, value in model.state_dict().items()}
    animation = animate_decision_boundary(found, POINTS, [0, 1, 2, 0], resolution=9, figure=Figure())
    seen = frames(animation, mesh)
    assert len(seen) == len(found.steps)
    assert all(np.array_equal(value, last[name]) for name, value in model.state_dict().items()), (
        "the model is left alone"
    )
    for (_, heights), state in zip(seen, found.states, strict=True):
        model.load_state_dict(state)
        a, b = np.meshgrid(np.linspace(-0.1, 1.1, 9), np.linspace(-0.1, 1.1, 9))
        expected = model.predict(np.stack([a.ravel(), b.ravel()], axis=1)).argmax(axis=1)
        np.testing.assert_array_equal(heights.ravel(), expected)


@each_animation
def test_recorder_may_begin_anew_before_frames_are_drawn(animate: Any) -> None:
    """An animation is of what there was when it was made."""
    found = recorder(5, keep_states=True)
    animation = animate(found, figure=Figure())
    model = three_layer()
    Trainer(model, HalfSquaredError(), Adam(0.1)).fit(X, Y, 2, callbacks=[found])
    assert found.steps == [0, 1, 2]
    assert len(frames(animation, len_of_axes)) == 6


@each_animation
@pytest.mark.parametrize("count", [1, 2, 5, 17])
def test_frames_are_spread_from_the_first_to_the_last(animate: Any, count: int) -> None:
    """Of many records there are as many as asked for, both ends among them; of one, the last."""
    titles = [title for title, _ in frames(animate(FOUND, frames=count, figure=Figure()), len_of_axes)]
    assert len(titles) == len(set(titles)) == min(count, len(FOUND.steps))
    assert titles[-1] == title(-1)
    assert count == 1 or titles[0] == title(0)


def len_of_axes(figure: Figure) -> int:
    return len(figure.axes)


@each_animation
def test_nothing_trembles(animate: Any) -> None:
    """The axes stand where they are, whatever a frame shows, and no artists pile up."""

    def look(figure: Figure) -> list[Any]:
        figure.draw_without_rendering()
        return [(ax.get_position().bounds, len(ax.get_children())) for ax in figure.axes]

    figure = Figure(layout="constrained")
    first, *others = [place for _, place in frames(animate(FOUND, frames=4, figure=figure), look)]
    assert others == [first] * 3
    assert isinstance(figure.get_layout_engine(), (PlaceHolderLayoutEngine, type(None))), "nothing is laid out again"
    [title] = figure.texts
    assert title.get_window_extent().y0 > max(ax.get_tightbbox().y1 for ax in figure.axes), (
        "there is room for the title"
    )


@each_animation
def test_player_has_each_frame(animate: Any) -> None:
    """Matplotlib's own player can be made, of a new figure that is the only one."""
    html = animate(FOUND, frames=2).to_jshtml()
    assert len(re.findall(r"frames\[\d+\] = \"data:image/png", html)) == 2
    assert len(plt.get_fignums()) == 1


@each_animation
def test_missing_matplotlib_is_said_with_the_extra(animate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib, the error says how to install it."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=re.escape('pip install "minibackprop[plot]"')):
        animate(FOUND)


def late() -> ActivationRecorder:
    """Keep states from the second fit on."""
    model = three_layer()
    found, trainer = ActivationRecorder(model[:2], X), Trainer(model, HalfSquaredError(), Adam())
    for found.keep_states in (False, True):
        trainer.fit(X, Y, 3, callbacks=[found])
    assert 0 < len(found.states) < len(found.steps)
    return found


def grown() -> ActivationRecorder:
    """Record a model that has another layer later."""
    model = Grows()
    found = ActivationRecorder(model, POINTS, keep_states=True)
    Trainer(model, HalfSquaredError(), Adam()).fit(POINTS, Y, 2, callbacks=[found])
    model.parts.append(Dense(1, 1))
    return found


class Grows(Square):
    """A layer of a list of layers."""

    def __init__(self) -> None:
        self.parts = [Dense(2, 1, rng=0)]

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return self.parts[0].forward(x)

    def backward(self, grad: Array, cache: Array, /) -> Array:
        return self.parts[0].backward(grad, cache)

    def predict(self, x: Array, /) -> Array:
        return self.parts[0].predict(x)


def of_shape(*shape: int) -> ActivationRecorder:
    """Record activations of a shape."""
    found = ActivationRecorder(Square(), np.zeros(shape))
    found.on_fit_begin(Trainer(Dense(1, 1), HalfSquaredError(), Adam()))
    return found


@pytest.mark.parametrize(
    ("animate", "error", "message"),
    [
        (lambda: animate_hidden_activations([X]), ConfigError, "recorder expects an ActivationRecorder, got list"),
        (lambda: animate_hidden_activations(FOUND, frames=0), ConfigError, "frames expects a positive integer, got 0"),
        (
            lambda: animate_hidden_activations(FOUND, frames=2.0),
            ConfigError,
            "frames expects a positive integer, got 2",
        ),
        (lambda: animate_hidden_activations(of_shape(3)), ShapeError, "(samples, units), got (3,)"),
        (lambda: animate_hidden_activations(of_shape(0, 3)), ShapeError, "(samples, units), got (0, 3)"),
        (
            lambda: animate_weights(ActivationRecorder(Square(), X, keep_states=True)),
            ConfigError,
            "animate_weights: recorder expects to have watched a fit, got nothing recorded",
        ),
        (lambda: animate_weights(recorder(1)), ConfigError, "made with keep_states=True, got one that kept no states"),
        (lambda: animate_weights(FOUND, "1.weight"), ConfigError, "some of ['0.weight', '2.weight'], got '1.weight'"),
        (lambda: animate_weights(FOUND, []), ConfigError, "some of ['0.weight', '2.weight'], got []"),
        (lambda: animate_weights(FOUND, 3), ConfigError, "some of ['0.weight', '2.weight'], got 3"),
        (lambda: animate_decision_boundary(recorder(1), POINTS, Y), ConfigError, "keep_states=True"),
        (lambda: animate_decision_boundary(FOUND, POINTS, Y), ShapeError, "Dense expects (..., 3)"),
        (
            lambda: animate_decision_boundary(FOUND, X, Y),
            ShapeError,
            "animate_decision_boundary: x expects samples of two",
        ),
        (
            lambda: animate_decision_boundary(FOUND, POINTS, Y, Dense(2, 1)),
            ConfigError,
            "a layer that shares parameters with it (a copy shares none), got Dense",
        ),
        (lambda: animate_decision_boundary(FOUND, POINTS, Y, len), ConfigError, "model expects a Layer"),
        (
            lambda: animate_decision_boundary(FOUND, POINTS, Y, logits="no"),
            ConfigError,
            "logits expects True or False, got 'no'",
        ),
        (lambda: animate_weights(late()), ConfigError, "made with keep_states=True"),
        (lambda: animate_decision_boundary(grown(), POINTS, Y), StateDictError, "missing=['parts.1.bias'"),
    ],
)
def test_what_cannot_be_animated_is_refused(animate: Any, error: type[Exception], message: str) -> None:
    """With the reason, and before there is a figure."""
    with pytest.raises(error, match=re.escape(message)):
        animate()
    assert plt.get_fignums() == []
