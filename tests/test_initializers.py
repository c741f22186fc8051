from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import ConfigError, GlorotUniform, Initializer, ShapeError, Uniform, Zeros
from tests.random_models import seeds

shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))
each_initializer = pytest.mark.parametrize("init", [Zeros(), Uniform(), Uniform(-3, 0.5), GlorotUniform()], ids=repr)


@each_initializer
@given(shape=shapes, seed=seeds)
def test_same_seed_same_float64_bits(init: Initializer, shape: tuple[int, int], seed: int) -> None:
    """The shape asked for comes, in float64, and the same for a seed as for a generator of that seed."""
    made = init(shape, seed)
    assert (made.shape, made.dtype) == (shape, np.float64)
    assert made.tobytes() == init(shape, np.random.default_rng(seed)).tobytes()


@given(low=st.floats(-100, 100), width=st.floats(0, 100), shape=shapes, seed=seeds)
def test_uniform_stays_within_its_limits(low: float, width: float, shape: tuple[int, int], seed: int) -> None:
    """All draws lie from `low` to `high`."""
    made = Uniform(low, low + width)(shape, seed)
    assert ((made >= low) & (made <= low + width)).all()


@given(shape=shapes, seed=seeds)
def test_uniform_is_the_draw_of_the_article(shape: tuple[int, int], seed: int) -> None:
    """``Uniform(-1, 1)`` of the legacy generator gives ``2 * u - 1``, to the bit, u by u."""
    expected = 2 * np.random.RandomState(seed).random_sample(shape) - 1
    assert Uniform(-1, 1)(shape, np.random.RandomState(seed)).tobytes() == expected.tobytes()


@given(shape=shapes, seed=seeds)
def test_glorot_limit_comes_from_both_fans(shape: tuple[int, int], seed: int) -> None:
    """The limit is the square root of 6 over the sum of fan-in and fan-out: kept by all draws, and nearly reached."""
    limit = np.sqrt(6 / (shape[0] + shape[1]))
    assert np.abs(GlorotUniform()(shape, seed)).max() <= limit
    rng = np.random.default_rng(seed)
    many = np.concatenate([GlorotUniform()(shape, rng).ravel() for _ in range(-(-1000 // (shape[0] * shape[1])))])
    # Of 1,000 draws, none beyond 95 % of the limit on a side is a matter of 0.975**1000 = 1e-11.
    assert many.min() < -0.95 * limit
    assert many.max() > 0.95 * limit


def test_zeros_draws_nothing() -> None:
    """Zeros are zeros, and leave the generator where it was."""
    rng = np.random.default_rng(0)
    assert not Zeros()((2, 3), rng).any()
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("value", [nan, inf, -inf, "1", None, True, 1j])
@pytest.mark.parametrize("name", ["low", "high"])
def test_uniform_limits_are_finite_numbers(name: str, value: object) -> None:
    """Any other limit is refused, by its name."""
    with pytest.raises(ConfigError, match=f"Uniform: {name} expects a finite number, got "):
        Uniform(**{name: value})


def test_uniform_limits_are_in_order() -> None:
    """A `low` above `high` is refused."""
    with pytest.raises(ConfigError, match=r"Uniform: high expects at least low = 2, got 1"):
        Uniform(2, 1)


@pytest.mark.parametrize("shape", [(), (3,), (3, 4, 5)])
def test_glorot_needs_two_fans(shape: tuple[int, ...]) -> None:
    """A shape that is not (fan_in, fan_out) is refused."""
    with pytest.raises(ShapeError, match=r"GlorotUniform expects a shape \(fan_in, fan_out\), got "):
        GlorotUniform()(shape)


@each_initializer
def test_initializers_are_values(init: Initializer) -> None:
    """An initializer equals one of the same arguments, and its repr builds one."""
    assert eval(repr(init)) == init
    assert len({init, eval(repr(init))}) == 1
