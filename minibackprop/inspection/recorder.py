"""What a layer returns, and what a model has learned, kept while it is trained: what pictures are made from."""

from __future__ import annotations

import numpy as np
from attrs import define, field, setters

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, ShapeError, describe
from minibackprop.training.callbacks import Callback, Run, Step
from minibackprop.validation import Array, is_a, is_flag


@define(eq=False, slots=False, repr=False, on_setattr=setters.NO_OP)
class ActivationRecorder(Callback):
    """
    A callback that keeps what a layer returns for some samples: before training, and after some of the steps.

    Between two of these steps, the number of steps grows by a tenth, so that the gaps look even on a logarithmic scale:
    60,000 steps make 107 entries, a million 136. On request, it also keeps copies of all that the trained model has
    learned; they take as many times the memory of its parameters and buffers (`Summary.bytes`).

    Parameters
    ----------
    layer : Layer
        A part of the model that is trained, such as ``model[:2]``, which shares its layers.
    x : array
        The samples, as `layer` takes them.
    keep_states : bool
        Whether to keep copies of the parameters and buffers of the whole model: `animate_weights` and
        `animate_decision_boundary` need them.

    Attributes
    ----------
    steps : list of int
        After how many steps activations were kept.
    activations : list of array
        The activations, one entry for each of `steps`.
    states : list of dict
        The ``state_dict()`` of the model, one for each of `steps`: ``model.load_state_dict(recorder.states[0])`` goes
        back to the beginning. Empty unless `keep_states` is true.
    model : Layer or None
        The model that was trained, once it is.

    Raises
    ------
    ConfigError
        If `layer` is not a `Layer`, or `keep_states` not a bool.

    Examples
    --------
    >>> from minibackprop import SGD, HalfSquaredError, Trainer, three_layer
    >>> x = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> model = three_layer()
    >>> recorder = ActivationRecorder(model[:2], x, keep_states=True)
    >>> trainer = Trainer(model, HalfSquaredError(), SGD(1))
    >>> history = trainer.fit(x, np.array([[0.0], [1], [1], [0]]), epochs=50, callbacks=[recorder])
    >>> recorder.steps[-6:], recorder.activations[-1].shape
    ([33, 36, 39, 42, 46, 50], (4, 4))
    >>> {name: value.shape for name, value in recorder.states[-1].items()}
    {'0.weight': (3, 4), '2.weight': (4, 1)}
    """

    layer: Layer = field(validator=is_a(Layer))
    x: Array
    keep_states: bool = field(default=False, validator=is_flag)
    steps: list[int] = field(init=False, factory=list)
    activations: list[Array] = field(init=False, factory=list)
    states: list[dict[str, Array]] = field(init=False, factory=list)
    model: Layer | None = field(init=False, default=None)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Keep what there is before the first step."""
        # Another trainer counts from 0.
        if self.steps and (trainer.steps < self.steps[-1] or trainer.model is not self.model):
            self.steps.clear()
            self.activations.clear()
            self.states.clear()
        self.model = trainer.model
        self._record(trainer.steps, trainer.model)

    def on_step_end(self, step: Step, /) -> None:
        """Keep what there is, if it is time."""
        self._record(step.number + 1, step.trainer.model)

    def _record(self, steps: int, model: Layer) -> None:
        if not self.steps or steps >= max(self.steps[-1] + 1, int(self.steps[-1] * 1.1)):
            # All of them, or none where one raises.
            activations, state = self.layer.predict(self.x), model.state_dict() if self.keep_states else None
            self.steps.append(steps)
            self.activations.append(activations)
            if state is not None:
                self.states.append(state)


def recorded_activations(subject: str, recorder: object) -> Array:
    """Give what a recorder kept as an array of shape (steps, samples, units), for a picture that `subject` draws."""
    found = require_recorded(subject, recorder).activations
    if np.ndim(found[0]) != 2 or not np.size(found[0]):
        raise ShapeError(subject, "activations of shape (samples, units)", str(np.shape(found[0])))
    return np.stack(found)


def require_recorded(subject: str, recorder: object, states: bool = False) -> ActivationRecorder:
    """Require a recorder that has something to draw; with `states`, copies of what was learned."""
    if not isinstance(recorder, ActivationRecorder):
        raise ConfigError(f"{subject}: recorder", "an ActivationRecorder", describe(recorder))
    if not recorder.steps:
        raise ConfigError(f"{subject}: recorder", "to have watched a fit", "nothing recorded")
    if states and len(recorder.states) < len(recorder.steps):
        raise ConfigError(f"{subject}: recorder", "one that was made with keep_states=True", "one that kept no states")
    return recorder
