"""Checkpoints: all that a training run remembers in one file, so that a run that was killed goes on to the bit."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import inf
from typing import Any

from attrs import define, field
from attrs.validators import optional

from minibackprop.arrays import ToHost, require_to_host
from minibackprop.errors import ConfigError, DTypeError, FileFormatError, StateDictError, describe
from minibackprop.saving.archive import (
    Json,
    StrPath,
    damaged,
    read_archive,
    require_kind,
    require_path,
    require_writable,
    write_archive,
)
from minibackprop.saving.state import joined, parts_of, split, state_of, take_over
from minibackprop.training.divergence import require_finite_parameters
from minibackprop.training.monitors import Monitoring, is_mode
from minibackprop.training.trainer import Trainer
from minibackprop.training.workers import is_first
from minibackprop.validation import Array, is_a, is_iterable, is_size, require_flag, require_names

#: Before the number of a `Checkpoint` that keeps the best, which is counted apart from the other callbacks.
_BEST = "best checkpoint "


def save_checkpoint(
    trainer: Trainer, path: StrPath, callbacks: Iterable[Any] = (), *, to_host: ToHost | None = None
) -> None:
    """
    Write all that a training run remembers into one file: what `Checkpoint` does, for a loop of your own.

    That is the model's arrays and random streams, the state of the optimizer, and the trainer's counts, history and
    random stream; also the memory of those callbacks that have a ``state_dict``. It takes the place of an older file
    as a whole, so a crash leaves the one or the other. Of several ranks (`Ranks`), the first one writes.

    Parameters
    ----------
    trainer : Trainer
    path : str or path
        Used as it is given; no ending is added.
    callbacks : iterable
        Those of the run.
    to_host : callable, optional
        Makes a NumPy array of one that is elsewhere, as `cupy.asnumpy` does; by default ``array.get()``, or where
        there is none, what `np.asarray` makes. So a run on a GPU leaves the same file as one without.

    Raises
    ------
    ConfigError
        If the memory of a callback, say, holds something else than plain values and arrays; or if an argument makes no
        sense.
    DTypeError
        If `to_host` gives no NumPy array of the same shape and dtype.
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
    require_path("save_checkpoint", path)
    require_to_host("save_checkpoint", to_host)
    arrays, info = _written(trainer, _with_memory(callbacks, "save_checkpoint"), to_host)
    require_finite_parameters(trainer)
    if is_first(trainer.parallel):
        write_archive(path, arrays, info)


def resume(path: StrPath, trainer: Trainer, callbacks: Iterable[Any] = ()) -> None:
    """
    Go on from a checkpoint: give the trainer and all that belongs to it the state that the file holds.

    They are made as for the run that wrote it, by the same code; the arrays of its model may be on a GPU now, or no
    longer. The run then goes on to the same weights, to the bit, as if it had never ended, on the same machine and
    device, with the same versions and as many threads for matrix products. Three things are no part of the file, and
    are what the code makes them: settings such as a learning rate or a dropout rate, also where a callback has changed
    them; the data, and the random stream of a `Batches` or a function of your own; and attributes of layers that are
    neither parameters, buffers nor random streams. On any error, everything is left as it was.

    Parameters
    ----------
    path : str or path
    trainer : Trainer
    callbacks : iterable
        Those of the run; of those with a memory, as many, of the same classes, and in the same order. A `Checkpoint`
        that keeps the best has one. Where the file has none for it, it begins anew.

    Raises
    ------
    ConfigError
        If an argument makes no sense.
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
    require_path("resume", path)
    stateful = _with_memory(callbacks, "resume")
    arrays, info = read_archive(path)
    require_kind(path, info, "checkpoint", "Checkpoint")
    try:
        parts, state = dict(info["parts"]), joined(info["state"], arrays)
    except Exception as error:
        raise damaged(path, error) from error
    # A Checkpoint that keeps the best may join a run that was begun without it.
    stateful = {name: each for name, each in stateful.items() if name in parts or not name.startswith(_BEST)}
    here = parts_of(trainer, stateful)
    for part in here | parts:
        if here.get(part) != parts.get(part):
            raise StateDictError(f"resume: {part}", here.get(part, "nothing"), parts.get(part, "nothing"))
    before = copy.deepcopy(state_of(trainer, stateful))
    attributes = {name: dict(getattr(callback, "__dict__", {})) for name, callback in stateful.items()}
    try:
        for name, value in before["trainer"].items():
            if type(state["trainer"][name]) is not type(value):
                raise TypeError(f"{name} of the trainer is {describe(state['trainer'][name])}")
        take_over(state, trainer, stateful)
    except BaseException as error:  # Ctrl-C too.
        take_over(before, trainer, {}, back=True)
        for name, callback in stateful.items():
            with suppress(Exception):
                callback.load_state_dict(before[name])
            getattr(callback, "__dict__", {}).update(attributes[name])  # It may remember that it was loaded.
        if not isinstance(error, Exception):
            raise
        expected = "a checkpoint that the trainer and its callbacks can go on from"
        raise FileFormatError(os.fspath(path), expected, f"{type(error).__name__}: {error}") from error


@define(eq=False, slots=False)
class Checkpoint(Monitoring):
    """
    Saves all that the run remembers, so that `resume` can go on from there, to the bit.

    At the end of an epoch, after the other callbacks. A run that is killed at any moment, during the writing as well,
    leaves a whole file. It has the weights of that epoch, also where `EarlyStopping` goes back to better ones when
    `fit` ends; a second `Checkpoint` with `save_best_only` keeps these.

    Parameters
    ----------
    path : str or path
        Used as it is given; each checkpoint takes the place of the last.
    every : int
        How many epochs lie between two; the last of a `fit`, planned or after a `Trainer.stop`, makes one in any case.
    monitor : str, optional
        Keyword only. With `save_best_only`, the value of the history that is to get better; by default ``val_loss``.
    mode : "min", "max" or None
        Keyword only. Whether smaller or larger is better, as for `EarlyStopping`.
    save_best_only : bool
        Keyword only. Whether to save only where the monitor is better than it was at each earlier checkpoint, over all
        the fits that the callback sees, and of those of a run that is resumed.
    to_host : callable, optional
        Keyword only. Makes a NumPy array of one that is elsewhere, as of `save_checkpoint`.

    Attributes
    ----------
    best : float
        The best value so far, if that is watched.

    Raises
    ------
    ConfigError
        If `path` is none, `every` no positive integer, or there is a monitor without `save_best_only`, or one whose
        direction is not known; when a `fit` begins, as `save_checkpoint`, or if the history will have no such value.
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
    min_delta = 0.0
    no_best = "no file was written"

    path: StrPath = field()
    every: int = field(default=1, validator=is_size)
    monitor: str | None = field(default=None, validator=optional(is_a(str)), kw_only=True)
    mode: str | None = field(default=None, kw_only=True)
    save_best_only: bool = field(default=False, kw_only=True)
    to_host: ToHost | None = field(default=None, kw_only=True, repr=False)
    best: float = field(default=inf, init=False, repr=False)
    _begin: int = field(default=0, init=False, repr=False)
    _end: int = field(default=0, init=False, repr=False)

    @path.validator
    def _check_path(self, attribute: Any, value: Any) -> None:
        require_path("Checkpoint", value)

    @to_host.validator
    def _check_to_host(self, attribute: Any, value: Any) -> None:
        require_to_host("Checkpoint", value)

    @mode.validator
    def _check_mode(self, attribute: Any, value: Any) -> None:
        require_flag("Checkpoint: save_best_only", self.save_best_only)
        if self.save_best_only:
            if self.monitor is None:
                self.monitor = "val_loss"
            is_mode(self, attribute, value)
            self.best = self.worst
        elif self.monitor is not None or value is not None:
            name = "mode" if self.monitor is None else "monitor"
            raise ConfigError(f"Checkpoint: {name}", "save_best_only=True beside it", "save_best_only=False")

    def on_fit_begin(self, trainer: Any, /) -> None:
        """See that the run can be saved, before anything is spent on it."""
        self._begin, self._end = trainer.epochs, trainer.epochs + trainer.plan.epochs
        if self.save_best_only:
            self.require_measured(trainer)
        _written(trainer, _with_memory(trainer.callbacks, "Checkpoint"), self.to_host)
        if is_first(trainer.parallel):
            require_writable(self.path)

    def on_epoch_end(self, trainer: Any, /) -> None:
        """
        Save, if it is time.

        The last of several does it for all: each looks at the epoch before one writes, so that every file knows what
        all of them know, and the best is kept before the latest is replaced, which says that it was.
        """
        checkpoints = [each for each in trainer.callbacks if isinstance(each, Checkpoint)]
        if self not in checkpoints:
            checkpoints = [self]
        elif self is not checkpoints[-1]:
            return
        due = [each for each in checkpoints if each._is_due(trainer)]
        for each in sorted(due, key=lambda each: not each.save_best_only):
            save_checkpoint(trainer, each.path, trainer.callbacks, to_host=each.to_host)

    def on_fit_end(self, trainer: Any, /) -> None:
        """Tell of a monitor that was never a number."""
        if self.save_best_only:
            self.warn_if_never_finite(trainer, trainer.epochs - self._begin)

    def state_dict(self) -> dict[str, Any]:
        """Copy the memory: the best value, where only the best is saved."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """
        Take over what `state_dict` gave: what is not better than it is not saved.

        Raises
        ------
        StateDictError
            If it is something else. Nothing is changed then.
        """
        require_names("Checkpoint.load_state_dict", state, self.state_dict())
        self.best = self.loaded_best(state)

    def _is_due(self, trainer: Trainer) -> bool:
        """Tell whether to save now, and if it is for the best, take it for the best."""
        due = trainer.epochs % self.every == 0 or trainer.epochs == self._end or trainer.stopping
        return due and (not self.save_best_only or self.improves(trainer))


def _written(
    trainer: Trainer, stateful: dict[str, Any], to_host: ToHost | None
) -> tuple[dict[str, Array], dict[str, Json]]:
    """Give what a file holds."""
    if not isinstance(trainer, Trainer):
        raise ConfigError("save_checkpoint: trainer", "an instance of Trainer", describe(trainer))
    arrays: dict[str, Array] = {}
    state: dict[str, Json] = {}
    for part, value in state_of(trainer, stateful).items():
        try:
            state[part] = split(value, arrays, part, to_host)
        except DTypeError:
            raise
        except TypeError as error:
            raise ConfigError(f"Checkpoint: the state of {part}", "plain values and arrays", str(error)) from error
    info = {"kind": "checkpoint", "parts": parts_of(trainer, stateful), "state": {"dict": state}}
    return arrays, info


def _with_memory(callbacks: Iterable[Any], subject: str) -> dict[str, Any]:
    """Choose the callbacks that are saved, and name each by its number in the order in which `fit` calls them."""
    if not is_iterable(callbacks):
        raise ConfigError(f"{subject}: callbacks", "a list of callbacks", describe(callbacks))
    found: dict[str, list[Any]] = {"callback ": [], _BEST: []}
    for callback in sorted(callbacks, key=lambda callback: getattr(callback, "runs_last", False)):
        if isinstance(callback, type):
            raise ConfigError(f"{subject}: callbacks", "a list of callbacks", describe(callback))
        if getattr(type(callback), "state_dict", None) is Checkpoint.state_dict:
            found[_BEST] += [callback] if callback.save_best_only else []
        elif hasattr(callback, "state_dict"):
            found["callback "].append(callback)
    return {f"{kind}{number}": each for kind, them in found.items() for number, each in enumerate(them)}
