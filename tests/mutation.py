"""
Mutation testing of the formulas of layers and losses, on demand: ``python -m tests.mutation``.

Each change of an operator, a number, a sign, a transposition or a statement in a forward or backward formula must be
killed: first by the contract alone, as `minibackprop.testing` gives it to anyone, else by the project's other tests.
"""

import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = (
    "layers/dense.py",
    "layers/activations.py",
    "layers/softmax.py",
    "layers/delta_trim.py",
    "special.py",
    "initializers.py",
    "losses.py",
    "metrics.py",
    "layers/dropout.py",
    "layers/batch_norm.py",
    "layers/normalization.py",
    "layers/embedding.py",
    "layers/attention.py",
    "layers/windows.py",
    "layers/convolution.py",
    "layers/pooling.py",
    "layers/recurrent.py",
    "regularizers.py",
    "optimizers.py",
    "schedules.py",
)
FORMULAS = {
    "forward",
    "predict",
    "backward",
    "accumulate",
    "_over_leading_axes",
    "_residual",
    "weights_per_entry",
    "_weighted",
    "_divisor",
    "_logistic_loss",
    "_sigmoid",
    "_forward",
    "_backward",
    "_shifted",
    "normal",
    "_polynomial",
    "fans",
    "__call__",
    "total_weight",
    "require_shares",
    "are_labels",
    "as_labels",
    "as_probabilities",
    "mean_absolute_error",
    "accuracy",
    "binary_accuracy",
    "_accumulate",
    "_follow",
    "along",
    "sums",
    "centre",
    "through_statistics",
    "as_real",
    "_waves",
    "_mix",
    "_unmix",
    "_hidden",
    "_only",
    "_largest",
    "_heads",
    "_penalty",
    "_gradient",
    "update",
    "_descend",
    "_drop_tiny",
    "_clipped",
    "_global_norm",
    "padded",
    "counts",
    "views",
    "all",
    "inside",
    "_reach",
    "_margins",
    "_is_disjoint",
    "_padded",
    "_convolve",
    "_transpose",
    "_columns",
    "_grouped",
    "_kernels",
    "_by_group",
    "_reduce",
    "_spread",
    "_through_time",
    "_back_through_time",
    "_by_states",
    "_by_inputs",
    "_blocks",
    "_rows",
    "_halved",
    "_real",
    "_to_sigmoids",
    "_complete",
    "_step",
    "_slopes",
    "_step_back",
}
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
CONTRACT = """
import numpy as np
from hypothesis import strategies as st
from minibackprop import ELU, GELU, DeltaTrim, Identity, LeakyReLU, LogSoftmax, ReLU, SiLU, Softmax, Softplus, Tanh
from minibackprop import GRU, L1, L2, LSTM, RNN, BatchNorm, Dropout, ElasticNet
from minibackprop import Embedding, GroupNorm, LayerNorm, MultiHeadAttention, PositionalEncoding, RMSNorm
from minibackprop import AvgPool2D, Conv1D, Conv2D, GlobalAvgPool, MaxPool2D
from minibackprop import BinaryCrossEntropy, Huber, MeanAbsoluteError, SoftmaxCrossEntropy
from minibackprop import Dense, HalfSquaredError, MeanSquaredError, Sequential, Sigmoid
from minibackprop.testing import check_layer, check_loss, check_regularizer
check_layer(lambda: Dense(3, 4, rng=0), (3,), shrink=False)
check_layer(lambda: Dense(3, 2, bias=False, rng=0), (5, 3), shrink=False)
check_layer(Sigmoid, (3,), shrink=False)
for activation in (Tanh, ReLU, ELU, SiLU, GELU, lambda: GELU("tanh"), Softplus, Softmax, LogSoftmax, Identity):
    check_layer(activation, (3,), shrink=False)
for activation in (lambda: LeakyReLU(0.3), lambda: ELU(2.5), lambda: DeltaTrim(0.1, 1.0)):
    check_layer(activation, (3,), shrink=False)
for activation in (lambda: Softmax(2), lambda: LogSoftmax(-2)):
    check_layer(activation, (2, 3), shrink=False)
check_layer(lambda: Sequential([Dense(2, 2, rng=0), Sigmoid(), Dense(2, 1, rng=1)]), (2,), shrink=False)
check_layer(lambda: Dropout(0.4, rng=0), (4,), shrink=False)
check_layer(lambda: BatchNorm(3), (3,), shrink=False)
check_layer(lambda: BatchNorm(2), (2, 3), shrink=False)
for norm in (lambda: LayerNorm(3), lambda: RMSNorm(3)):
    check_layer(norm, (2, 3), shrink=False, examples=4)
check_layer(lambda: GroupNorm(2, 4), (4, 3), shrink=False, examples=4)
check_layer(lambda: Embedding(5, 3, rng=0), st.just(np.array([[0, 1, 0], [4, 4, 2]])), shrink=False, examples=3)
check_layer(lambda: PositionalEncoding(3), (4, 3), shrink=False, examples=2)
for causal in (False, True):
    check_layer(lambda: MultiHeadAttention(4, 2, causal=causal, rng=0), (3, 4), shrink=False, examples=3)
check_layer(lambda: Conv1D(2, 4, 3, 2, "same", groups=2, rng=0), (2, 5), shrink=False, examples=3)
check_layer(lambda: Conv2D(2, 3, (3, 2), padding=(1, 0), dilation=(1, 2), rng=0), (2, 3, 4), shrink=False, examples=3)
for pool in (lambda: MaxPool2D(2), lambda: AvgPool2D((2, 3), stride=1, padding=1)):
    check_layer(pool, (1, 4, 5), shrink=False, examples=3)
check_layer(GlobalAvgPool, (2, 3), shrink=False, examples=3)
for cell in (RNN, LSTM, GRU):
    check_layer(lambda: cell(3, 2, rng=0), (4, 3), shrink=False, examples=3)
    check_layer(lambda: cell(3, 2, return_sequences=False, rng=0), (4, 3), shrink=False, examples=3)
for penalty in (lambda: L1(0.3), lambda: L2(0.3, biases=True), lambda: ElasticNet(0.3, 0.7)):
    check_regularizer(penalty)
for loss in (HalfSquaredError, MeanSquaredError, MeanAbsoluteError, Huber, lambda: MeanSquaredError(reduction="sum")):
    check_loss(loss, (2,))
    check_loss(loss, ())
check_loss(BinaryCrossEntropy, (2,), targets=lambda rng, x: rng.random(x.shape).round(1))
for arguments in ((0.0, None), (0.1, None), (0.0, (1.0, 2.0, 3.0)), (0.1, (1.0, 2.0, 3.0))):
    for targets in (
        lambda rng, x: rng.integers(0, 3, x.shape[:-1]),
        lambda rng, x: rng.dirichlet(np.ones(3), x.shape[:-1]),
    ):
        check_loss(lambda: SoftmaxCrossEntropy(*arguments), (2, 3), targets=targets, examples=5)
"""
OTHER_TESTS = (
    "tests/layers/test_dense.py",
    "tests/layers/test_activations.py",
    "tests/layers/test_softmax.py",
    "tests/layers/test_delta_trim.py",
    "tests/test_special.py",
    "tests/test_initializers.py",
    "tests/test_losses.py",
    "tests/test_metrics.py",
    "tests/layers/test_dropout.py",
    "tests/layers/test_batch_norm.py",
    "tests/layers/test_normalization.py",
    "tests/layers/test_embedding.py",
    "tests/layers/test_attention.py",
    "tests/layers/test_convolution.py",
    "tests/layers/test_pooling.py",
    "tests/layers/test_recurrent.py",
    "tests/test_regularizers.py",
    "tests/test_optimizers.py",
    "tests/test_schedules.py",
)
#: Changes that change no result, and why; the script names what survives beside these.
EQUIVALENT = {
    "_global_norm: 1e-20  ->  1.0": "beyond it, the norm is computed another way",
    "backward: x.ndim != 2  ->  x.ndim == 2": "two axes or three, the product is the same, only slower",
    "backward: 2  ->  3": "likewise",
    "predict: x * 1.0  ->  x / 1.0": "both make floats of integers",
    "_padded: x * 1.0  ->  x / 1.0": "likewise",
    "forward: x * 1.0  ->  x / 1.0": "likewise",
    "_forward: 10000.0  ->  10001.0": "the sigmoid has long been 0 or 1",
    "backward: 1  ->  2": "NumPy's reshape takes -2 for -1",
    "accumulate: 1  ->  2": "likewise",
    "_over_leading_axes: 1  ->  2": "likewise",
    "weights_per_entry: 1  ->  2": "likewise",
    "as_labels: 1  ->  2": "likewise",
    "as_probabilities: 1  ->  2": "likewise",
    "_forward: 1  ->  2": "likewise",
    "accuracy: 1  ->  2": "likewise",
    "_logistic_loss: 1.0  ->  2.0": "of what signs are copied from, the size does not matter",
    "along: 1  ->  2": "likewise",
    "as_real: x * 1.0  ->  x / 1.0": "both make floats of integers",
    "_largest: -2  ->  2": "of four axes, the same",
    "_mix: 2  ->  3": "as many keys as queries",
    "_waves: 1  ->  2": "NumPy's reshape takes -2 for -1",
    "predict: 0  ->  1": "only looked at once more",
    "_halved: 1  ->  2": "likewise",
    "_by_inputs: 1  ->  2": "likewise",
    "_back_through_time: 0  ->  1": "only the shape is looked at",
    "_blocks: 1  ->  2": "how many steps are worked on at a time does not matter",
    "_blocks: _BLOCK // max(1, self._gates * samples * width)  ->  _BLOCK * max(1, self._gates * samples * width)": (
        "likewise"
    ),
    "_rows: 0  ->  1": "any number will do for what stands in the padding",
    "_step: 4  ->  5": "what is computed too much is overwritten",
}


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """Make all changes of one node."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in SWAPS:
        changed = copy.deepcopy(node)
        changed.op = SWAPS[type(node.op)]()
        yield changed
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
        changed = copy.deepcopy(node)
        changed.ops[0] = ast.NotEq() if isinstance(node.ops[0], ast.Eq) else ast.Eq()
        yield changed
    elif (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)) or isinstance(node, ast.AugAssign):
        yield ast.Pass()


class Replace(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Make all changes of the formulas in a module: a description, and the changed source."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in FORMULAS]
    for function in functions:
        for node in [node for statement in function.body for node in ast.walk(statement)]:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            for new in variants(node):
                changed = Replace(node, ast.copy_location(new, node)).visit(copy_of(tree, node))
                what = f"line {node.lineno}, {function.name}: {ast.unparse(node)}  ->  {ast.unparse(new)}"
                yield what, ast.unparse(ast.fix_missing_locations(changed))


def copy_of(tree: ast.AST, keep: ast.AST) -> ast.AST:
    """Copy a tree but for one node, which stays the same object."""
    return copy.deepcopy(tree, {id(keep): keep})


def killed(package: Path, command: list[str]) -> bool:
    """Run a command with the changed package in front; it must fail to kill."""
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return bool(subprocess.run(command, cwd=package, env=environment, capture_output=True, timeout=300).returncode)
    except subprocess.TimeoutExpired:
        return True


def main(targets: Sequence[str] = TARGETS) -> None:
    counts = {"killed by the contract": 0, "killed by other tests": 0, "equivalent": 0, "survived": 0}
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder)
        for name in ("minibackprop", "tests"):
            shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, package / name)
        contract = [sys.executable, "-W", "ignore", "-c", CONTRACT]
        others = [sys.executable, "-m", "pytest", "-n0", "-x", "-q", *OTHER_TESTS]
        if killed(package, contract):
            sys.exit("the unchanged package does not pass the contract")
        for target in targets:
            path = package / "minibackprop" / target
            source = path.read_text(encoding="utf-8")
            for what, changed in mutants(source):
                path.write_text(changed, encoding="utf-8")
                verdict = "killed by the contract" if killed(package, contract) else ""
                verdict = verdict or ("killed by other tests" if killed(package, others) else "survived")
                if verdict == "survived" and (reason := EQUIVALENT.get(what.partition(", ")[2])):
                    verdict = "equivalent"
                    what += f"  ({reason})"
                counts[verdict] += 1
                if verdict != "killed by the contract":
                    print(f"{verdict}: {target} {what}", flush=True)
            path.write_text(source, encoding="utf-8")
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


if __name__ == "__main__":
    main(sys.argv[1:] or TARGETS)
