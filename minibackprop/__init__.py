"""
Neural networks of composed layers on NumPy, with gradients that property tests check.

Each name is imported from its module when it is first asked for, so that who uses a few does not wait for all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minibackprop.callbacks import (
        Callback as Callback,
        EarlyStopping as EarlyStopping,
        PrintEvery as PrintEvery,
        ProgressBar as ProgressBar,
        Step as Step,
    )
    from minibackprop.checkpoints import Checkpoint as Checkpoint, resume as resume, save_checkpoint as save_checkpoint
    from minibackprop.core import (
        Buffer as Buffer,
        ConfigError as ConfigError,
        ContractError as ContractError,
        DTypeError as DTypeError,
        FileFormatError as FileFormatError,
        Layer as Layer,
        MinibackpropError as MinibackpropError,
        NonFiniteError as NonFiniteError,
        Parameter as Parameter,
        Sequential as Sequential,
        ShapeError as ShapeError,
        StateDictError as StateDictError,
    )
    from minibackprop.data import Batches as Batches
    from minibackprop.history import History as History
    from minibackprop.initializers import (
        Constant as Constant,
        GlorotNormal as GlorotNormal,
        GlorotUniform as GlorotUniform,
        HeNormal as HeNormal,
        HeUniform as HeUniform,
        Initializer as Initializer,
        Normal as Normal,
        Orthogonal as Orthogonal,
        Uniform as Uniform,
        Zeros as Zeros,
    )
    from minibackprop.layers.activations import (
        ELU as ELU,
        GELU as GELU,
        Identity as Identity,
        LeakyReLU as LeakyReLU,
        ReLU as ReLU,
        Sigmoid as Sigmoid,
        SiLU as SiLU,
        Softplus as Softplus,
        Tanh as Tanh,
    )
    from minibackprop.layers.attention import MultiHeadAttention as MultiHeadAttention
    from minibackprop.layers.batch_norm import BatchNorm as BatchNorm
    from minibackprop.layers.combinators import Add as Add, Concat as Concat, Residual as Residual
    from minibackprop.layers.convolution import Conv1D as Conv1D, Conv2D as Conv2D
    from minibackprop.layers.delta_trim import DeltaTrim as DeltaTrim
    from minibackprop.layers.dense import Dense as Dense
    from minibackprop.layers.dropout import Dropout as Dropout
    from minibackprop.layers.embedding import Embedding as Embedding, PositionalEncoding as PositionalEncoding
    from minibackprop.layers.normalization import GroupNorm as GroupNorm, LayerNorm as LayerNorm, RMSNorm as RMSNorm
    from minibackprop.layers.pooling import (
        AvgPool1D as AvgPool1D,
        AvgPool2D as AvgPool2D,
        GlobalAvgPool as GlobalAvgPool,
        MaxPool1D as MaxPool1D,
        MaxPool2D as MaxPool2D,
    )
    from minibackprop.layers.recurrent import GRU as GRU, LSTM as LSTM, RNN as RNN
    from minibackprop.layers.shape import Flatten as Flatten, Reshape as Reshape, Transpose as Transpose
    from minibackprop.layers.softmax import LogSoftmax as LogSoftmax, Softmax as Softmax
    from minibackprop.losses import (
        BinaryCrossEntropy as BinaryCrossEntropy,
        HalfSquaredError as HalfSquaredError,
        Huber as Huber,
        Loss as Loss,
        MeanAbsoluteError as MeanAbsoluteError,
        MeanSquaredError as MeanSquaredError,
        SoftmaxCrossEntropy as SoftmaxCrossEntropy,
        TargetError as TargetError,
    )
    from minibackprop.memory import keep_freed_memory as keep_freed_memory
    from minibackprop.metrics import (
        accuracy as accuracy,
        binary_accuracy as binary_accuracy,
        mean_absolute_error as mean_absolute_error,
    )
    from minibackprop.models import (
        ArticleNetwork as ArticleNetwork,
        mlp as mlp,
        three_layer as three_layer,
        two_layer as two_layer,
    )
    from minibackprop.optimizers import (
        SGD as SGD,
        Adagrad as Adagrad,
        Adam as Adam,
        AdamW as AdamW,
        GradientDescent as GradientDescent,
        Optimizer as Optimizer,
        RMSProp as RMSProp,
    )
    from minibackprop.plotting import (
        ActivationRecorder as ActivationRecorder,
        plot_decision_boundary as plot_decision_boundary,
        plot_hidden_activations as plot_hidden_activations,
        plot_history as plot_history,
        plot_sigmoid as plot_sigmoid,
    )
    from minibackprop.regularizers import L1 as L1, L2 as L2, ElasticNet as ElasticNet, Regularizer as Regularizer
    from minibackprop.schedules import (
        CosineDecay as CosineDecay,
        ExponentialDecay as ExponentialDecay,
        Piecewise as Piecewise,
        StepDecay as StepDecay,
        WarmUp as WarmUp,
    )
    from minibackprop.serialization import load as load, save as save
    from minibackprop.summaries import Summary as Summary, SummaryRow as SummaryRow, summary as summary
    from minibackprop.training import Plan as Plan, Trainer as Trainer

__version__ = "0.1.0"

#: The public names by the module that each is in, grouped as the docs group them.
_NAMES = {
    "core": (
        "Layer",
        "Sequential",
        "Parameter",
        "Buffer",
        "MinibackpropError",
        "ConfigError",
        "ShapeError",
        "DTypeError",
        "NonFiniteError",
        "StateDictError",
        "ContractError",
        "FileFormatError",
    ),
    "layers.dense": ("Dense",),
    "layers.activations": ("Sigmoid", "Tanh", "ReLU", "LeakyReLU", "ELU", "SiLU", "GELU", "Softplus", "Identity"),
    "layers.softmax": ("Softmax", "LogSoftmax"),
    "layers.delta_trim": ("DeltaTrim",),
    "layers.dropout": ("Dropout",),
    "layers.batch_norm": ("BatchNorm",),
    "layers.normalization": ("LayerNorm", "RMSNorm", "GroupNorm"),
    "layers.embedding": ("Embedding", "PositionalEncoding"),
    "layers.recurrent": ("RNN", "LSTM", "GRU"),
    "layers.attention": ("MultiHeadAttention",),
    "layers.convolution": ("Conv1D", "Conv2D"),
    "layers.pooling": ("MaxPool1D", "MaxPool2D", "AvgPool1D", "AvgPool2D", "GlobalAvgPool"),
    "layers.combinators": ("Residual", "Add", "Concat"),
    "layers.shape": ("Flatten", "Reshape", "Transpose"),
    "initializers": (
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
    ),
    "losses": (
        "Loss",
        "HalfSquaredError",
        "MeanSquaredError",
        "MeanAbsoluteError",
        "Huber",
        "BinaryCrossEntropy",
        "SoftmaxCrossEntropy",
        "TargetError",
    ),
    "metrics": ("mean_absolute_error", "accuracy", "binary_accuracy"),
    "regularizers": ("Regularizer", "L1", "L2", "ElasticNet"),
    "optimizers": ("Optimizer", "GradientDescent", "SGD", "Adagrad", "RMSProp", "Adam", "AdamW"),
    "schedules": ("StepDecay", "ExponentialDecay", "CosineDecay", "WarmUp", "Piecewise"),
    "training": ("Trainer", "Plan"),
    "data": ("Batches",),
    "memory": ("keep_freed_memory",),
    "history": ("History",),
    "callbacks": ("Callback", "Step", "PrintEvery", "ProgressBar", "EarlyStopping"),
    "serialization": ("save", "load"),
    "checkpoints": ("Checkpoint", "resume", "save_checkpoint"),
    "summaries": ("summary", "Summary", "SummaryRow"),
    "plotting": (
        "ActivationRecorder",
        "plot_history",
        "plot_decision_boundary",
        "plot_sigmoid",
        "plot_hidden_activations",
    ),
    "models": ("mlp", "ArticleNetwork", "two_layer", "three_layer"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'minibackprop' has no attribute {name!r}")
    value: object = getattr(import_module(f"minibackprop.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
