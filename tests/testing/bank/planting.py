"""How a bug is planted: a decorator says beside which twin it stands, and which laws are to find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from attrs import frozen
from hypothesis.strategies import SearchStrategy

from minibackprop import Layer, Loss
from minibackprop.validation import Array


def says(cause: str, wanted: str) -> bool:
    """Tell whether a cause says what it must, in one of its ways; or nothing, where it must say nothing."""
    return any(way in cause for way in wanted.split(" | ")) if wanted else not cause


MakesLayer = TypeVar("MakesLayer", bound=Callable[[], Layer])
Inputs = tuple[int, ...] | SearchStrategy[Array]
MakesLoss = TypeVar("MakesLoss", bound=Callable[[], Loss])


@frozen
class Planted:
    """
    A bug, its twin, one sample's shape or a strategy of batches, the laws that should see it, what the cause must say.

    Where evidence may go several ways, `cause` has " | " between them. Where it is empty, none can be singled out, and
    none may be named.
    """

    name: str
    bug: Callable[[], Layer]
    twin: Callable[[], Layer]
    inputs: Inputs
    laws: tuple[str, ...]
    cause: str = ""


@frozen
class Right:
    """A layer that is right, and the shape of one sample or a strategy of batches."""

    name: str
    make: Callable[[], Layer]
    inputs: Inputs


@frozen
class PlantedLoss:
    """A bug of a loss, its twin, the laws that may see it first, and what draws its predictions and targets."""

    name: str
    bug: Callable[[], Loss]
    twin: Callable[[], Loss]
    laws: tuple[str, ...]
    shape: tuple[int, ...] | SearchStrategy[Array] = (2,)
    targets: Callable[[np.random.Generator, Array], Array] | None = None


#: What has been planted so far; `tests.testing.planted_bugs` has all of it.
LAYERS: list[Planted] = []
LOSSES: list[PlantedLoss] = []
#: Right layers that no bug stands beside.
RIGHTS: list[Right] = []


def planted(
    name: str, twin: Callable[[], Layer], inputs: Inputs, laws: str, cause: str = ""
) -> Callable[[MakesLayer], MakesLayer]:
    """Plant a bug, a class or anything else that makes a layer, beside its twin; the laws in one string."""

    def plant(bug: MakesLayer) -> MakesLayer:
        LAYERS.append(Planted(name, bug, twin, inputs, tuple(laws.split(", ")), cause))
        return bug

    return plant


def right(inputs: Inputs) -> Callable[[MakesLayer], MakesLayer]:
    """Say of a layer that it is right, though unusual."""

    def note(make: MakesLayer) -> MakesLayer:
        RIGHTS.append(Right(getattr(make, "__name__", str(make)), make, inputs))
        return make

    return note


def planted_loss(
    name: str,
    twin: Callable[[], Loss],
    laws: str,
    shape: tuple[int, ...] | SearchStrategy[Array] = (2,),
    targets: Callable[[np.random.Generator, Array], Array] | None = None,
) -> Callable[[MakesLoss], MakesLoss]:
    """Plant a bug of a loss beside its twin; the laws in one string."""

    def plant(bug: MakesLoss) -> MakesLoss:
        LOSSES.append(PlantedLoss(name, bug, twin, tuple(laws.split(", ")), shape, targets))
        return bug

    return plant
