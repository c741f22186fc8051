"""The article's network, recorded while it learns."""

from __future__ import annotations

import numpy as np

from minibackprop import SGD, ActivationRecorder, HalfSquaredError, Trainer, three_layer

X = np.array([[0.0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
Y = np.array([[0.0], [1], [1], [0]])


def recorder(steps: int = 30, fits: int = 1, keep_states: bool = False) -> ActivationRecorder:
    """Record the hidden units over some steps."""
    model = three_layer()
    found = ActivationRecorder(model[:2], X, keep_states=keep_states)
    trainer = Trainer(model, HalfSquaredError(), SGD(1))
    for _ in range(fits):
        trainer.fit(X, Y, steps, callbacks=[found])
    return found
