"""scikit-learn, which trains and compares models: `NetworkClassifier` and `NetworkRegressor` are its estimators.

Imported on request only: ``from minibackprop.interop.sklearn import NetworkClassifier``.
"""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

try:
    import sklearn as _sklearn  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    hint = 'minibackprop.interop.sklearn needs scikit-learn: pip install "minibackprop[sklearn]"'
    raise ModuleNotFoundError(hint, name="sklearn") from error

if TYPE_CHECKING:
    from minibackprop.interop.sklearn.classifier import NetworkClassifier as NetworkClassifier
    from minibackprop.interop.sklearn.regressor import NetworkRegressor as NetworkRegressor
    from minibackprop.interop.sklearn.builders import MLP as MLP, Descent as Descent
else:
    __getattr__, __dir__ = exports(__name__)
