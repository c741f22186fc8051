"""Multi-head attention, with padding and without, and the transformer block that is composed of it."""

import re
from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    GELU,
    ConfigError,
    Dense,
    DTypeError,
    Embedding,
    GlorotUniform,
    HalfSquaredError,
    Layer,
    LayerNorm,
    MultiHeadAttention,
    PositionalEncoding,
    Residual,
    Sequential,
    ShapeError,
    Sigmoid,
)
from minibackprop.testing import check_layer, check_model
from minibackprop.validation import Array
from tests.random_models import gradients, seeds


@st.composite
def attentions(draw: st.DrawFn, features: int = 4) -> MultiHeadAttention:
    """Draw an attention of any number of heads, causal or not, with or without biases."""
    heads = draw(st.sampled_from([heads for heads in range(1, features + 1) if features % heads == 0]))
    causal, bias, seed = draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 2**16))
    return with_random_biases(MultiHeadAttention(features, heads, causal=causal, bias=bias, rng=seed), seed)


def with_random_biases(model: Layer, seed: int) -> Layer:
    """Set all biases, which start at zero, to random values."""
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.value[...] = rng.normal(size=parameter.value.shape)
    return model


def reference(layer: MultiHeadAttention, x: Array, valid: Array) -> Array:
    """Compute attention one sample, head, query and key at a time."""

    def affine(dense: Dense, row: Array) -> list[float]:
        bias = np.zeros(dense.out_features) if dense.bias is None else dense.bias.value
        columns = zip(dense.weight.value.T, bias, strict=True)
        return [float(sum(a * b for a, b in zip(row, column, strict=True)) + shift) for column, shift in columns]

    (samples, steps, features), y = x.shape, np.zeros(x.shape)
    size = features // layer.num_heads
    for n in range(samples):
        rows = [affine(layer.qkv, x[n, t]) for t in range(steps)]
        for query in (t for t in range(steps) if valid[n, t]):
            mixed: list[float] = []
            for head in range(layer.num_heads):
                q, k, v = (
                    slice(part * features + head * size, part * features + (head + 1) * size) for part in range(3)
                )
                keys = [t for t in range(steps) if valid[n, t] and not (layer.causal and t > query)]
                scores = [
                    sum(a * b for a, b in zip(rows[query][q], rows[t][k], strict=True)) / sqrt(size) for t in keys
                ]
                weights = [exp(score - max(scores)) for score in scores]
                for column in range(size):
                    terms = (weight * rows[t][v][column] for weight, t in zip(weights, keys, strict=True))
                    mixed.append(sum(terms) / sum(weights))
            y[n, query] = affine(layer.output, mixed)
    return y


@st.composite
def side_inputs(draw: st.DrawFn, samples: int, steps: int) -> tuple[dict[str, Array], Array]:
    """Draw lengths, a mask, both or none, and which steps are valid."""
    rng = np.random.default_rng(draw(seeds))
    found, valid = {}, np.ones((samples, steps), bool)
    if draw(st.booleans()):
        found["lengths"] = rng.integers(0, steps + 1, samples).astype(draw(st.sampled_from([np.int64, np.uint8])))
        valid &= np.array([[t < length for t in range(steps)] for length in found["lengths"]])
    if draw(st.booleans()):
        found["mask"] = rng.random((samples, steps)) < 0.7
        valid &= found["mask"]
    return found, valid


@given(layer=attentions(), steps=st.integers(1, 5), data=st.data(), seed=seeds)
def test_values_are_those_of_the_loops(layer: MultiHeadAttention, steps: int, data: st.DataObject, seed: int) -> None:
    """Forward and predict give what the loops give, with lengths and masks, and zeros for padding."""
    x = np.random.default_rng(seed).normal(size=(2, steps, 4))
    found, valid = data.draw(side_inputs(2, steps))
    given_layer = layer.given(**found)
    expected = reference(layer, x, valid)
    np.testing.assert_allclose(given_layer.predict(x), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(given_layer.forward(x)[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_values_are_those_of_the_formula(causal: bool) -> None:
    """One head is ``softmax(Q K' / sqrt(d)) V W + b``, written in one line, also over many steps."""
    layer = with_random_biases(MultiHeadAttention(6, 1, causal=causal, rng=0), 0)
    x = np.random.default_rng(0).normal(size=(3, 33, 6))
    q, k, v = np.split(x @ layer.qkv.weight.value + layer.qkv.bias.value, 3, axis=-1)
    scores = np.exp(q @ k.swapaxes(1, 2) / sqrt(6)) * (np.tri(33) if causal else 1)
    expected = scores / scores.sum(axis=2, keepdims=True) @ v @ layer.output.weight.value + layer.output.bias.value
    np.testing.assert_allclose(layer.predict(x), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steps", [33, 64, 70])
@pytest.mark.parametrize("found", [{}, {"lengths": np.array([70, 40])}])
def test_blocks_of_queries_have_the_gradients_of_the_whole(steps: int, found: dict[str, Array]) -> None:
    """Over more steps than a block has, values are those of the loops, and gradients those of differences."""
    layer = with_random_biases(MultiHeadAttention(4, 2, causal=True, rng=0), 0)
    side = {name: np.minimum(lengths, steps) for name, lengths in found.items()}
    x, grad = np.random.default_rng(0).normal(size=(2, 2, steps, 4))
    valid = np.arange(steps) < side.get("lengths", np.array([steps, steps]))[:, np.newaxis]
    padded = layer.given(**side)
    y, cache = padded.forward(x)
    back = padded.backward(grad, cache)
    np.testing.assert_allclose(y, reference(layer, x, valid), rtol=1e-9, atol=1e-11)
    # Along a direction, by central differences: y is smooth, and errors of the third order are 1e-10 of it.
    direction, h = np.random.default_rng(1).normal(size=x.shape), 1e-5
    difference = ((padded.predict(x + h * direction) - padded.predict(x - h * direction)) * grad).sum() / (2 * h)
    np.testing.assert_allclose((back * direction).sum(), difference, rtol=1e-6, atol=1e-6)
    # A second time on the same cache, the same.
    np.testing.assert_array_equal(padded.backward(grad, cache), back)


def test_drawn_attentions_keep_every_law() -> None:
    """The contract holds for any number of heads, causal or not, with or without biases, also for a single step."""
    check_layer(attentions(), (3, 4), examples=6)
    check_layer(attentions(), (1, 4), examples=2)


class Padded(Layer):
    """A layer over tokens, of which 0 is padding; it finds out the lengths, or the mask, by itself."""

    integer_input = True

    def __init__(self, layer: Layer, side_input: str) -> None:
        self.embedding, self.layer, self.side_input = Embedding(5, 4, rng=0), layer, side_input

    def _given(self, x: Array) -> Layer:
        valid = x > 0
        if self.side_input == "lengths":
            return self.layer.given(lengths=np.where(valid, np.arange(1, x.shape[1] + 1, like=x), 0).max(axis=1))
        return self.layer.given(mask=valid)

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        embedded, tokens = self.embedding.forward(x)
        y, cache = self._given(x).forward(embedded)
        return y, (tokens, cache)

    def predict(self, x: Array, /) -> Array:
        return self._given(x).predict(self.embedding.predict(x))

    def backward(self, grad: Array, cache: Any, /) -> None:
        # Of another copy than the one that went forward: all that is needed of a side input is in the cache.
        self.embedding.backward(self.layer.backward(grad, cache[1]), cache[0])


@pytest.mark.parametrize("side_input", ["lengths", "mask"])
@pytest.mark.parametrize("causal", [False, True])
def test_padded_attention_keeps_every_law(side_input: str, causal: bool) -> None:
    """The contract holds with side inputs, for samples that are all padding among them."""
    rows = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=3).map(np.array)

    def make() -> Layer:
        return Padded(MultiHeadAttention(4, 2, causal=causal, rng=1), side_input)

    check_layer(make, rows, examples=2)


@settings(max_examples=15)
@given(layer=attentions(), data=st.data(), seed=seeds)
def test_padding_matters_to_nothing_and_gets_no_gradient(
    layer: MultiHeadAttention, data: st.DataObject, seed: int
) -> None:
    """Whatever stands in the padding, NaN too, results and gradients are the same; those of padding are exactly 0."""
    rng = np.random.default_rng(seed)
    found, valid = data.draw(side_inputs(3, 4))
    padded = layer.given(**found)
    (x, grad), results = rng.normal(size=(2, 3, 4, 4)), []
    for filling in (0.0, 1.0, -1e300, np.nan):
        filled, upstream = (np.where(valid[..., None], array, filling) for array in (x, grad))
        y, cache = padded.forward(filled)
        layer.clear_gradients()
        back = layer.backward(upstream, cache)
        assert not y[~valid].any()
        assert not back[~valid].any()
        results.append([y, back, padded.predict(filled), *gradients(layer)])
    for other in results[1:]:
        for first, found_array in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(found_array, first)


@given(layer=attentions(), length=st.integers(1, 4), seed=seeds)
def test_padded_sample_is_a_shorter_one(layer: MultiHeadAttention, length: int, seed: int) -> None:
    """A sample with a length gives what it gives when the padding is cut off: result and all gradients."""
    x, grad = np.random.default_rng(seed).normal(size=(2, 1, 4, 4))
    results = []
    for model, steps in ((layer.given(lengths=np.array([length])), 4), (layer, length)):
        layer.clear_gradients()
        y, cache = model.forward(x[:, :steps])
        back = model.backward(grad[:, :steps], cache)
        results.append([y[:, :length], back[:, :length], *gradients(layer)])
    for padded, short in zip(*results, strict=True):
        np.testing.assert_allclose(padded, short, rtol=1e-10, atol=1e-12)


@given(layer=attentions(), seed=seeds)
def test_order_of_steps_matters_only_to_causal_attention(layer: MultiHeadAttention, seed: int) -> None:
    """Steps in another order give the results in that order; with `causal`, later steps change nothing before them."""
    rng = np.random.default_rng(seed)
    x, order = rng.normal(size=(2, 5, 4)), rng.permutation(5)
    y = layer.predict(x)
    if layer.causal:
        for steps in range(1, 5):
            np.testing.assert_allclose(layer.predict(x[:, :steps]), y[:, :steps], rtol=1e-10, atol=1e-12)
    else:
        np.testing.assert_allclose(layer.predict(x[:, order]), y[:, order], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("found", [{"lengths": np.zeros(2, int)}, {"mask": np.zeros((2, 3), bool)}])
@pytest.mark.parametrize("causal", [False, True])
def test_all_padding_gives_zeros(found: dict[str, Array], causal: bool) -> None:
    """Fully masked sequences, of length 0 or by the mask, give zeros and leave no gradient but zeros."""
    layer = with_random_biases(MultiHeadAttention(4, 2, causal=causal, rng=0), 0)
    padded, x = layer.given(**found), np.ones((2, 3, 4))
    y, cache = padded.forward(x)
    assert not y.any()
    assert not padded.backward(x, cache).any()
    assert not any(grad.any() for grad in gradients(layer))


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (0, 0, 4)])
@pytest.mark.parametrize("found", [{}, {"lengths": 0}, {"mask": 0}])
def test_nothing_gives_nothing(shape: tuple[int, ...], found: dict[str, int]) -> None:
    """No samples, or sequences of no steps, give as many, and gradients of 0."""
    layer = MultiHeadAttention(4, 2, rng=0)
    made = {"lengths": np.zeros(shape[0], int), "mask": np.zeros(shape[:2], bool)}
    given_layer = layer.given(**{name: made[name] for name in found})
    y, cache = given_layer.forward(np.zeros(shape))
    assert y.shape == given_layer.predict(np.zeros(shape)).shape == layer.backward(y, cache).shape == shape
    assert not any(grad.any() for grad in gradients(layer))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("found", [{}, {"lengths": np.array([2, 0, 5])}])
def test_dtype_is_kept(dtype: type, found: dict[str, Array]) -> None:
    """float32 in, float32 out, with side inputs too, near what float64 gives; integers are taken as numbers."""
    layer = MultiHeadAttention(4, 2, causal=True, rng=0)
    x = np.random.default_rng(0).normal(size=(3, 5, 4))
    narrow = layer.astype(dtype).given(**found)
    y, cache = narrow.forward(x.astype(dtype))
    results = [y, narrow.predict(x.astype(dtype)), narrow.backward(y, cache), *gradients(narrow)]
    assert {result.dtype for result in results} == {np.dtype(dtype)}
    np.testing.assert_allclose(y, layer.given(**found).predict(x), rtol=1e-4, atol=1e-5)
    whole = x.astype(np.int8)
    np.testing.assert_array_equal(layer.predict(whole), layer.predict(whole.astype(float)))


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_large_scores_do_not_overflow(size: float) -> None:
    """Scores far beyond the range of exp give finite results and gradients: all the weight is on one step."""
    layer = MultiHeadAttention(4, 2, rng=0)
    x = size * np.random.default_rng(0).normal(size=(2, 5, 4))
    for dtype in (np.float32, np.float64):
        narrow = layer.astype(dtype)
        with np.errstate(all="raise", under="ignore"):
            y, cache = narrow.forward(x.astype(dtype))
            back = narrow.backward(y / y.max(), cache)
        assert np.isfinite(y).all()
        assert np.isfinite(back).all()


def test_side_inputs_share_what_is_learned() -> None:
    """A copy with side inputs has the parameters of the original, which keeps none of them."""
    model = Sequential([MultiHeadAttention(4, 2, rng=0)])
    padded = model.given(lengths=np.array([1, 2]))
    assert [id(p) for p in padded.parameters()] == [id(p) for p in model.parameters()]
    assert model[0].lengths is None
    with pytest.raises(ConfigError, match=r"side inputs that a layer takes, \['lengths', 'mask'\], got length"):
        model.given(length=1)


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ({"lengths": np.array([1])}, ShapeError, "lengths expects shape (2,), got (1,)"),
        ({"lengths": np.array([[1], [2]])}, ShapeError, "lengths expects shape (2,), got (2, 1)"),
        ({"lengths": np.array([1.0, 2.0])}, DTypeError, "lengths expects an array of integers, got ndarray"),
        ({"lengths": [1, 2]}, DTypeError, "lengths expects an array of integers, got list"),
        ({"lengths": np.array([4, 2])}, ConfigError, "lengths expects numbers from 0 to 3, the steps of x, got 4"),
        ({"lengths": np.array([3, -1])}, ConfigError, "lengths expects numbers from 0 to 3, the steps of x, got -1"),
        ({"mask": np.ones((2, 4), bool)}, ShapeError, "mask expects shape (2, 3), got (2, 4)"),
        ({"mask": np.ones(3, bool)}, ShapeError, "mask expects shape (2, 3), got (3,)"),
        ({"mask": np.ones((2, 3, 1), bool)}, ShapeError, "mask expects shape (2, 3), got (2, 3, 1)"),
        ({"mask": np.ones((2, 3), int)}, DTypeError, "mask expects an array of booleans, got ndarray"),
        ({"mask": True}, DTypeError, "mask expects an array of booleans, got bool"),
    ],
)
def test_bad_side_inputs_are_refused(found: dict[str, Any], error: type, message: str) -> None:
    """A side input of another shape or kind, or a length that is none, is refused by name in both passes."""
    layer = MultiHeadAttention(4, 2).given(**found)
    for verb in (layer.forward, layer.predict):
        with pytest.raises(error, match=re.escape(f"MultiHeadAttention: {message}")):
            verb(np.zeros((2, 3, 4)))


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 5), (2, 3, 1), (2, 2, 3, 4)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """Input of another shape than (N, T, features) is a `ShapeError`; so is a gradient of another shape."""
    layer = MultiHeadAttention(4, 2)
    for verb in (layer.forward, layer.predict):
        with pytest.raises(ShapeError, match=re.escape(f"MultiHeadAttention expects (N, T, 4), got {shape}")):
            verb(np.zeros(shape))
    _, cache = layer.forward(np.zeros((2, 3, 4)))
    for verb in (layer.backward, layer.accumulate):
        with pytest.raises(
            ShapeError, match=re.escape("MultiHeadAttention expects a gradient of shape (2, 3, 4), got")
        ):
            verb(np.zeros(shape), cache)
    assert gradients(layer) == [None] * 4


@pytest.mark.parametrize("x", ["text", [[[1.0] * 4]], None, np.full((1, 2, 4), "a"), np.ones((1, 2, 4), object)])
def test_only_arrays_of_numbers_are_taken(x: object) -> None:
    """Strings, objects and what is no array are a `DTypeError`; complex numbers too."""
    layer = MultiHeadAttention(4, 2)
    for verb in (layer.forward, layer.predict, lambda x: layer.backward(x, layer.forward(np.ones((1, 2, 4)))[1])):
        with pytest.raises(DTypeError, match=r"^MultiHeadAttention expects an array of numbers, got "):
            verb(x)
    with pytest.raises(DTypeError, match=r"^MultiHeadAttention expects real numbers, got "):
        layer.predict(np.ones((1, 2, 4), complex))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("dtype", "enormous"), [(np.float32, 1e25), (np.float32, 1e30), (np.float64, 1e200)])
def test_scores_may_overflow(dtype: type, enormous: float, causal: bool) -> None:
    """Where scores overflow, each step takes the values at its largest score, in both passes; others stay."""
    layer = MultiHeadAttention(4, 2, causal=causal, bias=False, rng=0).astype(dtype)
    rng = np.random.default_rng(1)
    x, grad = rng.normal(size=(2, 2, 5, 4)).astype(dtype)
    y, cache = layer.forward(x * dtype(enormous))
    back = layer.backward(grad, cache)
    expected = with_largest_score(layer, x.astype(float), grad.astype(float))
    found = (y / enormous, back, layer.qkv.weight.grad / enormous, layer.output.weight.grad / enormous)
    for ours, theirs in zip(found, expected, strict=True):
        # Four maps of sums of a few products, up to ten times larger than what is left of them.
        np.testing.assert_allclose(ours, theirs, rtol=1e3 * np.finfo(dtype).eps, atol=1e2 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(layer.predict(x * dtype(enormous)), y)
    mixed = np.stack([x[0], x[1] * dtype(enormous)])
    np.testing.assert_allclose(layer.predict(mixed)[0], layer.predict(x)[0], rtol=1e2 * np.finfo(dtype).eps)


def with_largest_score(layer: MultiHeadAttention, x: Array, grad: Array) -> tuple[Array, ...]:
    """Compute y and all gradients where each step takes the values at its largest score alone; without biases."""

    def split(a: Array) -> Array:
        return a.reshape(*a.shape[:2], layer.num_heads, -1).transpose(0, 2, 1, 3)

    def joined(a: Array) -> Array:
        return a.transpose(0, 2, 1, 3).reshape(x.shape)

    weight, last = layer.qkv.weight.value.astype(float), layer.output.weight.value.astype(float)
    q, k, v = (split(part) for part in np.split(x @ weight, 3, axis=2))
    scores = q @ k.swapaxes(2, 3)
    if layer.causal:
        scores[..., np.triu(np.ones(scores.shape[2:], bool), 1)] = -np.inf
    p = np.eye(x.shape[1])[scores.argmax(axis=3)]
    c = joined(p @ v)
    dv = joined(p.swapaxes(2, 3) @ split(grad @ last.T))
    to_qkv = np.concatenate([np.zeros_like(x), np.zeros_like(x), dv], axis=2)
    return c @ last, to_qkv @ weight.T, np.einsum("ntf,nto->fo", x, to_qkv), np.einsum("ntf,nto->fo", c, grad)


def test_steps_that_score_the_same_share_where_scores_overflow() -> None:
    """Equal steps get equal weights, and padding none, however large they are."""
    layer = MultiHeadAttention(4, 1, bias=False, rng=0)
    x = np.random.default_rng(0).normal(size=(1, 1, 4)).repeat(3, axis=1)
    expected, found = layer.predict(x * 1e10), layer.predict(x * 1e200)
    np.testing.assert_allclose(found / 1e190, expected, rtol=1e-12)
    padded = layer.given(lengths=np.array([1])).predict(np.concatenate([x[:, :1] * 1e200, -x[:, 1:] * 1e250], axis=1))
    np.testing.assert_allclose(padded[:, 0] / 1e190, expected[:, 0], rtol=1e-12)
    assert not padded[:, 1:].any()


def test_errors_of_the_parts_are_located() -> None:
    """What a part refuses says which part it was."""
    layer = MultiHeadAttention(4, 2)
    layer.qkv = Sequential([Dense(5, 12)])
    with pytest.raises(ShapeError, match=r"^layer 0\.qkv\.0: Dense expects \(\.\.\., 5\), got \(1, 2, 4\)"):
        Sequential([layer]).forward(np.ones((1, 2, 4)))
    layer = MultiHeadAttention(4, 2)
    _, cache = layer.forward(np.ones((1, 2, 4)))
    with pytest.raises(DTypeError, match=r"^layer output: Dense: Parameter expects a gradient of floating-point"):
        layer.backward(np.ones((1, 2, 4), int), cache)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0}, "features expects a positive integer, got 0"),
        ({"num_heads": 0}, "num_heads expects a positive integer, got 0"),
        ({"num_heads": 3}, "num_heads expects a divisor of features=4, got 3"),
        ({"num_heads": 8}, "num_heads expects a divisor of features=4, got 8"),
        ({"causal": 1}, "causal expects True or False, got 1"),
        ({"bias": None}, "bias expects True or False, got None"),
    ],
)
def test_bad_configuration_is_refused(arguments: dict[str, object], message: str) -> None:
    """Each argument is checked at construction."""
    with pytest.raises(ConfigError, match=f"MultiHeadAttention: {message}"):
        MultiHeadAttention(**{"features": 4, "num_heads": 2, **arguments})


def test_configuration_and_first_values() -> None:
    """The repr is a call that builds the same configuration; weights come from `init`, by the seed alone."""
    layer = MultiHeadAttention(4, 2, causal=True, bias=False, rng=3)
    assert repr(layer) == "MultiHeadAttention(features=4, num_heads=2, causal=True, bias=False)"
    assert [name for name, _ in layer.named_parameters()] == ["qkv.weight", "output.weight"]
    rng = np.random.default_rng(3)
    for parameter, shape in zip(layer.parameters(), [(4, 12), (4, 4)], strict=True):
        np.testing.assert_array_equal(parameter.value, GlorotUniform()(shape, rng))


def block(width: int, heads: int, *, causal: bool = True) -> Sequential:
    """Compose a transformer block of layers and nothing else."""
    attention = MultiHeadAttention(width, heads, causal=causal, rng=0)
    mlp = Sequential([Dense(width, 2 * width, rng=1), GELU(), Dense(2 * width, width, rng=2)])
    return Sequential(
        [Residual(Sequential([LayerNorm(width), attention])), Residual(Sequential([LayerNorm(width), mlp]))]
    )


def test_transformer_block_keeps_every_law() -> None:
    """A block is a layer as any other."""
    check_layer(lambda: block(4, 2), (3, 4), examples=2)


@pytest.mark.parametrize("found", [{"lengths": np.array([3, 0, 1])}, {"mask": np.eye(3, dtype=bool)}])
def test_gradients_of_a_whole_transformer(found: dict[str, Array]) -> None:
    """A model of tokens, positions and a block has the gradients of its loss, with side inputs."""
    model = Sequential([Embedding(5, 4, rng=0), PositionalEncoding(4), block(4, 2), LayerNorm(4), Dense(4, 2, rng=3)])
    x = np.array([[1, 2, 3], [4, 4, 1], [2, 0, 3]])
    y = np.random.default_rng(0).normal(size=(3, 3, 2))
    with_random_biases(model, 1)
    check_model(model.given(**found), HalfSquaredError(), x, y)


@pytest.mark.parametrize("found", [{"lengths": np.array([3, 2, 1])}, {"mask": np.tri(3, dtype=bool)[::-1]}])
def test_gradients_by_input_with_side_inputs(found: dict[str, Array]) -> None:
    """With floating-point input, the gradient of a padded model's loss by it is that of finite differences."""
    model = Sequential([MultiHeadAttention(4, 2, rng=0), Sigmoid()])
    x, y = np.random.default_rng(0).normal(size=(2, 3, 3, 4))
    check_model(with_random_biases(model, 1).given(**found), HalfSquaredError(), x, y)


@pytest.mark.parametrize(
    "arrange", [np.asfortranarray, lambda a: a[::-1, ::-1, ::-1], lambda a: a.repeat(2, 2)[..., ::2]]
)
def test_arguments_may_have_any_layout_and_are_not_written_to(arrange: type) -> None:
    """Read-only, Fortran, reversed and strided input and gradients give the same, and share no memory with results."""
    layer = MultiHeadAttention(4, 2, rng=0)
    plain = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    x, grad = (arrange(array) for array in plain)
    x.flags.writeable = grad.flags.writeable = False
    y, cache = layer.forward(x)
    results = [y, layer.backward(grad, cache), *gradients(layer)]
    for result in results:
        assert not any(np.shares_memory(result, other) for other in (x, grad, *(p.value for p in layer.parameters())))
    layer.clear_gradients()
    y, cache = layer.forward(np.ascontiguousarray(x))
    expected = [y, layer.backward(np.ascontiguousarray(grad), cache), *gradients(layer)]
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-10, atol=1e-12)
