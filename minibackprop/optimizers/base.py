"""What an optimizer is, and what all share that update each parameter by one rule: clipping, slots, their state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from attrs import define, field, fields
from attrs.converters import optional as to_optional
from attrs.validators import optional
from numpy.typing import ArrayLike

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ContractError, NonFiniteError, StateDictError, describe
from minibackprop.optimizers.clipping import clipped
from minibackprop.optimizers.memory import Memory, ParameterState, Run
from minibackprop.optimizers.rates import Schedule, as_rate, is_rate, rate_at
from minibackprop.state import Parameter
from minibackprop.validation import Array, as_float, is_iterable, is_positive, require_names, state_entry


def as_list(optimizer: Optimizer, parameters: Any) -> list[Parameter]:
    """List what a step is to be made on, and require that it is parameters."""
    found = list(parameters) if is_iterable(parameters) else [parameters]
    for each in found:
        if not isinstance(each, Parameter):
            subject = f"{type(optimizer).__name__}.step: parameters"
            raise ConfigError(subject, "a list of Parameter, as of model.parameters()", describe(each))
    return found


class Optimizer(ABC):
    """
    Updates parameters by their gradients.

    One of your own needs nothing but `step`. An update rule for one parameter is less work as a `GradientDescent`.
    """

    @abstractmethod
    def step(self, parameters: Iterable[Parameter], /) -> None:
        """Update each parameter that has a gradient, in place, and clear the gradient."""

    def state_dict(self, model: Layer, /) -> dict[str, Array]:
        """
        Copy what the optimizer remembers of the steps made, by the names of the model's parameters.

        Settings, such as the learning rate, are not part of it.

        Raises
        ------
        ContractError
            If the optimizer does not define it.
        """
        raise self._unsaved()

    def load_state_dict(self, state: Mapping[str, ArrayLike], model: Layer, /) -> None:
        """
        Go on from `state`, as the optimizer that it was taken from would have.

        Raises
        ------
        ContractError
            If the optimizer does not define it.
        """
        raise self._unsaved()

    def _unsaved(self) -> ContractError:
        return ContractError(type(self).__name__, "define state_dict and load_state_dict, or it cannot be saved")


@define(eq=False, slots=False, repr=False)
class GradientDescent(Optimizer):
    """
    An optimizer that updates each parameter by one rule: write `update`.

    A rule may keep *slots*: arrays of the shape and dtype of the parameter, initially zeros, one for each of
    `slot_names`. They are saved and restored under these names.

    What an optimizer remembers belongs to the parameters, and goes when they do. A step on parameters that it knows,
    from an earlier step or from `load_state_dict`, goes on with their slots and their count of steps, also if others
    have joined them. With none that it knows, the count begins anew, as for the next model of a cross-validation. So
    one optimizer may serve several models in turn, and each has a count of its own, and its place in a schedule.

    What is remembered belongs to the parameters: copy or pickle an optimizer together with its model, or with the
    trainer that has both. Alone, it would know none of the parameters of the copy, and begin anew.

    Parameters
    ----------
    learning_rate : float or callable
        The step size, which the article calls alpha; or a schedule, which gives it for the number of a step.
    clip_norm : float, optional
        Keyword only. Where the norm of all gradients, taken as one vector, is larger, they are scaled down to it
        together, which keeps their direction (R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training
        recurrent neural networks", 2013).
    clip_value : float, optional
        Keyword only. Entries of gradients are clipped to +-`clip_value`, before `clip_norm` looks at them.

    Raises
    ------
    ConfigError
        If the rate is neither a positive finite number nor a callable, or a limit not a positive finite number.

    Examples
    --------
    >>> from minibackprop import Parameter
    >>> class SignMomentum(GradientDescent):
    ...     slot_names = ("momentum",)
    ...
    ...     def update(self, value, grad, slots, rate, step):
    ...         (momentum,) = slots
    ...         momentum *= 0.9
    ...         momentum += grad
    ...         value -= rate * np.sign(momentum)
    >>> optimizer, p = SignMomentum(learning_rate=lambda step: 0.5 / (1 + step)), Parameter([1.0, 2.0])
    >>> for _ in range(2):
    ...     p.add(np.array([3.0, -3.0]))
    ...     optimizer.step([p])
    >>> p.value, optimizer.steps
    (array([0.25, 2.75]), 2)
    """

    learning_rate: float | Schedule = field(converter=as_rate, validator=is_rate)
    clip_norm: float | None = field(
        default=None, converter=to_optional(as_float), validator=optional(is_positive), kw_only=True
    )
    clip_value: float | None = field(
        default=None, converter=to_optional(as_float), validator=optional(is_positive), kw_only=True
    )
    _memory: Memory = field(factory=Memory, init=False, repr=False)

    def __repr__(self) -> str:
        # Settings of a rule in their own order; the limits, which are of all, last and only where they are set.
        shown = sorted((each for each in fields(type(self)) if each.repr), key=lambda each: bool(each.kw_only))
        settings = [(each.name, getattr(self, each.name)) for each in shown]
        arguments = (f"{name}={value!r}" for name, value in settings if value is not None)
        return f"{type(self).__name__}({', '.join(arguments)})"

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The names of the arrays that the rule keeps for each parameter; a tuple as class attribute will do."""
        return ()

    @property
    def steps(self) -> int:
        """How many steps have been made on the model that the latest one was made on."""
        return self._memory.run.steps

    @abstractmethod
    def update(self, value: Array, grad: Array, slots: tuple[Array, ...], rate: float, step: int, /) -> None:
        """
        Change `value` and `slots` in place.

        Parameters
        ----------
        value, grad : array
            Those of the parameter. The gradient is already clipped, and must not be written to.
        slots : tuple of array
            In the order of their names.
        rate : float
            The learning rate of this step.
        step : int
            The number of this update of the slots, from 1; for a rule without slots, that of the optimizer's step.
        """

    def step(self, parameters: Iterable[Parameter], /) -> None:
        """
        Update each parameter that has a gradient, in place, and clear the gradient.

        A parameter without a gradient is left alone, with its slots and the count of its updates. Where none of the
        parameters was in an earlier step, frozen ones aside, the count of steps begins anew.

        Without `clip_norm`, nobody looks for NaN or infinity in gradients before they are used; a `Trainer` does.

        Raises
        ------
        ConfigError
            If the schedule gives anything but a finite number of at least 0, or something is no `Parameter`. Nothing is
            changed then.
        NonFiniteError
            If `clip_norm` is set, and the norm is not finite; nothing is changed then. Or in a rule that keeps squares
            of gradients, if one is too large for the dtype: with an infinite square, the parameter would never move
            again. The parameters listed before it have then made their step.
        """
        if type(parameters) is not list:
            parameters = as_list(self, parameters)
        memory = self._memory
        entered = memory.entered
        for parameter in parameters:
            if id(parameter) not in entered:
                entered = self._enter(parameters)
        rate, names = self._rate(), self.slot_names
        grads = {parameter: parameter.grad for parameter in parameters if parameter.grad is not None}
        if self.clip_value is not None or self.clip_norm is not None:
            gradients = f"the gradients of step {memory.run.steps}"
            grads = clipped(grads, self.clip_value, self.clip_norm, f"{type(self).__name__}: the norm of {gradients}")
        for parameter, grad in grads.items():
            value: Any = parameter.value
            if isinstance(value, np.generic):  # Arithmetic makes it of an array without axes; it cannot be written to.
                parameter.value = value = np.array(value)
            if names:
                state = memory.states[id(parameter)]
                if not state.slots:
                    state.slots = self._new_slots(parameter)
                step = state.updates + 1
                if step % 32 == 0:
                    _flush_to_zero(state.slots)
                try:
                    self.update(value, grad, state.slots, rate, step)
                except FloatingPointError as error:
                    subject = f"{type(self).__name__}: what step {self.steps} makes of the gradients"
                    where = f"{error} (look at the parameter of shape {value.shape})"
                    raise NonFiniteError(subject, "finite", where) from error
                state.updates = step
            else:
                self.update(value, grad, (), rate, memory.run.steps + 1)
            parameter.grad = None
        memory.run.steps += 1

    def _enter(self, parameters: list[Parameter]) -> set[int]:
        """Go on with the run of the parameters, or begin one; give their ids."""
        self._memory.enter(as_list(self, parameters))
        return self._memory.entered

    def state_dict(self, model: Layer, /) -> dict[str, Array]:
        """
        Copy the slots by the names of the model's parameters, and the counts of steps.

        Settings, such as the learning rate, are not part of it. Without slots, ``steps`` is the only entry.

        Examples
        --------
        >>> from minibackprop import SGD, Dense
        >>> list(SGD(0.1, momentum=0.9).state_dict(Dense(2, 3, bias=False)))
        ['steps', 'weight.momentum', 'weight.steps']
        """
        if not isinstance(model, Layer):
            raise ConfigError(f"{type(self).__name__}.state_dict: model", "an instance of Layer", describe(model))
        memory, names = self._memory, self.slot_names
        state = {"steps": np.array(memory.run_of(model.parameters()).steps)}
        for path, parameter in model.named_parameters() if names else ():
            kept = memory.get(parameter)
            slots = kept.slots or self._new_slots(parameter)
            state |= {f"{path}.{name}": slot.copy() for name, slot in zip(names, slots, strict=True)}
            state[f"{path}.steps"] = np.array(kept.updates)
        return state

    def load_state_dict(self, state: Mapping[str, ArrayLike], model: Layer, /) -> None:
        """
        Take over a copy of `state`, cast to the dtypes of the model's parameters.

        Raises
        ------
        StateDictError
            If an entry is missing, unexpected, of another shape, or of a kind that does not cast, as from another
            optimizer or for another model; or if a count, or an entry whose name ends in "squares", is negative.
            Nothing is changed then.

        Examples
        --------
        >>> from minibackprop import SGD, Dense
        >>> SGD(0.1, momentum=0.9).load_state_dict({"steps": 7}, Dense(2, 3, bias=False))
        Traceback (most recent call last):
        ...
        minibackprop.errors.StateDictError: SGD.load_state_dict expects ['steps', 'weight.momentum', 'weight.steps'],
        got missing=['weight.momentum', 'weight.steps'] and extra=[]
        """
        owner, loaded = type(self).__name__, self.state_dict(model)
        require_names(f"{owner}.load_state_dict", state, loaded)
        for name, array in loaded.items():
            array[...] = state_entry(state[name], array, f"{owner}: {name}")
            if (array.dtype.kind == "i" or name.endswith("squares")) and (array < 0).any():
                raise StateDictError(f"{owner}: {name}", "a number of at least 0", str(array.min()))
        memory, names = self._memory, self.slot_names
        memory.run = Run(int(loaded["steps"]))
        for path, parameter in model.named_parameters():
            slots = tuple(loaded[f"{path}.{name}"] for name in names)
            memory.put(parameter, ParameterState(memory.run, int(loaded.get(f"{path}.steps", 0)), slots))
        memory.entered = set()

    def _new_slots(self, parameter: Parameter) -> tuple[Array, ...]:
        return tuple(np.zeros_like(parameter.value) for _ in self.slot_names)

    def _rate(self) -> float:
        """Compute the learning rate of the next step."""
        schedule = self.learning_rate
        if not callable(schedule):
            return schedule
        return rate_at(type(self).__name__, schedule, self.steps)


#: For each dtype an offset so small that adding it, and subtracting it again, rounds to zero what is below 64 times the
#: smallest normal number, and leaves the rest as good as it was.
_FLUSHING_OFFSET = {np.dtype(np.float32): 2.0**-96, np.dtype(np.float64): 2.0**-963}


def _flush_to_zero(slots: tuple[Array, ...]) -> None:
    """
    Round to zero what will soon be subnormal.

    The slots of inactive units decay until they are subnormal, where a processor may compute many times slower, and
    rounding holds them there for good.
    """
    for slot in slots:
        offset = _FLUSHING_OFFSET.get(slot.dtype)
        if offset is not None:
            slot += offset
            slot -= offset
