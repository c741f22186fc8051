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
    WarmUp,  # noqa: F401 - in what a repr says
)
from minibackprop.validation import Array
from tests.example_layers import Scale
from tests.optimizers.common import OPTIMIZERS, New, draw_grads, run, shapes
from tests.random_models import seeds, values

DTYPES = st.sampled_from([np.float64, np.float32])
each_optimizer = pytest.mark.parametrize("new", OPTIMIZERS.values(), ids=OPTIMIZERS)


def trainer_of(optimizer: Optimizer) -> Trainer:
    """Make a trainer of a small model, always the same."""
    model = Sequential([Dense(2, 3, rng=0), Sigmoid(), Dense(3, 1, rng=1)])
    return Trainer(model, MeanSquaredError(), optimizer)


X = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0]])
Y = np.array([[0.0], [1.0], [3.0]])


# --- What all share ---------------------------------------------------------------------------------------------------


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
        assert state[name].dtype == (np.int64 if name.endswith(("steps", "version")) else np.float32)
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


# --- Learning rates and settings --------------------------------------------------------------------------------------


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


# --- Clipping ---------------------------------------------------------------------------------------------------------


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


# --- Saving and going on ----------------------------------------------------------------------------------------------


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
    ("optimizer", "slots", "marks"),
    [
        (SGD(0.1), [], []),
        (SGD(0.1, momentum=0.9), ["momentum"], []),
        (Adagrad(), ["sum_of_squares"], []),
        (RMSProp(), ["squares"], ["version"]),
        (Adam(), ["momentum", "squares"], ["version"]),
        (AdamW(), ["momentum", "squares"], ["version"]),
    ],
    ids=repr,
)
def test_state_is_named_by_parameter_and_slot(optimizer: GradientDescent, slots: list[str], marks: list[str]) -> None:
    """A shared parameter stands under one name; what has never been updated has slots of 0."""
    shared = Scale(np.ones(2))
    model = Sequential([shared, Sequential([Dense(2, 2, bias=False, rng=0), shared])])
    names = ["0.factors", "1.0.weight"] if slots else []
    state = optimizer.state_dict(model)
    assert list(state) == ["steps", *[f"{name}.{slot}" for name in names for slot in [*slots, "steps"]], *marks]
    assert [name for name, array in state.items() if array.any()] == marks
    shared.factors.add(np.ones(2))
    optimizer.step(model.parameters())
    changed = {name for name, array in optimizer.state_dict(model).items() if array.any()}
    assert changed == {"steps", *[f"0.factors.{slot}" for slot in [*slots, "steps"] if slots], *marks}


def without_version(state: dict[str, Any]) -> dict[str, Any]:
    """Leave out what tells that the slots are means, as it was not there when they were sums."""
    return {name: array for name, array in state.items() if name != "version"}


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
    "an older one with a negative square": (
        lambda state: {**without_version(state), "1.factors.squares": np.full((2, 3), -0.5)},
        r"Adam: 1.factors.squares expects a number of at least 0, got -0\.5",
    ),
    "a later version": (
        lambda state: {**state, "version": np.array(3)},
        r"Adam.load_state_dict: version expects 2, or none, got array\(3\)",
    ),
    "a ragged version": (
        lambda state: {**state, "version": [2, [2]]},
        r"Adam.load_state_dict: version expects 2, or none, got \[2, \[2\]\]",
    ),
    "a list": (list, "Adam.load_state_dict expects a mapping of names to arrays, got list"),
}


@pytest.mark.parametrize(("spoil", "message"), MISFITS.values(), ids=MISFITS)
def test_states_that_do_not_fit_change_nothing(spoil: Callable[[dict[str, Any]], Any], message: str) -> None:
    """The message names what is at fault, and the optimizer goes on as it would have."""
    model, optimizer = Sequential([Scale(np.ones(3)), Scale(np.ones((2, 3)))]), Adam()
    train(model, optimizer, 5, seed=0)
    state = optimizer.state_dict(model)
    other = {name: array + (name != "version") for name, array in state.items()}
    with pytest.raises(StateDictError, match=message):
        optimizer.load_state_dict(spoil(other), model)
    np.testing.assert_equal(optimizer.state_dict(model), state)
    assert optimizer.steps == 5


@pytest.mark.parametrize(
    ("optimizer", "factors"),
    [(RMSProp(rho=0.75), {"squares": 0.25}), (AdamW(beta1=0.5, beta2=0.75), {"momentum": 0.5, "squares": 0.25})],
    ids=repr,
)
def test_states_of_the_time_of_sums_are_converted(optimizer: GradientDescent, factors: dict[str, float]) -> None:
    """A state without a version holds ``mean / (1 - decay)``."""
    model = Sequential([Scale(np.ones(3)), Scale(np.ones((2, 3), np.float32))])
    state = {name: np.abs(array) + 1 for name, array in optimizer.state_dict(model).items()}
    optimizer.load_state_dict(without_version(state), model)
    for name, array in without_version(optimizer.state_dict(model)).items():
        np.testing.assert_array_equal(array, state[name] * factors.get(name.rpartition(".")[2], 1))


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


# --- Optimizers of one's own ------------------------------------------------------------------------------------------


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
