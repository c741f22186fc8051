"""Where a comparison runs, and how its results are held against each other."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from attrs import frozen

from minibackprop import Layer
from minibackprop.testing.device_array import DeviceArray


@frozen
class Kit:
    """A place for arrays: how they get there and back, and how far rounding may take results from NumPy's."""

    name: str
    array: Callable[[Any], Any]
    to_host: Callable[[Any], Any]
    #: Relative to the largest entry. 0 is for equal to the bit.
    rounding: float = 0.0

    def model(self, layer: Layer) -> Layer:
        """Copy a model to the place."""
        return layer.map_arrays(self.array)


HOST = Kit("NumPy", np.asarray, np.asarray)
STAND_IN = Kit("the stand-in DeviceArray", DeviceArray, lambda array: array.get())

#: Computes nested dicts and lists of arrays and numbers, which are to be the same wherever it runs.
Case: TypeAlias = Callable[[Kit], Any]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Add a comparison, under the name of its function."""
    CASES[function.__name__.removeprefix("_").replace("_", " ")] = function
    return function


def compare(name: str, kit: Kit) -> None:
    """Run a case on NumPy's arrays and in another place, and require that it gives the same."""
    ours, theirs = CASES[name](HOST), CASES[name](kit)
    differences = list(_differences(name, ours, theirs, kit))
    assert not differences, "\n".join(differences)


def _differences(path: str, ours: Any, theirs: Any, kit: Kit) -> list[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            return [f"{path}: {sorted(ours)} and {sorted(theirs)}"]
        pairs = [(f"{path}, {key}", ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        if len(ours) != len(theirs):
            return [f"{path}: {len(ours)} and {len(theirs)} results"]
        pairs = [(f"{path}, {index}", *both) for index, both in enumerate(zip(ours, theirs, strict=True))]
    else:
        return _difference(path, ours, theirs, kit)
    return [text for name, one, other in pairs for text in _differences(name, one, other, kit)]


def _difference(path: str, ours: Any, theirs: Any, kit: Kit) -> list[str]:
    if ours is None or isinstance(ours, (str, bool)):
        return [] if ours == theirs else [f"{path}: {ours} and {theirs}"]
    if hasattr(theirs, "shape") and not isinstance(theirs, (np.ndarray, np.generic)):
        theirs = kit.to_host(theirs)
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
        return [f"{path}: {ours.shape} {ours.dtype} and {theirs.shape} {theirs.dtype}"]
    if np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        return []
    apart, size = np.abs(ours - theirs).max(), max(np.abs(ours).max(), 1.0)
    if ours.dtype.kind == "f" and apart <= kit.rounding * size:
        return []
    return [f"{path}: {apart:.3g} apart, of a size of {size:.3g}"]
