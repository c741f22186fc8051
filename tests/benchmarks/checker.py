"""The checker: how long a test of a layer takes with the default settings."""

from collections.abc import Iterator

from minibackprop import Dense
from minibackprop.testing import check_layer
from tests.benchmarks.paired import Row, seconds


def run(repeats: int) -> Iterator[Row]:
    found = [seconds(lambda: check_layer(lambda: Dense(3, 4), (3,))) for _ in range(repeats)]
    yield Row("check_layer(lambda: Dense(3, 4), (3,))", found, 1.0, " s")
