import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minibackprop import (
    BinaryCrossEntropy,
    ConfigError,
    DTypeError,
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    ShapeError,
    SoftmaxCrossEntropy,
    TargetError,
)
from minibackprop.validation import Array
from tests.finite_differences import assert_close, central_differences
from tests.random_models import leading_axes, seeds

OF_RESIDUALS = (
    HalfSquaredError(),
    *(
        make(reduction=reduction)
        for make in (MeanSquaredError, MeanAbsoluteError, Huber)
        for reduction in ("mean", "sum")
    ),
    Huber(0.3),
)
each_loss = pytest.mark.parametrize("loss", OF_RESIDUALS, ids=repr)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Array, Array, Array, np.random.Generator]:
    """Draw predictions, targets and whole-number weights (not all 0) of up to five samples with any further axes."""
    rng = np.random.default_rng(draw(seeds))
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
    assume(weights.any())
    shape = (len(weights), *draw(leading_axes))
    return rng.normal(size=shape), rng.normal(size=shape), weights, rng


@each_loss
@given(batch=batches(), weighted=st.booleans(), scale=st.sampled_from([1.0, 2.0]) | st.floats(-3, 3))
@settings(max_examples=20)
def test_gradient_is_that_of_central_differences(
    loss: Loss, batch: tuple[Array, Array, Array, np.random.Generator], weighted: bool, scale: float
) -> None:
    """Backward gives `scale` times the slope of forward, with weights and without."""
    prediction, target, weights, _ = batch
    arguments = (target, weights if weighted else None)
    value, cache = loss.forward(prediction, *arguments)
    found = loss.backward(cache, scale)
    slopes = central_differences(lambda: scale * loss(prediction, *arguments), prediction)
    assert_close(found, slopes, abs(scale) * value, type(loss).__name__)


@given(batch=batches())
def test_values_are_those_of_the_formulas(batch: tuple[Array, Array, Array, np.random.Generator]) -> None:
    """The losses are sums over samples and entries, or means."""
    prediction, target, _, _ = batch
    errors = [abs(float(p) - float(t)) for p, t in zip(prediction.flat, target.flat, strict=True)]
    squares = [error**2 for error in errors]
    robust = [error**2 / 2 if error < 0.3 else 0.3 * error - 0.3**2 / 2 for error in errors]
    assert HalfSquaredError()(prediction, target) == pytest.approx(sum(squares) / 2)
    for make, terms in (
        (MeanSquaredError, squares),
        (MeanAbsoluteError, errors),
        (lambda **reduction: Huber(0.3, **reduction), robust),
    ):
        assert make()(prediction, target) == pytest.approx(sum(terms) / len(terms))
        assert make(reduction="sum")(prediction, target) == pytest.approx(sum(terms))


@each_loss
def test_no_error_has_no_loss_and_no_slope(loss: Loss) -> None:
    """Where the prediction is the target, the loss is 0 and so is its gradient, at the kink of the sizes too."""
    prediction = np.array([[0.5, -1.0], [0.0, 3.0]])
    value, cache = loss.forward(prediction, prediction.copy())
    assert value == 0
    np.testing.assert_array_equal(loss.backward(cache), 0)


def test_slopes_of_robust_losses_are_bounded() -> None:
    """An outlier pulls no harder than `delta`, and in units of the sizes not harder than 1."""
    prediction, target = np.array([[0.25], [-1e300]]), np.zeros((2, 1))
    for loss, slopes in ((Huber(0.5, reduction="sum"), [[0.25], [-0.5]]), (MeanAbsoluteError(), [[0.5], [-0.5]])):
        value, cache = loss.forward(prediction, target)
        assert value == pytest.approx(5e299)
        np.testing.assert_array_equal(loss.backward(cache), slopes)


def test_delta_may_be_too_large_or_too_small_for_the_dtype() -> None:
    """A delta beyond float32 makes half the squares; one below it, no loss at all: neither warns."""
    prediction, target = np.array([[3.0]], np.float32), np.zeros((1, 1), np.float32)
    assert Huber(1e300)(prediction, target) == 4.5
    assert Huber(1e-300)(prediction, target) == 0


@each_loss
@given(batch=batches())
@settings(max_examples=20)
def test_weight_counts_a_sample_that_often(loss: Loss, batch: tuple[Array, Array, Array, np.random.Generator]) -> None:
    """A sample of weight w is worth w samples of weight 1, in the loss and in the gradient; weight 0 is no sample."""
    prediction, target, weights, _ = batch
    value, cache = loss.forward(prediction, target, weights)
    repeated_value, repeated_cache = loss.forward(prediction.repeat(weights, axis=0), target.repeat(weights, axis=0))
    assert value == pytest.approx(repeated_value)
    repeated = loss.backward(repeated_cache)
    rows = np.arange(len(weights)).repeat(weights)
    summed = np.array([repeated[rows == row].sum(axis=0) for row in range(len(weights))])
    np.testing.assert_allclose(loss.backward(cache), summed, rtol=1e-12, atol=1e-12)


@given(batch=batches(), share=st.floats(0, 1))
def test_split_batch_gives_the_gradient_of_the_whole(
    batch: tuple[Array, Array, Array, np.random.Generator], share: float
) -> None:
    """Parts of a batch, scaled by their share of it (a mean) or by 1 (a sum), give the gradient of the whole."""
    prediction, target, weights, _ = batch
    for loss in OF_RESIDUALS:
        assert_parts_make_the_whole(loss, prediction, target, weights, share)
        assert loss.total_weight(target) == len(target)
        assert loss.total_weight(target, weights) == weights.sum()


def assert_parts_make_the_whole(loss: Loss, prediction: Array, target: Array, weights: Array, share: float) -> None:
    """Assemble value and gradient from two parts, by the loss's own account of what they count."""
    cut = round(share * len(weights))
    whole, cache = loss.forward(prediction, target, weights)
    assembled, value = np.zeros_like(prediction), 0.0
    for part in (slice(cut), slice(cut, None)):
        if weights[part].any():
            scale = loss.total_weight(target[part], weights[part]) / loss.total_weight(target, weights)
            scale = 1 if loss.reduction == "sum" else scale
            of_part, part_cache = loss.forward(prediction[part], target[part], weights[part])
            value += scale * of_part
            assembled[part] = loss.backward(part_cache, scale)
    assert value == pytest.approx(whole)
    np.testing.assert_allclose(assembled, loss.backward(cache), rtol=1e-12, atol=1e-12)


def test_who_says_nothing_is_a_mean() -> None:
    """A loss of the user's needs no more than forward and backward; it is then taken for a mean over samples."""

    class Plain(Loss):
        def forward(self, prediction: Array, target: Array, weights: Array | None = None, /) -> tuple[float, Array]:
            return float((prediction - target).mean()), prediction

        def backward(self, prediction: Array, scale: float = 1.0, /) -> Array:
            return np.full_like(prediction, scale / prediction.size)

    loss = Plain()
    assert loss.reduction == "mean"
    assert loss.total_weight(np.zeros((3, 2))) == 3
    assert loss.total_weight(np.zeros((2, 2)), np.array([0.5, 3.0])) == 3.5
    assert HalfSquaredError().reduction == "sum"


@each_loss
@given(
    target_dtype=st.sampled_from([np.float64, np.float16, np.int64, np.uint8, np.bool_]),
    weights=st.sampled_from([None, np.array([0.5, 2.0]), np.array([1, 3])]),
    scale=st.sampled_from([1.0, 0.25, np.float64(0.25)]),
)
@settings(max_examples=20)
def test_gradient_has_the_dtype_of_the_prediction(
    loss: Loss, target_dtype: type, weights: Array | None, scale: float
) -> None:
    """A float32 prediction gets a float32 gradient, whatever the target, the weights and the scale are made of."""
    prediction = np.array([[0.5, -0.25], [0.75, 2.0]], np.float32)
    target = np.array([[0, 1], [1, 1]])
    value, cache = loss.forward(prediction, target.astype(target_dtype), weights)
    found = loss.backward(cache, scale)
    assert found.dtype == np.float32
    assert type(value) is float
    expected = loss.backward(loss.forward(prediction.astype(float), target.astype(float), weights)[1], scale)
    # In float32, exp may be off by 9 roundings of 6e-8, and s - 1 is up to 8 times smaller than s is here.
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@each_loss
def test_unsigned_target_does_not_wrap_around(loss: Loss) -> None:
    """An unsigned target is subtracted as the number that it is, above the prediction too."""
    assert loss(np.array([[1.0]]), np.array([[3]], np.uint8)) == loss(np.array([[1.0]]), np.array([[3.0]]))


@each_loss
@pytest.mark.parametrize("shape", [(3,), (1, 1), (3, 2), (2, 1), (3, 1, 1), ()])
def test_shapes_must_match_exactly(loss: Loss, shape: tuple[int, ...]) -> None:
    """A target that NumPy would broadcast against the prediction is refused like any other that does not match."""
    with pytest.raises(ShapeError, match=rf"expects a target of .*\(3, 1\), got {re.escape(str(shape))}"):
        loss(np.zeros((3, 1)), np.zeros(shape))


@each_loss
@pytest.mark.parametrize("shape", [(2,), (3, 2), (1,), (), (3, 1, 1)])
def test_weights_are_one_a_sample(loss: Loss, shape: tuple[int, ...]) -> None:
    """Weights must be as many as samples, or as the places in them."""
    with pytest.raises(ShapeError, match=r"expects weights of shape \(3,\)"):
        loss(np.zeros((3, 1)), np.zeros((3, 1)), np.ones(shape))


@each_loss
@pytest.mark.parametrize("bad", ["text", [[1.0]], np.array([["a"]]), np.array([[1.0]], object), None])
def test_only_arrays_of_numbers_are_compared(loss: Loss, bad: object) -> None:
    """What is no array of numbers is refused, on either side."""
    good = np.ones((1, 1))
    with pytest.raises(DTypeError, match="expects an array of numbers"):
        loss(good, bad)
    with pytest.raises(DTypeError, match="expects an array of numbers"):
        loss(bad, good)


REDUCED = (MeanSquaredError, MeanAbsoluteError, Huber, BinaryCrossEntropy, SoftmaxCrossEntropy)


@pytest.mark.parametrize("make", REDUCED)
@pytest.mark.parametrize(("size", "weights"), [(0, None), (2, np.zeros(2))])
def test_mean_of_nothing_is_refused(make: Callable[..., Loss], size: int, weights: Array | None) -> None:
    """The mean over no sample, or over samples of weight 0, is an error and no NaN."""
    with pytest.raises(ShapeError, match=f"{make.__name__} expects at least one entry of weight above 0"):
        make()(np.zeros((size, 2)), np.eye(2)[:size], weights)


@pytest.mark.parametrize("loss", [HalfSquaredError(), *(make(reduction="sum") for make in REDUCED)])
def test_sum_over_nothing_is_zero(loss: Loss) -> None:
    """The sum over no sample is 0, with an empty gradient."""
    value, cache = loss.forward(np.zeros((0, 3)), np.zeros((0, 3)))
    assert value == 0
    assert loss.backward(cache).shape == (0, 3)


@pytest.mark.parametrize("make", REDUCED)
@pytest.mark.parametrize("reduction", ["none", "Mean", "", None, 1, np.zeros(2)])
def test_reductions_are_two(make: Callable[..., Loss], reduction: object) -> None:
    """There is the mean and the sum, said by keyword."""
    with pytest.raises(ConfigError, match=f"{make.__name__}: reduction expects 'mean' or 'sum', got"):
        make(reduction=reduction)


@pytest.mark.parametrize("delta", [0, -1.0, np.inf, np.nan, "1", None, True])
def test_delta_is_positive(delta: object) -> None:
    """A delta of 0 would be no loss, an infinite one no `Huber`."""
    with pytest.raises(ConfigError, match="Huber: delta expects a positive finite number"):
        Huber(delta)


@pytest.mark.parametrize(
    "loss", [*OF_RESIDUALS, BinaryCrossEntropy(), SoftmaxCrossEntropy(0.1, [1, 2.5], reduction="sum")], ids=repr
)
def test_configuration_is_shown_compared_and_kept(loss: Loss) -> None:
    """The repr of a loss makes an equal one; its arguments are attributes that JSON can hold; nothing can be set."""
    assert eval(repr(loss)) == loss
    names = [field.alias for field in getattr(type(loss), "__attrs_attrs__", ())]
    arguments = {name: getattr(loss, name) for name in names}
    assert type(loss)(**json.loads(json.dumps(arguments))) == loss
    with pytest.raises(AttributeError):
        loss.reduction = "sum"


@each_loss
def test_objects_are_no_numbers_even_where_the_dtypes_agree(loss: Loss) -> None:
    """Two arrays of Python objects are refused, like one."""
    objects = np.ones((2, 1), dtype=object)
    with pytest.raises(DTypeError, match="prediction"):
        loss(objects, objects)


@each_loss
@pytest.mark.parametrize("weights", [[1.0, 2.0], np.array(["1", "2"]), np.array([1.0, 2.0], dtype=object)])
def test_weights_are_numbers(loss: Loss, weights: object) -> None:
    """Weights that are no array of numbers are refused."""
    with pytest.raises(DTypeError, match=r"\(weights\) expects an array of numbers"):
        loss(np.ones((2, 1)), np.zeros((2, 1)), weights)


# Cross-entropies: from here on, predictions are logits -------------------------------------------------------------


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
        ([[0j], [1]], DTypeError, "a target of real numbers"),
    ],
)
def test_binary_targets_are_checked(target: list[Any], error: type[Exception], message: str) -> None:
    """What is no share of yes is refused, with its value and place."""
    with pytest.raises(error, match=rf"BinaryCrossEntropy.* expects {re.escape(message)}"):
        BinaryCrossEntropy()(np.zeros((2, 1)), np.array(target))


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


def probabilities(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw rows that add up to 1, some of their entries 0."""
    raw = rng.random(shape) * (rng.random(shape) < 0.7)
    raw[..., 0] += 0.1
    return raw / raw.sum(axis=-1, keepdims=True)


def naive_softmax(loss: SoftmaxCrossEntropy, prediction: Array, spread: Array, weights: Array) -> tuple[float, Array]:
    """Compute value and gradient position by position, class by class, with the formulas as they are written."""
    classes = prediction.shape[-1]
    of_classes = loss.class_weights or (1.0,) * classes
    value, divisor, slopes = 0.0, 0.0, np.zeros(prediction.shape)
    for place in np.ndindex(prediction.shape[:-1]):
        powers = [math.exp(logit) for logit in prediction[place]]
        for c in range(classes):
            smooth = (1 - loss.label_smoothing) * spread[(*place, c)] + loss.label_smoothing / classes
            count = float(weights[place[0]]) * of_classes[c] * smooth
            value -= count * math.log(powers[c] / sum(powers))
            divisor += float(weights[place[0]]) * of_classes[c] * spread[(*place, c)]
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


LOGITS = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (np.array([0, 1, 3, 2]), TargetError, "labels from 0 to 2, got 3 at index (2,)"),
        (np.array([0, -1, 1, 2]), TargetError, "labels from 0 to 2, got -1 at index (1,)"),
        (np.array([0, -128, 1, 2], np.int8), TargetError, "labels from 0 to 2, got -128 at index (1,)"),
        (np.array([0, 0, 0, 2**64 - 1], np.uint64), TargetError, f"labels from 0 to 2, got {2**64 - 1} at index (3,)"),
        (np.array([1.0, 2.0, 0.0, 0.0]), DTypeError, "integer labels, got 1.0 at index (0,) (float64)"),
        (np.array([True, False, False, True]), DTypeError, "integer labels, got True at index (0,) (bool)"),
        (np.array(["a", "b", "c", "a"]), DTypeError, "integer labels, got a at index (0,) (<U1)"),
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


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), BinaryCrossEntropy()])
@pytest.mark.parametrize(
    "prediction", [np.zeros((4, 3), int), np.zeros((4, 3), complex), np.full((4, 3), "a"), [[0.0] * 3] * 4, None]
)
def test_logits_are_floats(loss: Loss, prediction: Any) -> None:
    """Logits that are no array of floating-point numbers are refused."""
    with pytest.raises(DTypeError, match=rf"{type(loss).__name__}.* expects a"):
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


PLACES = {
    "squares": (MeanSquaredError(), lambda rng, shape: rng.normal(size=shape)),
    "half squares": (HalfSquaredError(), lambda rng, shape: rng.normal(size=shape)),
    "sizes": (MeanAbsoluteError(), lambda rng, shape: rng.normal(size=shape)),
    "Huber": (Huber(), lambda rng, shape: rng.normal(size=shape)),
    "binary": (BinaryCrossEntropy(), lambda rng, shape: rng.random(shape)),
    "labels": (SoftmaxCrossEntropy(), lambda rng, shape: rng.integers(0, shape[-1], shape[:-1])),
    "smoothed": (SoftmaxCrossEntropy(label_smoothing=0.1), lambda rng, shape: rng.integers(0, shape[-1], shape[:-1])),
    "classes": (
        SoftmaxCrossEntropy(class_weights=[1.0, 2.0, 3.0]),
        lambda rng, shape: rng.integers(0, shape[-1], shape[:-1]),
    ),
    "probabilities": (SoftmaxCrossEntropy(), lambda rng, shape: rng.dirichlet(np.ones(shape[-1]), shape[:-1])),
    "sum": (SoftmaxCrossEntropy(reduction="sum"), lambda rng, shape: rng.integers(0, shape[-1], shape[:-1])),
}


@pytest.mark.parametrize("name", PLACES)
def test_weights_of_places_leave_padding_out(name: str) -> None:
    """The loss of sequences, weighed with 1 where they are real and 0 in padding, is that of the real steps alone."""
    loss, draw = PLACES[name]
    rng = np.random.default_rng(0)
    shape = (4, 5, 3)
    prediction, target = rng.normal(size=shape), draw(rng, shape)
    real = np.arange(5) < np.array([[5], [2], [0], [3]])
    value, cache = loss.forward(prediction, target, real.astype(float))
    expected, flat = loss.forward(prediction[real], target[real])
    np.testing.assert_allclose(value, expected, rtol=1e-13)  # Up to 60 terms, in another order.
    grad = loss.backward(cache)
    np.testing.assert_allclose(grad[real], loss.backward(flat), rtol=1e-13)
    assert not grad[~real].any()
    half = real * 0.5
    shares = loss.total_weight(target, half) / loss.total_weight(target, real.astype(float))
    assert np.isclose(shares, 0.5)


def test_weights_of_entries_are_refused_where_classes_are_one() -> None:
    """Weights are for samples or places; not for each class."""
    with pytest.raises(ShapeError, match=r"expects weights of shape \(2,\), or of more leading axes, got \(2, 3\)"):
        SoftmaxCrossEntropy().forward(np.zeros((2, 3)), np.zeros(2, int), np.ones((2, 3)))
    with pytest.raises(ShapeError, match="weights"):
        MeanSquaredError().forward(np.zeros((2, 3)), np.zeros((2, 3)), np.array(1.0))
