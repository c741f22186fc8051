"""A file of results, one line of JSON a check, that a script goes on from where it was cut."""

import json
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any


def covered(path: Path, key: Callable[[dict[str, Any]], Hashable]) -> dict[Hashable, dict[str, Any]]:
    """Read what a file has, by key; a last line that was cut short is taken off the file."""
    path.touch()
    whole = [text for text in path.read_text(encoding="utf-8").splitlines(keepends=True) if text.endswith("\n")]
    path.write_text("".join(whole), encoding="utf-8")
    return {key(line): line for line in map(json.loads, whole)}


def written(path: Path, lines: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Append each line to a file at once, and hand it on."""
    with path.open("a", encoding="utf-8") as file:
        for line in lines:
            print(json.dumps(line), file=file, flush=True)
            yield line
