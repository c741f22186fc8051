"""
What ranks do together: ``mpiexec -n 2 python -m tests.parallel.program DIRECTORY``.

Each case runs on all ranks; the first one writes what it gave on each into a file, for the tests to look at.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
from mpi4py import MPI

from minibackprop import (
    L2,
    SGD,
    Adam,
    Batches,
    BatchNorm,
    Buffer,
    Callback,
    Checkpoint,
    Dense,
    Dropout,
    EarlyStopping,
    HalfSquaredError,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    ParameterGroups,
    PrintEvery,
    ProgressBar,
    Ranks,
    Sequential,
    Sharing,
    Softmax,
    SoftmaxCrossEntropy,
    Step,
    StepDecay,
    Tanh,
    Trainer,
    WorkerError,
    accuracy,
    resume,
)
from minibackprop.validation import Array

RANKS = Ranks(timeout=60)
RANK, COUNT = RANKS.rank, RANKS.count
LAST = RANK == COUNT - 1
DIRECTORY = Path(sys.argv[1])

_random = np.random.default_rng(0)
X, LABELS = _random.normal(size=(30, 3)), _random.integers(0, 3, 30)
Y = np.sin(X @ _random.normal(size=(3, 2)))
WEIGHTS = np.where(np.arange(30) % 3 == 0, 0.0, _random.random(30))

CASES: dict[str, Callable[[], Any]] = {}


def case(function: Callable[[], Any]) -> Callable[[], Any]:
    CASES[function.__name__] = function
    return function


def new_trainer(*within: Layer, parallel: Ranks | None = RANKS, rng: int | None = 0, **settings: Any) -> Trainer:
    layers = [Dense(3, 5, rng=rng), Tanh(), *within, Dense(5, settings.pop("outputs", 2), rng=rng)]
    defaults: dict[str, Any] = {"loss": MeanSquaredError(), "optimizer": SGD(0.1)}
    return Trainer(Sequential(layers), parallel=parallel, rng=rng, **(defaults | settings))


def mark(trainer: Trainer) -> int:
    """Compute a checksum of all that a run has come to."""
    found = 0
    for value in trainer.model.state_dict().values():
        found = crc32(value.tobytes(), found)
    for series in trainer.history.as_dict().values():
        found = crc32(series.tobytes(), found)
    return crc32(repr(trainer.state_dict()["rng"]).encode(), found)


def difference(one: Trainer, other: Trainer) -> float:
    """Compute by how much two runs differ."""
    some, others = (
        [*trainer.model.state_dict().values(), *trainer.history.as_dict().values()] for trainer in (one, other)
    )
    return max(float(np.abs(a - b).max(initial=0)) for a, b in zip(some, others, strict=True))


# --- The same numbers as alone ---------------------------------------------------------------------------------------


def classifier(**settings: Any) -> Callable[[Ranks | None], Trainer]:
    def made(parallel: Ranks | None) -> Trainer:
        return new_trainer(parallel=parallel, outputs=3, loss=SoftmaxCrossEntropy(), **copy.deepcopy(settings))

    return made


def regression(**settings: Any) -> Callable[[Ranks | None], Trainer]:
    return lambda parallel: new_trainer(parallel=parallel, **copy.deepcopy(settings))


def frozen(parallel: Ranks | None) -> Trainer:
    trainer = new_trainer(parallel=parallel)
    trainer.model.layers[0].freeze()
    return trainer


def grouped(parallel: Ranks | None) -> Trainer:
    trainer = new_trainer(parallel=parallel)
    trainer.optimizer = ParameterGroups(trainer.model, {"0": SGD(0.5)}, default=SGD(0.1))
    return trainer


def counting(parallel: Ranks | None) -> Trainer:
    return new_trainer(Counting(), parallel=parallel)


def normed(parallel: Ranks | None) -> Trainer:
    return new_trainer(BatchNorm(5), parallel=parallel)


class Counting(Layer):
    """Keeps the number of samples that it has seen, and the mean of the latest batch."""

    aggregation: ClassVar = {"seen": "sum", "mean": "mean"}

    def __init__(self) -> None:
        self.seen, self.mean = Buffer(np.zeros((), np.int64)), Buffer(np.zeros(5))

    def forward(self, x: Array) -> tuple[Array, None]:
        self.seen.value = self.seen.value + len(x)
        self.mean.value = x.mean(axis=0)
        return x, None

    def predict(self, x: Array) -> Array:
        return x

    def backward(self, grad: Array, cache: None) -> Array:
        return grad


def root(prediction: Array, target: Array) -> float:
    """Compute a metric that is a plain function, and no mean over samples."""
    return float(((prediction - target) ** 2).mean() ** 0.5)


ALIKE: dict[str, tuple[Callable[[Ranks | None], Trainer], Any, dict[str, Any]]] = {
    "mean": (regression(), Y, {"batch_size": 8}),
    "all at once": (regression(optimizer=Adam(0.01)), Y, {}),
    "sum": (regression(loss=HalfSquaredError(), optimizer=SGD(0.01)), Y, {"batch_size": 8}),
    "weights": (regression(), Y, {"batch_size": 8, "weights": WEIGHTS}),
    "class weights": (classifier(), LABELS, {"batch_size": 8, "class_weights": "balanced", "weights": WEIGHTS}),
    "penalty": (regression(regularizer=L2(0.1)), Y, {"batch_size": 8}),
    "clipping": (regression(optimizer=Adam(0.05, clip_norm=0.1)), Y, {"batch_size": 8}),
    "a schedule": (regression(optimizer=SGD(StepDecay(0.2, every=4, factor=0.5))), Y, {"batch_size": 8}),
    "metrics": (classifier(metrics={"accuracy": accuracy}), LABELS, {"batch_size": 8, "validation": 0.3}),
    "a plain metric": (regression(metrics=[root]), Y, {"batch_size": 8, "validation": (X[:7], Y[:7])}),
    "micro-batches": (regression(), Y, {"batch_size": 8, "micro_batch_size": 2, "weights": WEIGHTS + 0.1}),
    "a last batch of two": (regression(), Y, {"batch_size": 7}),
    "batches of one": (regression(), Y, {"batch_size": 1}),
    "frozen parts": (frozen, Y, {"batch_size": 8}),
    "groups": (grouped, Y, {"batch_size": 8}),
    "buffers": (counting, Y, {"batch_size": 7}),
    "sums within a layer": (normed, Y, {"batch_size": 10, "validation": 0.2}),
}


@case
def alike() -> Any:
    """How far each run is from the same run alone, and a checksum of it."""
    found = {}
    for name, (make, targets, settings) in ALIKE.items():
        together, alone = make(RANKS), make(None)
        with warnings.catch_warnings():  # Of batches that are smaller than the number of ranks.
            warnings.simplefilter("ignore")
            for trainer in (together, alone):
                trainer.fit(X, targets, 3, **settings)
        found[name] = difference(together, alone), mark(together)
        found[f"{name}, evaluated"] = (
            max(abs(value - alone.evaluate(X, targets)[key]) for key, value in together.evaluate(X, targets).items()),
            0,
        )
    return found


@case
def single_steps() -> Any:
    """Steps of a loop of one's own, on batches of 3 and of a single sample."""
    together, alone = new_trainer(), new_trainer(parallel=None)
    losses = [
        [trainer.step(X[rows], Y[rows]) for rows in (slice(3), slice(3, 4), slice(9, 20))]
        for trainer in (together, alone)
    ]
    return difference(together, alone), float(np.abs(np.subtract(*losses)).max()), mark(together)


@case
def watched() -> Any:
    """What callbacks see of losses, predictions and gradients: on this rank, and alone."""

    class Watch(Callback):
        def __init__(self) -> None:
            self.seen: list[Array] = []

        def on_before_step(self, trainer: Any, /) -> None:
            self.seen += [parameter.grad for parameter in trainer.model.parameters()]

        def on_step_end(self, step: Step, /) -> None:
            self.seen += [np.array(step.loss), step.prediction, step.target, np.asarray(step.weights)]

    watches = Watch(), Watch()
    for parallel, watch in zip((RANKS, None), watches, strict=True):
        new_trainer(parallel=parallel).fit(X, Y, 2, batch_size=7, weights=WEIGHTS + 1, callbacks=[watch])
    pairs = zip(watches[0].seen, watches[1].seen, strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


@case
def watched_beside_steps() -> Any:
    """Of how many samples a callback sees predictions, if it makes a step of its own each time."""
    seen: list[int] = []

    def act(step: Step) -> None:
        seen.append(len(step.prediction))
        step.trainer.step(X[:4], Y[:4])

    new_trainer().fit(X, Y, 2, batch_size=10, callbacks=[act])
    return seen


# --- Random numbers --------------------------------------------------------------------------------------------------


class Peep(Layer):
    """Remembers where its input is 0."""

    def __init__(self, zeros: list[Array]) -> None:
        self.zeros = Peep.Seen(zeros)

    class Seen:
        def __init__(self, found: list[Array]) -> None:
            self.found = found

        def __deepcopy__(self, memo: object) -> Peep.Seen:
            return self

    def forward(self, x: Array) -> tuple[Array, None]:
        self.zeros.found.append(x == 0)
        return x, None

    def backward(self, grad: Array, cache: None) -> Array:
        return grad


@case
def dropped() -> Any:
    """A run with dropout, made twice; and the masks."""
    marks, masks = [], []
    for _ in range(2):
        zeros: list[Array] = []
        trainer = new_trainer(Dropout(0.5, rng=3), Peep(zeros))
        trainer.fit(X, Y, 3, batch_size=6)
        marks.append(mark(trainer))
        masks.append(crc32(b"".join(mask.tobytes() for mask in zeros)))
    return marks, masks


@case
def without_seeds() -> Any:
    """A run of a script without seeds."""
    trainer = new_trainer(Dropout(0.5), rng=None)
    trainer.fit(X, Y, 2, batch_size=8, validation=0.2)
    return mark(trainer)


@case
def without_a_trainer() -> Any:
    """A loop of one's own, with a model that has other values on each rank."""
    model, optimizer, sharing = (
        Sequential([Dense(3, 5, rng=RANK), Counting(), Dense(5, 2, rng=RANK)]),
        SGD(0.1),
        Sharing(RANKS),
    )
    for _ in range(3):
        sharing.accumulate(model, MeanSquaredError(), X, Y)
        optimizer.step(model.parameters())
    return crc32(b"".join(value.tobytes() for value in model.state_dict().values()))


@case
def with_another_memory() -> Any:
    """A run that the last rank's optimizer begins with other means than the others'."""
    trainer = new_trainer(optimizer=Adam(0.05))
    trainer.fit(X, Y, 1, batch_size=8)
    state = trainer.optimizer.state_dict(trainer.model)
    expected = copy.deepcopy(trainer)
    if LAST:
        trainer.optimizer.load_state_dict(
            {name: value * 3 if value.ndim else value for name, value in state.items()}, trainer.model
        )
    for each in (trainer, expected):
        each.fit(X, Y, 2, batch_size=8)
    return mark(trainer), mark(expected)


# --- Files, lines and copies -----------------------------------------------------------------------------------------


@case
def resumed() -> Any:
    """A run in one go, and one that goes on from a checkpoint; and on which rank files were written."""

    def fit(epochs: int, begin: bool = False) -> Trainer:
        trainer = new_trainer(Dropout(0.5, rng=3), optimizer=Adam(0.05))
        # Each rank names another file, to see who writes.
        callbacks = [Checkpoint(DIRECTORY / f"{COUNT}-{RANK}.npz"), EarlyStopping(50)]
        if not begin:
            resume(DIRECTORY / f"{COUNT}-0.npz", trainer, callbacks)
        trainer.fit(X, Y, epochs - trainer.epochs, batch_size=8, validation=0.2, callbacks=callbacks)
        return trainer

    whole = fit(5, begin=True)
    part = fit(2, begin=True)
    return mark(whole), mark(part), mark(fit(5)), (DIRECTORY / f"{COUNT}-{RANK}.npz").exists()


def undefined(*_: Array) -> float:
    """Compute nothing."""
    return float("nan")


@case
def printed() -> Any:
    """What is printed, and warned of."""
    lines, bar = io.StringIO(), io.StringIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = Sequential([Dense(3, 3, rng=0), Softmax()])
        trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(0.1), metrics={"none": undefined}, parallel=RANKS)
        watching = EarlyStopping(monitor="none", mode="min")
        trainer.fit(X[:1], LABELS[:1], 2, callbacks=[PrintEvery(1, file=lines), ProgressBar(bar), watching])
    return len(lines.getvalue().splitlines()), len(bar.getvalue().splitlines()), [str(each.message) for each in caught]


@case
def copied() -> Any:
    """What becomes of a trainer that is copied, or pickled."""
    trainer = new_trainer(Dropout(0.5, rng=3))
    trainer.fit(X, Y, 1, batch_size=8)
    twins = [copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer)), trainer]
    for twin in twins:
        twin.fit(X, Y, 1, batch_size=8)
    return [mark(twin) for twin in twins]


# --- Data of one's own -----------------------------------------------------------------------------------------------

SHARDED = Ranks(sharded=True, timeout=60)
#: The rows of each rank: the batches of four, one from each, are those of all rows in order.
BATCH = 4
ORDERED = np.arange(24 * COUNT).reshape(-1, COUNT, BATCH) % 30
OWN = ORDERED[:, RANK].reshape(-1)
IN_ORDER: dict[str, Any] = {"shuffle": False}


@case
def shards() -> Any:
    """Arrays, memory maps and streams in shards: how far they are from all data alone, and checksums."""
    alone, together, mapped = (new_trainer(parallel=parallel) for parallel in (None, SHARDED, SHARDED))
    rows = ORDERED.reshape(-1)
    weights = WEIGHTS + np.arange(30) / 10
    alone.fit(X[rows], Y[rows], 3, batch_size=BATCH * COUNT, weights=weights[rows], shuffle=False)
    together.fit(X[OWN], Y[OWN], 3, batch_size=BATCH, weights=weights[OWN], shuffle=False)
    for name, array in (("x", X), ("y", Y)):
        file = np.lib.format.open_memmap(
            DIRECTORY / f"{COUNT}-{RANK}-{name}.npy", "w+", float, (len(OWN), array.shape[1])
        )
        file[:] = array[OWN]
    x, y = (np.load(DIRECTORY / f"{COUNT}-{RANK}-{name}.npy", mmap_mode="r") for name in "xy")
    mapped.fit(x, y, 3, batch_size=BATCH, weights=weights[OWN], shuffle=False)
    return difference(together, alone), mark(together), mark(mapped)


@case
def streams() -> Any:
    """Batches that are made elsewhere, of which each rank has another number: for means, and for sums."""
    found = []
    for loss in (MeanSquaredError(), HalfSquaredError()):
        own = [
            (X[at : at + 2 + RANK], Y[at : at + 2 + RANK], WEIGHTS[at : at + 2 + RANK] + 0.1) for at in range(3 + RANK)
        ]
        rounds = []
        for number in range(3 + COUNT - 1):
            sizes = [2 + rank for rank in range(COUNT) if number < 3 + rank]
            rows = np.concatenate([np.arange(number, number + size) for size in sizes])
            rounds.append((X[rows], Y[rows], WEIGHTS[rows] + 0.1))
        together, alone = (
            new_trainer(parallel=parallel, loss=loss, optimizer=SGD(0.01)) for parallel in (SHARDED, None)
        )
        together.fit(lambda own=own: iter(own), epochs=3)
        alone.fit(rounds, epochs=3)
        found.append((difference(together, alone), mark(together)))
    return found


@case
def shuffled_shards() -> Any:
    """Shards of unequal sizes in an order of their own: a run in one go, and one that is resumed."""

    def fit(epochs: int, begin: bool = False) -> Trainer:
        trainer = new_trainer(Dropout(0.5, rng=3), parallel=SHARDED)
        path = DIRECTORY / f"{COUNT}-shards.npz"
        if not begin:
            resume(path, trainer)
        own, epochs = slice(RANK, 20 + 3 * RANK), epochs - trainer.epochs
        trainer.fit(X[own], Y[own], epochs, batch_size=4, validation=0.2, callbacks=[Checkpoint(path)])
        return trainer

    whole = fit(4, begin=True)
    fit(2, begin=True)
    return mark(whole), mark(fit(4))


@case
def orders() -> Any:
    """The order in which a rank goes through its shard."""
    seen: list[int] = []

    class Look(Layer):
        def forward(self, x: Array) -> tuple[Array, None]:
            seen.extend(x[:, 0].astype(int).tolist())
            return x, None

        def backward(self, grad: Array, cache: None) -> Array:
            return grad

    look = Look()
    trainer = Trainer(Sequential([look, Dense(1, 1, rng=0)]), MeanSquaredError(), SGD(0.0001), rng=0, parallel=SHARDED)
    numbers = np.arange(8.0)[:, np.newaxis]
    trainer.fit(numbers, numbers, 2, batch_size=8)
    return seen[-16:-8], seen[-8:]


# --- Errors ----------------------------------------------------------------------------------------------------------


def error_of(run: Callable[[], object]) -> str:
    """Run, and give the error, and whether all ranks can still work together."""
    try:
        run()
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        text += "".join(f" [{note}]" for note in getattr(error, "__notes__", ()))
    else:
        text = "no error"
    new_trainer().fit(X, Y, 1, batch_size=8)
    return text


class Act(Callback):
    """Does something at the end of a step, on the last rank."""

    def __init__(self, act: Callable[[Any], object], at: int = 5) -> None:
        self.act, self.at = act, at

    def on_step_end(self, step: Step, /) -> None:
        if step.number == self.at and RANK == COUNT - 1:
            self.act(step.trainer)


class Fails(Layer):
    """Fails in its seventh forward, on the last rank."""

    def __init__(self) -> None:
        self.calls = Counter()

    def forward(self, x: Array) -> tuple[Array, None]:
        self.calls["forward"] += 1
        if RANK == COUNT - 1 and self.calls["forward"] > 6:
            raise ValueError("no more")
        return x, None

    def backward(self, grad: Array, cache: None) -> Array:
        return grad


def raising(error: BaseException) -> Callable[[Any], object]:
    def act(_: Any) -> None:
        raise error

    return act


def fit(
    *within: Layer, act: Callable[[Any], object] | None = None, x: Array = X, y: Array = Y, **settings: Any
) -> Trainer:
    trainer = new_trainer(*within)
    callbacks = [Act(act)] if act else []
    trainer.fit(x, y, **({"epochs": 3, "batch_size": 8, "callbacks": callbacks} | settings))
    return trainer


ERRORS: dict[str, Callable[[], object]] = {
    "none": lambda: fit(),
    "within a layer": lambda: fit(BatchNorm(5), Fails(), BatchNorm(5), batch_size=10),
    "too few for sums": lambda: too_few(),
    "in forward": lambda: fit(Fails()),
    "in a callback": lambda: fit(act=raising(OSError("the disk is full"))),
    "of the framework": lambda: fit(act=raising(NonFiniteError("the loss", "finite", "nan"))),
    "Ctrl-C": lambda: fit(act=lambda _: os.kill(os.getpid(), signal.SIGINT)),
    "end of the program": lambda: fit(act=lambda _: sys.exit(3)),
    "a call on one rank": lambda: fit(act=lambda trainer: trainer.evaluate(X, Y)),
    "another model": lambda: new_trainer(*[Dense(5, 5)] * LAST).fit(X, Y, 1),
    "another width, without a trainer": lambda: Sharing(RANKS).accumulate(Dense(3, 2 + LAST), MeanSquaredError(), X, Y),
    "another width": lambda: new_trainer(Dense(5, 6 + LAST), Dense(6 + LAST, 5)).fit(X, Y, 1),
    "another optimizer": lambda: new_trainer(optimizer=SGD(0.1 + LAST)).fit(X, Y, 1),
    "columns": lambda: fit(x=X[:, : 3 - LAST]),
    "rows": lambda: fit(x=X[: 30 - LAST], y=Y[: 30 - LAST]),
    "fewer batches": lambda: fit(x=X[: 30 - 6 * LAST], y=Y[: 30 - 6 * LAST], shuffle=False),
    "another order": lambda: new_trainer().fit(Batches(X, Y, batch_size=8, rng=RANK), epochs=1),
    "epochs": lambda: fit(epochs=3 + LAST),
    "an argument": lambda: fit(batch_size=8 - 9 * LAST),
    "validation": lambda: fit(validation=0.2 if LAST else None),
    "callbacks": lambda: fit(callbacks=[EarlyStopping(monitor="loss")] * LAST),
    "a checkpoint on one rank": lambda: half_resumed(),
    "a disk": lambda: fit(callbacks=[Checkpoint(DIRECTORY / "nowhere" / "run.npz")]),
    "balanced shards": lambda: new_trainer(outputs=3, loss=SoftmaxCrossEntropy(), parallel=SHARDED).fit(
        X[RANK:], LABELS[RANK:], 1, class_weights="balanced"
    ),
    "one stream dry": lambda: new_trainer(parallel=SHARDED).fit(lambda: iter([(X, Y)][LAST:]), epochs=1),
}


def too_few() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new_trainer(BatchNorm(5)).step(X[: COUNT - 1], Y[: COUNT - 1])


def half_resumed() -> None:
    trainer = new_trainer()
    trainer.fit(X, Y, 1)
    other = new_trainer()
    (trainer if LAST else other).fit(X, Y, 1)


@case
def errors() -> Any:
    """What each rank ends with."""
    return {name: error_of(run) for name, run in ERRORS.items()}


@case
def undone() -> Any:
    """What an error in the middle of an epoch leaves behind: steps, and a checksum."""
    trainer = new_trainer()
    with suppress(OSError, WorkerError):
        trainer.fit(X, Y, 3, batch_size=8, callbacks=[Act(raising(OSError()))])
    return trainer.steps, mark(trainer), all(parameter.grad is None for parameter in trainer.model.parameters())


@case
def stopped() -> Any:
    """A run that the last rank stops: after how many steps, and of how many epochs."""
    trainer = new_trainer()
    trainer.fit(X, Y, 5, batch_size=8, callbacks=[Act(lambda trainer: trainer.stop())])
    trainer.step(X, Y)  # Which is no part of what was stopped.
    return trainer.steps, trainer.epochs, mark(trainer)


# --- Ends ------------------------------------------------------------------------------------------------------------


def killed() -> None:
    """Train, and be killed in the middle of the third epoch."""
    trainer = new_trainer()
    path = DIRECTORY / "killed.npz"
    act = Act(lambda _: os.kill(os.getpid(), signal.SIGKILL), at=9)
    trainer.fit(X, Y, 5, batch_size=8, callbacks=[Checkpoint(path), act])


def failing() -> None:
    """Fail on the last rank, outside of what ranks do together."""
    if LAST:
        raise LookupError("no such file")
    fit()


def leaving() -> None:
    """Be done on the last rank, while the others are not."""
    fit()
    if not LAST:
        fit()


ENDS = {end.__name__: end for end in (killed, failing, leaving)}


def main(which: str = "") -> None:
    """Run each case; or what ends in another way."""
    if which:
        ENDS[which]()
        return
    found = {name: MPI.COMM_WORLD.gather(run()) for name, run in CASES.items()}
    if RANK == 0:
        (DIRECTORY / f"{COUNT}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[2:])
