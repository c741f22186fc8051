"""Neural networks of composed layers on NumPy, with gradients that property tests check."""

from minibackprop.core import (
    Buffer,
    ConfigError,
    ContractError,
    DTypeError,
    Layer,
    MinibackpropError,
    NonFiniteError,
    Parameter,
    Sequential,
    ShapeError,
    StateDictError,
)
from minibackprop.initializers import GlorotUniform, Initializer, Uniform, Zeros
from minibackprop.layers.activations import Sigmoid
from minibackprop.layers.dense import Dense
from minibackprop.losses import HalfSquaredError, Loss, MeanSquaredError
from minibackprop.metrics import mean_absolute_error
from minibackprop.models import ArticleNetwork, three_layer, two_layer
from minibackprop.optimizers import SGD, Optimizer
from minibackprop.training import History, PrintEvery, Step, Trainer

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - grouped as the docs group them
    # The contract
    "Layer",
    "Sequential",
    "Parameter",
    "Buffer",
    # Layers
    "Dense",
    "Sigmoid",
    # First weights
    "Initializer",
    "GlorotUniform",
    "Uniform",
    "Zeros",
    # Losses and metrics
    "Loss",
    "HalfSquaredError",
    "MeanSquaredError",
    "mean_absolute_error",
    # Training
    "Optimizer",
    "SGD",
    "Trainer",
    "History",
    "Step",
    "PrintEvery",
    # The article's networks
    "ArticleNetwork",
    "two_layer",
    "three_layer",
    # Errors
    "MinibackpropError",
    "ConfigError",
    "ShapeError",
    "DTypeError",
    "NonFiniteError",
    "StateDictError",
    "ContractError",
]
