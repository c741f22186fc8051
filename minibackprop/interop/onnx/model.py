"""`to_onnx`: from a model to an ONNX model that has been checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike
from onnx import helper

import minibackprop.interop.onnx.exporters
import minibackprop.interop.onnx.recurrent  # noqa: F401 - they register themselves
from minibackprop.arrays import kind_of, name_of
from minibackprop.core import Layer, named_layers, takes_integers
from minibackprop.errors import ConfigError, ContractError, DTypeError, describe
from minibackprop.initializers import as_shape
from minibackprop.interop.onnx.graph import INPUT, IR_VERSION, OPSET, OUTPUT, Graph
from minibackprop.interop.onnx.verification import Drawn, SampleShape, draw, require_same
from minibackprop.saving.archive import StrPath, replaced, require_path, require_writable
from minibackprop.state import Buffer, walk
from minibackprop.validation import Array, as_float_dtype, as_tuple, is_integer, shortened

#: How many bytes of arrays a file may have, as its format counts in 32 bits.
_MOST_BYTES = 2**31 - 2**20


def to_onnx(
    model: Layer,
    input_shape: Iterable[int | None],
    path: StrPath | None = None,
    *,
    dtype: DTypeLike | None = None,
) -> onnx.ModelProto:
    """
    Write a model in ONNX, for programs that run it without Python: onnxruntime, in a browser or on a phone.

    The ONNX model computes what `predict` computes. It is checked before it is returned: by ``onnx.checker``, and by
    ONNX's reference evaluator, which has to agree with `predict` on two drawn batches.

    Parameters
    ----------
    model : Layer
        Its layers may be all of the package's, and those of one's own that have a method ``export_onnx(self, graph,
        x)`` or a function registered with `export`. A subclass that keeps the `predict` of its parent needs neither.
        Side inputs that `given` has set become inputs of the ONNX model by their names: the arrays are examples only.
    input_shape : tuple of int or None
        The shape of one sample, without the axis of the batch; None for an axis of any length.
    path : str or path, optional
        The file to write it into as well, which is replaced as a whole.
    dtype : dtype, optional
        float32 or float64; by default that of the model's parameters, float64 where it has none. float32 is what most
        programs are made for; with it, ``model.astype(np.float32)`` is what is exported.

    Returns
    -------
    onnx.ModelProto
        With an input ``x`` of shape ``("N", *input_shape)``, of int64 for a model that takes integers, and an output
        ``y``.

    Raises
    ------
    ConfigError
        If an argument makes no sense, or the arrays of the model are larger than a file can hold, 2 GiB.
    ContractError
        If a layer has no exporter, or one that computes something else than `predict`.
    DTypeError
        If `dtype` or that of the parameters is neither float32 nor float64, or the parameters are no NumPy arrays.
    OSError
        If the file cannot be written; an earlier one is left as it was.
    Exception
        What `predict` raises for input of that shape.

    Examples
    --------
    >>> from minibackprop import Dense, Sequential, Tanh
    >>> model = Sequential([Dense(3, 4, rng=0), Tanh(), Dense(4, 2, rng=1)])
    >>> exported = to_onnx(model, (3,), dtype=np.float32)
    >>> [node.op_type for node in exported.graph.node]
    ['MatMul', 'Add', 'Tanh', 'MatMul', 'Add', 'Identity']
    >>> from onnx.reference import ReferenceEvaluator
    >>> x = np.ones((5, 3), np.float32)
    >>> (y,) = ReferenceEvaluator(exported).run(None, {"x": x})
    >>> np.allclose(y, model.predict(x), atol=1e-6)
    True
    """
    if not isinstance(model, Layer):
        raise ConfigError("to_onnx: model", "an instance of Layer", describe(model))
    shape = as_tuple(input_shape)
    if not isinstance(shape, tuple) or not all(size is None or (is_integer(size) and size > 0) for size in shape):
        expected = "the shape of one sample, such as (64,), with None for axes of any length"
        raise ConfigError("to_onnx: input_shape", expected, shortened(input_shape))
    as_shape("to_onnx: input_shape", [size or 1 for size in shape])
    shape = tuple(size if size is None else int(size) for size in shape)
    if path is not None:
        require_path("to_onnx", path)
        require_writable(path)
    if dtype is not None:
        dtype = as_float_dtype("to_onnx: dtype", dtype)
        model = model.astype(dtype)
    widest, narrowest = _dtypes(model, dtype)
    if any(getattr(layer, name, None) is not None for _, layer in named_layers(model) for name in layer.side_inputs):
        model = model.given()  # A copy, in which they may be replaced.
    graph = Graph(model, widest)
    y = graph.export(model, INPUT)
    drawn = draw(model, shape, widest, graph.side_inputs)
    proto = _proto(model, graph, y, shape, drawn)
    for each in drawn:
        require_same(proto, graph, model, each, float(np.finfo(narrowest).eps) ** 0.5)
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        raise ContractError(f"to_onnx: {type(model).__name__}", "be a valid ONNX model", str(error)) from error
    if path is not None:
        content = proto.SerializeToString()
        with replaced(path) as file:
            file.write(content)
    return proto


def _dtypes(model: Layer, default: np.dtype[Any] | None) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Give the dtype of the graph, the widest of the parameters, and the narrowest; require NumPy arrays."""
    buffers = [buffer for _, buffer in walk(model, Buffer)]
    for buffer in buffers:
        if kind_of(buffer.value) is not np.ndarray:
            expected = "NumPy's arrays: to_onnx(model.map_arrays(cupy.asnumpy), ...), say"
            raise DTypeError("to_onnx: model", expected, name_of(type(buffer.value)))
    floats = {parameter.dtype for parameter in model.parameters()} or {b.dtype for b in buffers if b.dtype.kind == "f"}
    dtypes = sorted(floats or {default or np.dtype(float)}, key=lambda dtype: dtype.itemsize)
    widest = dtypes[-1]
    if widest not in (np.float32, np.float64):
        raise DTypeError("to_onnx: model", "parameters of float32 or float64", str(widest))
    return widest, dtypes[0]


def _proto(model: Layer, graph: Graph, y: str, shape: SampleShape, drawn: tuple[Drawn, Drawn]) -> onnx.ModelProto:
    """Put the model together."""
    total = sum(array.nbytes for array in graph.constants.values())
    if total > _MOST_BYTES:
        raise ConfigError(
            "to_onnx: model", "arrays of less than 2 GiB together, which a file can hold", f"{total} bytes"
        )
    names = ["N", *(f"axis_{axis}" if size is None else size for axis, size in enumerate(shape, start=1))]
    x_dtype = np.dtype(np.int64) if takes_integers(model) else graph.dtype
    inputs = [_value_info(INPUT, x_dtype, names)]
    for name, array in graph.side_inputs.items():
        inputs.append(_value_info(name, graph.dtype_of(array), ["N", *[None] * (array.ndim - 1)]))
    output = _value_info(OUTPUT, graph.dtype, _symbols(names, drawn))
    nodes = [*graph.nodes, helper.make_node("Identity", [y], [OUTPUT], name=OUTPUT)]
    of_all = helper.make_graph(nodes, type(model).__name__, inputs, [output], graph.tensors())
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(of_all, opset_imports=[opset], ir_version=IR_VERSION, producer_name="minibackprop")


def _value_info(name: str, dtype: np.dtype[Any], shape: list[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)


def _symbols(names: list[Any], drawn: tuple[Drawn, Drawn]) -> list[Any]:
    """Describe the axes of y: a length that is always the same, the name of an axis of x as long as it, or None."""
    first, second = drawn

    def lengths(one: Array, other: Array) -> list[tuple[int, int]]:
        return list(zip(one.shape, other.shape, strict=True))

    of_x = dict(zip(lengths(first.inputs[INPUT], second.inputs[INPUT]), names, strict=True))
    of_y = lengths(first.y, second.y)
    return [pair[0] if pair[0] == pair[1] else of_x.get(pair) for pair in of_y]
