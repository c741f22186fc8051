"""One pass forward, and one back, of a reader's layer or loss: what is no pass is told before its numbers are."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.exercises.answer import Miss
from minibackprop.losses.base import Loss
from minibackprop.testing.comparing import equal
from minibackprop.validation import Array

_NUMBERS = {2: "two", 3: "three", 5: "five", 6: "six"}


def returned(function: str, came: Any, names: str) -> tuple[Any, ...]:
    """
    Require that as many things came back as `names` has, as in ``"y, cache"``.

    Raises
    ------
    Miss
        If they did not.
    """
    count, several = len(names.split(", ")), isinstance(came, (tuple, list))
    if not several or len(came) != count:
        got = f"{len(came)} things" if several else type(came).__name__
        raise Miss(f"{function} returns {got}, and should return {_NUMBERS[count]} things", look=f"return {names}")
    return tuple(came)


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
    require_untouched("x", given, x, "forward")
    y, cache = returned("forward", came, "y, cache")
    _require_array("the first thing that forward returns", y, "y", "the order: return y, cache")
    return y, cache


def loss_forward(loss: Loss, p: Array, t: Array, *weights: Array, name: str = "p") -> tuple[Any, Any]:
    """
    Go forward through a loss, whose predictions the exercise calls `name`.

    Raises
    ------
    Miss
        If no value and cache come back, or if the predictions or the targets have been written to.
    """
    given, targets = p.copy(), t.copy()
    came: Any = loss.forward(given, targets, *(array.copy() for array in weights))
    require_untouched(name, given, p, "forward")
    require_untouched("t", targets, t, "forward")
    value, cache = returned("forward", came, "value, cache")
    if isinstance(value, tuple):
        problem = "the first thing that forward returns is tuple, and should be the loss, a number"
        raise Miss(problem, look="the order: return value, cache")
    return value, cache


def predict(layer: Layer, x: Array) -> Array:
    """
    Use a layer.

    Raises
    ------
    Miss
        If no array comes back, or if x has been written to.
    """
    given = x.copy()
    y: Any = layer.predict(given)
    require_untouched("x", given, x, "predict")
    _require_array("what predict returns", y, "y alone", "the last line: predict returns y, and no cache")
    return y  # type: ignore[no-any-return]


def _require_array(what: str, came: Any, name: str, look: str) -> None:
    if not isinstance(came, np.ndarray):
        raise Miss(f"{what} is {type(came).__name__}, and should be {name}, an array", look=look)


def backward(layer: Layer, grad: Array, cache: Any) -> Any:
    """
    Go back, and give what comes of it.

    Raises
    ------
    Miss
        If grad, or what is in the cache, has been written to, or if a gradient is needed where there is none yet.
    """
    given = grad.copy()
    try:
        kept = copy.deepcopy(cache)
    except Exception:  # Some things cannot be copied, a generator for one; the laws still go back twice.
        kept = cache
    back = _back(layer, given, cache)
    require_untouched("grad", given, grad, "backward")
    if not equal(cache, kept):
        cause = "an array of it is written to; backward may be called twice with one cache"
        look = "*=, += and assignments to parts of an array, by another name of it too: a * b makes a new array"
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


def require_untouched(name: str, given: Array, was: Array, function: str) -> None:
    """
    Require that an array that was passed in is as it was.

    Raises
    ------
    Miss
        If it is not.
    """
    if not np.array_equal(given, was):
        cause = f"{name} is written to, by *= or += or by an assignment to {name}[...]; it belongs to the caller"
        raise Miss(
            f"{name} has changed after {function}", cause, f"a line that changes {name}: a * b makes a new array"
        )
