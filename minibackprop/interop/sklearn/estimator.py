"""What a classifier and a regressor have in common: data in, a `Trainer`, predictions out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError, describe
from minibackprop.interop.sklearn.builders import MLP, Descent
from minibackprop.losses.base import Loss
from minibackprop.optimizers.base import Optimizer
from minibackprop.rng import Rng
from minibackprop.training.history import History
from minibackprop.training.intake import number_held_out
from minibackprop.training.progress import PrintEvery
from minibackprop.training.trainer import Trainer
from minibackprop.validation import Array, is_integer, is_iterable, shortened


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """A network as an estimator of scikit-learn: its settings, `fit`, and the outputs of the network."""

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
        callbacks: Sequence[Any] = (),
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

        Each sample counts by its weight, (N,), where there are any. After an error, the estimator is fitted as it was
        before; after Ctrl-C, it has the network as far as that has been trained.
        """
        return self._fit(X, y, sample_weight)

    def _fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None, *, partial: bool = False) -> Self:
        before, goes_on = vars(self).copy(), (partial or self.warm_start) and hasattr(self, "network_")
        try:
            numeric = isinstance(self, RegressorMixin)
            X, y = self._validated(X, y, reset=not goes_on, multi_output=True, y_numeric=numeric)
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
            options["drop_last"] = self._leaves_one(len(samples), options.get("validation"))
            self.callbacks_ = options.get("callbacks", ())
            self._trainer.loss, self._trainer.optimizer = loss, optimizer
            self._trainer.fit(samples, target, **options)
        except Exception as error:
            self.__dict__ = before
            if isinstance(error, ConfigError) and ": monitor " in str(error):
                error.add_note("an estimator holds samples out by validation_fraction=..., and measures the loss alone")
            raise
        return self

    def _targets(self, y: Array, classes: Any, goes_on: bool) -> Array:
        """Make numbers of y; where the training does not go on, keep what is known of it."""
        raise NotImplementedError

    def _losses(self) -> dict[str, Loss]:
        """Give one loss of each kind that will do, by its `from_logits`; None stands for the first."""
        raise NotImplementedError

    def _fit_for(self, target: Array, loss: Loss) -> tuple[Array, int]:
        """Shape targets as the loss takes them, and count the outputs that the network is to have."""
        raise NotImplementedError

    def _options(self, partial: bool) -> dict[str, Any]:
        """Give settings of `Trainer.fit`."""
        if partial:
            return {"epochs": 1}
        callbacks = copy.deepcopy(self.callbacks)
        if self.verbose and is_iterable(callbacks):
            callbacks = [*callbacks, PrintEvery(1 if self.verbose is True else self.verbose)]
        return {"epochs": self.epochs, "validation": self.validation_fraction, "callbacks": callbacks}

    def _leaves_one(self, samples: int, fraction: Any) -> bool:
        """Tell whether a last batch would have one sample, which a normalization over the batch cannot train on."""
        held_out = number_held_out(samples, fraction) if isinstance(fraction, float) else 0
        count, size = samples - held_out, self.batch_size
        return is_integer(size) and 1 < size < count and count % size == 1 and bool(self.network_.couples_samples)

    def _loss(self) -> Loss:
        kinds = self._losses()
        loss = next(iter(kinds.values())) if self.loss is None else self.loss
        if not isinstance(loss, Loss) or loss.from_logits not in kinds:
            expected = " or ".join(f"{type(each).__name__}()" for each in kinds.values())
            raise self._refusal("loss", f"one such as {expected} for this y", shortened(loss))
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
        try:
            built = build(in_features, out_features, rng)
        except Exception as error:
            error.add_note(f"{type(self).__name__} has called network({in_features}, {out_features}, rng) to build it")
            raise
        if not isinstance(built, Layer):
            raise self._refusal("network", f"{expected} that returns a Layer", describe(built))
        return copy.deepcopy(built)  # It may have given the same one before, to another fold.

    def _weights(self, sample_weight: Any) -> Array | None:
        if sample_weight is None:
            return None
        weights = np.asarray(sample_weight)
        if weights.ndim != 1:
            raise ShapeError(f"{type(self).__name__}: sample_weight", "a number for each sample", describe(weights))
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
        X = self._validated(X, reset=False)
        return self._trainer.predict(self._shaped(X), batch_size=self.batch_size)

    def _validated(self, X: Any, *y: Any, **settings: Any) -> Any:
        """Have scikit-learn look at the data, and make NumPy's arrays of them, of a tensor on the CPU too."""
        try:
            with config_context(array_api_dispatch=False):
                return validate_data(self, X, *y, **settings)
        except ValueError as error:
            if len(shape := getattr(X, "shape", ())) > 2:
                error.add_note(
                    f"X.reshape(len(X), -1) makes rows, of which reshape={tuple(shape[1:])} makes samples again"
                )
            raise

    def _refusal(self, name: str, expected: str, got: str) -> ConfigError:
        return ConfigError(f"{type(self).__name__}: {name}", expected, got)
