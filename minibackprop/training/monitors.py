"""What watches one value of the history: whether it still gets better; and the callback that ends the run if not."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import inf, isfinite, isnan
from typing import Any

from attrs import define, field, setters

from minibackprop.errors import ConfigError, StateDictError
from minibackprop.training.callbacks import Callback, Run
from minibackprop.training.workers import is_first
from minibackprop.validation import (
    Array,
    as_float,
    is_a,
    is_flag,
    is_integer,
    is_not_negative,
    is_one_of,
    is_size,
    require_arrays,
    require_names,
    shortened,
)

#: The values whose direction is known; those of the validation data have ``val_`` before the name.
_SMALLER_IS_BETTER = {"loss", "mean_absolute_error", "mean_squared_error"}
_LARGER_IS_BETTER = {"accuracy", "binary_accuracy", "top_k_accuracy", "r2_score"}

_is_mode = is_one_of("min", "max", None)


def is_mode(instance: Any, attribute: Any, value: Any) -> None:
    """Require the direction in which the instance's monitor gets better, or a monitor that has a known one."""
    _is_mode(instance, attribute, value)
    name = str(instance.monitor).removeprefix("val_")
    if value is None and name not in _SMALLER_IS_BETTER | _LARGER_IS_BETTER:
        better = f"as it is not known whether smaller or larger values of {instance.monitor!r} are better"
        raise ConfigError(f"{type(instance).__name__}: mode", f'mode="min" or mode="max", {better}', "None")


class Monitoring(Callback):
    """
    What callbacks have in common that watch a value of the history, each by its own fields of these names.

    A value is better than the best so far if it is finite, and smaller (or larger, in mode "max") by more than
    `min_delta`.
    """

    monitor: Any  # A str, but before a `Checkpoint` has chosen one.
    mode: str | None
    min_delta: float
    best: float
    #: What it means that no value was ever finite.
    no_best: str

    @property
    def worst(self) -> float:
        """What every finite value is better than."""
        larger = self.monitor.removeprefix("val_") in _LARGER_IS_BETTER if self.mode is None else self.mode == "max"
        return -inf if larger else inf

    def improves(self, trainer: Run) -> bool:
        """Tell whether the latest epoch is better than the best, and if so, take its value for the best."""
        value = trainer.history[self.monitor][-1]
        gain = value - self.best if self.worst < 0 else self.best - value
        better: bool = isfinite(value) and gain > self.min_delta
        if better:
            self.best = value
        return better

    def require_measured(self, trainer: Run) -> None:
        """Require that the history will have the value."""
        names, name = trainer.plan.values, self.monitor
        if name in names:
            return
        prefix = "val_" if name.startswith("val_") else ""
        base = name.removeprefix(prefix)
        measured = [other.removeprefix(prefix) for other in names if other.startswith("val_") == bool(prefix)]
        from difflib import get_close_matches  # Only where there is something to tell.

        nearest = get_close_matches(base, measured, n=1, cutoff=0.5)
        if not measured:
            hint = ": fit has no validation data (validation=...)"
        elif nearest:
            hint = f": did you mean {prefix + nearest[0]!r}?"
        else:
            hint = f": the Trainer has no metric of that name (metrics={{{base!r}: ...}})"
        subject = f"{type(self).__name__}: monitor"
        raise ConfigError(subject, f"one of {list(names)}", repr(name) + hint)

    def warn_if_never_finite(self, trainer: Run, epochs: int) -> None:
        """Say so where none of the values of so many epochs could be compared."""
        if epochs and self.best == self.worst and is_first(trainer.parallel):
            told = f"{self.monitor} was not finite in any of {epochs} epochs"
            warnings.warn(f"{type(self).__name__}: {told}; {self.no_best}", stacklevel=2)

    def loaded_best(self, state: Mapping[str, Any]) -> float:
        """Give the best value in a state, required to be a number."""
        best = as_float(state["best"])
        if type(best) is not float or isnan(best):
            raise StateDictError(f"{type(self).__name__}: best", "a number", shortened(state["best"]))
        return best

    def loaded_count(self, state: Mapping[str, Any], name: str) -> int:
        """Give a count in a state."""
        count = state[name]
        if not is_integer(count) or count < 0:
            raise StateDictError(f"{type(self).__name__}: {name}", "an integer of at least 0", shortened(count))
        return int(count)


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class EarlyStopping(Monitoring):
    """
    Ends training where a value of the history has stopped getting better, and goes back to the best weights.

    NaN and infinity are no improvement. If none of the values was finite, there is a warning, and the weights stay
    those of the last step.

    Parameters
    ----------
    patience : int
        How many epochs in a row may pass without improvement.
    monitor : str
        The value of the history to watch.
    min_delta : float
        By how much a value must be better than the best to count as an improvement.
    mode : "min", "max" or None
        Whether smaller or larger is better. None for what is known: the loss and the errors and scores that are named
        as the metrics of this package are, with or without ``val_``.
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
        If an argument makes no sense, or the direction of the monitor is not known; when a `fit` begins, if the history
        will have no such value.

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

    no_best = "there are no best weights, and the last ones stay"

    patience: int = field(default=10, validator=is_size)
    monitor: str = field(default="val_loss", validator=is_a(str))
    min_delta: float = field(default=0.0, validator=is_not_negative)
    mode: str | None = field(default=None, validator=is_mode)
    restore_best: bool = field(default=True, validator=is_flag)
    best: float = field(init=False, default=inf)
    best_epoch: int | None = field(init=False, default=None)
    wait: int = field(init=False, default=0)
    _best_weights: dict[str, Array] = field(init=False, factory=dict, repr=False)
    _resumed: bool = field(init=False, default=False, repr=False)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Begin anew, or where a checkpoint left off."""
        self.require_measured(trainer)
        if not self._resumed:
            self.best, self.best_epoch, self.wait, self._best_weights = self.worst, None, 0, {}
        elif self.wait >= self.patience:
            trainer.stop()

    def on_epoch_end(self, trainer: Run, /) -> None:
        """Compare the epoch with the best so far."""
        if self.improves(trainer):
            self.best_epoch, self.wait = trainer.epochs - 1, 0
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
        self.warn_if_never_finite(trainer, self.wait)

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
        best, wait = self.loaded_best(state), self.loaded_count(state, "wait")
        epoch = None if state["best_epoch"] is None else self.loaded_count(state, "best_epoch")
        best_weights = require_arrays("EarlyStopping: best_weights", state["best_weights"])
        self.best, self.best_epoch, self.wait, self._best_weights = best, epoch, wait, best_weights
        self._resumed = True
