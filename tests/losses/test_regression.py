import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    ConfigError,
    DTypeError,
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    ShapeError,
)
from minibackprop.validation import Array
from tests.finite_differences import assert_close, central_differences
from tests.losses.common import OF_RESIDUALS, assert_parts_make_the_whole, batches

each_loss = pytest.mark.parametrize("loss", OF_RESIDUALS, ids=repr)


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


@pytest.mark.parametrize("delta", [0, -1.0, np.inf, np.nan, "1", None, True])
def test_delta_is_positive(delta: object) -> None:
    """A delta of 0 would be no loss, an infinite one no `Huber`."""
    with pytest.raises(ConfigError, match="Huber: delta expects a positive finite number"):
        Huber(delta)


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
@given(
    prediction=st.lists(st.integers(0, 100), min_size=1, max_size=4),
    kinds=st.tuples(*[st.sampled_from([np.uint8, np.int8, np.uint64, np.int64, np.bool_, np.float64])] * 2),
)
@settings(max_examples=20)
def test_integers_are_the_numbers_that_they_are(loss: Loss, prediction: list[int], kinds: tuple[type, type]) -> None:
    """Integers and bools on either side give what floats give: none wraps around, and no target is rounded."""
    p, t = np.array(prediction).astype(kinds[0]), (np.array(prediction)[::-1] + 0.5).astype(kinds[1])
    value, cache = loss.forward(p, t)
    expected, exact = loss.forward(p.astype(float), t.astype(float))
    assert value == expected
    np.testing.assert_array_equal(loss.backward(cache), loss.backward(exact))


@each_loss
def test_complex_numbers_are_refused(loss: Loss) -> None:
    """No imaginary part is dropped, of the prediction, the target or the weights."""
    real, imaginary = np.ones((2, 1)), np.full((2, 1), 1j)
    for arguments in ((imaginary, real), (real, imaginary), (imaginary, imaginary), (real, real, imaginary[:, 0])):
        with pytest.raises(DTypeError, match="expects real numbers, got "):
            loss(*arguments)


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
@pytest.mark.parametrize("weights", [[1.0, 2.0], np.array(["1", "2"]), np.array([1.0, 2.0], dtype=object)])
def test_weights_are_numbers(loss: Loss, weights: object) -> None:
    """Weights that are no array of numbers are refused."""
    with pytest.raises(DTypeError, match=r"\(weights\) expects an array of numbers"):
        loss(np.ones((2, 1)), np.zeros((2, 1)), weights)


@each_loss
@pytest.mark.parametrize("bad", ["text", [[1.0]], np.array([["a"]]), np.array([[1.0]], object), None])
def test_only_arrays_of_numbers_are_compared(loss: Loss, bad: object) -> None:
    """What is no array of numbers is refused, on either side."""
    good = np.ones((1, 1))
    with pytest.raises(DTypeError, match="expects an array of numbers"):
        loss(good, bad)
    with pytest.raises(DTypeError, match="expects an array of numbers"):
        loss(bad, good)


@each_loss
def test_objects_are_no_numbers_even_where_the_dtypes_agree(loss: Loss) -> None:
    """Two arrays of Python objects are refused, like one."""
    objects = np.ones((2, 1), dtype=object)
    with pytest.raises(DTypeError, match="prediction"):
        loss(objects, objects)
