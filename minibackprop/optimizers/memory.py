"""What an optimizer remembers: of each parameter, and only as long as that lives, what it did to it and in which run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary, ref

from attrs import define

from minibackprop.state import Parameter
from minibackprop.validation import Array


@define(eq=False)
class Run:
    """Steps that belong together: those on the parameters of one model."""

    steps: int = 0


@define(eq=False)
class ParameterState:
    """What is kept for one parameter: its run, the number of its updates, and the slots, from the first of these on."""

    run: Run
    updates: int = 0
    slots: tuple[Array, ...] = ()


class Memory:
    """
    The states of all parameters that an optimizer has been handed, and the run that it is in.

    None of the parameters is kept alive. A step on parameters of which one is known goes on with its run; where none
    is, a new run begins, and the count of steps with it. Frozen ones are not asked, as several models may share them.
    """

    def __init__(self, states: Mapping[Parameter, ParameterState] | None = None, run: Run | None = None) -> None:
        self.states: WeakKeyDictionary[Parameter, ParameterState] = WeakKeyDictionary(states or {})
        self.run = Run() if run is None else run
        #: The parameters of the latest step, in order: where they are the same, there is nothing to look for.
        self.latest: list[ref[Parameter]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle with the parameters: a copy of a trainer has a memory of the copied model."""
        return Memory, (dict(self.states), self.run)

    def run_of(self, parameters: list[Parameter]) -> Run:
        """Give the run that the parameters are in; if they are in several, the longest; if in none, a new one."""
        asked = [parameter for parameter in parameters if not parameter.frozen] or parameters
        runs = [self.states[parameter].run for parameter in asked if parameter in self.states]
        return max(runs, key=lambda run: run.steps) if runs else Run()

    def enter(self, parameters: list[Parameter]) -> None:
        """Go on with the run of the parameters, and let all of them be in it."""
        self.run = self.run_of(parameters)
        for parameter in parameters:
            self.states.setdefault(parameter, ParameterState(self.run)).run = self.run
        self.latest = [ref(parameter) for parameter in parameters]
