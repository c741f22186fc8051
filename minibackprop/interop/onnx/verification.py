"""Inputs drawn for a model, and the check that its graph computes for them what the model predicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from minibackprop.core import Layer, named_layers, takes_integers
from minibackprop.errors import ConfigError, ContractError, ShapeError
from minibackprop.interop.onnx.graph import INPUT, OPSET, Graph
from minibackprop.layers.embedding import Embedding
from minibackprop.validation import Array

#: The shape of a sample, with None for axes of any length.
SampleShape = tuple[int | None, ...]

#: How long the axes of any length are made: the first that the model takes, together with multiples.
_LENGTHS = (4, 8, 16, 32, 64, 128, 256)


class Drawn(NamedTuple):
    """Inputs of a model, by name, and what it predicts."""

    inputs: dict[str, Array]
    y: Array


def draw(model: Layer, shape: SampleShape, dtype: np.dtype[Any], side_inputs: dict[str, Array]) -> tuple[Drawn, Drawn]:
    """
    Draw two batches, the second of a single sample, whose axes of any length are longer; predict for them.

    Raises
    ------
    Exception
        What the model's `predict` raises for such input, at any length that is tried.
    """
    rng = np.random.default_rng(0)
    lengths = _LENGTHS if None in shape else _LENGTHS[:1]
    for length in lengths:
        try:
            first = _draw(model, 3, _filled(shape, length, 0), dtype, side_inputs, rng)
            return first, _draw(model, 1, _filled(shape, length, 1), dtype, side_inputs, rng)
        except ValueError as error:  # A ShapeError, or what a layer of one's own has from NumPy.
            refused = error
    if None in shape:
        tried = ", ".join(map(str, lengths))
        refused.add_note(f"for the axes of any length, to_onnx tried {tried}, and multiples")
    raise refused


def _filled(shape: SampleShape, length: int, longer: int) -> tuple[int, ...]:
    """Give axes of any length one; or two times that, three times and so on, so that they are told apart."""
    free = [axis for axis, size in enumerate(shape) if size is None]
    lengths = {axis: length * (1 + longer * (1 + number)) for number, axis in enumerate(free)}
    return tuple(lengths[axis] if size is None else size for axis, size in enumerate(shape))


def _draw(
    model: Layer,
    samples: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    given: dict[str, Array],
    rng: np.random.Generator,
) -> Drawn:
    x: Array
    if takes_integers(model):
        tables = [layer.num_embeddings for _, layer in named_layers(model) if isinstance(layer, Embedding)]
        x = rng.integers(0, min(tables, default=2), (samples, *shape))
    else:
        x = rng.normal(size=(samples, *shape)).astype(dtype)
    *others, last = _side_inputs(given, x, rng)
    for arrays in others:
        with suppress(ConfigError, ShapeError):
            return _predicted(model, x, arrays)
    return _predicted(model, x, last)


def _predicted(model: Layer, x: Array, side_inputs: dict[str, Array]) -> Drawn:
    give(model, side_inputs)
    with np.errstate(all="ignore"):
        return Drawn({INPUT: x, **side_inputs}, model.predict(x))


def _side_inputs(given: dict[str, Array], x: Array, rng: np.random.Generator) -> Iterator[dict[str, Array]]:
    """Draw those whose meaning is known from their names; else, or where these do not fit, repeat the rows given."""
    rows = {name: np.asarray(array)[np.arange(len(x)) % len(array)] for name, array in given.items()}
    if given and x.ndim > 1:
        steps = x.shape[1]
        known = {"lengths": rng.integers(0, steps + 1, len(x)), "mask": rng.random((len(x), steps)) < 0.6}
        yield {name: known.get(name, array) for name, array in rows.items()}
    yield rows


def give(model: Layer, arrays: dict[str, Array]) -> None:
    """Set side inputs on the layers that have been given others; the model is a copy that nobody else has."""
    for _, layer in named_layers(model) if arrays else ():
        for name in arrays.keys() & set(layer.side_inputs):
            if getattr(layer, name, None) is not None:
                object.__setattr__(layer, name, arrays[name])


def require_same(proto: onnx.ModelProto, graph: Graph, model: Layer, drawn: Drawn, tolerance: float) -> None:
    """
    Require of an ONNX model that the reference evaluator computes with it what the model predicts.

    Raises
    ------
    ContractError
        If it does not; in the name of the first layer that computes something else, where one is found.
    """
    cause = None
    try:
        with np.errstate(all="ignore"):
            (y,) = ReferenceEvaluator(proto).run(None, drawn.inputs)
        if not _difference(y, drawn.y, tolerance):
            return
    except Exception as error:
        cause = error
    give(model, {name: array for name, array in drawn.inputs.items() if name != INPUT})
    with np.errstate(all="ignore"):
        raise _fault(graph, drawn, tolerance) from cause


def _difference(got: Any, expected: Array, tolerance: float) -> str:
    """Say what is different, in a few words; nothing for what is no more than rounding."""
    got = np.asarray(got)
    if got.shape != expected.shape:
        return f"shape {got.shape} for {expected.shape}"
    finite = np.abs(expected[np.isfinite(expected)])
    if np.allclose(got, expected, rtol=0, atol=tolerance * (1 + finite.max(initial=0)), equal_nan=True):
        return ""
    return f"a difference of {np.nanmax(np.abs(got - expected)):.2g}"


def _fault(graph: Graph, drawn: Drawn, tolerance: float) -> ContractError:
    """Go through the graph node by node, and find the first layer that gives something else for its own input."""
    values: dict[str, Any] = {**graph.constants, **drawn.inputs}
    nodes = iter(graph.nodes)
    got, done = "", 0
    for exported in graph.layers:
        try:
            for node in islice(nodes, exported.nodes - done):
                evaluator = ReferenceEvaluator(node, opsets={"": OPSET})
                results = evaluator.run(None, {name: values[name] for name in node.input if name})
                values.update(zip(node.output, results, strict=True))
            expected = exported.layer.predict(np.asarray(values[exported.x]))
            got = _difference(values[exported.y], expected, tolerance)
        except Exception as error:
            got = str(error)
        if got:
            break
        done = exported.nodes
    fault = ContractError(type(exported.layer).__name__, "compute in ONNX what its predict computes", got)
    fault.position = exported.position
    return fault
