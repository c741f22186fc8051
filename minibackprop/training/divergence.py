"""Divergence: which parameter to look at where numbers grow without bound, and what to try."""

from __future__ import annotations

from math import isfinite

import numpy as np

from minibackprop.core import Layer
from minibackprop.errors import NonFiniteError
from minibackprop.training.callbacks import Run
from minibackprop.training.data import Batch
from minibackprop.validation import Array

#: Data of this size are suspected where training diverges.
_LARGE = 1e4

_SMALLER_STEPS = "try a smaller learning rate, or an optimizer with clip_norm"


def diverged(model: Layer, step: int, loss: float, batch: Batch | None) -> NonFiniteError:
    """Make the error for the loss of a step: it names a parameter that is not finite, or the largest, and advises."""
    sizes = {name: _largest(parameter.value) for name, parameter in model.named_parameters()}
    infinite = (name for name, size in sizes.items() if not isfinite(size))
    worst = next(infinite, None) or max(sizes, key=lambda name: sizes[name], default=None)
    found = f" (look at {worst}, whose largest entry is {sizes[worst]:.3g} in size)" if worst else ""
    largest_input, largest_target = (0.0, 0.0) if batch is None else (_largest(batch.x), _largest(batch.y))
    if batch is None or (step and max(largest_input, largest_target) < _LARGE):
        advice = _SMALLER_STEPS
    else:
        data = f"the largest input is {largest_input:.3g} in size, the largest target {largest_target:.3g}"
        advice = f"{data}: try to scale the data to about 1, or smaller initial weights"
    return NonFiniteError(f"the loss of step {step}", "finite", f"{loss}{found}; {advice}")


def require_finite_parameters(trainer: Run) -> None:
    """Require that the last step has not made infinity or NaN of a parameter."""
    for name, parameter in trainer.model.named_parameters():
        finite = np.isfinite(parameter.value)
        if not finite.all():
            got = f"{parameter.value[~finite][0]}; {_SMALLER_STEPS}"
            raise NonFiniteError(f"{name} after step {trainer.steps - 1}", "finite", got)


def require_finite_gradients(trainer: Run) -> None:
    """Require that no gradient is infinite or NaN: the step would spoil the weights."""
    for name, parameter in trainer.model.named_parameters():
        if parameter.grad is not None and not np.isfinite(parameter.grad).all():
            value = parameter.grad[~np.isfinite(parameter.grad)][0]
            raise NonFiniteError(f"the gradient of {name} in step {trainer.steps}", "finite", f"{value}")


def _largest(array: Array) -> float:
    return float(np.abs(array).max()) if array.size else 0.0
