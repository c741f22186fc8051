"""Paired timing: on a noisy machine, two things are comparable only when they run in turn."""

from collections.abc import Callable
from time import perf_counter


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    start = perf_counter()
    function()
    return perf_counter() - start


def ratios(candidate: Callable[[], object], reference: Callable[[], object], repeats: int) -> list[float]:
    """Time candidate and reference in turn, and return the ratio of each pair; odd pairs run the reference first."""
    found = []
    for repeat in range(repeats):
        if repeat % 2:
            below = seconds(reference)
            found.append(seconds(candidate) / below)
        else:
            above = seconds(candidate)
            found.append(above / seconds(reference))
    return found
