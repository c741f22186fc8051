"""`Trainer.fit` with all its options, evaluation and prediction, and what callbacks make of a run."""

import io
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import minibackprop as mb
from minibackprop import Layer, Loss, Trainer
from tests.device.kit import CASES, Kit, case

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 4))
LABELS = RNG.integers(0, 3, size=23)
VALUES = np.tanh(X[:, :2]) + 0.1 * RNG.normal(size=(23, 2))
WEIGHTS = RNG.uniform(0.5, 2.0, size=23)
WEIGHTS[3] = 0.0
SEQUENCES, LENGTHS = RNG.normal(size=(23, 5, 4)), RNG.integers(1, 6, size=23)
PLACES = RNG.integers(0, 3, size=(23, 5))
PADDED = (np.arange(5) < LENGTHS[:, np.newaxis]).astype(float)


def classifier() -> Layer:
    """Make a network of Dense layers, with masks and running statistics."""
    layers = [mb.Dense(4, 8, bias=False, rng=0), mb.BatchNorm(8), mb.ReLU(), mb.Dropout(0.2, rng=2)]
    return mb.Sequential([*layers, mb.Dense(8, 3, rng=1)])


def network() -> Layer:
    """Make one without anything that couples samples."""
    return mb.Sequential([mb.Dense(4, 8, rng=0), mb.Tanh(), mb.Dropout(0.2, rng=2), mb.Dense(8, 3, rng=1)])


def tagger() -> Layer:
    """Make one for sequences, which takes their lengths."""
    return mb.Sequential([mb.GRU(4, 6, rng=0), mb.MultiHeadAttention(6, 2, rng=3), mb.Dense(6, 3, rng=1)])


def result(trainer: Trainer, *others: Any) -> dict[str, Any]:
    """Give all that a run leaves."""
    return {
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(trainer.model),
        "history": trainer.history.as_dict(),
        "others": list(others),
    }


def fitted(
    kit: Kit,
    data: tuple[Any, ...] = (X, LABELS),
    make: Callable[[], Layer] = network,
    loss: Loss | None = None,
    metrics: Any = (mb.accuracy,),
    regularizer: Any = None,
    parallel: Any = None,
    **options: Any,
) -> Any:
    """Train, with arrays among the options taken to where the model is."""

    def there(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return kit.array(value)
        if isinstance(value, dict):
            return {name: there(part) for name, part in value.items()}
        return tuple(map(there, value)) if isinstance(value, tuple) else value

    model, loss = kit.model(make()), loss or mb.SoftmaxCrossEntropy()
    optimizer = mb.Adam(0.02, clip_norm=1.0)
    trainer = Trainer(model, loss, optimizer, metrics=metrics, regularizer=regularizer, parallel=parallel, rng=0)
    settings = {"epochs": 4, "batch_size": 6, **{name: there(value) for name, value in options.items()}}
    trainer.fit(*there(data), **settings)
    return result(trainer)


OF_SEQUENCES: dict[str, Any] = {
    "data": (SEQUENCES, PLACES),
    "make": tagger,
    "weights": PADDED,
    "given": {"lengths": LENGTHS},
}
FITS: dict[str, dict[str, Any]] = {
    "of all data at once": {"batch_size": None},
    "in batches": {},
    "with BatchNorm": {"make": classifier},
    "without shuffling": {"shuffle": False},
    "dropping the last": {"drop_last": True, "make": classifier},
    "with weights": {"weights": WEIGHTS},
    "with class weights": {"class_weights": {0: 2.0, 2: 0.5}, "weights": WEIGHTS},
    "with balanced classes": {"class_weights": "balanced"},
    "in micro-batches": {"micro_batch_size": 4, "weights": WEIGHTS},
    "with validation": {"validation": (X[:9], LABELS[:9], WEIGHTS[:9])},
    "with a fraction held out": {"validation": 0.3},
    "with a stratified fraction held out": {"validation": 0.3, "stratify": True},
    "with side inputs": {**OF_SEQUENCES, "validation": (SEQUENCES[:9], PLACES[:9], None, {"lengths": LENGTHS[:9]})},
    "ignoring a label": {**OF_SEQUENCES, "loss": mb.SoftmaxCrossEntropy(ignore_index=1)},
    "shared by threads": {"parallel": mb.Threads(2), "weights": WEIGHTS, "validation": 0.3},
    "with BatchNorm, shared by threads": {"parallel": mb.Threads(3), "make": classifier},
    "with side inputs, shared by threads": {**OF_SEQUENCES, "parallel": mb.Threads(2)},
    "with a penalty": {"regularizer": mb.L2(0.01)},
    "of values": {
        "data": (X, VALUES),
        "make": lambda: mb.mlp([4, 8, 2], rng=0),
        "loss": mb.Huber(),
        "metrics": (mb.r2_score, mb.mean_absolute_error),
        "validation": 0.3,
    },
    "with a plain function": {
        "metrics": {"size": lambda prediction, target: abs(prediction).mean() + target.mean()},
        "validation": 0.3,
        "weights": WEIGHTS,
    },
}
for _name, _options in FITS.items():
    CASES[f"fit {_name}"] = partial(fitted, **_options)


@case
def fit_with_functions_of_scikit_learn(kit: Kit) -> Any:
    """Such functions get NumPy's arrays."""
    from sklearn.metrics import f1_score, roc_auc_score

    metrics = {
        "f1": mb.SklearnMetric(f1_score, average="macro"),
        "auc": mb.SklearnMetric(roc_auc_score, of="probabilities", multi_class="ovr", labels=[0, 1, 2]),
    }
    return fitted(kit, metrics=metrics, validation=(X, LABELS), weights=WEIGHTS)


@case
def fit_of_batches_made_elsewhere(kit: Kit) -> Any:
    """NumPy's batches go over one by one, in a function of the user's."""

    def batches() -> Iterator[tuple[Any, ...]]:
        for samples, targets in mb.Batches(X, LABELS, batch_size=6, shuffle=False):
            yield kit.array(samples), kit.array(targets)

    made = mb.Batches(kit.array(X), kit.array(LABELS), batch_size=6, rng=3, rows=np.arange(20))
    return [fitted(kit, (source,), batch_size=None, validation=batches) for source in (batches, made)]


@case
def evaluation_and_prediction(kit: Kit) -> Any:
    """The loss and metrics of data; predictions, whole and in parts; single steps."""
    trainer = Trainer(kit.model(classifier()), mb.SoftmaxCrossEntropy(), mb.SGD(0.1), metrics=[mb.accuracy], rng=0)
    x, y = kit.array(X), kit.array(LABELS)
    losses = [trainer.step(x, y), trainer.step(x, y, kit.array(WEIGHTS))]
    measured = [trainer.evaluate(x, y), trainer.evaluate(x, y, kit.array(WEIGHTS), batch_size=5)]
    return result(trainer, losses, measured, trainer.predict(x), trainer.predict(x, batch_size=5))


@case
def callbacks(kit: Kit) -> Any:
    """What watches a run, ends it, averages its weights or lowers its rate; and what is printed."""
    average, printed = mb.MovingAverage(0.8), io.StringIO()
    watching: list[Any] = [
        average,
        mb.EarlyStopping(2, "val_loss"),
        mb.ReduceLROnPlateau("loss", 0.5, 1, min_delta=1e-2),
        mb.PrintEvery(3, file=printed),
        mb.PrintEvery(3, mb.accuracy, file=printed),
        mb.ProgressBar(printed),
        lambda step: seen.append(step.prediction),
    ]
    seen: list[Any] = []
    optimizer = mb.SGD(0.5, momentum=0.5)
    trainer = Trainer(kit.model(network()), mb.SoftmaxCrossEntropy(), optimizer, metrics=[mb.accuracy], rng=0)
    data = [kit.array(each) for each in (X[:16], LABELS[:16], X[16:], LABELS[16:])]
    trainer.fit(data[0], data[1], 12, batch_size=5, validation=(data[2], data[3]), callbacks=watching)
    return result(trainer, average.weights, optimizer.learning_rate, seen[-1], len(printed.getvalue()) > 50)


@case
def a_loop_of_ones_own(kit: Kit) -> Any:
    """Four lines, without a trainer."""
    model, loss, optimizer = kit.model(network()), mb.SoftmaxCrossEntropy(), mb.AdamW(0.01)
    losses = []
    for x, y in mb.Batches(kit.array(X), kit.array(LABELS), batch_size=6, rng=0):
        prediction, cache = model.forward(x)
        value, loss_cache = loss.forward(prediction, y)
        model.accumulate(loss.backward(loss_cache), cache)
        optimizer.step(model.parameters())
        losses.append(value)
    return model.state_dict(), losses


@case
def divergence(kit: Kit) -> Any:
    """Messages of what is not finite are the same."""
    made = []
    for data, rate in (
        ((X * 1e200, VALUES), 0.1),
        ((X, VALUES), 1e30),
        ((X, np.where(VALUES > 1, np.nan, VALUES)), 0.1),
    ):
        trainer = Trainer(kit.model(mb.Dense(4, 2, rng=0)), mb.MeanSquaredError(), mb.SGD(rate), rng=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                trainer.fit(*(kit.array(each) for each in data), epochs=20)
            except mb.NonFiniteError as error:
                made.append(str(error).partition("largest entry")[0])
    return made
