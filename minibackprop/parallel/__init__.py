"""Who shares a batch: the cores of a machine, or many machines."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.parallel.threads import Threads as Threads
    from minibackprop.parallel.ranks import Ranks as Ranks
else:
    __getattr__, __dir__ = exports(__name__)
