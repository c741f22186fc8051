"""Embeddings of tokens and of positions."""

import re
from math import cos, sin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    ConfigError,
    Dense,
    DTypeError,
    Embedding,
    HalfSquaredError,
    Normal,
    PositionalEncoding,
    Sequential,
    ShapeError,
    Trainer,
    Zeros,
)
from minibackprop.testing import check_layer
from minibackprop.validation import Array
from tests.finite_differences import STEP, central_differences
from tests.random_models import leading_axes, seeds

sizes = st.integers(1, 5)


@st.composite
def tokens(draw: st.DrawFn, size: int, shape: tuple[int, ...] = (4,)) -> Array:
    """Draw a batch of integers below `size`, of any integer type."""
    rng = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from([np.int64, np.int8, np.uint8, np.uint64]))
    return rng.integers(0, size, (draw(st.integers(1, 3)), *shape)).astype(dtype)


def test_embedding_keeps_every_law() -> None:
    """The contract holds for integers of any type."""
    for features, shape in ((3, (4,)), (1, ()), (2, (2, 2))):
        check_layer(lambda features=features: Embedding(5, features, rng=0), tokens(5, shape), examples=3)


@given(leading=leading_axes, vocabulary=sizes, features=sizes, seed=seeds)
def test_rows_are_looked_up_and_gradients_put_back(
    leading: tuple[int, ...], vocabulary: int, features: int, seed: int
) -> None:
    """Each token gives its row; each row gets the gradients of all its places, added up, by either verb."""
    rng = np.random.default_rng(seed)
    x, grad = rng.integers(0, vocabulary, leading), rng.normal(size=(*leading, features))
    embedding = Embedding(vocabulary, features, rng=rng)
    y, cache = embedding.forward(x)
    expected = np.zeros((vocabulary, features))
    for place in np.ndindex(leading):
        assert y[place].tolist() == embedding.weight.value[x[place]].tolist()
        expected[x[place]] += grad[place]
    np.testing.assert_array_equal(embedding.predict(x), y)
    assert embedding.backward(grad, cache) is None
    np.testing.assert_allclose(embedding.weight.grad, expected, rtol=1e-12, atol=1e-12)
    embedding.accumulate(grad, cache)
    np.testing.assert_allclose(embedding.weight.grad, 2 * expected, rtol=1e-12, atol=1e-12)


def test_gradient_is_that_of_central_differences() -> None:
    """The gradient of the table is the slope, for tokens that come often and tokens that do not come."""
    rng = np.random.default_rng(0)
    embedding, x, upstream = Embedding(4, 3, rng=rng), np.array([[0, 1, 0], [3, 3, 3]]), rng.normal(size=(2, 3, 3))
    embedding.backward(upstream, embedding.forward(x)[1])
    slopes = central_differences(lambda: float(np.vdot(upstream, embedding.predict(x))), embedding.weight.value)
    np.testing.assert_allclose(embedding.weight.grad, slopes, atol=STEP**2)
    assert not embedding.weight.grad[2].any()


def test_embedding_is_dense_over_one_hot_input() -> None:
    """Result and gradient are those of a `Dense` without bias whose rows of input have a single 1."""
    rng = np.random.default_rng(0)
    x, grad = rng.integers(0, 5, (3, 4)), rng.normal(size=(3, 4, 2))
    embedding, dense = Embedding(5, 2, rng=0), Dense(5, 2, bias=False)
    dense.load_state_dict(embedding.state_dict())
    (y, cache), (expected, dense_cache) = embedding.forward(x), dense.forward(np.eye(5)[x])
    np.testing.assert_array_equal(y, expected)
    embedding.backward(grad, cache)
    dense.backward(grad, dense_cache)
    np.testing.assert_allclose(embedding.weight.grad, dense.weight.grad, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("arrange", [np.ascontiguousarray, np.asfortranarray, lambda a: a[::-1, ::-1]])
def test_layout_and_dtype_of_the_gradient(dtype: type, arrange: type) -> None:
    """The gradient keeps its dtype, and is right for any layout in memory of tokens and gradients."""
    rng = np.random.default_rng(0)
    x, grad = arrange(rng.integers(0, 9, (7, 6))), arrange(rng.normal(size=(7, 6, 5)).astype(dtype))
    embedding = Embedding(9, 5, dtype=dtype, rng=0)
    y, cache = embedding.forward(x)
    embedding.backward(grad, cache)
    assert y.dtype == embedding.weight.grad.dtype == dtype
    expected = np.einsum("ntv,ntf->vf", np.eye(9)[x], grad)
    np.testing.assert_allclose(embedding.weight.grad, expected, rtol=1e-4 if dtype is np.float32 else 1e-12, atol=1e-5)


def test_small_integer_types_do_not_wrap_around() -> None:
    """Tokens of one byte reach all of a table that has far more entries."""
    embedding, x = Embedding(200, 3, rng=0), np.arange(200, dtype=np.uint8)
    y, cache = embedding.forward(x)
    np.testing.assert_array_equal(y, embedding.weight.value)
    embedding.backward(y, cache)
    np.testing.assert_array_equal(embedding.weight.grad, y)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1, 5], "5 at index (1,)"),
        ([[1, 0], [4, -1]], "-1 at index (1, 1)"),
        ([[0, -7], [9, 0]], "-7 at index (0, 1)"),
        (5, "5 at index ()"),
        (np.array([0, 2**63], np.uint64), "9223372036854775808 at index (1,)"),
    ],
)
def test_tokens_beyond_the_vocabulary_are_refused(x: object, message: str) -> None:
    """The first integer that is no token is named with its index; negative ones do not count from the end."""
    for verb in (Embedding(5, 2).forward, Embedding(5, 2).predict):
        with pytest.raises(ConfigError, match=re.escape(f"Embedding expects tokens from 0 to 4, got {message}")):
            verb(np.array(x))


@pytest.mark.parametrize("x", ["text", [[1]], None, np.ones(3), np.array([True]), np.ones(2, object), 1j * np.ones(2)])
def test_only_arrays_of_integers_are_taken(x: object) -> None:
    """Floating-point numbers, booleans and what is no array are a `DTypeError`."""
    for verb in (Embedding(5, 2).forward, Embedding(5, 2).predict):
        with pytest.raises(DTypeError, match=r"^Embedding expects an array of integers, got "):
            verb(x)


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (2, 3, 1), (2, 2, 2), (6, 2)])
def test_wrong_gradient_is_refused(shape: tuple[int, ...]) -> None:
    """A gradient of another shape or kind is refused, and nothing is added."""
    embedding = Embedding(5, 2)
    _, cache = embedding.forward(np.zeros((2, 3), int))
    for verb in (embedding.backward, embedding.accumulate):
        with pytest.raises(ShapeError, match=r"Embedding expects a gradient of shape \(2, 3, 2\)"):
            verb(np.zeros(shape), cache)
        with pytest.raises(DTypeError, match="Embedding expects a gradient of floating-point numbers"):
            verb(np.zeros((2, 3, 2), int), cache)
        with pytest.raises(DTypeError, match="Embedding expects an array of numbers"):
            verb("text", cache)
    assert embedding.weight.grad is None


def test_empty_batch_gives_an_empty_result() -> None:
    """No tokens in, no rows out, and a gradient of 0."""
    embedding = Embedding(5, 2)
    y, cache = embedding.forward(np.zeros((0, 3), int))
    assert y.shape == (0, 3, 2)
    embedding.backward(y, cache)
    assert not embedding.weight.grad.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Embedding(0, 2), "Embedding: num_embeddings expects a positive integer, got 0"),
        (lambda: Embedding(2, 1.5), "Embedding: embedding_dim expects a positive integer, got 1.5"),
        (lambda: Embedding(2, 2, dtype=int), "Embedding: dtype expects a floating-point dtype, got int64"),
        (lambda: Embedding(2, 2, init=Normal), "Embedding: init expects a callable"),
        (lambda: Embedding(2, 2, rng=-1), "rng expects a Generator"),
        (lambda: PositionalEncoding(0), "PositionalEncoding: features expects a positive integer, got 0"),
        (lambda: PositionalEncoding(2, 0), "PositionalEncoding: base expects a positive finite number, got 0"),
    ],
)
def test_bad_configuration_is_refused(make: type, message: str) -> None:
    """Each argument is checked at construction."""
    with pytest.raises(ConfigError, match=message):
        make()


def test_repr_and_first_values() -> None:
    """The repr is a call that builds the same configuration; the table comes from `init`, by the seed alone."""
    assert repr(Embedding(3, 2)) == "Embedding(num_embeddings=3, embedding_dim=2)"
    assert repr(PositionalEncoding(3)) == "PositionalEncoding(features=3, base=10000.0)"
    assert not Embedding(3, 2, init=Zeros()).weight.value.any()
    narrow = Embedding(3, 2, dtype=np.float32, rng=7).weight.value
    np.testing.assert_array_equal(narrow, Normal()((3, 2), 7).astype(np.float32))


def test_trainer_leaves_tokens_as_they_are() -> None:
    """A model that begins with an `Embedding` is trained on integers, and learns a table by heart."""
    x = np.arange(6).reshape(6, 1)
    y = np.random.default_rng(0).normal(size=(6, 1, 2))
    model = Sequential([Embedding(6, 2, rng=0)])
    Trainer(model, HalfSquaredError(), SGD(0.5)).fit(x, y, epochs=50)
    np.testing.assert_allclose(model.predict(x), y, atol=1e-6)


@pytest.mark.parametrize("features", [1, 2, 5, 8])
@pytest.mark.parametrize("base", [10_000.0, 100])
def test_positions_are_told_by_the_formula(features: int, base: float) -> None:
    """A sine and a cosine of each wavelength are added, in turn; the last cosine is left out of an odd number."""
    y = PositionalEncoding(features, base).predict(np.full((2, 70, features), 0.5))
    for step in range(70):
        for feature in range(features):
            angle = step / base ** ((feature - feature % 2) / features)
            expected = 0.5 + (cos(angle) if feature % 2 else sin(angle))
            np.testing.assert_allclose(y[:, step, feature], expected, rtol=0, atol=1e-13)


def test_positional_encodings_keep_every_law() -> None:
    """The contract holds for any base, and for sequences of any length."""
    check_layer(st.builds(PositionalEncoding, st.just(3), st.floats(1, 1e5)), (5, 3), examples=5)


def test_position_does_not_depend_on_the_length() -> None:
    """A sequence gets the same at each step as a longer one of which it is the beginning; none is too long."""
    layer, x = PositionalEncoding(6), np.random.default_rng(0).normal(size=(1, 300, 6))
    whole = layer.predict(x)
    for steps in (0, 1, 2, 63, 64, 65, 299):
        np.testing.assert_array_equal(layer.predict(x[:, :steps]), whole[:, :steps])


def test_positions_keep_the_dtype() -> None:
    """float32 in, float32 out; integers are taken as numbers; the gradient is the upstream one."""
    layer, x = PositionalEncoding(4), np.zeros((2, 3, 4))
    narrow, cache = layer.forward(x.astype(np.float32))
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, layer.predict(x), atol=1e-7)
    np.testing.assert_array_equal(layer.predict(x.astype(int)), layer.predict(x))
    grad = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(layer.backward(grad, cache), grad)


def test_result_of_positions_may_be_written_to() -> None:
    """What a call returned is the caller's: writing to it reaches no later call."""
    layer, x = PositionalEncoding(2), np.zeros((1, 3, 2))
    first = layer.predict(x)
    kept = first.copy()
    first += 1
    np.testing.assert_array_equal(layer.predict(x), kept)


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 5), (2, 3, 1), (2, 2, 3, 4)])
def test_positions_need_sequences(shape: tuple[int, ...]) -> None:
    """Input of another shape than (N, T, features) is a `ShapeError`, and so is a gradient of another shape."""
    layer = PositionalEncoding(4)
    for verb in (layer.forward, layer.predict):
        with pytest.raises(ShapeError, match=re.escape(f"PositionalEncoding expects (N, T, 4), got {shape}")):
            verb(np.zeros(shape))
    _, cache = layer.forward(np.zeros((2, 3, 4)))
    with pytest.raises(ShapeError, match=r"PositionalEncoding expects a gradient of shape \(2, 3, 4\)"):
        layer.backward(np.zeros(shape), cache)


@pytest.mark.parametrize("x", ["text", [[[1.0]]], None, np.full((1, 1, 4), "a"), np.ones((1, 1, 4), object)])
def test_positions_need_numbers(x: object) -> None:
    """Strings, objects and what is no array are a `DTypeError`."""
    for verb in (PositionalEncoding(4).forward, PositionalEncoding(4).predict):
        with pytest.raises(DTypeError, match=r"^PositionalEncoding expects an array of numbers, got "):
            verb(x)
    with pytest.raises(DTypeError, match="PositionalEncoding expects an array of numbers, got str"):
        PositionalEncoding(4).backward("text", (1, 1, 4))
