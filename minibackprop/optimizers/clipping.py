"""Clipping: gradients within limits, of their entries and of the norm of all of them."""

from __future__ import annotations

from collections.abc import Collection
from math import inf, isfinite, sqrt

import numpy as np

from minibackprop.errors import NonFiniteError
from minibackprop.numerics.functions import added
from minibackprop.state import Parameter
from minibackprop.validation import Array


def clipped(
    grads: dict[Parameter, Array], clip_value: float | None, clip_norm: float | None, norm_of: str
) -> dict[Parameter, Array]:
    """Make new gradients within the limits: first of their entries, then of their norm, which an error names so."""
    if clip_value is not None:
        grads = {parameter: np.clip(grad, -clip_value, clip_value) for parameter, grad in grads.items()}
    if clip_norm is not None:
        norm = _global_norm(grads.values())
        if not isfinite(norm):
            shapes = [grad.shape for grad in grads.values() if not np.isfinite(grad).all()]
            where = f" (look at the parameter of shape {shapes[0]})" if shapes else ""
            raise NonFiniteError(norm_of, "finite", f"{norm}{where}")
        if norm > clip_norm:
            factor = clip_norm / norm
            grads = {parameter: factor * grad for parameter, grad in grads.items()}
    return grads


def _global_norm(arrays: Collection[Array]) -> float:
    """Compute the norm of all arrays taken as one vector."""
    total = added(np.vdot(array, array) for array in arrays)
    if 1e-20 < total < inf:
        return sqrt(total)
    # Squares overflow and underflow long before what is squared does.
    largest = float(np.max([float(np.abs(array).max()) for array in arrays if array.size], initial=0.0))
    if largest == 0 or not isfinite(largest):
        return largest
    return largest * sqrt(sum(float(np.square(array / largest, dtype=np.float64).sum()) for array in arrays))
