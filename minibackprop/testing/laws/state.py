"""The laws of state: a layer remembers nothing that another call reads, and shares nothing."""

from __future__ import annotations

import pickle
import sys
from types import FunctionType

import numpy as np
from attrs import evolve

from minibackprop.core import Layer, layers_within
from minibackprop.state import Buffer, walk
from minibackprop.testing.calls import (
    Pass,
    all_gradients,
    as_float64,
    attempt,
    backward,
    copy_of,
    forward,
    gradient_of,
    predict,
    rounding,
    run,
)
from minibackprop.testing.case import Case
from minibackprop.testing.comparing import attributes_of, differing, equal, near, same, side_by_side
from minibackprop.testing.gradients.mismatch import gradient_mismatch
from minibackprop.testing.traces import cause_of_change, changes, comes_from_global_stream, streams_of
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def determinism(case: Case) -> None:
    """Compare two copies, and two calls."""
    layer = case.layer()
    again = copy_of(layer)
    first, second = run(layer, case.x.copy(), case.upstream), run(again, case.x.copy(), case.upstream)
    if not same(first.y, second.y):
        raise ContractViolation(
            "two copies of the layer give different results for the same input"
            + ("; a stochastic layer draws from a generator of its own" if layer.stochastic else ""),
            cause=_of_stream(case),
            evidence=side_by_side(first.y, second.y, ("one", "the other")),
        )
    for what, value, expected in differing(first, second):
        raise ContractViolation(
            f"{what} differs between two copies of the layer, for the same input and upstream gradient",
            cause="mask redrawn, from random numbers that are not the layer's own"
            if layer.stochastic
            else "random numbers in backward",
            evidence=side_by_side(value, expected, ("one", "the other")),
        )
    before, third = layer.state_dict(), forward(layer, case.x.copy())[0]
    settled = all(same(value, before[name]) for name, value in layer.state_dict().items())
    if not layer.stochastic and settled and not same(third, first.y):
        raise ContractViolation(
            "forward gives different results when called twice; declare stochastic if that is intended",
            cause=cause_of_change(case.layer(), lambda used: forward(used, case.x.copy()), "forward"),
        )


def _of_stream(case: Case) -> str:
    """Say where random numbers come from that two copies of a layer do not have in common."""
    layer = case.layer()
    state = copy_of(layer).state_dict()
    if not all(same(value, state[name]) for name, value in layer.state_dict().items() if name in state):
        return "a copy that is made anew (by __reduce__, __deepcopy__ or __getstate__)"
    what = "random numbers that do not come from the layer's own generator"
    if comes_from_global_stream(lambda: run(case.layer(), case.x.copy(), case.upstream)):
        return f"{what}, but from NumPy's global one"
    return f"{what}, but from one that copies share, or that is made in the call"


def two_open_passes(case: Case) -> None:
    """Make a second forward pass before the backward pass of the first, then the latter once more."""
    layer = case.layer()
    alone = run(copy_of(layer), case.x, case.upstream)
    y, cache = forward(layer, case.x)
    for x in (case.other, case.swapped()):
        forward(layer, x)
    stale = "stale: backward reads what a later forward left on the layer, instead of its cache"
    try:
        back = backward(layer, case.upstream(y), cache, case.x)
    except ContractViolation as violation:
        problem = f"after a second forward pass, {violation.problem}"
        raise ContractViolation(problem, cause=stale) from violation.__cause__
    for what, value, expected in differing(Pass(y, all_gradients(layer, back)), alone):
        raise ContractViolation(
            f"{what} differs when a second forward pass is made before backward",
            cause=stale,
            evidence=side_by_side(value, expected, ("two open", "one alone")),
        )
    try:
        backward(layer, case.upstream(y), cache, case.x)
    except ContractViolation as violation:
        problem = f"for a cache that was used before, {violation.problem}"
        raise ContractViolation(problem, cause="stale: a cache serves only once") from violation.__cause__


def nothing_left_behind(case: Case) -> None:
    """Compare the attributes before and after."""
    layer = case.layer()
    run(layer, case.x, case.upstream)  # A layer may make its parameters in its first forward.
    before = attributes_of(copy_of(layer))
    run(layer, case.other, case.upstream)
    for name, value in attributes_of(layer).items():
        if name not in before or not equal(value, before[name]):
            raise ContractViolation(
                f"a forward and a backward pass change the attribute {name}, which is not a Buffer",
                cause="state on the layer: it is lost in saving, and mixes up calls that overlap",
            )


def instances_share_nothing(case: Case) -> None:
    """Use a second instance in between, and compare with one that was alone; they may differ by themselves."""
    one, other = case.another(), case.another()
    # What instances draw for themselves, copies have alike.
    alone, control = copy_of(one), copy_of(one)
    expected = _used(alone, case, None)
    drifts = _used(control, case, None)
    for name, buffer in walk(one, Buffer):
        for other_name, other_buffer in walk(other, Buffer):
            if np.shares_memory(buffer.value, other_buffer.value):
                problem = f"{name} of one instance and {other_name} of another are the same memory"
                raise ContractViolation(problem, cause="state shared by instances")
    for what, ours in _used(one, case, other).items():
        if not same(ours, expected[what]):
            shared = "state shared by instances (a class attribute, a module's variable, a default argument)"
            raise ContractViolation(
                f"{what} differs when a second instance of the class is used in between",
                cause=shared if same(drifts[what], expected[what]) else f"random numbers, or {shared}",
                evidence=side_by_side(ours, expected[what], ("two instances", "one alone")),
            )


def _used(layer: Layer, case: Case, other: Layer | None) -> dict[str, Array]:
    """Make all calls of a layer, with those of another in between, and keep what they give as it is then."""
    y, cache = forward(layer, case.x.copy())
    if other is not None:
        for x in (case.other, case.swapped()):
            run(other, x.copy(), case.upstream)
    gradients = all_gradients(layer, backward(layer, case.upstream(y), cache, case.x))
    found = {gradient_of(name): value.copy() for name, value in gradients.items()}
    for verb in ("forward", "predict"):
        result = forward(layer, case.x.copy())[0] if verb == "forward" else predict(layer, case.x.copy())
        found[f"the result of {verb}"] = result.copy()
    return found


def copies_agree(case: Case) -> None:
    """Copy in each way, compare, then change the copy and look at the original."""
    layer = case.layer()
    run(layer, case.other.copy(), case.upstream)  # So that buffers hold more than their initial values.
    layer.clear_gradients()
    streams, expected = streams_of(layer), predict(layer, case.x.copy())
    if not same(expected, predict(layer, case.x.copy())) or not equal(streams, streams_of(layer)):
        return  # Another law says so.
    state = attempt(layer, "state_dict")

    loaded = case.with_side_inputs(as_float64(case.make()))  # First, so that nothing of the state is rounded.
    if [name for name, _ in walk(loaded, Buffer)] != list(state):
        run(loaded, case.x.copy(), case.upstream)  # One that makes its parameters in its first forward.
    attempt(loaded, "load_state_dict", state)
    what = "a fresh layer with this state_dict loaded"
    _require_copy(predict(loaded, case.x.copy()), expected, what, _not_in_state(layer, loaded))
    for value in state.values():
        value += np.ones_like(value)
    what = "the layer itself, after its state_dict was written to"
    _require_copy(predict(layer, case.x.copy()), expected, what, "memory shared: state_dict gives no copies")

    try:
        copied = copy_of(layer)
    except Exception as error:
        raise ContractViolation(f"copy.deepcopy raises {type(error).__name__}: {error}") from error
    _require_copy(predict(copied, case.x.copy()), expected, "a deep copy", _not_copied(layer, copied))
    for _, buffer in walk(copied, Buffer):
        if np.ndim(buffer.value):
            buffer.value[...] += 1
    what = "the layer itself, after a deep copy of it was changed"
    _require_copy(predict(layer, case.x.copy()), expected, what, "memory shared: a deep copy and its original")

    if all(_importable(type(part)) for part in (layer, *layers_within(layer))):
        try:
            pickled = pickle.loads(pickle.dumps(layer))
        except Exception as error:
            problem = f"pickle raises {type(error).__name__}: {error}"
            raise ContractViolation(problem, cause=_not_pickled(layer)) from error
        what = "a layer pickled and read back"
        _require_copy(predict(pickled, case.x.copy()), expected, what, _not_copied(layer, pickled))


def _not_in_state(layer: Layer, loaded: Layer) -> str:
    """Name the attributes in which a layer differs from one that has its state."""
    others = attributes_of(loaded)
    differing = [name for name, value in attributes_of(layer).items() if not equal(value, others.get(name))]
    what = "a value that is not a Parameter or Buffer"
    return f"{what}: {', '.join(differing)}" if differing else f"{what}, or one that state_dict leaves out"


def _not_copied(layer: Layer, copied: Layer) -> str:
    """Name what differs between a layer and its copy."""
    values = dict(walk(copied, Buffer))
    differing = [name for name, b in walk(layer, Buffer) if name not in values or not same(b.value, values[name].value)]
    differing += changes(layer, copied)[0] if not differing else []
    what = (
        "a copy that is made anew (by __reduce__, __deepcopy__ or __getstate__), and lacks what the layer has learned"
    )
    return f"{what}: {', '.join(differing)}" if differing else "a value that a copy does not get"


def _not_pickled(layer: Layer) -> str:
    """Name the functions on a layer that pickle cannot write, and that hold on to what they were made with."""
    names = [name for name, value in attributes_of(layer).items() if isinstance(value, FunctionType)]
    local = [name for name in names if "<" in getattr(attributes_of(layer)[name], "__qualname__", "")]
    text = "a function kept on the layer (a lambda, or one made in a method): no copy has it, or its closure"
    return f"{text}: {', '.join(local)}" if local else ""


def frozen(case: Case) -> None:
    """Freeze a copy, make both passes, and look at all that must not change; compare with the layer as it was."""
    layer = case.layer()
    run(layer, case.other.copy(), case.upstream)  # So that buffers hold more than their initial values.
    layer.clear_gradients()
    twin = copy_of(layer).freeze()
    before = twin.state_dict()
    y, cache = forward(twin, case.x)
    grad = case.upstream(y)
    back = backward(twin, grad, cache, case.x)
    attempt(twin, "accumulate", grad, cache)
    for name, parameter in twin.named_parameters():
        if parameter.grad is not None:
            problem = f"{gradient_of(name)} is stored though the layer is frozen"
            raise ContractViolation(problem, cause="a gradient that is not handed to Parameter.add")
    differs_by_mode = layer.stochastic or layer.couples_samples
    for name, value in twin.state_dict().items() if differs_by_mode else ():
        if not same(value, before[name]):
            raise ContractViolation(f"forward of the frozen layer changes {name}", cause="frozen is not looked at")
    expected = predict(layer, case.x) if differs_by_mode else forward(copy_of(layer), case.x)[0]
    if not near(y, expected, rounding(twin, case.x, case.upstream)["y"]):
        verb = "predict" if differs_by_mode else "forward of the layer as it was"
        raise ContractViolation(
            f"forward of the frozen layer does not give what {verb} gives",
            cause="frozen is not looked at" if differs_by_mode else "",
            evidence=side_by_side(y, expected, ("frozen", "expected")),
        )
    if back is None or (layer.alters_gradient and not case.surrogate):
        return
    if differs_by_mode:
        try:
            gradient_mismatch(evolve(case, layer=lambda: case.layer().freeze()), of_input=True)
        except ContractViolation as violation:
            violation.problem = f"of the frozen layer: {violation.problem}"
            raise
        return
    _, unfrozen = forward(layer, case.x)
    usual = backward(layer, grad, unfrozen, case.x)
    if usual is not None and not near(back, usual, case.rounding()["input"]):
        raise ContractViolation(
            "the gradient that passes through the frozen layer is another",
            evidence=side_by_side(back, usual, ("frozen", "as it was")),
        )


def _importable(kind: type) -> bool:
    return getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind


def _require_copy(predicted: Array, expected: Array, what: str, cause: str) -> None:
    if not same(predicted, expected):
        evidence = side_by_side(predicted, expected, ("got", "expected"))
        raise ContractViolation(f"{what} gives different predictions", cause=cause, evidence=evidence)
