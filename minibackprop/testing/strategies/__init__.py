"""Hypothesis strategies for batches, parameters, layers and models."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.testing.strategies.arrays import batches as batches, parameters as parameters
    from minibackprop.testing.strategies.networks import layers as layers, models as models
else:
    __getattr__, __dir__ = exports(__name__)
