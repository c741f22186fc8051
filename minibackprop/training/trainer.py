"""The training loop: batch by batch and epoch by epoch, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from math import isfinite
from operator import length_hint
from typing import Any

from attrs import define, field, setters
from attrs.validators import optional
from numpy.typing import ArrayLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, StateDictError
from minibackprop.losses.base import Loss
from minibackprop.numerics.error_state import without_warnings
from minibackprop.numerics.memory import keep_freed_memory
from minibackprop.optimizers.base import Optimizer
from minibackprop.regularizers import Regularizer
from minibackprop.rng import private_generator
from minibackprop.training.callbacks import Callback, Metric, Plan, Step, after_steps, before_steps, in_order
from minibackprop.training.data import Batch, Intake, Source
from minibackprop.training.divergence import require_finite_parameters
from minibackprop.training.evaluation import StepValues, averaged, evaluate, named_metrics
from minibackprop.training.history import History
from minibackprop.training.interrupts import DeferredInterrupt
from minibackprop.training.step import Stepper
from minibackprop.validation import is_a, is_integer, require_flag, require_names, require_size_or_none, shortened


@define(eq=False)
class _Fit:
    """What the epochs of one `fit` share."""

    stepper: Stepper
    events: list[Callback]
    watchers: list[Callable[[Step], object]]
    interrupt: DeferredInterrupt


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class Trainer:
    """
    Trains a model: predicts, compares, sends the gradient back, steps, and again.

    Parameters
    ----------
    model : Layer
        Changed in place.
    loss : Loss
    optimizer : Optimizer
    metrics : iterable of callable, or dict
        Each computes a number from prediction and target (`accuracy`, say). It is recorded for every epoch under its
        name, or its key in the dict: the mean over the batches as they were trained on, and under ``val_`` and its
        name that of the validation data.
    regularizer : Regularizer, optional
        Its penalty is added to the loss, and its gradient to the gradients, once a step.
    rng : Generator, RandomState, int or None
        What shuffling, and a validation split, are drawn from.

    Attributes
    ----------
    history : History
        Grows with every `fit`; also after an exception or Ctrl-C, it holds the epochs that were done until then.
    steps, epochs : int
        How many steps have been made, and how many epochs finished.
    plan : Plan
        What the `fit` that runs is to do.
    callbacks : tuple
        Those of the `fit` that runs.

    Raises
    ------
    ConfigError
        If an argument is not what it should be.

    Examples
    --------
    >>> from minibackprop import SGD, Dense, HalfSquaredError
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> trainer = Trainer(Dense(1, 1, rng=0), HalfSquaredError(), SGD(0.1))
    >>> history = trainer.fit(x, 3 * x + 1, epochs=200)
    >>> trainer.model.predict(np.array([[10.0]])).round(6)
    array([[31.]])
    """

    model: Layer = field(validator=is_a(Layer))
    loss: Loss = field(validator=is_a(Loss))
    optimizer: Optimizer = field(validator=is_a(Optimizer))
    metrics: dict[str, Metric] = field(default=(), converter=named_metrics, kw_only=True)
    regularizer: Regularizer | None = field(default=None, validator=optional(is_a(Regularizer)), kw_only=True)
    _rng: Any = field(default=None, converter=private_generator, kw_only=True, repr=False)
    history: History = field(factory=History, init=False)
    steps: int = field(default=0, init=False)
    epochs: int = field(default=0, init=False)
    plan: Plan = field(default=Plan(0, 0, ()), init=False, repr=False)
    callbacks: tuple[Any, ...] = field(default=(), init=False, repr=False)
    _stopped: bool = field(default=False, init=False, repr=False)
    # Every `fit` of a trainer holds out the same samples, a resumed one too.
    _split_seed: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._split_seed = int(self._rng.integers(2**32))

    def fit(
        self,
        x: ArrayLike | Source,
        y: ArrayLike | None = None,
        epochs: int = 1,
        *,
        batch_size: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        weights: ArrayLike | None = None,
        validation: tuple[ArrayLike, ...] | Source | float | None = None,
        micro_batch_size: int | None = None,
        callbacks: Iterable[Callback | Callable[[Step], object]] = (),
    ) -> History:
        """
        Make `epochs` passes over the data, a step on each batch.

        Parameters
        ----------
        x, y : array_like
            Samples and targets, one a row. `x` is cast to the dtype of the model, once, unless it takes integers;
            memory-mapped arrays batch by batch. Or, without `y`, batches that are made elsewhere: an iterable of
            ``(x, y)`` or ``(x, y, weights)`` that starts anew for each epoch (a list, a `Batches`), or a function that
            makes such an iterable (a generator function).
        epochs : int
            At least 0.
        batch_size : int, optional
            How many samples go into a step; by default all.
        shuffle, drop_last : bool
            Whether each epoch has an order of its own, and whether it leaves out a last batch that is too short.
        weights : array_like, optional
            How much each sample counts, of shape (N,): as much as a sample that stands that often. Or each place in
            the targets: (N, T) for sequences, with 0 for padding.
        validation : tuple, iterable, callable or float, optional
            Data to measure after each epoch: ``(x, y)`` or ``(x, y, weights)``, batches as for `x`, or the fraction of
            the samples to hold out, drawn once for the life of the trainer.
        micro_batch_size : int, optional
            Go through each batch in micro-batches of at most so many samples: the same step in less memory.
        callbacks : iterable of Callback or callable
            A callable is called with a `Step` after every step.

        Returns
        -------
        History
            The trainer's own.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, TargetError, NonFiniteError
            If the data do not fit each other, the model or the loss, are empty, no numbers, or not finite: then no
            step is made (on what comes in batches, none from the first that is wrong). NonFiniteError also if training
            diverges: if the loss is not finite, before the step that it would lead to, or a parameter after the last.
        KeyboardInterrupt
            After Ctrl-C, when the step that is being made is done. A second Ctrl-C does not wait for it, and may leave
            half a step: some parameters changed, others not.
        """
        if not is_integer(epochs) or epochs < 0:
            raise ConfigError("Trainer.fit: epochs", "an integer of at least 0", repr(epochs))
        require_size_or_none("Trainer.fit: micro_batch_size", micro_batch_size)
        require_flag("Trainer.fit: shuffle", shuffle)
        require_flag("Trainer.fit: drop_last", drop_last)
        if drop_last and batch_size is None:
            raise ConfigError("Trainer.fit: drop_last", "a batch_size", "none")
        batches, validation_batches = Intake(self.model, self.loss, batch_size).for_fit(
            x,
            y,
            weights,
            validation,
            rng=self._rng if shuffle else None,
            drop_last=drop_last,
            split_seed=self._split_seed,
        )
        ordered = in_order(callbacks)
        events = [callback for callback in ordered if isinstance(callback, Callback)]
        count, names = length_hint(batches, -1), ["loss", *self.metrics]
        values = names if validation_batches is None else names + [f"val_{name}" for name in names]
        self.plan = Plan(epochs, None if count < 0 else epochs * count, tuple(values))
        self.callbacks, self._stopped = ordered, False
        self.model.clear_gradients()
        keep_freed_memory()
        with ExitStack() as ends, DeferredInterrupt() as interrupt:
            ends.callback(setattr, self, "callbacks", ())
            for callback in events:
                callback.on_fit_begin(self)
            for callback in reversed(events):  # Each of them, even if another fails.
                ends.callback(callback.on_fit_end, self)
            # What overflows shows in the loss, which each step looks at; a warning would only say it less well.
            with without_warnings():
                stepper = Stepper(self, micro_batch_size, before_steps(ordered))
                fit = _Fit(stepper, events, after_steps(ordered), interrupt)
                self._epochs(epochs, batches, validation_batches, fit)
        return self.history

    def step(
        self,
        x: ArrayLike,
        y: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        micro_batch_size: int | None = None,
    ) -> float:
        """
        Make one step on the samples `x` with targets `y`, and return the loss from before it.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, TargetError, NonFiniteError
            As `fit`; the parameters are then as they were.
        """
        require_size_or_none("Trainer.step: micro_batch_size", micro_batch_size)
        batch = Intake(self.model, self.loss).for_step(x, y, weights)
        self.model.clear_gradients()
        keep_freed_memory()
        with without_warnings():
            loss, penalty, _, _ = Stepper(self, micro_batch_size).step(batch)
        return loss + penalty

    def evaluate(
        self,
        x: ArrayLike | Source,
        y: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        batch_size: int | None = None,
    ) -> dict[str, float]:
        """
        Compute the loss and the metrics of the model's predictions, without training.

        The predictions are made `batch_size` samples at a time, by default all at once, and measured together.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, TargetError, NonFiniteError
            If the data are not such that `fit` would take them.

        Examples
        --------
        >>> from minibackprop import SGD, Dense, MeanSquaredError, mean_absolute_error
        >>> model = Dense(1, 1, init=lambda shape, rng: np.ones(shape))
        >>> trainer = Trainer(model, MeanSquaredError(), SGD(0.1), metrics=[mean_absolute_error])
        >>> trainer.evaluate(np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))
        {'loss': 4.0, 'mean_absolute_error': 2.0}
        """
        with without_warnings():
            return evaluate(self, Intake(self.model, self.loss, batch_size).for_evaluation(x, y, weights))

    def stop(self) -> None:
        """End the `fit` that runs after the present step; the epoch then counts with the steps that it had."""
        self._stopped = True

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called in the `fit` that runs."""
        return self._stopped

    def state_dict(self) -> dict[str, Any]:
        """Copy what the trainer itself remembers: counts, history, random state; not the model or the optimizer."""
        return {
            "steps": self.steps,
            "epochs": self.epochs,
            "history": self.history.as_dict(),
            "rng": self._rng.bit_generator.state,
            "split_seed": self._split_seed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """
        Take over what `state_dict` gave.

        Raises
        ------
        StateDictError
            If it is something else. Nothing is changed then.
        """
        require_names("Trainer.load_state_dict", state, self.state_dict())
        for name in ("steps", "epochs", "split_seed"):
            if not is_integer(state[name]) or state[name] < 0:
                raise StateDictError(f"Trainer: {name}", "an integer of at least 0", shortened(state[name]))
        history, bits = History(), type(self._rng.bit_generator)()
        history.load(state["history"])
        try:
            bits.state = state["rng"]
        except (TypeError, ValueError, KeyError) as error:
            raise StateDictError("Trainer: rng", f"the state of a {type(bits).__name__}", str(error)) from error
        self._rng.bit_generator.state = state["rng"]
        self.steps, self.epochs, self._split_seed = (int(state[name]) for name in ("steps", "epochs", "split_seed"))
        self.history.load(state["history"])

    def _epochs(
        self, epochs: int, batches: Iterable[Batch], validation_batches: Iterable[Batch] | None, fit: _Fit
    ) -> None:
        """Make the passes over the data, and record what each gave."""
        for _ in range(epochs):
            if self._stopped:
                break
            values = self._epoch(batches, fit)
            if validation_batches is not None:
                measured = evaluate(self, validation_batches)
                if not isfinite(measured["loss"]):
                    require_finite_parameters(self)
                values |= {f"val_{name}": value for name, value in measured.items()}
            self.history.record(values)
            self.epochs += 1
            for callback in fit.events:
                callback.on_epoch_end(self)
        if fit.stepper.parameters:
            require_finite_parameters(self)

    def _epoch(self, batches: Iterable[Batch], fit: _Fit) -> dict[str, float]:
        """Make a step on each batch, and average what they gave."""
        stepper, watchers, interrupt = fit.stepper, fit.watchers, fit.interrupt
        is_mean = self.loss.reduction != "sum"
        made: list[StepValues] = []
        for batch in batches:
            if interrupt.pending:
                interrupt.check()
            if batch.weights is not None and not batch.weights.any():
                continue  # As if none of these samples were there.
            loss, penalty, prediction, metrics = stepper.step(batch)
            total_weight = self.loss.total_weight(batch.y, batch.weights) if is_mean else 1.0
            made.append((loss, penalty, metrics, total_weight, len(batch.y)))
            if watchers:
                try:
                    for watch in watchers:
                        watch(Step(self, self.steps - 1, loss + penalty, prediction, batch.y))
                finally:
                    stepper.clear_gradients()  # Whatever they looked into, the next step starts from nothing.
            if self._stopped:
                break
        return averaged(self, made)
