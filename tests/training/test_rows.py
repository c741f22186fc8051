"""What `fit` takes for samples and targets, by position; and what is refused by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from minibackprop import (
    SGD,
    Adam,
    Batches,
    ConfigError,
    DTypeError,
    NonFiniteError,
    ShapeError,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
    mlp,
)
from minibackprop.training.rows import as_rows
from minibackprop.validation import Array
from tests.random_models import values

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5))
LABELS = (X[:, 0] > 0).astype(int)
#: An index that has nothing to do with the positions.
SHUFFLED = RNG.permutation(200)


def new_trainer() -> Trainer:
    return Trainer(mlp([5, 8, 2], rng=0), SoftmaxCrossEntropy(), Adam(0.01), metrics=[accuracy], rng=0)


def tables(x: Array, y: Array) -> dict[str, tuple[Any, Any]]:
    names = [f"c{i}" for i in range(5)]
    kinds = {
        "pandas": (pd.DataFrame(x, index=SHUFFLED, columns=names), pd.Series(y, index=SHUFFLED)),
        "pandas, equal names": (pd.DataFrame(x, columns=["c"] * 5), pd.Series(y, dtype="Int64", index=SHUFFLED)),
        "categories": (pd.DataFrame(x), pd.Series(y, index=SHUFFLED, dtype="category")),
        "objects": (pd.DataFrame(x).astype(object), pd.Series(y.tolist(), dtype=object, index=SHUFFLED)),
        "lists": (x.tolist(), y.tolist()),
    }
    try:
        import polars as pl

        kinds["polars"] = pl.DataFrame(x, schema=names, orient="row"), pl.Series(y)
    except ImportError:
        pass
    try:
        import pyarrow as pa

        kinds["arrow"] = pa.table(dict(zip(names, x.T, strict=True))), pa.array(y)
    except ImportError:
        pass
    try:
        import torch

        kinds["torch"] = torch.tensor(x), torch.tensor(y)
    except ImportError:
        pass
    return kinds


@pytest.mark.parametrize("kind", tables(X, LABELS))
def test_rows_go_by_position(kind: str) -> None:
    """Whatever holds the rows, and whatever labels they have there, the same bits are trained and measured."""
    plain = new_trainer()
    plain.fit(X, LABELS, epochs=2, batch_size=20)
    x, y = tables(X, LABELS)[kind]
    trainer = new_trainer()
    trainer.fit(x, y, epochs=2, batch_size=20)
    assert values(trainer.model) == values(plain.model)
    assert trainer.evaluate(x, y) == plain.evaluate(X, LABELS)
    np.testing.assert_array_equal(trainer.predict(x), plain.model.predict(X))
    if kind != "objects":
        assert accuracy(plain.model.predict(X), y) == accuracy(plain.model.predict(X), LABELS)
    batches = new_trainer()
    batches.fit(Batches(x, y, batch_size=20, shuffle=False), epochs=2)
    in_order = new_trainer()
    in_order.fit(X, LABELS, epochs=2, batch_size=20, shuffle=False)
    assert values(batches.model) == values(in_order.model)


def test_shuffled_batches_keep_pairs_together() -> None:
    """A Series whose index is not 0 to N - 1 learns as the array does."""
    trainer = new_trainer()
    trainer.fit(Batches(X, pd.Series(LABELS, index=SHUFFLED), batch_size=20, rng=0), epochs=30)
    assert trainer.evaluate(X, LABELS)["accuracy"] > 0.9


def test_booleans_are_cast() -> None:
    """A column of booleans is one of zeros and ones; so are boolean labels."""
    frame = pd.DataFrame({"flag": LABELS.astype(bool), "size": X[:, 1]})
    np.testing.assert_array_equal(as_rows("x", frame), np.stack([LABELS, X[:, 1]], axis=1))
    nullable = frame.astype({"flag": "boolean", "size": "Float64"})
    np.testing.assert_array_equal(as_rows("x", nullable), np.stack([LABELS, X[:, 1]], axis=1))
    one, other = new_trainer(), new_trainer()
    one.fit(X, LABELS.astype(bool), 1, batch_size=50)
    other.fit(X, LABELS, 1, batch_size=50)
    assert values(one.model) == values(other.model)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.assign(c1=["a"] * 200), DTypeError, r"x: column 'c1' expects an array of numbers, got 'a' at"),
        (lambda t: t.assign(c1=pd.Categorical(["a", "b"] * 100)), DTypeError, "column 'c1' expects an array of numb"),
        (lambda t: t.assign(c1=pd.Timestamp(2020, 1, 1)), DTypeError, "column 'c1' expects an array of numbers"),
        (lambda t: t.assign(c1=[None, *["x"] * 199]), DTypeError, "column 'c1' expects an array of numbers"),
        (lambda t: t.assign(c1=1j), DTypeError, "column 'c1' expects real numbers"),
        (lambda t: t.assign(c1=[np.nan, *[1.0] * 199]), NonFiniteError, r"got nan at index \(0, 1\), column 'c1'"),
        (lambda t: t.drop(columns=list(t)), ShapeError, "Trainer: x expects at least one column, got none"),
        (lambda t: scipy.sparse.csr_array(t.to_numpy()), DTypeError, r"x expects dense rows, as \.toarray\(\)"),
        (lambda t: dict(t), DTypeError, r"Trainer: x expects one array .*branches .*given=.*, got a dict"),
        (lambda t: [t.to_numpy()] * 2, DTypeError, r"Trainer: x expects one array .*branches.*given=.*, got 2 arrays"),
        (lambda t: (t.to_numpy(), t.to_numpy()[:, 0]), DTypeError, "Trainer: x expects one array .*, got 2 arrays"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_named(
    change: Callable[[pd.DataFrame], Any], error: type[Exception], message: str
) -> None:
    """A column that is none of numbers is named; several inputs and sparse rows are told their way."""
    table = pd.DataFrame(X, columns=[f"c{i}" for i in range(5)])
    trainer = new_trainer()
    before = values(trainer.model)
    for use in (lambda x: trainer.fit(x, LABELS, epochs=1), lambda x: trainer.step(x, LABELS)):
        with pytest.raises(error, match=message):
            use(change(table))
    assert values(trainer.model) == before


@pytest.mark.parametrize("labels", [np.array(["a", "b"] * 100), ["a", "b"] * 100, pd.Series(["a", "b"] * 100)])
def test_labels_that_are_text_are_told_how_to_become_numbers(labels: Any) -> None:
    """The message has the call."""
    with pytest.raises(
        DTypeError, match=r"Trainer: y expects an array of numbers, got .*np\.unique\(labels, return_inverse"
    ):
        new_trainer().fit(X, labels, epochs=1)


def test_a_list_of_samples_is_no_list_of_inputs() -> None:
    """Arrays in a list, one a sample, are samples."""
    one, other = new_trainer(), new_trainer()
    one.fit(list(X), list(LABELS), epochs=1)
    other.fit(X, LABELS, epochs=1)
    assert values(one.model) == values(other.model)


def test_a_table_is_refused_where_batches_are_expected() -> None:
    """Without targets, a table is no iterable of batches."""
    with pytest.raises((ConfigError, DTypeError), match="batch"):
        Trainer(mlp([5, 2]), SoftmaxCrossEntropy(), SGD(0.1)).fit(pd.DataFrame(X), epochs=1)


def columns_of_arrays() -> dict[str, Callable[[Array], Any]]:
    kinds: dict[str, Callable[[Array], Any]] = {
        "pandas": lambda x: pd.Series(list(x), index=SHUFFLED),
        "pandas, of lists": lambda x: pd.Series(x.tolist(), index=SHUFFLED),
    }
    try:
        import pyarrow as pa

        kinds["arrow"] = lambda x: pa.array(x.tolist())
        kinds["arrow, in chunks"] = lambda x: pa.chunked_array([x[:20].tolist(), x[20:].tolist()])
        kinds["arrow, of one length"] = lambda x: pa.FixedSizeListArray.from_arrays(x.ravel(), x.shape[1])
    except ImportError:
        pass
    return kinds


@pytest.mark.parametrize("kind", columns_of_arrays())
def test_a_column_of_arrays_is_stacked(kind: str) -> None:
    """So tables have vectors and images; not beside other columns, and not of different lengths."""
    column = columns_of_arrays()[kind](X)
    np.testing.assert_array_equal(as_rows("x", column), X)
    one, other = new_trainer(), new_trainer()
    one.fit(column, LABELS, epochs=1, batch_size=50)
    other.fit(X, LABELS, epochs=1, batch_size=50)
    assert values(one.model) == values(other.model)


def test_images_in_a_column_are_stacked() -> None:
    """However deep the lists are that Arrow has them in."""
    images = RNG.normal(size=(4, 2, 3))
    column = pd.Series([np.array([*map(np.array, image), None], object)[:-1] for image in images])
    np.testing.assert_array_equal(as_rows("x", column), images)


@pytest.mark.parametrize(
    ("column", "error", "message"),
    [
        ([X[0], *X[1:, :3]], ShapeError, r"Trainer: x expects samples of one shape, got \(5,\) and \(3,\)"),
        ([None, *X[1:]], DTypeError, r"Trainer: x expects an array of numbers, got None at index \(0,\)"),
        ([X[0], X[1], None, *X[3:]], DTypeError, r"Trainer: x expects a list in each row, got None at index \(2,\)"),
        ([np.array(["a"])] * 200, DTypeError, "Trainer: x expects an array of numbers"),
    ],
)
def test_arrays_that_do_not_stack(column: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        new_trainer().fit(pd.Series(column, dtype=object), LABELS, epochs=1)


def test_what_has_no_rows_is_named() -> None:
    """Batches, say, where samples are wanted: not the array of an object that NumPy makes of them."""
    for call in (new_trainer().predict, lambda x: new_trainer().fit(x, LABELS, epochs=1)):
        with pytest.raises(DTypeError, match=r"Trainer: x expects an array of numbers, got generator$"):
            call((x, LABELS) for x in [X])


def test_a_column_of_arrays_in_a_table_is_named() -> None:
    table = pd.DataFrame({"a": X[:, 0], "b": list(X)})
    with pytest.raises(
        DTypeError, match=r"column 'b' expects a number in each row .*, got ndarray of shape \(200, 5\)"
    ):
        new_trainer().fit(table, LABELS, epochs=1)
