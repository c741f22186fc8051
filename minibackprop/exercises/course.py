"""The exercises in their order: from one number to attention."""

from __future__ import annotations

from collections.abc import Sequence

from minibackprop.errors import ConfigError
from minibackprop.exercises.exercise import Exercise
from minibackprop.exercises.tasks.adam import EXERCISE as ADAM
from minibackprop.exercises.tasks.attention import EXERCISE as ATTENTION
from minibackprop.exercises.tasks.batch_norm import EXERCISE as BATCH_NORM
from minibackprop.exercises.tasks.chain import EXERCISE as CHAIN
from minibackprop.exercises.tasks.convolution import EXERCISE as CONVOLUTION
from minibackprop.exercises.tasks.dense import EXERCISE as DENSE
from minibackprop.exercises.tasks.dropout import EXERCISE as DROPOUT
from minibackprop.exercises.tasks.embedding import EXERCISE as EMBEDDING
from minibackprop.exercises.tasks.lstm_cell import EXERCISE as LSTM_CELL
from minibackprop.exercises.tasks.one_weight import EXERCISE as ONE_WEIGHT
from minibackprop.exercises.tasks.sigmoid import EXERCISE as SIGMOID
from minibackprop.exercises.tasks.softmax_cross_entropy import EXERCISE as SOFTMAX_CROSS_ENTROPY
from minibackprop.exercises.tasks.squared_error import EXERCISE as SQUARED_ERROR
from minibackprop.exercises.tasks.three_layer import EXERCISE as THREE_LAYER
from minibackprop.exercises.tasks.two_layer import EXERCISE as TWO_LAYER

EXERCISES: tuple[Exercise, ...] = (
    SIGMOID,
    ONE_WEIGHT,
    TWO_LAYER,
    DENSE,
    CHAIN,
    THREE_LAYER,
    SQUARED_ERROR,
    SOFTMAX_CROSS_ENTROPY,
    ADAM,
    DROPOUT,
    BATCH_NORM,
    EMBEDDING,
    CONVOLUTION,
    LSTM_CELL,
    ATTENTION,
)


def named(name: object, course: Sequence[Exercise] = EXERCISES) -> Exercise:
    """Find an exercise by its name."""
    for exercise in course:
        if exercise.name == name:
            return exercise
    names = ", ".join(exercise.name for exercise in course)
    raise ConfigError("the exercise", f"a number up to {len(course)}, or one of {names}", repr(name))
