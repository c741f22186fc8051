"""One pass forward, and one back, of a reader's layer: what is not even a pass is told before its numbers are."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.exercises.answer import Miss
from minibackprop.testing.comparing import equal
from minibackprop.validation import Array


def forward(layer: Layer, x: Array) -> tuple[Array, Any]:
    """
    Go forward.

    Raises
    ------
    Miss
        If no y and cache come back, or if x has been written to.
    """
    given = x.copy()
    came: Any = layer.forward(given)
    _require_untouched("x", given, x)
    if not isinstance(came, tuple) or len(came) != 2:
        raise Miss(f"forward returns {type(came).__name__}, and should return two things", look="return y, cache")
    if not isinstance(came[0], np.ndarray):
        problem = f"the first thing that forward returns is {type(came[0]).__name__}, and should be y, an array"
        raise Miss(problem, look="the order: return y, cache")
    return came[0], came[1]


def backward(layer: Layer, grad: Array, cache: Any) -> Any:
    """
    Go back, and give what comes of it.

    Raises
    ------
    Miss
        If grad, or what is in the cache, has been written to, or if a gradient is needed where there is none yet.
    """
    given, kept = grad.copy(), copy.deepcopy(cache)
    back = _back(layer, given, cache)
    _require_untouched("grad", given, grad)
    if not equal(cache, kept):
        cause = "an array of it is written to; backward may be called twice with one cache"
        look = "*=, += and assignments to parts of an array: a * b makes a new array"
        raise Miss("backward changes what is in the cache", cause, look)
    return back


def _back(layer: Layer, grad: Array, cache: Any) -> Any:
    try:
        return layer.backward(grad, cache)
    except TypeError as error:
        for parameter in layer.parameters():
            parameter.grad = np.zeros_like(parameter.value)
        try:
            layer.backward(grad, cache)
        except Exception:  # Then it was not for want of a gradient.
            raise error from None
        problem = "backward computes with the `.grad` of a parameter, which is None before the first pass back"
        adds = " and ".join(f"self.{name}.add(...)" for name, _ in layer.named_parameters())
        raise Miss(problem, look=f"{adds}: add begins where there is nothing yet") from error


def gradient(layer: Layer, name: str) -> Array:
    """
    Give the gradient of a parameter.

    Raises
    ------
    Miss
        If there is none.
    """
    found = dict(layer.named_parameters())[name].grad
    if found is None:
        raise Miss(f"after backward, {name} has no gradient", look=f"self.{name}.add(...), in backward")
    return found


def _require_untouched(name: str, given: Array, was: Array) -> None:
    if not np.array_equal(given, was):
        cause = f"{name} is written to, by *= or += or by an assignment to {name}[...]; it belongs to the caller"
        raise Miss(f"{name} has changed after the call", cause, f"a line that changes {name}: a * b makes a new array")
