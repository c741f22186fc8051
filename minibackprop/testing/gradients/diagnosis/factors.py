"""Suspicions about factors: constant ones, widths, the batch size, and quantities that are forgotten."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import evolve

from minibackprop.testing.case import Case, StandIn
from minibackprop.testing.comparing import attributes_of
from minibackprop.testing.gradients.diagnosis.evidence import Evidence, fits, resized
from minibackprop.testing.gradients.diagnosis.measured import (
    Measured,
    factor_at,
    is_right,
    ratio_of,
    result_of,
    with_parameter,
)
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

_POWERS = {1.0: "{}", -1.0: "1 / {}", 2.0: "{}**2", -2.0: "1 / {}**2", 0.5: "{}**0.5", -0.5: "1 / {}**0.5"}


def constant_factor(e: Evidence) -> str:
    """Find one factor for all results and entries, and what it goes with: the batch size, a width, a parameter."""
    factor = ratio_of(e.jacobian)
    if factor is None:
        return ""
    if np.isclose(factor, -1, rtol=1e-7):
        return "sign flipped"
    return _batch_size(e, factor) or _of_parameter(e, factor) or _width(e, factor) or _number(e, factor)


def _times(factor: float) -> str:
    return f"the gradient is {factor:.8g} times what it should be"


def _batch_size(e: Evidence, factor: float) -> str:
    count = len(e.x) if e.x.ndim else 0
    more = resized(e.case, 2 * count + 1) if count else None
    again = None if more is None else factor_at(more, e.name)
    one = more is not None and again is None and is_right(more, e.name)
    if more is None or (again is None and not one) or np.isclose(again or 1.0, factor, rtol=1e-6):
        return ""
    both, found = np.array([count, 2 * count + 1]), np.array([factor, 1.0 if again is None else again])
    for power, what in ((1, "a sum"), (-1, "a mean")):
        if np.allclose(found / both.astype(float) ** power, found[0] / float(count) ** power):
            return f"factor is the batch size: {what} where the other belongs"
        if np.allclose(found, ((both - 1) / both) ** power):
            return f"factor goes with the batch size: {_times(factor)} for {count} samples, which is N - 1 to N"
    half = [(size // 2) / (size / 2) for size in both]
    if np.allclose(found, half) or np.allclose(found * half, 1):
        return "factor goes with the batch size: an integer division, N // 2 for N / 2"
    return f"factor goes with the batch: {found[0]:.6g} for {both[0]} samples, {found[1]:.6g} for {both[1]}"


def _of_parameter(e: Evidence, factor: float) -> str:
    """See whether the factor changes with a parameter of one entry, or with all of one."""
    named = []
    for name, parameter in e.layer.named_parameters():
        if parameter.value.size != 1 or parameter.frozen or not parameter.value.all():
            continue
        again = factor_at(with_parameter(e.case, name, 1.3 * parameter.value), e.name)
        if again is None or again * factor <= 0:
            continue
        power = float(np.log(again / factor) / np.log(1.3))
        for known, text in _POWERS.items():
            if np.isclose(-power, known, atol=1e-5):
                value = abs(float(parameter.value.item())) ** known
                named.append(_forgotten(text.format(name), float(1 / (factor * value)), name))
        start = float(parameter.value.item())
        for sign, text in ((1, f"exp({name})"), (-1, f"1 / exp({name})")):
            if np.allclose([factor, again], np.exp([-sign * start, -1.3 * sign * start])):
                named.append(_forgotten(text, 1.0, name))
    return named[0] if len(named) == 1 else ""


def _width(e: Evidence, factor: float) -> str:
    """See whether the factor changes with a width; where the layer takes only one, a width can but be suspected."""
    taken = False
    for axis in range(1, e.x.ndim):
        width = e.x.shape[axis]
        if not e.case.any_input or isinstance(e.layer, StandIn):
            break
        for other in (width + 1, width + 3):
            wider = _of_width(e.case, axis, other)
            again = None if wider is None else factor_at(wider, e.name)
            right = wider is not None and again is None and is_right(wider, e.name)
            if again is None and not right:
                continue
            taken, again = True, 1.0 if again is None else again
            if np.isclose(again, factor, rtol=1e-6):
                continue
            for power in (1, -1):
                if np.isclose(again / factor, (other / width) ** power):
                    return f"factor is a width: {_times(factor)}, and it goes with the length of axis {axis}, {width}"
            if _halved(width, factor) and (_halved(other, again) or right):
                by = _halved(width, factor)
                return f"integer division: {_times(factor)}, as of {width} // {by} for {width} / {by}"
            return f"factor goes with a width: {factor:.6g} for {width}, {again:.6g} for {other}"
    if taken:
        return ""
    widths = {*e.x.shape[1:], *e.y.shape[1:], int(np.prod(e.x.shape[1:])), int(np.prod(e.y.shape[1:]))} - {1, 2}
    for width in sorted(widths):  # Not 2: a factor of 2 is more often a forgotten one.
        if np.isclose(factor, width) or np.isclose(factor, 1 / width):
            return f"factor is a width or a constant: {_times(factor)}, and {width} is a width"
        if by := _halved(width, factor):
            return f"constant factor, or integer division: {_times(factor)}, as of {width} // {by} for {width} / {by}"
    return ""


def _halved(width: int, factor: float) -> int:
    """Give the divisor by which an integer division makes this factor, or 0."""
    for by in (2, 3):
        ratio = (width // by) / (width / by)
        if width > by and width % by and (np.isclose(factor, ratio) or np.isclose(factor, 1 / ratio)):
            return by
    return 0


def _of_width(case: Case, axis: int, width: int) -> Case | None:
    shape = list(case.x.shape)
    shape[axis] = width
    wider = evolve(case, x=np.random.default_rng(1).normal(size=shape))
    try:
        result_of(wider)
    except ContractViolation:
        return None
    return wider


def _number(e: Evidence, factor: float) -> str:
    """Name the number on the layer that the factor is, if there is one."""
    held = {name: value for kind in reversed(type(e.layer).__mro__) for name, value in vars(kind).items()}
    held |= attributes_of(e.layer)
    for name, value in held.items():
        if type(value) is float and 0 < value != 1 and not name.startswith("_"):
            for power in (1.0, -1.0, 2.0, -2.0):
                if np.isclose(factor, value**power, rtol=1e-7):
                    return f"constant factor: {_times(factor)}, which is {_POWERS[power].format(name)}"
    return f"constant factor: {_times(factor)}"


def _forgotten(text: str, constant: float, name: str) -> str:
    """Say which factor belongs to what backward gives."""
    number = "" if np.isclose(constant, 1) else f"{constant:.6g} * "
    where = {f"sign({name})": "positive", f"exp({name})": "0", f"1 / exp({name})": "0"}.get(text, "1")
    special = f" (the gradient is right where {name} is {where})" if not number and "slope" not in text else ""
    what = f"a factor is forgotten: {number}{text}"
    if text.startswith("1 / "):
        what = f"a factor too many, or a division forgotten: {text[4:]}" + (f" (and {constant:.6g})" if number else "")
    return what + special


def forgotten_factor(e: Evidence) -> str:
    """Find a quantity by which the gradient has to be multiplied, on its way in or on its way out."""
    found = []
    for name, text, values in _candidates(e):
        for matrix in _spread(e, values):
            with np.errstate(all="ignore"):
                constant = _constant(e, matrix)
                if constant and fits(e, constant * e.ours * matrix):
                    found.append(_forgotten(text, constant, name))
                    break
    plain = list(dict.fromkeys(found))
    return plain[0] if len(plain) == 1 else f"either {', or '.join(plain)}" if 1 < len(plain) < 4 else ""


def _constant(e: Evidence, matrix: Array) -> float:
    """Find the constant by which ours times the matrix is theirs; the matrix must not be constant itself."""
    ours, large = e.ours * matrix, e.jacobian.sure & (e.ours != 0)
    if np.count_nonzero(large) < 4:
        return 0.0
    factors = matrix[large]
    if not np.isfinite(factors).all() or len(np.unique(factors)) < 2 or not factors.any():
        return 0.0
    return float(np.median(e.theirs[large] / ours[large]))


def _candidates(e: Evidence) -> Iterator[tuple[str, str, Array]]:
    """Go through the quantities that may be factors: powers of what formulas are made of, and slopes of activations."""
    for name, value in e.quantities():
        with np.errstate(all="ignore"):
            for power, text in _POWERS.items():
                yield name, text.format(name), np.where(value == 0, np.nan if power < 0 else 0, _power(value, power))
            yield name, f"sign({name})", np.sign(value)
            yield name, f"exp({name})", np.exp(value)
            yield name, f"1 / exp({name})", np.exp(-value)
            if name == "the result":
                yield name, "1 - y**2, the slope of tanh", 1 - value**2
                yield name, "y * (1 - y), the slope of the sigmoid", value * (1 - value)
            elif name in ("the input", "the prediction"):
                s = 0.5 + 0.5 * np.tanh(0.5 * value)
                yield name, f"the slope of the sigmoid at {name}", s * (1 - s)
                yield name, f"1 / the slope of the sigmoid at {name}", 1 / (s * (1 - s))
                yield name, f"the slope of tanh at {name}", 1 - np.tanh(value) ** 2


def _power(value: Array, power: float) -> Array:
    powered: Array = value**power if power == int(power) else np.where(value > 0, np.abs(value) ** power, np.nan)
    return powered


def _spread(e: Evidence, values: Array) -> Iterator[Array]:
    """Spread a quantity over the Jacobian: over its columns, and over its rows, along each of the axes that it fits."""
    for spread in _along_axes(values, e.array.shape):
        yield np.broadcast_to(spread.ravel()[e.columns], e.ours.shape)
    for spread in _along_axes(values, e.y.shape):
        yield np.broadcast_to(spread.ravel()[e.rows][:, np.newaxis], e.ours.shape)


def _along_axes(values: Array, to: tuple[int, ...]) -> Iterator[Array]:
    for after in range(len(to) - values.ndim + 1):
        sizes = (*values.shape, *[1] * after)
        if all(size in (1, other) for size, other in zip(sizes[::-1], to[::-1], strict=False)):
            yield np.broadcast_to(values.reshape(sizes), to)


def factor_by_sample(e: Evidence) -> str:
    """See whether each sample has a factor of its own, that may go with its label, or with the size of its input."""
    blocks, factors = _by_sample(e), []
    for ours, theirs in blocks:
        error = 1e-7 * np.abs(theirs) + 1e-9 * np.abs(theirs).max(initial=0)
        factor = ratio_of(Measured(ours, theirs, error, np.ones(ours.shape, bool)))
        factors.append(1.0 if factor is None and np.allclose(ours, theirs, rtol=1e-6) else factor)
    known = np.array([factor for factor in factors if factor is not None])
    if len(blocks) < 3 or len(known) < len(factors) or np.ptp(known) < 1e-6:
        return ""
    text = f"each sample's gradient is off by a factor of its own, {min(known):.6g} to {max(known):.6g}"
    layer = e.layer
    if isinstance(layer, StandIn):
        labels = layer.beside(e.x).get("the labels")
        if labels is not None and all(np.ptp(known[labels == label]) < 1e-6 for label in np.unique(labels)):
            return f"{text}, the same for one label: class weights are left out, or applied twice"
    elif e.case.any_input:
        small, large = (evolve(e.case, x=scale * e.x) for scale in (1e-2, 1e3))
        if is_right(large, e.name) and not is_right(small, e.name):
            return f"{text}, and is right for large input: an epsilon is left out, or added"
    return text


def _by_sample(e: Evidence) -> list[tuple[Array, Array]]:
    """Cut the Jacobian into those of each sample; that of a loss has one row for all."""
    if isinstance(e.layer, StandIn):
        if e.name != "input" or len(e.rows) > 1 or not e.whole or not e.array.ndim:
            return []
        ours, theirs = (m.reshape(len(e.x), -1) for m in (e.ours, e.theirs))
    else:
        return e.blocks()
    return list(zip(ours, theirs, strict=True))
