"""Side inputs travel with the batch: through every verb, in micro-batches and streams."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    GRU,
    LSTM,
    SGD,
    Adam,
    Batches,
    ConfigError,
    Dense,
    Layer,
    MeanSquaredError,
    MultiHeadAttention,
    NonFiniteError,
    Parameter,
    Sequential,
    ShapeError,
    Trainer,
    mean_squared_error,
)
from minibackprop.validation import Array
from tests.random_models import values

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(1, 7, 30)
X = RNG.normal(size=(30, 6, 3)) * (np.arange(6) < LENGTHS[:, np.newaxis])[:, :, np.newaxis]
#: The sum of what is there; the padding is spoilt, and must not matter.
Y = X[..., :1].sum(axis=1)
PADDED = np.where((np.arange(6) < LENGTHS[:, np.newaxis])[:, :, np.newaxis], X, 1e6)
GIVEN = {"lengths": LENGTHS}


def new_trainer(**settings: Any) -> Trainer:
    model = Sequential([LSTM(3, 5, return_sequences=False, rng=0), Dense(5, 1, rng=1)])
    return Trainer(model, MeanSquaredError(), Adam(0.02), metrics=[mean_squared_error], rng=0, **settings)


def by_hand(epochs: int, size: int) -> Trainer:
    """Train with a loop of one's own."""
    trainer = new_trainer()
    model, loss = trainer.model, trainer.loss
    for _ in range(epochs):
        for start in range(0, 30, size):
            rows = slice(start, start + size)
            prediction, cache = (twin := model.given(lengths=LENGTHS[rows])).forward(PADDED[rows])
            _, loss_cache = loss.forward(prediction, Y[rows])
            twin.accumulate(loss.backward(loss_cache), cache)
            trainer.optimizer.step(model.parameters())
    return trainer


def test_fit_slices_them_with_the_batch() -> None:
    """Arrays, `Batches`, streams and single steps: the bits of the loop by hand."""
    expected = values(by_hand(2, 8).model)
    batches = Batches(PADDED, Y, given=GIVEN, batch_size=8, shuffle=False)

    def stream() -> Iterator[tuple[Any, ...]]:
        for start in range(0, 30, 8):
            rows = slice(start, start + 8)
            yield PADDED[rows], Y[rows], None, {"lengths": LENGTHS[rows]}

    trainers = [new_trainer() for _ in range(4)]
    trainers[0].fit(PADDED, Y, 2, batch_size=8, shuffle=False, given={"lengths": LENGTHS.tolist()})
    trainers[1].fit(batches, epochs=2)
    trainers[2].fit(stream, epochs=2)
    for _ in range(2):
        for x, y, _none, given in stream():
            trainers[3].step(x, y, given=given)
    for trainer in trainers:
        assert values(trainer.model) == expected


def test_micro_batches_have_their_own() -> None:
    """A batch that is taken apart makes the same step, up to rounding."""
    whole, parts = new_trainer(), new_trainer()
    whole.fit(PADDED, Y, 2, given=GIVEN)
    parts.fit(PADDED, Y, 2, given=GIVEN, micro_batch_size=7)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=1e-9)


def test_evaluation_and_prediction_have_them() -> None:
    """In batches or at once; validation as well, as a tuple, a fraction, or batches."""
    trainer = by_hand(1, 30)
    expected = trainer.model.given(lengths=LENGTHS).predict(PADDED)
    np.testing.assert_array_equal(trainer.predict(PADDED, given=GIVEN), expected)
    np.testing.assert_allclose(trainer.predict(PADDED, given=GIVEN, batch_size=7), expected, rtol=1e-12)
    measured = trainer.evaluate(PADDED, Y, given=GIVEN)
    assert measured["mean_squared_error"] == pytest.approx(np.square(expected - Y).mean())
    assert trainer.evaluate(PADDED, Y, given=GIVEN, batch_size=4) == pytest.approx(measured)
    validations: list[Any] = [
        (PADDED, Y, None, GIVEN),
        [
            (PADDED[:20], Y[:20], None, {"lengths": LENGTHS[:20]}),
            (PADDED[20:], Y[20:], None, {"lengths": LENGTHS[20:]}),
        ],
    ]
    for validation in validations:
        history = new_trainer().fit(PADDED, Y, 1, given=GIVEN, validation=validation)
        assert history["val_loss"][0] == pytest.approx(measured["loss"])
    assert len(new_trainer().fit(PADDED, Y, 1, given=GIVEN, validation=0.3, batch_size=4)["val_loss"]) == 1


def test_a_padded_model_learns() -> None:
    """Sums of sequences of different lengths, whatever stands in the padding."""
    trainer = new_trainer()
    history = trainer.fit(PADDED, Y, 120, batch_size=10, given=GIVEN)
    assert history.loss[-1] < 0.1 * history.loss[0]


def test_masks_of_attention() -> None:
    """Booleans by place; NaN in what nothing looks at is still refused, as data are finite."""
    model = Sequential([MultiHeadAttention(4, 2, rng=0), Dense(4, 1, rng=1)])
    x = RNG.normal(size=(8, 5, 4))
    mask = np.arange(5) < RNG.integers(1, 6, (8, 1))
    trainer = Trainer(model, MeanSquaredError(), SGD(0.1), rng=0)
    trainer.fit(x, x[..., :1], 2, batch_size=3, given={"mask": mask}, weights=mask.astype(float))
    np.testing.assert_array_equal(trainer.predict(x, given={"mask": mask}), model.given(mask=mask).predict(x))
    with pytest.raises(NonFiniteError, match="Trainer: x must be finite"):
        trainer.fit(np.where(mask[..., np.newaxis], x, np.nan), x[..., :1], 1, given={"mask": mask})


class Lazy(Layer):
    """Makes its parameter, and other attributes, in its first forward."""

    side_inputs = ("offset",)
    offset: Array | None = None
    built = 0

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        if not self.built:
            self.parts = {"weight": Parameter(np.ones((x.shape[1], 1)))}
            self.built += 1
        y = x @ self.parts["weight"].value
        return (y if self.offset is None else y + self.offset[:, np.newaxis]), x

    def backward(self, grad: Array, x: Array, /) -> Array:
        self.parts["weight"].add(x.T @ grad)
        return grad @ self.parts["weight"].value.T


def test_what_is_made_in_the_first_forward_stays_on_the_model() -> None:
    """Parameters that a copy with side inputs makes are the model's, and are trained."""
    x = RNG.normal(size=(20, 3))
    offset = RNG.normal(size=20)
    lazy = Lazy()
    model = Sequential([Sequential([lazy])])
    trainer = Trainer(model, MeanSquaredError(), SGD(0.1), rng=0)
    target = x @ np.array([[1.0], [2.0], [3.0]]) + offset[:, np.newaxis]
    trainer.fit(x, target, 300, batch_size=5, given={"offset": offset})
    assert (model[0][0], lazy.built, lazy.offset) == (lazy, 1, None)  # type: ignore[index]
    np.testing.assert_allclose(lazy.parts["weight"].value.ravel(), [1, 2, 3], rtol=1e-4)


def test_floats_are_cast_to_the_dtype_of_the_model() -> None:
    """A float64 side input does not widen a float32 model; integers and booleans stay as they are."""
    seen: list[Any] = []

    class Look(Lazy):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            seen.append((x.dtype, self.offset.dtype))  # type: ignore[union-attr]
            return super().forward(x)

    model = Sequential([Dense(3, 2, rng=0, dtype=np.float32), Look()])
    Trainer(model, MeanSquaredError(), SGD(0.01)).fit(X[:, 0], Y, 1, given={"offset": LENGTHS / 7})
    assert set(seen) == {(np.dtype(np.float32), np.dtype(np.float32))}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"length": LENGTHS}, ConfigError, r"Trainer: given expects side inputs that .*, \['lengths'\], got 'length'"),
        ({"lengths": LENGTHS[:4]}, ShapeError, r"given\['lengths'\] expects a row for each of the 30 .*attribute"),
        ({"lengths": LENGTHS + np.nan}, NonFiniteError, r"Trainer: given\['lengths'\] must be finite"),
        (LENGTHS, ConfigError, "Trainer: given expects a dict of arrays by name, got ndarray"),
        ({0: LENGTHS}, ConfigError, "Trainer: given expects"),
    ],
)  # fmt: skip
def test_wrong_side_inputs_are_refused(given: Any, error: type[Exception], message: str) -> None:
    """Before any step, by each verb."""
    trainer = new_trainer()
    before = values(trainer.model)
    for use in (
        lambda: trainer.fit(PADDED, Y, 1, given=given),
        lambda: trainer.step(PADDED, Y, given=given),
        lambda: trainer.evaluate(PADDED, Y, given=given),
        lambda: trainer.predict(PADDED, given=given),
    ):
        with pytest.raises(error, match=message):
            use()
    assert values(trainer.model) == before
    assert trainer.steps == 0


def test_no_side_inputs_are_none() -> None:
    """An empty dict is as nothing; a stream has its own."""
    one, other = new_trainer(), new_trainer()
    one.fit(X, Y, 1, given={})
    other.fit(X, Y, 1)
    assert values(one.model) == values(other.model)
    with pytest.raises(ConfigError, match="x expects samples with targets y, as given is given"):
        one.fit([(X, Y)], epochs=1, given=GIVEN)


def test_a_model_that_carries_side_inputs_of_all_is_told() -> None:
    """``model.given(lengths=...)`` for all data does not fit a batch: the error says where they go."""
    model = Sequential([GRU(3, 5, return_sequences=False, rng=0), Dense(5, 1, rng=1)]).given(lengths=LENGTHS)
    with pytest.raises(ShapeError) as caught:
        Trainer(model, MeanSquaredError(), SGD(0.1)).fit(X, Y, 1, batch_size=7)
    assert any("given={'lengths': ...}" in note for note in caught.value.__notes__)
