from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    Batches,
    ConfigError,
    ContractError,
    Dense,
    DTypeError,
    HalfSquaredError,
    Layer,
    MeanSquaredError,
    NonFiniteError,
    Parameter,
    Sequential,
    ShapeError,
    Sigmoid,
    TargetError,
    Trainer,
    summary,
)
from minibackprop.validation import Array
from tests.random_models import gradients, values
from tests.training.problems import Train, X, Y, classes, each_verb, new_trainer

SAMPLES = np.arange(14.0).reshape(7, 2)
TARGETS = np.arange(7.0).reshape(7, 1) / 10


def seeded_trainer(seed: int = 0) -> Trainer:
    """Make a trainer of one layer, always the same for a seed."""
    return Trainer(Dense(2, 1, rng=0), MeanSquaredError(), SGD(0.001), rng=seed)


def weights_of(trainer: Trainer) -> bytes:
    return b"".join(parameter.value.tobytes() for parameter in trainer.model.parameters())


# --- Batches ---------------------------------------------------------------------------------------------------------


@given(
    count=st.integers(1, 20), size=st.integers(1, 25), drop=st.booleans(), shuffle=st.booleans(), seed=st.integers(0)
)
def test_every_row_once(count: int, size: int, drop: bool, shuffle: bool, seed: int) -> None:
    """A pass has every row once, with its own target and weight, but for a short batch that is to be dropped."""
    x = np.arange(count)
    if drop and size > count:
        with pytest.raises(ConfigError, match=rf"Batches: batch_size expects at most the {count} samples, got {size}"):
            Batches(x, x, batch_size=size, drop_last=True)
        return
    batches = Batches(x, 10 * x, 100 * x, batch_size=size, shuffle=shuffle, drop_last=drop, rng=seed)
    for _ in range(2):
        seen = list(batches)
        assert len(seen) == len(batches)
        sizes = [len(rows) for rows, _, _ in seen]
        assert sizes[:-1] == [size] * (len(seen) - 1)
        assert sizes[-1] == size if drop else 0 < sizes[-1] <= size
        rows = np.concatenate([rows for rows, _, _ in seen])
        assert sorted(set(rows)) == sorted(rows)
        assert len(rows) == (count // size * size if drop else count)
        assert all((10 * a == b).all() and (100 * a == c).all() for a, b, c in seen)
        if not shuffle:
            assert rows.tolist() == list(range(len(rows)))


def test_orders_come_from_the_rng() -> None:
    """The same seed gives the same orders; each pass has its own."""
    x = np.arange(50)
    first, second = (Batches(x, x, batch_size=50, rng=3) for _ in range(2))
    orders = [[next(iter(batches))[0].tolist() for _ in range(2)] for batches in (first, second)]
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]


def test_batches_are_new_arrays() -> None:
    """Writing into a batch does not reach the data."""
    for shuffle in (False, True):
        x = SAMPLES.copy()
        for samples, _ in Batches(x, TARGETS, batch_size=3, shuffle=shuffle):
            samples[...] = -1
        assert (x == SAMPLES).all()


def test_rows_choose() -> None:
    """Only the named rows appear, in their order where none is drawn."""
    batches = Batches(SAMPLES, TARGETS, batch_size=2, shuffle=False, rows=np.array([5, 0, 3]))
    assert [y.ravel().tolist() for _, y in batches] == [[0.5, 0.0], [0.3]]
    assert repr(batches) == "Batches(3 samples, batch_size=2, shuffle=False, drop_last=False)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "Batches: batch_size expects a positive integer, got 0"),
        ({"batch_size": 2.0}, "Batches: batch_size expects a positive integer, got 2.0"),
        ({"batch_size": 2, "shuffle": 1}, "Batches: shuffle expects True or False, got 1"),
        ({"batch_size": 2, "y": TARGETS[:3]}, "Batches: y expects 7 rows, as x has, got 3"),
        ({"batch_size": 2, "weights": np.ones(8)}, "Batches: weights expects 7 rows, as x has, got 8"),
        ({"batch_size": 2, "y": [1, 2]}, "Batches: y expects 7 rows, as x has, got 2"),
        ({"batch_size": 2, "y": 1.0}, "Batches: y expects an array, one sample a row, got ndarray"),
        ({"batch_size": 2, "rows": np.ones(3)}, "Batches: rows expects an array of row numbers, got ndarray"),
        ({"batch_size": 2, "rows": np.array([0, 7])}, "rows expects numbers of the 7 rows, got some from 0 to 7"),
        ({"batch_size": 2, "x": None}, "Batches: x expects an array, one sample a row, got NoneType"),
        ({"batch_size": 2, "given": {1: TARGETS}}, "Batches: given expects a dict of arrays by name, got dict"),
        ({"batch_size": 2, "given": {"a": 1.0}}, r"Batches: given\['a'\] expects an array, one sample a row"),
        ({"batch_size": 2, "rows": np.array([], int)}, "Batches: batch_size expects at most the 0 samples, got 2"),
    ],
)
def test_batches_refuse(arguments: dict[str, Any], message: str) -> None:
    """Nonsense is refused at construction."""
    with pytest.raises((ConfigError, ShapeError), match=message):
        Batches(**{"x": SAMPLES, "y": TARGETS} | arguments)


# --- The ways in which data may come ---------------------------------------------------------------------------------


def test_all_kinds_of_data_train_alike(tmp_path: Path) -> None:
    """Arrays, memory-mapped arrays, `Batches`, a list and a generator function of the same batches: the same bits."""
    for name, array in (("x", SAMPLES), ("y", TARGETS)):
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("x", "y")]
    in_order = list(Batches(SAMPLES, TARGETS, batch_size=3, shuffle=False))

    def generate() -> Iterator[tuple[np.ndarray, ...]]:
        yield from in_order

    trainers = [seeded_trainer() for _ in range(5)]
    trainers[0].fit(SAMPLES, TARGETS, 4, batch_size=3, shuffle=False)
    trainers[1].fit(*mapped, 4, batch_size=3, shuffle=False)
    trainers[2].fit(Batches(SAMPLES, TARGETS, batch_size=3, shuffle=False), epochs=4)
    trainers[3].fit(in_order, epochs=4)
    trainers[4].fit(generate, epochs=4)
    for trainer in trainers[1:]:
        assert weights_of(trainer) == weights_of(trainers[0])
        assert trainer.history.loss == trainers[0].history.loss
        assert trainer.steps == 12
    shuffled = [seeded_trainer() for _ in range(2)]
    shuffled[0].fit(SAMPLES, TARGETS, 4, batch_size=3)
    shuffled[1].fit(*mapped, 4, batch_size=3)
    assert weights_of(shuffled[0]) == weights_of(shuffled[1]) != weights_of(trainers[0])


def test_mapped_data_are_read_by_the_batch(tmp_path: Path) -> None:
    """A memory-mapped array of another dtype, with something infinite in it, is looked at as its batches come."""
    x = SAMPLES.astype(np.float32)
    x[6, 1] = np.inf
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    trainer = seeded_trainer()
    with pytest.raises(NonFiniteError, match=r"Trainer: x must be finite, got inf at index \(0, 1\)") as caught:
        trainer.fit(mapped, TARGETS, 1, batch_size=3, shuffle=False)
    assert caught.value.__notes__ == ["in batch 2"]
    assert trainer.steps == 2
    assert seeded_trainer().fit(mapped[:6], TARGETS[:6], 1).loss
    assert len(seeded_trainer().fit(mapped[:6], TARGETS[:6], 1, validation=0.5).loss) == 1


def test_mapped_targets_are_read_by_the_batch(tmp_path: Path) -> None:
    """Only the targets may be memory-mapped, too."""
    np.save(tmp_path / "y.npy", TARGETS)
    trainers = [seeded_trainer() for _ in range(2)]
    trainers[0].fit(SAMPLES, TARGETS, 2, batch_size=2)
    trainers[1].fit(SAMPLES, np.load(tmp_path / "y.npy", mmap_mode="r"), 2, batch_size=2)
    assert weights_of(trainers[0]) == weights_of(trainers[1])


def test_weights_may_come_with_batches() -> None:
    """Batches of three are samples, targets and weights."""
    weights = np.linspace(0.5, 2, 7)
    trainers = [seeded_trainer() for _ in range(2)]
    trainers[0].fit(SAMPLES, TARGETS, 2, weights=weights)
    trainers[1].fit([(SAMPLES, TARGETS, weights)], epochs=2)
    assert weights_of(trainers[0]) == weights_of(trainers[1])


def test_a_generator_may_run_once() -> None:
    """One epoch may use up a generator; where it has run dry in the next, that is said, and the first one counts."""
    trainer = seeded_trainer()
    trainer.fit(iter([(SAMPLES, TARGETS)]), epochs=1)
    with pytest.raises(
        ConfigError, match=r"at least one batch in each epoch .*, got none: a generator that has run dry"
    ):
        trainer.fit(iter([(SAMPLES, TARGETS)]), epochs=2)
    assert trainer.epochs == len(trainer.history) == trainer.steps == 2


@each_verb
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "convert",
    [
        lambda data: data.astype(int), lambda data: data.astype(np.uint8), lambda data: data.astype(bool),
        lambda data: data.astype(np.float32), lambda data: data.tolist(), lambda data: data.astype(int).tolist(),
    ],
    ids=["int", "uint8", "bool", "float32", "list", "list of int"],
)  # fmt: skip
def test_numbers_of_any_kind_train_alike(train: Train, dtype: type, convert: Callable[[Array], Any]) -> None:
    """Integers, booleans, lists and other widths train to the same bits as the same numbers in the model's dtype."""
    converted, plain = new_trainer(dtype), new_trainer(dtype)
    train(converted, convert(X), convert(Y))
    train(plain, X.astype(dtype), Y.astype(dtype))
    assert values(converted.model) == values(plain.model)
    assert converted.history.loss == plain.history.loss


@each_verb
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_order_in_memory_makes_no_difference(train: Train, dtype: type) -> None:
    """Data that lie by columns train alike, but for rounding: a product of them may be summed in another order."""
    columns, rows = new_trainer(dtype), new_trainer(dtype)
    train(columns, np.asfortranarray(X.astype(dtype)), np.asfortranarray(Y.astype(dtype)))
    train(rows, X.astype(dtype), Y.astype(dtype))
    # Three steps at most, with some dozens of roundings of numbers near 1 between an input and the new weights.
    rounding = 200 * float(np.finfo(dtype).eps)
    for one, other in zip(columns.model.parameters(), rows.model.parameters(), strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=rounding, atol=rounding)
    np.testing.assert_allclose(columns.history.loss, rows.history.loss, rtol=rounding)


def test_integers_reach_a_layer_that_takes_them() -> None:
    """A model with integer input gets its samples as they are, and floating-point targets in its own dtype."""
    seen = []

    class Table(Layer):
        integer_input = True

        def __init__(self) -> None:
            self.weight = Parameter(np.zeros((3, 1), np.float32))

        def forward(self, x: Any) -> Any:
            seen.append(x.dtype)
            return self.weight.value[x], x

        def backward(self, grad: Any, x: Any) -> None:
            added = np.zeros_like(self.weight.value)
            np.add.at(added, x, grad)
            self.weight.add(added)

    x, y = np.array([0, 1, 2, 1]), np.array([[1.0], [2.0], [3.0], [4.0]])
    model = Sequential([Table()])
    trainer = Trainer(model, HalfSquaredError(), SGD(0.5))
    trainer.fit(x, y, epochs=30, batch_size=2, validation=(x, y))
    trainer.step(x, y)
    trainer.evaluate(x, y)
    assert set(seen) == {x.dtype}
    np.testing.assert_allclose(model.parameters()[0].value[[0, 2], 0], [1, 3], rtol=1e-4)
    assert str(summary(model, ())).splitlines()[1].split() == ["0", "Table", "(N,", "1)", "3"]


@each_verb
def test_data_are_not_written_to(train: Train) -> None:
    """Read-only data serve."""
    x, y = X.copy(), Y.copy()
    x.flags.writeable = y.flags.writeable = False
    train(new_trainer(), x, y)


def test_data_are_safe_from_layers_that_write() -> None:
    """A layer that writes into its input is stopped; the user's own arrays are not marked."""

    class Double(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            x *= 2
            return x, None

        def backward(self, grad: Array, _: None, /) -> Array:
            return 2 * grad

    x = X.copy()
    trainer = Trainer(Sequential([Double(), Dense(3, 1)]), MeanSquaredError(), SGD(1))
    with pytest.raises(ValueError, match="read-only"):
        trainer.fit(x, Y, 1)
    assert x.tobytes() == X.tobytes()
    assert x.flags.writeable


def test_shuffling_comes_from_the_rng() -> None:
    """The same seed trains to the same bits, another one to others; without shuffling the seed does not matter."""

    def train(seed: int, **settings: Any) -> list[bytes]:
        model = Sequential([Dense(3, 4, rng=0), Sigmoid(), Dense(4, 1, rng=1)])
        Trainer(model, MeanSquaredError(), SGD(0.5), rng=seed).fit(X, Y, 5, batch_size=2, **settings)
        return values(model)

    assert train(0) == train(0) != train(1)
    assert train(0, shuffle=False) == train(1, shuffle=False)


# --- Validation data -------------------------------------------------------------------------------------------------


def test_a_fraction_is_held_out() -> None:
    """The samples held out are not trained on, are the same in each fit, and given by the trainer's rng."""
    x = np.arange(10.0)[:, np.newaxis]
    seen: list[Array] = []

    class Look(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            seen.append(x.ravel())
            return x, None

        def predict(self, x: Array, /) -> Array:
            held.append(x.ravel())
            return x

        def backward(self, grad: Array, _: Any, /) -> Array:
            return grad

    splits = []
    for seed in (0, 0, 1):
        trainer = Trainer(Sequential([Look(), Dense(1, 1)]), MeanSquaredError(), SGD(0.001), rng=seed)
        for settings in ({}, {"batch_size": 3}, {"batch_size": 3, "shuffle": False}):
            seen, held = [], []
            trainer.fit(x, x, 2, validation=0.3, **settings)
            held.pop(0)  # The first sample alone: what the loss is held against before the first step.
            assert sorted(np.concatenate([*seen[: len(seen) // 2], *held[: len(held) // 2]])) == x.ravel().tolist()
            splits.append(sorted(set(np.concatenate(held))))
            assert len(splits[-1]) == 3
    assert splits[:3] == splits[3:6] == [splits[0]] * 3
    assert splits[6] != splits[0]


def test_a_list_of_arrays_validates_like_a_tuple() -> None:
    """``validation=[x, y]``, as other libraries take it."""
    trainer, x, y = classes()
    assert len(trainer.fit(x, y, 2, validation=[x, y])["val_loss"]) == 2


# --- Refused data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (
            [SAMPLES],
            ConfigError,
            r"Trainer: batch 0 expects .*, got ndarray of shape \(7, 2\)",
        ),
        ([(SAMPLES, TARGETS), (SAMPLES,)], ConfigError, r"Trainer: batch 1 expects .*, got tuple of length 1"),
        ([(SAMPLES, TARGETS), None], ConfigError, r"Trainer: batch 1 expects .*, got NoneType"),
        ([(SAMPLES, TARGETS[:3])], ShapeError, "as many targets as samples"),
        ([(SAMPLES, TARGETS.astype(str))], DTypeError, "Trainer: y expects an array of numbers"),
        (
            [(SAMPLES, TARGETS, np.ones(3))],
            ShapeError,
            "Trainer: weights expects one for each of the 7 samples, or of the places in a",
        ),
        ([], ConfigError, "at least one batch"),
        (lambda: None, ConfigError, r"Trainer: x without y expects batches: .*, got NoneType"),
        (3, ConfigError, r"Trainer: x without y expects batches: an iterable of \(x, y\), or a function .*, got int"),
        (SAMPLES, ConfigError, "Trainer: x without y expects batches"),
    ],
)
def test_wrong_batches_are_refused(data: Any, kind: type[Exception], message: str) -> None:
    """What is no batch is named, with its number, and no step is made from it."""
    trainer = seeded_trainer()
    with pytest.raises(kind, match=message):
        trainer.fit(data, epochs=1)
    assert trainer.steps <= 1
    assert trainer.epochs == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "Trainer: batch_size expects a positive integer, or None, got 0"),
        ({"batch_size": 2.5}, "Trainer: batch_size expects a positive integer"),
        ({"batch_size": 8, "drop_last": True}, "Batches: batch_size expects at most the 7 samples, got 8"),
        ({"micro_batch_size": -1}, "Trainer.fit: micro_batch_size expects a positive integer"),
        ({"weights": -np.ones(7)}, r"Trainer: weights expects none below 0, got -1.0"),
        (
            {"validation": 0.0},
            r"Trainer.fit: validation expects a fraction that leaves some of the 7 samples .*, got 0.0",
        ),
        ({"validation": 1.0}, r"Trainer.fit: validation expects a fraction"),
        ({"validation": (SAMPLES,)}, r"Trainer: validation expects .*, got 1 entries"),
        ({"validation": (SAMPLES, TARGETS[:2])}, "as many targets as samples"),
        ({"validation": object()}, "Trainer: validation expects batches"),
    ],
)
def test_nonsense_is_refused_before_any_step(arguments: dict[str, Any], message: str) -> None:
    """A setting that makes no sense is refused at once."""
    trainer = seeded_trainer()
    with pytest.raises((ConfigError, ShapeError), match=message):
        trainer.fit(SAMPLES, TARGETS, 3, **arguments)
    assert trainer.steps == 0


@pytest.mark.parametrize("arguments", [{"weights": np.ones(7)}, {"batch_size": 3}, {"validation": 0.5}])
def test_batches_have_their_size_already(arguments: dict[str, Any]) -> None:
    """What only applies to arrays is not silently passed over."""
    with pytest.raises(ConfigError, match=r"Trainer: x expects samples with targets y, as .* is given, got list"):
        seeded_trainer().fit([(SAMPLES, TARGETS)], epochs=1, **arguments)


def spoilt(data: Array, value: float) -> Array:
    """Put `value` into the last entry."""
    data = data.copy()
    data[-1, -1] = value
    return data


@each_verb
@pytest.mark.parametrize(
    ("x", "y", "kind", "message"),
    [
        (np.ones((4, 7)), Y, ShapeError, r"layer 0: Dense expects \(\.\.\., 3\), got \(4, 7\)"),
        (np.ones(4), Y, ShapeError, r"layer 0: Dense expects \(\.\.\., 3\), got \(4,\)"),
        (np.ones((4, 2, 3)), Y, ShapeError, r"expects a target of the prediction's shape \(4, 2, 1\), got \(4, 1\)"),
        (X, Y[:, 0], ShapeError, r"HalfSquaredError expects a target of .* \(4, 1\), got \(4,\)"),
        (X, Y.T, ShapeError, r"as many targets as samples, got x of shape \(4, 3\) and y of shape \(1, 4\)"),
        (X[:3], Y, ShapeError, r"as many targets as samples, got x of shape \(3, 3\) and y of shape \(4, 1\)"),
        (X[:0], Y[:0], ShapeError, r"Trainer: x expects one sample a row, and at least one, got shape \(0, 3\)"),
        ([], [], ShapeError, r"Trainer: x expects one sample a row, and at least one, got shape \(0,\)"),
        (1.0, Y, ShapeError, r"Trainer: x expects one sample a row, and at least one, got shape \(\)"),
        (X, 1.0, ShapeError, r"Trainer: y expects one sample a row, and at least one, got shape \(\)"),
        ([[1.0], [1.0, 2.0]], Y, ShapeError, "Trainer: x expects samples of one shape, got "),
        ("text", Y, DTypeError, "Trainer: x expects an array of numbers, got "),
        (X.astype(str), Y, DTypeError, r"Trainer: x expects an array of numbers, got ndarray of shape \(4, 3\) .* <U"),
        (X.astype(object), Y, DTypeError, "Trainer: x expects an array of numbers, got .* object"),
        (X, Y.astype(object), DTypeError, "Trainer: y expects an array of numbers, got .* object"),
        (X, [["a"]] * 4, DTypeError, "Trainer: y expects an array of numbers, got "),
        (X + 0j, Y, DTypeError, "Trainer: x expects real numbers, got .* complex128"),
        (spoilt(X, np.nan), Y, NonFiniteError, r"Trainer: x must be finite, got nan at index \(3, 2\)"),
        (spoilt(X, -np.inf), Y, NonFiniteError, r"Trainer: x must be finite, got -inf at index \(3, 2\)"),
        (X, spoilt(Y, np.nan), NonFiniteError, r"Trainer: y must be finite, got nan at index \(3, 0\)"),
        (X, spoilt(Y, np.inf), NonFiniteError, r"Trainer: y must be finite, got inf at index \(3, 0\)"),
    ],
)  # fmt: skip
def test_bad_data_are_refused_before_any_step(
    train: Train, x: object, y: object, kind: type[Exception], message: str
) -> None:
    """Data that do not fit are a clear error, after which every parameter is as it was, and no gradient is left."""
    trainer = new_trainer()
    before = values(trainer.model)
    with pytest.raises(kind, match=message):
        train(trainer, x, y)
    assert values(trainer.model) == before
    assert gradients(trainer.model) == [None] * 4
    assert (trainer.steps, trainer.history.loss) == (0, [])


@each_verb
def test_numbers_too_large_for_the_model_are_refused(train: Train) -> None:
    """What becomes infinite in the model's dtype is refused like infinity."""
    with pytest.raises(NonFiniteError, match=r"x must be finite, got 1e\+300 at index \(3, 2\), which float32"):
        train(new_trainer(np.float32), spoilt(X, 1e300), Y)


def test_masks_are_not_passed_over() -> None:
    """A masked array is refused, rather than trained on as if it had no mask."""
    x = np.ma.masked_invalid([[np.nan], [1.0]])
    with pytest.raises(DTypeError, match="Trainer: x expects a plain array, got MaskedArray"):
        Trainer(Dense(1, 1), HalfSquaredError(), SGD(1)).fit(x, np.ones((2, 1)), 1)


def test_epochs_in_the_place_of_targets() -> None:
    """``fit(batches, 5)`` is told how to say it."""
    with pytest.raises(ConfigError, match=r"Trainer.fit: y expects targets; epochs=5 goes by its name .*, got 5"):
        new_trainer().fit([(X, Y)], 5)


# --- Targets that the loss does not take -----------------------------------------------------------------------------


def test_wrong_labels_are_found_before_the_first_step() -> None:
    """Of the data to train on, and of validation data: with the index that the user knows them by."""
    trainer, x, y = classes()
    wrong = y.copy()
    wrong[37] = 3
    for data in ({"x": x, "y": wrong}, {"x": x, "y": y, "validation": (x, wrong)}):
        with pytest.raises(TargetError, match=r"labels from 0 to 2, got 3 at index \(37,\)"):
            trainer.fit(**data, epochs=3, batch_size=5)
        assert trainer.steps == 0


def test_large_data_are_looked_at_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong in a later part is still found, with a note of where the part begins."""
    monkeypatch.setattr("minibackprop.training.intake._ENTRIES_AT_ONCE", 30)
    trainer, x, y = classes()
    y[37] = 3
    with pytest.raises(TargetError, match=r"got 3 at index \(7,\)") as caught:
        trainer.fit(x, y, 1)
    assert caught.value.__notes__ == ["where index 0 is that of sample 30"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forward": lambda *_: 1.0}, "Wrong.forward must return a pair of a float and a cache, got float"),
        (
            {"forward": lambda _, p, t: (p - t, p)},
            r"Wrong.forward must return a pair .*, got \(ndarray of shape \(4, 1\)",
        ),
        ({"backward": lambda *_: None}, r"Wrong.backward must return a gradient of shape \(4, 1\), got NoneType"),
        (
            {"backward": lambda *_: np.ones(4)},
            r"Wrong.backward must return a gradient of shape \(4, 1\), got ndarray of",
        ),
    ],
)
def test_a_loss_that_is_none_is_named(change: dict[str, Any], message: str) -> None:
    """A loss of one's own that is none is found before the first step, and not blamed on a layer."""
    wrong = type("Wrong", (MeanSquaredError,), change)
    trainer = new_trainer(loss=wrong())
    with pytest.raises(ContractError, match=message):
        trainer.fit(X, Y, 1)
    assert trainer.steps == 0
