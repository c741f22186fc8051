"""Evaluation: the loss and the metrics of data without training on them, and those of an epoch's steps together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minibackprop.errors import ConfigError, describe
from minibackprop.training.callbacks import Metric, Run
from minibackprop.training.data import Batch
from minibackprop.validation import Array

#: Of a step: its loss, penalty and metrics, the total weight of its batch, and the number of its samples.
StepValues: TypeAlias = tuple[float, float, list[float], float, int]


def evaluate(trainer: Run, batches: Iterable[Batch]) -> dict[str, float]:
    """Predict batch by batch; compute the loss and the metrics over all of it, as not every metric is a mean."""
    predictions, targets, weights = [], [], []
    for batch in batches:
        # Copies: whoever makes the batches may use the same arrays again.
        predictions.append(trainer.model.predict(batch.x).copy())
        targets.append(batch.y.copy())
        weights.append(None if batch.weights is None else batch.weights.copy())
    prediction, target = np.concatenate(predictions), np.concatenate(targets)
    all_weights = None
    if any(weight is not None for weight in weights):
        pairs = zip(targets, weights, strict=True)
        all_weights = np.concatenate([np.ones(len(y)) if weight is None else weight for y, weight in pairs])
    loss = trainer.loss(prediction, target, all_weights)
    if trainer.regularizer is not None:
        loss += trainer.regularizer.forward(trainer.model.parameters())
    return {"loss": loss} | dict(zip(trainer.metrics, metrics_of(trainer, prediction, target), strict=True))


def metrics_of(trainer: Run, prediction: Array, target: Array) -> list[float]:
    """Compute the metrics, in the order of their names."""
    values = []
    for name, metric in trainer.metrics.items():
        try:
            values.append(float(metric(prediction, target)))
        except Exception as error:
            error.add_note(f"in metric {name}, which is to return a number")
            raise
    return values


def averaged(trainer: Run, steps: list[StepValues]) -> dict[str, float]:
    """Average the steps of an epoch: the losses by total weight, unless they are sums, and the metrics by samples."""
    if not steps:
        raise ConfigError("Trainer: weights", "some above 0 in each epoch", "none")
    if len(steps) == 1:
        loss, penalty, metrics, _, _ = steps[0]
        values = {"loss": loss + penalty}
        if metrics:
            values |= zip(trainer.metrics, metrics, strict=True)
        return values
    losses, penalties, measured, total_weights, samples = zip(*steps, strict=True)
    # The penalty is due once, not once for each batch of a sum.
    loss = sum(losses) if trainer.loss.reduction == "sum" else np.average(losses, weights=total_weights)
    means = (float(np.average(column, weights=samples)) for column in zip(*measured, strict=True))
    return {"loss": float(loss + np.mean(penalties))} | dict(zip(trainer.metrics, means, strict=True))


def named_metrics(metrics: Any) -> dict[str, Metric]:
    """Give each metric a name: its key, or its own (an attrs converter)."""
    if not isinstance(metrics, Mapping):
        if not isinstance(metrics, Iterable):
            raise ConfigError("Trainer: metrics", "a list of callables, or a dict of them by name", describe(metrics))
        pairs = [(getattr(metric, "__name__", type(metric).__name__), metric) for metric in metrics]
        metrics = dict(pairs)
        if len(metrics) < len(pairs):
            names = [name for name, _ in pairs]
            raise ConfigError("Trainer: metrics", "a name for each, as in a dict", f"two of one in {names}")
    for name, metric in metrics.items():
        if not callable(metric):
            raise ConfigError("Trainer: metrics", "callables of (prediction, target)", describe(metric))
        if name == "loss" or str(name).startswith("val_"):
            expected = "other names than 'loss' and those that begin with 'val_'"
            raise ConfigError("Trainer: metrics", expected, repr(name))
    return dict(metrics)
