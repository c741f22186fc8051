"""Checkpoints: all that a training run remembers in one file, so that a run that was killed goes on to the bit."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from attrs import define, field

from minibackprop.core import Layer, named_layers
from minibackprop.errors import ConfigError, FileFormatError, StateDictError, describe
from minibackprop.saving.archive import (
    Json,
    StrPath,
    damaged,
    decode,
    encode,
    plain_only,
    read_archive,
    require_kind,
    require_writable,
    write_archive,
)
from minibackprop.saving.marks import freeze_parts, frozen_parts
from minibackprop.state import Buffer, walk
from minibackprop.training.callbacks import Callback
from minibackprop.training.divergence import require_finite_parameters
from minibackprop.training.trainer import Trainer
from minibackprop.validation import Array, is_size

_State = dict[str, Any]


def save_checkpoint(trainer: Trainer, path: StrPath, callbacks: Iterable[Any] = ()) -> None:
    """
    Write all that a training run remembers into one file: what `Checkpoint` does, for a loop of your own.

    That is the model's arrays and random streams, the state of the optimizer, and the trainer's counts, history and
    random stream; also the memory of those callbacks that have a ``state_dict``. It takes the place of an older file
    as a whole, so a crash leaves the one or the other.

    Parameters
    ----------
    trainer : Trainer
    path : str or path
        Used as it is given; no ending is added.
    callbacks : iterable
        Those of the run.

    Raises
    ------
    ConfigError
        If the memory of a callback, say, holds something else than plain values and arrays.
    ContractError
        If the optimizer cannot be saved.
    NonFiniteError
        If a parameter is not finite: there would be nothing left to go back to.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from minibackprop import SGD, Dense, MeanSquaredError
    >>> def made(seed):
    ...     return Trainer(Dense(1, 1, rng=seed), MeanSquaredError(), SGD(0.1), rng=seed)
    >>> trainer, other = made(0), made(1)
    >>> for _ in range(3):
    ...     step = trainer.step(np.ones((2, 1)), np.zeros((2, 1)))
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     save_checkpoint(trainer, f"{directory}/run.npz")
    ...     resume(f"{directory}/run.npz", other)
    >>> other.steps, other.model.weight.value == trainer.model.weight.value
    (3, array([[ True]]))
    """
    arrays, info = _written(trainer, _with_memory(callbacks))
    require_finite_parameters(trainer)
    write_archive(path, arrays, info)


def resume(path: StrPath, trainer: Trainer, callbacks: Iterable[Any] = ()) -> None:
    """
    Go on from a checkpoint: give the trainer and all that belongs to it the state that the file holds.

    They are made as for the run that wrote it, by the same code. The run then goes on to the same weights, to the bit,
    as if it had never ended, on the same machine, with the same versions and as many threads for matrix products. Three
    things are no part of the file, and are what the code makes them: settings such as a learning rate or a dropout
    rate, also where a callback has changed them; the data, and the random stream of a `Batches` or a function of your
    own; and attributes of layers that are neither parameters, buffers nor random streams. On any error, everything is
    left as it was.

    Parameters
    ----------
    path : str or path
    trainer : Trainer
    callbacks : iterable
        Those of the run; of those with a memory, as many, of the same classes, and in the same order.

    Raises
    ------
    FileFormatError
        If the file is damaged, of another format or of a later version, or no checkpoint.
    StateDictError
        If it is one of another model, optimizer, loss or other callbacks; the error names the first difference.
    OSError
        If there is no file, or it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from minibackprop import SGD, Dense, MeanSquaredError
    >>> x = np.linspace(-1, 1, 8)[:, np.newaxis]
    >>> def train(epochs, path=None):
    ...     trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.1, momentum=0.9), rng=0)
    ...     if path and path.exists():
    ...         resume(path, trainer)
    ...     callbacks = [Checkpoint(path)] if path else []
    ...     trainer.fit(x, 2 * x, epochs - trainer.epochs, batch_size=3, callbacks=callbacks)
    ...     return trainer.model.weight.value
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "run.npz"
    ...     _ = train(4, path)
    ...     resumed = train(10, path)
    >>> np.array_equal(resumed, train(10))
    True
    """
    if not isinstance(trainer, Trainer):
        raise ConfigError("resume: trainer", "an instance of Trainer", describe(trainer))
    stateful = _with_memory(callbacks)
    arrays, info = read_archive(path)
    require_kind(path, info, "checkpoint", "Checkpoint")
    try:
        parts, state = dict(info["parts"]), joined(info["state"], arrays)
    except Exception as error:
        raise damaged(path, error) from error
    here = _parts(trainer, stateful)
    for part in here | parts:
        if here.get(part) != parts.get(part):
            raise StateDictError(f"resume: {part}", here.get(part, "nothing"), parts.get(part, "nothing"))
    before = copy.deepcopy(_state(trainer, stateful))
    attributes = [dict(getattr(callback, "__dict__", {})) for callback in stateful]
    try:
        for name, value in before["trainer"].items():
            if type(state["trainer"][name]) is not type(value):
                raise TypeError(f"{name} of the trainer is {describe(state['trainer'][name])}")
        _take_over(state, trainer, stateful)
    except BaseException as error:  # Ctrl-C too.
        _take_over(before, trainer, [], back=True)
        for number, callback in enumerate(stateful):
            with suppress(Exception):
                callback.load_state_dict(before[f"callback {number}"])
            getattr(callback, "__dict__", {}).update(attributes[number])  # It may remember that it was loaded.
        if not isinstance(error, Exception):
            raise
        expected = "a checkpoint that the trainer and its callbacks can go on from"
        raise FileFormatError(os.fspath(path), expected, f"{type(error).__name__}: {error}") from error


@define(eq=False, slots=False)
class Checkpoint(Callback):
    """
    Saves all that the run remembers, so that `resume` can go on from there, to the bit.

    At the end of an epoch, after the other callbacks. A run that is killed at any moment, during the writing as well,
    leaves a whole file.

    Parameters
    ----------
    path : str or path
        Used as it is given; each checkpoint takes the place of the last.
    every : int
        How many epochs lie between two; the last of a `fit`, planned or after a `Trainer.stop`, makes one in any case.

    Raises
    ------
    ConfigError
        If `path` is none, or `every` no positive integer; when a `fit` begins, as `save_checkpoint`.
    OSError
        If the file cannot be written, already when a `fit` begins.

    Examples
    --------
    >>> import tempfile
    >>> from minibackprop import SGD, Dense, MeanSquaredError
    >>> x = np.linspace(-1, 1, 8)[:, np.newaxis]
    >>> trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.1), rng=0)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     _ = trainer.fit(x, 2 * x, epochs=7, callbacks=[Checkpoint(f"{directory}/run.npz", every=5)])
    ...     again = Trainer(Dense(1, 1, rng=1), MeanSquaredError(), SGD(0.1), rng=1)
    ...     resume(f"{directory}/run.npz", again)
    >>> again.epochs, again.history.loss == trainer.history.loss
    (7, True)
    """

    runs_last = True

    path: StrPath = field()
    every: int = field(default=1, validator=is_size)
    _end: int = field(default=0, init=False, repr=False)

    @path.validator
    def _check_path(self, attribute: Any, value: Any) -> None:
        if not isinstance(value, (str, os.PathLike)):
            raise ConfigError("Checkpoint: path", "a path", describe(value))

    def on_fit_begin(self, trainer: Any, /) -> None:
        """See that the run can be saved, before anything is spent on it."""
        self._end = trainer.epochs + trainer.plan.epochs
        _written(trainer, _with_memory(trainer.callbacks))
        require_writable(self.path)

    def on_epoch_end(self, trainer: Any, /) -> None:
        """Save, if it is time."""
        if trainer.epochs % self.every == 0 or trainer.epochs == self._end or trainer.stopping:
            save_checkpoint(trainer, self.path, trainer.callbacks)


# --- State as arrays and JSON ----------------------------------------------------------------------------------------


def split(state: object, arrays: dict[str, Array], name: str) -> Json:
    """Turn nested dicts of plain values and arrays into JSON; it refers to the arrays, which are added to `arrays`."""

    def entry(value: object, path: str) -> Json:
        if type(value) is dict:
            return {"dict": {key: entry(part, f"{path}.{key}") for key, part in value.items()}}
        return encode(value, lambda part: array(part, path))

    def array(value: object, path: str) -> Json:
        if not isinstance(value, np.ndarray):
            return plain_only(value)
        while path in arrays:
            path += "'"
        arrays[path] = value
        return {"array": path}

    return entry(state, name)


def joined(state: Json, arrays: Mapping[str, Array]) -> Any:
    """Undo `split`."""
    return decode(state, lambda mark, name: {"array": arrays}[mark][name])


def _written(trainer: Trainer, stateful: list[Any]) -> tuple[dict[str, Array], dict[str, Json]]:
    """Give what a file holds."""
    if not isinstance(trainer, Trainer):
        raise ConfigError("save_checkpoint: trainer", "an instance of Trainer", describe(trainer))
    arrays: dict[str, Array] = {}
    state: dict[str, Json] = {}
    for part, value in _state(trainer, stateful).items():
        try:
            state[part] = split(value, arrays, part)
        except TypeError as error:
            raise ConfigError(f"Checkpoint: the state of {part}", "plain values and arrays", str(error)) from error
    info = {"kind": "checkpoint", "parts": _parts(trainer, stateful), "state": {"dict": state}}
    return arrays, info


def _with_memory(callbacks: Iterable[Any]) -> list[Any]:
    """Choose the callbacks that are saved, in the order in which `fit` calls them."""
    if not isinstance(callbacks, Iterable):
        raise ConfigError("resume: callbacks", "a list of callbacks", describe(callbacks))
    stateful = [callback for callback in callbacks if hasattr(callback, "state_dict")]
    return sorted(stateful, key=lambda callback: getattr(callback, "runs_last", False))


def _parts(trainer: Trainer, stateful: list[Any]) -> dict[str, str]:
    """Give what must be the same where the state is taken over."""
    model = trainer.model
    parts = {"loss": type(trainer.loss).__name__, "optimizer": type(trainer.optimizer).__name__}
    if trainer.regularizer is not None:
        parts["regularizer"] = type(trainer.regularizer).__name__
    for key, optimizer in getattr(trainer.optimizer, "optimizers", {}).items():
        parts[f"optimizer {key}"] = type(optimizer).__name__
    for path, layer in named_layers(model):
        parts[f"layer {path}" if path else "the model"] = type(layer).__name__
    for name, buffer in walk(model, Buffer):
        parts[f"array {name}"] = f"shape {np.shape(buffer.value)} and dtype {buffer.value.dtype}"
    for path, state in _streams(model).items():
        parts[f"generator {path}"] = ("RandomState of " if "gauss" in state else "") + state["bit_generator"]
    return parts | {f"callback {number}": type(callback).__name__ for number, callback in enumerate(stateful)}


def _state(trainer: Trainer, stateful: list[Any]) -> _State:
    """Collect what the run remembers."""
    model = trainer.model
    state: _State = {
        "model": {name: np.asarray(value) for name, value in model.state_dict().items()},
        "optimizer": {name: np.asarray(value) for name, value in trainer.optimizer.state_dict(model).items()},
        "random": _streams(model),
        "trainer": trainer.state_dict(),
        "frozen": frozen_parts(model),
    }
    return state | {f"callback {number}": callback.state_dict() for number, callback in enumerate(stateful)}


def _streams(model: Layer) -> dict[str, Any]:
    """Give the state of each random stream, by its path."""
    generators = {path: generator.bit_generator.state for path, generator in walk(model, np.random.Generator)}
    return generators | {path: old.get_state(legacy=False) for path, old in walk(model, np.random.RandomState)}


def _take_over(state: _State, trainer: Trainer, stateful: list[Any], *, back: bool = False) -> None:
    """Undo `_state`."""
    model = trainer.model
    if back:  # To what there was, which need not have been finite.
        model._overwrite(state["model"])
    else:
        model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"], model)
    for path, generator in walk(model, np.random.Generator):
        generator.bit_generator.state = state["random"][path]
    for path, old in walk(model, np.random.RandomState):
        old.set_state(state["random"][path])
    trainer.load_state_dict(state["trainer"])
    if "frozen" in state:  # As of version 2.
        freeze_parts(model, state["frozen"])
    for number, callback in enumerate(stateful):
        callback.load_state_dict(state[f"callback {number}"])
    model.clear_gradients()
