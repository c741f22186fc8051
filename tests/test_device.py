"""Everything runs on arrays of another kind, to the bit as on NumPy's; shown with a strict stand-in for a GPU's."""

import inspect
import sys
from typing import Any

import numpy as np
import pytest

import minibackprop as mb
from minibackprop import Layer, Loss, Metric, Optimizer, Trainer
from minibackprop.testing.device_array import DeviceArray
from tests.device import __main__ as script
from tests.device import timing
from tests.device.kit import CASES, HOST, STAND_IN, Kit, compare
from tests.device.layers import LAYERS
from tests.device.parts import LOSSES, OPTIMIZERS


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_same_on_a_device(name: str) -> None:
    """Results, states, histories and files are those of NumPy, bit for bit."""
    compare(name, STAND_IN)


def concrete(kind: type) -> set[str]:
    """Name the public classes of a kind that can be made."""
    found = {name: getattr(mb, name) for name in dir(mb)}
    return {
        name
        for name, value in found.items()
        if isinstance(value, type) and issubclass(value, kind) and not inspect.isabstract(value)
    }


@pytest.mark.parametrize(
    ("kind", "names", "elsewhere"),
    [(Layer, LAYERS, set()), (Loss, LOSSES, set()), (Optimizer, OPTIMIZERS, {"ParameterGroups"})],
)
def test_all_are_compared(kind: type, names: dict[str, Any], elsewhere: set[str]) -> None:
    """Every public class is among the comparisons."""
    shown = {name.partition(",")[0].partition(" ")[0] for name in names}
    assert shown | elsewhere == concrete(kind)
    assert {f"optimizer {name}" for name in elsewhere} <= CASES.keys()
    assert concrete(Metric) == {"SklearnMetric"}  # The others are functions.


def test_the_script_runs_without_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """With the stand-in it compares, and says how many hold."""
    assert script.main(["--stand-in", "--only", "loss Me"]) == 0
    assert "3 of 3 comparisons of the stand-in DeviceArray with NumPy hold" in capsys.readouterr().out


def test_the_script_tells_of_what_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A result that differs, one that is missing, and an error are each named, and the exit status says so."""
    others = {
        "a number": lambda kit: [1.0 if kit is HOST else 1.5],
        "a dict": lambda kit: {"one" if kit is HOST else "two": 1.0},
        "a list": lambda kit: [1.0] if kit is HOST else [],
        "a dtype": lambda kit: np.zeros(2, float if kit is HOST else np.float32),
        "a word": lambda kit: kit.name,
        "an error": lambda kit: kit.array(np.ones(2)) + np.ones(2),
    }
    for name, case in others.items():
        monkeypatch.setitem(CASES, f"planted {name}", case)
    assert script.main(["--stand-in", "--only", "planted"]) == 1
    printed = capsys.readouterr().out
    assert all(f"FAILED planted {name}: " in printed for name in others)
    assert "0 of 6 comparisons" in printed


def test_rounding_is_allowed_for_where_a_kit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU adds in another order: results may differ by so much of the largest, and no more."""
    kit = Kit("rounds", HOST.array, HOST.to_host, 1e-9)
    monkeypatch.setitem(CASES, "planted", lambda where: np.array([1e3, 1.0 if where is HOST else 1.0 + shift]))
    shift = 1e-7
    compare("planted", kit)
    shift = 1e-5
    with pytest.raises(AssertionError, match="planted: 1e-05 apart"):
        compare("planted", kit)


def test_without_a_gpu_the_script_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It ends well, and names the reason and the way around."""

    def none() -> None:
        raise script.NoGpuError("CuPy is not installed")

    monkeypatch.setattr(script, "cupy_kit", none)
    assert script.main([]) == 0
    assert "no GPU to run on. CuPy is not installed.\nWith --stand-in" in capsys.readouterr().out


def test_the_times_are_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each network runs, here in small batches, and has its row."""
    small = {
        name: timing.Network(each.ours, each.theirs, (2, *each.shape[1:]), (2, *each.places[1:]), each.classes)
        for name, each in timing.NETWORKS.items()
    }
    monkeypatch.setattr(timing, "NETWORKS", small)
    monkeypatch.setitem(sys.modules, "torch", None)  # It would take longer to import than the rest.
    rows = timing.report(STAND_IN, lambda: None, 1)
    assert len(rows) == 2 + len(small)
    assert all(row.count("|") == 5 for row in rows)


# --- How often the host waits ----------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
IMAGES, ROWS, SEQUENCES = RNG.normal(size=(24, 1, 8, 8)), RNG.normal(size=(24, 4)), RNG.normal(size=(24, 5, 8))
TOKENS, LABELS, PLACES = RNG.integers(0, 9, (24, 5)), RNG.integers(0, 3, 24), RNG.integers(0, 3, (24, 5))


def block() -> Layer:
    """Make a transformer block, and its head."""
    attention = mb.Sequential([mb.LayerNorm(8), mb.MultiHeadAttention(8, 2, causal=True, rng=0)])
    wide = mb.Sequential([mb.LayerNorm(8), mb.Dense(8, 16, rng=1), mb.GELU(), mb.Dense(16, 8, rng=2)])
    return mb.Sequential([mb.Residual(attention), mb.Residual(wide), mb.Dense(8, 3, rng=3)])


def cnn() -> Layer:
    """Make a convolutional network."""
    conv = [mb.Conv2D(1, 4, 3, padding=1, rng=0), mb.ReLU(), mb.MaxPool2D(2)]
    return mb.Sequential([*conv, mb.Flatten(), mb.Dense(64, 3, rng=1)])


def lstm() -> Layer:
    """Make a recurrent one."""
    return mb.Sequential([mb.LSTM(8, 6, rng=0), mb.Dense(6, 3, rng=1)])


def language_model() -> Layer:
    """Make a transformer of tokens."""
    return mb.Sequential([mb.Embedding(9, 8, rng=0), mb.PositionalEncoding(8), block()])


def mlp(**settings: Any) -> Layer:
    """Make a network of Dense layers."""
    return mb.mlp([4, 8, 3], dropout=0.2, rng=0, **settings)


def looks(model: Layer, x: np.ndarray, y: np.ndarray, loss: Loss | None = None, **options: Any) -> float:
    """Count how often a step looks at what the device has computed: by the difference that more steps make."""
    counts = []
    optimizer = options.pop("optimizer", mb.Adam)
    whole = {name: options.pop(name) for name in ("metrics", "regularizer") if name in options}
    moved = {name: DeviceArray(value) if isinstance(value, np.ndarray) else value for name, value in options.items()}
    if "given" in options:
        moved["given"] = {name: DeviceArray(value) for name, value in options["given"].items()}
    for batch_size in (12, 3):
        trainer = Trainer(STAND_IN.model(model), loss or mb.SoftmaxCrossEntropy(), optimizer(), rng=0, **whole)
        before = DeviceArray.synchronizations
        trainer.fit(DeviceArray(x), DeviceArray(y), 3, batch_size=batch_size, **moved)
        counts.append(DeviceArray.synchronizations - before)
    return (counts[1] - counts[0]) / (3 * (8 - 2))


@pytest.mark.parametrize(
    ("make", "x", "y"),
    [
        (mlp, ROWS, LABELS),
        (lambda: mlp(batch_norm=True), ROWS, LABELS),
        (cnn, IMAGES, LABELS),
        (block, SEQUENCES, PLACES),
        (lstm, SEQUENCES, PLACES),
    ],
    ids=["MLP", "MLP with BatchNorm", "CNN", "transformer block", "LSTM"],
)
def test_a_step_looks_at_the_loss_alone(make: Any, x: np.ndarray, y: np.ndarray) -> None:
    """The host waits once a step, whatever the optimizer; a limit of the norm makes it wait once more."""
    assert looks(make(), x, y) == 1
    assert looks(make(), x, y, optimizer=lambda: mb.SGD(0.1, momentum=0.9)) == 1
    assert looks(make(), x, y, optimizer=lambda: mb.Adam(clip_norm=1.0, clip_value=1.0)) == 2
    assert looks(make(), x, RNG.normal(size=(*y.shape, 3)), mb.MeanSquaredError()) == 1


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"regularizer": mb.L2(0.1)}, 1),
        ({"regularizer": mb.ElasticNet(0.1, 0.1)}, 2),
        ({"callbacks": [mb.MovingAverage()]}, 0),
        ({"weights": np.ones(24)}, 3),
        ({"class_weights": {0: 2.0}}, 3),
        ({"metrics": [mb.accuracy]}, 2),
    ],
    ids=["L2", "L1 and L2", "MovingAverage", "weights", "class weights", "accuracy"],
)
def test_what_else_makes_the_host_wait(options: dict[str, Any], more: int) -> None:
    """Each of these costs so much beside the loss, however many parameters there are."""
    assert looks(mlp(), ROWS, LABELS, **options) == 1 + more


@pytest.mark.parametrize(("model", "more"), [(lstm, 1), (block, 1)])
def test_lengths_are_looked_at(model: Any, more: int) -> None:
    """They are to be within the sequences, and each layer that takes them looks once."""
    assert looks(model(), SEQUENCES, PLACES, given={"lengths": np.full(24, 5)}) == 1 + more


def test_an_embedding_looks_at_its_tokens() -> None:
    """What is no token would be another one's row on a GPU, so each Embedding looks once."""
    assert looks(language_model(), TOKENS, PLACES) == 2


def test_labels_of_no_class_are_found_on_a_device() -> None:
    """They are looked at with the loss, and named as on NumPy's arrays."""
    loss = mb.SoftmaxCrossEntropy()
    for logits, target in ((np.zeros((3, 3)), np.array([0, 3, 1])), (np.zeros((2, 3)), np.array([0, -1]))):
        with pytest.raises(mb.TargetError) as expected:
            loss.forward(logits, target)
        with pytest.raises(mb.TargetError) as found:
            loss.forward(DeviceArray(logits), DeviceArray(target))
        assert str(found.value) == str(expected.value)
