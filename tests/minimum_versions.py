"""
The tests with the oldest versions that pyproject.toml allows: ``python -m tests.minimum_versions``.

Exactly those are installed into a fresh virtual environment. Options and paths for pytest may follow; by default, all
runs but the pages of the docs, which show what the newest Hypothesis draws.
"""

import re
import subprocess
import sys
import tomllib

from tests.environments import ROOT, environment

#: What tests need; documentation and linters are made with the newest versions.
EXTRAS = ("test",)
PATHS = ("tests", "minibackprop", "README.md")
#: What the oldest versions need in turn is new, but this: what matplotlib 3.8 calls of it, later ones warn of.
NOT_NEWER = ("pyparsing<3.3",)


def oldest_versions(extras: tuple[str, ...] = EXTRAS) -> list[str]:
    """List what the package and these extras need, each in its oldest version: ``name==version``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting, found = [*project["dependencies"], *(f"minibackprop[{extra}]" for extra in extras)], set()
    for requirement in waiting:
        if own := re.fullmatch(r"minibackprop\[(.*)\]", requirement):
            waiting += (each for extra in own[1].split(",") for each in project["optional-dependencies"][extra])
        elif lowest := re.fullmatch(r"([\w-]+)>=([\w.]+)(; .*)?", requirement):
            found.add("{}=={}{}".format(*lowest.groups("")))
        else:
            raise ValueError(f"{requirement} in pyproject.toml has no lowest version, as in name>=1.0")
    return sorted(found)


def main(options: list[str]) -> int:
    """Run the tests; return the exit status of pytest."""
    versions = oldest_versions()
    print("Oldest versions:", *versions, flush=True)
    with environment([*versions, *NOT_NEWER], ["--no-deps", "--editable", str(ROOT)]) as python:
        return subprocess.run([python, "-m", "pytest", *(options or PATHS)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
