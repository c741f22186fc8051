"""What the formulas need of NumPy beyond its functions."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

if TYPE_CHECKING:
    from minibackprop.numerics.memory import keep_freed_memory as keep_freed_memory
else:
    __getattr__, __dir__ = exports(__name__)
