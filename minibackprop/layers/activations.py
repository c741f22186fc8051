"""Activations: functions of one entry at a time, without parameters."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
from attrs import define, field

from minibackprop.core import Layer
from minibackprop.errors import ShapeError
from minibackprop.numerics.error_state import quiet
from minibackprop.numerics.functions import normal, sigmoid, softplus
from minibackprop.validation import (
    Array,
    as_float,
    is_from_0_to_1,
    is_one_of,
    is_positive,
    require_gradient,
    require_numbers,
)

#: Above so many entries, booleans, which have to be cast but take little memory, are multiplied by faster than signs.
_MANY = 2**13


@define(eq=False, slots=False, repr=False, init=False)
class Activation(Layer):
    """
    The base of layers without parameters, whose output has the shape of the input.

    A subclass says in `_forward` what y is, and in `_backward` how a gradient goes back. Integers come to it as
    float64, and in `_forward`, overflow and underflow raise no warning: they may be part of a formula.

    Raises
    ------
    ShapeError
        If the input does not have an axis of samples.
    """

    leading_axes = True

    @abstractmethod
    def _forward(self, x: Array) -> tuple[Array, Array]:
        """Compute y, and an array of its shape for `_backward`: y itself where the slope follows from it."""

    def _backward(self, grad: Array, slope: Array, /) -> Array:
        """Compute dL/dx, by default for a cache that is the slope."""
        return grad * slope

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        """Compute y and the cache."""
        try:
            if x.dtype.kind != "f":
                require_numbers(type(self).__name__, x)
                x = x * 1.0
            if not x.ndim:
                raise ShapeError(type(self).__name__, "at least an axis of samples", str(x.shape))
            return quiet().run(self._forward, x)
        except Exception as error:
            require_numbers(type(self).__name__, x, error)
            raise

    def predict(self, x: Array, /) -> Array:
        """Compute y."""
        # Not self.forward, which may be that of a subclass that takes this predict on purpose.
        return Activation.forward(self, x)[0]

    def backward(self, grad: Array, cache: Array, /) -> Array:
        """Return dL/dx."""
        # As a rule, one dtype and one shape: two comparisons, which is all that a batch of a few numbers has time for.
        if getattr(grad, "dtype", None) is not cache.dtype or grad.shape != cache.shape:
            require_gradient(self, grad, cache.shape)
            if cache.dtype.kind == "f":
                # As a product would have it; in place, the wider one would be rounded to the narrower.
                dtype = np.promote_types(grad.dtype, cache.dtype)
                grad, cache = grad.astype(dtype, copy=False), cache.astype(dtype, copy=False)
        return self._backward(grad, cache)


class Sigmoid(Activation):
    """
    The logistic function of each entry: ``y = 1 / (1 + exp(-x))``.

    Backward takes the slope from the output alone, as the article does: ``dL/dx = dL/dy * y * (1 - y)``. The limits 0
    and 1 are exact, for any finite input.

    Examples
    --------
    >>> y, cache = Sigmoid().forward(np.array([[-1000.0, 0.0, 1000.0]]))
    >>> y
    array([[0. , 0.5, 1. ]])
    >>> Sigmoid().backward(np.ones((1, 3)), cache)
    array([[0.  , 0.25, 0.  ]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = sigmoid(x)
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        delta = grad * y
        delta *= 1.0 - y
        return delta


class Tanh(Activation):
    """
    The hyperbolic tangent of each entry: ``y = tanh(x)``, from -1 to 1.

    Backward: ``dL/dx = dL/dy * (1 - y**2)``.

    Examples
    --------
    >>> y, cache = Tanh().forward(np.array([[-1000.0, 0.0, 0.5]]))
    >>> y.round(6)
    array([[-1.      ,  0.      ,  0.462117]])
    >>> Tanh().backward(np.ones((1, 3)), cache).round(6)
    array([[0.      , 1.      , 0.786448]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = np.tanh(x)
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        back = y * y
        np.subtract(1.0, back, out=back)
        back *= grad
        return back


class ReLU(Activation):
    """
    The rectified linear unit of each entry: ``y = max(x, 0)``.

    Backward: ``dL/dx`` is dL/dy where x > 0, else 0, also at the kink, x = 0.

    From V. Nair and G. Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.

    Examples
    --------
    >>> y, cache = ReLU().forward(np.array([[-2.0, 0.0, 3.0]]))
    >>> y
    array([[0., 0., 3.]])
    >>> ReLU().backward(np.ones((1, 3)), cache)
    array([[0., 0., 1.]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = np.maximum(x, 0.0)
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        if y.size > _MANY:
            back: Array = grad * (y != 0)
            return back
        back = np.sign(y)
        back *= grad
        return back


@define(eq=False, slots=False, repr=False)
class LeakyReLU(Activation):
    """
    A rectifier whose slope below 0 is small, but not 0: ``y = max(x, a * x)``, a = `negative_slope`.

    Backward: ``dL/dx`` is dL/dy where x > 0, else ``a * dL/dy``.

    From A. Maas, A. Hannun and A. Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.

    Parameters
    ----------
    negative_slope : float
        From 0, which makes it a `ReLU`, to 1, which makes it the identity.

    Raises
    ------
    ConfigError
        If `negative_slope` is not a number from 0 to 1.

    Examples
    --------
    >>> y, cache = LeakyReLU(0.1).forward(np.array([[-2.0, 0.0, 3.0]]))
    >>> y
    array([[-0.2,  0. ,  3. ]])
    >>> LeakyReLU(0.1).backward(np.ones((1, 3)), cache)
    array([[0.1, 0.1, 1. ]])
    """

    negative_slope: float = field(default=0.01, converter=as_float, validator=is_from_0_to_1)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = x * self.negative_slope
        np.maximum(x, y, out=y)
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        back = np.sign(y)
        np.maximum(back, self.negative_slope, out=back)
        back *= grad
        return back


@define(eq=False, slots=False, repr=False)
class ELU(Activation):
    """
    The exponential linear unit of each entry: y is x where x > 0, else ``a * (exp(x) - 1)``, a = `alpha`.

    Backward: ``dL/dx`` is dL/dy where x > 0, else ``dL/dy * (y + a)``.

    From D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear
    Units", 2015.

    Parameters
    ----------
    alpha : float
        The limit of y far below 0, times -1. Only for 1 is the slope continuous at x = 0.

    Raises
    ------
    ConfigError
        If `alpha` is not a positive finite number.

    Examples
    --------
    >>> y, cache = ELU().forward(np.array([[-1000.0, -1.0, 3.0]]))
    >>> y.round(6)
    array([[-1.      , -0.632121,  3.      ]])
    >>> ELU().backward(np.ones((1, 3)), cache).round(6)
    array([[0.      , 0.367879, 1.      ]])
    """

    alpha: float = field(default=1.0, converter=as_float, validator=is_positive)

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = np.minimum(x, 0.0)
        np.expm1(y, y)
        y *= self.alpha
        y += np.maximum(x, 0.0)
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        back = np.where(y > 0, 1.0, y + self.alpha)
        back *= grad
        return back


class Softplus(Activation):
    """
    A smooth rectifier of each entry: ``y = log(1 + exp(x))``.

    Backward: ``dL/dx = dL/dy * (1 - exp(-y))``; the slope is the sigmoid of x.

    From C. Dugas, Y. Bengio, F. Belisle, C. Nadeau and R. Garcia, "Incorporating Second-Order Functional Knowledge for
    Better Option Pricing", 2001.

    Examples
    --------
    >>> y, cache = Softplus().forward(np.array([[-1000.0, 0.0, 50.0]]))
    >>> y.round(6)
    array([[ 0.      ,  0.693147, 50.      ]])
    >>> Softplus().backward(np.ones((1, 3)), cache)
    array([[0. , 0.5, 1. ]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = softplus(x)
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        back = -y
        np.expm1(back, back)
        back *= -grad
        return back


class SiLU(Activation):
    """
    The sigmoid linear unit of each entry, also known as swish: ``y = x * s``, s the sigmoid of x.

    Backward: ``dL/dx = dL/dy * (s + y * (1 - s))``. The slope is the cache.

    From S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation in
    Reinforcement Learning", 2017.

    Examples
    --------
    >>> y, cache = SiLU().forward(np.array([[-1.0, 0.0, 50.0]]))
    >>> y.round(6)
    array([[-0.268941,  0.      , 50.      ]])
    >>> SiLU().backward(np.ones((1, 3)), cache).round(6)
    array([[0.072329, 0.5     , 1.      ]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        s = sigmoid(x)
        y = x * s
        slope = 1.0 - s
        slope *= y
        slope += s
        return y, slope


@define(eq=False, slots=False, repr=False)
class GELU(Activation):
    """
    The Gaussian error linear unit of each entry: ``y = x * P(x)``, P the standard normal distribution function.

    That is ``P(x) = (1 + erf(x / sqrt(2))) / 2``. The paper also has ``(1 + tanh(u)) / 2`` in its place, with
    ``u = sqrt(2 / pi) * (x + 0.044715 * x**3)``, which changes y by up to 5e-4. Backward is exact for either:
    ``dL/dx = dL/dy * (P(x) + x * P'(x))``. The slope is the cache.

    From D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)", 2016.

    Parameters
    ----------
    approximate : str
        "none" for P itself, "tanh" for the other form.

    Raises
    ------
    ConfigError
        If `approximate` is neither.

    Examples
    --------
    >>> y, cache = GELU().forward(np.array([[-1.0, 0.0, 50.0]]))
    >>> y.round(6)
    array([[-0.158655,  0.      , 50.      ]])
    >>> GELU().backward(np.ones((1, 3)), cache).round(6)
    array([[-0.083315,  0.5     ,  1.      ]])
    >>> GELU("tanh").predict(np.array([[-1.0, 0.0, 50.0]])).round(6)
    array([[-0.158808,  0.      , 50.      ]])
    """

    approximate: str = field(default="none", validator=is_one_of("none", "tanh"))

    def _forward(self, x: Array) -> tuple[Array, Array]:
        if self.approximate == "none":
            slope, density = normal(x)
            y = x * slope
            density *= x
            slope += density
            return y, slope
        # (1 + tanh(u)) / 2 is the sigmoid of 2 * u, which keeps its digits where tanh is near to -1. It is 0 or 1 for
        # |x| > 100; larger squares than that could only make infinities.
        linear, cubic = 2 * (2 / math.pi) ** 0.5, 2 * (2 / math.pi) ** 0.5 * 0.044715
        square = np.minimum(x * x, 1e4)
        s = sigmoid(x * (linear + cubic * square))
        y = x * s
        slope = 1.0 - s
        slope *= y
        slope *= linear + 3 * cubic * square
        slope += s
        return y, slope


class Identity(Activation):
    """
    The identity: y is x itself, and dL/dx is dL/dy. It stands where an activation is asked for and none is wanted.

    Examples
    --------
    >>> Identity().predict(np.array([[-1.0, 2.0]]))
    array([[-1.,  2.]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        return x, x

    def _backward(self, grad: Array, y: Array) -> Array:
        return grad
