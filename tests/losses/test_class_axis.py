import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import ConfigError, ShapeError, SoftmaxCrossEntropy, TargetError
from minibackprop.testing import check_loss
from minibackprop.validation import Array
from tests.losses.common import probabilities
from tests.random_models import seeds


@given(
    seed=seeds,
    axis=st.sampled_from([1, 2, 3, -1, -2, -3]),
    kind=st.sampled_from(["labels", "probabilities", "ignored"]),
    smoothing=st.sampled_from([0.0, 0.1]),
    of_classes=st.booleans(),
    depth=st.integers(0, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_classes_along_an_axis_are_those_along_the_last(
    seed: int, axis: int, kind: str, smoothing: float, of_classes: bool, depth: int, dtype: type
) -> None:
    """Value and total weight are those of the prediction with its classes moved to the end, and so is the gradient."""
    rng = np.random.default_rng(seed)
    shape = (2, 3, 4, 3)
    settings: dict[str, Any] = {
        "label_smoothing": smoothing,
        "class_weights": rng.uniform(0.5, 2, shape[axis]) if of_classes else None,
        "ignore_index": 1 if kind == "ignored" else None,
    }
    loss, last = SoftmaxCrossEntropy(**settings, axis=axis), SoftmaxCrossEntropy(**settings)
    prediction = rng.normal(size=shape).astype(dtype)
    moved = np.moveaxis(prediction, axis, -1)
    target = labels = rng.integers(0, moved.shape[-1], moved.shape[:-1])
    if kind == "probabilities":
        labels = probabilities(rng, moved.shape)
        target = np.moveaxis(labels, -1, axis)
    weights = rng.uniform(0.5, 2, moved.shape[:depth]) if depth else None
    value, cache = loss.forward(prediction, target, weights)
    expected, other = last.forward(moved, labels, weights)
    assert value == pytest.approx(expected, rel=1e-6)
    grad = loss.backward(cache, 0.5)
    assert grad.shape == shape
    assert grad.dtype == dtype
    np.testing.assert_allclose(np.moveaxis(grad, axis, -1), last.backward(other, 0.5), rtol=1e-5, atol=1e-7)
    assert loss.total_weight(target, weights) == pytest.approx(last.total_weight(labels, weights), rel=1e-12)


@given(order=st.permutations([0, 1, 2, 3]))
@settings(max_examples=10)
def test_layout_in_memory_does_not_matter(order: list[int]) -> None:
    """Images may lie in memory in any order, channels last as `Conv2D` leaves them too."""
    rng, shape = np.random.default_rng(0), (2, 3, 4, 5)
    prediction = rng.normal(size=[shape[axis] for axis in order]).transpose(np.argsort(order))
    labels, loss = rng.integers(0, 3, (2, 4, 5)), SoftmaxCrossEntropy(axis=1)
    _, cache = loss.forward(prediction, labels)
    _, plain = loss.forward(prediction.copy("C"), labels)
    np.testing.assert_allclose(loss.backward(cache), loss.backward(plain), rtol=1e-12)


@pytest.mark.parametrize("axis", [1, -2])
def test_loss_of_images_keeps_its_contract(axis: int) -> None:
    """The public checker finds nothing wrong, for labels and for probabilities."""
    shape, sizes = ((3, 2, 2), (2, 2)) if axis == 1 else ((2, 3, 2), (2, 2))

    def labels(rng: np.random.Generator, x: Array) -> Array:
        return rng.integers(3, size=(len(x), *sizes))

    def spread(rng: np.random.Generator, x: Array) -> Array:
        return np.moveaxis(probabilities(rng, (len(x), *sizes, 3)), -1, axis)

    check_loss(lambda: SoftmaxCrossEntropy(axis=axis), shape, targets=labels)
    check_loss(lambda: SoftmaxCrossEntropy(0.1, (1, 2, 5), axis=axis), shape, targets=spread)


@pytest.mark.parametrize(
    ("shape", "target", "axis", "message"),
    [
        ((2, 3, 4, 5), (2, 3, 4), 1, "integer labels of shape (2, 4, 5), or probabilities of shape (2, 3, 4, 5), got"),
        ((2, 3, 4, 5), (2, 4, 5), -1, "got (2, 4, 5): if the classes lie along axis 1, say axis=1"),
        ((2, 3, 4, 5), (2, 3, 4), 1, "got (2, 3, 4): if the classes lie along axis 3, say axis=3"),
        ((2, 3, 4, 5), (2, 4), 1, "got (2, 4)"),
        (
            (2, 3),
            (2,),
            2,
            "a prediction with its classes along axis 2, after that of samples, for at least two classes",
        ),
        ((2, 3), (3,), -2, "a prediction with its classes along axis -2, after that of samples"),
        ((2, 3), (2,), 10**30, "a prediction with its classes along axis 1000"),
        ((2, 1, 3), (2, 3), 1, "a prediction with its classes along axis 1, after that of samples, for at least two"),
    ],
)
def test_shapes_follow_the_axis(shape: tuple[int, ...], target: tuple[int, ...], axis: int, message: str) -> None:
    """What does not fit is refused with the shapes that would; labels that fit along another axis are told so."""
    with pytest.raises(ShapeError, match=re.escape(message)):
        SoftmaxCrossEntropy(axis=axis)(np.zeros(shape), np.zeros(target, int))


def test_other_messages_follow_the_axis() -> None:
    """Class weights are counted along the axis, weights are of the labels' shape, and indices are the user's."""
    loss, logits, labels = (
        SoftmaxCrossEntropy(class_weights=(1, 2, 3), axis=1),
        np.zeros((2, 3, 4)),
        np.zeros((2, 4), int),
    )
    with pytest.raises(
        ShapeError, match=re.escape("a prediction of 3 classes, one for each class weight, got (2, 4, 3)")
    ):
        loss(np.zeros((2, 4, 3)), np.zeros((2, 3), int))
    with pytest.raises(ShapeError, match=re.escape("weights of shape (2,), or of more leading axes, got (2, 3)")):
        loss(logits, labels, np.ones((2, 3)))
    spread = np.full((2, 3, 4), 1 / 3)
    spread[1, 2, 3] = -1
    with pytest.raises(TargetError, match=re.escape("probabilities of at least 0, got -1.0 at index (1, 2, 3)")):
        loss(logits, spread)
    spread[1, 2, 3] = 1
    with pytest.raises(TargetError, match=re.escape("over the classes, got 1.666") + r".* at index \(1, 3\)"):
        loss(logits, spread)
    for wrong in (np.ones((2, 4, 3)), np.ones(3), np.ones(())):
        with pytest.raises(ShapeError, match="integer labels, or probabilities of 3 classes"):
            loss.total_weight(wrong)


@pytest.mark.parametrize("axis", [0, 1.0, None, "1", True, np.nan])
def test_axis_is_not_that_of_samples(axis: Any) -> None:
    """0 is refused at construction, and what is no integer."""
    with pytest.raises(
        ConfigError, match="SoftmaxCrossEntropy: axis expects an integer but 0, the axis of samples, got"
    ):
        SoftmaxCrossEntropy(axis=axis)
