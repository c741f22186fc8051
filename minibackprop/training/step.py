"""One step of training, which a loop of one's own makes in four lines.

    prediction, cache = model.forward(x)
    value, loss_cache = loss.forward(prediction, y)
    model.accumulate(loss.backward(loss_cache), cache)
    optimizer.step(parameters)

The first three are `backpropagate`, which a batch goes through as a whole, or in micro-batches: gradients add up. The
fourth ends `Stepper.step`, after the penalty and the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import TypeAlias

import numpy as np
from attrs import define, field

from minibackprop.core import Layer
from minibackprop.errors import ConfigError
from minibackprop.losses.base import Loss
from minibackprop.state import Parameter
from minibackprop.training.backpropagation import backpropagate
from minibackprop.training.callbacks import Run
from minibackprop.training.class_weights import ClassWeighted
from minibackprop.training.data import Batch
from minibackprop.training.divergence import diverged, require_finite_gradients
from minibackprop.training.intake import predicted
from minibackprop.training.measures import Measures
from minibackprop.training.sharing import Sharing
from minibackprop.training.side_inputs import note_carried
from minibackprop.training.workers import Weighed
from minibackprop.validation import Array, shortened

#: What a step gave: loss, penalty, and the prediction from before it for those rows that this process has seen.
Made: TypeAlias = tuple[float, float, Array | None, Batch | None]


@define(eq=False, repr=False)
class Stepper:
    """
    Makes the steps of a trainer, each on a batch: as a whole, or in micro-batches of at most so many samples.

    Loss, optimizer and the rest are looked up for every step, as a callback may exchange them.
    """

    trainer: Run
    micro_batch_size: int | None = None
    class_weights: Mapping[int, float] | None = None
    #: What is called when the gradients are complete.
    before: Sequence[Callable[[Run], object]] = ()
    #: Whether to look that the gradients are finite; a `fit` finds it out from the next loss.
    looks: bool = False
    #: Whether a step is not made where `Trainer.stop` was called, in any process: an epoch has one step at least.
    stops: bool = False
    #: The copies of the model, where workers share each batch.
    sharing: Sharing | None = None
    #: Whether a step gives predictions and rows of all processes, not only this one's.
    whole: bool = False
    #: Listed in the first step: a layer may make some in its forward.
    parameters: list[Parameter] = field(factory=list, init=False)
    #: The trainer's loss with the weights of classes, made anew where a callback exchanges it.
    _weighted: ClassWeighted | None = field(default=None, init=False)

    @property
    def loss(self) -> Loss:
        """The loss that is trained on."""
        loss = self.trainer.loss
        if self.class_weights is None:
            return loss
        if self._weighted is None or self._weighted.loss is not loss:
            self._weighted = ClassWeighted(loss, self.class_weights)
        return self._weighted

    def step(self, weighed: Weighed, measures: Measures | None = None) -> Made:
        """
        Make a step on a batch that counts for so much; nothing is changed where it fails.

        What the prediction measures is added to `measures`.
        """
        trainer, penalty, seen = self.trainer, 0.0, weighed.batch
        try:
            prediction: Array | None
            if self.sharing is None:
                assert seen is not None
                loss, prediction = self._through(trainer.model, seen, weighed.share)
            else:
                asked = self.stops and trainer.stopping
                loss, prediction, seen = self.sharing.backpropagate(
                    trainer.model, self.loss, weighed, self._through, asked, self.whole
                )
            parameters = self.parameters or self._listed()
            if trainer.regularizer is not None:
                penalty = trainer.regularizer.forward(parameters)
                if not isfinite(penalty):
                    raise diverged(trainer.model, trainer.steps, loss + penalty, seen)
                trainer.regularizer.backward(parameters)
            for act in self.before:
                act(trainer)
            if self.looks:
                require_finite_gradients(trainer)
            if measures is not None and seen is not None and prediction is not None and self._counts(seen):
                measures.update(prediction, seen.y, seen.weights)
            trainer.optimizer.step(parameters)
        except BaseException as error:  # Ctrl-C too: a gradient left behind would go into the next step.
            trainer.model.clear_gradients()
            note_carried(error, trainer.model)
            raise
        trainer.steps += 1
        return loss, penalty, prediction, seen

    def clear_gradients(self) -> None:
        """Forget what somebody has added to the gradients since the step."""
        for parameter in self.parameters:
            parameter.clear()

    def _counts(self, seen: Batch) -> bool:
        """Tell whether the rows of this process have any weight; if not, it is as if they were not there."""
        whole = self.sharing is None or self.sharing.workers.alone
        return whole or bool(self.trainer.loss.total_weight(seen.y, seen.weights))

    def _listed(self) -> list[Parameter]:
        """List the parameters, now that each layer has been through its forward."""
        self.parameters = parameters = self.trainer.model.parameters()
        if not parameters:
            expected = "a Parameter to train (an array is none)"
            raise ConfigError("Trainer: model", expected, shortened(self.trainer.model))
        return parameters

    def _through(self, model: Layer, batch: Batch, share: float) -> tuple[float, Array]:
        """Do what `backpropagate` does, in micro-batches where the batch is larger than these."""
        loss, step, size = self.loss, self.trainer.steps, self.micro_batch_size
        if size is None or len(batch.x) <= size:
            return backpropagate(model, loss, batch, share, step)
        if reason := model.couples_samples or loss.couples_samples:
            where = "model each" if model.couples_samples else "loss each"
            expected = f"samples that do not depend on each other, but in the {where} {reason}"
            raise ConfigError("Trainer: micro_batch_size", expected)
        total, predictions = 0.0, []
        for part, portion in micro_batches(batch, size, loss):
            if portion == 0:  # A mean over no weight is undefined; without this part, that of the others is the whole.
                predictions.append(predicted(model, part.x, part.given))
                continue
            value, prediction = backpropagate(model, loss, part, share * portion, step)
            total += portion * value
            predictions.append(prediction)
        return total, np.concatenate(predictions)


def micro_batches(batch: Batch, size: int, loss: Loss) -> Iterator[tuple[Batch, float]]:
    """Divide a batch into parts of at most `size` samples, each with its share: of a mean, that of the total weight."""
    is_sum = loss.reduction == "sum"
    total = loss.total_weight(batch.y, batch.weights)
    for start in range(0, len(batch.x), size):
        part = batch.rows(slice(start, start + size))
        yield part, 1.0 if is_sum else loss.total_weight(part.y, part.weights) / total
