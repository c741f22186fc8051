"""Vectors for tokens, and for the positions that they stand at."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import DTypeLike

from minibackprop.arrays import kind_of
from minibackprop.core import Layer
from minibackprop.errors import ConfigError, DTypeError, ShapeError, describe
from minibackprop.initializers import Init, Normal, initial_parameter
from minibackprop.rng import Rng
from minibackprop.state import Parameter
from minibackprop.validation import Array, as_float, is_positive, is_size, require_gradient, require_numbers


@define(eq=False, slots=False, repr=False, init=False)
class Embedding(Layer):
    """
    A vector for each token of a vocabulary: ``y = W[x]``, a row of W for every integer of x.

    It is a `Dense` layer without bias whose input is one-hot, with the product left out. Backward: ``dL/dW[k]`` is the
    sum of dL/dy over all places where x is k. There is no gradient with respect to integers: `backward` returns None.

    From Y. Bengio, R. Ducharme, P. Vincent and C. Jauvin, "A Neural Probabilistic Language Model", 2003.

    Parameters
    ----------
    num_embeddings : int
        How many tokens there are: x holds integers from 0 to ``num_embeddings - 1``, and may have any shape.
    embedding_dim : int
        The length of the vectors: an x of shape (...) gives a y of shape (..., embedding_dim).
    init : callable
        Makes the initial W from ``(shape, rng)``; see `Initializer`.
    dtype : dtype
        float64, float32 or a wider floating-point one.
    rng : Generator, RandomState, int or None
        What `init` draws from.

    Attributes
    ----------
    weight : Parameter
        W, of shape (num_embeddings, embedding_dim).

    Raises
    ------
    ConfigError
        If an argument is out of its range, or what `init` makes is not of the shape it was asked for. In a call, if an
        entry of the input is not a token of the vocabulary; a negative one never is.
    DTypeError
        If the input is not an array of integers.

    Examples
    --------
    >>> embedding = Embedding(3, 2, init=lambda shape, rng: np.arange(6.0).reshape(shape))
    >>> y, cache = embedding.forward(np.array([[2, 0, 2]]))
    >>> y
    array([[[4., 5.],
            [0., 1.],
            [4., 5.]]])
    >>> embedding.backward(np.ones((1, 3, 2)), cache)
    >>> embedding.weight.grad
    array([[1., 1.],
           [0., 0.],
           [2., 2.]])
    """

    leading_axes = True
    integer_input = True

    num_embeddings: int = field(validator=is_size)
    embedding_dim: int = field(validator=is_size)
    weight: Parameter = field(init=False)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        init: Init = Normal(),
        dtype: DTypeLike = np.float64,
        rng: Rng = None,
    ) -> None:
        self.__attrs_init__(num_embeddings, embedding_dim)
        self.weight = initial_parameter("Embedding", init, (num_embeddings, embedding_dim), dtype, rng)

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        """Compute y; x itself is the cache."""
        return self.predict(x), x

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        try:
            rows = x.astype(np.intp) if x.dtype.kind == "u" else x  # NumPy 2.0 takes no uint64.
            y: Array = np.take(self.weight.value, rows, axis=0)
            if x.dtype.kind not in "iu" or (x.size and self._wraps_around(rows)):
                self._require_tokens(x)
        except Exception as error:
            self._require_tokens(x, error)
            raise
        return y

    def backward(self, grad: Array, x: Array, /) -> None:
        """Add to the gradient of W."""
        require_gradient(self, grad, (*x.shape, self.embedding_dim))
        if grad.dtype.kind != "f":
            raise DTypeError("Embedding", "a gradient of floating-point numbers", describe(grad))
        if self.weight.frozen:
            return
        dw = np.zeros(self.weight.value.size, grad.dtype, like=grad)
        # Entry by entry, which ufunc.at does many times faster than row by row.
        rows = x.reshape(-1, 1).astype(np.intp) * self.embedding_dim
        np.add.at(dw, (rows + np.arange(self.embedding_dim, like=rows)).ravel(), grad.ravel())
        self.weight.add(dw.reshape(self.weight.value.shape))

    def _wraps_around(self, x: Any) -> bool:
        """Tell whether an index is taken as counted from the end; or, by a GPU's array, from the start once more."""
        if kind_of(x) is np.ndarray:
            return bool(x.min() < 0)
        return bool(((x < 0) | (x >= self.num_embeddings)).any())

    def _require_tokens(self, x: Array, cause: Exception | None = None) -> None:
        if getattr(getattr(x, "dtype", None), "kind", "") not in tuple("iu"):
            raise DTypeError("Embedding", "an array of integers", describe(x)) from cause
        wrong = np.argwhere((x < 0) | (x >= self.num_embeddings))
        if len(wrong):
            place = tuple(map(int, wrong[0]))
            expected = f"tokens from 0 to {self.num_embeddings - 1}"
            raise ConfigError("Embedding", expected, f"{x[place]} at index {place}") from cause


@define(eq=False, slots=False, repr=False)
class PositionalEncoding(Layer):
    """
    Adds to each step of a sequence a vector that tells its position: sines and cosines of many wavelengths.

    ``y[:, t, 2 * i] = x[:, t, 2 * i] + sin(t * w[i])`` and ``y[:, t, 2 * i + 1] = x[:, t, 2 * i + 1] + cos(t * w[i])``
    with ``w[i] = base ** (-2 * i / features)``; where `features` is odd, the last sine is without its cosine. Sequences
    may have any length. Backward: ``dL/dx`` is dL/dy.

    From A. Vaswani et al., "Attention Is All You Need", 2017.

    Parameters
    ----------
    features : int
        The length of the last axis of the input, which has shape (N, T, features).
    base : float
        The longest wavelength is nearly ``2 * pi * base`` steps.

    Raises
    ------
    ConfigError
        If an argument is out of its range.
    ShapeError
        In a call, if the input has another shape.
    DTypeError
        If the input is complex.

    Examples
    --------
    >>> PositionalEncoding(4).predict(np.zeros((1, 3, 4))).round(3)
    array([[[ 0.   ,  1.   ,  0.   ,  1.   ],
            [ 0.841,  0.54 ,  0.01 ,  1.   ],
            [ 0.909, -0.416,  0.02 ,  1.   ]]])
    """

    features: int = field(validator=is_size)
    base: float = field(default=10_000.0, converter=as_float, validator=is_positive)

    def forward(self, x: Array, /) -> tuple[Array, tuple[int, ...]]:
        """Compute y; the cache is its shape."""
        y = self.predict(x)
        return y, y.shape

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        require_numbers("PositionalEncoding", x)
        if x.ndim != 3 or x.shape[2] != self.features:
            raise ShapeError("PositionalEncoding", f"(N, T, {self.features})", str(x.shape))
        steps, dtype = x.shape[1], np.result_type(x.dtype, np.float32)
        # Of a few lengths only, so that a text that grows letter by letter does not need a new table each time.
        table = _sines_and_cosines(1 << steps.bit_length(), self.features, self.base, dtype)
        y: Array = x + np.asarray(table[:steps], like=x)
        return y

    def backward(self, grad: Array, shape: tuple[int, ...], /) -> Array:
        """Return dL/dx, which is `grad`."""
        require_gradient(self, grad, shape)
        return grad


@lru_cache(maxsize=8)
def _sines_and_cosines(steps: int, features: int, base: float, dtype: np.dtype[Any]) -> Array:
    """Compute what is added, once for all layers; nobody may write to it."""
    angles = np.outer(np.arange(steps), base ** (np.arange(0, features, 2) / -features))
    table = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(steps, -1)[:, :features].astype(dtype)
    table.flags.writeable = False
    return table
