"""The check of a whole model with its loss, at a point of the user's.

Both are put into a layer, so that the laws of gradients, and their diagnosis, serve here as well.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, overload

import numpy as np
from attrs import frozen

from minibackprop.core import Layer, layers_within
from minibackprop.errors import ConfigError, describe
from minibackprop.losses.base import Loss
from minibackprop.regularizers import Regularizer
from minibackprop.testing.calls import as_float64
from minibackprop.testing.case import StandIn
from minibackprop.testing.checks.function import check_at_a_point
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.gradients import accumulates, input_gradient, parameter_gradient
from minibackprop.testing.laws.regularizers import add_scaled
from minibackprop.testing.report import Report
from minibackprop.training.trainer import Trainer
from minibackprop.validation import Array

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True


@overload
def check_model(model: Trainer, x: Array, y: Array, /, *, seed: int | None = None) -> Report: ...


@overload
def check_model(
    model: Layer, loss: Loss, x: Array, y: Array, *, regularizer: Regularizer | None = None, seed: int | None = None
) -> Report: ...


def check_model(
    model: Layer | Trainer,
    loss: Any,
    x: Any,
    y: Any = None,
    *,
    regularizer: Regularizer | None = None,
    seed: int | None = None,
) -> Report:
    """
    Check the gradients of a loss of a whole model, at the parameters that it has and at a batch of the user's own.

    A layer that declares `alters_gradient` is replaced by the identity in both passes; the rest is checked around it.

    Parameters
    ----------
    model : Layer or Trainer
        Not changed: a float64 copy is checked. A `Trainer` stands for its model, its loss and its regularizer:
        ``check_model(trainer, x, y)``.
    loss : Loss
    x, y : array
        Samples and targets.
    regularizer : Regularizer, optional
        Its penalty is part of the loss then, as in `Trainer`.
    seed : int, optional
        The seed of the directions and upstream gradients. By default as of `check_layer`.

    Raises
    ------
    ContractViolation
        If a gradient is not that of the loss, or `accumulate` differs from `backward`.
    Inconclusive
        If finite differences could not tell: where a parameter does not matter at this point, say.
    ConfigError
        If the call itself makes no sense.

    Examples
    --------
    >>> from minibackprop import HalfSquaredError, three_layer
    >>> x = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> report = check_model(three_layer(), HalfSquaredError(), x, np.array([[0.0], [1], [1], [0]]))
    >>> sorted(report.power["parameter gradient"])
    ['0.weight', '2.weight']
    """
    if isinstance(model, Trainer):
        if regularizer is not None or y is not None:
            given = "a fourth array" if regularizer is None else "regularizer="
            raise ConfigError("check_model: trainer", "to be given with x and y alone", given)
        x, y, regularizer, loss, model = loss, x, model.regularizer, model.loss, model.model
    kinds = {"model": Layer, "loss": Loss, "x": np.ndarray, "y": np.ndarray}
    for (name, kind), value in zip(kinds.items(), (model, loss, x, y), strict=True):
        if not isinstance(value, kind):
            raise ConfigError(f"check_model: {name}", f"an instance of {kind.__name__}", describe(value))
    if not isinstance(regularizer, Regularizer | None):
        raise ConfigError("check_model: regularizer", "an instance of Regularizer", describe(regularizer))
    loss.forward(copy.deepcopy(model).forward(x)[0], y)  # If they do not fit together, no law is broken.
    whole = _ModelWithLoss(_with_identities(as_float64(copy.deepcopy(model))), loss, y, regularizer)
    laws = [
        Law("input gradient", "backward returns the gradient with respect to the input.", input_gradient),
        Law("parameter gradient", "backward adds the gradient with respect to every parameter.", parameter_gradient),
        Law("accumulate", "accumulate does to the parameters what backward does.", accumulates),
    ]
    return check_at_a_point(
        lambda: copy.deepcopy(whole), x.astype(np.float64) if x.dtype.kind == "f" else x, laws, seed
    )


@frozen(eq=False, slots=False)
class _ModelWithLoss(StandIn):
    """A model with its loss: of a batch to an array of one number."""

    model: Layer
    loss: Loss
    target: Array
    regularizer: Regularizer | None

    def code(self, x: Array, grad: Array) -> str:
        lines = ("prediction, cache = model.forward(x)", "value, loss_cache = loss.forward(prediction, y)")
        return "\n".join([*lines, f"grad_x = model.backward(loss.backward(loss_cache, {grad[0]}), cache)"])

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        prediction, cache = self.model.forward(x)
        value, loss_cache = self.loss.forward(prediction, self.target)
        return np.array([value + self._penalty()]), (cache, loss_cache)

    def predict(self, x: Array, /) -> Array:
        return np.array([self.loss(self.model.predict(x), self.target) + self._penalty()])

    def backward(self, grad: Array, caches: tuple[Any, Any], /) -> Array | None:
        cache, loss_cache = caches
        self._add_penalty(grad)
        return self.model.backward(self.loss.backward(loss_cache, float(grad[0])), cache)

    def accumulate(self, grad: Array, caches: tuple[Any, Any], /) -> None:
        cache, loss_cache = caches
        self._add_penalty(grad)
        self.model.accumulate(self.loss.backward(loss_cache, float(grad[0])), cache)

    def _penalty(self) -> float:
        return 0.0 if self.regularizer is None else self.regularizer.forward(self.model.parameters())

    def _add_penalty(self, grad: Array) -> None:
        if self.regularizer is not None:
            add_scaled(self.regularizer, self.model.parameters(), float(grad[0]))

    def _members(self) -> Iterator[tuple[str, object]]:
        """Name the parameters as the model does."""
        return self.model._members()


def _with_identities(model: Layer) -> Layer:
    """Turn the layers that alter the gradient into the identity."""
    for layer in (model, *layers_within(model)):
        if layer.alters_gradient and not layers_within(layer):
            for verb, identity in (
                ("forward", lambda x: (x, None)),
                ("backward", lambda grad, _: grad),
                ("accumulate", lambda grad, _: None),  # noqa: ARG005
                ("predict", lambda x: x),
            ):
                object.__setattr__(layer, verb, identity)
    return model
