import copy
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    Adam,
    BatchNorm,
    Buffer,
    Checkpoint,
    ConfigError,
    Dense,
    Dropout,
    Layer,
    MeanSquaredError,
    MovingAverage,
    Sequential,
    StateDictError,
    Step,
    Trainer,
    resume,
)
from minibackprop.validation import Array
from tests.training.lines import new_trainer

X = np.linspace(-1, 1, 6)[:, np.newaxis]
Y = X * X


def network(seed: int, dtype: type = np.float64) -> Sequential:
    """Make a network with parameters, running statistics and a random stream."""
    layers = [Dense(1, 4, rng=seed, dtype=dtype), BatchNorm(4, dtype=dtype), Dropout(0.3, rng=seed)]
    return Sequential([*layers, Dense(4, 1, rng=seed, dtype=dtype)])


def trainer(seed: int, dtype: type = np.float64) -> Trainer:
    return Trainer(network(seed, dtype), MeanSquaredError(), Adam(0.05), rng=seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(decay=st.floats(0, 0.999), epochs=st.integers(1, 6))
def test_the_average_is_that_of_its_formula(dtype: type, decay: float, epochs: int) -> None:
    """Each step's weights count by the decay to the power of their age; the counts add up to 1."""
    kept: list[dict[str, Array]] = []

    def keep(step: Step) -> None:
        kept.append(step.trainer.model.state_dict())

    average, run = MovingAverage(decay), trainer(0, dtype)
    run.fit(X, Y, epochs, batch_size=2, callbacks=[average, keep])
    assert average.steps == len(kept)
    powers = decay ** np.arange(len(kept) - 1, -1, -1.0)
    for name, value in average.weights.items():
        series = np.stack([state[name] for state in kept]).astype(float)
        expected = np.tensordot(powers / powers.sum(), series, 1)
        assert value.dtype == dtype
        # Each update rounds the difference, its product and the sum, of entries no larger than the largest.
        bound = 3 * len(kept) * np.finfo(dtype).eps * max(1.0, np.abs(series).max())
        np.testing.assert_allclose(value, expected, rtol=0, atol=bound)


def test_weights_are_for_the_model_and_a_copy() -> None:
    """Names are those of `state_dict`; the model is left alone, and no later step reaches what was returned."""
    average, run, bare = MovingAverage(0.5), trainer(0), trainer(0)
    assert average.weights == {}
    run.fit(X, Y, 3, callbacks=[average])
    bare.fit(X, Y, 3)
    np.testing.assert_equal(run.model.state_dict(), bare.model.state_dict())
    weights = average.weights
    before = copy.deepcopy(weights)
    other = network(1)
    other.load_state_dict(weights)
    average.update(other)
    run.fit(X, Y, 2, callbacks=[average])
    np.testing.assert_equal(weights, before)
    assert average.steps == 2  # Another fit begins anew.


def test_a_loop_of_ones_own() -> None:
    """`update` does what the callback does."""
    average, own, run = MovingAverage(0.9), MovingAverage(0.9), new_trainer()
    run.fit(X, Y, 5, callbacks=[average])
    again = new_trainer()
    for _ in range(5):
        again.step(X, Y)
        own.update(again.model)
    np.testing.assert_equal(own.weights, average.weights)
    with pytest.raises(StateDictError, match=r"MovingAverage expects \['0.weight', .* extra=\['bias', 'weight'\]"):
        own.update(network(0))
    with pytest.raises(StateDictError, match=r"MovingAverage: weight expects shape \(1, 2\) and dtype float64, got"):
        own.update(Dense(1, 2))
    with pytest.raises(StateDictError, match=r"MovingAverage: weight expects shape \(1, 1\) and dtype float32, got"):
        own.update(Dense(1, 1, dtype=np.float32))
    np.testing.assert_equal(own.weights, average.weights)


class Counting(Layer):
    """A layer with a count, and a bias without axes."""

    def __init__(self) -> None:
        self.count, self.mean = Buffer(np.array(0)), Buffer(np.array(0.0))

    def forward(self, x: Any, /) -> Any:
        self.count.value = self.count.value + 1
        self.mean.value = self.mean.value + 1.0
        return x, None

    def predict(self, x: Any, /) -> Any:
        return x

    def backward(self, grad: Any, cache: Any, /) -> Any:
        return grad


def test_integers_are_kept_and_arrays_without_axes_averaged() -> None:
    """A count has no mean; a number that arithmetic makes a NumPy scalar of has."""
    model, average = Sequential([Counting(), Dense(1, 1, rng=0)]), MovingAverage(0.5)
    Trainer(model, MeanSquaredError(), SGD(0.1)).fit(X, Y, 3, callbacks=[average])
    assert average.weights["0.count"] == 3
    assert average.weights["0.mean"] == pytest.approx((1 + 2 * 2 + 4 * 3) / 7, rel=1e-15)
    model.load_state_dict(average.weights)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_apply_puts_them_into_the_model_when_fit_ends(error: type[BaseException] | None) -> None:
    """However it ends; where no step was made, the model stays as it is."""

    def fail(step: Step) -> None:
        if error is not None and step.number == 3:
            raise error

    average, run = MovingAverage(0.5, apply=True), new_trainer()
    before = run.model.state_dict()
    run.fit(X, Y, 0, callbacks=[average])
    assert run.model.state_dict() == before
    with suppress(KeyboardInterrupt):
        run.fit(X, Y, 4, callbacks=[average, fail])
    assert average.steps == 4
    assert run.model.state_dict() == average.weights


def test_a_resumed_run_goes_on_averaging(tmp_path: Path) -> None:
    """The averages, as the weights, are those of the run in one piece, to the bit, with `apply` as well."""
    path, options = tmp_path / "run", {"batch_size": 2}
    whole, average = trainer(0), MovingAverage(0.9, apply=True)
    whole.fit(X, Y, 6, callbacks=[average], **options)
    for cut in (1, 4):
        first, begun = trainer(0), MovingAverage(0.9, apply=True)
        first.fit(X, Y, cut, callbacks=[begun, Checkpoint(path)], **options)
        for run, other in ((trainer(1), MovingAverage(0.9, apply=True)), (first, begun)):
            resume(path, run, [other])
            run.fit(X, Y, 6 - cut, callbacks=[other], **options)
            np.testing.assert_equal(other.state_dict(), average.state_dict())
            np.testing.assert_equal(run.model.state_dict(), whole.model.state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decay": 1}, "decay expects a number of at least 0 and below 1, got 1"),
        ({"decay": "a"}, "decay expects a number of at least 0 and below 1, got 'a'"),
        ({"decay": np.nan}, "decay expects a number of at least 0 and below 1, got nan"),
        ({"apply": 1}, "apply expects True or False, got 1"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, Any], message: str) -> None:
    """At construction."""
    with pytest.raises(ConfigError, match=f"^MovingAverage: {message}"):
        MovingAverage(**arguments)
