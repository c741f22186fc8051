"""`NetworkClassifier`: a network as a classifier of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from minibackprop.core import Layer
from minibackprop.errors import DTypeError, TargetError, describe
from minibackprop.interop.sklearn.estimator import NetworkEstimator
from minibackprop.layers.activations import Sigmoid
from minibackprop.layers.softmax import Softmax
from minibackprop.losses.base import Loss
from minibackprop.losses.classification import BinaryCrossEntropy, SoftmaxCrossEntropy
from minibackprop.optimizers.base import Optimizer
from minibackprop.rng import Rng
from minibackprop.validation import Array, shortened


class NetworkClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """
    A network as a classifier of scikit-learn: for a pipeline, a grid search, cross-validation, calibration.

    Labels may be anything that sorts, strings too; or rows of zeros and ones, where a sample has several labels.
    Settings are looked at when `fit` is called, as scikit-learn does. A clone has the settings, and is not fitted.

    Parameters
    ----------
    network : callable, optional
        Builds the network: ``network(in_features, out_features, rng)``, of the columns of X and what comes of y: as
        many outputs as there are classes, or 1 for two classes and `BinaryCrossEntropy`. Its outputs are logits. By
        default ``MLP()``; for a grid over its own settings (``network__width``), it has `get_params` and `set_params`.
        What it returns is copied. A lambda, or a function within one, does not pickle.
    loss : Loss, optional
        By default `SoftmaxCrossEntropy`, for several labels a sample `BinaryCrossEntropy`; one whose `from_logits` is
        ``"softmax"`` or, for two classes and several labels, ``"sigmoid"``.
    optimizer : Optimizer or callable, optional
        By default ``Descent()``, `Adam` with a rate of 0.001, for a grid over ``optimizer__learning_rate``. Each `fit`
        has a fresh one from a callable, or a copy of an `Optimizer`, which a grid replaces as a whole.
    epochs : int
        How many passes over the data `fit` makes.
    batch_size : int or None
        How many samples go into a step, and through the network at a time in `predict`; None for all. With a
        `BatchNorm`, a last batch of a single sample is left out of the epoch.
    reshape : tuple of int, optional
        What the network takes of each row of X: ``(1, 8, 8)`` for images of 64 pixels, ``(-1, 3)`` for sequences.
    validation_fraction : float, optional
        The fraction of the samples to hold out, of each class the same, and to measure after each epoch.
    callbacks : list
        As of `Trainer.fit`, `EarlyStopping` say; each `fit` has copies of them.
    class_weight : dict, "balanced" or None
        How much each label counts in the loss, beside the weights of samples.
    warm_start : bool
        Whether a second `fit` goes on with the network, with a fresh optimizer.
    random_state : int, RandomState or None
        What initial weights, dropout, the order of the samples and the fraction are drawn from; None for NumPy's global
        one, as everywhere in scikit-learn.
    verbose : int
        Prints the error every so many steps, by `PrintEvery`; 0 for never.

    Attributes
    ----------
    classes_ : array
        The labels, sorted; their numbers, where a sample has several.
    network_ : Layer
        The trained network.
    history_ : History
        Of all epochs.
    n_iter_ : int
        How many epochs have been made.
    callbacks_ : list
        The copies of the callbacks, as the last `fit` left them.
    n_features_in_ : int
        The columns of X.
    feature_names_in_ : array of str
        Their names, where it had them.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, NonFiniteError
        By `fit`: if a setting makes no sense, the network does not fit the data, or training diverges. Beside what
        scikit-learn raises for data that it refuses, mostly a ValueError.
    NotFittedError
        By `predict` and the like, before `fit`.

    Examples
    --------
    >>> from minibackprop.interop.sklearn import MLP, Descent, NetworkClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = load_iris(return_X_y=True)
    >>> classifier = NetworkClassifier(MLP(width=8), optimizer=Descent(learning_rate=0.05), epochs=30, random_state=0)
    >>> bool(cross_val_score(make_pipeline(StandardScaler(), classifier), x, y, cv=3).mean() > 0.9)
    True
    """

    classes_: Array
    _several: bool

    def __init__(
        self,
        network: Callable[[int, int, Rng], Layer] | None = None,
        *,
        loss: Loss | None = None,
        optimizer: Optimizer | Callable[[], Optimizer] | None = None,
        epochs: int = 200,
        batch_size: int | None = 200,
        reshape: tuple[int, ...] | None = None,
        validation_fraction: float | None = None,
        callbacks: Sequence[Any] = (),
        class_weight: Mapping[Any, float] | str | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            network,
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            reshape=reshape,
            validation_fraction=validation_fraction,
            callbacks=callbacks,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """
        Make one pass over the samples, from where the last one ended, its optimizer included.

        The first call is told all `classes` that there will be. Nothing is held out, and there are no callbacks.
        """
        if classes is None and not hasattr(self, "network_"):
            raise self._refusal("classes", "all that there will be, in the first call to partial_fit", "None")
        return self._fit(X, y, sample_weight, classes, partial=True)

    def decision_function(self, X: ArrayLike) -> Array:
        """
        Compute the logits (N, classes), or (N, labels).

        Of two classes, (N,): the log of the odds of the second one.
        """
        outputs = self._outputs(X)
        if self._several or len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def predict_proba(self, X: ArrayLike) -> Array:
        """Compute the probabilities of the classes (N, classes), or of each label for itself (N, labels)."""
        outputs = self._outputs(X)
        if self._trainer.loss.from_logits == "softmax":
            return Softmax().predict(outputs)
        if self._several:
            return Sigmoid().predict(outputs)
        return Sigmoid().predict(outputs * np.array([-1, 1], outputs.dtype))

    def predict(self, X: ArrayLike) -> Array:
        """Predict the most probable label of each sample (N,), or each label of a probability above half."""
        scores = self.decision_function(X)
        if self._several:
            return (scores > 0).astype(int)
        found: Array = self.classes_[scores.argmax(axis=1) if scores.ndim > 1 else (scores > 0).astype(int)]
        return found

    def _targets(self, y: Array, classes: Any, goes_on: bool) -> Array:
        try:
            check_classification_targets(y)
            several = type_of_target(y) == "multilabel-indicator"
        except TypeError as error:  # Strings among numbers, None or NA, say.
            raise DTypeError(f"{type(self).__name__}: y", "labels of one kind, none missing", str(error)) from error
        y = y if several else column_or_1d(y, warn=True)
        labels = np.unique(y)
        known = None if classes is None or several else np.unique(column_or_1d(classes))
        if goes_on:
            if several is not self._several or (several and y.shape[1] != len(self.classes_)):
                expected = f"{len(self.classes_)} labels a row" if self._several else "one label a row"
                raise self._refusal("y", f"{expected}, as before", describe(y))
            if known is not None and not np.array_equal(known, self.classes_):
                expected = f"those of the first call, {shortened(self.classes_.tolist())}"
                raise self._refusal("classes", expected, shortened(known.tolist()))
        else:
            found = np.arange(y.shape[1]) if several else labels
            self._several, self.classes_ = several, found if known is None else known
            if len(self.classes_) < 2:
                raise self._refusal("y", "at least two classes", "one class")
        if several:
            return y
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            expected = f"the classes {shortened(self.classes_.tolist())}"
            raise TargetError(f"{type(self).__name__}: y", expected, f"others: {shortened(unknown.tolist())}")
        return np.searchsorted(self.classes_, y)

    def _losses(self) -> dict[str, Loss]:
        softmax: dict[str, Loss] = {"softmax": SoftmaxCrossEntropy()}
        sigmoid: dict[str, Loss] = {"sigmoid": BinaryCrossEntropy()}
        return sigmoid if self._several else softmax | (sigmoid if len(self.classes_) == 2 else {})

    def _fit_for(self, target: Array, loss: Loss) -> tuple[Array, int]:
        if loss.from_logits == "sigmoid" and not self._several:
            return target[:, np.newaxis], 1
        return target, len(self.classes_)

    def _options(self, partial: bool) -> dict[str, Any]:
        weights: Any = self.class_weight
        if weights is not None and self._several:
            raise self._refusal("class_weight", "None, where a sample has several labels", shortened(weights))
        if isinstance(weights, str) and partial:
            raise self._refusal("class_weight", "a dict for partial_fit, which does not see all samples", repr(weights))
        if isinstance(weights, Mapping):
            classes = self.classes_
            by_class = compute_class_weight(dict(weights), classes=classes, y=classes)
            if not (np.isfinite(by_class) & (by_class > 0)).all():
                expected = "finite numbers above 0 by label; sample_weight leaves samples out"
                raise self._refusal("class_weight", expected, shortened(dict(weights)))
            weights = dict(enumerate(by_class.tolist()))
        elif weights is not None and weights != "balanced":
            raise self._refusal("class_weight", "a dict by label, 'balanced' or None", shortened(weights))
        options = super()._options(partial)
        stratify = options.get("validation") is not None and not self._several
        return {**options, "class_weights": weights, "stratify": stratify}
