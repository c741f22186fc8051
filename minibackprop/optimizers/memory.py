"""What an optimizer remembers of each parameter, as long as that lives: its slots, its updates, and in which run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import ref

from attrs import define, field

from minibackprop.state import Parameter
from minibackprop.validation import Array


@define(eq=False, repr=False)
class Run:
    """Steps that belong together: those on the parameters of one model."""

    steps: int = 0


@define(eq=False, repr=False)
class ParameterState:
    """What is kept for one parameter: its run, the number of its updates, and the slots, from the first of these on."""

    run: Run
    updates: int = 0
    slots: tuple[Array, ...] = ()
    owner: ref[Parameter] | None = field(default=None, init=False)


class Memory:
    """
    The states of all parameters that an optimizer has been handed, and the run that it is in.

    A step on parameters of which one is known goes on with its run. Where none is, a new run begins, and the count of
    steps with it. Frozen ones are not asked, as several models may share them.
    """

    def __init__(self, states: Iterable[tuple[Parameter, ParameterState]] = (), run: Run | None = None) -> None:
        #: By the ids of the parameters, none of which is kept alive; an entry goes when its parameter does, before the
        #: id can be used again.
        self.states: dict[int, ParameterState] = {}
        #: The ids of the parameters that the run was last entered with: for these, there is nothing to look for.
        self.entered: set[int] = set()
        self.run = Run() if run is None else run
        for parameter, state in states:
            self.put(parameter, state)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle with the parameters: a copy of a trainer has a memory of the copied model."""
        owners = [(state.owner and state.owner(), state) for state in self.states.values()]
        states = [(owner, ParameterState(state.run, state.updates, state.slots)) for owner, state in owners]
        return Memory, ([(owner, state) for owner, state in states if owner is not None], self.run)

    def put(self, parameter: Parameter, state: ParameterState) -> None:
        """Remember a state of a parameter, in place of an earlier one, as long as the parameter lives."""

        def forget(_: object, memory: ref[Memory] = ref(self), key: int = id(parameter)) -> None:  # noqa: B008
            if (alive := memory()) is not None:
                alive.states.pop(key, None)
                alive.entered.discard(key)

        state.owner = ref(parameter, forget)
        self.states[id(parameter)] = state

    def get(self, parameter: Parameter) -> ParameterState:
        """Give the state of a parameter; of one that is not known, a new one, which is not kept."""
        return self.states.get(id(parameter)) or ParameterState(Run())

    def run_of(self, parameters: list[Parameter]) -> Run:
        """Give the run that the parameters are in; if they are in several, the longest; if in none, a new one."""
        asked = [parameter for parameter in parameters if not parameter.frozen] or parameters
        runs = [self.states[id(parameter)].run for parameter in asked if id(parameter) in self.states]
        return max(runs, key=lambda run: run.steps) if runs else Run()

    def enter(self, parameters: list[Parameter]) -> None:
        """Go on with the run of the parameters, and let all of them be in it."""
        self.run = self.run_of(parameters)
        for parameter in parameters:
            if id(parameter) in self.states:
                self.states[id(parameter)].run = self.run
            else:
                self.put(parameter, ParameterState(self.run))
        self.entered = {id(parameter) for parameter in parameters}
