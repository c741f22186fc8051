from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import SGD, ConfigError, Parameter
from minibackprop.validation import Array
from tests.example_layers import Scale
from tests.optimizers.common import Rule, assert_follows_rule, draw_grads, run, shapes
from tests.random_models import seeds

RATES = st.one_of(st.just(1), st.floats(1e-3, 10), st.sampled_from([np.float64(0.5), np.float32(0.25)]))
DTYPES = st.sampled_from([np.float64, np.float32])


def momentum_rule(momentum: float, nesterov: bool) -> Rule:
    velocity: Any = 0

    def rule(g: Array, rate: float, p: Array) -> Array:
        nonlocal velocity
        velocity = momentum * velocity + g
        return p - rate * (g + momentum * velocity if nesterov else velocity)

    return rule


@given(
    momentum=st.sampled_from([0, 0.5, 0.9]),
    flag=st.booleans(),
    shape=shapes,
    steps=st.integers(1, 80),
    scheduled=st.booleans(),
    seed=seeds,
)
def test_steps_are_those_of_the_published_rule(
    momentum: float, flag: bool, shape: tuple[int, ...], steps: int, scheduled: bool, seed: int
) -> None:
    """Over many steps, also with gradients missing and with a schedule, the values follow the rule as published."""
    nesterov = flag and momentum > 0
    rule = momentum_rule(momentum, nesterov)
    assert_follows_rule(lambda rate: SGD(rate, momentum, nesterov), rule, shape, steps, scheduled, seed)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(0.5), [-1, -3]),
        (SGD(0.5, momentum=0.5), [-1, -3.5]),  # Velocities 2 and 5.
        (SGD(0.5, momentum=0.5, nesterov=True), [-1.5, -4.75]),  # 2 + 0.5 * 2, then 4 + 0.5 * 5.
    ],
    ids=repr,
)
def test_two_steps_by_hand(optimizer: SGD, expected: list[float]) -> None:
    """From 0, with the gradients 2 and 4."""
    found = run(optimizer, Parameter([0.0]), [np.array([2.0]), np.array([4.0])])
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-7)


def test_the_slot_is_the_decaying_sum_of_the_gradients() -> None:
    """Of the gradients 2 and 4."""
    model, optimizer = Scale([0.0]), SGD(0.1, momentum=0.5)
    run(optimizer, model.factors, [np.array([2.0]), np.array([4.0])])
    np.testing.assert_array_equal(optimizer.state_dict(model)["factors.momentum"], [0.5 * 2 + 4])


@given(shape=shapes, seed=seeds)
def test_special_cases_agree(shape: tuple[int, ...], seed: int) -> None:
    """Bit for bit: no momentum is the plain step, on every way to it."""
    rng = np.random.default_rng(seed)
    grads, start = draw_grads(rng, shape, 10), rng.normal(size=shape)
    for one, other in [
        (SGD(0.3), SGD(0.3, momentum=0)),
        (SGD(0.3), SGD(0.3, clip_norm=1e9)),
        (SGD(1), SGD(1, clip_value=1e9)),
        (SGD(0.3), SGD(lambda _: 0.3)),
    ]:
        here, there = run(one, Parameter(start), grads), run(other, Parameter(start), grads)
        np.testing.assert_array_equal(here, there)


@given(rate=RATES, dtype=DTYPES, seed=seeds)
def test_sgd_takes_the_scaled_gradient_from_the_value(rate: float, dtype: type, seed: int) -> None:
    """``p - rate * grad``, in the same array and dtype, with the gradient then cleared and its array unchanged."""
    before, grad = np.random.default_rng(seed).normal(size=(2, 3, 2)).astype(dtype)
    grad.flags.writeable = False
    parameter = Parameter(before)
    array = parameter.value
    parameter.add(grad)
    SGD(rate).step([parameter])
    assert parameter.value is array
    assert array.dtype == dtype
    assert parameter.grad is None
    np.testing.assert_allclose(array, before - float(rate) * grad, rtol=1e-6, atol=1e-6)


@given(rate=st.floats(1e-3, 10), kind=st.sampled_from([np.float64, np.longdouble]), seed=seeds)
def test_sgd_takes_rates_of_any_kind_alike(rate: float, kind: type, seed: int) -> None:
    """A NumPy scalar for a rate gives the bits that Python's number gives, in float32 too."""
    before, grad = np.random.default_rng(seed).normal(size=(2, 8)).astype(np.float32)
    results = []
    for each in (rate, kind(rate)):
        parameter = Parameter(before)
        parameter.add(grad)
        SGD(each).step([parameter])
        results.append(parameter.value)
    np.testing.assert_array_equal(*results)


def test_nesterov_needs_momentum() -> None:
    """Without momentum there is nothing to look ahead to."""
    with pytest.raises(ConfigError, match=r"SGD: nesterov expects a momentum above 0, got 0\.0"):
        SGD(0.1, nesterov=True)


@pytest.mark.parametrize("shape", [(2**18 + 3,), (3, 2**17), (700, 400)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_move_as_small_ones_do(shape: tuple[int, ...], order: str) -> None:
    """What is updated in blocks is the same, entry by entry, in any layout."""
    rng = np.random.default_rng(0)
    value, grad = rng.normal(size=shape), np.array(rng.normal(size=shape), order=order)  # type: ignore[call-overload]
    for optimizer, moved in ((SGD(0.1), value - 0.1 * grad), (SGD(0.1, momentum=0.5), value - 0.1 * grad)):
        parameter = Parameter(value)
        parameter.add(grad.copy(order="K"))
        optimizer.step([parameter])
        np.testing.assert_array_equal(parameter.value, moved)
