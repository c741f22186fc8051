"""The check of a loss: its gradient, its weights, its scale, its reduction, its dtype."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.losses.base import Loss
from minibackprop.testing.case import Case
from minibackprop.testing.checks.makers import require_maker
from minibackprop.testing.laws.losses import LAWS, LossLayer, some_zero
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search
from minibackprop.testing.strategies.arrays import batches
from minibackprop.validation import Array


def check_loss(
    make: Callable[[], Loss],
    shape: tuple[int, ...],
    *,
    targets: Callable[[np.random.Generator, Array], Array] | None = None,
    examples: int | None = None,
    seed: int = 0,
) -> Report:
    """
    Check that a loss keeps its contract: its gradient, its weights, its scale, its reduction, its dtype.

    Parameters
    ----------
    make : class or callable
        What makes the loss without arguments.
    shape : tuple of int
        The shape of the prediction for one sample.
    targets : callable, optional
        Of a source of random numbers and a batch of predictions to targets. By default, they are shaped and spread like
        the predictions. Integers of shape ``prediction.shape[:-1]`` are taken for labels of classes.
    examples : int, optional
        How many examples to draw; by default a fifth of Hypothesis' ``max_examples``.
    seed : int
        Another seed draws other examples.

    Raises
    ------
    ContractViolation
        With the name of the broken law, and the cause where it can be told.
    Inconclusive
        If no draw could have shown whether the gradient is right.
    ConfigError
        If the call itself makes no sense.

    Examples
    --------
    >>> from minibackprop import Loss, MeanSquaredError
    >>> print(check_loss(MeanSquaredError, (2,)).kept)
    ['value', 'arguments untouched', 'gradient', 'scale', 'dtype', 'weights', 'reduction', 'parts', 'shapes', 'finite']

    Targets of another kind are drawn by a function:

    >>> from minibackprop import SoftmaxCrossEntropy
    >>> report = check_loss(SoftmaxCrossEntropy, (3,), targets=lambda rng, x: rng.integers(3, size=len(x)))
    >>> report.power["gradient"]["input"] < 1e-8
    True
    """
    require_maker("check_loss", make, Loss)
    if targets is not None and not callable(targets):
        raise ConfigError("check_loss: targets", "a callable of random numbers and predictions", describe(targets))

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        x, number = draw(batches(shape, min_size=1, layouts=["C"])), draw(st.integers(0, 2**16))
        rng = np.random.default_rng(number)
        target = rng.normal(size=x.shape).round(2) if targets is None else targets(rng, x)
        weights = some_zero(rng, rng.uniform(0.5, 2, len(x)).round(2)) if rng.random() < 0.5 else None

        def layer() -> Layer:
            return LossLayer(make(), target, weights)

        return Case(layer, layer, x, x, number, any_input=False)

    return search(cases(), LAWS, configured(examples), seed)
