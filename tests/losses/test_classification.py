import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    BinaryCrossEntropy,
    ConfigError,
    DTypeError,
    Loss,
    MeanSquaredError,
    ShapeError,
    SoftmaxCrossEntropy,
    TargetError,
)
from minibackprop.validation import Array
from tests.finite_differences import assert_close, central_differences
from tests.losses.common import OF_RESIDUALS, assert_parts_make_the_whole, batches, probabilities

IGNORING = SoftmaxCrossEntropy(ignore_index=-100)

#: Logits of four samples and three classes.
LOGITS = np.zeros((4, 3))


# --- Yes and no -------------------------------------------------------------------------------------------------------


def naive_binary(prediction: Array, target: Array, weights: Array, reduction: str) -> tuple[float, Array]:
    """Compute ``-t log s - (1 - t) log(1 - s)`` entry by entry, as it is written, and ``s - t``."""
    per_entry = weights.reshape(-1, *[1] * (prediction.ndim - 1)) * np.ones(prediction.shape)
    value, slopes = 0.0, np.empty(prediction.shape)
    for index in np.ndindex(prediction.shape):
        s, t = 1 / (1 + math.exp(-prediction[index])), float(target[index])
        value -= per_entry[index] * (t * math.log(s) + (1 - t) * math.log(1 - s))
        slopes[index] = per_entry[index] * (s - t)
    divisor = float(per_entry.sum()) if reduction == "mean" else 1.0
    return value / divisor, slopes / divisor


@given(batch=batches(), kind=st.sampled_from(["bool", "int64", "uint8", "float64"]), weighted=st.booleans())
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_binary_cross_entropy_is_that_of_the_formula(
    reduction: str, batch: tuple[Array, Array, Array, np.random.Generator], kind: str, weighted: bool
) -> None:
    """Value and gradient are those of the probabilities, for targets of every kind."""
    prediction, _, weights, rng = batch
    target = rng.random(prediction.shape) if kind == "float64" else rng.integers(0, 2, prediction.shape).astype(kind)
    loss = BinaryCrossEntropy(reduction=reduction)
    value, cache = loss.forward(prediction, target, weights if weighted else None)
    expected, slopes = naive_binary(prediction, target, weights if weighted else np.ones(len(weights)), reduction)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(loss.backward(cache), slopes, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(loss.backward(cache, -0.5), -0.5 * slopes, rtol=1e-12, atol=1e-15)


@given(batch=batches(), share=st.floats(0, 1))
@settings(max_examples=20)
def test_binary_cross_entropy_splits(batch: tuple[Array, Array, Array, np.random.Generator], share: float) -> None:
    """Parts of a batch give the gradient of the whole."""
    prediction, _, weights, rng = batch
    for reduction in ("mean", "sum"):
        loss = BinaryCrossEntropy(reduction=reduction)
        assert_parts_make_the_whole(loss, prediction, rng.random(prediction.shape).round(1), weights, share)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e4), (np.float32, 3e38), (np.float64, 1e300)])
def test_binary_cross_entropy_takes_logits_of_any_size(dtype: type, size: float) -> None:
    """Certain and right costs nothing; certain and wrong costs the logit; the slopes are whole, and nothing warns."""
    prediction = np.array([[size], [size], [-size], [-size]], dtype)
    target = np.array([[1], [0], [0], [1]])
    loss = BinaryCrossEntropy()
    with np.errstate(all="raise"):
        value, cache = loss.forward(prediction / 4, target)
        found = loss.backward(cache)
    assert value == pytest.approx(size / 8, rel=1e-6)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [[0], [0.25], [0], [-0.25]])


def test_binary_cross_entropy_keeps_small_numbers() -> None:
    """Far from the boundary, the loss of the right answer is exp(-|p|), not 0, and so is the slope of a no."""
    loss = BinaryCrossEntropy()
    for logit, target in ((30.0, 1), (-30.0, 0)):
        value, cache = loss.forward(np.array([[logit]]), np.array([[target]]))
        assert value == pytest.approx(math.exp(-30), rel=1e-12)
    assert loss.backward(cache)[0, 0] == pytest.approx(math.exp(-30), rel=1e-12)


# --- Classes ----------------------------------------------------------------------------------------------------------


@st.composite
def classified(draw: st.DrawFn) -> tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator]:
    """Draw logits of any number of axes, labels, whole-number weights (not all 0), and a loss of any configuration."""
    _, _, weights, rng = draw(batches())
    positions = (len(weights), *draw(st.lists(st.integers(1, 3), max_size=2)))
    classes = draw(st.integers(2, 4))
    loss = SoftmaxCrossEntropy(
        draw(st.sampled_from([0.0, 0.1, 0.75])),
        draw(st.sampled_from([None, rng.uniform(0.1, 3, classes)])),
        reduction=draw(st.sampled_from(["mean", "sum"])),
    )
    return 2 * rng.normal(size=(*positions, classes)), rng.integers(0, classes, positions), weights, loss, rng


def naive_softmax(loss: SoftmaxCrossEntropy, prediction: Array, spread: Array, weights: Array) -> tuple[float, Array]:
    """Compute value and gradient position by position, class by class, with the formulas as they are written."""
    classes = prediction.shape[-1]
    of_classes = loss.class_weights or (1.0,) * classes
    value, divisor, slopes = 0.0, 0.0, np.zeros(prediction.shape)
    for place in np.ndindex(prediction.shape[:-1]):
        powers = [math.exp(logit) for logit in prediction[place]]
        of_place = float(weights[place[0]]) * sum(of_classes[c] * spread[(*place, c)] for c in range(classes))
        divisor += of_place
        for c in range(classes):
            count = of_place * ((1 - loss.label_smoothing) * spread[(*place, c)] + loss.label_smoothing / classes)
            value -= count * math.log(powers[c] / sum(powers))
            for other in range(classes):
                slopes[(*place, other)] += count * (powers[other] / sum(powers) - (c == other))
    divisor = divisor if loss.reduction == "mean" else 1.0
    return value / divisor, slopes / divisor


@given(drawn=classified(), kind=st.sampled_from(["labels", "one-hot", "probabilities"]), weighted=st.booleans())
def test_softmax_cross_entropy_is_that_of_the_formula(
    drawn: tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator], kind: str, weighted: bool
) -> None:
    """Value and gradient are those of the formula, for targets of every kind and every configuration."""
    prediction, labels, weights, loss, rng = drawn
    spread = probabilities(rng, prediction.shape) if kind == "probabilities" else np.eye(prediction.shape[-1])[labels]
    target = labels if kind == "labels" else spread
    value, cache = loss.forward(prediction, target, weights if weighted else None)
    expected, slopes = naive_softmax(loss, prediction, spread, weights if weighted else np.ones(len(weights)))
    assert type(value) is float
    assert value == pytest.approx(expected, rel=1e-11)
    np.testing.assert_allclose(loss.backward(cache), slopes, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(loss.backward(cache, -0.5), -0.5 * slopes, rtol=1e-11, atol=1e-14)


@given(drawn=classified(), weighted=st.booleans())
@settings(max_examples=20)
def test_gradient_of_softmax_cross_entropy_is_that_of_central_differences(
    drawn: tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator], weighted: bool
) -> None:
    """Backward gives the slope of forward."""
    prediction, labels, weights, loss, _ = drawn
    arguments = (labels, weights if weighted else None)
    value, cache = loss.forward(prediction, *arguments)
    slopes = central_differences(lambda: loss(prediction, *arguments), prediction)
    assert_close(loss.backward(cache), slopes, value, repr(loss))


@given(drawn=classified(), share=st.floats(0, 1), soft=st.booleans())
def test_softmax_cross_entropy_splits(
    drawn: tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator], share: float, soft: bool
) -> None:
    """Parts of a batch, with other classes in each, give the gradient of the whole by their total weights."""
    prediction, labels, weights, loss, rng = drawn
    target = probabilities(rng, prediction.shape) if soft else labels
    assert_parts_make_the_whole(loss, prediction, target, weights, share)


@given(drawn=classified(), label_dtype=st.sampled_from([np.int8, np.uint8, np.int32, np.uint64]))
@settings(max_examples=25)
def test_labels_and_one_hot_rows_are_the_same(
    drawn: tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator], label_dtype: type
) -> None:
    """A label is the same in every integer type, and as a row of floats or bools; of integers without class weights."""
    prediction, labels, weights, loss, _ = drawn
    value, cache = loss.forward(prediction, labels, weights)
    one_hot = np.eye(prediction.shape[-1])[labels]
    kinds = [np.float64, np.float32, np.bool_] + ([] if loss.class_weights else [np.int64, np.uint8])
    for target in (labels.astype(label_dtype), *(one_hot.astype(kind) for kind in kinds)):
        found, other = loss.forward(prediction, target, weights)
        assert found == pytest.approx(value)
        np.testing.assert_allclose(loss.backward(other), loss.backward(cache), rtol=1e-12, atol=1e-15)
        if loss.class_weights:
            assert loss.total_weight(target, weights) == pytest.approx(loss.total_weight(labels, weights))


@given(drawn=classified())
@settings(max_examples=25)
def test_float32_logits_have_float32_gradients(
    drawn: tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator],
) -> None:
    """Whatever targets, weights and scale are made of, and to float32's own precision."""
    prediction, labels, weights, loss, rng = drawn
    single = prediction.astype(np.float32)
    for target in (labels, probabilities(rng, prediction.shape)):
        for chosen in (None, weights, weights.astype(np.float64)):
            for scale in (1.0, np.float64(0.25)):
                value, cache = loss.forward(single, target, chosen)
                found = loss.backward(cache, scale)
                expected, exact = loss.forward(single.astype(float), target, chosen)
                assert found.dtype == np.float32
                assert value == pytest.approx(expected, rel=1e-5)
                np.testing.assert_allclose(found, loss.backward(exact, scale), rtol=1e-4, atol=1e-5)


@given(drawn=classified(), order=st.permutations([0, 1, 2]))
@settings(max_examples=25)
def test_layout_in_memory_does_not_matter(
    drawn: tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator], order: list[int]
) -> None:
    """Logits, labels and weights may be strided in any way: the gradient reaches the right entries."""
    _, _, _, loss, rng = drawn
    classes = len(loss.class_weights or (1.0, 1.0, 1.0))
    shape = (3, 2, classes)
    prediction = rng.normal(size=[shape[axis] for axis in order]).transpose(np.argsort(order))
    labels, weights = rng.integers(0, classes, (2, 6)).T[::-1][::2, ::-1], np.arange(1, 7)[::-2]
    value, cache = loss.forward(prediction, labels, weights)
    plain, plain_cache = loss.forward(prediction.copy("C"), labels.copy("C"), weights.copy("C"))
    assert value == pytest.approx(plain)
    np.testing.assert_allclose(loss.backward(cache), loss.backward(plain_cache), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e4), (np.float64, 1e300)])
@pytest.mark.parametrize("soft", [False, True])
def test_softmax_cross_entropy_takes_logits_of_any_size(dtype: type, size: float, soft: bool) -> None:
    """Certain and right costs nothing; certain and wrong costs the distance of the logits; nothing warns."""
    prediction = np.array([[size, -size, 0], [size, -size, 0]], dtype)
    target = np.eye(3)[[0, 1]] if soft else np.array([0, 1])
    loss = SoftmaxCrossEntropy()
    with np.errstate(all="raise"):
        value, cache = loss.forward(prediction, target)
        found = loss.backward(cache)
    assert value == size
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [[0, 0, 0], [0.5, -0.5, 0]])


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.1), SoftmaxCrossEntropy(0, [1, 2, 3])])
def test_logits_too_far_apart_for_their_type_give_no_nan(loss: Loss) -> None:
    """Where the distance of two logits is no number of their type, the loss is infinite or huge, its slopes finite."""
    prediction = np.array([[3e38, -3e38, 0]], np.float32)
    for target in (np.array([1]), np.eye(3)[[1]]):
        with np.errstate(all="raise"):
            value, cache = loss.forward(prediction, target)
            found = loss.backward(cache)
        assert value > 1e37
        assert found[0, 0] > 0 > found[0, 1]
        assert np.isfinite(found).all()


def test_what_counts_nothing_may_be_too_far_apart() -> None:
    """A class of probability 0, or a sample of weight 0, takes no part in the loss, not even as 0 times infinity."""
    prediction, loss = np.array([[3e38, -3e38, 0]], np.float32), SoftmaxCrossEntropy()
    assert loss(prediction, np.eye(3)[[0]]) == 0
    assert loss(prediction.repeat(2, axis=0), np.array([0, 1]), np.array([1.0, 0.0])) == 0


def test_equal_logits_cost_the_logarithm_of_their_number() -> None:
    """Who knows nothing pays log C, whatever the labels, their smoothing and the weights of their classes."""
    labels = np.array([[0, 3], [1, 1], [2, 0]])
    for loss in (SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.3)):
        assert loss(np.full((3, 2, 4), 7.0), labels) == pytest.approx(math.log(4))
    assert SoftmaxCrossEntropy(0, [1, 2, 3, 4])(np.zeros((3, 2, 4)), labels) == pytest.approx(math.log(4))


def test_smoothed_labels_are_those_of_their_source() -> None:
    """Smoothing by e makes a row of 1 - e + e/C and e/C (Szegedy et al. 2016), not of 1 - e and e/(C - 1)."""
    logits = np.array([[2.0, -1.0, 0.5, 0.0]])
    smooth = np.array([[0.025, 0.025, 0.925, 0.025]])
    value, cache = SoftmaxCrossEntropy(0.1).forward(logits, np.array([2]))
    expected, expected_cache = SoftmaxCrossEntropy().forward(logits, smooth)
    assert value == pytest.approx(expected)
    found = SoftmaxCrossEntropy().backward(cache)
    np.testing.assert_allclose(found, SoftmaxCrossEntropy().backward(expected_cache), rtol=1e-12)
    # At the logits of the smoothed row itself there is nothing left to learn.
    _, cache = SoftmaxCrossEntropy(0.1).forward(np.log(smooth), np.array([2]))
    # But for some dozens of roundings: a logarithm of 4 is off by 12 to begin with.
    np.testing.assert_allclose(SoftmaxCrossEntropy().backward(cache), 0, atol=1e-14)


def test_class_weights_divide_by_the_weights_of_the_labels() -> None:
    """The mean of classes a, a, b with weights 1 and 3 is (l1 + l2 + 3 l3) / 5, and what it divides by is 5."""
    loss = SoftmaxCrossEntropy(class_weights=(1.0, 3.0))
    logits, labels = np.array([[0.5, 0.0], [2.0, -1.0], [1.0, 1.5]]), np.array([0, 0, 1])
    one, two, three = (SoftmaxCrossEntropy()(logits[[row]], labels[[row]]) for row in range(3))
    assert loss(logits, labels) == pytest.approx((one + two + 3 * three) / 5)
    assert loss.total_weight(labels) == 5
    assert loss.total_weight(labels, np.array([1, 0, 2])) == 7
    assert loss.total_weight(np.array([[0.5, 0.5], [0.0, 1.0]])) == 5
    assert SoftmaxCrossEntropy().total_weight(labels) == 3


@given(drawn=classified(), soft=st.booleans())
@settings(max_examples=25)
def test_class_weights_are_weights_of_samples(
    drawn: tuple[Array, Array, Array, SoftmaxCrossEntropy, np.random.Generator], soft: bool
) -> None:
    """Weighing classes is weighing each position by its label's class, smoothed or not; or by its probabilities."""
    prediction, labels, weights, loss, rng = drawn
    of_classes = rng.uniform(0.1, 3, prediction.shape[-1])
    target = probabilities(rng, prediction.shape) if soft else labels
    places = (target @ of_classes if soft else of_classes[labels]) * weights.reshape(-1, *[1] * (labels.ndim - 1))
    by_class = SoftmaxCrossEntropy(loss.label_smoothing, of_classes, reduction=loss.reduction)
    by_place = SoftmaxCrossEntropy(loss.label_smoothing, reduction=loss.reduction)
    value, cache = by_class.forward(prediction, target, weights)
    expected, other = by_place.forward(prediction, target, places)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(by_class.backward(cache), by_place.backward(other), rtol=1e-11, atol=1e-15)
    assert by_class.total_weight(target, weights) == pytest.approx(places.sum(), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("one_hot", [False, True])
def test_weighted_classes_are_learned_with_smoothed_labels(smoothing: float, one_hot: bool) -> None:
    """Where each class is told by an input of its own, all are learned, whatever weight a single rare sample has."""
    labels = np.r_[np.zeros(50, int), np.ones(49, int), 2]
    balanced = len(labels) / (3 * np.bincount(labels))
    loss = SoftmaxCrossEntropy(smoothing, balanced)
    logits = np.zeros((3, 3))  # A row for each input.
    for _ in range(200):
        _, cache = loss.forward(logits[labels], np.eye(3)[labels] if one_hot else labels)
        np.subtract.at(logits, labels, 2 * loss.backward(cache))
    np.testing.assert_array_equal(logits.argmax(axis=1), [0, 1, 2])


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("places", [(3,), (3, 2)])
@pytest.mark.parametrize(
    "loss",
    [*OF_RESIDUALS, BinaryCrossEntropy(), SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.1, (1, 2)), IGNORING],
    ids=repr,
)
def test_weights_are_finite_and_not_negative(loss: Loss, places: tuple[int, ...], weight: float) -> None:
    """A weight that would turn a loss around, or make NaN of it, is refused with its place; in `total_weight` too."""
    weights = np.ones(places)
    weights[-1] = weight
    prediction = np.zeros((3, 2, 2))
    target = np.zeros((3, 2), int) if isinstance(loss, SoftmaxCrossEntropy) else np.zeros((3, 2, 2))
    index = (2,) if len(places) == 1 else (2, 0)
    message = re.escape(f"(weights) expects finite numbers of at least 0, got {weight} at index {index}")
    for call in (lambda: loss(prediction, target, weights), lambda: loss.total_weight(target, weights)):
        with pytest.raises(ConfigError, match=message):
            call()


@pytest.mark.parametrize("loss", [MeanSquaredError(), BinaryCrossEntropy(), SoftmaxCrossEntropy()])
def test_narrow_weights_do_not_overflow(loss: Loss) -> None:
    """A sum of float16 weights may lie beyond the largest of them, and one of int8 beyond 127."""
    prediction = np.zeros((3, 2))
    target = np.eye(2)[[0, 1, 1]]
    for weights in (np.full(3, 60000, np.float16), np.full(3, 100, np.int8), np.ones(3, bool)):
        assert loss(prediction, target, weights) == pytest.approx(loss(prediction, target))
        assert loss.total_weight(target, weights) == 3.0 * float(weights[0])


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy()])
@pytest.mark.parametrize(
    "prediction", [np.zeros((4, 3), int), np.zeros((4, 3), complex), np.full((4, 3), "a"), [[0.0] * 3] * 4, None]
)
def test_logits_are_floats(loss: Loss, prediction: Any) -> None:
    """Logits that are no array of floating-point numbers are refused."""
    with pytest.raises(DTypeError, match=rf"{type(loss).__name__}.* expects (a|real)"):
        loss(prediction, np.eye(3)[[0, 1, 2, 0]])


@pytest.mark.parametrize("shape", [(), (3,), (4, 1), (4, 0), (4, 3, 1)])
def test_logits_are_of_two_classes_at_least(shape: tuple[int, ...]) -> None:
    """One class costs nothing whatever is predicted: that is a mistake, for which another loss was meant."""
    with pytest.raises(ShapeError, match=re.escape(f"(N, ..., C), for at least two classes, got {shape}")):
        SoftmaxCrossEntropy()(np.zeros(shape), np.zeros(shape[:-1], int))


@pytest.mark.parametrize(("shape", "bad"), [((4, 3), (3,)), ((4, 3), (4, 1)), ((4, 2, 3), (4, 3))])
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.1), BinaryCrossEntropy()], ids=repr)
def test_weights_are_of_samples(loss: Loss, shape: tuple[int, ...], bad: tuple[int, ...]) -> None:
    """Weights are one for each sample, or for each of its positions."""
    target = np.broadcast_to(np.eye(3)[0], shape)
    with pytest.raises(ShapeError, match=r"expects weights of shape \(4,\)"):
        loss(np.zeros(shape), target, np.ones(bad))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2, np.nan, "0", None, True])
def test_smoothing_leaves_something_of_the_label(smoothing: object) -> None:
    """A smoothing of 1 would forget the labels."""
    with pytest.raises(ConfigError, match="SoftmaxCrossEntropy: label_smoothing expects a number of at least 0"):
        SoftmaxCrossEntropy(smoothing)


@pytest.mark.parametrize(
    ("class_weights", "message"),
    [
        ([1.0, 0.0], "positive finite numbers, got 0.0 at index 1"),
        ([-1, 2], "positive finite numbers, got -1 at index 0"),
        ([1.0, np.inf], "positive finite numbers, got inf at index 1"),
        ([np.nan], "positive finite numbers, got nan at index 0"),
        (["1", "2"], "positive finite numbers, got '1' at index 0"),
        ([True, 2], "positive finite numbers, got True at index 0"),
        (np.ones((2, 2)), "positive finite numbers, got array"),
        ("balanced", "a sequence of numbers, one for each class, got 'balanced'"),
        ({0: 1.0, 1: 2.0}, "a sequence of numbers, one for each class, got {0: 1.0, 1: 2.0}"),
        (3.0, "a sequence of numbers, one for each class, got 3.0"),
    ],
)
def test_class_weights_are_positive_numbers(class_weights: Any, message: str) -> None:
    """A weight that cannot weigh is refused at construction, with its place."""
    with pytest.raises(ConfigError, match=rf"SoftmaxCrossEntropy: class_weights expects {re.escape(message)}"):
        SoftmaxCrossEntropy(class_weights=class_weights)


@pytest.mark.parametrize("given", [(1, 2.5), [1.0, 2.5], np.array([1.0, 2.5])])
def test_class_weights_are_kept_as_a_tuple(given: Any) -> None:
    """Any sequence does; what is kept are Python's numbers."""
    kept = SoftmaxCrossEntropy(class_weights=given).class_weights
    assert kept == (1.0, 2.5)
    assert isinstance(kept, tuple)
    assert {type(weight) for weight in kept} == {float}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda loss: loss(np.zeros((4, 2)), np.zeros(4, int)), ShapeError, "a prediction of 3 classes, one for each"),
        (
            lambda loss: loss(LOGITS, np.eye(3, dtype=int)[[0, 1, 2, 0]]),
            DTypeError,
            "one-hot targets of floats or bools",
        ),
        (lambda loss: loss.total_weight(np.array([0, 3])), TargetError, "labels from 0 to 2, got 3 at index (1,)"),
        (lambda loss: loss.total_weight(np.eye(4)), ShapeError, "integer labels, or probabilities of 3 classes"),
        (lambda loss: loss.total_weight(np.zeros(())), ShapeError, "integer labels, or probabilities of 3 classes"),
        (lambda loss: loss.total_weight([0, 1]), DTypeError, "an array of numbers"),
        (lambda loss: loss.total_weight(np.array([0, 1]), np.ones(3)), ShapeError, "weights of shape (2,)"),
    ],
)
def test_class_weights_fit_the_classes(call: Callable[[Loss], object], error: type[Exception], message: str) -> None:
    """Another number of classes than weights is refused, and integers that may be labels or one-hot."""
    with pytest.raises(error, match=re.escape(message)):
        call(SoftmaxCrossEntropy(class_weights=(1, 2, 3)))
