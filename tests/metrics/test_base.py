"""The protocol of metrics: what holds of each, whatever it measures."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from minibackprop import (
    ConfigError,
    Metric,
    ShapeError,
    SklearnMetric,
    accuracy,
    binary_accuracy,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    top_k_accuracy,
)
from minibackprop.metrics.base import metric_of
from minibackprop.validation import Array
from tests.random_models import seeds

Case = tuple[Any, Callable[..., float], str]

#: Each metric, what scikit-learn calls it by, and the kind of its targets.
CASES: dict[str, Case] = {
    "accuracy": (accuracy, sklearn.accuracy_score, "labels"),
    "top-2": (partial(top_k_accuracy, k=2), partial(sklearn.top_k_accuracy_score, k=2, labels=[0, 1, 2]), "scores"),
    "binary": (binary_accuracy, sklearn.accuracy_score, "yes or no"),
    "absolute": (mean_absolute_error, sklearn.mean_absolute_error, "numbers"),
    "squared": (mean_squared_error, sklearn.mean_squared_error, "numbers"),
    "r2": (r2_score, sklearn.r2_score, "numbers"),
    "macro f1": (
        SklearnMetric(sklearn.f1_score, average="macro"),
        partial(sklearn.f1_score, average="macro"),
        "labels",
    ),
    "median": (
        SklearnMetric(sklearn.median_absolute_error, of="values"),
        sklearn.median_absolute_error,
        "numbers",
    ),
}


def drawn(kind: str, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Draw predictions, targets, and what scikit-learn is to see of the predictions."""
    if kind == "numbers":
        prediction, target = rng.normal(size=(2, count, 2))
        return prediction, target + 100, prediction
    if kind == "yes or no":
        prediction = rng.normal(size=(count, 1))
        return prediction, rng.integers(0, 2, (count, 1)), prediction > 0
    prediction = rng.normal(size=(count, 3))
    target = np.r_[[0, 1, 2], rng.integers(0, 3, count - 3)]
    return prediction, target, prediction if kind == "scores" else prediction.argmax(axis=1)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@given(count=st.integers(3, 30), parts=st.lists(st.integers(0, 30), max_size=4), weighted=st.booleans(), seed=seeds)
def test_values_are_those_of_scikit_learn_whatever_the_batches(
    case: Case, count: int, parts: list[int], weighted: bool, seed: int
) -> None:
    """As a whole, batch by batch, and as the sum of the states of two workers."""
    function, reference, kind = case
    rng = np.random.default_rng(seed)
    prediction, target, seen = drawn(kind, count, rng)
    weights = rng.uniform(0.1, 2, count) if weighted else None
    expected = reference(target, seen, sample_weight=weights)
    call = function if isinstance(function, Metric) else partial(function, weights=weights)
    whole = call(prediction, target, weights) if isinstance(function, Metric) else call(prediction, target)
    assert type(whole) is float
    assert whole == pytest.approx(expected, rel=1e-9, abs=1e-12)
    metric = metric_of(function)
    assert metric is not None
    states = [metric.reset(), metric.reset()]
    cuts = sorted({0, count, *(part for part in parts if part < count)})
    for number, (start, end) in enumerate(itertools.pairwise(cuts)):
        rows = slice(start, end)
        part = None if weights is None else weights[rows]
        states[number % 2] = metric.update(states[number % 2], prediction[rows], target[rows], part)
    both = states[0] + states[1] if number else states[0]
    assert metric.result(both) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_weight_of_0_is_a_sample_that_is_not_there(case: Case) -> None:
    """And one of 2 is that sample twice; places in samples have their own."""
    function, _, kind = case
    rng = np.random.default_rng(0)
    prediction, target, _ = drawn(kind, 12, rng)
    times = np.r_[1, 1, 1, rng.integers(0, 3, 9)]
    metric = metric_of(function)
    assert metric is not None
    repeated = metric(np.repeat(prediction, times, axis=0), np.repeat(target, times, axis=0))
    assert metric(prediction, target, times) == pytest.approx(repeated, rel=1e-9)
    sequences = (array.reshape(3, 4, *array.shape[1:]) for array in (prediction, target, times))
    assert metric(*sequences) == pytest.approx(repeated, rel=1e-9)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize(
    ("weights", "error"),
    [
        (np.zeros(6), ShapeError), (np.ones(5), ShapeError), (np.ones((6, 7)), ShapeError), (np.array(1.0), ShapeError),
        (-np.ones(6), ConfigError), (np.full(6, np.nan), ConfigError), (np.full(6, np.inf), ConfigError),
        (np.ones(6) + 1j, TypeError), (np.array(["1"] * 6), TypeError),
    ],
)  # fmt: skip
def test_weights_that_are_none_are_refused(case: Case, weights: Array, error: type[Exception]) -> None:
    """By each metric, with its name; a mean over nothing is no NaN."""
    function, _, kind = case
    prediction, target, _ = drawn(kind, 6, np.random.default_rng(0))
    metric = metric_of(function)
    assert metric is not None
    with pytest.raises(error, match=r"[a-z0-9_]+:? (weights )?(expects|must)"):
        metric(prediction, target, weights)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_nothing_measured_is_no_number(case: Case) -> None:
    """The state before any data has no result."""
    metric = metric_of(case[0])
    assert metric is not None
    with pytest.raises(ShapeError, match="expects some weight above 0"):
        metric.result(metric.reset())


@pytest.mark.parametrize(
    ("metric", "prediction", "target", "expected"),
    [
        (mean_absolute_error, np.array([3, 200], np.uint8), np.array([5, 100], np.uint8), 51),
        (mean_squared_error, np.array([3, 200], np.uint8), np.array([5, 100], np.uint8), 5002),
        (mean_squared_error, np.array([300], np.int16), np.array([-300], np.int16), 360000),
        (mean_absolute_error, np.array([True, False]), np.array([False, False]), 0.5),
        (mean_absolute_error, np.array([127, 0], np.int8), np.array([-128, 0], np.int8), 127.5),
        (r2_score, np.array([1, 2, 4], np.uint8), np.array([1, 2, 3], np.uint8), 0.5),
        (r2_score, np.array([200, 2, 3], np.uint8), np.array([1, 2, 3], np.uint8), 1 - 199**2 / 2),
        (accuracy, np.array([[250, 3], [1, 2]], np.uint8), np.array([0, 1], np.uint8), 1),
        (binary_accuracy, np.array([200, 0], np.uint8), np.array([1, 0], np.uint8), 1),
        (top_k_accuracy, np.eye(6, dtype=np.uint8), np.arange(6, dtype=np.uint8), 1),
    ],
)
def test_small_integers_do_not_wrap_around(
    metric: Callable[..., float], prediction: Array, target: Array, expected: float
) -> None:
    """Every metric computes with numbers that hold the differences."""
    assert metric(prediction, target) == pytest.approx(expected)
    assert metric(prediction.tolist(), target.tolist()) == pytest.approx(expected)


def test_float32_is_summed_in_float64() -> None:
    """A long mean of small errors keeps its digits."""
    errors = np.full(2**20, 0.1, np.float32)
    assert mean_absolute_error(errors, np.zeros_like(errors)) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_squares_of_narrow_floats_do_not_overflow() -> None:
    """All is computed in float64, also what float16 and float32 would not hold."""
    for dtype, size in ((np.float16, 300.0), (np.float32, 1e20)):
        prediction, target = np.array([size, 0], dtype), np.array([0, 0], dtype)
        assert mean_squared_error(prediction, target) == pytest.approx(float(dtype(size)) ** 2 / 2)
    large = np.array([60000, -60000], np.float16)
    assert mean_absolute_error(large, -large) == pytest.approx(2 * float(large[0]))
    assert np.isfinite(r2_score(np.array([300, 0], np.float16), np.array([0, 1], np.float16)))


def test_r2_of_what_does_not_vary() -> None:
    """1 where the target is met exactly, else 0, as in scikit-learn; far from 0 it keeps its digits."""
    constant = np.full((4, 1), 3.0)
    assert r2_score(constant, constant) == 1
    assert r2_score(constant + 1, constant) == 0
    x = np.array([[1.0], [2.0], [4.0]])
    assert r2_score(x + 1e8, np.array([[1.0], [2.0], [3.0]]) + 1e8) == pytest.approx(0.5)


def test_the_first_of_equal_entries_count() -> None:
    """Of entries that are all the same, the first k are predicted."""
    assert [top_k_accuracy(np.zeros((3, 3)), np.arange(3), k=k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])
    for k in (0, 4, 1.5, True):
        with pytest.raises(ConfigError, match="top_k_accuracy: k expects from 1 to the 3 classes"):
            top_k_accuracy(np.zeros((3, 3)), np.arange(3), k=k)  # type: ignore[arg-type]


def test_settings_of_a_partial_reach_the_metric() -> None:
    """Also where one is within another; a partial with arguments by position is a plain function."""
    prediction, target = np.array([[0.2], [0.7]]), np.array([[0], [1]])
    metric = metric_of(partial(partial(binary_accuracy, threshold=0.9), threshold=0.5))
    assert metric is not None
    assert metric(prediction, target) == 1
    assert metric_of(partial(binary_accuracy, prediction)) is None
    assert metric_of(sum) is None


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_stands_at_weight_0_does_not_matter(case: Case) -> None:
    """Be it NaN, or so large that its square is infinite."""
    function, _, kind = case
    prediction, target, _ = drawn(kind, 12, np.random.default_rng(0))
    metric, weights = metric_of(function), np.r_[np.ones(9), np.zeros(3)]
    assert metric is not None
    expected = metric(prediction[:9], target[:9])
    for value in (np.nan, 1e200):
        spoilt = prediction.copy()
        spoilt[9:] = value
        with np.errstate(all="ignore"):
            assert metric(spoilt, target, weights) == pytest.approx(expected, rel=1e-9)


def test_nan_is_no_hit() -> None:
    """A model whose numbers have run away is not taken for a good one."""
    nan = np.full((4, 3), np.nan)
    labels = np.array([0, 1, 2, 0])
    assert accuracy(nan, labels) == top_k_accuracy(nan, labels, k=1) == top_k_accuracy(nan, labels, k=3) == 0
    assert binary_accuracy(nan[:, :1], np.zeros((4, 1))) == 0
    half = np.array([[0.0, np.nan, 1.0], [3.0, 1.0, 2.0]])
    assert accuracy(half, np.array([1, 0])) == top_k_accuracy(half, np.array([1, 0]), k=2) == 0.5
    for target in (np.zeros((4, 3)), np.arange(12.0).reshape(4, 3)):
        assert np.isnan(r2_score(nan, target))
        assert np.isnan(r2_score(target, np.where(target == 1, np.nan, target))) == (1 in target)


def test_settings_that_a_metric_does_not_have() -> None:
    """They are named."""
    with pytest.raises(ConfigError, match=r"the metric accuracy expects settings that it has, got \['k'\]"):
        metric_of(partial(accuracy, k=3))
