"""What training gave, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isnan, nan
from numbers import Real
from typing import Any

import numpy as np
from attrs import define, field

from minibackprop.errors import ConfigError, StateDictError, describe
from minibackprop.validation import Array, as_float, shortened


@define(eq=False, repr=False)
class History:
    """
    What each epoch of a trainer gave: the loss, the metrics, and those of the validation data under ``val_`` names.

    Attributes
    ----------
    loss : list of float
        The loss of each epoch, computed before its updates; of several batches, their mean (or sum, for a loss that
        is a sum).

    Examples
    --------
    >>> history = History()
    >>> history.record({"loss": 0.5})
    >>> history.record({"loss": 0.25, "val_loss": 0.75})
    >>> history
    History(epochs=2, loss from 0.5 to 0.25, val_loss from 0.75 to 0.75)
    >>> history["val_loss"]
    [nan, 0.75]
    >>> history.as_dict()
    {'loss': array([0.5 , 0.25]), 'val_loss': array([ nan, 0.75])}
    """

    _series: dict[str, list[float]] = field(factory=lambda: {"loss": []}, init=False)

    @property
    def loss(self) -> list[float]:
        """The loss of each epoch."""
        return self._series["loss"]

    def record(self, values: Mapping[str, float]) -> None:
        """
        Add an epoch. What is not known of it, or was not known of the earlier ones, is NaN.

        Raises
        ------
        ConfigError
            If the values are no dict of real numbers by name, with a loss. Nothing is recorded then.
        """
        if type(values) is not dict and not isinstance(values, Mapping):
            raise ConfigError("History.record", "a dict of numbers by name, with the loss", describe(values))
        for value in values.values():
            if type(value) is not float:
                values = {name: _number(name, value) for name, value in values.items()}
                break
        if values.keys() != self._series.keys():
            if "loss" not in values:
                raise ConfigError("History.record", "a loss among the values", str(list(values)))
            for name in values:
                if not isinstance(name, str):
                    raise ConfigError("History.record", "names of values", shortened(name))
            for name in values:
                if name not in self._series:
                    self._series[name] = [nan] * len(self)
        for name, series in self._series.items():
            series.append(values.get(name, nan))

    def as_dict(self) -> dict[str, Array]:
        """Copy everything into a dict of arrays, one entry an epoch."""
        return {name: np.array(series) for name, series in self._series.items()}

    def load(self, values: Mapping[str, Array]) -> None:
        """
        Replace everything by what `as_dict` gave.

        Raises
        ------
        StateDictError
            If it has no loss, an entry is no array of numbers, or the series are not as long as each other. Nothing is
            changed then.
        """
        if not isinstance(values, Mapping) or "loss" not in values:
            raise StateDictError("History", "a dict of arrays, with the loss", describe(values))
        series = {}
        for name, array in values.items():
            try:
                found = np.asarray(array)
            except ValueError as error:  # Lists of different lengths.
                raise StateDictError("History", "arrays of numbers", str(error)) from error
            if not isinstance(name, str) or found.ndim != 1 or found.dtype.kind not in "fiub":
                raise StateDictError("History", "arrays of numbers", f"{name}: {describe(array)}")
            series[name] = [float(value) for value in found]
        if len({len(array) for array in series.values()}) > 1:
            raise StateDictError("History", "series of one length", str({n: len(a) for n, a in series.items()}))
        self._series = series

    def plot(self, name: str = "loss", ax: Any = None) -> Any:
        """Draw the curve of a value, and of its validation, with matplotlib (the extra `plot`); see `plot_history`."""
        from minibackprop.inspection.plots import plot_history

        return plot_history(self, name, ax=ax)

    def _repr_html_(self) -> str:
        """Make a table of the values with their curves: what a notebook shows."""
        from minibackprop.inspection.tables import history_table

        return history_table(self)

    def __getitem__(self, name: str) -> list[float]:
        return self._series[name]

    def __contains__(self, name: object) -> bool:
        return name in self._series

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series["loss"])

    def __repr__(self) -> str:
        parts = [f"epochs={len(self)}"]
        for name, series in self._series.items():
            known = [value for value in series if not isnan(value)]
            if known:
                parts.append(f"{name} from {known[0]:.6g} to {known[-1]:.6g}")
        return f"History({', '.join(parts)})"


def _number(name: str, value: Any) -> float:
    """Make a float of a number, and of an array of one that has no axes."""
    number = value.item() if getattr(value, "ndim", 1) == 0 else value
    if not isinstance(number, Real):
        raise ConfigError(f"History.record: {name}", "a number", shortened(value))
    return float(as_float(number))
