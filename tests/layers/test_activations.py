import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from math import inf, nan
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from minibackprop import (
    ELU,
    GELU,
    ConfigError,
    DeltaTrim,
    DTypeError,
    Identity,
    Layer,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ShapeError,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from minibackprop.layers.activations import Activation
from minibackprop.testing import check_layer
from minibackprop.validation import Array
from tests import high_precision as exact
from tests.random_models import seeds

FLOATS = (np.float64, np.float32)
sigmoid = Sigmoid()
BEND = 2 * (2 / exact.PI).sqrt()
#: Each activation of one entry, its formula, and the relative and absolute error that its value may have: 1e-15 is nine
#: roundings, and two kernels (of three roundings each, as `exact.KERNEL`; tanh has five), an operation or two and the
#: rounding of the reference make eight at most. GELU is x * P(x), where the smaller of P and 1 - P has 33 + x**2 / 2
#: roundings (see `test_special`): six of 1 at most, times |x|. Its tanh form takes exp of up to 265, after nine
#: roundings of that, which are relative errors of the result then.
FORMULAS: dict[Layer, tuple[exact.Function, float, float]] = {
    sigmoid: (exact.sigmoid, 1e-15, 0),
    Tanh(): (exact.tanh, 1e-15, 0),
    ReLU(): (lambda x: max(x, Decimal(0)), 0, 0),
    LeakyReLU(0.25): (lambda x: x if x > 0 else Decimal("0.25") * x, 0, 0),
    LeakyReLU(0.0): (lambda x: max(x, Decimal(0)), 0, 0),
    LeakyReLU(negative_slope=1): (lambda x: x, 0, 0),
    ELU(): (lambda x: x if x > 0 else x.exp() - 1, 1e-15, 0),
    ELU(alpha=2.5): (lambda x: x if x > 0 else Decimal("2.5") * (x.exp() - 1), 1e-15, 0),
    SiLU(): (lambda x: x * exact.sigmoid(x), 1e-15, 0),
    Softplus(): (lambda x: (1 + x.exp()).ln(), 1e-15, 0),
    GELU(): (lambda x: x * exact.normal_distribution(x), 1e-15, 7e-16),
    GELU("tanh"): (lambda x: x * exact.sigmoid(BEND * (x + Decimal("0.044715") * x**3)), 3e-13, 0),
    Identity(): (lambda x: x, 0, 0),
}
EVERY: list[Layer] = [*FORMULAS, Softmax(), LogSoftmax(), DeltaTrim(), DeltaTrim(0.5, 2.0)]
each_formula = pytest.mark.parametrize("layer", FORMULAS, ids=repr)
each = pytest.mark.parametrize("layer", EVERY, ids=repr)
few = settings(max_examples=10)


def finite(dtype: type) -> st.SearchStrategy[Array]:
    """Draw arrays of any finite numbers of `dtype`: huge, tiny, subnormal."""
    width = np.dtype(dtype).itemsize * 8
    elements = st.floats(width=width, allow_nan=False, allow_infinity=False)
    return arrays(dtype, array_shapes(min_dims=2, max_dims=3, max_side=4), elements=elements)


of_each_width = st.sampled_from(FLOATS).flatmap(finite)
# Not within the steps of a kink at 0, which has a test of its own.
numbers = st.floats(-15, 15).filter(lambda x: abs(x) > 1e-20)


@each_formula
@given(x=numbers)
def test_value_is_that_of_the_formula(layer: Layer, x: float) -> None:
    """Forward is the formula to within rounding: relative to the value, also where that is far smaller than 1."""
    formula, relative, absolute = FORMULAS[layer]
    np.testing.assert_allclose(layer.predict(np.array([x])), exact.value(formula, x), rtol=relative, atol=absolute)


@each_formula
@given(x=numbers)
def test_slope_is_that_of_the_formula(layer: Layer, x: float) -> None:
    """Backward multiplies by the formula's slope."""
    _, cache = layer.forward(np.array([x]))
    found = layer.backward(np.array([-3.0]), cache)
    # Two dozen roundings of numbers up to 1, or of the polynomials of GELU, times 3.
    np.testing.assert_allclose(found, -3 * exact.slope(FORMULAS[layer][0], x), rtol=1e-14, atol=2e-14)


@pytest.mark.parametrize(
    ("layer", "slope"),
    [(ReLU(), 0), (LeakyReLU(0.1), 0.1), (ELU(), 1), (ELU(0.5), 0.5), (Softplus(), 0.5), (SiLU(), 0.5), (Tanh(), 1)],
    ids=repr,
)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_slope_at_zero_is_that_from_below(layer: Layer, slope: float, zero: float) -> None:
    """Where there is a kink, the slope at it is the one below it; elsewhere there is but one."""
    y, cache = layer.forward(np.array([zero]))
    # Not a function of 0 or 1, whose value every kernel gives exactly: Softplus takes logarithm and exponential of 2.
    kernels = 3 * exact.KERNEL[np.float64] if isinstance(layer, Softplus) else 0
    np.testing.assert_allclose(y, np.log(2) if isinstance(layer, Softplus) else 0, rtol=kernels)
    np.testing.assert_allclose(layer.backward(np.ones(1), cache), slope, rtol=kernels)


@given(x=st.floats(-700, -15))
@pytest.mark.parametrize(
    ("layer", "limit"),
    [
        (sigmoid, lambda x: x.exp()), (Softplus(), lambda x: x.exp()), (SiLU(), lambda x: x * x.exp()),
        (Tanh(), lambda x: x - x - 1), (ELU(3.0), lambda x: x - x - 3),
    ],
    ids=lambda value: repr(value).partition(" at ")[0],  # The address of a function differs between workers.
)  # fmt: skip
def test_limits_are_reached_as_formulas_reach_them(layer: Layer, limit: exact.Function, x: float) -> None:
    """Far below 0, results have all their digits, however small they are."""
    np.testing.assert_allclose(layer.predict(np.array([x])), exact.value(limit, x), rtol=1e-6)


@given(x=st.floats(-40, -5))
def test_gelu_keeps_digits_where_it_is_small(x: float) -> None:
    """Exact GELU does not cancel in 1 + erf: five digits are right where the result is 1e-300 of its argument."""
    expected = exact.value(lambda x: x * exact.normal_tail(x), x)
    np.testing.assert_allclose(GELU().predict(np.array([x])), expected, rtol=1e-5, atol=1e-307)


@given(x=st.floats(-1e3, 1e3))
def test_forms_of_gelu_are_near_each_other(x: float) -> None:
    """The tanh form is within 5e-4 of the exact one, and another."""
    at = np.array([x])
    np.testing.assert_allclose(GELU("tanh").predict(at), GELU().predict(at), rtol=0, atol=5e-4)
    assert GELU("tanh").predict(np.ones(1)) != GELU().predict(np.ones(1))


@each
@few
@given(x=of_each_width)
def test_any_finite_input_is_free_of_warnings(layer: Layer, x: Array) -> None:
    """No finite input raises a floating-point error, whatever NumPy is set to; nor a NaN; the dtype is kept."""
    with np.errstate(all="raise"):
        y, cache = layer.forward(x)
        np.testing.assert_array_equal(layer.predict(x), y)
    back = layer.backward(np.ones_like(x), cache)
    assert y.dtype == back.dtype == x.dtype
    assert y.shape == back.shape == x.shape
    assert not np.isnan(y).any()
    assert np.isfinite(back).all()


@each
@pytest.mark.parametrize("dtype", FLOATS)
def test_extremes_are_free_of_warnings(layer: Layer, dtype: type) -> None:
    """The same for numbers about which formulas overflow and underflow, and the largest there are."""
    limits = np.finfo(dtype)
    largest, smallest, tiny = float(limits.max) / 2, float(limits.tiny), float(limits.smallest_subnormal)
    sizes = [largest, 1e30, 1e3, 750, 709.5, 200, 104, 88.5, 40, 38.5, 19, 13, smallest, tiny, 0.0]
    x = np.array([sizes, [-size for size in sizes]], dtype)
    with np.errstate(all="raise"):
        y, cache = layer.forward(x)
    back = layer.backward(np.ones_like(x), cache)
    assert y.dtype == back.dtype == dtype
    assert np.isfinite(y).all()
    assert np.isfinite(back).all()


@pytest.mark.parametrize("size", [1e4, 1e30, 1e300])
@each_formula
def test_limits(layer: Layer, size: float) -> None:
    """Far out, a rectifier is x above 0, and all but the leaky ones are constant below; slopes are then 0 or 1."""
    above, below = layer.predict(np.array([size, -size]))
    slopes = layer.backward(np.ones(2), layer.forward(np.array([size, -size]))[1])
    if isinstance(layer, (Sigmoid, Tanh)):
        assert (above, below) == (1, -1 if isinstance(layer, Tanh) else 0)
        np.testing.assert_array_equal(slopes, [0, 0])
    else:
        leak = 1 if isinstance(layer, Identity) else getattr(layer, "negative_slope", 0)
        assert above == size
        assert below == (-layer.alpha if isinstance(layer, ELU) else -leak * size)
        np.testing.assert_array_equal(slopes, [1, leak])


@pytest.mark.parametrize("dtype", FLOATS)
def test_limits_of_sigmoid_are_exact(dtype: type) -> None:
    """The limits 0 and 1 are reached exactly, with slope 0, and the middle is exactly one half."""
    largest = np.finfo(dtype).max
    y, cache = sigmoid.forward(np.array([-largest, -1000, 0, 1000, largest], dtype))
    np.testing.assert_array_equal(y, np.array([0, 0, 0.5, 1, 1], dtype))
    np.testing.assert_array_equal(sigmoid.backward(np.ones(5, dtype), cache), np.array([0, 0, 0.25, 0, 0], dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_below_the_normal_numbers_are_free_of_warnings(dtype: type) -> None:
    """Where the result itself is subnormal, nothing is raised either."""
    x = np.array([np.log(np.finfo(dtype).tiny) - 0.5], dtype)
    with np.errstate(all="raise"):
        y = sigmoid.predict(x)
    assert 0 < y < np.finfo(dtype).tiny


@pytest.mark.parametrize("layer", [sigmoid, Tanh(), ELU(), Softplus()], ids=repr)
@few
@given(x=of_each_width)
def test_rises(layer: Layer, x: Array) -> None:
    """A larger input gives no smaller result but for rounding: NumPy's exp is not monotone to the bit."""
    y = layer.predict(np.sort(x / 2, axis=None))
    # Two results, with two kernels and two operations in each.
    rounding = 2 * (2 * exact.KERNEL[x.dtype.type] + np.finfo(x.dtype).eps)
    assert (y[1:] >= y[:-1] - rounding * np.abs(y[:-1])).all()


@given(x=of_each_width)
def test_sigmoid_is_symmetric_about_one_half(x: Array) -> None:
    """sigmoid(-x) = 1 - sigmoid(x)."""
    # An error of exp is multiplied by a slope of 1/4 at most; two results take three operations each, 1 - y included.
    rounding = 2 * exact.KERNEL[x.dtype.type] / 4 + 3 * float(np.finfo(x.dtype).eps)
    np.testing.assert_allclose(sigmoid.predict(-x), 1 - sigmoid.predict(x), rtol=0, atol=rounding)


@pytest.mark.parametrize("layer", [ReLU(), Softplus(), SiLU(), GELU(), GELU("tanh")], ids=repr)
@few
@given(x=of_each_width)
def test_rectifiers_differ_by_x(layer: Layer, x: Array) -> None:
    """y(x) - y(-x) = x, for rectifiers of whatever smoothness."""
    # Two results, one of them as large as x and the other below 1, with two kernels and a few operations in each: for
    # GELU, the polynomials of a P that is small where they matter.
    tolerance = 2 * (2 * exact.KERNEL[x.dtype.type] + 3 * float(np.finfo(x.dtype).eps))
    difference = layer.predict(x / 2) - layer.predict(-x / 2)
    np.testing.assert_allclose(difference, x / 2, rtol=tolerance, atol=tolerance)


@each
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint64, np.uint8, np.bool_])
def test_integers_are_taken_as_numbers(layer: Layer, dtype: type) -> None:
    """Integers and booleans give what the same float64 numbers give: unsigned ones do not wrap around."""
    x = np.array([[0, 1, 5], [120, 1, 0]]).astype(dtype)
    y = layer.predict(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, layer.predict(x.astype(np.float64)))


@each
@few
@given(x=of_each_width, seed=seeds)
def test_arguments_are_not_written_to(layer: Layer, x: Array, seed: int) -> None:
    """Read-only input, gradients and results serve, and the cache survives a backward."""
    grad = np.random.default_rng(seed).normal(size=x.shape).astype(x.dtype)
    x.flags.writeable = grad.flags.writeable = False
    y, cache = layer.forward(x)
    y.flags.writeable = cache.flags.writeable = False
    back = layer.backward(grad, cache)
    np.testing.assert_array_equal(layer.backward(grad, cache), back)
    if not isinstance(layer, (Identity, DeltaTrim)):
        assert not any(np.shares_memory(one, other) for one in (y, back) for other in (x, grad))
        assert not np.shares_memory(back, y)


@each
@pytest.mark.parametrize("shape", [(2,), (1, 3), (3, 2), (2, 3, 1), ()])
def test_gradient_of_another_shape_is_refused(layer: Layer, shape: tuple[int, ...]) -> None:
    """A gradient that NumPy would broadcast is a `ShapeError` like any other."""
    _, cache = layer.forward(np.zeros((2, 3)))
    message = f"{type(layer).__name__} expects a gradient of shape (2, 3), got {shape}"
    with pytest.raises(ShapeError, match=re.escape(message)):
        layer.backward(np.zeros(shape), cache)


@each
@pytest.mark.parametrize("x", ["text", [[1.0]], None, np.full((2, 3), "a"), np.ones((2, 3), object)])
def test_only_arrays_of_numbers_are_taken(layer: Layer, x: object) -> None:
    """Strings, objects and what is not an array are a `DTypeError`, in both passes."""
    for verb in (layer.forward, layer.predict):
        with pytest.raises(DTypeError, match=rf"^{type(layer).__name__} expects an array of numbers, got "):
            verb(x)


@each
@pytest.mark.parametrize("x", [np.array(0.5), np.float64(0.5), np.array(1)])
def test_input_has_an_axis_of_samples(layer: Layer, x: Array) -> None:
    """An array without axes is refused."""
    for verb in (layer.forward, layer.predict):
        with pytest.raises(
            ShapeError, match=rf"^{type(layer).__name__} expects at least an axis of samples, got \(\)$"
        ):
            verb(x)


@each
def test_empty_input_gives_an_empty_result(layer: Layer) -> None:
    """Nothing in, nothing out."""
    y, cache = layer.forward(np.zeros((0, 3)))
    assert y.shape == layer.backward(y, cache).shape == (0, 3)


@each
@pytest.mark.parametrize("grad", ["text", None, [[1.0]]])
def test_only_gradients_of_numbers_are_taken(layer: Layer, grad: object) -> None:
    """Backward refuses what is not an array of numbers, too."""
    with pytest.raises(DTypeError, match=f"{type(layer).__name__} expects an array of numbers"):
        layer.backward(grad, np.full((1, 1), 0.5))


@each
def test_repr_builds_an_equal_layer(layer: Layer) -> None:
    """The repr is a call that builds the same configuration."""
    again = eval(repr(layer), {**globals(), "inf": inf})
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)


def test_numpy_scalars_serve_as_configuration() -> None:
    """A float64 scalar as an argument does not make float64 of float32."""
    x = np.array([[-1.0, 2.0]], np.float32)
    for layer in (LeakyReLU(np.float64(0.1)), ELU(np.float64(0.5)), DeltaTrim(np.float64(0.1), np.float64(0.5))):
        y, cache = layer.forward(x)
        assert y.dtype == layer.backward(x, cache).dtype == np.float32


@pytest.mark.parametrize("value", [-0.1, 1.5, nan, inf, "0.1", None, True])
def test_negative_slope_is_from_0_to_1(value: object) -> None:
    """Any other is refused: it would turn the rectifier upside down."""
    with pytest.raises(ConfigError, match="LeakyReLU: negative_slope expects a number from 0 to 1, got "):
        LeakyReLU(value)


@pytest.mark.parametrize("value", [0, -1.0, nan, inf, "1", None, True])
def test_alpha_is_positive(value: object) -> None:
    """Any other is refused."""
    with pytest.raises(ConfigError, match="ELU: alpha expects a positive finite number, got "):
        ELU(value)


@pytest.mark.parametrize("value", ["exact", "Tanh", None, True, ["tanh"]])
def test_gelu_has_two_forms(value: object) -> None:
    """Any other is refused."""
    with pytest.raises(ConfigError, match="GELU: approximate expects 'none' or 'tanh', got "):
        GELU(value)


@pytest.mark.parametrize("layer", [*FORMULAS, DeltaTrim(), Softmax(), LogSoftmax()], ids=repr)
@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_gradients_of_another_dtype_give_the_wider(layer: Layer, dtypes: tuple[type, type]) -> None:
    """Of two dtypes, the result has that of a product, and its digits; gradient and cache stay as they were."""
    x, grad = np.array([[-1.5, 0.75]], dtypes[0]), np.array([[1 / 3, -0.1]], dtypes[1])
    _, cache = layer.forward(x)
    cache.flags.writeable = grad.flags.writeable = False
    back = layer.backward(grad, cache)
    assert back.dtype == np.float64
    expected = layer.backward(grad.astype(float), cache.astype(float))
    np.testing.assert_array_equal(back, expected)


class SigmoidOfTanh(Activation):
    """An activation whose formula calls other layers."""

    def _forward(self, x: Array) -> tuple[Array, Array]:
        inner = Tanh().predict(x)
        y = sigmoid.predict(inner)
        return y, y * (1 - y) * (1 - inner * inner)


def test_a_formula_may_call_other_layers() -> None:
    """The silence that formulas run in nests: an activation within an activation gives what the two give in turn."""
    x = np.array([[-1000.0, 0.0, 1000.0]])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(SigmoidOfTanh().predict(x), sigmoid.predict(Tanh().predict(x)))
    check_layer(SigmoidOfTanh, (3,), examples=3)


def test_formulas_that_call_other_layers_run_in_two_threads_at_once() -> None:
    """The same, where two threads are within the formula of one layer at a time."""
    both = Barrier(2, timeout=60)

    class Meeting(SigmoidOfTanh):
        def _forward(self, x: Array) -> tuple[Array, Array]:
            both.wait()
            result = super()._forward(x)
            both.wait()
            return result

    x = np.array([[-1000.0, 0.0, 1000.0]])
    layer = Meeting()
    with ThreadPoolExecutor(2) as threads:
        for y in threads.map(layer.predict, [x, x]):
            np.testing.assert_array_equal(y, SigmoidOfTanh().predict(x))
