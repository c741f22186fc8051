"""A real notebook: what is seen while a model is trained, and of a violation. Needs nbclient and ipykernel."""

from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

SETUP = """
import numpy as np
from minibackprop import *
from minibackprop.testing import check_layer
from tests.example_layers import HalfOfIt

x = np.linspace(-1, 1, 40)[:, np.newaxis]
trainer = Trainer(mlp([1, 4, 1], rng=0), MeanSquaredError(), Adam(0.01), rng=0)
"""
FIT = "trainer.fit(x, x * x, 30, batch_size=10, callbacks=[ProgressBar(), LiveCurves(every=0.01)])"


def outputs(*cells: str) -> list[list[Any]]:
    """Run a notebook, and give what each cell shows."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    folder = Path(__file__).parents[2]
    client = nbclient.NotebookClient(
        notebook, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": folder}}
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.filterwarnings("ignore")  # Those of the client.
@pytest.mark.parametrize("widgets", [False, True])
def test_what_a_notebook_shows(widgets: bool) -> None:
    """One bar, one picture of the curves, the history and the model as HTML, a violation above its traceback."""
    if widgets:
        pytest.importorskip("ipywidgets")
    blocked = "" if widgets else "import sys; sys.modules['ipywidgets'] = None"
    setup, fit, model, violation = outputs(blocked + SETUP, FIT, "trainer.model", "check_layer(HalfOfIt, (3,))")
    assert setup == []
    assert "stderr" not in {output.get("name") for output in fit}
    shown = [output.data.keys() for output in fit if output.output_type == "display_data"]
    assert len([data for data in shown if "image/png" in data]) == 1
    assert len([data for data in shown if "application/vnd.jupyter.widget-view+json" in data]) == int(widgets)
    texts = [output.data["text/plain"] for output in fit if output.output_type == "display_data"]
    assert len([text for text in texts if text.startswith("epoch 30/30")]) == int(not widgets)
    assert "stream" not in {output.output_type for output in fit}
    assert "History" in fit[-1].data["text/html"]
    assert "Dense" in model[0].data["text/html"]
    assert [output.output_type for output in violation] == ["display_data", "error"]
    assert "constant factor" in violation[0].data["text/html"]
    assert violation[1].evalue.startswith("broken law: input gradient\n")
    assert "constant factor" in "".join(violation[1].traceback)
