"""
Each extra alone: ``python -m tests.each_extra``.

For none and for each one, the wheel is installed into a fresh virtual environment, then the extra by the command that
errors name: ``pip install "minibackprop[plot]"``, which pip takes for the package that is there. What the extra is for
works then, and what the others are for is refused with that command.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from tests.environments import ROOT, environment, wheel

#: What works with the package alone.
CORE = """
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from minibackprop import *
from minibackprop.interop.torch import load_torch_state_dict, torch_state_dict

x = np.linspace(-1, 1, 20)[:, np.newaxis]
trainer = Trainer(mlp([1, 8, 1], rng=0), MeanSquaredError(), Adam(0.01), rng=0)
with TemporaryDirectory() as directory:
    path = Path(directory) / "run.npz"
    callbacks = [EarlyStopping(), Checkpoint(path)]
    history = trainer.fit(x, x * x, epochs=5, batch_size=5, validation=0.2, callbacks=callbacks)
    resume(path, trainer, callbacks)
    save(trainer.model, path)
    assert np.array_equal(load(path).predict(x), trainer.model.predict(x))
print(summary(trainer.model, (1,)))
load_torch_state_dict(trainer.model, torch_state_dict(trainer.model))
assert all("<div" in shown._repr_html_() for shown in (trainer.model, history, summary(trainer.model, (1,))))
print(to_mermaid(trainer.model))
"""
#: What no extra installs, by module: the library that the error names.
OTHERS = {"minibackprop.testing.torch": "pip install torch", "minibackprop.testing.jax": "pip install jax"}
#: What each extra is for.
FEATURES = {
    "testing": "from minibackprop.testing import check_layer; check_layer(Tanh, (3,))\n"
    "from minibackprop.exercises.__main__ import main; assert main(['hint', '1']) == 0",
    "plot": "history.plot().figure.savefig(io.BytesIO())",
    "parallel": "Trainer(mlp([1, 1]), MeanSquaredError(), Adam(), parallel=Threads(2)).fit(x, x, 1)",
    "mpi": "assert Ranks().count == 1",
    "onnx": "from minibackprop.interop.onnx import to_onnx; to_onnx(trainer.model, (1,))",
    "sklearn": """
from minibackprop.interop.sklearn import MLP, NetworkRegressor
NetworkRegressor(MLP(8), epochs=1).fit(x, x[:, 0]).predict(x)
""",
    "progress": """
class Terminal(io.StringIO):
    isatty = lambda self: True
terminal = Terminal()
trainer.fit(x, x, epochs=2, callbacks=[ProgressBar(terminal)])
assert "2/2" in terminal.getvalue()
""",
}
#: Which others an extra brings.
BRINGS = {"mpi": {"parallel"}, "sklearn": {"parallel"}}


def run(python: str, code: str, folder: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in an environment, with warnings as errors."""
    variables = os.environ | {"MPLBACKEND": "agg"}
    command = [python, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables, cwd=folder)


def tried() -> Iterator[tuple[str, str, bool, str]]:
    """Try each: what, how it should be, whether it is, and what came otherwise."""
    with wheel() as path:
        for installed in ("", *FEATURES):
            installs = [[path], [f"minibackprop[{installed}]"]] if installed else [[path]]
            with environment(*installs) as python:
                for extra, code in FEATURES.items():
                    done, what = run(python, CORE + code), f"minibackprop[{installed}]: {extra}"
                    if extra == installed or extra in BRINGS.get(installed, ()):
                        yield what, "works", done.returncode == 0, done.stderr
                    else:
                        yield what, *_refusal(done, f'pip install "minibackprop[{extra}]"')
                for module, hint in OTHERS.items() if installed == "testing" else ():
                    yield f"minibackprop[testing]: {module}", *_refusal(run(python, f"import {module}"), hint)
        with environment([path], ["minibackprop[docs]"]) as python, tempfile.TemporaryDirectory() as pages:
            build = [python, "-m", "sphinx", "-q", "-W", "-b", "html", str(ROOT / "docs"), pages]
            built = subprocess.run(build, capture_output=True, text=True, check=False)
            yield "minibackprop[docs]: the pages", "are built", built.returncode == 0, built.stderr


def _refusal(done: subprocess.CompletedProcess[str], hint: str) -> tuple[str, bool, str]:
    return "is refused by name", done.stderr.strip().endswith(hint), done.stderr


def main() -> int:
    """Show each; return 0 if all is as it should be."""
    failures = 0
    for what, how, good, error in tried():
        print(what, how if good else error, flush=True)
        failures += not good
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
