import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import ConfigError, Dense
from minibackprop.rng import Rng, as_generator, private_generator
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


def drawn(rng: Rng) -> list[float]:
    """Draw from a private generator."""
    return private_generator(rng).random(4).tolist()


@given(seed=seeds)
def test_private_generators_follow_from_their_source(seed: int) -> None:
    """The same seed, or source in the same state, gives the same stream; a source is moved on, so the next differs."""
    assert drawn(seed) == drawn(np.uint64(seed)) == drawn(np.random.default_rng(seed))
    for kind in (np.random.default_rng, np.random.RandomState):
        source, again = kind(seed), kind(seed)
        first, second = drawn(source), drawn(source)
        assert [drawn(again), drawn(again)] == [first, second]
        assert first != second


@given(seed=seeds)
def test_private_generator_is_apart_from_its_source(seed: int) -> None:
    """A private stream is neither that of the seed, nor moved by what its source draws later."""
    source = np.random.default_rng(seed)
    one = private_generator(source)
    source.random(10)
    assert isinstance(one, np.random.Generator)
    assert one.random(4).tolist() == drawn(seed)
    assert drawn(seed) != np.random.default_rng(seed).random(4).tolist()


def test_private_generators_without_a_seed_differ() -> None:
    """Without a seed, no two streams are the same."""
    assert drawn(None) != drawn(None)


@pytest.mark.parametrize("rng", [-1, 1.5, True, "seed", [1], np.random])
def test_private_generators_need_a_source(rng: object) -> None:
    """What draws no numbers is refused here too."""
    with pytest.raises(ConfigError, match="rng expects a Generator"):
        private_generator(rng)
