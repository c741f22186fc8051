"""`check_gradients`: it passes what is right and says what is wrong."""

from collections.abc import Callable

import numpy as np
import pytest

from minibackprop import ConfigError
from minibackprop.testing import ContractViolation, Inconclusive, check_gradients
from minibackprop.validation import Array


def test_function_with_its_gradient_passes() -> None:
    """A bare function is checked at one point, of any number of axes."""
    for x in (np.array(0.3), np.array([0.5, 2.0]), np.full((2, 3), 0.1)):
        report = check_gradients(np.sin, lambda x, grad: grad * np.cos(x), x)
        assert report.power["input gradient"]["input"] < 1e-8


@pytest.mark.parametrize(
    ("vjp", "cause"),
    [
        (lambda x, grad: -grad * np.cos(x), "sign flipped"),
        (lambda x, grad: np.cos(x), "upstream gradient ignored"),  # noqa: ARG005
        (lambda x, grad: 3 * grad * np.cos(x), "constant factor: the gradient is 3 times"),
        (lambda x, grad: np.clip(grad, -0.1, 0.1) * np.cos(x), "upstream gradient clipped"),
    ],
)
def test_function_with_a_wrong_gradient_is_told_why(vjp: Callable[[Array, Array], Array], cause: str) -> None:
    """The diagnosis of layers serves functions too, and the code calls them."""
    with pytest.raises(ContractViolation, match=cause) as caught:
        check_gradients(np.sin, vjp, np.array([0.5, 2.0, -1.0, 0.1, 0.2]))
    assert "grad_x = vjp(x, grad)" in caught.value.example


@pytest.mark.parametrize("x", [[0.5], np.array([1, 2]), np.zeros(0), "x"])
def test_points_are_arrays_of_floats(x: object) -> None:
    """Something else is a usage error."""
    with pytest.raises(ConfigError, match="check_gradients: x expects an array of floating-point numbers"):
        check_gradients(np.sin, lambda x, grad: grad * np.cos(x), x)


def test_function_at_a_stationary_point_is_inconclusive() -> None:
    """Where the gradient is zero, nothing is shown."""
    with pytest.raises(Inconclusive):
        check_gradients(lambda x: x * x, lambda x, grad: 2 * x * grad, np.zeros(3))
