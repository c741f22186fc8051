"""Arrays of several kinds: each is told apart, goes where it is asked to, and is refused elsewhere by a clear error."""

import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    SGD,
    Batches,
    Checkpoint,
    ConfigError,
    ContractError,
    Dense,
    DTypeError,
    FileFormatError,
    Layer,
    MeanSquaredError,
    Trainer,
    mlp,
    resume,
    save,
    save_checkpoint,
)
from minibackprop.arrays import kind_of, maker_of, name_of, on_host
from minibackprop.testing.device_array import DeviceArray
from minibackprop.validation import Array

X, Y = np.linspace(-1, 1, 12).reshape(6, 2), np.linspace(0, 1, 6).reshape(6, 1)


def trainer_of(model: Layer) -> Trainer:
    """Make a trainer of a model."""
    return Trainer(model, MeanSquaredError(), SGD(0.1), rng=0)


def on_device() -> Layer:
    """Make a model of a device's arrays."""
    return Dense(2, 1, rng=0).map_arrays(DeviceArray)


# --- Models of arrays that would not train ---------------------------------------------------------------------------


def of_torch(value: Array) -> Any:
    return pytest.importorskip("torch").tensor(value)


def of_jax(value: Array) -> Any:
    return pytest.importorskip("jax.numpy").asarray(value)


class Still:
    """Has a shape and a dtype, and no protocol."""

    def __init__(self, value: Array) -> None:
        self.shape, self.dtype, self.ndim = value.shape, value.dtype, value.ndim


class HalfWay(Still):
    """Has one of the protocols."""

    def __array_ufunc__(self, *_: object, **__: object) -> Any:
        return NotImplemented


class Fixed(HalfWay):
    """Has both, and does not take entries."""

    def __array_function__(self, *_: object) -> Any:
        return NotImplemented


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            Still,
            "arrays that NumPy's functions work on, .*cupy.asarray.*, got Still, which has no __array_ufunc__ and no",
        ),
        (HalfWay, "arrays that NumPy's functions work on, .* got HalfWay, which has no __array_function__$"),
        (Fixed, "arrays that can be written to, .* got Fixed: 'Fixed' object does not support item assignment"),
        (
            lambda value: np.broadcast_to(0.0, value.shape),
            "arrays that can be written to, .* got numpy.ndarray: .*read-only",
        ),
        (of_torch, "arrays that NumPy's functions work on, .*, got torch.Tensor"),
        (of_jax, "arrays that NumPy's functions work on"),
    ],
    ids=["no protocol", "one protocol", "not to be written to", "read-only", "torch", "jax"],
)
def test_mapped_arrays_are_such_as_train(function: Callable[[Array], Any], message: str) -> None:
    """What NumPy's functions do not work on, or an optimizer cannot write to, is refused, and the model left alone."""
    model = mlp([2, 3, 1], rng=0)
    before = model.state_dict()
    with pytest.raises(ContractError, match=f"map_arrays: function must return {message}"):
        model.map_arrays(function)
    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


def test_mapped_arrays_without_axes_can_be_written_to() -> None:
    """Arithmetic makes scalars of them; they become arrays again."""

    class Gain(Layer):
        def __init__(self) -> None:
            self.gain = Dense(1, 1, rng=0).bias
            self.gain.value = np.array(2.0)

        def forward(self, x: Array, /) -> tuple[Array, Array]:
            return x * self.gain.value, x

        def backward(self, grad: Array, x: Array, /) -> Array:
            return grad * self.gain.value

    value = Gain().map_arrays(lambda value: 2 * value).gain.value
    assert isinstance(value, np.ndarray)
    assert value == 4.0


# --- Data that are elsewhere -----------------------------------------------------------------------------------------

#: Puts one array of the data elsewhere.
CALLS: dict[str, tuple[str, Callable[[Trainer, Callable[[Any], Any], Callable[[Any], Any]], object]]] = {
    "fit, x": ("x", lambda t, here, there: t.fit(there(X), here(Y), 1)),
    "fit, y": ("y", lambda t, here, there: t.fit(here(X), there(Y), 1)),
    "fit, weights": ("weights", lambda t, here, there: t.fit(here(X), here(Y), 1, weights=there(np.ones(6)))),
    "fit, validation": ("y", lambda t, here, there: t.fit(here(X), here(Y), 1, validation=(here(X), there(Y)))),
    "fit, batches": ("x", lambda t, _, there: t.fit(Batches(there(X), there(Y), batch_size=2), epochs=1)),
    "step": ("x", lambda t, here, there: t.step(there(X), here(Y))),
    "evaluate": ("y", lambda t, here, there: t.evaluate(here(X), there(Y))),
    "predict": ("x", lambda t, _, there: t.predict(there(X))),
}


@pytest.mark.parametrize(("name", "call"), CALLS.values(), ids=CALLS.keys())
def test_data_are_to_be_where_the_model_is(name: str, call: Any) -> None:
    """NumPy's data for a device's model are refused at once, and the other way round, with the way to mend it."""
    remedy = f"(DeviceArray({name}) takes it to where the model is), got numpy.ndarray"
    trainer = trainer_of(on_device())
    message = f"Trainer: {name} expects DeviceArray, as the model's arrays are {remedy}"
    with pytest.raises(DTypeError, match=re.escape(message)):
        call(trainer, DeviceArray, np.asarray)
    assert trainer.steps == 0
    remedy = "(model.map_arrays(DeviceArray) takes a model to where they are), got DeviceArray"
    message = f"Trainer: {name} expects numpy.ndarray, as the model's arrays are {remedy}"
    with pytest.raises(DTypeError, match=re.escape(message)):
        call(trainer_of(Dense(2, 1, rng=0)), np.asarray, DeviceArray)


def test_lists_and_tables_are_numpys() -> None:
    """They are refused as NumPy's arrays are."""
    with pytest.raises(DTypeError, match=r"Trainer: x expects DeviceArray, .*, got numpy\.ndarray"):
        trainer_of(on_device()).predict(X.tolist())


def test_a_model_has_arrays_of_one_kind() -> None:
    """A layer that was forgotten is told of before anything is computed."""
    model = mlp([2, 3, 1], rng=0)
    model[0].weight.value = DeviceArray(model[0].weight.value)
    with pytest.raises(ConfigError, match=r"model expects arrays of one kind, .* got DeviceArray and numpy\.ndarray"):
        trainer_of(model).fit(X, Y, 1)


def test_batches_have_arrays_of_one_kind() -> None:
    """Rows are chosen by an index that has to be where all of them are."""
    with pytest.raises(DTypeError, match=r"Batches: y expects DeviceArray, as x is, got numpy\.ndarray"):
        Batches(DeviceArray(X), Y, batch_size=2)


def test_arrays_of_a_library_go_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several libraries call theirs ndarray."""
    library = ModuleType("cupie")
    library.ndarray = type("ndarray", (), {"__module__": "cupie._core"})  # type: ignore[attr-defined]
    library.asarray = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupie", library)
    assert (name_of(library.ndarray), maker_of(library.ndarray)) == ("cupie.ndarray", "cupie.asarray")
    assert (name_of(DeviceArray), maker_of(DeviceArray)) == ("DeviceArray", "DeviceArray")
    assert kind_of(np.float64(1.0)) is kind_of(X.view(np.recarray)) is np.ndarray


# --- To the host -----------------------------------------------------------------------------------------------------


class Away(Still):
    """Comes to the host by NumPy's own protocol."""

    def __init__(self, value: Array) -> None:
        super().__init__(value)
        self.value = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype, copy=copy)


def test_arrays_come_to_the_host_by_what_they_have() -> None:
    """By `get`, as CuPy's do, or by NumPy's protocol; NumPy's own stay as they are."""
    assert on_host(X, "x") is X
    assert np.array_equal(on_host(DeviceArray(X), "x"), X)
    assert np.array_equal(on_host(Away(X), "x"), X)
    with pytest.raises(DTypeError, match=r"x expects a NumPy array \(to_host=... makes one, .*, got Still"):
        on_host(Still(X), "x")


WRITERS: dict[str, Callable[[Any, Any], object]] = {
    "save": lambda path, to_host: save(on_device(), path, to_host=to_host),
    "save_checkpoint": lambda path, to_host: save_checkpoint(trainer_of(on_device()), path, to_host=to_host),
    "Checkpoint": lambda path, to_host: trainer_of(on_device()).fit(
        DeviceArray(X), DeviceArray(Y), 1, callbacks=[Checkpoint(path, to_host=to_host)]
    ),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_a_to_host_that_gives_no_such_array_is_refused(write: Any, tmp_path: Any) -> None:
    """The error says what it is to give, and no file is written."""
    for wrong in (lambda array: array, lambda array: array.get()[:1], lambda array: array.get().astype(np.float32)):
        with pytest.raises(DTypeError, match=r"a NumPy array of shape \(2, 1\) and dtype float64 from to_host, got"):
            write(tmp_path / "file.npz", wrong)
    for none in (3, "get", DeviceArray):
        with pytest.raises(ConfigError, match="to_host expects a function that makes a NumPy array of another"):
            write(tmp_path / "file.npz", none)
    assert not any(tmp_path.iterdir())
    write(tmp_path / "file.npz", lambda array: array.get())
    assert any(tmp_path.iterdir())


def test_a_run_that_fails_to_go_on_is_left_on_its_device(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is as it was, where it was."""
    save_checkpoint(trainer_of(Dense(2, 1, rng=1)), tmp_path / "run.npz")
    trainer = trainer_of(on_device())
    before, failures = trainer.model.weight.value.get(), [RuntimeError("no more")]

    def fail_once(_: object) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(trainer, "load_state_dict", fail_once)
    with pytest.raises(FileFormatError, match="no more"):
        resume(tmp_path / "run.npz", trainer)
    assert not failures
    assert np.array_equal(trainer.model.weight.value.get(), before)
