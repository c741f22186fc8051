"""The lowest versions in pyproject.toml, which `tests.minimum_versions` installs."""

from importlib.metadata import version

import pytest

from tests import minimum_versions
from tests.minimum_versions import oldest_versions


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def test_every_requirement_of_the_tests_has_a_lowest_version() -> None:
    """Those of the package and of the extras that `test` is made of, each once; what is installed here is no older."""
    lowest = dict(requirement.partition(";")[0].split("==") for requirement in oldest_versions())
    assert lowest.keys() >= {"numpy", "attrs", "hypothesis", "pytest", "matplotlib", "tqdm", "scikit-learn", "pandas"}
    assert lowest.keys() >= {"mpi4py", "mpich"}
    assert len(lowest) == len(oldest_versions())
    for name, least in lowest.items():
        assert numbers(version(name)) >= numbers(least), name


def test_a_requirement_without_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would know which version to try."""
    monkeypatch.setattr(minimum_versions.tomllib, "loads", lambda _: {"project": {"dependencies": ["numpy<3"]}})
    with pytest.raises(ValueError, match=r"numpy<3 in pyproject\.toml has no lowest version"):
        oldest_versions(())
