"""The law of other arrays: on a GPU's array, a layer does what it does on NumPy's."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minibackprop.core import Layer, layers_within
from minibackprop.errors import describe
from minibackprop.testing.adapters import Adapter
from minibackprop.testing.calls import attempt, gradient_of
from minibackprop.testing.case import Case
from minibackprop.testing.comparing import apart, attributes_of, same, side_by_side
from minibackprop.testing.device_array import DeviceArray, DeviceError
from minibackprop.testing.side_inputs import WithSideInputs
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

T = TypeVar("T")


def other_arrays(case: Case) -> None:
    """Compare all verbs, gradients and buffers on `DeviceArray` with those on NumPy's arrays, bit for bit."""
    host, device = _called(case)
    try:
        expected, got = dict(_results(host, case, _same)), dict(_results(device, case, DeviceArray))
    except ContractViolation as violation:
        raise explained(violation, host) from violation.__cause__
    for what, value in expected.items():
        require_same(what, got[what], value)


def _called(case: Case) -> tuple[Layer, Layer]:
    """Make the layer with its side inputs, and its copy on the device."""
    layer = case.layer()
    if not isinstance(layer, WithSideInputs):
        return layer, layer.map_arrays(DeviceArray)
    rows: dict[str, Any] = layer.for_batch(case.x)
    there: dict[str, Any] = on_device(rows)
    return layer.layer.given(**rows), layer.layer.map_arrays(DeviceArray).given(**there)


def _results(layer: Layer, case: Case, put: Callable[[Array], Any]) -> Iterator[tuple[str, Any]]:
    """Call each verb, of arrays that have been put where the layer's are."""
    x = put(case.x)
    y, cache = attempt(layer, "forward", x)
    yield "the result of forward", y
    grad = put(case.upstream(np.empty(y.shape, y.dtype)))
    yield "the result of backward", attempt(layer, "backward", grad, cache)
    yield from ((gradient_of(name), parameter.grad) for name, parameter in layer.named_parameters())
    layer.clear_gradients()
    attempt(layer, "accumulate", grad, cache)
    yield from ((f"{gradient_of(name)}, by accumulate,", p.grad) for name, p in layer.named_parameters())
    layer.clear_gradients()
    yield "the result of predict", attempt(layer, "predict", x)
    yield from ((f"{name} after forward", value) for name, value in attempt(layer, "state_dict").items())


def _same(array: Array) -> Array:
    return array


def require_same(what: str, got: object, expected: object) -> None:
    """Require that what was computed on the device stayed there, and is what the host computed."""
    if got is None or expected is None:
        if got is not expected:
            raise ContractViolation(f"{what} is {describe(got)} on a device's array, {describe(expected)} on NumPy's")
    elif not isinstance(got, DeviceArray):
        raise ContractViolation(
            f"{what} is {describe(got)} where a device's array belongs",
            cause="made on the host: write np.zeros_like(x), np.zeros(n, like=x) or np.arange(n, like=x)",
        )
    elif not same(ours := got.get(), theirs := np.asarray(expected)):
        raise ContractViolation(
            f"{what} differs on a device's array",
            cause="another way of computing where the array is not NumPy's",
            evidence=side_by_side(ours, theirs, ("device", "NumPy")),
        )


def require_same_number(what: str, got: object, expected: float) -> None:
    """Require that a number that is looked at on the host is Python's, and what the host computed."""
    if not isinstance(got, float):
        raise ContractViolation(f"{what} of a device's arrays must be a float; it is {describe(got)}")
    if not np.array_equal(got, expected, equal_nan=True):
        raise ContractViolation("{} is {} on a device's array, and {} on NumPy's".format(what, *apart(got, expected)))


@contextmanager
def on_the_device(what: str) -> Iterator[None]:
    """Turn what is raised within into a violation that says what is refused, and what to write instead."""
    try:
        yield
    except Exception as error:
        violation = ContractViolation(f"{what} raises {type(error).__name__}: {error}")
        violation.__cause__ = error
        raise explained(violation) from error


def explained(violation: ContractViolation, layer: Layer | None = None) -> ContractViolation:
    """Say of what a device's array refuses where that was, and what to write instead."""
    violation.problem = f"on a device's array, {violation.problem}"
    error = refusal = violation.__cause__
    while refusal is not None and not isinstance(refusal, DeviceError):
        refusal = refusal.__cause__ or refusal.__context__
    if isinstance(refusal, DeviceError):
        host = [name for name, value in attributes_of(layer).items() if isinstance(value, np.ndarray)] if layer else []
        violation.cause = refusal.remedy
        violation.problem = violation.problem.replace(f": {refusal.remedy}", "")
        if host and "NumPy array" in str(refusal):
            violation.cause = f"{' and '.join(host)} stays on the host: keep it in a Buffer"
    else:
        violation.cause = "it is written for NumPy's arrays alone"
    if error is not None and (line := _line(refusal or error)):
        violation.evidence = f"in the line: {line}"
    return violation


def _line(error: BaseException) -> str:
    """Find the line of the user's from which an error comes."""
    for frame, number in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("minibackprop.testing.", "numpy.")):
            return traceback.extract_stack(frame, 1)[0].line or "" if number else ""
    return ""


def lifted_for_other_frameworks(case: Case) -> str:
    """Give the reason for which a layer that computes in another framework is not asked."""
    layer = case.as_it_is()
    adapted = any(isinstance(part, Adapter) for part in (layer, *layers_within(layer)))
    return "computes with the arrays of another framework" if adapted else ""


def on_device(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Bring arrays to the device."""
    return {name: None if array is None else DeviceArray(array) for name, array in arrays.items()}
