"""The search: small examples, the same draws for a seed, and a report of what could have been found."""

from typing import Any

import numpy as np
import pytest

from minibackprop import Layer, Parameter
from minibackprop.testing import ContractViolation, Inconclusive, check_layer
from minibackprop.validation import Array
from tests.example_layers import HalfOfIt, Square, with_backward


def test_example_is_shrunken() -> None:
    """The example is one sample of plain numbers."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(HalfOfIt, (1,), seed=5)
    names = {"HalfOfIt": HalfOfIt}
    exec(caught.value.example, names)
    assert names["x"].shape == (1, 1)
    assert names["x"] == names["x"].round(2)


def test_same_seed_same_draws() -> None:
    """The same call draws the same, another seed something else."""
    powers = [check_layer(Square, (3,), seed=seed).power for seed in (1, 1, 2)]
    assert powers[0] == powers[1] != powers[2]


class Constant(Layer):
    """The gradient is zero wherever one looks."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return np.zeros_like(x), None

    def backward(self, grad: Array, _: Any, /) -> Array:
        return np.zeros_like(grad)


class Unused(Square):
    """Has a parameter that does nothing."""

    def __init__(self) -> None:
        self.weight = Parameter(np.ones(3))


@pytest.mark.parametrize(("make", "what"), [(Constant, "the input"), (Unused, "weight")])
def test_check_that_could_not_fail_is_inconclusive(make: type[Layer], what: str) -> None:
    """Where every gradient is zero, the check says so rather than passing; left out with a reason, the rest passes."""
    with pytest.raises(
        Inconclusive, match=f"say nothing about the gradient with respect to {what}: in each it was zero"
    ) as caught:
        check_layer(make, (3,))
    check_layer(make, (3,), without={caught.value.law: "the gradient is zero by design"})


def test_power_is_honest() -> None:
    """An error a little above the power that a report names is found; on other draws, too."""
    power = check_layer(Square, (3,)).power["input gradient"]["input"]
    with pytest.raises(ContractViolation):
        check_layer(with_backward(lambda grad, x: 2 * x * grad * (1 + 10 * power)), (3,))
