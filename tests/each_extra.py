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
    "testing": "from minibackprop.testing import check_layer; check_layer(Tanh, (3,))",
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


def main() -> int:
    """Try each; return 0 if all is as it should be."""
    failures = 0
    with wheel() as path:
        for installed in ("", *FEATURES):
            installs = [[path], [f"minibackprop[{installed}]"]] if installed else [[path]]
            with environment(*installs) as python:
                for extra, code in FEATURES.items():
                    done = run(python, CORE + code)
                    if extra == installed or extra in BRINGS.get(installed, ()):
                        what, good = "works", done.returncode == 0
                    else:
                        hint = f'pip install "minibackprop[{extra}]"'
                        what, good = "is refused by name", done.stderr.strip().endswith(hint)
                    print(f"minibackprop[{installed}]: {extra} {what if good else done.stderr}", flush=True)
                    failures += not good
                for module, hint in OTHERS.items() if installed == "testing" else ():
                    done = run(python, f"import {module}")
                    good = done.stderr.strip().endswith(hint)
                    print(
                        f"minibackprop[testing]: {module} {'is refused by name' if good else done.stderr}", flush=True
                    )
                    failures += not good
        with environment([path], ["minibackprop[docs]"]) as python, tempfile.TemporaryDirectory() as pages:
            build = [python, "-m", "sphinx", "-q", "-W", "-b", "html", str(ROOT / "docs"), pages]
            good = subprocess.run(build, check=False).returncode == 0
            print(f"minibackprop[docs]: the pages {'are built' if good else 'are not built'}", flush=True)
            failures += not good
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
