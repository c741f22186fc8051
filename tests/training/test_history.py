import math
from typing import Any

import numpy as np
import pytest

from minibackprop import ConfigError, History, StateDictError


def test_epochs_line_up() -> None:
    """Every series has an entry an epoch: NaN where a value was not known."""
    history = History()
    history.record({"loss": 3.0, "accuracy": 0.25})
    history.record({"loss": 2.0})
    history.record({"loss": 1.0, "val_loss": 5.0})
    arrays = history.as_dict()
    assert list(arrays) == list(history) == ["loss", "accuracy", "val_loss"]
    assert all(isinstance(array, np.ndarray) and len(array) == len(history) == 3 for array in arrays.values())
    assert history["loss"] == history.loss == [3.0, 2.0, 1.0]
    assert np.isnan(arrays["accuracy"]).tolist() == [False, True, True]
    assert math.isnan(history["val_loss"][0])
    assert "val_loss" in history
    assert "val_accuracy" not in history
    with pytest.raises(KeyError, match="val_accuracy"):
        history["val_accuracy"]


def test_load_takes_over_what_as_dict_gave() -> None:
    """A history goes on from a copy of another's, without being tied to it."""
    history, other = History(), History()
    history.record({"loss": 3.0, "accuracy": 0.25})
    arrays = history.as_dict()
    other.load(arrays)
    arrays["loss"][0] = -1
    other.record({"loss": 2.0, "accuracy": 0.5})
    assert history.loss == [3.0]
    assert other.loss == [3.0, 2.0]
    assert repr(other) == "History(epochs=2, loss from 3 to 2, accuracy from 0.25 to 0.5)"


def test_history_is_shown_in_short() -> None:
    """A history of thousands of epochs is one line."""
    assert repr(History()) == "History(epochs=0)"
    history = History()
    for loss in (2.0, 1.0, 0.5):
        history.record({"loss": loss})
    assert repr(history) == "History(epochs=3, loss from 2 to 0.5)"


@pytest.mark.parametrize(
    "values",
    [
        *(None, "loss", [1.0], {}, {"accuracy": 1.0}, {"loss": "a"}, {"loss": None}, {"loss": [1.0]}, {"loss": 1j}),
        *({"loss": [[1], [2, 3]]}, {"loss": np.ones(1)}),
        *({"loss": 1.0, "val_loss": "0.5"}, {"loss": 1.0, 3: 1.0}, {"loss": 1.0, "new": np.array(["a"])}),
    ],
)
def test_what_is_no_epoch_is_not_recorded(values: Any) -> None:
    """Anything but real numbers by name, with a loss, is refused; nothing of it is recorded."""
    history = History()
    history.record({"loss": 3.0, "val_loss": 2.0})
    with pytest.raises(ConfigError, match=r"^History\.record"):
        history.record(values)
    assert {name: array.tolist() for name, array in history.as_dict().items()} == {"loss": [3.0], "val_loss": [2.0]}


@pytest.mark.parametrize("number", [1, np.float32(1), np.array(1.0), True, np.int8(1), np.True_])
def test_any_real_number_is_recorded(number: Any) -> None:
    """NumPy's numbers too, and arrays without axes."""
    history = History()
    history.record({"loss": number})
    assert history.as_dict()["loss"].tolist() == [1.0]


@pytest.mark.parametrize(
    "values",
    [
        *(None, "a", {}, {"loss": "12"}, {"loss": ["1"]}, {"loss": [None]}, {"loss": 1.0}, {"loss": [1j]}),
        *({3: [], "loss": []}, {"loss": [[1.0]]}, {"loss": [1.0], "val_loss": []}, {"loss": [[1.0], [1.0, 2.0]]}),
    ],
)
def test_what_is_no_history_is_not_loaded(values: Any) -> None:
    """Strings that look like numbers are none; the history is as it was."""
    history = History()
    history.record({"loss": 3.0})
    with pytest.raises(StateDictError, match=r"^History"):
        history.load(values)
    assert history.loss == [3.0]
