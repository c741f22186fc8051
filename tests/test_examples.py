"""Every example runs as a script, on its own, without a warning, and says something."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path: Path) -> None:
    """The script ends well, with output and without warnings."""
    run = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout
    assert not run.stderr


def test_eleven_lines() -> None:
    """The eleven-line network has at most eleven lines of code."""
    source = next(path for path in EXAMPLES if path.stem == "eleven_lines").read_text(encoding="utf-8")
    code = [line for line in source.splitlines()[1:] if line.strip()]
    assert len(code) <= 11
