import json
from collections.abc import Callable

import numpy as np
import pytest

from minibackprop import (
    BinaryCrossEntropy,
    ConfigError,
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    ShapeError,
    SoftmaxCrossEntropy,
)
from minibackprop.validation import Array
from tests.losses.common import OF_RESIDUALS

REDUCED = (MeanSquaredError, MeanAbsoluteError, Huber, BinaryCrossEntropy, SoftmaxCrossEntropy)


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


@pytest.mark.parametrize("make", REDUCED)
@pytest.mark.parametrize("reduction", ["none", "Mean", "", None, 1, np.zeros(2)])
def test_reductions_are_two(make: Callable[..., Loss], reduction: object) -> None:
    """There is the mean and the sum, said by keyword."""
    with pytest.raises(ConfigError, match=f"{make.__name__}: reduction expects 'mean' or 'sum', got"):
        make(reduction=reduction)


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
