"""Curves that grow while a model is trained, in a notebook."""

from __future__ import annotations

from io import BytesIO
from time import monotonic
from typing import Any

from attrs import define, field, setters

from minibackprop.errors import ConfigError
from minibackprop.inspection.plots import plot_history
from minibackprop.training.callbacks import Callback, Run
from minibackprop.training.notebook import in_notebook
from minibackprop.training.workers import is_first
from minibackprop.validation import as_tuple, is_not_negative, shortened


def _as_names(names: Any) -> Any:
    return (names,) if isinstance(names, str) else as_tuple(names)


def _are_names(callback: object, _: object, names: Any) -> None:
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
        expected = "names of values, such as ['loss', 'accuracy']"
        raise ConfigError(f"{type(callback).__name__}: names", expected, shortened(names))


@define(eq=False, slots=False, on_setattr=setters.NO_OP)
class LiveCurves(Callback):
    """
    Redraws the training curves while `fit` runs, in a notebook (the extra ``plot``); in a terminal it does nothing.

    One picture below the cell, a plot for each name, as `plot_history` draws it. It is drawn after an epoch, if the
    last time is long enough ago, and at the end, also where an error or Ctrl-C ends the `fit`.

    Parameters
    ----------
    names : str or list of str
        Values of the history: "loss", or the names of metrics, each with its curve of the validation data.
    every : float
        How many seconds to wait at least before the picture is drawn again.

    Raises
    ------
    ConfigError
        If an argument makes no sense; when a `fit` begins, if the history will not have one of the values.
    ImportError
        When a `fit` begins in a notebook, if matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from minibackprop import SGD, Dense, MeanSquaredError, Trainer
    >>> trainer = Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(0.5))
    >>> history = trainer.fit(np.ones((1, 1)), np.ones((1, 1)), epochs=3, callbacks=[LiveCurves("loss")])
    """

    names: tuple[str, ...] = field(default=("loss",), converter=_as_names, validator=_are_names)
    every: float = field(default=1.0, validator=is_not_negative)
    _live: bool = field(init=False, default=False, repr=False)
    _handle: Any = field(init=False, default=None, repr=False)
    _drawn: float = field(init=False, default=0.0, repr=False)

    def on_fit_begin(self, trainer: Run, /) -> None:
        """Look whether there is a notebook to draw in, and something to draw."""
        for name in self.names:
            if name not in trainer.plan.values:
                raise ConfigError("LiveCurves: names", f"some of {list(trainer.plan.values)}", repr(name))
        self._live, self._handle = in_notebook() and is_first(trainer.parallel), None
        if self._live:
            try:
                import matplotlib  # noqa: F401
            except ImportError as error:
                raise ImportError('LiveCurves needs matplotlib: pip install "minibackprop[plot]"') from error

    def on_epoch_end(self, trainer: Run, /) -> None:
        """Draw, if it is time."""
        if self._live and (self._handle is None or monotonic() - self._drawn >= self.every):
            self._draw(trainer)

    def on_fit_end(self, trainer: Run, /) -> None:
        """Draw the last state."""
        if self._handle is not None:
            self._draw(trainer)
        self._live, self._handle = False, None

    def _draw(self, trainer: Run) -> None:
        """Put a new picture where the last one is."""
        from IPython.display import Image, display
        from matplotlib.figure import Figure

        # No figure of pyplot's, which a notebook would show once more.
        figure = Figure(figsize=(5 * len(self.names), 3.2), layout="constrained")
        for name, ax in zip(self.names, figure.subplots(1, len(self.names), squeeze=False).flat, strict=True):
            plot_history(trainer.history, name, ax)
        file = BytesIO()
        figure.savefig(file, format="png", dpi=144)
        picture = Image(data=file.getvalue(), format="png", retina=True)
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)
        self._drawn = monotonic()
