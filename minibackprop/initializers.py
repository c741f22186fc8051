"""Initial values of weights: small objects, called with a shape and a source of random numbers.

All of them draw in float64, so that the draws do not depend on the dtype of the layer, which casts the result.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any, TypeAlias, TypeVar

import numpy as np
from attrs import field, frozen
from numpy.typing import DTypeLike

from minibackprop.errors import ConfigError, ShapeError, describe
from minibackprop.rng import Rng, as_generator
from minibackprop.state import Buffer, Parameter
from minibackprop.validation import (
    Array,
    as_float,
    as_float_dtype,
    as_tuple,
    is_finite,
    is_integer,
    is_not_negative,
    is_positive,
    shortened,
)

_Kind = TypeVar("_Kind", bound=Buffer)


class Initializer(ABC):
    """
    What makes the initial values of a weight array; any callable of this signature serves as one.

    Raises
    ------
    ConfigError
        By the built-in ones, when called: if `shape` is not a tuple of integers of at least 0, or `rng` no source of
        random numbers.
    """

    @abstractmethod
    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Make a float64 array of `shape`."""


#: What makes initial values from a shape and a source of random numbers: an `Initializer`, or any such callable.
Init: TypeAlias = Callable[[tuple[int, ...], Rng], Array]


def as_shape(subject: str, shape: Any) -> tuple[int, ...]:
    """
    Give a shape as a tuple, and require that it is one: integers of at least 0, of an array that memory could hold.

    Examples
    --------
    >>> as_shape("Zeros", 3), as_shape("Zeros", [2, 3])
    ((3,), (2, 3))
    """
    sizes = as_tuple((shape,) if is_integer(shape) else shape)
    if not isinstance(sizes, tuple) or not all(is_integer(size) and size >= 0 for size in sizes):
        raise ConfigError(subject, "a shape, a tuple of integers of at least 0", shortened(shape))
    if prod(max(size, 1) for size in sizes) * 8 > sys.maxsize or len(sizes) > 64:
        raise ConfigError(subject, "a shape of an array that memory can hold", shortened(shape))
    return sizes


def initial_values(
    subject: str, init: Init, shape: tuple[int, ...], dtype: DTypeLike, rng: Rng = None, argument: str = "init"
) -> Array:
    """
    Make the values that an array of a layer starts with: all of a layer's arrays are made here.

    Parameters
    ----------
    subject : str
        The layer, for errors.
    init : callable
        What the layer's argument is.
    shape : tuple of int
    dtype : dtype
        As the layer's user gives it.
    rng : Generator, RandomState, int or None
        What `init` draws from.
    argument : str
        The name of the layer's argument.

    Raises
    ------
    ConfigError
        If `dtype` is not a floating-point one of at least 32 bits, `init` cannot be called, or makes anything but an
        array of finite numbers, of that shape.

    Examples
    --------
    >>> initial_values("Dense", Constant(0.5), (2,), np.float32)
    array([0.5, 0.5], dtype=float32)
    """
    dtype = as_float_dtype(f"{subject}: dtype", dtype)
    if (placeholder := _PLACEHOLDER.get()) is not None:
        return placeholder(shape, dtype)
    if not callable(init) or isinstance(init, type):
        expected = "a callable of (shape, rng), such as GlorotUniform()"
        raise ConfigError(f"{subject}: {argument}", expected, describe(init))
    values = init(as_shape(subject, shape), as_generator(rng))
    if getattr(values, "shape", None) != shape or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        expected = f"to make an array of finite numbers, of shape {shape}"
        raise ConfigError(f"{subject}: {argument}", expected, describe(values))
    return values.astype(dtype)


def initial_parameter(
    subject: str, init: Init, shape: tuple[int, ...], dtype: DTypeLike, rng: Rng = None, argument: str = "init"
) -> Parameter:
    """Make a parameter of `initial_values`."""
    return _holding(Parameter, initial_values(subject, init, shape, dtype, rng, argument))


def initial_buffer(subject: str, init: Init, shape: tuple[int, ...], dtype: DTypeLike) -> Buffer:
    """Make a buffer of `initial_values`."""
    return _holding(Buffer, initial_values(subject, init, shape, dtype))


def _holding(kind: type[_Kind], values: Array) -> _Kind:
    """Put an array that nobody else has into a parameter or buffer, which would copy it if it were handed in."""
    made = kind(np.empty(0, values.dtype))
    made.value = values
    return made


#: While a model is loaded: what makes the arrays of layers, from shape and dtype, until those of the file take their
#: place.
_PLACEHOLDER: ContextVar[Callable[[tuple[int, ...], np.dtype[Any]], Array] | None] = ContextVar(
    "placeholder", default=None
)


@contextmanager
def placeholders(make: Callable[[tuple[int, ...], np.dtype[Any]], Array]) -> Iterator[None]:
    """Have `make` make what layers hold at first, in place of their initializers."""
    token = _PLACEHOLDER.set(make)
    try:
        yield
    finally:
        _PLACEHOLDER.reset(token)


@frozen(init=False)  # That of `object` names the class where somebody hands in an argument.
class _WithoutSettings(Initializer):
    """An initializer that has nothing to set: any two of a kind are equal."""


class Zeros(_WithoutSettings):
    """
    All zeros, as is usual for biases.

    Weights should not start so: units that start equal stay equal.

    Examples
    --------
    >>> Zeros()((2, 3))
    array([[0., 0., 0.],
           [0., 0., 0.]])
    """

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Make zeros; `rng` is not used."""
        return np.zeros(as_shape("Zeros", shape))


@frozen
class Constant(Initializer):
    """
    The same number everywhere.

    Parameters
    ----------
    value : float

    Raises
    ------
    ConfigError
        If `value` is no finite number.

    Examples
    --------
    >>> Constant(0.5)((3,))
    array([0.5, 0.5, 0.5])
    """

    value: float = field(converter=as_float, validator=is_finite)

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Fill an array of `shape`; `rng` is not used."""
        return np.full(as_shape("Constant", shape), self.value)


@frozen
class Uniform(Initializer):
    """
    Draws from the uniform distribution over [low, high).

    ``Uniform(-1, 1)`` is the article's ``2 * u - 1``, to the bit.

    Parameters
    ----------
    low, high : float

    Raises
    ------
    ConfigError
        If one is not finite, or `low` is above `high`.

    Examples
    --------
    >>> Uniform(-1, 1)((3, 1), np.random.RandomState(1))
    array([[-0.16595599],
           [ 0.44064899],
           [-0.99977125]])
    """

    low: float = field(converter=as_float, default=-1.0, validator=is_finite)
    high: float = field(converter=as_float, default=1.0, validator=is_finite)

    @high.validator
    def _is_above_low(self, attribute: Any, value: float) -> None:
        if self.low > value:
            raise ConfigError("Uniform: high", f"at least low = {self.low:g}", f"{value:g}")

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        return as_generator(rng).uniform(self.low, self.high, as_shape("Uniform", shape))


@frozen
class Normal(Initializer):
    """
    Draws from the normal distribution.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation.

    Raises
    ------
    ConfigError
        If one is not finite, or `std` is below 0.

    Examples
    --------
    >>> Normal(5, 0)((2, 2))
    array([[5., 5.],
           [5., 5.]])
    """

    mean: float = field(converter=as_float, default=0.0, validator=is_finite)
    std: float = field(converter=as_float, default=1.0, validator=is_not_negative)

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        return as_generator(rng).normal(self.mean, self.std, as_shape("Normal", shape))


def fans(subject: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """
    Count how many inputs an entry of the output sums over, and how many outputs an entry of the input goes into.

    A shape of two axes is (fan_in, fan_out), as the weights of `Dense` have it. One of more axes is that of the kernels
    of a convolution, ``(out_channels, in_channels, *kernel)``: the channels times the size of the kernel.

    Raises
    ------
    ConfigError
        If it is no shape.
    ShapeError
        If it has fewer axes, or one of length 0.

    Examples
    --------
    >>> fans("weights", (3, 4)), fans("kernels", (16, 8, 5, 5))
    ((3, 4), (200, 400))
    """
    shape = as_shape(subject, shape)
    if len(shape) < 2 or 0 in shape:
        raise ShapeError(subject, "a shape (fan_in, fan_out) or (out_channels, in_channels, *kernel)", str(shape))
    if len(shape) == 2:
        return shape
    outputs, inputs, *kernel = shape
    return inputs * prod(kernel), outputs * prod(kernel)


class GlorotUniform(_WithoutSettings):
    """
    Draws from the uniform distribution over [-a, a), a = sqrt(6 / (fan_in + fan_out)).

    Keeps the variance of activations and of gradients alike from layer to layer, where the activation is near to
    the identity around 0 (X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010). The shape is (fan_in, fan_out), or ``(out_channels, in_channels, *kernel)``.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or one of length 0.

    Examples
    --------
    >>> bool(np.all(np.abs(GlorotUniform()((4, 2), 0)) <= 1))
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        limit = (6 / sum(fans("GlorotUniform", shape))) ** 0.5
        return as_generator(rng).uniform(-limit, limit, shape)


class GlorotNormal(_WithoutSettings):
    """
    Draws from the normal distribution with mean 0 and variance 2 / (fan_in + fan_out).

    As `GlorotUniform`, whose variance this is.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or one of length 0.

    Examples
    --------
    >>> GlorotNormal()((4, 2), 0).shape
    (4, 2)
    """

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        return as_generator(rng).normal(0, (2 / sum(fans("GlorotNormal", shape))) ** 0.5, shape)


class HeUniform(_WithoutSettings):
    """
    Draws from the uniform distribution over [-a, a), a = sqrt(6 / fan_in).

    Keeps the variance of activations from layer to layer, where the activation is `ReLU` (K. He, X. Zhang, S. Ren and
    J. Sun, "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification", 2015). The
    shape is (fan_in, fan_out), or ``(out_channels, in_channels, *kernel)``.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or one of length 0.

    Examples
    --------
    >>> bool(np.all(np.abs(HeUniform()((6, 2), 0)) <= 1))
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        limit = (6 / fans("HeUniform", shape)[0]) ** 0.5
        return as_generator(rng).uniform(-limit, limit, shape)


class HeNormal(_WithoutSettings):
    """
    Draws from the normal distribution with mean 0 and variance 2 / fan_in.

    As `HeUniform`, whose variance this is.

    Raises
    ------
    ShapeError
        If the shape has fewer than two axes, or one of length 0.

    Examples
    --------
    >>> HeNormal()((6, 2), 0).shape
    (6, 2)
    """

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        return as_generator(rng).normal(0, (2 / fans("HeNormal", shape)[0]) ** 0.5, shape)


@frozen
class Orthogonal(Initializer):
    """
    Draws a matrix with orthogonal columns of length `gain`, or rows if it is wide; all such are equally likely.

    A square one of gain 1 changes no lengths, however many follow each other (A. Saxe, J. McClelland and S. Ganguli,
    "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", 2013). It is the Q of a QR
    decomposition of normal numbers, with the signs that make the diagonal of R positive: else some would be likelier
    (F. Mezzadri, "How to generate random matrices from the classical compact groups", 2007). Of more than two axes, all
    but the first count as one.

    Parameters
    ----------
    gain : float

    Raises
    ------
    ConfigError
        If `gain` is no positive finite number.
    ShapeError
        If the shape has fewer than two axes, or one of length 0.

    Examples
    --------
    >>> q = Orthogonal()((4, 2), 0)
    >>> np.allclose(q.T @ q, np.eye(2))
    True
    """

    gain: float = field(converter=as_float, default=1.0, validator=is_positive)

    def __call__(self, shape: tuple[int, ...], rng: Rng = None, /) -> Array:
        """Draw an array of `shape`."""
        fans("Orthogonal", shape := as_shape("Orthogonal", shape))
        rows, columns = shape[0], prod(shape[1:])
        q, r = np.linalg.qr(as_generator(rng).normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.copysign(self.gain, np.diagonal(r))
        return np.ascontiguousarray(q if rows >= columns else q.T).reshape(shape)
