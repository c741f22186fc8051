"""
Mutation testing of the formulas of layers, losses, metrics, optimizers and the like, on demand.

::

    python -m tests.mutation --to changes.jsonl       # all of them, which takes hours; goes on where it was cut
    python -m tests.mutation layers/dense.py losses   # those of a file and of a folder
    python -m tests.mutation --list layers            # what would be changed

Each change of an operator, a number, a sign, a transposition or a statement must be killed: first by the contract
alone, as `minibackprop.testing` gives it to anyone, else by the tests that mirror the file. Nothing here goes by the
names of functions: what does more than construct or check is a formula. Of what a file of results has, nothing is
tried again.
"""

import argparse
import ast
import copy
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.resumable import Line, covered, written

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "minibackprop"
TARGETS = (
    "core.py",
    "layers",
    "losses",
    "metrics",
    "numerics/functions.py",
    "optimizers",
    "initializers.py",
    "regularizers.py",
)
CONSTRUCTORS = {"__init__", "__attrs_post_init__"}
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}
CONTRACT = """
import numpy as np
from hypothesis import strategies as st
from minibackprop import ELU, GELU, DeltaTrim, Identity, LeakyReLU, LogSoftmax, ReLU, SiLU, Softmax, Softplus, Tanh
from minibackprop import Add, Concat, Flatten, MaxPool1D, Reshape, Residual, Transpose
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
check_layer(lambda: Residual(Dense(3, 3, rng=0)), (3,), shrink=False)
for combined in (Add, Concat):
    check_layer(lambda: combined([Dense(3, 3, rng=0), Tanh()]), (3,), shrink=False)
for moved in (Flatten, lambda: Reshape((3, 2)), lambda: Transpose((2, 1))):
    check_layer(lambda: Sequential([moved()]), (2, 3), shrink=False, examples=3)
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
check_layer(lambda: MaxPool1D(2), (1, 5), shrink=False, examples=3)
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
#: Changes that change no result, and why; the script names what survives beside these. Each is a piece of a statement,
#: as `ast.unparse` writes it, and what becomes of it.
EQUIVALENT = {
    ("reshape(-1", "reshape(-2"): "NumPy's reshape takes -2 for -1",
    ("x * 1.0", "x / 1.0"): "both make floats of integers",
    ("if x.ndim == 2:", "if x.ndim != 2:"): "two axes or three, the product is the same, only slower",
    ("if x.ndim == 2:", "if x.ndim == 3:"): "likewise",
    ("x * x, 10000.0", "x * x, 10001.0"): "the sigmoid has long been 0 or 1",
    ("np.copysign(logits, -1.0)", "np.copysign(logits, -2.0)"): "of what signs are copied from, the size is no matter",
    ("if 1e-20 < total", "if 1.0 < total"): "beyond it, the norm is computed another way",
    ("x.min() < 0", "x.min() < 1"): "only looked at once more",
    ("0 in x.shape", "1 in x.shape"): "likewise",
    ("x.shape[-2]", "x.shape[2]"): "of four axes, the same",
    ("weights.shape[2]", "weights.shape[3]"): "as many keys as queries",
    ("np.zeros_like(total[0])", "np.zeros_like(total[1])"): "only the shape is looked at",
    ("np.empty_like(total[0])", "np.empty_like(total[1])"): "likewise",
    ("max(1, _BLOCK", "max(2, _BLOCK"): "how many steps are worked on at a time does not matter",
    ("_BLOCK // max(1", "_BLOCK // max(2"): "likewise",
    ("_BLOCK // max(1", "_BLOCK * max(1"): "likewise",
    ("max(1, ceil", "max(2, ceil"): "likewise",
    (", inputs, 0)", ", inputs, 1)"): "any number will do for what stands in the padding",
    ("after[2:4]", "after[2:5]"): "what is computed too much is overwritten",
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


def mutants(source: str) -> Iterator[tuple[int, str, str, str]]:
    """Make all changes of the formulas in a module: the line, the statement before and after, the changed source."""
    tree = ast.parse(source)
    formulas = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and is_formula(node)]
    for statement in [statement for formula in formulas for statement in statements_in(formula)]:
        for node in nodes_of(statement):
            for new in variants(node):
                replace = Replace(node, ast.copy_location(new, node))
                after, changed = (replace.visit(copy_of(whole, node)) for whole in (statement, tree))
                source = ast.unparse(ast.fix_missing_locations(changed))
                yield node.lineno, head_of(statement), head_of(after), source


def is_formula(function: ast.FunctionDef) -> bool:
    """Tell whether a function does more than construct or check."""
    checks = any(isinstance(node, ast.Raise) for node in ast.walk(function)) and all(map(only_checks, function.body))
    return function.name not in CONSTRUCTORS and not checks


def only_checks(statement: ast.stmt) -> bool:
    """Tell whether a statement raises, or leads to one that does, and returns nothing."""
    if isinstance(statement, (ast.If, ast.For)):
        return all(map(only_checks, (*statement.body, *statement.orelse)))
    return isinstance(statement, (ast.Raise, ast.Assert, ast.Assign, ast.Expr))


def statements_in(node: ast.AST) -> Iterator[ast.stmt]:
    """Go through the statements within a node, but for those of functions and classes within it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            continue
        if isinstance(child, ast.stmt):
            yield child
        yield from statements_in(child)


def nodes_of(node: ast.AST) -> Iterator[ast.AST]:
    """Go through a statement, but for the statements within it."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.stmt):
            yield from nodes_of(child)


def head_of(statement: ast.stmt) -> str:
    """Write a statement down, without those within it."""
    return ast.unparse(statement).partition("\n")[0]


def why_equivalent(before: str, after: str) -> str:
    """Tell why a change of a statement changes no result, or ""."""
    for (piece, other), reason in EQUIVALENT.items():
        places = [place for place in range(len(before)) if before.startswith(piece, place)]
        if after in [before[:place] + other + before[place + len(piece) :] for place in places]:
            return reason
    return ""


def files_of(target: str) -> list[Path]:
    """List the modules of a target, a file or a folder of the package."""
    path = PACKAGE / target
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    if not files:
        sys.exit(f"{target} is no file of the package, and no folder")
    return [file.relative_to(PACKAGE) for file in files]


def tests_of(file: Path) -> str:
    """Find the tests that mirror a module: a file of its name, else all of its folder, or of the one above."""
    mirror = Path("tests", file.parent, f"test_{file.name}")
    while not (ROOT / mirror).exists():
        mirror = mirror.parent
    return mirror.as_posix()


def copy_of(tree: ast.AST, keep: ast.AST) -> ast.AST:
    """Copy a tree but for one node, which stays the same object."""
    return copy.deepcopy(tree, {id(keep): keep})


def killed(package: Path, command: list[str]) -> bool:
    """Run a command with the changed package in front; it must fail, or take 300 CPU seconds, to kill."""
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    limit = partial(resource.setrlimit, resource.RLIMIT_CPU, (300, 300))
    done = subprocess.run(command, cwd=package, env=environment, capture_output=True, preexec_fn=limit)
    return done.returncode != 0


def tries(targets: Sequence[str]) -> Iterator[tuple[Line, str]]:
    """Make all changes of the targets: where, what, which of its kind in its file, and the changed source."""
    for file in [file for target in targets for file in files_of(target)]:
        seen: Counter[tuple[str, str]] = Counter()
        for line, before, after, changed in mutants((PACKAGE / file).read_text(encoding="utf-8")):
            seen[before, after] += 1
            place = {"file": file.as_posix(), "line": line, "before": before, "after": after}
            yield place | {"number": seen[before, after]}, changed


def key(line: Line) -> Hashable:
    """Tell a change by its file and its text, so that lines may move."""
    return line["file"], line["before"], line["after"], line["number"]


def tried(package: Path, tasks: Iterable[tuple[Line, str]]) -> Iterator[Line]:
    """Change and test one after the other."""
    contract = [sys.executable, "-W", "ignore", "-c", CONTRACT]
    if killed(package, contract):
        sys.exit("the unchanged package does not pass the contract")
    for line, changed in tasks:
        path = package / "minibackprop" / line["file"]
        others = [sys.executable, "-m", "pytest", "-n0", "-x", "-q", tests_of(Path(line["file"]))]
        source = path.read_text(encoding="utf-8")
        path.write_text(changed, encoding="utf-8")
        verdict = "killed by the contract" if killed(package, contract) else ""
        verdict = verdict or ("killed by other tests" if killed(package, others) else "survived")
        reason = why_equivalent(line["before"], line["after"]) if verdict == "survived" else ""
        path.write_text(source, encoding="utf-8")
        yield line | {"verdict": "equivalent" if reason else verdict, "reason": reason}


def main(targets: Sequence[str] = TARGETS, to: Path | None = None) -> None:
    """Change, test, count, and print what the contract alone does not kill."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder)
        for name in ("minibackprop", "tests"):
            shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, package / name)
        to = to or package / "results.jsonl"
        tasks, lines = list(tries(targets)), covered(to, key)
        left = [task for task in tasks if key(task[0]) not in lines]
        for line in written(to, tried(package, left) if left else []):
            lines[key(line)] = line
    report([lines[key(place)] for place, _ in tasks if key(place) in lines], len(tasks))


def report(lines: Sequence[Line], changes: int) -> None:
    """Print what the contract alone did not kill, and what was covered."""
    for line in lines:
        if line["verdict"] != "killed by the contract":
            said = f"  ({line['reason']})" if line["reason"] else ""
            print(f"{line['verdict']}: {line['file']}:{line['line']}  {line['before']}  ->  {line['after']}{said}")
    counts = Counter(line["verdict"] for line in lines)
    print(f"{len(lines)} of {changes} changes:", ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def show(targets: Sequence[str] = TARGETS) -> None:
    """Print all changes, and how many there are by file."""
    counts = {}
    for file in [file for target in targets for file in files_of(target)]:
        found = list(mutants((PACKAGE / file).read_text(encoding="utf-8")))
        for line, before, after, _ in found:
            print(f"{file.as_posix()}:{line}  {before}  ->  {after}")
        counts[file.as_posix()] = len(found)
    print("\n".join(f"{count:6} {file}" for file, count in {**counts, "in all": sum(counts.values())}.items() if count))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[1])
    parser.add_argument("targets", nargs="*", default=TARGETS, help="files or folders of the package; by default all")
    parser.add_argument("--list", action="store_true", help="print the changes, and test nothing")
    parser.add_argument("--to", type=Path, help="the file of results, to go on from")
    arguments = parser.parse_args()
    if arguments.list:
        show(arguments.targets)
    else:
        main(arguments.targets, arguments.to)
