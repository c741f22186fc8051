"""Optimizers of every kind, and runs of steps on given gradients, for the tests of all files here."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minibackprop import SGD, Adagrad, Adam, AdamW, CosineDecay, GradientDescent, Optimizer, Parameter, RMSProp, WarmUp
from minibackprop.validation import Array

shapes = st.sampled_from([(), (0,), (3,), (2, 3), (2, 1, 2)])

#: One optimizer of each kind, with settings of its own.
OPTIMIZERS: dict[str, Callable[..., GradientDescent]] = {
    "plain": lambda **limits: SGD(0.1, **limits),
    "momentum": lambda **limits: SGD(0.1, momentum=0.8, **limits),
    "nesterov": lambda **limits: SGD(0.1, momentum=0.8, nesterov=True, **limits),
    "Adagrad": lambda **limits: Adagrad(0.1, **limits),
    "RMSProp": lambda **limits: RMSProp(0.1, rho=0.9, **limits),
    "Adam": lambda **limits: Adam(0.1, beta1=0.8, beta2=0.95, **limits),
    "AdamW": lambda **limits: AdamW(0.1, beta1=0.8, beta2=0.95, weight_decay=0.1, biases=True, **limits),
    "scheduled": lambda **limits: Adam(WarmUp(3, then=CosineDecay(0.2, 50)), **limits),
}
New = Callable[..., GradientDescent]

#: The published rules, one gradient at a time: a function of gradient, rate and value to the new value.
Rule = Callable[[Array, float, Array], Array]


def run(optimizer: Optimizer, parameter: Parameter, grads: list[Array | None]) -> list[Array]:
    """Make a step for each gradient, and list the values after each."""
    found = []
    for grad in grads:
        if grad is not None:
            parameter.add(grad)
        optimizer.step([parameter])
        found.append(parameter.value.copy())
    return found


def draw_grads(rng: np.random.Generator, shape: tuple[int, ...], steps: int) -> list[Array | None]:
    """Draw gradients of any size, read-only, some exactly 0, some missing."""
    grads: list[Array | None] = []
    for _ in range(steps):
        grad = np.array(rng.normal(size=shape) * 10.0 ** rng.integers(-4, 3) * (rng.random(shape) < 0.8))
        grad.flags.writeable = False
        grads.append(None if rng.random() < 0.2 else grad)
    return grads


def assert_follows_rule(
    new: Callable[[Any], GradientDescent], rule: Rule, shape: tuple[int, ...], steps: int, scheduled: bool, seed: int
) -> None:
    """Make steps on drawn gradients, some missing, at a fixed or scheduled rate, and compare with the rule."""
    rng = np.random.default_rng(seed)
    grads = draw_grads(rng, shape, steps)
    rate = (lambda step: 0.1 / (1 + step)) if scheduled else 0.1
    expected, parameter = rng.normal(size=shape), Parameter(rng.normal(size=shape))
    parameter.value[...] = expected
    optimizer, array = new(rate), parameter.value
    for step, (grad, found) in enumerate(zip(grads, run(optimizer, parameter, grads), strict=True)):
        if grad is not None:
            expected = rule(grad, 0.1 / (1 + step) if scheduled else 0.1, expected)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=f"step {step} of {optimizer}")
    assert parameter.value is array
    assert parameter.grad is None
    assert optimizer.steps == steps
