"""The laws of gradients: where they look for what is wrong in few places only."""

import numpy as np
import pytest

from minibackprop import Layer, ShapeError
from minibackprop.testing import ContractViolation, check_layer
from minibackprop.testing.side_inputs import drawn
from minibackprop.validation import Array


class Capped(Layer):
    """Numbers from 0 to 6, of a slope of 2 at the upper end, which is none of the two sides."""

    trailing_axes = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        return np.clip(x, 0, 6), x

    def backward(self, grad: Array, x: Array) -> Array:
        return grad * ((x > 0) & (x < 6)) + 2 * grad * (x == 6)


class MeanOfSteps(Layer):
    """A mean over all steps, wrong where there are three."""

    def forward(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        if x.ndim != 3 or not x.shape[1]:
            raise ShapeError("MeanOfSteps", "(N, T, F)", str(x.shape))
        return x.mean(axis=1), x.shape

    def backward(self, grad: Array, shape: tuple[int, ...]) -> Array:
        return np.broadcast_to(grad[:, np.newaxis], shape) / (4 if shape[1] == 3 else shape[1])


class NeverZero(Layer):
    """The square, whose backward takes a gradient of zero for one of 1."""

    trailing_axes = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        return x * x, x

    def backward(self, grad: Array, x: Array) -> Array:
        return 2 * x * np.where(grad == 0, 1, grad).astype(grad.dtype)


@pytest.mark.parametrize(
    ("make", "shape"),
    [(Capped, (3,)), (MeanOfSteps, (4, 2)), (NeverZero, (3,))],
    ids=["kink at 6", "one length", "gradient of zero"],
)
def test_what_is_wrong_in_few_places_is_found(make: type[Layer], shape: tuple[int, ...]) -> None:
    """At a kink that is nowhere near 0, at one length of many, for one gradient."""
    with pytest.raises(ContractViolation):
        check_layer(make, shape, shrink=False)


def test_masks_are_drawn_of_any_share() -> None:
    """Some leave one step of many, others nearly all."""

    class Masked(MeanOfSteps):
        side_inputs = ("mask",)

    rng = np.random.default_rng(0)
    choices = [choice["mask"] for _ in range(20) for choice in drawn(Masked(), np.zeros((4, 8, 2)), rng)]
    assert all(mask.any(axis=1).all() for mask in choices)
    shares = [mask.mean() for mask in choices]
    assert min(shares) < 0.3
    assert max(shares) > 0.7
