"""Weights under PyTorch's names, as plain arrays: PyTorch is not needed. With it: `test_torch_modules`."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import minibackprop as mb
from minibackprop import ConfigError, Layer, StateDictError
from minibackprop.interop.torch import load_torch_state_dict, torch_state_dict
from minibackprop.testing import models
from minibackprop.validation import Array


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def dense(module: str, outputs: int, inputs: int, seed: int = 0) -> dict[str, Array]:
    return {f"{module}.weight": numbers(outputs, inputs, seed=seed), f"{module}.bias": numbers(outputs, seed=seed + 1)}


def two() -> mb.Sequential:
    return mb.Sequential([mb.Dense(3, 4, rng=0), mb.ReLU(), mb.Dense(4, 2, rng=1)])


TWO = dense("fc1", 4, 3) | dense("fc2", 2, 4, seed=2)


class Scaled(Layer):
    """A layer of the user's own, with an array beside a layer."""

    def __init__(self, features: int) -> None:
        self.inner = mb.Dense(features, features, rng=0)
        self.scale = mb.Parameter(np.ones(features))
        self.steps = mb.Buffer(np.zeros(()))
        self.extra = [mb.Parameter(np.ones((2, 3)))]

    def forward(self, x: Array) -> tuple[Array, None]:
        return self.inner.predict(x) * self.scale.value, None

    def predict(self, x: Array) -> Array:
        return self.forward(x)[0]

    def backward(self, grad: Array, cache: Any) -> Array:
        raise NotImplementedError


@given(models((3,), 2))
@settings(max_examples=15)
def test_a_way_there_and_back(model: Layer) -> None:
    """Of any model, each array comes back as it was, whatever the names."""
    before = model.state_dict()
    state = torch_state_dict(model)
    assert all(type(array) is np.ndarray and array.flags.c_contiguous for array in state.values())
    for parameter in model.parameters():
        parameter.value[...] = 7.0
    pairs = load_torch_state_dict(model, {f"net.{name}": array for name, array in state.items()})
    after = model.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)
    assert list(torch_state_dict(model, pairs)) == [f"net.{name}" for name in state]


def test_a_dense_layer_is_transposed() -> None:
    model = two()
    assert load_torch_state_dict(model, TWO) == {"0": "fc1", "2": "fc2"}
    x = numbers(5, 3, seed=9)
    hidden = np.maximum(x @ TWO["fc1.weight"].T + TWO["fc1.bias"], 0.0)
    np.testing.assert_allclose(model.predict(x), hidden @ TWO["fc2.weight"].T + TWO["fc2.bias"], rtol=1e-13)


def test_two_biases_are_added() -> None:
    """Of RNN and LSTM, both; of GRU, all but those of n."""
    for kind, gates in ((mb.RNN, 1), (mb.LSTM, 4), (mb.GRU, 3)):
        layer: Any = kind(3, 2)
        state = {
            "weight_ih_l0": numbers(gates * 2, 3, seed=1),
            "weight_hh_l0": numbers(gates * 2, 2, seed=2),
            "bias_ih_l0": numbers(gates * 2, seed=3),
            "bias_hh_l0": numbers(gates * 2, seed=4),
        }
        load_torch_state_dict(layer, state)
        first, second = state["bias_ih_l0"], state["bias_hh_l0"]
        assert np.array_equal(layer.weight.value, state["weight_ih_l0"].T)
        assert np.array_equal(layer.recurrent_weight.value, state["weight_hh_l0"].T)
        if kind is mb.GRU:
            assert np.array_equal(layer.bias.value, first + np.r_[second[:4], 0.0, 0.0])
            assert np.array_equal(layer.recurrent_bias.value, second[4:])
        else:
            assert np.array_equal(layer.bias.value, first + second)
        back = torch_state_dict(layer)
        np.testing.assert_array_equal(back["bias_ih_l0"], layer.bias.value)
        np.testing.assert_array_equal(back["bias_hh_l0"][: -2 or None], np.zeros(gates * 2 - 2))


def test_biases_are_added_before_they_are_rounded() -> None:
    """In float16, 1 and 2**-11 make 1; the model has room for both."""
    zeros = {"weight_ih_l0": np.zeros((2, 3)), "weight_hh_l0": np.zeros((2, 2))}
    biases = {"bias_ih_l0": np.ones(2, np.float16), "bias_hh_l0": np.full(2, 2.0**-11, np.float16)}
    layer = mb.RNN(3, 2)
    load_torch_state_dict(layer, zeros | biases)
    assert layer.bias is not None
    assert np.array_equal(layer.bias.value, np.full(2, 1 + 2.0**-11))


def test_batch_normalization_with_and_without_a_counter() -> None:
    """The counter may be absent, as in old files; the running statistics may not."""
    model = mb.Sequential([mb.BatchNorm(2)])
    state: dict[str, Any] = {f"bn.{name}": numbers(2, seed=i) for i, name in enumerate(("weight", "bias"))}
    state |= {"bn.running_mean": numbers(2, seed=5), "bn.running_var": np.ones(2)}
    load_torch_state_dict(model, state)
    load_torch_state_dict(model, state | {"bn.num_batches_tracked": np.array(7)})
    assert np.array_equal(model.state_dict()["0.running_mean"], state["bn.running_mean"])
    counter = torch_state_dict(model)["0.num_batches_tracked"]
    assert counter.shape == ()
    assert counter.dtype == np.int64
    with pytest.raises(StateDictError, match=r"bn\.running_var expects finite numbers of float64, got nan"):
        load_torch_state_dict(model, state | {"bn.running_var": np.array([1.0, np.nan])})
    del state["bn.running_var"]
    match = (
        r"layer 0 \(BatchNorm\) expects weight, bias, running_mean, running_var of bn, got weight, bias, running_mean"
    )
    with pytest.raises(StateDictError, match=match):
        load_torch_state_dict(model, state)


def test_the_dtype_of_the_model_stays() -> None:
    for ours in (np.float32, np.float64):
        for theirs in (np.float16, np.float32, np.float64):
            model = two().astype(ours)
            load_torch_state_dict(model, {name: array.astype(theirs) for name, array in TWO.items()})
            assert {value.dtype for value in torch_state_dict(model).values()} == {np.dtype(ours)}


def test_what_is_given_back_is_a_copy() -> None:
    model = two()
    for array in torch_state_dict(model).values():
        array[...] = np.nan
    assert all(np.isfinite(value).all() for value in model.state_dict().values())


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "too few modules": (
        dense("fc1", 4, 3),
        None,
        r"layer 0 \(Dense\), layer 2 \(Dense\), and no others, got fc1; left over in the model: 2\.weight, 2\.bias$",
    ),
    "too many modules": (
        TWO | dense("aux", 9, 9),
        None,
        r"layer 2 \(Dense\), and no others, got fc1, fc2, aux; left over in state_dict: aux\.weight, aux\.bias$",
    ),
    "nothing": ({}, None, r"got none; left over in the model: 0\.weight, 0\.bias, 2\.weight, 2\.bias$"),
    "an array of none": (TWO | {"step": np.array(3)}, None, "left over in state_dict: step$"),
    "no bias": (
        {name: array for name, array in TWO.items() if name != "fc2.bias"},
        None,
        r"layer 2 \(Dense\) expects weight, bias of fc2, got weight$",
    ),
    "wrong order": (
        dict(reversed([*dense("a", 2, 4).items()])) | dense("b", 4, 3),
        None,
        r"names=\.\.\., as a file has sorted the modules: .*, got a, b",
    ),
    "other order": (
        dense("fc2", 2, 4) | dense("fc1", 4, 3),
        None,
        r"layer 0 \(Dense\) expects fc2\.weight of shape \(4, 3\), which is \(3, 4\) here, got \(2, 4\)",
    ),
    "not transposed": (
        TWO | {"fc2.weight": numbers(4, 2)},
        None,
        r"layer 2 \(Dense\) expects fc2\.weight of shape \(2, 4\), which is \(4, 2\) here, got \(4, 2\)",
    ),
    "a stretched bias": (TWO | {"fc2.bias": np.zeros(1)}, None, r"fc2\.bias of shape \(2,\), got \(1,\)"),
    "NaN": (TWO | {"fc2.bias": np.array([0.0, np.nan])}, None, r"fc2\.bias expects finite numbers of float64, got nan"),
    "complex": (TWO | {"fc2.bias": np.zeros(2) * 1j}, None, r"fc2\.bias expects real numbers, got ndarray of"),
    "a dict within": ({"state_dict": TWO, "epoch": 3}, None, "state_dict expects real numbers, got .*dict"),
    "text": (TWO | {"fc2.bias": ["a", "b"]}, None, r"fc2\.bias expects real numbers"),
    "ragged lists": (TWO | {"fc2.bias": [[1.0], [1.0, 2.0]]}, None, r"fc2\.bias expects a tensor, or what NumPy"),
    "a checkpoint": (
        {"arch": "mlp", "model": TWO},
        None,
        "model expects real numbers, got dict; of a checkpoint, give the entry with the weights alone$",
    ),
    "a module too many in the middle": (
        dense("fc1", 4, 3) | dense("aux", 9, 9) | dense("fc2", 2, 4),
        None,
        r"got fc1, aux, fc2; left over in state_dict: aux\.weight, aux\.bias$",
    ),
    "a layer too many": (
        dense("fc2", 2, 4),
        None,
        r"got fc2; left over in the model: 0\.weight, 0\.bias$",
    ),
    "an order that is not the network's": (
        dense("fc2", 2, 4) | dense("fc1", 4, 3),
        None,
        r"got \(2, 4\) \(fc1 would fit: names=\.\.\. pairs otherwise than in order\)$",
    ),
    "a name of another": (TWO, {"0": "fc2", "2": "fc1"}, r"fc2\.weight of shape .*, got \(2, 4\)$"),
    "a name for the whole": (TWO, {"": "net"}, r"each of layer 0 \(Dense\) from net, .* got fc1, fc2; left over"),
    "many names": (
        {f"{i}.weight": np.zeros((3, 3)) for i in range(20)},
        None,
        r"got 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, and 8 more; left over",
    ),
    "no mapping": ([np.zeros(3)], None, r"as module\.state_dict\(\) gives it, got list"),
    "a module that is none": (
        TWO,
        {"0": "fc1", "2": "fc3"},
        r"in the model: 2\.weight, 2\.bias; left over in state_dict: fc2\.w",
    ),
    "a prefix forgotten": (
        {f"module.{name}": array for name, array in TWO.items()},
        {"0": "fc1", "2": "fc2"},
        r"layer 0 \(Dense\) from fc1, .*, got module\.fc1, module\.fc2; left over in the model: 0\.weight",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str) -> None:
    """The error names both sides; nothing is changed."""
    state, names, match = REFUSED[case]
    model = two()
    before = model.state_dict()
    with pytest.raises(StateDictError, match=match):
        load_torch_state_dict(model, state, names)
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["fc1", "fc2"], "a mapping of paths to modules"),
        ({0: "fc1", 2: "fc2"}, "a mapping of paths to modules"),
        ({"0": "fc1"}, r"a module of PyTorch for each layer, got none for layer 2 \(Dense\)"),
        ({"0": "fc1", "1": "relu", "2": "fc2"}, r"paths of layers with arrays, .*: layer 0 .*, got '1'"),
    ],
)
def test_names_that_make_no_sense(names: Any, match: str) -> None:
    for function in (lambda: load_torch_state_dict(two(), TWO, names), lambda: torch_state_dict(two(), names)):
        with pytest.raises(ConfigError, match=match):
            function()


def test_what_is_no_model() -> None:
    for function in (lambda x: load_torch_state_dict(x, TWO), torch_state_dict):
        with pytest.raises(ConfigError, match="model expects a layer, got dict"):
            function({})


def test_names_of_what_holds_others() -> None:
    """Within them, modules are paired in order; a longer path goes before a shorter one."""
    model = mb.Sequential(
        [mb.Sequential([mb.Dense(3, 4), mb.Dense(4, 3)]), mb.Residual(mb.Dense(3, 3)), mb.Dense(3, 2)]
    )
    state = dense("head", 2, 3) | dense("features.0", 4, 3, 1) | dense("features.3", 3, 4, 2) | dense("skip", 3, 3, 3)
    pairs = load_torch_state_dict(model, state, {"0": "features", "1": "skip", "": "", "2": "head"})
    assert pairs == {"0.0": "features.0", "0.1": "features.3", "1.layer": "skip", "2": "head"}
    assert set(torch_state_dict(model, pairs)) == set(state)
    assert "body.1.weight" in torch_state_dict(model, {"0": "body", "": ""})
    with pytest.raises(ConfigError, match=r"another module of PyTorch for each layer, got two that have a a\.weight"):
        torch_state_dict(model, {"0.0": "a", "0.1": "a", "": ""})


def test_layers_of_one_recurrent_module() -> None:
    """They are named one by one; an attribute that is called l1 is no such name."""
    model = mb.Sequential([mb.LSTM(3, 2), mb.LSTM(2, 2)])
    state = torch_state_dict(model, {"0": "lstm.l0", "1": "lstm.l1"})
    assert [name for name in state if "weight" in name] == [
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l0",
        "lstm.weight_ih_l1",
        "lstm.weight_hh_l1",
    ]
    assert load_torch_state_dict(model, state) == {"0": "lstm.l0", "1": "lstm.l1"}
    backwards = torch_state_dict(mb.Sequential([mb.RNN(3, 2)]), {"0": "l0_reverse"})
    assert next(iter(backwards)) == "weight_ih_l0_reverse"

    class Named(Scaled):
        def __init__(self) -> None:
            self.l1 = mb.RNN(3, 2)

    assert next(iter(torch_state_dict(Named()))) == "l1.weight_ih_l0"


def test_attention_is_packed() -> None:
    attention = mb.MultiHeadAttention(4, 2, rng=0)
    model = mb.Sequential([attention])
    state = torch_state_dict(model, {"0": "attn"})
    assert np.array_equal(state["attn.in_proj_weight"], attention.qkv.weight.value.T)
    assert np.array_equal(state["attn.out_proj.weight"], attention.output.weight.value.T)
    shapes = {name: array.shape for name, array in state.items()}
    assert shapes == {
        "attn.in_proj_weight": (12, 4),
        "attn.in_proj_bias": (12,),
        "attn.out_proj.weight": (4, 4),
        "attn.out_proj.bias": (4,),
    }
    assert load_torch_state_dict(model, state) == {"0": "attn"}


def test_a_layer_of_ones_own_has_its_arrays_as_they_are() -> None:
    """By their names; its own come before those of layers within it, as in PyTorch."""
    model = mb.Sequential([Scaled(3)])
    state = torch_state_dict(model)
    assert list(state) == ["0.scale", "0.steps", "0.inner.weight", "0.inner.bias", "0.extra.0"]
    assert state["0.steps"].shape == ()
    state = {name.replace("0.", "net.", 1): array + 1.0 for name, array in state.items()}
    load_torch_state_dict(model, state)
    assert np.array_equal(model.state_dict()["0.scale"], np.full(3, 2.0))
    assert np.array_equal(model.state_dict()["0.inner.weight"], state["net.inner.weight"].T)


def test_layers_within_one_that_is_transposed() -> None:
    """Of a subclass of ours, what stands in it is a module within, transposed as such."""

    class Adapted(mb.Dense):
        def __init__(self) -> None:
            super().__init__(3, 2, rng=0)
            self.down = mb.Dense(3, 1, bias=False, rng=1)

    class Gated(mb.MultiHeadAttention):
        def __init__(self) -> None:
            super().__init__(4, 2, rng=0)
            self.gate = mb.Dense(4, 1, bias=False, rng=1)

    for layer, inner in ((Adapted(), "down"), (Gated(), "gate")):
        state = torch_state_dict(layer, {"": "net"})
        weight = state[f"net.{inner}.weight"]
        assert np.array_equal(weight, getattr(layer, inner).weight.value.T)
        load_torch_state_dict(layer, state | {f"net.{inner}.weight": weight + 1.0})
        assert np.array_equal(getattr(layer, inner).weight.value, weight.T + 1.0)


def test_a_layer_that_stands_twice() -> None:
    """In PyTorch it has entries for each place, which must agree; some files have it once."""
    layer = mb.Dense(3, 3, rng=0)
    model = mb.Sequential([layer, mb.Tanh(), layer])
    state = dense("a", 3, 3) | dense("c", 3, 3)
    assert load_torch_state_dict(model, state) == {"0": "a", "2": "c"}
    assert load_torch_state_dict(model, dense("a", 3, 3, 5)) == {"0": "a"}
    assert np.array_equal(layer.weight.value, numbers(3, 3, seed=5).T)
    assert list(torch_state_dict(model, {"0": "a"})) == ["a.weight", "a.bias"]
    assert list(torch_state_dict(model)) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    with pytest.raises(
        StateDictError, match=r"layer 2 \(Dense\) expects for weight of c the same values as for 0.weight"
    ):
        load_torch_state_dict(model, state | dense("c", 3, 3, 1))
    assert np.array_equal(layer.weight.value, numbers(3, 3, seed=5).T)


def test_parameters_that_two_layers_share() -> None:
    first, second = mb.Dense(3, 3, rng=0), mb.Dense(3, 3, rng=1)
    second.weight = first.weight
    model = mb.Sequential([first, second])
    state = torch_state_dict(model)
    assert np.array_equal(state["0.weight"], state["1.weight"])
    load_torch_state_dict(model, state)
    with pytest.raises(StateDictError, match=r"the same values as for 0\.weight"):
        load_torch_state_dict(model, state | {"1.weight": np.zeros((3, 3))})


def test_frozen_parts_get_their_weights_too() -> None:
    """As by ``load_state_dict``; they stay frozen. Of a part of a model, only that is loaded."""
    model = two()
    model[:1].freeze()
    load_torch_state_dict(model[:2], dense("fc1", 4, 3))
    assert np.array_equal(model.state_dict()["0.weight"], TWO["fc1.weight"].T)
    assert [parameter.frozen for parameter in model.parameters()] == [True, True, False, False]


def test_modules_with_numbers_go_by_number() -> None:
    """Files sort names, so that "10" comes before "2"."""
    model = mb.Sequential([mb.Dense(3, 3) for _ in range(12)])
    state: dict[str, Array] = {}
    for i in range(12):
        state |= dense(f"net.{i}", 3, 3, seed=i)
    assert list(load_torch_state_dict(model, dict(sorted(state.items()))).values()) == [f"net.{i}" for i in range(12)]
    assert np.array_equal(model.state_dict()["2.weight"], numbers(3, 3, seed=2).T)


def test_it_works_without_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None
from minibackprop import Dense
from minibackprop.interop.torch import load_torch_state_dict, torch_state_dict
load_torch_state_dict(Dense(3, 2), torch_state_dict(Dense(3, 2)))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
