"""Batches that other libraries make: a DataLoader of PyTorch, files of Arrow and Parquet; each if it is installed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minibackprop import SGD, ConfigError, Embedding, Flatten, Sequential, SoftmaxCrossEntropy, Trainer, accuracy, mlp
from tests.random_models import values

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype(np.float32)
Y = RNG.integers(0, 2, 50)
WEIGHTS = RNG.random(50) + 0.5


def new_trainer() -> Trainer:
    return Trainer(mlp([3, 4, 2], rng=0), SoftmaxCrossEntropy(), SGD(0.1), metrics=[accuracy], rng=0)


def in_order(trainer: Trainer, *, weights: Any = None, **settings: Any) -> bytes:
    """Train on batches of 8 arrays, and give the values."""
    parts = [(X, Y)[:2] if weights is None else (X, Y, weights)]
    batches = [tuple(array[start : start + 8] for array in parts[0]) for start in range(0, 50, 8)]
    trainer.fit(batches, **settings)
    return b"".join(values(trainer.model))


def loader(*arrays: Any, **settings: Any) -> Any:
    torch = pytest.importorskip("torch")
    data = torch.utils.data
    return data.DataLoader(data.TensorDataset(*map(torch.from_numpy, arrays)), **{"batch_size": 8, **settings})


def test_a_data_loader_is_a_stream() -> None:
    """Its batches are lists of tensors; it begins anew in each epoch, and may validate, evaluate and weigh, too."""
    plain, trainer = new_trainer(), new_trainer()
    expected = in_order(plain, epochs=2, validation=(X, Y))
    trainer.fit(loader(X, Y), epochs=2, validation=loader(X, Y))
    assert b"".join(values(trainer.model)) == expected
    assert trainer.history.loss == plain.history.loss
    np.testing.assert_allclose(trainer.history["val_loss"], plain.history["val_loss"], rtol=1e-12)
    assert trainer.evaluate(loader(X, Y))["accuracy"] == pytest.approx(plain.evaluate(X, Y)["accuracy"])

    plain, trainer = new_trainer(), new_trainer()
    expected = in_order(plain, weights=WEIGHTS, epochs=1)
    trainer.fit(loader(X, Y, WEIGHTS), epochs=1)
    assert b"".join(values(trainer.model)) == expected


def test_a_data_loader_of_what_has_no_length() -> None:
    """An IterableDataset; and a part of a pass as an epoch."""
    torch = pytest.importorskip("torch")

    class Pairs(torch.utils.data.IterableDataset):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[Any]:
            return iter([(torch.from_numpy(x), int(y)) for x, y in zip(X, Y, strict=True)])

    for settings in ({"epochs": 2}, {"epochs": 2, "steps_per_epoch": 3}):
        trainer, plain = new_trainer(), new_trainer()
        trainer.fit(torch.utils.data.DataLoader(Pairs(), batch_size=8), **settings)
        assert b"".join(values(trainer.model)) == in_order(plain, **settings)


def test_tokens_stay_integers() -> None:
    """For an `Embedding`, those of a DataLoader, too."""
    tokens = RNG.integers(0, 5, (50, 3))
    model = Sequential([Embedding(5, 2, rng=0), Flatten(), mlp([6, 2], rng=0)])
    Trainer(model, SoftmaxCrossEntropy(), SGD(0.1)).fit(loader(tokens, Y), epochs=1)


def test_a_data_loader_of_dicts_is_told_what_batches_are() -> None:
    torch = pytest.importorskip("torch")
    rows = [{"x": X[0], "y": 1}] * 4
    with pytest.raises(ConfigError, match=r"batch 0 expects \(x, y\), .*, got dict"):
        new_trainer().fit(torch.utils.data.DataLoader(rows, batch_size=2), epochs=1)


def files(folder: Path) -> dict[str, Callable[[], Iterator[Any]]]:
    """Write the data to files; for each way to read them, give what goes through the batches of a pass."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    table = pa.table({**{f"c{i}": X[:, i] for i in range(3)}, "row": X.tolist(), "label": Y})
    pq.write_table(table, folder / "data.parquet", row_group_size=16)
    with pa.OSFile(str(folder / "data.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=8)

    def arrow() -> Iterator[Any]:
        with pa.memory_map(str(folder / "data.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)

    return {
        "parquet": lambda: pq.ParquetFile(folder / "data.parquet").iter_batches(batch_size=8),
        "dataset": lambda: iter(ds.dataset(folder / "data.parquet").to_batches(batch_size=8)),
        "arrow": arrow,
    }


@pytest.mark.parametrize("kind", ["parquet", "dataset", "arrow"])
@pytest.mark.parametrize("columns", ["table", "list"])
def test_files_are_read_batch_by_batch(kind: str, columns: str, tmp_path: Path) -> None:
    """Numbers in columns, or a column of lists, train to the same bits as arrays do."""
    batches_of = files(tmp_path)[kind]

    def stream() -> Iterator[Any]:
        for batch in batches_of():
            yield batch.select(["c0", "c1", "c2"]) if columns == "table" else batch["row"], batch["label"]

    plain, trainer = new_trainer(), new_trainer()
    expected = in_order(plain, epochs=2)
    trainer.fit(stream, epochs=2)
    assert b"".join(values(trainer.model)) == expected
