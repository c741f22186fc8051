"""One drawn example of a layer at work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import numpy as np
from attrs import evolve, field, frozen

from minibackprop.core import Layer
from minibackprop.testing.calls import forward
from minibackprop.testing.code import call_of, written, written_layer
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

#: The smallest relative error that a law would have found, by name of what it checked.
Power = Mapping[str, float]


@frozen(eq=False)
class Case:
    """
    A layer and its arguments, as a law gets to see them.

    Attributes
    ----------
    make : callable
        Makes a layer as the user does, with its initial values.
    layer : callable
        Makes a fresh layer whose parameters have the values drawn for this case, all float64.
    x, other : array
        Two batches of at least one sample.
    seed : int
        The seed of all further random numbers of the case.
    any_input : bool
        Whether all numbers are valid input, since the user gave a shape; else only what the user's strategy draws is.
    varied : bool
        Whether the layer is drawn as well, so that the names of its parameters differ from case to case.
    pool : list of array
        Batches that were drawn before, for a diagnosis to look at.
    """

    make: Callable[[], Layer]
    layer: Callable[[], Layer]
    x: Array
    other: Array
    seed: int
    any_input: bool = True
    varied: bool = False
    pool: list[Array] = field(factory=list)

    def rng(self) -> np.random.Generator:
        """Make the case's source of random numbers, always from its start."""
        return np.random.default_rng(self.seed)

    def upstream(self, y: Array) -> Array:
        """Make an upstream gradient like `y`, random in sign and size."""
        rng = self.rng()
        grad: Array = (rng.normal(size=y.shape) * 2.0 ** rng.integers(-2, 3, y.shape)).round(2)
        return grad.astype(y.dtype)

    def swapped(self) -> Array:
        """Make a batch of other samples, as many as in x."""
        if self.other.shape[1:] != self.x.shape[1:]:  # Sequences of another length, say.
            return self.x[::-1].copy()
        swapped: Array = self.other[np.arange(len(self.x)) % len(self.other)]
        return swapped

    def code(self) -> str:
        """Write the case down as Python."""
        layer = self.layer()
        if isinstance(layer, StandIn):
            with np.errstate(all="ignore"):
                return layer.code(self.x, self.upstream(self.layer().forward(self.x)[0]))
        state = layer.state_dict()
        lines = ["import numpy as np", "", f"layer = {self._made()}"]
        if state:
            entries = ", ".join(f"{name!r}: {written(value)}" for name, value in state.items())
            lines.append(f"layer.load_state_dict({{{entries}}})")
        layer = self.layer()
        if self.x.dtype.kind == "f" and self.x.dtype != np.float64:
            lines.append(f"layer = layer.astype(np.{self.x.dtype})")
            layer = layer.astype(self.x.dtype)
        lines += [f"x = {written(self.x)}", "y, cache = layer.forward(x)"]
        try:
            grad = self.upstream(forward(layer, self.x)[0])
        except ContractViolation:
            return "\n".join(lines)
        return "\n".join([*lines, f"grad = {written(grad)}", "grad_x = layer.backward(grad, cache)"])

    def _made(self) -> str:
        """Write down how the layer is made, before its parameters get their values."""
        if not self.varied:
            return call_of(self.make)
        layer = self.make()
        try:
            return written_layer(layer)
        except TypeError as error:
            return f"make()  # what was drawn: {error}"


class StandIn(Layer):
    """Puts something that is not a layer into the place of one: a loss, a regularizer, a function."""

    @abstractmethod
    def code(self, x: Array, grad: Array) -> str:
        """Write down as Python what was done with x, for the upstream gradient `grad`."""

    def rows(self, index: Array) -> StandIn | None:
        """Make the one for other samples, each some sample of this one's; None if there is no such thing."""
        return None

    def rich(self) -> tuple[StandIn, Array] | None:
        """Make the one for a batch that shows more, and that batch; None if there is no such thing."""
        return None

    def beside(self, x: Array) -> dict[str, Array]:
        """Name what its formula is made of beside x."""
        return {}


@contextmanager
def reproduced_with(case: Case, x: Array) -> Iterator[None]:
    """Let the code that reproduces a violation raised within give the layer this input."""
    try:
        yield
    except ContractViolation as violation:
        with suppress(Exception):
            violation.example = violation.example or evolve(case, x=x).code()
        raise
