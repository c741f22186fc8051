"""The exporters of the recurrent layers: ONNX has their gates in another order, and weights transposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from minibackprop.interop.onnx.exporters import steps_of
from minibackprop.interop.onnx.graph import Graph, export
from minibackprop.layers.recurrent.gru import GRU
from minibackprop.layers.recurrent.lstm import LSTM
from minibackprop.layers.recurrent.rnn import RNN
from minibackprop.validation import Array


@export.register
def _(layer: RNN, graph: Graph, x: str) -> str:
    return _recurrent(layer, graph, x, "RNN", "h", "h")


@export.register
def _(layer: LSTM, graph: Graph, x: str) -> str:
    return _recurrent(layer, graph, x, "LSTM", "ifgo", "iofg")


@export.register
def _(layer: GRU, graph: Graph, x: str) -> str:
    return _recurrent(layer, graph, x, "GRU", "rzn", "zrn", linear_before_reset=1)


def _recurrent(
    layer: RNN | LSTM | GRU, graph: Graph, x: str, op: str, gates: str, order: str, **attributes: Any
) -> str:
    """Export a layer that has its gates in the order `gates`, ONNX in the order `order`."""

    def reordered(value: Array) -> Array:
        blocks = dict(zip(gates, np.split(value, len(gates), axis=-1), strict=True))
        return np.concatenate([blocks[gate] for gate in order], axis=-1)

    inputs = [reordered(weight.value).T[np.newaxis] for weight in (layer.weight, layer.recurrent_weight)]
    if layer.bias is not None:
        recurrent_bias = np.zeros_like(layer.bias.value)
        if isinstance(layer, GRU) and layer.recurrent_bias is not None:
            recurrent_bias[-layer.out_features :] = layer.recurrent_bias.value
        inputs.append(np.concatenate([reordered(layer.bias.value), reordered(recurrent_bias)])[np.newaxis])

    lengths = steps = valid = ""
    if layer.lengths is not None:
        lengths = graph.node("Unsqueeze", graph.side_input("lengths", layer.lengths), [1])
        steps = steps_of(graph, x)
        valid = graph.node("Unsqueeze", graph.node("Less", steps, lengths), [2])
        x = graph.node("Where", valid, x, 0)  # Whatever stands in the padding, be it NaN, goes nowhere.
    by_time = graph.node("Transpose", x, perm=[1, 0, 2])
    last = not (layer.return_sequences or lengths)
    y = graph.node(op, by_time, *inputs, output=int(last), hidden_size=layer.out_features, **attributes)
    if last:
        return graph.node("Squeeze", y, [0])
    y = graph.node("Transpose", graph.node("Squeeze", y, [1]), perm=[1, 0, 2])
    if not lengths:
        return y
    if layer.return_sequences:
        return graph.node("Where", valid, y, 0)
    # Not by `sequence_lens`, which the reference evaluator does not know; for a length of 0, no step is the last one.
    is_last = graph.node("Equal", steps, graph.node("Sub", lengths, np.array(1)))
    only_last = graph.node("Where", graph.node("Unsqueeze", is_last, [2]), y, 0)
    return graph.node("ReduceSum", only_last, [1], keepdims=0)
