import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minibackprop import DTypeError, HalfSquaredError, Loss, MeanSquaredError, ShapeError
from minibackprop.core import Array
from tests.finite_differences import assert_close, central_differences
from tests.random_models import leading_axes, seeds

each_loss = pytest.mark.parametrize(
    "loss", [HalfSquaredError(), MeanSquaredError()], ids=lambda loss: type(loss).__name__
)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Array, Array, Array, np.random.Generator]:
    """Draw predictions, targets and whole-number weights (not all 0) of up to five samples with any further axes."""
    rng = np.random.default_rng(draw(seeds))
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
    assume(weights.any())
    shape = (len(weights), *draw(leading_axes))
    return rng.normal(size=shape), rng.normal(size=shape), weights, rng


@each_loss
@given(batch=batches(), weighted=st.booleans(), scale=st.floats(-3, 3))
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
    """The losses are half the sum of the squares, and their mean over samples and entries."""
    prediction, target, _, _ = batch
    squares = [(float(p) - float(t)) ** 2 for p, t in zip(prediction.flat, target.flat, strict=True)]
    assert HalfSquaredError()(prediction, target) == pytest.approx(sum(squares) / 2)
    assert MeanSquaredError()(prediction, target) == pytest.approx(sum(squares) / len(squares))


@each_loss
@given(batch=batches())
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
    cut = round(share * len(weights))
    parts = [part for part in (slice(cut), slice(cut, None)) if weights[part].any()]
    for loss in (HalfSquaredError(), MeanSquaredError()):
        whole = loss.backward(loss.forward(prediction, target, weights)[1])
        assembled = np.zeros_like(whole)
        for part in parts:
            scale = weights[part].sum() / weights.sum() if isinstance(loss, MeanSquaredError) else 1
            assembled[part] = loss.backward(loss.forward(prediction[part], target[part], weights[part])[1], scale)
        np.testing.assert_allclose(assembled, whole, rtol=1e-12, atol=1e-12)


@each_loss
@given(
    target_dtype=st.sampled_from([np.float64, np.float16, np.int64, np.uint8, np.bool_]),
    weights=st.sampled_from([None, np.array([0.5, 2.0]), np.array([1, 3])]),
    scale=st.sampled_from([1.0, 0.25, np.float64(0.25)]),
)
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
    np.testing.assert_allclose(found, expected, rtol=1e-6)


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
@pytest.mark.parametrize("shape", [(2,), (3, 1), (1,), ()])
def test_weights_are_one_a_sample(loss: Loss, shape: tuple[int, ...]) -> None:
    """Weights must have one axis, as long as the batch."""
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


@pytest.mark.parametrize(("size", "weights"), [(0, None), (2, np.zeros(2))])
def test_mean_of_nothing_is_refused(size: int, weights: Array | None) -> None:
    """The mean over no sample, or over samples of weight 0, is an error and no NaN."""
    with pytest.raises(ShapeError, match="MeanSquaredError expects at least one entry of weight above 0"):
        MeanSquaredError()(np.zeros((size, 1)), np.zeros((size, 1)), weights)


def test_sum_over_nothing_is_zero() -> None:
    """Half the sum of no squares is 0, with an empty gradient."""
    value, cache = HalfSquaredError().forward(np.zeros((0, 3)), np.zeros((0, 3)))
    assert value == 0
    assert HalfSquaredError().backward(cache).shape == (0, 3)


@pytest.mark.parametrize("loss", [HalfSquaredError(), MeanSquaredError()])
def test_objects_are_no_numbers_even_where_the_dtypes_agree(loss: Loss) -> None:
    """Two arrays of Python objects are refused, like one."""
    objects = np.ones((2, 1), dtype=object)
    with pytest.raises(DTypeError, match="prediction"):
        loss(objects, objects)


@pytest.mark.parametrize("loss", [HalfSquaredError(), MeanSquaredError()])
@pytest.mark.parametrize("weights", [[1.0, 2.0], np.array(["1", "2"]), np.array([1.0, 2.0], dtype=object)])
def test_weights_are_numbers(loss: Loss, weights: object) -> None:
    """Weights that are no array of numbers are refused."""
    with pytest.raises(DTypeError, match=r"\(weights\) expects an array of numbers"):
        loss(np.ones((2, 1)), np.zeros((2, 1)), weights)
