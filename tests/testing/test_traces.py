"""What a call leaves behind tells one cause from another."""

from typing import Any

import numpy as np

from minibackprop import Buffer, Layer
from minibackprop.testing.traces import cause_of_change, changes, holder_of
from minibackprop.validation import Array


class Leaving(Layer):
    """Leaves something behind in each of the ways that there are."""

    def __init__(self) -> None:
        self.calls, self.mean, self.rng = 0, Buffer(np.zeros(2)), np.random.default_rng(0)
        self.scratch = np.zeros(4)

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return x, None

    def backward(self, grad: Array, cache: Any, /) -> Array:
        return grad


def count(layer: Layer) -> None:
    layer.calls += 1  # type: ignore[attr-defined]


def learn(layer: Layer) -> None:
    layer.mean.value = layer.mean.value + 1  # type: ignore[attr-defined]


def draw(layer: Layer) -> None:
    layer.rng.random()  # type: ignore[attr-defined]


def test_each_trace_is_named() -> None:
    """An attribute, a buffer and a random stream are told apart."""
    for act, expected in ((count, (["calls"], [], [])), (learn, ([], ["mean"], [])), (draw, ([], [], ["rng"]))):
        before, after = Leaving(), Leaving()
        act(after)
        assert changes(before, after) == expected


def test_cause_is_single_where_one_trace_is() -> None:
    """With one kind of trace, it is the cause; with two kinds, both are named."""
    assert cause_of_change(Leaving(), count, "forward") == "state that forward changes: calls"
    assert cause_of_change(Leaving(), draw, "forward") == "random numbers: forward draws from rng"
    both = cause_of_change(Leaving(), lambda layer: (count(layer), draw(layer)), "forward")
    assert both == "random numbers, or state that forward changes: rng, calls"
    from_global = cause_of_change(Leaving(), lambda _: np.random.random(), "forward")  # noqa: NPY002
    assert from_global == "random numbers: forward draws from NumPy's global generator"


def test_holder_of_memory_is_found() -> None:
    """A view of an array on the layer leads to its attribute."""
    layer = Leaving()
    assert holder_of(layer, layer.scratch[1:]) == "scratch"
    assert holder_of(layer, np.zeros(4)) == ""
