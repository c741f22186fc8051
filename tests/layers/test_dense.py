import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import ConfigError, Dense, DTypeError, GlorotUniform, ShapeError, Zeros
from minibackprop.validation import Array
from tests.finite_differences import assert_gradients
from tests.random_models import gradients, leading_axes, random_dense, seeds, widths


@given(inputs=widths, outputs=widths, leading=leading_axes, bias=st.booleans(), seed=seeds)
def test_gradients_are_those_of_central_differences(
    inputs: int, outputs: int, leading: tuple[int, ...], bias: bool, seed: int
) -> None:
    """Backward gives the gradients with respect to x, W and b, over any number of leading axes."""
    rng = np.random.default_rng(seed)
    assert_gradients(random_dense(inputs, outputs, rng, bias), rng.normal(size=(*leading, inputs)), rng)


@given(inputs=widths, outputs=widths, leading=leading_axes, bias=st.booleans(), seed=seeds)
def test_leading_axes_are_rows(inputs: int, outputs: int, leading: tuple[int, ...], bias: bool, seed: int) -> None:
    """Any leading axes give what the rows give one by one: result, input gradient, and the sum of the parameters'."""
    rng = np.random.default_rng(seed)
    dense = random_dense(inputs, outputs, rng, bias)
    x, grad = rng.normal(size=(*leading, inputs)), rng.normal(size=(*leading, outputs))

    y, cache = dense.forward(x)
    back = dense.backward(grad, cache)
    together = gradients(dense)
    dense.clear_gradients()
    rows = np.empty((*leading, outputs)), np.empty_like(x)
    for index in np.ndindex(leading):
        rows[0][index], row_cache = dense.forward(x[index])
        rows[1][index] = dense.backward(grad[index], row_cache)

    np.testing.assert_allclose(y, rows[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(back, rows[1], rtol=1e-12, atol=1e-12)
    for whole, summed in zip(together, gradients(dense), strict=True):
        np.testing.assert_allclose(whole, summed, rtol=1e-12, atol=1e-12)


@given(leading=leading_axes, bias=st.booleans(), seed=seeds)
def test_float32_stays_float32(leading: tuple[int, ...], bias: bool, seed: int) -> None:
    """A float32 layer gives float32 results and gradients for float32 input, near those of float64."""
    rng = np.random.default_rng(seed)
    wide = random_dense(3, 2, rng, bias)
    narrow = wide.astype(np.float32)
    x, grad = rng.normal(size=(*leading, 3)), rng.normal(size=(*leading, 2))
    found = []
    for layer, dtype in ((narrow, np.float32), (wide, np.float64)):
        y, cache = layer.forward(x.astype(dtype))
        found.append([y, layer.predict(x.astype(dtype)), layer.backward(grad.astype(dtype), cache), *gradients(layer)])
    for ours, exact in zip(*found, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
@pytest.mark.parametrize("weights", [np.float64, np.float32])
def test_integers_are_promoted_as_numpy_does(dtype: type, weights: type) -> None:
    """Integer and boolean input gives what the same numbers give in the dtype that NumPy promotes to."""
    dense = Dense(3, 2, dtype=weights, rng=0)
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    promoted = np.result_type(dtype, weights)
    y = dense.predict(x)
    assert y.dtype == promoted
    np.testing.assert_array_equal(y, dense.predict(x.astype(promoted)))


@pytest.mark.parametrize("leading", [(0,), (0, 5), (5, 0)])
def test_empty_batch_gives_an_empty_result(leading: tuple[int, ...]) -> None:
    """No rows in, no rows out, and gradients of 0."""
    dense = Dense(3, 2, rng=0)
    y, cache = dense.forward(np.zeros((*leading, 3)))
    assert y.shape == dense.predict(np.zeros((*leading, 3))).shape == (*leading, 2)
    assert dense.backward(y, cache).shape == (*leading, 3)
    assert not any(grad.any() for grad in gradients(dense))


@given(seed=seeds, sizes=st.tuples(widths, widths))
def test_same_seed_same_weights(seed: int, sizes: tuple[int, int]) -> None:
    """The draws depend on the seed alone, not on the dtype or the bias; the bias starts at 0."""
    one, other = Dense(*sizes, rng=seed), Dense(*sizes, bias=False, dtype=np.float32, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(one.weight.value.astype(np.float32), other.weight.value)
    assert one.weight.value.tobytes() == GlorotUniform()(sizes, seed).tobytes()
    assert not one.bias.value.any()
    assert other.bias is None


def test_init_is_any_callable() -> None:
    """`init` is called with the shape and the source of random numbers, and its result is cast and copied."""
    made = np.arange(6).reshape(2, 3)
    dense = Dense(2, 3, init=lambda *_: made, dtype=np.float32)
    made += 1
    assert dense.weight.value.dtype == np.float32
    np.testing.assert_array_equal(dense.weight.value, made - 1)
    assert not Dense(2, 3, init=Zeros()).weight.value.any()


@pytest.mark.parametrize(
    ("init", "message"),
    [
        (GlorotUniform, "expects a callable of .*, got the class GlorotUniform itself"),
        (np.zeros((2, 3)), "expects a callable of .*, got ndarray"),
        (lambda shape, rng: [[0.0] * 3] * 2, "expects to make an array of finite numbers, .* got list"),  # noqa: ARG005
        (lambda shape, rng: np.full(shape, np.nan), "expects to make an array of finite numbers"),  # noqa: ARG005
        (lambda shape, rng: np.full(shape, "0"), "expects to make an array of finite numbers"),  # noqa: ARG005
    ],
)
def test_bad_init_is_refused(init: object, message: str) -> None:
    """What cannot make weights is refused at construction."""
    with pytest.raises(ConfigError, match=f"Dense: init {message}"):
        Dense(2, 3, init=init)


def test_init_must_give_the_shape_it_was_asked_for() -> None:
    """Weights of another shape are refused at construction, not at the first call."""
    with pytest.raises(
        ConfigError, match=r"Dense: init expects to make an array of finite numbers, of shape \(2, 3\), got .*\(3, 2\)"
    ):
        Dense(2, 3, init=lambda shape, _: np.zeros(shape[::-1]))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "3", None])
def test_sizes_are_positive_integers(size: object) -> None:
    """Anything but a positive integer is refused as a size, by the name of the argument."""
    with pytest.raises(ConfigError, match=f"Dense: in_features expects a positive integer, got {size!r}"):
        Dense(size, 1)
    with pytest.raises(ConfigError, match=f"Dense: out_features expects a positive integer, got {size!r}"):
        Dense(1, size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bias": 1}, "Dense: bias expects True or False, got 1"),
        ({"dtype": int}, "Dense: dtype expects a floating-point dtype, got int64"),
        ({"dtype": "half"}, "Dense: dtype expects float32 or a wider floating-point dtype, got float16"),
        ({"dtype": complex}, "Dense: dtype expects a floating-point dtype, got complex128"),
        ({"dtype": "text"}, "Dense: dtype expects a floating-point dtype, got 'text'"),
        ({"rng": -1}, "rng expects a Generator, a RandomState, a seed of at least 0, or None, got -1"),
        ({"rng": "seed"}, "rng expects a Generator, .*, got 'seed'"),
    ],
)
def test_bad_configuration_is_refused(arguments: dict[str, object], message: str) -> None:
    """Each argument is checked at construction."""
    with pytest.raises(ConfigError, match=message):
        Dense(2, 3, **arguments)


@pytest.mark.parametrize("shape", [(), (4,), (5, 4), (5, 2), (3, 5), (2, 5, 4), (0, 5, 4), (3, 1)])
def test_wrong_feature_count_is_refused(shape: tuple[int, ...]) -> None:
    """Input whose last axis is not `in_features` long is a `ShapeError` that says so, in both passes."""
    for verb in (Dense(3, 2).forward, Dense(3, 2).predict):
        with pytest.raises(ShapeError, match=rf"^Dense expects \(\.\.\., 3\), got {re.escape(str(shape))}$"):
            verb(np.zeros(shape))


@pytest.mark.parametrize("x", ["text", [[1.0, 2.0, 3.0]], None, np.full((2, 3), "a"), np.ones((2, 3), object)])
def test_only_arrays_of_numbers_are_taken(x: object) -> None:
    """Strings, objects and what is not an array are a `DTypeError`."""
    for verb in (Dense(3, 2).forward, Dense(3, 2).predict):
        with pytest.raises(DTypeError, match=r"^Dense expects an array of numbers, got "):
            verb(x)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("x", "grad"),
    [
        ((5, 3), (5, 4)), ((5, 3), (4, 2)), ((5, 3), (1, 2)), ((5, 3), (2,)), ((5, 3), (5,)), ((5, 3), ()),
        ((5, 3), (1, 5, 2)), ((3,), (1, 2)), ((2, 5, 3), (10, 2)), ((2, 5, 3), (5, 2, 2)), ((1, 3), (2,)),
    ],
)  # fmt: skip
def test_wrong_gradient_is_refused(bias: bool, x: tuple[int, ...], grad: tuple[int, ...]) -> None:
    """A gradient that does not have the shape of the output is refused, and nothing is added to any parameter."""
    dense = Dense(3, 2, bias)
    _, cache = dense.forward(np.zeros(x))
    for verb in (dense.backward, dense.accumulate):
        with pytest.raises(ShapeError, match=re.escape(f"expects a gradient of shape {(*x[:-1], 2)}, got {grad}")):
            verb(np.zeros(grad), cache)
    assert not any(found is not None for found in gradients(dense))


def test_repr_builds_an_equal_layer() -> None:
    """The repr is a call that builds the same configuration."""
    for dense in (Dense(3, 2), Dense(out_features=1, in_features=4, bias=False)):
        again = eval(repr(dense))
        assert repr(again) == repr(dense)
        assert [p.value.shape for p in again.parameters()] == [p.value.shape for p in dense.parameters()]


def test_weights_are_not_compared() -> None:
    """Layers are equal only to themselves, and hash, whatever their arrays hold."""
    one, other = Dense(2, 2, rng=0), Dense(2, 2, rng=0)
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def read_only(array: Array) -> Array:
    """Lock `array`."""
    array.flags.writeable = False
    return array


@given(leading=leading_axes, bias=st.booleans(), seed=seeds)
def test_arguments_are_not_written_to(leading: tuple[int, ...], bias: bool, seed: int) -> None:
    """Read-only input and gradients serve, and what is returned or stored shares no memory with them."""
    rng = np.random.default_rng(seed)
    dense = random_dense(2, 2, rng, bias)
    x, grad = (read_only(rng.normal(size=(*leading, 2))) for _ in range(2))
    y, cache = dense.forward(x)
    for result in (y, dense.backward(grad, cache), *gradients(dense)):
        assert not np.shares_memory(result, x)
        assert not np.shares_memory(result, grad)
        assert not any(np.shares_memory(result, p.value) for p in dense.parameters())


@pytest.mark.parametrize("samples", [1, 2])
def test_masked_arrays_are_taken(samples: int) -> None:
    """However many samples there are: they are arrays, too."""
    dense, x = Dense(2, 3, rng=0), np.ma.masked_array([[1.0, 2.0]] * samples)
    np.testing.assert_allclose(dense.predict(x), dense.predict(x.data))
