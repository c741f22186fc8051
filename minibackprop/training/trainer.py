"""The training loop: forward, loss, backward, step, batch by batch and epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from math import isfinite
from numbers import Real
from operator import length_hint
from typing import Any, TypeAlias

import numpy as np
from attrs import define, field, setters
from attrs.validators import optional
from numpy.typing import ArrayLike

from minibackprop.core import Layer, no_pair, takes_integers
from minibackprop.errors import ConfigError, ContractError, NonFiniteError, StateDictError, describe
from minibackprop.losses.base import Loss
from minibackprop.numerics.error_state import without_warnings
from minibackprop.numerics.memory import keep_freed_memory
from minibackprop.optimizers.base import Optimizer
from minibackprop.regularizers import Regularizer
from minibackprop.rng import private_generator
from minibackprop.state import Parameter
from minibackprop.training.callbacks import Callback, Plan, Step
from minibackprop.training.data import Batch, DTypes, Source, Stream, as_batch, in_batches, require_some_weight
from minibackprop.training.history import History
from minibackprop.training.interrupts import DeferredInterrupt
from minibackprop.validation import Array, is_a, is_integer, require_names, require_size_or_none, shortened

Metric: TypeAlias = Callable[[Array, Array], float]


@define(eq=False)
class _Run:
    """What the steps of a `fit` share."""

    micro_batch_size: int | None
    watchers: list[Callable[[Step], object]]
    events: list[Callback]
    interrupt: DeferredInterrupt
    parameters: list[Parameter] = field(factory=list)  # Filled in the first step: a layer may make some in its forward.


#: How many entries of predictions to look at in one go, before the first step.
_PREVIEW = 10_000_000

#: Data of this size are suspected where training diverges.
_LARGE = 1e4


def _named(metrics: Any) -> dict[str, Metric]:
    if not isinstance(metrics, Mapping):
        if not isinstance(metrics, Iterable):
            raise ConfigError("Trainer: metrics", "a list of callables, or a dict of them by name", describe(metrics))
        pairs = [(getattr(metric, "__name__", type(metric).__name__), metric) for metric in metrics]
        metrics = dict(pairs)
        if len(metrics) < len(pairs):
            raise ConfigError(
                "Trainer: metrics", "a name for each, as in a dict", f"two of one in {[n for n, _ in pairs]}"
            )
    if wrong := [metric for metric in metrics.values() if not callable(metric)]:
        raise ConfigError("Trainer: metrics", "callables of (prediction, target)", describe(wrong[0]))
    if wrong := [name for name in metrics if name == "loss" or str(name).startswith("val_")]:
        raise ConfigError(
            "Trainer: metrics", "other names than 'loss' and those that begin with 'val_'", repr(wrong[0])
        )
    return dict(metrics)


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
    regularizer: Regularizer | None = field(default=None, validator=optional(is_a(Regularizer)), kw_only=True)
    _rng: Any = field(default=None, converter=private_generator, kw_only=True, repr=False)
    history: History = field(factory=History, init=False)
    steps: int = field(default=0, init=False)
    epochs: int = field(default=0, init=False)
    plan: Plan = field(default=Plan(0, 0, ()), init=False, repr=False)
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
            Work each batch off in parts of at most so many samples: the same step in less memory.
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
            After Ctrl-C, when the step that is being made is done. A second Ctrl-C does not wait for it.
        """
        if not is_integer(epochs) or epochs < 0:
            raise ConfigError("Trainer.fit: epochs", "an integer of at least 0", repr(epochs))
        require_size_or_none("Trainer.fit: micro_batch_size", micro_batch_size)
        for name, flag in (("shuffle", shuffle), ("drop_last", drop_last)):
            if not isinstance(flag, (bool, np.bool_)):
                raise ConfigError(f"Trainer.fit: {name}", "True or False", shortened(flag))
        batches, held_out = self._data(x, y, weights, batch_size, shuffle, drop_last, validation)
        ordered = _in_order(callbacks)
        watchers = [watch for callback in ordered if (watch := _watcher(callback))]
        events = [callback for callback in ordered if isinstance(callback, Callback)]
        count, names = length_hint(batches, -1), ["loss", *self.metrics]
        values = names if held_out is None else names + [f"val_{name}" for name in names]
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
                self._epochs(epochs, batches, held_out, _Run(micro_batch_size, watchers, events, interrupt))
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
        batch = as_batch(x, y, weights, self._dtypes())
        require_some_weight(batch)
        self.model.clear_gradients()
        keep_freed_memory()
        with without_warnings():
            loss, penalty, _, _ = self._step(_Run(micro_batch_size, [], [], DeferredInterrupt()), *batch)
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
            return self._measure(self._data(x, y, weights, batch_size, False, False, None)[0])

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

    def _epochs(self, epochs: int, batches: Iterable[Batch], held_out: Iterable[Batch] | None, run: _Run) -> None:
        """Make the passes over the data, and record what each gave."""
        for _ in range(epochs):
            if self._stopped:
                break
            values = self._epoch(batches, run)
            if held_out is not None:
                measured = self._measure(held_out)
                if not isfinite(measured["loss"]):
                    require_finite_parameters(self)
                values |= {f"val_{name}": value for name, value in measured.items()}
            self.history.record(values)
            self.epochs += 1
            for callback in run.events:
                callback.on_epoch_end(self)
        if run.parameters:
            require_finite_parameters(self)

    def _epoch(self, batches: Iterable[Batch], run: _Run) -> dict[str, float]:
        """Make a step on each batch, and average what they gave."""
        steps: list[tuple[float, float, list[float]]] = []
        shares: list[float] = []
        sizes: list[int] = []
        interrupt, is_mean, watchers = run.interrupt, self.loss.reduction != "sum", run.watchers
        for x, y, weights in batches:
            if interrupt.pending:
                interrupt.check()
            if weights is not None and not weights.any():
                continue  # As if none of these samples were there.
            loss, penalty, prediction, metrics = self._step(run, x, y, weights)
            steps.append((loss, penalty, metrics))
            if is_mean:
                shares.append(self.loss.total_weight(y, weights))
            if metrics:
                sizes.append(len(y))
            if watchers:
                try:
                    for watch in watchers:
                        watch(Step(self, self.steps - 1, loss + penalty, prediction, y))
                finally:
                    for parameter in run.parameters:
                        parameter.clear()  # Whatever they looked into, the next step starts from nothing.
            if self._stopped:
                break
        if len(steps) == 1:
            values = {"loss": loss + penalty}
            if metrics:
                values |= zip(self.metrics, metrics, strict=True)
            return values
        if not steps:
            raise ConfigError("Trainer: weights", "some above 0 in each epoch", "none")
        losses, penalties, measured = zip(*steps, strict=True)
        # The penalty is due once, not once for each batch of a sum.
        value = (np.average(losses, weights=shares) if is_mean else sum(losses)) + np.mean(penalties)
        means = (np.average(column, weights=sizes) for column in zip(*measured, strict=True))
        return {"loss": float(value)} | {name: float(mean) for name, mean in zip(self.metrics, means, strict=True)}

    def _step(self, run: _Run, x: Array, y: Array, weights: Array | None) -> tuple[float, float, Array, list[float]]:
        """Make a step; return the loss, the penalty, the prediction from before it, and what the metrics say of it."""
        parameters, penalty = run.parameters, 0.0
        try:
            if run.micro_batch_size is None or len(x) <= run.micro_batch_size:
                loss, prediction = self._backpropagate(x, y, weights, 1.0)
            else:
                loss, prediction = self._in_parts(x, y, weights, run.micro_batch_size)
            if not parameters:
                parameters += self.model.parameters()
                if not parameters:
                    raise ConfigError(
                        "Trainer: model", "a Parameter to train (an array is none)", shortened(self.model)
                    )
            if self.regularizer is not None:
                penalty = self.regularizer.forward(parameters)
                if not isfinite(penalty):
                    raise self._diverged(loss + penalty, x, y)
                self.regularizer.backward(parameters)
            metrics = self._metrics_of(prediction, y) if self.metrics else []
            self.optimizer.step(parameters)
        except BaseException:  # Ctrl-C too: a gradient left behind would go into the next step.
            self.model.clear_gradients()
            raise
        self.steps += 1
        return loss, penalty, prediction, metrics

    def _backpropagate(self, x: Array, y: Array, weights: Array | None, scale: float) -> tuple[float, Array]:
        """Add `scale` times the gradients of the loss to the parameters' gradients; return the loss, not scaled."""
        result = self.model.forward(x)
        if type(result) is not tuple or len(result) != 2:
            raise no_pair(self.model, result)
        prediction, cache = result
        loss, loss_cache = self.loss.forward(prediction, y, weights)
        if not isfinite(loss):
            raise self._diverged(loss, x, y)
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
        """Predict batch by batch; compute the loss and the metrics over all of it, as not every metric is a mean."""
        predictions, targets, weights = [], [], []
        for x, y, weight in batches:
            # Copies: whoever makes the batches may use the same arrays again.
            predictions.append(self.model.predict(x).copy())
            targets.append(y.copy())
            weights.append(weight if weight is None else weight.copy())
        prediction, target = np.concatenate(predictions), np.concatenate(targets)
        whole = None
        if any(weight is not None for weight in weights):
            whole = np.concatenate(
                [np.ones(len(y)) if weight is None else weight for y, weight in zip(targets, weights, strict=True)]
            )
        loss = self.loss(prediction, target, whole)
        if self.regularizer is not None:
            loss += self.regularizer.forward(self.model.parameters())
        return {"loss": loss} | dict(zip(self.metrics, self._metrics_of(prediction, target), strict=True))

    def _metrics_of(self, prediction: Array, target: Array) -> list[float]:
        values = []
        for name, metric in self.metrics.items():
            try:
                values.append(float(metric(prediction, target)))
            except Exception as error:
                error.add_note(f"in metric {name}, which is to return a number")
                raise
        return values

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
        require_size_or_none("Trainer: batch_size", batch_size)
        if drop_last and batch_size is None:
            raise ConfigError("Trainer.fit: drop_last", "a batch_size", "none")
        dtypes = self._dtypes()
        fraction = validation if isinstance(validation, Real) else None
        held_out: Iterable[Batch] | None = None
        if _are_arrays(validation):
            if len(validation) not in (2, 3):
                raise ConfigError("Trainer: validation", "(x, y) or (x, y, weights)", f"{len(validation)} entries")
            third = validation[2] if len(validation) == 3 else None
            others = as_batch(validation[0], validation[1], third, dtypes)
            self._preview(others, dtypes[0])
            held_out = in_batches(others, dtypes, batch_size)
        elif validation is not None and fraction is None:
            held_out = Stream(validation, dtypes, "validation")
        if is_integer(y) and not hasattr(x, "dtype"):
            raise ConfigError("Trainer.fit: y", f"targets; epochs={y} goes by its name where there are none", repr(y))
        if y is None:
            for name, value in (("weights", weights), ("batch_size", batch_size), ("a fraction to hold out", fraction)):
                if value is not None:
                    raise ConfigError("Trainer: x", f"samples with targets y, as {name} is given", describe(x))
            return Stream(x, dtypes, "x without y"), held_out
        samples, rows = as_batch(x, y, weights, dtypes), None
        require_some_weight(samples)
        if fraction is not None:
            rows, rest = self._split(len(samples[0]), fraction)
            held_out = in_batches(samples, dtypes, batch_size, rows=rest)
        self._preview(samples, dtypes[0])
        return in_batches(samples, dtypes, batch_size, self._rng if shuffle else None, drop_last, rows), held_out

    def _preview(self, samples: Batch, dtype: np.dtype[Any] | None) -> None:
        """Hold the loss against all targets, so that a wrong one is found before the first step, and its row named."""
        x, y, _ = samples
        try:
            first = self.model.predict(np.asarray(x[:1], dtype, like=x))
        except Exception:
            return  # The first step will say it better, as it goes by forward.
        rows = max(1, _PREVIEW // max(first.size, 1))
        for start in range(0, len(y), rows):
            target = y[start : start + rows]
            try:
                self._try_loss(np.broadcast_to(first, (len(target), *first.shape[1:])), target)
            except Exception as error:
                if start:
                    error.add_note(f"where index 0 is that of sample {start}")
                raise

    def _try_loss(self, prediction: Array, target: Array) -> None:
        """Require of the loss what each step relies on."""
        name = type(self.loss).__name__
        result: Any = self.loss.forward(prediction, target)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[0], Real):
            got = f"({', '.join(map(describe, result))})" if isinstance(result, tuple) else describe(result)
            raise ContractError(f"{name}.forward", "return a pair of a float and a cache", got)
        grad = self.loss.backward(result[1])
        if getattr(grad, "shape", None) != prediction.shape:
            raise ContractError(f"{name}.backward", f"return a gradient of shape {prediction.shape}", describe(grad))

    def _dtypes(self) -> DTypes:
        found = {parameter.value.dtype for parameter in self.model.parameters()}
        dtype = np.result_type(*found) if found else None
        return None if takes_integers(self.model) else dtype, dtype

    def _split(self, count: int, fraction: Real) -> tuple[Array, Array]:
        """Divide the rows into those to train on and those to hold out."""
        held_out = round(count * float(fraction))
        if not 0 < held_out < count:
            expected = f"a fraction that leaves some of the {count} samples on either side"
            raise ConfigError("Trainer.fit: validation", expected, repr(fraction))
        order = np.random.default_rng(self._split_seed).permutation(count)
        return np.sort(order[held_out:]), np.sort(order[:held_out])

    def _diverged(self, loss: float, x: Array, y: Array) -> NonFiniteError:
        """Name the parameter at fault, the first that is not finite itself, else the largest; and what to try."""
        sizes = {name: _largest(parameter.value) for name, parameter in self.model.named_parameters()}
        infinite = (name for name, size in sizes.items() if not isfinite(size))
        worst = next(infinite, None) or max(sizes, key=lambda name: sizes[name], default=None)
        found = f" (look at {worst}, whose largest entry is {sizes[worst]:.3g} in size)" if worst else ""
        data = f"the largest input is {_largest(x):.3g} in size, the largest target {_largest(y):.3g}"
        if self.steps and max(_largest(x), _largest(y)) < _LARGE:
            advice = "try a smaller learning rate, or an optimizer with clip_norm"
        else:
            advice = f"{data}: try to scale the data to about 1, or smaller first weights"
        return NonFiniteError(f"the loss of step {self.steps}", "finite", f"{loss}{found}; {advice}")


def require_finite_parameters(trainer: Trainer) -> None:
    """Require that the last step has not made infinity or NaN of a parameter."""
    for name, parameter in trainer.model.named_parameters():
        finite = np.isfinite(parameter.value)
        if not finite.all():
            got = f"{parameter.value[~finite].flat[0]}; try a smaller learning rate, or an optimizer with clip_norm"
            raise NonFiniteError(f"{name} after step {trainer.steps - 1}", "finite", got)


def _largest(array: Array) -> float:
    return float(np.abs(array).max(initial=0))


def _are_arrays(validation: object) -> bool:
    """Tell (x, y) and (x, y, weights) from batches; a list of arrays is no list of batches."""
    if isinstance(validation, tuple):
        return True
    return isinstance(validation, list) and any(hasattr(entry, "dtype") for entry in validation)


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
