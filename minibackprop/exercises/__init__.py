"""Rebuild it from memory: exercises from the sigmoid to attention, and what marks them (the extra ``testing``)."""

from typing import TYPE_CHECKING

from minibackprop._exports import exports

try:
    import hypothesis as _hypothesis  # noqa: F401
except ModuleNotFoundError as error:
    hint = 'minibackprop.exercises needs Hypothesis: pip install "minibackprop[testing]"'
    raise ModuleNotFoundError(hint, name=error.name) from error

if TYPE_CHECKING:
    from minibackprop.exercises.exercise import Exercise as Exercise, Mark as Mark, Prediction as Prediction
    from minibackprop.exercises.answer import Answer as Answer, Miss as Miss
    from minibackprop.exercises.comparing import expect as expect
    from minibackprop.exercises.laws import (
        gradients as gradients,
        loss_gradient as loss_gradient,
        other_laws as other_laws,
        other_loss_laws as other_loss_laws,
    )
    from minibackprop.exercises.marking import Outcome as Outcome, Result as Result, mark as mark
    from minibackprop.exercises.course import EXERCISES as EXERCISES
else:
    __getattr__, __dir__ = exports(__name__)
