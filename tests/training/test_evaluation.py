from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    L2,
    Dense,
    HalfSquaredError,
    MeanSquaredError,
    Optimizer,
    Parameter,
    ShapeError,
    Trainer,
    accuracy,
    mean_absolute_error,
)
from minibackprop.validation import Array
from tests.training.problems import X, Y, classes, new_trainer

# --- What an epoch records -------------------------------------------------------------------------------------------


def test_an_epoch_averages_its_batches() -> None:
    """A mean counts each batch by its weight, a sum adds; metrics count each sample by its weight."""
    x, y = np.ones((5, 1)), np.arange(5.0)[:, np.newaxis]
    weights = np.array([1.0, 2, 3, 4, 5])
    parts = [(x[:2], y[:2], weights[:2]), (x[2:], y[2:], weights[2:])]

    class Still(Optimizer):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            for parameter in parameters:
                parameter.clear()

    for loss in (MeanSquaredError(), HalfSquaredError()):
        trainer = Trainer(Dense(1, 1, rng=0), loss, Still(), metrics=[mean_absolute_error])
        history = trainer.fit(parts, epochs=1)
        prediction = trainer.model.predict(x)
        assert history.loss[0] == pytest.approx(loss(prediction, y, weights))
        assert history["mean_absolute_error"][0] == pytest.approx(mean_absolute_error(prediction, y, weights))


def test_a_penalty_counts_once_in_a_sum() -> None:
    """The recorded loss of a sum has the penalty once, however many batches there are."""

    class Still(Optimizer):
        def step(self, parameters: Iterable[Parameter], /) -> None:
            for parameter in parameters:
                parameter.clear()

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
