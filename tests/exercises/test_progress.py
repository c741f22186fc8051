"""What is kept of a reader's work."""

from pathlib import Path

import pytest

from minibackprop import FileFormatError
from minibackprop.exercises.progress import FILE, Progress, progress, record


def test_the_best_is_kept(tmp_path: Path) -> None:
    """A later attempt that earns less takes nothing away; each counts as a try."""
    assert progress(tmp_path) == {}
    for earned in (2, 4, 1):
        record(tmp_path, "sigmoid", earned, 4)
    record(tmp_path, "dense", 0, 3)
    assert progress(tmp_path) == {"sigmoid": Progress(4, 4, 3), "dense": Progress(0, 3, 1)}


def test_other_marks_begin_anew(tmp_path: Path) -> None:
    """A later version may have more of them."""
    record(tmp_path, "sigmoid", 4, 4)
    record(tmp_path, "sigmoid", 3, 5)
    assert progress(tmp_path)["sigmoid"] == Progress(3, 5, 2)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": 1}', '{"a": {"earned": "1", "of": 1, "tries": 1}}', '{"a": {}}', "\xff"]
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    """It is not overwritten, and the message tells what to do."""
    path = tmp_path / FILE
    path.write_text(text, encoding="latin-1")
    with pytest.raises(FileFormatError, match="remove it to begin anew"):
        record(tmp_path, "sigmoid", 1, 4)
    assert path.read_text(encoding="latin-1") == text
