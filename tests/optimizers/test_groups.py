"""Groups of parameters are optimizers over parts of a model, and together one."""

import copy
import gc
import pickle
import re
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
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
    Checkpoint,
    ConfigError,
    ContractError,
    CosineDecay,
    Dense,
    FileFormatError,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    Optimizer,
    Parameter,
    ParameterGroups,
    RMSProp,
    Sequential,
    StateDictError,
    Tanh,
    Trainer,
    WarmUp,
    mlp,
    resume,
)
from tests.example_layers import Lazy, Scale
from tests.optimizers.common import OPTIMIZERS
from tests.random_models import seeds

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
Y = np.sin(X).sum(axis=1, keepdims=True)


def model_of(seed: int = 0) -> Sequential:
    return mlp([3, 4, 2, 1], Tanh, rng=seed)


def give_gradients(model: Layer, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.add(np.asarray(rng.normal(size=parameter.shape)))


def new_groups(model: Layer, **limits: Any) -> ParameterGroups:
    parts = {"0": SGD(WarmUp(3, then=0.1), momentum=0.9), "2.weight": Adam(CosineDecay(0.1, 30), clip_norm=0.5)}
    return ParameterGroups(model, parts, default=AdamW(0.05, weight_decay=0.1), **limits)


def trainer_of(seed: int = 0, **limits: Any) -> Trainer:
    model = model_of(seed)
    return Trainer(model, MeanSquaredError(), new_groups(model, **limits), rng=seed)


# --- Steps -----------------------------------------------------------------------------------------------------------


@given(names=st.lists(st.sampled_from(list(OPTIMIZERS)), min_size=3, max_size=3), steps=st.integers(1, 6), seed=seeds)
@settings(max_examples=20)
def test_each_part_makes_the_steps_of_its_own_optimizer(names: list[str], steps: int, seed: int) -> None:
    """To the bit, as if each optimizer were alone with its part."""
    model, twin = model_of(), model_of()
    first, last, rest = (OPTIMIZERS[name] for name in names)
    groups = ParameterGroups(model, {"0": first(), "4.bias": last()}, default=rest())
    alone = [
        (first(), twin[0].parameters()),
        (last(), [twin[4].bias]),
        (rest(), [*twin[2].parameters(), twin[4].weight]),
    ]
    for step in range(steps):
        for each in (model, twin):
            give_gradients(each, seed + step)
        groups.step(iter(model.parameters()))
        for optimizer, parameters in alone:
            optimizer.step(parameters)
    np.testing.assert_equal(model.state_dict(), twin.state_dict())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_keys_are_beginnings_of_names_at_dots() -> None:
    """1 stands for 1.weight, not for 10.weight."""
    model = Sequential([Dense(1, 1, rng=0) for _ in range(12)])
    before = model.state_dict()
    give_gradients(model)
    ParameterGroups(model, {"1": SGD(1e-300), "10.weight": SGD(1e-300)}, default=SGD(1.0)).step(model.parameters())
    same = {name for name, value in model.state_dict().items() if np.abs(value - before[name]).max() < 1e-200}
    assert same == {"1.weight", "1.bias", "10.weight"}


def test_limits_of_the_groups_are_everythings_and_those_of_a_part_its_own() -> None:
    """The norm of all is cut to 1; then that of the part to 0.1."""
    model = Sequential([Scale([0.0, 0.0]), Scale([0.0])])
    parts = {"0": SGD(1.0, clip_norm=0.1), "1": SGD(1.0)}
    for grads, limits, moved in (
        ([[30.0, 0.0], [40.0]], {"clip_norm": 1.0}, [[-0.1, 0.0], [-0.8]]),
        ([[0.03, 0.0], [0.04]], {"clip_norm": 1.0}, [[-0.03, 0.0], [-0.04]]),
        ([[0.06, 3.0], [40.0]], {"clip_value": 0.08}, [[-0.06, -0.08], [-0.08]]),
    ):
        for parameter, grad in zip(model.parameters(), grads, strict=True):
            parameter.value[...] = 0
            parameter.add(np.array(grad))
        ParameterGroups(model, parts, **limits).step(model.parameters())
        for parameter, value in zip(model.parameters(), moved, strict=True):
            np.testing.assert_allclose(parameter.value, value, rtol=1e-12)


def test_a_norm_that_is_not_finite_changes_nothing() -> None:
    """No part has made its step then."""
    model = model_of()
    groups, before = new_groups(model, clip_norm=1.0), model.state_dict()
    give_gradients(model)
    model[4].weight.grad = np.full((2, 1), np.nan)
    with pytest.raises(NonFiniteError, match=r"ParameterGroups: the norm of the gradients must be finite, got nan"):
        groups.step(model.parameters())
    np.testing.assert_equal(model.state_dict(), before)
    assert [optimizer.steps for optimizer in groups.optimizers.values()] == [0, 0, 0]


def test_a_frozen_part_rests_and_its_schedule_goes_on() -> None:
    """Once it is unfrozen, it moves, at the rate of the step of all."""
    rates: list[int] = []
    model = model_of()
    model[0].freeze()
    before = model[0].state_dict()
    groups = ParameterGroups(model, {"0": SGD(lambda step: rates.append(step) or 0.1)}, default=Adam())
    trainer = Trainer(model, MeanSquaredError(), groups)
    trainer.fit(X, Y, 3)
    np.testing.assert_equal(model[0].state_dict(), before)
    model[0].unfreeze()
    trainer.fit(X, Y, 1)
    assert rates == [0, 1, 2, 3]
    assert not np.array_equal(model[0].weight.value, before["weight"])


def test_a_step_on_some_parts_is_one_of_these_only() -> None:
    """The counts of the others stand still."""
    model = model_of()
    groups = new_groups(model)
    give_gradients(model)
    groups.step(model[0].parameters())
    assert [optimizer.steps for optimizer in groups.optimizers.values()] == [1, 0, 0]
    assert list(groups.optimizers) == ["0", "2.weight", "default"]


def test_micro_batches_make_the_same_step() -> None:
    """The gradients of the parts of a batch add up before the groups see them."""
    whole, split = trainer_of(clip_norm=0.1), trainer_of(clip_norm=0.1)
    whole.fit(X, Y, 3)
    split.fit(X, Y, 3, micro_batch_size=4)
    for name, value in whole.model.state_dict().items():
        np.testing.assert_allclose(split.model.state_dict()[name], value, rtol=1e-9, atol=1e-12)


def test_parameters_of_the_first_forward_find_their_part() -> None:
    """A key may wait for them."""
    model = Sequential([Lazy(), Dense(3, 1, rng=0)])
    slow, fast = SGD(1e-9), SGD(0.1)
    trainer = Trainer(model, MeanSquaredError(), ParameterGroups(model, {"0": slow, "1": fast}))
    trainer.fit(X, Y, 2)
    assert (slow.steps, fast.steps) == (2, 2)
    model = Sequential([Lazy(), Dense(3, 1, rng=0)])
    trainer = Trainer(model, MeanSquaredError(), ParameterGroups(model, {"1": SGD(0.1)}))
    with pytest.raises(
        ConfigError, match=r"ParameterGroups: 0\.scale\.factors expects to be in a part, or default= for the rest"
    ):
        trainer.fit(X, Y, 1)


# --- Wrong groups ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "default", "message"),
    [
        ({"0": SGD(0.1)}, None, r"ParameterGroups: 2\.weight expects to be in a part, or default= for the rest, got"),
        ({"0": SGD(0.1), "0.bias": SGD(0.1)}, SGD(1), r"0\.bias expects to be in one part, got both 0 and 0\.bias"),
        ({"0": SGD(0.1), "00": SGD(0.1)}, SGD(1), r"ParameterGroups: 00 expects to be the beginning of a name, got"),
        ({"0.": SGD(0.1)}, SGD(1), r"ParameterGroups: 0\. expects to be the beginning of a name, got \['0\.weight', "),
        ({"": SGD(0.1)}, None, r"parts expects a dict of names to optimizers, .*, and default= for the rest, got ''"),
        ({0: SGD(0.1)}, SGD(1), r"parts expects a dict of names to optimizers, .* got 0"),
        ([SGD(0.1)], SGD(1), r"parts expects a dict of names to optimizers, such as .*, got list"),
        ({"0": 0.1}, SGD(1), r"ParameterGroups: 0 expects an instance of Optimizer, got float"),
        ({"0": SGD}, SGD(1), r"ParameterGroups: 0 expects an instance of Optimizer, got the class SGD itself"),
        ({"0": SGD(0.1)}, 0.1, r"ParameterGroups: default expects an instance of Optimizer, got float"),
    ],
)
def test_wrong_parts_are_refused(parts: Any, default: Any, message: str) -> None:
    """The error names the parameter, or the key."""
    with pytest.raises(ConfigError, match=message):
        ParameterGroups(model_of(), parts, default)


def test_an_optimizer_stands_in_one_place() -> None:
    """Its steps would be counted twice."""
    model, optimizer = model_of(), SGD(0.1)
    for parts, default in (({"0": optimizer, "2": optimizer}, SGD(1)), ({"0": optimizer}, optimizer)):
        with pytest.raises(ConfigError, match=r"an optimizer for each part, got one for 0 and (2|default)"):
            ParameterGroups(model, parts, default)


@pytest.mark.parametrize("name", ["clip_norm", "clip_value"])
@pytest.mark.parametrize("limit", [0, -1.0, np.nan, np.inf, "1", True])
def test_wrong_limits_are_refused(name: str, limit: Any) -> None:
    """As of every optimizer."""
    with pytest.raises(ConfigError, match=f"ParameterGroups: {name} expects a positive finite number"):
        ParameterGroups(model_of(), {}, SGD(0.1), **{name: limit})


def test_a_key_of_a_layer_without_parameters_is_found_in_the_first_step() -> None:
    """Only then is it known that the layer makes none."""
    model = model_of()
    groups = ParameterGroups(model, {"1": SGD(0.1)}, default=SGD(0.1))
    before = model.state_dict()
    give_gradients(model)
    with pytest.raises(ConfigError, match=r"ParameterGroups: 1 expects parameters of such a name, got \['0\.weight', "):
        groups.step(model.parameters())
    np.testing.assert_equal(model.state_dict(), before)


def test_parameters_of_another_model_are_refused() -> None:
    """Groups are made for a model; the error comes before any part has made its step."""
    model, other = model_of(), model_of()
    groups = new_groups(model)
    give_gradients(model)
    before = model.state_dict()
    for parameters in (other.parameters(), [*model.parameters(), Parameter([1.0])]):
        with pytest.raises(ConfigError, match=r"ParameterGroups expects parameters of the model that it was made for"):
            groups.step(parameters)
    with pytest.raises(ConfigError, match=r"parameters of the model that it was made for, got another, of shape"):
        groups.state_dict(other)
    np.testing.assert_equal(model.state_dict(), before)
    with pytest.raises(ConfigError, match=r"ParameterGroups.step: parameters expects a list of Parameter"):
        groups.step(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"ParameterGroups: model expects an instance of Layer, got list"):
        ParameterGroups([], {}, SGD(0.1))  # type: ignore[arg-type]


# --- State -----------------------------------------------------------------------------------------------------------


def test_the_state_is_flat_and_by_name() -> None:
    """The entries of each optimizer, after the key of its part."""
    model = Sequential([Dense(1, 1, rng=0), Dense(1, 1, bias=False, rng=0)])
    groups = ParameterGroups(model, {"0.bias": SGD(0.1)}, default=SGD(0.1, momentum=0.5))
    give_gradients(model)
    groups.step(model.parameters())
    state = groups.state_dict(model)
    weights = [f"default/{name}.{entry}" for name in ("0.weight", "1.weight") for entry in ("momentum", "steps")]
    assert list(state) == ["0.bias/steps", "default/steps", *weights]
    assert {name: int(value) for name, value in state.items() if name.endswith("steps")} == {
        "0.bias/steps": 1, "default/steps": 1, "default/0.weight.steps": 1, "default/1.weight.steps": 1
    }  # fmt: skip


def test_restored_groups_go_on_to_the_bit() -> None:
    """With a state in another model's groups, the runs are the same from then on."""
    run, again = trainer_of(0), trainer_of(1)
    run.fit(X, Y, 5)
    again.model.load_state_dict(run.model.state_dict())
    state = run.optimizer.state_dict(run.model)
    again.optimizer.load_state_dict(state, again.model)
    np.testing.assert_equal(again.optimizer.state_dict(again.model), state)
    run.fit(X, Y, 5)
    again.fit(X, Y, 5)
    np.testing.assert_equal(again.model.state_dict(), run.model.state_dict())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (list, r"ParameterGroups.load_state_dict expects a mapping of names to arrays, got list"),
        (lambda state: state | {"steps": 1}, r"entries of its parts .*, such as .*/steps, got 'steps'"),
        (lambda state: state | {7: 1}, r"entries of its parts .*, got 7"),
        (lambda state: {k: v for k, v in state.items() if k != "default/steps"}, r"AdamW.* got missing=\['steps'\]"),
        (lambda state: state | {"default/4.bias.squares": [1.0, 2.0]}, r"AdamW: 4.bias.squares expects shape \(1,\)"),
    ],
)
def test_states_that_do_not_fit_change_nothing(spoil: Callable[[Any], Any], message: str) -> None:
    """Not even in the parts that come before the one at fault."""
    trainer = trainer_of()
    trainer.fit(X, Y, 3)
    before = trainer.optimizer.state_dict(trainer.model)
    other = {name: value + (not name.endswith("version")) for name, value in before.items()}
    with pytest.raises(StateDictError, match=message):
        trainer.optimizer.load_state_dict(spoil(other), trainer.model)
    np.testing.assert_equal(trainer.optimizer.state_dict(trainer.model), before)


def test_keys_that_contain_each_other_are_told_apart() -> None:
    """Where a name in a dict of layers has a slash, the longer key has its entries."""

    class Named(Layer):
        def __init__(self) -> None:
            self.parts = {"a": Scale([1.0]), "a/b": Scale([2.0])}

        forward = backward = None  # type: ignore[assignment]

    model = Named()
    groups = ParameterGroups(model, {"parts.a": SGD(0.1, momentum=0.5), "parts.a/b": Adagrad(0.1)})
    give_gradients(model)
    groups.step(model.parameters())
    state = groups.state_dict(model)
    groups.load_state_dict(state, model)
    np.testing.assert_equal(groups.state_dict(model), state)


class Halving(Optimizer):
    """The least that an optimizer can be."""

    def step(self, parameters: Any, /) -> None:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.value *= 0.5
                parameter.clear()


class Counting(Halving):
    """One that remembers how often it has halved each parameter, in its own way."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def step(self, parameters: Any, /) -> None:
        parameters = list(parameters)
        super().step(parameters)
        for parameter in parameters:
            self.counts[id(parameter)] = self.counts.get(id(parameter), 0) + 1

    def state_dict(self, model: Layer, /) -> dict[str, Any]:
        return {name: np.array(self.counts.get(id(p), 0)) for name, p in model.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any], model: Layer, /) -> None:
        self.counts = {id(parameter): int(state[name]) for name, parameter in model.named_parameters()}


def test_an_optimizer_of_ones_own_composes_its_state_included(tmp_path: Path) -> None:
    """It sees the parameters of its part alone; one without a state is named where it would be saved."""
    model, twin = model_of(), model_of(1)
    groups, again = (ParameterGroups(each, {"2": Counting()}, default=Adam()) for each in (model, twin))
    trainer = Trainer(model, MeanSquaredError(), groups)
    trainer.fit(X, Y, 3, callbacks=[Checkpoint(tmp_path / "run")])
    resume(tmp_path / "run", Trainer(twin, MeanSquaredError(), again))
    assert {name: int(value) for name, value in again.state_dict(twin).items() if name[0] == "2"} == {
        "2/2.weight": 3, "2/2.bias": 3
    }  # fmt: skip
    bare = ParameterGroups(model, {"2": Halving()}, default=Adam())
    Trainer(model, MeanSquaredError(), bare).fit(X, Y, 1)
    with pytest.raises(ContractError, match="Halving must define state_dict and load_state_dict"):
        bare.state_dict(model)


def test_groups_may_stand_in_groups() -> None:
    """The inner ones are made for a part of the model, by its own names."""
    model, twin = model_of(), model_of()
    inner = ParameterGroups(model[0], {"weight": SGD(0.1), "bias": SGD(0.2, momentum=0.5)}, clip_value=0.1)
    outer = ParameterGroups(model, {"0": inner}, default=Adam(0.01))
    plain = ParameterGroups(
        twin, {"0.weight": SGD(0.1, clip_value=0.1), "0.bias": SGD(0.2, momentum=0.5, clip_value=0.1)}, Adam(0.01)
    )
    for each, optimizer in ((model, outer), (twin, plain)):
        Trainer(each, MeanSquaredError(), optimizer).fit(X, Y, 3)
    np.testing.assert_equal(model.state_dict(), twin.state_dict())
    state = outer.state_dict(model)
    assert "0/bias/0.bias.momentum" in state
    outer.load_state_dict(state, model)
    np.testing.assert_equal(outer.state_dict(model), state)


def test_a_resumed_run_with_groups_is_the_same_to_the_bit(tmp_path: Path) -> None:
    """With schedules, clipping, and a part that is frozen at first and unfrozen later."""

    def train(epochs: int, path: Path | None = None) -> Trainer:
        trainer = trainer_of(clip_norm=0.5)
        trainer.model[2].freeze()
        if path is not None and path.exists():
            resume(path, trainer)
        for epoch in range(trainer.epochs, epochs):
            if epoch == 5:
                trainer.model.unfreeze()
            trainer.fit(X, Y, 1, batch_size=5, callbacks=[] if path is None else [Checkpoint(path)])
        return trainer

    whole = train(9)
    for epochs in (4, 7):
        train(epochs, tmp_path / f"{epochs}")
        resumed = train(9, tmp_path / f"{epochs}")
        np.testing.assert_equal(resumed.model.state_dict(), whole.model.state_dict())
        assert resumed.history.loss == whole.history.loss
        np.testing.assert_equal(resumed.optimizer.state_dict(resumed.model), whole.optimizer.state_dict(whole.model))


def test_a_checkpoint_of_other_groups_is_refused(tmp_path: Path) -> None:
    """By their optimizers, or else by what these remember."""
    trainer = trainer_of()
    trainer.fit(X, Y, 1, callbacks=[Checkpoint(tmp_path / "run")])
    for parts, error, message in (
        (
            {"0": SGD(1, momentum=0.5), "2.weight": AdamW()},
            StateDictError,
            "optimizer 2.weight expects AdamW, got Adam",
        ),
        ({"0": SGD(1, momentum=0.5), "2": Adam()}, StateDictError, "optimizer 2 expects Adam, got nothing"),
        ({"0": SGD(1), "2.weight": Adam()}, FileFormatError, r"got StateDictError: SGD.load_state_dict expects"),
    ):
        other = Trainer(model_of(), MeanSquaredError(), trainer.optimizer)
        other.optimizer = ParameterGroups(other.model, parts, default=AdamW())
        with pytest.raises(error, match=re.escape(message) if error is StateDictError else message):
            resume(tmp_path / "run", other)


# --- Copies and lives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda trainer: pickle.loads(pickle.dumps(trainer))])
def test_a_copy_of_a_trainer_keeps_model_and_groups_tied(duplicate: Callable[[Trainer], Trainer]) -> None:
    """Copy and original make the same steps."""
    trainer = trainer_of(clip_norm=1.0)
    trainer.fit(X, Y, 3)
    twin = duplicate(trainer)
    assert trainer.fit(X, Y, 3).loss == twin.fit(X, Y, 3).loss
    np.testing.assert_equal(twin.model.state_dict(), trainer.model.state_dict())


def test_groups_keep_no_model_alive() -> None:
    """Neither by themselves nor by what the optimizers remember; they still step on what is alive of it."""
    trainer = trainer_of()
    groups, layer = trainer.optimizer, trainer.model[0]
    trainer.fit(X, Y, 1)
    model, gone = weakref.ref(trainer.model), weakref.ref(trainer.model[4].weight)
    del trainer
    gc.collect()
    assert model() is None
    assert gone() is None
    before = layer.state_dict()
    give_gradients(layer)
    groups.step(layer.parameters())
    assert not np.array_equal(layer.weight.value, before["weight"])
    repr(groups)


def test_a_repr_shows_parts_and_limits() -> None:
    """As they would be written."""
    groups = ParameterGroups(model_of(), {"0": SGD(0.1)}, RMSProp(), clip_norm=2)
    assert repr(groups) == f"ParameterGroups({{'0': {SGD(0.1)!r}}}, default={RMSProp()!r}, clip_norm=2.0)"
