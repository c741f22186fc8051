import copy
import pickle
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import ConfigError, Dense, Dropout, DTypeError, Sequential, ShapeError
from minibackprop.core import Layer
from minibackprop.state import walk
from minibackprop.validation import Array
from tests.random_models import seeds

FLOATS = st.sampled_from([np.float64, np.float32])
shapes = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)
RATES = st.one_of(st.floats(0, 0.95), st.sampled_from([0, 0.5, np.float64(0.25), np.float32(0.75)]))


def masks(layer: Dropout, *shapes: tuple[int, ...]) -> list[list[float]]:
    """Draw masks of these shapes."""
    return [layer.forward(np.ones(shape))[0].ravel().tolist() for shape in shapes]


@given(rate=RATES, shape=shapes, dtype=FLOATS, seed=seeds)
def test_entries_are_dropped_or_scaled_up(rate: float, shape: tuple[int, ...], dtype: type, seed: int) -> None:
    """Each entry is 0 or x / (1 - rate); the gradient goes the way of its entry; the dtype is kept."""
    rng = np.random.default_rng(seed)
    x, grad = (rng.uniform(0.5, 1, (2, *shape)) * rng.choice([-1, 1], (2, *shape))).astype(dtype)
    layer = Dropout(rate, rng=seed)
    y, cache = layer.forward(x)
    back = layer.backward(grad, cache)
    kept = y != 0
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, np.where(kept, x.astype(float) / (1 - float(rate)), 0), rtol=tolerance)
    np.testing.assert_allclose(back, np.where(kept, grad.astype(float) / (1 - float(rate)), 0), rtol=tolerance)
    assert y.dtype == back.dtype == dtype
    assert y.shape == back.shape == shape


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_share_of_zeros_is_the_rate(rate: float) -> None:
    """The zeros are as many as the rate says, and the mean is that of x, each to within five standard deviations."""
    count = 200_000
    y, _ = Dropout(rate, rng=0).forward(np.ones(count, np.float32))
    deviation = (rate * (1 - rate) / count) ** 0.5
    assert abs(float(np.mean(y == 0)) - rate) < 5 * deviation
    assert abs(float(y.mean(dtype=float)) - 1) < 5 * deviation / (1 - rate)


@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_what_is_drawn_at_the_rate_is_kept(rate: float) -> None:
    """Numbers from [0, 1) below the rate make zeros: of 4, a rate of a quarter takes one; a rate of 0 takes none."""

    class Even:
        def random(self, shape: tuple[int, ...], dtype: type) -> Array:
            return np.linspace(0, 1, shape[-1], endpoint=False, dtype=dtype)

    layer = Dropout(rate)
    layer.generator = Even()
    y, _ = layer.forward(np.ones((1, 4)))
    np.testing.assert_array_equal(y != 0, [[rate == 0, True, True, True]])


def test_entries_are_dropped_independently() -> None:
    """Neither neighbours within a sample, nor in the next sample, nor in the next mask go together."""
    layer = Dropout(0.5, rng=0)
    first, second = (layer.forward(np.ones((400, 300)))[0] - 1 for _ in range(2))
    for one, other in ((first[:, 1:], first[:, :-1]), (first[1:], first[:-1]), (first, second)):
        assert abs(np.vdot(one, other)) < 5 * one.size**0.5


@given(shape=shapes, seed=seeds)
def test_prediction_is_x_itself(shape: tuple[int, ...], seed: int) -> None:
    """Prediction changes nothing, and draws nothing."""
    layer, x = Dropout(0.5, rng=seed), np.ones(shape)
    state = layer.generator.bit_generator.state
    assert layer.predict(x) is x
    assert layer.generator.bit_generator.state == state


@given(shape=shapes, seed=seeds)
def test_rate_of_zero_is_the_identity(shape: tuple[int, ...], seed: int) -> None:
    """With a rate of 0, every bit passes, both ways."""
    x = np.random.default_rng(seed).normal(size=shape)
    layer = Dropout(0.0)
    y, cache = layer.forward(x)
    assert y.tobytes() == x.tobytes()
    assert layer.backward(x, cache).tobytes() == x.tobytes()


@given(seed=seeds, rate=RATES, dtype=st.sampled_from([np.float32, np.int64, np.bool_]))
def test_same_seed_same_bits(seed: int, rate: float, dtype: type) -> None:
    """The masks depend on the seed and the shapes alone: not on the dtype, nor on the layout."""
    one, other = Dropout(rate, rng=seed), Dropout(rate, rng=seed)
    for shape in ((3, 4), (5,)):
        x = np.ones(shape)
        y = one.forward(x)[0]
        np.testing.assert_array_equal(other.forward(np.asfortranarray(x.astype(dtype)))[0] != 0, y != 0)
    again = Dropout(rate, rng=np.random.default_rng(seed))
    assert masks(again, (3, 4)) == masks(Dropout(rate, rng=seed), (3, 4))


def test_layers_of_one_generator_draw_apart() -> None:
    """Two layers seeded from one generator draw different masks, whichever of them is called more often."""
    shared = np.random.default_rng(0)
    one, other = Dropout(0.5, rng=shared), Dropout(0.5, rng=shared)
    assert masks(one, (100,)) != masks(other, (100,))
    shared = np.random.default_rng(0)
    again, _ = Dropout(0.5, rng=shared), Dropout(0.5, rng=shared)
    masks(again, (100,))
    shared.random(7)
    assert masks(again, (100,)) == masks(one, (100,))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_go_on_with_the_stream(copied: object) -> None:
    """A deep copy and a pickle draw what the original draws next, each from a stream of its own."""
    layer = Dropout(0.5, rng=0)
    masks(layer, (10,))
    twin = copied(layer)
    expected = masks(layer, (50,), (3, 5))
    assert masks(twin, (50,), (3, 5)) == expected
    assert twin.generator is not layer.generator


def test_state_dict_carries_no_stream() -> None:
    """A dropout layer has no arrays; its generator is found by path."""
    model = Sequential([Dense(2, 2, rng=0), Sequential([Dropout(0.5, rng=1)])])
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    ((path, generator),) = walk(model, np.random.Generator)
    assert path == "1.0.generator"
    assert generator is model[1][0].generator


def test_masks_of_the_composition_are_its_own() -> None:
    """A model predicts without masks and trains with them; a second pass does not disturb the first."""
    model = Sequential([Dropout(0.5, rng=0), Dropout(0.5, rng=1)])
    x = np.ones((4, 5))
    np.testing.assert_array_equal(model.predict(x), x)
    y, caches = model.forward(x)
    model.forward(x)
    np.testing.assert_array_equal(model.backward(x, caches), y)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_integers_are_taken_as_numbers(dtype: type) -> None:
    """Integers and booleans give float64, in both passes."""
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    layer = Dropout(0.5, rng=0)
    y = layer.predict(x)
    assert y.dtype == layer.forward(x)[0].dtype == np.float64
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("rate", [1, 1.0, -0.1, 2, nan, inf, True, "0.5", None, 1j, [0.5]])
def test_rates_are_below_one(rate: object) -> None:
    """A rate outside of [0, 1), or no number, is refused, at construction and when it is set later."""
    message = "Dropout: rate expects a number of at least 0 and below 1, got "
    with pytest.raises(ConfigError, match=message):
        Dropout(rate)
    layer = Dropout(0.5)
    with pytest.raises(ConfigError, match=message):
        layer.rate = rate
    assert layer.rate == 0.5


def test_bad_source_of_random_numbers_is_refused() -> None:
    """What draws no numbers is refused at construction."""
    with pytest.raises(ConfigError, match="rng expects a Generator"):
        Dropout(0.5, rng="seed")


@pytest.mark.parametrize("x", ["text", [[1.0, 2.0]], None, np.full((2, 3), "a"), np.ones((2, 3), object)])
def test_only_arrays_of_numbers_are_taken(x: object) -> None:
    """Strings, objects and what is not an array are a `DTypeError`; nothing is drawn for them."""
    layer = Dropout(0.5, rng=0)
    state = layer.generator.bit_generator.state
    for verb in (layer.forward, layer.predict):
        with pytest.raises(DTypeError, match=r"^Dropout expects an array of numbers, got "):
            verb(x)
    assert layer.generator.bit_generator.state == state


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1), (2, 3, 1), ()])
def test_wrong_gradient_is_refused(shape: tuple[int, ...]) -> None:
    """A gradient that does not have the shape of the output is refused, also where it would broadcast."""
    layer = Dropout(0.5)
    _, cache = layer.forward(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"Dropout expects a gradient of shape \(2, 3\)"):
        layer.backward(np.ones(shape), cache)
    with pytest.raises(DTypeError, match="Dropout expects an array of numbers"):
        layer.backward("text", cache)


def test_large_numbers_stay_finite() -> None:
    """Entries of any size that the scale leaves finite come through without a warning."""
    for dtype in (np.float64, np.float32):
        x = np.full((10, 10), np.finfo(dtype).max / 4, dtype)
        y, cache = Dropout(0.5, rng=0).forward(x)
        assert np.isfinite(y).all()
        assert np.isfinite(Dropout(0.5).backward(x, cache)).all()


def test_arguments_are_not_written_to() -> None:
    """Read-only input and gradients serve, and the results are new arrays."""
    x, grad = np.ones((2, 3)), np.ones((2, 3))
    x.flags.writeable = grad.flags.writeable = False
    layer = Dropout(0.5, rng=0)
    y, cache = layer.forward(x)
    back = layer.backward(grad, cache)
    for result in (y, back):
        assert not any(np.shares_memory(result, other) for other in (x, grad, cache))


def test_repr_builds_an_equal_layer() -> None:
    """The repr is a call that builds the same configuration, without the generator."""
    assert repr(Dropout(0.25, rng=0)) == "Dropout(rate=0.25)"
    assert eval(repr(Dropout(rate=0.25))).rate == 0.25


def test_declares_what_it_is() -> None:
    """Whether a layer, or a model that it stands in, is stochastic, can be asked."""

    def reasons(layer: Layer) -> tuple[str, str, str]:
        return layer.stochastic, layer.couples_samples, layer.alters_gradient

    assert reasons(Dropout()) == reasons(Sequential([Dropout()])) == ("sets entries to zero at random", "", "")


def test_masked_gradient_trains_what_was_used() -> None:
    """The weight of an entry that was dropped gets no gradient."""
    layer, dense = Dropout(0.5, rng=3), Dense(6, 2, bias=False, rng=0)
    x: Array = np.arange(1.0, 7).reshape(1, 6)
    y, cache = dense.forward(layer.forward(x)[0])
    dense.backward(np.ones_like(y), cache)
    dropped = (cache == 0).ravel()
    assert 0 < dropped.sum() < 6
    np.testing.assert_array_equal((dense.weight.grad == 0).all(axis=1), dropped)
