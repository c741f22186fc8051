"""`NetworkClassifier` and `NetworkRegressor`: networks as estimators of scikit-learn (the extra `sklearn`).

Imported on request only: ``from minibackprop.interop.sklearn import NetworkClassifier``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError, TargetError, describe
from minibackprop.layers.activations import ReLU, Sigmoid
from minibackprop.layers.softmax import Softmax
from minibackprop.losses.base import Loss
from minibackprop.losses.classification import BinaryCrossEntropy, SoftmaxCrossEntropy
from minibackprop.losses.regression import MeanSquaredError
from minibackprop.models import mlp
from minibackprop.optimizers.adaptive import Adam
from minibackprop.optimizers.base import Optimizer
from minibackprop.rng import Rng
from minibackprop.training.history import History
from minibackprop.training.progress import PrintEvery
from minibackprop.training.trainer import Trainer
from minibackprop.validation import Array, is_integer, shortened

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.utils import check_random_state, column_or_1d, compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    hint = 'minibackprop.interop.sklearn needs scikit-learn: pip install "minibackprop[sklearn]"'
    raise ModuleNotFoundError(hint, name="sklearn") from error


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


class _NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """What a classifier and a regressor have in common: data in, a `Trainer`, predictions out."""

    #: What None stands for, so that a grid may set ``network__width`` and ``optimizer__learning_rate``.
    _DEFAULTS = (("network", MLP), ("optimizer", Descent))

    network_: Layer
    history_: History
    _trainer: Trainer

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
        callbacks: Iterable[Any] = (),
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.network: Any = network
        self.loss: Any = loss
        self.optimizer: Any = optimizer
        self.epochs, self.batch_size, self.reshape = epochs, batch_size, reshape
        self.validation_fraction, self.callbacks, self.warm_start = validation_fraction, callbacks, warm_start
        self.random_state, self.verbose = random_state, verbose

    @property
    def n_iter_(self) -> int:
        """How many epochs have been made."""
        return len(self.history_)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the settings by name; `deep`, those of the builder of the network and of the optimizer, too."""
        params: dict[str, Any] = super().get_params(deep)
        for name, default in self._DEFAULTS if deep else ():
            if params[name] is None:
                params |= {f"{name}__{key}": value for key, value in default().get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set them; those of the builder of the network as ``network__width``."""
        for name, default in self._DEFAULTS:
            nested = next((key for key in params if key.startswith(f"{name}__")), None)
            part = params.get(name, getattr(self, name))
            if nested is not None and part is None:
                params[name] = default()
            elif nested is not None and not hasattr(part, "set_params"):
                expected = f"one with set_params, such as {default.__name__}(), where {nested} is set"
                raise self._refusal(name, expected, shortened(part))
        super().set_params(**params)
        return self

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """
        Train on samples X (N, features) and y; anew, or with `warm_start`, on from where the last `fit` ended.

        Each sample counts by its weight, (N,), where there are any. After an error, everything is as it was; after
        Ctrl-C, there is the network as far as it has been trained.
        """
        return self._fit(X, y, sample_weight)

    def _fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None, *, partial: bool = False) -> Self:
        before, goes_on = vars(self).copy(), (partial or self.warm_start) and hasattr(self, "network_")
        try:
            numeric = isinstance(self, RegressorMixin)
            X, y = validate_data(self, X, y, reset=not goes_on, multi_output=True, y_numeric=numeric)
            target, samples = self._targets(y, classes, goes_on), self._shaped(X)
            fresh = not (partial and goes_on)
            loss = self._loss() if fresh else self._trainer.loss
            optimizer = self._optimizer() if fresh else self._trainer.optimizer
            target, out_features = self._fit_for(target, loss)
            if not goes_on:
                rng = check_random_state(self.random_state)
                self._trainer = Trainer(self._network(X.shape[1], out_features, rng), loss, optimizer, rng=rng)
                self.network_, self.history_ = self._trainer.model, self._trainer.history
            output = self._trainer.predict(samples[:1])
            if output.shape != (1, out_features):
                got = f"(N, {', '.join(map(str, output.shape[1:]))})"
                raise ShapeError(f"{type(self).__name__}: network", f"output of shape (N, {out_features}) for y", got)
            options = {"batch_size": self.batch_size, "weights": self._weights(sample_weight), **self._options(partial)}
            self.callbacks_ = options.get("callbacks", ())
            self._trainer.loss, self._trainer.optimizer = loss, optimizer
            self._trainer.fit(samples, target, **options)
        except Exception:
            self.__dict__ = before
            raise
        return self

    def _targets(self, y: Array, classes: Any, goes_on: bool) -> Array:
        """Make numbers of y; where the training does not go on, keep what is known of it."""
        raise NotImplementedError

    def _default_loss(self) -> tuple[Loss, dict[str, str]]:
        """Give the loss that None stands for; and by their `from_logits`, examples of those that will do."""
        raise NotImplementedError

    def _fit_for(self, target: Array, loss: Loss) -> tuple[Array, int]:
        """Shape targets as the loss takes them, and count the outputs that the network is to have."""
        raise NotImplementedError

    def _options(self, partial: bool) -> dict[str, Any]:
        """Give settings of `Trainer.fit`."""
        if partial:
            return {"epochs": 1}
        callbacks = copy.deepcopy(self.callbacks)
        if self.verbose:
            callbacks = [*callbacks, PrintEvery(int(self.verbose))]
        return {"epochs": self.epochs, "validation": self.validation_fraction, "callbacks": callbacks}

    def _loss(self) -> Loss:
        default, allowed = self._default_loss()
        loss = default if self.loss is None else self.loss
        if not isinstance(loss, Loss) or loss.from_logits not in allowed:
            raise self._refusal("loss", " or ".join(allowed.values()), shortened(loss))
        return loss

    def _optimizer(self) -> Optimizer:
        made = Descent() if self.optimizer is None else self.optimizer
        made = made() if callable(made) else made
        if not isinstance(made, Optimizer):
            raise self._refusal("optimizer", "an Optimizer, or what makes one, such as Descent()", describe(made))
        return copy.deepcopy(made)

    def _network(self, in_features: int, out_features: int, rng: Rng) -> Layer:
        build, expected = MLP() if self.network is None else self.network, "a function (in_features, out_features, rng)"
        if isinstance(build, Layer) or not callable(build):
            raise self._refusal("network", f"{expected} that builds it", describe(build))
        built = build(in_features, out_features, rng)
        if not isinstance(built, Layer):
            raise self._refusal("network", f"{expected} that returns a Layer", describe(built))
        return copy.deepcopy(built)  # It may have given the same one before, to another fold.

    def _weights(self, sample_weight: Any) -> Array | None:
        if sample_weight is None:
            return None
        weights: Array = column_or_1d(sample_weight)
        if weights.size and not weights.any():
            raise self._refusal("sample_weight", "some above zero", "none")
        return weights

    def _shaped(self, X: Array) -> Array:
        """Give each row the shape that the network takes."""
        if self.reshape is None:
            return X
        try:
            return X.reshape(len(X), *self.reshape)
        except (TypeError, ValueError) as error:
            expected = f"the shape of a sample of {X.shape[1]} entries, such as (1, {X.shape[1]})"
            raise self._refusal("reshape", expected, shortened(self.reshape)) from error

    def _outputs(self, X: Any) -> Array:
        """Compute the outputs of the network."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return self._trainer.predict(self._shaped(X), batch_size=self.batch_size)

    def _refusal(self, name: str, expected: str, got: str) -> ConfigError:
        return ConfigError(f"{type(self).__name__}: {name}", expected, got)


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):  # type: ignore[misc]
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
        How many samples go into a step, and through the network at a time in `predict`; None for all.
    reshape : tuple of int, optional
        What the network takes of each row of X: ``(1, 8, 8)`` for images of 64 pixels, ``(-1, 3)`` for sequences.
    validation_fraction : float, optional
        The fraction of the samples to hold out, of each class the same, and to measure after each epoch.
    callbacks : iterable
        As of `Trainer.fit`, `EarlyStopping` say; each `fit` has copies of them.
    class_weight : dict, "balanced" or None
        How much each label counts in the loss, beside the weights of samples.
    warm_start : bool
        Whether a second `fit` goes on with the network, with a fresh optimizer.
    random_state : int, RandomState or None
        What initial weights, dropout, the order of the samples and the fraction are drawn from.
    verbose : bool or int
        Prints the loss after each epoch, or each so many.

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
    callbacks_ : iterable
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
        callbacks: Iterable[Any] = (),
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

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """
        Make one pass over the samples, from where the last one ended, its optimizer included.

        The first call is told all `classes` that there will be. Nothing is held out, and there are no callbacks.
        """
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
        check_classification_targets(y)
        several = type_of_target(y) == "multilabel-indicator"
        y = y if several else column_or_1d(y, warn=True)
        known = None if classes is None or several else np.unique(column_or_1d(classes))
        if goes_on:
            if several is not self._several or (several and y.shape[1] != len(self.classes_)):
                expected = f"{len(self.classes_)} labels a row" if self._several else "one label a row"
                raise self._refusal("y", f"{expected}, as before", describe(y))
            if known is not None and not np.array_equal(known, self.classes_):
                raise self._refusal("classes", f"those of the first call, {shortened(self.classes_)}", shortened(known))
        else:
            found = np.arange(y.shape[1]) if several else np.unique(y)
            self._several, self.classes_ = several, found if known is None else known
            if len(self.classes_) < 2:
                raise self._refusal("y", "at least two classes", "one class")
        if several:
            return y
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            expected = f"the classes {shortened(self.classes_)}"
            raise TargetError(f"{type(self).__name__}: y", expected, f"others: {shortened(unknown)}")
        return np.searchsorted(self.classes_, y)

    def _default_loss(self) -> tuple[Loss, dict[str, str]]:
        softmax, sigmoid = {"softmax": "SoftmaxCrossEntropy()"}, {"sigmoid": "BinaryCrossEntropy()"}
        if self._several:
            return BinaryCrossEntropy(), sigmoid
        return SoftmaxCrossEntropy(), softmax | sigmoid if len(self.classes_) == 2 else softmax

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
            weights = dict(enumerate(compute_class_weight(dict(weights), classes=classes, y=classes)))
        options = super()._options(partial)
        stratify = options.get("validation") is not None and not self._several
        return {**options, "class_weights": weights, "stratify": stratify}


class NetworkRegressor(RegressorMixin, MultiOutputMixin, _NetworkEstimator):  # type: ignore[misc]
    """
    A network as a regressor of scikit-learn: predicts one number a sample, or several.

    Parameters
    ----------
    network : callable, optional
        Builds the network: ``network(in_features, out_features, rng)``, of the columns of X and those of y; as of
        `NetworkClassifier`.
    loss : Loss, optional
        By default `MeanSquaredError`; any that compares predictions themselves with y.
    optimizer, epochs, batch_size, reshape, validation_fraction, callbacks, warm_start, random_state, verbose
        As of `NetworkClassifier`.

    Attributes
    ----------
    network_ : Layer
        The trained network.
    history_, n_iter_, callbacks_, n_features_in_, feature_names_in_
        As of `NetworkClassifier`.

    Raises
    ------
    ConfigError, ShapeError, DTypeError, NonFiniteError, NotFittedError
        As of `NetworkClassifier`.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 50)[:, np.newaxis]
    >>> regressor = NetworkRegressor(MLP(width=16), optimizer=Descent(learning_rate=0.05), random_state=0)
    >>> bool(regressor.fit(x, np.abs(x[:, 0])).score(x, np.abs(x[:, 0])) > 0.98)
    True
    """

    _flat: bool

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """
        Make one pass over the samples, from where the last one ended, its optimizer included.

        Nothing is held out, and there are no callbacks.
        """
        return self._fit(X, y, sample_weight, partial=True)

    def predict(self, X: ArrayLike) -> Array:
        """Predict, in the shape that y had: (N,) or (N, outputs)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._flat else outputs

    def _targets(self, y: Array, classes: Any, goes_on: bool) -> Array:
        if not goes_on:
            self._flat = y.ndim == 1
        return y.reshape(len(y), -1)

    def _default_loss(self) -> tuple[Loss, dict[str, str]]:
        return MeanSquaredError(), {"": "a loss of predictions themselves, such as MeanSquaredError()"}

    def _fit_for(self, target: Array, loss: Loss) -> tuple[Array, int]:
        return target, target.shape[1]
