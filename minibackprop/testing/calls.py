"""Calls of a layer that turn every misbehaviour into a violation, and how much rounding matters to their results."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from attrs import frozen

from minibackprop.core import Layer
from minibackprop.errors import describe
from minibackprop.state import Buffer, walk
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array

#: An upstream gradient, or what makes one for a result.
Upstream = Array | Callable[[Array], Array]


@frozen(eq=False)
class Pass:
    """What one forward and one backward pass gave: the result, and all gradients by name, "input" among them."""

    y: Array
    gradients: Mapping[str, Array]


def attempt(layer: Layer, verb: str, *arguments: Any) -> Any:
    """Call a method of the layer; what it raises becomes a violation."""
    try:
        with np.errstate(all="ignore"):
            return getattr(layer, verb)(*arguments)
    except Exception as error:
        shapes = ", ".join(str(a.shape) for a in arguments if isinstance(a, np.ndarray))
        problem = f"{verb} raises {type(error).__name__}: {error}"
        raise ContractViolation(problem + (f" (for an array of shape {shapes})" if shapes else "")) from error


def forward(layer: Layer, x: Array) -> tuple[Array, Any]:
    """Call forward, and require a pair that begins with an array."""
    result = attempt(layer, "forward", x)
    if type(result) is not tuple or len(result) != 2:
        raise ContractViolation(f"forward must return a pair (y, cache); it returns {describe(result)}")
    _require_array("forward", result[0], x)
    return result


def predict(layer: Layer, x: Array) -> Array:
    """Call predict, and require an array."""
    y: Array = attempt(layer, "predict", x)
    _require_array("predict", y, x)
    return y


def backward(layer: Layer, grad: Array, cache: Any, x: Array) -> Array | None:
    """Call backward, and require the gradient of a floating-point `x`, of its shape."""
    back: Array | None = attempt(layer, "backward", grad, cache)
    if back is None and x.dtype.kind == "f":
        raise ContractViolation("backward returns None; only the gradient of integer input is None (a missing return?)")
    if back is not None:
        _require_gradient("the result of backward is", back, x.shape)
    return back


@contextmanager
def writing_reported(problem: str) -> Iterator[None]:
    """Turn the error of writing to a read-only array into a violation."""
    try:
        yield
    except ValueError as error:
        if "read-only" in str(error):
            raise ContractViolation(f"{problem}: {error}", cause="argument overwritten") from error
        raise


def gradient_of(name: str) -> str:
    """Name a gradient as messages do."""
    return f"the gradient with respect to {'the input' if name == 'input' else name}"


def parameter_gradients(layer: Layer) -> dict[str, Array]:
    """Collect the gradients of all parameters that are trained, zeros where none was added; require their shapes."""
    found = {}
    for name, parameter in layer.named_parameters():
        if parameter.frozen:
            if parameter.grad is not None:
                raise ContractViolation(f"{name} is frozen, and gets a gradient: hand it to Parameter.add")
            continue
        if parameter.grad is None:
            found[name] = np.zeros_like(parameter.value)
            continue
        _require_gradient(f"{gradient_of(name)} is", parameter.grad, parameter.value.shape)
        found[name] = np.asarray(parameter.grad)
    return found


def all_gradients(layer: Layer, back: Array | None) -> dict[str, Array]:
    """Name what backward returned "input", and add the gradients of all parameters."""
    return ({} if back is None else {"input": back}) | parameter_gradients(layer)


def run(layer: Layer, x: Array, upstream: Upstream) -> Pass:
    """Make a forward and a backward pass, from a layer without gradients."""
    y, cache = forward(layer, x)
    back = backward(layer, upstream(y) if callable(upstream) else upstream, cache, x)
    return Pass(y, all_gradients(layer, back))


def copy_of(layer: Layer) -> Layer:
    """Copy a layer with all that it holds, its random streams included."""
    return copy.deepcopy(layer)


def as_float64(layer: Layer) -> Layer:
    """Copy a layer with its arrays cast to float64; one that has no others is returned as it is."""
    return (
        layer
        if all(buffer.value.dtype == np.float64 for _, buffer in walk(layer, Buffer))
        else layer.astype(np.float64)
    )


#: Rounding may amount to so many times the last place itself, or what a change in the last place does. What the laws
#: that compare to within rounding look for is larger by far.
_ULPS = 4096


def rounding(layer: Layer, x: Array, upstream: Upstream) -> dict[str, float]:
    """
    Measure how much rounding matters, by name of the result ("y" for the forward one).

    Inputs, parameters and upstream gradients are changed in their last place, and the results compared. What differs by
    less than the bound may be due to the order in which a sum is taken.
    """
    plain = run(copy_of(layer), x, upstream)
    results = {"y": plain.y, **plain.gradients}
    bounds = {name: _ULPS * _last_place(value) for name, value in results.items()}
    # A gradient may be what is left of terms that cancel; those are as large as grad, and for a parameter as grad * x.
    grad = upstream(plain.y) if callable(upstream) else upstream
    terms = _last_place(grad) * max(1.0, float(np.abs(x[np.isfinite(x)]).max(initial=0)))
    bounds |= {name: bounds[name] + _ULPS * terms for name in plain.gradients}
    rng = np.random.default_rng(0)
    for _ in range(2):
        moved = run(with_perturbed_parameters(layer, rng), perturbed(x, rng), perturbed(grad, rng))
        for name, value in {"y": moved.y, **moved.gradients}.items():
            if value.shape == results[name].shape and value.size:
                with np.errstate(all="ignore"):
                    bounds[name] += _ULPS * float(np.nan_to_num(np.abs(value - results[name])).max())
    return bounds


def with_perturbed_parameters(layer: Layer, rng: np.random.Generator, places: int = 1) -> Layer:
    """Copy a layer, and change each entry of its parameters in its last place, or by so many of them."""
    copied = copy_of(layer)
    for parameter in copied.parameters():
        parameter.value[...] = perturbed(parameter.value, rng, places)
    return copied


def perturbed(x: Array, rng: np.random.Generator, places: int = 1) -> Array:
    """Change each floating-point entry of `x` in its last place, or by so many of them."""
    if x.dtype.kind != "f":
        return x
    signs = rng.integers(0, 2, x.shape) * 2.0 - 1
    moved: Array = x * (1 + places * np.finfo(x.dtype).eps * signs).astype(x.dtype)
    return moved


def _last_place(value: Array) -> float:
    """Compute the distance from the largest entry to the next floating-point number."""
    finite = np.abs(value[np.isfinite(value)])
    return float(np.finfo(value.dtype).eps * finite.max(initial=0)) if value.dtype.kind == "f" else 0.0


def _require_array(verb: str, y: object, x: Array) -> None:
    if type(y) is not np.ndarray:
        raise ContractViolation(f"{verb} must return an array; it returns {describe(y)}")
    if y.dtype.kind != "f" and x.dtype.kind == "f":
        raise ContractViolation(f"{verb} must return real floating-point numbers; it returns dtype {y.dtype}")


def _require_gradient(what: str, grad: object, shape: tuple[int, ...]) -> None:
    # A reduction over all axes gives a NumPy scalar.
    if not isinstance(grad, np.ndarray) and not (isinstance(grad, np.generic) and shape == ()):
        raise ContractViolation(f"{what} {describe(grad)} where an array belongs")
    if grad.dtype.kind != "f":
        raise ContractViolation(f"{what} of dtype {grad.dtype}; a gradient holds real floating-point numbers")
    if grad.shape != shape:
        raise ContractViolation(f"{what} of shape {grad.shape}; what it belongs to has shape {shape}")
