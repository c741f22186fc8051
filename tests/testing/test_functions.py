"""`check_loss`, `check_gradients` and `check_model`: they pass what is right and name what is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    ConfigError,
    Dense,
    HalfSquaredError,
    Layer,
    Loss,
    MeanSquaredError,
    Sequential,
    ShapeError,
    Sigmoid,
    three_layer,
)
from minibackprop.core import Array
from minibackprop.testing import ContractViolation, Inconclusive, check_gradients, check_loss, check_model
from tests.testing.planted_bugs import LOSS_BANK, PlantedLoss

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


@pytest.mark.parametrize("loss", [HalfSquaredError, MeanSquaredError])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2)])
def test_losses_keep_their_contract(loss: type[Loss], shape: tuple[int, ...]) -> None:
    """Every loss passes, for predictions of any number of axes."""
    assert check_loss(loss, shape).power["gradient"]["input"] < 1e-8


@pytest.mark.parametrize("planted", LOSS_BANK, ids=lambda planted: planted.name)
def test_planted_loss_bugs_are_found(planted: PlantedLoss) -> None:
    """Every planted bug of a loss is found, in each of some seeds, and its twin passes."""
    for seed in range(3):
        with pytest.raises(ContractViolation):
            check_loss(planted.bug, (2,), examples=20, seed=seed)
        check_loss(planted.twin, (2,), examples=20, seed=seed)


def test_loss_violation_can_be_run_again() -> None:
    """The code of a violation is that of a loss."""

    class ReversedError(HalfSquaredError):
        def backward(self, weighted: Array, scale: float = 1.0, /) -> Array:
            return -scale * weighted

    with pytest.raises(ContractViolation, match="sign flipped") as caught:
        check_loss(ReversedError, (2,))
    names = {"ReversedError": ReversedError}
    exec(caught.value.example, names)
    assert names["grad"].shape == names["prediction"].shape


def test_targets_may_be_drawn_by_the_user() -> None:
    """A loss of integer labels gets integer labels."""

    class Picked(Loss):
        def forward(self, p: Array, t: Array, w: Array | None = None, /) -> tuple[float, tuple[Array, ...]]:
            weights = np.ones(len(p)) if w is None else w
            if t.shape != p.shape[:1]:
                raise ValueError("one label a sample")
            return float((weights * p[np.arange(len(p)), t] ** 2).sum()), (p, t, weights)

        def backward(self, cache: tuple[Array, ...], scale: float = 1.0, /) -> Array:
            p, t, weights = cache
            grad = np.zeros_like(p)
            rows = np.arange(len(p))
            grad[rows, t] = scale * weights * 2 * p[rows, t]
            return grad

    def labels(rng: np.random.Generator, prediction: Array) -> Array:
        return rng.integers(0, 3, len(prediction))

    check_loss(Picked, (3,), targets=labels)


@pytest.mark.parametrize("make", [Sigmoid, lambda: 3])
def test_only_losses_are_checked_as_losses(make: Callable[[], object]) -> None:
    """Something else is a usage error."""
    with pytest.raises(ConfigError, match="check_loss: make expects to give a Loss"):
        check_loss(make, (2,))


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


@pytest.mark.parametrize("loss", [HalfSquaredError(), MeanSquaredError()])
def test_model_passes_at_the_users_point(loss: Loss) -> None:
    """A model is checked with its loss on the user's data, and is left as it was."""
    model = three_layer()
    before = model.state_dict()
    report = check_model(model, loss, X, Y)
    assert set(report.power["parameter gradient"]) == {"0.weight", "2.weight"}
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


class Trim(Layer):
    """The identity, whose backward is not."""

    alters_gradient = "small deltas are zeroed"

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return x, None

    def backward(self, grad: Array, _: None, /) -> Array:
        return np.where(np.abs(grad) < 0.1, 0.0, grad)


class Wrong(Layer):
    """The square, with half its gradient."""

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return x * x, x

    def backward(self, grad: Array, x: Array, /) -> Array:
        return x * grad


def test_altered_gradients_are_taken_for_the_identity() -> None:
    """A layer that says that it alters the gradient does not hide the others' mistakes, nor make up any."""
    check_model(Sequential([Dense(3, 2, rng=0), Trim(), Dense(2, 1, rng=1)]), HalfSquaredError(), X, Y)
    with pytest.raises(ContractViolation, match="gradient"):
        check_model(Sequential([Dense(3, 2, rng=0), Trim(), Wrong(), Dense(2, 1, rng=1)]), HalfSquaredError(), X, Y)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((three_layer, HalfSquaredError(), X, Y), ConfigError, "check_model: model expects an instance of Layer"),
        ((three_layer(), HalfSquaredError, X, Y), ConfigError, "check_model: loss expects an instance of Loss"),
        (
            (three_layer(), HalfSquaredError(), X.tolist(), Y),
            ConfigError,
            "check_model: x expects an instance",
        ),
        ((three_layer(), HalfSquaredError(), X, Y.ravel()), ShapeError, "HalfSquaredError expects a target of"),
        ((three_layer(), HalfSquaredError(), X[:, :2], Y), ShapeError, "layer 0: Dense expects"),
    ],
)
def test_model_that_does_not_fit_is_misuse(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    """What does not fit together is told as such, not as a broken law."""
    with pytest.raises(error, match=message):
        check_model(*arguments)


def test_models_of_either_dtype_pass() -> None:
    """A float32 model is checked in float64."""
    check_model(three_layer().astype(np.float32), HalfSquaredError(), X.astype(np.float32), Y)
