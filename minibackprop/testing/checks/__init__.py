"""What users call: a check for each kind of thing that has a gradient."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.testing.checks.layer import check_layer as check_layer
    from minibackprop.testing.checks.contract import (
        LayerContract as LayerContract,
        parametrize_laws as parametrize_laws,
    )
    from minibackprop.testing.checks.loss import check_loss as check_loss
    from minibackprop.testing.checks.regularizer import check_regularizer as check_regularizer
    from minibackprop.testing.checks.function import check_gradients as check_gradients
    from minibackprop.testing.checks.model import check_model as check_model
else:
    __getattr__, __dir__ = exports(__name__)
