"""Metrics: numbers for people to read, which need no gradient."""

from __future__ import annotations

import numpy as np

from minibackprop.core import Array, ShapeError
from minibackprop.validation import require_numbers


def mean_absolute_error(prediction: Array, target: Array) -> float:
    """
    Compute the mean of ``|p - t|`` over all samples and entries: the error that the article prints.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> mean_absolute_error(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    1.5
    """
    require_numbers("mean_absolute_error: prediction", prediction)
    require_numbers("mean_absolute_error: target", target)
    if prediction.shape != target.shape:
        raise ShapeError("mean_absolute_error", f"a target of shape {prediction.shape}", str(target.shape))
    return float(np.mean(np.abs(prediction - target)))
