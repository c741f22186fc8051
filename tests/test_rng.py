import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import ConfigError, Dense
from minibackprop.rng import as_generator
from tests.random_models import seeds


@given(seed=seeds, kind=st.sampled_from([int, np.uint64, np.int64]))
def test_seed_makes_a_new_generator(seed: int, kind: type) -> None:
    """A seed, Python's or NumPy's, gives the stream of ``default_rng``, from its start each time."""
    expected = np.random.default_rng(seed).random(3).tobytes()
    assert as_generator(kind(seed)).random(3).tobytes() == expected
    assert as_generator(kind(seed)).random(3).tobytes() == expected


@pytest.mark.parametrize(
    "rng", [np.random.default_rng(0), np.random.RandomState(0)], ids=lambda rng: type(rng).__name__
)
def test_generators_are_used_as_they_are(rng: np.random.Generator | np.random.RandomState) -> None:
    """A generator goes on where it is: two layers drawn from one differ."""
    assert as_generator(rng) is rng
    assert (Dense(2, 2, rng=rng).weight.value != Dense(2, 2, rng=rng).weight.value).all()


def test_nothing_means_fresh_entropy() -> None:
    """Without a seed, no two streams are the same."""
    assert as_generator(None).random() != as_generator(None).random()


def test_global_state_is_neither_read_nor_changed() -> None:
    """NumPy's global generator has no part in what is drawn, nor is it moved on."""
    state = np.random.get_state()  # noqa: NPY002
    first = Dense(2, 2).weight.value
    drawn = np.random.random()  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    assert np.random.random() == drawn  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    assert (Dense(2, 2).weight.value != first).all()


@pytest.mark.parametrize("rng", [-1, 1.5, True, "seed", [1], np.random])
def test_only_sources_of_random_numbers_are_taken(rng: object) -> None:
    """Anything else is refused, a negative seed too."""
    with pytest.raises(
        ConfigError, match="rng expects a Generator, a RandomState, a seed of at least 0, or None, got "
    ):
        as_generator(rng)
