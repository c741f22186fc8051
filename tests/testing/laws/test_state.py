"""The laws of state."""

from typing import Any

import numpy as np
import pytest

from minibackprop import Buffer, Layer, Parameter
from minibackprop.testing import ContractViolation, check_layer
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
