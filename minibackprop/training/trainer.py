"""The training loop: batch by batch and epoch by epoch, and who is told of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from math import isfinite
from operator import length_hint
from typing import TYPE_CHECKING, Any, Never

import numpy as np
from attrs import define, field, setters
from attrs.validators import optional
from numpy.typing import ArrayLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError, StateDictError, describe
from minibackprop.losses.base import Loss
from minibackprop.metrics.base import metric_of
from minibackprop.numerics.error_state import without_warnings
from minibackprop.numerics.memory import keep_freed_memory
from minibackprop.optimizers.base import Optimizer
from minibackprop.rng import private_generator
from minibackprop.training.callbacks import Callback, MetricFunction, Plan, Step, after_steps, before_steps, in_order
from minibackprop.training.data import Batch, Source
from minibackprop.training.divergence import require_finite_parameters
from minibackprop.training.evaluation import StepValues, evaluate, mean_loss, predictions_of
from minibackprop.training.hints import require_known, warn_of_doubled_softmax
from minibackprop.training.history import History
from minibackprop.training.intake import FitData, Intake
from minibackprop.training.interrupts import DeferredInterrupt
from minibackprop.training.measures import Measures, OfBatches, named_metrics
from minibackprop.training.sharing import Sharing, require_shareable
from minibackprop.training.step import Stepper
from minibackprop.training.weighting import Weighting
from minibackprop.training.workers import Stopped, Weighed, Workers, is_first, told_to_all
from minibackprop.validation import (
    Array,
    is_a,
    is_integer,
    require_flag,
    require_names,
    require_size_or_none,
    shortened,
)

if TYPE_CHECKING:
    from minibackprop.regularizers import Regularizer


def _is_regularizer(trainer: object, attribute: Any, value: Any) -> None:
    from minibackprop.regularizers import Regularizer  # Not for those who have none.

    is_a(Regularizer)(trainer, attribute, value)


def _is_workers(_: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, Workers):
        expected = "Threads(n), for the cores of this machine, or Ranks(), for many processes"
        raise ConfigError(f"Trainer: {attribute.name}", expected, describe(value))


@define(eq=False, repr=False)
class _Fit:
    """What the epochs of one `fit` share."""

    data: FitData
    stepper: Stepper
    weighting: Weighting
    events: list[Callback]
    watchers: list[Callable[[Step], object]]
    interrupt: DeferredInterrupt
    #: The metrics of which a warning has said that they are undefined.
    undefined: set[str] = field(factory=set)


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
        name, or its key in the dict, and under ``val_`` and its name for the validation data. The package's own, a
        `SklearnMetric` and every `Metric` are those of the whole epoch, with the weights of the samples, of predictions
        as they were made in training. Any other function never sees places of weight 0; it is averaged over the batches
        of an epoch, but for those where it is NaN, of which a warning tells; and called with all predictions at once
        where the model is evaluated.
    regularizer : Regularizer, optional
        Its penalty is added to the loss, and its gradient to the gradients, once a step.
    parallel : Threads, Ranks or Workers, optional
        Who shares each batch: the cores of the machine, or many machines. By default a batch is worked on as a whole.
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

    Warns
    -----
    UserWarning
        If the model ends in a `Softmax` or `Sigmoid` where the loss computes it itself, from logits.

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
    metrics: dict[str, MetricFunction] = field(default=(), converter=named_metrics, kw_only=True)
    regularizer: Regularizer | None = field(default=None, validator=optional(_is_regularizer), kw_only=True)
    parallel: Workers | None = field(default=None, validator=optional(_is_workers), kw_only=True)
    _rng: Any = field(default=None, converter=private_generator, kw_only=True, repr=False)
    history: History = field(factory=History, init=False)
    steps: int = field(default=0, init=False)
    epochs: int = field(default=0, init=False)
    plan: Plan = field(default=Plan(0, 0, ()), init=False, repr=False)
    callbacks: tuple[Any, ...] = field(default=(), init=False, repr=False)
    _stopped: bool = field(default=False, init=False, repr=False)
    # The model, and the workers, who all have the same one.
    _begun: tuple[Any, Any] = field(default=(None, None), init=False, repr=False)
    _kept: Sharing | None = field(default=None, init=False, repr=False)
    # Every `fit` of a trainer holds out the same samples, a resumed one too.
    _split_seed: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._split_seed = int(self._rng.integers(2**32))
        if is_first(self.parallel):
            warn_of_doubled_softmax(self.model, self.loss)

    def fit(
        self,
        x: ArrayLike | Source,
        y: ArrayLike | None = None,
        epochs: int | None = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        weights: ArrayLike | None = None,
        class_weights: Mapping[int, float] | str | None = None,
        given: Mapping[str, ArrayLike] | None = None,
        validation: tuple[Any, ...] | Source | float | None = None,
        stratify: bool = False,
        micro_batch_size: int | None = None,
        steps_per_epoch: int | None = None,
        callbacks: Iterable[Callback | Callable[[Step], object]] = (),
        **others: Never,
    ) -> History:
        """
        Make `epochs` passes over the data, a step on each batch.

        Parameters
        ----------
        x, y : array_like
            Samples and targets, one a row: arrays, lists, tensors, tables and columns of pandas, polars or Arrow, whose
            rows go by position. `x` is cast to the dtype of the model, once, unless it takes integers; memory-mapped
            arrays batch by batch. Or, without `y`, batches that are made elsewhere: an iterable of
            ``(x, y)``, ``(x, y, weights)`` or ``(x, y, weights, given)`` that starts anew for each epoch (a list, a
            `Batches`), or a function that makes such an iterable (a generator function).
        epochs : int
            At least 0.
        batch_size : int, optional
            How many samples go into a step; by default all.
        shuffle, drop_last : bool
            Whether each epoch has an order of its own, and whether it leaves out a last batch that is too short.
        weights : array_like, optional
            How much each sample counts, of shape (N,): as much as a sample that stands that often, whatever the size of
            the batches. Or each place in the targets: (N, T) for sequences, with 0 for padding. A batch of weight 0 is
            passed over.
        class_weights : dict or "balanced", optional
            How much each label counts, beside the weights, in the loss that is trained on: a number for each label, and
            1 for one that is not named. "balanced": N over the number of classes times that of the label's samples.
            Metrics and validation do without them.
        given : dict of array_like, optional
            Side inputs for the layers that take them (``{"lengths": lengths}``), a row for each sample: each batch gets
            its own.
        validation : tuple, iterable, callable or float, optional
            Data to measure after each epoch: ``(x, y)``, ``(x, y, weights)`` or ``(x, y, weights, given)``, where the
            weights may be None; batches as for `x`; or the fraction of the samples to hold out, drawn once for the life
            of the trainer.
        stratify : bool
            Whether the fraction that is held out has the same share of each label.
        micro_batch_size : int, optional
            Go through each batch in micro-batches of at most so many samples: the same step in less memory.
        steps_per_epoch : int, optional
            For batches that are made elsewhere, without end: how many of them are an epoch. The next one goes on from
            there.
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
        with told_to_all(self.parallel):
            require_known(self.fit, others, self.model)
            if is_integer(y) and not hasattr(x, "dtype"):
                raise ConfigError(
                    "Trainer.fit: y", f"targets; epochs={y} goes by its name where there are none", repr(y)
                )
            if epochs is None:
                raise ConfigError("Trainer.fit: epochs", "a number of passes over the data, as in epochs=10", "None")
            if not is_integer(epochs) or epochs < 0:
                raise ConfigError("Trainer.fit: epochs", "an integer of at least 0", shortened(epochs))
            require_size_or_none("Trainer.fit: micro_batch_size", micro_batch_size)
            require_size_or_none("Trainer.fit: steps_per_epoch", steps_per_epoch)
            if steps_per_epoch is not None and steps_per_epoch > sys.maxsize:
                raise ConfigError(
                    "Trainer.fit: steps_per_epoch", "a number of steps that can be made", shortened(steps_per_epoch)
                )
            for name, flag in (("shuffle", shuffle), ("drop_last", drop_last), ("stratify", stratify)):
                require_flag(f"Trainer.fit: {name}", flag)
            if drop_last and batch_size is None:
                raise ConfigError("Trainer.fit: drop_last", "a batch_size", "none")
            self._begin()
            data = Intake(self.model, self.loss, batch_size).for_fit(
                x,
                y,
                weights,
                given,
                validation,
                class_weights,
                stratify=stratify,
                rng=self._shuffler() if shuffle else None,
                drop_last=drop_last,
                steps_per_epoch=steps_per_epoch,
                split_seed=self._split_seed,
            )
            ordered = in_order(callbacks)
            self._require_same_run(data, epochs, ordered)
            events = [callback for callback in ordered if isinstance(callback, Callback)]
            count, names = length_hint(data.batches, -1), ["loss", *self.metrics]
            values = names if data.validation is None else names + [f"val_{name}" for name in names]
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
                    before, watchers = before_steps(ordered), after_steps(ordered)
                    stepper = Stepper(self, micro_batch_size, data.class_weights, before, sharing=self._sharing())
                    stepper.whole = self._is_seen_whole(watchers)
                    weighting = Weighting(data, stepper, self.parallel)
                    self._epochs(epochs, _Fit(data, stepper, weighting, events, watchers, interrupt))
        return self.history

    def step(
        self,
        x: ArrayLike,
        y: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        given: Mapping[str, ArrayLike] | None = None,
        micro_batch_size: int | None = None,
        **others: Never,
    ) -> float:
        """
        Make one step on the samples `x` with targets `y`, and return the loss from before it.

        The batch is taken for all data: a mean divides by its weights alone. `given` are side inputs, as of `fit`.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, TargetError, NonFiniteError
            As `fit`; NonFiniteError also if a gradient is not finite. The parameters are then as they were.
        """
        with told_to_all(self.parallel, end=False):
            require_known(self.step, others, self.model)
            require_size_or_none("Trainer.step: micro_batch_size", micro_batch_size)
            self._begin(again=False)
            batch = Intake(self.model, self.loss).for_step(x, y, weights, given)
            self.model.clear_gradients()
            keep_freed_memory()
            weighed = Weighed(batch, 1.0, 1.0)
            if self.parallel is not None:
                weighed = weighed._replace(total_weight=self.loss.total_weight(batch.y, batch.weights))
                (weighed,) = self.parallel.rounds(iter([weighed]))
            with without_warnings():
                stepper = Stepper(self, micro_batch_size, looks=True, sharing=self._sharing())
                loss, penalty, *_ = stepper.step(weighed)
        return loss + penalty

    def evaluate(
        self,
        x: ArrayLike | Source,
        y: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        *,
        batch_size: int | None = None,
        given: Mapping[str, ArrayLike] | None = None,
        **others: Never,
    ) -> dict[str, float]:
        """
        Compute the loss and the metrics of the model's predictions, without training.

        The predictions are made `batch_size` samples at a time, by default all at once, and not kept, but for metrics
        that need whole data: plain functions, and `SklearnMetric`. `given` are side inputs, as of `fit`.

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
        require_known(self.evaluate, others, self.model)
        with told_to_all(self.parallel, end=False), without_warnings():
            self._begin(again=False)
            return evaluate(self, Intake(self.model, self.loss, batch_size).for_evaluation(x, y, weights, given))

    def predict(
        self,
        x: ArrayLike,
        *,
        batch_size: int | None = None,
        given: Mapping[str, ArrayLike] | None = None,
        **others: Never,
    ) -> Array:
        """
        Compute the model's predictions of samples as `fit` takes them, `batch_size` at a time, by default all at once.

        ``trainer.model.predict`` takes arrays as they are; this casts them to the dtype of the model first, and takes
        tables, lists and memory-mapped arrays too. `given` are side inputs, as of `fit`.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, NonFiniteError
            If the samples are not such that `fit` would take them.

        Examples
        --------
        >>> from minibackprop import SGD, Dense, MeanSquaredError
        >>> trainer = Trainer(Dense(2, 1, init=lambda shape, rng: np.ones(shape)), MeanSquaredError(), SGD(0.1))
        >>> trainer.predict([[1, 2], [3, 4], [5, 6]], batch_size=2)
        array([[ 3.],
               [ 7.],
               [11.]])
        """
        require_known(self.predict, others, self.model)
        count, parts = Intake(self.model, self.loss, batch_size).for_prediction(x, given)
        predictions: Array | None = None
        start = 0
        with without_warnings():
            for samples, sides in parts:
                prediction = predictions_of(self, Batch(samples, samples, None, sides))
                if prediction.shape[:1] != (len(samples),):
                    got = f"{prediction.shape} of x of shape {samples.shape}; one sample is a row, x[np.newaxis]"
                    raise ShapeError("Trainer.predict", "a prediction for each sample, a row of x", got)
                if predictions is None:
                    predictions = np.empty_like(prediction, shape=(count, *prediction.shape[1:]))
                predictions[start : start + len(samples)] = prediction
                start += len(samples)
        assert predictions is not None
        return predictions

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

    def _shuffler(self) -> np.random.Generator:
        """Give what the order of the samples is drawn from."""
        rng: np.random.Generator = self._rng
        return rng if self.parallel is None else self.parallel.shuffler(rng)

    def _sharing(self) -> Sharing | None:
        """Make what divides batches."""
        if self.parallel is None:
            return None
        if self._kept is None or self._kept.workers is not self.parallel:
            self._kept = Sharing(self.parallel)
        return self._kept

    def _is_seen_whole(self, watchers: list[Callable[[Step], object]]) -> bool:
        """Tell whether somebody looks at the predictions of all processes: watchers, or metrics by batch."""
        if self.parallel is None or self.parallel.alone:
            return False
        return bool(watchers) or any(metric_of(metric) is None for metric in self.metrics.values())

    def _begin(self, again: bool = True) -> None:
        """See that the model can be shared, and that all processes have the same one; `again`, if they had before."""
        model, workers = self._begun
        if self.parallel is not None and (again or model is not self.model or workers is not self.parallel):
            require_shareable(self.model, self.loss)
            self.parallel.begin(self)
            self._begun = self.model, self.parallel

    def _require_same_run(self, data: FitData, epochs: int, callbacks: tuple[Any, ...]) -> None:
        """Require that all processes are about to do the same."""
        if self.parallel is not None:
            kinds = [type(callback).__name__ for callback in callbacks]
            self.parallel.require_same(
                {
                    "epochs": str(epochs),
                    "validation": "none" if data.validation is None else "some",
                    "class_weights": str(data.class_weights),
                    "callbacks": str(kinds),
                }
            )

    def _epochs(self, epochs: int, fit: _Fit) -> None:
        """Make the passes over the data, and record what each gave."""
        for _ in range(epochs):
            if self._is_over():
                break
            values = self._epoch(fit)
            if fit.data.validation is not None:
                measured = evaluate(self, fit.data.validation)
                if not isfinite(measured["loss"]):
                    require_finite_parameters(self)
                values |= {f"val_{name}": value for name, value in measured.items()}
            self.history.record(values)
            self.epochs += 1
            if fit.events:
                self._tell(fit.events)
        if fit.stepper.parameters:
            require_finite_parameters(self)

    def _tell(self, events: list[Callback]) -> None:
        """Tell callbacks that an epoch has ended."""
        for last in (False, True):
            for callback in events:
                if callback.runs_last is last:
                    callback.on_epoch_end(self)
            if not last:
                self._is_over()  # So that the last ones know of a stop, whoever asked for it.

    def _is_over(self) -> bool:
        """Tell whether to stop; where there are several processes, whether any of them wants to."""
        if self.parallel is not None:
            self._stopped = self.parallel.agree(self._stopped)
        return self._stopped

    def _epoch(self, fit: _Fit) -> dict[str, float]:
        """Make a step on each batch, and put together what they gave."""
        stepper, watchers, workers = fit.stepper, fit.watchers, self.parallel
        made: list[StepValues] = []
        measures = Measures.of(self, OfBatches) if self.metrics else None
        batches = self._weighed(fit)
        stepper.stops = False
        for weighed in batches if workers is None else workers.rounds(batches):
            try:
                loss, penalty, prediction, seen = stepper.step(weighed, measures)
            except Stopped:
                self._stopped = True
                break
            made.append((loss, penalty, weighed.total_weight))
            stepper.stops = True
            if watchers and seen is not None and prediction is not None:
                try:
                    for watch in watchers:
                        watch(Step(self, self.steps - 1, loss + penalty, prediction, seen.y, seen.weights))
                finally:
                    stepper.clear_gradients()  # Whatever they looked into, the next step starts from nothing.
            if self._stopped and (workers is None or workers.alone):
                break
        values = {"loss": mean_loss(self, made)}
        if measures is not None:
            if stepper.sharing is not None and not stepper.whole:
                measures.merge(stepper.sharing.workers.collect(measures.states))
            values |= measures.results()
            if is_first(workers):
                measures.warn_of_undefined(fit.undefined)
        return values

    def _weighed(self, fit: _Fit) -> Iterator[Weighed]:
        """Go through the batches of an epoch that have any weight, with what each counts for."""
        weighting, interrupt = fit.weighting, fit.interrupt
        for batch in fit.data.batches:
            if interrupt.pending:
                interrupt.check()
            weighed = weighting.of(self.loss, batch)
            if weighed.total_weight:  # Else as if none of these samples were there.
                yield weighed
