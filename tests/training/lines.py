"""A line to learn, and a trainer that learns it, always the same."""

import numpy as np

from minibackprop import SGD, Dense, MeanSquaredError, Trainer

X = np.array([[0.0], [1.0], [2.0]])

Y = 3 * X + 1


def new_trainer(rate: float = 0.1) -> Trainer:
    """Make a trainer of a line, always the same."""
    return Trainer(Dense(1, 1, rng=0), MeanSquaredError(), SGD(rate), rng=0)


class Scripted:
    """A metric that gives the next of some values each time it is asked about the validation data, of two samples."""

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)

    def __call__(self, prediction: np.ndarray, target: np.ndarray) -> float:
        return next(self.values) if len(target) == 2 else 0.0
