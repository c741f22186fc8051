"""The laws of the layer contract, each a function of one `Case` that raises where the law is broken.

They are in the order in which they are checked: what a law takes for granted, an earlier one has made sure of.
"""

from __future__ import annotations

import copy
import importlib
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from minibackprop.core import Array, Buffer, Layer, Parameter, _walk
from minibackprop.testing.case import (
    Case,
    Pass,
    as_float64,
    attempt,
    backward,
    forward,
    parameter_gradients,
    predict,
    rounding,
    run,
    shake,
    twin,
)
from minibackprop.testing.diagnosis import gradient_mismatch
from minibackprop.testing.strategies import LAYOUTS
from minibackprop.testing.violations import ContractViolation

_EPSILON = float(np.finfo(np.float64).eps)
#: The smallest relative error that a law would have caught, by name of what it looked at.
Power = Mapping[str, float]


@frozen
class Law:
    """
    A law: a name, what it says, and a check of one case.

    Attributes
    ----------
    name : str
    says : str
        The law in one sentence.
    check : callable
        Takes a `Case`, and raises `ContractViolation` where the law is broken. Where the law measures, returns its
        `Power`.
    lifted : callable
        Takes a layer, and returns the reason for which the law does not bind it, or "".

    Examples
    --------
    >>> from minibackprop import Sigmoid
    >>> from minibackprop.testing import ALL, Law, check_layer
    >>> def increases(case):
    ...     layer = case.layer()
    ...     if np.any(layer.predict(case.x + 1.0) < layer.predict(case.x)):
    ...         raise ContractViolation("a larger input gives a smaller output")
    >>> _ = check_layer(Sigmoid, (3,), laws=[*ALL, Law("monotony", "the output grows with the input", increases)])
    """

    name: str
    says: str
    check: Callable[[Case], Power | None]
    lifted: Callable[[Layer], str] = field(default=lambda layer: "")


def same(ours: Array, theirs: Array) -> bool:
    """Tell whether two arrays are equal, bit for bit or both NaN."""
    return ours.shape == theirs.shape and ours.dtype == theirs.dtype and np.array_equal(ours, theirs, equal_nan=True)


def near(ours: Array, theirs: Array, bound: float) -> bool:
    """Tell whether two arrays are equal to within `bound`."""
    if ours.shape != theirs.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.all((np.abs(ours - theirs) <= bound) | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))


def side_by_side(ours: Array, theirs: Array, head: tuple[str, str]) -> str:
    """Print the entries of two arrays that differ most."""
    if ours.shape != theirs.shape:
        return f"{head[0]} has shape {ours.shape}, {head[1]} {theirs.shape}"
    with np.errstate(all="ignore"):
        distance = np.nan_to_num(np.abs(ours - theirs), nan=np.inf).ravel()
    worst = [
        np.unravel_index(flat, ours.shape) for flat in np.argsort(-distance, kind="stable")[:4] if distance[flat] > 0
    ]
    rows = [(str(tuple(int(i) for i in index)), f"{ours[index]:.10g}", f"{theirs[index]:.10g}") for index in worst]
    return "\n".join(f"{a:>14} {b:>20} {c:>20}" for a, b, c in [("entry", *head), *rows])


def _differing(
    ours: Pass, theirs: Pass, bounds: Mapping[str, float] | None = None
) -> Iterator[tuple[str, Array, Array]]:
    """Find what differs between two passes, gradients by name; bit for bit where no bounds are given."""
    for name, value in ours.gradients.items():
        expected = theirs.gradients[name]
        if not (same(value, expected) if bounds is None else near(value, expected, bounds[name])):
            yield ("the gradient of the input" if name == "input" else f"the gradient of {name}"), value, expected


def shapes(case: Case) -> None:
    """Check the types and shapes of all that the verbs return; the helpers that call them do."""
    done = run(case.layer(), case.x.copy(), case.upstream)
    predicted = predict(case.layer(), case.x.copy())
    if predicted.shape != done.y.shape:
        raise ContractViolation(f"predict gives shape {predicted.shape}, forward {done.y.shape}")


def determinism(case: Case) -> None:
    layer = case.layer()
    again = twin(layer)
    first, second = run(layer, case.x.copy(), case.upstream), run(again, case.x.copy(), case.upstream)
    if not same(first.y, second.y):
        raise ContractViolation(
            "two copies of the layer give different results for the same input"
            + ("; a stochastic layer draws from a generator of its own" if layer.stochastic else ""),
            cause="random numbers that do not come from the layer's own generator",
            evidence=side_by_side(first.y, second.y, ("one", "the other")),
        )
    for what, value, expected in _differing(first, second):
        raise ContractViolation(
            f"{what} differs between two copies of the layer, for the same input and upstream gradient",
            cause="mask redrawn" if layer.stochastic else "random numbers in backward",
            evidence=side_by_side(value, expected, ("one", "the other")),
        )
    if not layer.stochastic and not same(forward(layer, case.x.copy())[0], first.y):
        raise ContractViolation(
            "forward gives different results when called twice; declare stochastic if that is meant",
            cause="random numbers, or state that forward changes",
        )


def arguments_untouched(case: Case) -> None:
    for writeable in (True, False):
        layer = case.layer()
        x = case.x.copy()
        x.flags.writeable = writeable
        y, cache = _with(lambda layer=layer, x=x: forward(layer, x), "x")
        if not same(x, case.x):
            raise ContractViolation("forward changes x", cause="argument overwritten")
        grad = case.upstream(y)
        kept = grad.copy()
        grad.flags.writeable = writeable
        first = _with(lambda layer=layer, grad=grad, cache=cache, x=x: backward(layer, grad, cache, x), "grad")
        if not same(grad, kept):
            raise ContractViolation("backward changes grad", cause="argument overwritten")
        if not same(x, case.x):
            raise ContractViolation("backward changes x", cause="argument overwritten")
        added = parameter_gradients(layer)
        first = None if first is None else first.copy()
        added = {name: value.copy() for name, value in added.items()}
        layer.clear_gradients()
        try:
            second = backward(layer, kept, cache, x)
        except ContractViolation:
            break  # Not for having been written to: the law of open passes will tell.
        if (first is not None and second is not None and not same(first, second)) or any(
            not same(value, added[name]) for name, value in parameter_gradients(layer).items()
        ):
            cause = "mask redrawn" if layer.stochastic else "argument overwritten"
            raise ContractViolation("backward gives something else when called again with the same cache", cause=cause)
        predict(case.layer(), x)
        if not same(x, case.x):
            raise ContractViolation("predict changes x", cause="argument overwritten")


def _with(call: Callable[[], Any], what: str) -> Any:
    """Read an error about a read-only array for what it is."""
    try:
        return call()
    except ContractViolation as violation:
        if "read-only" in violation.problem:
            problem = (
                f"{violation.problem}: the arguments ({what} and what the cache shares with it) may not be written to"
            )
            raise ContractViolation(problem, cause="argument overwritten") from violation.__cause__
        raise


def results_stay(case: Case) -> None:
    layer = case.layer()
    y, cache = forward(layer, case.x)
    grad = case.upstream(y)
    back = backward(layer, grad, cache, case.x)
    predicted = predict(layer, case.x)
    kept = [(what, array, array.copy()) for what, array in _arrays(layer, y, back, predicted)]
    layer.clear_gradients()
    for x in (case.other, case.swapped()):
        y2, cache2 = forward(layer, x)
        backward(layer, -2 * case.upstream(y2), cache2, x)
        predict(layer, x)
    for what, array, was in kept:
        if not same(array, was):
            raise ContractViolation(
                f"{what} changes in a later call",
                cause="scratch memory that is used again",
                evidence=side_by_side(array, was, ("is now", "was")),
            )


def _arrays(layer: Layer, y: Array, back: Array | None, predicted: Array) -> list[tuple[str, Array]]:
    gradients = [(f"the gradient of {name}", p.grad) for name, p in layer.named_parameters()]
    named = [("the result of forward", y), ("the result of backward", back), ("the result of predict", predicted)]
    return [(what, array) for what, array in [*named, *gradients] if isinstance(array, np.ndarray)]


def no_aliasing(case: Case) -> None:
    for x in (case.x.copy(), np.zeros_like(case.x)) if case.any_input else (case.x.copy(),):
        _no_aliasing(case, x)


def _no_aliasing(case: Case, x: Array) -> None:
    layer = case.layer()
    y, cache = forward(layer, x)
    grad = case.upstream(y)
    back = backward(layer, grad, cache, x)
    predicted = predict(layer, x)
    buffers = dict(_walk(layer, Buffer))
    for what, array in (("forward", y), ("backward", back), ("predict", predicted)):
        if array is None:
            continue
        for name, buffer in buffers.items():
            if np.shares_memory(array, buffer.value):
                problem = f"the result of {what} is a view of {name}, which training changes"
                raise ContractViolation(problem, cause="memory shared")
    added = [(name, p.grad) for name, p in layer.named_parameters() if isinstance(p.grad, np.ndarray)]
    for name, gradient in added:
        for what, array in (("the caller's grad", grad), ("the caller's x", x), ("the result of backward", back)):
            if array is not None and np.shares_memory(gradient, array):
                problem = f"the gradient of {name} shares memory with {what}; a parameter needs an array of its own"
                raise ContractViolation(problem, cause="memory shared")
    for number, (name, gradient) in enumerate(added):
        for later, other in added[number + 1 :]:
            if np.shares_memory(gradient, other):
                raise ContractViolation(f"the gradients of {name} and {later} share memory", cause="memory shared")


def two_open_passes(case: Case) -> None:
    layer = case.layer()
    alone = run(twin(layer), case.x, case.upstream)
    y, cache = forward(layer, case.x)
    y2, _ = forward(layer, case.other)
    stale = "stale: backward reads what a later forward left on the layer, instead of its cache"
    try:
        back = backward(layer, case.upstream(y), cache, case.x)
    except ContractViolation as violation:
        problem = f"after a second forward pass, {violation.problem}"
        raise ContractViolation(problem, cause=stale) from violation.__cause__
    gradients = ({} if back is None else {"input": back}) | parameter_gradients(layer)
    for what, value, expected in _differing(Pass(y, gradients), alone):
        raise ContractViolation(
            f"{what} is another when a second forward pass was made before backward",
            cause=stale,
            evidence=side_by_side(value, expected, ("two open", "one alone")),
        )
    try:
        backward(layer, case.upstream(y), cache, case.x)
    except ContractViolation as violation:
        problem = f"for a cache that was used before, {violation.problem}"
        raise ContractViolation(problem, cause="stale: a cache serves only once") from violation.__cause__


def nothing_left_behind(case: Case) -> None:
    layer = case.layer()
    run(layer, case.x, case.upstream)  # A layer may make its parameters in its first forward.
    before = _held(twin(layer))
    run(layer, case.other, case.upstream)
    for name, value in _held(layer).items():
        if name not in before or not _equal(value, before[name]):
            raise ContractViolation(
                f"a forward and a backward pass change the attribute {name}, which is no Buffer",
                cause="state on the layer: it is lost in saving, and mixes up calls that overlap",
            )


def _held(layer: Layer) -> dict[str, Any]:
    """Collect all that a layer holds, but for what passes may change: gradients, buffers, random streams."""
    found: dict[str, Any] = {}

    def visit(value: object, path: str) -> None:
        if isinstance(value, Layer):
            for name, member in value._members():
                visit(member, f"{path}.{name}" if path else name)
        elif not isinstance(value, (Buffer, np.random.Generator, np.random.RandomState)):
            found[path] = value

    visit(layer, "")
    return found


def _equal(ours: object, theirs: object) -> bool:
    """Compare what attributes may hold, arrays and containers included; what cannot be compared counts as equal."""
    if isinstance(ours, np.ndarray) or isinstance(theirs, np.ndarray):
        return isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray) and same(ours, theirs)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(_equal, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_equal(ours[key], theirs[key]) for key in ours)
    plain = (bool, int, float, complex, str, bytes, np.generic, type(None))
    return not (isinstance(ours, plain) or isinstance(theirs, plain)) or bool(ours == theirs)


def instances_share_nothing(case: Case) -> None:
    one, other = case.layer(), case.layer()
    alone = twin(one) if one.stochastic else case.layer()  # A copy has the same random stream.
    expected = [
        run(alone, case.x.copy(), case.upstream),
        forward(alone, case.x.copy())[0],
        predict(alone, case.x.copy()),
    ]
    for name, buffer in _walk(one, Buffer):
        for other_name, other_buffer in _walk(other, Buffer):
            if np.shares_memory(buffer.value, other_buffer.value):
                problem = f"{name} of one instance and {other_name} of another are the same memory"
                raise ContractViolation(problem, cause="state shared by instances")
    y, cache = forward(one, case.x.copy())
    for _ in range(2):
        run(other, case.other.copy(), case.upstream)
    back = backward(one, case.upstream(y), cache, case.x)
    gradients = ({} if back is None else {"input": back}) | parameter_gradients(one)
    differing = list(_differing(Pass(y, gradients), expected[0]))
    results = {"forward": forward(one, case.x.copy())[0], "predict": predict(one, case.x.copy())}
    for (verb, value), wanted in zip(results.items(), expected[1:], strict=True):
        if not same(value, wanted):
            differing.append((f"the result of {verb}", value, wanted))
    for what, ours, theirs in differing:
        raise ContractViolation(
            f"{what} is another when a second instance of the class was used meanwhile",
            cause="state shared by instances (a class attribute, a module's variable, a default argument)",
            evidence=side_by_side(ours, theirs, ("two instances", "one alone")),
        )


def dtype_kept(case: Case) -> None:
    for dtype in (np.float64, np.float32):
        layer = attempt(case.layer(), "astype", dtype)
        x = case.x.astype(dtype) if case.x.dtype.kind == "f" else case.x
        results = _results(layer, x, case.upstream)
        for what, array in {**results, "the result of predict": predict(layer, x)}.items():
            if array.dtype != dtype:
                cause = (
                    "dropped to float32" if dtype == np.float64 else "a float64 constant or cast, as a NumPy scalar is"
                )
                raise ContractViolation(
                    f"{what} is {array.dtype} where all that went in is {np.dtype(dtype)}", cause=cause
                )
    _keeps_digits(case)


def _keeps_digits(case: Case) -> None:
    """
    Look for a detour through float32: along a line of close points, the results of such a layer move in coarse steps.

    On points a millionth apart, a smooth function has a fourth difference of 1e-24 of its own size, and rounding adds
    1e-16; the steps of float32 add 1e-8. Kinks may add more, but not to half of the entries on two lines alike. Where
    rounding is large of itself, so that float32 is far off altogether, that is no sign.
    """
    if case.x.dtype.kind != "f" or not case.x.size:
        return
    rng = case.rng()
    coarse: dict[str, float] = {}
    for _ in range(2):
        move = 1e-6 * rng.uniform(0.5, 1.5, case.x.shape) * rng.choice([-1.0, 1.0], case.x.shape)
        start = case.x + 1e4 * move if case.any_input else case.x
        move *= 1 if case.any_input else np.abs(case.x)
        line = [_results(case.layer(), start + t * move, _drifting(case, t)) for t in range(5)]
        small = _results(case.layer().astype(np.float32), start.astype(np.float32), _drifting(case, 0))
        for what, (a, b, c, d, e) in {what: [point[what] for point in line] for what in small}.items():
            with np.errstate(all="ignore"):
                size, error = np.maximum(np.abs(a), np.abs(e)), float(np.abs(a - small[what]).max(initial=0))
                steps = np.abs(a - 4 * b + 6 * c - 4 * d + e)[size > 0]
                clear = steps.size and np.isfinite(steps).all() and float(np.median(steps)) > 1e-3 * error
                ratio = float(np.median(steps / size[size > 0])) if clear else 0.0
            coarse[what] = min(coarse.get(what, np.inf), ratio)
    for what, ratio in coarse.items():
        if ratio > 3e-9:
            problem = f"{what} has about {-np.log10(ratio):.0f} good digits in float64"
            raise ContractViolation(problem, cause="dropped to float32")


def _drifting(case: Case, t: int) -> Callable[[Array], Array]:
    """Make upstream gradients that move a little with t."""

    def upstream(y: Array) -> Array:
        grad = case.upstream(y)
        return grad * (1 + t * 1e-6 * case.rng().uniform(0.5, 1.5, grad.shape)).astype(grad.dtype)

    return upstream


def _results(layer: Layer, x: Array, upstream: Callable[[Array], Array]) -> dict[str, Array]:
    """Make both passes, and name what they give as messages do."""
    done = run(layer, x, upstream)
    gradients = {f"the gradient of {_named(name)}": value for name, value in done.gradients.items()}
    return {"the result of forward": done.y, **gradients}


def input_gradient(case: Case) -> Power:
    power = gradient_mismatch(case, of_input=True)
    if case.any_input and case.x.dtype.kind == "f":  # A slope may be wrong for larger values only.
        gradient_mismatch(evolve(case, x=5 * case.x), of_input=True)
    return power


def parameter_gradient(case: Case) -> Power:
    return gradient_mismatch(case, of_input=False)


def linearity(case: Case) -> None:
    """Compare answers to upstream gradients, their multiples and their sums."""
    layer = case.layer()
    pristine = twin(layer)
    y, _ = forward(layer, case.x)
    first = case.upstream(y)
    second = case.rng().permutation(first.ravel()).reshape(first.shape)[..., ::-1] if first.ndim else first

    def answer(grad: Array) -> dict[str, Array]:
        return dict(run(twin(pristine), case.x, lambda _: grad).gradients)

    base, other, total = answer(first), answer(second), answer(first + second)
    bounds = rounding(pristine, case.x, lambda _: first), rounding(pristine, case.x, lambda _: second)
    for factor in (2.0**-20, -1.0, 2.0**20):
        for name, value in answer(factor * first).items():
            if not near(value, factor * base[name], abs(factor) * bounds[0][name]):
                raise ContractViolation(
                    f"the gradient of {_named(name)} for {factor:.3g} * grad is not {factor:.3g} times that for grad",
                    cause=_nonlinear(answer, first, base),
                    evidence=side_by_side(value, factor * base[name], ("got", "expected")),
                )
    for name, value in total.items():
        if not near(value, base[name] + other[name], bounds[0][name] + bounds[1][name]):
            raise ContractViolation(
                f"the gradient of {_named(name)} for grad + grad2 is not the sum of those for grad and for grad2",
                cause=_nonlinear(answer, first, base),
                evidence=side_by_side(value, base[name] + other[name], ("got", "expected")),
            )


def _named(name: str) -> str:
    return "the input" if name == "input" else name


def _nonlinear(answer: Callable[[Array], dict[str, Array]], grad: Array, base: dict[str, Array]) -> str:
    """Tell a gradient that does not look at `grad` from one that clips it."""
    elsewhere = answer(-3 * grad)
    if any(value.any() and same(elsewhere[name], value) for name, value in base.items()):
        return "upstream gradient ignored"
    tiny, tinier = answer(2.0**-20 * grad), answer(2.0**-21 * grad)
    small = all(
        near(2 * tinier[name], value, 1e-9 * float(np.abs(value).max(initial=0))) for name, value in tiny.items()
    )
    huge, huger = answer(2.0**20 * grad), answer(2.0**21 * grad)
    large = all(near(huge[name], huger[name], 1e-3 * float(np.abs(huger[name]).max(initial=0))) for name in huge)
    return "upstream gradient clipped" if small and large else "backward is not linear in grad"


def gradients_add(case: Case) -> None:
    """Compare the gradients after two passes with the sum of those of each."""
    layer = case.layer()
    pristine = twin(layer)
    bounds = rounding(pristine, case.x, case.upstream)
    one = run(twin(pristine), case.x, case.upstream).gradients
    y, cache = forward(layer, case.x)
    backward(layer, case.upstream(y), cache, case.x)
    backward(layer, case.upstream(y), cache, case.x)
    for name, value in parameter_gradients(layer).items():
        if not near(value, 2 * one[name], bounds[name]):
            cause = (
                "not accumulated: the gradient is assigned, not added" if near(value, one[name], bounds[name]) else ""
            )
            raise ContractViolation(
                f"after two equal backward passes, the gradient of {name} is not twice that of one",
                cause=cause,
                evidence=side_by_side(value, 2 * one[name], ("got", "expected")),
            )


def accumulates(case: Case) -> None:
    layer = case.layer()
    other = twin(layer)
    bounds = rounding(layer, case.x, case.upstream)
    expected = run(twin(layer), case.x, case.upstream).gradients
    y, cache = forward(other, case.x)
    attempt(other, "accumulate", case.upstream(y), cache)
    for name, value in parameter_gradients(other).items():
        if not near(value, expected[name], bounds[name]):
            raise ContractViolation(
                f"accumulate does not do to {name} what backward does",
                evidence=side_by_side(value, expected[name], ("accumulate", "backward")),
            )


def layout_irrelevant(case: Case) -> None:
    pristine = case.layer()
    bounds = rounding(pristine, case.x, case.upstream)
    expected = run(twin(pristine), case.x, case.upstream)
    for name, arrange in LAYOUTS.items():
        x, grad = arrange(case.x), arrange(case.upstream(expected.y))
        if name == "broadcast":  # Other entries, so other answers.
            plain, upstream = np.array(x), np.array(grad)
            wanted = run(twin(pristine), plain, lambda _, upstream=upstream: upstream)
            limits = rounding(pristine, plain, lambda _, upstream=upstream: upstream)
            ours = run(twin(pristine), x, lambda _, grad=grad: grad)
            _require_near(ours, wanted, limits, "x and grad broadcast, all rows the same memory")
        else:
            _require_near(run(twin(pristine), x, case.upstream), expected, bounds, f"x of layout {name!r}")
            _require_near(
                run(twin(pristine), case.x, lambda _, grad=grad: grad), expected, bounds, f"grad of layout {name!r}"
            )


def _require_near(ours: Pass, theirs: Pass, bounds: Mapping[str, float], when: str, cause: str = "") -> None:
    if not near(ours.y, theirs.y, bounds["y"]):
        evidence = side_by_side(ours.y, theirs.y, ("got", "expected"))
        raise ContractViolation(f"the result of forward is another for {when}", cause=cause, evidence=evidence)
    for what, value, expected in _differing(ours, theirs, bounds):
        evidence = side_by_side(value, expected, ("got", "expected"))
        raise ContractViolation(f"{what} is another for {when}", cause=cause, evidence=evidence)


def float32_agrees(case: Case) -> None:
    """
    Compare with float64, to within what rounding does.

    How much that is, is measured a precision higher: the error of float64 against a wider type, times the ratio of their
    last places. To it comes what a change in the last place of inputs and parameters does.
    """
    small = attempt(case.layer(), "astype", np.float32)
    x = case.x.astype(np.float32) if case.x.dtype.kind == "f" else case.x

    def upstream(y: Array) -> Array:
        return case.upstream(y.astype(np.float64)).astype(np.float32).astype(y.dtype)

    def results(
        layer: Layer, dtype: type[np.floating[Any]], rng: np.random.Generator | None = None
    ) -> dict[str, Array]:
        moved, point = layer.astype(dtype), x.astype(dtype) if x.dtype.kind == "f" else x
        if rng is not None:
            for parameter in moved.parameters():
                parameter.value[...] *= 1 + unit * rng.choice([-1.0, 1.0], parameter.value.shape)
            if x.dtype.kind == "f":
                point *= 1 + unit * rng.choice([-1.0, 1.0], point.shape)
        done = run(moved, point, upstream)
        return {"y": done.y, **done.gradients}

    unit, ratio = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).eps / np.finfo(np.float64).eps)
    ours, theirs = results(small, np.float32), results(small, np.float64)
    spread = dict.fromkeys(ours, 0.0)
    for rng in case.rng().spawn(4):
        moved = results(small, np.float64, copy.deepcopy(rng))
        wide = results(small, np.longdouble, rng)
        for name, value in moved.items():
            with np.errstate(all="ignore"):
                error = np.abs(value - theirs[name]) + ratio * np.abs(value - wide[name])
                spread[name] = max(spread[name], float(np.nan_to_num(error, nan=np.inf).max(initial=0)))
    for name, value in ours.items():
        expected = theirs[name]
        sized = np.isfinite(expected) & (np.abs(expected) < 1e30)
        bound = 64 * (spread[name] + unit * float(np.abs(expected[sized]).max(initial=0))) + 1e-37
        if not near(value[sized], expected[sized], bound):
            what = "the result of forward" if name == "y" else f"the gradient of {_named(name)}"
            raise ContractViolation(
                f"{what} in float32 is further from that in float64 than rounding explains",
                evidence=side_by_side(np.where(sized, value, 0), np.where(sized, expected, 0), ("float32", "float64")),
            )


def samples_independent(case: Case) -> None:
    layer = case.layer()
    bounds = rounding(layer, case.x, case.upstream)
    done = run(twin(layer), case.x, case.upstream)
    count = len(case.x)
    if done.y.shape[:1] != (count,) and count > 1:  # A batch of one is another law's.
        raise ContractViolation(f"{count} samples give a result of shape {done.y.shape}: not one each")
    grad = case.upstream(done.y)
    for row in range(count):
        x, upstream = case.swapped(), -2 * grad
        x[row], upstream[row] = case.x[row], grad[row]
        mixed = run(twin(layer), x, lambda _, upstream=upstream: upstream)
        _require_row(mixed, done, row, bounds, "when the other samples change")
        if not layer.stochastic:
            alone = run(twin(layer), case.x[row : row + 1], lambda _, row=row: grad[row : row + 1])
            _require_row(alone, done, row, bounds, "when it is a batch of its own", at=0)


def _require_row(
    ours: Pass, theirs: Pass, row: int, bounds: Mapping[str, float], when: str, at: int | None = None
) -> None:
    at = row if at is None else at
    pairs = {"y": (ours.y, theirs.y)}
    if "input" in ours.gradients:
        pairs["input"] = (ours.gradients["input"], theirs.gradients["input"])
    for name, (value, expected) in pairs.items():
        if not near(value[at], expected[row], bounds[name]):
            what = "the result" if name == "y" else "the input's gradient"
            raise ContractViolation(
                f"{what} for sample {row} is another {when}; declare couples_samples if that is meant",
                cause="samples mixed",
                evidence=side_by_side(value[at], expected[row], ("got", "expected")),
            )


def batch_sizes(case: Case) -> None:
    for size in (0, 1):
        x = case.x[:size]
        layer = case.layer()
        expected = (size, *predict(layer, case.x).shape[1:])
        predicted = predict(layer, x)
        if predicted.shape != expected:
            raise ContractViolation(f"predict of a batch of {size} gives shape {predicted.shape}, not {expected}")
        try:
            done = run(layer, x, case.upstream)
        except ContractViolation as violation:
            # A statistic of one sample is none: such a layer may refuse, if it says so.
            if layer.couples_samples and isinstance(violation.__cause__, ValueError):
                continue
            raise
        if done.y.shape != expected:
            raise ContractViolation(f"forward of a batch of {size} gives shape {done.y.shape}, not {expected}")
        for name, value in done.gradients.items():
            if not np.isfinite(value).all():
                raise ContractViolation(f"the gradient of {_named(name)} for a batch of {size} is not finite")
            if size == 0 and value.any():
                raise ContractViolation(f"the gradient of {_named(name)} for an empty batch is not zero")


def leading_axes(case: Case) -> None:
    """Fold two batches into one with an axis more; where the forward pass takes it, so must the backward one."""
    layer = case.layer()
    rows = np.concatenate([case.x, case.x[::-1], case.x, case.x[::-1]])
    folded = rows.reshape(2, 2 * len(case.x), *case.x.shape[1:])
    flat = run(twin(layer), rows, case.upstream)
    grad = case.upstream(flat.y)
    bounds = rounding(layer, rows, case.upstream)
    try:
        y, _ = forward(twin(layer), folded)
    except ContractViolation:
        if layer.leading_axes:
            raise
        return
    taken = near(y.reshape(-1), flat.y.reshape(-1), bounds["y"]) and y.shape == (*folded.shape[:2], *flat.y.shape[1:])
    if not taken:
        if layer.leading_axes:
            raise ContractViolation(f"input of shape {folded.shape} does not give what its rows give")
        return
    deep = run(twin(layer), folded, lambda y: grad.reshape(y.shape))
    gradients = {name: g.reshape(rows.shape) if name == "input" else g for name, g in deep.gradients.items()}
    _require_near(
        Pass(deep.y.reshape(flat.y.shape), gradients), flat, bounds, "the same rows with one more leading axis"
    )


def missing_batch_axis(case: Case) -> None:
    layer = case.layer()
    sample, batch = case.x[0], case.x[:1]
    for verb in (lambda layer, x: forward(layer, x)[0], predict):
        try:
            y = verb(twin(layer), sample)
        except ContractViolation:
            continue
        try:
            expected = verb(twin(layer), batch)
        except ContractViolation as violation:
            problem = f"a batch of one is refused, but a sample of shape {sample.shape} without its batch axis is taken"
            raise ContractViolation(problem) from violation.__cause__
        shaken = verb(twin(layer), shake(batch, case.rng()))
        bound = 256 * float(np.nan_to_num(np.abs(shaken - expected) + np.abs(expected) * _EPSILON).max(initial=0))
        if y.size > expected.size or (y.shape == expected.shape[1:] and not near(y, expected[0], bound)):
            raise ContractViolation(
                f"a sample of shape {sample.shape}, without its batch axis, gives a wrong answer of shape {y.shape}",
                evidence=side_by_side(y, expected[0], ("got", "expected")),
            )


def predict_agrees(case: Case) -> None:
    layer = case.layer()
    bounds = rounding(layer, case.x, case.upstream)
    y, predicted = forward(twin(layer), case.x)[0], predict(layer, case.x)
    if not near(predicted, y, bounds["y"]):
        evidence = side_by_side(predicted, y, ("predict", "forward"))
        raise ContractViolation("predict gives another result than forward", evidence=evidence)


def predict_leaves_no_trace(case: Case) -> None:
    layer = case.layer()
    run(layer, case.other, case.upstream)
    before = twin(layer)
    x = case.x.copy()
    first = predict(layer, x)
    was = first.copy()
    second = predict(layer, x)
    if not same(first, second):
        raise ContractViolation(
            "predict gives different results when called twice",
            cause="random numbers, or state that predict changes",
            evidence=side_by_side(second, was, ("then", "first")),
        )
    x[...] = case.swapped()
    if not same(predict(layer, x), predict(before, x)):
        problem = "predict of an array whose entries have changed gives an answer that does not fit them"
        raise ContractViolation(problem, cause="stale: an answer is remembered")
    trace = [name for name, value in _held(layer).items() if not _equal(value, _held(before).get(name))]
    old = before.state_dict()
    trace += [name for name, value in layer.state_dict().items() if not same(value, old[name])]
    if trace:
        raise ContractViolation(f"predict changes {', '.join(trace)}", cause="state that predict changes")
    if not same(forward(layer, case.x)[0], forward(twin(before), case.x)[0]):
        raise ContractViolation(
            "forward gives another result after a call of predict", cause="state that predict changes"
        )


def finite(case: Case) -> None:
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
    for what, x in stress.items():
        for dtype in (np.float64, np.float32) if x.dtype.kind == "f" else (None,):
            layer = case.layer() if dtype is None else case.layer().astype(dtype)
            typed = x if dtype is None else x.astype(dtype)
            done = run(layer, typed, case.upstream)
            results = {"y": done.y, "predict": predict(layer, typed), **done.gradients}
            for name, value in results.items():
                if not np.isfinite(value).all():
                    result = {"y": "the result of forward", "predict": "the result of predict"}
                    index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
                    raise ContractViolation(
                        f"{result.get(name, f'the gradient of {_named(name)}')} is {value[index]} at {index}, for input of "
                        f"entries {what} in {value.dtype}",
                        cause="overflow, or a division by zero",
                        evidence=f"x = {typed!r}" if typed.size <= 24 else "",
                    )
    if case.any_input and case.x.dtype.kind == "f":
        for size in (1e30, 1e200, 1e300):
            run(case.layer(), size * signs, case.upstream)


def copies_agree(case: Case) -> None:
    layer = case.layer()
    run(layer, case.other.copy(), case.upstream)  # So that buffers hold more than their first values.
    layer.clear_gradients()
    expected = predict(layer, case.x.copy())
    if not same(expected, predict(layer, case.x.copy())):
        return  # Another law says so.
    state = attempt(layer, "state_dict")

    loaded = case.make()
    if [name for name, _ in _walk(loaded, Buffer)] != list(state):
        run(loaded, case.x.copy(), case.upstream)  # One that makes its parameters in its first forward.
    attempt(loaded, "load_state_dict", state)
    _require_copy(predict(as_float64(loaded), case.x.copy()), expected, "a fresh layer with this state_dict loaded")
    for name, value in state.items():
        value += np.ones_like(value)
    _require_copy(predict(layer, case.x.copy()), expected, "the layer itself, after its state_dict was written to")

    try:
        copied = twin(layer)
    except Exception as error:
        raise ContractViolation(f"copy.deepcopy raises {type(error).__name__}: {error}") from error
    _require_copy(predict(copied, case.x.copy()), expected, "a deep copy")
    for _, buffer in _walk(copied, Buffer):
        buffer.value[...] += 1
    _require_copy(predict(layer, case.x.copy()), expected, "the layer itself, after a deep copy of it was changed")

    kind = type(layer)
    module = importlib.import_module(kind.__module__) if kind.__module__ != "__main__" else None
    if getattr(module, kind.__qualname__, None) is kind:
        try:
            pickled = pickle.loads(pickle.dumps(layer))
        except Exception as error:
            raise ContractViolation(f"pickle raises {type(error).__name__}: {error}") from error
        _require_copy(predict(pickled, case.x.copy()), expected, "a layer pickled and read back")


def _require_copy(predicted: Array, expected: Array, what: str) -> None:
    if not same(predicted, expected):
        raise ContractViolation(
            f"{what} gives other predictions",
            cause="a value that is no Parameter or Buffer, or one that a copy shares with its original",
            evidence=side_by_side(predicted, expected, ("got", "expected")),
        )


def feature_count(case: Case) -> None:
    """
    Feed samples that are wider or narrower by one feature, and ones of one feature.

    Nothing says which layers have a width of their own. One that has holds it in the shape of an array, or as a number;
    and if a wrong width gives a result of the usual shape, features were left out, or one was stretched to many.
    """
    if case.x.ndim < 2 or not case.any_input:
        return
    usual = predict(case.layer(), case.x).shape
    for axis in (axis for axis in range(1, case.x.ndim) if case.x.shape[axis] > 1):
        width = case.x.shape[axis]
        held = _holds(case.layer(), width)
        for wrong in (width + 1, 1, width - 1):
            x = np.take(case.x, np.arange(wrong) % width, axis=axis)
            for verb in ("forward", "predict"):
                layer = case.layer()
                try:
                    result = attempt(layer, verb, x)
                except ContractViolation as violation:
                    if isinstance(violation.__cause__, ValueError) or not held:
                        continue
                    problem = f"for {wrong} features instead of {width}, {violation.problem}; expected is a ValueError"
                    raise ContractViolation(problem) from violation.__cause__
                y = result[0] if verb == "forward" else result
                if usual[:1] == (len(x),) != y.shape[:1]:
                    raise ContractViolation(
                        f"{verb} takes {wrong} features instead of {width} (axis {axis}), and makes {len(y)} samples of "
                        f"{len(x)}; expected is a ValueError",
                    )
                if held and y.shape == usual:
                    raise ContractViolation(
                        f"{verb} takes {wrong} features instead of {width} (axis {axis}) and gives a result of the usual "
                        f"shape {usual}; expected is a ValueError",
                        cause="a single feature is broadcast" if wrong == 1 else "features are left out",
                    )


def _holds(layer: Layer, width: int) -> bool:
    """Tell whether a layer holds an array with an axis of this length, or the number itself."""
    numbers = (value for value in _held(layer).values() if isinstance(value, (int, np.integer)))
    return any(width in buffer.value.shape for _, buffer in _walk(layer, Buffer)) or width in numbers


def _approximate(layer: Layer) -> str:
    return layer.alters_gradient


def _differs_by_mode(layer: Layer) -> str:
    return layer.stochastic or layer.couples_samples


def _parameterless(layer: Layer) -> str:
    return "" if layer.parameters() else "the layer has no parameters"


ALL: tuple[Law, ...] = (
    Law("shapes", "The verbs return arrays of real numbers; a gradient has the shape of what it belongs to.", shapes),
    Law(
        "copies agree",
        "A copy by state_dict, deepcopy or pickle predicts the same, and shares no memory.",
        copies_agree,
    ),
    Law("determinism", "The same input gives the same result; what is random comes from the layer's own.", determinism),
    Law("instances share nothing", "What one instance does, another does not see.", instances_share_nothing),
    Law("arguments untouched", "No verb writes to x, grad or a cache; all may be read-only.", arguments_untouched),
    Law("two open passes", "A second forward pass does not disturb the backward pass of the first.", two_open_passes),
    Law("results stay", "Nothing that a call returned changes in a later call.", results_stay),
    Law("no aliasing", "No result is a view of a parameter, no parameter's gradient a view of anything.", no_aliasing),
    Law("nothing left behind", "Passes change buffers and random streams, no other attribute.", nothing_left_behind),
    Law("dtype", "float32 in, float32 out, gradients included; float64 with all its digits.", dtype_kept),
    Law("finite", "Finite input up to 1e3 gives finite results; beyond, no exception.", finite),
    Law("gradients add", "Gradients add over backward passes.", gradients_add, _parameterless),
    Law("input gradient", "backward returns the gradient of the input.", input_gradient, _approximate),
    Law(
        "parameter gradient",
        "backward adds the gradient of every parameter.",
        parameter_gradient,
        lambda layer: _approximate(layer) or _parameterless(layer),
    ),
    Law("linearity", "backward is linear in the upstream gradient.", linearity, _approximate),
    Law("accumulate", "accumulate does to the parameters what backward does.", accumulates, _parameterless),
    Law("layout", "The layout of x and of grad in memory does not matter.", layout_irrelevant),
    Law("float32 agrees", "float32 agrees with float64 to within rounding.", float32_agrees),
    Law(
        "samples independent",
        "A sample's result depends on no other sample.",
        samples_independent,
        lambda layer: layer.couples_samples,
    ),
    Law("batch sizes", "Batches of none and of one work.", batch_sizes),
    Law(
        "leading axes",
        "One more leading axis gives what its rows give.",
        leading_axes,
        lambda layer: layer.couples_samples,
    ),
    Law(
        "missing batch axis",
        "A sample without its batch axis is refused or handled, never broadcast.",
        missing_batch_axis,
        lambda layer: layer.stochastic,
    ),
    Law("predict agrees", "predict gives what forward gives.", predict_agrees, _differs_by_mode),
    Law("predict leaves no trace", "predict changes nothing, and is deterministic.", predict_leaves_no_trace),
    Law("feature count", "Another number of features is a ValueError.", feature_count),
)
