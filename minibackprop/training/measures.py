"""What metrics say of batches together: each accumulates, those that are plain functions too."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import isnan, nan
from typing import Any

import numpy as np
from attrs import define

from minibackprop.errors import ConfigError, ShapeError, describe
from minibackprop.losses.base import Loss
from minibackprop.metrics.base import Metric, metric_of
from minibackprop.training.callbacks import MetricFunction, Run
from minibackprop.validation import Array, is_iterable, shortened, with_axes


@define(eq=False, repr=False)
class Measures:
    """What the metrics of a trainer say of some batches together."""

    loss: Loss
    metrics: dict[str, Metric]
    states: dict[str, Any]

    @classmethod
    def of(cls, trainer: Run, plain: Callable[[MetricFunction, int], Metric]) -> Measures:
        """Begin anew; a metric that does not accumulate is made one that does by `plain`."""
        metrics = {name: _made(metric, trainer.loss, plain) for name, metric in trainer.metrics.items()}
        return cls(trainer.loss, metrics, {name: metric.reset() for name, metric in metrics.items()})

    def update(self, prediction: Array, target: Array, weights: Array | None) -> None:
        """Take in a batch."""
        weights = _without_ignored(self.loss, prediction, target, weights)
        for name, metric in self.metrics.items():
            with _noted(name):
                arrays = _as_taken(metric, self.loss, prediction, target, weights)
                self.states[name] = metric.update(self.states[name], *arrays)

    def merge(self, states: Sequence[dict[str, Any]]) -> None:
        """Put together what several processes have taken in, in their order."""
        first, *others = states
        for name in self.metrics:
            total = first[name]
            for state in others:
                total = total + state[name]
            self.states[name] = total

    def results(self) -> dict[str, float]:
        """Compute the numbers, in the order of their names."""
        values = {}
        for name, metric in self.metrics.items():
            with _noted(name):
                values[name] = float(metric.result(self.states[name]))
        return values

    def warn_of_undefined(self, known: set[str]) -> None:
        """Say of each metric that is averaged over batches in how many it was undefined, unless it is known."""
        for name, metric in self.metrics.items():
            if isinstance(metric, OfBatches) and name not in known and self.states[name][2]:
                known.add(name)
                undefined, batches = map(int, self.states[name][2:])
                count = f"{undefined} of {batches} batches of the epoch"
                warnings.warn(f"metric {name} is NaN in {count}, which its mean leaves out", stacklevel=5)


@contextmanager
def _noted(name: str) -> Iterator[None]:
    """Say in an error in which metric it came up."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in metric {name}, which is to return a number")
        raise


def measured(metric: MetricFunction, loss: Loss, prediction: Array, target: Array, weights: Array | None) -> float:
    """Compute the value of a metric for a single batch."""
    found = _made(metric, loss, OfWhole)
    weights = _without_ignored(loss, prediction, target, weights)
    return float(found.result(found.update(found.reset(), *_as_taken(found, loss, prediction, target, weights))))


def _made(metric: MetricFunction, loss: Loss, plain: Callable[[MetricFunction, int], Metric]) -> Metric:
    """Let a metric accumulate; one that has an axis of its own leaves out by itself what the loss ignores."""
    found = metric_of(metric) or plain(metric, getattr(loss, "axis", -1))
    if getattr(found, "axis", -1) != -1 and getattr(found, "ignore_index", loss) is None:
        found = copy.copy(found)
        found.ignore_index = getattr(loss, "ignore_index", None)  # type: ignore[attr-defined]
    return found


@define(eq=False, repr=False)
class OfWhole(Metric):
    """A plain function of predictions and targets, on all of them at the end; it never sees places of weight 0."""

    function: MetricFunction
    axis: int

    def reset(self) -> list[tuple[Array, Array]]:
        """Give an empty list."""
        return []

    def update(
        self, state: list[tuple[Array, Array]], prediction: Array, target: Array, weights: Array | None = None, /
    ) -> list[tuple[Array, Array]]:
        """Keep predictions and targets: copies, as whoever makes the batches may use the same arrays again."""
        prediction, target = _counted(prediction, target, weights, self.axis)
        state.append((prediction.copy(), target.copy()))
        return state

    def result(self, state: list[tuple[Array, Array]], /) -> float:
        """Call the function."""
        try:
            prediction, target = (np.concatenate(arrays) for arrays in zip(*state, strict=True))
        except ValueError as error:
            expected = "predictions of one shape in all batches, as a plain function sees them together (or a Metric)"
            raise ShapeError("a metric", expected, str(error)) from error
        return self.function(prediction, target)


@define(eq=False, repr=False)
class OfBatches(Metric):
    """A plain function of predictions and targets, averaged over those batches where it is not NaN."""

    function: MetricFunction
    axis: int

    def reset(self) -> Array:
        """Give the sums over no batches: of values by sizes, of sizes, of undefined values, of batches."""
        return np.zeros(4)

    def update(self, state: Array, prediction: Array, target: Array, weights: Array | None = None, /) -> Array:
        """Add a batch."""
        prediction, target = _counted(prediction, target, weights, self.axis)
        value, size = float(self.function(prediction, target)), target.size
        added = (0.0, 0.0, 1.0, 1.0) if isnan(value) else (value * size, size, 0.0, 1.0)
        total: Array = state + np.array(added)
        return total

    def result(self, state: Array, /) -> float:
        """Average."""
        total, size, _, _ = state
        return float(total / size) if size else nan


def _counted(prediction: Array, target: Array, weights: Array | None, axis: int) -> tuple[Array, Array]:
    """Leave out samples of weight 0; where places have weights, those that count stand in one axis, classes last."""
    if weights is None or (weights.ndim == 1 and weights.all()):
        return prediction, target
    chosen = weights > 0
    if weights.ndim > 1:
        labelled = prediction.shape != target.shape
        prediction = np.moveaxis(prediction, axis, -1)
        target = target if labelled else np.moveaxis(target, axis, -1)
    return prediction[chosen], target[chosen]


def _without_ignored(loss: Loss, prediction: Array, target: Array, weights: Array | None) -> Array | None:
    """Give the weights of places, with 0 where the label is one that the loss ignores."""
    ignored = getattr(loss, "ignore_index", None)
    if ignored is None or prediction.shape == target.shape:
        return weights
    # Also where none is ignored in the batch, so that what a function sees does not depend on it.
    factors = 1.0 if weights is None else with_axes(weights, target.ndim)
    counted: Array = (target != ignored) * factors
    return counted


def _as_taken(
    metric: Metric, loss: Loss, prediction: Array, target: Array, weights: Array | None
) -> tuple[Array, Array, Array | None]:
    """Hand classes along the loss's axis to a metric as it takes them, without the places that the loss ignores."""
    axis = getattr(loss, "axis", -1)
    if loss.from_logits != "softmax" or isinstance(metric, (OfWhole, OfBatches)):
        return prediction, target, weights
    labelled = prediction.shape != target.shape
    if not labelled and getattr(metric, "takes_labels", False):
        target, labelled = target.argmax(axis=axis), True
    if axis != -1 and getattr(metric, "axis", -1) == -1:
        prediction = np.moveaxis(prediction, axis, -1)
        target = target if labelled else np.moveaxis(target, axis, -1)
        axis = -1
    if getattr(loss, "ignore_index", None) is None or not labelled or weights is None or axis != -1:
        return prediction, target, weights
    chosen = np.broadcast_to(with_axes(weights, target.ndim), target.shape)
    return prediction[chosen > 0], target[chosen > 0], chosen[chosen > 0]


def named_metrics(metrics: Any) -> dict[str, MetricFunction]:
    """Give each metric a name: its key, or its own (an attrs converter)."""
    if not isinstance(metrics, Mapping):
        if isinstance(metrics, str) or not is_iterable(metrics):
            raise ConfigError("Trainer: metrics", "a list of callables, or a dict of them by name", describe(metrics))
        pairs = [(_name_of(metric), metric) for metric in metrics]
        metrics = dict(pairs)
        if len(metrics) < len(pairs):
            names = [name for name, _ in pairs]
            raise ConfigError("Trainer: metrics", "a name for each, as in a dict", f"two of one in {names}")
    for name, metric in metrics.items():
        if not isinstance(name, str):
            raise ConfigError("Trainer: metrics", "names that are strings", shortened(name))
        if not callable(metric) or isinstance(metric, type):
            raise ConfigError("Trainer: metrics", "callables of (prediction, target)", describe(metric))
        if str(getattr(_innermost(metric), "__module__", "")).startswith("sklearn."):
            expected = "a SklearnMetric(function, of=...), as scikit-learn takes target and prediction in this order"
            raise ConfigError(f"Trainer: metrics: {name}", expected, "the function itself")
        if name == "loss" or name.startswith("val_"):
            expected = "other names than 'loss' and those that begin with 'val_'"
            raise ConfigError("Trainer: metrics", expected, repr(name))
    return dict(metrics)


def _name_of(metric: Any) -> Any:
    """Find the name of a function, also of one whose settings a `functools.partial` holds."""
    metric = _innermost(metric)
    return getattr(metric, "__name__", type(metric).__name__)


def _innermost(metric: Any) -> Any:
    while isinstance(metric, partial):
        metric = metric.func
    return metric
