"""The training loop: forward, loss, backward, step, and what can be watched of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, NamedTuple, TextIO

import numpy as np
from attrs import define, field, frozen, setters
from numpy.typing import ArrayLike

from minibackprop.core import (
    Array,
    ConfigError,
    DTypeError,
    Layer,
    NonFiniteError,
    Parameter,
    ShapeError,
    describe,
    no_pair,
)
from minibackprop.losses import Loss
from minibackprop.metrics import mean_absolute_error
from minibackprop.optimizers import Optimizer
from minibackprop.validation import is_a, is_integer, is_size, require_numbers, shortened


class Step(NamedTuple):
    """
    What a callback sees of a step that was just made.

    Attributes
    ----------
    trainer : Trainer
        Who made the step; its model is already updated.
    number : int
        The number of the step, from 0, counted over the life of the trainer.
    loss : float
        The loss of the prediction.
    prediction, target : array
        What the step was made from: the prediction is that of the model *before* the update.
    """

    trainer: Trainer
    number: int
    loss: float
    prediction: Array
    target: Array


Callback = Callable[[Step], object]


@define(eq=False, repr=False)
class History:
    """
    What each epoch of a trainer gave.

    Attributes
    ----------
    loss : list of float
        The loss of each epoch, computed before its update.
    """

    loss: list[float] = field(factory=list)

    def __repr__(self) -> str:
        ends = f", loss from {self.loss[0]:.6g} to {self.loss[-1]:.6g}" if self.loss else ""
        return f"History(epochs={len(self.loss)}{ends})"


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class Trainer:
    """
    Trains a model: predicts, compares, sends the gradient back, steps, and again.

    Parameters
    ----------
    model : Layer
        Changed in place.
    loss : Loss
    optimizer : Optimizer

    Attributes
    ----------
    history : History
        Grows with every `fit`; also after an exception or Ctrl-C, it holds what was done until then.
    steps : int
        How many steps have been made.

    Raises
    ------
    ConfigError
        If one of the three is not what it should be.

    Examples
    --------
    >>> from minibackprop import SGD, Dense, HalfSquaredError
    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> trainer = Trainer(Dense(1, 1, rng=0), HalfSquaredError(), SGD(0.1))
    >>> history = trainer.fit(x, 3 * x + 1, epochs=200)
    >>> trainer.model.predict(np.array([[10.0]])).round(6)
    array([[31.]])
    """

    model: Layer = field(validator=is_a(Layer))
    loss: Loss = field(validator=is_a(Loss))
    optimizer: Optimizer = field(validator=is_a(Optimizer))
    history: History = field(factory=History, init=False)
    steps: int = field(default=0, init=False)

    def fit(self, x: ArrayLike, y: ArrayLike, epochs: int, *, callbacks: Iterable[Callback] = ()) -> History:
        """
        Make `epochs` passes over the data, each a step on the full batch.

        Parameters
        ----------
        x, y : array_like
            Samples and targets, one a row. `x` is cast to the dtype of the model, once.
        epochs : int
            At least 0.
        callbacks : iterable of callable
            Each is called with a `Step` after every step.

        Returns
        -------
        History
            The trainer's own.

        Raises
        ------
        ShapeError, DTypeError, NonFiniteError
            If the data do not fit each other or the model, are empty, no numbers, or not finite: then no step is made.
            NonFiniteError also if the loss is not finite, before the step that it would lead to.
        """
        if not is_integer(epochs) or epochs < 0:
            raise ConfigError("Trainer.fit: epochs", "an integer of at least 0", repr(epochs))
        x, y = self._as_data(x, y)
        if not isinstance(callbacks, Iterable):
            raise ConfigError("Trainer.fit: callbacks", "a list of callables", describe(callbacks))
        callbacks = tuple(callbacks)
        if wrong := [callback for callback in callbacks if not callable(callback) or isinstance(callback, type)]:
            raise ConfigError("Trainer.fit: callbacks", "callables", describe(wrong[0]))
        parameters: list[Parameter] = []
        self.model.clear_gradients()
        for _ in range(epochs):
            loss, prediction = self._step(x, y, parameters)
            self.history.loss.append(loss)
            try:
                for callback in callbacks:
                    callback(Step(self, self.steps - 1, loss, prediction, y))
            finally:
                for parameter in parameters if callbacks else ():
                    parameter.clear()  # Whatever the callbacks looked into, the next step starts from nothing.
        return self.history

    def step(self, x: ArrayLike, y: ArrayLike) -> float:
        """
        Make one step on the samples `x` with targets `y`, and return the loss from before it.

        Raises
        ------
        ShapeError, DTypeError, NonFiniteError
            As `fit`; the model is then as it was.
        """
        x, y = self._as_data(x, y)
        self.model.clear_gradients()
        return self._step(x, y, [])[0]

    def _step(self, x: Array, y: Array, parameters: list[Parameter]) -> tuple[float, Array]:
        model = self.model
        try:
            result = model.forward(x)
            if type(result) is not tuple or len(result) != 2:
                raise no_pair(model, result)
            prediction, cache = result
            if not parameters:  # Only now: a layer may make some in its first forward.
                parameters += model.parameters()
                if not parameters:
                    raise ConfigError("Trainer: model", "a Parameter to train (an array is none)", shortened(model))
            loss, loss_cache = self.loss.forward(prediction, y)
            if not isfinite(loss):
                raise self._diverged(loss)
            model.accumulate(self.loss.backward(loss_cache), cache)
            self.optimizer.step(parameters)
        except BaseException:  # Ctrl-C too: a gradient left behind would go into the next step.
            model.clear_gradients()
            raise
        self.steps += 1
        return loss, prediction

    def _as_data(self, x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        """Make arrays of numbers, as long as each other, finite, and x of the model's dtype."""
        dtypes = {parameter.value.dtype for parameter in self.model.parameters()}
        dtype = np.result_type(*dtypes) if dtypes else None
        x, y = _as_samples("x", x, dtype), _as_samples("y", y)
        if y.dtype.kind == "f":
            y = _as_samples("y", y, dtype)
        if len(x) != len(y):
            raise ShapeError("Trainer", "as many targets as samples", f"x of shape {x.shape} and y of shape {y.shape}")
        return x, y

    def _diverged(self, loss: float) -> NonFiniteError:
        """Name the parameter at fault: the first that is not finite itself, else the largest."""
        sizes = {name: float(np.abs(p.value).max()) for name, p in self.model.named_parameters() if p.value.size}
        infinite = (name for name, size in sizes.items() if not isfinite(size))
        worst = next(infinite, None) or max(sizes, key=lambda name: sizes[name], default=None)
        found = f" (look at {worst}, whose largest entry is {sizes[worst]:.3g} in size)" if worst else ""
        advice = "; try a smaller learning rate" if self.steps else ""
        return NonFiniteError(f"the loss of step {self.steps}", "finite", f"{loss}{found}{advice}")


def _as_samples(name: str, data: ArrayLike, dtype: np.dtype[Any] | None = None) -> Array:
    """Make an array of finite numbers, cast to `dtype`, with at least one sample."""
    subject = f"Trainer: {name}"
    try:
        array: Array = data if hasattr(data, "__array_function__") else np.asarray(data)  # type: ignore[assignment]
    except ValueError as error:
        raise ShapeError(subject, "samples of one shape", str(error)) from error
    require_numbers(subject, array)
    if isinstance(array, (np.ma.MaskedArray, np.matrix)):
        raise DTypeError(subject, "a plain array", type(array).__name__)
    if array.dtype.kind == "c":
        raise DTypeError(subject, "real numbers", describe(array))
    if array.ndim == 0 or len(array) == 0:
        raise ShapeError(subject, "one sample a row, and at least one", f"shape {array.shape}")
    if dtype is not None:
        with np.errstate(over="ignore"):  # What does not fit into float32 is found below, as infinity.
            array = array.astype(dtype, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise NonFiniteError(f"{subject}", "finite", f"{array[index]} at index {index}")
    return array


@frozen
class PrintEvery:
    """
    A callback that prints the error of the prediction every so many steps, as the article does.

    Parameters
    ----------
    steps : int
        Prints at step 0, `steps`, twice `steps` and so on.
    metric : callable
        Computes the error from prediction and target.
    file : file, optional
        Where to print; by default standard output.

    Raises
    ------
    ConfigError
        If `steps` is not a positive integer.

    Examples
    --------
    >>> from minibackprop import SGD, Dense, HalfSquaredError
    >>> x = np.array([[1.0], [2.0]])
    >>> trainer = Trainer(Dense(1, 1, init=lambda shape, rng: np.zeros(shape)), HalfSquaredError(), SGD(0.125))
    >>> _ = trainer.fit(x, 2 * x, epochs=5, callbacks=[PrintEvery(2)])
    step 0: mean absolute error 3
    step 2: mean absolute error 0.28125
    step 4: mean absolute error 0.257080078125
    """

    steps: int = field(validator=is_size)
    metric: Callable[[Array, Array], float] = mean_absolute_error
    file: TextIO | None = None

    def __call__(self, step: Step) -> None:
        """Print, if it is time."""
        if step.number % self.steps == 0:
            name = getattr(self.metric, "__name__", "error").replace("_", " ")
            print(f"step {step.number}: {name} {self.metric(step.prediction, step.target):.12g}", file=self.file)
