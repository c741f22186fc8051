"""Callbacks that show how training goes: lines of a metric, and a bar."""

from __future__ import annotations

import sys
import warnings
from typing import Any, TextIO

from attrs import define, field, frozen, setters

from minibackprop.metrics.functions import mean_absolute_error
from minibackprop.training.callbacks import Callback, MetricFunction, Run, Step
from minibackprop.training.measures import measured
from minibackprop.training.notebook import Line, in_notebook
from minibackprop.training.workers import is_first
from minibackprop.validation import is_size


@frozen(eq=False, slots=False)
class PrintEvery(Callback):
    """
    Prints the error of the prediction every so many steps, as the article does.

    Parameters
    ----------
    steps : int
        Prints at step 0, `steps`, twice `steps` and so on.
    metric : callable, optional
        Computes the error from prediction and target. By default it is the mean absolute error, or the loss where the
        target has not the shape of the prediction (labels of classes).
    file : file, optional
        Where to print; by default standard output.

    Raises
    ------
    ConfigError
        If `steps` is not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, HalfSquaredError, Trainer
    >>> x = np.array([[1.0], [2.0]])
    >>> trainer = Trainer(Dense(1, 1, init=lambda shape, rng: np.zeros(shape)), HalfSquaredError(), SGD(0.125))
    >>> _ = trainer.fit(x, 2 * x, epochs=5, callbacks=[PrintEvery(2)])
    step 0: mean absolute error 3
    step 2: mean absolute error 0.28125
    step 4: mean absolute error 0.257080078125
    """

    steps: int = field(validator=is_size)
    metric: MetricFunction | None = None
    file: TextIO | None = None

    def on_step_end(self, step: Step, /) -> None:
        """Print, if it is time."""
        if step.number % self.steps or not is_first(step.trainer.parallel):
            return
        metric = self.metric
        if metric is None and step.prediction.shape != step.target.shape:
            name, value = "loss", step.loss
        else:
            metric = metric or mean_absolute_error
            name = getattr(metric, "__name__", "error").replace("_", " ")
            value = measured(metric, step.trainer.loss, step.prediction, step.target, step.weights)
        print(f"step {step.number}: {name} {value:.12g}", file=self.file)


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class ProgressBar(Callback):
    """
    Shows how far a `fit` is, with the loss and metrics of the last epoch, through tqdm (the extra `progress`).

    A bar over the steps in a terminal or a notebook: there a widget where ipywidgets is installed, and a line of text
    where it is not. Where the output is neither, such as a log file, a plain line for each tenth of the epochs, and for
    the last.

    Parameters
    ----------
    file : file, optional
        Where to write; by default standard error, as tqdm does, and in a notebook the output of the cell.

    Raises
    ------
    ImportError
        When a `fit` begins, if tqdm is not installed.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Trainer
    >>> log = io.StringIO()
    >>> trainer = Trainer(Dense(1, 1, init=lambda shape, rng: np.zeros(shape)), MeanSquaredError(), SGD(0.5))
    >>> _ = trainer.fit(np.ones((1, 1)), np.ones((1, 1)), epochs=20, callbacks=[ProgressBar(log)])
    >>> print(log.getvalue().splitlines()[0])
    epoch 2 of 20: loss 1
    """

    file: TextIO | None = None
    _bar: Any = field(init=False, default=None, repr=False)
    _first: int = field(init=False, default=0, repr=False)
    _shown: int = field(init=False, default=0, repr=False)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Open the bar."""
        self._first = self._shown = trainer.epochs
        if not self._live() or not is_first(trainer.parallel):
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Without ipywidgets, a bar of text does as well.
                from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError('ProgressBar needs tqdm: pip install "minibackprop[progress]"') from error
        # What goes to standard error, notebooks show as they show errors; a widget takes no heed of the file.
        file = Line() if self.file is None and in_notebook() else self.file
        self._bar = tqdm(total=trainer.plan.steps, unit="step", file=file, desc="training")

    def on_step_end(self, step: Step, /) -> None:
        """Move on by a step; where an epoch is long, show the loss of a step now and then."""
        if self._bar is not None and self._bar.update() and step.trainer.epochs == self._first:
            self._bar.set_postfix(loss=step.loss, refresh=False)

    def on_epoch_end(self, trainer: Run, /) -> None:
        """Show the epoch's values."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {trainer.epochs - self._first}/{trainer.plan.epochs}", refresh=False)
            self._bar.set_postfix(_latest(trainer), refresh=False)
        elif is_first(trainer.parallel) and (trainer.epochs - self._first) * 10 // trainer.plan.epochs > self._tenths(
            trainer
        ):
            self._print(trainer)

    def on_fit_end(self, trainer: Run, /) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            if trainer.stopping and hasattr(self._bar, "disp"):  # A widget, which is red if steps are left.
                self._bar.disp(bar_style="success", check_delay=False)
            self._bar = None
        elif trainer.epochs > self._shown and is_first(trainer.parallel):
            self._print(trainer)

    def _tenths(self, trainer: Run) -> int:
        return (self._shown - self._first) * 10 // trainer.plan.epochs

    def _print(self, trainer: Run) -> None:
        self._shown = trainer.epochs
        text = ", ".join(f"{name} {value:.4g}" for name, value in _latest(trainer).items())
        done = trainer.epochs - self._first
        print(f"epoch {done} of {trainer.plan.epochs}: {text}", file=self.file or sys.stderr, flush=True)

    def _live(self) -> bool:
        """Tell whether there is a terminal, or a notebook, to redraw a line in."""
        file = self.file or sys.stderr
        return (file is not None and file.isatty()) or (self.file is None and in_notebook())


def _latest(trainer: Run) -> dict[str, float]:
    return {name: trainer.history[name][-1] for name in trainer.history}
