"""Forward, loss and back: what a step consists of before its optimizer, whole or in parts."""

from __future__ import annotations

from math import isfinite

from minibackprop.core import Layer, accumulate_once, no_pair
from minibackprop.losses.base import Loss
from minibackprop.training.data import Batch
from minibackprop.training.divergence import diverged
from minibackprop.training.side_inputs import called_with
from minibackprop.validation import Array


def backpropagate(model: Layer, loss: Loss, batch: Batch, share: float, step: int) -> tuple[float, Array]:
    """
    Add `share` times the gradients of the loss to those of the parameters; return the loss itself, and the prediction.

    A loss that is not finite is an error, which names the step by its number; nothing has been sent back then.
    """
    if batch.given is not None:
        # The copy has the parameters of the model, so that what it adds to their gradients is there.
        plain = batch._replace(given=None)
        return called_with(model, batch.given, lambda twin: backpropagate(twin, loss, plain, share, step))
    result = model.forward(batch.x)
    if type(result) is not tuple or len(result) != 2:
        raise no_pair(model, result)
    prediction, cache = result
    value, loss_cache = loss.forward(prediction, batch.y, batch.weights)
    if not isfinite(value):
        raise diverged(model, step, value, batch)
    accumulate_once(model, loss.backward(loss_cache, share), cache)
    return value, prediction
