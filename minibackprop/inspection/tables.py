"""What a notebook shows of a history: a table of its values, with their curves."""

from __future__ import annotations

from math import isfinite

from minibackprop.inspection.html import escaped, framed, table
from minibackprop.training.history import History

#: A curve has no more points than so many: the least and the largest of each stretch.
_POINTS = 200


def history_table(history: History) -> str:
    """Make a table as HTML: a row for each value, with the first, the last, the extremes, and the curve."""
    epochs = len(history)
    if not epochs:
        return framed("<b>History</b>: no epoch yet")
    head = ("value", "first", "last", "lowest", "at epoch", "highest", "at epoch", "curve")
    rows = [(f"<code>{escaped(name)}</code>", *_told(history[name]), _curve(history[name])) for name in history]
    counted = f"{epochs:,} epoch{'s' if epochs > 1 else ''}"
    return framed(f"<b>History</b> of {counted}" + table(head, rows, ("text", "", "", "", "", "", "", "text")))


def _told(series: list[float]) -> list[str]:
    known = [(value, epoch) for epoch, value in enumerate(series, 1) if value == value]  # NaN is not known.
    if not known:
        return ["", "", "", "", "", ""]
    # Of equal ones, the first.
    low, high = min(known), max(known, key=lambda pair: (pair[0], -pair[1]))
    ends = [f"{known[0][0]:.4g}", f"{known[-1][0]:.4g}"]
    return [*ends, f"{low[0]:.4g}", f"{low[1]:,}", f"{high[0]:.4g}", f"{high[1]:,}"]


def _curve(series: list[float]) -> str:
    """Draw the finite values as a line."""
    points = [(epoch, value) for epoch, value in enumerate(series) if isfinite(value)]
    if len(points) < 2:
        return ""
    stretch = -(-len(points) * 2 // _POINTS)
    if stretch > 2:
        parts = (points[at : at + stretch] for at in range(0, len(points), stretch))
        points = [point for part in parts for point in sorted({min(part, key=_value), max(part, key=_value)})]
    low, high = min(map(_value, points)), max(map(_value, points))
    # Halved first: the difference of two numbers may be larger than all.
    height, width = high / 2 - low / 2 or 1.0, len(series) - 1
    drawn = " ".join(f"{100 * x / width:.4g},{1 + 18 * (1 - (y / 2 - low / 2) / height):.3g}" for x, y in points)
    return f'<svg viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true"><polyline points="{drawn}"/></svg>'


def _value(point: tuple[int, float]) -> float:
    return point[1]
