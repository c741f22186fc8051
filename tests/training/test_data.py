from collections.abc import Iterator
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
    Dense,
    DTypeError,
    MeanSquaredError,
    NonFiniteError,
    ShapeError,
    Trainer,
)

X = np.arange(14.0).reshape(7, 2)
Y = np.arange(7.0).reshape(7, 1) / 10


def new_trainer(seed: int = 0) -> Trainer:
    """Make a trainer of one layer, always the same for a seed."""
    return Trainer(Dense(2, 1, rng=0), MeanSquaredError(), SGD(0.001), rng=seed)


def values(trainer: Trainer) -> bytes:
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
        x = X.copy()
        for samples, _ in Batches(x, Y, batch_size=3, shuffle=shuffle):
            samples[...] = -1
        assert (x == X).all()


def test_rows_choose() -> None:
    """Only the named rows appear, in their order where none is drawn."""
    batches = Batches(X, Y, batch_size=2, shuffle=False, rows=np.array([5, 0, 3]))
    assert [y.ravel().tolist() for _, y in batches] == [[0.5, 0.0], [0.3]]
    assert repr(batches) == "Batches(3 samples, batch_size=2, shuffle=False, drop_last=False)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "Batches: batch_size expects a positive integer, got 0"),
        ({"batch_size": 2.0}, "Batches: batch_size expects a positive integer, got 2.0"),
        ({"batch_size": 2, "shuffle": 1}, "Batches: shuffle expects True or False, got 1"),
        ({"batch_size": 2, "y": Y[:3]}, "Batches: y expects 7 rows, as x has, got 3"),
        ({"batch_size": 2, "weights": np.ones(8)}, "Batches: weights expects 7 rows, as x has, got 8"),
        ({"batch_size": 2, "y": [1, 2]}, "Batches: y expects an array, one sample a row, got list"),
        ({"batch_size": 2, "rows": np.ones(3)}, "Batches: rows expects an array of row numbers, got ndarray"),
        ({"batch_size": 2, "rows": np.array([], int)}, "Batches: batch_size expects at most the 0 samples, got 2"),
    ],
)
def test_batches_refuse(arguments: dict[str, Any], message: str) -> None:
    """Nonsense is refused at construction."""
    with pytest.raises((ConfigError, ShapeError), match=message):
        Batches(**{"x": X, "y": Y} | arguments)


# --- The ways in which data may come ---------------------------------------------------------------------------------


def test_all_kinds_of_data_train_alike(tmp_path: Path) -> None:
    """Arrays, memory-mapped arrays, `Batches`, a list and a generator function of the same batches: the same bits."""
    for name, array in (("x", X), ("y", Y)):
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("x", "y")]
    in_order = list(Batches(X, Y, batch_size=3, shuffle=False))

    def generate() -> Iterator[tuple[np.ndarray, ...]]:
        yield from in_order

    trainers = [new_trainer() for _ in range(5)]
    trainers[0].fit(X, Y, 4, batch_size=3, shuffle=False)
    trainers[1].fit(*mapped, 4, batch_size=3, shuffle=False)
    trainers[2].fit(Batches(X, Y, batch_size=3, shuffle=False), epochs=4)
    trainers[3].fit(in_order, epochs=4)
    trainers[4].fit(generate, epochs=4)
    for trainer in trainers[1:]:
        assert values(trainer) == values(trainers[0])
        assert trainer.history.loss == trainers[0].history.loss
        assert trainer.steps == 12
    shuffled = [new_trainer() for _ in range(2)]
    shuffled[0].fit(X, Y, 4, batch_size=3)
    shuffled[1].fit(*mapped, 4, batch_size=3)
    assert values(shuffled[0]) == values(shuffled[1]) != values(trainers[0])


def test_mapped_data_are_read_by_the_batch(tmp_path: Path) -> None:
    """A memory-mapped array of another dtype, with something infinite in it, is looked at as its batches come."""
    x = X.astype(np.float32)
    x[6, 1] = np.inf
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    trainer = new_trainer()
    with pytest.raises(NonFiniteError, match=r"Trainer: x must be finite, got inf at index \(0, 1\)") as caught:
        trainer.fit(mapped, Y, 1, batch_size=3, shuffle=False)
    assert caught.value.__notes__ == ["in batch 2"]
    assert trainer.steps == 2
    assert new_trainer().fit(mapped[:6], Y[:6], 1).loss
    assert len(new_trainer().fit(mapped[:6], Y[:6], 1, validation=0.5).loss) == 1


def test_mapped_targets_are_read_by_the_batch(tmp_path: Path) -> None:
    """Only the targets may be memory-mapped, too."""
    np.save(tmp_path / "y.npy", Y)
    trainers = [new_trainer() for _ in range(2)]
    trainers[0].fit(X, Y, 2, batch_size=2)
    trainers[1].fit(X, np.load(tmp_path / "y.npy", mmap_mode="r"), 2, batch_size=2)
    assert values(trainers[0]) == values(trainers[1])


def test_weights_may_come_with_batches() -> None:
    """Batches of three are samples, targets and weights."""
    weights = np.linspace(0.5, 2, 7)
    trainers = [new_trainer() for _ in range(2)]
    trainers[0].fit(X, Y, 2, weights=weights)
    trainers[1].fit([(X, Y, weights)], epochs=2)
    assert values(trainers[0]) == values(trainers[1])


def test_a_generator_may_run_once() -> None:
    """One epoch may use up a generator; where it has run dry in the next, that is said, and the first one counts."""
    trainer = new_trainer()
    trainer.fit(iter([(X, Y)]), epochs=1)
    with pytest.raises(
        ConfigError, match=r"at least one batch in each epoch .*, got none: a generator that has run dry"
    ):
        trainer.fit(iter([(X, Y)]), epochs=2)
    assert trainer.epochs == len(trainer.history) == trainer.steps == 2


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ([X], ConfigError, r"Trainer: batch 0 expects \(x, y\) or \(x, y, weights\), got ndarray of shape \(7, 2\)"),
        ([(X, Y), (X,)], ConfigError, r"Trainer: batch 1 expects .*, got tuple of length 1"),
        ([(X, Y), None], ConfigError, r"Trainer: batch 1 expects .*, got NoneType"),
        ([(X, Y[:3])], ShapeError, "as many targets as samples"),
        ([(X, Y.astype(str))], DTypeError, "Trainer: y expects an array of numbers"),
        (
            [(X, Y, np.ones(3))],
            ShapeError,
            "Trainer: weights expects one for each of the 7 samples, or of the places in a",
        ),
        ([], ConfigError, "at least one batch"),
        (lambda: None, ConfigError, r"Trainer: x without y expects batches: .*, got NoneType"),
        (3, ConfigError, r"Trainer: x without y expects batches: an iterable of \(x, y\), or a function .*, got int"),
        (X, ConfigError, "Trainer: x without y expects batches"),
    ],
)
def test_wrong_batches_are_refused(data: Any, kind: type[Exception], message: str) -> None:
    """What is no batch is named, with its number, and no step is made from it."""
    trainer = new_trainer()
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
        ({"validation": (X,)}, r"Trainer: validation expects \(x, y\) or \(x, y, weights\), got 1 entries"),
        ({"validation": (X, Y[:2])}, "as many targets as samples"),
        ({"validation": object()}, "Trainer: validation expects batches"),
    ],
)
def test_nonsense_is_refused_before_any_step(arguments: dict[str, Any], message: str) -> None:
    """A setting that makes no sense is refused at once."""
    trainer = new_trainer()
    with pytest.raises((ConfigError, ShapeError), match=message):
        trainer.fit(X, Y, 3, **arguments)
    assert trainer.steps == 0


@pytest.mark.parametrize("arguments", [{"weights": np.ones(7)}, {"batch_size": 3}, {"validation": 0.5}])
def test_batches_have_their_size_already(arguments: dict[str, Any]) -> None:
    """What only applies to arrays is not silently passed over."""
    with pytest.raises(ConfigError, match=r"Trainer: x expects samples with targets y, as .* is given, got list"):
        new_trainer().fit([(X, Y)], **arguments)
