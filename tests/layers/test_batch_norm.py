import re
from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    BatchNorm,
    ConfigError,
    Dense,
    DTypeError,
    MeanSquaredError,
    Sequential,
    ShapeError,
    Trainer,
)
from minibackprop.validation import Array
from tests.finite_differences import assert_gradients
from tests.random_models import gradients, seeds

shapes = st.tuples(st.integers(2, 5), st.integers(1, 3)) | st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(2, 3), st.integers(1, 3)
)


def random_norm(channels: int, rng: np.random.Generator, **configuration: float) -> BatchNorm:
    """Make a `BatchNorm` with random scales, shifts and running statistics."""
    norm = BatchNorm(channels, **configuration)
    norm.weight.value[...], norm.bias.value[...] = rng.normal(size=(2, channels))
    norm.running_mean.value, norm.running_var.value = rng.normal(size=channels), rng.uniform(0.5, 2, channels)
    return norm


def channels(x: Array) -> list[list[float]]:
    """List the values of each channel."""
    return [x[:, c].ravel().tolist() for c in range(x.shape[1])]


def statistics(values: list[float]) -> tuple[float, float]:
    """Compute the mean and the variance, divided by the number of values, one value at a time."""
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / len(values)


@given(shape=shapes, epsilon=st.sampled_from([1e-5, 0.1, 2]), seed=seeds)
def test_values_are_those_of_the_formula(shape: tuple[int, ...], epsilon: float, seed: int) -> None:
    """Forward takes the batch's own statistics, channel by channel; `predict` takes the running ones."""
    rng = np.random.default_rng(seed)
    x, norm = rng.normal(3, 2, shape), random_norm(shape[1], rng, epsilon=epsilon)
    running = zip(norm.running_mean.value.tolist(), norm.running_var.value.tolist(), strict=True)
    predicted, (y, _) = norm.predict(x), norm.forward(x)
    scales = zip(norm.weight.value.tolist(), norm.bias.value.tolist(), strict=True)
    for c, (values, (gain, shift), kept) in enumerate(zip(channels(x), scales, running, strict=True)):
        for (mean, variance), found in ((statistics(values), y), (kept, predicted)):
            expected = [gain * (value - mean) / sqrt(variance + epsilon) + shift for value in values]
            np.testing.assert_allclose(found[:, c].ravel(), expected, rtol=1e-10, atol=1e-10)


@given(shape=shapes, seed=seeds)
def test_gradients_are_those_of_central_differences(shape: tuple[int, ...], seed: int) -> None:
    """Backward gives the gradients with respect to the input, through mean and variance too, and both parameters."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) + np.arange(np.prod(shape)).reshape(shape)  # No channel of values that are all alike.
    assert_gradients(random_norm(shape[1], rng, epsilon=0.1), x, rng)


@given(shape=shapes, seed=seeds)
def test_gradient_is_that_of_the_whole_jacobian(shape: tuple[int, ...], seed: int) -> None:
    """Backward is the product with the matrix of the docs, (1 - 1/m - n n/m) * weight / s, channel by channel."""
    rng = np.random.default_rng(seed)
    x, grad, norm = rng.normal(size=shape), rng.normal(size=shape), random_norm(shape[1], rng)
    back = norm.backward(grad, norm.forward(x)[1])
    for c, values in enumerate(channels(x)):
        mean, variance = statistics(values)
        n, m = (np.array(values) - mean) / sqrt(variance + 1e-5), len(values)
        jacobian = (np.eye(m) - 1 / m - np.outer(n, n) / m) * norm.weight.value[c] / sqrt(variance + 1e-5)
        expected = jacobian.T @ grad[:, c].ravel()
        np.testing.assert_allclose(back[:, c].ravel(), expected, rtol=1e-8, atol=1e-8 * (1 + np.abs(jacobian).max()))
        np.testing.assert_allclose(norm.weight.grad[c], grad[:, c].ravel() @ n, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(norm.bias.grad[c], grad[:, c].sum(), rtol=1e-9, atol=1e-9)


@given(shape=st.tuples(*[st.integers(1, 3)] * 4).filter(lambda shape: np.prod(shape) > shape[1]), seed=seeds)
def test_image_is_a_batch_of_its_pixels(shape: tuple[int, ...], seed: int) -> None:
    """An image-shaped batch gives what its pixels give as samples: results, gradients and running statistics."""
    rng = np.random.default_rng(seed)
    x, grad = rng.normal(size=(2, *shape))
    image, flat = (random_norm(shape[1], np.random.default_rng(seed)) for _ in range(2))

    def pixels(array: Array) -> Array:
        return np.moveaxis(array, 1, -1).reshape(-1, shape[1])

    (y, cache), (rows, row_cache) = image.forward(x), flat.forward(pixels(x))
    np.testing.assert_allclose(pixels(y), rows, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(pixels(image.predict(x)), flat.predict(pixels(x)), rtol=1e-12, atol=1e-12)
    back, row_back = image.backward(grad, cache), flat.backward(pixels(grad), row_cache)
    np.testing.assert_allclose(pixels(back), row_back, rtol=1e-6, atol=1e-8)
    for one, other in zip(gradients(image), gradients(flat), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    for name, value in image.state_dict().items():
        np.testing.assert_allclose(value, flat.state_dict()[name], rtol=1e-12, atol=1e-12)


@given(momentum=st.floats(0, 1) | st.sampled_from([0, 1, np.float64(0.5)]), seed=seeds)
def test_running_statistics_are_weighted_averages(momentum: float, seed: int) -> None:
    """After some batches, they are the sum of the batches' statistics, the variance unbiased, in fading weights."""
    rng = np.random.default_rng(seed)
    norm = BatchNorm(2, momentum)
    batches = [rng.normal(5, 3, (rng.integers(2, 6), 2)) for _ in range(4)]
    for x in batches:
        norm.forward(x)
    weights = [momentum * (1 - momentum) ** age for age in (3, 2, 1, 0)]
    first = (1 - momentum) ** 4
    for c in range(2):
        found = [statistics(x[:, c].tolist()) for x in batches]
        mean = sum(w * mean for w, (mean, _) in zip(weights, found, strict=True))
        unbiased = [variance * len(x) / (len(x) - 1) for (_, variance), x in zip(found, batches, strict=True)]
        variance = first + sum(w * v for w, v in zip(weights, unbiased, strict=True))
        assert norm.running_mean.value[c] == pytest.approx(mean, rel=1e-9, abs=1e-9)
        assert norm.running_var.value[c] == pytest.approx(variance, rel=1e-9, abs=1e-9)


def test_prediction_after_training_is_that_of_training() -> None:
    """Once the running statistics have met those of the data, a batch is predicted as it is in training."""
    x = np.random.default_rng(0).normal([2, -300], [0.1, 50], (1000, 2))
    norm = BatchNorm(2)
    for _ in range(300):
        y, _ = norm.forward(x)
    # The running variance is the unbiased one, which is larger by a thousandth.
    np.testing.assert_allclose(norm.predict(x), y, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(norm.predict(x[:1]), y[:1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_variations_of_large_values_are_normalized(dtype: type) -> None:
    """A mean that is 1e5 times the deviation costs no more digits than x itself has lost."""
    z = np.random.default_rng(0).integers(-8, 9, (99, 2)).astype(float)
    offsets = np.array([16, 1e6 if dtype is np.float32 else 1e14])
    x = (z + offsets).astype(dtype)  # These sums are exact.
    norm = BatchNorm(2, momentum=1, epsilon=1e-30, dtype=dtype)
    y, _ = norm.forward(x)
    eps = float(np.finfo(dtype).eps)
    # However they are added up, the mean of 99 values is off by 50 eps of them at most. It is taken twice: of x, and of
    # what then is left, which is 8 or less.
    rounding = (50 * eps) ** 2 * offsets + 50 * eps * 8
    assert (np.abs(norm.running_mean.value - (z.mean(axis=0) + offsets)) <= rounding + 2 * eps * offsets).all()
    # The variance is a mean, too, of which the root is taken.
    expected, deviation = (z - z.mean(axis=0)) / z.std(axis=0), z.std(axis=0)
    assert (np.abs(y - expected) <= rounding / deviation + 30 * eps * np.abs(expected)).all()


@pytest.mark.parametrize("value", [0, 0.1, 1e6 / 3, -1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_channel_gives_its_shift(value: float, dtype: type) -> None:
    """A channel of equal values is normalized to zeros, not to what rounding left of them."""
    norm = BatchNorm(1, dtype=dtype)
    norm.bias.value[...] = 0.5
    x = np.full((99, 1), value, dtype)
    y, cache = norm.forward(x)
    # However they are added up, the mean of 99 values is off by 50 eps of them at most; it is taken twice.
    np.testing.assert_allclose(y, 0.5, rtol=0, atol=abs(value) * (50 * float(np.finfo(dtype).eps)) ** 2 / 1e-5**0.5)
    assert np.isfinite(norm.backward(np.ones_like(y), cache)).all()


def test_tiny_variance_is_bounded_by_epsilon() -> None:
    """Channels that hardly vary are scaled by 1 / sqrt(epsilon) at most."""
    x = np.array([[1e-9], [-1e-9]])
    np.testing.assert_allclose(BatchNorm(1).forward(x)[0], x / sqrt(1e-5))
    np.testing.assert_allclose(BatchNorm(1, epsilon=1e-24).forward(x)[0], [[1], [-1]], rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 2), (3, 2, 4), (2, 2, 3, 2)])
def test_float32_stays_float32(shape: tuple[int, ...]) -> None:
    """A float32 layer gives float32 results, gradients and running statistics, near those of float64."""
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(2, *shape))
    wide = random_norm(2, rng)
    narrow = wide.astype(np.float32)
    found = []
    for layer, dtype in ((narrow, np.float32), (wide, np.float64)):
        y, cache = layer.forward(x.astype(dtype))
        back = layer.backward(grad.astype(dtype), cache)
        found.append([y, layer.predict(x.astype(dtype)), back, *gradients(layer), *layer.state_dict().values()])
    for ours, exact in zip(*found, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_integers_are_taken_as_numbers(dtype: type) -> None:
    """Integers and booleans give what the same float64 numbers give: neither their sums nor differences wrap around."""
    x = (np.array([[0, 1], [100, 90], [120, 1], [90, 100]]) if dtype is not np.bool_ else np.eye(2)).astype(dtype)
    y, _ = BatchNorm(2).forward(x)
    np.testing.assert_array_equal(y, BatchNorm(2).forward(x.astype(float))[0])
    np.testing.assert_array_equal(BatchNorm(2).predict(x), BatchNorm(2).predict(x.astype(float)))


def test_running_statistics_are_new_arrays() -> None:
    """What others hold of the running statistics, or of a copy's, stays as it was."""
    norm = BatchNorm(2)
    held = norm.running_mean.value, norm.running_var.value
    norm.forward(np.array([[1.0, 2.0], [3.0, 5.0]]))
    np.testing.assert_array_equal(held, [[0, 0], [1, 1]])
    np.testing.assert_allclose(norm.running_mean.value, [0.2, 0.35])
    assert not np.shares_memory(norm.running_mean.value, held[0])


@pytest.mark.parametrize("bad", [nan, inf, -inf, 1e200])
def test_batch_that_is_not_finite_is_not_remembered(bad: float) -> None:
    """NaN and infinity, or an overflow, do not get into the running statistics, of any channel."""
    norm = BatchNorm(2)
    x = np.array([[1.0, 2.0], [3.0, bad], [0.0, 1.0]])
    with np.errstate(all="ignore"):
        y, _ = norm.forward(x)
    assert np.isfinite(y[:, 0]).all()
    np.testing.assert_array_equal(y[:, 1], norm.bias.value[1] if bad == 1e200 else nan)
    assert norm.running_mean.value.tolist() == [0, 0]
    assert norm.running_var.value.tolist() == [1, 1]


def test_statistics_are_saved_and_not_trained() -> None:
    """The running statistics are in the state, in copies and casts, and are not parameters."""
    norm = BatchNorm(2)
    norm.forward(np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert [name for name, _ in norm.named_parameters()] == ["weight", "bias"]
    assert list(norm.state_dict()) == ["weight", "bias", "running_mean", "running_var"]
    fresh = BatchNorm(2)
    fresh.load_state_dict(norm.state_dict())
    x = np.array([[7.0, -1.0]])
    np.testing.assert_array_equal(fresh.predict(x), norm.predict(x))
    assert norm.astype(np.float32).running_var.value.dtype == np.float32


@pytest.mark.parametrize(("width", "shape"), [(3, (1, 3)), (3, (0, 3)), (2, (1, 2, 1, 1)), (2, (3, 2, 0))])
def test_single_value_cannot_be_trained_on(width: int, shape: tuple[int, ...]) -> None:
    """A channel of one value, or none, is refused in training with what to do; it is predicted as any other."""
    norm = BatchNorm(width)
    message = "BatchNorm expects two values of each channel to train on (larger batches, or drop_last=True), got "
    with pytest.raises(ShapeError, match=f"^{re.escape(message + str(shape))}$"):
        norm.forward(np.ones(shape))
    assert norm.predict(np.ones(shape)).shape == shape
    assert norm.running_mean.value.tolist() == [0] * width


def test_one_image_can_be_trained_on() -> None:
    """A batch of one image has as many values for each channel as it has pixels."""
    y, _ = BatchNorm(2).forward(np.arange(8.0).reshape(1, 2, 4))
    np.testing.assert_allclose(y.mean(axis=2), 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (3,), (4, 2), (4, 4), (4, 1), (3, 4), (2, 4, 3), (0, 1)])
def test_wrong_channel_count_is_refused(shape: tuple[int, ...]) -> None:
    """Input whose axis 1 is not `num_features` long is a `ShapeError` that says so, in both passes."""
    for verb in (BatchNorm(3).forward, BatchNorm(3).predict):
        with pytest.raises(ShapeError, match=re.escape(f"BatchNorm expects (N, 3) or (N, 3, ...), got {shape}")):
            verb(np.zeros(shape))


@pytest.mark.parametrize("x", ["text", [[1.0, 2.0]], None, np.full((2, 2), "a"), np.ones((2, 2), object)])
def test_only_arrays_of_numbers_are_taken(x: object) -> None:
    """Strings, objects and what is not an array are a `DTypeError`, and leave no trace."""
    norm = BatchNorm(2)
    for verb in (norm.forward, norm.predict):
        with pytest.raises(DTypeError, match=r"^BatchNorm expects an array of numbers, got "):
            verb(x)
    with pytest.raises(DTypeError, match=r"^BatchNorm expects real numbers, got "):
        norm.forward(np.ones((2, 2), complex))
    assert norm.running_var.value.tolist() == [1, 1]


@pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 1), (3, 3), (4, 3, 1), ()])
def test_wrong_gradient_is_refused(shape: tuple[int, ...]) -> None:
    """A gradient that does not have the shape of the output is refused, and nothing is added to any parameter."""
    norm = BatchNorm(3)
    _, cache = norm.forward(np.arange(12.0).reshape(4, 3))
    for verb in (norm.backward, norm.accumulate):
        with pytest.raises(ShapeError, match=r"BatchNorm expects a gradient of shape \(4, 3\)"):
            verb(np.zeros(shape), cache)
        with pytest.raises(DTypeError, match="gradient of floating-point numbers"):
            verb(np.zeros((4, 3), int), cache)
        with pytest.raises(DTypeError, match="BatchNorm expects an array of numbers"):
            verb("text", cache)
    assert gradients(norm) == [None, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_features": 0}, "num_features expects a positive integer, got 0"),
        ({"num_features": 2.0}, "num_features expects a positive integer, got 2.0"),
        ({"momentum": -0.1}, "momentum expects a number from 0 to 1, got -0.1"),
        ({"momentum": 1.1}, "momentum expects a number from 0 to 1, got 1.1"),
        ({"momentum": nan}, "momentum expects a number from 0 to 1, got nan"),
        ({"momentum": None}, "momentum expects a number from 0 to 1, got None"),
        ({"momentum": True}, "momentum expects a number from 0 to 1, got True"),
        ({"epsilon": 0}, "epsilon expects a positive finite number, got 0"),
        ({"epsilon": inf}, "epsilon expects a positive finite number, got inf"),
        ({"dtype": int}, "dtype expects a floating-point dtype, got int64"),
        ({"dtype": np.float16}, "dtype expects float32 or a wider floating-point dtype, got float16"),
    ],
)
def test_bad_configuration_is_refused(arguments: dict[str, object], message: str) -> None:
    """Each argument is checked at construction, the settings also when they are changed."""
    with pytest.raises(ConfigError, match=f"BatchNorm: {message}"):
        BatchNorm(**{"num_features": 2, **arguments})
    if "dtype" not in arguments:
        norm = BatchNorm(2)
        with pytest.raises(ConfigError, match=f"BatchNorm: {message}"):
            setattr(norm, *next(iter(arguments.items())))


@given(seed=seeds)
def test_settings_of_numpy_leave_float32_alone(seed: int) -> None:
    """Settings given as NumPy scalars do not make float64 of float32."""
    norm = BatchNorm(2, np.float64(0.1), np.float64(1e-5), dtype=np.float32)
    x = np.random.default_rng(seed).normal(size=(3, 2)).astype(np.float32)
    y, cache = norm.forward(x)
    for array in (y, norm.backward(y, cache), norm.predict(x), *norm.state_dict().values()):
        assert array.dtype == np.float32


def test_repr_builds_an_equal_layer() -> None:
    """The repr is a call that builds the same configuration."""
    assert repr(BatchNorm(3, 0.2)) == "BatchNorm(num_features=3, momentum=0.2, epsilon=1e-05)"
    assert repr(eval(repr(BatchNorm(3, 0.2)))) == repr(BatchNorm(3, 0.2))


def test_bias_before_normalization_gets_no_gradient() -> None:
    """A shift of all samples is undone by the mean: the bias of a `Dense` before it has the gradient 0."""
    model = Sequential([Dense(3, 2, rng=0), BatchNorm(2)])
    rng = np.random.default_rng(0)
    y, caches = model.forward(rng.normal(size=(5, 3)))
    model.backward(rng.normal(size=y.shape), caches)
    np.testing.assert_allclose(model[0].bias.grad, 0, atol=1e-12)
    assert np.abs(model[0].weight.grad).min() > 1e-3


def test_badly_scaled_data_train() -> None:
    """A linear fit of features that are scales apart, hopeless for plain descent, ends near the truth."""
    rng = np.random.default_rng(0)
    x = rng.normal([0, 1e4], [1e-3, 10], (64, 2))
    y = 1000 * x[:, :1] - (x[:, 1:] - 1e4) / 10
    model = Sequential([BatchNorm(2), Dense(2, 1, rng=1)])
    Trainer(model, MeanSquaredError(), SGD(0.1)).fit(x, y, epochs=200)
    assert MeanSquaredError()(model.predict(x), y) < 1e-2 * y.var()


@given(shape=shapes, seed=seeds, read_only=st.booleans())
def test_arguments_are_not_written_to(shape: tuple[int, ...], seed: int, read_only: bool) -> None:
    """Read-only and reversed input and gradients serve, and what is returned or stored shares no memory with them."""
    rng = np.random.default_rng(seed)
    x, grad = rng.normal(size=(2, *shape))[:, ::-1]
    x.flags.writeable = grad.flags.writeable = not read_only
    norm = random_norm(shape[1], rng)
    y, cache = norm.forward(x)
    back = norm.backward(grad, cache)
    for result in (y, back, norm.predict(x), *gradients(norm)):
        for other in (x, grad, *cache, *(buffer.value for buffer in (norm.weight, norm.bias, norm.running_mean))):
            assert not np.shares_memory(result, other)


@pytest.mark.parametrize("size", [1.0, 1e10, 1e15])
@pytest.mark.parametrize("steep", [1.0, 1e25])
def test_products_of_large_gradients_may_overflow(size: float, steep: float) -> None:
    """Backward is that of float64 where the sum of ``dL/dy * (x - mean)`` overflows, but that of dL/dy * n does not."""
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(2, 6, 3))
    wide = BatchNorm(3)
    narrow = wide.astype(np.float32)
    _, exact = wide.forward(x * size)
    _, cache = narrow.forward((x * size).astype(np.float32))
    expected, found = wide.backward(grad * steep, exact), narrow.backward((grad * steep).astype(np.float32), cache)
    assert found.dtype == np.float32
    # A few dozen roundings, of sums up to ten times larger than what is left of them.
    np.testing.assert_allclose(found * size / steep, expected * size / steep, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(narrow.weight.grad / steep, wide.weight.grad / steep, rtol=1e-4, atol=1e-5)


def test_gradient_is_zero_where_the_variance_overflows() -> None:
    """Where y is the bias alone, however x is, no gradient of x or of the weight is left, whatever comes back."""
    norm = BatchNorm(3).astype(np.float32)
    x, grad = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    y, cache = norm.forward(x * np.float32(1e30))
    assert not y.any()
    assert not norm.backward(grad * np.float32(1e30), cache).any()
    assert not norm.weight.grad.any()
