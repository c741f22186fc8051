"""Where pictures are drawn: what the user gives, or a new figure of matplotlib's (the extra ``plot``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def axes_of(ax: Axes | None) -> Axes:
    """Give `ax` itself, or the axes of a new figure."""
    return new_figure().subplots() if ax is None else ax


def new_figure(size: tuple[float, float] | None = None) -> Figure:
    """Make a figure of pyplot's, which `show` shows."""
    try:
        from matplotlib.pyplot import figure
    except ImportError as error:
        raise ImportError('plotting needs matplotlib: pip install "minibackprop[plot]"') from error
    return figure(figsize=size, layout="constrained")
