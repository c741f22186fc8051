"""Weights of classes: what makes a sample count by its label, in whatever loss that is trained on."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    BinaryCrossEntropy,
    ConfigError,
    Dense,
    DTypeError,
    Loss,
    Sequential,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
)
from minibackprop.testing import check_loss
from minibackprop.training.class_weights import ClassWeighted, balanced
from minibackprop.validation import Array
from tests.random_models import values
from tests.training.problems import assert_equal, classes


@pytest.mark.parametrize("size", [None, 7])
def test_class_weights_are_weights_of_the_samples(size: int | None) -> None:
    """A dict by label does what weights for each sample do; a label that it does not name counts 1."""
    one, x, y = classes()
    other = classes()[0]
    one.fit(x, y, 2, batch_size=size, shuffle=False, class_weights={0: 5.0, 2: 0.5}, weights=np.linspace(1, 2, 40))
    by_label = np.array([5.0, 1.0, 0.5])[y] * np.linspace(1, 2, 40)
    other.fit(x, y, 2, batch_size=size, shuffle=False, weights=by_label)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12)
    np.testing.assert_allclose(one.history.loss, other.history.loss)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    """N over the number of classes times that of the label's samples; all of weight 0 are left out."""
    from sklearn.utils.class_weight import compute_class_weight

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), np.r_[np.zeros(40, int), np.ones(15, int), np.full(5, 2)]
    found = dict(enumerate(compute_class_weight("balanced", classes=np.arange(3), y=y)))
    one, other = classes()[0], classes()[0]
    one.fit(
        np.r_[x, x[:9]], np.r_[y, np.ones(9, int)], 3, class_weights="balanced", weights=np.r_[np.ones(60), np.zeros(9)]
    )
    other.fit(x, y, 3, class_weights=found)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12)


def test_class_weights_of_yes_and_no() -> None:
    """A column of zeros and ones has labels too, in any kind of number."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.integers(0, 2, (30, 1))
    found = []
    for kind in (float, int, bool):
        trainer = Trainer(Dense(3, 1, rng=0), BinaryCrossEntropy(), SGD(0.1))
        trainer.fit(x, y.astype(kind), 3, batch_size=10, shuffle=False, class_weights={1: 9.0})
        found.append(trainer.model.weight.value)
    weighted = Trainer(Dense(3, 1, rng=0), BinaryCrossEntropy(), SGD(0.1))
    weighted.fit(x, y, 3, batch_size=10, shuffle=False, weights=np.where(y[:, 0] == 1, 9.0, 1.0))
    for value in found:
        np.testing.assert_allclose(value, weighted.model.weight.value, rtol=1e-12)


def test_metrics_and_validation_do_without_class_weights() -> None:
    """They say how good the model is on the data as they are; the loss that is trained on is weighed."""
    trainer, x, y = classes(metrics=[accuracy])
    plain, *_ = classes(metrics=[accuracy])
    before = trainer.evaluate(x, y)
    history = trainer.fit(x, y, 1, class_weights={0: 100.0}, validation=(x, y))
    assert history["accuracy"][0] == before["accuracy"]
    assert history.loss[0] != before["loss"]
    assert history["val_loss"][0] == trainer.evaluate(x, y)["loss"]
    assert plain.loss.total_weight(y) == 40


def test_class_weights_of_streams() -> None:
    """A dict serves there too; what is balanced is not known."""
    trainer, x, y = classes()
    other = classes()[0]
    trainer.fit([(x, y)], epochs=2, class_weights={1: 3.0})
    other.fit(x, y, 2, shuffle=False, class_weights={1: 3.0})
    assert values(trainer.model) == values(other.model)
    with pytest.raises(ConfigError, match="class_weights expects a dict by label where batches are made elsewhere"):
        trainer.fit([(x, y)], epochs=2, class_weights="balanced")


@pytest.mark.parametrize(
    "value",
    [
        "even",
        {},
        {"a": 1.0},
        {0: -1.0},
        {0: np.nan},
        {0: np.inf},
        {0: "1"},
        {0: True},
        [1.0, 2.0],
        3,
        {0.5: 1.0},
        {0: 0.0},
    ],
)
def test_class_weights_that_are_none_are_refused(value: Any) -> None:
    """Before any step."""
    trainer, x, y = classes()
    with pytest.raises(ConfigError, match=r"Trainer.fit: class_weights expects"):
        trainer.fit(x, y, 1, class_weights=value)
    assert trainer.steps == 0


@pytest.mark.parametrize("key", [3, -1, 7])
def test_labels_that_there_are_not(key: int) -> None:
    """A key that is off by one would change nothing, silently."""
    trainer, x, y = classes()
    with pytest.raises(ConfigError, match=r"class_weights expects labels from 0 to 2 as its keys, got \[.*\]"):
        trainer.fit(x, y, 1, class_weights={1: 2.0, key: 5.0})
    assert trainer.steps == 0


def test_one_hot_rows_have_no_labels() -> None:
    """The message says how to get them."""
    trainer, x, y = classes()
    with pytest.raises(DTypeError, match=r"integer labels \(for one-hot rows, y\.argmax\(axis=1\)\)"):
        trainer.fit(x, np.eye(3)[y], 1, class_weights={0: 2.0})
    with pytest.raises(DTypeError, match=r"for one-hot rows, y\.argmax\(axis=1\)"):
        trainer.fit(x, np.eye(3, dtype=int)[y], 1, class_weights={0: 2.0})
    assert trainer.steps == 0


def test_sequences_of_labels() -> None:
    """Each place counts by its own label."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 4, 3)), rng.integers(0, 2, (10, 4))
    one, other = (Trainer(Sequential([Dense(3, 2, rng=0)]), SoftmaxCrossEntropy(), SGD(0.1)) for _ in range(2))
    one.fit(x, y, 2, batch_size=3, shuffle=False, class_weights={1: 4.0}, weights=np.arange(10.0))
    other.fit(x, y, 2, batch_size=3, shuffle=False, weights=np.where(y == 1, 4.0, 1.0) * np.arange(10.0)[:, np.newaxis])
    assert_equal(one.model.state_dict(), other.model.state_dict())


def test_balanced_weights_themselves() -> None:
    """A sum does not divide them away: they are scikit-learn's, of the places that count."""
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.random.default_rng(0).integers(0, 3, (12, 5))
    labels[:, 0] = -100
    weights = np.r_[np.zeros(4), np.ones(8)]
    kept = labels[4:, 1:].ravel()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=kept)
    assert balanced(labels, weights, -100) == pytest.approx(dict(enumerate(expected)))
    everything = compute_class_weight("balanced", classes=np.unique(labels), y=labels.ravel())
    assert balanced(labels, None, None) == pytest.approx(dict(zip([-100, 0, 1, 2], everything, strict=True)))
    assert balanced(labels[:1, :1], None, -100) == {}


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy(), SoftmaxCrossEntropy(reduction="sum")])
def test_gradients_of_a_loss_with_class_weights(loss: Loss) -> None:
    """They are those of its value, and parts of a batch add up."""

    def labels(rng: np.random.Generator, x: Array) -> Array:
        shape, classes = (x.shape[:-1], 3) if loss.from_logits == "softmax" else (x.shape, 2)
        return rng.integers(0, classes, shape)

    weighted = partial(ClassWeighted, loss, {0: 5.0, 1: 0.25})
    check_loss(lambda: weighted(), (3,), targets=labels, examples=5)
