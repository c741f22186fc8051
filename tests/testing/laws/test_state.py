"""The laws of state."""

from typing import Any

import numpy as np
import pytest

from minibackprop import Buffer, Layer, Parameter
from minibackprop.testing import ALL, ContractViolation, check_layer
from minibackprop.validation import Array
from tests.example_layers import Square, raises


class Unsettled(Layer):
    """Crashes when copied, pickled or asked for its state, one at a time."""

    def __init__(self, verb: str) -> None:
        self.verb, self.scale = verb, Parameter(np.ones(3))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return x * self.scale.value, x

    def backward(self, grad: Array, x: Any, /) -> Array:
        self.scale.add((grad * x).sum(axis=0))
        return grad * self.scale.value

    def state_dict(self) -> dict[str, Array]:
        return super().state_dict() if self.verb != "state_dict" else raises(OSError)()

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        return raises(OSError)() if self.verb == "deepcopy" else Unsettled(self.verb)


@pytest.mark.parametrize("verb", ["state_dict", "deepcopy"])
def test_layer_that_cannot_be_copied_is_told_so(verb: str) -> None:
    """A failing state_dict or deepcopy is a violation of the law of copies."""
    with pytest.raises(ContractViolation, match=f"{verb} raises OSError") as caught:
        check_layer(lambda: Unsettled(verb), (3,))
    assert caught.value.law == "copies agree"


def test_buffers_are_no_state_left_behind() -> None:
    """A running statistic in a Buffer is as it should be; in a plain attribute it is a violation."""

    class Counting(Square):
        def __init__(self, count: Any) -> None:
            self.count = count

        def forward(self, x: Array, /) -> tuple[Array, Any]:
            if isinstance(self.count, Buffer):
                self.count.value = self.count.value + 1
            else:
                self.count += 1
            return super().forward(x)

        def predict(self, x: Array, /) -> Array:
            return x * x

    check_layer(lambda: Counting(Buffer(np.zeros(()))), (3,))
    with pytest.raises(ContractViolation, match="change the attribute count, which is not a Buffer"):
        check_layer(lambda: Counting(0), (3,))


FROZEN = [law for law in ALL if law.name == "frozen"]


class Freezing(Layer):
    """Normalizes by running means where it is frozen, but for one mistake."""

    couples_samples = "normalizes by the mean of the batch"
    trailing_axes = True
    freezable = True

    def __init__(self, mistake: str) -> None:
        self.mistake = mistake
        self.mean, self.scale = Buffer(np.zeros(3)), Parameter(np.ones(3))

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        centred = self.frozen and self.mistake != "never looks"
        mean = self.mean.value if centred else x.mean(axis=0)
        if not self.frozen or self.mistake == "learns":
            self.mean.value = 0.5 * self.mean.value + 0.5 * x.mean(axis=0)
        return (x - mean) * self.scale.value, (x - mean, centred)

    def predict(self, x: Array, /) -> Array:
        return (x - self.mean.value) * self.scale.value

    def backward(self, grad: Array, cache: Any, /) -> Array:
        centred, by_running = cache
        own = (grad * centred).sum(axis=0)
        if self.mistake == "stores":
            self.scale.grad = own if self.scale.grad is None else self.scale.grad + own
        else:
            self.scale.add(own)
        back: Array = grad * self.scale.value
        return back if by_running and self.mistake != "couples" else back - back.mean(axis=0)


@pytest.mark.parametrize(
    ("mistake", "problem"),
    [
        ("never looks", "forward of the frozen layer does not give what predict gives"),
        ("learns", "forward of the frozen layer changes mean"),
        ("stores", "the gradient with respect to scale is stored though the layer is frozen"),
        ("couples", "of the frozen layer: "),
    ],
)
def test_frozen_layers_that_do_not_keep_still(mistake: str, problem: str) -> None:
    """Each way to go wrong is told; a layer that does it right passes."""
    check_layer(lambda: Freezing(""), (3,), laws=FROZEN)
    with pytest.raises(ContractViolation, match=problem) as caught:
        check_layer(lambda: Freezing(mistake), (3,), laws=FROZEN)
    assert caught.value.law == "frozen"


def test_what_cannot_be_frozen_is_not_bound() -> None:
    """`freeze` refuses it, and the report has the reason."""

    class Plain(Freezing):
        freezable = False

    report = check_layer(lambda: Plain(""), (3,), laws=[*FROZEN, ALL[0]])
    assert list(report.kept) == [ALL[0].name]
    assert "freezable = True" in report.lifted["frozen"]
