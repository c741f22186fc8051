"""Callbacks: what watches a training run, and may end it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.losses.base import Loss
from minibackprop.optimizers.base import Optimizer
from minibackprop.training.history import History
from minibackprop.training.workers import Workers
from minibackprop.validation import Array, is_iterable

if TYPE_CHECKING:
    from minibackprop.regularizers import Regularizer

#: Computes a number from prediction and target.
MetricFunction: TypeAlias = Callable[[Array, Array], float]


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
    metrics: dict[str, MetricFunction]
    regularizer: Regularizer | None
    history: History
    steps: int
    epochs: int
    plan: Plan
    callbacks: tuple[Any, ...]
    parallel: Workers | None

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
    weights : array or None
        Those of the samples, or of the places in them.
    """

    trainer: Run
    number: int
    loss: float
    prediction: Array
    target: Array
    weights: Array | None = None


class Callback:
    """
    What `Trainer.fit` calls at its beginning, before and after each step, after each epoch, and at its end.

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

    Gradients, clipped each by its own norm:

    >>> class ClipEach(Callback):
    ...     def on_before_step(self, trainer):
    ...         for parameter in trainer.model.parameters():
    ...             if parameter.grad is not None:
    ...                 norm = np.linalg.norm(parameter.grad)
    ...                 parameter.grad = parameter.grad / max(norm, 1.0)
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Trainer
    >>> trainer = Trainer(Dense(1, 1, init=lambda shape, rng: np.zeros(shape)), MeanSquaredError(), SGD(0.5))
    >>> history = trainer.fit(np.array([[1.0]]), np.array([[9.0]]), epochs=1, callbacks=[ClipEach()])
    >>> trainer.model.weight.value
    array([[0.5]])
    """

    runs_last: bool = False

    def on_fit_begin(self, trainer: Any, /) -> None:
        """Act before the first step of a `fit`; ``trainer.plan`` says what it will do."""

    def on_before_step(self, trainer: Any, /) -> None:
        """
        Act when the gradients of a step are complete, and before the optimizer looks at them.

        They are those of the whole batch, of all its micro-batches together, and of the penalty. Look at each
        ``parameter.grad``, which is None for a parameter that has none; to change it, bind a new array.
        """

    def on_step_end(self, step: Step, /) -> None:
        """Act after a step."""

    def on_epoch_end(self, trainer: Any, /) -> None:
        """Act after an epoch."""

    def on_fit_end(self, trainer: Any, /) -> None:
        """Act at the end of a `fit` that has begun, also where an error or Ctrl-C ends it."""


def in_order(callbacks: Any) -> tuple[Any, ...]:
    """Check the callbacks of a `fit`, and put those that run last at the end."""
    if not is_iterable(callbacks):
        raise ConfigError("Trainer.fit: callbacks", "a list of callables", describe(callbacks))
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
            raise ConfigError("Trainer.fit: callbacks", "callbacks, or callables of a Step", describe(callback))
    return tuple(sorted(callbacks, key=lambda callback: getattr(callback, "runs_last", False)))


def before_steps(callbacks: Iterable[Any]) -> list[Callable[[Run], object]]:
    """List what is to be called before each step of the optimizer: each `on_before_step` that does something."""
    events = (callback for callback in callbacks if isinstance(callback, Callback))
    return [event.on_before_step for event in events if type(event).on_before_step is not Callback.on_before_step]


def after_steps(callbacks: Iterable[Any]) -> list[Callable[[Step], object]]:
    """List what is to be called after each step: callables, and each `on_step_end` that does something."""
    watchers = []
    for callback in callbacks:
        if not isinstance(callback, Callback):
            watchers.append(callback)
        elif type(callback).on_step_end is not Callback.on_step_end:
            watchers.append(callback.on_step_end)
    return watchers
