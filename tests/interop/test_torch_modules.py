"""Weights to and from modules of PyTorch itself: equal predictions, pair by pair, in both directions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import minibackprop as mb
from minibackprop import Layer
from minibackprop.interop.torch import load_torch_state_dict, torch_state_dict
from minibackprop.validation import Array

nn = torch.nn
RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 7, 6))
IMAGES = RNG.normal(size=(3, 4, 8, 9))
TOKENS = RNG.integers(0, 6, size=(5, 7))


class Reverse(mb.Layer):
    """The steps of a sequence backwards."""

    def forward(self, x: Array) -> tuple[Array, None]:
        return x[:, ::-1], None

    def backward(self, grad: Array, cache: None) -> Array:
        return grad[:, ::-1]


def backwards(layer: Layer) -> Layer:
    return mb.Sequential([Reverse(), layer, Reverse()])


def recurrent(name: str, **settings: Any) -> tuple[Callable[[], Any], Callable[[], Layer], Array]:
    """Make a pair of two layers in two directions each."""
    kind, bias = getattr(mb, name), settings.get("bias", True)

    def ours() -> Layer:
        layers = [mb.Concat([kind(width, 3, bias=bias), backwards(kind(width, 3, bias=bias))]) for width in (6, 6)]
        return mb.Sequential(layers)

    return lambda: getattr(nn, name)(6, 3, 2, batch_first=True, bidirectional=True, **settings), ours, X


PAIRS: dict[str, tuple[Callable[[], Any], Callable[[], Layer], Array]] = {
    "linear": (lambda: nn.Linear(6, 6), lambda: mb.Dense(6, 6), X),
    "linear without bias": (lambda: nn.Linear(6, 2, bias=False), lambda: mb.Dense(6, 2, bias=False), X),
    "conv1d": (lambda: nn.Conv1d(7, 4, 3, 2, groups=1), lambda: mb.Conv1D(7, 4, 3, 2), X),
    "conv2d": (
        lambda: nn.Conv2d(4, 6, (3, 2), padding=1, groups=2),
        lambda: mb.Conv2D(4, 6, (3, 2), padding=1, groups=2),
        IMAGES,
    ),
    "embedding": (lambda: nn.Embedding(6, 6), lambda: mb.Embedding(6, 6), TOKENS),
    "layer norm": (lambda: nn.LayerNorm(6), lambda: mb.LayerNorm(6), X),
    "rms norm": (lambda: nn.RMSNorm(6, eps=1e-5), lambda: mb.RMSNorm(6), X),
    "group norm": (lambda: nn.GroupNorm(2, 4), lambda: mb.GroupNorm(2, 4), IMAGES),
    "batch norm": (lambda: nn.BatchNorm2d(4), lambda: mb.BatchNorm(4), IMAGES),
    "rnn": (lambda: nn.RNN(6, 3, batch_first=True), lambda: mb.RNN(6, 3), X),
    "lstm": (lambda: nn.LSTM(6, 6, batch_first=True), lambda: mb.LSTM(6, 6), X),
    "gru": (lambda: nn.GRU(6, 3, batch_first=True), lambda: mb.GRU(6, 3), X),
    "deep rnn": recurrent("RNN"),
    "deep lstm": recurrent("LSTM"),
    "deep gru": recurrent("GRU"),
    "gru without bias": recurrent("GRU", bias=False),
    "attention": (lambda: nn.MultiheadAttention(6, 2, batch_first=True), lambda: mb.MultiHeadAttention(6, 2), X),
    "attention without bias": (
        lambda: nn.MultiheadAttention(6, 2, batch_first=True, bias=False),
        lambda: mb.MultiHeadAttention(6, 2, bias=False),
        X,
    ),
    "network": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            nn.Linear(45, 3),
        ),
        lambda: mb.Sequential(
            [
                mb.Sequential([mb.Conv2D(4, 5, 3), mb.BatchNorm(5), mb.ReLU(), mb.MaxPool2D(2)]),
                mb.Flatten(),
                mb.Dense(45, 3),
            ]
        ),
        IMAGES,
    ),
    "encoder": (
        lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True),
        lambda: mb.Sequential(
            [
                mb.Residual(mb.MultiHeadAttention(6, 2)),
                mb.LayerNorm(6),
                mb.Residual(mb.Sequential([mb.Dense(6, 8), mb.ReLU(), mb.Dense(8, 6)])),
                mb.LayerNorm(6),
            ]
        ),
        X,
    ),
}
NAMES = {
    "encoder": {
        "0": "self_attn",
        "1": "norm1",
        "2.layer.0": "linear1",
        "2.layer.2": "linear2",
        "3": "norm2",
    }
}


def randomized(module: Any) -> Any:
    """Give all parameters and buffers values of their own, in float64, in evaluation mode."""
    module = module.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in [*module.parameters(), *module.buffers()]:
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator, dtype=torch.float64) + 0.1)
    return module


def predicted(module: Any, x: Array) -> Array:
    tensor = torch.from_numpy(x)
    with torch.no_grad():
        result = module(tensor, tensor, tensor) if isinstance(module, nn.MultiheadAttention) else module(tensor)
    return (result[0] if isinstance(result, tuple) else result).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", PAIRS)
def test_predictions_agree_in_both_directions(name: str) -> None:
    """What is loaded predicts as the module does; and a module that loads what is given back, as the layer does."""
    make_theirs, make_ours, x = PAIRS[name]
    module, model = randomized(make_theirs()), make_ours()
    pairs = load_torch_state_dict(model, module.state_dict(), NAMES.get(name))
    np.testing.assert_allclose(model.predict(x), predicted(module, x), rtol=0, atol=1e-12)
    assert model.predict(x).std() > 1e-3

    for parameter in model.parameters():
        parameter.value *= 0.5 + RNG.random(parameter.shape)
    other = make_theirs().double().eval()
    state = torch_state_dict(model, pairs)
    assert all(array.flags.c_contiguous for array in state.values())
    other.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    np.testing.assert_allclose(predicted(other, x), model.predict(x), rtol=0, atol=1e-12)
    assert list(state) == list(other.state_dict()) or name == "encoder"


def test_tensors_of_all_kinds_are_taken() -> None:
    """Those that wait for a gradient, and narrow ones; those without numbers are refused by name."""
    weight = torch.ones(1, 3, requires_grad=True)
    model = mb.Dense(3, 1)
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        load_torch_state_dict(model, {"weight": weight.to(dtype) * 0.5, "bias": torch.zeros(1, dtype=dtype)})
        assert np.array_equal(model.weight.value, np.full((3, 1), 0.5))
    for wrong in (weight.to("meta"), weight.detach().to_sparse()):
        with pytest.raises(mb.StateDictError, match="weight expects a tensor, or what NumPy makes an array of"):
            load_torch_state_dict(model, {"weight": wrong, "bias": torch.zeros(1)})
    with pytest.raises(mb.StateDictError, match=r"as module.state_dict\(\) gives it, got Linear"):
        load_torch_state_dict(model, nn.Linear(3, 1))


def test_a_shared_layer_stands_twice() -> None:
    """As in PyTorch, in both directions."""
    linear, dense = nn.Linear(3, 3), mb.Dense(3, 3)
    module, model = nn.Sequential(linear, nn.Tanh(), linear), mb.Sequential([dense, mb.Tanh(), dense])
    assert load_torch_state_dict(model, module.double().state_dict()) == {"0": "0", "2": "2"}
    assert np.array_equal(dense.weight.value, linear.weight.detach().numpy().T)
    state = {name: torch.from_numpy(array) for name, array in torch_state_dict(model).items()}
    module.load_state_dict(state)


def test_names_of_parallel_and_compiled_networks() -> None:
    """What is put before each name does not matter in order."""
    model = mb.Sequential([mb.Dense(3, 3), mb.Dense(3, 1)])
    net = nn.DataParallel(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1)))
    assert load_torch_state_dict(model, net.state_dict()) == {"0": "module.0", "1": "module.1"}


@pytest.mark.parametrize("reader", ["numpy", "torch"])
def test_a_sorted_file_is_paired_by_number(reader: str, tmp_path: Any) -> None:
    """A safetensors file has its names sorted: "10" before "2"; numbers are taken as numbers, others not guessed."""
    file = pytest.importorskip("safetensors.torch")
    load_file = pytest.importorskip(f"safetensors.{reader}").load_file
    net = nn.Sequential(*(nn.Linear(3, 3) for _ in range(12)))
    model = mb.Sequential([mb.Dense(3, 3) for _ in range(12)])
    file.save_file(net.state_dict(), tmp_path / "net.safetensors")
    state = load_file(tmp_path / "net.safetensors")
    assert list(state)[2] == "1.bias"
    assert list(state)[4] == "10.bias"
    load_torch_state_dict(model, state)
    x = np.ones((2, 3))
    np.testing.assert_allclose(model.predict(x), predicted(net.double(), x), atol=1e-12)

    named = nn.Sequential()
    named.add_module("start", nn.Linear(3, 3))
    named.add_module("end", nn.Linear(3, 3))
    file.save_file(named.state_dict(), tmp_path / "net.safetensors")
    state = load_file(tmp_path / "net.safetensors")
    model = mb.Sequential([mb.Dense(3, 3), mb.Dense(3, 3)])
    with pytest.raises(mb.StateDictError, match=r"expects names=\.\.\., as a file has sorted .* got end, start"):
        load_torch_state_dict(model, state)
    load_torch_state_dict(model, state, {"0": "start", "1": "end"})
    np.testing.assert_allclose(model.predict(x), predicted(named.double(), x), atol=1e-12)


def test_what_is_given_is_right_in_a_safetensors_file(tmp_path: Any) -> None:
    """NumPy's writer stores the memory of an array: what is given back is contiguous, and comes out as it went in."""
    file = pytest.importorskip("safetensors.numpy")
    state = torch_state_dict(mb.Sequential([mb.Dense(3, 2), mb.BatchNorm(2), mb.LSTM(2, 4)]))
    file.save_file(state, tmp_path / "net.safetensors")
    for name, array in file.load_file(tmp_path / "net.safetensors").items():
        assert np.array_equal(array, state[name]), name
