"""What an optimizer remembers belongs to parameters: it goes on with those it knows, begins anew with others."""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    Adam,
    ConfigError,
    CosineDecay,
    Dense,
    GradientDescent,
    MeanSquaredError,
    Parameter,
    Sequential,
    Tanh,
    Trainer,
    mlp,
)
from tests.optimizers.common import OPTIMIZERS, New

each_optimizer = pytest.mark.parametrize("new", OPTIMIZERS.values(), ids=OPTIMIZERS)
each_way = pytest.mark.parametrize("of", [list, tuple, iter], ids=["list", "tuple", "iterator"])

X = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0]])
Y = np.array([[0.0], [1.0], [3.0]])


def small(seed: int = 0) -> Sequential:
    return mlp([2, 3, 1], Tanh, rng=seed)


def steps(
    optimizer: GradientDescent, parameters: list[Parameter], count: int = 1, of: Callable[..., Any] = list
) -> int:
    """Make steps with gradients of 1, and give the count of the optimizer."""
    for _ in range(count):
        for parameter in parameters:
            parameter.add(np.ones(parameter.shape))
        optimizer.step(of(parameters))
    return optimizer.steps


@each_optimizer
def test_one_optimizer_trains_several_models_as_new_ones_would(new: New) -> None:
    """Nothing of one model's run reaches the next, whether they are alive together or one after the other."""
    shared, kept = new(), []
    for keep in (True, True, False, False):
        model, twin, optimizer = small(), small(), new()
        losses = [
            Trainer(each, MeanSquaredError(), by).fit(X, Y, 4).loss for each, by in ((model, shared), (twin, optimizer))
        ]
        assert losses[0] == losses[1]
        assert shared.steps == 4
        np.testing.assert_equal(shared.state_dict(model), optimizer.state_dict(twin))
        kept += [model] * keep


def test_a_schedule_begins_anew_with_the_next_fold() -> None:
    """The second fold is the same run as the first."""
    optimizer = Adam(CosineDecay(0.05, 10))
    first, second = (Trainer(small(), MeanSquaredError(), optimizer).fit(X, Y, 10).loss for _ in range(2))
    assert first == second


@each_way
@each_optimizer
def test_with_some_that_it_knows_an_optimizer_goes_on(new: New, of: Callable[..., Any]) -> None:
    """First the head, then all, then what has joined alone; lists of equal length and equal ends are told apart."""
    a, b, c, d = (Parameter([1.0]) for _ in range(4))
    optimizer = new()
    assert steps(optimizer, [a, b], 3, of) == 3
    assert steps(optimizer, [a, c, b], 1, of) == 4
    assert steps(optimizer, [a, d, b], 1, of) == 5
    assert steps(optimizer, [c], 1, of) == 6
    assert steps(optimizer, [d], 1, of) == 7
    assert steps(optimizer, [Parameter([1.0])], 1, of) == 1
    assert steps(optimizer, [b, a], 1, of) == 8


@each_optimizer
def test_unfreezing_goes_on(new: New) -> None:
    """Layers that were frozen were in the list, so they are known, alone too."""
    model, optimizer = small(), new()
    model[:1].freeze()
    steps(optimizer, model.parameters(), 3)
    assert steps(optimizer, model.unfreeze().parameters()) == 4
    model[1:].freeze()
    assert steps(optimizer, model.parameters()) == 5
    model.freeze()
    assert steps(optimizer, model.parameters()) == 6


@each_optimizer
def test_a_frozen_base_does_not_tie_models_together(new: New) -> None:
    """New heads on one frozen base are models of their own; the base that is trained again is not."""
    base, optimizer = Dense(2, 3, rng=0).freeze(), new()
    for seed in (1, 2):
        model = Sequential([base, Dense(3, 1, rng=seed)])
        assert steps(optimizer, model.parameters(), 3) == 3
    base.unfreeze()
    assert steps(optimizer, Sequential([base, Dense(3, 1, rng=3)]).parameters()) == 4


@each_optimizer
def test_models_in_turn_keep_their_own_counts_and_slots(new: New) -> None:
    """As in a loop of two that play against each other: each makes the steps that it would make with one of its own."""
    shared, own = new(), (new(), new())
    models, twins = (small(1), small(2)), (small(1), small(2))
    for turn, repeats in ((0, 2), (1, 1), (0, 1), (1, 3), (0, 1)):
        count = steps(shared, models[turn].parameters(), repeats)
        assert count == steps(own[turn], twins[turn].parameters(), repeats)
    for model, twin, optimizer in zip(models, twins, own, strict=True):
        np.testing.assert_equal(model.state_dict(), twin.state_dict())
        np.testing.assert_equal(shared.state_dict(model), optimizer.state_dict(twin))


def test_runs_that_meet_go_on_with_the_longer_one() -> None:
    """Parameters of two models, trained together from now on."""
    one, other, optimizer = Parameter([1.0]), Parameter([1.0]), SGD(0.1)
    steps(optimizer, [one], 5)
    steps(optimizer, [other], 2)
    assert steps(optimizer, [other, one]) == 6
    assert steps(optimizer, [other]) == 7


@each_optimizer
def test_a_state_of_an_unknown_model_is_a_fresh_one_and_loading_makes_it_known(new: New) -> None:
    """The same count goes on after `load_state_dict`, and the model from before keeps its own."""
    model, other, optimizer = small(), small(), new()
    steps(optimizer, model.parameters(), 3)
    state = optimizer.state_dict(model)
    np.testing.assert_equal(optimizer.state_dict(other), new().state_dict(other))
    optimizer.load_state_dict(state, other)
    steps(optimizer, model.parameters())
    np.testing.assert_equal(optimizer.state_dict(other), state)
    assert steps(optimizer, other.parameters()) == 4
    np.testing.assert_equal(optimizer.state_dict(other), optimizer.state_dict(model))


@each_optimizer
def test_nothing_of_a_dropped_model_is_kept(new: New) -> None:
    """Its parameters go at once, and the slots with them; so does the memory of an optimizer that is dropped."""
    gc.disable()  # Where there is no cycle, there is nothing to collect.
    try:
        optimizer = new()
        parameters = [Parameter([1.0]) for _ in range(3)]
        steps(optimizer, parameters)
        states = [weakref.ref(state) for state in optimizer._memory.states.values()]
        alive = weakref.ref(parameters[1])
        assert len(states) == 3
        del parameters
        assert alive() is None
        assert [state() for state in states] == [None] * 3
        assert not optimizer._memory.states
        assert not optimizer._memory.entered
        memory = weakref.ref(optimizer._memory)
        kept = Parameter([1.0])
        steps(optimizer, [kept])
        del optimizer
        assert memory() is None
    finally:
        gc.enable()


@given(moves=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
@settings(max_examples=50)
def test_an_id_that_is_used_again_is_no_old_acquaintance(moves: list[tuple[int, bool]]) -> None:
    """However models come and go, each count is the number of the steps on the model itself."""
    optimizer, counts = SGD(0.1), [0] * 4
    models = [[Parameter([1.0])] for _ in range(4)]
    for place, dropped in moves:
        if dropped:
            models[place] = []  # Its address is free, and likely to be that of the next.
            models[place], counts[place] = [Parameter([1.0])], 0
        counts[place] += 1
        assert steps(optimizer, models[place]) == counts[place]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
@pytest.mark.parametrize("optimizer_first", [False, True])
@each_optimizer
def test_a_copy_with_the_model_goes_on_and_of_the_optimizer_alone_begins_anew(
    new: New, duplicate: Callable[[Any], Any], optimizer_first: bool
) -> None:
    """In whatever order they are copied; both then forget what has been dropped."""
    model, optimizer = small(), new()
    steps(optimizer, model.parameters(), 3)
    pair = duplicate((optimizer, model) if optimizer_first else (model, optimizer))
    twin, its = pair[::-1] if optimizer_first else pair
    np.testing.assert_equal(its.state_dict(twin), optimizer.state_dict(model))
    assert steps(its, twin.parameters()) == steps(optimizer, model.parameters()) == 4
    np.testing.assert_equal(twin.state_dict(), model.state_dict())
    assert steps(duplicate(optimizer), small().parameters()) == 1
    del pair, twin
    assert not its._memory.states


def test_a_copy_of_a_model_is_another_model() -> None:
    """Deep copies, and those of `astype`, are not known."""
    model, optimizer = small(), SGD(0.1)
    steps(optimizer, model.parameters(), 3)
    for twin in (copy.deepcopy(model), model.astype(np.float64)):
        assert steps(optimizer, twin.parameters()) == 1


@pytest.mark.parametrize("wrong", [None, 3, "ab", [np.ones(2)], [Parameter([1.0]), None], small()])
@each_optimizer
def test_a_step_is_made_on_parameters(new: New, wrong: Any) -> None:
    """Anything else is refused, before anything is changed."""
    optimizer, name = new(), type(new()).__name__
    with pytest.raises(ConfigError, match=rf"{name}\.step: parameters expects a list of Parameter, as of model"):
        optimizer.step(wrong)
    assert optimizer.steps == 0
