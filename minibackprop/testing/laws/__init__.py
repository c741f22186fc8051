"""The laws of the layer contract: `base` says what a law is, `contract` lists them, the others check them."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.testing.laws.base import Law as Law
    from minibackprop.testing.laws.contract import ALL as ALL
    from minibackprop.testing.laws.losses import LOSS_LAWS as LOSS_LAWS
else:
    __getattr__, __dir__ = exports(__name__)
