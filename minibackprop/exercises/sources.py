"""Where the solutions are."""

from pathlib import Path


def solution(name: str) -> Path:
    """Say where the solution of an exercise is, as `Exercise` takes it."""
    return Path(__file__).parent / "solutions" / f"{name}.py"
