from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn

from minibackprop import ConfigError, DTypeError, ShapeError, SklearnMetric
from minibackprop.validation import Array

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(20, 3))
LABELS = np.r_[np.arange(3), RNG.integers(0, 3, 17)]
LOGIT = RNG.normal(size=(20, 1))
YES = RNG.integers(0, 2, (20, 1))


def softmax(logits: Array) -> Array:
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("metric", "prediction", "target", "expected"),
    [
        (SklearnMetric(sklearn.cohen_kappa_score), LOGITS, LABELS, sklearn.cohen_kappa_score(LABELS, LOGITS.argmax(1))),
        (SklearnMetric(sklearn.f1_score), LOGIT, YES, sklearn.f1_score(YES, LOGIT > 0)),
        (SklearnMetric(sklearn.f1_score), LOGIT, YES[:, 0], sklearn.f1_score(YES, LOGIT > 0)),
        (SklearnMetric(sklearn.f1_score), LOGIT, YES.astype(float), sklearn.f1_score(YES, LOGIT > 0)),
        (
            SklearnMetric(sklearn.f1_score, average="micro"),
            LOGITS,
            (LOGITS > 0.3).astype(int),
            sklearn.f1_score(LOGITS > 0.3, LOGITS > 0, average="micro"),
        ),
        (
            SklearnMetric(sklearn.roc_auc_score, of="probabilities", multi_class="ovr"),
            LOGITS,
            LABELS,
            sklearn.roc_auc_score(LABELS, softmax(LOGITS), multi_class="ovr"),
        ),
        (SklearnMetric(sklearn.roc_auc_score, of="values"), LOGIT, YES, sklearn.roc_auc_score(YES, LOGIT)),
        (
            SklearnMetric(sklearn.log_loss, of="probabilities"),
            LOGIT,
            YES,
            sklearn.log_loss(YES, 1 / (1 + np.exp(-LOGIT))),
        ),
        (
            SklearnMetric(sklearn.hinge_loss, of="values"),
            LOGITS,
            LABELS,
            sklearn.hinge_loss(LABELS, LOGITS),
        ),
        (SklearnMetric(sklearn.max_error, of="values"), LOGIT, LOGIT + YES, 1.0),
    ],
)
def test_each_gets_what_it_takes(metric: SklearnMetric, prediction: Array, target: Array, expected: float) -> None:
    """Classes, probabilities or values, in scikit-learn's order; of sequences every place."""
    assert metric(prediction, target) == pytest.approx(expected)
    sequences = prediction.reshape(5, 4, -1), target.reshape(5, 4, *target.shape[1:])
    assert metric(*sequences) == pytest.approx(expected)


def test_large_logits_become_probabilities() -> None:
    """Without overflow."""
    metric = SklearnMetric(sklearn.log_loss, of="probabilities", labels=[0, 1, 2])
    assert metric(np.array([[1000.0, 0, -1000], [0, 800, 0]]), np.array([0, 1])) == pytest.approx(0, abs=1e-12)


def test_names() -> None:
    """That of the function, or another."""
    assert SklearnMetric(sklearn.f1_score).__name__ == "f1_score"
    assert SklearnMetric(sklearn.f1_score, name="f1").__name__ == "f1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("f1",), "SklearnMetric: function expects a callable"),
        ((sklearn.f1_score, "labels"), "SklearnMetric: of expects one of .*, got 'labels'"),
        ((sklearn.f1_score, None), "SklearnMetric: of expects"),
        ((sklearn.roc_auc_score,), "of expects 'values' or 'probabilities', .*, got 'classes' for roc_auc_score"),
        ((sklearn.log_loss, "classes"), "SklearnMetric: of expects 'values' or 'probabilities'"),
        ((sklearn.f1_score, np.array(["classes", "values"])), "SklearnMetric: of expects"),
        ((float,), "SklearnMetric: function expects a callable of targets and predictions, got the class float itself"),
    ],
)
def test_nonsense_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    """At construction."""
    with pytest.raises(ConfigError, match=message):
        SklearnMetric(*arguments)


def test_a_name_is_a_string() -> None:
    """An array would be asked for its truth."""
    with pytest.raises(ConfigError, match="SklearnMetric: name expects a string, got 3"):
        SklearnMetric(sklearn.f1_score, name=3)  # type: ignore[arg-type]


def test_what_takes_no_weights() -> None:
    """Weights that are all the same serve; others would be passed over silently."""
    metric = SklearnMetric(sklearn.max_error, of="values")
    assert metric(LOGIT, LOGIT + 1, np.full(20, 3.0)) == pytest.approx(1)
    assert metric(LOGIT, LOGIT + YES, (YES[:, 0] == 0).astype(int)) == 0
    with pytest.raises(ConfigError, match="max_error expects weights that are all the same"):
        metric.update(metric.reset(), LOGIT, LOGIT + YES, np.arange(1, 21))  # Already here, before any step.
    state = metric.update(metric.reset(), LOGIT, LOGIT + YES, np.zeros(20))
    state = metric.update(state, LOGIT, LOGIT + YES, np.full(20, 2.0))
    assert metric.result(state) == pytest.approx(1)
    with pytest.raises(ConfigError, match="max_error expects weights that are all the same"):
        metric.update(state, LOGIT, LOGIT + YES, np.ones(20))
    assert SklearnMetric(max, of="values").__name__ == "max"


@pytest.mark.parametrize(
    ("prediction", "target", "error"),
    [
        (LOGITS, LABELS[:4], ShapeError),
        (LOGITS, np.eye(4)[LABELS], ShapeError),
        (LOGITS + 1j, LABELS, DTypeError),
        (LOGITS, LABELS.astype(str), DTypeError),
        ("a", LABELS, DTypeError),
    ],
)
def test_what_does_not_fit_is_refused(prediction: Any, target: Any, error: type[Exception]) -> None:
    """With the name of the metric."""
    with pytest.raises(error, match="f1_score"):
        SklearnMetric(sklearn.f1_score)(prediction, target)


@pytest.mark.parametrize("shape", [(20,), (20, 1), (5, 4, 1)])
def test_one_logit_a_place(shape: tuple[int, ...]) -> None:
    """With or without an axis for it, and with weights for samples or places."""
    logits, labels = LOGIT.reshape(shape), YES.reshape(shape)
    weights = RNG.integers(1, 4, shape[:1])
    each = np.broadcast_to(weights.reshape(-1, *[1] * (len(shape) - 1)), shape).ravel()
    expected = sklearn.f1_score(YES.ravel(), LOGIT.ravel() > 0, sample_weight=each)
    assert SklearnMetric(sklearn.f1_score)(logits, labels, weights) == pytest.approx(expected)


def test_two_logits_a_place() -> None:
    """Two classes have an axis of two, of which the larger is the class, at each place."""
    logits, labels, weights = RNG.normal(size=(5, 4, 2)), RNG.integers(0, 2, (5, 4)), RNG.integers(1, 4, (5, 4))
    expected = sklearn.f1_score(labels.ravel(), logits.argmax(-1).ravel(), sample_weight=weights.ravel())
    assert SklearnMetric(sklearn.f1_score)(logits, labels, weights) == pytest.approx(expected)
    second = softmax(logits)[..., 1].ravel()
    expected = sklearn.brier_score_loss(labels.ravel(), second, sample_weight=weights.ravel())
    brier = SklearnMetric(sklearn.brier_score_loss, of="probabilities")
    assert brier(logits, labels, weights) == pytest.approx(expected)


def test_numbers_are_no_classes() -> None:
    """The metric of a regression says so; targets of 0.0 and 1.0 are classes still."""
    with pytest.raises(ConfigError, match=r"r2_score: of expects labels of classes, .*of='values' takes numbers"):
        SklearnMetric(sklearn.r2_score)(LOGIT, LOGIT + 0.5)
    values = SklearnMetric(sklearn.r2_score, of="values")(LOGIT, LOGIT + 0.5)
    assert values == pytest.approx(sklearn.r2_score(LOGIT + 0.5, LOGIT))
