"""Freezing: what is marked is not changed by anything, and the gradient still passes through it."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

from minibackprop import (
    GRU,
    L2,
    LSTM,
    RNN,
    SGD,
    Adam,
    AdamW,
    BatchNorm,
    Checkpoint,
    ConfigError,
    ContractError,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    Layer,
    LayerNorm,
    MeanSquaredError,
    MultiHeadAttention,
    Optimizer,
    Parameter,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    Tanh,
    Trainer,
    load,
    resume,
    save,
    summary,
)
from minibackprop.testing import check_layer, check_model
from minibackprop.validation import Array

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 4)), RNG.normal(size=(12, 2))


def network(seed: int = 0, width: int = 6) -> Sequential:
    """Make a model with all that works otherwise in training: a base, and a head behind it."""
    base = [Dense(4, width, bias=False, rng=seed), BatchNorm(width), Tanh(), Dropout(0.5, rng=seed)]
    inner = Residual(Dense(width, width, rng=seed + 1))
    return Sequential([Sequential(base), inner, Dense(width, 2, rng=seed + 2)])


def arrays(layer: Layer) -> dict[str, bytes]:
    """Give the bytes of all parameters and buffers."""
    return {name: value.tobytes() for name, value in layer.state_dict().items()}


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), Adam(0.1), AdamW(0.1, weight_decay=0.5)], ids=repr)
def test_training_leaves_what_is_frozen_as_it_was(optimizer: Optimizer) -> None:
    """No optimizer, decay or penalty changes a frozen part, running statistics included; the rest learns."""
    model = network()
    model[:1].freeze()
    frozen, rest = arrays(model[0]), arrays(model[1:])
    trainer = Trainer(model, MeanSquaredError(), optimizer, regularizer=L2(0.1, biases=True), rng=0)
    trainer.fit(X, Y, 5, batch_size=4)
    assert arrays(model[0]) == frozen
    assert all(before != after for before, after in zip(rest.values(), arrays(model[1:]).values(), strict=True))
    model.unfreeze()
    trainer.fit(X, Y, 1, batch_size=4)
    assert all(before != after for before, after in zip(frozen.values(), arrays(model[0]).values(), strict=True))


def test_penalties_pass_over_what_is_frozen() -> None:
    """It is no part of the value either."""
    weight, other = Parameter(np.ones((2, 2))), Parameter(np.ones((2, 2)))
    weight.frozen = True
    assert L2(1.0).forward([weight, other]) == 2.0
    L2(1.0).backward([weight, other])
    assert weight.grad is None
    assert other.grad is not None


def test_frozen_layers_predict_in_forward() -> None:
    """Where nothing is left to train, the training pass is the inference pass, and draws and moves nothing."""
    model = network()
    Trainer(model, MeanSquaredError(), SGD(0.1)).fit(X, Y, 3)
    model.freeze()
    before = arrays(model)
    y, cache = model.forward(X)
    np.testing.assert_array_equal(y, model.predict(X))
    assert arrays(model) == before
    model.backward(np.ones_like(y), cache)
    model.accumulate(np.ones_like(y), cache)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    "part", [slice(0, 1), slice(1, 2), slice(2, 3), slice(0, 2), slice(1, 3), slice(0, 3)], ids=str
)
def test_gradients_of_a_partly_frozen_model_are_those_of_its_loss(part: slice) -> None:
    """Against finite differences: by the input through the frozen part, and by what is not frozen."""
    model = network(width=2)
    model[0][3].freeze()  # A mask would be drawn anew for each difference.
    model[part].freeze()
    report = check_model(model, MeanSquaredError(), X[:4], Y[:4])
    trained = {name for name, parameter in model.named_parameters() if not parameter.frozen}
    assert set(report.power.get("parameter gradient", {})) == trained


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: Dense(3, 2, rng=0), (3,)),
        (lambda: Dense(3, 2, bias=False, rng=0), (3,)),
        (lambda: BatchNorm(3), (3,)),
        (lambda: LayerNorm(3), (3,)),
        (lambda: RMSNorm(3), (3,)),
        (lambda: GroupNorm(1, 2), (2, 3)),
        (lambda: Dropout(0.5, rng=0), (3,)),
        (lambda: Conv2D(1, 2, 2, rng=0), (1, 3, 3)),
        (lambda: RNN(2, 2, rng=0), (3, 2)),
        (lambda: LSTM(2, 2, rng=0), (3, 2)),
        (lambda: GRU(2, 2, rng=0), (3, 2)),
        (lambda: MultiHeadAttention(4, 2, rng=0), (3, 4)),
    ],
)
def test_frozen_layers_keep_the_contract(make: object, shape: tuple[int, ...]) -> None:
    """Each law that holds of the layer holds of the frozen one, gradients included."""
    check_layer(lambda: make().freeze(), shape, examples=2, shrink=False)  # type: ignore[operator]


@pytest.mark.parametrize("kind", [Dense, LSTM])
def test_a_wrong_gradient_is_refused_by_frozen_layers_too(kind: type) -> None:
    """Nothing is broadcast because a product is skipped."""
    layer = (Dense(3, 2, bias=False, rng=0) if kind is Dense else LSTM(3, 2, rng=0)).freeze()
    x = np.ones((4, 3)) if kind is Dense else np.ones((4, 5, 3))
    _, cache = layer.forward(x)
    with pytest.raises(ValueError, match="a gradient of shape"):
        layer.backward(np.ones((1, 2)), cache)


def test_accumulate_ends_at_the_first_layer_that_trains() -> None:
    """Frozen layers before it are not gone through, whenever they were frozen."""

    class Watched(Dense):
        def backward(self, grad: Array, cache: Array, /) -> Array:
            calls.append(self)
            return super().backward(grad, cache)

        def accumulate(self, grad: Array, cache: Array, /) -> None:
            calls.append(self)
            super().accumulate(grad, cache)

    calls: list[Layer] = []
    layers = [Watched(2, 2, rng=seed) for seed in range(4)]
    model = Sequential([Sequential(layers[:2]), ReLU(), *layers[2:]])

    def passed() -> list[int]:
        calls.clear()
        y, cache = model.forward(np.ones((3, 2)))
        model.accumulate(np.ones_like(y), cache)
        return [layers.index(layer) for layer in calls if isinstance(layer, Watched)]

    everything = passed()
    assert set(everything) == {0, 1, 2, 3}
    model[:2].freeze()
    assert set(passed()) == {2, 3}
    model[0][1].unfreeze()
    assert set(passed()) == {1, 2, 3}
    model.freeze()
    assert passed() == []
    model.unfreeze()
    assert passed() == everything


def test_tokens_before_a_frozen_embedding_need_no_gradient() -> None:
    """A frozen embedding gets none, and nothing is computed for it."""
    model = Sequential([Embedding(5, 3, rng=0), Flatten(), Dense(6, 1, rng=1)])
    model[:1].freeze()
    before = arrays(model[0])
    Trainer(model, MeanSquaredError(), SGD(0.1)).fit(np.array([[0, 1], [2, 3]]), np.ones((2, 1)), 2)
    assert arrays(model[0]) == before


def test_copies_carry_the_marks_and_states_do_not(tmp_path: Path) -> None:
    """Deep copies, pickles, `given`, files and checkpoints do; a `state_dict` can be loaded into either."""
    model = network()
    model[:2].freeze()

    def marks(layer: Layer) -> list[bool]:
        return [parameter.frozen for parameter in layer.parameters()]

    def trained(layer: Layer) -> bool:
        """Tell whether a step would move the running statistics."""
        twin = copy.deepcopy(layer)
        before = arrays(twin)
        twin.forward(X)
        return arrays(twin) != before

    save(model, tmp_path / "model")
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.astype(np.float32).astype(float)):
        assert marks(twin) == marks(model)
        assert not trained(twin)
    loaded = load(tmp_path / "model")
    assert marks(loaded) == marks(model)
    assert not trained(loaded)
    other = network(7)
    other.load_state_dict(model.state_dict())
    assert not any(marks(other))
    assert trained(other)
    trainer = Trainer(model, MeanSquaredError(), SGD(0.1), rng=0)
    trainer.fit(X, Y, 1, callbacks=[Checkpoint(tmp_path / "run")])
    again = Trainer(other, MeanSquaredError(), SGD(0.1), rng=0)
    resume(tmp_path / "run", again)
    assert marks(other) == marks(model)
    assert not trained(other)
    again.model.unfreeze()
    resume(tmp_path / "run", again)
    assert marks(other) == marks(model)


def test_layers_that_do_not_say_how_are_refused_by_name() -> None:
    """A custom layer that draws or couples, and does not declare `freezable`; and nothing is marked then."""

    class Noise(Layer):
        stochastic = "adds noise"

        def forward(self, x: Array, /) -> tuple[Array, None]:
            return x if self.frozen else x + 1.0, None

        def backward(self, grad: Array, cache: None, /) -> Array:
            return grad

    class Quiet(Noise):
        freezable = True

    model = Sequential([Dense(2, 2, rng=0), Noise()])
    with pytest.raises(ConfigError, match=r"Sequential\.freeze expects .* got Noise at 1, which adds noise"):
        model.freeze()
    assert model.trainable
    quiet = Sequential([Dense(2, 2, rng=0), Quiet()]).freeze()
    np.testing.assert_array_equal(quiet.forward(X[:, :2])[0], quiet[0].predict(X[:, :2]))


def test_other_words_lead_to_freeze() -> None:
    """Setting what other frameworks call it is an error that names the way; asking is not."""
    layer = Dense(2, 2, rng=0)
    with pytest.raises(ConfigError, match=r"Dense: trainable .* freeze\(\) and unfreeze\(\)"):
        layer.trainable = False
    with pytest.raises(ConfigError, match=r"Parameter: requires_grad .* freeze\(\) and unfreeze\(\)"):
        layer.weight.requires_grad = False
    assert layer.trainable
    assert layer.freeze().trainable is False
    assert layer.weight.requires_grad is False


def test_summary_counts_what_is_trained_apart() -> None:
    """Where something is frozen, it says how many numbers are not."""
    model = Sequential([Dense(3, 4, rng=0), Dense(4, 1, rng=1)])
    assert "trainable" not in repr(summary(model, (3,)))
    model[:1].freeze()
    table = summary(model, (3,))
    assert (table.parameters, table.trainable) == (21, 5)
    assert "21 parameters (5 trainable)" in repr(table)


def test_arrays_of_parameters_are_their_values() -> None:
    """NumPy, shapes and dtypes take a parameter for its value; arithmetic on it names the value."""
    parameter = Parameter([[1.0, 2.0]])
    np.testing.assert_array_equal(np.asarray(parameter), parameter.value)
    assert (parameter.shape, parameter.dtype) == ((1, 2), np.float64)
    for compute in (lambda: parameter + 1, lambda: 2 * parameter, lambda: np.exp(parameter), lambda: X @ parameter):
        with pytest.raises(ContractError, match=r"write \.value"):
            compute()


def test_freezing_looks_at_each_layer_a_fixed_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """However deeply layers are nested: each is asked for its members as often as one in a shallow model."""
    asked: list[Layer] = []
    members = Layer._members
    monkeypatch.setattr(Layer, "_members", lambda layer: asked.append(layer) or members(layer))

    def times_asked(depth: int) -> float:
        model: Layer = Dense(2, 2)
        for _ in range(depth):
            model = Sequential([model])
        asked.clear()
        model.freeze()
        assert not model.trainable
        return len(asked) / (depth + 1)

    assert times_asked(200) <= times_asked(2) + 1
