from collections.abc import Callable
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    ConfigError,
    Constant,
    Dense,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    Normal,
    Orthogonal,
    ShapeError,
    Uniform,
    Zeros,
)
from minibackprop.initializers import fans
from tests.random_models import seeds

shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))
OF_FANS = (GlorotUniform(), GlorotNormal(), HeUniform(), HeNormal(), Orthogonal(), Orthogonal(2.0))
EVERY = (Zeros(), Constant(2.5), Uniform(), Uniform(-3, 0.5), Normal(), Normal(2, 0.1), *OF_FANS)
each_initializer = pytest.mark.parametrize("init", EVERY, ids=repr)


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


@pytest.mark.parametrize("init", [GlorotUniform(), HeUniform()], ids=repr)
@given(shape=shapes, seed=seeds)
def test_limit_comes_from_the_fans(init: Initializer, shape: tuple[int, int], seed: int) -> None:
    """The limit is the square root of 6 over fan-in, and fan-out for Glorot: kept by all draws, and nearly reached."""
    limit = np.sqrt(6 / (shape[0] if isinstance(init, HeUniform) else shape[0] + shape[1]))
    assert np.abs(init(shape, seed)).max() <= limit
    rng = np.random.default_rng(seed)
    many = np.concatenate([init(shape, rng).ravel() for _ in range(-(-1000 // (shape[0] * shape[1])))])
    # Of 1,000 draws, none beyond 95 % of the limit on a side is a matter of 0.975**1000 = 1e-11.
    assert many.min() < -0.95 * limit
    assert many.max() > 0.95 * limit


@pytest.mark.parametrize(("init", "value"), [(Zeros(), 0), (Constant(-2.5), -2.5), (Normal(3, 0), 3)], ids=repr)
def test_constants_are_constant(init: Initializer, value: float) -> None:
    """The number asked for stands everywhere."""
    np.testing.assert_array_equal(init((2, 3), 0), np.full((2, 3), value))


def test_constants_draw_nothing() -> None:
    """Zeros and constants leave the generator where it was."""
    rng = np.random.default_rng(0)
    Zeros()((2, 3), rng)
    Constant(1.0)((2, 3), rng)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize(
    ("init", "mean", "variance"),
    [
        (Normal(), 0, lambda *_: 1),
        (Normal(-3, 0.2), -3, lambda *_: 0.04),
        (GlorotUniform(), 0, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (GlorotNormal(), 0, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (HeUniform(), 0, lambda fan_in, _: 2 / fan_in),
        (HeNormal(), 0, lambda fan_in, _: 2 / fan_in),
    ],
    ids=lambda value: repr(value).partition(" at ")[0],  # The address of a function differs between workers.
)
@pytest.mark.parametrize(
    ("shape", "fan_in", "fan_out"), [((50, 400), 50, 400), ((400, 50), 400, 50), ((40, 20, 5, 5), 500, 1000)]
)
def test_draws_have_mean_and_variance(
    init: Initializer,
    mean: float,
    variance: Callable[[int, int], float],
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
) -> None:
    """20,000 draws have the mean and the variance of the formula, to within five standard errors."""
    made, expected = init(shape, 0), variance(fan_in, fan_out)
    assert abs(made.mean() - mean) <= 5 * (expected / made.size) ** 0.5
    assert abs(made.var() - expected) <= 5 * expected * (2 / made.size) ** 0.5


@pytest.mark.parametrize("init", [Normal(), GlorotNormal(), HeNormal()], ids=repr)
def test_normal_draws_are_normal(init: Initializer) -> None:
    """Of standardized draws, as many lie below -1, 0 and 2 as of the normal distribution: it is not truncated."""
    made = init((100, 200), 1)
    made = (made - made.mean()) / made.std()
    for limit, share in ((-1, 0.158655), (0, 0.5), (2, 0.977250), (3, 0.998650)):
        assert abs((made < limit).mean() - share) <= 5 * (share * (1 - share) / made.size) ** 0.5


@given(shape=shapes, seed=seeds, gain=st.floats(0.1, 10))
def test_orthogonal_matrices_are_orthogonal(shape: tuple[int, int], seed: int, gain: float) -> None:
    """Columns, or of a wide matrix the rows, are orthogonal and as long as the gain; so are reshaped kernels."""
    for made in (Orthogonal(gain)(shape, seed), Orthogonal(gain)((*shape, 1), seed).reshape(shape)):
        tall = made if shape[0] >= shape[1] else made.T
        np.testing.assert_allclose(tall.T @ tall, gain**2 * np.eye(tall.shape[1]), rtol=0, atol=1e-12 * gain**2)
        assert made.flags.c_contiguous


def test_kernels_are_orthogonal_by_output() -> None:
    """Of kernels, each output channel's is a row."""
    rows = Orthogonal()((4, 3, 2, 2), 0).reshape(4, 12)
    np.testing.assert_allclose(rows @ rows.T, np.eye(4), atol=1e-14)


def test_orthogonal_matrices_are_all_equally_likely() -> None:
    """Entries are as often positive as negative, the diagonal included: a bare QR decomposition favours a sign."""
    positive = sum((Orthogonal()((3, 3), seed) > 0).astype(int) for seed in range(400))
    assert np.abs(positive - 200).max() <= 5 * 10


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 4), (3, 4)), ((1, 1), (1, 1)), ((16, 8, 5), (40, 80)), ((16, 8, 5, 3), (120, 240)), ((2, 3, 1, 1), (3, 2))],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    """Two axes are (fan_in, fan_out); more are (out, in, *kernel), whose size multiplies both."""
    assert fans("weights", shape) == expected


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


@pytest.mark.parametrize("value", [nan, inf, -inf, "1", None, True, 1j])
def test_constants_are_finite_numbers(value: object) -> None:
    """Any other value is refused."""
    with pytest.raises(ConfigError, match="Constant: value expects a finite number, got "):
        Constant(value)


@pytest.mark.parametrize("value", [nan, inf, "1", None, True, 1j])
def test_normal_takes_finite_numbers(value: object) -> None:
    """Any other mean or standard deviation is refused, by its name."""
    with pytest.raises(ConfigError, match="Normal: mean expects a finite number, got "):
        Normal(mean=value)
    with pytest.raises(ConfigError, match="Normal: std expects a finite number of at least 0, got "):
        Normal(std=value)
    with pytest.raises(ConfigError, match="Normal: std expects a finite number of at least 0, got -1"):
        Normal(0, -1)


@pytest.mark.parametrize("value", [0, -1.0, nan, inf, "1", None, True, 1j])
def test_gain_is_positive(value: object) -> None:
    """Any other gain is refused."""
    with pytest.raises(ConfigError, match="Orthogonal: gain expects a positive finite number, got "):
        Orthogonal(value)


@pytest.mark.parametrize("init", OF_FANS, ids=repr)
@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0), (4, 3, 0)])
def test_fans_need_two_axes(init: Initializer, shape: tuple[int, ...]) -> None:
    """A shape that has no fans is refused."""
    expected = (
        rf"^{type(init).__name__} expects a shape \(fan_in, fan_out\) or \(out_channels, in_channels, \*kernel\), "
    )
    with pytest.raises(ShapeError, match=expected):
        init(shape)


@each_initializer
def test_initializers_are_values(init: Initializer) -> None:
    """An initializer equals one of the same arguments, and its repr builds one."""
    assert eval(repr(init)) == init
    assert len({init, eval(repr(init))}) == 1


@pytest.mark.parametrize(
    "make", [Constant(1.0), Zeros(), Uniform(), Normal(), GlorotUniform(), HeNormal(), Orthogonal()]
)
@pytest.mark.parametrize("shape", [None, "ab", 3.5, (-1, 2), (2, 3.0), (True, 2), [[1], [2, 3]], np.zeros((2, 2)), 1j])
def test_shapes_are_integers(make: Initializer, shape: object) -> None:
    """What is no shape is refused by name."""
    with pytest.raises(ConfigError, match=f"{type(make).__name__} expects a shape, a tuple of integers of at least 0"):
        make(shape)  # type: ignore[arg-type]


def test_shapes_are_those_of_numpy() -> None:
    """An integer is a shape of one axis, and a list serves as well as a tuple; one beyond all memory is refused."""
    assert Zeros()(3).shape == (3,)  # type: ignore[arg-type]
    assert GlorotUniform()([3, np.int64(2)], 0).shape == (3, 2)  # type: ignore[arg-type, list-item]
    with pytest.raises(ShapeError, match="GlorotUniform expects a shape"):
        GlorotUniform()(3)  # type: ignore[arg-type]
    for make in (lambda: Zeros()((2**31, 2**31)), lambda: Dense(2**31, 2**31)):
        with pytest.raises(ConfigError, match="expects a shape of an array that memory can hold"):
            make()
