"""The solutions, which skeletons and pages are made of."""

from pathlib import Path


def solution(name: str) -> Path:
    """Say where the solution of an exercise is."""
    return Path(__file__).parent / f"{name}.py"
