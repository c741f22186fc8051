"""Models in ONNX compute what `predict` computes: in onnxruntime in float32, and by ONNX's own evaluator in float64."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from minibackprop import (
    ELU,
    GELU,
    GRU,
    LSTM,
    RNN,
    Add,
    ArticleNetwork,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Buffer,
    Concat,
    ConfigError,
    ContractError,
    Conv1D,
    Conv2D,
    Dense,
    DTypeError,
    Embedding,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    MultiHeadAttention,
    Parameter,
    PositionalEncoding,
    ReLU,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    ShapeError,
    Sigmoid,
    Softplus,
    Tanh,
    Transpose,
    mlp,
)
from minibackprop.errors import MinibackpropError
from minibackprop.interop.onnx import Graph, export, to_onnx
from minibackprop.state import walk
from minibackprop.testing import DeviceArray, LayerContract, models
from minibackprop.validation import Array
from tests.example_layers import Square
from tests.layers import test_contract as contracts

#: The layers that keep the contract, by the names of their tests.
CONTRACTS = {
    name: contract
    for name, contract in vars(contracts).items()
    if isinstance(contract, type) and issubclass(contract, LayerContract) and contract is not LayerContract
}
#: Many times more where HYPOTHESIS_PROFILE=thorough.
FEW, SOME = settings.default.max_examples // 25, settings.default.max_examples // 2

onnxruntime.set_default_logger_severity(4)  # Errors are raised as well.


def randomized(layer: Layer, seed: int = 0) -> Layer:
    """Give all parameters and buffers other values than those that they start with: no bias is zero."""
    rng = np.random.default_rng(seed)
    for name, buffer in walk(layer, Buffer):
        value = rng.uniform(-0.7, 0.7, buffer.shape)
        buffer.value[...] = np.abs(value) + 0.1 if name.endswith("running_var") else value
    return layer


def inputs_for(proto: onnx.ModelProto, samples: int, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Draw an input for a model in ONNX."""
    rng, (x, *_) = np.random.default_rng(seed), proto.graph.input
    dtype = onnx.helper.tensor_dtype_to_np_dtype(x.type.tensor_type.elem_type)
    if dtype == np.int64:
        return rng.integers(0, 5, (samples, *shape))
    return rng.normal(size=(samples, *shape)).astype(dtype)


def run(proto: onnx.ModelProto, **inputs: Array) -> Array:
    """Compute y by onnxruntime; float64 as the page says, as older ones fuse nodes to some that they cannot run."""
    options, levels = onnxruntime.SessionOptions(), onnxruntime.GraphOptimizationLevel
    if inputs["x"].dtype == np.float64:
        options.graph_optimization_level = levels.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, inputs)
    return y


def assert_close(y: Array, expected: Array, tolerance: float) -> None:
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=tolerance * max(1.0, float(np.abs(expected).max(initial=0))))


def assert_agrees(layer: Layer, input_shape: tuple[int | None, ...], *shapes: tuple[int, ...]) -> None:
    """Compare with predict: float32 in onnxruntime, float64 in the reference evaluator, for other sizes of batches."""
    single = layer.astype(np.float32)
    exported, of_doubles = to_onnx(single, input_shape, dtype=np.float32), to_onnx(layer, input_shape, dtype=np.float64)
    evaluator = ReferenceEvaluator(of_doubles)
    for samples, shape in zip((1, 5, 2), (shapes or (input_shape,)) * 2, strict=False):
        x = inputs_for(exported, samples, shape)
        assert_close(run(exported, x=x), single.predict(x), 1e-5)
        x = inputs_for(of_doubles, samples, shape)
        assert_close(evaluator.run(None, {"x": x})[0], layer.predict(x), 1e-11)


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_layer_of_the_contract(name: str) -> None:
    """All layers and configurations that the laws are held against."""
    layer, inputs = vars(CONTRACTS[name])["layer"], CONTRACTS[name].inputs
    make = layer.__func__ if isinstance(layer, staticmethod) else layer
    shape = inputs if isinstance(inputs, tuple) else (4,)  # Tokens are drawn by a strategy.
    if not isinstance(make, st.SearchStrategy):
        assert_agrees(randomized(make()), shape)
        return

    @settings(max_examples=FEW)
    @given(make)
    def drawn_ones_agree(layer: Layer) -> None:
        assert_agrees(randomized(layer), shape)

    drawn_ones_agree()


@settings(max_examples=SOME)
@given(st.data())
def test_drawn_models(data: st.DataObject) -> None:
    """Networks of everything that the catalogue has, for vectors, sequences, images and tokens."""
    shape, vocabulary = data.draw(st.sampled_from([((3,), None), ((4, 3), None), ((2, 5, 4), None), ((4,), 5)]))
    model = data.draw(models(shape, vocabulary=vocabulary))
    assert_agrees(randomized(model, data.draw(st.integers(0, 2**16))), shape)


BLOCK = [MultiHeadAttention(4, 2, causal=True, rng=0), LayerNorm(4), Dense(4, 4, rng=1)]
#: Models with axes of any length: the shape of a sample, and two of those that it stands for.
ANY_LENGTH: dict[str, tuple[Callable[[], Layer], tuple[int | None, ...], tuple[int, ...], tuple[int, ...]]] = {
    "rnn": (lambda: RNN(3, 2, rng=0), (None, 3), (1, 3), (9, 3)),
    "lstm, last": (lambda: LSTM(3, 2, return_sequences=False, rng=0), (None, 3), (1, 3), (9, 3)),
    "gru without bias": (lambda: GRU(3, 2, bias=False, rng=0), (None, 3), (1, 3), (9, 3)),
    "lstm without bias": (lambda: LSTM(3, 2, bias=False, rng=0), (None, 3), (1, 3), (9, 3)),
    "rnn without bias": (lambda: RNN(3, 2, bias=False, return_sequences=False, rng=0), (None, 3), (1, 3), (9, 3)),
    "transformer": (
        lambda: Sequential([Embedding(5, 4, rng=0), PositionalEncoding(4), Residual(Sequential(BLOCK)), RMSNorm(4)]),
        *((None,), (1,), (50,)),
    ),
    "position": (lambda: PositionalEncoding(5, base=3.0), (None, 5), (1, 5), (1000, 5)),
    "images": (
        lambda: Sequential(
            [
                Conv2D(2, 4, (3, 2), stride=(2, 3), padding="same", rng=0),
                MaxPool2D(3, 2, 1),
                Conv2D(4, 4, 3, padding="same", dilation=(1, 2), groups=2, rng=1),
                GroupNorm(2, 4),
                GlobalAvgPool(),
            ]
        ),
        *((2, None, None), (2, 9, 12), (2, 32, 7)),
    ),
    "one axis of two": (
        lambda: Sequential([BatchNorm(2), AvgPool2D(2, 1, (1, 0))]),
        (2, None, 6),
        (2, 3, 6),
        (2, 8, 6),
    ),
    "even kernels": (lambda: Conv2D(1, 1, (2, 4), padding="same", rng=0), (1, None, None), (1, 5, 4), (1, 6, 9)),
    "a large kernel": (lambda: Conv1D(2, 2, 9, rng=0), (2, None), (2, 9), (2, 30)),
    "multiples only": (
        lambda: Sequential([Reshape((-1, 4)), Transpose(), Conv1D(4, 1, 2, rng=0)]),
        (None,),
        (12,),
        (20,),
    ),
    "leading axes": (lambda: Sequential([Dense(3, 2, rng=0), Tanh()]), (None, None, 3), (2, 1, 3), (4, 5, 3)),
}


@pytest.mark.parametrize("name", ANY_LENGTH)
def test_axes_of_any_length(name: str) -> None:
    """One export serves all lengths of time, and all sizes of images."""
    make, shape, *others = ANY_LENGTH[name]
    assert_agrees(randomized(make()), shape, *others)


@settings(max_examples=SOME)
@given(st.data())
def test_convolution_and_pooling(data: st.DataObject) -> None:
    """All strides, dilations and margins, along one axis and two."""
    axes = data.draw(st.integers(1, 2))
    per_axis = st.tuples(*[st.integers(1, 3)] * axes)
    kernel, stride, dilation = data.draw(per_axis), data.draw(per_axis), data.draw(per_axis)
    margins = tuple(data.draw(st.integers(0, size - 1)) for size in kernel)
    convolution, largest, mean = {1: (Conv1D, MaxPool1D, AvgPool1D), 2: (Conv2D, MaxPool2D, AvgPool2D)}[axes]
    padding = data.draw(st.sampled_from([margins, "same"]))
    groups = data.draw(st.sampled_from([1, 2]))
    pool = data.draw(st.sampled_from([largest, mean]))
    layers = [convolution(2, 2, kernel, stride, padding, dilation, groups, rng=0), pool(kernel, stride, margins)]
    size = st.integers(8, 12)
    for layer in layers:
        assert_agrees(randomized(layer), (2, *[None] * axes), (2, *(data.draw(size) for _ in range(axes))))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_lengths_are_an_input(kind: Any, last: bool) -> None:
    """A copy that has been given lengths has them for an input: also of 0, whatever stands in the padding."""
    model = randomized(Sequential([kind(3, 2, return_sequences=not last, rng=0)])).astype(np.float32)
    proto = to_onnx(model.given(lengths=np.array([2])), (None, 3))
    assert [(one.name, *dims(one)) for one in proto.graph.input] == [("x", "N", "axis_1", 3), ("lengths", "N")]
    x, lengths = inputs_for(proto, 4, (5, 3)), np.array([5, 0, 3, 1])
    x[2, 3:] = np.nan
    assert_close(run(proto, x=x, lengths=lengths), model.given(lengths=lengths).predict(x), 1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("names", [("lengths",), ("mask",), ("lengths", "mask")])
def test_masks_are_an_input(names: tuple[str, ...], causal: bool) -> None:
    """Attention takes lengths and a mask, and hides what is padding, also where a sample is nothing else."""
    model = Sequential([randomized(MultiHeadAttention(4, 2, causal=causal, rng=0))]).astype(np.float32)
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    arrays: dict[str, Array] = {"lengths": np.array([3, 4, 1]), "mask": mask}
    side_inputs = {name: arrays[name] for name in names}
    given = model.given(**side_inputs)
    proto = to_onnx(given, (None, 4))
    x = inputs_for(proto, 3, (4, 4))
    x[~(mask if "mask" in names else np.arange(4) < arrays["lengths"][:, np.newaxis])] = np.nan
    assert_close(run(proto, x=x, **side_inputs), given.predict(x), 1e-5)
    with np.errstate(invalid="raise"):  # No row of scores is -infinity throughout.
        ReferenceEvaluator(proto).run(None, {"x": x, **side_inputs})
    assert all(np.array_equal(given[0].__dict__[name], array) for name, array in side_inputs.items())


def test_lengths_of_what_layers_before_leave_of_the_steps() -> None:
    """Lengths that fit are those of the example, where those that were drawn do not."""
    layers = [Conv1D(9, 4, 3, stride=4, padding="same", rng=0), Transpose(), LSTM(4, 2, rng=0)]
    model = Sequential(layers).astype(np.float32)
    proto = to_onnx(given := model.given(lengths=np.array([2, 1])), (9, 9))
    x = inputs_for(proto, 2, (9, 9))
    assert_close(run(proto, x=x, lengths=np.array([2, 1])), given.predict(x), 1e-5)


class Weighted(Layer):
    """A layer with a side input of its own, and two parts of which one has it."""

    side_inputs = ("factors",)
    factors: Array | None = None

    def forward(self, x: Array) -> tuple[Array, Any]:
        return (x if self.factors is None else x * self.factors), self.factors

    def backward(self, grad: Array, factors: Any) -> Array:
        return grad * factors

    def export_onnx(self, graph: Graph, x: str) -> str:
        return x if self.factors is None else graph.node("Mul", x, graph.side_input("factors", self.factors))


def test_side_inputs_of_ones_own() -> None:
    """They are inputs by their names, and what is given stands for them while the export is verified."""
    model = Sequential([Dense(3, 3, rng=0), Weighted()])
    assert [one.name for one in to_onnx(model, (3,)).graph.input] == ["x"]
    proto = to_onnx(model.given(factors=np.array([[2.0, 3.0, 4.0]])), (3,))
    x, factors = np.ones((2, 3)), np.arange(6.0).reshape(2, 3)
    assert_close(run(proto, x=x, factors=factors), model.given(factors=factors).predict(x), 1e-12)

    for nothing in (np.ones((0, 3)), np.array(2.0)):
        with pytest.raises(ConfigError, match="layer 1: Weighted: to_onnx: factors expects an example"):
            to_onnx(model.given(factors=nothing), (3,))

    class Confused(Weighted):
        side_inputs = ("y",)
        y: Array | None = None

        def export_onnx(self, graph: Graph, x: str) -> str:
            return x if self.y is None else graph.side_input("y", self.y)

    with pytest.raises(ConfigError, match="side inputs that are called neither x nor y, got y"):
        to_onnx(Confused().given(y=np.ones(3)), (3,))


def dims(value: onnx.ValueInfoProto) -> list[Any]:
    """List the lengths of a value's axes, or their names."""
    return [dim.dim_param or dim.dim_value or None for dim in value.type.tensor_type.shape.dim]


def test_shapes_are_told() -> None:
    """Axes of x that may have any length have names, which those of y have that are always as long."""
    model = Sequential([Conv1D(2, 3, 3, padding="same", rng=0), Concat([MaxPool1D(2), AvgPool1D(2)], axis=1)])
    proto = to_onnx(model, (2, None))
    assert dims(proto.graph.input[0]) == ["N", 2, "axis_2"]
    assert dims(proto.graph.output[0]) == ["N", 6, None]
    assert dims(to_onnx(model[:1], (2, None)).graph.output[0]) == ["N", 3, "axis_2"]
    pooled = Sequential([MaxPool2D((1, 2)), Identity()])  # As wide as it is high, but for images twice as wide alone.
    assert dims(to_onnx(pooled, (1, None, None)).graph.output[0]) == ["N", 1, "axis_2", None]
    assert (proto.opset_import[0].version, proto.ir_version) == (14, 7)


def test_what_is_shared_is_stored_once() -> None:
    """A layer that stands twice, and layers with one parameter, also where ONNX has weights in another order."""
    lstm, dense = LSTM(3, 3, rng=0), Dense(3, 3, rng=1)
    tied = Dense(3, 3, rng=2)
    tied.weight = dense.weight
    model = Sequential([lstm, dense, Residual(Sequential([dense, lstm])), Concat([dense, tied])])
    stored = {tensor.name: tuple(tensor.dims) for tensor in to_onnx(model, (4, 3)).graph.initializer}
    floats = {name: shape for name, shape in stored.items() if np.prod(shape) > 2}
    assert sorted(floats.values()) == [(1, 12, 3), (1, 12, 3), (1, 24), (3,), (3,), (3, 3)]
    assert {"1.weight", "1.bias", "3.1.bias"} <= stored.keys()


def test_what_exporters_make_is_not_confused() -> None:
    """Parameters that live as long as an exporter runs are told apart by what is in them, and dtypes are."""

    class Temporary(Square):
        def predict(self, x: Array) -> Array:
            return x * 0.0 + 0.1 + 1.1 + 2.1 + 3.1

        def export_onnx(self, graph: Graph, x: str) -> str:
            y = graph.node("Mul", x, 0.0)
            for number in range(4):
                y = graph.node("Add", y, Parameter(np.full(1, number + 0.1)))
            return y

    assert_agrees(Temporary(), (3,))
    graph = Graph(dense := Dense(3, 2), np.dtype(np.float32))
    names = [graph.constant(dense.bias), graph.constant(dense.bias, float), graph.constant(dense.bias)]
    assert names[0] == names[2]
    assert [graph.constants[name].dtype for name in names[:2]] == [np.float32, np.float64]


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_and_trained_parts(frozen: bool) -> None:
    """Neither marks nor gradients make a difference, and neither does the export to the model."""
    model = mlp([3, 4, 2], ReLU, batch_norm=True, dropout=0.5, rng=0)
    x = np.random.default_rng(0).normal(size=(8, 3))
    model.backward(*model.forward(x))
    if frozen:
        model[:2].freeze()
    before, gradients = model.state_dict(), [p.grad for p in model.parameters()]
    assert_agrees(model, (3,))
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is grad for p, grad in zip(model.parameters(), gradients, strict=True))


def test_small_and_empty_models() -> None:
    """An empty chain, one layer, an input without axes beside the batch, and a batch of one."""
    for model, shape in [(Sequential(), (2,)), (Sequential([Sequential()]), ()), (Sigmoid(), ()), (Flatten(), ())]:
        assert_agrees(model, shape)


def test_exact_where_attributes_are_not() -> None:
    """Numbers that float32 does not hold are right in float64: epsilons, slopes."""
    for layer in (
        BatchNorm(3, epsilon=0.1),
        LayerNorm(3, epsilon=0.1),
        LeakyReLU(0.1),
        ELU(0.7),
        GELU("tanh"),
        Softplus(),
    ):
        x = np.random.default_rng(0).normal(size=(5, 3))
        assert_close(run(to_onnx(layer, (3,)), x=x), layer.predict(x), 1e-14)


def test_parameters_of_two_dtypes() -> None:
    """The widest holds for all; a layer does in it what NumPy does with both."""
    model = Sequential([Dense(3, 4, dtype=np.float32, rng=0), Tanh(), Dense(4, 2, rng=1)])
    x = np.random.default_rng(0).normal(size=(5, 3))
    assert_close(run(to_onnx(model, (3,)), x=x), model.predict(x), 1e-12)


class Polynomial(Layer):
    """``y = scale * x ** 2 + 1``, with an exporter."""

    def __init__(self, scale: float) -> None:
        self.scale = Parameter(scale)

    def forward(self, x: Array) -> tuple[Array, Array]:
        return self.scale.value * (x * x) + 1, x

    def backward(self, grad: Array, x: Array) -> Array:
        self.scale.add(np.sum(grad * x * x))
        return 2 * self.scale.value * x * grad

    def export_onnx(self, graph: Graph, x: str) -> str:
        return graph.node("Add", graph.node("Mul", self.scale, graph.node("Mul", x, x)), 1)


class Both(Layer):
    """A composite of one's own: the sum of two layers, of which the second gets half."""

    def __init__(self, first: Layer, second: Layer) -> None:
        self.first, self.second = first, second

    def predict(self, x: Array) -> Array:
        return self.first.predict(x) + self.second.predict(x / 2)

    def forward(self, x: Array) -> tuple[Array, Any]:
        (y, cache), (z, other) = self.first.forward(x), self.second.forward(x / 2)
        return y + z, (cache, other)

    def backward(self, grad: Array, caches: Any) -> Any:
        return self.first.backward(grad, caches[0]) + self.second.backward(grad, caches[1]) / 2

    def export_onnx(self, graph: Graph, x: str) -> str:
        y, half = graph.layer("first", self.first, x), graph.node("Div", x, 2)
        return graph.node("Add", y, graph.layer("second", self.second, half))


def test_layers_of_ones_own() -> None:
    """A method is enough, in a composite too, and for subclasses that keep `predict`."""

    class Named(Polynomial):
        name = "another"

    class Chain(Sequential):
        pass

    class Wide(Dense):
        def accumulate(self, grad: Array, x: Array, /) -> None:
            super().accumulate(grad, x)

    model = Sequential([Chain([Wide(3, 3, rng=0)]), Both(Named(0.5), Sequential([Tanh(), Polynomial(2.0)]))])
    assert_agrees(model, (3,))
    assert_agrees(ArticleNetwork([Dense(3, 2, rng=0)]), (3,))


def test_exporters_can_be_registered() -> None:
    """For a class that has no method, or another one."""

    class Mine(Square):
        pass

    class Wrong(Polynomial):
        export_onnx = None

    export.register(Mine, lambda _, graph, x: graph.node("Mul", x, x))
    export.register(Wrong, lambda layer, graph, x: Polynomial.export_onnx(layer, graph, x))
    assert_agrees(Sequential([Mine(), Wrong(0.3)]), (3,))
    with pytest.raises(ContractError, match="Square must have an ONNX exporter"):
        export(Square(), None, "x")


class Reversed(Sequential):
    def predict(self, x: Array, /) -> Array:
        for layer in reversed(self.layers):
            x = layer.predict(x)
        return x


class Cubed(Polynomial):
    def forward(self, x: Array) -> tuple[Array, Array]:
        return x**3, x


class Doubled(Dense):
    def predict(self, x: Array, /) -> Array:
        return 2 * super().predict(x)


class Steeper(Sigmoid):
    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = 1 / (1 + np.exp(-2 * x))
        return y, y


def exported_as(result: Callable[[Graph, str], Any]) -> Layer:
    """Make a square with another exporter."""
    return type("Misled", (Square,), {"export_onnx": lambda _, graph, x: result(graph, x)})()


MUST_HAVE = r"must have an ONNX exporter: a method export_onnx\(self, graph, x\), or a function that .*export.register"
#: Layers that are not exported, and what is said of them where they are the second of a model.
REFUSED: dict[str, tuple[Layer, str]] = {
    "none": (Square(), rf"^layer 1: Square {MUST_HAVE}"),
    "in a composite": (Residual(Sequential([Square()])), rf"^layer 1\.layer\.0: Square {MUST_HAVE}"),
    "in one's own": (Both(Tanh(), Add([Tanh(), Square()])), rf"^layer 1\.second\.1: Square {MUST_HAVE}"),
    "another chain": (
        Reversed([Tanh()]),
        "^layer 1: Reversed must have .* of its own, as .* the predict of Sequential",
    ),
    "another forward": (Cubed(1.0), "^layer 1: Cubed must have .* of its own, as it overrides the predict of Polynom"),
    "another predict": (Doubled(3, 3, rng=0), "^layer 1: Doubled must have .* of its own, as .* the predict of Dense"),
    "another formula": (Steeper(), "^layer 1: Steeper must compute in ONNX what its predict computes, got a differ"),
    "another shape": (
        exported_as(lambda graph, x: graph.node("ReduceSum", x)),
        r"^layer 1: Misled must compute .*, got shape \(1, 1\) for \(3, 3\)",
    ),
    "wrong numbers": (
        exported_as(lambda graph, x: graph.node("Mul", x, 2)),
        "^layer 1: Misled must compute in ONNX what its predict computes, got a difference of",
    ),
    "no name": (exported_as(lambda _, __: None), r"^layer 1: Misled.export_onnx must return the name .*, got NoneType"),
    "another name": (exported_as(lambda _, __: "z"), "^layer 1: Misled.export_onnx must return the name .*, got 'z'"),
    "no operator": (
        exported_as(lambda graph, x: graph.node("Square", x)),
        "^layer 1: Misled: graph.node must be given an",
    ),
    "a later operator": (
        exported_as(lambda graph, x: graph.node("Gelu", x)),
        "operator of ONNX's opset 14, got 'Gelu'",
    ),
    "no numbers": (
        exported_as(lambda graph, x: graph.node("Mul", x, 1j)),
        "^layer 1: Misled: graph.constant expects num",
    ),
    "too few inputs": (
        exported_as(lambda graph, x: graph.node("Mul", x)),
        "^layer 1: Misled must compute in ONNX what",
    ),
    "no such shape": (
        exported_as(lambda graph, x: graph.node("Reshape", x, graph.node("Shape", np.ones((7, 1))))),
        "^layer 1: Misled must compute in ONNX what its predict computes, got ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exported(name: str, tmp_path: Path) -> None:
    """The layer at fault is named by its position, with the remedy; no file is written."""
    layer, message = REFUSED[name]
    with pytest.raises((ContractError, DTypeError), match=message):
        to_onnx(Sequential([Dense(3, 3, rng=0), layer, Sigmoid()]), (3,), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_wrong_order_of_gates_is_found() -> None:
    """The check before the model is returned sees what such a mistake does."""
    wrong = type("Wrong", (LSTM,), {"export_onnx": _with_gates_swapped})
    with pytest.raises(ContractError, match=r"^layer 0: Wrong must compute in ONNX what .*, got a difference"):
        to_onnx(Sequential([wrong(3, 2, rng=0)]), (None, 3))


def _with_gates_swapped(self: Any, graph: Graph, x: str) -> str:
    swapped = LSTM(3, 2)
    swapped.load_state_dict({name: np.roll(value, 2, axis=-1) for name, value in self.state_dict().items()})
    return export.registry[LSTM](swapped, graph, x)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Dense, (3,)), ConfigError, "to_onnx: model expects an instance of Layer, got the class Dense itself"),
        ((Dense(3, 2), 3), ConfigError, "to_onnx: input_shape expects the shape of one sample"),
        ((Dense(3, 2), (0,)), ConfigError, "to_onnx: input_shape expects"),
        ((Dense(3, 2), (3,), 5), ConfigError, "to_onnx: path expects a path, got int"),
        (
            (Dense(3, 2, dtype=np.longdouble), (3,)),
            DTypeError,
            "to_onnx: model expects parameters of float32 or float64",
        ),
        ((Dense(3, 2).map_arrays(DeviceArray), (3,)), DTypeError, r"NumPy's arrays: .*map_arrays.*, got DeviceArray"),
        ((Sequential([Dense(3, 2)]), (4,)), ShapeError, r"layer 0: Dense expects \(..., 3\), got \(3, 4\)"),
        ((Sequential([Flatten(), Dense(9, 2)]), (None, 3)), ShapeError, r"layer 1: Dense expects \(..., 9\)"),
    ],
)
def test_nonsense(arguments: Any, error: type[MinibackpropError], message: str) -> None:
    """Wrong arguments are refused by name."""
    with pytest.raises(error, match=message):
        to_onnx(*arguments)


def test_other_nonsense() -> None:
    """A dtype that ONNX or its users have no use for; a length that no model takes, with those that were tried."""
    for dtype in (np.float16, "int", np.longdouble):
        with pytest.raises((ConfigError, DTypeError), match=r"to_onnx: (dtype|model) expects"):
            to_onnx(Dense(3, 2), (3,), dtype=dtype)
    with pytest.raises(ShapeError) as caught:
        to_onnx(Sequential([Flatten(), Dense(9, 2)]), (None, 3))
    assert caught.value.__notes__ == [
        "for the axes of any length, to_onnx tried 4, 8, 16, 32, 64, 128, 256, and multiples"
    ]


def test_files(tmp_path: Path) -> None:
    """Whatever they are called; what cannot be written is refused, and an earlier file stays."""
    model = Sequential([Dense(3, 2, rng=0), Tanh()])
    for name in ("model.onnx", "сеть 网络 ü.onnx", "no ending"):
        proto = to_onnx(model, (3,), tmp_path / name)
        assert (tmp_path / name).read_bytes() == proto.SerializeToString()
        x = np.ones((2, 3))
        session = onnxruntime.InferenceSession(str(tmp_path / name))
        assert_close(session.run(None, {"x": x})[0], model.predict(x), 1e-12)
    with pytest.raises(IsADirectoryError):
        to_onnx(Square(), (3,), tmp_path)  # Before anything else is looked at.
    with pytest.raises(FileNotFoundError):
        to_onnx(model, (3,), tmp_path / "missing" / "model.onnx")
    before = (tmp_path / "model.onnx").read_bytes()
    with pytest.raises(ContractError):
        to_onnx(Square(), (3,), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


#: What the docs name as missing in onnxruntime for float64.
WITHOUT_DOUBLES = {
    "Conv": (Conv1D(2, 2, 1, rng=0), (2, 3)),
    "AveragePool": (AvgPool1D(2), (2, 4)),
    "RNN": (RNN(3, 2, rng=0), (4, 3)),
    "LSTM": (LSTM(3, 2, rng=0), (4, 3)),
    "GRU": (GRU(3, 2, rng=0), (4, 3)),
}


@pytest.mark.parametrize("operator", WITHOUT_DOUBLES)
def test_what_onnxruntime_lacks_in_float64(operator: str) -> None:
    """The page says which layers; if one runs, the page is to be changed."""
    layer, shape = WITHOUT_DOUBLES[operator]
    with pytest.raises(Exception, match=operator):
        run(to_onnx(layer, shape), x=np.ones((1, *shape)))


RUN_IN_FLOAT64 = [
    "Dense",
    *(
        "ReLU",
        "LeakyReLU",
        "ELU",
        "SiLU",
        "GELU",
        "GELUByTanh",
        "Softplus",
        "Softmax",
        "LogSoftmax",
        "BatchNormOfImages",
    ),
    *("LayerNorm", "RMSNorm", "GroupNorm", "Embedding", "PositionalEncoding", "MultiHeadAttention", "CausalAttention"),
    *("MaxPool1D", "MaxPool2D", "GlobalAvgPool", "Concat", "TiedBranches", "Flatten", "Reshape"),
]


@pytest.mark.parametrize("name", [f"Test{name}" for name in RUN_IN_FLOAT64])
def test_all_others_run_in_float64(name: str) -> None:
    """In onnxruntime as well, with the digits of float64."""
    contract = CONTRACTS[name]
    layer, inputs = contract.layer, contract.inputs
    proto = to_onnx(model := randomized(layer()), shape := inputs if isinstance(inputs, tuple) else (4,), dtype=float)
    x = inputs_for(proto, 3, shape)
    assert_close(run(proto, x=x), model.predict(x), 1e-12)


def test_nothing_is_imported_unasked() -> None:
    """The package does without `onnx`; the module names the extra where it is missing."""
    code = """
import sys
import minibackprop.interop
assert "onnx" not in sys.modules
sys.modules["onnx"] = None
import minibackprop.interop.onnx
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith('minibackprop.interop.onnx needs ONNX: pip install "minibackprop[onnx]"')
