"""What metrics get to see of a batch: what the loss counts, with the classes last."""

from functools import partial, wraps
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from minibackprop import (
    SGD,
    ConfigError,
    Conv2D,
    Dense,
    Loss,
    PrintEvery,
    ShapeError,
    SklearnMetric,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
    mlp,
    top_k_accuracy,
)
from minibackprop.validation import Array
from tests.training.problems import classes

RNG = np.random.default_rng(0)
#: Channels, rows and columns are as many, so that no shape tells the axis of the classes.
IMAGES, MAPS = RNG.normal(size=(8, 2, 3, 3)), RNG.integers(0, 3, (8, 3, 3))
F1 = SklearnMetric(sklearn.f1_score, average="macro")


def plain(prediction: Array, target: Array) -> float:
    return float((prediction.argmax(-1) == target).mean())


def segmenter(loss: Loss, **settings: Any) -> Trainer:
    return Trainer(Conv2D(2, 3, 1, rng=0), loss, SGD(0.01), **settings)


@pytest.mark.parametrize("ignored", [None, 2, -100])
@pytest.mark.parametrize("size", [8, 3])
def test_classes_along_another_axis_and_ignored_labels(size: int, ignored: int | None) -> None:
    """What the loss does not count, no metric counts, by whatever way it is measured."""
    maps = MAPS.copy()
    if ignored == -100:
        maps[:, 0] = -100
    weights = RNG.integers(0, 2, maps.shape).astype(float)
    weights[:, 1, 1] = 1
    metrics = {
        "accuracy": accuracy,
        "own axis": partial(accuracy, axis=1, ignore_index=ignored),
        "f1": F1,
        "plain": plain,
    }
    trainer = segmenter(SoftmaxCrossEntropy(axis=1, ignore_index=ignored), metrics=metrics)
    labels = trainer.model.predict(IMAGES).argmax(axis=1)
    for given in (None, weights):
        counts = np.ones(maps.shape, bool) if ignored is None else maps != ignored
        counts &= True if given is None else given > 0
        if given is None and ignored is None:
            trainer.metrics.pop("plain")  # It sees the predictions as they are: (N, C, H, W).
        found = trainer.evaluate(IMAGES, maps, given, batch_size=size)
        right = (labels == maps)[counts].mean()
        for name in set(found) - {"loss", "f1"}:
            assert found[name] == pytest.approx(right)
        assert found["f1"] == pytest.approx(sklearn.f1_score(maps[counts], labels[counts], average="macro"))
        trainer.metrics["plain"] = plain


def test_one_hot_rows_are_labels_to_scikit_learn() -> None:
    """Where the loss takes them for classes; where each entry is a yes or no of its own, they are that."""
    trainer, x, y = classes(metrics=[F1, accuracy])
    assert trainer.evaluate(x, np.eye(3)[y]) == pytest.approx(trainer.evaluate(x, y))


def test_scikit_learns_own_functions_are_told_how_they_serve() -> None:
    """They take target and prediction in the other order, and labels."""
    with pytest.raises(ConfigError, match=r"metrics: r2_score expects a SklearnMetric\(function, of=\.\.\.\)"):
        Trainer(Dense(3, 1), SoftmaxCrossEntropy(), SGD(0.1), metrics=[sklearn.r2_score])
    metrics = {"mine": partial(sklearn.r2_score, multioutput="uniform_average")}
    with pytest.raises(ConfigError, match=r"metrics: mine expects a SklearnMetric"):
        Trainer(Dense(3, 1), SoftmaxCrossEntropy(), SGD(0.1), metrics=metrics)
    with pytest.raises(ConfigError, match=r"Trainer: metrics expects a list of callables, .*, got str"):
        Trainer(Dense(3, 1), SoftmaxCrossEntropy(), SGD(0.1), metrics="accuracy")


def test_two_classes_have_the_probability_of_the_second() -> None:
    """As scikit-learn takes it, for areas under curves and the like."""
    x, y = RNG.normal(size=(30, 5)), RNG.integers(0, 2, 30)
    metrics = [SklearnMetric(f, of="probabilities") for f in (sklearn.roc_auc_score, sklearn.log_loss)]
    trainer = Trainer(mlp([5, 4, 2], rng=0), SoftmaxCrossEntropy(), SGD(0.1), metrics=metrics)
    logits = trainer.model.predict(x)
    found = trainer.evaluate(x, y)
    assert found["roc_auc_score"] == pytest.approx(sklearn.roc_auc_score(y, logits[:, 1] - logits[:, 0]))
    assert found["log_loss"] == pytest.approx(found["loss"])


def test_a_batch_counts_by_the_samples_that_count() -> None:
    """A plain function's mean over batches is that of the samples that it saw."""
    trainer, x, y = classes(metrics={"plain": plain, "accuracy": accuracy})
    trainer.optimizer = SGD(1e-12)
    weights = np.r_[np.ones(20), 1, np.zeros(19)]
    history = trainer.fit(x, y, 1, batch_size=20, weights=weights, shuffle=False)
    assert history["plain"] == pytest.approx(history["accuracy"])


def test_a_function_that_wraps_a_metric_is_its_own() -> None:
    """`functools.wraps` copies attributes, and others may have one of any name."""

    @wraps(accuracy)
    def percent(prediction: Array, target: Array) -> float:
        return 100 * accuracy(prediction, target)

    def far(*_: Array) -> float:
        return 7.0

    far.metric = "euclidean"  # type: ignore[attr-defined]
    trainer, x, y = classes(metrics={"percent": percent, "far": far, "accuracy": partial(accuracy, weights=None)})
    found = trainer.evaluate(x, y)
    assert found["percent"] == pytest.approx(100 * found["accuracy"])
    assert found["far"] == 7


def test_partial_functions_have_the_names_of_theirs() -> None:
    """`top_k_accuracy`, say; two of one name need a dict."""
    trainer, x, y = classes(metrics=[partial(top_k_accuracy, k=2), accuracy])
    assert list(trainer.evaluate(x, y)) == ["loss", "top_k_accuracy", "accuracy"]


def test_print_every_counts_as_the_epoch_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Padding is no step's error either."""
    x, weights = RNG.normal(size=(10, 6, 5)), np.zeros((10, 6))
    weights[:, 0] = 1
    model = Dense(5, 3, rng=0)
    target = np.where(weights > 0, model.predict(x).argmax(-1), 0)
    for metric in (accuracy, plain):
        trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(1e-12))
        trainer.fit(x, target, 1, weights=weights, callbacks=[PrintEvery(1, metric)])
        assert capsys.readouterr().out.endswith(" 1\n")


@pytest.mark.parametrize("size", [8, 3])
def test_probabilities_along_another_axis(size: int) -> None:
    """Targets that are probabilities lie as the predictions do; a plain function gets the places that count."""
    targets = np.moveaxis(np.eye(3)[MAPS], -1, 1)
    weights = RNG.integers(0, 2, MAPS.shape).astype(float)
    weights[:, 1, 1] = 1

    def right(prediction: Array, target: Array) -> float:
        return float((prediction.argmax(-1) == target.argmax(-1)).mean())

    trainer = segmenter(SoftmaxCrossEntropy(axis=1), metrics={"accuracy": accuracy, "f1": F1, "right": right})
    labels = trainer.model.predict(IMAGES).argmax(axis=1)
    found = trainer.evaluate(IMAGES, targets, weights, batch_size=size)
    kept = weights > 0
    assert found["accuracy"] == found["right"] == pytest.approx((labels == MAPS)[kept].mean())
    assert found["f1"] == pytest.approx(sklearn.f1_score(MAPS[kept], labels[kept], average="macro"))


def test_weights_of_samples_beside_ignored_places() -> None:
    """Both leave places out, and a weight counts for all the places of its sample."""
    maps, weights = MAPS.copy(), np.array([0.0, 1, 2, 3, 0, 1, 2, 3])
    maps[:, :, 0] = -100
    trainer = segmenter(SoftmaxCrossEntropy(axis=1, ignore_index=-100), metrics={"accuracy": accuracy, "plain": plain})
    labels = trainer.model.predict(IMAGES).argmax(axis=1)
    found = trainer.evaluate(IMAGES, maps, weights, batch_size=3)
    hits, each = labels == maps, (maps != -100) * weights[:, np.newaxis, np.newaxis]
    assert found["accuracy"] == pytest.approx((hits * each).sum() / each.sum())
    assert found["plain"] == pytest.approx(hits[each > 0].mean())


@pytest.mark.parametrize("size", [16, 4])
def test_what_a_plain_function_sees_does_not_depend_on_the_batch(size: int) -> None:
    """Where one batch has a place that does not count, and others have none: in training, and in evaluation."""
    x, labels = RNG.normal(size=(16, 10, 3)), RNG.integers(0, 3, (16, 10))
    labels[0, 0] = -100
    weights = np.ones(labels.shape)
    weights[0, 1] = 0
    for given in (None, weights):
        trainer = Trainer(Dense(3, 3, rng=0), SoftmaxCrossEntropy(ignore_index=-100), SGD(1e-12))
        trainer.metrics = {"plain": plain, "accuracy": accuracy}
        history = trainer.fit(
            x, labels, 1, batch_size=size, shuffle=False, weights=given, validation=(x, labels, given)
        )
        assert history["plain"] == pytest.approx(history["accuracy"])
        assert history["val_plain"] == pytest.approx(history["val_accuracy"])


def test_sequences_of_other_lengths_in_other_batches() -> None:
    """A plain function cannot see them together, and says so; what accumulates can."""
    batches = [(RNG.normal(size=(4, steps, 3)), RNG.integers(0, 3, (4, steps))) for steps in (5, 7)]
    trainer = Trainer(Dense(3, 3, rng=0), SoftmaxCrossEntropy(), SGD(0.1), metrics=[accuracy, F1])
    assert len(trainer.evaluate(batches)) == 3
    trainer.metrics = {"plain": plain}
    with pytest.raises(ShapeError, match="predictions of one shape in all batches"):
        trainer.evaluate(batches)


def test_a_metric_with_an_axis_of_its_own_leaves_out_what_the_loss_ignores() -> None:
    """``partial(accuracy, axis=1)`` and plain ``accuracy`` say the same."""
    maps = MAPS.copy()
    maps[:, 0] = -100
    trainer = segmenter(SoftmaxCrossEntropy(axis=1, ignore_index=-100))
    trainer.metrics = {"own": partial(accuracy, axis=1), "plain": accuracy}
    found = trainer.evaluate(IMAGES, maps, batch_size=3)
    assert found["own"] == found["plain"]
