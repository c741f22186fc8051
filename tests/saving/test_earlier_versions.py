"""Files of earlier versions are read, and their runs go on; in `data` is what they wrote, and what came of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minibackprop import (
    Adam,
    AdamW,
    Dense,
    MeanSquaredError,
    Optimizer,
    RMSProp,
    Sequential,
    Tanh,
    Trainer,
    load,
    resume,
    save_checkpoint,
)
from minibackprop.validation import Array

DATA = Path(__file__).parent / "data"

#: Those of the runs in ``version_1``: saved after 2 epochs, and after 5 their weights are those in ``later.npz``.
OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "adam": lambda: Adam(0.05, beta1=0.8, beta2=0.95, epsilon=1e-3),
    "adamw": lambda: AdamW(0.05, beta1=0.8, beta2=0.95, weight_decay=0.1, biases=True),
    "rmsprop": lambda: RMSProp(0.05, rho=0.9, epsilon=1e-3),
}
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)

X = np.random.RandomState(0).normal(size=(20, 3))  # Whose numbers NumPy keeps as they are.
Y = np.sin(X.sum(axis=1, keepdims=True))


def entries(file: str, name: str) -> dict[str, Array]:
    """Read the arrays of one run."""
    with np.load(DATA / "version_1" / file) as arrays:
        return {key.removeprefix(f"{name}."): arrays[key] for key in arrays if key.startswith(f"{name}.")}


def made(name: str) -> Trainer:
    """Make a trainer as that of the run, with other initial weights."""
    dtype = np.float32 if name == "adamw" else np.float64
    model = Sequential([Dense(3, 2, dtype=dtype, rng=7), Tanh(), Dense(2, 1, dtype=dtype, rng=8)])
    return Trainer(model, MeanSquaredError(), OPTIMIZERS[name](), rng=1)


def assert_goes_on(run: Trainer, name: str) -> None:
    """Make the remaining steps, and look for the weights of the run that was never interrupted."""
    assert run.optimizer.steps == 8
    run.fit(X, Y, epochs=3, batch_size=6, shuffle=False)
    for path, expected in entries("later.npz", name).items():
        found = run.model.state_dict()[path]
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5 if found.dtype == np.float32 else 1e-12)


@each_optimizer
def test_a_checkpoint_goes_on(name: str, tmp_path: Path) -> None:
    """The steps after it are those of the run in one piece, also where it is saved again in between."""
    run = made(name)
    resume(DATA / "version_1" / f"{name}.npz", run)
    save_checkpoint(run, tmp_path / "again")
    assert_goes_on(run, name)
    again = made(name)
    resume(tmp_path / "again", again)
    assert_goes_on(again, name)


@each_optimizer
def test_a_state_of_an_optimizer_goes_on(name: str) -> None:
    """Taken on its own, beside the weights of its time, it is converted as well."""
    run = made(name)
    resume(DATA / "version_1" / f"{name}.npz", run)
    weights, converted = run.model.state_dict(), run.optimizer.state_dict(run.model)
    fresh = made(name)
    fresh.model.load_state_dict(weights)
    fresh.optimizer.load_state_dict(entries("states.npz", name), fresh.model)
    np.testing.assert_equal(fresh.optimizer.state_dict(fresh.model), converted)
    assert_goes_on(fresh, name)


def test_a_model_is_loaded() -> None:
    """It predicts what it predicted."""
    model = load(DATA / "version_1" / "model.npz")
    expected = entries("later.npz", "model")["prediction"]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12)
