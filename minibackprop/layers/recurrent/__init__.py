"""Recurrent layers: a cell a file, and what they share in `base`."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.layers.recurrent.rnn import RNN as RNN
    from minibackprop.layers.recurrent.lstm import LSTM as LSTM
    from minibackprop.layers.recurrent.gru import GRU as GRU
else:
    __getattr__, __dir__ = exports(__name__)
