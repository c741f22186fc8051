"""The laws of calls: what the verbs take, what they return, and what they leave alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError, describe
from minibackprop.state import Buffer, Parameter, walk
from minibackprop.testing.calls import (
    backward,
    copy_of,
    forward,
    gradient_of,
    parameter_gradients,
    predict,
    run,
)
from minibackprop.testing.case import Case
from minibackprop.testing.comparing import attributes_of, equal, near, same, side_by_side
from minibackprop.testing.laws.base import Law
from minibackprop.testing.side_inputs import as_called
from minibackprop.testing.traces import cause_of_change, changes, holder_of
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def shapes(case: Case) -> None:
    """Check the types and shapes of all that the verbs return; most of it is checked in each call of one."""
    for name in ("stochastic", "couples_samples", "alters_gradient"):
        if not isinstance(reason := getattr(case.as_it_is(), name), str):
            raise ContractViolation(f"{name} holds the reason, as a str, or is empty; it is {reason!r}")
    try:
        done = run(case.layer(), case.x.copy(), case.upstream)
    except ContractViolation as violation:
        if isinstance(violation.__cause__, ShapeError) and violation.problem.startswith("forward"):
            violation.cause = f"is {case.x.shape[1:]} the shape of one sample of this layer?"
        else:
            violation.cause = _of_wrong_shape(case)
        raise
    predicted = predict(case.layer(), case.x.copy())
    if predicted.shape != done.y.shape:
        raise ContractViolation(f"predict gives shape {predicted.shape}, forward {done.y.shape}")


def _of_wrong_shape(case: Case) -> str:
    """Say where a gradient of the wrong shape may come from, of a batch whose size is that of nothing else."""
    layer, count = case.layer(), 7
    added: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    for name, parameter in layer.named_parameters():
        _record(parameter, name, added)
    try:
        y, cache = forward(layer, case.x[np.arange(count) % len(case.x)])
        layer.backward(case.upstream(y), cache)
    except Exception:  # What it raises has been reported.
        pass
    added += [
        (name, p.grad.shape, p.value.shape) for name, p in layer.named_parameters() if isinstance(p.grad, np.ndarray)
    ]
    for name, got, expected in added:
        if got == expected:
            continue
        if tuple(size for size in got if size != 1) == tuple(size for size in expected if size != 1):
            return f"the gradient of {name} has axes of length 1 that {name} has not (keepdims=True), or lacks some"
        if got == expected[::-1]:
            return f"transposed: the gradient of {name} has its axes in reverse order"
        if got[:1] == (count,):
            return f"the gradient of {name} has an entry for each sample: summed over the wrong axes, or not summed"
        return f"the gradient of {name} is summed over the wrong axes, or not summed"
    return ""


def _record(parameter: Parameter, name: str, added: list[tuple[str, tuple[int, ...], tuple[int, ...]]]) -> None:
    """Let a parameter note the shapes that are handed to it, in place of an error."""

    def add(grad: Array, /) -> None:
        added.append((name, np.shape(grad), parameter.value.shape))

    object.__setattr__(parameter, "add", add)


def arguments_untouched(case: Case) -> None:
    """Compare the arguments before and after, then give read-only ones; compare two gradients from one cache."""
    for writeable in (True, False):
        layer = case.layer()
        x = case.x.copy()
        x.flags.writeable = writeable
        y, cache = _reading_errors("x", forward, layer, x)
        if not same(x, case.x):
            raise ContractViolation("forward changes x", cause="argument overwritten")
        grad = case.upstream(y)
        kept, cached, before = grad.copy(), _copy_if_possible(cache), copy_of(layer)
        grad.flags.writeable = writeable
        first = _reading_errors("grad", backward, layer, grad, cache, x)
        if not same(grad, kept):
            raise ContractViolation("backward changes grad", cause="argument overwritten")
        if not same(x, case.x):
            raise ContractViolation("backward changes x", cause="argument overwritten")
        spent, after = not equal(cache, cached), copy_of(layer)
        added = parameter_gradients(layer)
        first = None if first is None else first.copy()
        added = {name: value.copy() for name, value in added.items()}
        layer.clear_gradients()
        try:
            second = backward(layer, kept, cache, x)
        except ContractViolation:
            break  # Not because something was written to; the law of open passes will say.
        if (first is not None and second is not None and not same(first, second)) or any(
            not same(value, added[name]) for name, value in parameter_gradients(layer).items()
        ):
            raise ContractViolation(
                "backward gives a different result when called again with the same cache",
                cause="argument overwritten: backward writes to its cache" if spent else _of_backward(before, after),
            )
        predict(case.layer(), x)
        if not same(x, case.x):
            raise ContractViolation("predict changes x", cause="argument overwritten")


def _of_backward(before: Layer, after: Layer) -> str:
    """Say why a second backward differs, from what the first one has left on the layer."""
    attributes, buffers, streams = changes(before, after)
    if streams:
        return f"mask redrawn: backward draws random numbers, from {', '.join(streams)}"
    if attributes or buffers:
        return f"state on the layer: backward changes {', '.join([*attributes, *buffers])}"
    return "mask redrawn" if after.stochastic else "random numbers in backward, or state that it changes"


def _copy_if_possible(cache: Any) -> Any:
    """Copy a cache; what cannot be copied (a tensor in another framework's graph, say) cannot be compared either."""
    with suppress(Exception):
        return copy.deepcopy(cache)
    return cache


def _reading_errors(what: str, verb: Callable[..., Any], *arguments: Any) -> Any:
    """Call a verb, and say of an error about a read-only array what it means."""
    try:
        return verb(*arguments)
    except ContractViolation as violation:
        if "read-only" in violation.problem:
            problem = (
                f"{violation.problem}: the arguments ({what} and what the cache shares with it) may not be written to"
            )
            raise ContractViolation(problem, cause="argument overwritten") from violation.__cause__
        raise


def results_stay(case: Case) -> None:
    """Compare what was returned with what it is after further calls."""
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
            holder = holder_of(layer, array)
            raise ContractViolation(
                f"{what} changes in a later call",
                cause="scratch memory that is used again" + (f": {holder}" if holder else ""),
                evidence=side_by_side(array, was, ("is now", "was")),
            )


def no_aliasing(case: Case) -> None:
    """Look for memory that results, parameters and gradients share; zeros may take a short cut of their own."""
    for x in (case.x.copy(), np.zeros_like(case.x)) if case.any_input else (case.x.copy(),):
        _no_aliasing(case, x)


def _no_aliasing(case: Case, x: Array) -> None:
    layer = case.layer()
    y, cache = forward(layer, x)
    grad = case.upstream(y)
    back = backward(layer, grad, cache, x)
    predicted = predict(layer, x)
    buffers = dict(walk(layer, Buffer))
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
                problem = f"{gradient_of(name)} shares memory with {what}; a parameter needs an array of its own"
                raise ContractViolation(problem, cause="memory shared")
    for number, (name, gradient) in enumerate(added):
        for later, other in added[number + 1 :]:
            if np.shares_memory(gradient, other):
                raise ContractViolation(
                    f"{gradient_of(name)} shares memory with that of {later}", cause="memory shared"
                )


def _arrays(layer: Layer, y: Array, back: Array | None, predicted: Array) -> list[tuple[str, Array]]:
    results = [("the result of forward", y), ("the result of backward", back), ("the result of predict", predicted)]
    gradients = [(gradient_of(name), p.grad) for name, p in layer.named_parameters()]
    return [(what, array) for what, array in [*results, *gradients] if isinstance(array, np.ndarray)]


def predict_agrees(case: Case) -> None:
    """Compare predict with forward."""
    layer = case.layer()
    bounds = case.rounding()
    y, predicted = forward(copy_of(layer), case.x)[0], predict(layer, case.x)
    if not near(predicted, y, bounds["y"]):
        evidence = side_by_side(predicted, y, ("predict", "forward"))
        raise ContractViolation(
            "predict gives a different result from forward", cause=_not_read(case), evidence=evidence
        )


def _not_read(case: Case) -> str:
    """Find the parameters and buffers that forward reads and predict does not, or the converse."""
    found = []
    for name, buffer in walk(case.layer(), Buffer):
        if not buffer.value.size or buffer.value.dtype.kind != "f":
            continue
        layer, moved = case.layer(), case.layer()
        dict(walk(moved, Buffer))[name].value[...] += 0.5
        by_forward = not same(_forward(moved, case.x), _forward(case.layer(), case.x))
        by_predict = not same(predict(moved, case.x), predict(layer, case.x))
        if by_forward != by_predict:
            found.append(f"{'predict' if by_forward else 'forward'} does not depend on {name}")
    return ", ".join(found)


def _forward(layer: Layer, x: Array) -> Array:
    return forward(layer, x)[0]


def agrees_with(reference: Callable[[Layer, Array], Array]) -> Law:
    """Make the law that forward gives what a function of the user's does, of a layer and its input."""
    if not callable(reference):
        raise ConfigError("reference", "a callable of a layer and a batch", describe(reference))

    def check(case: Case) -> None:
        layer = case.layer()
        y, _ = forward(copy_of(layer), case.x)
        expected = np.asarray(reference(as_called(layer, case.x), case.x.copy()))
        if not near(y, expected, case.rounding()["y"]):
            evidence = side_by_side(y, expected, ("forward", "reference"))
            raise ContractViolation("forward gives another result than the reference", evidence=evidence)

    return Law("reference", "forward gives what the reference does.", check)


def predict_leaves_no_trace(case: Case) -> None:
    """Call predict twice, write to its argument, and compare all that the layer holds."""
    layer = case.layer()
    run(layer, case.other, case.upstream)
    before = copy_of(layer)
    x = case.x.copy()
    first = predict(layer, x)
    was = first.copy()
    second = predict(layer, x)
    if not same(first, second):
        raise ContractViolation(
            "predict gives different results when called twice",
            cause=cause_of_change(before, lambda used: predict(used, case.x), "predict"),
            evidence=side_by_side(second, was, ("then", "first")),
        )
    x[...] = case.swapped()
    if not same(predict(layer, x), predict(before, x)):
        problem = "predict of an array whose entries have changed gives an answer that does not fit them"
        raise ContractViolation(problem, cause="stale: an answer is remembered")
    old_attributes = attributes_of(before)
    trace = [name for name, value in attributes_of(layer).items() if not equal(value, old_attributes.get(name))]
    old = before.state_dict()
    trace += [name for name, value in layer.state_dict().items() if not same(value, old[name])]
    if trace:
        raise ContractViolation(
            f"predict changes {', '.join(trace)}", cause=f"state that predict changes: {', '.join(trace)}"
        )
    if not same(forward(layer, case.x)[0], forward(copy_of(before), case.x)[0]):
        raise ContractViolation(
            "forward gives a different result after a call of predict",
            cause=cause_of_change(before, lambda used: predict(used, case.x), "predict"),
        )
