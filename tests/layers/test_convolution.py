import re
import tracemalloc
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import (
    ConfigError,
    Conv1D,
    Conv2D,
    Dense,
    DTypeError,
    GlorotUniform,
    Orthogonal,
    Sequential,
    ShapeError,
    Zeros,
    load,
    save,
)
from minibackprop.core import Layer
from minibackprop.layers import _correlation
from minibackprop.testing import check_layer
from minibackprop.validation import Array
from tests.finite_differences import assert_gradients
from tests.random_models import gradients, seeds

LAYERS = {1: Conv1D, 2: Conv2D}


@st.composite
def geometries(draw: st.DrawFn, axes: int) -> dict[str, Any]:
    """Draw all that says where the kernel goes, some of it as one number for all axes."""

    def per_axis(least: int, most: int) -> int | tuple[int, ...]:
        one = st.integers(least, most)
        return draw(one | st.tuples(*[one] * axes))

    padding = "same" if draw(st.booleans()) else per_axis(0, 3)
    return {"kernel_size": per_axis(1, 3), "stride": per_axis(1, 3), "padding": padding, "dilation": per_axis(1, 2)}


@st.composite
def convolutions(draw: st.DrawFn, axes: int, channels: int | None = None) -> Layer:
    """Draw a convolution with random parameters; of so many input channels, if that is given."""
    groups = draw(st.sampled_from([1, 1, 2, 3] if channels is None else [n for n in (1, 2) if channels % n == 0]))
    inputs = channels or groups * draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(seeds))
    outputs, bias = groups * draw(st.integers(1, 2)), draw(st.booleans())
    layer = LAYERS[axes](inputs, outputs, **draw(geometries(axes)), groups=groups, bias=bias, rng=rng)
    if bias:
        layer.bias.value[...] = rng.normal(size=outputs)
    return layer


@st.composite
def examples(draw: st.DrawFn) -> tuple[Any, Array, np.random.Generator]:
    """Draw a convolution, an input with room for its kernel, and a source of more random numbers."""
    axes = draw(st.sampled_from([1, 2]))
    layer = draw(convolutions(axes))
    least = [1 + d * (k - 1) for k, d in zip(of(layer, "kernel_size"), of(layer, "dilation"), strict=True)]
    sizes = [n + draw(st.integers(0, 4)) for n in least]
    if layer.padding != "same":
        sizes = [max(1, n - 2 * p) for n, p in zip(sizes, of(layer, "padding"), strict=True)]
    rng = np.random.default_rng(draw(seeds))
    return layer, rng.normal(size=(draw(st.integers(1, 3)), layer.in_channels, *sizes)), rng


def of(layer: Any, name: str) -> tuple[int, ...]:
    """Read an argument of the layer for each axis."""
    value = getattr(layer, name)
    return value if isinstance(value, tuple) else (value,) * layer.axes


def reference(layer: Any, x: Array) -> Array:
    """Compute y by the formula, one product at a time; an index outside of x reads a zero."""
    sizes, kernel, strides, dilations = x.shape[2:], *(of(layer, n) for n in ("kernel_size", "stride", "dilation"))
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if layer.padding == "same":
        counts = [ceil(n / s) for n, s in zip(sizes, strides, strict=True)]
        missing = [max(0, (c - 1) * s + e - n) for c, s, e, n in zip(counts, strides, extents, sizes, strict=True)]
        before = [n // 2 for n in missing]
    else:
        before = of(layer, "padding")
        room = [n + 2 * p - e for n, p, e in zip(sizes, before, extents, strict=True)]
        counts = [n // s + 1 for n, s in zip(room, strides, strict=True)]
    y = np.zeros((len(x), layer.out_channels, *counts))
    inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    for n, o, *place in np.ndindex(y.shape):
        total = 0.0 if layer.bias is None else float(layer.bias.value[o])
        for c, *entry in np.ndindex((inputs, *kernel)):
            geometry = zip(place, strides, entry, dilations, before, strict=True)
            where = [i * s + k * d - p for i, s, k, d, p in geometry]
            if all(0 <= i < size for i, size in zip(where, sizes, strict=True)):
                total += layer.weight.value[o, c, *entry] * x[n, o // outputs * inputs + c, *where]
        y[n, o, *place] = total
    return y


@given(examples())
def test_values_are_those_of_the_formula(example: tuple[Any, Array, np.random.Generator]) -> None:
    """Forward and predict give the sums of the formula, whatever the strides, paddings, dilations and groups."""
    layer, x, _ = example
    expected = reference(layer, x)
    for y in (layer.forward(x)[0], layer.predict(x)):
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=30)
@given(examples())
def test_gradients_are_those_of_central_differences(example: tuple[Any, Array, np.random.Generator]) -> None:
    """Backward gives the gradients with respect to the input, the weight and the bias."""
    assert_gradients(*example)


@given(examples())
def test_backward_is_the_adjoint_of_forward(example: tuple[Any, Array, np.random.Generator]) -> None:
    """Without a bias, <G, y> = <dL/dx, x> = <dL/dW, W>; and `accumulate` adds the same, without dL/dx."""
    layer, x, rng = example
    if layer.bias is not None:
        layer.bias.value[...] = 0
    y, cache = layer.forward(x)
    grad = rng.normal(size=y.shape)
    back = layer.backward(grad, cache)
    product_ = np.vdot(grad, y)
    np.testing.assert_allclose(np.vdot(back, x), product_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.vdot(layer.weight.grad, layer.weight.value), product_, rtol=1e-9, atol=1e-9)
    both = gradients(layer)
    layer.clear_gradients()
    assert layer.accumulate(grad, cache) is None
    for one, other in zip(both, gradients(layer), strict=True):
        np.testing.assert_array_equal(one, other)


@given(examples(), st.integers(1, 100))
def test_blocks_make_no_difference(example: tuple[Any, Array, np.random.Generator], block: int) -> None:
    """However few samples are laid out at a time, the results are the same."""
    layer, x, rng = example
    y, cache = layer.forward(x)
    grad = rng.normal(size=y.shape)
    expected = [y, layer.backward(grad, cache), *gradients(layer)]
    layer.clear_gradients()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_correlation, "BLOCK", block)
        y, cache = layer.forward(x)
        for one, other in zip([y, layer.backward(grad, cache), *gradients(layer)], expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@given(
    shape=st.lists(st.integers(0, 12), min_size=2, max_size=3).map(tuple),
    numbers=st.integers(1, 50),
    block=st.integers(1, 2000),
)
def test_blocks_are_few_and_fit(shape: tuple[int, ...], numbers: int, block: int) -> None:
    """They cover all places in order, as many at a time as fit, or one; no more blocks of samples than that takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_correlation, "BLOCK", block)
        found = list(_correlation.blocks(shape, numbers))
    places = np.arange(prod(shape)).reshape(shape)
    covered = [int(place) for part in found for place in places[part].ravel()]
    assert covered == list(range(places.size))
    fitting = max(1, block // numbers)
    assert all(places[part].size <= fitting for part in found)
    if (samples := block // max(1, numbers * prod(shape[1:]))) and prod(shape[1:]):
        assert len(found) <= ceil(shape[0] / samples)


@pytest.mark.parametrize("groups", [1, 4, 16])
@pytest.mark.parametrize("stride", [1, 2])
def test_memory_does_not_grow_with_the_windows(groups: int, stride: int) -> None:
    """Forward and back, an image takes a few times the memory of x, not that of its windows, nine times as much."""
    layer = Conv2D(16, 16, 3, stride, padding="same", groups=groups, dtype=np.float32, rng=0)
    x = np.ones((1, 16, 256, 256), np.float32)
    tracemalloc.start()
    y, cache = layer.forward(x)
    layer.backward(y, cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * x.nbytes


def test_large_kernels_of_single_channels_take_no_more_memory() -> None:
    """Where places are apart, what each column of the kernel reads is copied: a block has so many fewer places."""
    conv, x = Conv1D(2, 2, 301, stride=7, groups=2, dtype=np.float32, rng=0), np.ones((1, 2, 100_000), np.float32)
    y, cache = conv.forward(x)
    for verb in (lambda: conv.predict(x), lambda: conv.accumulate(y, cache)):
        tracemalloc.start()
        verb()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 * 2**20


@given(examples())
def test_float32_stays_float32(example: tuple[Any, Array, np.random.Generator]) -> None:
    """A float32 layer gives float32 results and gradients for float32 input, near those of float64."""
    wide, x, rng = example
    narrow = wide.astype(np.float32)
    upstream = rng.normal(size=wide.predict(x).shape)
    found = []
    for layer, dtype in ((narrow, np.float32), (wide, np.float64)):
        y, cache = layer.forward(x.astype(dtype))
        found.append([y, layer.predict(x.astype(dtype)), layer.backward(upstream.astype(dtype), cache)])
        found[-1] += gradients(layer)
    for ours, exact in zip(*found, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("axes", "sizes"), [(1, (5,)), (2, (4, 3))])
def test_every_law_holds(axes: int, sizes: tuple[int, ...]) -> None:
    """Drawn convolutions keep the layer contract."""
    fitting = convolutions(axes, 2).filter(lambda layer: fits(layer, sizes))
    without = {"feature count": "a size of the image may be that of the kernel, or a number of channels, by chance"}
    check_layer(fitting, (2, *sizes), examples=4, without=without)


def fits(layer: Any, sizes: tuple[int, ...]) -> bool:
    """Tell whether there is room for the kernel, and each of its entries meets x."""
    try:
        return all(probe.any() for probe in weight_slopes(layer, sizes))
    except ShapeError:
        return False


def weight_slopes(layer: Any, sizes: tuple[int, ...]) -> list[Array]:
    """Compute dL/dW where x and dL/dy are ones, entry by entry of the kernel."""
    probe = LAYERS[layer.axes](1, 1, layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    y, cache = probe.forward(np.ones((1, 1, *sizes)))
    probe.backward(np.ones_like(y), cache)
    return list(probe.weight.grad.ravel())


@pytest.mark.parametrize("layout", ["C", "F"])
def test_layout_of_the_input_does_not_matter(layout: str) -> None:
    """Input and gradients in any order in memory, with gaps or read-only, give the same, and are not written to."""
    rng = np.random.default_rng(0)
    layer, wide = Conv2D(2, 4, 3, padding=0, groups=2, rng=0), rng.normal(size=(3, 4, 5, 12))
    x = np.asarray(wide, order=layout)[:, ::2, ::-1, ::2]
    x.flags.writeable = False
    y, cache = layer.forward(x)
    np.testing.assert_allclose(y, reference(layer, x), rtol=1e-12, atol=1e-12)
    grad = np.asarray(rng.normal(size=y.shape), order=layout)
    grad.flags.writeable = False
    for result in (y, layer.backward(grad, cache), *gradients(layer)):
        assert not any(np.shares_memory(result, array) for array in (x, grad, layer.weight.value))


def test_chain_keeps_its_channels_last_in_memory() -> None:
    """What a convolution returns is read by the next one without being rearranged."""
    y = Conv2D(1, 4, 3, rng=0).predict(np.ones((2, 1, 6, 6)))
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("weights", [np.float64, np.float32])
def test_integers_are_promoted_as_numpy_does(dtype: type, weights: type) -> None:
    """Integer and boolean input gives what the same numbers give in the dtype that NumPy promotes to."""
    layer = Conv1D(1, 2, 2, padding=1, dtype=weights, rng=0)
    x = np.array([[[0, 1, 1]], [[1, 0, 1]]]).astype(dtype)
    promoted = np.result_type(dtype, weights)
    y, cache = layer.forward(x)
    assert y.dtype == promoted
    np.testing.assert_array_equal(y, layer.predict(x.astype(promoted)))
    assert layer.backward(y, cache).dtype == promoted


def test_empty_batch_gives_an_empty_result() -> None:
    """No samples in, no samples out, and gradients of 0."""
    layer = Conv2D(4, 6, 3, padding="same", groups=2)
    y, cache = layer.forward(np.zeros((0, 4, 5, 5)))
    assert y.shape == layer.predict(np.zeros((0, 4, 5, 5))).shape == (0, 6, 5, 5)
    assert layer.backward(y, cache).shape == (0, 4, 5, 5)
    assert not any(grad.any() for grad in gradients(layer))


@given(size=st.integers(1, 9), kernel=st.integers(1, 5), dilation=st.integers(1, 3), seed=seeds)
def test_same_padding_keeps_the_size(size: int, kernel: int, dilation: int, seed: int) -> None:
    """With "same" and stride 1, the size is kept, and an even number of zeros is put half before and half after."""
    x = np.random.default_rng(seed).normal(size=(2, 1, size))
    same = Conv1D(1, 1, kernel, padding="same", dilation=dilation, rng=seed)
    assert same.predict(x).shape == x.shape
    if (kernel - 1) * dilation % 2 == 0:
        half = Conv1D(1, 1, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation, rng=seed)
        np.testing.assert_array_equal(same.predict(x), half.predict(x))


def test_odd_zero_of_same_padding_comes_last() -> None:
    """Where the number of zeros is odd, the one more is after the signal, as in Keras and PyTorch."""
    layer = Conv1D(1, 1, 2, padding="same", init=lambda shape, _: np.array([1.0, 10.0]).reshape(shape))
    np.testing.assert_array_equal(layer.predict(np.array([[[1.0, 2.0, 3.0]]])), [[[21.0, 32.0, 3.0]]])


@given(seeds)
def test_kernel_of_the_whole_image_is_a_dense_layer(seed: int) -> None:
    """A kernel as large as the image sees all of it once."""
    x = np.random.default_rng(seed).normal(size=(3, 2, 4, 5))
    layer = Conv2D(2, 3, (4, 5), rng=seed)
    dense = Dense(40, 3, init=lambda *_: layer.weight.value.reshape(3, 40).T)
    np.testing.assert_allclose(layer.predict(x)[:, :, 0, 0], dense.predict(x.reshape(3, 40)), rtol=1e-12, atol=1e-12)


def test_groups_are_convolutions_of_their_own() -> None:
    """A grouped convolution is what one for each group gives, their channels one after the other."""
    rng = np.random.default_rng(0)
    x, layer = rng.normal(size=(2, 6, 5)), Conv1D(6, 9, 2, groups=3, bias=False, rng=0)
    parts = [Conv1D(2, 3, 2, bias=False, init=lambda *_, g=g: layer.weight.value[3 * g : 3 * g + 3]) for g in range(3)]
    expected = [part.predict(x[:, 2 * g : 2 * g + 2]) for g, part in enumerate(parts)]
    np.testing.assert_allclose(layer.predict(x), np.concatenate(expected, axis=1), rtol=1e-12, atol=1e-12)


@given(seeds)
def test_same_seed_same_weights(seed: int) -> None:
    """The draws depend on the seed alone, not on the dtype or the bias; the bias starts at 0."""
    one = Conv2D(2, 3, (3, 2), rng=seed)
    other = Conv2D(2, 3, (3, 2), bias=False, dtype=np.float32, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(one.weight.value.astype(np.float32), other.weight.value)
    np.testing.assert_array_equal(one.weight.value, GlorotUniform()((3, 2, 3, 2), seed))
    assert not one.bias.value.any()
    assert other.bias is None


def test_first_weights_of_groups_are_drawn_apart() -> None:
    """Each group starts as a convolution of its own does: by its own number of inputs and outputs, and differently."""
    depthwise = Conv2D(200, 200, 3, groups=200, rng=0).weight.value
    assert 0.95 < np.abs(depthwise).max() / (6 / 18) ** 0.5 <= 1
    assert len(np.unique(depthwise)) == depthwise.size
    for group in Conv1D(8, 6, 2, groups=2, init=Orthogonal(), rng=0).weight.value.reshape(2, 3, 8):
        np.testing.assert_allclose(group @ group.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
def test_saved_layers_come_back(tmp_path: Any, groups: int) -> None:
    """A saved convolution is loaded as it was, tuples and "same" included."""
    model = Sequential([Conv2D(2, 4, (3, 2), (1, 2), "same", 2, groups, rng=0), Conv2D(4, 2, 1, padding=(0, 1))])
    save(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    x = np.random.default_rng(0).normal(size=(2, 2, 5, 6))
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "Conv2D: in_channels expects a positive integer, got 0"),
        ({"out_channels": 2.0}, "Conv2D: out_channels expects a positive integer, got 2.0"),
        ({"kernel_size": 0}, "Conv2D: kernel_size expects a positive integer, or a tuple of 2, got 0"),
        ({"kernel_size": (3,)}, r"Conv2D: kernel_size expects a positive integer, or a tuple of 2, got \(3,\)"),
        ({"kernel_size": (3, 3, 3)}, r"Conv2D: kernel_size expects .* tuple of 2, got \(3, 3, 3\)"),
        ({"kernel_size": [3, 3]}, r"Conv2D: kernel_size expects .* tuple of 2, got \[3, 3\]"),
        ({"kernel_size": (3, True)}, r"Conv2D: kernel_size expects .* tuple of 2, got \(3, True\)"),
        ({"stride": 0}, "Conv2D: stride expects a positive integer, or a tuple of 2, got 0"),
        ({"stride": None}, "Conv2D: stride expects a positive integer, or a tuple of 2, got None"),
        ({"dilation": (1, 0)}, r"Conv2D: dilation expects a positive integer, or a tuple of 2, got \(1, 0\)"),
        ({"padding": -1}, "Conv2D: padding expects 'same', an integer of at least 0, or a tuple of 2, got -1"),
        ({"padding": "valid"}, "Conv2D: padding expects 'same', an integer of at least 0, .* got 'valid'"),
        ({"padding": (0, 1.5)}, r"Conv2D: padding expects 'same', an integer of at least 0, .* got \(0, 1.5\)"),
        ({"groups": 0}, "Conv2D: groups expects a positive integer, got 0"),
        ({"groups": 2}, "Conv2D: groups expects a divisor of in_channels = 4 and of out_channels = 3, got 2"),
        ({"groups": 3}, "Conv2D: groups expects a divisor of in_channels = 4 and of out_channels = 3, got 3"),
        ({"bias": 1}, "Conv2D: bias expects True or False, got 1"),
        ({"dtype": int}, "Conv2D: dtype expects a floating-point dtype, got int64"),
        ({"init": Zeros}, "Conv2D: init expects a callable of .*, got the class Zeros itself"),
        ({"init": lambda *_: np.zeros(3)}, r"Conv2D: init expects to make .* of shape \(3, 4, 2, 2\), got .*\(3,\)"),
        ({"rng": -1}, "rng expects a Generator, a RandomState, a seed of at least 0, or None, got -1"),
    ],
)
def test_bad_configuration_is_refused(arguments: dict[str, Any], message: str) -> None:
    """Each argument is checked at construction."""
    with pytest.raises(ConfigError, match=message):
        Conv2D(**{"in_channels": 4, "out_channels": 3, "kernel_size": 2} | arguments)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 8), (3, 8, 8), (2, 1, 8, 8), (2, 8, 8, 3), (2, 3, 8, 8, 8)])
def test_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    """Input with other axes, or another number of channels, is a `ShapeError` that says so, in both passes."""
    for verb in (Conv2D(3, 2, 3).forward, Conv2D(3, 2, 3).predict):
        with pytest.raises(ShapeError, match=rf"^Conv2D expects \(N, 3, H, W\), got {re.escape(str(shape))}$"):
            verb(np.zeros(shape))
    if len(shape) != 3:
        with pytest.raises(ShapeError, match=rf"^Conv1D expects \(N, 3, L\), got {re.escape(str(shape))}$"):
            Conv1D(3, 2, 3).predict(np.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "sizes", "message"),
    [
        ({"kernel_size": 3}, (2, 3), r"at least (3, 3), the extent of its kernel, got (2, 3) from (1, 1, 2, 3)"),
        ({"kernel_size": (1, 4), "padding": 1}, (9, 1), r"at least (1, 4), .* got (11, 3) from (1, 1, 9, 1)"),
        ({"kernel_size": 3, "dilation": 3}, (6, 9), r"at least (7, 7), .* got (6, 9) from (1, 1, 6, 9)"),
        ({"kernel_size": 3, "padding": "same"}, (4, 0), r"at least (3, 3), .* from (1, 1, 4, 0)"),
    ],
)
def test_kernel_larger_than_the_padded_input_is_refused(
    arguments: dict[str, Any], sizes: tuple[int, ...], message: str
) -> None:
    """No room for the kernel is a `ShapeError` with the sizes."""
    pattern = "Conv2D expects a padded input of " + re.escape(message).replace(r"\.\*", ".*")
    with pytest.raises(ShapeError, match=pattern):
        Conv2D(1, 1, **arguments).predict(np.zeros((1, 1, *sizes)))


def test_padding_alone_is_refused() -> None:
    """An axis of length 0 is refused as such where its padding has room for the kernel."""
    with pytest.raises(ShapeError, match=r"^Conv2D expects more than padding along each axis, got \(1, 1, 0, 9\)$"):
        Conv2D(1, 1, 3, padding=3).predict(np.zeros((1, 1, 0, 9)))


@pytest.mark.parametrize("x", ["text", [[[1.0]]], None, np.full((2, 1, 3), "a"), np.ones((2, 1, 3), object)])
def test_only_arrays_of_numbers_are_taken(x: object) -> None:
    """Strings, objects and what is not an array are a `DTypeError`, in both directions."""
    layer = Conv1D(1, 1, 1)
    for verb in (layer.forward, layer.predict):
        with pytest.raises(DTypeError, match=r"^Conv1D expects an array of numbers, got "):
            verb(x)
    _, cache = layer.forward(np.ones((2, 1, 3)))
    with pytest.raises(DTypeError, match=r"^Conv1D expects an array of numbers, got "):
        layer.backward(x, cache)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("grad", [(), (2,), (3, 2, 4), (3, 1, 3), (1, 2, 3), (2, 2, 3), (3, 2, 3, 1), (3, 3, 2)])
def test_wrong_gradient_is_refused(bias: bool, grad: tuple[int, ...]) -> None:
    """A gradient that does not have the shape of the output is refused, and nothing is added to any parameter."""
    layer = Conv1D(1, 2, 2, bias=bias)
    _, cache = layer.forward(np.zeros((3, 1, 4)))
    for verb in (layer.backward, layer.accumulate):
        message = re.escape(f"Conv1D expects a gradient of shape (3, 2, 3), got {grad}")
        with pytest.raises(ShapeError, match=message):
            verb(np.zeros(grad), cache)
    assert not any(found is not None for found in gradients(layer))


def test_overflow_is_silent_as_in_dense() -> None:
    """Numbers too large for the dtype become infinite, without a warning, for the trainer to find in the loss."""
    layer = Conv1D(1, 1, 2, init=lambda shape, _: np.full(shape, 1e200), bias=False)
    y, cache = layer.forward(np.full((1, 1, 3), 1e200))
    assert np.isinf(y).all()
    assert np.isinf(layer.backward(np.full((1, 1, 2), 1e200), cache)).all()


def test_repr_builds_an_equal_layer() -> None:
    """The repr is a call that builds the same configuration."""
    for layer in (Conv1D(2, 4, 3, 2, "same", groups=2), Conv2D(1, 1, (3, 2), padding=(1, 0), bias=False)):
        assert repr(eval(repr(layer))) == repr(layer)


def test_memory_stays_small() -> None:
    """The windows of a large batch are laid out block by block: not all at once, which would take nine times x."""
    import tracemalloc

    layer, x = Conv2D(16, 1, 3, dtype=np.float32, rng=0), np.ones((256, 16, 28, 28), np.float32)
    tracemalloc.start()
    try:
        layer.predict(x)
        assert tracemalloc.get_traced_memory()[1] < 3 * x.nbytes
    finally:
        tracemalloc.stop()


def test_offsets_of_a_kernel_are_counted_row_by_row() -> None:
    """Each entry of a kernel of one 1 moves the image by its own offset."""
    image = np.arange(36.0).reshape(1, 1, 6, 6)
    for k, m in product(range(2), range(3)):
        weight = np.zeros((1, 1, 2, 3))
        weight[0, 0, k, m] = 1
        shifted = Conv2D(1, 1, (2, 3), dilation=(2, 1), init=lambda *_, weight=weight: weight).predict(image)
        np.testing.assert_array_equal(shifted, image[:, :, 2 * k : 2 * k + 4, m : m + 4])
