"""Property-based tests for layers: point `check_layer` at a class, and learn which law of the contract it breaks."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

try:
    import hypothesis as _hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    hint = 'minibackprop.testing needs Hypothesis: pip install "minibackprop[testing]"'
    raise ModuleNotFoundError(hint, name=error.name) from error

if TYPE_CHECKING:
    from minibackprop.testing.checks import *
    from minibackprop.testing.report import Report as Report
    from minibackprop.testing.violations import ContractViolation as ContractViolation, Inconclusive as Inconclusive
    from minibackprop.testing.laws import *
    from minibackprop.testing.case import Case as Case
    from minibackprop.testing.strategies import *
    from minibackprop.testing.code import with_state as with_state
    from minibackprop.testing.device_array import DeviceArray as DeviceArray
else:
    __getattr__, __dir__ = exports(__name__)
