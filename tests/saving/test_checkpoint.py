"""A run that is resumed goes on to the bit, however it ended; what does not fit is refused, and changes nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    L1,
    L2,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BatchNorm,
    Callback,
    Checkpoint,
    ConfigError,
    ContractError,
    CosineDecay,
    Dense,
    Dropout,
    EarlyStopping,
    FileFormatError,
    HalfSquaredError,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    Optimizer,
    Parameter,
    RMSProp,
    Sequential,
    StateDictError,
    Step,
    StepDecay,
    Tanh,
    Trainer,
    load,
    mean_absolute_error,
    resume,
    save,
    save_checkpoint,
)
from minibackprop.saving.archive import read_archive, write_archive
from minibackprop.saving.state import joined, split
from minibackprop.state import walk
from tests.saving.test_archive import arrays, plain

X = np.random.default_rng(0).normal(size=(20, 3))
Y = np.sin(X.sum(axis=1, keepdims=True))

OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "SGD": lambda: SGD(0.05),
    "momentum": lambda: SGD(StepDecay(0.05, every=4, factor=0.5), momentum=0.9),
    "Nesterov": lambda: SGD(0.05, momentum=0.9, nesterov=True, clip_norm=1.0),
    "RMSProp": lambda: RMSProp(0.01),
    "Adagrad": lambda: Adagrad(0.1),
    "Adam": lambda: Adam(CosineDecay(0.02, steps=30)),
    "AdamW": lambda: AdamW(lambda step: 0.02 / (1 + step), weight_decay=0.1),
}


def network(seed: int = 1, dtype: type = float, bit_generator: type = np.random.PCG64) -> Sequential:
    """Make a network with all that a run remembers: parameters, buffers, and random streams."""
    rng = np.random.default_rng(seed)
    dropouts = [Dropout(0.2, rng=rng), Dropout(0.4, rng=rng)]
    dropouts[1].generator = np.random.Generator(bit_generator(seed))
    dense = [Dense(i, o, dtype=dtype, rng=rng) for i, o in ((3, 4), (4, 4), (4, 1))]
    inner = Sequential([dense[1], dropouts[1]])
    return Sequential([dense[0], BatchNorm(4, dtype=dtype), Tanh(), dropouts[0], inner, dense[2]])


def trainer(optimizer: str = "Adam", seed: int = 1, **settings: Any) -> Trainer:
    """Make what trains it; another seed makes another start in everything that is random."""
    model = network(seed, **settings)
    return Trainer(model, MeanSquaredError(), OPTIMIZERS[optimizer](), metrics=[mean_absolute_error], rng=seed)


def memory(run: Trainer, *callbacks: Any) -> list[Any]:
    """Give all that the run remembers, in a form that compares to the bit."""

    def flat(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: flat(part) for key, part in value.items()}
        return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)

    streams = {path: generator.bit_generator.state for path, generator in walk(run.model, np.random.Generator)}
    streams |= {path: old.get_state(legacy=False) for path, old in walk(run.model, np.random.RandomState)}
    state = [run.model.state_dict(), run.optimizer.state_dict(run.model), run.state_dict(), streams]
    return [flat(part) for part in (*state, *(vars(callback) for callback in callbacks))]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "run"


# --- To the bit ------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    dtype=st.sampled_from([np.float32, np.float64]),
    bit_generator=st.sampled_from(["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"]),
    ends=st.tuples(st.integers(0, 5), st.integers(1, 5)),
    options=st.fixed_dictionaries(
        {"batch_size": st.sampled_from([None, 6, 8]), "shuffle": st.booleans()},
        optional={"validation": st.just(0.2), "weights": st.just(np.linspace(0.5, 1, 20))},
    ),
)
def test_a_resumed_run_equals_one_that_never_ended(
    path: Path, optimizer: str, dtype: type, bit_generator: str, ends: tuple[int, int], options: dict[str, Any]
) -> None:
    """Weights, running statistics, random streams, optimizer and history are those of the run in one piece."""
    start, rest = ends
    whole, first, second = (
        trainer(optimizer, seed, dtype=dtype, bit_generator=getattr(np.random, bit_generator)) for seed in (1, 1, 2)
    )
    whole.fit(X, Y, start + rest, **options)
    first.fit(X, Y, start, **options)
    save_checkpoint(first, path)
    resume(path, second)
    assert memory(second) == memory(first)
    second.fit(X, Y, start + rest - second.epochs, **options)
    assert memory(second) == memory(whole)


class Noise(Layer):
    """A layer that adds noise from a generator of any kind."""

    stochastic = "adds noise"

    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def forward(self, x: Any, /) -> Any:
        return x + 0.1 * self.rng.normal(size=x.shape), None

    def predict(self, x: Any, /) -> Any:
        return x

    def backward(self, grad: Any, cache: Any, /) -> Any:
        return grad


STREAMS: dict[str, Callable[[int], Any]] = {
    "RandomState": np.random.RandomState,
    "RandomState of PCG64": lambda seed: np.random.RandomState(np.random.PCG64(seed)),
    "MT19937": lambda seed: np.random.Generator(np.random.MT19937(seed)),
}


def noisy(stream: str, seed: int) -> Trainer:
    """Make a trainer whose model has a random stream, of which an odd number of values is drawn."""
    model = Sequential([Dense(3, 3, rng=seed), Noise(STREAMS[stream](seed)), Dense(3, 1, rng=seed)])
    return Trainer(model, MeanSquaredError(), Adam(0.05), rng=seed)


@pytest.mark.parametrize("stream", STREAMS)
def test_random_streams_of_all_kinds_go_on(path: Path, stream: str) -> None:
    """NumPy's legacy generators too, with the second of two normal values that they keep for the next call."""
    whole, first, second = noisy(stream, 1), noisy(stream, 1), noisy(stream, 2)
    whole.fit(X[:7], Y[:7], 4)
    first.fit(X[:7], Y[:7], 3)
    save_checkpoint(first, path)
    resume(path, second)
    assert memory(second) == memory(first)
    second.fit(X[:7], Y[:7], 1)
    assert memory(second) == memory(whole)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("RandomState of PCG64", "RandomState of PCG64, got RandomState of MT19937"),
        ("MT19937", "MT19937, got RandomSt"),
    ],
)
def test_a_random_stream_of_another_kind_is_refused(path: Path, other: str, message: str) -> None:
    """A legacy generator does not go on where a new one was, nor one of other bits."""
    save_checkpoint(noisy("RandomState", 1), path)
    run = noisy(other, 2)
    before = memory(run)
    with pytest.raises(StateDictError, match=f"resume: generator 1.rng expects {message}"):
        resume(path, run)
    assert memory(run) == before


def test_a_damaged_random_stream_takes_everything_back(path: Path) -> None:
    """A state that NumPy refuses leaves the streams as they were, and the rest."""
    run = noisy("RandomState", 1)
    save_checkpoint(run, path)
    content, info = read_archive(path)
    info["state"]["dict"]["random"]["dict"]["1.rng"]["dict"]["state"]["dict"]["key"] = None
    write_archive(path, content, info)
    run.fit(X, Y, 1)
    before = memory(run)
    with pytest.raises(FileFormatError, match="a checkpoint that the trainer and its callbacks can go on from"):
        resume(path, run)
    assert memory(run) == before


def test_early_stopping_goes_on(path: Path) -> None:
    """The best epoch, its weights and the epochs since are remembered; the run ends where the other one does."""

    def begun(seed: int) -> tuple[Trainer, EarlyStopping]:
        run = Trainer(Dense(3, 1, rng=seed), MeanSquaredError(), SGD(0.5, momentum=0.9), rng=2)
        return run, EarlyStopping(4)

    whole, stopping = begun(0)
    whole.fit(X, Y, 60, validation=0.3, callbacks=[stopping])
    assert 8 < whole.epochs < 60
    for end in range(0, whole.epochs + 1, 3):
        (first, other), (second, another) = begun(0), begun(1)
        first.fit(X, Y, end, validation=0.3, callbacks=[Checkpoint(path), other])
        if not end:
            save_checkpoint(first, path, [other])
        resume(path, second, [Checkpoint(path), another])
        second.fit(X, Y, 60 - second.epochs, validation=0.3, callbacks=[Checkpoint(path), another])
        assert memory(second, another) == memory(whole, stopping)


def test_a_model_that_went_on_can_be_resumed_in_place(path: Path) -> None:
    """Resuming takes the same objects back to where they were."""
    run = trainer()
    run.fit(X, Y, 2, batch_size=5)
    save_checkpoint(run, path)
    expected, weights = memory(run), run.model[0].weight.value
    run.fit(X, Y, 2, batch_size=5)
    run.model[0].weight.add(np.ones((3, 4)))
    assert memory(run) != expected
    resume(path, run)
    assert memory(run) == expected
    assert run.model[0].weight.value is weights
    assert run.model[0].weight.grad is None


KILLED = """
import os, random, signal, sys, time
import numpy as np
from minibackprop import *
from pathlib import Path

directory, epochs = Path(sys.argv[1]), 30
x = np.random.default_rng(0).normal(size=(50, 3))
y = np.sin(x.sum(axis=1, keepdims=True))


def train(path):
    rng = np.random.default_rng(1)
    model = Sequential([Dense(3, 16, rng=rng), BatchNorm(16), Tanh(), Dropout(0.3, rng=rng), Dense(16, 1, rng=rng)])
    trainer = Trainer(model, MeanSquaredError(), Adam(WarmUp(20, CosineDecay(0.02, steps=200))), rng=rng)
    stopping, checkpoint = EarlyStopping(patience=1000), Checkpoint(path)
    if path.exists():
        resume(path, trainer, [stopping])
    trainer.fit(x, y, epochs - trainer.epochs, batch_size=8, validation=0.2, callbacks=[checkpoint, stopping])
    save(model, path.with_suffix(".model"))


train(directory / "whole")
starts = 0
while True:
    starts += 1
    child = os.fork()
    if not child:
        train(directory / "killed")
        os._exit(0)
    time.sleep(random.uniform(0, 0.02 * starts))  # Longer and longer, so that it ends on a slow machine too.
    os.kill(child, signal.SIGKILL)  # It may have ended by itself.
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    if code == 0:
        break
print(starts)
"""


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bits(tmp_path: Path) -> None:
    """Dropout, BatchNorm, Adam, a schedule, shuffling, early stopping: all goes on, wherever kill -9 strikes."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1
    for name in ("{}", "{}.model"):
        whole, killed = ((tmp_path / name.format(run)).read_bytes() for run in ("whole", "killed"))
        assert killed == whole


# --- The callback ----------------------------------------------------------------------------------------------------


class Watching(Callback):
    """A callback that looks at the epoch of the file."""

    runs_last = True

    def __init__(self, path: Path) -> None:
        self.path, self.seen = path, []

    def on_epoch_end(self, run: Trainer, /) -> None:
        state = read_archive(self.path)[1]["state"] if self.path.exists() else None
        self.seen.append(state and state["dict"]["trainer"]["dict"]["epochs"])


def test_it_saves_every_so_many_epochs_and_at_the_end(tmp_path: Path) -> None:
    """The file is written at multiples of `every`, counted over the life of the trainer, and by the last epoch."""
    run, watching = trainer(), Watching(tmp_path / "run")
    run.fit(X, Y, 5, callbacks=[Checkpoint(str(tmp_path / "run"), every=2), watching])
    assert watching.seen == [None, 2, 2, 4, 5]
    run.fit(X, Y, 2, callbacks=[Checkpoint(tmp_path / "run", every=3), watching])
    assert watching.seen[5:] == [6, 7]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


class Stopping(Callback):
    """A callback that ends the run after so many epochs, or steps."""

    def __init__(self, epochs: int = 0, steps: int = 0) -> None:
        self.epochs, self.steps = epochs, steps

    def on_epoch_end(self, run: Trainer, /) -> None:
        if run.epochs == self.epochs:
            run.stop()

    def on_step_end(self, step: Step, /) -> None:
        if step.number + 1 == self.steps:
            step.trainer.stop()


@pytest.mark.parametrize("stopping", [EarlyStopping(2, "loss", 1e9), Stopping(epochs=3), Stopping(steps=11)])
def test_it_saves_where_a_run_is_stopped(path: Path, stopping: Callback) -> None:
    """The last epoch makes a file, also where another callback ends the run before the planned end."""
    run, again = trainer(), trainer(seed=2)
    run.fit(X, Y, 100, batch_size=5, callbacks=[Checkpoint(path, every=10), stopping])
    assert run.epochs == 3
    resume(path, again, [EarlyStopping(2)] if isinstance(stopping, EarlyStopping) else [])
    assert again.epochs == 3
    assert again.steps == run.steps


class Counting(Callback):
    """A callback with a memory, of arrays in all places."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {"count": 0, "kept": [], "best": None}

    def on_epoch_end(self, run: Trainer, /) -> None:
        kept = [*self.state["kept"], (np.full(2, run.epochs), {"loss": float("inf")})]
        self.state = {"count": self.state["count"] + 1, "kept": kept, "best": {"a.b": np.array(True)}}

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.state = state


def print_nothing(step: Step) -> None:
    """A callback without a memory."""


def test_it_runs_after_the_others_and_saves_their_memory(path: Path) -> None:
    """Wherever it stands among the callbacks, the file holds what the others know after the epoch."""
    run, counting, other = trainer(), Counting(), Counting()
    run.fit(X, Y, 3, callbacks=[Checkpoint(path), print_nothing, counting])
    resume(path, trainer(), [other])
    assert repr(other.state) == repr(counting.state)
    assert other.state["count"] == 3


class Late(Counting):
    """A callback with a memory that runs after the others."""

    runs_last = True


def test_the_order_of_the_callbacks_is_that_of_the_list(path: Path) -> None:
    """The list that `fit` was given is the one for `resume`, though `fit` calls them in another order."""
    run, late, counting = trainer(), Late(), Counting()
    counting.state["kept"] = ["other"]
    run.fit(X, Y, 2, callbacks=[late, Checkpoint(path), counting])
    callbacks = [Late(), Checkpoint(path), Counting()]
    resume(path, trainer(), callbacks)
    assert callbacks[2].state["kept"][0] == "other"
    assert callbacks[0].state["count"] == 2


@pytest.mark.parametrize(("path", "every"), [(3, 1), (None, 1), ("run", 0), ("run", 1.5), ("run", True)])
def test_wrong_settings_are_refused(path: Any, every: Any) -> None:
    """The path is one, and `every` a positive integer."""
    with pytest.raises(ConfigError, match=r"Checkpoint: (path expects a path|every expects a positive integer), got"):
        Checkpoint(path, every)


class Bare(Optimizer):
    """An optimizer that cannot be saved."""

    def step(self, parameters: Any, /) -> None:
        for parameter in parameters:
            parameter.clear()


def test_what_cannot_be_saved_is_found_before_the_first_step(tmp_path: Path) -> None:
    """A directory that is missing, an optimizer without state, a memory that is no data: no epoch is lost for that."""
    run, counting = trainer(), Counting()
    before = memory(run)
    with pytest.raises(FileNotFoundError):
        run.fit(X, Y, 1, callbacks=[Checkpoint(tmp_path / "missing" / "run")])
    counting.state = {"best": [{1, 2}]}
    with pytest.raises(
        ConfigError, match="Checkpoint: the state of callback 0 expects plain values and arrays, got set"
    ):
        run.fit(X, Y, 1, callbacks=[counting, Checkpoint(tmp_path / "run")])
    assert memory(run) == before
    bare = Trainer(Dense(3, 1), MeanSquaredError(), Bare())
    with pytest.raises(ContractError, match="Bare must define state_dict"):
        bare.fit(X, Y, 1, callbacks=[Checkpoint(tmp_path / "run")])
    assert bare.steps == 0
    assert not any(tmp_path.iterdir())


def test_beginning_leaves_the_old_file(tmp_path: Path) -> None:
    """Until the first epoch is done, an earlier checkpoint stays."""
    (tmp_path / "run").write_text("old")
    trainer().fit(X, Y, 0, callbacks=[Checkpoint(tmp_path / "run")])
    assert (tmp_path / "run").read_text() == "old"


# --- What does not fit -----------------------------------------------------------------------------------------------


def other(**changes: Any) -> Trainer:
    """Make a trainer with another model, loss, optimizer or regularizer."""
    parts = {"model": network(), "loss": MeanSquaredError(), "optimizer": OPTIMIZERS["Adam"]()} | changes
    return Trainer(**parts)


def replaced(index: int, layer: Layer) -> Trainer:
    """Make a trainer whose model has another layer at `index`."""
    layers = list(network())
    layers[index] = layer
    return other(model=Sequential(layers))


def tied() -> Trainer:
    model = network()
    model[4].layers[0].bias = model[0].bias
    return other(model=model)


class Network(Sequential):
    pass


@pytest.mark.parametrize(
    ("make", "callbacks", "message"),
    [
        (lambda: replaced(2, Dropout(0.5)), 1, "layer 2 expects Dropout, got Tanh"),
        (lambda: replaced(4, Dense(4, 4)), 1, "layer 4 expects Dense, got Sequential"),
        (lambda: replaced(0, Dense(3, 4, bias=False)), 1, r"array 0.bias expects nothing, got shape \(4,\)"),
        (lambda: replaced(5, Dense(4, 2)), 1, r"array 5.weight expects shape \(4, 2\) and dtype f"),
        (lambda: other(model=network(dtype=np.float32)), 1, r"array 0.weight expects .* float32, got .* float64"),
        (lambda: other(model=network(bit_generator=np.random.SFC64)), 1, "generator 4.1.generator expects SFC64, got"),
        (lambda: other(model=Sequential([*network(), Tanh()])), 1, "layer 6 expects Tanh, got nothing"),
        (lambda: other(model=Sequential(network()[:-1])), 1, "layer 5 expects nothing, got Dense"),
        (lambda: other(model=Network(network())), 1, "the model expects Network, got Sequential"),
        (tied, 1, "array 4.0.bias expects nothing, got shape"),
        (lambda: other(loss=HalfSquaredError()), 1, "loss expects HalfSquaredError, got MeanSquaredError"),
        (lambda: other(optimizer=RMSProp(0.1)), 1, "optimizer expects RMSProp, got Adam"),
        (lambda: other(optimizer=AdamW(0.1)), 1, "optimizer expects AdamW, got Adam"),
        (lambda: other(regularizer=L2(0.1)), 1, "regularizer expects L2, got nothing"),
        (other, 0, "callback 0 expects nothing, got EarlyStopping"),
        (other, 2, "callback 1 expects EarlyStopping, got nothing"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_something_else_is_refused(
    path: Path, make: Callable[[], Trainer], callbacks: int, message: str
) -> None:
    """The error names the first difference, and everything is as it was."""
    run = trainer()
    run.fit(X, Y, 2, validation=0.2, callbacks=[EarlyStopping(3), Checkpoint(path)])
    changed, stoppings = make(), [EarlyStopping(3) for _ in range(callbacks)]
    before = memory(changed, *stoppings)
    with pytest.raises(StateDictError, match=f"^resume: {message}"):
        resume(path, changed, stoppings)
    assert memory(changed, *stoppings) == before


def test_a_run_does_not_go_on_without_its_regularizer(path: Path) -> None:
    """A checkpoint of a run with a penalty is for one with a penalty of the same class."""
    save_checkpoint(other(regularizer=L2(0.1)), path)
    with pytest.raises(StateDictError, match="resume: regularizer expects L1, got L2"):
        resume(path, other(regularizer=L1(0.1)))
    with pytest.raises(StateDictError, match="resume: regularizer expects nothing, got L2"):
        resume(path, other())
    resume(path, other(regularizer=L2(0.2)))


def test_an_optimizer_state_that_does_not_fit_is_refused(path: Path) -> None:
    """Momentum for an optimizer that keeps none, say, is found when it is loaded; everything is as it was."""
    run = trainer("momentum")
    run.fit(X, Y, 2)
    save_checkpoint(run, path)
    changed = trainer("SGD")
    changed.fit(X, Y, 1)
    before = memory(changed)
    with pytest.raises(FileFormatError, match=r"a checkpoint that the trainer .* got StateDictError: SGD.*momentum"):
        resume(path, changed)
    assert memory(changed) == before


class InPlace(Counting):
    """A callback that writes into its memory when it takes over another."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        self.state.update(state)


class Failing(Counting):
    """A callback that raises when it is to take over a memory."""

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        raise (KeyboardInterrupt if state["count"] else KeyError)("best")


@pytest.mark.parametrize(("count", "error"), [(0, FileFormatError), (1, KeyboardInterrupt)])
def test_an_error_at_the_last_moment_takes_everything_back(path: Path, count: int, error: type[BaseException]) -> None:
    """Whatever a callback raises, Ctrl-C too: model, optimizer, trainer and the other callbacks are as they were."""
    run, callbacks = trainer(), [EarlyStopping(), InPlace(), Failing()]
    run.fit(X, Y, 2, validation=0.2, callbacks=callbacks[:2])
    callbacks[2].state["count"] = count
    save_checkpoint(run, path, callbacks)
    callbacks[2].state["count"] = 0
    run.fit(X, Y, 3, validation=0.2, callbacks=callbacks[:2])
    before = memory(run, *callbacks)
    with pytest.raises(error, match="best"):
        resume(path, run, callbacks)
    assert memory(run, *callbacks) == before


def test_a_count_that_is_none_is_refused(path: Path) -> None:
    """What a file says of the trainer must be of the right types."""
    run = trainer()
    save_checkpoint(run, path)
    before = memory(run)
    for wrong in ("1", 1.0, None, {"dict": {}}):
        arrays, info = read_archive(path)
        info["state"]["dict"]["trainer"]["dict"]["steps"] = wrong
        write_archive(path, arrays, info)
        with pytest.raises(FileFormatError, match="TypeError: steps of the trainer is"):
            resume(path, run)
    assert memory(run) == before


def test_a_failed_resume_goes_back_to_a_model_that_has_diverged(tmp_path: Path) -> None:
    """Although no file, and no state, holds what is not finite."""
    run = trainer()
    save_checkpoint(run, tmp_path / "run")
    arrays, info = read_archive(tmp_path / "run")
    info["state"]["dict"]["trainer"]["dict"]["epochs"] = -1
    write_archive(tmp_path / "bad", arrays, info)
    parameter = run.model.parameters()[0]
    parameter.value[...] = np.nan
    with pytest.raises(FileFormatError, match="epochs expects an integer of at least 0"):
        resume(tmp_path / "bad", run)
    assert np.isnan(parameter.value).all()


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    """A model is no checkpoint, nor a checkpoint a model; a bad file is the one clear error, a missing one Python's."""
    run = trainer()
    before = memory(run)
    save(run.model, tmp_path / "model")
    with pytest.raises(FileFormatError, match="must be a checkpoint that Checkpoint wrote, got a model"):
        resume(tmp_path / "model", run)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(FileFormatError, match="whole and unchanged"):
        resume(tmp_path / "text", run)
    with pytest.raises(FileNotFoundError):
        resume(tmp_path / "missing", run)
    assert memory(run) == before
    save_checkpoint(run, tmp_path / "run")
    with pytest.raises(FileFormatError, match="must be a model that save wrote, got a checkpoint"):
        load(tmp_path / "run")


@pytest.mark.parametrize(("run", "callbacks"), [(None, ()), (Trainer, ()), (network(), ())])
def test_what_is_no_trainer_is_refused(path: Path, run: Any, callbacks: Any) -> None:
    """Both functions want a trainer, and callbacks in a list."""
    for function in (lambda run, *others: save_checkpoint(run, path, *others), partial(resume, path)):
        with pytest.raises(ConfigError, match="trainer expects an instance of Trainer"):
            function(run, callbacks)
        with pytest.raises(ConfigError, match="callbacks expects a list of callbacks, got EarlyStopping"):
            function(trainer(), EarlyStopping())


@given(data=st.data())
def test_any_content_is_taken_over_or_changes_nothing(path: Path, data: st.DataObject) -> None:
    """However the file's JSON and arrays are changed, it is refused with one of two errors, or taken over."""
    run = Trainer(Sequential([Dense(1, 1, rng=0), Dropout(rng=0)]), MeanSquaredError(), SGD(0.1, momentum=0.5), rng=0)
    run.fit(X[:, :1], Y, 1)
    save_checkpoint(run, path)
    content, info = read_archive(path)
    place: Any = info
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.integers(0, 3)) == 0:
            values = st.sampled_from(
                [None, True, -1, 0.5, "", "Dense", [], {}, {"array": "model.0.weight"}, {"dict": {}}]
            )
            place[key] = data.draw(values)
            break
        place = place[key]
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(content)))
        content[name] = data.draw(st.sampled_from([np.zeros(()), np.zeros((1, 1)), np.array(["a"]), np.zeros(7, int)]))
    write_archive(path, content, info)
    before = memory(run)
    try:
        resume(path, run)
    except (FileFormatError, StateDictError):
        assert memory(run) == before


@given(
    state=st.recursive(
        st.one_of(plain, arrays),
        lambda inner: st.dictionaries(st.sampled_from(["a", "b", "a.b", ""]), inner) | st.lists(inner, max_size=2),
        max_leaves=5,
    )
)
def test_states_are_split_into_arrays_and_json_and_joined_again(state: Any) -> None:
    """Arrays anywhere in nested dicts, lists and tuples come back to the bit, and plain values with their types."""
    content: dict[str, Any] = {}
    text = json.dumps(split(state, content, "state"))

    def shown(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value), [shown(part) for part in value]
        if isinstance(value, dict):
            return {key: shown(part) for key, part in value.items()}
        return (value.dtype, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)

    assert shown(joined(json.loads(text), content)) == shown(state)


def test_a_layer_that_makes_its_parameters_late_is_resumed_once_it_has(path: Path) -> None:
    """Where the model has no parameters yet, the error says which arrays it lacks."""

    class Late(Layer):
        scale: Parameter | None = None

        def forward(self, x: Any, /) -> Any:
            self.scale = self.scale or Parameter(np.ones(x.shape[-1]))
            return x * self.scale.value, x

        def backward(self, grad: Any, x: Any, /) -> Any:
            self.scale.add((grad * x).sum(axis=0))
            return grad * self.scale.value

    def begun() -> Trainer:
        return Trainer(Late(), MeanSquaredError(), SGD(0.1))

    run, again = begun(), begun()
    run.fit(X, X, 2)
    save_checkpoint(run, path)
    with pytest.raises(StateDictError, match=r"resume: array scale expects nothing, got shape \(3,\)"):
        resume(path, again)
    again.model.predict(X)
    resume(path, again)
    assert memory(again) == memory(run)


def test_a_broken_model_does_not_replace_a_good_file(tmp_path: Path) -> None:
    """A gradient that is not finite, of a loss that is, ends the run before the checkpoint of a sound one is lost."""
    path, x = tmp_path / "run.npz", np.ones((2, 1))

    class Break(SGD):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            parameters = list(parameters)
            super().step(parameters)
            if trainer.steps == 3:
                parameters[0].value[...] = np.nan

    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), Break(0.1))
    with pytest.raises(NonFiniteError, match="weight after step 3 must be finite, got nan"):
        trainer.fit(x, x, 10, callbacks=[Checkpoint(path)])
    other = Trainer(Dense(1, 1, rng=1), MeanSquaredError(), Break(0.1))
    resume(path, other)
    assert other.steps == 3
    assert np.isfinite(other.model.weight.value).all()
