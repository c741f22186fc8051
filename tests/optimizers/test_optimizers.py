import copy
import pickle
import re
from collections.abc import Callable
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ConfigError,
    ContractError,
    CosineDecay,
    Dense,
    GradientDescent,
    MeanSquaredError,
    NonFiniteError,
    Optimizer,
    Parameter,
    RMSProp,
    Sequential,
    Sigmoid,
    StateDictError,
    Trainer,
    WarmUp,
)
from minibackprop.validation import Array
from tests.example_layers import Scale
from tests.random_models import seeds, values

DTYPES = st.sampled_from([np.float64, np.float32])
RATES = st.one_of(st.just(1), st.floats(1e-3, 10), st.sampled_from([np.float64(0.5), np.float32(0.25)]))
shapes = st.sampled_from([(), (0,), (3,), (2, 3), (2, 1, 2)])
betas = st.sampled_from([0.0, 0.5, 0.9, 0.99])

#: One optimizer of each kind, with settings of its own.
OPTIMIZERS: dict[str, Callable[..., GradientDescent]] = {
    "plain": lambda **limits: SGD(0.1, **limits),
    "momentum": lambda **limits: SGD(0.1, momentum=0.8, **limits),
    "nesterov": lambda **limits: SGD(0.1, momentum=0.8, nesterov=True, **limits),
    "Adagrad": lambda **limits: Adagrad(0.1, **limits),
    "RMSProp": lambda **limits: RMSProp(0.1, rho=0.9, **limits),
    "Adam": lambda **limits: Adam(0.1, beta1=0.8, beta2=0.95, **limits),
    "AdamW": lambda **limits: AdamW(0.1, beta1=0.8, beta2=0.95, weight_decay=0.1, **limits),
    "scheduled": lambda **limits: Adam(WarmUp(3, then=CosineDecay(0.2, 50)), **limits),
}
each_optimizer = pytest.mark.parametrize("new", OPTIMIZERS.values(), ids=OPTIMIZERS)
New = Callable[..., GradientDescent]


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


def trainer_of(optimizer: Optimizer) -> Trainer:
    """Make a trainer of a small model, always the same."""
    model = Sequential([Dense(2, 3, rng=0), Sigmoid(), Dense(3, 1, rng=1)])
    return Trainer(model, MeanSquaredError(), optimizer)


X = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0]])
Y = np.array([[0.0], [1.0], [3.0]])


# --- The rules -------------------------------------------------------------------------------------------------------

#: The published rules, one gradient at a time: a function of gradient, rate and value to the new value.
Rule = Callable[[Array, float, Array], Array]


def momentum_rule(momentum: float, nesterov: bool) -> Rule:
    velocity: Any = 0

    def rule(g: Array, rate: float, p: Array) -> Array:
        nonlocal velocity
        velocity = momentum * velocity + g
        return p - rate * (g + momentum * velocity if nesterov else velocity)

    return rule


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


def adam_rule(beta1: float, beta2: float, epsilon: float, weight_decay: float = 0) -> Rule:
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
        return p - rate * weight_decay * p - rate * m_hat / (np.sqrt(v_hat) + epsilon)

    return rule


@st.composite
def rules(draw: st.DrawFn) -> tuple[Callable[[Any], GradientDescent], Rule]:
    """Draw an optimizer of any settings, waiting for its rate, and the published rule of the same settings."""
    beta1, beta2, epsilon = draw(betas), draw(betas), draw(st.sampled_from([1e-10, 1e-8, 1e-3]))
    decay, flag = draw(st.sampled_from([0, 0.01, 0.5])), draw(st.booleans())
    momentum = draw(st.sampled_from([0.5, 0.9]))
    return draw(
        st.sampled_from(
            [
                (lambda rate: SGD(rate, momentum, flag), momentum_rule(momentum, flag)),
                (lambda rate: SGD(rate), momentum_rule(0, False)),
                (lambda rate: Adagrad(rate, epsilon), adagrad_rule(epsilon)),
                (lambda rate: RMSProp(rate, beta2, epsilon), rmsprop_rule(beta2, epsilon)),
                (lambda rate: Adam(rate, beta1, beta2, epsilon), adam_rule(beta1, beta2, epsilon)),
                (lambda rate: AdamW(rate, beta1, beta2, epsilon, decay), adam_rule(beta1, beta2, epsilon, decay)),
            ]
        )
    )


@settings(max_examples=200)
@given(drawn=rules(), shape=shapes, steps=st.integers(1, 80), scheduled=st.booleans(), seed=seeds)
def test_steps_are_those_of_the_published_rule(
    drawn: tuple[Callable[[Any], GradientDescent], Rule],
    shape: tuple[int, ...],
    steps: int,
    scheduled: bool,
    seed: int,
) -> None:
    """Over many steps, also with gradients missing and with a schedule, the values follow the rule as published."""
    new, rule = drawn
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


@each_optimizer
@given(shape=shapes, seed=seeds)
@settings(max_examples=20)
def test_float32_stays_float32(new: New, shape: tuple[int, ...], seed: int) -> None:
    """Values and slots keep the parameter's dtype, and are those of float64 but for rounding."""
    rng = np.random.default_rng(seed)
    grads = [np.asarray(rng.normal(size=shape), np.float32) for _ in range(10)]
    model, twin = Scale(np.ones(shape, np.float32)), Scale(np.ones(shape))
    optimizer, reference = new(), new()
    found = run(optimizer, model.factors, grads)
    expected = run(reference, twin.factors, [grad.astype(np.float64) for grad in grads])
    assert found[-1].dtype == model.factors.value.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    state = optimizer.state_dict(model)
    for name, slot in reference.state_dict(twin).items():
        assert state[name].dtype == (np.int64 if name.endswith("steps") else np.float32)
        np.testing.assert_allclose(state[name], slot, rtol=1e-4, atol=1e-5)


SETTINGS = [
    lambda kind: SGD(kind(0.1), momentum=kind(0.9), clip_value=kind(0.7)),
    lambda kind: SGD(lambda _: kind(0.1), momentum=kind(0.9), nesterov=True, clip_norm=kind(0.7)),
    lambda kind: Adagrad(kind(0.1), epsilon=kind(1e-3)),
    lambda kind: RMSProp(kind(0.1), rho=kind(0.9), epsilon=kind(1e-3)),
    lambda kind: AdamW(kind(0.1), kind(0.9), kind(0.99), kind(1e-3), kind(0.3)),
]


@pytest.mark.parametrize("new", SETTINGS)
@pytest.mark.parametrize("kind", [np.float64, np.longdouble])
def test_settings_of_any_kind_act_alike(new: Callable[[type], Optimizer], kind: type) -> None:
    """NumPy scalars for settings give the bits that Python's numbers give, in float32 too."""
    grads = list(np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32))
    here, there = Parameter(np.ones(8, np.float32)), Parameter(np.ones(8, np.float32))
    np.testing.assert_array_equal(run(new(float), here, grads), run(new(kind), there, grads))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(0.5), [-1, -3]),
        (SGD(0.5, momentum=0.5), [-1, -3.5]),  # Velocities 2 and 5.
        (SGD(0.5, momentum=0.5, nesterov=True), [-1.5, -4.75]),  # 2 + 0.5 * 2, then 4 + 0.5 * 5.
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
    found = run(AdamW(0.5, weight_decay=0.1), Parameter([2.0, 2.0]), [np.array([1.0, -100.0])])
    np.testing.assert_allclose(found, [[2 * 0.95 - 0.5, 2 * 0.95 + 0.5]], rtol=1e-7)


@given(shape=shapes, seed=seeds)
def test_special_cases_agree(shape: tuple[int, ...], seed: int) -> None:
    """To the bit: no momentum is the plain step, on every way to it; AdamW without decay is Adam."""
    rng = np.random.default_rng(seed)
    grads, start = draw_grads(rng, shape, 10), rng.normal(size=shape)
    for one, other in [
        (SGD(0.3), SGD(0.3, momentum=0)),
        (SGD(0.3), SGD(0.3, clip_norm=1e9)),
        (SGD(1), SGD(1, clip_value=1e9)),
        (SGD(0.3), SGD(lambda _: 0.3)),
        (Adam(0.3), AdamW(0.3, weight_decay=0)),
        (Adam(0.3), Adam(lambda _: np.float64(0.3), clip_norm=1e9, clip_value=1e9)),
    ]:
        here, there = run(one, Parameter(start), grads), run(other, Parameter(start), grads)
        np.testing.assert_array_equal(here, there)


# --- What all share --------------------------------------------------------------------------------------------------


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


@each_optimizer
def test_what_has_no_gradient_is_left_alone(new: New) -> None:
    """Such a parameter keeps its value and slots, even the decaying ones; any iterable of parameters will do."""
    model, optimizer = Sequential([Dense(2, 2, rng=0), Dense(2, 1, rng=1)]), new()
    for parameter in model.parameters():
        parameter.add(np.ones(parameter.value.shape))
    optimizer.step(iter(model.parameters()))
    before, state = values(model), optimizer.state_dict(model)
    model[1].weight.add(np.ones((2, 1)))
    optimizer.step(iter(model.parameters()))
    assert [old == new for old, new in zip(before, values(model), strict=True)] == [True, True, False, True]
    after = optimizer.state_dict(model)
    changed = {name for name, array in state.items() if array.tobytes() != after[name].tobytes()}
    assert changed == {name for name in state if name == "steps" or name.startswith("1.weight")}


@each_optimizer
def test_a_parameter_that_is_listed_twice_moves_once(new: New) -> None:
    """A gradient is used up by the first update."""
    once, twice = Parameter([1.0, 2.0]), Parameter([1.0, 2.0])
    for parameter, listed in ((once, [once]), (twice, [twice, twice])):
        parameter.add(np.array([3.0, -1.0]))
        new().step(listed)
    np.testing.assert_array_equal(once.value, twice.value)


@each_optimizer
def test_numbers_without_axes_move(new: New) -> None:
    """What arithmetic makes of an array without axes, a NumPy scalar, is updated too, as value and as gradient."""
    scalar, array = Parameter(2.0), Parameter([2.0])
    scalar.value = scalar.value * 1.0
    assert isinstance(scalar.value, np.float64)
    found = run(new(), scalar, [np.float64(3.0), np.array(1.0)])
    expected = run(new(), array, [np.array([3.0]), np.array([1.0])])
    np.testing.assert_array_equal(found, np.ravel(expected))
    np.testing.assert_array_equal(scalar.value, array.value[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "optimizer", [SGD(0.1, momentum=0.9), RMSProp(rho=0.9), Adam(beta1=0.9, beta2=0.9)], ids=["SGD", "RMSProp", "Adam"]
)
def test_slots_do_not_become_subnormal(optimizer: GradientDescent, dtype: type) -> None:
    """The slots of what has no gradient any more decay to 0, and do not stay where arithmetic is slow."""
    model, smallest = Scale(np.zeros(8, dtype)), np.finfo(dtype).smallest_normal
    run(optimizer, model.factors, [np.logspace(-15, 2, 8).astype(dtype)])
    for _ in range(1100):
        run(optimizer, model.factors, [np.zeros(8, dtype)] * 7)
        slots = [slot for slot in optimizer.state_dict(model).values() if slot.dtype == dtype]
        assert not any(((slot != 0) & (np.abs(slot) < smallest)).any() for slot in slots)
        if not np.any(slots):
            break
    assert not np.any(slots)


# --- Learning rates and settings -------------------------------------------------------------------------------------


@each_optimizer
def test_a_schedule_is_asked_for_each_step(new: New) -> None:
    """It is given 0, 1, 2 and so on, once each, also where no parameter has a gradient."""
    optimizer, asked = new(), []
    optimizer.learning_rate = lambda step: asked.append(step) or 0.1
    run(optimizer, Parameter([1.0]), [np.array([1.0]), None, np.array([1.0])])
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("rate", [nan, inf, -0.1, -1, True, "0.1", None, 1j, np.array([0.1])])
@each_optimizer
def test_a_schedule_gives_finite_rates(new: New, rate: object) -> None:
    """Any other rate is refused by the number of its step, and nothing is changed; 0 is a rate."""
    model, optimizer = Scale([1.0, 2.0]), new()
    optimizer.learning_rate = lambda step: 0 if step < 2 else rate
    run(optimizer, model.factors, [np.ones(2), np.ones(2)])
    assert values(model) == values(Scale([1.0, 2.0]))
    state, grad = optimizer.state_dict(model), np.ones(2)
    model.factors.add(grad)
    message = f"{type(optimizer).__name__}: the learning rate of step 2 expects a finite number of at least 0, got "
    with pytest.raises(ConfigError, match=message):
        optimizer.step(model.parameters())
    assert values(model) == values(Scale([1.0, 2.0]))
    assert model.factors.grad is grad
    np.testing.assert_equal(optimizer.state_dict(model), state)


@pytest.mark.parametrize("rate", [0, -1, 0.0, nan, inf, -inf, True, "0.1", None, 1j, [0.1], np.array(0.1), CosineDecay])
@each_optimizer
def test_learning_rate_is_a_positive_finite_number_or_a_schedule(new: New, rate: object) -> None:
    """Any other rate is refused, at construction and when it is set later."""
    optimizer = new()
    before, kind = optimizer.learning_rate, type(optimizer)
    message = f"{kind.__name__}: learning_rate expects a positive finite number or a schedule, got "
    with pytest.raises(ConfigError, match=message):
        kind(rate)
    with pytest.raises(ConfigError, match=message):
        optimizer.learning_rate = rate
    assert optimizer.learning_rate is before
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rate == 0.5


POSITIVE = "a positive finite number"
FRACTION = "a number of at least 0 and below 1"
NOT_NEGATIVE = "a finite number of at least 0"
WRONG = {
    POSITIVE: [0, -1.0, nan, inf, "1", True, [1.0]],
    FRACTION: [-0.1, 1, nan, "0.5", None, True],
    NOT_NEGATIVE: [-0.1, inf, nan, None, True],
    "True or False": [1, None, "yes"],
}
EVERY = (SGD, Adagrad, RMSProp, Adam, AdamW)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        *[(kind, name, POSITIVE) for kind in EVERY for name in ("clip_norm", "clip_value")],
        *[(kind, "epsilon", POSITIVE) for kind in EVERY[1:]],
        (SGD, "momentum", FRACTION),
        (RMSProp, "rho", FRACTION),
        *[(kind, name, FRACTION) for kind in (Adam, AdamW) for name in ("beta1", "beta2")],
        (AdamW, "weight_decay", NOT_NEGATIVE),
        (SGD, "nesterov", "True or False"),
    ],
)
def test_settings_are_checked(kind: type, name: str, expected: str) -> None:
    """What a setting cannot be is refused by its name, at construction and later; the old one stays."""
    optimizer = kind(0.1)
    before = getattr(optimizer, name)
    for value in WRONG[expected]:
        message = f"{kind.__name__}: {name} expects {expected}, got "
        with pytest.raises(ConfigError, match=message):
            kind(0.1, **{name: value})
        with pytest.raises(ConfigError, match=message):
            setattr(optimizer, name, value)
    assert getattr(optimizer, name) == before


def test_nesterov_needs_momentum() -> None:
    """Without momentum there is nothing to look ahead to."""
    with pytest.raises(ConfigError, match=r"SGD: nesterov expects a momentum above 0, got 0\.0"):
        SGD(0.1, nesterov=True)


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


def test_repr_is_short() -> None:
    """The rate comes first, the limits last, and only where they are set."""
    assert repr(SGD(0.1)) == "SGD(learning_rate=0.1, momentum=0.0, nesterov=False)"
    assert repr(Adam(clip_norm=1)) == (
        "Adam(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, clip_norm=1.0)"
    )
    assert repr(Seen(0.5)) == "Seen(learning_rate=0.5)"


@each_optimizer
def test_repr_shows_the_settings(new: New) -> None:
    """The repr builds an optimizer that makes the same steps."""
    optimizer = new(clip_norm=2.0, clip_value=0.5)
    twin = eval(repr(optimizer))
    assert repr(twin) == repr(optimizer)
    grads = draw_grads(np.random.default_rng(0), (3,), 5)
    np.testing.assert_array_equal(run(optimizer, Parameter(np.ones(3)), grads), run(twin, Parameter(np.ones(3)), grads))


# --- Clipping --------------------------------------------------------------------------------------------------------


class Seen(GradientDescent):
    """Moves by the gradient as the rule is given it."""

    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
        value -= grad


def clipped(grads: list[Array], **limits: float) -> list[Array]:
    """Compute what a rule sees of gradients."""
    parameters = [Parameter(np.zeros_like(grad)) for grad in grads]
    for parameter, grad in zip(parameters, grads, strict=True):
        grad.flags.writeable = False
        parameter.add(grad)
    Seen(1, **limits).step(parameters)
    return [-parameter.value for parameter in parameters]


@given(drawn=st.lists(shapes, min_size=1, max_size=4), dtype=DTYPES, limit=st.floats(1e-3, 10), seed=seeds)
def test_clip_norm_keeps_the_direction(drawn: list[tuple[int, ...]], dtype: type, limit: float, seed: int) -> None:
    """Gradients of a larger common norm are scaled by one factor, to that norm; others are as before."""
    rng = np.random.default_rng(seed)
    grads = [np.asarray(rng.normal(size=shape), dtype) for shape in drawn]
    norm = sqrt(sum(float(entry) ** 2 for grad in grads for entry in grad.ravel()))
    for before, after in zip(grads, clipped(grads, clip_norm=limit), strict=True):
        assert after.dtype == dtype
        if norm <= limit * (1 - 1e-6):
            np.testing.assert_array_equal(after, before)
        else:
            np.testing.assert_allclose(after, before * (limit / norm), rtol=1e-5)


@given(shape=shapes, dtype=DTYPES, limit=st.floats(1e-3, 10), seed=seeds)
def test_clip_value_cuts_entries_off(shape: tuple[int, ...], dtype: type, limit: float, seed: int) -> None:
    """Each entry lies within +-limit, and is as before where it did."""
    grad = np.asarray(np.random.default_rng(seed).normal(size=shape), dtype)
    (found,) = clipped([grad], clip_value=limit)
    assert found.dtype == dtype
    expected = [min(max(float(entry), -limit), limit) for entry in grad.ravel()]
    np.testing.assert_array_equal(found.ravel(), np.array(expected, dtype))


def test_values_are_clipped_before_the_norm() -> None:
    """Of (3, 40), cut off at 4, the norm is 5."""
    grads = [np.array([3.0]), np.array([40.0])]
    np.testing.assert_allclose(clipped(grads, clip_value=4, clip_norm=1), [[0.6], [0.8]])
    np.testing.assert_allclose(clipped(grads, clip_value=4, clip_norm=10), [[3], [4]])


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float32, 1e-30), (np.float32, 1e30), (np.float64, 1e-200), (np.float64, 1e200)]
)
def test_clip_norm_of_what_has_no_square(dtype: type, size: float) -> None:
    """Gradients whose squares would overflow or vanish are clipped like others."""
    grads = [np.array([3 * size], dtype), np.array([0.0, -4 * size], dtype)]
    found = clipped(grads, clip_norm=size)
    np.testing.assert_allclose(found[0], [0.6 * size], rtol=1e-5)
    np.testing.assert_allclose(found[1], [0, -0.8 * size], rtol=1e-5)
    np.testing.assert_array_equal(clipped(grads, clip_norm=5.1 * size)[0], grads[0])


@pytest.mark.parametrize("wrong", [nan, inf, -inf])
@pytest.mark.parametrize("first", [0.0, 1.0, 1e300])
@each_optimizer
def test_gradients_without_a_norm_are_refused(new: New, first: float, wrong: float) -> None:
    """Then no parameter, slot, gradient or count has changed, and the message names the step and the shape."""
    model, optimizer = Sequential([Dense(2, 2, rng=0), Dense(2, 1, bias=False, rng=1)]), new(clip_norm=1.0)
    for parameter in model.parameters():
        parameter.add(np.ones(parameter.value.shape))
    optimizer.step(model.parameters())
    before, state = values(model), optimizer.state_dict(model)
    grads = [np.full((2, 2), first), np.zeros(2), np.array([[1.0], [wrong]])]
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        parameter.add(grad)
    with pytest.raises(NonFiniteError) as raised:
        optimizer.step(model.parameters())
    assert str(raised.value) == (
        f"{type(optimizer).__name__}: the norm of the gradients of step 1 must be finite, "
        f"got {'nan' if wrong != wrong else 'inf'} (look at the parameter of shape (2, 1))"
    )
    assert values(model) == before
    assert all(parameter.grad is grad for parameter, grad in zip(model.parameters(), grads, strict=True))
    np.testing.assert_equal(optimizer.state_dict(model), state)


def test_finite_gradients_may_have_no_finite_norm() -> None:
    """Then there is no entry to point at."""
    parameter = Parameter([0.0, 0.0])
    parameter.add(np.array([1.5e308, 1.5e308]))
    with pytest.raises(NonFiniteError, match=r"gradients of step 0 must be finite, got inf$"):
        SGD(0.1, clip_norm=1.0).step([parameter])


# --- Squares that overflow -------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("new", [OPTIMIZERS[name] for name in ("Adagrad", "RMSProp", "Adam", "AdamW", "scheduled")])
def test_sums_of_squares_that_overflow_are_refused(new: New) -> None:
    """No infinite square comes to be unnoticed, also where each gradient has a finite one."""
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="got overflow encountered in add"):
        run(new(), Parameter(np.ones(2, np.float32)), [np.full(2, 1.5e19, np.float32)] * 3)


# --- Saving and going on ---------------------------------------------------------------------------------------------


def train(model: Sequential, optimizer: Optimizer, steps: int, seed: int) -> None:
    """Make steps on drawn gradients, which each layer has in most of the steps."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for layer in model:
            if rng.random() < 0.7:
                layer.factors.add(np.array(rng.normal(size=layer.factors.value.shape)))
        optimizer.step(model.parameters())


@each_optimizer
@given(before=st.integers(0, 40), after=st.integers(1, 40), seed=seeds)
@settings(max_examples=10)
def test_a_restored_optimizer_goes_on_to_the_bit(new: New, before: int, after: int, seed: int) -> None:
    """Its steps are those of the saved one, whatever either has done since the state was taken."""
    model, twin = (
        Sequential([Scale(np.full(3, each)), Scale(np.full((2, 3), each)), Scale(each)]) for each in (1.0, 2.0)
    )
    optimizer, restored = new(), new()
    train(model, optimizer, before, seed)
    weights, state = model.state_dict(), optimizer.state_dict(model)
    train(model, optimizer, after, seed + 1)
    train(twin, restored, 2, seed + 2)
    twin.load_state_dict(weights)
    restored.load_state_dict(state, twin)
    assert restored.steps == before
    np.testing.assert_equal(restored.state_dict(twin), state)
    for array in state.values():  # The optimizer has a copy.
        array[...] = 7
    train(twin, restored, after, seed + 1)
    assert values(twin) == values(model)
    np.testing.assert_equal(restored.state_dict(twin), optimizer.state_dict(model))


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (SGD(0.1), []),
        (SGD(0.1, momentum=0.9), ["momentum"]),
        (Adagrad(), ["sum_of_squares"]),
        (RMSProp(), ["squares"]),
        (Adam(), ["momentum", "squares"]),
        (AdamW(), ["momentum", "squares"]),
    ],
    ids=repr,
)
def test_state_is_named_by_parameter_and_slot(optimizer: GradientDescent, slots: list[str]) -> None:
    """A shared parameter stands under one name; what has never been updated has slots of 0."""
    shared = Scale(np.ones(2))
    model = Sequential([shared, Sequential([Dense(2, 2, bias=False, rng=0), shared])])
    names = ["0.factors", "1.0.weight"] if slots else []
    state = optimizer.state_dict(model)
    assert list(state) == ["steps", *[f"{name}.{slot}" for name in names for slot in [*slots, "steps"]]]
    assert not any(array.any() for array in state.values())
    shared.factors.add(np.ones(2))
    optimizer.step(model.parameters())
    changed = {name for name, array in optimizer.state_dict(model).items() if array.any()}
    assert changed == {"steps", *[f"0.factors.{slot}" for slot in [*slots, "steps"] if slots]}


def test_slots_are_what_they_are_said_to_be() -> None:
    """Decaying sums for momentum and Adam, a sum for Adagrad: of the gradients 2 and 4, and of their squares."""
    model, grads = Scale([0.0]), [np.array([2.0]), np.array([4.0])]
    for optimizer, slot, expected in [
        (SGD(0.1, momentum=0.5), "momentum", 0.5 * 2 + 4),
        (Adagrad(), "sum_of_squares", 4 + 16),
        (RMSProp(rho=0.25), "squares", 0.25 * 4 + 16),
        (Adam(beta1=0.5), "momentum", 0.5 * 2 + 4),
        (Adam(beta2=0.25), "squares", 0.25 * 4 + 16),
    ]:
        run(optimizer, model.factors, grads)
        np.testing.assert_array_equal(optimizer.state_dict(model)[f"factors.{slot}"], [expected])


MISFITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "missing": (
        lambda state: {name: array for name, array in state.items() if name != "1.factors.squares"},
        r"Adam.load_state_dict expects \['steps', .*\], got missing=\['1.factors.squares'\] and extra=\[\]",
    ),
    "extra": (lambda state: {**state, "2.factors.momentum": 0.0}, r"missing=\[\] and extra=\['2.factors.momentum'\]"),
    "not a name": (lambda state: {**state, 7: 0.0}, r"missing=\[\] and extra=\['7'\]"),
    "of RMSProp": (
        lambda _: RMSProp().state_dict(Sequential([Scale(np.ones(3)), Scale(np.ones((2, 3)))])),
        r"missing=\['0.factors.momentum', '1.factors.momentum'\] and extra=\[\]",
    ),
    "of SGD": (lambda _: {"steps": 3}, "expects .* got missing="),
    "shape": (
        lambda state: {**state, "1.factors.squares": np.zeros((1, 3))},
        r"Adam: 1.factors.squares expects shape \(2, 3\), got \(1, 3\)",
    ),
    "ragged": (
        lambda state: {**state, "1.factors.squares": [[1.0], [1.0, 2.0]]},
        r"Adam: 1.factors.squares expects shape \(2, 3\), got setting an array element",
    ),
    "complex": (
        lambda state: {**state, "1.factors.squares": np.zeros((2, 3), complex)},
        "Adam: 1.factors.squares expects what casts to float64, got complex128",
    ),
    "a broken count": (
        lambda state: {**state, "1.factors.steps": 1.5},
        "Adam: 1.factors.steps expects what casts to int64, got float64",
    ),
    "a negative count": (lambda state: {**state, "steps": -1}, "Adam: steps expects a number of at least 0, got -1"),
    "a negative square": (
        lambda state: {**state, "1.factors.squares": np.full((2, 3), -0.5)},
        r"Adam: 1.factors.squares expects a number of at least 0, got -0\.5",
    ),
    "a list": (list, "Adam.load_state_dict expects a mapping of names to arrays, got list"),
}


@pytest.mark.parametrize(("spoil", "message"), MISFITS.values(), ids=MISFITS)
def test_states_that_do_not_fit_change_nothing(spoil: Callable[[dict[str, Any]], Any], message: str) -> None:
    """The message names what is at fault, and the optimizer goes on as it would have."""
    model, optimizer = Sequential([Scale(np.ones(3)), Scale(np.ones((2, 3)))]), Adam()
    train(model, optimizer, 5, seed=0)
    state = optimizer.state_dict(model)
    other = {name: array + 1 for name, array in state.items()}
    with pytest.raises(StateDictError, match=message):
        optimizer.load_state_dict(spoil(other), model)
    np.testing.assert_equal(optimizer.state_dict(model), state)
    assert optimizer.steps == 5


def test_states_of_another_dtype_are_cast() -> None:
    """The slots take the dtype of the parameter; numbers and lists will do for arrays."""
    model, optimizer = Scale(np.ones(2, np.float32)), SGD(0.1, momentum=0.5)
    optimizer.load_state_dict({"steps": 3, "factors.momentum": [1.5, 2.5], "factors.steps": 2}, model)
    state = optimizer.state_dict(model)
    assert (state["factors.momentum"].dtype, state["factors.momentum"].tolist()) == (np.float32, [1.5, 2.5])
    assert (optimizer.steps, int(state["factors.steps"])) == (3, 2)


def test_state_is_that_of_a_layer() -> None:
    """Anything else than a layer, such as its parameters, is refused."""
    with pytest.raises(ConfigError, match=r"Adam\.state_dict: model expects an instance of Layer, got list"):
        Adam().state_dict(Dense(1, 1).parameters())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda trainer: pickle.loads(pickle.dumps(trainer))])
@each_optimizer
def test_a_copy_of_a_trainer_keeps_model_and_optimizer_tied(new: New, duplicate: Callable[[Trainer], Trainer]) -> None:
    """Copy and original make the same steps, each on slots of its own."""
    trainer = trainer_of(new())
    trainer.fit(X, Y, 5)
    twin = duplicate(trainer)
    assert trainer.fit(X, Y, 5).loss == twin.fit(X, Y, 5).loss
    assert values(trainer.model) == values(twin.model)
    assert twin.optimizer.steps == 10
    np.testing.assert_equal(twin.optimizer.state_dict(twin.model), trainer.optimizer.state_dict(trainer.model))


# --- Optimizers of one's own -----------------------------------------------------------------------------------------


class Halving(Optimizer):
    """The least that an optimizer can be."""

    def step(self, parameters: Any, /) -> None:
        for parameter in parameters:
            parameter.value *= 0.5
            parameter.clear()


def test_an_optimizer_needs_only_a_step() -> None:
    """It trains; asked for its state, it says what is missing."""
    trainer = trainer_of(Halving())
    weight = trainer.model[0].weight.value.copy()
    trainer.fit(X, Y, 2)
    np.testing.assert_array_equal(trainer.model[0].weight.value, weight / 4)
    message = re.escape("Halving must define state_dict and load_state_dict, or it cannot be saved")
    with pytest.raises(ContractError, match=message):
        trainer.optimizer.state_dict(trainer.model)
    with pytest.raises(ContractError, match=message):
        trainer.optimizer.load_state_dict({}, trainer.model)


class Averaging(GradientDescent):
    """A rule of one's own: moves by the mean of all gradients."""

    slot_names = ("sum",)

    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int) -> None:
        (total,) = slots
        total += grad
        value -= rate * total / step


def test_a_rule_needs_only_an_update() -> None:
    """It has a schedule, clipping, counts and a state like the others."""
    model, optimizer = Scale([0.0, 0.0]), Averaging(lambda step: 0.5 + step, clip_value=4)
    found = run(optimizer, model.factors, [np.array([2.0, 100.0]), None, np.array([-4.0, 4.0])])
    np.testing.assert_array_equal(found, [[-1, -2], [-1, -2], [-1 + 2.5 * 2 / 2, -2 - 2.5 * 8 / 2]])
    expected = {"steps": 3, "factors.sum": [-2.0, 8.0], "factors.steps": 2}
    np.testing.assert_equal(optimizer.state_dict(model), expected)


def test_a_rule_without_slots_counts_the_steps() -> None:
    """There is no count of its own to save."""
    counts = []

    class Counting(GradientDescent):
        def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
            counts.append((slots, step))

    model, optimizer = Scale([1.0]), Counting(0.1)
    run(optimizer, model.factors, [np.ones(1), None, np.ones(1)])
    assert counts == [((), 1), ((), 3)]
    assert optimizer.state_dict(model) == {"steps": 3}


@pytest.mark.parametrize("shape", [(2**18 + 3,), (3, 2**17), (700, 400)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_move_as_small_ones_do(shape: tuple[int, ...], order: str) -> None:
    """What is worked off in blocks is the same, entry by entry, in any layout."""
    rng = np.random.default_rng(0)
    value, grad = rng.normal(size=shape), np.array(rng.normal(size=shape), order=order)  # type: ignore[call-overload]
    for optimizer, moved in ((SGD(0.1), value - 0.1 * grad), (SGD(0.1, momentum=0.5), value - 0.1 * grad)):
        parameter = Parameter(value)
        parameter.add(grad.copy(order="K"))
        optimizer.step([parameter])
        np.testing.assert_array_equal(parameter.value, moved)
