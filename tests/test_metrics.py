import re

import numpy as np
import pytest
from hypothesis import given

from minibackprop import ShapeError, mean_absolute_error
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


@pytest.mark.parametrize("shape", [(3,), (1, 1), (3, 2), ()])
def test_shapes_must_match_exactly(shape: tuple[int, ...]) -> None:
    """A target that NumPy would broadcast is refused."""
    with pytest.raises(ShapeError, match=re.escape(f"expects a target of shape (3, 1), got {shape}")):
        mean_absolute_error(np.zeros((3, 1)), np.zeros(shape))
