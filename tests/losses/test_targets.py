import math
import re
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    BinaryCrossEntropy,
    DTypeError,
    HalfSquaredError,
    Loss,
    MeanSquaredError,
    ShapeError,
    SoftmaxCrossEntropy,
    TargetError,
)
from minibackprop.validation import Array
from tests.losses.common import probabilities

LOGITS = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ([[0.0], [1.5]], TargetError, r"targets from 0 to 1, got 1.5 at index (1, 0)"),
        ([[0.0], [-0.5]], TargetError, r"targets from 0 to 1, got -0.5 at index (1, 0)"),
        ([[-1], [1]], TargetError, r"targets from 0 to 1, got -1 at index (0, 0)"),
        ([[0.0], [np.nan]], TargetError, r"targets from 0 to 1, got nan at index (1, 0)"),
        ([0.0, 1.0], ShapeError, r"a target of the prediction's shape (2, 1), got (2,)"),
        ([["a"], ["b"]], DTypeError, "an array of numbers"),
        ([[None], [1]], DTypeError, "an array of numbers"),
        ([[0j], [1]], DTypeError, "real numbers"),
    ],
)
def test_binary_targets_are_checked(target: list[Any], error: type[Exception], message: str) -> None:
    """What is no share of yes is refused, with its value and place."""
    with pytest.raises(error, match=rf"BinaryCrossEntropy.* expects {re.escape(message)}"):
        BinaryCrossEntropy()(np.zeros((2, 1)), np.array(target))


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (np.array([0, 1, 3, 2]), TargetError, "labels from 0 to 2, got 3 at index (2,)"),
        (np.array([0, -1, 1, 2]), TargetError, "labels from 0 to 2, got -1 at index (1,)"),
        (np.array([0, -128, 1, 2], np.int8), TargetError, "labels from 0 to 2, got -128 at index (1,)"),
        (np.array([0, 0, 0, 2**64 - 1], np.uint64), TargetError, f"labels from 0 to 2, got {2**64 - 1} at index (3,)"),
        (
            np.array([1.0, 2.0, 0.0, 0.0]),
            DTypeError,
            "integer labels, got 1.0 at index (0,) (float64): write y.astype(int)",
        ),
        (
            np.array(["a", "b", "c", "a"]),
            DTypeError,
            "integer labels, got a at index (0,) (<U1): write np.unique(y, return_inverse=True)[1]",
        ),
        (np.array([0, 1, 2]), ShapeError, "integer labels of shape (4,), or probabilities of shape (4, 3), got (3,)"),
        (np.array([[0], [1], [2], [0]]), ShapeError, "integer labels of shape (4,), or probabilities of shape (4, 3)"),
        (np.eye(4), ShapeError, "integer labels of shape (4,), or probabilities of shape (4, 3), got (4, 4)"),
        (np.eye(2)[[0, 1, 0, 1]], ShapeError, "integer labels of shape (4,), or probabilities of shape (4, 3)"),
        (np.zeros((4, 3)), TargetError, "probabilities that add up to 1 over the classes, got 0.0 at index (0,)"),
        (np.ones((4, 3), int), TargetError, "probabilities that add up to 1 over the classes, got 3 at index (0,)"),
        (np.zeros((4, 3), np.uint8), TargetError, "probabilities that add up to 1 over the classes, got 0"),
        (np.array([[1, 0, 0]] * 3 + [[2, -1, 0]]), TargetError, "probabilities of at least 0, got -1 at index (3, 1)"),
        (np.array([[1, 0, 0]] * 3 + [[1, np.nan, 0]]), TargetError, "probabilities of at least 0, got nan at index"),
        (np.full((4, 3), 0.3), TargetError, "probabilities that add up to 1 over the classes, got 0.89"),
        (
            np.array([[1, 0, 0]] * 3 + [[1, 1, 0]]),
            TargetError,
            "probabilities that add up to 1 over the classes, got 2 at",
        ),
        ([0, 1, 2, 0], DTypeError, "an array of numbers"),
        (np.full((4, 3), "a"), DTypeError, "a target of real numbers"),
        (np.eye(3, dtype=object)[[0, 1, 2, 0]], DTypeError, "a target of real numbers"),
        (np.eye(3, dtype=complex)[[0, 1, 2, 0]], DTypeError, "a target of real numbers"),
    ],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_targets_are_checked(smoothing: float, target: Any, error: type[Exception], message: str) -> None:
    """What names no class and is no probability is refused, with its value and place."""
    with pytest.raises(error, match=rf"SoftmaxCrossEntropy.* expects {re.escape(message)}"):
        SoftmaxCrossEntropy(smoothing)(LOGITS, target)


def test_place_of_a_wrong_target_has_all_its_axes() -> None:
    """In a sequence, the index is that of the sample and the step, and shapes have all axes too."""
    loss, logits, labels = SoftmaxCrossEntropy(), np.zeros((2, 5, 3)), np.zeros((2, 5), int)
    labels[1, 3] = 7
    with pytest.raises(TargetError, match=r"labels from 0 to 2, got 7 at index \(1, 3\)"):
        loss(logits, labels)
    spread = np.eye(3)[np.zeros((2, 5), int)]
    spread[1, 3] = 0.5
    with pytest.raises(TargetError, match=r"probabilities that add up to 1 .*, got 1.5 at index \(1, 3\)"):
        loss(logits, spread)
    with pytest.raises(ShapeError, match=r"integer labels of shape \(2, 5\), or probabilities of shape \(2, 5, 3\)"):
        loss(logits, np.zeros(2, int))


def test_rounded_probabilities_are_taken() -> None:
    """Rows may miss a sum of 1 by what float16 rounds."""
    rows = probabilities(np.random.default_rng(0), (4, 3))
    assert SoftmaxCrossEntropy()(LOGITS, rows.astype(np.float16)) == pytest.approx(math.log(3), rel=1e-3)


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        (np.array(["a", "b", "c", "a"]), "write np.unique(y, return_inverse=True)[1]"),
        (np.array(["a", "b", "c", "a"], object), "write np.unique(y, return_inverse=True)[1]"),
        (np.array([0.0, 2.0, 1.0, 1.0]), "write y.astype(int)"),
        (np.array([0.0, 0.5, 1.0, 1.0]), None),
        (np.array([0.0, np.nan, 1.0, 1.0]), None),
        (np.array([0.0, np.inf, 1.0, 1.0]), None),
        (np.array([0j, 1, 2, 0]), None),
        (np.array([None, 1, 2, 0]), None),
    ],
)
def test_labels_of_another_kind_are_told_how_to_become_integers(labels: Array, remedy: str | None) -> None:
    """The message has the call that makes integers of them, where there is one that loses nothing; and it works."""
    loss = SoftmaxCrossEntropy()
    with pytest.raises(DTypeError, match="expects integer labels") as caught:
        loss(LOGITS, labels)
    assert str(caught.value).partition(": ")[2] == (remedy or "")
    if remedy:
        assert loss(LOGITS, eval(remedy.removeprefix("write "), {"np": np, "y": labels, "int": int})) > 0


@pytest.mark.parametrize("loss", [MeanSquaredError(), HalfSquaredError(), BinaryCrossEntropy()], ids=repr)
@pytest.mark.parametrize(
    ("prediction", "target", "remedy"),
    [
        ((4, 1), (4,), "write y[:, np.newaxis]"),
        ((4, 3, 1), (4, 3), "write y[..., np.newaxis]"),
        ((4,), (4, 1), "write y[:, 0]"),
        ((4, 3), (4, 3, 1), "write y[..., 0]"),
        ((4, 2), (4,), ""),
        ((4,), (4, 2), ""),
    ],
)
def test_missing_axis_is_told_how_to_be_made(
    loss: Loss, prediction: tuple[int, ...], target: tuple[int, ...], remedy: str
) -> None:
    """(N,) against (N, 1) is refused with the index that makes one of the other; and it works."""
    p, y = np.ones(prediction), np.ones(target)
    with pytest.raises(ShapeError, match=re.escape(f"shape {prediction}, got {target}{remedy and ': '}{remedy}") + "$"):
        loss(p, y)
    if remedy:
        assert np.isfinite(loss(p, eval(remedy.removeprefix("write "), {"np": np, "y": y})))


def test_bools_are_labels_too() -> None:
    """False is label 0, and True is label 1; with weights of classes too, but where they may be one-hot rows."""
    logits = np.array([[0.5, 0.0], [2.0, -1.0], [1.0, 1.5]])
    for loss in (SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.1), SoftmaxCrossEntropy(class_weights=(1, 3))):
        for labels in (np.array([True, False, True]), np.array([False, False, True])):
            assert loss(logits, labels) == loss(logits, labels.astype(int))
            assert loss.total_weight(labels) == loss.total_weight(labels.astype(int))
    steps = np.zeros((3, 2, 2))
    assert SoftmaxCrossEntropy()(steps, np.ones((3, 2), bool)) == pytest.approx(math.log(2))
    with pytest.raises(DTypeError, match="labels of integers, where classes have weights"):
        SoftmaxCrossEntropy(class_weights=(1, 3))(steps, np.ones((3, 2), bool))
