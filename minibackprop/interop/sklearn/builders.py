"""What makes an estimator's network and its optimizer, with settings that a grid search varies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import DTypeLike
from sklearn.base import BaseEstimator

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.layers.activations import ReLU
from minibackprop.models import mlp
from minibackprop.optimizers.adaptive import Adam
from minibackprop.optimizers.base import Optimizer
from minibackprop.rng import Rng
from minibackprop.validation import is_integer, shortened


class MLP(BaseEstimator):  # type: ignore[misc]
    """
    Builds a multilayer perceptron by `mlp`, of hidden layers of one width: the default `network` of the estimators.

    Parameters
    ----------
    width, depth : int
        How many units a hidden layer has, and how many hidden layers there are.
    activation, dropout, batch_norm, dtype
        As of `mlp`.

    Examples
    --------
    >>> from minibackprop.interop.sklearn import MLP
    >>> MLP(width=8)(in_features=4, out_features=3, rng=0)
    Sequential([
        Dense(in_features=4, out_features=8, bias=True),
        ReLU(),
        Dense(in_features=8, out_features=3, bias=True),
    ])
    """

    def __init__(
        self,
        width: int = 100,
        depth: int = 1,
        *,
        activation: Callable[[], Layer] = ReLU,
        dropout: float = 0.0,
        batch_norm: bool = False,
        dtype: DTypeLike = "float64",
    ) -> None:
        self.width, self.depth, self.activation = width, depth, activation
        self.dropout, self.batch_norm, self.dtype = dropout, batch_norm, dtype

    def __call__(self, in_features: int, out_features: int, rng: Rng) -> Layer:
        """Build a network with weights drawn from `rng`."""
        if not is_integer(self.depth) or self.depth < 0:
            raise ConfigError("MLP: depth", "an integer of at least 0", shortened(self.depth))
        sizes = [in_features, *[self.width] * self.depth, out_features]
        settings: Any = {"dropout": self.dropout, "batch_norm": self.batch_norm, "dtype": self.dtype}
        return mlp(sizes, self.activation, **settings, rng=rng)


class Descent(BaseEstimator):  # type: ignore[misc]
    """
    Makes an optimizer by its rule and rate: the default `optimizer` of the estimators.

    Parameters
    ----------
    rule : callable
        A class such as `Adam` or `SGD`, or ``functools.partial(SGD, momentum=0.9)``.
    learning_rate : float or callable
        Or a schedule.
    clip_norm : float, optional
        Limit of the gradients, as of every `GradientDescent`.

    Examples
    --------
    >>> from minibackprop.interop.sklearn import Descent
    >>> Descent(learning_rate=0.01, clip_norm=1.0)()
    Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08, clip_norm=1.0)
    """

    def __init__(
        self,
        rule: Callable[..., Optimizer] = Adam,
        learning_rate: float | Callable[[int], float] = 0.001,
        *,
        clip_norm: float | None = None,
    ) -> None:
        self.rule, self.learning_rate, self.clip_norm = rule, learning_rate, clip_norm

    def __call__(self) -> Optimizer:
        """Make a fresh optimizer."""
        if not callable(self.rule):
            raise ConfigError("Descent: rule", "a class of optimizers such as Adam", describe(self.rule))
        limit = {} if self.clip_norm is None else {"clip_norm": self.clip_norm}
        return self.rule(self.learning_rate, **limit)
