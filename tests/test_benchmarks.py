"""What the benchmarks do with the times that they have found."""

from collections.abc import Callable

from tests.benchmarks.__main__ import as_text
from tests.benchmarks.page import line, page
from tests.benchmarks.paired import Reference, Timer, divided, in_turn, together


def row(median: float | None, target: float | None = None, **others: object) -> dict[str, object]:
    whole = {"part": "bounds", "name": "a / b", "low": median, "high": median, "unit": "", "left_out": ""}
    return whole | {"median": median, "target": target} | others


def test_rounds_alternate_in_direction() -> None:
    order: list[str] = []

    def timer(name: str) -> Timer:
        return lambda: order.append(name) or float(len(order))  # type: ignore[func-returns-value]

    assert in_turn({name: timer(name) for name in "abc"}, 3) == {"a": [1, 6, 7], "b": [2, 5, 8], "c": [3, 4, 9]}
    assert "".join(order) == "abccbaabc"


def test_ratios_are_of_the_same_round() -> None:
    assert divided([1, 4, 9], [2, 2, 3]) == [0.5, 2, 3]


def nothing(_: int) -> Callable[[], object]:
    return lambda: None


def of_no_library(_: int) -> Callable[[], object]:
    raise ImportError("no such library")


def test_a_missing_library_is_left_out() -> None:
    references = {"nothing": Reference(nothing), "other": Reference(of_no_library)}
    found, left_out = together(nothing, references, 3, threads=1, repeats=0)
    assert found == {"": [], "nothing": []}
    assert left_out == {"other": "no such library"}


def test_a_row_says_whether_its_target_is_met() -> None:
    assert as_text(row(1.04, 1.0)).endswith("1.00 missed")
    assert as_text(row(1.0, 1.0)).endswith("1.00 met")
    assert as_text(row(None, 1.0, left_out="no torch")).endswith("left out: no torch")
    assert line(row(1.04, 1.0)) == "| a / b | 1.04 | 1.04 to 1.04 | 1, missed |"
    assert line(row(123.4, unit=" /s")) == "| a / b | 123 /s | 123 to 123 |  |"


def test_the_page_has_all_rows_and_says_how_busy_the_machine_was() -> None:
    states = [{"started": 0, "share of the cores for others": share} for share in (0.01, 0.034)]
    rows = [row(1.0), row(2.0, part="article"), row(3.0)]
    text = page({"machine": {"processor": "X", "cores": "2"}, "states": states, "rows": rows})
    assert "processor X, cores 2" in text
    assert "at most 3.4% of the cores' time" in text
    assert [text.count(f"| a / b | {value}.00 ") for value in (1, 2, 3)] == [1, 1, 1]
    assert text.count("## The machine at the moment, once more") == 1
