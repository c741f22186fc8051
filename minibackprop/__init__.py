"""Neural networks of composed layers on NumPy, with gradients that property tests check."""

from importlib import import_module
from typing import TYPE_CHECKING

from minibackprop.callbacks import Callback, EarlyStopping, PrintEvery, ProgressBar, Step
from minibackprop.core import (
    Buffer,
    ConfigError,
    ContractError,
    DTypeError,
    FileFormatError,
    Layer,
    MinibackpropError,
    NonFiniteError,
    Parameter,
    Sequential,
    ShapeError,
    StateDictError,
)
from minibackprop.data import Batches
from minibackprop.history import History
from minibackprop.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    Normal,
    Orthogonal,
    Uniform,
    Zeros,
)
from minibackprop.layers.activations import (
    ELU,
    GELU,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from minibackprop.layers.attention import MultiHeadAttention
from minibackprop.layers.batch_norm import BatchNorm
from minibackprop.layers.combinators import Add, Concat, Residual
from minibackprop.layers.convolution import Conv1D, Conv2D
from minibackprop.layers.delta_trim import DeltaTrim
from minibackprop.layers.dense import Dense
from minibackprop.layers.dropout import Dropout
from minibackprop.layers.embedding import Embedding, PositionalEncoding
from minibackprop.layers.normalization import GroupNorm, LayerNorm, RMSNorm
from minibackprop.layers.pooling import AvgPool1D, AvgPool2D, GlobalAvgPool, MaxPool1D, MaxPool2D
from minibackprop.layers.recurrent import GRU, LSTM, RNN
from minibackprop.layers.shape import Flatten, Reshape, Transpose
from minibackprop.layers.softmax import LogSoftmax, Softmax
from minibackprop.losses import (
    BinaryCrossEntropy,
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SoftmaxCrossEntropy,
    TargetError,
)
from minibackprop.metrics import accuracy, binary_accuracy, mean_absolute_error
from minibackprop.models import ArticleNetwork, mlp, three_layer, two_layer
from minibackprop.optimizers import SGD, Adagrad, Adam, AdamW, GradientDescent, Optimizer, RMSProp
from minibackprop.regularizers import L1, L2, ElasticNet, Regularizer
from minibackprop.schedules import CosineDecay, ExponentialDecay, Piecewise, StepDecay, WarmUp
from minibackprop.training import Plan, Trainer

if TYPE_CHECKING:
    from minibackprop.checkpoints import Checkpoint, resume, save_checkpoint
    from minibackprop.plotting import (
        ActivationRecorder,
        plot_decision_boundary,
        plot_hidden_activations,
        plot_history,
        plot_sigmoid,
    )
    from minibackprop.serialization import load, save
    from minibackprop.summaries import Summary, SummaryRow, summary

# Imported when they are first asked for: files and pictures would take as long as all the rest.
_LATER = {
    "checkpoints": ("Checkpoint", "resume", "save_checkpoint"),
    "plotting": (
        "ActivationRecorder",
        "plot_decision_boundary",
        "plot_hidden_activations",
        "plot_history",
        "plot_sigmoid",
    ),
    "serialization": ("load", "save"),
    "summaries": ("Summary", "SummaryRow", "summary"),
}


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names:
            value: object = getattr(import_module(f"minibackprop.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'minibackprop' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


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
    "Tanh",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "SiLU",
    "GELU",
    "Softplus",
    "Softmax",
    "LogSoftmax",
    "Identity",
    "DeltaTrim",
    "Dropout",
    "BatchNorm",
    "LayerNorm",
    "RMSNorm",
    "GroupNorm",
    # Sequences
    "Embedding",
    "PositionalEncoding",
    "RNN",
    "LSTM",
    "GRU",
    "MultiHeadAttention",
    # Convolution and pooling
    "Conv1D",
    "Conv2D",
    "MaxPool1D",
    "MaxPool2D",
    "AvgPool1D",
    "AvgPool2D",
    "GlobalAvgPool",
    # Combinators and shapes
    "Residual",
    "Add",
    "Concat",
    "Flatten",
    "Reshape",
    "Transpose",
    # First weights
    "Initializer",
    "GlorotUniform",
    "GlorotNormal",
    "HeUniform",
    "HeNormal",
    "Orthogonal",
    "Uniform",
    "Normal",
    "Constant",
    "Zeros",
    # Losses and metrics
    "Loss",
    "HalfSquaredError",
    "MeanSquaredError",
    "MeanAbsoluteError",
    "Huber",
    "BinaryCrossEntropy",
    "SoftmaxCrossEntropy",
    "mean_absolute_error",
    "accuracy",
    "binary_accuracy",
    # Penalties
    "Regularizer",
    "L1",
    "L2",
    "ElasticNet",
    # Training
    "Optimizer",
    "GradientDescent",
    "SGD",
    "Adagrad",
    "RMSProp",
    "Adam",
    "AdamW",
    "StepDecay",
    "ExponentialDecay",
    "CosineDecay",
    "WarmUp",
    "Piecewise",
    "Trainer",
    "Batches",
    "History",
    "Plan",
    "Callback",
    "Step",
    "PrintEvery",
    "ProgressBar",
    "EarlyStopping",
    # Saving
    "save",
    "load",
    "Checkpoint",
    "resume",
    "save_checkpoint",
    # Looking inside
    "summary",
    "Summary",
    "SummaryRow",
    "ActivationRecorder",
    "plot_history",
    "plot_decision_boundary",
    "plot_sigmoid",
    "plot_hidden_activations",
    # Networks
    "mlp",
    "ArticleNetwork",
    "two_layer",
    "three_layer",
    # Errors
    "MinibackpropError",
    "ConfigError",
    "ShapeError",
    "DTypeError",
    "TargetError",
    "NonFiniteError",
    "StateDictError",
    "ContractError",
    "FileFormatError",
]
