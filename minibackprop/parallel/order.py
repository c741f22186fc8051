"""An order of the samples for each rank, where each has samples of its own."""

from __future__ import annotations

from typing import Any

import numpy as np


class OwnOrder(np.random.Generator):
    """
    A stream that draws another order on each rank.

    And draws as much on all of them from the one that it is made from, so that this one stays the same for all.
    """

    def __init__(self, rng: np.random.Generator, rank: int) -> None:
        super().__init__(rng.bit_generator)
        self._rank = rank

    def permutation(self, x: Any, axis: int = 0) -> Any:
        """Draw an order."""
        seed = int.from_bytes(self.bytes(16), "little")
        return np.random.default_rng([seed, self._rank]).permutation(x, axis)
