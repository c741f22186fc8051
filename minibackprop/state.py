"""What layers hold: parameters and buffers, found by name wherever they are kept, saved, copied and cast."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from inspect import signature
from types import MemberDescriptorType
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from attrs import define, field, setters
from numpy.typing import ArrayLike, DTypeLike

from minibackprop.arrays import missing_protocols, name_of
from minibackprop.errors import ConfigError, ContractError, DTypeError, ShapeError, StateDictError, describe
from minibackprop.validation import (
    Array,
    as_float_dtype,
    copied,
    require_flag,
    require_names,
    require_numbers,
    state_entry,
)

_Kind = TypeVar("_Kind")
_Copied = TypeVar("_Copied", bound="Stateful")


def _as_value(value: ArrayLike) -> Array:
    try:
        return copied(value)
    except ValueError as error:
        raise ShapeError("Buffer: value", "an array, or lists of one length", str(error)) from error


@define(eq=False, slots=False, repr=False, on_setattr=setters.NO_OP)
class Buffer:
    """
    A value that a layer keeps: saved with the layer, not trained.

    Parameters
    ----------
    value : array_like
        Copied, so that nothing done to the buffer reaches the array it was made from.

    Examples
    --------
    >>> Buffer(np.zeros(3)).value
    array([0., 0., 0.])
    """

    value: Array = field(converter=_as_value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value."""
        return self.value.dtype

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Give the value to ``np.asarray``."""
        return np.array(self.value, dtype, copy=copy)

    def _refuse(self, *_: object, **__: object) -> Any:
        name = type(self).__name__
        raise ContractError(f"arithmetic on a {name}", "be on its value", f"the {name} itself: write .value")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __matmul__ = __rmatmul__ = __pow__ = __rpow__ = __neg__ = __abs__ = __iadd__ = __isub__ = __imul__ = _refuse
    __itruediv__ = __array_ufunc__ = _refuse

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.value.shape}, dtype={self.value.dtype})"


@define(eq=False, slots=False, repr=False, on_setattr=setters.NO_OP)
class Parameter(Buffer):
    """
    A buffer that is trained: a value, and the gradient of the loss with respect to it.

    Parameters
    ----------
    value : array_like
        Floating-point numbers of at least 32 bits, copied.

    Attributes
    ----------
    grad : array or None
        What `add` has summed since the last `clear`. To change it (clipping does), bind a new array.
    frozen : bool
        Whether `Layer.freeze` has marked it: then `add` does nothing, and optimizers and penalties pass over it.

    Raises
    ------
    ShapeError
        If `value` is lists of different lengths.
    DTypeError
        If it holds anything but floating-point numbers, or narrower ones.

    Examples
    --------
    >>> p = Parameter([1.0, 2.0])
    >>> p.add(np.array([10.0, 10.0]))
    >>> p.add(np.array([0.5, 0.0]))
    >>> p.grad
    array([10.5, 10. ])
    """

    grad: Array | None = field(default=None, init=False)
    frozen: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        if self.value.dtype.kind != "f":
            raise DTypeError("Parameter", "floating-point values", str(self.value.dtype))
        if self.value.dtype.itemsize < 4:
            raise DTypeError("Parameter", "float32 or wider floating-point values", str(self.value.dtype))

    def add(self, grad: Array, /) -> None:
        """
        Add `grad` to the gradient, and take it over: hand in a fresh array, never the caller's.

        Raises
        ------
        ShapeError
            If the shape is not that of the value; NumPy would broadcast some of these.
        DTypeError
            If it holds anything but floating-point numbers.
        """
        if getattr(grad, "shape", None) != self.value.shape:
            require_numbers("Parameter", grad)
            raise ShapeError("Parameter", f"a gradient of shape {self.value.shape}", str(grad.shape))
        if grad.dtype.kind != "f":
            raise DTypeError("Parameter", "a gradient of floating-point numbers", str(grad.dtype))
        if not self.frozen:
            self.grad = grad if self.grad is None else self.grad + grad

    def clear(self) -> None:
        """Forget the gradient."""
        self.grad = None

    @property
    def requires_grad(self) -> bool:
        """Whether it is trained, as PyTorch calls it; `Layer.freeze` and `Layer.unfreeze` change that."""
        return not self.frozen

    @requires_grad.setter
    def requires_grad(self, value: object) -> None:
        raise ConfigError("Parameter: requires_grad", "to be left alone: freeze() and unfreeze() of a layer change it")


class Marks:
    """When `Layer.freeze` or `Layer.unfreeze` last changed what is trained, anywhere: an object that stands for it."""

    latest: object = object()


class IncompatibleKeys(NamedTuple):
    """What `Stateful.load_state_dict` found no counterpart for."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Stateful:
    """What holds parameters and buffers, in attributes, lists, tuples and dicts, and in others of its kind there."""

    freezable: bool = False
    #: Whether `freeze` has marked it; what is made of layers alone carries no mark of its own.
    frozen: bool = False

    def parameters(self) -> list[Parameter]:
        """List the parameters of this layer and the layers in it, a shared one once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """
        List the parameters with the paths that lead to them, a shared one under its first.

        Examples
        --------
        >>> from minibackprop import Dense, Sequential
        >>> [name for name, _ in Sequential([Dense(3, 4), Sequential([Dense(4, 1, bias=False)])]).named_parameters()]
        ['0.weight', '0.bias', '1.0.weight']
        """
        return list(walk(self, Parameter))

    def clear_gradients(self) -> None:
        """Forget every gradient, as where a step is given up between `backward` and the optimizer's step."""
        for parameter in self.parameters():
            parameter.clear()

    def freeze(self) -> Self:
        """
        Mark every parameter and every layer within, so that no training changes them; give the layer itself.

        A frozen parameter gets no gradient, and no optimizer, weight decay or penalty changes it. A frozen `BatchNorm`
        keeps its running statistics and uses them, a frozen `Dropout` is off: `forward` does what `predict` does. The
        gradient still passes through, to the layers before. Of a part of a model, ``model[:2].freeze()`` marks what is
        in it. Copies, pickles, files and checkpoints carry the marks; a ``state_dict`` does not.

        Raises
        ------
        ConfigError
            If a layer within draws random numbers or couples samples, and does not say with `freezable` that it knows
            what to do then. Nothing is marked then.

        Examples
        --------
        >>> from minibackprop import Dense, Sequential
        >>> model = Sequential([Dense(3, 4), Dense(4, 1)])
        >>> _ = model[:1].freeze()
        >>> [name for name, parameter in model.named_parameters() if not parameter.frozen]
        ['1.weight', '1.bias']
        """
        own = [(path, layer) for path, layer in walk(self, Stateful) if _has_ways(layer) or not _has_parts(layer)]
        for path, layer in own:
            if _has_ways(layer) and not layer.freezable:
                name, where = type(layer).__name__, f" at {path}" if path else ""
                expected = "layers that say how they work when frozen (freezable = True), or have one way to work"
                raise ConfigError(f"{type(self).__name__}.freeze", expected, f"{name}{where}, which {_has_ways(layer)}")
        self._mark([layer for _, layer in own], True)
        return self

    def unfreeze(self) -> Self:
        """Take the marks of `freeze` off every parameter and every layer within; give the layer itself."""
        self._mark([layer for _, layer in walk(self, Stateful)], False)
        return self

    def _mark(self, layers: Iterable[Stateful], frozen: bool) -> None:
        for layer in layers:
            if frozen:
                object.__setattr__(layer, "frozen", True)  # On those of frozen classes, too.
            else:
                vars(layer).pop("frozen", None)
        for parameter in self.parameters():
            parameter.frozen = frozen
            if frozen:
                parameter.clear()
        Marks.latest = object()

    @property
    def trainable(self) -> bool:
        """Whether a parameter within is trained, as Keras calls it; `freeze` and `unfreeze` change that."""
        return any(not parameter.frozen for parameter in self.parameters())

    @trainable.setter
    def trainable(self, value: object) -> None:
        raise ConfigError(f"{type(self).__name__}: trainable", "to be left alone: freeze() and unfreeze() change it")

    def state_dict(self) -> dict[str, Array]:
        """Copy the values of all parameters and buffers into a dict, by name."""
        return {name: buffer.value.copy() for name, buffer in self._buffers().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> IncompatibleKeys:
        """
        Overwrite parameters and buffers with the values of `state`, cast to the dtypes that they have.

        Parameters
        ----------
        state : mapping of str to array_like
            As `state_dict` gives it.
        strict : bool
            Whether it must have an entry for each parameter and buffer, and no others. Otherwise those of the same name
            are overwritten, and the rest is left alone.

        Returns
        -------
        IncompatibleKeys
            A named tuple ``(missing_keys, unexpected_keys)``: the names that `state` lacks, and those that stand for
            nothing here; two empty lists where `strict` is true.

        Raises
        ------
        StateDictError
            If an entry is missing or left over, unless `strict` is false; or if one is of another shape, of a kind that
            does not cast (complex to float, say), or of a parameter and not finite. Nothing is changed then.

        Examples
        --------
        >>> from minibackprop import Dense
        >>> Dense(2, 1, bias=False).load_state_dict({"weight": [[1.0, 2.0]]})
        Traceback (most recent call last):
        ...
        minibackprop.errors.StateDictError: Dense: weight expects shape (2, 1), got (1, 2)
        >>> Dense(2, 1).load_state_dict({"weight": [[1.0], [2.0]], "scale": [1.0]}, strict=False)
        IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['scale'])
        """
        owner, buffers = type(self).__name__, self._buffers()
        require_flag(f"{owner}.load_state_dict: strict", strict)
        if strict or not hasattr(state, "keys"):
            require_names(f"{owner}.load_state_dict", state, buffers)
        values: dict[str, Array] = {}
        for name, buffer in ((name, buffer) for name, buffer in buffers.items() if name in state):
            value = state_entry(state[name], buffer.value, f"{owner}: {name}")
            with np.errstate(over="ignore"):  # What becomes of it is looked at.
                values[name] = value = value.astype(buffer.value.dtype, copy=False)
            if isinstance(buffer, Parameter) and not np.isfinite(value).all():
                got = str(value[~np.isfinite(value)][0])
                raise StateDictError(f"{owner}: {name}", f"finite numbers of {value.dtype}", got)
        self._overwrite(values)
        missing = [name for name in buffers if name not in values]
        return IncompatibleKeys(missing, [name for name in state if name not in buffers])

    def _overwrite(self, values: Mapping[str, Array]) -> None:
        """Write values that fit into the parameters and buffers of their names."""
        for name, buffer in self._buffers().items():
            if name in values and np.ndim(buffer.value):
                buffer.value[...] = values[name]
            elif name in values:  # Arithmetic on an array without axes gives a scalar, which cannot be written to.
                buffer.value = np.full_like(buffer.value, values[name])

    def _buffers(self) -> dict[str, Buffer]:
        """Find all parameters and buffers by name, which must tell them apart."""
        found: dict[str, Buffer] = {}
        for name, buffer in walk(self, Buffer):
            if name in found:
                raise ContractError(type(self).__name__, f"give each array a name of its own; two are {name}")
            found[name] = buffer
        return found

    def map_arrays(self, function: Callable[[Array], Any], /) -> Self:
        """
        Copy the layer with `function` applied to the value of every parameter and buffer; gradients are left behind.

        What is shared stays shared, within the copy. ``map_arrays(cupy.asarray)`` copies a model to a GPU, and
        ``map_arrays(cupy.asnumpy)`` back.

        Raises
        ------
        ConfigError
            If `function` cannot be called.
        ContractError
            If it returns something else than an array of the same shape and kind of numbers: floats are to stay floats,
            of 32 bits at least. Also if that is of a kind that NumPy's functions do not work on, as of PyTorch or JAX,
            or cannot be written to: a model of such arrays would not train.
        """
        if not callable(function):
            raise ConfigError("map_arrays: function", "a function of an array", describe(function))

        def mapped(buffer: Buffer) -> Buffer:
            twin = copy.copy(buffer)
            # A copy, so that a function that hands its argument back does not tie the two layers.
            twin.value = value = _mapped(function(buffer.value.copy()))
            dtype = getattr(value, "dtype", None)
            if dtype is None or np.shape(value) != np.shape(buffer.value):
                raise ContractError("map_arrays: function", "return an array of the same shape", describe(value))
            kind, least = buffer.value.dtype.kind, min(4, buffer.value.dtype.itemsize)
            if dtype.kind != kind or (kind == "f" and dtype.itemsize < least):
                expected = "return an array of the same kind of numbers, and of floats no narrower than float32"
                raise ContractError("map_arrays: function", expected, f"{dtype} for {buffer.value.dtype}")
            if isinstance(twin, Parameter):
                twin.clear()
            return twin

        return copy_with(self, ((buffer, mapped(buffer)) for _, buffer in walk(self, Buffer)))

    def astype(self, dtype: DTypeLike) -> Self:
        """
        Copy the layer with floating-point parameters and buffers cast to `dtype`.

        Raises
        ------
        ConfigError
            If `dtype` is not a floating-point one, or narrower than float32.

        Examples
        --------
        >>> from minibackprop import Dense
        >>> Dense(3, 4).astype(np.float32).weight
        Parameter(shape=(3, 4), dtype=float32)
        """
        dtype = as_float_dtype(f"{type(self).__name__}.astype", dtype)
        return self.map_arrays(lambda value: value.astype(dtype) if value.dtype.kind == "f" else value)

    def __repr__(self) -> str:
        """Show the constructor's arguments, each read off the attribute of its name."""
        shown = ", ".join(f"{name}={value!r}" for name, value in configuration(self).items())
        return f"{type(self).__name__}({shown})"

    def _members(self) -> Iterator[tuple[str, object]]:
        """Go through the attributes: those in slots, then those in the instance's dictionary."""
        for name in _slots(type(self)):  # type: ignore[arg-type]
            yield name, getattr(self, name, None)
        yield from vars(self).items()


def _mapped(value: Any) -> Any:
    """Require of what comes from the function of `map_arrays` that NumPy's functions, and optimizers, work on it."""
    if isinstance(value, np.generic):  # What arithmetic makes of an array without axes.
        return np.array(value)
    if not hasattr(value, "dtype"):
        return value  # No array at all.
    if missing := missing_protocols(value):
        expected = "return arrays that NumPy's functions work on, such as its own or CuPy's (map_arrays(cupy.asarray))"
        got = f"{name_of(type(value))}, which has no {' and no '.join(missing)}"
        raise ContractError("map_arrays: function", expected, got)
    try:
        value[...] = value
    except (TypeError, ValueError) as error:
        expected = "return arrays that can be written to, as optimizers do (a copy of a view that is for reading)"
        raise ContractError("map_arrays: function", expected, f"{name_of(type(value))}: {error}") from error
    return value


@lru_cache(1000)
def _slots(kind: type) -> list[str]:
    """List the attributes of a class that are in slots, those of its parents first."""
    owners = (vars(owner) for owner in reversed(kind.__mro__) if "__slots__" in vars(owner))
    return [name for owner in owners for name, slot in owner.items() if isinstance(slot, MemberDescriptorType)]


def _has_ways(layer: Stateful) -> str:
    """Tell how a layer itself, not one within, works otherwise in training than in prediction."""
    return " and ".join(filter(None, (own_reason(layer, name) for name in _WAYS)))


def own_reason(layer: Stateful, name: str) -> str:
    """Give the reason that a layer itself declares, not one within: an attribute of its own, or of its class."""
    return vars(layer).get(name) or getattr(type(layer), name)  # type: ignore[no-any-return]


_WAYS = ("stochastic", "couples_samples")


def _has_parts(layer: Stateful) -> bool:
    """Tell whether a layer holds another; to ask all layers of a model takes time with their number, however nested."""
    return any(part is not layer for _, part in walk(layer, Stateful))  # Ends at the first.


CONTAINERS = (dict, list, tuple)
#: What holds nothing, passed over at once.
_LEAVES = frozenset({bool, int, float, str, type(None), np.ndarray})


def walk(root: Stateful, kind: type[_Kind]) -> Iterator[tuple[str, _Kind]]:
    """Find everything of `kind` in `root`, itself included: each once, with the first path that leads to it."""
    leaves = frozenset() if kind is object else _LEAVES
    seen: dict[int, object] = {}  # Holds on to what it has seen, so that no id is used again.
    ways: list[tuple[str, Iterator[tuple[object, object]]]] = [("", iter([("", root)]))]
    while ways:  # Not a recursion, which would take time with the square of the depth.
        outer, members = ways[-1]
        for name, value in members:
            if type(value) in leaves or id(value) in seen:
                continue
            inner = members_of(value)
            found = isinstance(value, kind)
            if found or inner:
                seen[id(value)] = value
                path = f"{outer}.{name}" if outer else str(name)
                if found:
                    yield path, value  # type: ignore[misc]
                if inner:
                    ways.append((path, inner))
                    break
        else:
            ways.pop()


def members_of(value: object) -> Iterator[tuple[object, object]] | None:
    """Go through what a layer, dict, list or tuple holds, by name."""
    if isinstance(value, Buffer):
        return None
    if isinstance(value, Stateful):
        return value._members()
    if isinstance(value, dict):
        return iter(value.items())
    return enumerate(value) if isinstance(value, (list, tuple)) else None


def copy_with(layer: _Copied, replacements: Iterable[tuple[object, object]]) -> _Copied:
    """Copy deeply, but put other objects in the place of some: an object itself, to share it."""
    kept = list(replacements)
    return copy.deepcopy(layer, {id(old): new for old, new in kept})


def configuration(layer: Stateful) -> dict[str, object]:
    """Give the arguments of the layer's constructor, each read off the attribute of its name, where there is one."""
    names = {a.alias: a.name for a in getattr(type(layer), "__attrs_attrs__", ()) if a.init}
    found = ((name, getattr(layer, names.get(name, name), layer)) for name in signature(type(layer)).parameters)
    return {name: value for name, value in found if value is not layer}
