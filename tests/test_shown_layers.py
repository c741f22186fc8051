"""Every layer that the README, the docs and the examples show keeps the layer contract, or breaks it on purpose."""

import ast
import re
from collections.abc import Callable
from doctest import DocTestParser
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from minibackprop import RNN, Dense, Embedding, Sequential
from minibackprop.core import Layer
from minibackprop.testing import ContractViolation, batches, check_layer
from minibackprop.validation import Array
from tests.pages import WRITTEN

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *WRITTEN, *sorted((ROOT / "examples").glob("*.py"))]

#: Makes a layer by what its page or example defines and imports; and what `check_layer` takes as its inputs.
Shown: TypeAlias = tuple[Callable[[Any], Layer], tuple[int, ...] | SearchStrategy[Array]]


def tokens(count: int, steps: int) -> SearchStrategy[Array]:
    """Draw batches of three sequences of tokens."""
    return st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).integers(0, count, size=(3, steps)))


SHOWN: dict[str, dict[str, Shown]] = {
    "README.md": {
        "Square": (lambda page: page.Square(), (3,)),
    },
    "docs/explanation/laws.md": {
        "Softsign": (lambda page: page.Softsign(), (3,)),  # Not the softsign, but a layer.
        "MendedSoftsign": (lambda page: page.MendedSoftsign(), (3,)),
    },
    "docs/explanation/same_two_lines.md": {
        "PlainConvolution": (lambda page: page.PlainConvolution(), (5, 2)),
        "Step": (lambda page: page.Step(RNN(3, 2, rng=0)), (4, 5)),
    },
    "docs/how-to/build_with_blocks.md": {
        "Logits": (lambda page: page.Logits(Embedding(5, 3, rng=0)), (3,)),
    },
    "docs/how-to/export_to_onnx.md": {
        "Backwards": (lambda page: page.Backwards(), (4, 2)),
        "Scale": (lambda page: page.Scale(3), (3,)),
        "BothWays": (lambda page: page.BothWays(RNN(3, 2, rng=0), RNN(3, 2, rng=1)), (4, 3)),
        "Square": (lambda page: page.Square(), (3,)),
    },
    "docs/how-to/fine_tune.md": {"Noise": (lambda page: page.Noise(0.1, rng=0), (3,))},
    "docs/how-to/show_a_model.md": {"Square": (lambda page: page.Square(), (3,))},
    "docs/how-to/types.md": {"Square": (lambda page: page.Square(), (3,))},
    "docs/how-to/use_a_gpu.md": {"Halved": (lambda page: page.Halved(), (3,))},
    "docs/how-to/use_all_cores.md": {"Seen": (lambda page: page.Seen(3), (3,))},
    "docs/how-to/custom_layer.md": {
        "Square": (lambda page: page.Square(), (3,)),
        "Scale": (lambda page: page.Scale(3), (3,)),
        "Shift": (lambda page: page.Shift((2, 3)), (2, 3)),
        "Power": (lambda page: page.Power(3), (3,)),
        "Residual": (lambda page: page.Residual(Dense(3, 3, rng=0)), (3,)),
        "Forgetful": (lambda page: page.Forgetful(Dense(3, 3, rng=0)), (3,)),
        "Dropout": (lambda page: page.Dropout(0.5, rng=0), (3,)),
        "ClipDelta": (lambda page: page.ClipDelta(1.0), (3,)),
        "Synapse": (lambda page: page.Synapse(np.ones((3, 2))), (3,)),
        "Broken": (lambda page: page.Broken(3), (3,)),
        "NoCache": (lambda page: page.NoCache(), (3,)),
        "Pairs": (lambda page: page.Pairs(), (4,)),
    },
    "docs/how-to/mark_homework.md": {
        "Affine": (lambda page: page.Affine(3, 2), (3,)),
        "AttemptedAffine": (lambda page: page.AttemptedAffine(3, 2), (3,)),
        "SolvedAffine": (lambda page: page.SolvedAffine(3, 2), (3,)),
    },
    "docs/how-to/read_a_violation.md": {
        "LeakyReLU": (lambda page: page.LeakyReLU(), (3,)),
        "ReLU": (lambda page: page.ReLU(), (3,)),
        "SiLU": (lambda page: page.SiLU(), (3,)),
        "Softmax": (lambda page: page.Softmax(), (3,)),
        "Largest": (lambda page: page.Largest(), (2,)),
        "SharedLargest": (lambda page: page.SharedLargest(), (2,)),
        "MendedLargest": (lambda page: page.MendedLargest(), (2,)),
    },
    "docs/how-to/save_and_resume.md": {
        "Scaled": (lambda page: page.Scaled(0.5), (3,)),
    },
    "docs/how-to/sequences.md": {
        "Unpadded": (
            lambda page: page.Unpadded(Sequential([Embedding(10, 4, rng=0), page.MeanOverTime()])),
            tokens(10, 5),
        ),
        "MeanOverTime": (lambda page: page.MeanOverTime(), (3, 4)),
    },
    "docs/how-to/test_your_layer.md": {
        "Square": (lambda page: page.Square(), (3,)),
        "Scale": (lambda page: page.Scale(3), (3,)),
        "SummingScale": (lambda page: page.SummingScale(3), (3,)),
        "MendedScale": (lambda page: page.MendedScale(3), (3,)),
        "Log": (lambda page: page.Log(), batches((3,), min_size=1).map(lambda x: np.abs(x) + 0.1)),
        "Embedding": (lambda page: page.Embedding(7, 3), tokens(7, 2)),
        "Faded": (lambda page: page.Faded(), (3,)),
        "Spread": (lambda page: page.Spread(3), (3,)),
        "Round": (lambda page: page.Round(), (3,)),
        "Reversal": (lambda page: page.Reversal(), (3,)),
        "PaddedEmbedding": (lambda page: page.PaddedEmbedding(7, 3), tokens(7, 2)),
        "Floor": (lambda page: page.Floor(), (3,)),
    },
    "docs/reference/declarations.md": {
        "Twice": (lambda page: page.Twice(Dense(3, 3, rng=0)), (3,)),
        "OneHot": (lambda page: page.OneHot(4), tokens(4, 2)),
    },
    "docs/reference/testing.md": {
        "Halfway": (lambda page: page.Halfway(Dense(3, 3, rng=0)), (3,)),
    },
    "docs/tutorial/checked_layer.md": {
        "FirstSoftmax": (lambda page: page.FirstSoftmax(), (3,)),
        "CachedSoftmax": (lambda page: page.CachedSoftmax(), (3,)),
        "StableSoftmax": (lambda page: page.StableSoftmax(), (3,)),
        "MixingSoftmax": (lambda page: page.MixingSoftmax(), (3,)),
        "Softmax": (lambda page: page.Softmax(), (3,)),
        "Sharp": (lambda page: page.Sharp(), (3,)),  # Not the softmax, but a layer.
    },
    "docs/tutorial/composition.md": {
        "Chain": (lambda page: page.Chain(Dense(3, 2, rng=0), Dense(2, 4, rng=1)), (3,)),
        "WithOne": (lambda page: page.WithOne(), (2,)),
        "Synapse": (lambda page: page.Synapse(np.ones((3, 2))), (3,)),
        "Squash": (lambda page: page.Squash(), (3,)),
    },
    "docs/tutorial/first_layer.md": {
        "FirstRipple": (lambda page: page.FirstRipple(3), (3,)),
        "SummedRipple": (lambda page: page.SummedRipple(3), (3,)),
        "WholeRipple": (lambda page: page.WholeRipple(3), (3,)),
        "Ripple": (lambda page: page.Ripple(3), (3,)),
    },
    "examples/custom_layer.py": {
        "Sine": (lambda page: page.Sine(), (3,)),
        "Scale": (lambda page: page.Scale(3), (3,)),
    },
    "examples/mnist_1d.py": {
        "Backwards": (lambda page: page.Backwards(), (4, 2)),
    },
    "examples/typed_layers.py": {
        "Scale": (lambda page: page.Scale(3), (3,)),
        "Product": (lambda page: page.Product(Dense(3, 2, rng=0), Dense(3, 2, rng=1)), (3,)),
    },
}

#: Those that are wrong on purpose: the law that each breaks, and what the page shows by it.
WRONG = {
    ("docs/how-to/custom_layer.md", "Forgetful"): ("shapes", "the error for a composite without predict"),
    ("docs/how-to/custom_layer.md", "Broken"): ("shapes", "the error for a gradient of the wrong shape"),
    ("docs/how-to/show_a_model.md", "Square"): ("input gradient", "a violation in a notebook"),
    ("docs/how-to/use_a_gpu.md", "Halved"): ("other arrays", "an array of the host's in a formula"),
    ("docs/how-to/custom_layer.md", "NoCache"): ("shapes", "the error for a forgotten cache"),
    ("docs/how-to/mark_homework.md", "Affine"): ("shapes", "an exercise, with its hole"),
    ("docs/how-to/mark_homework.md", "AttemptedAffine"): ("parameter gradient", "an attempt: a mean for a sum"),
    ("docs/how-to/read_a_violation.md", "LeakyReLU"): ("input gradient", "the parts of a violation"),
    ("docs/how-to/read_a_violation.md", "ReLU"): ("two open passes", "state on the layer"),
    ("docs/how-to/read_a_violation.md", "SiLU"): ("arguments untouched", "an argument overwritten"),
    ("docs/how-to/read_a_violation.md", "Softmax"): ("input gradient", "samples mixed"),
    ("docs/how-to/read_a_violation.md", "Largest"): ("input gradient", "a tie"),
    ("docs/how-to/read_a_violation.md", "SharedLargest"): ("dtype", "a detour through integers"),
    ("docs/how-to/test_your_layer.md", "Scale"): ("parameter gradient", "a first attempt: a mean for a sum"),
    ("docs/how-to/test_your_layer.md", "SummingScale"): ("feature count", "a second attempt: it broadcasts"),
    ("docs/how-to/test_your_layer.md", "Floor"): ("input gradient", "a staircase, whose gradient is zero"),
    ("docs/how-to/test_your_layer.md", "Round"): ("input gradient", "straight through, without its surrogate"),
    ("docs/how-to/test_your_layer.md", "Reversal"): ("input gradient", "a reversal, without its surrogate"),
    ("docs/how-to/test_your_layer.md", "PaddedEmbedding"): ("parameter gradient", "a row held, without its surrogate"),
    ("docs/tutorial/checked_layer.md", "FirstSoftmax"): ("two open passes", "a first attempt: state on the layer"),
    ("docs/tutorial/checked_layer.md", "CachedSoftmax"): ("finite", "a second attempt: it overflows"),
    ("docs/tutorial/checked_layer.md", "StableSoftmax"): ("input gradient", "a third attempt: half of the Jacobian"),
    ("docs/tutorial/checked_layer.md", "MixingSoftmax"): ("input gradient", "a fourth attempt: samples mixed"),
    ("docs/tutorial/first_layer.md", "FirstRipple"): ("shapes", "a first attempt: no sum over the samples"),
    ("docs/tutorial/first_layer.md", "SummedRipple"): ("input gradient", "a second attempt: a term is missing"),
    ("docs/tutorial/first_layer.md", "WholeRipple"): ("leading axes", "a third attempt: input that it does not take"),
}


def python_of(page: Path) -> str:
    """Give the code of an example, or of all blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".py":
        return text
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    examples = DocTestParser().get_examples
    return "".join("".join(e.source for e in examples(block)) if ">>>" in block else block for block in blocks)


@cache
def definitions(page: Path) -> tuple[SimpleNamespace, list[str]]:
    """Run the imports, classes and functions of an example or a page; give them, and which classes are layers."""
    tree = ast.parse(python_of(page))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert all(node in tree.body for node in classes), "a class within a block is not found"
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    functions = [node for node in functions if not (node.decorator_list or node.returns or node.args.defaults)]
    defined: dict[str, Any] = {"__name__": str(page)}
    layers: list[str] = []
    for node in tree.body:
        if node in classes or node in functions or isinstance(node, (ast.Import, ast.ImportFrom)):
            try:
                exec(compile(ast.Module([node], []), page, "exec"), defined)
            except ModuleNotFoundError as error:
                if error.name not in ("torch", "jax"):
                    raise
                pytest.skip(f"needs {error.name}")
        if node in classes and issubclass(defined[node.name], Layer):
            layers.append(node.name)
    return SimpleNamespace(**defined), layers


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_layers_are_listed(page: Path) -> None:
    """Each layer that is shown is in the table, under a name that its page has once, and the table has no others."""
    assert sorted(definitions(page)[1]) == sorted(SHOWN.get(page.relative_to(ROOT).as_posix(), {}))


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, layers in SHOWN.items() for name in layers])
def test_shown_layer_keeps_the_contract(page: str, name: str) -> None:
    """`check_layer` finds nothing, or what the page is there to show."""
    defined, _ = definitions(ROOT / page)
    make, inputs = SHOWN[page][name]
    law, _ = WRONG.get((page, name), ("", ""))
    try:
        check_layer(lambda: make(defined), inputs, examples=5, shrink=False)
    except ContractViolation as violation:
        if violation.law != law:
            raise
    else:
        assert not law, f"wrong on purpose, but keeps the law {law!r}"


def test_exceptions_are_shown() -> None:
    """Each layer that is listed as wrong on purpose is there."""
    assert all(name in SHOWN[page] for page, name in WRONG)
