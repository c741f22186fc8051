"""Metrics: numbers for people to read, which need no gradient."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.metrics.functions import (
        mean_absolute_error as mean_absolute_error,
        accuracy as accuracy,
        binary_accuracy as binary_accuracy,
    )
else:
    __getattr__, __dir__ = exports(__name__)
