import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    AvgPool1D,
    AvgPool2D,
    ConfigError,
    DTypeError,
    GlobalAvgPool,
    MaxPool1D,
    MaxPool2D,
    Sequential,
    ShapeError,
    load,
    save,
)
from minibackprop.core import Layer
from minibackprop.testing import check_layer
from minibackprop.validation import Array
from tests.finite_differences import assert_gradients
from tests.random_models import seeds

LAYERS = {("max", 1): MaxPool1D, ("max", 2): MaxPool2D, ("mean", 1): AvgPool1D, ("mean", 2): AvgPool2D}
kinds = st.sampled_from(["max", "mean"])


@st.composite
def pools(draw: st.DrawFn, kind: str, axes: int, most: int = 4) -> Any:
    """Draw a layer of pooling, windows of at most so many numbers along each axis."""
    kernel = draw(st.integers(1, most) | st.tuples(*[st.integers(1, most)] * axes))
    least = min(kernel) if isinstance(kernel, tuple) else kernel
    stride = draw(st.none() | st.integers(1, 5) | st.tuples(*[st.integers(1, 5)] * axes))
    padding = draw(st.integers(0, least - 1) | st.tuples(*[st.integers(0, least - 1)] * axes))
    return LAYERS[kind, axes](kernel, stride, padding)


@st.composite
def examples(draw: st.DrawFn, kind: st.SearchStrategy[str] = kinds) -> tuple[Any, Array, np.random.Generator]:
    """Draw a layer, an input with room for its windows, and a source of more random numbers."""
    axes = draw(st.sampled_from([1, 2]))
    layer = draw(pools(draw(kind), axes))
    sizes = [max(1, k - 2 * p) + draw(st.integers(0, 5)) for k, _, p in geometry(layer)]
    rng = np.random.default_rng(draw(seeds))
    return layer, rng.normal(size=(draw(st.integers(1, 2)), draw(st.integers(1, 3)), *sizes)), rng


def geometry(layer: Any) -> list[tuple[int, int, int]]:
    """Give kernel size, stride and padding of each axis."""
    values = [layer.kernel_size, layer.kernel_size if layer.stride is None else layer.stride, layer.padding]
    return list(zip(*[v if isinstance(v, tuple) else (v,) * layer.axes for v in values], strict=True))


def reference(layer: Any, x: Array) -> tuple[Array, dict[tuple[int, ...], list[tuple[int, ...]]]]:
    """Compute y window by window, and list where in x each window is, row by row."""
    counts = [(n + 2 * p - k) // s + 1 for n, (k, s, p) in zip(x.shape[2:], geometry(layer), strict=True)]
    y, windows = np.zeros((*x.shape[:2], *counts)), {}
    for n, c, *place in np.ndindex(y.shape):
        found = []
        for entry in np.ndindex(*(k for k, _, _ in geometry(layer))):
            where = [i * s + e - p for i, e, (_, s, p) in zip(place, entry, geometry(layer), strict=True)]
            if all(0 <= i < size for i, size in zip(where, x.shape[2:], strict=True)):
                found.append((n, c, *where))
        windows[n, c, *place] = found
        values = [float(x[where]) for where in found]
        size = np.prod([k for k, _, _ in geometry(layer)])
        y[n, c, *place] = max(values) if isinstance(layer, (MaxPool1D, MaxPool2D)) else sum(values) / size
    return y, windows


@given(examples())
def test_values_are_those_of_the_formula(example: tuple[Any, Array, np.random.Generator]) -> None:
    """Forward and predict give the largest or the mean, with padding that never wins, or counts as zeros."""
    layer, x, _ = example
    expected, _ = reference(layer, x)
    for y in (layer.forward(x)[0], layer.predict(x)):
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=30)
@given(examples())
def test_gradients_are_those_of_central_differences(example: tuple[Any, Array, np.random.Generator]) -> None:
    """Backward gives the gradient with respect to the input, where windows overlap or leave some of it out, too."""
    layer, x, rng = example
    # Apart by more than the step of the differences, so that the largest stays the largest.
    x = rng.permutation(x.size).reshape(x.shape) / 10
    assert_gradients(layer, x, rng)


@given(examples(st.just("max")), st.integers(1, 3))
def test_gradient_goes_to_the_first_of_the_largest(example: tuple[Any, Array, np.random.Generator], most: int) -> None:
    """Among equal numbers, the first in the window, row by row, gets all of dL/dy, as in PyTorch."""
    layer, x, rng = example
    x = rng.integers(0, most, x.shape).astype(float)
    y, cache = layer.forward(x)
    grad = rng.normal(size=y.shape)
    expected = np.zeros_like(x)
    for place, window in reference(layer, x)[1].items():
        first = next(where for where in window if x[where] == y[place])
        expected[first] += grad[place]
    np.testing.assert_allclose(layer.backward(grad, cache), expected, rtol=1e-12, atol=1e-12)


@given(examples(), st.sampled_from([-1e300, -5.0]))
def test_padding_never_is_the_largest(example: tuple[Any, Array, np.random.Generator], offset: float) -> None:
    """However small all numbers are, the largest of a window is one of them; dL/dx has all of dL/dy."""
    layer, x, rng = example
    if isinstance(layer, (AvgPool1D, AvgPool2D)):
        layer = {1: MaxPool1D, 2: MaxPool2D}[layer.axes](layer.kernel_size, layer.stride, layer.padding)
    x = x + offset
    y, cache = layer.forward(x)
    assert np.isin(y, x).all()
    grad = rng.uniform(0.5, 1, y.shape)
    np.testing.assert_allclose(layer.backward(grad, cache).sum(), grad.sum(), rtol=1e-12)


@given(examples())
def test_float32_stays_float32(example: tuple[Any, Array, np.random.Generator]) -> None:
    """float32 input and gradients give float32 results, those of float64."""
    layer, x, rng = example
    x = x.astype(np.float32)
    grad = rng.normal(size=layer.predict(x).shape).astype(np.float32)
    found = []
    for dtype in (np.float32, np.float64):
        y, cache = layer.forward(x.astype(dtype))
        found.append([y, layer.predict(x.astype(dtype)), layer.backward(grad.astype(dtype), cache)])
    for ours, exact in zip(*found, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize("sizes", [(5,), (4, 3)])
def test_every_law_holds(kind: str, sizes: tuple[int, ...]) -> None:
    """Drawn layers of pooling keep the layer contract."""
    pool = pools(kind, len(sizes), 3).filter(lambda layer: all(s <= k for k, s, _ in geometry(layer)))
    check_layer(pool, (2, *sizes), examples=4)


@pytest.mark.parametrize("shape", [(2, 3), (2, 2, 2)])
def test_every_law_holds_for_global_pooling(shape: tuple[int, ...]) -> None:
    """The mean of whole channels keeps the layer contract."""
    check_layer(GlobalAvgPool, shape, examples=4)


@given(shape=st.lists(st.integers(1, 4), min_size=3, max_size=5).map(tuple), seed=seeds)
def test_global_pooling_is_pooling_over_a_window_of_all(shape: tuple[int, ...], seed: int) -> None:
    """It gives the mean of each channel, and what `AvgPool` with a window of that size does."""
    rng, layer = np.random.default_rng(seed), GlobalAvgPool()
    x, grad = rng.normal(size=shape), rng.normal(size=shape[:2])
    y, cache = layer.forward(x)
    np.testing.assert_allclose(y, x.reshape(*shape[:2], -1).mean(axis=2), rtol=1e-12, atol=1e-12)
    assert_gradients(layer, x, rng)
    if len(shape) < 5:
        pool: Layer = AvgPool1D(shape[2]) if len(shape) == 3 else AvgPool2D(shape[2:])
        z, pool_cache = pool.forward(x)
        np.testing.assert_allclose(z.reshape(y.shape), y, rtol=1e-12, atol=1e-12)
        back = pool.backward(grad.reshape(z.shape), pool_cache)
        np.testing.assert_allclose(layer.backward(grad, cache), back, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "layer", [MaxPool2D(2), MaxPool2D(3, 1, 1), AvgPool2D(2, 3), AvgPool2D(3, 2, 1), GlobalAvgPool()]
)
@pytest.mark.parametrize("layout", ["C", "F", "channels last"])
def test_layout_of_the_input_does_not_matter(layer: Layer, layout: str) -> None:
    """Input and gradients in any order in memory, read-only, give the same, and no result shares their memory."""
    rng = np.random.default_rng(0)
    plain = rng.integers(0, 5, (2, 3, 7, 6)).astype(float)

    def laid_out(array: Array) -> Array:
        array = np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1) if layout == "channels last" else array
        array = array.copy("K") if layout == "channels last" else np.array(array, order=layout)
        array.flags.writeable = False
        return array

    x = laid_out(plain)
    y, cache = layer.forward(x)
    grad = laid_out(rng.normal(size=y.shape))
    back = layer.backward(grad, cache)
    expected, plain_cache = layer.forward(plain)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_allclose(back, layer.backward(grad.copy(), plain_cache), rtol=1e-12)
    for result in (y, back):
        assert result.flags.writeable
        assert not any(np.shares_memory(result, array) for array in (x, grad))


@pytest.mark.parametrize("layer", [MaxPool1D(2, 1, 1), AvgPool1D(2), GlobalAvgPool()])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integers_are_taken_as_float64(layer: Layer, dtype: type) -> None:
    """Integer and boolean input gives what the same numbers give as float64."""
    x = np.array([[[0, 1, 1, 0]], [[1, 0, 1, 1]]]).astype(dtype)
    y, cache = layer.forward(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, layer.predict(x.astype(np.float64)))
    assert layer.backward(y, cache).dtype == np.float64


@pytest.mark.parametrize("layer", [MaxPool1D(2, 1, 1), AvgPool1D(2), GlobalAvgPool()])
def test_empty_batch_gives_an_empty_result(layer: Layer) -> None:
    """No samples in, no samples out; and none of no channels."""
    for shape in ((0, 3, 5), (2, 0, 5)):
        y, cache = layer.forward(np.zeros(shape))
        assert y.shape[:2] == shape[:2]
        assert layer.backward(y, cache).shape == shape


def test_saved_layers_come_back(tmp_path: Any) -> None:
    """A saved layer is loaded as it was, tuples and defaults included."""
    model = Sequential([MaxPool2D((3, 2), padding=(1, 0)), AvgPool2D(2, stride=1), GlobalAvgPool()])
    save(model, tmp_path / "model")
    assert repr(load(tmp_path / "model")) == repr(model)
    assert repr(eval(repr(model))) == repr(model)


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 0}, "kernel_size expects a positive integer, or a tuple of 2, got 0"),
        ({"kernel_size": (2,)}, r"kernel_size expects a positive integer, or a tuple of 2, got \(2,\)"),
        ({"kernel_size": 2.0}, "kernel_size expects a positive integer, or a tuple of 2, got 2.0"),
        ({"stride": 0}, "stride expects a positive integer, or a tuple of 2, got 0"),
        ({"stride": (1, 2, 3)}, r"stride expects a positive integer, or a tuple of 2, got \(1, 2, 3\)"),
        ({"padding": -1}, "padding expects an integer of at least 0, or a tuple of 2, got -1"),
        ({"padding": "same"}, "padding expects an integer of at least 0, or a tuple of 2, got 'same'"),
        ({"padding": 2}, "padding expects less than kernel_size = 2, .* got 2"),
        ({"kernel_size": (3, 2), "padding": (2, 2)}, r"padding expects less than .* = \(3, 2\), .* got \(2, 2\)"),
    ],
)
def test_bad_configuration_is_refused(kind: type, arguments: dict[str, Any], message: str) -> None:
    """Each argument is checked at construction."""
    with pytest.raises(ConfigError, match=f"{kind.__name__}: {message}"):
        kind(**{"kernel_size": 2} | arguments)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 8), (2, 3, 8, 8, 8)])
def test_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    """Input with other axes is a `ShapeError` that says so, in both passes."""
    for kind in (MaxPool2D, AvgPool2D):
        for verb in (kind(2).forward, kind(2).predict):
            with pytest.raises(
                ShapeError, match=rf"^{kind.__name__} expects \(N, C, H, W\), got {re.escape(str(shape))}$"
            ):
                verb(np.zeros(shape))
    if len(shape) < 3:
        with pytest.raises(
            ShapeError, match=rf"^GlobalAvgPool expects \(N, C, ...\), .*, got {re.escape(str(shape))}$"
        ):
            GlobalAvgPool().predict(np.zeros(shape))


@pytest.mark.parametrize("sizes", [(2, 3), (3, 1), (0, 5), (4, 0)])
def test_window_larger_than_the_padded_input_is_refused(sizes: tuple[int, ...]) -> None:
    """No room for a window is a `ShapeError` with the sizes; also an axis of length 0, whatever the padding."""
    with pytest.raises(
        ShapeError, match=rf"^MaxPool2D expects .* at least \(5, 4\), .* from \(1, 1, {sizes[0]}, {sizes[1]}\)$"
    ):
        MaxPool2D((5, 4), padding=1).predict(np.zeros((1, 1, *sizes)))
    if 0 in sizes:
        for layer in (MaxPool2D(2, padding=1), AvgPool2D(2, padding=1), GlobalAvgPool()):
            with pytest.raises(ShapeError, match=rf"^{type(layer).__name__} expects"):
                layer.predict(np.zeros((1, 1, *sizes)))


@pytest.mark.parametrize("layer", [MaxPool1D(1), AvgPool1D(1), GlobalAvgPool()])
@pytest.mark.parametrize("x", ["text", [[[1.0]]], None, np.full((2, 1, 3), "a"), np.ones((2, 1, 3), object)])
def test_only_arrays_of_numbers_are_taken(layer: Layer, x: object) -> None:
    """Strings, objects and what is not an array are a `DTypeError`, in both directions."""
    _, cache = layer.forward(np.ones((2, 1, 3)))
    for verb in (layer.forward, layer.predict, lambda x: layer.backward(x, cache)):
        with pytest.raises(DTypeError, match=rf"^{type(layer).__name__} expects an array of numbers, got "):
            verb(x)


@pytest.mark.parametrize("layer", [MaxPool1D(2), AvgPool1D(2), GlobalAvgPool()])
def test_wrong_gradient_is_refused(layer: Layer) -> None:
    """A gradient that does not have the shape of the output is refused, also where NumPy would broadcast it."""
    y, cache = layer.forward(np.zeros((3, 2, 4)))
    for shape in ((), (2,), (1, *y.shape[1:]), (*y.shape, 1), (*y.shape[:-1], 1), (3, 2, 4)):
        with pytest.raises(ShapeError, match=re.escape(f"expects a gradient of shape {y.shape}, got {shape}")):
            layer.backward(np.zeros(shape), cache)


@pytest.mark.parametrize("layer", [MaxPool1D(2, 1, 1), AvgPool1D(2), GlobalAvgPool()])
def test_largest_numbers_raise_no_warning(layer: Layer) -> None:
    """Sums may become infinite; nothing warns, and nothing is NaN."""
    y, cache = layer.forward(np.array([[[1.7e308, 1.7e308, -1.7e308, 1.0]]]))
    assert not np.isnan(y).any()
    assert not np.isnan(layer.backward(np.full_like(y, 1e308), cache)).any()
