import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import ConfigError, DTypeError, ShapeError, SoftmaxCrossEntropy, TargetError
from minibackprop.testing import check_loss
from minibackprop.validation import Array
from tests.finite_differences import assert_close, central_differences
from tests.losses.common import assert_parts_make_the_whole
from tests.random_models import seeds

IGNORED = (-100, 255, 1)


@st.composite
def with_ignored(draw: st.DrawFn) -> tuple[SoftmaxCrossEntropy, Array, Array, Array, Array | None]:
    """Draw a loss, logits of sequences, labels, which of them are kept (some at least), and weights of either shape."""
    rng = np.random.default_rng(draw(seeds))
    samples, steps, classes = (int(n) for n in rng.integers([1, 1, 2], [5, 4, 5]))
    ignored = draw(st.sampled_from(IGNORED))
    loss = SoftmaxCrossEntropy(
        draw(st.sampled_from([0.0, 0.2])),
        draw(st.sampled_from([None, rng.uniform(0.1, 3, classes)])),
        ignore_index=ignored,
        reduction=draw(st.sampled_from(["mean", "sum"])),
    )
    labels = rng.integers(0, classes, (samples, steps))
    labels[rng.random(labels.shape) < 0.4] = ignored
    labels[0, 0] = 0
    shape = draw(st.sampled_from([None, (samples,), (samples, steps)]))
    weights = None if shape is None else rng.uniform(0.5, 2, shape)
    return loss, 2 * rng.normal(size=(samples, steps, classes)), labels, labels != ignored, weights


@given(drawn=with_ignored())
@settings(max_examples=50)
def test_ignored_labels_are_as_if_they_were_not_there(
    drawn: tuple[SoftmaxCrossEntropy, Array, Array, Array, Array | None],
) -> None:
    """Value, gradient and total weight are those of the positions that are kept; the gradient elsewhere is 0."""
    loss, logits, labels, kept, weights = drawn
    of_places = None if weights is None else np.broadcast_to(weights.reshape(len(weights), -1), kept.shape)[kept]
    value, cache = loss.forward(logits, labels, weights)
    expected, flat = loss.forward(logits[kept], labels[kept], of_places)
    assert value == pytest.approx(expected, rel=1e-12)  # Few terms, in another order.
    grad = loss.backward(cache)
    np.testing.assert_allclose(grad[kept], loss.backward(flat), rtol=1e-12, atol=1e-15)
    assert not grad[~kept].any()
    found, total = loss.total_weight(labels, weights), loss.total_weight(labels[kept], of_places)
    assert found == pytest.approx(total, rel=1e-14)
    if loss.class_weights is None and weights is None:
        assert found == kept.sum()


@given(drawn=with_ignored())
@settings(max_examples=15)
def test_gradient_is_that_of_central_differences(
    drawn: tuple[SoftmaxCrossEntropy, Array, Array, Array, Array | None],
) -> None:
    """Backward gives the slope of forward."""
    loss, logits, labels, _, weights = drawn
    value, cache = loss.forward(logits, labels, weights)
    slopes = central_differences(lambda: loss(logits, labels, weights), logits)
    assert_close(loss.backward(cache), slopes, value, repr(loss))


@given(drawn=with_ignored(), share=st.floats(0, 1))
@settings(max_examples=25)
def test_parts_make_the_whole(
    drawn: tuple[SoftmaxCrossEntropy, Array, Array, Array, Array | None], share: float
) -> None:
    """Parts of a batch, with other shares ignored in each, give the gradient of the whole by their total weights."""
    loss, logits, labels, kept, _ = drawn
    assert_parts_make_the_whole(loss, logits[kept.any(1)], labels[kept.any(1)], np.ones(kept.any(1).sum(), int), share)


def test_loss_with_ignored_labels_keeps_its_contract() -> None:
    """The public checker finds nothing wrong, with class weights and smoothing as well."""

    def targets(rng: np.random.Generator, x: Array) -> Array:
        labels = rng.integers(3, size=x.shape[:-1])
        labels[:, 1:][rng.random(labels[:, 1:].shape) < 0.5] = -100  # A sample alone is to have a loss.
        return labels

    check_loss(lambda: SoftmaxCrossEntropy(ignore_index=-100), (2, 3), targets=targets)
    check_loss(lambda: SoftmaxCrossEntropy(0.1, (1, 2, 5), ignore_index=-100), (2, 3), targets=targets)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weights", [None, (1, 2, 3)])
def test_all_ignored_is_a_mean_of_nothing(smoothing: float, class_weights: Any) -> None:
    """It is refused like weights of 0; a sum is 0, with no gradient; and so is the total weight."""
    logits, labels = np.ones((2, 3)), np.full(2, 255, np.uint8)
    loss = SoftmaxCrossEntropy(smoothing, class_weights, ignore_index=255)
    with pytest.raises(ShapeError, match="SoftmaxCrossEntropy expects at least one entry of weight above 0"):
        loss(logits, labels)
    assert loss.total_weight(labels) == 0
    value, cache = SoftmaxCrossEntropy(smoothing, class_weights, ignore_index=255, reduction="sum").forward(
        logits, labels
    )
    assert value == 0
    assert not loss.backward(cache).any()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
@pytest.mark.parametrize("ignored", [-100, 255, 10**30, 2])
def test_label_that_is_ignored_need_not_fit_into_the_labels(kind: type, ignored: int) -> None:
    """An index that the dtype of the labels does not hold ignores none of them."""
    loss = SoftmaxCrossEntropy(ignore_index=ignored)
    labels = np.array([0, 1, 2], kind)
    assert loss.total_weight(labels) == (2 if ignored == 2 else 3)
    assert loss(np.eye(3), labels) == pytest.approx(SoftmaxCrossEntropy()(np.eye(3), labels))


def test_other_labels_are_still_checked() -> None:
    """A label that is neither a class nor the ignored one is refused, at its place."""
    loss = SoftmaxCrossEntropy(ignore_index=-100)
    with pytest.raises(TargetError, match=re.escape("labels from 0 to 2, got -1 at index (1, 0)")):
        loss(np.zeros((2, 2, 3)), np.array([[0, -100], [-1, 2]]))
    with pytest.raises(DTypeError, match="expects integer labels, where there is an ignore_index, got probabilities"):
        loss(np.zeros((2, 3)), np.eye(3)[:2])
    for call in (lambda y: loss(np.zeros((2, 3)), y), loss.total_weight):
        with pytest.raises(DTypeError, match=r"integer labels, got 0.0 at index .*: write y.astype\(int\)"):
            call(np.array([0.0, -100.0]))
    assert SoftmaxCrossEntropy(ignore_index=0)(np.zeros((2, 2)), np.array([True, False])) == pytest.approx(np.log(2))


@pytest.mark.parametrize("index", [1.0, "a", True, np.nan, [1], (1,), np.array([1])])
def test_ignore_index_is_an_integer(index: Any) -> None:
    """Anything else is refused at construction."""
    with pytest.raises(ConfigError, match="SoftmaxCrossEntropy: ignore_index expects an integer, or None, got"):
        SoftmaxCrossEntropy(ignore_index=index)
    assert type(SoftmaxCrossEntropy(ignore_index=np.int8(-1)).ignore_index) is int  # type: ignore[arg-type]
