"""Metrics: numbers for people to read, which need no gradient."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.metrics.base import Metric as Metric
    from minibackprop.metrics.functions import (
        mean_absolute_error as mean_absolute_error,
        mean_squared_error as mean_squared_error,
        r2_score as r2_score,
        accuracy as accuracy,
        binary_accuracy as binary_accuracy,
        top_k_accuracy as top_k_accuracy,
    )
    from minibackprop.metrics.adapter import SklearnMetric as SklearnMetric
else:
    __getattr__, __dir__ = exports(__name__)
