"""Suspicions that experiments decide: for which values the gradient is right, and what it does not depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import comb
from typing import Any

import numpy as np
from attrs import evolve

from minibackprop.core import Layer
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.testing.case import Case, StandIn
from minibackprop.testing.comparing import attributes_of
from minibackprop.testing.gradients.diagnosis.evidence import Evidence
from minibackprop.testing.gradients.diagnosis.measured import along, backward_of, is_right, with_parameter
from minibackprop.testing.gradients.directions import scale_of
from minibackprop.validation import Array

#: A line between right and wrong entries is chance, unless so many draws would have none.
_CHANCE = 100


def other_cache(e: Evidence) -> str:
    """See whether the gradient is right with the result in the cache where forward keeps its input, or the converse."""
    if e.x.shape != e.y.shape or isinstance(e.layer, StandIn):
        return ""
    for ours, other in (("input", "output"), ("output", "input")):
        if is_right(evolve(e.case, layer=_with_cache(e.case, ours)), e.name):
            return f"the {ours} is used where the {other} belongs: with the {other} in the cache, the gradient is right"
    return ""


def _with_cache(case: Case, kept: str) -> Callable[[], Layer]:
    """Make layers that keep the result where they keep their input, or the converse."""

    def layer() -> Layer:
        made = case.layer()
        kind = type(made)

        def forward(self: Layer, x: Array) -> tuple[Array, Any]:
            y, cache = kind.forward(self, x)
            old, new = (x, y) if kept == "input" else (y, x)
            return y, _exchanged(cache, old, new)

        made.__class__ = type(kind.__name__, (kind,), {"forward": forward})
        return made

    return layer


def _exchanged(cache: Any, old: Array, new: Array) -> Any:
    if isinstance(cache, np.ndarray):
        return new if cache.shape == old.shape and np.array_equal(cache, old) else cache
    return tuple(_exchanged(part, old, new) for part in cache) if type(cache) is tuple else cache


def stale(e: Evidence) -> str:
    """See whether the gradient is right for the values that a parameter was made with, and stays what it was there."""
    trained = [name for name, parameter in e.layer.named_parameters() if not parameter.frozen]
    if isinstance(e.layer, StandIn) or not trained:
        return ""
    start = {name: parameter.value for name, parameter in _made(e.case).named_parameters()}
    drawn = {name: parameter.value for name, parameter in e.layer.named_parameters()}
    if not start.keys() >= set(trained) or not is_right(evolve(e.case, layer=lambda: _made(e.case)), e.name):
        return ""
    # Buffers, which may be such copies, are those that the layer was made with.
    here = evolve(e.case, layer=lambda: _set(_made(e.case), drawn))
    gradient = backward_of(here, e.name, e.grad)
    for name in trained:
        case = with_parameter(here, name, start[name])
        if is_right(case, e.name) and np.array_equal(backward_of(case, e.name, e.grad), gradient):
            if np.ptp(start[name]) > 0 or _is_held(_made(e.case), start[name]):
                return f"stale: backward uses the values of {name} that the layer was made with"
            return ""
    return ""


def _made(case: Case) -> Layer:
    return case.with_side_inputs(case.make().astype(np.float64))


def _set(layer: Layer, values: dict[str, Array]) -> Layer:
    for name, parameter in layer.named_parameters():
        parameter.value[...] = values[name]
    return layer


def _is_held(layer: Layer, value: Array) -> bool:
    """Tell whether a layer holds an array beside its parameters that equals one of them, or its transpose."""
    buffers = [buffer.value for _, buffer in walk(layer, Buffer) if not isinstance(buffer, Parameter)]
    return any(
        isinstance(held, np.ndarray) and (np.array_equal(held, value) or np.array_equal(held, value.T))
        for held in [*attributes_of(layer).values(), *buffers]
    )


def independent_of(e: Evidence) -> str:
    """See whether the gradient depends on each entry of all parameters on which it should."""
    if isinstance(e.layer, StandIn) or e.case.varied:
        return ""
    found = []
    for name, parameter in e.layer.named_parameters():
        if parameter.frozen or parameter.value.size > 12:
            continue
        missing = [index for index in np.ndindex(parameter.value.shape) if _ignores(e, name, parameter.value, index)]
        if len(missing) == parameter.value.size:
            found.append(name)
        else:
            found += [f"{name}[{', '.join(map(str, index))}]" for index in missing]
    if not found or len(found) > 2:
        return ""
    return f"term missing, or a factor: backward does not depend on {' and '.join(found)}, on which the gradient does"


def _ignores(e: Evidence, name: str, value: Array, index: tuple[int, ...]) -> bool:
    moved = value.copy()
    moved[index] += 0.3 * max(1.0, abs(float(value[index])))
    case = with_parameter(e.case, name, moved)
    if not np.array_equal(backward_of(case, e.name, e.grad).ravel()[e.columns], e.gradient):
        return False
    scale = scale_of(e.array)
    before, after = along(e.case, e.name, scale), along(case, e.name, scale)
    with np.errstate(all="ignore"):
        changes = np.abs(after.theirs - before.theirs) > 1e-6 * np.abs(before.theirs) + before.error + after.error
    return bool((changes & before.known & after.known).any())


def special_parameter(e: Evidence) -> str:
    """See whether the gradient is right where a parameter is special: positive, symmetric."""
    for name, parameter in e.layer.named_parameters():
        if parameter.frozen:
            continue
        for what, value in _special(parameter.value):
            if is_right(with_parameter(e.case, name, value), e.name):
                return f"right only where {name} is {what}"
    return ""


def vanishing_parameter(e: Evidence) -> str:
    """See whether the gradient is right where a parameter is zero: then a term that it is in is wrong."""
    zero = [
        name
        for name, parameter in e.layer.named_parameters()
        if not parameter.frozen and is_right(with_parameter(e.case, name, np.zeros_like(parameter.value)), e.name)
    ]
    if not zero:
        return ""
    return f"right only where {' or '.join(zero)} is zero: a term that it is in is missing, or wrong"


def size_of_input(e: Evidence) -> str:
    """See whether the gradient is right for input that is much larger, or much smaller."""
    if e.name != "input" or not e.case.any_input or isinstance(e.layer, StandIn):
        return ""
    small, large = (is_right(evolve(e.case, x=scale * e.x), e.name) for scale in (1e-3, 1e5))
    if large and not small:
        return "right for large input only, as where an epsilon or a term that fades is wrong"
    return "right for small input only, as where an approximation or a bound is wrong" if small and not large else ""


def _special(value: Array) -> Iterator[tuple[str, Array]]:
    if value.ndim > 1 and value.shape[-1] == value.shape[-2] > 1:
        yield "symmetric, as where it is not transposed", (value + value.swapaxes(-1, -2)) / 2
    if np.any(value < 0) and np.any(value > 0):
        yield "positive", np.abs(value)
        yield "negative", -np.abs(value)


def range_of_values(e: Evidence) -> str:
    """Look for a range of values for which the gradient is wrong."""
    return range_between(e, e)


def range_between(wrong: Evidence, right: Evidence) -> str:
    """Look for a line between the values for which the gradient is wrong, and those for which it is right."""
    found = []
    for (name, bad), (_, good) in zip(_values(wrong), _values(right), strict=True):
        bad, good = bad[wrong.wrong], good[right.right]
        if bad.size and good.any() and (cause := _separated(name, bad, good, enough=wrong is right)):
            found.append(cause)
    return "either " + ", or ".join(found) if 1 < len(found) < 3 else found[0] if found else ""


def _values(e: Evidence) -> Iterator[tuple[str, Array]]:
    """Go through what may decide which branch is taken, for each column."""
    layer = e.layer
    if isinstance(layer, StandIn):
        for name, value in layer.beside(e.x).items():
            if value.shape == e.array.shape and name != "the weights":
                yield name, value.ravel()[e.columns]
    if e.array.dtype.kind == "f":
        yield "inputs" if e.name == "input" else f"{e.name}", e.array.ravel()[e.columns]


def _separated(name: str, bad: Array, good: Array, *, enough: bool) -> str:
    which = "" if name == "inputs" else f" of {name}"
    if enough and comb(bad.size + good.size, bad.size) < _CHANCE:
        return ""
    if not bad.any() and good.all():
        return f"wrong where {'the input' if name == 'inputs' else name} is zero"
    if len(np.unique(good)) < 3 or not bad.any():  # Few values, and zero is right for many reasons.
        return ""
    if bad.max() < 0 <= good.min():
        return f"wrong for negative {'inputs' if name == 'inputs' else 'values' + which} only"
    if good.max() <= 0 < bad.min():
        return f"wrong for positive {'inputs' if name == 'inputs' else 'values' + which} only"
    least, most = np.abs(bad).min(), np.abs(good).max()
    if least > most:
        return f"wrong for large values{which} only: right up to {most:.3g}, wrong from {least:.3g}"
    most, least = np.abs(bad).max(), np.abs(good).min()
    if least > most:
        return f"wrong for small values{which} only: wrong up to {most:.3g}, right from {least:.3g}"
    below, above = good[good < bad.min()], good[good > bad.max()]
    if below.size + above.size == good.size and bad.size > 2:
        left = f"right up to {below.max():.3g}, wrong from {bad.min():.3g}" if below.size else ""
        end = f"wrong up to {bad.max():.3g}, right from {above.min():.3g}" if above.size else ""
        return f"wrong in a range of values{which} only: {', '.join(filter(None, (left, end)))}"
    return ""
