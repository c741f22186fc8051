"""Gradients by central differences in float64, which every `backward` is compared with."""

from collections.abc import Callable

import numpy as np

from minibackprop import Layer
from minibackprop.validation import Array

STEP = 1e-5


def central_differences(function: Callable[[], float], array: Array) -> Array:
    """Differentiate `function`, which reads `array`, with respect to each entry; `array` is left as it was."""
    slopes = np.empty_like(array)
    for index in np.ndindex(array.shape):
        entry = array[index]
        array[index] = entry + STEP
        above = function()
        array[index] = entry - STEP
        slopes[index] = (above - function()) / (2 * STEP)
        array[index] = entry
    return slopes


def assert_close(found: Array, slopes: Array, scale: float, name: str) -> None:
    """
    Compare a gradient with central differences of a sum of terms whose sizes add up to `scale`, entry by entry.

    The differences are off by about ``STEP**2`` (truncation) plus ``scale * eps / STEP`` (rounding): 1e-10 and 2e-11 *
    scale here. The tolerance leaves room for third derivatives of some hundreds, and is far below any wrong formula.
    """
    assert found.shape == slopes.shape, f"{name}: shape {found.shape}, expected {slopes.shape}"
    np.testing.assert_allclose(found, slopes, rtol=1e-6, atol=1e-7 * (1 + scale), err_msg=f"gradient of {name}")


def assert_gradients(layer: Layer, x: Array, rng: np.random.Generator) -> None:
    """Compare the gradients with respect to the input and every parameter with central differences."""
    x = np.array(x, dtype=np.float64)
    y, cache = layer.forward(x)
    upstream = rng.normal(size=y.shape)
    scale = float(np.abs(upstream * y).sum())

    def objective() -> float:
        return float(np.vdot(upstream, layer.forward(x)[0]))

    layer.clear_gradients()
    assert_close(layer.backward(upstream, cache), central_differences(objective, x), scale, "the input")
    for name, parameter in layer.named_parameters():
        assert_close(parameter.grad, central_differences(objective, parameter.value), scale, name)
