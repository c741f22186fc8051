"""A model as the two ways through it: what goes forth and is kept, and the gradients that come back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike

from minibackprop.core import Layer, Sequential, no_pair, takes_integers
from minibackprop.errors import ConfigError, describe
from minibackprop.inspection.html import escaped, framed
from minibackprop.inspection.structure import structure
from minibackprop.validation import Array, as_array, require_numbers

#: So many arrays or parameters of a layer are told, and so many characters of its settings.
_TOLD, _CHARACTERS = 4, 80


@frozen
class PassesRow:
    """
    A layer of `Passes`.

    Attributes
    ----------
    position : str
        Where the layer stands, as in the names of its parameters; empty for the model itself.
    layer : str
        The name of its class.
    settings : str
        Its configuration, but for what has its default value.
    output_shape : tuple of int
        The shape of what `forward` returns for the next layer, y; the gradient that comes back has it, too.
    cache : tuple of str
        The arrays in the cache, in tuples, lists and dicts too, each with its shape: "x (4, 3)" for the input, or a
        view of it, "y (4, 3)" for the output, "mask (4, 3)" for booleans, "array (4, 3)" for others; of many, the first
        ones and the number of the others.
    gradient_shape : tuple of int or None
        The shape of what `backward` returns for the layer before, dL/dx; None where no gradient comes back.
    parameters : tuple of (str, tuple of int)
        The parameters that `backward` adds a gradient to: their names in the layer, and the shapes of the gradients.
    frozen : tuple of str
        The names of those that are frozen, and get none.
    """

    position: str
    layer: str
    settings: str
    output_shape: tuple[int, ...]
    cache: tuple[str, ...]
    gradient_shape: tuple[int, ...] | None
    parameters: tuple[tuple[str, tuple[int, ...]], ...]
    frozen: tuple[str, ...] = ()


@frozen(repr=False)
class Passes:
    """
    The forward and the backward pass of a model, as `passes` makes it: a diagram in a notebook; its `repr` is a table.

    Attributes
    ----------
    input_shape : tuple of int
        The shape of the batch.
    rows : tuple of PassesRow
        The layers, in the order of the forward pass.

    Examples
    --------
    >>> from minibackprop import Dense, ReLU
    >>> found = passes(Sequential([Dense(3, 4), ReLU()]), np.ones((5, 3)))
    >>> found.rows[0].cache, found.rows[0].parameters
    (('x (5, 3)',), (('weight', (3, 4)), ('bias', (4,))))
    """

    input_shape: tuple[int, ...]
    rows: tuple[PassesRow, ...]

    def __repr__(self) -> str:
        table = [("", "layer", "returns y", "keeps", "sends back dL/dx", "gradient of")]
        table += [
            (
                row.position,
                row.layer,
                str(row.output_shape),
                ", ".join(row.cache) or "nothing",
                "none" if row.gradient_shape is None else str(row.gradient_shape),
                _parameters(row),
            )
            for row in self.rows
        ]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)) for line in table)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        """Draw the diagram: down on the left goes what the layers return, up on the right the gradients."""
        coming = [*(row.gradient_shape for row in self.rows), self.rows[-1].output_shape]
        names = [""] * (len(self.rows) - 1) + ["y"]
        drawn = [_way("x", self.input_shape, coming[0])]
        for name, row, gradient in zip(names, self.rows, coming[1:], strict=True):
            drawn += [_box(row), _way(name, row.output_shape, gradient)]
        loss = '<div class="box"><b>Loss</b> <span class="note">gives the first gradient</span></div>'
        return framed(f'<div class="passes">{"".join(drawn)}{loss}</div>')


def passes(model: Layer, x: ArrayLike) -> Passes:
    """
    Make a diagram of what goes forth through a model and what comes back, from a real pass on a batch.

    Forth goes what each layer returns; what it keeps for the way back, its cache, stays. Back comes the gradient of the
    loss L with respect to each of these results; on the way, it is added to the parameters. A `Sequential` within the
    model is shown layer by layer; any other layer that holds layers is one box.

    Parameters
    ----------
    model : Layer
        Not changed: the passes are made on a copy.
    x : array_like
        A batch, as the model takes it; cast to the dtype of the model, unless that takes integers.

    Returns
    -------
    Passes

    Raises
    ------
    ConfigError
        If `model` is not a `Layer`.
    ShapeError, DTypeError
        If `x` is lists of different lengths, or does not hold numbers.
    Exception
        Whatever the model raises for `x`, with the position of the layer.

    Examples
    --------
    >>> from minibackprop import three_layer
    >>> passes(three_layer(), [[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
       layer    returns y  keeps     sends back dL/dx  gradient of
    0  Dense    (4, 4)     x (4, 3)  (4, 3)            weight (3, 4)
    1  Sigmoid  (4, 4)     y (4, 4)  (4, 4)
    2  Dense    (4, 1)     x (4, 4)  (4, 4)            weight (4, 1)
    3  Sigmoid  (4, 1)     y (4, 1)  (4, 1)
    """
    if not isinstance(model, Layer):
        raise ConfigError("passes: model", "a Layer", describe(model))
    batch = as_array("passes: x", x)
    require_numbers("passes: x", batch)
    dtypes = [parameter.dtype for parameter in model.parameters()]
    if dtypes and not takes_integers(model):
        batch = batch.astype(np.result_type(*dtypes))
    twin = copy.deepcopy(model)
    # All at once first: if a layer fails, the error has its position.
    result = twin.forward(batch)
    if type(result) is not tuple or len(result) != 2:
        raise no_pair(twin, result)
    y, cache = result
    twin.backward(np.ones_like(y), cache)
    return Passes(batch.shape, tuple(reversed(list(_followed(twin, batch)))))


def _followed(model: Layer, x: Array) -> Iterator[PassesRow]:
    """Go through the layers forth, and on the way back write down what is seen."""
    forth = []
    for position, layer in _chain(model, ""):
        y, cache = layer.forward(x)
        forth.append((position, layer, x, y, cache))
        x = y
    grad: Array | None = np.ones_like(x)
    for position, layer, given, y, cache in reversed(forth):
        layer.clear_gradients()  # A layer may stand in several places.
        if grad is not None:
            grad = layer.backward(grad, cache)
        parameters = layer.named_parameters()
        part = structure(layer)
        yield PassesRow(
            position,
            part.name,
            part.shortened(_CHARACTERS),
            np.shape(y),
            _kept(cache, given, y),
            None if grad is None else np.shape(grad),
            tuple((name, p.grad.shape) for name, p in parameters if p.grad is not None),
            tuple(name for name, p in parameters if p.frozen),
        )


def _chain(layer: Layer, position: str) -> Iterator[tuple[str, Layer]]:
    """Go through the layers of a chain, of those in it too; a subclass with a way of its own is one layer."""
    kind = type(layer)
    if isinstance(layer, Sequential) and (kind.forward, kind.backward) == (Sequential.forward, Sequential.backward):
        parts = list(layer)
    else:
        parts = []
    for place, part in enumerate(parts):
        yield from _chain(part, f"{position}.{place}" if position else str(place))
    if not parts:
        yield position, layer


def _kept(cache: Any, x: Array, y: Array) -> tuple[str, ...]:
    """Tell the arrays in a cache, each once."""
    told = {}
    for array in _arrays(cache):
        name = _name(array, x, y)
        told[name if name in ("x", "y") else id(array), array.shape] = f"{name} {array.shape}"
    return tuple(_few([*told.values()], "arrays"))


def _arrays(cache: Any) -> Iterator[Array]:
    """Find the arrays, in tuples, lists and dicts too; single numbers are none."""
    if isinstance(cache, (tuple, list, Mapping)):
        for value in cache.values() if isinstance(cache, Mapping) else cache:
            yield from _arrays(value)
    elif getattr(cache, "shape", ()):
        yield cache


def _name(array: Array, x: Array, y: Array) -> str:
    """Call an array by what it is, or is a view of: the same numbers in another shape."""
    for name, whole in (("x", x), ("y", y)):
        if array is whole or (array.size == np.size(whole) and np.shares_memory(array, whole)):
            return name
    return "mask" if array.dtype.kind == "b" else "array"


def _parameters(row: PassesRow) -> str:
    """Tell the parameters that get a gradient, and how many there are to which none is added."""
    told = _few([f"{name} {shape}" for name, shape in row.parameters], "parameters")
    return ", ".join([*told, f"{len(row.frozen)} frozen"] if row.frozen else told)


def _few(told: list[str], kind: str) -> list[str]:
    """List some, and count the others."""
    return told if len(told) <= _TOLD else [*told[: _TOLD - 1], f"{len(told) - _TOLD + 1} more {kind}"]


def _way(name: str, shape: tuple[int, ...], gradient: tuple[int, ...] | None) -> str:
    """Draw what is between two layers: an activation on its way down, a gradient on its way up."""
    forth = " ".join(filter(None, ("\N{DOWNWARDS ARROW}", name, str(shape))))
    back = (
        f"{f'dL/d{name}' if name else 'gradient'} {gradient} \N{UPWARDS ARROW}"
        if gradient is not None
        else "no gradient"
    )
    return f'<div class="way"><span>{escaped(forth)}</span><span>{escaped(back)}</span></div>'


def _box(row: PassesRow) -> str:
    """Draw a layer: across it goes its cache, from the way forth to the way back."""
    place = f'<span class="place">{escaped(row.position)}</span> ' if row.position else ""
    settings = f" <code>{escaped(row.settings)}</code>" if row.settings else ""
    kept = f"cache: {', '.join(row.cache)}" if row.cache else "no cache"
    cache = f'<div class="{"kept" if row.cache else "none"}"><span>{escaped(kept)}</span></div>'
    added = ("gradient of " if row.parameters else "") + _parameters(row)
    adds = f'<div class="adds">{escaped(added)}</div>' if added else ""
    return f'<div class="box">{place}<b>{escaped(row.layer)}</b>{settings}{cache}{adds}</div>'
