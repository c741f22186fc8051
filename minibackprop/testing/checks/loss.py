"""The check of a loss: its gradient, its weights, its scale, its reduction, its dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.losses.base import Loss
from minibackprop.testing.case import Case
from minibackprop.testing.checks.chosen import chosen_laws
from minibackprop.testing.checks.makers import require_maker
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.losses import LOSS_LAWS, LossLayer, are_labels, some_zero
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search
from minibackprop.testing.strategies.arrays import batches
from minibackprop.validation import Array, require_flag, require_size_or_none

#: pytest shows who called, not what follows from there.
__tracebackhide__ = True

Predictions = tuple[int, ...] | SearchStrategy[Array]

Targets = Callable[[np.random.Generator, Array], Array] | SearchStrategy[Array]

#: How many labels of the user's own are looked at, to see whether they stand for the columns of the prediction.
_LABELS = 1000

#: How many samples a diagnosis looks at.
_MANY = 10


def check_loss(
    make: Callable[[], Loss],
    predictions: Predictions,
    *,
    targets: Targets | None = None,
    classes: int | None = None,
    laws: Iterable[Law] = LOSS_LAWS,
    without: Mapping[str, str] | None = None,
    examples: int | None = None,
    seed: int | None = None,
    shrink: bool = True,
) -> Report:
    """
    Check that a loss keeps its contract: its gradient, its weights, its scale, its reduction, its dtype.

    A loss over the whole batch on purpose, which is no mean and no sum over samples, says so by `couples_samples`: that
    lifts "reduction" and "parts", and batches have at least two samples.

    Parameters
    ----------
    make : class or callable
        What makes the loss without arguments.
    predictions : tuple of int or strategy
        The shape of the prediction for one sample. A loss for which not every array of that shape is a prediction
        (probabilities, say) takes a Hypothesis strategy of arrays instead, each a batch of samples.
    targets : callable or strategy, optional
        A callable of a source of random numbers and a batch of predictions to their targets; or a strategy of arrays,
        repeated or cut to as many samples as there are predictions. By default, targets are shaped and spread like the
        predictions. Integers of shape ``prediction.shape[:-1]`` are taken for labels of classes.
    classes : int, optional
        How many classes there are: a label of this number must be refused. By default, as many as the prediction has
        columns, unless `targets` has labels beyond them. Where no `targets` are given, labels below it are drawn.
    laws : iterable of Law
        What to check: ``[*LOSS_LAWS, law]`` adds one of your own. In a `Case` of a loss, `x` is the prediction, and
        ``case.layer()`` has the attributes `loss`, `target` and `weights` (an array or None).
    without : dict
        Laws to leave out, by name, each with the reason.
    examples : int, optional
        How many examples to draw; by default a fifth of Hypothesis' ``max_examples``.
    seed : int, optional
    shrink : bool
        As of `check_layer`.

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
    >>> print(*check_loss(MeanSquaredError, (2,)).kept, sep=", ")
    value, arguments untouched, gradient, scale, dtype, weights, reduction, parts, shapes, finite, other arrays

    Targets of another kind are drawn by a function, labels by their number:

    >>> from minibackprop import BinaryCrossEntropy, SoftmaxCrossEntropy
    >>> report = check_loss(BinaryCrossEntropy, (3,), targets=lambda rng, x: rng.random(x.shape))
    >>> report.power["gradient"]["input"] < 1e-8
    True
    >>> "labels" in check_loss(SoftmaxCrossEntropy, (3,), classes=3).kept
    True
    """
    require_flag("check_loss: shrink", shrink)
    made: Loss = require_maker("check_loss", make, Loss)
    least = 2 if made.couples_samples else 1
    chosen = chosen_laws(laws, without)
    require_size_or_none("check_loss: classes", classes)
    xs = _predictions(predictions, least)
    target_of = _targets(targets, classes)

    seen: list[tuple[Array, Array]] = []

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        x, number = draw(xs), draw(st.integers(0, 2**16))
        rng = np.random.default_rng(number)
        target = draw(target_of(rng, x))
        known = classes or _columns_if_labels(x, target, targets)
        weights = some_zero(rng, rng.uniform(0.5, 2, len(x)).round(2)) if rng.random() < 0.5 else None

        seen.append((x, target))
        more, their = _together([part for part in seen if part[0].shape[1:] == x.shape[1:]])
        if isinstance(predictions, tuple) and not isinstance(targets, SearchStrategy):
            more = 2 * np.random.default_rng(1).normal(size=(_MANY, *predictions)).round(2)
            their = draw(target_of(np.random.default_rng(2), more))
        richer = more, their, None if weights is None else np.linspace(0.5, 2, len(more)).round(2)

        def layer() -> Layer:
            return LossLayer(make(), target, weights, known, isinstance(predictions, tuple), richer)

        return Case(layer, layer, x, x, number, any_input=False)

    report = search(cases(), chosen, configured(examples, shrink=shrink), seed)
    report.lifted.update(without or {})
    return report


def _together(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Put batches together to one that shows more: those that were drawn are small, and shrunk ones all alike."""
    x, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    first = np.random.default_rng(0).permutation(len(x))[:_MANY]
    return x[first], target[first]


def _predictions(predictions: Predictions, least: int) -> SearchStrategy[Array]:
    if isinstance(predictions, tuple):
        return batches(predictions, min_size=least, layouts=["C"])
    if isinstance(predictions, SearchStrategy):
        return predictions.map(_as_batch).filter(lambda x: len(x) >= least)
    raise ConfigError(
        "check_loss: predictions", "the shape of the prediction for one sample, or a strategy", describe(predictions)
    )


def _as_batch(x: object) -> Array:
    if not isinstance(x, np.ndarray) or x.ndim == 0 or x.dtype.kind != "f":
        expected = "a strategy of arrays of floating-point numbers, each a batch of samples"
        raise ConfigError("check_loss: predictions", expected, describe(x))
    return x.astype(np.float64)


def _targets(
    targets: Targets | None, classes: int | None
) -> Callable[[np.random.Generator, Array], SearchStrategy[Array]]:
    """Make what draws the targets of a batch of predictions."""
    if isinstance(targets, SearchStrategy):
        many = targets.map(_with_samples).filter(len)
        return lambda _, x: many.map(lambda target: target[np.arange(len(x)) % len(target)])
    if callable(targets):
        return lambda rng, x: st.just(_with_samples(targets(rng, x), len(x)))
    if targets is not None:
        raise ConfigError(
            "check_loss: targets", "a callable of random numbers and predictions, or a strategy", describe(targets)
        )
    if classes is not None:
        return lambda rng, x: st.just(rng.integers(0, classes, x.shape[:-1] or x.shape))
    return lambda rng, x: st.just(rng.normal(size=x.shape).round(2))


def _with_samples(target: object, count: int | None = None) -> Array:
    """Require an array of targets, of so many samples."""
    if not isinstance(target, np.ndarray) or target.ndim == 0 or count not in (None, len(target)):
        expected = "to give arrays with an axis of samples" + ("" if count is None else f", here of {count}")
        got = f"shape {target.shape}" if isinstance(target, np.ndarray) else describe(target)
        raise ConfigError("check_loss: targets", expected, got)
    return target


def _columns_if_labels(x: Array, target: Array, targets: Targets | None) -> int | None:
    """Count the columns of the prediction, if labels stand for them: none of the user's own goes beyond."""
    if not are_labels(target, x) or isinstance(targets, SearchStrategy) or targets is None:
        return None
    times = -(-_LABELS // max(target.size, 1))
    many = targets(np.random.default_rng(0), np.repeat(x, times, axis=0))
    return x.shape[-1] if many.max(initial=0) < x.shape[-1] else None
