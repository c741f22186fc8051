"""The laws of floating-point numbers: precision is kept, and nothing overflows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.testing.calls import attempt, copy_of, gradient_of, predict, rounding, run
from minibackprop.testing.case import Case, reproduced_with
from minibackprop.testing.comparing import near, results, side_by_side
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

#: By the dtype that a result has where it should have the other one.
_CAST = {
    np.float32: "dropped to float32",
    np.float64: "a float64 constant or cast (np.sqrt(2) is one, 2**0.5 is not), or a weight that is not a Parameter",
}


def dtype_kept(case: Case) -> None:
    """Look at the dtypes of all results, for both dtypes, and at their digits."""
    if case.x.dtype.kind != "f" and not case.as_it_is().parameters():
        return  # Nothing says which dtype to make.

    def upstream(y: Array) -> Array:
        grad = case.upstream(y)
        grad.flags.writeable = False  # As in float64, where the law of arguments has seen to it.
        return grad

    for dtype in (np.float64, np.float32):
        layer = attempt(case.layer(), "astype", dtype)
        x = case.x.astype(dtype) if case.x.dtype.kind == "f" else case.x
        with reproduced_with(case, x):
            found = {**results(layer, x, upstream), "the result of predict": predict(layer, x)}
            for what, array in found.items():
                if array.dtype != dtype:
                    problem = f"{what} is {array.dtype} where all that went in is {np.dtype(dtype)}"
                    raise ContractViolation(problem, cause=_CAST.get(array.dtype.type, "another type altogether"))
    if case.seed % 2:  # It takes long.
        _keeps_digits(case)


def _keeps_digits(case: Case) -> None:
    """
    Look for a detour through float32: along a line of close points, the results of such a layer move in coarse steps.

    At points a millionth apart, a smooth function has a fourth difference of 1e-24 of its own size, and rounding adds
    1e-16; the steps of float32 add 1e-8. Kinks may add more, but not to half of the entries on both of two lines. Where
    rounding errors are large anyway, so that float32 is far off altogether, large steps prove nothing.
    """
    if case.x.dtype.kind != "f" or not case.x.size:
        return
    rng, layer = case.rng(), case.layer()
    coarse: dict[str, float] = {}
    for _ in range(2):
        move = 1e-6 * rng.uniform(0.5, 1.5, case.x.shape) * rng.choice([-1.0, 1.0], case.x.shape)
        start = case.x + 1e4 * move if case.any_input else case.x
        move *= 1 if case.any_input else np.abs(case.x)
        line = [results(copy_of(layer), start + t * move, _drifting(case, t)) for t in range(5)]
        small = results(layer.astype(np.float32), start.astype(np.float32), _drifting(case, 0))
        limits = rounding(layer, start, _drifting(case, 0))
        bounds = {"the result of forward": limits["y"]} | {gradient_of(n): b for n, b in limits.items()}
        for what, (a, b, c, d, e) in {what: [point[what] for point in line] for what in small}.items():
            with np.errstate(all="ignore"):
                size, error = np.maximum(np.abs(a), np.abs(e)), float(np.abs(a - small[what]).max(initial=0))
                steps = np.abs(a - 4 * b + 6 * c - 4 * d + e)[size > 0]
                clear = (
                    steps.size
                    and np.isfinite(steps).all()
                    and float(np.median(steps)) > max(1e-3 * error, bounds[what])
                )
                ratio = float(np.median(steps / size[size > 0])) if clear else 0.0
            coarse[what] = min(coarse.get(what, np.inf), ratio)
    for what, ratio in coarse.items():
        if ratio > 1e-5:
            raise ContractViolation(f"{what} jumps between points that are a millionth apart")
        if ratio > 3e-9:
            problem = f"{what} has about {-np.log10(ratio):.0f} good digits in float64"
            raise ContractViolation(problem, cause="dropped to float32")


def _drifting(case: Case, t: int) -> Callable[[Array], Array]:
    """Make upstream gradients that move a little with t."""

    def upstream(y: Array) -> Array:
        grad = case.upstream(y)
        drift: Array = (1 + t * 1e-6 * case.rng().uniform(0.5, 1.5, grad.shape)).astype(grad.dtype)
        return grad * drift

    return upstream


def float32_agrees(case: Case) -> None:
    """
    Compare with float64, to within what rounding does.

    The rounding error is measured in the next wider type: the error of float64 against one that is wider still, times
    the ratio of the last places of float32 and float64. To it is added what a change in the last place of inputs and
    parameters does.
    """
    small = attempt(case.layer(), "astype", np.float32)
    x = case.x.astype(np.float32) if case.x.dtype.kind == "f" else case.x

    def upstream(y: Array) -> Array:
        return case.upstream(y.astype(np.float64)).astype(np.float32).astype(y.dtype)

    def results_in(dtype: type[np.floating[Any]], number: int = 0, sign: float = 0.0) -> dict[str, Array]:
        moved, point = small.astype(dtype), x.astype(dtype) if x.dtype.kind == "f" else x
        rng = np.random.default_rng(number)
        if sign:
            for parameter in moved.parameters():
                value = parameter.value
                value += _last_place(value, sign * rng.choice([-1.0, 1.0], value.shape))
            if x.dtype.kind == "f":
                point += _last_place(point, sign * rng.choice([-1.0, 1.0], point.shape))
        done = run(moved, point, upstream)
        return {"y": done.y, **done.gradients}

    unit, ratio = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).eps / np.finfo(np.float64).eps)
    ours, theirs = results_in(np.float32), results_in(np.float64)
    spread = dict.fromkeys(ours, 0.0)
    # Formulas hold numbers of order one, and of the input's order ("1 + erf(x)"), that may cancel.
    size = max(1.0, float(np.abs(x).max(initial=0)))
    terms = dict.fromkeys(ours, size * float(np.abs(upstream(theirs["y"])).max(initial=0))) | {"y": size}
    for number, sign in ((0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)):
        moved = results_in(np.float64, number, sign)
        try:
            wide = results_in(np.longdouble, number, sign)
        except ContractViolation:
            wide = moved  # Linear algebra has no such type.
        for name, value in moved.items():
            with np.errstate(all="ignore"):
                error, lost = np.abs(value - theirs[name]), np.abs(value - wide[name])
                # A larger difference is not rounding: the layer does something else for other types, a bug to be found.
                error += ratio * np.where(lost <= 1e-9 * (np.abs(value).max(initial=0) + terms[name]), lost, 0)
                spread[name] = max(spread[name], float(np.nan_to_num(error, nan=np.inf).max(initial=0)))
    for name, value in ours.items():
        expected = theirs[name]
        sized = np.isfinite(expected) & (np.abs(expected) < 1e30)
        bound = 64 * (spread[name] + unit * (float(np.abs(expected[sized]).max(initial=0)) + terms[name])) + 1e-37
        if not near(value[sized], expected[sized], bound):
            what = "the result of forward" if name == "y" else gradient_of(name)
            ends = np.where(sized, value, 0), np.where(sized, expected, 0)
            with reproduced_with(case, x):
                raise ContractViolation(
                    f"{what} in float32 is further from that in float64 than rounding explains",
                    evidence=side_by_side(*ends, ("float32", "float64")),
                )


def _last_place(x: Array, signs: Array) -> Array:
    """Compute what rounding to float32 may do to numbers, or to numbers of order one that they are added to."""
    step: Array = (float(np.finfo(np.float32).eps) * np.maximum(np.abs(x), 1) * signs).astype(x.dtype)
    return step


def finite(case: Case) -> None:
    """Feed zeros, large entries, or entries that are large and nearly equal; then larger ones still."""
    rng = case.rng()
    count = len(case.x)
    shape = case.x.shape
    signs = rng.choice([-1.0, 1.0], shape)
    stress = {
        "zeros": np.zeros(shape),
        "1000": 1e3 * signs,
        "up to 1000": signs * 10.0 ** rng.uniform(-6, 3, shape),
        "far apart": 1e3 * np.where(np.arange(count) % 2, 1.0, -1.0).reshape(-1, *[1] * (case.x.ndim - 1)) + signs,
        "large and nearly equal": 1e3 * (1 - rng.uniform(0, 1e-4, shape)),
    }
    if case.x.dtype.kind != "f" or not case.any_input:
        stress = {"the input drawn": case.x}
    chosen = case.seed % 5, (case.seed // 5 + 1) % 5
    for what, x in [kind for number, kind in enumerate(stress.items()) if number in chosen or len(stress) == 1]:
        for dtype in (np.float64, np.float32) if x.dtype.kind == "f" else (x.dtype,):
            with reproduced_with(case, x.astype(dtype)):
                _require_finite(case, x.astype(dtype), what)
    if case.any_input and case.x.dtype.kind == "f":
        for size in (1e30, 1e200, 1e300):
            with reproduced_with(case, size * signs):
                run(case.layer(), size * signs, case.upstream)


def _require_finite(case: Case, x: Array, what: str) -> None:
    layer = case.layer() if x.dtype.kind != "f" else case.layer().astype(x.dtype)
    found = {**results(layer, x, case.upstream), "the result of predict": predict(layer, x)}
    infinite = np.isinf(x).reshape(len(x), -1).any(axis=1) if x.dtype.kind == "f" else np.zeros(len(x), bool)
    for name, value in found.items():
        wrong = ~np.isfinite(value)
        if infinite.any():  # The user's own: what is made of them may be infinite, but not NaN.
            others = ~infinite.reshape(-1, *[1] * (value.ndim - 1)) if value.shape[:1] == x.shape[:1] else False
            wrong &= np.isnan(value) | others
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            problem = f"{name} is {value[index]} at {index}, for input of entries {what} in {value.dtype}"
            raise ContractViolation(problem, cause=_of_not_finite(layer, x, case.upstream))


def _of_not_finite(layer: Layer, x: Array, upstream: Callable[[Array], Array]) -> str:
    """Say what NumPy says first."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            y, cache = layer.forward(x)
            layer.backward(upstream(y), cache)
            layer.predict(x)
    except FloatingPointError as error:
        if "invalid value encountered in sqrt" in str(error):
            return "the root of a negative number, as where terms cancel"
        return f"overflow, or a division by zero: {error}"
    except Exception:  # What it raises, another law says.
        pass
    return "overflow, or a division by zero"


def extremes(case: Case) -> Iterator[tuple[str, Callable[[tuple[int, ...]], Array]]]:
    """Go through both dtypes and three sizes of entries, random in sign; give a description, and a maker of arrays."""
    for dtype in (np.float64, np.float32):
        for size in (0.0, 1.0, 1e3):
            yield f"{size:g} in size ({np.dtype(dtype)})", partial(_of_size, case, size, dtype)


def _of_size(case: Case, size: float, dtype: type[np.floating[Any]], shape: tuple[int, ...]) -> Array:
    entries: Array = (size * case.rng().choice([-1.0, 1.0], shape)).astype(dtype)
    return entries
