import tracemalloc
from collections.abc import Callable, Iterable
from functools import partial
from math import nan
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from minibackprop import (
    L2,
    SGD,
    ConfigError,
    Dense,
    Embedding,
    HalfSquaredError,
    MeanSquaredError,
    NonFiniteError,
    Optimizer,
    Parameter,
    Sequential,
    ShapeError,
    SklearnMetric,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
    mean_absolute_error,
    top_k_accuracy,
)
from minibackprop.validation import Array
from tests.training.problems import X, Y, classes, new_trainer


class Still(Optimizer):
    """Makes no step."""

    def step(self, parameters: Iterable[Parameter], /) -> None:
        for parameter in parameters:
            parameter.clear()


# --- What an epoch records -------------------------------------------------------------------------------------------


def test_an_epoch_averages_its_batches() -> None:
    """A mean counts each batch by its weight, a sum adds; metrics count each sample by its weight."""
    x, y = np.ones((5, 1)), np.arange(5.0)[:, np.newaxis]
    weights = np.array([1.0, 2, 3, 4, 5])
    parts = [(x[:2], y[:2], weights[:2]), (x[2:], y[2:], weights[2:])]
    for loss in (MeanSquaredError(), HalfSquaredError()):
        trainer = Trainer(Dense(1, 1, rng=0), loss, Still(), metrics=[mean_absolute_error])
        history = trainer.fit(parts, epochs=1)
        prediction = trainer.model.predict(x)
        assert history.loss[0] == pytest.approx(loss(prediction, y, weights))
        assert history["mean_absolute_error"][0] == pytest.approx(mean_absolute_error(prediction, y, weights))


def test_a_penalty_counts_once_in_a_sum() -> None:
    """The recorded loss of a sum has the penalty once, however many batches there are."""
    losses = []
    for size in (None, 2, 1):
        trainer = Trainer(Dense(3, 1, rng=0), HalfSquaredError(), Still(), regularizer=L2(3.0))
        losses.append(trainer.fit(X, Y, 1, batch_size=size).loss[0])
    assert losses == pytest.approx([trainer.evaluate(X, Y)["loss"]] * 3)


# --- Data that are not trained on ------------------------------------------------------------------------------------


def test_validation_is_measured_after_each_epoch() -> None:
    """The loss and metrics of the validation data are those of the model as the epoch leaves it, as evaluate gives."""
    others, targets, weights = X[:3] / 2, Y[:3], np.array([1.0, 2.0, 3.0])
    for validation in (
        (others, targets, weights),
        [(others[:1], targets[:1], weights[:1]), (others[1:], targets[1:], weights[1:])],
    ):
        trainer = new_trainer(loss=MeanSquaredError())
        trainer.metrics = {"error": mean_absolute_error}
        history = trainer.fit(X, Y, 3, validation=validation)
        expected = trainer.evaluate(others, targets, weights)
        assert expected["loss"] == pytest.approx(MeanSquaredError()(trainer.model.predict(others), targets, weights))
        assert history["val_loss"][-1] == pytest.approx(expected["loss"])
        # A mean over parts is not added up in the order of that over all.
        assert history["val_error"][-1] == pytest.approx(expected["error"])
        assert expected["error"] == pytest.approx(mean_absolute_error(trainer.model.predict(others), targets, weights))
        assert len(history["val_loss"]) == 3
        assert trainer.evaluate(others, targets, weights, batch_size=2) == pytest.approx(expected)


def test_evaluation_of_reused_buffers() -> None:
    """Batches may come in the same arrays again and again."""
    trainer, x, y = classes(metrics=[accuracy])
    buffers = np.empty((20, 3)), np.empty(20, int), np.empty(20)

    def batches() -> Iterable[tuple[Array, ...]]:
        for start in (0, 20):
            for buffer, array in zip(buffers, (x, y, np.arange(40.0)), strict=True):
                buffer[:] = array[start : start + 20]
            yield buffers

    assert trainer.evaluate(batches) == pytest.approx(trainer.evaluate(x, y, np.arange(40.0)))


def test_losses_without_weights_can_be_evaluated() -> None:
    """A loss of one's own need not take weights where none are given."""

    class Plain(MeanSquaredError):  # noqa: N818 - it is a loss
        def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Any]:
            assert weights is None
            return super().forward(prediction, target)

    assert new_trainer(loss=Plain()).evaluate(X, Y, batch_size=3)["loss"] > 0


# --- Metrics ---------------------------------------------------------------------------------------------------------


def test_a_metric_that_does_not_fit_makes_no_step() -> None:
    """Metrics see the prediction before the step is made."""
    trainer, x, y = classes(metrics=[mean_absolute_error])
    with pytest.raises(ShapeError, match="mean_absolute_error"):
        trainer.fit(x, y, 1)
    assert trainer.steps == 0


@pytest.mark.parametrize("metric", [lambda *_: None, lambda *_: 1 / 0])
def test_a_metric_that_fails_is_named(metric: Any) -> None:
    """Python's own error says in which metric it came up."""
    trainer, x, y = classes(metrics={"mine": metric})
    with pytest.raises((TypeError, ZeroDivisionError)) as caught:
        trainer.fit(x, y, 1)
    assert caught.value.__notes__ == ["in metric mine, which is to return a number"]


# --- Over batches ----------------------------------------------------------------------------------------------------


METRICS: dict[str, Any] = {
    "accuracy": accuracy,
    "top": partial(top_k_accuracy, k=2),
    "f1": SklearnMetric(f1_score, average="macro"),
    "log loss": SklearnMetric(log_loss, of="probabilities", labels=[0, 1, 2]),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_an_epoch_measures_all_its_samples(size: int, weighted: bool) -> None:
    """Metrics of an epoch, and of data evaluated in batches, are those of the whole, with their weights."""
    rng = np.random.default_rng(1)
    weights = rng.uniform(0, 3, 40) * rng.integers(0, 2, 40) if weighted else None
    trainer, x, y = classes(metrics=METRICS)
    trainer.optimizer = Still()
    prediction = trainer.model.predict(x)
    expected = {name: metric(prediction, y, weights=weights) for name, metric in METRICS.items()}
    history = trainer.fit(x, y, 1, batch_size=size, weights=weights, validation=(x, y, weights))
    measured = trainer.evaluate(x, y, weights, batch_size=size)
    for name, value in expected.items():
        assert history[name][0] == pytest.approx(value, rel=1e-12)
        assert history[f"val_{name}"][0] == pytest.approx(value, rel=1e-12)
        assert measured[name] == pytest.approx(value, rel=1e-12)


def test_padding_does_not_count() -> None:
    """Places of weight 0 are left out of every metric, as of the loss: plain functions never see them."""
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(50, 6, 5)), np.zeros((50, 6))
    weights[:, 0] = 1
    model = Dense(5, 3, rng=0)
    target = np.where(weights > 0, model.predict(x).argmax(-1), 0)

    def right(prediction: Array, target: Array) -> float:
        assert prediction.shape[:-1] == target.shape
        return float((prediction.argmax(-1) == target).mean())

    trainer = Trainer(model, SoftmaxCrossEntropy(), Still(), metrics=[accuracy, right])
    assert trainer.evaluate(x, target, weights, batch_size=7) == pytest.approx({"loss": ANY, "accuracy": 1, "right": 1})
    history = trainer.fit(x, target, 1, batch_size=7, weights=weights)
    assert (history["accuracy"], history["right"]) == ([1], [1])


def test_a_batch_where_a_metric_is_undefined_is_left_out_and_told() -> None:
    """A plain function that is NaN where a class is missing: the mean is that of the other batches."""
    values = iter([0.5, nan, 1.0, nan, nan, nan, nan, nan, 0.25, 0.25, 0.25, 0.25])
    trainer, x, y = classes(metrics={"auc": lambda *_: next(values)})
    with pytest.warns(UserWarning, match="metric auc is NaN in 2 of 4 batches of the epoch, which its mean leaves out"):
        history = trainer.fit(x, y, 3, batch_size=10)  # It is told once a fit.
    assert history["auc"][0] == 0.75
    assert np.isnan(history["auc"][1])
    assert history["auc"][2] == 0.25


def test_a_plain_function_sees_whole_data_where_the_model_is_evaluated() -> None:
    """As no mean over batches would give it; what it sees is not overwritten by whoever makes the batches."""
    trainer, x, y = classes(metrics={"median": lambda p, t: float(np.median(p[:, 0] - t))})
    expected = np.median(trainer.model.predict(x)[:, 0] - y)
    assert trainer.evaluate(x, y, batch_size=3)["median"] == pytest.approx(expected)


def test_memory_of_an_evaluation_is_that_of_a_batch() -> None:
    """Predictions are not kept, nor are those of validation in a fit."""
    model = Sequential([Embedding(600, 4, rng=0), Dense(4, 600, rng=1)]).astype(np.float32)
    trainer = Trainer(model, SoftmaxCrossEntropy(), SGD(0.1), metrics=[accuracy])
    tokens = np.random.default_rng(0).integers(0, 600, (2000, 8))
    predictions = tokens.size * 600 * 4

    def peak(run: Callable[[], object]) -> int:
        tracemalloc.start()
        run()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few = tokens[:20]
    for run in (
        lambda: trainer.evaluate(tokens, tokens, batch_size=20),
        lambda: trainer.fit(few, few, 1, batch_size=20, validation=(tokens, tokens)),
    ):
        assert peak(run) < predictions / 2


def test_predictions_in_batches_are_those_at_once() -> None:
    """Of arrays, lists and memory-mapped files, cast to the model's dtype."""
    trainer, x, _ = classes()
    expected = trainer.model.predict(x)
    for samples in (x, x.tolist(), x.astype(np.float32)):
        for size in (None, 1, 7, 100):
            found = trainer.predict(samples, batch_size=size)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(ShapeError, match="layer 0: Dense expects"):
        trainer.predict(x[:, :2])
    with pytest.raises(NonFiniteError, match="Trainer: x must be finite"):
        trainer.predict(x * np.nan)
    with pytest.raises(ConfigError, match="batch_size expects a positive integer"):
        trainer.predict(x, batch_size=0)
    with pytest.raises(ShapeError, match=r"a prediction for each sample.*one sample is a row, x\[np\.newaxis\]"):
        Trainer(Dense(4, 1), MeanSquaredError(), SGD(0.1)).predict(np.arange(4.0))


def test_predictions_of_mapped_samples(tmp_path: Path) -> None:
    """They are read a batch at a time."""
    trainer, x, _ = classes()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(trainer.predict(mapped, batch_size=9), trainer.predict(x, batch_size=9))
    np.testing.assert_array_equal(trainer.predict(mapped), trainer.model.predict(x))


@pytest.mark.parametrize("metrics", [np.array(1.0), 3, [float], {1: accuracy}, {"f": None}, [mean_absolute_error] * 2])
def test_metrics_are_functions_by_name(metrics: Any) -> None:
    """What would fail in the first epoch, or at its end, is refused before it."""
    with pytest.raises(ConfigError, match="Trainer: metrics expects"):
        Trainer(Dense(1, 1), MeanSquaredError(), SGD(0.1), metrics=metrics)
