from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    Adam,
    Callback,
    Checkpoint,
    ConfigError,
    CosineDecay,
    Dense,
    MeanSquaredError,
    Optimizer,
    Parameter,
    ReduceLROnPlateau,
    StepDecay,
    Trainer,
    resume,
)
from minibackprop.validation import Array
from tests.training.lines import Scripted, X, Y


class Rates(Callback):
    """Writes down the rate of the next step after each epoch, whoever changed it."""

    runs_last = True

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_epoch_end(self, trainer: Trainer, /) -> None:
        rate: Any = trainer.optimizer.learning_rate
        self.seen.append(rate(trainer.steps) if callable(rate) else rate)


def run(values: list[float], *plateaus: Callback, optimizer: Optimizer | None = None, fits: int = 1) -> list[float]:
    """Fit with these validation scores, one an epoch; give the rate after each."""
    rates, optimizer, metrics = Rates(), optimizer or SGD(1.0), {"score": Scripted(values)}
    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), optimizer, metrics=metrics, rng=0)
    for _ in range(fits):
        trainer.fit(0 * X, Y, len(values) // fits, validation=(X[:2], Y[:2]), callbacks=[*plateaus, rates])
    return rates.seen


def plateau(**settings: Any) -> ReduceLROnPlateau:
    return ReduceLROnPlateau(**{"monitor": "val_score", "mode": "min", "factor": 0.5, "patience": 2} | settings)


@pytest.mark.parametrize(
    ("values", "settings", "rates"),
    [
        ([3, 2, 1, 0], {}, [1, 1, 1, 1]),
        ([3, 3, 3, 3, 3, 3], {}, [1, 1, 0.5, 0.5, 0.25, 0.25]),
        ([3, 3, 2, 2, 2, 1], {}, [1, 1, 1, 1, 0.5, 0.5]),
        ([3, 2.5, 2.4, 2.3], {"min_delta": 0.3}, [1, 1, 1, 0.5]),
        ([3, 3 - 1e-5, 3 - 2e-5], {}, [1, 1, 0.5]),
        ([1, 2, 3, 4], {"mode": "max"}, [1, 1, 1, 1]),
        ([3, 3, 3, 3, 3, 3, 3], {"cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
        ([3, 3, 3, 3, 3], {"patience": 1, "min_lr": 0.3}, [1, 0.5, 0.3, 0.3, 0.3]),
        ([3, 3, 3], {"patience": 1, "min_lr": 2}, [1, 1, 1]),
        ([3, np.nan, np.nan, np.inf], {}, [1, 1, 0.5, 0.5]),
    ],
)
def test_the_rate_falls_where_nothing_gets_better(
    values: list[float], settings: dict[str, Any], rates: list[float]
) -> None:
    """After `patience` epochs without improvement, cooldown apart, it is multiplied, but not beyond `min_lr`."""
    assert run(values, plateau(**settings)) == rates


def test_a_schedule_is_multiplied() -> None:
    """It goes on at its own pace, times the factor; not below the least rate unless it is there by itself."""
    schedule, reducing = CosineDecay(1.0, steps=8), plateau(min_lr=0.1)
    factors = [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    bare = [schedule(step + 1) for step in range(8)]
    expected = [max(factor * rate, min(rate, 0.1)) for factor, rate in zip(factors, bare, strict=True)]
    np.testing.assert_allclose(run([3] * 8, reducing, optimizer=Adam(schedule)), expected, rtol=1e-14)
    assert reducing.reductions == [0.5, 0.5, 0.5]


def test_a_rate_never_becomes_zero() -> None:
    """However long nothing gets better: an optimizer would refuse it, in the middle of the run."""
    rates = run([3] * 1100, plateau(patience=1))
    assert rates[-1] > 0
    assert rates[-1] == rates[-2]


class Own(Optimizer):
    """An optimizer of one's own, which knows numbers alone."""

    def __init__(self, learning_rate: Any) -> None:
        self.learning_rate = learning_rate

    def step(self, parameters: Iterable[Parameter], /) -> None:
        for parameter in parameters:
            parameter.value -= self.learning_rate * parameter.grad
            parameter.clear()


class Fixed(Own):
    """An optimizer whose rate nobody can set."""

    def __init__(self) -> None:
        pass

    @property
    def learning_rate(self) -> float:
        return 1.0


class Parts(Optimizer):
    """An optimizer made of others, one for the weight and one for the bias."""

    def __init__(self, **optimizers: Optimizer) -> None:
        self.optimizers = optimizers

    def step(self, parameters: Iterable[Parameter], /) -> None:
        for optimizer, parameter in zip(self.optimizers.values(), parameters, strict=True):
            optimizer.step([parameter])


def test_optimizers_of_ones_own() -> None:
    """A number stays a number, for whatever has a `learning_rate`."""
    assert run([3] * 4, plateau(), optimizer=Own(1.0)) == [1, 1, 0.5, 0.5]


def test_the_rate_of_each_part_falls() -> None:
    """Of an optimizer made of others, that of each; one for two parts once."""
    weight, bias = SGD(1.0), Adam(StepDecay(0.1, every=100, factor=0.5))
    for parts in (Parts(weight=weight, bias=bias), Parts(weight=weight, bias=weight)):
        weight.learning_rate = 1.0
        trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), parts, metrics={"score": Scripted([3] * 4)}, rng=0)
        trainer.fit(0 * X, Y, 4, validation=(X[:2], Y[:2]), callbacks=[plateau()])
        assert weight.learning_rate == 0.5
    assert bias.learning_rate(0) == 0.05


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Own(None), "learning_rate of Own expects a number or a schedule, got NoneType"),
        (Parts(), "optimizer expects one with a learning_rate, got Parts"),
        (Fixed(), "learning_rate of Fixed expects to be one that can be set, got property"),
    ],
)
def test_an_optimizer_without_a_rate_is_refused(optimizer: Optimizer, message: str) -> None:
    """Before the first step, by name."""
    with pytest.raises(ConfigError, match=f"ReduceLROnPlateau: {message}"):
        run([3], plateau(), optimizer=optimizer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1}, "factor expects a number above 0 and below 1, got 1"),
        ({"factor": 0.0}, "factor expects a number above 0 and below 1, got 0"),
        ({"factor": "a"}, "factor expects a number above 0 and below 1, got 'a'"),
        ({"patience": 0}, "patience expects a positive integer, got 0"),
        ({"cooldown": -1}, "cooldown expects an integer of at least 0, got -1"),
        ({"min_lr": -1}, "min_lr expects a finite number of at least 0, got -1"),
        ({"min_delta": None}, "min_delta expects a finite number of at least 0, got None"),
        ({"monitor": 3}, "monitor expects an instance of str, got int"),
        ({"mode": "best"}, "mode expects 'min', 'max' or None, got 'best'"),
    ],
)
def test_nonsense_is_refused(arguments: dict[str, Any], message: str) -> None:
    """At construction."""
    with pytest.raises(ConfigError, match=f"^ReduceLROnPlateau: {message}"):
        plateau(**arguments)


def test_the_rate_stays_reduced_after_fit_and_patience_begins_anew() -> None:
    """Another fit goes on with the reduced rate; the epochs without improvement are counted from its beginning."""
    reducing = plateau()
    assert run([3] * 8, reducing, fits=2) == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert reducing.reductions == [0.5, 0.5]
    assert run([3] * 3, reducing) == [1, 1, 0.5]  # Of another run, with another optimizer.
    assert reducing.reductions == [0.5]


def test_two_of_them_and_others_that_set_the_rate_multiply_what_they_find() -> None:
    """None undoes what another did."""
    assert run([3] * 4, plateau(), plateau(factor=0.1)) == pytest.approx([1, 1, 0.05, 0.05], rel=1e-15)


def test_no_finite_value_is_told() -> None:
    """The rate falls as on any plateau, and the reason is not passed over."""
    with pytest.warns(UserWarning, match="ReduceLROnPlateau: val_score was not finite in any of 3 epochs; the rate"):
        assert run([np.nan] * 3, plateau()) == [1, 0.5, 0.5]


@pytest.mark.parametrize("make", [lambda: SGD(0.3, momentum=0.9), lambda: Adam(CosineDecay(0.3, steps=30))])
def test_a_resumed_run_goes_on_with_the_reduced_rate(tmp_path: Path, make: Callable[[], Optimizer]) -> None:
    """Wherever it was cut, the weights and rates are those of the run in one piece, to the bit."""
    path = tmp_path / "run"
    x = np.linspace(-1, 1, 12)[:, np.newaxis]

    def made(seed: int) -> tuple[Trainer, ReduceLROnPlateau, Rates]:
        trainer = Trainer(Dense(1, 1, rng=seed), MeanSquaredError(), make(), rng=2)
        return trainer, ReduceLROnPlateau(factor=0.3, patience=1, min_lr=1e-3, cooldown=1), Rates()

    def end(trainer: Trainer) -> dict[str, Array]:
        return trainer.model.state_dict() | trainer.history.as_dict()

    whole, first, rates = made(0)
    whole.fit(x, abs(x), 20, batch_size=5, validation=0.3, callbacks=[first, rates])
    assert len(set(first.reductions)) == 1 < len(first.reductions)
    for cut in (2, 9, 17):
        trainer, reducing, _ = made(0)
        trainer.fit(x, abs(x), cut, batch_size=5, validation=0.3, callbacks=[reducing, Checkpoint(path)])
        for resumed, again, seen in (made(1), (trainer, reducing, Rates())):
            resume(path, resumed, [again])
            resumed.fit(x, abs(x), 20 - cut, batch_size=5, validation=0.3, callbacks=[again, seen])
            np.testing.assert_equal(end(resumed), end(whole))
            assert seen.seen == rates.seen[cut:]
            assert again.state_dict() == first.state_dict()


def test_a_resumed_run_takes_a_rate_that_the_code_has_changed(tmp_path: Path) -> None:
    """The memory is the factor; the rate itself is a setting, which the code gives."""
    reducing = plateau(monitor="loss")
    trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(1e-9), rng=0)
    trainer.fit(X, Y, 3, callbacks=[reducing, Checkpoint(tmp_path / "run")])
    other = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.25), rng=0)
    resume(tmp_path / "run", other, [reducing])
    other.fit(X, Y, 1, callbacks=[reducing])
    assert other.optimizer.learning_rate == 0.125
