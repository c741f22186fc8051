"""Evaluation: the loss and the metrics of data without training on them, and those of an epoch's steps together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from math import isnan, nan
from typing import Any, TypeAlias

import numpy as np
from attrs import define

from minibackprop.errors import ConfigError, describe
from minibackprop.metrics.base import Metric, metric_of
from minibackprop.training.callbacks import Run
from minibackprop.training.data import Batch
from minibackprop.training.intake import predicted
from minibackprop.validation import Array, is_iterable, shortened

#: Of a step: its loss and penalty, and the total weight of its batch.
StepValues: TypeAlias = tuple[float, float, float]


def evaluate(trainer: Run, batches: Iterable[Batch]) -> dict[str, float]:
    """Predict and measure batch by batch; nothing is kept but what the metrics need."""
    loss, made, measures = trainer.loss, [], Measures.of(trainer, OfWhole)
    for batch in batches:
        total_weight = loss.total_weight(batch.y, batch.weights)
        if not total_weight:
            continue  # As if none of these samples were there.
        prediction = predicted(trainer.model, batch.x, batch.given)
        made.append((loss(prediction, batch.y, batch.weights), 0.0, total_weight))
        measures.update(prediction, batch.y, batch.weights)
    value = mean_loss(trainer, made)
    if trainer.regularizer is not None:
        value += trainer.regularizer.forward(trainer.model.parameters())
    return {"loss": value} | measures.results()


def mean_loss(trainer: Run, steps: list[StepValues]) -> float:
    """Average losses by the total weights of their batches, or add them up where they are sums; add the penalty."""
    if not steps:
        raise ConfigError("Trainer: weights", "some above 0 in each epoch", "none")
    if len(steps) == 1:
        return steps[0][0] + steps[0][1]
    losses, penalties, total_weights = zip(*steps, strict=True)
    loss = sum(losses) if trainer.loss.reduction == "sum" else np.average(losses, weights=total_weights)
    # The penalty is due once, not once for each batch of a sum.
    return float(loss + np.mean(penalties))


@define(eq=False)
class Measures:
    """What the metrics of a trainer say of some batches together."""

    metrics: dict[str, Metric]
    states: dict[str, Any]

    @classmethod
    def of(cls, trainer: Run, plain: Callable[[Any], Metric]) -> Measures:
        """Begin anew; a metric that does not accumulate is made one that does by `plain`."""
        metrics = {name: metric_of(metric) or plain(metric) for name, metric in trainer.metrics.items()}
        return cls(metrics, {name: metric.reset() for name, metric in metrics.items()})

    def update(self, prediction: Array, target: Array, weights: Array | None) -> None:
        """Take in a batch."""
        for name, metric in self.metrics.items():
            try:
                self.states[name] = metric.update(self.states[name], prediction, target, weights)
            except Exception as error:
                error.add_note(f"in metric {name}, which is to return a number")
                raise

    def results(self) -> dict[str, float]:
        """Compute the numbers, in the order of their names."""
        values = {}
        for name, metric in self.metrics.items():
            try:
                values[name] = float(metric.result(self.states[name]))
            except Exception as error:
                error.add_note(f"in metric {name}, which is to return a number")
                raise
        return values

    def undefined(self) -> dict[str, str]:
        """Tell of metrics of single batches in how many of these they were undefined."""
        counts = {name: self.states[name] for name, metric in self.metrics.items() if isinstance(metric, OfBatches)}
        return {name: f"{int(left)} of {int(batches)} batches" for name, (*_, left, batches) in counts.items() if left}


@define(eq=False)
class OfWhole(Metric):
    """A plain function of predictions and targets, on all of them at the end; it never sees places of weight 0."""

    function: Callable[[Array, Array], float]

    def reset(self) -> list[tuple[Array, Array]]:
        """Give an empty list."""
        return []

    def update(
        self, state: list[tuple[Array, Array]], prediction: Array, target: Array, weights: Array | None = None, /
    ) -> list[tuple[Array, Array]]:
        """Keep predictions and targets: copies, as whoever makes the batches may use the same arrays again."""
        prediction, target = counted(prediction, target, weights)
        state.append((prediction.copy(), target.copy()))
        return state

    def result(self, state: list[tuple[Array, Array]], /) -> float:
        """Call the function."""
        prediction, target = (np.concatenate(arrays) for arrays in zip(*state, strict=True))
        return self.function(prediction, target)


@define(eq=False)
class OfBatches(Metric):
    """A plain function of predictions and targets, averaged over those batches where it is not NaN."""

    function: Callable[[Array, Array], float]

    def reset(self) -> Array:
        """Give the sums over no batches: of values by samples, of samples, of undefined values, of batches."""
        return np.zeros(4)

    def update(self, state: Array, prediction: Array, target: Array, weights: Array | None = None, /) -> Array:
        """Add a batch."""
        value = float(self.function(*counted(prediction, target, weights)))
        samples = len(target)
        added = (0.0, 0.0, 1.0, 1.0) if isnan(value) else (value * samples, samples, 0.0, 1.0)
        total: Array = state + np.array(added)
        return total

    def result(self, state: Array, /) -> float:
        """Average."""
        total, samples, _, _ = state
        return float(total / samples) if samples else nan


def counted(prediction: Array, target: Array, weights: Array | None) -> tuple[Array, Array]:
    """Leave out places of weight 0; where there are such, the places that are left stand in one axis."""
    if weights is None or weights.all():
        return prediction, target
    chosen = weights > 0
    return prediction[chosen], target[chosen]


def warn_of_undefined(measures: Measures, told: set[str]) -> None:
    """Say once of each metric that it was undefined in some of the batches."""
    for name, count in measures.undefined().items():
        if name not in told:
            told.add(name)
            text = f"metric {name} is NaN in {count} of the epoch, which its mean leaves out"
            warnings.warn(text, stacklevel=5)


def named_metrics(metrics: Any) -> dict[str, Metric]:
    """Give each metric a name: its key, or its own (an attrs converter)."""
    if not isinstance(metrics, Mapping):
        if not is_iterable(metrics):
            raise ConfigError("Trainer: metrics", "a list of callables, or a dict of them by name", describe(metrics))
        pairs = [(getattr(metric, "__name__", type(metric).__name__), metric) for metric in metrics]
        metrics = dict(pairs)
        if len(metrics) < len(pairs):
            names = [name for name, _ in pairs]
            raise ConfigError("Trainer: metrics", "a name for each, as in a dict", f"two of one in {names}")
    for name, metric in metrics.items():
        if not isinstance(name, str):
            raise ConfigError("Trainer: metrics", "names that are strings", shortened(name))
        if not callable(metric) or isinstance(metric, type):
            raise ConfigError("Trainer: metrics", "callables of (prediction, target)", describe(metric))
        if name == "loss" or name.startswith("val_"):
            expected = "other names than 'loss' and those that begin with 'val_'"
            raise ConfigError("Trainer: metrics", expected, repr(name))
    return dict(metrics)
