import re
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet

from minibackprop import (
    ConfigError,
    Dense,
    DTypeError,
    NonFiniteError,
    Sequential,
    ShapeError,
    Sigmoid,
    plot_decision_boundary,
)
from minibackprop.validation import Array
from tests.example_layers import Square

POINTS = np.array([[-1.0, -2.0], [1.0, -2.0], [0.0, 2.0]])


class Formula(Square):
    """A classifier that computes its scores by a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return self.function(*x.T), x


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
        ({"x": [[0, 1], [2]]}, ShapeError, "x expects an array, or lists of one length"),
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
