"""Groups of parameters: an optimizer for each part of a model, together one again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

from attrs import define, field
from attrs.converters import optional as to_optional
from attrs.validators import optional
from numpy.typing import ArrayLike

from minibackprop.core import Layer, named_layers
from minibackprop.errors import ConfigError, ContractError, StateDictError, describe
from minibackprop.optimizers.base import Optimizer, as_list
from minibackprop.optimizers.clipping import clipped
from minibackprop.state import Parameter
from minibackprop.validation import Array, as_float, is_a, is_positive, shortened


class _Part(Layer):
    """Some parameters of a model, by the names that they have there: all that the optimizer of a part sees of it."""

    def __init__(self, named: Mapping[str, Parameter]) -> None:
        self.named = named

    def _members(self) -> Iterator[tuple[str, object]]:
        return iter(self.named.items())

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        raise ContractError("ParameterGroups", "be asked for state only: a part is no model")

    def backward(self, grad: Array, cache: Any, /) -> Array | None:
        raise ContractError("ParameterGroups", "be asked for state only: a part is no model")


def _weak(model: Any) -> Callable[[], Any]:
    return ref(model) if isinstance(model, Layer) else lambda: model


def _as_dict(parts: Any) -> Any:
    return dict(parts) if isinstance(parts, Mapping) else parts


@define(eq=False, slots=False, repr=False)
class ParameterGroups(Optimizer):
    """
    An optimizer of its own for each part of a model: its rate or schedule, its weight decay, its kind.

    A step is one of each optimizer, on the parameters of its part. A frozen part takes part, so its schedule goes on.

    Parameters
    ----------
    model : Layer
        Whose parameters these are. It is not kept alive.
    parts : dict of str to Optimizer
        By the beginnings of names, which `Layer.named_parameters` gives: ``"0"`` stands for ``0.weight`` and
        ``0.bias``, not for ``01.weight``; a whole name will do. A shared parameter goes by its first name.
    default : Optimizer, optional
        That of all other parameters.
    clip_norm, clip_value : float, optional
        Keyword only. Limits of the gradients of all parts together, as of every `GradientDescent`. Those that the
        optimizer of a part has are for its part, afterwards.

    Raises
    ------
    ConfigError
        If a parameter is in no part, or in two; if no name begins with a key; if an optimizer stands twice, whose steps
        would be counted twice; or if a limit is not a positive finite number. What layers make in their first forward
        is looked at in the first step.

    Examples
    --------
    >>> from minibackprop import SGD, Adam, Dense, Sequential, Tanh
    >>> model = Sequential([Dense(3, 2, rng=0), Tanh(), Dense(2, 1, rng=1)])
    >>> optimizer = ParameterGroups(model, {"0": SGD(1e-3), "2": Adam(1e-2)})
    >>> before = model.state_dict()
    >>> for parameter in model.parameters():
    ...     parameter.add(np.ones(parameter.shape))
    >>> optimizer.step(model.parameters())
    >>> {name: np.ravel(value - before[name])[0].round(6).item() for name, value in model.state_dict().items()}
    {'0.weight': -0.001, '0.bias': -0.001, '2.weight': -0.01, '2.bias': -0.01}
    """

    _model: Callable[[], Layer | None] = field(converter=_weak)
    parts: dict[str, Optimizer] = field(converter=_as_dict)
    default: Optimizer | None = field(default=None, validator=optional(is_a(Optimizer)))
    clip_norm: float | None = field(
        default=None, converter=to_optional(as_float), validator=optional(is_positive), kw_only=True
    )
    clip_value: float | None = field(
        default=None, converter=to_optional(as_float), validator=optional(is_positive), kw_only=True
    )
    #: The key of each parameter's part, as far as parameters are known; and the keys that wait for some to be made.
    _keys: WeakKeyDictionary[Parameter, str] = field(factory=WeakKeyDictionary, init=False)
    _waiting: set[str] = field(factory=set, init=False)

    @_model.validator
    def _is_layer(self, attribute: Any, model: Callable[[], Any]) -> None:
        if not isinstance(model(), Layer):
            raise ConfigError("ParameterGroups: model", "an instance of Layer", describe(model()))

    @parts.validator
    def _are_optimizers(self, attribute: Any, parts: Any) -> None:
        expected = "a dict of names to optimizers, such as {'0': SGD(0.1)}"
        if not isinstance(parts, dict):
            raise ConfigError("ParameterGroups: parts", expected, describe(parts))
        for key, optimizer in parts.items():
            if not isinstance(key, str) or not key:
                raise ConfigError("ParameterGroups: parts", f"{expected}, and default= for the rest", shortened(key))
            if not isinstance(optimizer, Optimizer):
                raise ConfigError(f"ParameterGroups: {key}", "an instance of Optimizer", describe(optimizer))

    def __attrs_post_init__(self) -> None:
        if self.default is not None and "default" in self.parts:
            raise ConfigError("ParameterGroups", "no part named default beside a default")
        together: dict[int, str] = {}
        for key, optimizer in self.optimizers.items():
            if (other := together.setdefault(id(optimizer), key)) != key:
                raise ConfigError("ParameterGroups", "an optimizer for each part", f"one for {other} and {key}")
        self._assign()

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """Those of the parts, by their keys, and as ``"default"`` that of the rest, if there is one."""
        return self.parts if self.default is None else self.parts | {"default": self.default}

    def __repr__(self) -> str:
        limits = [(name, getattr(self, name)) for name in ("default", "clip_norm", "clip_value")]
        settings = "".join(f", {name}={value!r}" for name, value in limits if value is not None)
        return f"{type(self).__name__}({self.parts!r}{settings})"

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_model": self._model(), "_keys": dict(self._keys)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"_model": _weak(state["_model"]), "_keys": WeakKeyDictionary(state["_keys"])})

    def step(self, parameters: Iterable[Parameter], /) -> None:
        """
        Update each parameter that has a gradient, in place, and clear the gradient.

        Raises
        ------
        ConfigError
            If one is not a parameter of the model; or for parameters that layers have made in between, as at
            construction. Nothing is changed then.
        NonFiniteError
            If the `clip_norm` of the groups is set, and the norm is not finite; nothing is changed then.

        Notes
        -----
        An error of the optimizer of a part comes when those listed before it have made their steps.
        """
        parameters = as_list(self, parameters)
        shares = self._shares(parameters)
        if self._waiting:
            name = min(self._waiting)
            raise ConfigError(f"ParameterGroups: {name}", "parameters of such a name", self._names())
        if self.clip_value is not None or self.clip_norm is not None:
            grads = {parameter: parameter.grad for parameter in parameters if parameter.grad is not None}
            limited = clipped(grads, self.clip_value, self.clip_norm, "ParameterGroups: the norm of the gradients")
            for parameter, grad in limited.items():
                parameter.grad = grad
        for key, optimizer in self.optimizers.items():
            if shares[key]:
                optimizer.step(shares[key])

    def state_dict(self, model: Layer, /) -> dict[str, Array]:
        """
        Copy what the optimizers remember: the entries of each after the key of its part, ``0/steps``.

        Each is asked for the state of a layer that has only the parameters of its part, by the names of `model`.

        Raises
        ------
        ConfigError
            If `model` has a parameter that the model of the groups does not have.
        ContractError
            If an optimizer does not define its own.
        """
        parts = self._parts(model, "state_dict")
        states = {key: optimizer.state_dict(parts[key]) for key, optimizer in self.optimizers.items()}
        return {f"{key}/{name}": array for key, state in states.items() for name, array in state.items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike], model: Layer, /) -> None:
        """
        Go on from `state`, as the optimizers that it was taken from would have.

        Raises
        ------
        StateDictError
            If it is not that of optimizers like these; the optimizers are as they were then.
        """
        parts, keys = self._parts(model, "load_state_dict"), sorted(self.optimizers, key=len, reverse=True)
        if not hasattr(state, "keys"):
            raise StateDictError("ParameterGroups.load_state_dict", "a mapping of names to arrays", describe(state))
        own: dict[str, dict[str, ArrayLike]] = {key: {} for key in keys}
        for name in state:
            key = next((key for key in keys if str(name).startswith(f"{key}/")), None)
            if key is None:
                expected = f"entries of its parts {list(self.optimizers)}, such as {keys[0]}/steps"
                raise StateDictError("ParameterGroups.load_state_dict", expected, shortened(name))
            own[key][name.removeprefix(f"{key}/")] = state[name]
        before = {key: optimizer.state_dict(parts[key]) for key, optimizer in self.optimizers.items()}
        loaded: list[str] = []
        try:
            for key, optimizer in self.optimizers.items():
                loaded.append(key)
                optimizer.load_state_dict(own[key], parts[key])
        except BaseException:  # Ctrl-C too.
            for key in loaded:
                self.optimizers[key].load_state_dict(before[key], parts[key])
            raise

    def _shares(self, parameters: list[Parameter]) -> dict[str, list[Parameter]]:
        """Divide parameters among the parts."""
        if self._waiting or not all(parameter in self._keys for parameter in parameters):
            self._assign()
        shares: dict[str, list[Parameter]] = {key: [] for key in self.optimizers}
        for parameter in parameters:
            if (key := self._keys.get(parameter)) is None:
                expected = "parameters of the model that it was made for"
                raise ConfigError("ParameterGroups", expected, f"another, of shape {parameter.shape}")
            shares[key].append(parameter)
        return shares

    def _parts(self, model: Layer, verb: str) -> dict[str, _Part]:
        """Divide the parameters of a model among the parts, by the names that they have there."""
        if not isinstance(model, Layer):
            raise ConfigError(f"ParameterGroups.{verb}: model", "an instance of Layer", describe(model))
        names = {parameter: name for name, parameter in model.named_parameters()}
        shares = self._shares(list(names))
        return {key: _Part({names[parameter]: parameter for parameter in own}) for key, own in shares.items()}

    def _assign(self) -> None:
        """Find the part of each parameter that the model has now."""
        model = self._model()
        if model is None:
            return
        keys: WeakKeyDictionary[Parameter, str] = WeakKeyDictionary()
        for name, parameter in model.named_parameters():
            found = [key for key in self.parts if f"{name}.".startswith(f"{key}.")]
            if len(found) > 1:
                raise ConfigError(f"ParameterGroups: {name}", "to be in one part", f"both {found[0]} and {found[1]}")
            if not found and self.default is None:
                expected = "to be in a part, or default= for the rest"
                raise ConfigError(f"ParameterGroups: {name}", expected, f"parts {list(self.parts)}")
            keys[parameter] = found[0] if found else "default"
        # A layer may make its parameters later; where there is none of the name, nothing will come.
        waiting = self.parts.keys() - set(keys.values())
        for key in sorted(waiting):
            if not any(f"{path}.".startswith(f"{key}.") for path, _ in named_layers(model)):
                raise ConfigError(f"ParameterGroups: {key}", "to be the beginning of a name", self._names())
        self._keys, self._waiting = keys, waiting

    def _names(self) -> str:
        model = self._model()
        return shortened([] if model is None else [name for name, _ in model.named_parameters()])
