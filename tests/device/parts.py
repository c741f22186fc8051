"""Losses, regularizers, metrics and optimizers, each by itself."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import minibackprop as mb
from minibackprop import Loss, Optimizer
from tests.device.kit import CASES, Kit, case

RNG = np.random.default_rng(0)
LOGITS, TARGETS, WEIGHTS = RNG.normal(size=(6, 3)), RNG.uniform(size=(6, 3)), np.array([1.0, 2.0, 0.5, 0.0, 1.0, 3.0])
LABELS, PROBABILITIES = np.array([0, 2, 1, 1, 0, 2]), TARGETS / TARGETS.sum(axis=1, keepdims=True)

#: Each loss with a target for `LOGITS`.
LOSSES: dict[str, tuple[Loss, np.ndarray]] = {
    "BinaryCrossEntropy": (mb.BinaryCrossEntropy(), TARGETS),
    "HalfSquaredError": (mb.HalfSquaredError(), TARGETS),
    "Huber": (mb.Huber(0.5), TARGETS),
    "MeanAbsoluteError": (mb.MeanAbsoluteError(), TARGETS),
    "MeanSquaredError": (mb.MeanSquaredError(), TARGETS),
    "MeanSquaredError, a sum": (mb.MeanSquaredError(reduction="sum"), TARGETS),
    "SoftmaxCrossEntropy": (mb.SoftmaxCrossEntropy(), LABELS),
    "SoftmaxCrossEntropy, of probabilities": (mb.SoftmaxCrossEntropy(0.1), PROBABILITIES),
    "SoftmaxCrossEntropy, ignoring": (mb.SoftmaxCrossEntropy(ignore_index=1), LABELS),
    "SoftmaxCrossEntropy, of classes": (mb.SoftmaxCrossEntropy(0.1, [1.0, 2.0, 0.5]), LABELS),
}


def _of_loss(loss: Loss, target: np.ndarray, kit: Kit) -> Any:
    found = []
    for weights in (None, kit.array(WEIGHTS)):
        value, cache = loss.forward(kit.array(LOGITS), kit.array(target), weights)
        found += [value, loss.backward(cache), loss.backward(cache, 0.25)]
        found += [loss.total_weight(kit.array(target), weights)]
    return found


for _name, (_loss, _target) in LOSSES.items():
    CASES[f"loss {_name}"] = partial(_of_loss, _loss, _target)


@case
def regularizers(kit: Kit) -> Any:
    """Penalties, and what they add to gradients."""
    found = {}
    for penalty in (mb.L1(0.1), mb.L2(0.1), mb.ElasticNet(0.1, 0.2, biases=True)):
        model = kit.model(mb.Sequential([mb.Dense(3, 4, rng=0), mb.Dense(4, 2, rng=1)]))
        value = penalty.forward(model.parameters())
        penalty.backward(model.parameters())
        found[type(penalty).__name__] = [value, *(parameter.grad for parameter in model.parameters())]
    return found


@case
def metrics(kit: Kit) -> Any:
    """Numbers of predictions, with weights and without."""
    of_values = (mb.mean_absolute_error, mb.mean_squared_error, mb.r2_score)
    of_classes = (mb.accuracy, partial(mb.accuracy, ignore_index=1), partial(mb.top_k_accuracy, k=2))
    found = []
    for weights in (None, kit.array(WEIGHTS)):
        found += [metric(kit.array(LOGITS), kit.array(TARGETS), weights) for metric in of_values]
        found += [metric(kit.array(LOGITS), kit.array(LABELS), weights) for metric in of_classes]
        found += [mb.accuracy(kit.array(LOGITS), kit.array(PROBABILITIES), weights)]
        found += [mb.binary_accuracy(kit.array(LOGITS), kit.array(TARGETS > 0.5), weights=weights)]
    return found


OPTIMIZERS: dict[str, Callable[[], Optimizer]] = {
    "SGD": lambda: mb.SGD(0.1),
    "SGD with momentum": lambda: mb.SGD(0.1, momentum=0.9, nesterov=True),
    "SGD with a schedule": lambda: mb.SGD(mb.CosineDecay(0.1, 5)),
    "Adagrad": lambda: mb.Adagrad(0.1),
    "RMSProp": lambda: mb.RMSProp(0.01),
    "Adam": lambda: mb.Adam(0.01),
    "AdamW": lambda: mb.AdamW(0.01, weight_decay=0.1),
    "Adam with limits": lambda: mb.Adam(0.01, clip_value=0.5, clip_norm=0.7),
}


def gradients(rng: np.random.Generator, model: mb.Layer, kit: Kit) -> None:
    """Give each parameter a random gradient."""
    for parameter in model.parameters():
        parameter.add(kit.array(rng.normal(size=parameter.shape)))


def _of_optimizer(make: Callable[[], Optimizer], kit: Kit) -> Any:
    """Make steps, take the state over, and go on: beyond the step at which slots are rounded to zero."""
    rng, model, optimizer = np.random.default_rng(0), kit.model(mb.Dense(3, 4, rng=0)), make()
    for _ in range(30):
        gradients(rng, model, kit)
        optimizer.step(model.parameters())
    other = make()
    other.load_state_dict(optimizer.state_dict(model), model)
    for _ in range(4):
        gradients(rng, model, kit)
        other.step(model.parameters())
    return {"state": model.state_dict(), "slots": other.state_dict(model)}


for _kind, _make in OPTIMIZERS.items():
    CASES[f"optimizer {_kind}"] = partial(_of_optimizer, _make)


@case
def optimizer_ParameterGroups(kit: Kit) -> Any:  # noqa: N802
    """An optimizer for each part, limits of all together, and a frozen part."""
    rng, model = np.random.default_rng(0), kit.model(mb.Sequential([mb.Dense(3, 4, rng=0), mb.Dense(4, 2, rng=1)]))
    model[0].freeze()
    optimizer = mb.ParameterGroups(model, {"0": mb.SGD(0.1)}, mb.Adam(0.01), clip_norm=0.5, clip_value=0.4)
    for number in range(6):
        if number == 3:
            model.unfreeze()
        gradients(rng, model, kit)
        optimizer.step(model.parameters())
    return {"state": model.state_dict(), "slots": optimizer.state_dict(model)}
