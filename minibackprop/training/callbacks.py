"""Callbacks: what watches a training run, and may end it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, NamedTuple, Protocol, TextIO, TypeAlias

from attrs import define, field, frozen, setters

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, StateDictError, describe
from minibackprop.losses.base import Loss
from minibackprop.metrics.functions import mean_absolute_error
from minibackprop.optimizers.base import Optimizer
from minibackprop.regularizers import Regularizer
from minibackprop.training.history import History
from minibackprop.validation import (
    Array,
    is_a,
    is_flag,
    is_integer,
    is_not_negative,
    is_one_of,
    is_size,
    require_names,
    shortened,
)

#: Computes a number from prediction and target.
Metric: TypeAlias = Callable[[Array, Array], float]


class Plan(NamedTuple):
    """
    What a `fit` is about to do, unless it is stopped.

    Attributes
    ----------
    epochs : int
        How many epochs.
    steps : int or None
        How many steps in all; None where the batches cannot be counted beforehand.
    values : tuple of str
        The names under which each epoch will be recorded in the history.

    Examples
    --------
    >>> Plan(epochs=2, steps=20, values=("loss", "val_loss"))
    Plan(epochs=2, steps=20, values=('loss', 'val_loss'))
    """

    epochs: int
    steps: int | None
    values: tuple[str, ...]


class Run(Protocol):
    """What callbacks, and the step itself, see of a `Trainer`, which has it all."""

    model: Layer
    loss: Loss
    optimizer: Optimizer
    metrics: dict[str, Metric]
    regularizer: Regularizer | None
    history: History
    steps: int
    epochs: int
    plan: Plan
    callbacks: tuple[Any, ...]

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called in the `fit` that runs."""

    def stop(self) -> None:
        """End the `fit` that runs after the present step."""


class Step(NamedTuple):
    """
    What a callback sees of a step that was just made.

    Attributes
    ----------
    trainer : Trainer
        Who made the step; its model is already updated.
    number : int
        The number of the step, from 0, counted over the life of the trainer.
    loss : float
        The loss of the prediction.
    prediction, target : array
        What the step was made from: the prediction is that of the model *before* the update.
    """

    trainer: Run
    number: int
    loss: float
    prediction: Array
    target: Array


class Callback:
    """
    What `Trainer.fit` calls at its beginning, after each step, after each epoch, and at its end.

    Override what you need; `trainer` is the `Trainer` that runs. ``trainer.history`` already has the epoch in
    `on_epoch_end`; ``trainer.stop()`` ends the run. A callback whose memory should survive a kill also has
    ``state_dict()``, which returns a dict of numbers, strings, arrays, lists and dicts of these, and
    ``load_state_dict(state)``.

    Attributes
    ----------
    runs_last : bool
        A class attribute: whether to be called after the callbacks that are not.

    Examples
    --------
    >>> class UntilGoodEnough(Callback):
    ...     def on_epoch_end(self, trainer):
    ...         if trainer.history.loss[-1] < 0.01:
    ...             trainer.stop()
    """

    runs_last: bool = False

    def on_fit_begin(self, trainer: Any, /) -> None:
        """Act before the first step of a `fit`; ``trainer.plan`` says what it will do."""

    def on_step_end(self, step: Step, /) -> None:
        """Act after a step."""

    def on_epoch_end(self, trainer: Any, /) -> None:
        """Act after an epoch."""

    def on_fit_end(self, trainer: Any, /) -> None:
        """Act at the end of a `fit` that has begun, also where an error or Ctrl-C ends it."""


def in_order(callbacks: Any) -> tuple[Any, ...]:
    """Check the callbacks of a `fit`, and put those that run last at the end."""
    if not isinstance(callbacks, Iterable):
        raise ConfigError("Trainer.fit: callbacks", "a list of callables", describe(callbacks))
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
            raise ConfigError("Trainer.fit: callbacks", "callbacks, or callables of a Step", describe(callback))
    return tuple(sorted(callbacks, key=lambda callback: getattr(callback, "runs_last", False)))


def after_steps(callbacks: Iterable[Any]) -> list[Callable[[Step], object]]:
    """List what is to be called after each step: callables, and each `on_step_end` that does something."""
    watchers = []
    for callback in callbacks:
        if not isinstance(callback, Callback):
            watchers.append(callback)
        elif type(callback).on_step_end is not Callback.on_step_end:
            watchers.append(callback.on_step_end)
    return watchers


@frozen(eq=False, slots=False)
class PrintEvery(Callback):
    """
    Prints the error of the prediction every so many steps, as the article does.

    Parameters
    ----------
    steps : int
        Prints at step 0, `steps`, twice `steps` and so on.
    metric : callable, optional
        Computes the error from prediction and target. By default it is the mean absolute error, or the loss where the
        target has not the shape of the prediction (labels of classes).
    file : file, optional
        Where to print; by default standard output.

    Raises
    ------
    ConfigError
        If `steps` is not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, HalfSquaredError, Trainer
    >>> x = np.array([[1.0], [2.0]])
    >>> trainer = Trainer(Dense(1, 1, init=lambda shape, rng: np.zeros(shape)), HalfSquaredError(), SGD(0.125))
    >>> _ = trainer.fit(x, 2 * x, epochs=5, callbacks=[PrintEvery(2)])
    step 0: mean absolute error 3
    step 2: mean absolute error 0.28125
    step 4: mean absolute error 0.257080078125
    """

    steps: int = field(validator=is_size)
    metric: Metric | None = None
    file: TextIO | None = None

    def on_step_end(self, step: Step, /) -> None:
        """Print, if it is time."""
        if step.number % self.steps:
            return
        metric = self.metric
        if metric is None and step.prediction.shape != step.target.shape:
            name, value = "loss", step.loss
        else:
            metric = metric or mean_absolute_error
            name = getattr(metric, "__name__", "error").replace("_", " ")
            value = metric(step.prediction, step.target)
        print(f"step {step.number}: {name} {value:.12g}", file=self.file)


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class EarlyStopping(Callback):
    """
    Ends training where a value of the history has stopped getting better, and goes back to the best weights.

    Parameters
    ----------
    patience : int
        How many epochs in a row may pass without improvement.
    monitor : str
        The value of the history to watch.
    min_delta : float
        By how much a value must be better than the best to count as an improvement.
    mode : "min", "max" or None
        Whether smaller or larger is better. None: larger for names that end in "accuracy", smaller for all others.
    restore_best : bool
        Whether to put back the parameters and buffers of the best epoch when `fit` ends, however it ends.

    Attributes
    ----------
    best : float
        The best value so far.
    best_epoch : int or None
        The number of the epoch that gave it, from 0, counted over the life of the trainer.
    wait : int
        How many epochs have passed since.

    Raises
    ------
    ConfigError
        If an argument makes no sense; when a `fit` begins, if the history will have no such value.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Trainer
    >>> x = np.linspace(-1, 1, 20)[:, np.newaxis]
    >>> stopping = EarlyStopping(patience=3, min_delta=1e-3)
    >>> trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.3), rng=0)
    >>> history = trainer.fit(x, 2 * x, epochs=1000, validation=0.2, callbacks=[stopping])
    >>> len(history) < 100, stopping.wait
    (True, 3)
    """

    patience: int = field(default=10, validator=is_size)
    monitor: str = field(default="val_loss", validator=is_a(str))
    min_delta: float = field(default=0.0, validator=is_not_negative)
    mode: str | None = field(default=None, validator=is_one_of("min", "max", None))
    restore_best: bool = field(default=True, validator=is_flag)
    best: float = field(init=False, default=inf)
    best_epoch: int | None = field(init=False, default=None)
    wait: int = field(init=False, default=0)
    _best_weights: dict[str, Array] = field(init=False, factory=dict, repr=False)
    _resumed: bool = field(init=False, default=False, repr=False)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Begin anew, or where a checkpoint left off."""
        if self.monitor not in trainer.plan.values:
            wanted = f"one of {list(trainer.plan.values)}"
            hint = ": fit has no validation data" if self.monitor.startswith("val_") else ""
            raise ConfigError("EarlyStopping: monitor", wanted, repr(self.monitor) + hint)
        if not self._resumed:
            self.best, self.best_epoch, self.wait, self._best_weights = self._worst, None, 0, {}
        elif self.wait >= self.patience:
            trainer.stop()

    def on_epoch_end(self, trainer: Run, /) -> None:
        """Compare the epoch with the best so far."""
        value = trainer.history[self.monitor][-1]
        gain = value - self.best if self._worst < 0 else self.best - value
        if gain > self.min_delta:
            self.best, self.best_epoch, self.wait = value, trainer.epochs - 1, 0
            if self.restore_best:
                self._best_weights = trainer.model.state_dict()
        else:
            self.wait += 1
            if self.wait >= self.patience:
                trainer.stop()

    def on_fit_end(self, trainer: Run, /) -> None:
        """Put the best weights back."""
        self._resumed = False
        if self._best_weights:
            trainer.model.load_state_dict(self._best_weights)

    def state_dict(self) -> dict[str, Any]:
        """Copy the memory: best value, its epoch, its weights, and how long ago it was."""
        best_weights = {name: value.copy() for name, value in self._best_weights.items()}
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait, "best_weights": best_weights}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """
        Take over what `state_dict` gave; the next `fit` goes on from it.

        Raises
        ------
        StateDictError
            If it is something else. Nothing is changed then.
        """
        require_names("EarlyStopping.load_state_dict", state, self.state_dict())
        best, epoch, wait, weights = (state[name] for name in ("best", "best_epoch", "wait", "best_weights"))
        if not (isinstance(best, float) and (epoch is None or is_integer(epoch)) and is_integer(wait)):
            raise StateDictError("EarlyStopping", "a number, and two counts", shortened((best, epoch, wait)))
        best_weights = {name: value.copy() for name, value in weights.items()}
        self.best, self.best_epoch, self.wait, self._best_weights = best, epoch, wait, best_weights
        self._resumed = True

    @property
    def _worst(self) -> float:
        larger = self.mode == "max" or (self.mode is None and self.monitor.endswith("accuracy"))
        return -inf if larger else inf


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class ProgressBar(Callback):
    """
    Shows how far a `fit` is, with the loss and metrics of the last epoch, through tqdm (the extra `progress`).

    A bar over the steps in a terminal or a notebook. Where the output is neither, such as a log file, a plain line for
    each tenth of the epochs, and for the last.

    Parameters
    ----------
    file : file, optional
        Where to write; by default standard error, as tqdm does.

    Raises
    ------
    ImportError
        When a `fit` begins, if tqdm is not installed.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Trainer
    >>> log = io.StringIO()
    >>> trainer = Trainer(Dense(1, 1, init=lambda shape, rng: np.zeros(shape)), MeanSquaredError(), SGD(0.5))
    >>> _ = trainer.fit(np.ones((1, 1)), np.ones((1, 1)), epochs=20, callbacks=[ProgressBar(log)])
    >>> print(log.getvalue().splitlines()[0])
    epoch 2 of 20: loss 1
    """

    file: TextIO | None = None
    _bar: Any = field(init=False, default=None, repr=False)
    _first: int = field(init=False, default=0, repr=False)
    _shown: int = field(init=False, default=0, repr=False)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Open the bar."""
        self._first = self._shown = trainer.epochs
        if not self._live():
            return
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError('ProgressBar needs tqdm: pip install "minibackprop[progress]"') from error
        self._bar = tqdm(total=trainer.plan.steps, unit="step", file=self.file, desc="training")

    def on_step_end(self, step: Step, /) -> None:
        """Move on by a step; where an epoch is long, show the loss of a step now and then."""
        if self._bar is not None and self._bar.update() and step.trainer.epochs == self._first:
            self._bar.set_postfix(loss=step.loss, refresh=False)

    def on_epoch_end(self, trainer: Run, /) -> None:
        """Show the epoch's values."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {trainer.epochs - self._first}/{trainer.plan.epochs}", refresh=False)
            self._bar.set_postfix(_latest(trainer), refresh=False)
        elif (trainer.epochs - self._first) * 10 // trainer.plan.epochs > self._tenths(trainer):
            self._print(trainer)

    def on_fit_end(self, trainer: Run, /) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif trainer.epochs > self._shown:
            self._print(trainer)

    def _tenths(self, trainer: Run) -> int:
        return (self._shown - self._first) * 10 // trainer.plan.epochs

    def _print(self, trainer: Run) -> None:
        self._shown = trainer.epochs
        text = ", ".join(f"{name} {value:.4g}" for name, value in _latest(trainer).items())
        done = trainer.epochs - self._first
        print(f"epoch {done} of {trainer.plan.epochs}: {text}", file=self.file or sys.stderr, flush=True)

    def _live(self) -> bool:
        """Tell whether there is a terminal, or a notebook, to redraw a line in."""
        file = self.file or sys.stderr
        return (file is not None and file.isatty()) or (self.file is None and "ipykernel" in sys.modules)


def _latest(trainer: Run) -> dict[str, float]:
    return {name: trainer.history[name][-1] for name in trainer.history}
