"""`check_loss`, `check_gradients` and `check_model`: they pass what is right and name what is wrong."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from minibackprop import (
    L1,
    L2,
    BinaryCrossEntropy,
    ConfigError,
    Dense,
    ElasticNet,
    HalfSquaredError,
    Huber,
    Layer,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Parameter,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    three_layer,
)
from minibackprop.testing import ContractViolation, Inconclusive, check_gradients, check_loss, check_model
from minibackprop.validation import Array
from tests.testing.planted_bugs import LOSS_BANK, PlantedLoss

SEEDS = range(20 if settings.default.max_examples > 1000 else 1)
X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


@pytest.mark.parametrize(
    "make",
    [
        HalfSquaredError,
        *(
            partial(make, reduction=reduction)
            for make in (MeanSquaredError, MeanAbsoluteError, partial(Huber, 0.5))
            for reduction in ("mean", "sum")
        ),
    ],
    ids=lambda make: repr(make()),
)
@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_losses_keep_their_contract(make: Callable[[], Loss], shape: tuple[int, ...]) -> None:
    """Every loss passes, for predictions of any number of axes; it says what reduces it."""
    report = check_loss(make, shape)
    assert report.power["gradient"]["input"] < 1e-8
    assert "reduction" in report.kept


def shares(rng: np.random.Generator, prediction: Array) -> Array:
    """Draw targets of a binary loss: yes, no, or something between."""
    return rng.integers(0, 2, prediction.shape) if rng.random() < 0.5 else rng.random(prediction.shape).round(2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(), (2, 2)])
def test_binary_cross_entropy_keeps_the_contract(reduction: str, shape: tuple[int, ...]) -> None:
    """It passes for targets of both kinds."""
    check_loss(lambda: BinaryCrossEntropy(reduction=reduction), shape, targets=shares)


def of_classes(rng: np.random.Generator, prediction: Array) -> Array:
    """Draw integer labels."""
    return rng.integers(0, prediction.shape[-1], prediction.shape[:-1])


def of_chances(rng: np.random.Generator, prediction: Array) -> Array:
    """Draw probabilities."""
    return rng.dirichlet(np.ones(prediction.shape[-1]), prediction.shape[:-1])


@pytest.mark.parametrize("targets", [of_classes, of_chances])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weights", [None, (0.5, 1.0, 3.0)])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_softmax_cross_entropy_keeps_the_contract(
    targets: Callable[[np.random.Generator, Array], Array],
    smoothing: float,
    class_weights: tuple[float, ...] | None,
    reduction: str,
) -> None:
    """It passes in every configuration, for samples of one position and of several; labels are known as such."""
    for shape in ((3,), (2, 3)):
        report = check_loss(
            lambda: SoftmaxCrossEntropy(smoothing, class_weights, reduction=reduction),
            shape,
            targets=targets,
            examples=5,
        )
        assert ("labels" in report.kept) == (targets is of_classes)


@pytest.mark.parametrize("planted", LOSS_BANK, ids=lambda planted: planted.name)
def test_planted_loss_bugs_are_found(planted: PlantedLoss) -> None:
    """Every planted bug of a loss breaks its law."""
    for seed in SEEDS:
        with pytest.raises(ContractViolation) as caught:
            check_loss(planted.bug, planted.shape, targets=planted.targets, examples=20, seed=seed)
        assert caught.value.law in planted.laws, caught.value


@pytest.mark.parametrize("planted", {planted.twin: planted for planted in LOSS_BANK}.values(), ids=lambda p: p.name)
def test_twins_of_planted_losses_pass(planted: PlantedLoss) -> None:
    """A correct loss, that differs from a wrong one in a line, keeps every law."""
    for seed in SEEDS:
        check_loss(planted.twin, planted.shape, targets=planted.targets, examples=20, seed=seed)


class Silent(Loss):
    """A sum that does not say so."""

    def forward(self, p: Array, t: Array, w: Array | None = None, /) -> tuple[float, tuple[Array, Array]]:
        if p.shape != t.shape:
            raise ValueError("shapes differ")
        weights = np.ones(len(p)) if w is None else w
        weights = weights.astype(p.dtype).reshape(-1, *[1] * (p.ndim - 1))
        residual = p - t.astype(p.dtype)
        return float((weights * residual**2).sum()), (residual, weights)

    def backward(self, cache: tuple[Array, Array], scale: float = 1.0, /) -> Array:
        return scale * 2 * cache[0] * cache[1]


def test_who_says_nothing_of_reduction_may_be_either() -> None:
    """A loss that sets no `reduction` passes as a sum too, and the report says that nobody looked."""
    report = check_loss(Silent, (2,))
    assert "parts" in report.kept
    assert "sets no reduction" in report.lifted["reduction"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"reduction": "none"}, "reduction must be 'mean' or 'sum'; it is 'none'"),
        ({"reduction": "mean"}, 'the loss is a sum: it should say reduction = "sum"'),
        ({"total_weight": lambda *_: 3}, "total_weight must return a positive float; it returns 3"),
        ({"total_weight": lambda *_: 0.0}, "total_weight must return a positive float; it returns 0.0"),
        ({"total_weight": lambda *arguments: float(len(arguments[1]) ** 2)}, "the total weight for"),
    ],
)
def test_what_a_loss_says_of_itself_is_looked_at(said: dict[str, Any], message: str) -> None:
    """What is said of the reduction must be so, with a cause where it can be told."""
    with pytest.raises(ContractViolation, match=re.escape(message)) as caught:
        check_loss(type("Said", (Silent,), said), (2,))
    assert caught.value.law == "reduction"
    assert check_loss(type("Said", (Silent,), {"reduction": "sum"}), (2,)).kept.count("reduction") == 1


def test_code_of_a_violation_has_the_configuration() -> None:
    """A loss with arguments is written down with them."""

    class Halved(SoftmaxCrossEntropy):
        def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
            return 0.5 * super().backward(cache, scale)

    with pytest.raises(ContractViolation, match=r"constant factor: the gradient is 0\.5 times") as caught:
        check_loss(lambda: Halved(0.1, (1, 2, 3)), (3,), targets=of_classes)
    assert "Halved(reduction='mean', label_smoothing=0.1, class_weights=(1.0, 2.0, 3.0))" in caught.value.example
    names = {"Halved": Halved}
    exec(caught.value.example, names)
    assert names["grad"].shape == names["prediction"].shape


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


class HalfPaid(L2):
    """A penalty whose gradient is half of what it should be."""

    def backward(self, parameters: Iterable[Parameter], /) -> None:
        L2(self.strength / 2).backward(parameters)


def test_penalties_are_part_of_the_loss() -> None:
    """A model, its loss and its penalty are one function of the parameters, as the trainer descends it."""
    x, y = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 1, 1, 0, 2, 2])
    model = Sequential([Dense(3, 5, rng=0), Sigmoid(), Dense(5, 3, rng=1)])
    for layer in model[0], model[2]:
        layer.bias.value += 0.5  # At 0, absolute values have no gradient.
    for penalty in (L1(0.3), L2(0.3), ElasticNet(0.2, 0.1, biases=True)):
        check_model(model, SoftmaxCrossEntropy(), x, y, regularizer=penalty)
    with pytest.raises(ContractViolation, match=r"gradient of 0\.weight"):
        check_model(model, SoftmaxCrossEntropy(), x, y, regularizer=HalfPaid(0.3))
    with pytest.raises(ConfigError, match="check_model: regularizer expects an instance of Regularizer, got float"):
        check_model(model, SoftmaxCrossEntropy(), x, y, regularizer=0.3)


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
