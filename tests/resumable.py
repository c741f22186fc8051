"""A file of results, one line of JSON a check, that a script goes on from where it was cut."""

import json
import signal
from collections.abc import Callable, Hashable, Iterable, Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def covered(path: Path, key: Callable[[Line], Hashable]) -> dict[Hashable, Line]:
    """Read what a file has, by key; a last line that was cut short is taken off the file."""
    path.touch()
    whole = [text for text in path.read_text(encoding="utf-8").splitlines(keepends=True) if text.endswith("\n")]
    path.write_text("".join(whole), encoding="utf-8")
    return {key(line): line for line in map(json.loads, whole)}


def written(path: Path, lines: Iterable[Line]) -> Iterator[Line]:
    """Append each line to a file at once, and hand it on; who is told to stop, by Ctrl-C or `timeout`, can report."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with path.open("a", encoding="utf-8") as file:
            for line in lines:
                print(json.dumps(line), file=file, flush=True)
                yield line
    except KeyboardInterrupt:
        print("cut short")


def in_processes(check: Callable[[Any], Line], tasks: Iterable[Any], processes: int) -> Iterator[Line]:
    """Check in so many processes, whichever is done first."""
    with Pool(processes, _hear_no_interrupt) as pool:
        yield from pool.imap_unordered(check, tasks)


def _hear_no_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
