"""What a reader has done so far: a small file beside their answers."""

from __future__ import annotations

import json
from pathlib import Path

from attrs import asdict, frozen

from minibackprop.errors import FileFormatError
from minibackprop.saving.archive import replaced

FILE = "progress.json"


@frozen
class Progress:
    """How far an exercise is: the most marks that were earned at once, of how many, and how often it was marked."""

    earned: int
    of: int
    tries: int


def progress(folder: Path) -> dict[str, Progress]:
    """
    Read how far each exercise is, by name.

    Raises
    ------
    FileFormatError
        If the file is damaged.
    """
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: Progress(**done) for name, done in found.items()}
        if all(type(number) is int for done in kept.values() for number in asdict(done).values()):
            return kept
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        pass
    raise FileFormatError(str(path), "what the exercises wrote (remove it to begin anew)", "something else")


def record(folder: Path, name: str, earned: int, of: int) -> None:
    """
    Keep what came of an exercise.

    Raises
    ------
    FileFormatError
        If the file is damaged; it stays as it is.
    OSError
        If it cannot be read or written.
    """
    done = progress(folder)
    before = done.get(name, Progress(0, of, 0))
    best = before.earned if before.of == of else 0
    done[name] = Progress(max(earned, best), of, before.tries + 1)
    text = json.dumps({name: asdict(each) for name, each in done.items()}, indent=1) + "\n"
    with replaced(folder / FILE) as file:
        file.write(text.encode())
