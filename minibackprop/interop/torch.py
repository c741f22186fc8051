"""PyTorch's weights in this package's layers, and back: arrays by name, so that PyTorch need not be installed.

Imported on request only: ``from minibackprop.interop.torch import load_torch_state_dict, torch_state_dict``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define

from minibackprop.arrays import on_host
from minibackprop.core import Layer
from minibackprop.errors import ConfigError, StateDictError, describe
from minibackprop.layers.attention import MultiHeadAttention
from minibackprop.layers.batch_norm import BatchNorm
from minibackprop.layers.dense import Dense
from minibackprop.layers.recurrent.base import Recurrent
from minibackprop.layers.recurrent.gru import GRU
from minibackprop.state import Buffer, members_of, walk
from minibackprop.validation import Array, as_array, shortened

#: Names of arrays, here and in PyTorch, of layers whose matrices are transposed there. Where nothing is said, both have
#: the same names and the same layout: convolutions, embeddings, normalization.
_NAMES: dict[Any, dict[str, str]] = {
    Dense: {"weight": "weight", "bias": "bias"},
    Recurrent: {"weight": "weight_ih", "recurrent_weight": "weight_hh", "bias": "bias_ih"},
    MultiHeadAttention: {
        "qkv.weight": "in_proj_weight",
        "qkv.bias": "in_proj_bias",
        "output.weight": "out_proj.weight",
        "output.bias": "out_proj.bias",
    },
}
#: Of a recurrent module, the arrays that one of its layers has, in one direction.
_OF_LAYER = re.compile(r"((?:weight|bias)_[a-z]{2})_(l\d+(?:_reverse)?)")


def load_torch_state_dict(
    model: Layer, state_dict: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, str]:
    """
    Overwrite parameters and buffers with the weights of a network of PyTorch.

    Its modules are paired with the layers that have arrays, in order: that of the model, and that of `state_dict`, but
    that modules with numbers for names go by number. Arrays get the layout and the dtype that they have here.

    Parameters
    ----------
    model : Layer
        Built like the network; or a part, as ``model[:4]``.
    state_dict : mapping of str to array_like
        As ``module.state_dict()`` gives it: tensors, or arrays under the same names.
    names : mapping of str to str, optional
        Modules of PyTorch by the path of the layer that each belongs to: ``{"0": "conv1", "3": "fc"}``. What is within
        a path that has others in it, as ``{"0": "features"}``, is paired in order. Of a recurrent module of several
        layers or directions, each is named as in ``"lstm.l1"`` or ``"lstm.l0_reverse"``.

    Returns
    -------
    dict of str to str
        The pairs that were made, modules by paths, as `torch_state_dict` takes them for the way back.

    Raises
    ------
    StateDictError
        If layers or modules are left over; if those of a pair differ in the names or shapes of their arrays; if an
        entry is no array of finite real numbers; if two entries for one array differ; or if pairs in order would be a
        guess, as a file has sorted the names. Nothing is changed then.
    ConfigError
        If `model` is no layer, or `names` is not a mapping of paths that there are, to modules for all layers.

    Examples
    --------
    >>> from minibackprop import Dense, ReLU, Sequential
    >>> model = Sequential([Dense(3, 2), ReLU(), Dense(2, 1, bias=False)])
    >>> state = {"fc1.weight": np.ones((2, 3)), "fc1.bias": np.zeros(2), "fc2.weight": np.ones((1, 2))}
    >>> load_torch_state_dict(model, state)
    {'0': 'fc1', '2': 'fc2'}
    >>> model.predict(np.array([[1.0, 2.0, 3.0]]))
    array([[12.]])
    >>> load_torch_state_dict(model, state | {"fc2.weight": np.ones((2, 2))})
    Traceback (most recent call last):
    ...
    minibackprop.errors.StateDictError: load_torch_state_dict: layer 2 (Dense) expects fc2.weight of shape (1, 2), which
    is (2, 1) here, got (2, 2)
    """
    units, names = _named("load_torch_state_dict", model, names)
    if not hasattr(state_dict, "keys") or not all(isinstance(name, str) for name in state_dict):
        expected = "a mapping of names to arrays, as module.state_dict() gives it"
        raise StateDictError("load_torch_state_dict", expected, describe(state_dict))
    if within := [name for name, value in state_dict.items() if isinstance(value, Mapping)]:
        got = f"{describe(state_dict[within[0]])}; of a checkpoint, give the entry with the weights alone"
        raise StateDictError(f"load_torch_state_dict: {_listed(within)}", "real numbers", got)
    arrays = {name: _as_numbers(name, value) for name, value in state_dict.items()}
    modules = _modules(arrays)

    def misfit(unit: _Unit, module: str) -> tuple[str, str] | None:
        return _misfit(unit, module, modules[module], arrays)

    pairs = _pairs(units, modules, names, lambda unit, module: misfit(unit, module) is None)
    for unit, module in pairs:
        if wrong := misfit(unit, module):
            expected, got = wrong
            other = next((other for other in modules if misfit(unit, other) is None), None)
            if other is not None and names.get(unit.path) != module:
                got += f" ({other} would fit: names=... pairs otherwise than in order)"
            raise StateDictError(f"load_torch_state_dict: {unit}", expected, got)
    first_names = {id(buffer): name for name, buffer in walk(model, Buffer)}
    values: dict[str, Array] = {}
    for unit, module in pairs:
        theirs = {leaf: arrays[name] for leaf, name in modules[module].items()}
        for own, value in _from_torch(unit, theirs).items():
            name = first_names[id(unit.buffers[own])]
            if name in values and not np.array_equal(values[name], value):
                expected = f"for {own} of {module} the same values as for {name}, which shares them here"
                raise StateDictError(f"load_torch_state_dict: {unit}", expected, "others")
            values[name] = value
    model.load_state_dict(values)
    return {unit.path: module for unit, module in pairs}


def torch_state_dict(model: Layer, names: Mapping[str, str] | None = None) -> dict[str, Array]:
    """
    Copy the values of all parameters and buffers into a dict, under PyTorch's names and in its layout.

    Parameters
    ----------
    model : Layer
    names : mapping of str to str, optional
        As for `load_torch_state_dict`, or what that returned: what is within a path keeps the rest of its own. By
        default, paths are the names of modules, as in an ``nn.Sequential`` of the same layers.

    Returns
    -------
    dict of str to array
        NumPy's arrays of the model's dtype, contiguous, each a copy. A layer that stands twice is in it twice, as in
        PyTorch.

    Raises
    ------
    ConfigError
        If `model` is no layer, or `names` is not a mapping of paths that there are, to a module for each layer.

    Notes
    -----
    PyTorch adds two biases in a recurrent layer. The first gets all, and the second is 0; but for the part of n in a
    `GRU`, where it is ``recurrent_bias``. The counter ``num_batches_tracked`` is 0, as batches are not counted here.

    Examples
    --------
    >>> from minibackprop import LSTM, Dense, Sequential
    >>> model = Sequential([LSTM(3, 2), Dense(2, 1)])
    >>> state = torch_state_dict(model, {"0": "lstm", "1": "head"})
    >>> {name: array.shape for name, array in state.items()}
    {'lstm.weight_ih_l0': (8, 3), 'lstm.weight_hh_l0': (8, 2), 'lstm.bias_ih_l0': (8,), 'lstm.bias_hh_l0': (8,),
    'head.weight': (1, 2), 'head.bias': (1,)}
    """
    units, names = _named("torch_state_dict", model, names)
    found: dict[str, Array] = {}
    origins: dict[str, Layer] = {}
    for unit in units:
        module, suffix = _join(names[unit.key], unit.path[len(unit.key) :].lstrip(".")), ""
        if isinstance(unit.layer, Recurrent):
            # Only where `names` says so: here, a layer may stand in an attribute l1.
            named = re.fullmatch(r"(?:(.*)\.)?(l\d+(?:_reverse)?)", module) if unit.key == unit.path else None
            module, suffix = (named[1] or "", f"_{named[2]}") if named else (module, "_l0")
        own = {name: on_host(buffer.value, f"torch_state_dict: {name}") for name, buffer in unit.buffers.items()}
        for leaf, value in _as_torch(unit, own).items():
            name = _join(module, leaf + suffix)
            if origins.setdefault(name, unit.layer) is not unit.layer:
                expected = "another module of PyTorch for each layer"
                raise ConfigError("torch_state_dict: names", expected, f"two that have a {name}")
            found[name] = np.array(value, order="C")
    return found


# --- Our side --------------------------------------------------------------------------------------------------------


@define(eq=False)
class _Unit:
    """Arrays that stand together in PyTorch, too, by their names within `layer`; and by which path `names` has it."""

    path: str
    layer: Layer
    buffers: dict[str, Buffer]
    key: str = ""

    @property
    def parts(self) -> tuple[int, ...]:
        """Tell whether two are of the same arrays."""
        return tuple(map(id, self.buffers.values()))

    def __str__(self) -> str:
        return f"layer {self.path} ({type(self.layer).__name__})" if self.path else type(self.layer).__name__


def _units(model: Layer) -> list[_Unit]:
    """Find all arrays of a model wherever they stand, in order: those of a layer that stands twice, twice."""
    units: dict[str, _Unit] = {}
    packed: dict[str, str] = {}  # Paths of layers whose arrays PyTorch has in the module around them.
    ways: list[tuple[str, object, Layer, tuple[object, ...]]] = [("", model, model, ())]
    while ways:  # Not a recursion: models may be deep.
        path, part, layer, around = ways.pop()
        if isinstance(part, Buffer):
            outer = path.rpartition(".")[0]
            outer = packed.get(outer, outer)
            units.setdefault(outer, _Unit(outer, layer, {})).buffers[path[len(outer) :].lstrip(".")] = part
        elif not any(part is outer for outer in around):
            if isinstance(part, Layer) and path not in packed:
                layer = part
                packed |= {_join(path, own.rpartition(".")[0]): path for own in _names_of(part) if "." in own}
            members = [(_join(path, str(name)), value) for name, value in members_of(part) or ()]
            members.sort(key=lambda member: not isinstance(member[1], Buffer))  # In PyTorch, a module's own come first.
            ways += [(inner, value, layer, (*around, part)) for inner, value in reversed(members)]
    return list(units.values())


def _names_of(layer: Layer) -> Mapping[str, str]:
    return next((names for kind, names in _NAMES.items() if isinstance(layer, kind)), {})


def _named(function: str, model: object, names: Any) -> tuple[list[_Unit], Mapping[str, str]]:
    """List the units of a model, each with the path by which `names` has it; check both."""
    if not isinstance(model, Layer):
        raise ConfigError(f"{function}: model", "a layer", describe(model))
    names = {"": ""} if names is None else names
    if not isinstance(names, Mapping) or not all(isinstance(part, str) for pair in names.items() for part in pair):
        raise ConfigError(f"{function}: names", "a mapping of paths to modules of PyTorch", shortened(names))
    units = _units(model)
    keys = {unit.path: _holder(unit.path, names) for unit in units}
    unknown = names.keys() - keys.values() - {""}
    if unknown:
        expected = f"paths of layers with arrays, or of what holds them: {_listed(units)}"
        raise ConfigError(f"{function}: names", expected, ", ".join(map(repr, sorted(unknown))))
    shared = {part for unit in units if keys[unit.path] is not None for part in unit.parts}
    missing = [unit for unit in units if keys[unit.path] is None and not shared.issuperset(unit.parts)]
    if missing:
        raise ConfigError(f"{function}: names", "a module of PyTorch for each layer", f"none for {_listed(missing)}")
    for unit in units:
        unit.key = keys[unit.path] or ""
    return [unit for unit in units if keys[unit.path] is not None], names


def _as_torch(unit: _Unit, own: Mapping[str, Array]) -> dict[str, Array]:
    """Arrange the arrays of a layer as PyTorch has them."""
    there = _names_of(unit.layer)
    theirs = {there.get(name, name): value.T if name in there else value for name, value in own.items()}
    if isinstance(unit.layer, Recurrent) and "bias_ih" in theirs:
        bias, of_n = theirs["bias_ih"], theirs.pop("recurrent_bias", theirs["bias_ih"][:0])
        theirs["bias_hh"] = np.concatenate([np.zeros_like(bias[len(of_n) :]), of_n])
    if isinstance(unit.layer, BatchNorm):
        theirs[_COUNTER] = np.array(0)
    return theirs


def _from_torch(unit: _Unit, theirs: dict[str, Array]) -> dict[str, Array]:
    """Arrange the arrays of a module as the layer has them."""
    here = {name: own for own, name in _names_of(unit.layer).items()}
    if isinstance(unit.layer, BatchNorm):
        theirs.pop(_COUNTER, None)
    if isinstance(unit.layer, Recurrent) and "bias_ih" in theirs:
        first, second = theirs["bias_ih"], theirs.pop("bias_hh")
        added = len(first) - (unit.layer.out_features if isinstance(unit.layer, GRU) else 0)
        theirs["bias_ih"] = first.astype(np.result_type(first, second, np.float64))
        theirs["bias_ih"][:added] += second[:added]
        if added < len(first):
            theirs["recurrent_bias"] = second[added:]
    return {here.get(name, name): value.T if name in here else value for name, value in theirs.items()}


#: How many batches a `BatchNorm` of PyTorch has seen. Only one without a momentum uses it.
_COUNTER = "num_batches_tracked"


# --- PyTorch's side --------------------------------------------------------------------------------------------------


def _as_numbers(name: str, value: Any) -> Array:
    """Make a NumPy array of a tensor, wherever it is, or of whatever NumPy makes one."""
    subject = f"load_torch_state_dict: {name}"
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            # NumPy has no bfloat16; float32 holds all of it.
            value = (value.float() if "bfloat16" in str(value.dtype) else value).numpy()
        array: Array = on_host(as_array(subject, value), subject)
    except Exception as error:
        raise StateDictError(subject, "a tensor, or what NumPy makes an array of", str(error)) from error
    if array.dtype.kind not in "fiub":
        got = f"{shortened(value)} ({describe(value)})"
        raise StateDictError(subject, "real numbers", describe(value) if array.ndim else got)
    if not np.isfinite(array).all():
        raise StateDictError(subject, f"finite numbers of {array.dtype}", str(array[~np.isfinite(array)][0]))
    return array


def _modules(arrays: Iterable[str]) -> dict[str, dict[str, str]]:
    """Sort the names of arrays by module, and by what they are called in it."""
    modules: dict[str, dict[str, str]] = {}
    for name in arrays:
        module, _, leaf = name.rpartition(".")
        outer, _, last = module.rpartition(".")
        if match := _OF_LAYER.fullmatch(leaf):
            module, leaf = _join(module, match[2]), match[1]
        elif last == "out_proj" and _join(outer, "in_proj_weight") in arrays:
            module, leaf = outer, f"out_proj.{leaf}"
        modules.setdefault(module, {})[leaf] = name
    return modules


def _pairs(
    units: list[_Unit],
    modules: Mapping[str, Mapping[str, str]],
    names: Mapping[str, str],
    fits: Callable[[_Unit, str], bool],
) -> list[tuple[_Unit, str]]:
    """Pair units and modules, by `names`, and in order where several go by one name; require that none is left over."""
    groups: dict[str | None, list[str]] = {}
    for module in modules:
        groups.setdefault(_holder(module, names.values()), []).append(module)
    # PyTorch names a weight before its bias.
    sorted_names = any(_place(leaves, "bias") < _place(leaves, "weight") < len(leaves) for leaves in modules.values())
    pairs: list[tuple[_Unit, str]] = []
    ours: list[_Unit] = []
    theirs = [module for name, group in groups.items() if name not in names.values() for module in group]
    for key, name in names.items():
        here, there = [unit for unit in units if unit.key == key], _in_order(groups.get(name, []), sorted_names)
        once = {unit.parts: unit for unit in reversed(here)}
        if len(once) == len(there):  # What is shared stands in some files only once.
            here = list(once.values())[::-1]
        if len(here) == len(there):
            pairs += zip(here, there, strict=True)
            continue
        while here and there and fits(here[0], there[0]):
            here, there = here[1:], there[1:]
        while here and there and fits(here[-1], there[-1]):
            here, there = here[:-1], there[:-1]
        ours, theirs = ours + here, theirs + there
    if ours or theirs:
        left = {
            "the model": [_join(unit.path, name) for unit in ours for name in unit.buffers],
            "state_dict": [name for module in theirs for name in modules[module].values()],
        }
        wanted = [f"{unit} from {names[unit.key]}" if names[unit.key] else str(unit) for unit in units]
        expected = f"a module for each of {_listed(wanted)}, and no others"
        rest = "; left over in ".join(f"{where}: {_listed(over)}" for where, over in left.items() if over)
        raise StateDictError("load_torch_state_dict", expected, f"{_listed(modules)}; left over in {rest}")
    return pairs


def _place(leaves: Iterable[str], word: str) -> int:
    """Find the first leaf with a word in it; the number of all, where there is none."""
    names = list(leaves)
    return next((place for place, name in enumerate(names) if word in name), len(names))


def _in_order(modules: Sequence[str], sorted_names: bool) -> list[str]:
    """Arrange modules as they come, but those with numbers for names by number; refuse others if names were sorted."""
    siblings: dict[tuple[str, ...], dict[str, tuple[int, ...]]] = {}
    paths = {module: tuple(module.split(".")) for module in modules}
    for parts in paths.values():
        for depth, part in enumerate(parts):
            place = len(siblings.setdefault(parts[:depth], {}))
            siblings[parts[:depth]].setdefault(part, (place,))
    for here in siblings.values():
        numbers = {part: re.fullmatch(r"l?(\d+)(_reverse)?", part) for part in here}
        if all(numbers.values()):
            here.update({part: (int(found[1]), bool(found[2])) for part, found in numbers.items() if found})
        elif sorted_names and len(here) > 1:
            expected = "names=..., as a file has sorted the modules: in which order the network has them is not known"
            raise StateDictError("load_torch_state_dict", expected, _listed(modules))
    return sorted(modules, key=lambda module: [siblings[paths[module][:i]][p] for i, p in enumerate(paths[module])])


def _misfit(unit: _Unit, module: str, theirs: Mapping[str, str], arrays: Mapping[str, Array]) -> tuple[str, str] | None:
    """Say what is expected and what came, unless a module has arrays of a layer's names and shapes there."""
    expected = _as_torch(unit, {name: np.broadcast_to(0.0, buffer.shape) for name, buffer in unit.buffers.items()})
    optional = expected.keys() & {_COUNTER}
    wanted = [leaf for leaf in expected if leaf not in optional]
    if set(wanted) != theirs.keys() - optional:
        return f"{_listed(wanted)} {f'of {module}' if module else 'as entries'}", _listed(theirs)
    here = {name: own for own, name in _names_of(unit.layer).items()}
    for leaf in wanted:
        shape, got = expected[leaf].shape, arrays[theirs[leaf]].shape
        if shape != got:
            own = unit.buffers.get(here.get(leaf, leaf))
            differs = f", which is {own.shape} here" if own is not None and own.shape != shape else ""
            return f"{theirs[leaf]} of shape {shape}{differs}", str(got)
    return None


# --- Names -----------------------------------------------------------------------------------------------------------


def _holder(path: str, outers: Iterable[str]) -> str | None:
    """Find the innermost of some paths that has this one in it, or is it."""
    found = (outer for outer in outers if not outer or path == outer or path.startswith(f"{outer}."))
    return max(found, key=len, default=None)


def _join(outer: str, name: str) -> str:
    return f"{outer}.{name}" if outer and name else outer or name


def _listed(things: Iterable[object]) -> str:
    """Join names, of many the first."""
    names = [str(thing) or "no module" for thing in things]
    rest = [f"and {len(names) - 12} more"] if len(names) > 13 else []
    return ", ".join(names[: 12 if rest else None] + rest) or "none"
