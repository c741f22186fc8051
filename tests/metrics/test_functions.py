import re
from collections.abc import Callable
from math import nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    ConfigError,
    DTypeError,
    ShapeError,
    TargetError,
    accuracy,
    binary_accuracy,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    top_k_accuracy,
)
from minibackprop.validation import Array
from tests.random_models import leading_axes, seeds


@given(leading=leading_axes, seed=seeds)
def test_mean_absolute_error_is_that_of_the_formula(leading: tuple[int, ...], seed: int) -> None:
    """The mean of ``|p - t|`` over all entries, whatever the shape, as a Python number; 0 for what is equal."""
    prediction, target = np.random.default_rng(seed).normal(size=(2, *leading))
    pairs = list(zip(prediction.ravel(), target.ravel(), strict=True))
    found = mean_absolute_error(prediction, target)
    assert type(found) is float
    assert found == pytest.approx(sum(abs(p - t) for p, t in pairs) / len(pairs))
    assert mean_absolute_error(prediction, prediction) == 0


@given(leading=leading_axes, classes=st.integers(2, 4), seed=seeds)
def test_accuracy_counts_the_samples_whose_class_is_found(leading: tuple[int, ...], classes: int, seed: int) -> None:
    """The share of positions where no other class has a larger entry; labels, one-hot and probabilities agree."""
    rng = np.random.default_rng(seed)
    shape = leading or (1,)
    prediction = rng.normal(size=(*shape, classes)).astype(rng.choice([np.float32, np.float64]))
    labels = rng.integers(0, classes, shape)
    right = [max(range(classes), key=lambda c: prediction[(*i, c)]) == labels[i] for i in np.ndindex(shape)]
    one_hot = np.eye(classes)[labels]
    for target in (labels, labels.astype(np.uint8), one_hot, one_hot.astype(bool), 0.5 * one_hot + 0.5 / classes):
        found = accuracy(prediction, target)
        assert type(found) is float
        assert found == pytest.approx(sum(right) / len(right))
    assert accuracy(one_hot, labels) == 1
    assert accuracy(-one_hot, labels) == 0


def test_first_of_equal_entries_is_what_is_predicted() -> None:
    """A prediction that cannot decide is right only for the first class."""
    assert accuracy(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 0.5


@given(leading=leading_axes, threshold=st.sampled_from([0.0, 0.5]), seed=seeds)
def test_binary_accuracy_counts_entries_on_the_right_side(
    leading: tuple[int, ...], threshold: float, seed: int
) -> None:
    """The share of entries above the threshold where the target is yes, and not above it where it is no."""
    rng = np.random.default_rng(seed)
    prediction, target = rng.normal(size=leading), rng.integers(0, 2, leading)
    pairs = list(zip(prediction.ravel(), target.ravel(), strict=True))
    for kind in (int, bool, float, np.float32):
        found = binary_accuracy(prediction, target.astype(kind), threshold)
        assert type(found) is float
        assert found == pytest.approx(sum((p > threshold) == (t == 1) for p, t in pairs) / len(pairs))


def test_sides_of_the_threshold() -> None:
    """On the threshold the answer is no; by default it is that of logits; a target of one half is a no."""
    assert binary_accuracy(np.array([0.0, 0.5, 1.0]), np.array([0, 1, 1])) == 1
    assert binary_accuracy(np.array([0.0, 0.5, 1.0]), np.array([0, 1, 1]), threshold=0.5) == pytest.approx(2 / 3)
    assert binary_accuracy(np.array([1.0, -1.0, -1.0, 1.0]), np.array([0.5, 0.5, 0.5, 0.75])) == 0.75


@pytest.mark.parametrize("metric", [mean_absolute_error, binary_accuracy])
@pytest.mark.parametrize("shape", [(3,), (1, 1), (3, 2), ()])
def test_shapes_must_match_exactly(metric: Callable[[Array, Array], float], shape: tuple[int, ...]) -> None:
    """A target that NumPy would broadcast is refused."""
    with pytest.raises(ShapeError, match=re.escape(f"expects a target of shape (3, 1), got {shape}")):
        metric(np.zeros((3, 1)), np.zeros(shape))


@pytest.mark.parametrize("metric", [mean_absolute_error, accuracy, binary_accuracy])
def test_nothing_has_no_mean(metric: Callable[[Array, Array], float]) -> None:
    """The mean over no entry is an error and no NaN."""
    with pytest.raises(ShapeError, match=rf"{metric.__name__} expects at least one entry, got shape \(0, 2\)"):
        metric(np.zeros((0, 2)), np.zeros((0, 2)))


@pytest.mark.parametrize("metric", [mean_absolute_error, accuracy, binary_accuracy])
@pytest.mark.parametrize("bad", ["text", [["a", "b"]], np.array([["a", "b"]]), np.array([[1.0, 0.0]], object), None])
def test_only_arrays_of_numbers_are_compared(metric: Callable[[Any, Any], float], bad: object) -> None:
    """What is no array of numbers is refused, on either side."""
    good = np.array([[1.0, 0.0]])
    with pytest.raises(DTypeError, match=f"{metric.__name__}: target expects an array of numbers"):
        metric(good, bad)
    with pytest.raises(DTypeError, match=f"{metric.__name__}: prediction expects an array of numbers"):
        metric(bad, good)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (np.array([0, 1, 3, 2]), TargetError, "labels from 0 to 2, got 3 at index (2,)"),
        (np.array([0, -1, 1, 2]), TargetError, "labels from 0 to 2, got -1 at index (1,)"),
        (np.array([1.0, 2.0, 0.0, 0.0]), DTypeError, "integer labels, got 1.0 at index (0,)"),
        (np.array([0, 1, 2]), ShapeError, "integer labels of shape (4,), or probabilities of shape (4, 3), got (3,)"),
        (np.array([[0], [1], [2], [0]]), ShapeError, "integer labels of shape (4,), or probabilities of shape (4, 3)"),
        (np.eye(4), ShapeError, "integer labels of shape (4,), or probabilities of shape (4, 3), got (4, 4)"),
        (np.zeros((4, 3)), TargetError, "probabilities that add up to 1 over the classes, got 0.0 at index (0,)"),
        (np.array([[1, 0, 0]] * 3 + [[2, -1, 0]]), TargetError, "probabilities of at least 0, got -1 at index (3, 1)"),
    ],
)
def test_class_targets_are_checked(target: Array, error: type[Exception], message: str) -> None:
    """What names no class would only be counted as wrong: it is refused, with its value and place."""
    with pytest.raises(error, match=rf"accuracy expects {re.escape(message)}"):
        accuracy(np.zeros((4, 3)), target)


@pytest.mark.parametrize("shape", [(), (3,), (4, 1)])
def test_accuracy_is_of_two_classes_at_least(shape: tuple[int, ...]) -> None:
    """With one entry a sample, any prediction would be right: that is a case for `binary_accuracy`."""
    with pytest.raises(ShapeError, match=re.escape(f"(N, ..., C), for at least two classes, got {shape}")):
        accuracy(np.zeros(shape), np.zeros(shape, int))


@pytest.mark.parametrize(("bad", "index"), [(-1, 2), (2, 2), (np.nan, 2)])
def test_binary_targets_are_checked(bad: float, index: int) -> None:
    """A target of -1 for no, or of another class than two, is refused, with its place."""
    target = np.array([0.0, 1.0, bad])
    with pytest.raises(TargetError, match=re.escape(f"targets from 0 to 1, got {target[index]} at index ({index},)")):
        binary_accuracy(np.zeros(3), target)


@pytest.mark.parametrize("threshold", [None, nan, "0", [0.5], np.zeros(2)])
def test_thresholds_are_numbers(threshold: Any) -> None:
    """NaN is none: nothing would be above it."""
    with pytest.raises(ConfigError, match="binary_accuracy: threshold expects a number, got"):
        binary_accuracy(np.ones((2, 1)), np.ones((2, 1)), threshold)


@pytest.mark.parametrize("metric", [accuracy, top_k_accuracy])
def test_labels_to_ignore_are_integers(metric: Callable[..., float]) -> None:
    """An array of them would be compared entry by entry."""
    with pytest.raises(ConfigError, match=f"{metric.__name__}: ignore_index expects an integer, or None, got 1.5"):
        metric(np.eye(6), np.arange(6), ignore_index=1.5)


@pytest.mark.parametrize("metric", [mean_absolute_error, mean_squared_error, r2_score, accuracy, binary_accuracy])
@pytest.mark.parametrize("what", ["prediction", "target", "weights"])
def test_lists_are_of_one_length(metric: Callable[..., float], what: str) -> None:
    """NumPy makes no array of others."""
    arguments: dict[str, Any] = {"prediction": np.eye(2), "target": np.eye(2), what: [[1], [2, 3]]}
    with pytest.raises(ShapeError, match=f"{what} expects an array, or lists of one length"):
        metric(**arguments)


@pytest.mark.parametrize(
    ("metric", "prediction", "target", "remedy"),
    [
        (mean_absolute_error, (3, 1), (3,), ": target[..., np.newaxis] would fit"),
        (mean_absolute_error, (2, 3, 1), (2, 3), ": target[..., np.newaxis] would fit"),
        (mean_absolute_error, (2, 3, 1), (2,), ""),
        (mean_absolute_error, (3, 2), (3,), ""),
        (mean_absolute_error, (1, 3), (3,), ""),
        (binary_accuracy, (3, 1), (3,), ": target[..., np.newaxis] would fit"),
        (binary_accuracy, (3, 2), (3,), ": for labels of several classes there is accuracy"),
        (binary_accuracy, (2, 3, 4), (2,), ""),
        (binary_accuracy, (3, 2), (2, 3), ""),
    ],
)
def test_a_target_that_lacks_an_axis_is_told_how_to_get_it(
    metric: Callable[[Array, Array], float], prediction: tuple[int, ...], target: tuple[int, ...], remedy: str
) -> None:
    """Where one call would mend it, the message has the call; elsewhere it has none."""
    with pytest.raises(ShapeError) as caught:
        metric(np.zeros(prediction), np.zeros(target))
    assert caught.value.got == f"{target}{remedy}"


def test_top_k_of_places() -> None:
    """The classes are the last axis, however many others there are."""
    prediction, labels = np.random.default_rng(0).normal(size=(2, 5, 3)), np.zeros((2, 5), int)
    assert top_k_accuracy(prediction, labels, k=3) == 1
    assert top_k_accuracy(prediction, labels, k=1) == accuracy(prediction, labels)
    for shape in ((2, 5, 3), (5, 2, 3), (4, 3)):
        with pytest.raises(ConfigError, match="top_k_accuracy: k expects from 1 to the 3 classes, got 4"):
            top_k_accuracy(np.zeros(shape), np.zeros(shape[:-1], int), k=4)
