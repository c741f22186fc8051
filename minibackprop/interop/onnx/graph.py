"""The graph that exporters add their nodes to, and how the exporter of a layer is found."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper

from minibackprop.core import Layer, locate, side_inputs_of
from minibackprop.errors import ConfigError, ContractError, DTypeError, describe
from minibackprop.state import Buffer, walk
from minibackprop.validation import Array

#: The lowest set of operators of which the oldest `onnx` that is taken has right references (that of RNN needs 14); and
#: the version of the format that came with it, as older runtimes refuse later ones.
OPSET, IR_VERSION = 14, 7

#: The names of the model's input and output.
INPUT, OUTPUT = "x", "y"


class Exported(NamedTuple):
    """What became of a layer: the names of its input and output, and how many nodes there were after it."""

    position: tuple[int | str, ...]
    layer: Layer
    x: str
    y: str
    nodes: int


class Graph:
    """
    The ONNX graph of a model while it is made: exporters of layers add nodes to it.

    Values in it go by names. `to_onnx` makes it; the method ``export_onnx(self, graph, x)`` of a layer of one's own
    gets it, with the name of the layer's input, and returns the name of what `predict` would give.

    Attributes
    ----------
    dtype : dtype
        That of all floating-point numbers in the graph: float32 or float64.

    Examples
    --------
    >>> from minibackprop import Layer
    >>> from minibackprop.interop.onnx import to_onnx
    >>> class Square(Layer):
    ...     def forward(self, x):
    ...         return x * x, x
    ...
    ...     def backward(self, grad, x):
    ...         return 2 * x * grad
    ...
    ...     def export_onnx(self, graph, x):
    ...         return graph.node("Mul", x, x)
    >>> [node.op_type for node in to_onnx(Square(), (3,)).graph.node]
    ['Mul', 'Identity']
    """

    def __init__(self, model: Layer, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.side_inputs: dict[str, Array] = {}
        self.layers: list[Exported] = []
        self._paths = {id(buffer): path for path, buffer in walk(model, Buffer)}
        self._stored: dict[object, str] = {}
        self._position: tuple[int | str, ...] = ()
        self._names = {INPUT, OUTPUT, *side_inputs_of(model)}

    def node(self, op: str, *inputs: str | Buffer | ArrayLike | None, output: int = 0, **attributes: Any) -> str:
        """
        Add a node, and return the name of what it computes.

        Parameters
        ----------
        op : str
            One of ONNX's operators, as of opset 14: "MatMul", say.
        *inputs : str, Parameter, Buffer, array_like or None
            Names of values; or arrays and numbers, of which `constant` makes such; None for one that is left out.
        output : int
            The number of the result that is wanted, for operators that have several.
        **attributes
            Those of the operator. Floating-point ones are float32, whatever the model is; give what has to be exact as
            an input where the operator allows it.

        Raises
        ------
        ContractError
            If there is no such operator in opset 14.

        Examples
        --------
        >>> from minibackprop import Dense
        >>> graph = Graph(dense := Dense(3, 2), np.dtype(float))
        >>> graph.node("Add", graph.node("MatMul", "x", dense.weight), dense.bias)
        'Add'
        """
        if not onnx.defs.has(op, OPSET):
            raise ContractError("graph.node", f"be given an operator of ONNX's opset {OPSET}", repr(op))
        names = ["" if value is None else value if isinstance(value, str) else self.constant(value) for value in inputs]
        while names and not names[-1]:
            names.pop()
        # All have names: the reference evaluator takes a result without one for the inputs that are left out.
        results = [self._new_name(op) for _ in range(output + 1)]
        self.nodes.append(helper.make_node(op, names, results, name=results[0], **attributes))
        return results[output]

    def constant(self, value: Buffer | ArrayLike, dtype: DTypeLike | None = None) -> str:
        """
        Store an array, and return its name; what has been stored before is not stored again.

        Parameters
        ----------
        value : Parameter, Buffer or array_like
            Numbers, and arrays of floating-point numbers, get the dtype of the graph; lists and arrays of integers get
            int64, and those of booleans stay.
        dtype : dtype, optional
            That of the stored array, if it is to be another.
        """
        array = np.asarray(value.value if isinstance(value, Buffer) else value)
        if array.dtype.kind not in "fiub":
            raise DTypeError("graph.constant", "numbers, or arrays of numbers", describe(value))
        if dtype is None:
            dtype = self.dtype if type(value) is int else self.dtype_of(array)
        array = array.astype(dtype, order="C", copy=False)
        path = self._paths.get(id(value))  # Of the model's own, which nothing takes the place of meanwhile.
        content = sha256(array.tobytes()).digest() if path is None else id(value)
        key = (array.dtype, array.shape, content)
        if key not in self._stored:
            self._stored[key] = name = self._new_name("constant" if path is None else path, path is not None)
            self.constants[name] = array
        return self._stored[key]

    def dtype_of(self, array: Array) -> np.dtype[Any]:
        """Give the dtype that an array has in the graph: int64 for integers, that of the graph for other numbers."""
        return (
            np.dtype(np.int64) if array.dtype.kind in "iu" else array.dtype if array.dtype.kind == "b" else self.dtype
        )

    def side_input(self, name: str, value: Array) -> str:
        """
        Make a side input of the layer, which `given` has set to an array, an input of the graph; return its name.

        Its first axis is that of the samples; others may have any length.
        """
        if name in (INPUT, OUTPUT):
            raise ConfigError("to_onnx: model", f"side inputs that are called neither {INPUT} nor {OUTPUT}", name)
        if not np.size(value) or not np.ndim(value):
            raise ConfigError(
                f"to_onnx: {name}", "an example of the side input, with a row for each sample", describe(value)
            )
        self.side_inputs[name] = np.asarray(value)
        return name

    def layer(self, place: int | str, layer: Layer, x: str) -> str:
        """
        Add the nodes of a layer within, and return the name of what its `predict` gives for `x`.

        Parameters
        ----------
        place : int or str
            Where it stands in the layer that holds it: its position, or its name. Errors from within begin with it.
        layer : Layer
        x : str
            The name of its input.
        """
        outer, self._position = self._position, (*self._position, place)
        try:
            return self.export(layer, x)
        except Exception as error:
            locate(error, place, layer)
            raise
        finally:
            self._position = outer

    def export(self, layer: Layer, x: str) -> str:
        """Add the nodes of a layer."""
        y: object = exporter_of(layer)(layer, self, x)
        if not isinstance(y, str) or y not in self._names:
            expected = "return the name of its result, as graph.node gives it"
            got = repr(y) if isinstance(y, str) else describe(y)
            raise ContractError(f"{type(layer).__name__}.export_onnx", expected, got)
        self.layers.append(Exported(self._position, layer, x, y, len(self.nodes)))
        return y

    def tensors(self) -> list[onnx.TensorProto]:
        """List the stored arrays as ONNX has them."""
        return [numpy_helper.from_array(array, name) for name, array in self.constants.items()]

    def _new_name(self, name: str, whole: bool = False) -> str:
        """Make a name that nothing else has, with the position of the layer unless the name is whole."""
        name = wanted = name if whole else ".".join(map(str, (*self._position, name)))
        number = 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name


@singledispatch
def export(layer: Any, graph: Graph, x: str, /) -> str:  # noqa: ARG001
    """
    Add the nodes of a layer to a graph, and return the name of the result: a function for each class of layers.

    ``export.register`` adds one, for a layer that has no method ``export_onnx(self, graph, x)``: one of another
    library, say. It holds for subclasses as well, as long as they keep the `predict` of the class.

    Examples
    --------
    >>> from minibackprop import Layer
    >>> from minibackprop.interop.onnx import to_onnx
    >>> class Twice(Layer):
    ...     def forward(self, x):
    ...         return 2 * x, None
    ...
    ...     def backward(self, grad, cache):
    ...         return 2 * grad
    >>> @export.register
    ... def _(layer: Twice, graph: Graph, x: str) -> str:
    ...     return graph.node("Mul", x, 2)
    >>> len(to_onnx(Twice(), (3,)).graph.node)
    2
    """
    raise _without_exporter(layer)


def exporter_of(layer: Layer) -> Callable[[Any, Graph, str], str]:
    """Find the exporter of the nearest class that has one, and require that its `predict` is the one that runs."""
    kind = type(layer)
    for owner in kind.__mro__[:-1]:
        if owner in export.registry or "export_onnx" in vars(owner):
            if hasattr(owner, "predict") and _prediction(owner) is not _prediction(kind):
                expected = (
                    f"have an ONNX exporter of its own, as it overrides the predict of {owner.__name__}: {_REMEDY}"
                )
                raise ContractError(kind.__name__, expected)
            return export.registry.get(owner) or getattr(owner, "export_onnx")  # noqa: B009 - mypy knows no such name
    raise _without_exporter(layer)


_REMEDY = (
    "a method export_onnx(self, graph, x), "
    "or a function that minibackprop.interop.onnx.export.register adds for its class"
)


def _without_exporter(layer: object) -> ContractError:
    return ContractError(type(layer).__name__, f"have an ONNX exporter: {_REMEDY}")


def _prediction(kind: type) -> object:
    """Give the function that computes predictions: the default `predict` leaves that to `forward`."""
    return kind.forward if kind.predict is Layer.predict else kind.predict  # type: ignore[attr-defined]
