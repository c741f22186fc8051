"""Pictures of training and of what was learned, with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import define, field, setters
from numpy.typing import ArrayLike

from minibackprop.core import Layer, Sequential
from minibackprop.errors import ConfigError, NonFiniteError, ShapeError, describe
from minibackprop.layers.activations import Sigmoid
from minibackprop.training.callbacks import Callback, Run, Step
from minibackprop.training.history import History
from minibackprop.validation import Array, is_a, is_integer, require_numbers, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_history(history: History, name: str = "loss", ax: Axes | None = None) -> Axes:
    """
    Draw a value of the history over the epochs, for training and, where there is one, for the validation data.

    Parameters
    ----------
    history : History
    name : str
        Which value: "loss", or the name of a metric; with ``val_`` in front, for the validation data alone.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ConfigError
        If the history has no such value, or no epoch yet.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> history = History()
    >>> for loss in 4.0, 2.0, 1.0:
    ...     history.record({"loss": loss, "val_loss": 1.5 * loss})
    >>> [line.get_label() for line in plot_history(history).lines]
    ['training', 'validation']
    """
    if not isinstance(history, History):
        raise ConfigError("plot_history: history", "a History", describe(history))
    curves = history.as_dict()
    if name not in curves:
        raise ConfigError("plot_history: name", f"one of {list(curves)}", repr(name))
    if not len(history):
        raise ConfigError("plot_history: history", "at least one epoch", "none")
    ax = _axes(ax)
    epochs = np.arange(1, len(history) + 1)
    for key in (name, f"val_{name}"):
        if key in curves:
            label = "validation" if key.startswith("val_") else "training"
            # A line through a single point would not be seen.
            ax.plot(epochs, curves[key], marker="o" if len(epochs) == 1 else None, label=label)
    if ax.get_xscale() == "linear":
        ax.locator_params(axis="x", integer=True)
    ax.set(xlabel="epoch", ylabel=name.replace("_", " "))
    ax.legend()
    return ax


def plot_decision_boundary(
    model: Layer,
    x: ArrayLike,
    y: ArrayLike,
    *,
    ax: Axes | None = None,
    resolution: int = 200,
    logits: bool | None = None,
) -> Axes:
    """
    Draw how a classifier of two inputs divides the plane, and the samples on it.

    If the model has one output for each class, the regions are drawn in which each class has the largest output. If it
    has a single output, the probability of class 1 is drawn, and the line where it is one half.

    Parameters
    ----------
    model : Layer
        Takes input of shape (N, 2), returns (N, classes) or (N, 1).
    x : array_like
        Samples, of shape (N, 2).
    y : array_like
        Their classes, of shape (N,) or (N, 1), or one-hot.
    ax : Axes, optional
        Where to draw; by default in a new figure.
    resolution : int
        How many points to look at in each direction.
    logits : bool, optional
        Whether a single output is a logit, so that its sigmoid is the probability; by default it is, unless the model
        is a `Sequential` that ends with a `Sigmoid`.

    Returns
    -------
    Axes

    Raises
    ------
    ShapeError
        If `x`, `y` or the model's output is of another shape.
    ConfigError
        If `y` does not hold numbers of classes, or `resolution` is not an integer of at least 2.
    NonFiniteError
        If a sample or an output of the model is not finite.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> from minibackprop import Dense
    >>> model = Dense(2, 1, init=lambda shape, rng: np.ones(shape))
    >>> ax = plot_decision_boundary(model, [[-1, 0], [1, 0]], [0, 1])
    >>> print(*ax.get_xlim(), *ax.get_ylim())
    -1.2 1.2 -0.1 0.1
    """
    if not isinstance(model, Layer):
        raise ConfigError("plot_decision_boundary: model", "a Layer", describe(model))
    if not is_integer(resolution) or resolution < 2:
        raise ConfigError("plot_decision_boundary: resolution", "an integer of at least 2", shortened(resolution))
    x, y = np.asarray(x), np.asarray(y)
    require_numbers("plot_decision_boundary: x", x)
    require_numbers("plot_decision_boundary: y", y)
    if x.ndim != 2 or x.shape[1] != 2 or not len(x):
        raise ShapeError("plot_decision_boundary: x", "samples of two numbers, (N, 2)", str(x.shape))
    x = x.astype(np.float64)  # Booleans cannot be subtracted.
    if not np.isfinite(x).all():
        raise NonFiniteError("plot_decision_boundary: x", "finite", "NaN or infinity")
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.1 * np.where(high > low, high - low, 1.0)
    across, up = np.linspace(low - margin, high + margin, resolution).T
    scores = model.predict(np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2))
    if scores.ndim != 2 or len(scores) != resolution**2:
        raise ShapeError("plot_decision_boundary: model", "to return (N, classes) or (N, 1)", str(scores.shape))
    if not np.isfinite(scores).all():
        raise NonFiniteError("plot_decision_boundary: the model's output", "finite", "NaN or infinity")
    classes = max(scores.shape[1], 2)
    labels = _labels(y, len(x), classes)

    if scores.shape[1] > 1:
        heights = scores.argmax(axis=1)
    elif logits or (logits is None and not _ends_with_sigmoid(model)):
        heights = Sigmoid().predict(scores)
    else:
        heights = scores
    heights = heights.reshape(resolution, resolution)

    ax = _axes(ax)
    from matplotlib import colormaps
    from matplotlib.colors import Colormap, ListedColormap

    colors: Colormap = colormaps["coolwarm"]
    if scores.shape[1] > 1:
        colors = ListedColormap([colormaps["tab10"](k % 10) for k in range(classes)])
    elif heights.min() < 0.5 < heights.max():  # matplotlib would warn if the line were nowhere.
        ax.contour(across, up, heights, [0.5], colors="black")
    ax.pcolormesh(across, up, heights, cmap=colors, vmin=0, vmax=classes - 1, alpha=0.5, rasterized=True)
    ax.scatter(x[:, 0], x[:, 1], c=labels, cmap=colors, vmin=0, vmax=classes - 1, edgecolors="black")
    ax.set(xlim=across[[0, -1]], ylim=up[[0, -1]])
    return ax


def _labels(y: Array, samples: int, classes: int) -> Array:
    """Make numbers of classes of a column of them, or of one-hot rows."""
    if y.shape == (samples, classes):
        y = y.argmax(axis=1)
    if y.shape not in ((samples,), (samples, 1)):
        expected = f"{(samples,)}, {(samples, 1)} or one-hot, {(samples, classes)}"
        raise ShapeError("plot_decision_boundary: y", expected, str(y.shape))
    wrong = ~np.isin(y, range(classes))
    if wrong.any():
        raise ConfigError("plot_decision_boundary: y", f"classes from 0 to {classes - 1}", str(y[wrong][0]))
    return y.reshape(-1).astype(int)


def _ends_with_sigmoid(model: Layer) -> bool:
    while isinstance(model, Sequential) and len(model):
        model = model[-1]
    return isinstance(model, Sigmoid)


def plot_sigmoid(ax: Axes | None = None) -> Axes:
    """
    Draw the sigmoid with tangents, each with the slope that `Sigmoid.backward` returns there.

    Parameters
    ----------
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> [text.get_text() for text in plot_sigmoid().texts]
    ['0.018', '0.105', '0.250', '0.105', '0.018']
    """
    ax = _axes(ax)
    sigmoid, z = Sigmoid(), np.linspace(-7, 7, 281)
    ax.plot(z, sigmoid.predict(z))
    points = np.array([-4.0, -2.0, 0.0, 2.0, 4.0])
    y, cache = sigmoid.forward(points)
    slopes = sigmoid.backward(np.ones_like(points), cache)
    for point, height, slope in zip(points, y, slopes, strict=True):
        ends = np.array([-1.0, 1.0])
        ax.plot(point + ends, height + slope * ends, color="C1")
        ax.annotate(f"{slope:.3f}", (point, height), (-8, 6), textcoords="offset points", ha="right")
    ax.plot(points, y, "o", color="C1")
    ax.set(xlabel="$z$", ylabel=r"$\sigma(z)$")
    return ax


@define(eq=False, slots=False, repr=False, on_setattr=setters.NO_OP)
class ActivationRecorder(Callback):
    """
    A callback that keeps what a layer returns for some samples: before training, and after some of the steps.

    Between two of these steps, the number of steps grows by a tenth, so that the gaps look even on a logarithmic scale.

    Parameters
    ----------
    layer : Layer
        A part of the model that is trained, such as ``model[:2]``, which shares its layers.
    x : array
        The samples, as `layer` takes them.

    Attributes
    ----------
    steps : list of int
        After how many steps activations were kept.
    activations : list of array
        The activations, one entry for each of `steps`.

    Raises
    ------
    ConfigError
        If `layer` is not a `Layer`.

    Examples
    --------
    >>> from minibackprop import SGD, HalfSquaredError, Trainer, three_layer
    >>> x = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> model = three_layer()
    >>> recorder = ActivationRecorder(model[:2], x)
    >>> trainer = Trainer(model, HalfSquaredError(), SGD(1))
    >>> history = trainer.fit(x, np.array([[0.0], [1], [1], [0]]), epochs=50, callbacks=[recorder])
    >>> recorder.steps[-6:], recorder.activations[-1].shape
    ([33, 36, 39, 42, 46, 50], (4, 4))
    """

    layer: Layer = field(validator=is_a(Layer))
    x: Array
    steps: list[int] = field(init=False, factory=list)
    activations: list[Array] = field(init=False, factory=list)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Keep the activations from before the first step."""
        if self.steps and trainer.steps < self.steps[-1]:  # Another trainer, which counts from 0.
            self.steps.clear()
            self.activations.clear()
        self._record(trainer.steps)

    def on_step_end(self, step: Step, /) -> None:
        """Keep the activations, if it is time."""
        self._record(step.number + 1)

    def _record(self, steps: int) -> None:
        if not self.steps or steps >= max(self.steps[-1] + 1, int(self.steps[-1] * 1.1)):
            self.steps.append(steps)
            self.activations.append(self.layer.predict(self.x))


def plot_hidden_activations(recorder: ActivationRecorder, ax: Axes | None = None) -> Axes:
    """
    Draw how the activations of hidden units change, as a map: a block for each unit, in it a row for each sample.

    Parameters
    ----------
    recorder : ActivationRecorder
        What it kept of a layer that returns (samples, units).
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ConfigError
        If nothing is recorded.
    ShapeError
        If the activations do not have two axes.
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
    >>> ax = plot_hidden_activations(recorder)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['unit 0', 'unit 1', 'unit 2', 'unit 3']
    """
    if not isinstance(recorder, ActivationRecorder):
        raise ConfigError("plot_hidden_activations", "an ActivationRecorder", describe(recorder))
    if not recorder.steps:
        raise ConfigError("plot_hidden_activations: recorder", "to have watched a fit", "nothing recorded")
    activations = np.stack(recorder.activations, axis=-1)
    if activations.ndim != 3:
        raise ShapeError(
            "plot_hidden_activations", "activations of shape (samples, units)", str(activations.shape[:-1])
        )
    samples, units, _ = activations.shape
    ax = _axes(ax)
    # Each column reaches from its step to the next one that was recorded.
    edges = [*recorder.steps, int(recorder.steps[-1] * 1.1) + 1]
    rows = activations.swapaxes(0, 1).reshape(units * samples, -1)
    mesh = ax.pcolormesh(
        edges, np.arange(len(rows) + 1), rows, vmin=min(0, rows.min()), vmax=max(1, rows.max()), rasterized=True
    )
    ax.figure.colorbar(mesh, ax=ax, label="activation")
    for boundary in range(samples, len(rows), samples):
        ax.axhline(boundary, color="white", linewidth=3)
    ax.set_yticks((np.arange(units) + 0.5) * samples, [f"unit {unit}" for unit in range(units)])
    ax.invert_yaxis()
    ax.set_xscale("symlog", linthresh=1)
    ax.set(xlabel="steps", xlim=(edges[0], edges[-1]))
    return ax


def _axes(ax: Axes | None) -> Axes:
    """Give `ax` itself, or the axes of a new figure."""
    if ax is not None:
        return ax
    try:
        from matplotlib.pyplot import subplots
    except ImportError as error:
        raise ImportError('plotting needs matplotlib: pip install "minibackprop[plot]"') from error
    return subplots(layout="constrained")[1]
