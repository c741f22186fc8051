"""Fresh virtual environments, in which the package is installed as somebody else would install it."""

import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


@contextmanager
def environment(*installs: Iterable[str]) -> Iterator[str]:
    """Make one, with what each ``pip install`` gets, one after the other; give its Python. It is removed at the end."""
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        python = str(Path(directory) / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        for arguments in installs:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)
        yield python


@contextmanager
def wheel() -> Iterator[str]:
    """Build the wheel of the package; give its path. It is removed at the end."""
    with tempfile.TemporaryDirectory() as directory:
        build = ["wheel", "--quiet", "--no-deps", "--wheel-dir", directory, str(ROOT)]
        subprocess.run([sys.executable, "-m", "pip", *build], check=True)
        (path,) = Path(directory).iterdir()
        yield str(path)
