"""Layers, one family a file."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.layers.dense import Dense as Dense
    from minibackprop.layers.activations import (
        Sigmoid as Sigmoid,
        Tanh as Tanh,
        ReLU as ReLU,
        LeakyReLU as LeakyReLU,
        ELU as ELU,
        SiLU as SiLU,
        GELU as GELU,
        Softplus as Softplus,
        Identity as Identity,
    )
    from minibackprop.layers.softmax import (
        Softmax as Softmax,
        LogSoftmax as LogSoftmax,
    )
    from minibackprop.layers.delta_trim import DeltaTrim as DeltaTrim
    from minibackprop.layers.dropout import Dropout as Dropout
    from minibackprop.layers.batch_norm import BatchNorm as BatchNorm
    from minibackprop.layers.normalization import (
        LayerNorm as LayerNorm,
        RMSNorm as RMSNorm,
        GroupNorm as GroupNorm,
    )
    from minibackprop.layers.embedding import (
        Embedding as Embedding,
        PositionalEncoding as PositionalEncoding,
    )
    from minibackprop.layers.recurrent.rnn import RNN as RNN
    from minibackprop.layers.recurrent.lstm import LSTM as LSTM
    from minibackprop.layers.recurrent.gru import GRU as GRU
    from minibackprop.layers.attention import MultiHeadAttention as MultiHeadAttention
    from minibackprop.layers.convolution import (
        Conv1D as Conv1D,
        Conv2D as Conv2D,
    )
    from minibackprop.layers.pooling import (
        MaxPool1D as MaxPool1D,
        MaxPool2D as MaxPool2D,
        AvgPool1D as AvgPool1D,
        AvgPool2D as AvgPool2D,
        GlobalAvgPool as GlobalAvgPool,
    )
    from minibackprop.layers.combinators import (
        Residual as Residual,
        Add as Add,
        Concat as Concat,
    )
    from minibackprop.layers.shape import (
        Flatten as Flatten,
        Reshape as Reshape,
        Transpose as Transpose,
    )
else:
    __getattr__, __dir__ = exports(__name__)
