"""Metrics of scikit-learn: the one adapter through which all of them serve."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

from minibackprop.arrays import on_host
from minibackprop.errors import ConfigError, ShapeError, describe
from minibackprop.metrics.base import Metric, weights_of_terms
from minibackprop.numerics.error_state import quiet
from minibackprop.numerics.functions import sigmoid
from minibackprop.validation import Array, require_numbers, shortened

_KINDS = ("classes", "probabilities", "values")

#: What is computed of scores, and says something else of classes without an error.
_RANKING = frozenset({"average_precision_score", "brier_score_loss", "hinge_loss", "log_loss", "roc_auc_score"})


class SklearnMetric(Metric):
    """
    A function of `sklearn.metrics`, or one like them, as a metric: of whole epochs, with weights.

    It is called as ``function(target, prediction, sample_weight=weights, **settings)``, scikit-learn's order. Since
    such a function needs whole data, the predictions and targets of an epoch are kept until its end; but no place of
    weight 0.

    Parameters
    ----------
    function : callable
        From `sklearn.metrics`: `f1_score`, `roc_auc_score` and so on.
    of : {"classes", "probabilities", "values"}
        What it takes. ``"classes"``: labels, of the largest of the logits (N, ..., C); where prediction and target have
        one shape, or there is one logit, 1 above 0 and else 0. ``"probabilities"``: the softmax, of two classes that of
        the second, or there the sigmoid.
        ``"values"``: the predictions as they are.
    name : str, optional
        Under which it is recorded; by default that of the function.
    **settings
        Handed on to the function: ``average="macro"``.

    Raises
    ------
    ConfigError
        If the function is none, `of` another word, or classes for a function of scores (an area under a curve, say), or
        the name no string. In an epoch: if targets are no classes where `of` says so; or if there are weights that
        differ, and the function takes no ``sample_weight``.
    ShapeError
        If the target has neither the shape of the prediction, nor that without its last axis.

    Examples
    --------
    >>> from sklearn.metrics import f1_score, roc_auc_score
    >>> logits, labels = np.array([[2.0, 0.0], [1.0, 3.0], [2.0, 1.0]]), np.array([0, 1, 1])
    >>> macro = SklearnMetric(f1_score, average="macro")
    >>> macro.__name__, macro(logits, labels)
    ('f1_score', 0.6666666666666666)
    >>> SklearnMetric(roc_auc_score, of="values")(np.array([[-1.0], [2.0], [0.5]]), np.array([[0], [1], [1]]))
    1.0
    """

    #: Where the loss takes one-hot rows or probabilities for labels, a trainer hands these in.
    takes_labels = True

    def __init__(
        self, function: Callable[..., float], of: str = "classes", *, name: str | None = None, **settings: Any
    ) -> None:
        if not callable(function) or isinstance(function, type):
            raise ConfigError("SklearnMetric: function", "a callable of targets and predictions", describe(function))
        if not isinstance(of, str) or of not in _KINDS:
            raise ConfigError("SklearnMetric: of", f"one of {_KINDS}", shortened(of))
        if of == "classes" and getattr(function, "__name__", "") in _RANKING:
            expected = "'values' or 'probabilities', as the function takes no classes"
            raise ConfigError("SklearnMetric: of", expected, f"{of!r} for {function.__name__}")
        if name is not None and not isinstance(name, str):
            raise ConfigError("SklearnMetric: name", "a string", shortened(name))
        self.function, self.of, self.settings = function, of, settings
        self._weighs = _takes_weights(function)
        self.__name__ = str(name or getattr(function, "__name__", type(function).__name__))

    def reset(self) -> list[tuple[Array, ...]]:
        """Give an empty list."""
        return []

    def update(
        self, state: list[tuple[Array, ...]], prediction: Array, target: Array, weights: Array | None = None, /
    ) -> list[tuple[Array, ...]]:
        """Keep what the function takes of a batch."""
        # It keeps them to the end, and computes on the host.
        prediction, target = (on_host(array, self.__name__) for array in (prediction, target))
        weights = None if weights is None else on_host(weights, self.__name__)
        rows, labels = self._rows(prediction, target)
        if weights is None:
            state.append((labels, rows, np.ones(len(labels))))
            return state
        # One for each place, as the last axis has the classes, or what else is said of a place.
        places = (*prediction.shape[:-1], 1) if prediction.ndim > 1 else prediction.shape
        factors = np.broadcast_to(weights_of_terms(self.__name__, weights, places), places).reshape(-1)
        counted = factors > 0
        factors = factors[counted]
        first = next((earlier[:1] for _, _, earlier in state if len(earlier)), factors[:1])
        if not self._weighs and (factors != first).any():
            raise ConfigError(self.__name__, "weights that are all the same, as it takes none", "others")
        state.append((labels[counted], rows[counted], factors))
        return state

    def result(self, state: list[tuple[Array, ...]], /) -> float:
        """Call the function."""
        if not state or not any(len(target) for target, _, _ in state):
            raise ShapeError(self.__name__, "some weight above 0", "none")
        target, prediction, weights = (np.concatenate(arrays) for arrays in zip(*state, strict=True))
        settings = dict(self.settings)
        if self._weighs and (weights != weights[0]).any():
            settings["sample_weight"] = weights
        return float(self.function(target, prediction, **settings))

    def _rows(self, prediction: Array, target: Array) -> tuple[Array, Array]:
        """Turn predictions into what the function takes, one place a row, and targets likewise."""
        require_numbers(f"{self.__name__}: prediction", prediction)
        require_numbers(f"{self.__name__}: target", target)
        last = prediction.shape[-1] if prediction.ndim > 1 else 1
        shape = (-1, last) if last > 1 else (-1,)
        if prediction.shape == target.shape:  # Each entry for itself: a number, or a yes or no.
            rows, labels, classes = prediction.reshape(shape), target.reshape(shape), False
        elif prediction.shape[:-1] == target.shape:
            rows, labels, classes = prediction.reshape(shape), target.reshape(-1), last > 1
        else:
            expected = f"a target of shape {prediction.shape[:-1]} or {prediction.shape}"
            raise ShapeError(self.__name__, expected, str(target.shape))
        if self.of == "classes" and labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
            got = "targets that are no whole numbers; of='values' takes numbers as they are"
            raise ConfigError(f"{self.__name__}: of", "labels of classes", got)
        if self.of == "classes":
            rows = rows.argmax(axis=1) if classes else (rows > 0).astype(int)
        elif self.of == "probabilities" and classes:
            rows = np.exp(rows - rows.max(axis=1, keepdims=True))
            rows /= rows.sum(axis=1, keepdims=True)
            rows = rows[:, 1] if last == 2 else rows  # Of two classes, scikit-learn takes the second one's.
        elif self.of == "probabilities":
            rows = quiet().run(sigmoid, rows)
        return rows, labels


def _takes_weights(function: Callable[..., float]) -> bool:
    try:
        return "sample_weight" in signature(function).parameters
    except ValueError:  # Some of those written in C have none.
        return False
