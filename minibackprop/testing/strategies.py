"""Hypothesis strategies: batches that are hard on a layer, parameters, layers, and whole random networks.

Hypothesis chooses the structure of a batch (its size, the kind of its entries, its layout in memory) and a seed; the
entries follow from these. That is fast, and it shrinks to small batches of plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from minibackprop.core import Array, ConfigError, Layer, Parameter, Sequential
from minibackprop.layers.activations import ELU, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from minibackprop.layers.dense import Dense
from minibackprop.layers.softmax import LogSoftmax, Softmax
from minibackprop.validation import is_integer

Random = np.random.Generator

#: How the entries of a batch may be drawn, the plainest first.
ENTRIES: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "plain": lambda rng, shape: rng.normal(size=shape).round(2),
    "ties": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "zeros": lambda rng, shape: rng.normal(size=shape).round(2) * (rng.random(shape) < 0.6),
    "mixed": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.integers(-3, 2, shape),
    "one large": lambda rng, shape: rng.normal(size=shape) + 30 * (rng.random(shape) < 0.1),
    "tiny": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.integers(-9, -3),
    "all zeros": lambda rng, shape: np.zeros(shape),  # noqa: ARG005
    "huge": lambda rng, shape: rng.uniform(-1, 1, shape) * 10.0 ** rng.integers(2, 4),
}


def _strided(x: Array) -> Array:
    wide = np.repeat(x, 2, axis=-1) if x.ndim else x
    return wide[..., ::2] if x.ndim else wide


def _reversed(x: Array) -> Array:
    return np.flip(np.flip(x).copy())


def _broadcast(x: Array) -> Array:
    return np.broadcast_to(x[:1], x.shape)


def _read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


#: Layouts in memory that a batch may come in. The entries stay the same, except for "broadcast": all rows the first.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": _strided,
    "reversed": _reversed,
    "broadcast": _broadcast,
    "read-only": _read_only,
}


def batches(
    shape: tuple[int, ...],
    *,
    min_size: int = 0,
    max_size: int = 4,
    entries: Sequence[str] = tuple(ENTRIES),
    layouts: Sequence[str] = tuple(LAYOUTS),
    dtype: DTypeLike = np.float64,
) -> st.SearchStrategy[Array]:
    """
    Draw batches of samples of one shape.

    Parameters
    ----------
    shape : tuple of int
        The shape of one sample; a batch has one axis more, in front.
    min_size, max_size : int
        How many samples a batch may have.
    entries : sequence of str
        Any of "plain" (normal, two decimals), "ties" (small integers), "zeros" (many exact zeros), "mixed" (magnitudes
        from 1e-3 to 10), "one large", "tiny" (below 1e-3), "all zeros", "huge" (up to 1e3).
    layouts : sequence of str
        Any of "C", "Fortran", "strided", "reversed", "broadcast" (stride 0: all rows are equal), "read-only".
    dtype : dtype
        What the entries are cast to.

    Raises
    ------
    ConfigError
        If `shape` is no tuple of integers of at least 0, or the sizes are not in order.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(batches((3,), min_size=1))
    ... def softmax_sums_to_one(x):
    ...     shifted = np.exp(x - x.max(axis=1, keepdims=True))
    ...     np.testing.assert_allclose((shifted / shifted.sum(axis=1, keepdims=True)).sum(axis=1), 1)
    >>> softmax_sums_to_one()
    """
    if not isinstance(shape, tuple) or not all(is_integer(size) and size >= 0 for size in shape):
        raise ConfigError("batches: shape", "a tuple of integers of at least 0, the shape of one sample", repr(shape))
    if not (is_integer(min_size) and is_integer(max_size) and 0 <= min_size <= max_size):
        raise ConfigError("batches", "integers 0 <= min_size <= max_size", f"{min_size=} and {max_size=}")
    for what, names, known in (("entries", entries, ENTRIES), ("layouts", layouts, LAYOUTS)):
        if isinstance(names, str) or not names or not set(names) <= known.keys():
            raise ConfigError(f"batches: {what}", f"some of {list(known)}", repr(names))

    def batch(size: int, kind: str, layout: str, seed: int) -> Array:
        x = ENTRIES[kind](np.random.default_rng(seed), (size, *shape))
        return LAYOUTS[layout](x.astype(dtype))

    return st.builds(
        batch,
        st.integers(min_size, max_size),
        st.sampled_from(entries),
        st.sampled_from(layouts),
        st.integers(0, 2**16),
    )


@st.composite
def parameters(draw: st.DrawFn, shape: tuple[int, ...], *, dtype: DTypeLike = np.float64) -> Parameter:
    """
    Draw parameters of one shape, with entries of order one.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(parameters((2, 3)))
    ... def starts_without_gradient(parameter):
    ...     assert parameter.value.shape == (2, 3) and parameter.grad is None
    >>> starts_without_gradient()
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return Parameter(rng.normal(size=shape).round(2).astype(dtype))


#: Activations of one entry at a time, the plainest first, and those of several.
ENTRYWISE: tuple[Callable[[], Layer], ...] = (
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


@st.composite
def layers(
    draw: st.DrawFn, in_features: int, out_features: int | None = None, *, dtype: DTypeLike = np.float64
) -> Layer:
    """
    Draw a built-in layer that takes (N, in_features) and gives (N, out_features); the same width by default.

    It is an activation or a `Dense`: its gradient is that of its forward pass, which is the same each time.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(layers(3, 2))
    ... def has_two_outputs(layer):
    ...     assert layer.predict(np.ones((5, 3))).shape == (5, 2)
    >>> has_two_outputs()
    """
    width = in_features if out_features is None else out_features
    if width == in_features and draw(st.booleans()):
        # Over a single entry, softmax is constant.
        return draw(st.sampled_from(ENTRYWISE if width == 1 else ENTRYWISE + NORMALIZED))()
    return Dense(in_features, width, bias=draw(st.booleans()), dtype=dtype, rng=draw(st.integers(0, 2**16)))


@st.composite
def models(
    draw: st.DrawFn,
    in_features: int,
    out_features: int | None = None,
    *,
    max_layers: int = 4,
    dtype: DTypeLike = np.float64,
) -> Sequential:
    """
    Draw a well-formed network: a chain of layers of any widths, some of them nested, some standing in it twice.

    Its layers are those of `layers`.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(models(3, 1))
    ... def predicts_what_its_flat_form_does(model):
    ...     x = np.ones((2, 3))
    ...     np.testing.assert_array_equal(Sequential(list(model)).predict(x), model.predict(x))
    >>> predicts_what_its_flat_form_does()
    """
    count = draw(st.integers(0, max_layers))
    if out_features is None and count == 0:
        return Sequential()
    widths = [in_features, *draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))]
    if out_features is not None:
        widths.append(out_features)
    chain: list[Layer] = []
    for here, there in pairwise(widths):
        layer = draw(layers(here, there, dtype=dtype))
        chain.append(layer)
        if here == there and draw(st.booleans()):  # Tied: the same object once more.
            chain.append(layer)
    start, stop = sorted(draw(st.tuples(st.integers(0, len(chain)), st.integers(0, len(chain)))))
    if draw(st.booleans()):
        chain[start:stop] = [Sequential(chain[start:stop])]
    return Sequential(chain)
