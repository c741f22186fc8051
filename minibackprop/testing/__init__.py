"""Property-based tests for layers: point `check_layer` at a class, and learn which law of the contract it breaks."""

try:
    import hypothesis as _hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    hint = 'minibackprop.testing needs Hypothesis: pip install "minibackprop[testing]"'
    raise ModuleNotFoundError(hint, name=error.name) from error

from minibackprop.testing.case import Case
from minibackprop.testing.contract import LayerContract, check_layer
from minibackprop.testing.functions import check_gradients, check_model
from minibackprop.testing.laws import ALL, Law
from minibackprop.testing.losses import check_loss
from minibackprop.testing.networks import layers, models
from minibackprop.testing.regularizers import check_regularizer
from minibackprop.testing.searching import Report
from minibackprop.testing.strategies import batches, parameters
from minibackprop.testing.violations import ContractViolation, Inconclusive

__all__ = [  # noqa: RUF022 - grouped as the docs group them
    # Checks
    "check_layer",
    "LayerContract",
    "check_loss",
    "check_regularizer",
    "check_gradients",
    "check_model",
    "Report",
    "ContractViolation",
    "Inconclusive",
    # Laws
    "Law",
    "Case",
    "ALL",
    # Strategies
    "batches",
    "parameters",
    "layers",
    "models",
]
