"""Pictures of training and of hidden units, with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minibackprop.errors import ConfigError, describe
from minibackprop.inspection.canvas import axes_of, range_of
from minibackprop.inspection.recorder import ActivationRecorder, recorded_activations
from minibackprop.layers.activations import Sigmoid
from minibackprop.training.history import History

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
    ax = axes_of(ax)
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
    ax = axes_of(ax)
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
    >>> ax = plot_hidden_activations(recorder)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['unit 0', 'unit 1', 'unit 2', 'unit 3']
    """
    activations = recorded_activations("plot_hidden_activations", recorder)
    _, samples, units = activations.shape
    ax = axes_of(ax)
    # Each column reaches from its step to the next one that was recorded.
    edges = [*recorder.steps, int(recorder.steps[-1] * 1.1) + 1]
    rows = activations.transpose(2, 1, 0).reshape(units * samples, -1)
    low, high = range_of(rows, 0, 1)
    mesh = ax.pcolormesh(edges, np.arange(len(rows) + 1), rows, vmin=low, vmax=high, rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label="activation")
    for boundary in range(samples, len(rows), samples):
        ax.axhline(boundary, color="white", linewidth=3)
    ax.set_yticks((np.arange(units) + 0.5) * samples, [f"unit {unit}" for unit in range(units)])
    ax.invert_yaxis()
    ax.set_xscale("symlog", linthresh=1)
    ax.set(xlabel="steps", xlim=(edges[0], edges[-1]))
    return ax
