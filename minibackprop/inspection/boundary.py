"""How a classifier of two inputs divides the plane, with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define
from numpy.typing import ArrayLike

from minibackprop.core import Layer, Sequential
from minibackprop.errors import ConfigError, NonFiniteError, ShapeError, describe
from minibackprop.inspection.canvas import axes_of
from minibackprop.layers.activations import Sigmoid
from minibackprop.validation import Array, as_array, is_integer, require_flag, require_numbers, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet


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
        If `y` does not hold numbers of classes, `resolution` is not an integer of at least 2, or `logits` no bool.
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
    plane = Plane.around("plot_decision_boundary", model, x, y, resolution, logits)
    scores = plane.scores(model)
    labels = plane.labels(scores)
    ax = axes_of(ax)
    plane.draw(ax, scores, labels)
    return ax


@define
class Plane:
    """The part of a plane that samples lie in: a grid of points, what a model gives there, and how it is drawn."""

    subject: str
    x: Array
    y: Array
    across: Array
    up: Array
    logits: bool

    @classmethod
    def around(
        cls, subject: str, model: object, x: ArrayLike, y: ArrayLike, resolution: object, logits: bool | None
    ) -> Plane:
        """Lay a grid around the samples, for a picture that `subject` draws."""
        if not isinstance(model, Layer):
            raise ConfigError(f"{subject}: model", "a Layer", describe(model))
        if not is_integer(resolution) or resolution < 2:
            raise ConfigError(f"{subject}: resolution", "an integer of at least 2", shortened(resolution))
        if logits is not None:
            require_flag(f"{subject}: logits", logits)
        x, y = np.asarray(as_array(f"{subject}: x", x)), np.asarray(as_array(f"{subject}: y", y))
        require_numbers(f"{subject}: x", x)
        require_numbers(f"{subject}: y", y)
        if x.ndim != 2 or x.shape[1] != 2 or not len(x):
            raise ShapeError(f"{subject}: x", "samples of two numbers, (N, 2)", str(x.shape))
        x = x.astype(np.float64)  # Booleans cannot be subtracted.
        if not np.isfinite(x).all():
            raise NonFiniteError(f"{subject}: x", "finite", "NaN or infinity")
        low, high = x.min(axis=0), x.max(axis=0)
        margin = 0.1 * np.where(high > low, high - low, 1.0)
        across, up = np.linspace(low - margin, high + margin, resolution).T
        return cls(subject, x, y, across, up, not _ends_with_sigmoid(model) if logits is None else logits)

    def scores(self, model: Layer) -> Array:
        """Compute what the model returns for each point."""
        points = np.stack(np.meshgrid(self.across, self.up), axis=-1).reshape(-1, 2)
        scores = model.predict(points)
        if scores.ndim != 2 or len(scores) != len(points):
            raise ShapeError(f"{self.subject}: model", "to return (N, classes) or (N, 1)", str(scores.shape))
        if not np.isfinite(scores).all():
            raise NonFiniteError(f"{self.subject}: the model's output", "finite", "NaN or infinity")
        return scores

    def labels(self, scores: Array) -> Array:
        """Make numbers of classes of the samples' targets: a column of them, or one-hot rows."""
        y, samples, classes = self.y, len(self.x), max(scores.shape[1], 2)
        if y.shape == (samples, classes):
            y = y.argmax(axis=1)
        if y.shape not in ((samples,), (samples, 1)):
            expected = f"{(samples,)}, {(samples, 1)} or one-hot, {(samples, classes)}"
            raise ShapeError(f"{self.subject}: y", expected, str(y.shape))
        wrong = ~np.isin(y, range(classes))
        if wrong.any():
            raise ConfigError(f"{self.subject}: y", f"classes from 0 to {classes - 1}", str(y[wrong][0]))
        return y.reshape(-1).astype(int)

    def draw(self, ax: Axes, scores: Array, labels: Array) -> Callable[[Array], None]:
        """Draw the scores and the samples; give a function that draws other scores in their place."""
        from matplotlib import colormaps
        from matplotlib.colors import Colormap, ListedColormap

        classes = max(scores.shape[1], 2)
        colors: Colormap = colormaps["coolwarm"]
        if scores.shape[1] > 1:
            colors = ListedColormap([colormaps["tab10"](k % 10) for k in range(classes)])
        limits: Any = {"cmap": colors, "vmin": 0, "vmax": classes - 1}
        heights = self._heights(scores)
        line = self._line(ax, heights, scores)
        mesh = ax.pcolormesh(self.across, self.up, heights, alpha=0.5, rasterized=True, **limits)
        ax.scatter(self.x[:, 0], self.x[:, 1], c=labels, edgecolors="black", **limits)
        ax.set(xlim=self.across[[0, -1]], ylim=self.up[[0, -1]])

        def show(scores: Array) -> None:
            nonlocal line
            if line is not None:
                line.remove()
            heights = self._heights(scores)
            mesh.set_array(heights)
            line = self._line(ax, heights, scores)

        return show

    def _heights(self, scores: Array) -> Array:
        """Give the number of the class at each point; with a single output, the probability of class 1."""
        if scores.shape[1] > 1:
            scores = scores.argmax(axis=1)
        elif self.logits:
            scores = Sigmoid().predict(scores)
        return scores.reshape(len(self.up), len(self.across))

    def _line(self, ax: Axes, heights: Array, scores: Array) -> QuadContourSet | None:
        """Draw where the probability is one half, if there is such a place: matplotlib would warn of none."""
        if scores.shape[1] > 1 or not heights.min() < 0.5 < heights.max():
            return None
        return ax.contour(self.across, self.up, heights, [0.5], colors="black")


def _ends_with_sigmoid(model: Layer) -> bool:
    while isinstance(model, Sequential) and len(model):
        model = model[-1]
    return isinstance(model, Sigmoid)
