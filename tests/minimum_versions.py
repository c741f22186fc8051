"""
The tests with the oldest versions that pyproject.toml allows: ``python -m tests.minimum_versions``.

They are installed into a fresh virtual environment, exactly those; what they need in turn is chosen by pip. Options and
paths for pytest may follow; by default, all tests run.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What the tests need; of the documentation and the linters, any version will do.
EXTRAS = ("test",)


def minima(extras: tuple[str, ...] = EXTRAS) -> list[str]:
    """List what the package and some of its extras need, each in its oldest version, as ``name==version``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found, waiting = [], [*project["dependencies"]]
    waiting += (needed for extra in extras for needed in project["optional-dependencies"][extra])
    for needed in waiting:
        own = re.fullmatch(r"minibackprop\[([\w,]+)\]", needed)
        if own:
            waiting += (inner for extra in own[1].split(",") for inner in project["optional-dependencies"][extra])
        else:
            name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)", needed).groups()  # type: ignore[union-attr]
            found.append(f"{name}=={version}")
    return sorted(set(found))


def main(options: list[str]) -> int:
    """Run the tests; return the exit status of pytest."""
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        python = Path(directory) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        print("Oldest versions:", *minima(), flush=True)
        for arguments in (minima(), ["--no-deps", "-e", str(ROOT)]):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *arguments], check=True)
        return subprocess.run([python, "-m", "pytest", *options], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
