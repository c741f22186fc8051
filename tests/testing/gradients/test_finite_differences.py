"""The numerics: intervals of slopes that hold the derivative, narrow where the function is tame, honest where not."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minibackprop.testing.gradients.finite_differences import Slopes, slopes
from minibackprop.validation import Array

Function = Callable[[Array], Array]
_erf = np.vectorize(math.erf, otypes=[float])

#: Functions of one number with their derivatives, on scales from 1e-6 to 100.
SMOOTH: dict[str, tuple[Function, Function]] = {
    "exp": (np.exp, np.exp),
    "sin": (np.sin, np.cos),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "cube": (lambda x: x**3, lambda x: 3 * x * x),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: 1 / (1 + np.exp(-x)) / (1 + np.exp(x))),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x))),
    "gelu": (
        lambda x: x * (1 + _erf(x / 2**0.5)) / 2,
        lambda x: (1 + _erf(x / 2**0.5)) / 2 + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "narrow bell": (lambda x: 1 / (x * x + 1e-2), lambda x: -2 * x / (x * x + 1e-2) ** 2),
    "fast wave": (lambda x: np.sin(100 * x), lambda x: 100 * np.cos(100 * x)),
    "cancellation": (lambda x: (1e6 + x) - 1e6 + x * x, lambda x: 1 + 2 * x),
    "rounded corner": (lambda x: np.sqrt(x * x + 1e-12), lambda x: x / np.sqrt(x * x + 1e-12)),
}
KINKED: dict[str, tuple[Function, Function]] = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "leaky": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "abs": (np.abs, np.sign),
    "cusp": (lambda x: np.log(np.abs(x) + 1e-3), lambda x: np.sign(x) / (np.abs(x) + 1e-3)),
    "staircase": (np.round, lambda x: 0 * x),
}
points = st.builds(
    lambda digits, exponent: np.array([digits * 10.0**exponent]),
    st.floats(-1, 1, allow_subnormal=False),
    st.integers(-6, 5),
)


def along(function: Function, x: Array) -> Slopes:
    """Estimate the slope at a point, on the scale that the checks choose."""
    scale = 2.0 ** np.floor(np.log2(np.maximum(np.abs(x), 1.0)))
    with np.errstate(all="ignore"):
        found = slopes(lambda point: function(point[0]), [x], [[scale]])
    return Slopes(found.low / scale, found.high / scale, found.error / scale, found.known)


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
@given(x=points)
@example(x=np.array([2.0**-52]))  # Beside a corner, at a distance that passes for rounding: so is the next.
@example(x=np.array([3e-13]))
def test_interval_holds_the_derivative(name: str, x: Array) -> None:
    """At any magnitude of the point, a derivative that is called known lies within the bounds."""
    function, derivative = (SMOOTH | KINKED)[name]
    found = along(function, x)
    with np.errstate(all="ignore"):
        true = derivative(x)
    if found.known.all():
        assert (found.low - found.error <= true).all()
        assert (true <= found.high + found.error).all()


@given(width=st.floats(-5, 0), distance=st.floats(-20, 0), linear=st.sampled_from([0.0, 1.0, 10.0]))
def test_corners_of_any_width_are_not_cut(width: float, distance: float, linear: float) -> None:
    """However close to the middle of a rounded corner, the interval holds the derivative, or none is called known."""
    width, x = 10.0**width, np.array([10.0**distance])
    found = along(lambda x: np.sqrt(x * x + width * width) + linear * x, x)
    true = x / np.sqrt(x * x + width * width) + linear
    assert not found.known.all() or found.low - found.error <= true <= found.high + found.error


@pytest.mark.parametrize(
    "name", ["exp", "sin", "square", "cube", "sigmoid", "tanh", "softplus", "gelu", "cancellation"]
)
@given(x=st.floats(0.1, 2))
def test_bounds_are_narrow_where_the_function_is_tame(name: str, x: float) -> None:
    """On well-scaled input, an error of one part in a million shows, with room to spare."""
    function, derivative = SMOOTH[name]
    found = along(function, np.array([x]))
    assert found.known.all()
    assert (found.high - found.low + found.error < 1e-6 * np.abs(derivative(np.array([x])))).all()


@pytest.mark.parametrize(("name", "low", "high"), [("relu", 0, 1), ("leaky", 0.01, 1), ("abs", -1, 1)])
def test_kink_gives_the_interval_between_the_one_sided_slopes(name: str, low: float, high: float) -> None:
    """At a kink, exactly what lies between the slopes of the two sides is right."""
    found = along(KINKED[name][0], np.array([0.0]))
    np.testing.assert_allclose([found.low.item(), found.high.item()], [low, high], atol=1e-9)
    assert found.error.item() < 1e-6


@given(seed=st.integers(0, 2**16))
def test_kinks_inside_a_composite_are_seen(seed: int) -> None:
    """A sum of hundreds of kinks nearby: the steps that cross them are not believed."""
    rng = np.random.default_rng(seed)
    at, weights, x = rng.normal(size=400), rng.normal(size=400), rng.normal(size=1)
    found = along(lambda x: (weights * np.maximum(x[..., np.newaxis] - at, 0)).sum(-1), x)
    true = (weights * (x > at)).sum()
    assert not found.known.all() or found.low - found.error <= true <= found.high + found.error


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda x: np.sin(1e9 * x), id="a wave that no step resolves"),
        pytest.param(lambda x: np.where(x > 0.3, 1.0, 0.0), id="a jump at the point"),
        pytest.param(lambda x: x * np.inf, id="infinity"),
        pytest.param(lambda x: x + 1e-4 * np.sin(1e12 * x), id="noise"),
    ],
)
def test_what_cannot_be_known_is_said_to_be_unknown(function: Function) -> None:
    """No slope is made up where finite differences tell nothing."""
    assert not along(function, np.array([0.3])).known.any()
