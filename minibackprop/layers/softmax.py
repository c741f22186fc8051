"""Softmax and its logarithm: activations over all entries along an axis."""

from __future__ import annotations

import numpy as np
from attrs import define, field

from minibackprop.core import derived
from minibackprop.errors import ShapeError
from minibackprop.layers.activations import Activation
from minibackprop.validation import Array, is_axis


@define(eq=False, slots=False, repr=False)
class _AlongAxis(Activation):
    """What `Softmax` and `LogSoftmax` share: an axis, and a shift that keeps exp from overflowing."""

    # Counted from the last, axes in front make no difference; counted from the first, those behind it make none.
    leading_axes = derived(False, lambda self: self.axis < 0)
    trailing_axes = derived(False, lambda self: self.axis > 0)

    axis: int = field(default=-1, validator=is_axis)

    def _shifted(self, x: Array) -> Array:
        """Subtract from each entry the largest along the axis."""
        if not -x.ndim < self.axis < x.ndim:
            least = self.axis + 1 if self.axis > 0 else 1 - self.axis
            raise ShapeError(type(self).__name__, f"at least {least} axes, the first that of samples", str(x.shape))
        if not x.shape[self.axis]:
            raise ShapeError(type(self).__name__, f"at least one entry along axis {self.axis}", str(x.shape))
        shifted: Array = x - x.max(axis=self.axis, keepdims=True)
        return shifted


@define(eq=False, slots=False, repr=False)
class Softmax(_AlongAxis):
    """
    Probabilities in proportion to the exponentials of the entries: ``y = exp(x) / sum(exp(x))``, the sum along an axis.

    Backward is the whole vector-Jacobian product, with G = dL/dy: ``dL/dx = y * (G - sum(G * y))``.

    From J. Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.

    Parameters
    ----------
    axis : int
        Any axis but that of samples, which is the first: from 1, or negative.

    Raises
    ------
    ConfigError
        If `axis` is not an integer, or is 0.
    ShapeError
        In a call, if the input does not have that axis beside the first, or has no entries along it.

    Examples
    --------
    >>> softmax = Softmax()
    >>> y, cache = softmax.forward(np.array([[1000.0, 1000.0, 1000.0 - np.log(2)]]))
    >>> y
    array([[0.4, 0.4, 0.2]])
    >>> softmax.backward(np.array([[1.0, 0.0, 0.0]]), cache)
    array([[ 0.24, -0.16, -0.08]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = self._shifted(x)
        np.exp(y, y)
        y /= y.sum(axis=self.axis, keepdims=True)
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        back: Array = grad - (grad * y).sum(axis=self.axis, keepdims=True)
        back *= y
        return back


@define(eq=False, slots=False, repr=False)
class LogSoftmax(_AlongAxis):
    """
    The logarithm of `Softmax`, without its underflow: ``y = x - log(sum(exp(x)))``, the sum along an axis.

    Backward, with G = dL/dy: ``dL/dx = G - exp(y) * sum(G)``.

    Parameters
    ----------
    axis : int
        Any axis but that of samples, which is the first: from 1, or negative.

    Raises
    ------
    ConfigError
        If `axis` is not an integer, or is 0.
    ShapeError
        In a call, if the input does not have that axis beside the first, or has no entries along it.

    Examples
    --------
    >>> log_softmax = LogSoftmax()
    >>> y, cache = log_softmax.forward(np.array([[1000.0, 0.0]]))
    >>> y
    array([[    0., -1000.]])
    >>> log_softmax.backward(np.array([[0.0, 1.0]]), cache)
    array([[-1.,  1.]])
    """

    def _forward(self, x: Array) -> tuple[Array, Array]:
        y = self._shifted(x)
        y -= np.log(np.exp(y).sum(axis=self.axis, keepdims=True))
        return y, y

    def _backward(self, grad: Array, y: Array) -> Array:
        back = np.exp(y)
        back *= grad.sum(axis=self.axis, keepdims=True)
        np.subtract(grad, back, out=back)
        return back
