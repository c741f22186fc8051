import math

import numpy as np
import pytest

from minibackprop import History


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
