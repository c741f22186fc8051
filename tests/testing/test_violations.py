"""What a violation says."""

import sys

import numpy as np
import pytest

from minibackprop.testing import ContractViolation, check_layer
from tests.example_layers import HalfOfIt
from tests.inspection.markup import read
from tests.training.notebooks import Notebook


def test_violation_tells_law_cause_numbers_and_code() -> None:
    """A violation carries its parts, and its code shows the violation again."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(HalfOfIt, (3,))
    violation = caught.value
    assert violation.law == "input gradient"
    assert violation.cause.startswith("constant factor: the gradient is 0.5 times")
    assert "finite differences" in violation.evidence
    names = {"HalfOfIt": HalfOfIt}
    exec(violation.example, names)
    np.testing.assert_allclose(names["grad_x"], names["x"] * names["grad"])
    assert str(violation).startswith("broken law: input gradient\n")
    assert not getattr(violation, "__notes__", [])


def violated() -> ContractViolation:
    parts = {"law": "<law>", "cause": lambda: "a & b", "evidence": "  entry  got\n  (0,)   1.0", "example": "x < 3"}
    return ContractViolation("some problem", **parts)


def test_a_notebook_shows_the_parts() -> None:
    """Each in its place, the table of numbers with its columns; what is not there is not told."""
    shown = read(violated()._repr_html_())
    assert [part.text for part in shown.elements[0].elements] == [
        "broken law: <law>",
        "some problem",
        "cause: a & b",
        "  entry  got\n  (0,)   1.0",
        "to reproducex < 3",
    ]
    assert [pre.text for pre in shown.all("pre")] == ["  entry  got\n  (0,)   1.0", "x < 3"]
    assert read(ContractViolation("some problem")._repr_html_()).text == "broken lawsome problem"


def test_a_notebook_shows_them_once_above_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython asks twice, to show and to keep the lines, which are those that it makes of any exception."""
    notebook, violation = Notebook(monkeypatch), violated()
    lines = ["the traceback", f"ContractViolation: {violation}", "True"]
    assert [violation._render_traceback_() for _ in range(2)] == [lines, lines]
    (output,) = notebook.outputs
    assert output == {"text/html": violation._repr_html_(), "text/plain": "broken law: <law>"}
    notebook.shell.execution_count += 1
    violation._render_traceback_()
    assert notebook.outputs == [output, output], "raised again by another cell"


def test_a_terminal_shows_the_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are IPython's own, or Python's where there is none."""
    terminal, violation = Notebook(monkeypatch, kernel=False), violated()
    assert violation._render_traceback_() == ["the traceback", f"ContractViolation: {violation}", "True"]
    assert terminal.outputs == []
    monkeypatch.delitem(sys.modules, "IPython")
    assert "".join(violation._render_traceback_()).strip().endswith(str(violation).strip())
