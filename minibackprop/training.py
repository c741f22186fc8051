"""The training loop: forward, loss, backward, step, batch by batch and epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from numbers import Real
from operator import length_hint
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from attrs import define, field, setters
from numpy.typing import ArrayLike

from minibackprop.callbacks import Callback, Step
from minibackprop.core import Array, ConfigError, Layer, NonFiniteError, Parameter, describe, no_pair
from minibackprop.data import Batch, Source, Stream, as_batch, in_batches
from minibackprop.history import History
from minibackprop.losses import Loss
from minibackprop.optimizers import Optimizer
from minibackprop.regularizers import Regularizer
from minibackprop.rng import private_generator
from minibackprop.validation import is_a, is_integer, shortened

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
    """

    epochs: int
    steps: int | None


def _named(metrics: Any) -> dict[str, Metric]:
    if not isinstance(metrics, Mapping):
        if not isinstance(metrics, Iterable):
            raise ConfigError("Trainer: metrics", "a list of callables, or a dict of them by name", describe(metrics))
        metrics = {getattr(metric, "__name__", type(metric).__name__): metric for metric in metrics}
    if wrong := [metric for metric in metrics.values() if not callable(metric)]:
        raise ConfigError("Trainer: metrics", "callables of (prediction, target)", describe(wrong[0]))
    if "loss" in metrics:
        raise ConfigError("Trainer: metrics", "other names than that of the loss itself", "'loss'")
    return dict(metrics)


def _is_regularizer(instance: object, attribute: Any, value: Any) -> None:
    if value is not None:
        is_a(Regularizer)(instance, attribute, value)


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
    metrics: dict[str, Metric] = field(default=(), converter=_named, kw_only=True)
    regularizer: Regularizer | None = field(default=None, validator=_is_regularizer, kw_only=True)
    _rng: Any = field(default=None, converter=private_generator, kw_only=True, repr=False)
    history: History = field(factory=History, init=False)
    steps: int = field(default=0, init=False)
    epochs: int = field(default=0, init=False)
    plan: Plan = field(default=Plan(0, 0), init=False, repr=False)
    callbacks: tuple[Any, ...] = field(default=(), init=False, repr=False)
    _stopped: bool = field(default=False, init=False, repr=False)
    # Every fit of a trainer holds out the same samples, a resumed one too.
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
            Samples and targets, one a row. `x` is cast to the dtype of the model, once; memory-mapped arrays batch by
            batch. Or, without `y`, batches that are made elsewhere: an iterable of ``(x, y)`` or ``(x, y, weights)``
            that starts anew for each epoch (a list, a `Batches`), or a function that makes such an iterable (a
            generator function).
        epochs : int
            At least 0.
        batch_size : int, optional
            How many samples go into a step; by default all.
        shuffle, drop_last : bool
            Whether each epoch has an order of its own, and whether it leaves out a last batch that is too short.
        weights : array_like, optional
            How much each sample counts, of shape (N,): as much as a sample that stands that often.
        validation : tuple, iterable, callable or float, optional
            Data to measure after each epoch: ``(x, y)`` or ``(x, y, weights)``, batches as for `x`, or the fraction of
            the samples to hold out, drawn once for the life of the trainer.
        micro_batch_size : int, optional
            Work each batch off in parts of at most so many samples: the same step in less memory.
        callbacks : iterable of Callback or callable
            A callable is called with a `Step` after every step.

        Returns
        -------
        History
            The trainer's own.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, NonFiniteError
            If the data do not fit each other or the model, are empty, no numbers, or not finite: then no step is made
            (on what comes in batches, none from the first that is wrong). NonFiniteError also if the loss is not
            finite, before the step that it would lead to.
        """
        if not is_integer(epochs) or epochs < 0:
            raise ConfigError("Trainer.fit: epochs", "an integer of at least 0", repr(epochs))
        _require_size("Trainer.fit: micro_batch_size", micro_batch_size)
        batches, held_out = self._data(x, y, weights, batch_size, shuffle, drop_last, validation)
        self.callbacks = _in_order(callbacks)
        count = length_hint(batches, -1)
        self.plan = Plan(epochs, None if count < 0 else epochs * count)
        self._stopped = False
        self.model.clear_gradients()
        watchers = [watch for callback in self.callbacks if (watch := _watcher(callback))]
        events = [callback for callback in self.callbacks if isinstance(callback, Callback)]
        begun: list[Callback] = []
        try:
            for callback in events:
                begun.append(callback)
                callback.on_fit_begin(self)
            # What overflows shows in the loss, which each step looks at; NumPy's warning would only say it less well.
            with np.errstate(all="ignore"):
                self._epochs(epochs, batches, held_out, micro_batch_size, watchers, events)
        finally:
            for callback in begun:
                callback.on_fit_end(self)
            self.callbacks = ()
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
        ConfigError, ShapeError, DTypeError, NonFiniteError
            As `fit`; the parameters are then as they were.
        """
        _require_size("Trainer.step: micro_batch_size", micro_batch_size)
        batch = as_batch(x, y, weights, self._dtype())
        self.model.clear_gradients()
        with np.errstate(all="ignore"):
            return self._step(*batch, [], micro_batch_size)[0]

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
        ConfigError, ShapeError, DTypeError, NonFiniteError
            If the data are not such that `fit` would take them.

        Examples
        --------
        >>> from minibackprop import SGD, Dense, MeanSquaredError, mean_absolute_error
        >>> model = Dense(1, 1, init=lambda shape, rng: np.ones(shape))
        >>> trainer = Trainer(model, MeanSquaredError(), SGD(0.1), metrics=[mean_absolute_error])
        >>> trainer.evaluate(np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))
        {'loss': 4.0, 'mean_absolute_error': 2.0}
        """
        return self._measure(self._data(x, y, weights, batch_size, False, False, None)[0])

    def stop(self) -> None:
        """End the `fit` that runs after the present step; the epoch then counts with the steps that it had."""
        self._stopped = True

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
        """Take over what `state_dict` gave."""
        self._rng.bit_generator.state = state["rng"]
        self.steps, self.epochs, self._split_seed = state["steps"], state["epochs"], state["split_seed"]
        self.history.load(state["history"])

    def _epochs(
        self,
        epochs: int,
        batches: Iterable[Batch],
        held_out: Iterable[Batch] | None,
        micro_batch_size: int | None,
        watchers: list[Callable[[Step], object]],
        events: list[Callback],
    ) -> None:
        """Make the passes over the data, and record what each gave."""
        parameters: list[Parameter] = []
        for _ in range(epochs):
            if self._stopped:
                break
            values = self._epoch(batches, parameters, micro_batch_size, watchers)
            if held_out is not None:
                values |= {f"val_{name}": value for name, value in self._measure(held_out).items()}
            self.history.record(values)
            self.epochs += 1
            for callback in events:
                callback.on_epoch_end(self)

    def _epoch(
        self,
        batches: Iterable[Batch],
        parameters: list[Parameter],
        micro_batch_size: int | None,
        watchers: list[Callable[[Step], object]],
    ) -> dict[str, float]:
        """Make a step on each batch, and average what they gave."""
        losses, shares, sizes = [], [], []
        measured: dict[str, list[float]] = {name: [] for name in self.metrics}
        for x, y, weights in batches:
            loss, prediction = self._step(x, y, weights, parameters, micro_batch_size)
            losses.append(loss)
            shares.append(self.loss.total_weight(y, weights))
            if measured:
                sizes.append(len(y))
                for name, metric in self.metrics.items():
                    measured[name].append(float(metric(prediction, y)))
            if watchers:
                try:
                    for watch in watchers:
                        watch(Step(self, self.steps - 1, loss, prediction, y))
                finally:
                    for parameter in parameters:
                        parameter.clear()  # Whatever they looked into, the next step starts from nothing.
                if self._stopped:
                    break
        values = {"loss": sum(losses) if self.loss.reduction == "sum" else _mean(losses, shares)}
        for name, each in measured.items():
            values[name] = _mean(each, sizes)
        return values

    def _step(
        self, x: Array, y: Array, weights: Array | None, parameters: list[Parameter], micro_batch_size: int | None
    ) -> tuple[float, Array]:
        model = self.model
        try:
            if micro_batch_size is None or len(x) <= micro_batch_size:
                loss, prediction = self._backpropagate(x, y, weights, 1.0)
            else:
                loss, prediction = self._in_parts(x, y, weights, micro_batch_size)
            if not parameters:  # Only now: a layer may make some in its first forward.
                parameters += model.parameters()
                if not parameters:
                    raise ConfigError("Trainer: model", "a Parameter to train (an array is none)", shortened(model))
            if self.regularizer is not None:
                loss += self.regularizer.forward(parameters)
                if not isfinite(loss):
                    raise self._diverged(loss, x)
                self.regularizer.backward(parameters)
            self.optimizer.step(parameters)
        except BaseException:  # Ctrl-C too: a gradient left behind would go into the next step.
            model.clear_gradients()
            raise
        self.steps += 1
        return loss, prediction

    def _backpropagate(self, x: Array, y: Array, weights: Array | None, scale: float) -> tuple[float, Array]:
        """Add `scale` times the gradients of the loss to the parameters' gradients; return the loss, not scaled."""
        result = self.model.forward(x)
        if type(result) is not tuple or len(result) != 2:
            raise no_pair(self.model, result)
        prediction, cache = result
        loss, loss_cache = self.loss.forward(prediction, y, weights)
        if not isfinite(loss):
            raise self._diverged(loss, x)
        self.model.accumulate(self.loss.backward(loss_cache, scale), cache)
        return loss, prediction

    def _in_parts(self, x: Array, y: Array, weights: Array | None, size: int) -> tuple[float, Array]:
        """Do to the gradients what `_backpropagate` does with the whole batch, a part at a time."""
        if self.model.couples_samples:
            whole = f"samples that do not depend on each other, but in the model each {self.model.couples_samples}"
            raise ConfigError("Trainer: micro_batch_size", whole)
        value, predictions = 0.0, []
        total = self.loss.total_weight(y, weights)
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            part = y[rows], None if weights is None else weights[rows]
            share = 1.0 if self.loss.reduction == "sum" else self.loss.total_weight(*part) / total
            if share == 0:  # A mean over no weight is undefined; without this part, that of the others is the whole.
                predictions.append(self.model.predict(x[rows]))
                continue
            loss, prediction = self._backpropagate(x[rows], *part, share)
            value += share * loss
            predictions.append(prediction)
        return value, np.concatenate(predictions)

    def _measure(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Predict batch by batch; compute the loss and the metrics over all of it."""
        predictions, targets, weights = [], [], []
        for x, y, weight in batches:
            predictions.append(self.model.predict(x))
            targets.append(y)
            weights.append(np.ones(len(y)) if weight is None else weight)
        prediction, target = np.concatenate(predictions), np.concatenate(targets)
        loss = self.loss(prediction, target, np.concatenate(weights))
        if self.regularizer is not None:
            loss += self.regularizer.forward(self.model.parameters())
        return {"loss": loss} | {name: float(metric(prediction, target)) for name, metric in self.metrics.items()}

    def _data(
        self,
        x: Any,
        y: Any,
        weights: Any,
        batch_size: int | None,
        shuffle: bool,
        drop_last: bool,
        validation: Any,
    ) -> tuple[Iterable[Batch], Iterable[Batch] | None]:
        """Make iterables of checked batches: of the samples to train on, and of those to validate with."""
        _require_size("Trainer: batch_size", batch_size)
        dtype = self._dtype()
        held_out: Iterable[Batch] | None = None
        if validation is not None and not isinstance(validation, Real):
            if isinstance(validation, tuple):
                if len(validation) not in (2, 3):
                    raise ConfigError("Trainer: validation", "(x, y) or (x, y, weights)", f"{len(validation)} entries")
                third = validation[2] if len(validation) == 3 else None
                held_out = in_batches(as_batch(validation[0], validation[1], third, dtype), dtype, batch_size)
            else:
                held_out = Stream(validation, dtype)
        if y is None:
            fraction = validation if isinstance(validation, Real) else None
            for name, value in (("weights", weights), ("batch_size", batch_size), ("a fraction to hold out", fraction)):
                if value is not None:
                    raise ConfigError("Trainer: x", f"samples with targets y, as {name} is given", describe(x))
            return Stream(x, dtype), held_out
        samples, rows = as_batch(x, y, weights, dtype), None
        if isinstance(validation, Real):
            rows, others = self._split(len(samples[0]), validation)
            held_out = in_batches(samples, dtype, batch_size, rows=others)
        rng = self._rng if shuffle else None
        return in_batches(samples, dtype, batch_size, rng, drop_last, rows), held_out

    def _dtype(self) -> np.dtype[Any] | None:
        dtypes = {parameter.value.dtype for parameter in self.model.parameters()}
        return np.result_type(*dtypes) if dtypes else None

    def _split(self, count: int, fraction: Real) -> tuple[Array, Array]:
        """Divide the rows into those to train on and those to hold out."""
        held_out = round(count * float(fraction))
        if not 0 < held_out < count:
            expected = f"a fraction that leaves some of the {count} samples on either side"
            raise ConfigError("Trainer.fit: validation", expected, repr(fraction))
        order = np.random.default_rng(self._split_seed).permutation(count)
        return np.sort(order[held_out:]), np.sort(order[:held_out])

    def _diverged(self, loss: float, x: Array) -> NonFiniteError:
        """Name the parameter at fault: the first that is not finite itself, else the largest."""
        sizes = {name: float(np.abs(p.value).max()) for name, p in self.model.named_parameters() if p.value.size}
        infinite = (name for name, size in sizes.items() if not isfinite(size))
        worst = next(infinite, None) or max(sizes, key=lambda name: sizes[name], default=None)
        found = f" (look at {worst}, whose largest entry is {sizes[worst]:.3g} in size)" if worst else ""
        if self.steps:
            advice = "; try a smaller learning rate, or an optimizer with clip_norm"
        else:
            advice = f"; the largest input is {float(np.abs(x).max()):.3g} in size: try to scale the data to about 1"
        return NonFiniteError(f"the loss of step {self.steps}", "finite", f"{loss}{found}{advice}")


def _mean(values: list[float], shares: Sequence[float]) -> float:
    """Average over batches; one batch's own value to the bit."""
    return values[0] if len(values) == 1 else float(np.average(values, weights=shares))


def _require_size(subject: str, value: object) -> None:
    if value is not None and (not is_integer(value) or value < 1):
        raise ConfigError(subject, "a positive integer, or None", shortened(value))


def _in_order(callbacks: Any) -> tuple[Any, ...]:
    if not isinstance(callbacks, Iterable):
        raise ConfigError("Trainer.fit: callbacks", "a list of callables", describe(callbacks))
    callbacks = tuple(callbacks)
    for callback in callbacks:
        if isinstance(callback, type) or not (isinstance(callback, Callback) or callable(callback)):
            raise ConfigError("Trainer.fit: callbacks", "callbacks, or callables of a Step", describe(callback))
    return tuple(sorted(callbacks, key=lambda callback: getattr(callback, "runs_last", False)))


def _watcher(callback: Any) -> Callable[[Step], object] | None:
    """Give what is to be called after each step, if anything is."""
    if not isinstance(callback, Callback):
        return callback  # type: ignore[no-any-return]
    return None if type(callback).on_step_end is Callback.on_step_end else callback.on_step_end
