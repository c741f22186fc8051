"""Pictures that move: what a network learns, step by step, with matplotlib (the extra ``plot``)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.inspection.boundary import Plane
from minibackprop.inspection.canvas import figure_of, range_of
from minibackprop.inspection.recorder import ActivationRecorder, recorded_activations, require_recorded
from minibackprop.state import Buffer, walk
from minibackprop.validation import Array, as_tuple, is_integer, shortened

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A map of so many cells has its numbers written in them; an axis has so many ticks, and so many samples of so many
#: features are named by their input.
_CELLS, _TICKS, _SAMPLES, _FEATURES = 64, 10, 16, 4


def animate_hidden_activations(
    recorder: ActivationRecorder, *, frames: int = 50, figure: Figure | None = None
) -> FuncAnimation:
    """
    Animate the activations of hidden units while a network learns: a row for each sample, a column for each unit.

    Parameters
    ----------
    recorder : ActivationRecorder
        What it kept of a layer that returns (samples, units).
    frames : int
        How many of the recorded steps to show at most: the first, the last, and some between, evenly.
    figure : Figure, optional
        Where to draw; by default in a new one.

    Returns
    -------
    FuncAnimation
        Matplotlib's: ``to_jshtml()`` makes a player for a notebook or a page, ``save("learning.gif")`` a file. Keep it
        until one of the two, or `matplotlib.pyplot.show`, has drawn it.

    Raises
    ------
    ConfigError
        If nothing is recorded, or `frames` is not a positive integer.
    ShapeError
        If the activations do not have two axes, or there are none.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from minibackprop import SGD, HalfSquaredError, Trainer, three_layer
    >>> x = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> model = three_layer()
    >>> recorder = ActivationRecorder(model[:2], x)
    >>> trainer = Trainer(model, HalfSquaredError(), SGD(1))
    >>> history = trainer.fit(x, np.array([[0.0], [1], [1], [0]]), epochs=50, callbacks=[recorder])
    >>> animation = animate_hidden_activations(recorder, frames=3)
    >>> html = animation.to_jshtml()
    """
    subject = "animate_hidden_activations"
    activations = recorded_activations(subject, recorder)
    shown = _shown(subject, recorder, frames)
    figure = figure_of(figure)
    ax = figure.subplots()
    show = _map(ax, activations[shown[0]], "viridis", range_of(activations, 0, 1), "activation")
    ax.set(xlabel="unit", ylabel="sample")
    x = np.asarray(recorder.x)
    if x.ndim == 2 and len(x) <= _SAMPLES and x.shape[1] <= _FEATURES:
        ax.set_yticks(range(len(x)), [" ".join(f"{value:.3g}" for value in sample) for sample in x])
    return _animation(figure, recorder, shown, lambda index: show(activations[index]))


def animate_weights(
    recorder: ActivationRecorder,
    names: str | Iterable[str] | None = None,
    *,
    frames: int = 50,
    figure: Figure | None = None,
) -> FuncAnimation:
    """
    Animate weights while a network learns: a map for each matrix, a row for each input, a column for each output.

    Zero is white, and a color is the same number in all frames of a map.

    Parameters
    ----------
    recorder : ActivationRecorder
        Made with ``keep_states=True``.
    names : str or list of str, optional
        Which parameters, as `named_parameters` of the model names them; by default all that have two axes or more. One
        of more axes is drawn with the later ones side by side, one of a single axis as a row.
    frames, figure
        As in `animate_hidden_activations`.

    Returns
    -------
    FuncAnimation
        See `animate_hidden_activations`.

    Raises
    ------
    ConfigError
        If no states are recorded, there are no such parameters, or `frames` is not a positive integer.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from minibackprop import SGD, HalfSquaredError, Trainer, three_layer
    >>> x = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> model = three_layer()
    >>> recorder = ActivationRecorder(model[:2], x, keep_states=True)
    >>> trainer = Trainer(model, HalfSquaredError(), SGD(1))
    >>> history = trainer.fit(x, np.array([[0.0], [1], [1], [0]]), epochs=50, callbacks=[recorder])
    >>> html = animate_weights(recorder, ["0.weight", "2.weight"], frames=3).to_jshtml()
    """
    subject = "animate_weights"
    recorder = require_recorded(subject, recorder, states=True)
    shown = _shown(subject, recorder, frames)
    values = {name: [_matrix(state[name]) for state in recorder.states] for name in _names(recorder.states[0], names)}
    columns = min(len(values), 3)
    rows = ceil(len(values) / columns)
    figure = figure_of(figure, (4.2 * columns, 3.8 * rows))
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    shows = []
    for ax, (name, matrices) in zip(axes, values.items(), strict=False):
        _, most = range_of(np.abs(matrices), 0, 0)
        shows.append(_map(ax, matrices[shown[0]], "RdBu_r", (-most or -1, most or 1), "weight"))
        ax.set(title=name)
        if np.ndim(recorder.states[0][name]) == 2:  # Of others, such as kernels, the axes are of other kinds.
            ax.set(xlabel="output", ylabel="input")
    for ax in axes[len(values) :]:
        ax.set_axis_off()

    def draw(index: int) -> None:
        for show, matrices in zip(shows, values.values(), strict=True):
            show(matrices[index])

    return _animation(figure, recorder, shown, draw)


def animate_decision_boundary(
    recorder: ActivationRecorder,
    x: ArrayLike,
    y: ArrayLike,
    model: Layer | None = None,
    *,
    frames: int = 50,
    resolution: int = 60,
    logits: bool | None = None,
    figure: Figure | None = None,
) -> FuncAnimation:
    """
    Animate how a classifier of two inputs comes to divide the plane: `plot_decision_boundary`, step by step.

    Parameters
    ----------
    recorder : ActivationRecorder
        Made with ``keep_states=True``.
    x : array_like
        Samples, of shape (N, 2).
    y : array_like
        Their classes, of shape (N,) or (N, 1), or one-hot.
    model : Layer, optional
        What is drawn, with input of shape (N, 2); by default the model that was trained. It may be another layer that
        shares its parameters, such as a `Sequential` of a layer that adds a constant input, and the model.
    frames, figure
        As in `animate_hidden_activations`.
    resolution : int
        How many points to look at in each direction.
    logits : bool, optional
        As in `plot_decision_boundary`.

    Returns
    -------
    FuncAnimation
        See `animate_hidden_activations`. Each frame is computed as it is drawn, on a copy of the model.

    Raises
    ------
    ShapeError
        If `x`, `y` or the model's output is of another shape.
    ConfigError
        If no states are recorded, `model` shares no parameter with the one that was trained, `y` does not hold numbers
        of classes, or `frames`, `resolution` or `logits` make no sense.
    NonFiniteError
        If a sample or an output of the model is not finite.
    StateDictError
        If the model that was trained has other layers by now, or a weight was not finite.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from minibackprop import Adam, SoftmaxCrossEntropy, Trainer, mlp
    >>> x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> model = mlp([2, 8, 2], rng=0)
    >>> recorder = ActivationRecorder(model, x, keep_states=True)
    >>> history = Trainer(model, SoftmaxCrossEntropy(), Adam(0.1)).fit(x, y, epochs=50, callbacks=[recorder])
    >>> html = animate_decision_boundary(recorder, x, y, frames=3, resolution=10).to_jshtml()
    """
    subject = "animate_decision_boundary"
    recorder = require_recorded(subject, recorder, states=True)
    shown = _shown(subject, recorder, frames)
    trained = recorder.model
    assert trained is not None  # As something is recorded.
    model = trained if model is None else model
    plane = Plane.around(subject, model, x, y, resolution, logits)
    model_at = _replayed(subject, trained, model, recorder.states)
    scores = plane.scores(model_at(shown[0]))
    labels = plane.labels(scores)
    figure = figure_of(figure)
    show = plane.draw(figure.subplots(), scores, labels)
    return _animation(figure, recorder, shown, lambda index: show(plane.scores(model_at(index))))


def _shown(subject: str, recorder: ActivationRecorder, frames: object) -> list[int]:
    """Choose some of the recorded steps, evenly, with the first and the last; give their indices."""
    if not is_integer(frames) or frames < 1:
        raise ConfigError(f"{subject}: frames", "a positive integer", shortened(frames))
    last = len(recorder.steps) - 1
    # From the last to the first, as of one frame it is the last.
    chosen = np.linspace(last, 0, min(frames, last + 1)).round()
    return [int(index) for index in reversed(chosen)]


def _names(state: dict[str, Array], names: Any) -> tuple[str, ...]:
    if names is None:
        chosen = tuple(name for name, value in state.items() if np.ndim(value) > 1)
    else:
        chosen = as_tuple([names] if isinstance(names, str) else names)
    if not isinstance(chosen, tuple) or not chosen or not all(isinstance(n, str) and n in state for n in chosen):
        raise ConfigError("animate_weights: names", f"some of {list(state)}", shortened(names))
    return chosen


def _matrix(value: Array) -> Array:
    """Make two axes of any number of them."""
    return value.reshape(len(value), -1) if np.ndim(value) > 1 else value.reshape(1, -1)


def _map(ax: Axes, values: Array, colors: str, limits: tuple[float, float], meaning: str) -> Callable[[Array], None]:
    """Draw a matrix as a map, a small one with its numbers; give what draws another in its place."""
    from matplotlib import colormaps

    shades = colormaps[colors].with_extremes(bad="lightgrey")  # NaN; it would be as white as the page.
    image = ax.imshow(values, shades, vmin=limits[0], vmax=limits[1], aspect="auto", interpolation="nearest")
    for axis, length in ((ax.yaxis, values.shape[0]), (ax.xaxis, values.shape[1])):
        axis.set_ticks(range(0, length, ceil(length / _TICKS)))
    cells = list(np.ndindex(values.shape)) if values.size <= _CELLS else []
    texts = [ax.text(column, row, "", ha="center", va="center") for row, column in cells]
    if not cells:
        ax.figure.colorbar(image, ax=ax, label=meaning)

    def show(values: Array) -> None:
        image.set_data(values)
        # As bright as the eye sees it: black on a light cell, white on a dark one.
        light = image.to_rgba(values)[..., :3] @ np.array([0.299, 0.587, 0.114]) > 0.5 if cells else values
        for text, cell in zip(texts, cells, strict=True):
            text.set(text=f"{values[cell]:.2f}", color="black" if light[cell] else "white")

    show(values)
    return show


def _replayed(subject: str, trained: Layer, model: Layer, states: Iterable[dict[str, Array]]) -> Callable[[int], Layer]:
    """Make a function that gives a copy of a model as it was with one of the states of the model that was trained."""
    own = {id(buffer) for _, buffer in walk(trained, Buffer)}
    if not any(id(buffer) in own for _, buffer in walk(model, Buffer)):
        expected = "the model that was trained, or a layer that shares parameters with it (a copy shares none)"
        raise ConfigError(f"{subject}: model", expected, describe(model))
    # Copied together, so that the two copies share what the two share; frames are drawn later, when the recorder may
    # have begun anew.
    trained, model = copy.deepcopy((trained, model))
    kept = list(states)

    def model_at(index: int) -> Layer:
        trained.load_state_dict(kept[index])
        return model

    return model_at


def _animation(
    figure: Figure, recorder: ActivationRecorder, shown: list[int], draw: Callable[[int], None]
) -> FuncAnimation:
    """Put together what is drawn once, and what draws a frame."""
    from matplotlib.animation import FuncAnimation

    title = figure.suptitle("")
    steps = list(recorder.steps)

    def frame(index: int) -> list[Any]:
        draw(index)
        done = f"after {steps[index]:,} step{'s' if steps[index] > 1 else ''}"
        title.set_text(done if steps[index] else "before the first step")
        return []

    # What stays is laid out once: to do so for each frame takes as long as to draw it, and would let it tremble.
    frame(shown[-1])
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return FuncAnimation(figure, frame, frames=shown, interval=150, cache_frame_data=False)
