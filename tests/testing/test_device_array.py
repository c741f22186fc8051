"""The stand-in for a GPU's array: it computes as NumPy does, and refuses what CuPy does."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minibackprop import DTypeError, ShapeError
from minibackprop.testing import DeviceArray
from minibackprop.testing.device_array import DeviceError

HOST = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])

Works = Callable[[Any], Any]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 2 * x + x**2 - 1 / x,
        lambda x: np.float32(2) * x.astype(np.float32),
        lambda x: x @ x.T,
        lambda x: x.sum(axis=0),
        lambda x: x.mean(),
        lambda x: np.max(x, axis=1, keepdims=True),
        lambda x: np.where(x > 0, x, 0.0),
        lambda x: np.concatenate([x, x], axis=1),
        lambda x: np.split(x, [1], axis=1)[1],
        lambda x: np.zeros((2, 1), np.float32, like=x),
        lambda x: np.arange(3, like=x),
        lambda x: np.ones_like(x, bool, shape=4),
        lambda x: np.asarray(np.arange(3), x.dtype, like=x),
        lambda x: np.ascontiguousarray(x.T, like=x),
        lambda x: x[1],
        lambda x: x[0, 0],
        lambda x: x[:, np.argsort(x[0])],
        lambda x: x[x > 0],
        lambda x: x[..., [2, 0]],
        lambda x: x.reshape(-1).copy(),
        lambda x: x.T,
        lambda x: np.einsum("ij,ij->i", x, x),
        lambda x: np.add.reduce(x, axis=1),
        lambda x: np.matmul(x, x.T, dtype=np.float64),
        lambda x: np.linalg.norm(x, axis=1),
        lambda x: next(iter(x)),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1),
    ],
)
def test_gives_what_numpy_gives(function: Works) -> None:
    """The bits, the dtype and the shape are NumPy's, and the result is an array of the device."""
    got, expected = function(DeviceArray(HOST)), np.asarray(function(HOST))
    assert type(got) is DeviceArray
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got.get(), expected, strict=True)


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (np.asarray, "leave it out"),
        (np.ascontiguousarray, r"like=x"),
        (lambda x: x + HOST, r"np\.zeros_like\(x\)"),
        (lambda x: HOST + x, r"np\.zeros_like\(x\)"),
        (lambda x: HOST @ x.T, r"np\.zeros_like\(x\)"),
        (lambda x: HOST.dot(x.T), "leave it out"),
        (lambda x: np.concatenate([x, HOST]), r"np\.zeros_like\(x\)"),
        (lambda x: x[np.array([0])], "an index with a device's array and a NumPy array"),
        (lambda x: x.__setitem__(0, HOST[0]), "an assignment"),
        (lambda x: x.__setitem__(0, [1.0, 2.0, 3.0]), "set to a list"),
        (lambda x: HOST.copy().__setitem__(0, x[0]), "leave it out"),
        (lambda x: np.split(x, np.array([1])), "NumPy array"),
        (lambda x: np.add(x, x, out=np.zeros((2, 3))), "NumPy array"),
        (lambda x: np.ones(3, like=x), r"np\.ones_like\(x, shape"),
        (lambda x: np.full(3, 2.0, like=x), r"np\.full_like"),
        (lambda x: x.max(initial=0.0), "look at the size first"),
        (lambda x: np.max(x, where=x > 0, initial=0.0), r"np\.where"),
        (lambda x: np.exp(x, where=x > 0), r"np\.where"),
        (lambda x: np.multiply(x, 2.0, order="C"), "leave it out"),
        (lambda x: np.maximum.reduce(x), r"write np\.max"),
        (lambda x: np.divide.reduce(x), "CuPy has no such method"),
        (lambda x: np.divmod(x, 2.0, out=(x, x)), "more than one array in out"),
        (lambda x: np.geomspace(x, x), "CuPy has no such function"),
        (lambda x: np.spacing(x), "CuPy has no such function"),
        (lambda x: np.frompyfunc(abs, 1, 1)(x), "CuPy has no such function"),
    ],
)
def test_refuses_what_cupy_refuses(function: Works, remedy: str) -> None:
    """What does not run on a GPU is a TypeError that says what to write instead."""
    with pytest.raises(DeviceError, match=remedy) as caught:
        function(DeviceArray(HOST))
    assert isinstance(caught.value, TypeError)


def test_does_not_stand_for_an_index_or_a_key() -> None:
    """As CuPy's arrays, it is no integer, and has no hash; other attributes of NumPy's are not there."""
    entry = DeviceArray([2])[0]
    with pytest.raises(TypeError, match="integer"):
        range(entry)
    with pytest.raises(TypeError, match="unhashable"):
        hash(entry)
    with pytest.raises(AttributeError, match="'ctypes'"):
        entry.ctypes  # noqa: B018


def test_operators_in_place_write_to_it() -> None:
    """``+=`` and assignments change the array itself, and views of it see that."""
    x = DeviceArray(HOST)
    same, row = x, x[0]
    x += 1
    x[1, 2] = 0.0
    row *= 2
    assert x is same
    assert x.tolist() == [[4.0, -2.0, 8.0], [5.0, 6.0, 0.0]]
    np.add(x, x, out=x)
    assert x[1].tolist() == [10.0, 12.0, 0.0]


@pytest.mark.parametrize(
    "look",
    [
        lambda x: float(x.max()),
        lambda x: int(x[0, 0]),
        lambda x: bool((x > 0).all()),
        lambda x: x[0, 0].item(),
        lambda x: x.tolist(),
        lambda x: x.get(),
        lambda x: x[x > 0],
        lambda x: np.nonzero(x),
        lambda x: np.where(x > 0),
        repr,
        lambda x: f"{x[0, 0]:.1f}",
        pickle.dumps,
    ],
)
def test_looks_at_entries_are_counted(look: Works) -> None:
    """Each time that the host waits for an entry counts."""
    x, before = DeviceArray(HOST), DeviceArray.synchronizations
    look(x)
    assert DeviceArray.synchronizations == before + 1


def test_what_stays_on_the_device_counts_nothing() -> None:
    """Arithmetic, indices, shapes and copies do not make the host wait."""
    x, before = DeviceArray(HOST), DeviceArray.synchronizations
    y = copy.deepcopy(x)
    y[:, DeviceArray([0, 1])] -= np.exp(x[..., :2]).sum()
    assert (y.shape, len(y), y.flags.c_contiguous) == ((2, 3), 2, True)
    assert np.shape(y) == (2, 3)
    assert DeviceArray.synchronizations == before


def test_copies_have_memory_of_their_own() -> None:
    """A device's array, its copies and the array that it was made from share nothing."""
    host = HOST.copy()
    x = DeviceArray(host)
    for other in (DeviceArray(x), copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.copy()):
        other *= 0.0
    host *= 0.0
    x.get()[...] = 0.0
    assert x.tolist() == HOST.tolist()


@pytest.mark.parametrize(
    ("value", "error"), [(["a"], DTypeError), (None, DTypeError), ([[1.0], []], ShapeError), (object(), DTypeError)]
)
def test_what_holds_no_numbers_is_refused(value: object, error: type[Exception]) -> None:
    """As by CuPy."""
    with pytest.raises(error, match="numbers or truth values"):
        DeviceArray(value)


def test_prints_as_an_array() -> None:
    """Under its own name."""
    assert repr(DeviceArray([1.0, 2.0])) == "DeviceArray([1., 2.])"
    assert str(DeviceArray([1.0, 2.0])) == "[1. 2.]"
