"""`check_loss`: it passes what is right and says what is wrong."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from minibackprop import (
    BinaryCrossEntropy,
    ConfigError,
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Sigmoid,
    SoftmaxCrossEntropy,
)
from minibackprop.testing import LOSS_LAWS, ContractViolation, Law, check_loss
from minibackprop.validation import Array
from tests.testing.bank.whole_batch import CentreLoss, Dice, OfChances, chances, of_centres
from tests.testing.planted_bugs import LOSS_BANK, PlantedLoss

SEEDS = range(20 if settings.default.max_examples > 1000 else 1)


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
            check_loss(planted.bug, planted.shape, targets=planted.targets, examples=20, seed=seed, shrink=False)
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
        weights = np.ones_like(p, float, shape=len(p)) if w is None else w
        weights = weights.astype(p.dtype).reshape(-1, *[1] * (p.ndim - 1))
        residual = p - t.astype(p.dtype)
        return float((weights * residual**2).sum()), (residual, weights)

    def backward(self, cache: tuple[Array, Array], scale: float = 1.0, /) -> Array:
        return scale * 2 * cache[0] * cache[1]


def test_who_says_nothing_of_reduction_says_mean() -> None:
    """A sum that sets no `reduction` would be split wrongly, so it breaks a law; a mean need not say so."""
    with pytest.raises(ContractViolation, match="declare couples_samples if it is over the whole batch") as caught:
        check_loss(Silent, (2,))
    assert caught.value.law == "reduction"
    assert caught.value.cause == 'the loss is a sum: it should say reduction = "sum"'


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"reduction": "none"}, "reduction must be 'mean' or 'sum'; it is 'none'"),
        ({"reduction": "mean"}, 'the loss is a sum: it should say reduction = "sum"'),
        ({"total_weight": lambda *_: 3}, "total_weight must return a positive float; it returns 3"),
        ({"total_weight": lambda *_: 0.0}, "total_weight must return a positive float; it returns 0.0"),
        ({"total_weight": lambda *arguments: float(len(arguments[1]) ** 2)}, "the total weight for"),
        ({"couples_samples": True}, "couples_samples holds the reason, as a str, or is empty; it is True"),
    ],
)
def test_what_a_loss_says_of_itself_is_looked_at(said: dict[str, Any], message: str) -> None:
    """What is said of the reduction must be so, with a cause where it can be told."""
    with pytest.raises(ContractViolation, match=re.escape(message)) as caught:
        check_loss(type("Said", (Silent,), said), (2,))
    assert caught.value.law == ("value" if "couples_samples" in said else "reduction")
    assert check_loss(type("Said", (Silent,), {"reduction": "sum"}), (2,)).kept.count("reduction") == 1


def test_code_of_a_violation_has_the_configuration() -> None:
    """A loss with arguments is written down with them."""

    class Halved(SoftmaxCrossEntropy):
        def backward(self, cache: Any, scale: float = 1.0, /) -> Array:
            return 0.5 * super().backward(cache, scale)

    with pytest.raises(ContractViolation, match=r"constant factor: the gradient is 0\.5 times") as caught:
        check_loss(lambda: Halved(0.1, (1, 2, 3)), (3,), targets=of_classes)
    assert (
        "Halved(reduction='mean', label_smoothing=0.1, class_weights=(1.0, 2.0, 3.0), ignore_index=None, axis=-1)"
        in caught.value.example
    )
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
        reduction = "sum"

        def forward(self, p: Array, t: Array, w: Array | None = None, /) -> tuple[float, tuple[Array, ...]]:
            weights = np.ones_like(p, float, shape=len(p)) if w is None else w
            if t.shape != p.shape[:1]:
                raise ValueError("one label a sample")
            return float((weights * p[np.arange(len(p), like=p), t] ** 2).sum()), (p, t, weights)

        def backward(self, cache: tuple[Array, ...], scale: float = 1.0, /) -> Array:
            p, t, weights = cache
            grad = np.zeros_like(p)
            rows = np.arange(len(p), like=p)
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


def test_a_loss_over_the_whole_batch_says_so() -> None:
    """What cannot hold is lifted with the reason; the gradient and the weights are held to."""
    report = check_loss(Dice, (2,), targets=shares)
    assert report.lifted["parts"] == report.lifted["reduction"] == "is a quotient of sums over the whole batch"
    assert {"gradient", "weights"} <= {*report.kept}


def test_labels_that_are_no_columns() -> None:
    """Where the user's labels go beyond the columns, nothing says how many there are, unless the user does."""
    report = check_loss(CentreLoss, (3,), targets=of_centres)
    assert report.lifted["labels"] == "how many classes there are is not known: pass classes=..."
    assert "labels" in check_loss(CentreLoss, (3,), classes=4).kept
    with pytest.raises(ContractViolation, match="a label of 3 is taken for a prediction of 3 classes") as caught:
        check_loss(CentreLoss, (3,), classes=3)
    assert caught.value.law == "labels"


def test_predictions_may_be_a_strategy() -> None:
    """A loss that refuses all but probabilities gets what the user draws, and "finite" is checked for that."""
    report = check_loss(OfChances, chances, targets=shares)
    assert report.power["gradient"]["input"] < 1e-6
    assert "finite" in report.kept

    class Nowhere(OfChances):
        def forward(self, *arguments: Any) -> tuple[float, Any]:
            return np.nan, super().forward(*arguments)[1]

    finite = [law for law in LOSS_LAWS if law.name == "finite"]
    with pytest.raises(ContractViolation, match="not finite for the predictions that were drawn"):
        check_loss(Nowhere, chances, targets=shares, laws=finite)


def test_targets_may_be_a_strategy() -> None:
    """They are repeated to as many as there are predictions; how many classes there are, nothing then says."""
    labels = arrays(np.int64, (3,), elements=st.integers(0, 2))
    report = check_loss(SoftmaxCrossEntropy, (3,), targets=labels)
    assert report.lifted["labels"] == "how many classes there are is not known: pass classes=..."
    assert "labels" in check_loss(SoftmaxCrossEntropy, (3,), targets=labels, classes=3).kept


def test_laws_are_chosen_as_for_layers() -> None:
    """A law is added, another left out with its reason."""

    def positive(case: Any) -> None:
        layer = case.layer()
        assert layer.loss(case.x, layer.target, layer.weights) >= 0

    law = Law("positive", "No loss is negative.", positive)
    report = check_loss(MeanSquaredError, (2,), laws=[*LOSS_LAWS, law], without={"scale": "an experiment"})
    assert "positive" in report.kept
    assert report.lifted["scale"] == "an experiment"
    with pytest.raises(ConfigError, match="without expects names of laws"):
        check_loss(MeanSquaredError, (2,), without={"scales": "a typo"})


@pytest.mark.parametrize(
    ("predictions", "options", "message"),
    [
        (2, {}, "check_loss: predictions expects the shape of the prediction for one sample, or a strategy, got int"),
        (st.just(np.ones((2, 2), int)), {}, "check_loss: predictions expects a strategy of arrays of floating-point"),
        ((2,), {"targets": 3}, "check_loss: targets expects a callable .* or a strategy, got int"),
        ((2,), {"targets": lambda rng, x: x[:0]}, r"check_loss: targets expects .*, here of [1-4], got shape \(0, 2\)"),  # noqa: ARG005
        ((2,), {"targets": st.just("text")}, "check_loss: targets expects to give arrays with an axis of samples, got"),
        ((2,), {"classes": 0}, "check_loss: classes expects a positive integer"),
        ((2,), {"seed": -1}, "seed expects an integer of at least 0"),
    ],
)
def test_misuse_is_a_clear_error(predictions: Any, options: dict[str, Any], message: str) -> None:
    """A call that makes no sense is refused with what was expected and what came."""
    with pytest.raises(ConfigError, match=message):
        check_loss(MeanSquaredError, predictions, **options)
