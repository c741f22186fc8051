"""The exercises in their order: from one number to attention."""

from __future__ import annotations

from minibackprop.errors import ConfigError
from minibackprop.exercises.course import (
    attention,
    chain,
    convolution,
    dense,
    lstm_cell,
    one_weight,
    sigmoid,
    three_layer,
    two_layer,
)
from minibackprop.exercises.exercise import Exercise

EXERCISES: tuple[Exercise, ...] = (
    sigmoid.EXERCISE,
    one_weight.EXERCISE,
    two_layer.EXERCISE,
    dense.EXERCISE,
    chain.EXERCISE,
    three_layer.EXERCISE,
    convolution.EXERCISE,
    lstm_cell.EXERCISE,
    attention.EXERCISE,
)


def named(name: object) -> Exercise:
    """Find an exercise by its name."""
    for exercise in EXERCISES:
        if exercise.name == name:
            return exercise
    names = ", ".join(exercise.name for exercise in EXERCISES)
    raise ConfigError("the name of an exercise", f"to be one of {names}", repr(name))
