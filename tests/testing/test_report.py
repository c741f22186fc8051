"""What a report says."""

from minibackprop.testing import ALL, check_layer
from minibackprop.testing.report import Report
from tests.example_layers import Square
from tests.inspection.markup import read


def test_report_names_laws_and_power() -> None:
    """A report says which laws hold, which do not bind the layer and why, and how small an error would have shown."""
    report = check_layer(Square, (3,), without={"layout": "an experiment"})
    assert set(report.kept) | set(report.lifted) == {law.name for law in ALL}
    assert report.lifted["layout"] == "an experiment"
    assert report.lifted["accumulate"] == "the layer has no parameters"
    assert 0 < report.power["input gradient"]["input"] < 1e-8
    assert "input gradient: a relative error would have been found from" in str(report)


def test_a_notebook_shows_tables() -> None:
    """All that the text has; what users wrote is text."""
    report = check_layer(Square, (3,), without={"layout": "<b>an experiment</b>"}, examples=2)
    shown = read(report._repr_html_())
    assert shown.text.startswith(f"{len(report.kept)} laws hold: {', '.join(report.kept)}")
    lifted, power, covered = ([[cell.text for cell in row.elements] for row in t.all("tr")] for t in shown.all("table"))
    assert lifted[1:] == [list(pair) for pair in report.lifted.items()]
    assert [row[:2] for row in power[1:]] == [[law, name] for law, found in report.power.items() for name in found]
    assert covered[1:] == [list(pair) for pair in report.covered.items()]
    assert read(Report()._repr_html_()).text == "0 laws hold: "
