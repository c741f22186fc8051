"""Layer, RMS and group normalization."""

import re
from math import inf, nan, prod, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import BatchNorm, ConfigError, DTypeError, GroupNorm, Layer, LayerNorm, RMSNorm, ShapeError
from minibackprop.testing import check_layer
from minibackprop.validation import Array
from tests.finite_differences import assert_gradients
from tests.random_models import gradients, leading_axes, seeds

epsilons = st.sampled_from([1e-5, 0.1, 2])
MAKERS = {
    "LayerNorm": lambda **settings: LayerNorm(4, **settings),
    "RMSNorm": lambda **settings: RMSNorm(4, **settings),
    "GroupNorm": lambda **settings: GroupNorm(2, 4, **settings),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def with_random_parameters(layer: Layer, seed: int) -> Layer:
    """Set all parameters to random values."""
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    return layer


def normalized(values: list[float], epsilon: float, *, centred: bool = True) -> list[float]:
    """Normalize some numbers, one at a time."""
    mean = sum(values) / len(values) if centred else 0.0
    square = sum((value - mean) ** 2 for value in values) / len(values)
    return [(value - mean) / sqrt(square + epsilon) for value in values]


@st.composite
def group_norms(draw: st.DrawFn) -> GroupNorm:
    """Draw a `GroupNorm` of up to six channels."""
    groups = draw(st.integers(1, 3))
    return GroupNorm(groups, groups * draw(st.integers(1, 2)), draw(epsilons))


@given(leading=leading_axes, width=st.integers(1, 5), epsilon=epsilons, seed=seeds)
def test_features_are_normalized_by_the_formula(
    leading: tuple[int, ...], width: int, epsilon: float, seed: int
) -> None:
    """`LayerNorm` and `RMSNorm` give, row by row, the formula written out."""
    x = np.random.default_rng(seed).normal(3, 2, (*leading, width))
    for kind in (LayerNorm, RMSNorm):
        layer = with_random_parameters(kind(width, epsilon), seed)
        shift = layer.bias.value if kind is LayerNorm else np.zeros(width)
        y = layer.predict(x)
        for row in np.ndindex(leading):
            n = normalized(x[row].tolist(), epsilon, centred=kind is LayerNorm)
            expected = [w * value + b for w, value, b in zip(layer.weight.value, n, shift, strict=True)]
            np.testing.assert_allclose(y[row], expected, rtol=1e-10, atol=1e-10)


@given(layer=group_norms(), axes=st.lists(st.integers(1, 3), max_size=2), epsilon=epsilons, seed=seeds)
def test_groups_are_normalized_by_the_formula(layer: GroupNorm, axes: list[int], epsilon: float, seed: int) -> None:
    """`GroupNorm` gives, sample by sample and group by group, the formula written out."""
    layer.epsilon = epsilon
    with_random_parameters(layer, seed)
    x = np.random.default_rng(seed).normal(3, 2, (2, layer.num_channels, *axes))
    y, size = layer.predict(x), layer.num_channels // layer.num_groups
    for sample in range(2):
        for group in range(layer.num_groups):
            channels = range(group * size, (group + 1) * size)
            n = iter(normalized([value for c in channels for value in x[sample, c].ravel().tolist()], epsilon))
            for c in channels:
                expected = [layer.weight.value[c] * next(n) + layer.bias.value[c] for _ in range(prod(axes))]
                np.testing.assert_allclose(y[sample, c].ravel(), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=20)
@given(shape=st.sampled_from([(3, 4), (2, 4, 2), (1, 2, 4, 4)]), seed=seeds)
def test_gradients_are_those_of_central_differences(shape: tuple[int, ...], seed: int) -> None:
    """Backward gives the gradients with respect to the input, through the statistics too, and all parameters."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) + np.arange(prod(shape)).reshape(shape)  # No rows of values that are all alike.
    for name, make in MAKERS.items():
        if (shape[1] if name == "GroupNorm" else shape[-1]) == 4:
            assert_gradients(with_random_parameters(make(epsilon=0.1), seed), x, rng)


def test_drawn_group_norms_keep_every_law() -> None:
    """The contract holds for any number of groups."""
    drawn = st.builds(GroupNorm, st.sampled_from([1, 2, 4]), st.just(4), epsilons)
    check_layer(drawn, (4, 3), examples=5)
    check_layer(drawn, (4, 2, 2), examples=3)


@given(seed=seeds)
def test_relations_between_the_norms(seed: int) -> None:
    """One group is a `LayerNorm`; a group for each channel is a `BatchNorm` of one sample."""
    rng = np.random.default_rng(seed)
    x, image = rng.normal(size=(3, 4)), rng.normal(size=(1, 4, 5))
    np.testing.assert_allclose(GroupNorm(1, 4).predict(x), LayerNorm(4).predict(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(GroupNorm(4, 4).predict(image), BatchNorm(4).forward(image)[0], rtol=1e-12, atol=1e-12)
    centred = x - x.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(RMSNorm(4).predict(centred), LayerNorm(4).predict(x), rtol=1e-9, atol=1e-9)


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_values_give_the_shift(make: type, dtype: type) -> None:
    """Rows of equal values are normalized to zeros, not to what rounding left of them; gradients stay finite."""
    layer = make(dtype=dtype)
    for value in (0, 0.1, 1e6 / 3, -1e30):
        x = np.full((9, 4), value, dtype)
        with np.errstate(over="ignore"):
            y, cache = layer.forward(x)
            back = layer.backward(y + 1, cache)
        if layer.bias is not None:
            # A mean of four values is off by 2 eps of them at most; it is taken twice.
            np.testing.assert_allclose(y, 0, atol=abs(value) * (2 * float(np.finfo(dtype).eps)) ** 2 / 1e-5**0.5)
        elif abs(value) < 1e19 or dtype is np.float64:
            np.testing.assert_allclose(y, np.sign(value), rtol=1e-3)  # 0.1 is made smaller by epsilon: by 5e-4 of it.
        assert np.isfinite(back).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_variations_of_large_values_are_normalized(dtype: type) -> None:
    """A mean that is 1e5 times the deviation costs no more digits than x itself has lost."""
    z = np.random.default_rng(0).integers(-8, 9, (3, 99)).astype(float)
    offset = 1e6 if dtype is np.float32 else 1e14
    x = (z + offset).astype(dtype)  # These sums are exact.
    y = LayerNorm(99, 1e-30, dtype=dtype).predict(x)
    expected = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, keepdims=True)
    # As for `BatchNorm`: the mean of 99 values is off by 50 eps of them at most, and taken twice.
    eps, deviation = float(np.finfo(dtype).eps), z.std(axis=1, keepdims=True)
    rounding = ((50 * eps) ** 2 * offset + 50 * eps * 8) / deviation + 30 * eps * np.abs(expected)
    assert (np.abs(y - expected) <= rounding).all()


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_gradients_of_float64_input_are_exact_whatever_the_dtype_of_the_weight(kind: type) -> None:
    """A weight in float32 stands for the same numbers in float64."""
    layer = with_random_parameters(kind(3, dtype=np.float32), 0)
    x, grad = np.random.default_rng(0).normal(size=(2, 5, 3))
    found, expected = (each.backward(grad, each.forward(x)[1]) for each in (layer, layer.astype(np.float64)))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@each
def test_float32_stays_float32(make: type) -> None:
    """float32 in, float32 out, gradients included, also with settings that are NumPy scalars."""
    x = np.random.default_rng(0).normal(size=(2, 4, 4))
    found = []
    for dtype in (np.float32, np.float64):
        layer = make(epsilon=np.float64(1e-5), dtype=dtype)
        y, cache = layer.forward(x.astype(dtype))
        found.append([y, layer.backward(x.astype(dtype)[::-1], cache), *gradients(layer)])
    for narrow, wide in zip(*found, strict=True):
        assert narrow.dtype == np.float32
        np.testing.assert_allclose(narrow, wide, rtol=1e-4, atol=1e-5)


@each
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_integers_are_taken_as_numbers(make: type, dtype: type) -> None:
    """Integers and booleans give what the same float64 numbers give: their sums do not wrap around."""
    x = np.array([[0, 1, 120, 100], [100, 90, 0, 99]]).astype(dtype)
    np.testing.assert_array_equal(make().predict(x), make().predict(x.astype(float)))


@each
def test_no_samples_give_none(make: type) -> None:
    """No rows in, none out, and gradients of 0; the same for images without pixels."""
    for shape in [(0, 4), (0, 4, 4)] + [(2, 4, 0)] * (make is MAKERS["GroupNorm"]):
        layer = make()
        y, cache = layer.forward(np.ones(shape))
        assert y.shape == layer.backward(y, cache).shape == shape
        assert not any(grad.any() for grad in gradients(layer))


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
@pytest.mark.parametrize("shape", [(), (4,), (5, 4), (5, 1), (3, 5), (0, 4)])
def test_wrong_feature_count_is_refused(kind: type, shape: tuple[int, ...]) -> None:
    """Input whose last axis is not `num_features` long is a `ShapeError` that says so."""
    for verb in (kind(3).forward, kind(3).predict):
        with pytest.raises(ShapeError, match=re.escape(f"{kind.__name__} expects (..., 3), got {shape}")):
            verb(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (4,), (5, 2), (5, 1), (4, 5), (2, 3, 4)])
def test_wrong_channel_count_is_refused(shape: tuple[int, ...]) -> None:
    """Input whose axis 1 is not `num_channels` long is a `ShapeError` that says so."""
    for verb in (GroupNorm(2, 4).forward, GroupNorm(2, 4).predict):
        with pytest.raises(ShapeError, match=re.escape(f"GroupNorm expects (N, 4) or (N, 4, ...), got {shape}")):
            verb(np.zeros(shape))


@each
@pytest.mark.parametrize("x", ["text", [[1.0] * 4], None, np.full((2, 4), "a"), np.ones((2, 4), object)])
def test_only_arrays_of_numbers_are_taken(make: type, x: object) -> None:
    """Strings, objects, what is not an array, and complex numbers are a `DTypeError`."""
    layer = make()
    name = type(layer).__name__
    with pytest.raises(DTypeError, match=f"^{name} expects an array of numbers, got "):
        layer.forward(x)
    with pytest.raises(DTypeError, match=f"^{name} expects real numbers, got "):
        layer.forward(np.ones((2, 4), complex))


@each
@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 1), (4, 4), (3, 4, 1), ()])
def test_wrong_gradient_is_refused(make: type, shape: tuple[int, ...]) -> None:
    """A gradient that does not have the shape of the output is refused, and nothing is added to any parameter."""
    layer = make()
    _, cache = layer.forward(np.arange(12.0).reshape(3, 4))
    for verb in (layer.backward, layer.accumulate):
        with pytest.raises(ShapeError, match=rf"{type(layer).__name__} expects a gradient of shape \(3, 4\)"):
            verb(np.zeros(shape), cache)
        with pytest.raises(DTypeError, match="expects an array of numbers"):
            verb("text", cache)
    assert not any(grad is not None for grad in gradients(layer))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerNorm(0), "LayerNorm: num_features expects a positive integer, got 0"),
        (lambda: RMSNorm(2.0), "RMSNorm: num_features expects a positive integer, got 2.0"),
        (lambda: LayerNorm(2, 0), "LayerNorm: epsilon expects a positive finite number, got 0"),
        (lambda: RMSNorm(2, inf), "RMSNorm: epsilon expects a positive finite number, got inf"),
        (lambda: GroupNorm(1, 2, nan), "GroupNorm: epsilon expects a positive finite number, got nan"),
        (lambda: LayerNorm(2, dtype=int), "LayerNorm: dtype expects a floating-point dtype, got int64"),
        (lambda: GroupNorm(1, 2, dtype=np.float16), "GroupNorm: dtype expects float32 or a wider .* got float16"),
        (lambda: GroupNorm(0, 2), "GroupNorm: num_groups expects a positive integer, got 0"),
        (lambda: GroupNorm(2, True), "GroupNorm: num_channels expects a positive integer, got True"),
        (lambda: GroupNorm(4, 6), "GroupNorm: num_groups expects a divisor of num_channels=6, got 4"),
        (lambda: GroupNorm(6, 3), "GroupNorm: num_groups expects a divisor of num_channels=3, got 6"),
    ],
)
def test_bad_configuration_is_refused(make: type, message: str) -> None:
    """Each argument is checked at construction."""
    with pytest.raises(ConfigError, match=message):
        make()


def test_repr_builds_an_equal_layer() -> None:
    """The repr is a call that builds the same configuration."""
    for layer in (LayerNorm(3), RMSNorm(3, 1e-8), GroupNorm(2, 4, 0.1)):
        assert repr(eval(repr(layer))) == repr(layer)
    assert repr(GroupNorm(2, 4)) == "GroupNorm(num_groups=2, num_channels=4, epsilon=1e-05)"


@each
@given(seed=seeds)
def test_arguments_are_not_written_to(make: type, seed: int) -> None:
    """Read-only and reversed input and gradients serve, and what is returned or stored shares no memory with them."""
    x, grad = np.random.default_rng(seed).normal(size=(2, 3, 4, 4))[:, ::-1]
    x.flags.writeable = grad.flags.writeable = False
    layer = make()
    y, cache = layer.forward(x)
    results: list[Array] = [y, layer.backward(grad, cache), *gradients(layer)]
    for result in results:
        for other in (x, grad, *cache[:2], *(parameter.value for parameter in layer.parameters())):
            assert not np.shares_memory(result, other)
