"""Losses of residuals, drawn batches, and the check of splitting, for the tests of all files here."""

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from minibackprop import (
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)
from minibackprop.validation import Array
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


@st.composite
def batches(draw: st.DrawFn) -> tuple[Array, Array, Array, np.random.Generator]:
    """Draw predictions, targets and whole-number weights (not all 0) of up to five samples with any further axes."""
    rng = np.random.default_rng(draw(seeds))
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
    assume(weights.any())
    shape = (len(weights), *draw(leading_axes))
    return rng.normal(size=shape), rng.normal(size=shape), weights, rng


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


def probabilities(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw rows that add up to 1, some of their entries 0."""
    raw = rng.random(shape) * (rng.random(shape) < 0.7)
    raw[..., 0] += 0.1
    return raw / raw.sum(axis=-1, keepdims=True)
