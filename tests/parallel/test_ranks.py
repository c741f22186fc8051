"""Ranks of MPI: programs that run on two and three of them, and what comes of it on each."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minibackprop import SGD, ConfigError, Dense, MeanSquaredError, Ranks, Sequential, Tanh, Trainer, resume
from tests.environments import ROOT

pytest.importorskip("mpi4py", reason="there is no mpi4py, which the extra mpi brings")
MPIEXEC = shutil.which("mpiexec", path=Path(sys.executable).parent) or shutil.which("mpiexec")
with_mpiexec = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec, which the extra mpi brings")

#: How long a program may take on a machine that has other things to do; each hangs if it takes longer.
PATIENCE = 120

X, Y = np.linspace(-1, 1, 12).reshape(4, 3), np.ones((4, 2))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


def started(count: int, directory: Path, *end: str) -> subprocess.Popen[str]:
    """Start `tests.parallel.program` on so many ranks."""
    command = [str(MPIEXEC), "-n", str(count), sys.executable, "-W", "error", "-m", "tests.parallel.program"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, str(directory), *end], cwd=ROOT, **pipes)


def ended(program: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of a program: give its exit status, and what it has said."""
    try:
        out, err = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        out, err = program.communicate()
        pytest.fail(f"it hangs:\n{out}\n{err}")
    return program.returncode, out + err


@pytest.fixture(scope="module", params=[2, 3])
def results(request: pytest.FixtureRequest, directory: Path) -> dict[str, list[Any]]:
    """What each case gave, on each of two or three ranks."""
    status, said = ended(started(request.param, directory))
    assert (status, said) == (0, "")
    found: dict[str, list[Any]] = json.loads((directory / f"{request.param}.json").read_text())
    return found


def the_same(values: list[Any]) -> Any:
    """Require that all ranks have found the same, and give it."""
    assert all(value == values[0] for value in values)
    return values[0]


# --- What a run finds ------------------------------------------------------------------------------------------------


@with_mpiexec
def test_is_as_alone(results: dict[str, list[Any]]) -> None:
    """However batches are made and weighed, ranks find what one process finds; all of them the same, to the bit."""
    for name, (difference, _) in the_same(results["alike"]).items():
        assert difference < 1e-13, name


@with_mpiexec
def test_steps_of_a_loop_of_ones_own(results: dict[str, list[Any]]) -> None:
    """Single steps are those of one process too, and give its losses."""
    weights, losses, _ = the_same(results["single_steps"])
    assert max(weights, losses) < 1e-14


@with_mpiexec
def test_callbacks_see_the_whole_batch(results: dict[str, list[Any]]) -> None:
    """Loss, prediction, targets, weights and gradients are those of one process, in its order."""
    assert max(results["watched"]) < 1e-14
    assert the_same(results["watched_beside_steps"]) == [10] * 6


@with_mpiexec
def test_a_run_repeats_with_masks_of_its_own_on_each_rank(results: dict[str, list[Any]]) -> None:
    """With dropout, a second run has the same bits; no rank drops what another drops."""
    runs = [tuple(marks) for marks, _ in results["dropped"]]
    assert len(set(the_same(runs))) == 1
    masks = [set(found) for _, found in results["dropped"]]
    assert all(len(found) == 1 for found in masks)
    assert len(set.union(*masks)) == len(masks)


@with_mpiexec
def test_without_seeds_all_begin_as_the_first(results: dict[str, list[Any]]) -> None:
    """Weights, dropout, order and split that are drawn without a seed are those of rank 0."""
    the_same(results["without_seeds"])


@with_mpiexec
def test_all_go_on_from_what_the_first_has(results: dict[str, list[Any]]) -> None:
    """Also where an optimizer remembers something else on one rank; and a model, in a loop without a trainer."""
    the_same(results["without_a_trainer"])
    the_same(the_same(results["with_another_memory"]))


@with_mpiexec
def test_resumes_to_the_same_bits(results: dict[str, list[Any]]) -> None:
    """A checkpoint, which rank 0 alone writes, holds the streams of all."""
    whole, part, resumed, _ = zip(*results["resumed"], strict=True)
    assert the_same([*whole, *resumed]) != the_same(list(part))
    assert [written for *_, written in results["resumed"]] == [True] + [False] * (len(whole) - 1)


@with_mpiexec
def test_the_first_rank_prints(results: dict[str, list[Any]]) -> None:
    """Lines, progress and warnings come once."""
    (lines, bar, warned), *others = results["printed"]
    assert (lines, bar) == (2, 2)
    assert [text.split()[0] for text in warned] == ["SoftmaxCrossEntropy", "Trainer:", "metric", "EarlyStopping:"]
    assert all(other == [0, 0, []] for other in others)


@with_mpiexec
def test_copies_go_on_alike(results: dict[str, list[Any]]) -> None:
    """A trainer that was copied or pickled goes on as the original does."""
    the_same(the_same(results["copied"]))


# --- Data of one's own -----------------------------------------------------------------------------------------------


@with_mpiexec
def test_shards_make_up_the_whole(results: dict[str, list[Any]]) -> None:
    """Batches that are cut on each rank are as one that is cut from all data; memory maps are as arrays."""
    difference, arrays, mapped = the_same(results["shards"])
    assert difference < 1e-14
    assert arrays == mapped


@with_mpiexec
def test_streams_of_unequal_length(results: dict[str, list[Any]]) -> None:
    """A rank that has no more batches goes on with the others', for means and for sums."""
    assert max(difference for difference, _ in the_same(results["streams"])) < 1e-14


@with_mpiexec
def test_shards_have_orders_of_their_own(results: dict[str, list[Any]]) -> None:
    """Each pass of each rank has another order; a run that is resumed has the same."""
    orders = [tuple(order) for passes in results["orders"] for order in passes]
    assert len(set(orders)) == len(orders)
    the_same(the_same(results["shuffled_shards"]))


# --- Errors ----------------------------------------------------------------------------------------------------------

#: What is said of the last rank's error, by all ranks.
DIFFER = {
    "a call on one rank": ("sum the gradients of a step", "gather values"),
    "another model": ("the same layers on each", "3: Dense"),
    "another width, without a trainer": ("the same parameters on each", "weight (3, 3)"),
    "another width": ("the same parameters on each", "2.weight (5, 7)"),
    "another optimizer": ("the same optimizer on each", "learning_rate=1.1"),
    "rows": ("the same batches on each: seed what shuffles", "batch 1"),
    "fewer batches": ("as many batches", "end an epoch, or begin one"),
    "another order": ("the same batches on each: seed what shuffles", "sharded=True"),
    "epochs": ("the same epochs on each", "epochs 4"),
    "validation": ("the same validation on each", "validation some"),
    "callbacks": ("the same callbacks on each", "EarlyStopping"),
    "a checkpoint on one rank": ("a checkpoint must be there for all to read", "steps made 1"),
    "balanced shards": ("a dict, the same on each", "class_weights {0: "),
}
#: What the last rank raises, and the others name in a `WorkerError`.
FAIL = {
    "in forward": "ValueError: no more",
    "within a layer": "ValueError: no more",
    "in a callback": "OSError: the disk is full",
    "end of the program": "SystemExit: 3",
}
#: What all ranks raise, as a program that handles it does so on all of them.
FAMILY = {
    "of the framework": "NonFiniteError: the loss must be finite, got nan",
    "columns": "ShapeError: layer 0: Dense expects (..., 3)",
    "too few for sums": "ConfigError: Trainer: parallel, with BatchNorm expects a sample of each batch for each",
    "an argument": "ConfigError: Trainer: batch_size expects a positive integer",
    "one stream dry": "ConfigError: Trainer: x without y expects at least one batch",
}


@with_mpiexec
def test_an_error_of_one_ends_all(results: dict[str, list[Any]]) -> None:
    """All ranks end with an error that says what has happened, and where; and can then go on together."""
    count = len(results["errors"])
    others, last = [f"rank{'s' * (count > 2)} {', '.join(map(str, range(count - 1)))}", f"rank {count - 1}"]
    for name, first in results["errors"][0].items():
        found = [errors[name] for errors in results["errors"]]
        if name in DIFFER:
            assert the_same(found).startswith("WorkerError: Ranks must do the same (")
            assert all(part in first for part in DIFFER[name]), first
            assert f"; {last}: " in first
            assert f"got {others}: " in first or name in ("another order", "balanced shards")
        elif name in FAIL:
            assert found[-1].startswith(FAIL[name])
            told = f"WorkerError: rank {count - 1} of {count} must go on, got {FAIL[name]}"
            assert all(text.startswith(told) for text in found[:-1])
        elif name in FAMILY:
            assert all(text.startswith(FAMILY[name]) for text in found)
            assert all(f"[on rank {count - 1}]" in text for text in found[:-1])
        elif name == "a disk":
            assert first.startswith("FileNotFoundError")
            told = f"WorkerError: rank 0 of {count} must go on, got FileNotFoundError: "
            assert all(text.startswith(told) for text in found[1:])
        else:
            assert the_same(found).startswith({"Ctrl-C": "KeyboardInterrupt", "none": "no error"}[name])


@with_mpiexec
def test_nothing_is_half_done(results: dict[str, list[Any]]) -> None:
    """After an error in the middle of an epoch, all ranks have made as many steps, and no gradient is left."""
    steps, _, cleared = the_same(results["undone"])
    assert (steps, cleared) == (6, True)


@with_mpiexec
def test_one_stops_all(results: dict[str, list[Any]]) -> None:
    """A rank that asks for the end ends all after that step; single steps go on."""
    steps, epochs, _ = the_same(results["stopped"])
    assert (steps, epochs) == (6 + 1, 2)


@with_mpiexec
def test_programs_that_end_on_one_rank_end_on_all(directory: Path) -> None:
    """Killed, by an error outside of what ranks do together, or as it has less to do: the others do not wait for it."""
    programs = {end: started(2, directory, end) for end in ("killed", "failing", "leaving")}
    said = {}
    for end, program in programs.items():
        status, said[end] = ended(program)
        assert status != 0, end
    assert "rank 1 of 2:" in said["failing"]
    assert "LookupError: no such file" in said["failing"]
    assert "about to compare what is to be done; rank 1: about to end the program" in said["leaving"]
    trainer = Trainer(Sequential([Dense(3, 5), Tanh(), Dense(5, 2)]), MeanSquaredError(), SGD(0.1))
    resume(directory / "killed.npz", trainer)
    assert (trainer.epochs, trainer.steps) == (2, 8)


# --- A rank of its own -----------------------------------------------------------------------------------------------


def test_without_mpiexec_there_is_one_rank() -> None:
    """A program that runs alone does what it does without ranks, and leaves copies and pickles as they are."""
    marks = []
    for parallel in (Ranks(), Ranks(sharded=True), pickle.loads(pickle.dumps(Ranks(timeout=3))), None):
        trainer = Trainer(Sequential([Dense(3, 2, rng=0)]), MeanSquaredError(), SGD(0.1), parallel=parallel, rng=0)
        trainer.fit(X, Y, 3, batch_size=3)
        copy.deepcopy(trainer).fit(X, Y, 1)
        marks.append(trainer.model[0].weight.value.tobytes() + np.array(trainer.history.loss).tobytes())
    assert len(set(marks)) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"comm": 3}, "Ranks: comm expects a communicator of mpi4py"),
        ({"sharded": "yes"}, "Ranks: sharded expects True or False"),
        ({"timeout": 0}, "Ranks: timeout expects a number of seconds above 0, got 0"),
        ({"timeout": None}, "Ranks: timeout expects a number of seconds above 0"),
        ({"timeout": float("nan")}, "Ranks: timeout expects a number of seconds above 0"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, Any], text: str) -> None:
    """Each argument is looked at when a `Ranks` is made."""
    with pytest.raises(ConfigError, match=text):
        Ranks(**arguments)


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_without_mpi_the_error_names_the_extra(error: str, tmp_path: Path) -> None:
    """Without mpi4py, or with it and no library of MPI, which it says by a RuntimeError."""
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text(f"raise {error}('cannot load MPI library')\n")
    code = "import minibackprop; minibackprop.Ranks()"
    variables = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=variables)
    assert done.stderr.strip().endswith(
        'ImportError: Ranks needs mpi4py and a library of MPI: pip install "minibackprop[mpi]"'
    )
