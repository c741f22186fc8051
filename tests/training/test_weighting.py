"""A weight means the same at every batch size: the expected gradient of a mean is that of all data."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    Batches,
    BinaryCrossEntropy,
    Dense,
    HalfSquaredError,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Optimizer,
    Parameter,
    SoftmaxCrossEntropy,
    Trainer,
)
from minibackprop.validation import Array
from tests.random_models import seeds, values
from tests.training.problems import assert_equal, classes

Data = tuple[Array, Array, Array | None, Loss]


class Record(Optimizer):
    """Notes the gradients of each step, and leaves the parameters alone."""

    def __init__(self) -> None:
        self.grads: list[list[Array]] = []

    def step(self, parameters: Iterable[Parameter], /) -> None:
        parameters = list(parameters)
        self.grads.append([np.zeros_like(p.value) if p.grad is None else p.grad for p in parameters])
        for parameter in parameters:
            parameter.clear()


def mean_gradient(data: Data, batch_size: int | None, **settings: Any) -> tuple[dict[str, Array], float]:
    """Average the gradients that an epoch's batches make steps with, each by its samples; and give the epoch's loss."""
    x, y, weights, loss = data
    recorder = Record()
    trainer = Trainer(Dense(3, 2, rng=0), loss, recorder, rng=0)
    trainer.fit(x, y, 1, batch_size=batch_size, weights=weights, **settings)
    count, size = len(x), batch_size or len(x)
    lengths = [min(size, count - start) for start in range(0, count, size)]
    assert len(lengths) == len(recorder.grads)
    names = [name for name, _ in trainer.model.named_parameters()]
    total = {
        name: sum(grads[i] * length for grads, length in zip(recorder.grads, lengths, strict=True)) / count
        for i, name in enumerate(names)
    }
    return total, trainer.history.loss[0]


def sequences(seed: int) -> Data:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 3, (24, 4)) * rng.integers(0, 2, (24, 4))
    weights[:, 0] = rng.uniform(0.1, 50, 24)
    return rng.normal(size=(24, 4, 3)), rng.integers(0, 2, (24, 4)), weights, SoftmaxCrossEntropy()


def rows(loss: Loss, labels: bool, weighted: bool) -> Callable[[int], Data]:
    def make(seed: int) -> Data:
        rng = np.random.default_rng(seed)
        weights = np.where(rng.uniform(size=24) < 0.1, 50.0, rng.uniform(0.5, 2, 24)) if weighted else None
        y = rng.integers(0, 2, 24) if labels else rng.integers(0, 2, (24, 2)).astype(float)
        return rng.normal(size=(24, 3)), y, weights, loss

    return make


CASES = {
    "squares": rows(MeanSquaredError(), labels=False, weighted=True),
    "absolute": rows(MeanAbsoluteError(), labels=False, weighted=True),
    "huber": rows(Huber(), labels=False, weighted=True),
    "binary": rows(BinaryCrossEntropy(), labels=False, weighted=True),
    "labels": rows(SoftmaxCrossEntropy(), labels=True, weighted=True),
    "classes": rows(SoftmaxCrossEntropy(class_weights=[1.0, 20.0]), labels=True, weighted=False),
    "classes and samples": rows(SoftmaxCrossEntropy(class_weights=[1.0, 20.0]), labels=True, weighted=True),
    "smoothed classes": rows(SoftmaxCrossEntropy(0.1, class_weights=[1.0, 20.0]), labels=True, weighted=False),
    "sequences": sequences,
}


@pytest.mark.parametrize("settings", [{}, {"shuffle": False}, {"micro_batch_size": 3}])
@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
@given(size=st.sampled_from([1, 5, 7, 24]), seed=seeds)
def test_gradients_of_batches_average_to_that_of_all(
    make: Callable[[int], Data], settings: dict[str, Any], size: int, seed: int
) -> None:
    """Whatever the batches, samples are pulled with the force that they have in the loss of the whole."""
    data = make(seed)
    expected, loss = mean_gradient(data, None)
    found, recorded = mean_gradient(data, size, **settings)
    assert_equal(found, expected)
    assert recorded == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("loss", [HalfSquaredError(), MeanSquaredError(reduction="sum")])
def test_sums_are_as_they_were(loss: Loss) -> None:
    """A sum divides by no weights, so that there is nothing to make up for."""
    x, y, weights, _ = CASES["squares"](0)
    one, other = (mean_gradient((x, y, weights, loss), size)[0] for size in (1, 8))
    assert_equal({name: 8 * grad for name, grad in one.items()}, other)


def test_without_weights_nothing_is_multiplied() -> None:
    """Steps without weights, and with weights of 1, are those of the loop by hand, to the bit."""
    trainer, x, y = classes()
    weighted, by_hand = classes()[0], classes()[0]
    trainer.fit(x, y, 2, batch_size=7, shuffle=False)
    weighted.fit(x, y, 2, batch_size=7, shuffle=False, weights=np.ones(40))
    for _ in range(2):
        for start in range(0, 40, 7):
            by_hand.step(x[start : start + 7], y[start : start + 7])
    assert values(trainer.model) == values(weighted.model) == values(by_hand.model)


def test_a_rare_heavy_sample_pulls_alike_at_every_size() -> None:
    """Predicting a constant finds the weighted mean, 0.725, at batches of 1 as of all."""
    x, y = np.zeros((200, 1)), np.r_[np.zeros(190), np.ones(10)][:, np.newaxis]
    weights = np.where(y[:, 0] == 1, 50.0, 1.0)
    for size, rate, tolerance in ((1, 0.0005, 0.05), (4, 0.002, 0.05), (16, 0.01, 0.05), (None, 0.1, 1e-6)):
        trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(rate), rng=0)
        trainer.fit(x, y, 60 if size else 200, batch_size=size, weights=weights)
        assert trainer.model.predict(x[:1])[0, 0] == pytest.approx(500 / 690, abs=tolerance)


def test_a_step_takes_its_batch_for_all_data() -> None:
    """Weights of a single step are relative to each other alone."""
    one, x, y = classes()
    other = classes()[0]
    one.step(x, y, np.arange(40.0))
    other.step(x, y, 100 * np.arange(40.0))
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-12)


def test_streams_know_their_own_batch_alone() -> None:
    """What is made elsewhere is a mean over each batch; `Batches` has all arrays, and is weighed as they are."""
    (x, y, weights, loss), found = CASES["squares"](3), []
    batches = Batches(x, y, weights, batch_size=5, shuffle=False)

    def stream() -> Iterator[tuple[Array, ...]]:
        yield from batches

    for source in ((x, y), (batches,), (stream,)):
        recorder = Record()
        settings = {"weights": weights, "batch_size": 5, "shuffle": False} if len(source) == 2 else {}
        Trainer(Dense(3, 2, rng=0), loss, recorder).fit(*source, epochs=1, **settings)
        found.append(recorder.grads)
    for number, (whole, alone) in enumerate(zip(found[1], found[2], strict=True)):
        part = weights[5 * number : 5 * number + 5]
        share = part.mean() / weights.mean()
        for a, b, c in zip(whole, alone, found[0][number], strict=True):
            np.testing.assert_allclose(a, share * b, rtol=1e-9)
            np.testing.assert_array_equal(a, c)


def test_all_data_are_those_that_are_trained_on() -> None:
    """Samples that are held out do not count among all."""
    x, y, weights, loss = CASES["squares"](1)
    recorder = Record()
    trainer = Trainer(Dense(3, 2, rng=0), loss, recorder, rng=0)
    trainer.fit(x, y, 1, batch_size=3, weights=weights, validation=0.25)
    whole = Record()
    again = Trainer(Dense(3, 2, rng=0), loss, whole, rng=0)
    again.fit(x, y, 1, weights=weights, validation=0.25)
    for number, grad in enumerate(whole.grads[0]):
        np.testing.assert_allclose(np.mean([grads[number] for grads in recorder.grads], axis=0), grad, rtol=1e-9)


def test_a_loss_that_is_exchanged_is_weighed_anew() -> None:
    """A callback may set another loss, whose total weight is another."""
    x, y, _, _ = CASES["labels"](0)
    recorder, loss = Record(), SoftmaxCrossEntropy(class_weights=[1.0, 20.0])
    trainer = Trainer(Dense(3, 2, rng=0), SoftmaxCrossEntropy(), recorder)

    def exchange(_: object) -> None:
        trainer.loss = loss

    trainer.fit(x, y, 1, batch_size=12, shuffle=False, callbacks=[exchange])
    counts = np.where(y == 1, 20.0, 1.0)
    alone = Record()
    Trainer(Dense(3, 2, rng=0), loss, alone).step(x[12:], y[12:])
    for a, b in zip(recorder.grads[1], alone.grads[0], strict=True):
        np.testing.assert_allclose(a, b * counts[12:].mean() / counts.mean(), rtol=1e-9)
