"""`NetworkRegressor`: a network as a regressor of scikit-learn."""

from __future__ import annotations

from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin

from minibackprop.interop.sklearn.estimator import NetworkEstimator
from minibackprop.losses.base import Loss
from minibackprop.losses.regression import MeanSquaredError
from minibackprop.validation import Array


class NetworkRegressor(RegressorMixin, MultiOutputMixin, NetworkEstimator):  # type: ignore[misc]
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
    >>> from minibackprop.interop.sklearn import MLP, Descent, NetworkRegressor
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

    def _losses(self) -> dict[str, Loss]:
        return {"": MeanSquaredError()}

    def _fit_for(self, target: Array, loss: Loss) -> tuple[Array, int]:
        return target, target.shape[1]
