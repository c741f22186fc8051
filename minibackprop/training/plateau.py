"""The callback that lowers the learning rate where a value of the history has stopped getting better."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from math import inf
from typing import Any

from attrs import define, field, frozen, setters

from minibackprop.errors import ConfigError, StateDictError, describe
from minibackprop.optimizers.base import Optimizer
from minibackprop.optimizers.rates import Schedule, rate_at
from minibackprop.training.callbacks import Run
from minibackprop.training.monitors import Monitoring, is_mode
from minibackprop.validation import (
    a_number,
    as_float,
    is_a,
    is_integer,
    is_not_negative,
    is_size,
    require_names,
    shortened,
)


@frozen
class ReducedRate:
    """A schedule times a factor, but not below a least rate, unless the schedule itself is."""

    schedule: Schedule
    factor: float
    least: float

    def __call__(self, step: int, /) -> float:
        """Compute the rate of a step."""
        return _reduced(rate_at("ReduceLROnPlateau", self.schedule, step), self.factor, self.least)


def _reduced(rate: float, factor: float, least: float) -> float:
    return max(rate * factor, min(rate, least))


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class ReduceLROnPlateau(Monitoring):
    """
    Multiplies the learning rate by a factor where a value of the history has stopped getting better.

    A number is multiplied, and so is what a schedule gives for each step from then on; of an optimizer that is made of
    others, in a dict named `optimizers`, that of each. The rate stays reduced when `fit` ends. By what it has been
    multiplied is part of the memory: a run that is resumed goes on with the reduced rate, though checkpoints leave the
    rate itself to the code. So a run is resumed with an optimizer made anew, at its first rate, and later fits of a run
    get the same callback again.

    Parameters
    ----------
    monitor : str
        The value of the history to watch.
    factor : float
        Above 0 and below 1.
    patience : int
        How many epochs in a row may pass without improvement before the rate is reduced.
    mode : "min", "max" or None
        Whether smaller or larger is better, as for `EarlyStopping`.
    min_delta : float
        By how much a value must be better than the best to count as an improvement.
    cooldown : int
        How many epochs after a reduction do not count as epochs without improvement.
    min_lr : float
        The rate is not reduced below it.

    Attributes
    ----------
    best : float
        The best value so far.
    wait : int
        How many epochs have passed since that count.
    resting : int
        How many epochs are left that do not.
    reductions : list of float
        The factors by which the rate has been multiplied.

    Raises
    ------
    ConfigError
        If an argument makes no sense, or the direction of the monitor is not known; when a `fit` begins, if the history
        will have no such value, or the optimizer has no `learning_rate` that can be set.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Trainer
    >>> x, optimizer = np.linspace(-1, 1, 20)[:, np.newaxis], SGD(1.5)
    >>> plateau = ReduceLROnPlateau("loss", factor=0.5, patience=2)
    >>> trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), optimizer, rng=0)
    >>> history = trainer.fit(x, abs(x), epochs=50, callbacks=[plateau])
    >>> optimizer.learning_rate < 0.1, plateau.reductions[:2]
    (True, [0.5, 0.5])
    """

    no_best = "the rate was reduced as if nothing had got better"

    monitor: str = field(default="val_loss", validator=is_a(str))
    factor: float = field(
        default=0.1,
        converter=as_float,
        validator=a_number("a number above 0 and below 1", lambda factor: 0 < factor < 1),
    )
    patience: int = field(default=10, validator=is_size)
    mode: str | None = field(default=None, validator=is_mode, kw_only=True)
    min_delta: float = field(default=1e-4, validator=is_not_negative, kw_only=True)
    cooldown: int = field(
        default=0, validator=a_number("an integer of at least 0", lambda n: n >= 0, is_integer), kw_only=True
    )
    min_lr: float = field(default=0.0, converter=as_float, validator=is_not_negative, kw_only=True)
    best: float = field(init=False, default=inf)
    wait: int = field(init=False, default=0)
    resting: int = field(init=False, default=0)
    reductions: list[float] = field(init=False, factory=list)
    _epochs: int = field(init=False, default=0, repr=False)
    _resumed: bool = field(init=False, default=False, repr=False)
    #: The optimizers whose rate is reduced, each with the rate that the code gave it.
    _given: list[tuple[Any, float | Schedule]] = field(init=False, factory=list, repr=False)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Begin anew, with the rate as it is; or where a checkpoint left off."""
        self.require_measured(trainer)
        optimizers = _with_rates(trainer.optimizer)
        if [id(optimizer) for optimizer in optimizers] != [id(optimizer) for optimizer, _ in self._given]:
            self._given = [(optimizer, optimizer.learning_rate) for optimizer in optimizers]
            self.reductions = self.reductions if self._resumed else []
        for optimizer, given in self._given if self._resumed else ():
            self._set(optimizer, given, self.reductions)
        if not self._resumed:
            self.best, self.wait, self.resting = self.worst, 0, 0
        self._epochs = 0

    def on_epoch_end(self, trainer: Run, /) -> None:
        """Compare the epoch with the best so far, and reduce the rate if it is time."""
        self._epochs += 1
        better = self.improves(trainer)
        if better or self.resting:
            self.wait = 0
            self.resting = max(self.resting - 1, 0)
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.wait, self.resting = 0, self.cooldown
            before = [optimizer.learning_rate for optimizer, _ in self._given]
            for optimizer, _ in self._given:
                self._set(optimizer, optimizer.learning_rate, [self.factor])
            if before != [optimizer.learning_rate for optimizer, _ in self._given]:
                self.reductions = [*self.reductions, self.factor]

    def on_fit_end(self, trainer: Run, /) -> None:
        """Leave the rate as it is."""
        self._resumed = False
        self.warn_if_never_finite(trainer, self._epochs)

    def state_dict(self) -> dict[str, Any]:
        """Copy the memory: best value, counts, and the factors by which the rate has been multiplied."""
        return {
            "best": self.best,
            "wait": self.wait,
            "resting": self.resting,
            "reductions": list(self.reductions),
        }

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """
        Take over what `state_dict` gave; the next `fit` goes on from it, and reduces the rate as far.

        Raises
        ------
        StateDictError
            If it is something else. Nothing is changed then.
        """
        require_names("ReduceLROnPlateau.load_state_dict", state, self.state_dict())
        best = self.loaded_best(state)
        wait, resting = (self.loaded_count(state, name) for name in ("wait", "resting"))
        reductions = state["reductions"]
        known = isinstance(reductions, (list, tuple))
        factors: list[Any] = [as_float(factor) for factor in reductions] if known else [None]
        if not all(type(factor) is float and 0 < factor < 1 for factor in factors):
            raise StateDictError(
                "ReduceLROnPlateau: reductions", "a list of numbers above 0 and below 1", shortened(reductions)
            )
        self.best, self.wait, self.resting, self.reductions = best, wait, resting, factors
        self._resumed = True

    def _set(self, optimizer: Any, rate: float | Schedule, factors: list[float]) -> None:
        """Give an optimizer a rate, multiplied by some factors one after the other."""
        least = max(self.min_lr, sys.float_info.min)  # A rate of 0, or a subnormal one, is none.
        for factor in factors:
            rate = ReducedRate(rate, factor, least) if callable(rate) else _reduced(rate, factor, least)
        optimizer.learning_rate = rate


def _with_rates(optimizer: Optimizer) -> list[Any]:
    """List what has a learning rate: the optimizer, or where it is made of `optimizers`, these, each once."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [optimizer]
    while waiting:
        part = waiting.pop(0)
        parts = getattr(part, "optimizers", None)
        if isinstance(parts, Mapping):
            waiting += parts.values()
        elif hasattr(part, "learning_rate"):
            found[id(part)] = part
    for part in found.values():
        rate = part.learning_rate
        if not callable(rate) and type(as_float(rate)) is not float:
            subject = f"ReduceLROnPlateau: learning_rate of {type(part).__name__}"
            raise ConfigError(subject, "a number or a schedule", describe(rate))
        try:
            part.learning_rate = rate
        except AttributeError as error:
            raise ConfigError(
                f"ReduceLROnPlateau: learning_rate of {type(part).__name__}", "to be one that can be set", str(error)
            ) from error
    if not found:
        raise ConfigError("ReduceLROnPlateau: optimizer", "one with a learning_rate", describe(optimizer))
    return list(found.values())
