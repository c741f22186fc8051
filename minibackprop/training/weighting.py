"""What a batch weighs among all data, so that a weight means the same at every size of batches."""

from __future__ import annotations

from attrs import define

from minibackprop.losses.base import Loss
from minibackprop.training.data import Batch
from minibackprop.training.intake import FitData
from minibackprop.training.step import Stepper
from minibackprop.training.workers import Weighed, Workers


@define(eq=False, repr=False)
class Weighting:
    """
    Weighs the batches of a `fit`.

    A mean divides by the weight of its own batch, so that a heavy sample would count less the smaller the batch is.
    What makes up for it is the batch's weight a sample, over that of all samples.
    """

    data: FitData
    stepper: Stepper
    workers: Workers | None = None
    #: The trainer's loss, which a callback may exchange, and what a sample weighs for it on average over all data.
    _average: tuple[Loss | None, float | None] = (None, None)
    #: The latest loss, and what was computed for the latest batch: where a batch is all data, it stays the same.
    _latest: tuple[Loss | None, Weighed] = (None, Weighed(None, 0.0, 0.0))

    def of(self, loss: Loss, batch: Batch) -> Weighed:
        """Compute what a batch counts for: its total weight, and by what its gradient is multiplied."""
        latest, weighed = self._latest
        if loss is latest and batch is weighed.batch:
            return weighed
        trained_on = self.stepper.loss  # With the weights of classes.
        if self._average[0] is not loss:
            self._average = loss, self._mean_weight(trained_on)
        total, average = trained_on.total_weight(batch.y, batch.weights), self._average[1]
        weighed = Weighed(batch, total, 1.0 if average is None else total / len(batch.y) / average)
        self._latest = loss, weighed
        return weighed

    def _mean_weight(self, loss: Loss) -> float | None:
        """Compute what a sample weighs on average, over all processes."""
        found = self.data.weight(loss)
        if self.workers is None or found is None:
            return found and found[0] / found[1]
        total, count = map(sum, zip(*self.workers.collect(found), strict=True))
        return total / count
