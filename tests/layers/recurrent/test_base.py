"""What all recurrent layers share: values and gradients, padding, blocks of steps, and what they refuse."""

import re
from math import exp, tanh
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    GRU,
    LSTM,
    RNN,
    ConfigError,
    Constant,
    Dense,
    DTypeError,
    Embedding,
    HalfSquaredError,
    Layer,
    Orthogonal,
    Sequential,
    ShapeError,
    load,
    save,
)
from minibackprop.layers.recurrent import base as recurrent
from minibackprop.layers.recurrent.base import Recurrent
from minibackprop.testing import check_layer, check_model
from minibackprop.validation import Array
from tests.finite_differences import assert_gradients
from tests.random_models import gradients, seeds

CELLS = (RNN, LSTM, GRU)
cells = pytest.mark.parametrize("cell", CELLS)


def randomized(layer: Recurrent, rng: np.random.Generator) -> Recurrent:
    """Draw all parameters anew, biases too."""
    for parameter in layer.parameters():
        parameter.value[...] = rng.normal(size=parameter.value.shape)
    return layer


@st.composite
def layers(draw: st.DrawFn, in_features: int = 3) -> Recurrent:
    """Draw a recurrent layer of any cell."""
    return randomized(
        draw(st.sampled_from(CELLS))(
            in_features, draw(st.integers(1, 2)), return_sequences=draw(st.booleans()), bias=draw(st.booleans())
        ),
        np.random.default_rng(draw(seeds)),
    )


@st.composite
def lengths_of(draw: st.DrawFn, samples: int, steps: int) -> Array | None:
    """Draw lengths, or none."""
    return draw(st.none() | st.lists(st.integers(0, steps), min_size=samples, max_size=samples).map(np.array))


def sigmoid(a: float) -> float:
    return 1 / (1 + exp(-a))


def product(x: list[float], weight: list[list[float]], column: int) -> float:
    return sum(entry * row[column] for entry, row in zip(x, weight, strict=True))


def step(layer: Recurrent, x: list[float], h: list[float], c: list[float]) -> tuple[list[float], list[float]]:
    """Compute the next state, and the next cell, one number at a time."""
    width = layer.out_features
    weight, recurrent_weight = layer.weight.value.tolist(), layer.recurrent_weight.value.tolist()
    bias = [0.0] * 4 * width if layer.bias is None else layer.bias.value.tolist()
    second = [0.0] * width
    if isinstance(layer, GRU) and layer.recurrent_bias is not None:
        second = layer.recurrent_bias.value.tolist()
    states, kept = [], []
    for unit in range(width):

        def of_input(gate: int, unit: int = unit) -> float:
            return product(x, weight, gate * width + unit) + bias[gate * width + unit]

        def of_state(gate: int, unit: int = unit) -> float:
            return product(h, recurrent_weight, gate * width + unit)

        if isinstance(layer, RNN):
            states.append(tanh(of_input(0) + of_state(0)))
        elif isinstance(layer, LSTM):
            i, f, o = (sigmoid(of_input(gate) + of_state(gate)) for gate in (0, 1, 3))
            kept.append(f * c[unit] + i * tanh(of_input(2) + of_state(2)))
            states.append(o * tanh(kept[unit]))
        else:
            r, z = (sigmoid(of_input(gate) + of_state(gate)) for gate in (0, 1))
            n = tanh(of_input(2) + r * (of_state(2) + second[unit]))
            states.append((1 - z) * n + z * h[unit])
    return states, kept


def by_loops(layer: Recurrent, x: Array, lengths: list[int]) -> Array:
    """Compute y sample by sample, step by step, unit by unit."""
    y = np.zeros((*x.shape[:2], layer.out_features))
    last = np.zeros((len(x), layer.out_features))
    for sample, length in enumerate(lengths):
        h = c = [0.0] * layer.out_features
        for t in range(length):
            h, c = step(layer, x[sample, t].tolist(), h, c)
            y[sample, t] = last[sample] = h
    return y if layer.return_sequences else last


@given(layer=layers(), samples=st.integers(1, 3), steps=st.integers(1, 6), seed=seeds, data=st.data())
@settings(max_examples=40)
def test_values_are_those_of_the_formulas(
    layer: Recurrent, samples: int, steps: int, seed: int, data: st.DataObject
) -> None:
    """Both passes give what plain loops give, with lengths and without."""
    x = np.random.default_rng(seed).normal(size=(samples, steps, 3))
    lengths = data.draw(lengths_of(samples, steps))
    expected = by_loops(layer, x, [steps] * samples if lengths is None else lengths.tolist())
    layer = layer if lengths is None else layer.given(lengths=lengths)
    np.testing.assert_allclose(layer.forward(x)[0], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(layer.predict(x), layer.forward(x)[0])


def test_layers_keep_the_contract() -> None:
    """Every configuration keeps every law."""
    check_layer(layers(), (5, 3), examples=6)


@given(layer=layers(2), steps=st.integers(1, 5), seed=seeds, data=st.data())
@settings(max_examples=20)
def test_gradients_are_those_of_central_differences(
    layer: Recurrent, steps: int, seed: int, data: st.DataObject
) -> None:
    """Backward gives the gradients with respect to the input and all parameters, with lengths and without."""
    rng = np.random.default_rng(seed)
    lengths = data.draw(lengths_of(2, steps))
    assert_gradients(layer if lengths is None else layer.given(lengths=lengths), rng.normal(size=(2, steps, 2)), rng)


class Padded(Layer):
    """Reads tokens by a model that is given their lengths: a token 0 counts as none."""

    integer_input = True

    def __init__(self, model: Layer) -> None:
        self.model = model

    def _given(self, x: Array) -> Layer:
        return self.model.given(lengths=(x != 0).sum(axis=1))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return self._given(x).forward(x)

    def predict(self, x: Array, /) -> Array:
        return self._given(x).predict(x)

    def backward(self, grad: Array, cache: Any, /) -> None:
        return self.model.backward(grad, cache)

    def accumulate(self, grad: Array, cache: Any, /) -> None:
        self.model.accumulate(grad, cache)


tokens = st.builds(
    lambda lengths, seed: (
        np.random.default_rng(seed).integers(1, 3, (len(lengths), 4)) * (np.arange(4) < np.array(lengths)[:, None])
    ),
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    seeds,
)


@pytest.mark.parametrize("sequences", [True, False])
@cells
def test_padded_layers_keep_the_contract(cell: type[Recurrent], sequences: bool) -> None:
    """A model of tokens whose lengths differ keeps every law."""
    model = Padded(Sequential([Embedding(3, 2, rng=0), cell(2, 2, return_sequences=sequences, rng=1)]))
    check_layer(lambda: model.map_arrays(np.copy), tokens, examples=2)


@pytest.mark.parametrize("sequences", [True, False])
@cells
def test_models_with_lengths_are_checked_as_a_whole(cell: type[Recurrent], sequences: bool) -> None:
    """The gradient of a loss of a model with lengths is that of finite differences."""
    rng = np.random.default_rng(0)
    model = Sequential([cell(1, 2, rng=0), cell(2, 1, return_sequences=sequences, rng=1), Dense(1, 1, rng=2)])
    given = model.given(lengths=np.array([3, 1]))
    x, y = rng.normal(size=(2, 3, 1)), rng.normal(size=(2, 3, 1) if sequences else (2, 1))
    check_model(given, HalfSquaredError(), x, y)


def passes(layer: Recurrent, x: Array, grad: Array) -> list[Array]:
    """Give all that both passes give: y, dL/dx, and the gradients of the parameters."""
    layer.clear_gradients()
    y, cache = layer.forward(x)
    return [y, layer.backward(grad, cache), *gradients(layer)]


def upstream(layer: Recurrent, x: Array, rng: np.random.Generator) -> Array:
    return rng.normal(size=layer.predict(x).shape)


@given(layer=layers(), seed=seeds, data=st.data())
@settings(max_examples=25)
def test_padded_sample_is_what_it_is_alone(layer: Recurrent, seed: int, data: st.DataObject) -> None:
    """Each sample gives what it gives alone at its true length; parameters get the sum; padding is 0 on both ways."""
    rng, lengths = np.random.default_rng(seed), data.draw(lengths_of(3, 5).filter(lambda lengths: lengths is not None))
    x = rng.normal(size=(3, 5, 3))
    given = layer.given(lengths=lengths)
    grad = upstream(given, x, rng)
    y, back, *together = passes(given, x, grad)
    total = [np.zeros_like(gradient) for gradient in together]
    for row, length in enumerate(lengths):
        if layer.return_sequences:
            assert not y[row, length:].any()
        assert not back[row, length:].any()
        if not length:
            assert not y[row].any()
            continue
        mine = np.s_[row : row + 1, :length]
        one_y, one_back, *parts = passes(layer, x[mine], grad[mine] if layer.return_sequences else grad[row : row + 1])
        np.testing.assert_allclose(y[mine] if layer.return_sequences else y[row : row + 1], one_y, rtol=1e-12)
        np.testing.assert_allclose(back[mine], one_back, rtol=1e-10, atol=1e-14)
        total = [one + other for one, other in zip(total, parts, strict=True)]
    for found, expected in zip(together, total, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@given(layer=layers(), seed=seeds, bad=st.sampled_from([np.nan, np.inf, -1e300]))
@settings(max_examples=15)
def test_what_stands_in_the_padding_goes_nowhere(layer: Recurrent, seed: int, bad: float) -> None:
    """Padding may hold anything, NaN too, in x and in the upstream gradient."""
    rng, lengths = np.random.default_rng(seed), np.array([3, 0, 4])
    x = rng.normal(size=(3, 4, 3))
    given = layer.given(lengths=lengths)
    grad = upstream(given, x, rng)
    expected = passes(given, x, grad)
    padding = np.arange(4) >= lengths[:, None]
    x[padding] = bad
    if layer.return_sequences:
        grad[padding] = bad
    else:
        grad[1] = bad  # The zeros that a sample without steps gives depend on nothing.
    for found, wanted in zip(passes(given, x, grad), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@given(layer=layers(), seed=seeds)
@settings(max_examples=15)
def test_full_lengths_change_nothing(layer: Recurrent, seed: int) -> None:
    """Lengths of all steps, of any integer dtype, are as good as none."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 4, 3))
    grad = upstream(layer, x, rng)
    expected = passes(layer, x, grad)
    for dtype in (np.int8, np.uint64):
        for found, wanted in zip(passes(layer.given(lengths=np.full(2, 4, dtype)), x, grad), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@cells
def test_last_state_is_that_of_the_sequence(cell: type[Recurrent]) -> None:
    """Without `return_sequences`, y is the last of the states, and takes a gradient as that one does."""
    rng = np.random.default_rng(0)
    x, grad = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 2))
    whole, last = (cell(3, 2, return_sequences=sequences, rng=1) for sequences in (True, False))
    at_the_end = np.zeros((4, 6, 2))
    at_the_end[:, -1] = grad
    (y, *expected), (y_last, *found) = passes(whole, x, at_the_end), passes(last, x, grad)
    np.testing.assert_array_equal(y_last, y[:, -1])
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("block", [1, 30, 100])
@given(layer=layers(), seed=seeds)
@settings(max_examples=10)
def test_blocks_of_steps_do_not_matter(block: int, layer: Recurrent, seed: int) -> None:
    """However many steps are worked on at a time, the result is the same."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 7, 3))
    layer = layer.given(lengths=np.array([7, 0, 5]))
    grad = upstream(layer, x, rng)
    expected = passes(layer, x, grad)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "_BLOCK", block)
        for found, wanted in zip(passes(layer, x, grad), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


@cells
def test_float32_stays_float32(cell: type[Recurrent]) -> None:
    """A float32 layer gives float32 results and gradients for float32 input, near those of float64."""
    rng = np.random.default_rng(0)
    wide = randomized(cell(3, 2), rng)
    narrow = wide.astype(np.float32)
    x, grad = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 5, 2))
    for ours, exact in zip(
        passes(narrow, x.astype(np.float32), grad.astype(np.float32)), passes(wide, x, grad), strict=True
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-4)
    # A wider array makes a wider result, as in a product.
    y, cache = narrow.forward(x)
    assert y.dtype == narrow.backward(grad.astype(np.float32), cache).dtype == np.float64
    y, cache = wide.forward(x.astype(np.float32))
    assert y.dtype == wide.backward(grad.astype(np.float32), cache).dtype == np.float64
    assert narrow.backward(grad, narrow.forward(x.astype(np.float32))[1]).dtype == np.float64


@cells
def test_integers_are_taken_as_numbers(cell: type[Recurrent]) -> None:
    """Integers and booleans give what the same float64 numbers give."""
    layer, x = cell(3, 2, rng=0), np.arange(24).reshape(2, 4, 3) % 5
    for dtype in (np.int64, np.uint8, np.bool_):
        given = x.astype(dtype)
        grad = np.ones((2, 4, 2))
        for found, expected in zip(passes(layer, given, grad), passes(layer, given.astype(float), grad), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@cells
def test_saturated_gates_raise_no_warning(cell: type[Recurrent], dtype: type) -> None:
    """Gates that are quite open or shut, and gradients that vanish, are no floating-point errors."""
    rng = np.random.default_rng(0)
    layer = randomized(cell(3, 4, dtype=dtype), rng)
    for scale in (1e-40, 1e-3, 1e3, 1e30):
        x = (scale * rng.normal(size=(2, 200, 3))).astype(dtype)
        grad = np.zeros((2, 200, 4), dtype)
        grad[:, -1] = 1
        with np.errstate(all="raise"):
            assert all(np.isfinite(array).all() for array in passes(layer, x, grad)[:2])


@cells
def test_results_are_the_callers(cell: type[Recurrent]) -> None:
    """What a call returns shares no memory with the cache, nor with what another returns."""
    for sequences in (True, False):
        layer = cell(3, 2, return_sequences=sequences, rng=0)
        y, (x, arrays, _) = layer.forward(np.ones((2, 5, 3)))
        back = layer.backward(np.ones_like(y), (x, arrays, None))
        assert not np.shares_memory(y, arrays)
        assert not np.shares_memory(back, arrays)
        assert y.flags.c_contiguous


@cells
def test_initial_parameters(cell: type[Recurrent]) -> None:
    """Recurrent weights start orthogonal, biases at zero, that of the forget gate at one; draws ignore the dtype."""
    layer, narrow = cell(3, 4, rng=0), cell(3, 4, bias=False, dtype=np.float32, rng=np.random.default_rng(0))
    u = layer.recurrent_weight.value
    np.testing.assert_allclose(u @ u.T, np.eye(4), atol=1e-12)
    np.testing.assert_array_equal(narrow.weight.value, layer.weight.value.astype(np.float32))
    np.testing.assert_array_equal(narrow.recurrent_weight.value, u.astype(np.float32))
    assert narrow.bias is None
    names = {name: parameter.value for name, parameter in layer.named_parameters()}
    gates = layer.weight.value.shape[1] // 4
    expected = np.zeros((gates, 4))
    expected[1:2] = cell is LSTM
    np.testing.assert_array_equal(names["bias"].reshape(gates, 4), expected)
    assert list(names) == ["weight", "recurrent_weight", "bias", *(["recurrent_bias"] if cell is GRU else [])]
    assert not names.get("recurrent_bias", np.zeros(4)).any()


@cells
def test_layers_are_saved(cell: type[Recurrent], tmp_path: Path) -> None:
    """A file brings back configuration and parameters, whatever made the first ones."""
    layer = cell(3, 2, return_sequences=False, recurrent_init=Constant(1), dtype=np.float32, rng=0)
    save(layer, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert (
        repr(loaded)
        == repr(layer)
        == f"{cell.__name__}(in_features=3, out_features=2, return_sequences=False, bias=True)"
    )
    x = np.ones((2, 4, 3), np.float32)
    np.testing.assert_array_equal(loaded.predict(x), layer.predict(x))


@cells
def test_sequences_of_any_lengths_and_numbers_are_taken(cell: type[Recurrent]) -> None:
    """One layer takes sequences of one step and of many, and batches of none."""
    layer = cell(3, 2, rng=0)
    for samples, steps in ((1, 1), (2, 9), (0, 3)):
        for lengths in (None, np.full(samples, steps)):
            given = layer if lengths is None else layer.given(lengths=lengths)
            y, cache = given.forward(np.ones((samples, steps, 3)))
            assert y.shape == (samples, steps, 2)
            assert given.backward(y, cache).shape == (samples, steps, 3)


@pytest.mark.parametrize("shape", [(), (3,), (5, 3), (2, 5, 4), (2, 5, 1), (2, 0, 3), (0, 0, 3), (1, 2, 5, 3)])
@cells
def test_wrong_shape_is_refused(cell: type[Recurrent], shape: tuple[int, ...]) -> None:
    """What is no batch of sequences of `in_features`, or has no steps, is a `ShapeError` that says so."""
    for verb in (cell(3, 2).forward, cell(3, 2).predict):
        message = f"{cell.__name__} expects (N, T, 3), of at least one step, got {shape}"
        with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
            verb(np.zeros(shape))


@pytest.mark.parametrize("x", ["text", [[[1.0]]], None, np.full((1, 2, 3), "a"), np.ones((1, 2, 3), object)])
@cells
def test_only_arrays_of_real_numbers_are_taken(cell: type[Recurrent], x: object) -> None:
    """Strings, objects, complex numbers and what is no array are a `DTypeError`, in backward too."""
    layer = cell(3, 3)
    with pytest.raises(DTypeError, match=f"^{cell.__name__} expects an array of numbers, got "):
        layer.forward(x)
    with pytest.raises(DTypeError, match=f"^{cell.__name__} expects real numbers, got "):
        layer.forward(np.ones((1, 2, 3), complex))
    _, cache = layer.forward(np.ones((1, 2, 3)))
    for verb in (layer.backward, layer.accumulate):
        with pytest.raises(DTypeError, match=f"^{cell.__name__} expects an array of numbers, got "):
            verb(x, cache)
        with pytest.raises(DTypeError, match=f"^{cell.__name__} expects real numbers, got "):
            verb(np.ones((1, 2, 3), complex), cache)
    assert not any(found is not None for found in gradients(layer))


@pytest.mark.parametrize("sequences", [True, False])
@cells
def test_wrong_gradient_is_refused(cell: type[Recurrent], sequences: bool) -> None:
    """A gradient that has not the shape of the output is refused, and nothing is added to any parameter."""
    layer = cell(3, 2, return_sequences=sequences)
    y, cache = layer.forward(np.zeros((4, 5, 3)))
    for shape in ((), (2,), (1, 2), (4, 5, 2), (4, 2), (5, 4, 2), (4, 1, 2), (1, 5, 2), (4, 5, 3), (4, 1)):
        if shape != y.shape:
            for verb in (layer.backward, layer.accumulate):
                message = f"{cell.__name__} expects a gradient of shape {y.shape}, got {shape}"
                with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
                    verb(np.zeros(shape), cache)
    assert not any(found is not None for found in gradients(layer))


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([4, 4], DTypeError, "an array of integers, got list"),
        (np.array([4.0, 4.0]), DTypeError, "an array of integers, got ndarray of shape (2,) and dtype float64"),
        (np.array([True, True]), DTypeError, "an array of integers, got ndarray of shape (2,) and dtype bool"),
        (np.array([4, 4, 4]), ShapeError, "shape (2,), got (3,)"),
        (np.array([[4], [4]]), ShapeError, "shape (2,), got (2, 1)"),
        (np.array(4), ShapeError, "shape (2,), got ()"),
        (np.array([4, 5]), ConfigError, "numbers from 0 to 4, the steps of x, got 5"),
        (np.array([-1, 4]), ConfigError, "numbers from 0 to 4, the steps of x, got -1"),
    ],
)
@cells
def test_wrong_lengths_are_refused(cell: type[Recurrent], lengths: Any, error: type[Exception], message: str) -> None:
    """Lengths that do not fit x are refused where they are read, by their name and the place of the layer."""
    layer = cell(3, 2).given(lengths=lengths)
    for model, place in ((layer, ""), (Sequential([Dense(3, 3), layer]), "layer 1: ")):
        for verb in (model.forward, model.predict):
            with pytest.raises(error, match=f"^{re.escape(f'{place}{cell.__name__}: lengths expects {message}')}$"):
                verb(np.zeros((2, 4, 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_features": 0}, "in_features expects a positive integer, got 0"),
        ({"out_features": 2.0}, "out_features expects a positive integer, got 2.0"),
        ({"return_sequences": 1}, "return_sequences expects True or False, got 1"),
        ({"bias": None}, "bias expects True or False, got None"),
        ({"dtype": int}, "dtype expects a floating-point dtype, got int64"),
        ({"dtype": np.float16}, "dtype expects float32 or a wider floating-point dtype, got float16"),
        ({"init": Orthogonal}, "init expects a callable of .*, got the class Orthogonal itself"),
        ({"recurrent_init": None}, "recurrent_init expects a callable of .*, got NoneType"),
        ({"init": lambda *_: np.zeros(3)}, "init expects to make an array of finite numbers, of shape .*"),
        ({"recurrent_init": lambda *_: np.zeros(3)}, "recurrent_init expects to make an array of finite numbers, .*"),
    ],
)
@cells
def test_bad_configuration_is_refused(cell: type[Recurrent], arguments: dict[str, Any], message: str) -> None:
    """Each argument is checked at construction, and named."""
    with pytest.raises(ConfigError, match=f"^{cell.__name__}: {message}"):
        cell(**{"in_features": 3, "out_features": 2, **arguments})
    with pytest.raises(ConfigError, match="rng expects"):
        cell(3, 2, rng=-1)


@cells
def test_accumulate_leaves_the_input_alone(cell: type[Recurrent], monkeypatch: pytest.MonkeyPatch) -> None:
    """`accumulate` makes one product with the weights of the input less than `backward`."""
    calls: list[tuple[int, ...]] = []
    dot = np.dot

    def counted(a: Array, b: Array, *out: Array) -> Array:
        calls.append(b.shape)
        return dot(a, b, *out)

    layer = cell(3, 2, rng=0)
    y, cache = layer.forward(np.ones((4, 5, 3)))
    monkeypatch.setattr(np, "dot", counted)
    layer.accumulate(y, cache)
    there = list(calls)
    calls.clear()
    layer.backward(y, cache)
    assert [shape for shape in calls if shape[1] == 3] == [layer.weight.value.T.shape]
    assert [shape for shape in calls if shape[1] != 3] == there
