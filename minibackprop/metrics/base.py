"""What a metric is: a number for people to read, which accumulates over batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from minibackprop.errors import ConfigError, ShapeError
from minibackprop.validation import Array, as_array, require_numbers, with_axes

_Function = TypeVar("_Function", bound=Callable[..., float])


class Metric(ABC):
    """
    A function of prediction and target to a number, which needs no gradient and accumulates over batches.

    `Trainer` hands it one batch after the other, and asks for the number at the end: so the value of an epoch is that
    of all its samples, with their weights, and only what the metric needs is kept. States add: the state of two parts
    of the data is the sum of theirs. Nothing is kept on the metric itself, so that one object serves several runs.

    A trainer hands in what the loss counts: without the labels that it ignores, and with the classes last.

    Examples
    --------
    The root of the mean squared error, which is no mean over batches:

    >>> class RootMeanSquaredError(Metric):
    ...     def reset(self):
    ...         return np.zeros(2)
    ...
    ...     def update(self, state, prediction, target, weights=None):
    ...         squares = np.square(prediction - target)
    ...         weights = np.ones(len(squares)) if weights is None else weights
    ...         each = weights.reshape(*weights.shape, *[1] * (squares.ndim - weights.ndim)) * np.ones(squares.shape)
    ...         return state + np.array([(each * squares).sum(), each.sum()])
    ...
    ...     def result(self, state):
    ...         squares, weight = state
    ...         return (squares / weight) ** 0.5
    >>> RootMeanSquaredError()(np.array([[1.0], [3.0]]), np.array([[0.0], [10.0]]))
    5.0
    """

    @abstractmethod
    def reset(self) -> Any:
        """Give the state before any data."""

    @abstractmethod
    def update(self, state: Any, prediction: Array, target: Array, weights: Array | None = None, /) -> Any:
        """
        Give the state with a batch more; the state that was handed in is not used again.

        Weights are those of the samples, (N,), or of the places in them, as losses take them; None are ones.
        """

    @abstractmethod
    def result(self, state: Any, /) -> float:
        """Compute the number from the state."""

    def __call__(self, prediction: ArrayLike, target: ArrayLike, /, weights: ArrayLike | None = None) -> float:
        """Compute the number for data that are there as a whole."""
        name = getattr(self, "name", type(self).__name__)
        given = {"prediction": prediction, "target": target} | ({} if weights is None else {"weights": weights})
        arrays = (as_array(f"{name}: {what}", value) for what, value in given.items())
        return float(self.result(self.update(self.reset(), *arrays)))


def accumulating(make: Callable[..., Metric]) -> Callable[[_Function], _Function]:
    """Say of a function which metric computes the same over batches: `make` takes the settings of the function."""

    def mark(function: _Function) -> _Function:
        function._metric = function, make  # type: ignore[attr-defined]
        return function

    return mark


def metric_of(function: Any) -> Metric | None:
    """Find the metric that a function is marked with, also behind a `functools.partial` with its settings."""
    settings: dict[str, Any] = {}
    while isinstance(function, partial) and not function.args:
        function, settings = function.func, function.keywords | settings
    if isinstance(function, Metric):
        return function
    marked, make = getattr(function, "_metric", (None, None))
    settings.pop("weights", None)  # The trainer's are handed in.
    if marked is not function or make is None:  # functools.wraps copies the mark to other functions.
        return None
    try:
        return make(**settings)  # type: ignore[no-any-return]
    except TypeError as error:
        raise ConfigError(
            f"the metric {getattr(function, '__name__', '')}", "settings that it has", str(list(settings))
        ) from error


class MeanMetric(Metric):
    """The mean of terms, one for each place or entry, each with the weight of its place."""

    def __init__(self, name: str, terms: Callable[[Array, Array], Array]) -> None:
        self.name, self.terms = name, terms

    def reset(self) -> Array:
        """Give a sum over nothing, of weight 0."""
        return np.zeros(2)

    def update(self, state: Array, prediction: Array, target: Array, weights: Array | None = None, /) -> Array:
        """Add the weighted terms, and their weights."""
        terms = self.terms(prediction, target)
        if not terms.size:
            raise ShapeError(self.name, "at least one entry", f"shape {prediction.shape}")
        if weights is None:
            total, weight = terms.sum(dtype=np.float64), terms.size
        else:
            factors = weights_of_terms(self.name, weights, terms.shape)
            # Whatever stands at places of weight 0, be it infinite.
            total = (np.where(factors > 0, terms, 0) * factors).sum()
            weight = factors.sum() * (terms.size // factors.size)
        added: Array = state + np.array([float(total), float(weight)])
        return added

    def result(self, state: Array, /) -> float:
        """Divide the sum by its weight."""
        total, weight = map(float, state)
        if not weight:
            raise ShapeError(self.name, "some weight above 0", "none")
        return total / weight


def weights_of_terms(subject: str, weights: Array, shape: tuple[int, ...]) -> Array:
    """Require weights of samples, or of places in them, and shape them so that they multiply terms of a shape."""
    require_numbers(f"{subject}: weights", weights)
    if not weights.ndim or weights.shape != shape[: weights.ndim]:
        expected = f"shape {shape[:1]}, or more leading axes of {shape}"
        raise ShapeError(f"{subject}: weights", expected, str(weights.shape))
    if not ((weights >= 0) & (weights < np.inf)).all():
        got = f"some from {weights.min()} to {weights.max()}"
        raise ConfigError(f"{subject}: weights", "finite numbers of at least 0", got)
    return with_axes(weights.astype(np.float64), len(shape))
