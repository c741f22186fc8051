"""
The wheel as a user gets it: ``python -m tests.wheel``.

It is built, and installed into a fresh virtual environment. There, away from the source, it has all its files and no
package but NumPy and attrs, trains, saves and loads, and `python -m minibackprop` shows the article's networks.
"""

import json
import subprocess
import sys
import tempfile

from tests.each_extra import CORE, run
from tests.environments import ROOT, environment, wheel

#: What pip itself brings along.
TOOLS = {"pip", "setuptools", "wheel"}
SHIPPED = """
from importlib.metadata import files
print(*sorted(str(path.as_posix()) for path in files("minibackprop") if ".dist-info" not in str(path)), sep="\\n")
"""


def main() -> int:
    """Try it; return 0 if all is as it should be."""
    with wheel() as path, environment([path]) as python, tempfile.TemporaryDirectory() as elsewhere:
        listing = subprocess.run(
            [python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
        )
        installed = {package["name"] for package in json.loads(listing.stdout)} - TOOLS
        assert installed == {"minibackprop", "numpy", "attrs"}, installed

        shown = subprocess.run([python, "-c", SHIPPED], capture_output=True, text=True, check=True, cwd=elsewhere)
        shipped = {name for name in shown.stdout.split() if not name.endswith(".pyc")}
        source = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "minibackprop").rglob("*")
            if path.is_file() and path.suffix != ".pyc"
        }
        assert shipped == source, shipped ^ source

        for code in (CORE, "import runpy; runpy.run_module('minibackprop', run_name='__main__')"):
            done = run(python, code, elsewhere)
            assert done.returncode == 0, done.stderr
    print(f"{len(source)} files, installed with {sorted(installed - {'minibackprop'})}: works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
