"""Files and states between NumPy's arrays and those of a device."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import minibackprop as mb
from minibackprop import Trainer
from tests.device.kit import HOST, Kit, case
from tests.device.training import LABELS, X, network, result


def trainer_of(kit: Kit, seed: int = 0) -> tuple[Trainer, list[Any]]:
    """Make a trainer as for a run that goes on, and callbacks with memories."""
    model, optimizer = kit.model(network()), mb.Adam(0.05)
    trainer = Trainer(model, mb.SoftmaxCrossEntropy(), optimizer, metrics=[mb.accuracy], rng=seed)
    return trainer, [mb.MovingAverage(0.9), mb.EarlyStopping(9, "val_loss", restore_best=False)]


def train(kit: Kit, trainer: Trainer, callbacks: list[Any], epochs: int) -> None:
    """Go on for some epochs."""
    data = kit.array(X), kit.array(LABELS)
    trainer.fit(*data, epochs, batch_size=6, validation=data, callbacks=callbacks)


@case
def a_model_in_a_file(kit: Kit) -> Any:
    """It comes back as NumPy's, and goes to the device from there; its file is the same."""
    with tempfile.TemporaryDirectory() as directory:
        path, other = Path(directory) / "model.npz", Path(directory) / "other.npz"
        mb.save(kit.model(network()), path)
        mb.save(kit.model(network()), other, to_host=kit.to_host)
        loaded, weights = mb.load(path), mb.load_weights(other)
        assert all(isinstance(value, np.ndarray) for value in loaded.state_dict().values())
        content = np.frombuffer(path.read_bytes(), np.uint8), np.frombuffer(other.read_bytes(), np.uint8)
    there = kit.model(loaded)
    again = kit.model(mb.Sequential([*network()][:1]))
    again.load_state_dict({name: value * 2 for name, value in weights.items() if name.startswith("0.")})
    return content, weights, there.predict(kit.array(X)), again.state_dict()


@case
def states_between_devices(kit: Kit) -> Any:
    """A state of either kind goes into a model of either kind."""
    ours, theirs = network(), kit.model(network())
    theirs.load_state_dict({name: 2 * value for name, value in ours.state_dict().items()})
    ours.load_state_dict(theirs.state_dict())
    one, other = mb.Adam(0.1), mb.Adam(0.1)
    for parameter in theirs.parameters():
        parameter.add(kit.array(np.ones(parameter.shape)))
    one.step(theirs.parameters())
    other.load_state_dict(one.state_dict(theirs), ours)
    one.load_state_dict(other.state_dict(ours), theirs)
    return ours.state_dict(), theirs.state_dict(), other.state_dict(ours), one.state_dict(theirs)


@case
def runs_that_go_on_elsewhere(kit: Kit) -> Any:
    """A run goes on from a checkpoint to what it would have come to, wherever it goes on, and wherever it was."""
    found: list[Any] = []
    for before, after in ((kit, kit), (kit, HOST), (HOST, kit)):
        with tempfile.TemporaryDirectory() as directory:
            path, best = Path(directory) / "run.npz", Path(directory) / "best.npz"
            trainer, callbacks = trainer_of(before)
            files = [mb.Checkpoint(path, to_host=kit.to_host), mb.Checkpoint(best, save_best_only=True)]
            train(before, trainer, callbacks + files, 3)
            found += [mb.load_weights(path), mb.load_weights(best)]
            trainer, callbacks = trainer_of(after, seed=1)
            mb.resume(path, trainer, callbacks + files)
            train(after, trainer, callbacks + files, 3)
            found += [mb.load_weights(path), mb.load_weights(best)]
        found.append(result(trainer, callbacks[0].weights, callbacks[1].state_dict()))
    return found
