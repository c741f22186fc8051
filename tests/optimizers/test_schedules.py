import copy
import pickle
from collections.abc import Callable
from math import cos, inf, nan, pi
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    Adam,
    ConfigError,
    CosineDecay,
    ExponentialDecay,
    Parameter,
    Piecewise,
    StepDecay,
    WarmUp,
)

rates = st.floats(1e-6, 1e3)
lengths = st.integers(1, 50)
factors = st.just(1) | st.floats(0.1, 1)
numbers = st.integers(0, 200)

EACH = [
    StepDecay(0.1, every=3, factor=0.5),
    ExponentialDecay(0.1, factor=0.9),
    ExponentialDecay(0.1, factor=0.5, every=10),
    CosineDecay(0.1, steps=20),
    CosineDecay(0.1, steps=20, final=0.01),
    WarmUp(5, then=0.1),
    WarmUp(5, then=CosineDecay(0.1, steps=20)),
    Piecewise([3, 10], [0.1, 0.05, 0]),
]
each_schedule = pytest.mark.parametrize("schedule", EACH, ids=repr)


# --- Formulas --------------------------------------------------------------------------------------------------------


@given(initial=rates, every=lengths, factor=factors, step=numbers)
def test_step_decay_multiplies_after_each_stretch(initial: float, every: int, factor: float, step: int) -> None:
    """The rate is that of the stretch before, times the factor."""
    expected = initial
    for _ in range(every, step + 1, every):
        expected *= factor
    assert StepDecay(initial, every, factor)(step) == pytest.approx(expected)


@given(initial=rates, every=lengths, factor=factors, step=numbers)
def test_exponential_decay_multiplies_a_little_each_step(initial: float, every: int, factor: float, step: int) -> None:
    """From step to step the ratio is the same; over `every` steps it is the factor."""
    rate = ExponentialDecay(initial, factor, every)
    assert rate(0) == initial
    assert rate(step + every) == pytest.approx(rate(step) * factor)
    assert rate(step + 1) / rate(step) == pytest.approx(rate(1) / rate(0))


@given(initial=rates, steps=lengths, share=st.floats(0, 1), step=numbers)
def test_cosine_decay_is_half_a_wave(initial: float, steps: int, share: float, step: int) -> None:
    """``final + (initial - final) * (1 + cos(pi * step / steps)) / 2``; exact at both ends, and constant after."""
    final = share * initial
    rate = CosineDecay(initial, steps, final)
    assert rate(0) == initial
    assert rate(steps) == rate(steps + 1 + step) == final
    if step < steps:
        expected = final + (initial - final) * (1 + cos(pi * step / steps)) / 2
        assert rate(step) == pytest.approx(expected)
        assert rate(step) + rate(steps - step) == pytest.approx(initial + final)


@given(full=rates, steps=lengths)
def test_warm_up_rises_in_a_straight_line(full: float, steps: int) -> None:
    """By as much at each step as the first rate has, up to the full rate at step `steps`, and no further."""
    rate = WarmUp(steps, then=full)
    found = [rate(step) for step in range(steps + 1)]
    np.testing.assert_allclose(np.diff([0, *found]), full / (steps + 1))
    assert rate(steps) == rate(steps + 1) == rate(10 * steps) == full


@given(steps=lengths, step=numbers)
def test_warm_up_goes_on_as_the_schedule_would_from_its_start(steps: int, step: int) -> None:
    """It rises to the schedule's first rate, and then the schedule runs as if from step 0; warm-ups nest."""
    then = CosineDecay(0.3, steps=80, final=0.1)
    rate = WarmUp(steps, then)
    assert rate(steps + step) == then(step)
    if step < steps:
        assert rate(step) == WarmUp(steps, 0.3)(step)
    assert WarmUp(5, rate)(5 + step) == rate(step)


@given(values=st.lists(rates, min_size=1, max_size=5), step=numbers, data=st.data())
def test_piecewise_changes_at_its_boundaries(values: list[float], step: int, data: st.DataObject) -> None:
    """Each value holds from its boundary on, until the next."""
    count = len(values) - 1
    boundaries = sorted(data.draw(st.sets(st.integers(1, 100), min_size=count, max_size=count)))
    rate = Piecewise(boundaries, values)
    expected = values[0]
    for boundary, value in zip(boundaries, values[1:], strict=True):
        if step >= boundary:
            expected = value
    assert rate(step) == expected


# --- As learning rates -----------------------------------------------------------------------------------------------


@each_schedule
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_optimizers_follow_schedules(schedule: Callable[[int], float], kind: type) -> None:
    """The steps are those of an optimizer whose rate is set before each."""
    here, there = Parameter([1.0, 2.0]), Parameter([1.0, 2.0])
    scheduled, by_hand = kind(schedule), kind(1)
    for step in range(30):
        for parameter, optimizer in ((here, scheduled), (there, by_hand)):
            parameter.add(np.array([1.0, -1.0 / (1 + step)]))
            if schedule(step) == 0:  # A fixed rate cannot be 0.
                parameter.clear()
            else:
                by_hand.learning_rate = schedule(step)
            optimizer.step([parameter])
        np.testing.assert_array_equal(here.value, there.value)


@each_schedule
def test_schedules_are_values(schedule: Callable[[int], float]) -> None:
    """A schedule equals one of the same arguments, its repr builds one, and it can be copied and pickled."""
    for twin in (eval(repr(schedule)), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert twin == schedule
        assert hash(twin) == hash(schedule)
        assert [twin(step) for step in range(30)] == [schedule(step) for step in range(30)]


# --- Bad input -------------------------------------------------------------------------------------------------------

POSITIVE = "a positive finite number"
SIZE = "a positive integer"
WRONG = {
    POSITIVE: [0, -0.1, nan, inf, "0.1", None, True],
    SIZE: [0, -1, 1.0, "1", None, True],
    "a number above 0 and at most 1": [0, -0.1, nan, inf, "0.1", None, True, 1.01, 2],
    "a finite number of at least 0": [-0.1, nan, inf, None, True],
    f"{POSITIVE} or a schedule": [0, -0.1, nan, "0.1", None, True, CosineDecay],
}


@pytest.mark.parametrize(
    ("schedule", "name", "expected"),
    [
        (StepDecay(0.1, 2, 0.5), "initial", POSITIVE),
        (StepDecay(0.1, 2, 0.5), "every", SIZE),
        (StepDecay(0.1, 2, 0.5), "factor", "a number above 0 and at most 1"),
        (ExponentialDecay(0.1, 0.5), "initial", POSITIVE),
        (ExponentialDecay(0.1, 0.5), "factor", "a number above 0 and at most 1"),
        (ExponentialDecay(0.1, 0.5), "every", SIZE),
        (CosineDecay(0.1, 2), "initial", POSITIVE),
        (CosineDecay(0.1, 2), "steps", SIZE),
        (CosineDecay(0.1, 2), "final", "a finite number of at least 0"),
        (WarmUp(2, 0.1), "steps", SIZE),
        (WarmUp(2, 0.1), "then", f"{POSITIVE} or a schedule"),
    ],
)
def test_arguments_are_checked(schedule: object, name: str, expected: str) -> None:
    """What an argument cannot be is refused by its name."""
    kind = type(schedule)
    arguments = {each.name: getattr(schedule, each.name) for each in kind.__attrs_attrs__}
    for value in WRONG[expected]:
        with pytest.raises(ConfigError, match=f"{kind.__name__}: {name} expects {expected}, got "):
            kind(**{**arguments, name: value})


@pytest.mark.parametrize(
    "boundaries", [[0, 1], [-1, 1], [2, 1], [1, 1], [1.0, 2], [True, 2], ["1", "2"], "12", 5, None]
)
def test_boundaries_ascend(boundaries: object) -> None:
    """Anything else than ascending positive integers is refused."""
    with pytest.raises(ConfigError, match="Piecewise: boundaries expects ascending positive integers, got "):
        Piecewise(boundaries, [0.1, 0.2, 0.3])


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.2], [0.1] * 4, "123", 0.1, None])
def test_there_is_one_value_more_than_boundaries(values: object) -> None:
    """Another number of values, or something else, is refused."""
    expected = "Piecewise: values expects 3 numbers, one more than boundaries, got "
    with pytest.raises(ConfigError, match=expected):
        Piecewise([1, 2], values)


@pytest.mark.parametrize("value", [-0.1, nan, inf, None, "1", True])
def test_values_are_rates(value: object) -> None:
    """A value that is no finite number of at least 0 is refused."""
    with pytest.raises(ConfigError, match="Piecewise: values expects a finite number of at least 0, got "):
        Piecewise([1, 2], [0.1, value, 0.1])


SCHEDULES = [
    StepDecay(0.1, 2, 0.5),
    ExponentialDecay(0.1, 0.5),
    CosineDecay(0.1, 9),
    WarmUp(2, 0.1),
    Piecewise([2], [1, 2]),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("step", [-1, 1.0, True, None, "1", [1], np.array([1, 2]), -(10**400), 10**400])
def test_steps_are_counted_from_0(schedule: Callable[[Any], float], step: Any) -> None:
    """What is no number of a step is refused; also one that no float holds."""
    with pytest.raises(ConfigError, match=f"{type(schedule).__name__}: step expects the number of a step"):
        schedule(step)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_numbers_of_numpy_are_steps(schedule: Callable[[Any], float]) -> None:
    """And give the same."""
    assert [schedule(step) for step in np.arange(5)] == [schedule(step) for step in range(5)]


@pytest.mark.parametrize("rate", [None, "a", nan, -1.0, inf, [1.0]])
def test_what_a_warm_up_leads_to_is_a_rate(rate: Any) -> None:
    """A schedule of one's own that gives something else is refused where it is asked."""
    with pytest.raises(ConfigError, match="WarmUp: the learning rate of step 1 expects a finite number of at least 0"):
        WarmUp(2, lambda _: rate)(3)


def test_rates_that_no_float_holds_are_refused() -> None:
    """At construction, as infinity."""
    with pytest.raises(ConfigError, match="StepDecay: initial expects a positive finite number, got inf"):
        StepDecay(10**5000, 2, 0.5)


def test_numbers_that_python_does_not_write_are_refused_all_the_same() -> None:
    """An integer of thousands of digits has no text to be shown by."""
    with pytest.raises(ConfigError, match="StepDecay: every expects a positive integer, got int"):
        StepDecay(0.1, -(10**5000), 0.5)
