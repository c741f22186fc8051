"""Hypothesis strategies: batches that are hard on a layer, and parameters.

Hypothesis chooses the structure of a batch (its size, the kind of its entries, its layout in memory) and a seed; the
entries follow from these. That is fast, and it shrinks to small batches of plain numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from minibackprop.errors import ConfigError
from minibackprop.state import Parameter
from minibackprop.testing.code import shown_as, written
from minibackprop.validation import Array, as_float_dtype, as_tuple, is_integer, shortened

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

Random = np.random.Generator


#: How the entries of a batch may be drawn, the plainest first.
ENTRIES: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "plain": lambda rng, shape: rng.normal(size=shape).round(2),
    "ties": lambda rng, shape: rng.integers(-2, 3, shape) * rng.choice([0.5, 1.0, 1.0, 1.0]),
    "zeros": lambda rng, shape: rng.normal(size=shape).round(2) * (rng.random(shape) < 0.6),
    "mixed": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.integers(-3, 2, shape),
    "medium": lambda rng, shape: (rng.choice([-1.0, 1.0], shape) * 10.0 ** rng.uniform(0, 2.5, shape)).round(1),
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


#: How each of them is written as Python.
_WRITTEN = {
    "C": "{entries}",
    "Fortran": "np.asfortranarray({entries})",
    "strided": "np.repeat({entries}, 2, axis=-1)[..., ::2]",
    "reversed": "np.flip(np.flip({entries}).copy())",
    "broadcast": "np.broadcast_to({first}, {shape})",
    "read-only": "np.broadcast_to({entries}, {shape})",
}


def _written(layout: str, x: Array) -> str:
    return _WRITTEN[layout].format(entries=written(x), first=written(x[:1]), shape=x.shape)


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
        Any of "plain" (normal, two decimals), "ties" (integers up to 2, or halves of them), "zeros" (many exact zeros),
        "mixed" (magnitudes from 1e-3 to 10), "medium" (from 1 to 300), "one large", "tiny" (below 1e-3), "all zeros",
        "huge" (up to 1e3).
    layouts : sequence of str
        Any of "C", "Fortran", "strided", "reversed", "broadcast" (stride 0: all rows are equal), "read-only".
    dtype : dtype
        What the entries are cast to.

    Raises
    ------
    ConfigError
        If `shape` is not a tuple of integers of at least 0, the sizes are not in order, there is no kind of entries or
        layouts of a name, or `dtype` is none of numbers.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(batches((3,), min_size=1))
    ... def softmax_sums_to_one(x):
    ...     shifted = np.exp(x - x.max(axis=1, keepdims=True))
    ...     np.testing.assert_allclose((shifted / shifted.sum(axis=1, keepdims=True)).sum(axis=1), 1)
    >>> softmax_sums_to_one()
    """
    _require_shape("batches: shape", shape, "a tuple of integers of at least 0, the shape of one sample")
    if not (is_integer(min_size) and is_integer(max_size) and 0 <= min_size <= max_size):
        raise ConfigError("batches", "integers 0 <= min_size <= max_size", f"{min_size=} and {max_size=}")
    for what, names, known in (("entries", entries, ENTRIES), ("layouts", layouts, LAYOUTS)):
        chosen = () if isinstance(names, str) else as_tuple(names)
        if not isinstance(chosen, tuple) or not chosen or not all(isinstance(n, str) and n in known for n in chosen):
            raise ConfigError(f"batches: {what}", f"some of {list(known)}", shortened(names))
    try:
        kind = np.dtype(dtype).kind
    except (TypeError, ValueError) as error:
        raise ConfigError("batches: dtype", "a dtype of numbers", shortened(dtype)) from error
    if kind not in "fiubc":
        raise ConfigError("batches: dtype", "a dtype of numbers", shortened(dtype))

    kinds, ways = st.sampled_from(tuple(entries)), st.sampled_from(tuple(layouts))
    return _batch(shape, st.integers(min_size, max_size), kinds, ways, dtype)


@st.composite
def _batch(
    draw: st.DrawFn,
    shape: tuple[int, ...],
    sizes: st.SearchStrategy[int],
    entries: st.SearchStrategy[str],
    layouts: st.SearchStrategy[str],
    dtype: DTypeLike,
) -> Array:
    size, kind, layout, seed = draw(sizes), draw(entries), draw(layouts), draw(st.integers(0, 2**16))
    x = ENTRIES[kind](np.random.default_rng(seed), (size, *shape))
    return shown_as(LAYOUTS[layout](x.astype(dtype)), partial(_written, layout))


@st.composite
def parameters(draw: st.DrawFn, shape: tuple[int, ...], *, dtype: DTypeLike = np.float64) -> Parameter:
    """
    Draw parameters of one shape, with entries of order one.

    Raises
    ------
    ConfigError
        If `shape` is not a tuple of integers of at least 0, or `dtype` not a floating-point one.

    Examples
    --------
    >>> from hypothesis import given
    >>> @given(parameters((2, 3)))
    ... def starts_without_gradient(parameter):
    ...     assert parameter.value.shape == (2, 3) and parameter.grad is None
    >>> starts_without_gradient()
    """
    _require_shape("parameters: shape", shape, "a tuple of integers of at least 0")
    dtype = as_float_dtype("parameters: dtype", dtype)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    parameter = Parameter(rng.normal(size=shape).round(2).astype(dtype))
    return shown_as(parameter, lambda drawn: f"Parameter({written(drawn.value)})")


def _require_shape(subject: str, shape: object, expected: str) -> None:
    if not isinstance(shape, tuple) or not all(is_integer(size) and size >= 0 for size in shape):
        raise ConfigError(subject, expected, shortened(shape))
