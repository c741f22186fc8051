"""Functions and modules of PyTorch as layers: right ones pass, planted bugs are found, and both keep what they must."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn

from minibackprop import ConfigError, ContractError, ShapeError
from minibackprop.testing import ContractViolation, check_layer
from minibackprop.testing.torch import TorchLayer
from tests.testing.bank.planting import Planted
from tests.testing.bank_torch import BANK, Square, SquareInPlace, found_by_gradcheck
from tests.testing.beside_others import THOROUGH, require_found, require_table, require_twin_passes

TWINS = {planted.twin.__defaults__: planted for planted in BANK}


@pytest.mark.parametrize("planted", BANK, ids=lambda planted: planted.name)
def test_bug_is_found(planted: Planted) -> None:
    """A law that should see the bug is broken, at night the first of all; the cause is named where it can be told."""
    require_found(planted)


@pytest.mark.parametrize("planted", TWINS.values(), ids=lambda planted: f"twin of {planted.name}")
def test_twin_passes(planted: Planted) -> None:
    """A correct function or module, that differs from a wrong one in a line, keeps every law."""
    require_twin_passes(planted)


def test_page_says_what_gradcheck_finds() -> None:
    """The table of the docs is what is measured, and has every bug."""
    require_table("check_torch.md", BANK, found_by_gradcheck)


class First(nn.Module):
    """The first result of a module of several."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]


class SelfAttention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


def tokens(count: int, steps: int) -> st.SearchStrategy:
    """Draw batches of three sequences of tokens."""
    return st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).integers(0, count, size=(3, steps)))


#: Modules of torch, the shape of a sample, and whether they are left to the nightly run, as they take seconds.
STOCK: dict[str, tuple[Callable[[], nn.Module], object, bool]] = {
    "Linear": (lambda: nn.Linear(3, 4), (3,), False),
    "ReLU": (nn.ReLU, (3,), False),
    "LeakyReLU": (nn.LeakyReLU, (3,), True),
    "PReLU": (nn.PReLU, (3,), True),
    "ELU": (nn.ELU, (3,), True),
    "GELU": (nn.GELU, (3,), True),
    "SiLU": (nn.SiLU, (3,), True),
    "Hardswish": (nn.Hardswish, (3,), True),
    "Tanh": (nn.Tanh, (3,), True),
    "Sigmoid": (nn.Sigmoid, (3,), True),
    "Softplus": (nn.Softplus, (3,), True),
    "Softmax": (lambda: nn.Softmax(-1), (3,), True),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), (3,), True),
    "LayerNorm": (lambda: nn.LayerNorm(4), (4,), True),
    "RMSNorm": (lambda: nn.RMSNorm(4), (4,), True),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (4, 3), True),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2), (2, 4), True),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), (3,), True),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2), (2, 3, 3), True),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3), (2, 5), False),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 2), (2, 4, 4), True),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 3, 2), (2, 4), True),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), (2, 4), False),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (2, 4, 4), True),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), (2, 4, 4), True),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(2), (2, 5), True),
    "Flatten": (nn.Flatten, (2, 3), True),
    "Dropout": (nn.Dropout, (4,), False),
    "Embedding": (lambda: nn.Embedding(7, 3), tokens(7, 2), False),
    "RNN": (lambda: First(nn.RNN(3, 2, batch_first=True)), (3, 3), True),
    "LSTM": (lambda: First(nn.LSTM(3, 2, batch_first=True)), (3, 3), True),
    "GRU": (lambda: First(nn.GRU(3, 2, batch_first=True)), (3, 3), True),
    "MultiheadAttention": (SelfAttention, (3, 4), True),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True),
        (3, 4),
        True,
    ),
    "Sequential": (
        lambda: nn.Sequential(
            nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)
        ),
        (3,),
        True,
    ),
}


@pytest.mark.parametrize("name", [name for name, (_, _, slow) in STOCK.items() if THOROUGH or not slow])
def test_module_of_torch_passes(name: str) -> None:
    """Modules that come with torch keep every law, but for those that their types lift."""
    make, inputs, _ = STOCK[name]
    check_layer(lambda: TorchLayer(make()), inputs, examples=10 if THOROUGH else 2)


def test_gradients_are_those_of_torch() -> None:
    """Results and gradients are bit for bit what torch gives, and parameters have the names of torch."""
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).double()
    layer = TorchLayer(copy.deepcopy(module))
    x, grad = np.random.default_rng(0).normal(size=(2, 5, 3)), np.random.default_rng(1).normal(size=(2, 5, 4))
    theirs = torch.tensor(x, requires_grad=True)
    expected = module(theirs)
    expected.backward(torch.tensor(grad))
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    np.testing.assert_array_equal(layer.backward(grad, cache), theirs.grad.numpy())
    parameters = dict(layer.named_parameters())
    assert list(parameters) == ["0.weight", "0.bias"]
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(parameters[name].grad, parameter.grad.numpy())


def test_training_and_evaluation() -> None:
    """Forward trains, so that it changes running statistics; predict evaluates, and leaves them."""
    layer = TorchLayer(nn.BatchNorm1d(3))
    before = layer.state_dict()
    layer.predict(np.ones((4, 3), np.float32))
    np.testing.assert_equal(layer.state_dict(), before)
    layer.forward(np.ones((4, 3), np.float32))
    after = layer.state_dict()
    assert list(after) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert after["num_batches_tracked"] == 1
    np.testing.assert_allclose(after["running_mean"], 0.1)


def test_a_buffer_that_is_replaced_is_kept() -> None:
    """A module may put another tensor into the place of a buffer, rather than write into it."""

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.count = self.count + 1
            return x + 0

    layer = TorchLayer(Counter())
    for _ in range(3):
        layer.forward(np.ones((1, 2)))
    assert layer.state_dict() == {"count": 3.0}


def test_what_types_say() -> None:
    """Dropout and batch normalization within are declared, and reasons of one's own are added."""
    assert TorchLayer(nn.Sequential(nn.Dropout(), nn.Dropout())).stochastic == "Dropout draws random numbers"
    assert TorchLayer(nn.Dropout(0.0)).stochastic == ""
    assert TorchLayer(nn.BatchNorm1d(3), couples_samples="so").couples_samples == "so; BatchNorm1d uses the batch"
    assert TorchLayer(nn.InstanceNorm1d(3)).couples_samples == ""
    assert TorchLayer(nn.InstanceNorm1d(3, track_running_stats=True)).couples_samples
    assert TorchLayer(First(nn.LSTM(3, 2, 2, dropout=0.1))).stochastic
    assert TorchLayer(torch.sign, alters_gradient="a staircase").alters_gradient == "a staircase"
    with pytest.raises(ConfigError, match="TorchLayer: stochastic expects the reason, as a str, got bool"):
        TorchLayer(torch.relu, stochastic=True)


def test_frozen_parameters() -> None:
    """What requires no gradient gets none, and `freeze` is freezing."""
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    layer = TorchLayer(module)
    y, cache = layer.forward(np.ones((1, 3), np.float32))
    layer.backward(y, cache)
    assert layer.held.value.bias is not module.weight
    assert {name: parameter.grad is None for name, parameter in layer.named_parameters()} == {
        "weight": False,
        "bias": True,
    }


def test_tied_weights_are_one() -> None:
    """A parameter under two names is one, with the sum of both gradients."""
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    module[1].weight = module[0].weight
    layer = TorchLayer(module)
    assert [name for name, _ in layer.named_parameters()] == ["0.weight"]
    check_layer(lambda: TorchLayer(copy.deepcopy(module)), (3,), examples=1)


def test_writing_reaches_the_argument() -> None:
    """What torch writes to its copy is written to the argument; a read-only one is an error."""
    layer = TorchLayer(SquareInPlace.apply)
    x = np.ones((1, 2))
    _, cache = layer.forward(x)
    grad = np.ones((1, 2))
    layer.backward(grad, cache)
    np.testing.assert_array_equal(grad, [[2.0, 2.0]])
    grad.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        layer.backward(grad, cache)
    with pytest.raises(ContractViolation, match="argument overwritten"):
        check_layer(lambda: TorchLayer(nn.ReLU(inplace=True)), (3,), examples=5)


def test_dropout_draws_from_the_layer() -> None:
    """Two layers and copies draw alike, calls differ, the layout does not matter, and torch's own stream stays."""
    x = np.ones((40, 30))
    layer = TorchLayer(nn.Dropout(0.5))
    twin, before = copy.deepcopy(layer), torch.get_rng_state()
    first, second = layer.forward(x)[0], layer.forward(x)[0]
    assert torch.equal(before, torch.get_rng_state())
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(twin.forward(np.asfortranarray(x))[0], first)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(twin)).forward(x)[0], second)


@pytest.mark.parametrize("steps", [(1, 2), (-1, 1)], ids=["Fortran and strided", "reversed"])
def test_layouts(steps: tuple[int, int]) -> None:
    """Torch gets the strides of the arrays, where it knows such."""
    seen = []

    def look(x):
        seen.append(x.stride())
        return x * 2

    x = np.arange(24.0).reshape(6, 4)[:: steps[0], :: steps[1]]
    layer = TorchLayer(look)
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(layer.backward(np.broadcast_to(x[:1], x.shape), cache), 2 * x[[0] * len(x)])
    layer.predict(np.asfortranarray(x))
    assert seen == [(4, 2) if steps[0] > 0 else (4, 1), (1, 6)]


def test_shapes_are_refused() -> None:
    """A wrong width is a `ShapeError` with what torch says; a gradient of a wrong shape as well."""
    layer = TorchLayer(nn.Linear(3, 4))
    with pytest.raises(ShapeError, match=r"TorchLayer\(Linear\) expects .*, got \(2, 5\): mat1 and mat2 shapes cannot"):
        layer.predict(np.ones((2, 5), np.float32))
    y, cache = layer.forward(np.ones((2, 3), np.float32))
    with pytest.raises(ShapeError, match=r"a gradient of shape \(2, 4\), got \(2, 3\)"):
        layer.backward(y[:, :3], cache)


class Two(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, other):
        return x + other


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Square, r"a function: Square\.apply, got the class Square itself"),
        (nn.ReLU, r"an instance of torch\.nn\.Module, got the class ReLU itself"),
        (3, r"a function of torch, or an instance of torch\.nn\.Module, got int"),
        (torch.zeros(2), "got Tensor"),
        (nn.Linear(3, 4).forward, "the module itself, for its parameters, got its method forward"),
        (Two.apply, r"Two expects a function of one tensor \(wrap it .*\), got one that takes \(ctx, x, other\)"),
        (nn.Bilinear(2, 2, 2), "Bilinear expects a function of one tensor"),
        (lambda x, y: x + y, "a function of one tensor"),
    ],
)
def test_nonsense_is_refused(wrong: object, message: str) -> None:
    """What is no function of one tensor is refused at once, with what to do."""
    with pytest.raises(ConfigError, match=message):
        TorchLayer(wrong)


def test_several_results_are_refused() -> None:
    """A module that returns several tensors is to be wrapped."""
    with pytest.raises(ContractError, match=r"TorchLayer\(LSTM\) must return one tensor \(wrap it .*\), got tuple"):
        TorchLayer(nn.LSTM(3, 2)).forward(np.ones((2, 3), np.float32))


def test_pickle_of_what_has_no_name() -> None:
    """An importable function is pickled by its name; a local one as a reference, good as long as it is alive."""
    x = np.ones((1, 2))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(TorchLayer(Square.apply))).predict(x), x)
    local = TorchLayer(lambda x: x * 3)
    pickled = pickle.dumps(local)
    np.testing.assert_array_equal(pickle.loads(pickled).predict(x), 3 * x)
    del local
    with pytest.raises(ContractError, match="must be read where it was written"):
        pickle.loads(pickled)


def test_missing_torch_is_named() -> None:
    """Without torch, the error says what to install, and `minibackprop.testing` works, as it does not import it."""
    code = """
import sys
sys.modules["torch"] = None
import minibackprop.testing
from minibackprop.testing import *
import minibackprop.testing.torch
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.stderr.strip().endswith("minibackprop.testing.torch needs PyTorch: pip install torch")
