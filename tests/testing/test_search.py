"""The search: small examples, the same draws for a seed, and a report of what could have been found."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import core

from minibackprop import L2, ConfigError, Layer, MeanSquaredError, Parameter, Sigmoid
from minibackprop.testing import (
    ALL,
    ContractViolation,
    Inconclusive,
    Law,
    LayerContract,
    check_gradients,
    check_layer,
    check_loss,
    check_model,
    check_regularizer,
)
from minibackprop.testing.case import Case
from minibackprop.validation import Array
from tests.example_layers import HalfOfIt, Square, raises, with_backward

#: The laws that report a power, without the others.
OF_GRADIENTS = [law for law in ALL if law.name in ("input gradient", "parameter gradient")]


def test_example_is_shrunken() -> None:
    """The example is one sample of plain numbers."""
    with pytest.raises(ContractViolation) as caught:
        check_layer(HalfOfIt, (1,), seed=5)
    names = {"HalfOfIt": HalfOfIt}
    exec(caught.value.example, names)
    assert names["x"].shape == (1, 1)
    assert names["x"] == names["x"].round(2)


def test_same_seed_same_draws() -> None:
    """The same call draws the same, another seed something else."""
    powers = [check_layer(Square, (3,), laws=OF_GRADIENTS, seed=seed).power for seed in (1, 1, 2)]
    assert powers[0] == powers[1] != powers[2]


@pytest.mark.parametrize("given", [1, "some text", -5])
def test_seed_of_pytest_is_honoured(monkeypatch: pytest.MonkeyPatch, given: int | str) -> None:
    """``--hypothesis-seed`` is the seed where none is given; without it, that is 0."""

    def drawn(seed: int | None) -> list[float]:
        vjp = check_gradients(np.sin, lambda x, grad: grad * np.cos(x), np.array([0.5, 2.0]), seed=seed)
        return [
            check_layer(Square, (3,), laws=OF_GRADIENTS, seed=seed).power["input gradient"]["input"],
            *vjp.power["input gradient"].values(),
        ]

    usual = drawn(None)
    assert usual == drawn(0)
    monkeypatch.setattr(core, "global_force_seed", given)
    assert drawn(None) != usual
    assert drawn(0) == usual


class Contract(LayerContract):
    """Of a layer that breaks it."""

    layer = HalfOfIt
    inputs = (3,)


@pytest.mark.parametrize(
    "check",
    [
        lambda: check_layer(HalfOfIt, (3,)),
        lambda: check_layer(with_backward(raises(KeyError)), (3,)),
        lambda: check_layer(Square, (3,), without={"layuot": "a typo"}),
        lambda: check_layer(Square, (3,), laws=[Law("broken", "Never holds.", raises(KeyError))]),
        lambda: check_loss(type("Lost", (MeanSquaredError,), {"backward": raises(KeyError)}), (2,)),
        lambda: check_gradients(np.sin, lambda x, grad: grad, np.ones(2)),  # noqa: ARG005
        lambda: check_model(HalfOfIt(), MeanSquaredError(), np.ones((2, 2)), np.zeros((2, 2))),
        lambda: check_regularizer(partial(type("Lost", (L2,), {"backward": raises(KeyError)}), 0.1)),
        lambda: Contract().test_input_gradient(),
    ],
)
def test_tracebacks_show_the_users_line_alone(check: Callable[[], object]) -> None:
    """Of the kit's own source, pytest shows nothing."""
    with pytest.raises((ContractViolation, ConfigError)) as caught:
        check()
    files = [str(entry.path) for entry in caught.traceback.filter(caught)]
    assert not [file for file in files if "minibackprop/testing" in file.replace("\\", "/")]
    assert "minibackprop/testing" not in str(caught.getrepr(style="long")).replace("\\", "/")


class Constant(Layer):
    """The gradient is zero wherever one looks."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return np.zeros_like(x), None

    def backward(self, grad: Array, _: Any, /) -> Array:
        return np.zeros_like(grad)


class Unused(Square):
    """Has a parameter that does nothing."""

    def __init__(self) -> None:
        self.weight = Parameter(np.ones(3))


@pytest.mark.parametrize(("make", "what"), [(Constant, "the input"), (Unused, "weight")])
def test_check_that_could_not_fail_is_inconclusive(make: type[Layer], what: str) -> None:
    """Where every gradient is zero, the check says so rather than passing; left out with a reason, the rest passes."""
    with pytest.raises(
        Inconclusive, match=f"say nothing about the gradient with respect to {what}: in each it was zero"
    ) as caught:
        check_layer(make, (3,))
    check_layer(make, (3,), without={caught.value.law: "the gradient is zero by design"})


def test_power_is_honest() -> None:
    """An error a little above the power that a report names is found; on other draws, too."""
    power = check_layer(Square, (3,), laws=OF_GRADIENTS).power["input gradient"]["input"]
    with pytest.raises(ContractViolation):
        check_layer(with_backward(lambda grad, x: 2 * x * grad * (1 + 10 * power)), (3,), laws=OF_GRADIENTS)


def test_no_example_repeats_another() -> None:
    """Each has random numbers of its own, though Hypothesis goes on from examples that it has drawn."""
    seeds: list[int] = []
    check_layer(Sigmoid, (3,), laws=[Law("noted", "", lambda case: seeds.append(case.seed))], examples=20)
    assert len(seeds) == len(set(seeds)) == 20


@pytest.mark.parametrize("seed", range(3))
def test_an_example_that_is_found_late_is_shrunk(seed: int) -> None:
    """The search for a small one begins with the same examples."""

    def refuse_three(case: Case) -> None:
        assert case.seed < 3 or len(case.x) < 3, f"{len(case.x)} samples"

    with pytest.raises(ContractViolation, match="3 samples"):
        check_layer(Sigmoid, (3,), laws=[Law("small", "", refuse_three)], seed=seed)
