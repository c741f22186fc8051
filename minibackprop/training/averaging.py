"""The moving average of a model's weights over its steps, which is often better than the last of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, setters

from minibackprop.arrays import as_kind
from minibackprop.core import Layer
from minibackprop.errors import StateDictError
from minibackprop.state import Buffer, walk
from minibackprop.training.callbacks import Callback, Run, Step
from minibackprop.validation import (
    Array,
    as_float,
    copied,
    is_flag,
    is_fraction,
    is_integer,
    require_arrays,
    require_names,
    shortened,
)


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class MovingAverage(Callback):
    """
    Averages the model's weights over the steps, the latest with the greatest weight.

    With ``w_i`` the weights after step i, the average after step t is
    ``sum(decay ** (t - i) * w_i) / sum(decay ** (t - i))``, over the steps i from 1 to t. That is an exponential moving
    average with the usual correction of its bias (D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization",
    2015): the initial weights of the model have no part in it. At first it is the plain mean of all steps (B. Polyak
    and A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992); in the long run it reaches back
    about ``1 / (1 - decay)`` steps.

    Buffers, such as the running statistics of a `BatchNorm`, are averaged as well; integers are kept as they are. Each
    `fit` begins anew, unless a checkpoint's state was loaded.

    Parameters
    ----------
    decay : float
        At least 0 and below 1.
    apply : bool
        Keyword only. Whether to put the averages into the model when `fit` ends, however it ends. Until then, the
        model, its validation and the checkpoints have the weights that are trained. Beside an `EarlyStopping` that
        restores the best, the one that comes later in the list has the last word.

    Attributes
    ----------
    steps : int
        How many steps have been averaged.

    Raises
    ------
    ConfigError
        If an argument makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Trainer
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(100, 1))
    >>> y = 2 * x + rng.normal(size=x.shape)
    >>> model, average = Dense(1, 1, rng=0), MovingAverage(0.98)
    >>> trainer = Trainer(model, MeanSquaredError(), SGD(0.3), rng=0)
    >>> _ = trainer.fit(x, y, epochs=20, batch_size=5, callbacks=[average])
    >>> last = trainer.evaluate(x, y)["loss"]
    >>> _ = model.load_state_dict(average.weights)
    >>> round(last, 3), round(trainer.evaluate(x, y)["loss"], 3)
    (0.978, 0.911)
    """

    decay: float = field(default=0.999, converter=as_float, validator=is_fraction)
    apply: bool = field(default=False, validator=is_flag, kw_only=True)
    steps: int = field(init=False, default=0)
    _averages: dict[str, Array] = field(init=False, factory=dict, repr=False)
    # Listed in the first step: a layer may make some in its forward.
    _buffers: list[tuple[str, Buffer]] = field(init=False, factory=list, repr=False)
    _resumed: bool = field(init=False, default=False, repr=False)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Begin anew, or where a checkpoint left off."""
        self._buffers = []
        if not self._resumed:
            self.steps, self._averages = 0, {}

    def on_step_end(self, step: Step, /) -> None:
        """Take the step's weights into the average."""
        self._buffers = self._buffers or self._listed(step.trainer.model)
        self._update()

    def on_fit_end(self, trainer: Run, /) -> None:
        """Put the averages into the model, if that is wanted."""
        self._resumed, self._buffers = False, []
        if self.apply and self.steps:
            trainer.model.load_state_dict(self._averages)

    def update(self, model: Layer, /) -> None:
        """
        Take the weights of a model into the average: after each step, in a loop of your own.

        Raises
        ------
        StateDictError
            If the averages so far are those of other parameters and buffers.
        """
        self._buffers = self._listed(model)
        self._update()
        self._buffers = []

    @property
    def weights(self) -> dict[str, Array]:
        """A copy of the averages, for the `load_state_dict` of a model; empty before the first step."""
        return {name: average.copy() for name, average in self._averages.items()}

    def state_dict(self) -> dict[str, Any]:
        """Copy the memory: the averages, and the number of steps in them."""
        return {"steps": self.steps, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """
        Take over what `state_dict` gave; the next `fit` goes on from it.

        Raises
        ------
        StateDictError
            If it is something else. Nothing is changed then.
        """
        require_names("MovingAverage.load_state_dict", state, self.state_dict())
        steps, averages = state["steps"], require_arrays("MovingAverage: weights", state["weights"])
        if not is_integer(steps) or steps < 0 or bool(steps) != bool(averages):
            raise StateDictError(
                "MovingAverage: steps", f"the number of steps in {len(averages)} averages", shortened(steps)
            )
        self.steps, self._averages, self._resumed = int(steps), averages, True

    def _listed(self, model: Layer) -> list[tuple[str, Buffer]]:
        """List what is averaged, and require that it is what the averages so far are of."""
        buffers = list(walk(model, Buffer))
        if self.steps:
            require_names("MovingAverage", self._averages, dict(buffers))
            for name, buffer in buffers:
                average, value = self._averages[name], buffer.value
                if (average.shape, average.dtype) != (value.shape, value.dtype):
                    expected = f"shape {value.shape} and dtype {value.dtype}"
                    got = f"shape {average.shape} and dtype {average.dtype}"
                    raise StateDictError(f"MovingAverage: {name}", expected, got)
                self._averages[name] = as_kind(average, value, f"MovingAverage: {name}")  # Those of a file are NumPy's.
        return buffers

    def _update(self) -> None:
        self.steps += 1
        share = (1 - self.decay) / (1 - self.decay**self.steps)
        for name, buffer in self._buffers:
            value = buffer.value
            if share == 1 or value.dtype.kind != "f":
                self._averages[name] = copied(value)
            else:
                average, difference = self._averages[name], value - self._averages[name]
                difference *= share
                average += difference
