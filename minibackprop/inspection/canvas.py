"""Where pictures are drawn, in what the user gives or a new figure of matplotlib's, and what their colors span."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def axes_of(ax: Axes | None) -> Axes:
    """Give `ax` itself, or the axes of a new figure."""
    return figure_of(None).subplots() if ax is None else ax


def figure_of(figure: Figure | None, size: tuple[float, float] | None = None) -> Figure:
    """Give `figure` itself, or a new one of pyplot's, which `show` shows."""
    if figure is not None:
        return figure
    try:
        from matplotlib.pyplot import figure as new_figure
    except ImportError as error:
        raise ImportError('plotting needs matplotlib: pip install "minibackprop[plot]"') from error
    return new_figure(figsize=size, layout="constrained")


def range_of(values: ArrayLike, low: float, high: float) -> tuple[float, float]:
    """Give the range of the finite values, which colors stand for: from `low` to `high`, or wider."""
    array = np.asarray(values)
    finite = array[np.isfinite(array)]
    return float(finite.min(initial=low)), float(finite.max(initial=high))
