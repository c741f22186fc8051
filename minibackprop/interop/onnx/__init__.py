"""ONNX, in which other programs run models: `to_onnx` writes one; `Graph` and `export` are for layers of one's own.

Imported on request only: ``from minibackprop.interop.onnx import to_onnx``.
"""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

try:
    import onnx as _onnx  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "onnx":
        raise
    hint = 'minibackprop.interop.onnx needs ONNX: pip install "minibackprop[onnx]"'
    raise ModuleNotFoundError(hint, name="onnx") from error

if TYPE_CHECKING:
    from minibackprop.interop.onnx.model import to_onnx as to_onnx
    from minibackprop.interop.onnx.graph import Graph as Graph, export as export
else:
    __getattr__, __dir__ = exports(__name__)
