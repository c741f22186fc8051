"""A step that workers share: each goes forward and back on its rows, and what they found is put together.

The loss of a batch is the sum of its parts' losses, each times its share of the total weight, and so is the gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from attrs import define, field

from minibackprop.core import Layer, named_layers
from minibackprop.errors import ConfigError, ShapeError
from minibackprop.losses.base import Loss
from minibackprop.state import Buffer, own_reason, walk
from minibackprop.training.backpropagation import backpropagate
from minibackprop.training.data import Batch
from minibackprop.training.replicas import Replica, Replicas, summed
from minibackprop.training.workers import Meeting, Weighed, Workers, told_to_all
from minibackprop.validation import Array, is_a

#: Goes forward and back through a layer on a batch, whose loss counts so much; gives the loss and the prediction.
Pass: TypeAlias = Callable[[Layer, Batch, float], tuple[float, Array]]


def require_shareable(model: Layer, loss: Loss) -> None:
    """Require that a batch may be divided among workers."""
    for path, layer in named_layers(model):
        reason = own_reason(layer, "couples_samples")
        if reason and not layer.synchronizes and not layer.frozen:
            where = f"{type(layer).__name__}{f' at {path}' if path else ''} {reason}"
            raise ConfigError("Trainer: parallel", "samples that do not depend on each other", where)
    if loss.couples_samples:
        expected = "samples that do not depend on each other"
        raise ConfigError("Trainer: parallel", expected, f"{type(loss).__name__}: each {loss.couples_samples}")


@define(eq=False, repr=False)
class Sharing:
    """
    The backward pass of a batch that workers share, for a training loop of your own; `Trainer` has one for its steps.

    It keeps the workers' copies of the model from step to step.

    Parameters
    ----------
    workers : Threads, Ranks or Workers

    Examples
    --------
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Threads
    >>> x = np.linspace(-1, 1, 32)[:, np.newaxis]
    >>> model, loss, optimizer = Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.5)
    >>> sharing = Sharing(Threads(2))
    >>> for _ in range(100):
    ...     value = sharing.accumulate(model, loss, x, 3 * x)
    ...     optimizer.step(model.parameters())
    >>> model.weight.value.round(6)
    array([[3.]])
    """

    workers: Workers = field(validator=is_a(Workers))
    _replicas: Replicas | None = field(default=None, init=False)
    #: The loss that has been found to be one of samples that do not depend on each other.
    _loss: Loss | None = field(default=None, init=False)
    _told: bool = field(default=False, init=False)
    #: The model that a loop without a trainer has begun with.
    _begun: Layer | None = field(default=None, init=False)

    def accumulate(
        self,
        model: Layer,
        loss: Loss,
        x: Array,
        y: Array,
        weights: Array | None = None,
        *,
        given: Mapping[str, Array] | None = None,
    ) -> float:
        """
        Add the gradients of the loss of a batch to those of the model's parameters, and return the loss.

        As ``loss.forward(model.forward(x)[0], y, weights)`` and the way back do, each worker with some of the rows;
        `given` are side inputs. With `Ranks`, each process calls it, with the same batch or with a shard; the first
        call gives all of them the values that the model has in rank 0.

        Raises
        ------
        ConfigError
            If samples depend on each other.
        """
        with told_to_all(self.workers, end=False):
            self._begin(model)
            batch = Batch(x, y, weights, given)
            (weighed,) = self.workers.rounds(iter([Weighed(batch, loss.total_weight(y, weights), 1.0)]))
            value, _, _ = self.backpropagate(
                model, loss, weighed, lambda *parts: backpropagate(parts[0], loss, parts[1], parts[2], 0)
            )
        return value

    def backpropagate(
        self, model: Layer, loss: Loss, weighed: Weighed, through: Pass, stop: bool = False, whole: bool = False
    ) -> tuple[float, Array | None, Batch | None]:
        """
        Add the gradients of a whole batch to those of the model's parameters.

        Returns the batch's loss; and the prediction and the rows, of this process, or of the `whole` batch.
        """
        workers, batch, total = self.workers, weighed.batch, weighed.total_weight
        own = None if batch is None else workers.part(batch)
        parts = [] if own is None else divided(own, workers.here)
        if batch is not None and not self._told and (workers.alone or own is not batch):
            self._tell(len(batch.x))
        copies = self._copies_of(model, loss)
        meeting = workers.meeting(len(parts)) if copies.synchronizing else None
        if copies.synchronizing and workers.count > 1:
            subject = f"Trainer: parallel, with {type(copies.synchronizing[0]).__name__}"
            if meeting is None:
                raise ConfigError(subject, "workers that can wait for each other", type(workers).__name__)
            if not parts:
                expected = "a sample of each batch for each of the workers, who wait for each other (drop_last=True)"
                raise ConfigError(subject, expected, f"none for rank {workers.rank}")
        replicas = copies.prepared(len(parts), meeting)
        jobs = []
        for replica, part in zip(replicas, parts, strict=True):
            portion = _share_of(loss, part, total)
            jobs.append(partial(_worked, through, replica.model, part, portion, weighed.share, meeting))
        self._replicas = None  # A second Ctrl-C ends the wait for workers, who would disturb those of the next step.
        made = workers.run(jobs)
        self._replicas = copies
        for replica in replicas:
            replica.require_nothing_new()
        value = self._put_together(copies, replicas, parts, sum(value for value, _ in made), stop)
        prediction = joined([part for _, part in made]) if made else None
        if whole:
            return value, *_rejoined(workers.collect((prediction, own)))
        return value, prediction, own

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the copies of the model behind where a trainer is copied or pickled."""
        return Sharing, (self.workers,)

    def _begin(self, model: Layer) -> None:
        """See that all processes have the same model, with the values of the first one's."""
        if model is self._begun or self.workers.alone:
            return
        buffers = dict(walk(model, Buffer))
        shapes = [f"{name} {buffer.shape} {buffer.dtype}" for name, buffer in buffers.items()]
        self.workers.require_same({"parameters": ", ".join(shapes)})
        first, *_ = self.workers.collect([] if self.workers.rank else [buffer.value for buffer in buffers.values()])
        if self.workers.rank:
            for buffer, value in zip(buffers.values(), first, strict=True):
                buffer.value[...] = value
        self._begun = model

    def _copies_of(self, model: Layer, loss: Loss) -> Replicas:
        if self._replicas is None or self._replicas.model is not model:
            self._replicas = Replicas(model, self.workers.rank * self.workers.here)
        if self._replicas.refresh() or loss is not self._loss:  # A callback may have exchanged them.
            require_shareable(model, loss)
            self._loss = loss
        return self._replicas

    def _put_together(
        self, copies: Replicas, replicas: list[Replica], parts: list[Batch], value: float, stop: bool
    ) -> float:
        """Sum gradients over all workers, put together the buffers that they have changed, and give the loss."""
        sizes = [len(part.x) for part in parts]
        gradients = [
            summed(replica.parameters[index][1].grad for replica in replicas) for index in range(len(copies.parameters))
        ]
        buffers = [
            aggregation.found([replica.buffers[index][1].value for replica in replicas], sizes, self.workers.rank)
            for index, aggregation in enumerate(copies.aggregations)
        ]
        like = [*(parameter.value for parameter in copies.parameters), *(each.like for each in copies.aggregations)]
        for replica in replicas:
            replica.clear_gradients()  # Else those of all workers would be in memory until the next step.
        sums, (value, count) = self.workers.reduce([*gradients, *buffers], like, [value, sum(sizes)], stop)
        for parameter, gradient in zip(copies.parameters, sums, strict=False):
            if gradient is not None:
                parameter.add(gradient)
        for aggregation, found in zip(copies.aggregations, sums[len(gradients) :], strict=True):
            if found is not None:
                aggregation.take(found, count)
        return value

    def _tell(self, count: int) -> None:
        """Say, of the first batch, that some workers have nothing to do."""
        self._told = True
        if count < self.workers.count and not self.workers.rank:
            told = f"batches of {count} samples are for {count} of the {self.workers.count} workers"
            warnings.warn(f"Trainer: parallel: {told}", stacklevel=2)


def divided(batch: Batch, count: int) -> list[Batch]:
    """Divide the rows of a batch into as many parts, or as many as there are rows; the first are the larger ones."""
    if count == 1:
        return [batch]
    return [batch.rows(rows) for rows in (rows_of_part(len(batch.x), count, number) for number in range(count)) if rows]


def rows_of_part(length: int, count: int, number: int) -> slice | None:
    """Choose the rows of one part of `count`, which differ by one at most; None where none are left."""
    size, larger = divmod(length, count)
    start = number * size + min(number, larger)
    stop = start + size + (number < larger)
    return slice(start, stop) if stop > start else None


def joined(arrays: list[Array]) -> Array:
    """Put the parts of a prediction together."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _rejoined(found: list[tuple[Array | None, Batch | None]]) -> tuple[Array, Batch]:
    """Put predictions and rows of all processes together."""
    shapes = {prediction.shape[1:] for prediction, _ in found if prediction is not None}
    if len(shapes) > 1:
        expected = (
            "samples of one shape on all ranks, where a callback or a plain function as a metric sees them together"
        )
        raise ShapeError("Trainer: parallel", expected, f"predictions of shapes {sorted(shapes)}")
    predictions = [prediction for prediction, _ in found if prediction is not None]
    batches = [batch for _, batch in found if batch is not None]
    weights = [batch.weights for batch in batches if batch.weights is not None]
    x, y = joined([batch.x for batch in batches]), joined([batch.y for batch in batches])
    return joined(predictions), Batch(x, y, joined(weights) if weights else None)


def _share_of(loss: Loss, part: Batch, total: float) -> float:
    return 1.0 if loss.reduction == "sum" or not total else loss.total_weight(part.y, part.weights) / total


def _worked(
    through: Pass, model: Layer, part: Batch, portion: float, share: float, meeting: Meeting | None
) -> tuple[float, Array]:
    """Do the work of one worker: its portion of the loss, and its prediction."""
    try:
        if portion:
            value, prediction = through(model, part, portion * share)
            return portion * value, prediction
        # A mean over no weight is undefined; but the others may wait for what these samples add to sums.
        if part.given is not None:
            model = model.given(**part.given)
        prediction, cache = model.forward(part.x)
        model.accumulate(np.zeros_like(prediction), cache)
        return 0.0, prediction
    finally:
        if meeting is not None:
            meeting.leave()
