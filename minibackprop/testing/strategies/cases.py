"""The strategy of cases: a layer, its parameters, two batches and side inputs, as the laws get to see them."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature

import numpy as np
from attrs import field, frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from minibackprop.core import Layer, layers_within, side_inputs_of
from minibackprop.errors import ConfigError, describe
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.testing.calls import as_float64, copy_of, run
from minibackprop.testing.case import Case, Draft
from minibackprop.testing.side_inputs import WithSideInputs, as_side_inputs, drawn
from minibackprop.testing.strategies.arrays import batches
from minibackprop.validation import Array, shortened

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

Maker = type[Layer] | Callable[[], Layer] | SearchStrategy[Layer]

Inputs = tuple[int, ...] | SearchStrategy[Array]

#: Of random numbers and a batch: the side inputs of its rows, by name.
Given = Callable[[np.random.Generator, Array], Mapping[str, object]]


#: How many batches are kept for a diagnosis.
_POOL = 16


@frozen(eq=False)
class Drawing:
    """
    What cases are drawn from.

    Attributes
    ----------
    make : class, callable or strategy
    inputs : tuple of int or strategy
        As the arguments of `check_layer`; so are the others.
    given : callable, optional
    parameters : dict of strategies
    surrogate : callable, optional
    pool : list of array
        Batches that were drawn before.
    """

    make: Maker
    inputs: Inputs
    given: Given | None = None
    parameters: Mapping[str, SearchStrategy[object]] = {}
    surrogate: Callable[[Layer, Array], Array] | None = None
    pool: list[Array] = field(factory=list, init=False)

    def cases(self) -> SearchStrategy[Draft]:
        """Make the strategy, or refuse what makes no sense before anything is drawn."""
        batches_of = {least: _inputs(self.inputs, least) for least in (1, 2)}
        return _drafts(self, _makers(self.make), batches_of)


@st.composite
def _drafts(
    draw: st.DrawFn,
    drawing: Drawing,
    makers: SearchStrategy[Callable[[], Layer]],
    batches_of: Mapping[int, SearchStrategy[Array]],
) -> Draft:
    make, least = draw(makers), 1
    with contextlib.suppress(Exception):  # A layer that cannot even be made again is for the first law to find.
        least = 2 if make().couples_samples else 1
    x, other = draw(batches_of[least]).copy(), draw(batches_of[least]).copy()
    x.flags.writeable = other.flags.writeable = False
    fixed = {name: draw(strategy) for name, strategy in drawing.parameters.items()}
    number = draw(st.integers(0, 2**16))
    drawing.pool[:] = [*drawing.pool, x][:_POOL]
    return Draft(number, partial(_case, drawing, make, x, other, number, fixed))


def _case(
    drawing: Drawing,
    make: Callable[[], Layer],
    x: Array,
    other: Array,
    number: int,
    fixed: Mapping[str, object],
) -> Case:
    values = _Values(make, x, number, fixed)
    side_inputs, remarks = _side_inputs(drawing.given, values, x, number)
    if side_inputs and other.shape[1:] != x.shape[1:]:
        other = x[::-1]  # The side inputs would not fit.

    def anew() -> Layer:
        layer = values.layer()
        return WithSideInputs(layer, side_inputs) if side_inputs else layer

    any_input = isinstance(drawing.inputs, tuple)
    varied = isinstance(drawing.make, SearchStrategy)
    case = Case(
        make,
        _copies_of(anew),
        x,
        other,
        number,
        any_input,
        varied,
        surrogate=drawing.surrogate,
        anew=anew,
        side_inputs=side_inputs,
        pool=drawing.pool,
    )
    for remark in values.remarks + remarks:
        case.saw(*remark)
    return case


def _side_inputs(
    given: Given | None, values: _Values, x: Array, number: int
) -> tuple[dict[str, Array], list[tuple[str, str]]]:
    """Draw side inputs, of the user's or by their names, unless the layer refuses them; say which were set."""
    rng = np.random.default_rng(number)
    if given is not None:
        side_inputs = as_side_inputs(given(rng, x), values.layer(), x)
        return side_inputs, [(f"side input {name}", "set") for name in side_inputs]
    layer, chosen = values.layer(), {}
    names = side_inputs_of(layer)
    if names and (number % 2 or not _takes(layer, x)):
        chosen = next((c for c in drawn(layer, x, rng) if _takes(WithSideInputs(layer, c), x)), {})
    return chosen, [(f"side input {name}", "set" if name in chosen else "") for name in names]


def _takes(layer: Layer, x: Array) -> bool:
    """Tell whether a layer makes finite numbers of x, forward and back, without an exception."""
    try:
        done = run(copy_of(layer), x, np.ones_like)
    except Exception:
        return False
    return all(np.isfinite(array).all() for array in (done.y, *done.gradients.values()))


def _copies_of(anew: Callable[[], Layer]) -> Callable[[], Layer]:
    """Make a layer once, and copies of it from then on, which takes a fraction of the time."""
    made: list[Layer] = []

    def layer() -> Layer:
        if not made:
            made.append(anew())
        try:
            return copy_of(made[0])
        except Exception:  # What cannot be copied, a law will find.
            return anew()

    return layer


def _inputs(inputs: Inputs, min_size: int) -> SearchStrategy[Array]:
    if isinstance(inputs, tuple):
        return batches(inputs, min_size=min_size, layouts=["C"])
    if isinstance(inputs, SearchStrategy):
        return inputs.map(_as_batch).filter(len)
    raise ConfigError("inputs", "the shape of one sample, or a strategy of arrays", repr(inputs))


def _makers(make: Maker) -> SearchStrategy[Callable[[], Layer]]:
    if isinstance(make, SearchStrategy):
        return make.map(_as_layer).map(lambda layer: lambda: copy.deepcopy(layer))
    if not callable(make) or isinstance(make, Layer):
        raise ConfigError("make", "a class, a callable that returns a layer, or a strategy of layers", _what(make))
    try:
        signature(make).bind()
    except TypeError as error:
        raise ConfigError("make", "to be callable without arguments", str(error)) from error
    except ValueError:  # What is not written in Python may not say which it takes.
        pass
    try:
        one, other = make(), make()
    except Exception as error:
        raise ConfigError("make", "to return a layer", f"{type(error).__name__}: {error}") from error
    if _as_layer(one) is other:
        raise ConfigError("make", "a fresh layer on each call", "the same object twice")
    return st.just(make)


def _what(make: object) -> str:
    return f"an instance of {type(make).__name__}" if isinstance(make, Layer) else describe(make)


def _as_layer(layer: object) -> Layer:
    if not isinstance(layer, Layer):
        raise ConfigError("make", "to give a Layer", describe(layer))
    return layer


def _as_batch(x: object) -> Array:
    if not isinstance(x, np.ndarray) or x.ndim == 0 or x.dtype.kind not in "fiub":
        raise ConfigError("inputs", "a strategy of arrays of numbers, each a batch of samples", describe(x))
    return x.astype(np.float64) if x.dtype.kind == "f" else x


class _Values:
    """
    Values for all that a layer holds, drawn once: near the initial ones, or of either sign and of other sizes.

    The latter are drawn for every other case, for a layer that is no composite (whose parts are checked on their own),
    unless the layer refuses them or makes NaN of them.
    """

    def __init__(self, make: Callable[[], Layer], x: Array, number: int, fixed: Mapping[str, object]) -> None:
        self._make, self._x, self._number, self._fixed = make, x, number, fixed
        self._drawn: list[Array] | None = None
        self.remarks: list[tuple[str, str]] = []

    def layer(self) -> Layer:
        """Make a float64 layer with these values."""
        fresh = as_float64(_with_parameters(_as_layer(self._make()), self._x))
        if self._drawn is None:
            self._drawn = self._draw(fresh)
        buffers = [buffer for _, buffer in walk(fresh, Buffer)]
        if [buffer.value.shape for buffer in buffers] != [value.shape for value in self._drawn]:
            raise ConfigError("make", "to give a layer of the same parameters each time", repr(fresh))
        _set(buffers, self._drawn)
        return fresh

    def _draw(self, layer: Layer) -> list[Array]:
        named = list(walk(layer, Buffer))
        buffers = [buffer for _, buffer in named]
        initial = [np.array(buffer.value) for buffer in buffers]
        if unknown := [name for name in self._fixed if name not in dict(named)]:
            raise ConfigError("parameters", f"names of parameters, {[name for name, _ in named]}", repr(unknown[0]))
        near = _drawn_buffers(buffers, initial, _near, self._number)
        for place, (name, buffer) in enumerate(named):
            if name in self._fixed:
                near[place] = _fixed(name, self._fixed[name], buffer.value)
        if self._number % 2 or layers_within(layer) or not layer.parameters():
            return near
        far = _drawn_buffers(buffers, initial, _far, self._number)
        for place, (name, _) in enumerate(named):
            if name in self._fixed:
                far[place] = near[place]
        trial = as_float64(_with_parameters(self._make(), self._x))
        _set([buffer for _, buffer in walk(trial, Buffer)], far)
        if _takes(trial, self._x):
            return far
        if _takes(layer, self._x):
            self.remarks.append(("parameters", "near their start where others are refused, or give NaN"))
        return near


def _fixed(name: str, value: object, like: Array) -> Array:
    """Require finite numbers, for each entry of a parameter or one for all."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.shape not in ((), like.shape) or not np.isfinite(array).all():
        expected = f"a strategy of finite numbers, or of arrays of them of shape {like.shape}"
        raise ConfigError(f"parameters: {name}", expected, describe(value) if array.shape else shortened(value))
    return np.broadcast_to(array, like.shape).astype(like.dtype)


def _set(buffers: list[Buffer], values: list[Array]) -> None:
    for buffer, value in zip(buffers, values, strict=True):
        if isinstance(buffer, Parameter):
            buffer.value[...] = value
        else:
            buffer.value = value.copy()


def _drawn_buffers(
    buffers: list[Buffer], initial: list[Array], draw: Callable[[Array, np.random.Generator], Array], number: int
) -> list[Array]:
    """Draw values for all parameters, then for all other buffers of floating-point numbers."""
    rng = np.random.default_rng(number)
    values = list(initial)
    for place, buffer in enumerate(buffers):
        if isinstance(buffer, Parameter) and initial[place].size:
            values[place] = draw(initial[place], rng)
    for place, buffer in enumerate(buffers):
        if not isinstance(buffer, Parameter) and initial[place].dtype.kind == "f":
            # Zeros, signs and whole numbers mean something; ones may hide a factor that is forgotten.
            values[place] = np.array(initial[place] * (1 + 0.2 * rng.uniform(-1, 1, initial[place].shape)))
    return values


def _near(initial: Array, rng: np.random.Generator) -> Array:
    centre, radius = _spread(initial)
    drawn: Array = centre + radius * rng.uniform(-1, 1, initial.shape)
    return drawn.round(_digits(radius))


def _far(initial: Array, rng: np.random.Generator) -> Array:
    centre, radius = _spread(initial)
    size = max(abs(centre), radius) * 2.0 ** rng.integers(-1, 3)
    drawn: Array = size * rng.uniform(-1, 1, initial.shape)
    return drawn.round(_digits(size))


def _spread(initial: Array) -> tuple[float, float]:
    centre = float(initial.mean())
    return centre, float(np.abs(initial - centre).max()) or 0.4 * (abs(centre) or 1.0)


def _digits(size: float) -> int:
    return 3 - int(np.floor(np.log10(size)))


def _with_parameters(layer: Layer, x: Array) -> Layer:
    """Let a layer make its parameters, if it is one that makes them in its first forward pass."""
    with contextlib.suppress(Exception), np.errstate(all="ignore"):  # What fails here, a law will find.
        if not layer.parameters():
            used = copy.deepcopy(layer)
            used.forward(x)
            if used.parameters():
                return used
    return layer
