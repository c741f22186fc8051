"""Evaluation: the loss and the metrics of data without training on them, and those of an epoch's steps together."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TypeAlias

import numpy as np

from minibackprop.errors import ConfigError
from minibackprop.training.callbacks import Run
from minibackprop.training.data import Batch
from minibackprop.training.intake import predicted
from minibackprop.training.measures import Measures, OfWhole
from minibackprop.training.sharing import divided, joined
from minibackprop.validation import Array

#: Of a step: its loss and penalty, and the total weight of its batch.
StepValues: TypeAlias = tuple[float, float, float]


def evaluate(trainer: Run, batches: Iterable[Batch]) -> dict[str, float]:
    """Predict and measure batch by batch; nothing is kept but what the metrics need. Workers have their parts of it."""
    loss, workers, measures = trainer.loss, trainer.parallel, Measures.of(trainer, OfWhole)
    made: list[StepValues] = []
    for batch in batches if workers is None else filter(None, map(workers.part, batches)):
        total_weight = loss.total_weight(batch.y, batch.weights)
        if not total_weight:
            continue  # As if none of these samples were there.
        prediction = predictions_of(trainer, batch)
        made.append((loss(prediction, batch.y, batch.weights), 0.0, total_weight))
        measures.update(prediction, batch.y, batch.weights)
    if workers is not None:
        found = workers.collect((made, measures.states))
        made = [values for one, _ in found for values in one]
        measures.merge([states for _, states in found])
    value = mean_loss(trainer, made)
    if trainer.regularizer is not None:
        value += trainer.regularizer.forward(trainer.model.parameters())
    return {"loss": value} | measures.results()


def predictions_of(trainer: Run, batch: Batch) -> Array:
    """Compute the model's predictions of a batch: by workers of this process, where there are several."""
    model, workers = trainer.model, trainer.parallel

    def predict(part: Batch) -> Array:
        return predicted(model, part.x, part.given)

    if workers is None:
        return predict(batch)
    return joined(workers.run([partial(predict, part) for part in divided(batch, workers.here)]))


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
