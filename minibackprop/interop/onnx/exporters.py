"""The exporters of all layers of the package but the recurrent ones: each writes down what `predict` computes.

What an operator has as an attribute is float32, and some operators have no kernels for float64 in onnxruntime. So what
is as plain without is written in elementary operators, from constants of the model's dtype.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import helper

from minibackprop.core import Sequential
from minibackprop.interop.onnx.graph import Graph, export
from minibackprop.layers.activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
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
from minibackprop.layers.shape import Flatten, Reshape, Transpose
from minibackprop.layers.softmax import LogSoftmax, Softmax
from minibackprop.numerics.functions import DENOMINATOR, FAR, NUMERATOR

# Indices, axes and shapes are lists or arrays of integers; numbers would get the dtype of the graph.


def steps_of(graph: Graph, x: str) -> str:
    """Compute the numbers of the steps of sequences (N, T, ...): integers from 0 to T - 1."""
    count = graph.node("Gather", graph.node("Shape", x), np.array(1), axis=0)
    return graph.node("Range", np.array(0), count, np.array(1))


@export.register
def _(layer: Sequential, graph: Graph, x: str) -> str:
    for place, part in enumerate(layer.layers):
        x = graph.layer(place, part, x)
    return x


@export.register
def _(layer: Residual, graph: Graph, x: str) -> str:
    return graph.node("Add", x, graph.layer("layer", layer.layer, x))


@export.register
def _(layer: Add, graph: Graph, x: str) -> str:
    first, *others = (graph.layer(place, part, x) for place, part in enumerate(layer.layers))
    for other in others:
        first = graph.node("Add", first, other)
    return first


@export.register
def _(layer: Concat, graph: Graph, x: str) -> str:
    results = [graph.layer(place, part, x) for place, part in enumerate(layer.layers)]
    return graph.node("Concat", *results, axis=layer.axis)


@export.register
def _(layer: Dense, graph: Graph, x: str) -> str:
    y = graph.node("MatMul", x, layer.weight)
    return y if layer.bias is None else graph.node("Add", y, layer.bias)


@export.register
def _(_: Dropout | DeltaTrim | Identity, __: Graph, x: str) -> str:
    return x


@export.register
def _(layer: Sigmoid | Tanh, graph: Graph, x: str) -> str:
    return graph.node("Sigmoid" if isinstance(layer, Sigmoid) else "Tanh", x)


@export.register
def _(_: ReLU, graph: Graph, x: str) -> str:
    return graph.node("Relu", x)


@export.register
def _(layer: LeakyReLU, graph: Graph, x: str) -> str:
    return graph.node("Max", x, graph.node("Mul", x, layer.negative_slope))


@export.register
def _(layer: ELU, graph: Graph, x: str) -> str:
    below = graph.node("Sub", graph.node("Exp", graph.node("Min", x, 0)), 1)
    return graph.node("Add", graph.node("Relu", x), graph.node("Mul", below, layer.alpha))


@export.register
def _(_: Softplus, graph: Graph, x: str) -> str:
    small = graph.node("Exp", graph.node("Neg", graph.node("Abs", x)))
    return graph.node("Add", graph.node("Relu", x), graph.node("Log", graph.node("Add", small, 1)))


@export.register
def _(_: SiLU, graph: Graph, x: str) -> str:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


@export.register
def _(layer: GELU, graph: Graph, x: str) -> str:
    if layer.approximate == "none":
        return graph.node("Mul", x, _normal(graph, x))
    linear, cubic = 2 * (2 / math.pi) ** 0.5, 2 * (2 / math.pi) ** 0.5 * 0.044715
    square = graph.node("Min", graph.node("Mul", x, x), 1e4)
    slope = graph.node("Add", graph.node("Mul", square, cubic), linear)
    return graph.node("Mul", x, graph.node("Sigmoid", graph.node("Mul", x, slope)))


def _normal(graph: Graph, x: str) -> str:
    """Compute the standard normal distribution function."""
    if graph.dtype == np.float32:
        erf = graph.node("Erf", graph.node("Mul", x, 0.5**0.5))
        return graph.node("Mul", graph.node("Add", erf, 1), 0.5)
    # As `numerics.functions.normal` does: onnxruntime has no Erf for float64, and the reference rounds it to float32.
    size = graph.node("Min", graph.node("Abs", x), FAR)
    density = graph.node("Exp", graph.node("Mul", graph.node("Mul", size, size), -0.5))
    ratio = graph.node("Div", _polynomial(graph, NUMERATOR, size), _polynomial(graph, DENOMINATOR, size))
    tail = graph.node("Mul", density, ratio)
    return graph.node("Where", graph.node("Less", 0, x), graph.node("Sub", 1, tail), tail)


def _polynomial(graph: Graph, coefficients: tuple[float, ...], x: str) -> str:
    first, second, *others = coefficients
    y = graph.node("Add", graph.node("Mul", x, first), second)
    for coefficient in others:
        y = graph.node("Add", graph.node("Mul", y, x), coefficient)
    return y


@export.register
def _(layer: Softmax | LogSoftmax, graph: Graph, x: str) -> str:
    return graph.node("Softmax" if isinstance(layer, Softmax) else "LogSoftmax", x, axis=layer.axis)


@export.register
def _(layer: BatchNorm, graph: Graph, x: str) -> str:
    # epsilon is an attribute, and so float32: it goes into the variance.
    variance = layer.running_var.value + layer.epsilon
    inputs = (layer.weight, layer.bias, layer.running_mean, variance)
    return graph.node("BatchNormalization", x, *inputs, epsilon=0.0)


def _divided_by_root_of_mean_square(graph: Graph, x: str, epsilon: float) -> str:
    mean = graph.node("ReduceMean", graph.node("Mul", x, x), axes=[-1])
    return graph.node("Div", x, graph.node("Sqrt", graph.node("Add", mean, epsilon)))


def _normalized(graph: Graph, x: str, epsilon: float) -> str:
    centred = graph.node("Sub", x, graph.node("ReduceMean", x, axes=[-1]))
    return _divided_by_root_of_mean_square(graph, centred, epsilon)


@export.register
def _(layer: LayerNorm, graph: Graph, x: str) -> str:
    n = _normalized(graph, x, layer.epsilon)
    return graph.node("Add", graph.node("Mul", n, layer.weight), layer.bias)


@export.register
def _(layer: RMSNorm, graph: Graph, x: str) -> str:
    return graph.node("Mul", _divided_by_root_of_mean_square(graph, x, layer.epsilon), layer.weight)


@export.register
def _(layer: GroupNorm, graph: Graph, x: str) -> str:
    n = _normalized(graph, graph.node("Reshape", x, [0, layer.num_groups, -1]), layer.epsilon)
    n = graph.node("Reshape", n, [0, layer.num_channels, -1])
    y = graph.node("Mul", n, layer.weight.value[:, np.newaxis])
    return graph.node("Reshape", graph.node("Add", y, layer.bias.value[:, np.newaxis]), graph.node("Shape", x))


@export.register
def _(layer: Embedding, graph: Graph, x: str) -> str:
    return graph.node("Gather", layer.weight, x, axis=0)


@export.register
def _(layer: PositionalEncoding, graph: Graph, x: str) -> str:
    columns = np.arange(layer.features)
    frequencies = layer.base ** (columns // 2 * 2 / -layer.features)
    # cos(a) is sin(a + pi / 2). In float64, as angles grow with the steps.
    steps = graph.node("Cast", steps_of(graph, x), to=helper.np_dtype_to_tensor_dtype(np.dtype(np.float64)))
    angles = graph.node("Mul", graph.node("Unsqueeze", steps, [1]), graph.constant(frequencies, np.float64))
    sines = graph.node("Sin", graph.node("Add", angles, graph.constant(columns % 2 * (math.pi / 2), np.float64)))
    return graph.node("Add", x, graph.node("Cast", sines, to=helper.np_dtype_to_tensor_dtype(graph.dtype)))


@export.register
def _(layer: Conv1D | Conv2D, graph: Graph, x: str) -> str:
    kernel, stride, dilation = (
        np.broadcast_to(value, layer.axes) for value in (layer.kernel_size, layer.stride, layer.dilation)
    )
    extent = (kernel - 1) * dilation + 1
    if layer.padding != "same":
        pads = np.tile(np.broadcast_to(layer.padding, layer.axes), 2)
    elif np.all(stride == 1):
        pads = np.concatenate([(extent - 1) // 2, extent // 2])
    else:
        x, pads = _padded(graph, x, extent, stride), np.zeros(2 * layer.axes, int)
    attributes = {"kernel_shape": kernel, "strides": stride, "dilations": dilation, "pads": pads}
    lists = {name: value.tolist() for name, value in attributes.items()}
    return graph.node("Conv", x, layer.weight, layer.bias, group=layer.groups, **lists)


def _padded(graph: Graph, x: str, extent: np.ndarray, stride: np.ndarray) -> str:
    """Put as many zeros around as make ``ceil(size / stride)`` places; not all have `auto_pad` right if dilated."""
    two = 2 * np.ones_like(stride)
    sizes = graph.node("Slice", graph.node("Shape", x), [2], [2 + len(stride)])
    before_last = graph.node("Div", graph.node("Sub", sizes, np.ones_like(stride)), stride)  # ceil(...) - 1
    reached = graph.node("Add", graph.node("Mul", before_last, stride), extent)
    total = graph.node("Max", graph.node("Sub", reached, sizes), np.zeros_like(stride))
    before = graph.node("Div", total, two)
    after = graph.node("Sub", total, before)
    return graph.node("Pad", x, graph.node("Concat", [0, 0], before, [0, 0], after, axis=0))


@export.register
def _(layer: MaxPool1D | MaxPool2D | AvgPool1D | AvgPool2D, graph: Graph, x: str) -> str:
    stride = layer.kernel_size if layer.stride is None else layer.stride
    kernel, stride, padding = (
        np.broadcast_to(value, layer.axes).tolist() for value in (layer.kernel_size, stride, layer.padding)
    )
    if any(padding):  # By a node of its own: the reference evaluator has the attribute wrong.
        x = graph.node("Pad", x, [0, 0, *padding] * 2, layer.fill)
    if isinstance(layer, (MaxPool1D, MaxPool2D)):
        return graph.node("MaxPool", x, kernel_shape=kernel, strides=stride)
    # onnxruntime may put the two nodes together, and would not count the padding then.
    return graph.node("AveragePool", x, kernel_shape=kernel, strides=stride, count_include_pad=1)


@export.register
def _(_: GlobalAvgPool, graph: Graph, x: str) -> str:
    return graph.node("ReduceMean", graph.node("Reshape", x, [0, 0, -1]), axes=[2], keepdims=0)


@export.register
def _(_: Flatten, graph: Graph, x: str) -> str:
    return graph.node("Flatten", x, axis=1)


@export.register
def _(layer: Reshape, graph: Graph, x: str) -> str:
    return graph.node("Reshape", x, [0, *layer.shape])


@export.register
def _(layer: Transpose, graph: Graph, x: str) -> str:
    return graph.node("Transpose", x, perm=[0, *layer.axes])


@export.register
def _(layer: MultiHeadAttention, graph: Graph, x: str) -> str:
    valid = _valid_steps(layer, graph, x)  # (N, T)
    width = layer.features // layer.num_heads
    qkv = graph.layer("qkv", layer.qkv, _without_padding(graph, x, valid))
    heads = graph.node("Reshape", qkv, [0, 0, 3, layer.num_heads, width])
    heads = graph.node("Transpose", heads, perm=[2, 0, 3, 1, 4])
    q, k, v = (graph.node("Gather", heads, np.array(number), axis=0) for number in range(3))
    keys = graph.node("Transpose", k, perm=[0, 1, 3, 2])
    scores = graph.node("MatMul", graph.node("Mul", q, width**-0.5), keys)  # (N, heads, query, key)
    if (hidden := _hidden(layer, graph, x, valid)) is not None:
        scores = graph.node("Where", hidden, -math.inf, scores)
    c = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), v)
    c = graph.node("Reshape", graph.node("Transpose", c, perm=[0, 2, 1, 3]), [0, 0, layer.features])
    return _without_padding(graph, graph.layer("output", layer.output, c), valid)


def _valid_steps(layer: MultiHeadAttention, graph: Graph, x: str) -> str | None:
    valid = None
    if layer.lengths is not None:
        lengths = graph.node("Unsqueeze", graph.side_input("lengths", layer.lengths), [1])
        valid = graph.node("Less", steps_of(graph, x), lengths)
    if layer.mask is not None:
        mask = graph.side_input("mask", layer.mask)
        valid = mask if valid is None else graph.node("And", valid, mask)
    return valid


def _hidden(layer: MultiHeadAttention, graph: Graph, x: str, valid: str | None) -> str | None:
    """Tell which keys a query may not look at, in a shape that broadcasts to (N, heads, query, key); None for none."""
    if not layer.causal and valid is None:
        return None
    key = steps_of(graph, x)
    query = graph.node("Unsqueeze", key, [1])
    after = graph.node("Greater", key, query) if layer.causal else None
    if valid is None:
        return after
    # But never all of them: a query that is padding sees itself.
    padding = graph.node("Not", graph.node("Unsqueeze", valid, [1, 2]))
    hidden = graph.node("And", padding, graph.node("Not", graph.node("Equal", key, query)))
    return hidden if after is None else graph.node("Or", hidden, after)


def _without_padding(graph: Graph, x: str, valid: str | None) -> str:
    return x if valid is None else graph.node("Where", graph.node("Unsqueeze", valid, [2]), x, 0)
