"""Combinators: layers of layers that run beside each other; `Sequential`, one after another, is in the core."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from attrs import define, field, setters

from minibackprop.core import Composite, Layer, are_layers, derived, locate, no_pair
from minibackprop.errors import ConfigError, ShapeError, describe
from minibackprop.validation import Array, as_tuple, is_a, is_axis, require_gradient, require_numbers


def call_part(place: int | str, layer: Layer, verb: Callable[..., Any], *arguments: Any) -> Any:
    """Call a verb of a part of a layer; an error from within says which part it comes from."""
    try:
        result = verb(*arguments)
        if verb.__name__ == "forward" and (type(result) is not tuple or len(result) != 2):
            raise no_pair(layer, result)
    except Exception as error:
        locate(error, place, layer)
        raise
    return result


@define(eq=False, slots=False, repr=False)
class Residual(Layer):
    """
    The sum of the input and of what a layer makes of it, a skip connection: ``y = x + f(x)``.

    Backward, with G = dL/dy: G goes both ways, so that ``dL/dx = G + dL/dx`` of the layer. However deep a model of
    these is, a gradient reaches its first layers by the skip connections.

    From K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", 2016.

    Parameters
    ----------
    layer : Layer
        Its result has the shape of its input.

    Raises
    ------
    ConfigError
        If it is not a `Layer`.
    ShapeError
        In a call, if the result of the layer has another shape than x.

    Examples
    --------
    >>> from minibackprop import Tanh
    >>> residual = Residual(Tanh())
    >>> y, cache = residual.forward(np.array([[0.0, 1.0]]))
    >>> y.round(4)
    array([[0.    , 1.7616]])
    >>> residual.backward(np.array([[1.0, 1.0]]), cache).round(4)
    array([[2.  , 1.42]])
    """

    leading_axes = derived(False, lambda self: self.layer.leading_axes)
    trailing_axes = derived(False, lambda self: self.layer.trailing_axes)

    layer: Layer = field(validator=is_a(Layer), on_setattr=setters.frozen)

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Compute y; the cache is that of the layer."""
        y, cache = call_part("layer", self.layer, self.layer.forward, x)
        return self._sum(x, y), cache

    def predict(self, x: Array, /) -> Array:
        """Compute x plus the inference pass of the layer."""
        return self._sum(x, call_part("layer", self.layer, self.layer.predict, x))

    def backward(self, grad: Array, cache: Any, /) -> Array:
        """Send `grad` back through the layer, and return dL/dx."""
        back = call_part("layer", self.layer, self.layer.backward, grad, cache)
        if getattr(back, "shape", None) != grad.shape:
            raise ShapeError("Residual", f"of its layer a gradient of shape {grad.shape}", describe(back))
        total: Array = grad + back
        return total

    def accumulate(self, grad: Array, cache: Any, /) -> None:
        """Do to the parameters of the layer what `backward` does."""
        call_part("layer", self.layer, self.layer.accumulate, grad, cache)

    def _sum(self, x: Array, y: Array) -> Array:
        if getattr(x, "shape", None) != y.shape:
            require_numbers("Residual", x)
            raise ShapeError("Residual", f"of its layer a result of the input's shape {x.shape}", str(y.shape))
        total: Array = x + y
        return total


def _as_branches(layers: Any) -> Any:
    """Make a tuple of a list; but a chain, which can be gone through as well, is one layer."""
    return layers if isinstance(layers, Layer) else as_tuple(layers)


def _is_not_empty(composite: object, _: object, layers: tuple[Layer, ...]) -> None:
    if not layers:
        raise ConfigError(type(composite).__name__, "at least one layer", "none")


@define(eq=False, slots=False, repr=False)
class _Branches(Composite):
    """What `Add` and `Concat` share: layers that all get x, and whose gradients with respect to x add up."""

    layers: tuple[Layer, ...] = field(
        converter=_as_branches, validator=[are_layers, _is_not_empty], on_setattr=setters.frozen
    )

    @abstractmethod
    def _join(self, results: list[Array]) -> tuple[Array, Any]:
        """Make y of the results of the layers, and its layout: what `_split` needs."""

    @abstractmethod
    def _split(self, grad: Array, layout: Any) -> list[Array]:
        """Divide `grad` into one gradient for each layer."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Compute y; the cache holds those of the layers."""
        pairs = [call_part(i, layer, layer.forward, x) for i, layer in enumerate(self.layers)]
        y, layout = self._join([result for result, _ in pairs])
        return y, ([cache for _, cache in pairs], layout)

    def predict(self, x: Array, /) -> Array:
        """Compute y from the inference passes of the layers."""
        return self._join([call_part(i, layer, layer.predict, x) for i, layer in enumerate(self.layers)])[0]

    def backward(self, grad: Array, cache: Any, /) -> Array | None:
        """Send each layer its part of `grad` back, and return the sum of what they return; None if one is None."""
        caches, layout = cache
        triples = zip(self.layers, self._split(grad, layout), caches, strict=True)
        backs = [call_part(i, layer, layer.backward, *arguments) for i, (layer, *arguments) in enumerate(triples)]
        if any(back is None for back in backs):
            return None
        if len({np.shape(back) for back in backs}) > 1:  # NumPy would broadcast some of these.
            got = ", ".join(str(np.shape(back)) for back in backs)
            raise ShapeError(type(self).__name__, "of its layers gradients of the shape of x", got)
        total: Array = reduce(np.add, backs)
        return total

    def accumulate(self, grad: Array, cache: Any, /) -> None:
        """Do to the parameters of the layers what `backward` does."""
        caches, layout = cache
        triples = zip(self.layers, self._split(grad, layout), caches, strict=True)
        for i, (layer, *arguments) in enumerate(triples):
            call_part(i, layer, layer.accumulate, *arguments)


@define(eq=False, slots=False, repr=False)
class Add(_Branches):
    """
    The sum of what several layers make of the same input: ``y = f_1(x) + f_2(x) + ...``.

    Backward: each layer gets all of G = dL/dy, and dL/dx is the sum of what they return.

    Parameters
    ----------
    layers : iterable of Layer
        At least one; kept as a tuple.

    Raises
    ------
    ConfigError
        If one of them is not a `Layer`, or there are none.
    ShapeError
        In a call, if their results are not of one shape.

    Examples
    --------
    >>> from minibackprop import Identity, ReLU
    >>> both = Add([Identity(), ReLU()])
    >>> y, cache = both.forward(np.array([[-1.0, 2.0]]))
    >>> y
    array([[-1.,  4.]])
    >>> both.backward(np.ones((1, 2)), cache)
    array([[1., 2.]])
    """

    def _join(self, results: list[Array]) -> tuple[Array, tuple[int, ...]]:
        shape = results[0].shape
        if any(result.shape != shape for result in results):
            got = ", ".join(str(result.shape) for result in results)
            raise ShapeError("Add", "of its layers results of one shape", got)
        return reduce(np.add, results), shape

    def _split(self, grad: Array, shape: tuple[int, ...]) -> list[Array]:
        require_gradient(self, grad, shape)
        return [grad] * len(self.layers)


@define(eq=False, slots=False, repr=False)
class Concat(_Branches):
    """
    What several layers make of the same input, side by side: ``y = concatenate([f_1(x), f_2(x), ...], axis)``.

    Backward: each layer gets the part of G = dL/dy where its result stands, and dL/dx is the sum of what they return.

    Parameters
    ----------
    layers : iterable of Layer
        At least one; kept as a tuple.
    axis : int
        Any axis but that of samples, which is the first: from 1, or negative. 1 is that of the channels of images.

    Raises
    ------
    ConfigError
        If one of them is not a `Layer`, there are none, or `axis` is not an integer, or is 0.
    ShapeError
        In a call, if their results do not have the same shape but for that axis.

    Examples
    --------
    >>> from minibackprop import Identity, ReLU
    >>> both = Concat([Identity(), ReLU()])
    >>> y, cache = both.forward(np.array([[-1.0, 2.0]]))
    >>> y
    array([[-1.,  2.,  0.,  2.]])
    >>> both.backward(np.array([[1.0, 1.0, 10.0, 10.0]]), cache)
    array([[ 1., 11.]])
    """

    leading_axes = derived(False, lambda self: self.axis < 0 and all(layer.leading_axes for layer in self))

    axis: int = field(default=-1, validator=is_axis)

    def _join(self, results: list[Array]) -> tuple[Array, tuple[tuple[int, ...], list[int]]]:
        axis = self.axis
        try:
            if axis == -results[0].ndim:
                raise np.exceptions.AxisError("the axis of samples")
            y = np.concatenate(results, axis)
        except (ValueError, OverflowError) as error:
            got = ", ".join(str(result.shape) for result in results)
            expected = f"of its layers results of one shape but for axis {axis}, which is not that of samples"
            raise ShapeError("Concat", expected, got) from error
        return y, (y.shape, [result.shape[axis] for result in results])

    def _split(self, grad: Array, layout: tuple[tuple[int, ...], list[int]]) -> list[Array]:
        shape, sizes = layout
        require_gradient(self, grad, shape)
        parts: list[Array] = np.split(grad, list(itertools.accumulate(sizes[:-1])), self.axis)
        return parts
