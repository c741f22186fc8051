"""Custom layers as users write them; in a module of their own, so that pickle finds them."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from minibackprop import Buffer, Layer, Parameter
from minibackprop.validation import Array


class Square(Layer):
    """The smallest layer: no parameters, no constructor."""

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return x * x, x

    def backward(self, grad: Array, x: Array, /) -> Array:
        return 2 * x * grad


class HalfOfIt(Square):
    """The square, with half its gradient."""

    def backward(self, grad: Array, x: Array, /) -> Array:
        return x * grad


def with_forward(forward: Callable[[Array], Any]) -> type[Layer]:
    """Make a Square with another forward."""
    return type("Misbehaved", (Square,), {"forward": lambda _, x, /: forward(x)})


def with_backward(backward: Callable[[Array, Any], Any]) -> type[Layer]:
    """Make a Square with another backward."""
    return type("Misbehaved", (Square,), {"backward": lambda _, grad, cache, /: backward(grad, cache)})


def raises(error: type[Exception]) -> Callable[..., Any]:
    """Make a function that fails."""

    def fail(*_: Any) -> Any:
        raise error("deliberately")

    return fail


class Scale(Layer):
    """A plain class with a constructor of its own, and no ``super().__init__()``."""

    def __init__(self, factors: Array) -> None:
        self.factors = Parameter(factors)
        self.unit = Buffer(np.array(7))

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return x * self.factors.value, x

    def backward(self, grad: Array, x: Array, /) -> Array:
        self.factors.add((grad * x).reshape(-1, x.shape[-1]).sum(axis=0))
        return grad * self.factors.value


@attrs.define(eq=False)
class SlottedScale(Layer):
    """The same with attrs and its default slots."""

    factors: Parameter = attrs.field(converter=Parameter)
    unit: Buffer = attrs.field(factory=lambda: Buffer(np.array(7)), init=False)

    forward = Scale.forward
    backward = Scale.backward


class Polynomial(Layer):
    """Parameters in a list, a tuple and a dict, one of them in two places: a + b x + c x**2 + c x**3."""

    def __init__(self, a: float, b: float, c: float) -> None:
        shared = Parameter(c)
        self.low = [Parameter(a), (Parameter(b),)]
        self.high = {"square": shared, "cube": shared}

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        a, (b,), c, d = *self.low, *self.high.values()
        return a.value + b.value * x + c.value * x**2 + d.value * x**3, x

    def backward(self, grad: Array, x: Array, /) -> Array:
        a, (b,), c, d = *self.low, *self.high.values()
        for power, parameter in enumerate((a, b, c, d)):
            parameter.add(np.array((grad * x**power).sum()))
        return grad * (b.value + 2 * c.value * x + 3 * d.value * x**2)


class Lookup(Layer):
    """Rows of a table by integer input, which has no gradient."""

    def __init__(self, table: Array) -> None:
        self.table = Parameter(table)

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return self.table.value[x], x

    def backward(self, grad: Array, x: Array, /) -> None:
        total = np.zeros_like(self.table.value)
        np.add.at(total, x, grad)
        self.table.add(total)


class Forgetful(Layer):
    """A forward that forgets the cache."""

    def forward(self, x: Array, /) -> Array:
        return x

    def backward(self, grad: Array, cache: None, /) -> Array:
        return grad


class Broken(Square):
    """A layer that raises the exception it is given, in backward or, if `forwards`, in forward."""

    def __init__(self, error: BaseException, forwards: bool = False) -> None:
        self.error, self.forwards = error, forwards

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        if self.forwards:
            raise self.error
        return super().forward(x)

    def backward(self, grad: Array, x: Array, /) -> Array:
        raise self.error


class OneWay(Scale):
    """A layer whose gradient with respect to the input must not be computed."""

    def accumulate(self, grad: Array, x: Array, /) -> None:
        Scale.backward(self, grad, x)

    def backward(self, grad: Array, x: Array, /) -> Array:
        raise AssertionError("the gradient of the input was computed")


class Lazy(Layer):
    """A scale that makes its parameter in its first forward pass, when it knows the width of the input."""

    scale: Scale | None = None

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        self.scale = self.scale or Scale(np.full(x.shape[-1], 2.0))
        return self.scale.forward(x)

    def backward(self, grad: Array, x: Array, /) -> Array:
        return self.scale.backward(grad, x)
