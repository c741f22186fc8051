"""How a bug is planted: a decorator says beside which twin it stands, and which laws are to find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from attrs import frozen
from hypothesis.strategies import SearchStrategy

from minibackprop import Layer, Loss
from minibackprop.validation import Array

MakesLayer = TypeVar("MakesLayer", bound=Callable[[], Layer])
MakesLoss = TypeVar("MakesLoss", bound=Callable[[], Loss])


@frozen
class Planted:
    """A bug, its twin, the shape of one sample, the laws that should see it and the cause to be named, if any."""

    name: str
    bug: Callable[[], Layer]
    twin: Callable[[], Layer]
    inputs: tuple[int, ...]
    laws: tuple[str, ...]
    cause: str = ""


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


def planted(
    name: str, twin: Callable[[], Layer], inputs: tuple[int, ...], laws: str, cause: str = ""
) -> Callable[[MakesLayer], MakesLayer]:
    """Plant a bug, a class or anything else that makes a layer, beside its twin; the laws in one string."""

    def plant(bug: MakesLayer) -> MakesLayer:
        LAYERS.append(Planted(name, bug, twin, inputs, tuple(laws.split(", ")), cause))
        return bug

    return plant


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
