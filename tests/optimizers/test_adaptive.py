from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    Adagrad,
    Adam,
    AdamW,
    BatchNorm,
    ConfigError,
    Dense,
    GradientDescent,
    NonFiniteError,
    Optimizer,
    Parameter,
    RMSProp,
    Sequential,
)
from minibackprop.validation import Array
from tests.example_layers import Scale
from tests.optimizers.common import OPTIMIZERS, New, Rule, assert_follows_rule, draw_grads, run, shapes
from tests.random_models import seeds, values

betas = st.sampled_from([0.0, 0.5, 0.9, 0.99])


def adagrad_rule(epsilon: float) -> Rule:
    total: Any = 0

    def rule(g: Array, rate: float, p: Array) -> Array:
        nonlocal total
        total = total + g**2
        return p - rate * g / (np.sqrt(total) + epsilon)

    return rule


def rmsprop_rule(rho: float, epsilon: float) -> Rule:
    mean: Any = 0

    def rule(g: Array, rate: float, p: Array) -> Array:
        nonlocal mean
        mean = rho * mean + (1 - rho) * g**2
        return p - rate * g / (np.sqrt(mean) + epsilon)

    return rule


def adam_rule(beta1: float, beta2: float, epsilon: float, weight_decay: float = 0, biases: bool = True) -> Rule:
    m: Any = 0
    v: Any = 0
    t = 0

    def rule(g: Array, rate: float, p: Array) -> Array:
        nonlocal m, v, t
        t += 1
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        decay = weight_decay if biases or np.ndim(p) >= 2 else 0
        return p - rate * decay * p - rate * m_hat / (np.sqrt(v_hat) + epsilon)

    return rule


@st.composite
def rules(draw: st.DrawFn) -> tuple[Callable[[Any], GradientDescent], Rule]:
    """Draw an optimizer of any settings, waiting for its rate, and the published rule of the same settings."""
    beta1, beta2, epsilon = draw(betas), draw(betas), draw(st.sampled_from([1e-10, 1e-8, 1e-3]))
    decay, biases = draw(st.sampled_from([0, 0.01, 0.5])), draw(st.booleans())
    adamw_rule = adam_rule(beta1, beta2, epsilon, decay, biases)
    return draw(
        st.sampled_from(
            [
                (lambda rate: Adagrad(rate, epsilon), adagrad_rule(epsilon)),
                (lambda rate: RMSProp(rate, beta2, epsilon), rmsprop_rule(beta2, epsilon)),
                (lambda rate: Adam(rate, beta1, beta2, epsilon), adam_rule(beta1, beta2, epsilon)),
                (lambda rate: AdamW(rate, beta1, beta2, epsilon, decay, biases=biases), adamw_rule),
            ]
        )
    )


@settings(max_examples=150)
@given(drawn=rules(), shape=shapes, steps=st.integers(1, 80), scheduled=st.booleans(), seed=seeds)
def test_steps_are_those_of_the_published_rule(
    drawn: tuple[Callable[[Any], GradientDescent], Rule],
    shape: tuple[int, ...],
    steps: int,
    scheduled: bool,
    seed: int,
) -> None:
    """Over many steps, also with gradients missing and with a schedule, the values follow the rule as published."""
    assert_follows_rule(*drawn, shape, steps, scheduled, seed)


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (Adagrad(0.5), [-0.5, -0.5 - 0.5 * 4 / sqrt(20)]),
        (RMSProp(0.5, rho=0.75), [-1, -1 - 0.5 * 4 / sqrt(0.75 + 4)]),  # Mean squares 1, then 0.75 * 1 + 0.25 * 16.
        (Adam(0.5, beta1=0.5, beta2=0.75), [-0.5, -0.5 - 0.5 * (2.5 / 0.75) / sqrt(4.75 / (1 - 0.75**2))]),
    ],
    ids=repr,
)
def test_two_steps_by_hand(optimizer: Optimizer, expected: list[float]) -> None:
    """From 0, with the gradients 2 and 4."""
    found = run(optimizer, Parameter([0.0]), [np.array([2.0]), np.array([4.0])])
    np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-7)


def test_adamw_decays_first() -> None:
    """The weight shrinks by rate times decay, not divided by the gradients; then comes Adam's step."""
    found = run(AdamW(0.5, weight_decay=0.1), Parameter([[2.0, 2.0]]), [np.array([[1.0, -100.0]])])
    np.testing.assert_allclose(found, [[[2 * 0.95 - 0.5, 2 * 0.95 + 0.5]]], rtol=1e-7)


@pytest.mark.parametrize("biases", [False, True])
def test_adamw_leaves_biases_and_scales_alone_unless_told(biases: bool) -> None:
    """Without a gradient to follow, only what decays moves: a matrix, and with `biases` what has fewer axes too."""
    model = Sequential([Dense(2, 2, bias=True, rng=0), BatchNorm(2), Scale(np.full((1, 2, 2), 3.0)), Scale(3.0)])
    for parameter in model.parameters():
        parameter.value += 1.0
        parameter.add(np.zeros(parameter.value.shape))
    before = {name: parameter.value.copy() for name, parameter in model.named_parameters()}
    AdamW(0.1, weight_decay=0.5, biases=biases).step(model.parameters())
    for name, parameter in model.named_parameters():
        decays = biases or name in ("0.weight", "2.factors")
        np.testing.assert_allclose(parameter.value, before[name] * (0.95 if decays else 1), rtol=1e-12, err_msg=name)


@given(shape=shapes, seed=seeds)
def test_special_cases_agree(shape: tuple[int, ...], seed: int) -> None:
    """Bit for bit: AdamW without decay is Adam, and limits that are never reached change nothing."""
    rng = np.random.default_rng(seed)
    grads, start = draw_grads(rng, shape, 10), rng.normal(size=shape)
    for one, other in [
        (Adam(0.3), AdamW(0.3, weight_decay=0)),
        (Adam(0.3), Adam(lambda _: np.float64(0.3), clip_norm=1e9, clip_value=1e9)),
    ]:
        here, there = run(one, Parameter(start), grads), run(other, Parameter(start), grads)
        np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize(("rate", "decay"), [(2.0, 0.51), (1e-3, 1001)])
def test_decay_does_not_change_signs(rate: float, decay: float) -> None:
    """A rate times a decay above 1 is refused: at construction, or where it comes later, before anything changes."""
    message = r"AdamW: learning rate times weight_decay expects at most 1, got "
    with pytest.raises(ConfigError, match=message):
        AdamW(rate, weight_decay=decay)
    model = Scale([1.0, 2.0])
    model.factors.add(np.ones(2))
    later = AdamW(rate)
    later.weight_decay = decay
    for optimizer in (later, AdamW(lambda _: rate, weight_decay=decay)):
        with pytest.raises(ConfigError, match=message):
            optimizer.step(model.parameters())
    assert values(model) == values(Scale([1.0, 2.0]))
    run(AdamW(2.0, weight_decay=0.5), model.factors, [np.zeros(2)])


# --- Slots ------------------------------------------------------------------------------------------------------------


def test_slots_are_what_they_are_said_to_be() -> None:
    """A sum for Adagrad, moving means for RMSProp and Adam: of the gradients 2 and 4, and of their squares."""
    model, grads = Scale([0.0]), [np.array([2.0]), np.array([4.0])]
    for optimizer, slot, expected in [
        (Adagrad(), "sum_of_squares", 4 + 16),
        (RMSProp(rho=0.25), "squares", 0.25 * 0.75 * 4 + 0.75 * 16),
        (Adam(beta1=0.5), "momentum", 0.5 * 0.5 * 2 + 0.5 * 4),
        (Adam(beta2=0.25), "squares", 0.25 * 0.75 * 4 + 0.75 * 16),
    ]:
        run(optimizer, model.factors, grads)
        np.testing.assert_array_equal(optimizer.state_dict(model)[f"factors.{slot}"], [expected])


# --- Squares that overflow --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e20), (np.float32, 3e38), (np.float64, 1e155)])
@pytest.mark.parametrize("new", [OPTIMIZERS[name] for name in ("Adagrad", "RMSProp", "Adam", "AdamW", "scheduled")])
def test_gradients_whose_squares_overflow_are_refused(new: New, dtype: type, size: float) -> None:
    """The step and the shape are named, and the slots of that parameter stay as they were; so do those after it."""
    model = Sequential([Scale(np.ones(3, dtype)), Scale(np.ones((2, 3), dtype))])
    optimizer = new()
    run(optimizer, model[0].factors, [np.ones(3, dtype)])
    before, state = values(model), optimizer.state_dict(model)
    model[0].factors.add(np.array([1, size, 0], dtype))
    model[1].factors.add(np.ones((2, 3), dtype))
    message = r"step 1 makes of the gradients must be finite, got overflow .*\(look at the parameter of shape \(3,\)\)"
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match=message):
        optimizer.step(model.parameters())
    np.testing.assert_equal(optimizer.state_dict(model), state)
    if not isinstance(optimizer, AdamW):  # Which has shrunk the weights.
        assert values(model) == before
    assert optimizer.steps == 1


def test_sums_of_squares_that_overflow_are_refused() -> None:
    """No sum becomes infinite unnoticed, also where each gradient has a finite square."""
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="got overflow encountered in add"):
        run(Adagrad(), Parameter(np.ones(2, np.float32)), [np.full(2, 1.5e19, np.float32)] * 3)


@pytest.mark.parametrize("new", [OPTIMIZERS[name] for name in ("RMSProp", "Adam", "AdamW", "scheduled")])
def test_means_of_squares_do_not_overflow(new: New) -> None:
    """Where each square is finite, so is their mean, and the parameter goes on moving."""
    optimizer, model = new(), Scale(np.zeros(2, np.float32))
    with np.errstate(all="raise"):
        found = run(optimizer, model.factors, [np.full(2, 1.8e19, np.float32)] * 300)
    assert np.isfinite(optimizer.state_dict(model)["factors.squares"]).all()
    assert (np.diff(found, axis=0)[:40] < 0).all()
