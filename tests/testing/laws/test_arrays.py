"""The law of other arrays."""

import numpy as np
import pytest

from minibackprop import (
    L1,
    L2,
    BatchNorm,
    BinaryCrossEntropy,
    Conv2D,
    Dense,
    Dropout,
    ElasticNet,
    Embedding,
    HalfSquaredError,
    Huber,
    Layer,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Parameter,
    Regularizer,
    Sequential,
    SoftmaxCrossEntropy,
    accuracy,
    binary_accuracy,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    summary,
    top_k_accuracy,
)
from minibackprop.testing import (
    ALL,
    LOSS_LAWS,
    ContractViolation,
    DeviceArray,
    check_layer,
    check_loss,
    check_regularizer,
)
from minibackprop.validation import Array

OTHER_ARRAYS = [law for law in ALL if law.name == "other arrays"]


class Doubled(Layer):
    """Doubles its input, on the host."""

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return 2 * np.asarray(x), None

    def backward(self, grad: Array, cache: None, /) -> Array:
        return 2 * grad


def test_the_line_and_the_remedy_are_named() -> None:
    """A violation says which call was refused, where it stands, and what to write instead."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(Doubled, (3,))
    assert caught.value.law == "other arrays"
    assert caught.value.problem.endswith("a device's array does not become NumPy's by np.asarray and the like")
    assert caught.value.cause.startswith("leave it out")
    assert caught.value.evidence == "in the line: return 2 * np.asarray(x), None"


def test_a_part_is_found_within_a_model() -> None:
    """An error that a model has taken on says the same."""
    with pytest.raises(ContractViolation, match=r"np\.asarray and the like") as caught:
        check_layer(lambda: Sequential([Dense(3, 2, rng=0), Doubled()]), (3,), laws=OTHER_ARRAYS)
    assert caught.value.evidence == "in the line: return 2 * np.asarray(x), None"


def test_the_law_may_be_left_out() -> None:
    """A layer that is meant for NumPy's arrays alone."""
    report = check_layer(Doubled, (3,), without={"other arrays": "NumPy only"})
    assert report.lifted["other arrays"] == "NumPy only"


def test_other_results_are_told() -> None:
    """A layer that computes another way where an array is not NumPy's."""

    class Rounded(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            return x if isinstance(x, np.ndarray) else np.round(x, 1), None

        def backward(self, grad: Array, cache: None, /) -> Array:
            return grad * 1

    with pytest.raises(ContractViolation, match="the result of forward differs on a device's array") as caught:
        check_layer(Rounded, (3,), laws=OTHER_ARRAYS)
    assert "device" in caught.value.evidence


def test_a_loss_and_a_penalty_are_asked_too() -> None:
    """What they make on the host is told in the same way."""

    class Summed(Loss):
        reduction = "sum"

        def forward(self, p: Array, t: Array, w: Array | None = None, /) -> tuple[float, tuple[Array, Array]]:
            weights = np.ones(p.shape) if w is None else w.reshape(-1, *[1] * (p.ndim - 1))
            return float((weights * (p - t)).sum()), (p, weights)

        def backward(self, cache: tuple[Array, Array], scale: float = 1.0, /) -> Array:
            return np.zeros_like(cache[0]) + scale * cache[1]

    class Size(Regularizer):
        def forward(self, parameters: list[Parameter], /) -> float:  # type: ignore[override]
            return float(sum((p.value**2).sum() for p in parameters))

        def backward(self, parameters: list[Parameter], /) -> None:  # type: ignore[override]
            for parameter in parameters:
                parameter.add(2 * np.array(parameter.value))

    left_out = dict.fromkeys(["weights", "dtype", "shapes"], "not what this is about")
    with pytest.raises(ContractViolation, match=r"the loss raises DeviceError: np\.multiply") as caught:
        check_loss(Summed, (2,), without=left_out, examples=20)
    assert caught.value.law == "other arrays"
    with pytest.raises(ContractViolation, match="the regularizer raises DeviceError") as caught:
        check_regularizer(Size)
    assert caught.value.law == "other arrays"
    assert caught.value.cause.startswith("leave it out")


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (MeanSquaredError(), "numbers"),
        (MeanAbsoluteError(), "numbers"),
        (HalfSquaredError(), "numbers"),
        (Huber(0.5), "numbers"),
        (BinaryCrossEntropy(), "chances"),
        (SoftmaxCrossEntropy(), "labels"),
        (SoftmaxCrossEntropy(), "rows"),
        (SoftmaxCrossEntropy(0.1), "labels"),
        (SoftmaxCrossEntropy(0.1, class_weights=(1, 2, 3)), "labels"),
        (SoftmaxCrossEntropy(class_weights=(1, 2, 3)), "rows"),
        (SoftmaxCrossEntropy(ignore_index=0, reduction="sum"), "labels"),
        (SoftmaxCrossEntropy(ignore_index=0, class_weights=(1, 2, 3)), "labels"),
    ],
)
def test_losses_give_the_same_on_a_device(loss: Loss, targets: str) -> None:
    """Values, total weights and gradients, bit for bit, with weights and without, for each kind of target."""

    def of(rng: np.random.Generator, x: Array) -> Array:
        labels = rng.integers(0, 3, len(x))
        kinds = {"labels": labels, "rows": np.eye(3)[labels], "chances": rng.random(x.shape), "numbers": x[::-1].copy()}
        if getattr(loss, "ignore_index", None) is not None:
            labels[:1] = 1
        return kinds[targets]

    laws = [law for law in LOSS_LAWS if law.name == "other arrays"]
    check_loss(lambda: loss, (3,), targets=of, laws=laws, examples=10)


@pytest.mark.parametrize("shape", [(2, 3), (4, 3, 5)])
def test_classes_may_lie_along_another_axis_on_a_device(shape: tuple[int, ...]) -> None:
    """The class axis is moved on the device, too; labels of another layout in memory are taken."""
    loss, rng = SoftmaxCrossEntropy(axis=1), np.random.default_rng(0)
    x, labels = np.asfortranarray(rng.normal(size=shape)), rng.integers(0, 3, (shape[0], *shape[2:]))
    value, cache = loss.forward(x, labels)
    got, cache_there = loss.forward(DeviceArray(x), DeviceArray(labels))  # type: ignore[arg-type]
    assert got == value
    there: object = loss.backward(cache_there)
    assert isinstance(there, DeviceArray)
    np.testing.assert_array_equal(there.get(), loss.backward(cache), strict=True)


@pytest.mark.parametrize("penalty", [L1(0.1), L2(0.1), ElasticNet(0.1, 0.2)])
def test_penalties_give_the_same_on_a_device(penalty: Regularizer) -> None:
    """As the law says, of weights and biases."""
    assert "other arrays" in check_regularizer(lambda: penalty, examples=3).kept


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_give_the_same_on_a_device(weighted: bool) -> None:
    """The numbers are Python's, and equal, with weights and without."""
    rng = np.random.default_rng(0)
    scores, numbers, labels = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    weights = {"weights": rng.random(6)} if weighted else {}
    there = {name: DeviceArray(array) for name, array in weights.items()}
    for metric, target in (
        (accuracy, labels),
        (accuracy, np.eye(3)[labels]),
        (binary_accuracy, scores > numbers),
        (lambda p, t, **w: top_k_accuracy(p, t, k=2, **w), labels),
        (mean_absolute_error, numbers),
        (mean_squared_error, numbers),
        (r2_score, numbers),
    ):
        got = metric(DeviceArray(scores), DeviceArray(target), **there)  # type: ignore[operator]
        assert type(got) is float
        assert got == metric(scores, target, **weights)  # type: ignore[operator]


def test_summary_of_a_model_on_a_device() -> None:
    """The table is that of the model on the host; tokens are made on the device as well."""
    for model, shape in (
        (Sequential([Dense(3, 2, rng=0), BatchNorm(2), Dropout(0.5, rng=0)]), (3,)),
        (Sequential([Embedding(5, 3, rng=0)]), (4,)),
        (Sequential([Conv2D(1, 2, 3, rng=0)]), (1, 5, 5)),
    ):
        assert str(summary(model.map_arrays(DeviceArray), shape)) == str(summary(model, shape))


@pytest.mark.parametrize("tokens", [[[5]], [[-1]]])
def test_tokens_beyond_the_rows_are_refused_on_a_device(tokens: list[list[int]]) -> None:
    """CuPy would take them as counted from the other end."""
    with pytest.raises(ValueError, match="tokens from 0 to 4"):
        Embedding(5, 3, rng=0).map_arrays(DeviceArray).predict(DeviceArray(tokens))  # type: ignore[arg-type]


def test_a_drawn_layer_counts_what_it_looks_at() -> None:
    """Of layers without side inputs, those that look at entries are few; a new look shows here."""
    seen = {}
    for layer, x in (
        (Dense(3, 2, rng=0), np.ones((2, 3))),
        (Conv2D(1, 2, 3, rng=0), np.ones((2, 1, 5, 5))),
        (Dropout(0.5, rng=0), np.ones((2, 3))),
        (BatchNorm(3), np.array([[1.0, 2, 3], [2, 4, 5]])),
        (Embedding(5, 3, rng=0), np.array([[1, 2]])),
    ):
        there, before = layer.map_arrays(DeviceArray), DeviceArray.synchronizations
        y, cache = there.forward(DeviceArray(x))  # type: ignore[arg-type]
        there.backward(DeviceArray(np.ones(y.shape)), cache)  # type: ignore[arg-type]
        seen[type(layer).__name__] = DeviceArray.synchronizations - before
    assert seen == {"Dense": 0, "Conv2D": 0, "Dropout": 0, "BatchNorm": 0, "Embedding": 1}
