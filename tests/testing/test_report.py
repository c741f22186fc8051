"""What a report says."""

from minibackprop.testing import ALL, check_layer
from tests.example_layers import Square


def test_report_names_laws_and_power() -> None:
    """A report says which laws hold, which do not bind the layer and why, and how small an error would have shown."""
    report = check_layer(Square, (3,), without={"layout": "an experiment"})
    assert set(report.kept) | set(report.lifted) == {law.name for law in ALL}
    assert report.lifted["layout"] == "an experiment"
    assert report.lifted["accumulate"] == "the layer has no parameters"
    assert 0 < report.power["input gradient"]["input"] < 1e-8
    assert "input gradient: a relative error would have been found from" in str(report)
