"""Which parts of a model are frozen, by name: what files carry beside its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minibackprop.core import Layer, named_layers
from minibackprop.state import Marks


def frozen_parts(model: Layer) -> dict[str, list[str]]:
    """List the names of the frozen parameters, and the paths of the layers that `Layer.freeze` has marked."""
    return {
        "parameters": [name for name, parameter in model.named_parameters() if parameter.frozen],
        "layers": [path for path, layer in named_layers(model) if layer.frozen],
    }


def freeze_parts(model: Layer, parts: Mapping[str, Any]) -> None:
    """
    Undo `frozen_parts`: freeze these parts of the model, and no others.

    Raises
    ------
    ValueError
        If the model has no part of such a name. Nothing is changed then.
    """
    parameters, layers = dict(model.named_parameters()), dict(named_layers(model))
    for wanted, there in ((parts["parameters"], parameters), (parts["layers"], layers)):
        if not isinstance(wanted, list) or not all(isinstance(name, str) and name in there for name in wanted):
            raise ValueError(f"frozen parts {wanted}, of {sorted(there)}")
    model.unfreeze()
    for path in parts["layers"]:
        object.__setattr__(layers[path], "frozen", True)
    for name in parts["parameters"]:
        parameters[name].frozen = True
    Marks.latest = object()
