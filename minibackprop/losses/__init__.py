"""Losses: how far a prediction is from its target, as a number, and its gradient."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.losses.base import Loss as Loss
    from minibackprop.losses.regression import (
        HalfSquaredError as HalfSquaredError,
        MeanSquaredError as MeanSquaredError,
        MeanAbsoluteError as MeanAbsoluteError,
        Huber as Huber,
    )
    from minibackprop.losses.classification import (
        BinaryCrossEntropy as BinaryCrossEntropy,
        SoftmaxCrossEntropy as SoftmaxCrossEntropy,
    )
else:
    __getattr__, __dir__ = exports(__name__)
