"""One drawn example of a layer at work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
from attrs import evolve, field, frozen

from minibackprop.core import Layer
from minibackprop.testing.calls import forward, rounding
from minibackprop.testing.code import call_of, written, written_layer
from minibackprop.testing.side_inputs import WithSideInputs
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

T = TypeVar("T")

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
    surrogate : callable, optional
        What the gradient is meant to be that of, in place of forward: takes a layer and its input.
    anew : callable, optional
        Does what `layer` does by `make`, where that copies a layer.
    side_inputs : dict
        The arrays that the layer is given beside x, by name, a row for each sample; empty where there are none.
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
    surrogate: Callable[[Layer, Array], Array] | None = None
    anew: Callable[[], Layer] | None = None
    side_inputs: Mapping[str, Array] = {}
    pool: list[Array] = field(factory=list)
    seen: list[tuple[str, Array | int | str]] = field(factory=list, init=False)
    _known: dict[str, Any] = field(factory=dict, init=False)

    def saw(self, what: str, value: Array | int | str) -> None:
        """Note what was covered, for the report: a number or a word, or an empty one."""
        self.seen.append((what, value))

    @property
    def resizable(self) -> bool:
        """Whether other batches may be put in the place of x, which what stands in for a layer is not made for."""
        return self.anew is not None

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Compute something about the case the first time that it is asked for; no law may change it."""
        if name not in self._known:
            self._known[name] = compute()
        found: T = self._known[name]
        return found

    def as_it_is(self) -> Layer:
        """Give a layer to look at: it is always the same, and no law may call its verbs or change it."""
        return self.once("layer", self.layer)

    def another(self) -> Layer:
        """Make another instance with the values drawn for this case, which is no copy."""
        return (self.layer if self.anew is None else self.anew)()

    def with_side_inputs(self, layer: Layer) -> Layer:
        """Give a layer the side inputs of the case, if there are any."""
        return WithSideInputs(layer, dict(self.side_inputs)) if self.side_inputs else layer

    def rounding(self) -> dict[str, float]:
        """Measure how much rounding matters to both passes of the case."""
        return self.once("rounding", lambda: rounding(self.layer(), self.x, self.upstream))

    def rng(self) -> np.random.Generator:
        """Make the case's source of random numbers, always from its start."""
        return np.random.default_rng(self.seed)

    def upstream(self, y: Array) -> Array:
        """Make an upstream gradient like `y`, random in sign and size."""
        drawn: Array = self.once(f"upstream {y.shape}", lambda: self._upstream(y.shape))
        return drawn.astype(y.dtype)

    def _upstream(self, shape: tuple[int, ...]) -> Array:
        rng = self.rng()
        drawn: Array = (rng.normal(size=shape) * 2.0 ** rng.integers(-2, 3, shape)).round(2)
        return drawn

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
        if self.side_inputs:
            rows = WithSideInputs(layer, dict(self.side_inputs)).for_batch(self.x).items()
            entries = ", ".join(f"{name}={written(value)}" for name, value in rows)
            lines.append(f"layer = layer.given({entries})")
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


@frozen(eq=False)
class Draft:
    """
    What a case is made of, before it is made: most of what Hypothesis draws repeats an earlier one, and never is.

    Attributes
    ----------
    seed : int
        That of the case.
    case : callable
        Makes it.
    """

    seed: int
    case: Callable[[], Case]


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
