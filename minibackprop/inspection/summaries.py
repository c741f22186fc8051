"""What a model is made of: its layers, the shapes of what they return, and how many parameters they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from attrs import frozen
from numpy.typing import DTypeLike

from minibackprop.core import Layer, Sequential, takes_integers
from minibackprop.errors import ConfigError, describe
from minibackprop.inspection.html import escaped, framed, table
from minibackprop.layers.combinators import Add, Concat, Residual
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.validation import Array, as_tuple, is_integer, shortened


@frozen
class SummaryRow:
    """
    A layer of a `Summary`.

    Attributes
    ----------
    position : str
        Where the layer stands, as in the names of its parameters: "2", or "1.0" for the first layer of a `Sequential`
        at position 1. Empty for the model itself.
    layer : str
        The name of its class.
    output_shape : tuple
        The shape of what `predict` returns; None stands for the number of samples.
    parameters : int
        How many numbers the layer trains, without those in `shared`.
    shared : int
        How many numbers it shares with earlier rows, which count them.
    frozen : int
        How many of `parameters` are frozen.
    """

    position: str
    layer: str
    output_shape: tuple[int | None, ...]
    parameters: int
    shared: int
    frozen: int = 0


@frozen(repr=False)
class Summary:
    """
    A table of a model's layers, as `summary` makes it; its `repr` is the table.

    Attributes
    ----------
    rows : tuple of SummaryRow
        The layers, in the order of the forward pass.
    parameters : int
        How many numbers are in parameters; what is shared counts once.
    buffers : int
        How many numbers are kept and not trained.
    bytes : int
        The memory of both.
    frozen : int
        How many of the parameters' numbers are frozen (see `Layer.freeze`); 0 where nothing is.
    trainable : int
        How many are not.

    Examples
    --------
    >>> from minibackprop import Dense
    >>> table = summary(Sequential([Dense(3, 4), Dense(4, 1)]), (3,))
    >>> [(row.position, row.output_shape) for row in table.rows], table.parameters, table.bytes
    ([('0', (None, 4)), ('1', (None, 1))], 21, 168)
    """

    rows: tuple[SummaryRow, ...]
    parameters: int
    buffers: int
    bytes: int
    frozen: int = 0

    @property
    def trainable(self) -> int:
        """How many numbers training changes: those of `parameters` that are not frozen."""
        return self.parameters - self.frozen

    def __repr__(self) -> str:
        table = [("", "layer", "output shape", "parameters")]
        table += [(row.position, row.layer, _shape(row), _count(row.parameters, row.shared)) for row in self.rows]
        first, second, third, last = (max(map(len, column)) for column in zip(*table, strict=True))
        lines = [f"{a:{first}}  {b:{second}}  {c:{third}}  {d:>{last}}".rstrip() for a, b, c, d in table]
        frozen = f" ({self.trainable:,} trainable)" if self.frozen else ""
        totals = f"{self.parameters:,} parameters{frozen}, {self.buffers:,} in buffers, {self.bytes:,} bytes"
        return "\n".join([*lines, totals])

    def _repr_html_(self) -> str:
        """Make the table for a notebook, with the frozen parameters apart where there are any."""
        frozen = bool(self.frozen)  # Shared ones are counted once, so there is a row that has them.
        rows = [
            (
                f"<code>{escaped(row.position)}</code>",
                escaped(row.layer),
                escaped(_shape(row)),
                _count(row.parameters - row.frozen, row.shared),
                f"{row.frozen:,}",
            )
            for row in self.rows
        ]
        rows.append(("<b>all</b>", "", "", f"<b>{self.trainable:,}</b>", f"<b>{self.frozen:,}</b>"))
        head = ("place", "layer", "output shape", "trainable" if frozen else "parameters", "frozen")
        kinds = ("text", "text", "text", "", "")
        columns = 5 if frozen else 4
        body = table(head[:columns], (row[:columns] for row in rows), kinds[:columns])
        kept = f"{self.buffers:,} numbers in buffers, {self.bytes:,} bytes"
        return framed(f'<div class="long">{body}</div><span class="note">{kept}</span>')


def summary(model: Layer, input_shape: Iterable[int], *, dtype: DTypeLike | None = None) -> Summary:
    """
    Make a table of a model's layers, output shapes and numbers of parameters.

    The shapes are those that `predict` gives for one sample of zeros. A `Sequential` within the model is shown layer
    by layer; so are `Residual`, `Add` and `Concat`, each with a row for what it makes of its parts. Any other layer
    that holds layers has one row.

    Parameters
    ----------
    model : Layer
        Not changed.
    input_shape : tuple of int
        The shape of one sample, without the axis of the batch: ``x.shape[1:]``.
    dtype : dtype, optional
        The dtype of that sample; by default the model's, or an integer one if the model takes integers.

    Returns
    -------
    Summary

    Raises
    ------
    ConfigError
        If an argument makes no sense.
    Exception
        Whatever the model's `predict` raises for such a sample, with the position of the layer.

    Examples
    --------
    >>> from minibackprop import Dense, Sigmoid
    >>> hidden = Sequential([Dense(3, 3, rng=0), Sigmoid()])
    >>> summary(Sequential([hidden, hidden, Dense(3, 1, rng=1)]), (3,))
         layer    output shape  parameters
    0.0  Dense    (N, 3)                12
    0.1  Sigmoid  (N, 3)                 0
    1.0  Dense    (N, 3)            shared
    1.1  Sigmoid  (N, 3)                 0
    2    Dense    (N, 1)                 4
    16 parameters, 0 in buffers, 128 bytes
    """
    if not isinstance(model, Layer):
        raise ConfigError("summary: model", "a Layer", describe(model))
    shape = as_tuple(input_shape)
    if not isinstance(shape, tuple) or not all(is_integer(length) and length > 0 for length in shape):
        raise ConfigError("summary: input_shape", "the shape of one sample, such as (64,)", shortened(input_shape))
    x = _zeros(model, shape, dtype)
    with np.errstate(all="ignore"):  # Only the shapes are looked at; a logarithm would warn of zeros.
        model.predict(x)  # If this fails, the error has the position of the layer.
        outputs = list(_outputs(model, x, ""))
    counted: set[int] = set()
    rows = []
    for position, layer, y, parameters in outputs:
        output_shape = (None, *y.shape[1:]) if y.shape[:1] == (1,) else y.shape
        sizes = {id(parameter): parameter.value.size for parameter in parameters}
        shared = sum(size for key, size in sizes.items() if key in counted)
        marked = sum(p.value.size for p in parameters if p.frozen and id(p) not in counted)
        own = sum(sizes.values()) - shared
        rows.append(SummaryRow(position, type(layer).__name__, output_shape, own, shared, marked))
        counted |= sizes.keys()
    arrays = [buffer for _, buffer in walk(model, Buffer)]
    trained = sum(buffer.value.size for buffer in arrays if isinstance(buffer, Parameter))
    frozen = sum(buffer.value.size for buffer in arrays if isinstance(buffer, Parameter) and buffer.frozen)
    kept = sum(buffer.value.size for buffer in arrays) - trained
    return Summary(tuple(rows), trained, kept, sum(buffer.value.nbytes for buffer in arrays), frozen)


def _zeros(model: Layer, shape: tuple[int, ...], dtype: DTypeLike | None) -> Array:
    """Make a batch of one sample, of the model's dtype and kind of array."""
    values = [parameter.value for parameter in model.parameters()]
    if dtype is None and takes_integers(model):
        dtype = np.intp
    elif dtype is None:
        dtype = np.result_type(*(value.dtype for value in values)) if values else np.float64
    try:
        dtype = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise ConfigError("summary: dtype", "a dtype", shortened(dtype)) from error
    # Arithmetic turns an array without axes into a NumPy scalar, whatever kind of array it was.
    like = next((value for value in values if np.ndim(value)), None)
    return np.zeros((1, *shape), dtype, like=like)


def _outputs(layer: Layer, x: Array, position: str) -> Iterator[tuple[str, Layer, Array, list[Parameter]]]:
    """Go through the layers in the order of `predict`, with what each returns, and the parameters of its row."""
    # A subclass with a predict of its own may not call its layers in turn.
    if isinstance(layer, Sequential) and len(layer) and type(layer).predict is Sequential.predict:
        for place, part in enumerate(layer):
            for step in _outputs(part, x, _inside(position, place)):
                yield step
                x = step[2]
    elif isinstance(layer, (Residual, Add, Concat)):
        parts = [("layer", layer.layer)] if isinstance(layer, Residual) else [*enumerate(layer)]
        for name, part in parts:
            yield from _outputs(part, x, _inside(position, name))
        yield position, layer, layer.predict(x), []
    else:
        yield position, layer, layer.predict(x), layer.parameters()


def _inside(position: str, place: int | str) -> str:
    return f"{position}.{place}" if position else str(place)


def _shape(row: SummaryRow) -> str:
    """Write the shape as a tuple, N for the number of samples."""
    return str(row.output_shape).replace("None", "N")


def _count(parameters: int, shared: int) -> str:
    """Write a number of parameters, and say so if an earlier row counts some of them."""
    if not shared:
        return f"{parameters:,}"
    return f"{parameters:,} + shared" if parameters else "shared"
