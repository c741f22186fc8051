from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import History
from minibackprop.inspection import tables
from tests.inspection.markup import read


def history(**series: list[float]) -> History:
    found = History()
    found.load(series)
    return found


def cells(found: History) -> list[list[str]]:
    return [[cell.text for cell in row.elements] for row in read(found._repr_html_()).all("tr")]


def curves(found: History) -> list[list[tuple[float, float]]]:
    """Read the points of each curve."""
    html = found._repr_html_()
    read(html)
    drawn = [part.partition('"')[0] for part in html.split('points="')[1:]]
    return [[tuple(map(float, point.split(","))) for point in points.split()] for points in drawn]


def test_a_history_is_a_table_of_its_values() -> None:
    """The first and the last value, and the extremes with their epochs; of equal ones, the first."""
    found = history(loss=[4.0, 1.0, 1.0, 2.0], val_accuracy=[0.25, 0.5, 0.75, 0.75])
    assert cells(found) == [
        ["value", "first", "last", "lowest", "at epoch", "highest", "at epoch", "curve"],
        ["loss", "4", "2", "1", "2", "4", "1", ""],
        ["val_accuracy", "0.25", "0.75", "0.25", "1", "0.75", "3", ""],
    ]
    assert read(found._repr_html_()).text.startswith("History of 4 epochs")


def test_a_table_has_headers_and_a_curve_is_passed_over() -> None:
    """What reads a page aloud tells the column and the row of a cell; the curve is in the numbers."""
    html = history(loss=[2.0, 1.0])._repr_html_()
    top, row = (row.elements for row in read(html).all("tr"))
    assert [cell.tag for cell in top] == ["th"] * 8
    assert [cell.tag for cell in row] == ["th", *["td"] * 7]
    assert all(cell.text for cell in top)
    assert (html.count('scope="col"'), html.count('scope="row"'), html.count("<svg"), html.count("aria-hidden")) == (
        8,
        1,
        1,
        1,
    )


def test_curves_go_from_left_to_right_and_up_with_the_value() -> None:
    """The lowest value is at the bottom, the highest at the top; y counts downwards."""
    (points,) = curves(history(loss=[4.0, 1.0, 2.0]))
    assert points == [(0, 1), (50, 19), (100, 13)]


def test_a_history_without_epochs_is_shown() -> None:
    """Before the first `fit`, and after one epoch, of which there is no curve."""
    assert read(History()._repr_html_()).text == "History: no epoch yet"
    assert read(history(loss=[1.0])._repr_html_()).text.startswith("History of 1 epoch")
    assert curves(history(loss=[1.0])) == []


def test_what_is_not_finite_is_left_out_of_the_curve() -> None:
    """NaN is not known; infinity is a value, but no point."""
    found = history(loss=[nan, 1e308, -1e308, inf], val=[nan] * 4)
    assert cells(found)[1:] == [
        ["loss", "1e+308", "inf", "-1e+308", "3", "inf", "4", ""],
        ["val", *[""] * 7],
    ]
    assert curves(found) == [[(33.33, 1), (66.67, 19)]]


@given(series=st.lists(st.floats(), min_size=1, max_size=30), name=st.text(max_size=20))
def test_any_history_is_shown(series: list[float], name: str) -> None:
    """Whatever values it has, and whatever they are called."""
    points = curves(history(**{"loss": series, name: series}))
    assert all(0 <= x <= 100 and 1 <= y <= 19 for curve in points for x, y in curve)


def test_long_curves_have_few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each stretch the least and the largest, so that no peak is lost."""
    monkeypatch.setattr(tables, "_POINTS", 20)
    series = [0.0] * 1000
    series[500], series[777] = 9.0, -9.0
    (points,) = curves(history(loss=series))
    assert len(points) <= 20
    assert (min(y for _, y in points), max(y for _, y in points)) == (1, 19)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
