"""What is known before the first step is checked before it; what is held out; streams without end."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    LSTM,
    SGD,
    Batches,
    BatchNorm,
    ConfigError,
    Dense,
    Dropout,
    MeanSquaredError,
    ReLU,
    Sequential,
    ShapeError,
    Softmax,
    SoftmaxCrossEntropy,
    TargetError,
    Trainer,
)
from minibackprop.training.intake import _split
from minibackprop.validation import Array
from tests.random_models import seeds, values
from tests.training.problems import X, Y, classes, new_trainer

# --- Validation, before the first step -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ([], "Trainer: validation expects at least one batch"),
        ("a", "Trainer: validation expects batches: .*, got str"),
        (b"ab", "Trainer: validation expects batches: .*, got bytes"),
        (lambda: iter(()), "Trainer: validation expects at least one batch"),
        (lambda: 3, "Trainer: validation expects batches: .*, got int"),
        ([(X,)], r"Trainer: batch 0 expects \(x, y\), .*, got tuple of length 1"),
        ([(X, Y[:2])], "as many targets as samples"),
        ((X, Y, np.zeros(4)), "Trainer: the weights of the validation data expects some above 0, got none"),
        (float("nan"), "Trainer.fit: validation expects a fraction that leaves some .*, got nan"),
        (float("inf"), "Trainer.fit: validation expects a fraction .*, got inf"),
        (-0.5, "Trainer.fit: validation expects a fraction"),
        (True, "Trainer.fit: validation expects a fraction"),
    ],
)
def test_wrong_validation_is_found_before_the_first_step(validation: Any, message: str) -> None:
    """An epoch may take an hour."""
    trainer = new_trainer()
    before = values(trainer.model)
    with pytest.raises((ConfigError, ShapeError), match=message):
        trainer.fit(X, Y, 3, validation=validation)
    assert trainer.steps == 0
    assert values(trainer.model) == before


def test_weights_on_either_side_of_a_fraction() -> None:
    """Where only samples of weight 0 are held out, or none else is left, that is known beforehand."""
    trainer, x, y = classes()
    rows, held_out = _split(y, 0.2, trainer._split_seed, False)
    for zeros, where in ((held_out, "held out"), (rows, "not held out")):
        weights = np.ones(40)
        weights[zeros] = 0
        with pytest.raises(ConfigError, match=f"the weights of the samples {where} expects some above 0, got none"):
            trainer.fit(x, y, 1, weights=weights, validation=0.2)
    assert trainer.steps == 0


def test_a_generator_of_validation_data_loses_nothing() -> None:
    """The batch that was looked at is measured as well."""
    trainer, x, y = classes()
    history = trainer.fit(x, y, 1, validation=iter([(x[:10], y[:10]), (x[10:], y[10:])]))
    assert history["val_loss"][0] == pytest.approx(trainer.evaluate(x, y)["loss"])


def test_a_last_batch_of_one_sample_is_known_beforehand() -> None:
    """`BatchNorm` has no variance of one sample: said before the first step, and only where it would come to it."""
    model = Sequential([Dense(3, 4, rng=0), BatchNorm(4), ReLU(), Dense(4, 1, rng=1)])
    x = np.random.default_rng(0).normal(size=(21, 3))

    def trainer() -> Trainer:
        return Trainer(model, MeanSquaredError(), SGD(0.01), rng=0)

    before = {name: value.copy() for name, value in model.state_dict().items()}
    for settings in ({}, {"validation": 0.5, "batch_size": 5}):
        with pytest.raises(
            ConfigError, match=r"the last batch expects at least two samples, got one, of .*drop_last=True"
        ):
            trainer().fit(x, x[:, :1], 1, **{"batch_size": 4, **settings})
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    trainer().fit(x, x[:, :1], 1, batch_size=4, drop_last=True)
    trainer().fit(x, x[:, :1], 1, batch_size=8)
    images = Sequential([BatchNorm(3), Dense(2, 1, rng=0)])
    pixels = np.ones((5, 3, 2)) * np.arange(5.0)[:, np.newaxis, np.newaxis] + np.arange(2.0)
    Trainer(images, MeanSquaredError(), SGD(0.01)).fit(pixels, np.zeros((5, 3, 1)), 1, batch_size=4)


def test_looking_at_the_last_batch_draws_nothing() -> None:
    """Random streams and running statistics are as if nobody had looked."""

    def run(size: int) -> list[bytes]:
        model = Sequential([Dense(3, 4, rng=0), BatchNorm(4), Dropout(0.5, rng=0), Dense(4, 1, rng=1)])
        trainer = Trainer(model, MeanSquaredError(), SGD(0.01), rng=0)
        x = np.random.default_rng(0).normal(size=(21, 3))
        with pytest.raises(ConfigError, match="the last batch"):
            trainer.fit(x, x[:, :1], 1, batch_size=4)
        if size:
            trainer.fit(x, x[:, :1], 1, batch_size=size)
        return values(model)

    model = Sequential([Dense(3, 4, rng=0), BatchNorm(4), Dropout(0.5, rng=0), Dense(4, 1, rng=1)])
    x = np.random.default_rng(0).normal(size=(21, 3))
    Trainer(model, MeanSquaredError(), SGD(0.01), rng=0).fit(x, x[:, :1], 1, batch_size=21)
    assert run(21) == values(model)


# --- What is held out ------------------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    fraction=st.floats(0.05, 0.95),
    seed=seeds,
    column=st.booleans(),
)
def test_a_stratified_fraction_has_the_share_of_each_label(
    counts: list[int], fraction: float, seed: int, column: bool
) -> None:
    """Of each label its share is held out, rounded up or down; together as many as without stratifying."""
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(seed).permutation(labels)
    target = labels[:, np.newaxis].astype(float) if column else labels
    if not 0 < round(len(labels) * fraction) < len(labels):
        return
    rows, held_out = _split(target, fraction, seed, True)
    assert sorted([*rows, *held_out]) == list(range(len(labels)))
    assert len(held_out) == round(len(labels) * fraction)
    share = len(held_out) / len(labels)
    for label, number in enumerate(counts):
        assert abs((labels[held_out] == label).sum() - share * number) < 1


def test_stratify_is_for_a_fraction_of_labels() -> None:
    """Anything else is refused; a fit holds out the same samples each time."""
    trainer, x, y = classes()
    y = np.r_[np.zeros(36, int), np.ones(2, int), np.full(2, 2)]
    first = trainer.fit(x, y, 1, validation=0.5, stratify=True)["val_loss"]
    assert len(first) == 1
    with pytest.raises(ConfigError, match="stratify expects validation as a fraction to hold out, got tuple"):
        trainer.fit(x, y, 1, validation=(x, y), stratify=True)
    with pytest.raises(ConfigError, match="stratify expects True or False"):
        trainer.fit(x, y, 1, validation=0.5, stratify=1)  # type: ignore[arg-type]
    numbers = Trainer(Dense(3, 1), MeanSquaredError(), SGD(0.1))
    with pytest.raises(TypeError, match=r"Trainer.fit: y, with stratify, expects integer labels"):
        numbers.fit(x, x[:, :1], 1, validation=0.5, stratify=True)


# --- Streams without end ---------------------------------------------------------------------------------------------


def endless() -> Iterator[tuple[Array, Array]]:
    for number in count():
        yield np.full((2, 3), number / 100), np.ones((2, 1))


@pytest.mark.parametrize("source", [endless, endless()], ids=["function", "generator"])
def test_steps_per_epoch_end_what_has_no_end(source: Any) -> None:
    """Each epoch goes on where the last one ended."""
    seen: list[float] = []
    trainer = new_trainer()
    trainer.fit(source, epochs=3, steps_per_epoch=4, callbacks=[lambda step: seen.append(step.loss)])
    assert trainer.steps == 12
    assert trainer.plan.steps == 12
    other = new_trainer()
    expected = [other.step(*batch) for batch, _ in zip(endless(), range(12), strict=False)]
    assert seen == expected


def test_a_pass_that_ends_within_an_epoch_begins_anew() -> None:
    """A list of three batches serves epochs of two."""
    batches = [(np.full((2, 3), float(i)), np.ones((2, 1))) for i in range(3)]
    trainer, other = new_trainer(), new_trainer()
    trainer.fit(batches, epochs=3, steps_per_epoch=2)
    other.fit(batches, epochs=2)
    assert values(trainer.model) == values(other.model)


def test_steps_per_epoch_are_for_streams() -> None:
    """Arrays have an end; nonsense is refused."""
    with pytest.raises(ConfigError, match="steps_per_epoch expects an iterable of batches, or a function, got arrays"):
        new_trainer().fit(X, Y, 1, steps_per_epoch=2)
    with pytest.raises(ConfigError, match="steps_per_epoch expects a positive integer"):
        new_trainer().fit(endless, epochs=1, steps_per_epoch=0)
    with pytest.raises(ConfigError, match="at least one batch in each epoch"):
        new_trainer().fit(iter([(X, Y)]), epochs=2, steps_per_epoch=1)


def test_validation_that_the_model_does_not_take() -> None:
    """Of arrays and of batches: no step is made on them that would tell."""
    trainer, x, y = classes()
    wrong: list[tuple[Any, str, type[Exception]]] = [
        ((x[:, :2], y), "in the validation data", ShapeError),
        ((x, y + 5), "in the validation data", TargetError),
        ([(x[:, :2], y)], "in the first batch of validation", ShapeError),
        ([(x, y + 5)], "in the first batch of validation", TargetError),
    ]
    for validation, note, error in wrong:
        with pytest.raises(error) as caught:
            trainer.fit(x, y, 3, batch_size=10, validation=validation)
        assert note in caught.value.__notes__
    assert trainer.steps == 0


def test_validation_has_side_inputs_where_fit_has() -> None:
    """Padding would be measured else; None says that there are none."""
    model = Sequential([LSTM(3, 2, return_sequences=False, rng=0)])
    x, lengths = np.ones((4, 5, 3)), np.array([1, 2, 3, 4])
    trainer = Trainer(model, MeanSquaredError(), SGD(0.1))
    with pytest.raises(ConfigError, match=r"validation expects \(x, y, weights, given\), as fit has side inputs"):
        trainer.fit(x, np.ones((4, 2)), 1, given={"lengths": lengths}, validation=(x, np.ones((4, 2))))
    y, sides = np.ones((4, 2)), {"lengths": lengths}
    trainer.fit(x, y, 1, given=sides, validation=(x, y, None, None))
    batches = Batches(x, y, given=sides, batch_size=2)
    trainer.fit(batches, epochs=1, validation=batches)
    plain = Batches(x, y, batch_size=2)
    for data, validation in (((x, y), [(x, y)]), ((x, y), plain), ((batches,), (x, y)), ((batches,), plain)):
        given = sides if len(data) == 2 else None
        with pytest.raises(ConfigError, match="as fit has side inputs"):
            trainer.fit(*data, epochs=1, given=given, validation=validation)


def test_batches_are_known_beforehand_too() -> None:
    """`Batches` of weight 0, and whose last one is too small; a subclass of it may do anything, and is a stream."""
    trainer, x, y = classes()
    with pytest.raises(ConfigError, match="the weights of the data expects some above 0"):
        trainer.fit(Batches(x, y, np.zeros(40), batch_size=20), epochs=1)
    model = Sequential([Dense(3, 4, rng=0), BatchNorm(4), Dense(4, 3, rng=1)])
    normalized = Trainer(model, SoftmaxCrossEntropy(), SGD(0.1))
    with pytest.raises(ConfigError, match="the last batch expects at least two samples"):
        normalized.fit(Batches(x, y, batch_size=13), epochs=1)
    assert trainer.steps == normalized.steps == 0

    class Heavy(Batches):
        def __iter__(self) -> Iterator[tuple[Any, ...]]:
            return ((x, y, np.full(len(x), 50.0)) for x, y in super().__iter__())

    one, other = classes()[0], classes()[0]
    one.fit(Heavy(x, y, batch_size=20, shuffle=False), epochs=2)
    other.fit(x, y, 2, batch_size=20, shuffle=False)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12)


def test_a_part_whose_labels_are_all_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets are held against the loss in parts, of which one may have nothing that counts."""
    monkeypatch.setattr("minibackprop.training.intake._ENTRIES_AT_ONCE", 30)
    trainer, x, y = classes()
    trainer.loss = SoftmaxCrossEntropy(ignore_index=-100)
    y[10:20] = -100
    trainer.fit(x, y, 1, batch_size=5, shuffle=False)
    assert trainer.steps == 6


def test_weights_that_the_dtype_does_not_hold() -> None:
    """They would be 0, or infinite, in a float32 model."""
    trainer = new_trainer(np.float32, MeanSquaredError())
    for size in (1e-50, 1e-42, 1e39):
        with pytest.raises(ConfigError, match="Trainer: weights expects 0, or of a size that float32 holds"):
            trainer.fit(X, Y, 1, weights=np.full(4, size))
    trainer.fit(X, Y, 1, weights=np.array([0.0, 1e-30, 1e-30, 0]))
    new_trainer(np.float64, MeanSquaredError()).fit(X, Y, 1, weights=np.full(4, 1e-50))


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"validation_data": (X, Y)}, r"validation=\(x, y\)"),
        ({"sample_weight": np.ones(4)}, r"weights=\.\.\."),
        ({"class_weight": {0: 1.0}}, r"class_weights=\.\.\."),
        ({"verbose": 1}, r"callbacks=\[ProgressBar\(\)\]"),
        ({"lr": 0.1}, "an optimizer with that learning_rate"),
        ({"batchsize": 2}, r"batch_size=\.\.\."),
        ({"lengths": 2}, r"given=\{\.\.\.\}"),
    ],
)
def test_other_words_are_told_what_is_meant(arguments: dict[str, Any], hint: str) -> None:
    """Those of other frameworks, misspelt ones, and unknown ones."""
    trainer = new_trainer()
    with pytest.raises(ConfigError, match=rf"Trainer.fit expects arguments that it has: here .*{hint}"):
        trainer.fit(X, Y, 1, **arguments)


def test_side_inputs_as_arguments_are_told_their_place() -> None:
    """``fit(x, y, lengths=lengths)``, by each verb."""
    trainer = Trainer(Sequential([LSTM(3, 1, return_sequences=False, rng=0)]), MeanSquaredError(), SGD(0.1))
    verbs: list[Callable[..., Any]] = [trainer.fit, trainer.step, trainer.evaluate]
    for verb in (*verbs, lambda x, _, **others: trainer.predict(x, **others)):
        with pytest.raises(ConfigError, match=r"given=\{'lengths': \.\.\.\}, as it is a side input, got lengths="):
            verb(X, Y, lengths=np.ones(4, int))


def test_a_tuple_of_arrays_is_no_stream() -> None:
    """``fit((x, y))`` is told so."""
    with pytest.raises(ConfigError, match="got a tuple of arrays; x and y are two arguments"):
        new_trainer().fit((X, Y), epochs=1)


def test_batches_hold_their_own() -> None:
    """`Batches` takes side inputs, and lists of rows."""
    batches = Batches([[1.0], [2.0], [3.0]], [1, 2, 3], given={"lengths": [3, 2, 1]}, batch_size=2, shuffle=False)
    assert [(x.tolist(), y.tolist(), w, {k: v.tolist() for k, v in g.items()}) for x, y, w, g in batches] == [
        ([[1.0], [2.0]], [1, 2], None, {"lengths": [3, 2]}),
        ([[3.0]], [3], None, {"lengths": [1]}),
    ]
    with pytest.raises(ShapeError, match=r"Batches: given\['lengths'\] expects 3 rows, as x has, got 2"):
        Batches(X[:3], Y[:3], given={"lengths": [3, 2]}, batch_size=2)
    with pytest.raises(ConfigError, match="Batches: given expects a dict of arrays by name, got list"):
        Batches(X[:3], Y[:3], given=[3, 2, 1], batch_size=2)  # type: ignore[arg-type]


def test_a_loss_that_wants_no_softmax() -> None:
    """A model of probabilities under a loss of logits is told at construction of the trainer, elsewhere."""
    with pytest.warns(UserWarning, match="SoftmaxCrossEntropy takes logits"):
        Trainer(Sequential([Dense(2, 2), Softmax()]), SoftmaxCrossEntropy(), SGD(0.1))
