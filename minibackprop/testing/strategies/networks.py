"""Hypothesis strategies for layers, and for whole random networks, from everything that the catalogue has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from minibackprop.core import Layer, Sequential
from minibackprop.errors import ConfigError
from minibackprop.layers.activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from minibackprop.layers.attention import MultiHeadAttention
from minibackprop.layers.combinators import Add, Concat, Residual
from minibackprop.layers.convolution import Conv1D, Conv2D
from minibackprop.layers.dense import Dense
from minibackprop.layers.embedding import Embedding, PositionalEncoding
from minibackprop.layers.normalization import GroupNorm, LayerNorm, RMSNorm
from minibackprop.layers.pooling import AvgPool1D, AvgPool2D, GlobalAvgPool, MaxPool1D, MaxPool2D
from minibackprop.layers.recurrent.gru import GRU
from minibackprop.layers.recurrent.lstm import LSTM
from minibackprop.layers.recurrent.rnn import RNN
from minibackprop.layers.shape import Flatten, Reshape, Transpose
from minibackprop.layers.softmax import LogSoftmax, Softmax
from minibackprop.testing.code import shown_as, written_with_state
from minibackprop.validation import Array, is_integer, require_size_or_none, shortened

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

#: The number of features of a sample, or its shape.
Shape: TypeAlias = int | tuple[int, ...]

_Make: TypeAlias = Callable[[], Layer]


#: Activations of one entry at a time, the plainest first, and those of several.
ENTRYWISE: tuple[_Make, ...] = (
    Sigmoid,
    Tanh,
    ReLU,
    LeakyReLU,
    ELU,
    SiLU,
    GELU,
    lambda: GELU("tanh"),
    Softplus,
    Identity,
)

NORMALIZED = (Softmax, LogSoftmax)

RECURRENT = (RNN, GRU, LSTM)

#: Convolution and pooling by the largest and by the mean, for samples of so many axes.
WINDOWED: dict[int, tuple[Any, Any, Any]] = {2: (Conv1D, MaxPool1D, AvgPool1D), 3: (Conv2D, MaxPool2D, AvgPool2D)}


def _as_shape(shape: Shape) -> tuple[int, ...]:
    sizes = (shape,) if is_integer(shape) else shape
    if not isinstance(sizes, tuple) or not 1 <= len(sizes) <= 3 or not all(is_integer(n) and n > 0 for n in sizes):
        raise ConfigError(
            "in_shape", "the number of features, or the shape of a sample of up to three axes", repr(shape)
        )
    return sizes


@st.composite
def layers(
    draw: st.DrawFn, in_shape: Shape, out_features: int | None = None, *, dtype: DTypeLike = np.float64
) -> Layer:
    """
    Draw a built-in layer that takes samples of a shape, and gives samples of the same shape.

    With `out_features`, the last axis has that length instead. Its gradient is that of its forward pass, which is the
    same each time, and samples do not depend on each other: `Dropout`, `BatchNorm` and `DeltaTrim` are not drawn.

    Parameters
    ----------
    in_shape : int or tuple of int
        How many features a sample has, or its shape: (features,), (steps, features) for sequences, which are
        (channels, length) for convolutions, or (channels, height, width).
    out_features : int, optional
    dtype : dtype
        That of the parameters.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(layers((4, 3)))
    ... def keeps_the_shape(layer):
    ...     assert layer.predict(np.ones((5, 4, 3))).shape == (5, 4, 3)
    >>> keeps_the_shape()
    """
    shape, seed = _as_shape(in_shape), draw(st.integers(0, 2**16))
    require_size_or_none("out_features", out_features)
    width = shape[-1] if out_features is None else out_features
    makers = _maps(shape, width, draw(st.booleans()), dtype, seed)
    if width == shape[-1]:
        inner: st.SearchStrategy[Layer] = layers(shape, dtype=dtype)
        composites: list[_Make] = [lambda: Residual(draw(inner)), lambda: Add([draw(inner), draw(inner)])]
        # Over a single entry, softmax is constant.
        activations = [*ENTRYWISE, *(NORMALIZED if width > 1 else ())]
        makers = draw(st.sampled_from([makers, activations, [*_same_shape(shape, dtype, seed), *composites]]))
    return shown_as(draw(st.sampled_from(makers))(), written_with_state)


@st.composite
def models(
    draw: st.DrawFn,
    in_shape: Shape,
    out_features: int | None = None,
    *,
    max_layers: int = 4,
    vocabulary: int | None = None,
    dtype: DTypeLike = np.float64,
) -> Sequential:
    """
    Draw a well-formed network: a chain of layers of any shapes, some of them nested, some standing in it twice.

    Its layers are those of `layers`, and such as change the shape. With `out_features`, its result has one axis of that
    length beside the samples.

    Parameters
    ----------
    in_shape : int or tuple of int
        As of `layers`.
    out_features : int, optional
    max_layers : int
        How many layers it has at most, without those that `out_features` and `vocabulary` make necessary.
    vocabulary : int, optional
        If given, its input is integers below this number, of shape `in_shape`, one or two axes; it begins with an
        `Embedding`.
    dtype : dtype
        That of the parameters.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(models(3, 1))
    ... def predicts_what_its_flat_form_does(model):
    ...     x = np.ones((2, 3))
    ...     np.testing.assert_array_equal(Sequential(list(model)).predict(x), model.predict(x))
    >>> predicts_what_its_flat_form_does()
    """
    shape = _as_shape(in_shape)
    require_size_or_none("out_features", out_features)
    require_size_or_none("vocabulary", vocabulary)
    if not is_integer(max_layers) or max_layers < 0:
        raise ConfigError("max_layers", "an integer of at least 0", shortened(max_layers))
    chain: list[Layer] = []
    count, seed = draw(st.integers(0, max_layers)), draw(st.integers(0, 2**16))
    if vocabulary is not None:
        chain.append(Embedding(vocabulary, draw(st.integers(1, 4)), dtype=dtype, rng=seed))
        shape = _as_shape((*shape, chain[0].embedding_dim))  # type: ignore[attr-defined]
    first = len(chain)
    for number in range(count):
        if len(shape) == 1 or draw(st.booleans()):
            layer = draw(layers(shape, None if draw(st.booleans()) else draw(st.integers(1, 4)), dtype=dtype))
        else:
            layer = draw(st.sampled_from(_other_shape(shape, dtype, seed + number)))()
        before, shape = shape, _after(layer, shape, dtype)
        chain.append(layer)
        if shape == before and draw(st.booleans()):  # Tied: the same object once more.
            chain.append(layer)
    if out_features is not None:
        if len(shape) > 1:
            chain.append(Flatten())
            shape = _after(chain[-1], shape, dtype)
        chain.append(draw(layers(shape, out_features, dtype=dtype)))
    start, stop = sorted(draw(st.tuples(st.integers(first, len(chain)), st.integers(first, len(chain)))))
    if draw(st.booleans()):
        chain[start:stop] = [Sequential(chain[start:stop])]
    return shown_as(Sequential(chain), written_with_state)


def _maps(shape: tuple[int, ...], width: int, bias: bool, dtype: DTypeLike, seed: int) -> list[_Make]:
    """List layers that map the last axis to another length."""
    features = shape[-1]
    found: list[_Make] = [lambda: Dense(features, width, bias, dtype=dtype, rng=seed)]
    if len(shape) == 1 and width > 1:
        halves = (width // 2, width - width // 2)
        found.append(
            lambda: Concat([Dense(features, half, bias, dtype=dtype, rng=seed + i) for i, half in enumerate(halves)])
        )
    if len(shape) == 2 and shape[0] > 1:  # After a single step, nothing recurs.
        found += [partial(kind, features, width, bias=bias, dtype=dtype, rng=seed) for kind in RECURRENT]
    return found


def _same_shape(shape: tuple[int, ...], dtype: DTypeLike, seed: int) -> list[_Make]:
    """List layers that are neither maps nor activations, and keep the shape."""
    features, channels, found = shape[-1], shape[0], list[_Make]()
    if features > 2:  # Two entries are normalized to 1 and -1, whatever they are.
        found += [lambda: LayerNorm(features, 0.1, dtype=dtype), lambda: RMSNorm(features, 0.1, dtype=dtype)]
    if len(shape) == 1:
        return found
    heads = next(n for n in (2, 3, 1) if features % n == 0)
    if len(shape) == 2:
        found.append(lambda: PositionalEncoding(features))
    if len(shape) == 2 and shape[0] > 1:  # A single step has nothing to attend to but itself.
        found += [
            lambda: MultiHeadAttention(features, heads, dtype=dtype, rng=seed),
            lambda: MultiHeadAttention(features, 1, causal=True, bias=False, dtype=dtype, rng=seed),
        ]
    convolution, largest, mean = WINDOWED[len(shape)]
    found += [
        lambda: convolution(channels, channels, 3, padding="same", dtype=dtype, rng=seed),
        lambda: convolution(channels, channels, 2, padding="same", groups=channels, dtype=dtype, rng=seed),
        lambda: largest(3, stride=1, padding=1),
        lambda: mean(3, stride=1, padding=1),
    ]
    if np.prod(shape) > 2:
        found.append(lambda: GroupNorm(1, channels, 0.1, dtype=dtype))
    return found


def _other_shape(shape: tuple[int, ...], dtype: DTypeLike, seed: int) -> list[_Make]:
    """List layers that change the shape of samples of several axes."""
    axes, channels, features = len(shape), shape[0], shape[-1]
    convolution, largest, mean = WINDOWED[axes]
    least = min(2, *shape[1:])
    found: list[_Make] = [
        lambda: Transpose(tuple(range(axes, 0, -1))),
        Flatten,
        lambda: Reshape((-1, channels)),
        GlobalAvgPool,
        lambda: convolution(channels, 2, least, dtype=dtype, rng=seed),
        lambda: convolution(channels, 3, 3, stride=2, padding=1, bias=False, dtype=dtype, rng=seed),
        lambda: convolution(channels, 2, 2, padding=2, dilation=2, dtype=dtype, rng=seed),
        lambda: largest(least),
        lambda: mean(least),
        lambda: Concat([Identity(), Tanh()], axis=1),
    ]
    if axes == 2 and channels > 1:
        found += [partial(kind, features, 2, return_sequences=False, dtype=dtype, rng=seed) for kind in RECURRENT]
    return found


def _after(layer: Layer, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[int, ...]:
    """Compute the shape of what a layer makes of a sample."""
    x: Array = np.zeros((1, *shape), dtype)
    after: tuple[int, ...] = layer.predict(x).shape[1:]
    return after
