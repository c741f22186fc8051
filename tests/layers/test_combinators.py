"""`Residual`, `Add` and `Concat`: sums and concatenations of layers, beside the laws in test_contract.py."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    SGD,
    Add,
    BatchNorm,
    Concat,
    Dense,
    Dropout,
    HalfSquaredError,
    Identity,
    Layer,
    Residual,
    Sequential,
    Tanh,
    Trainer,
    load,
    save,
)
from minibackprop.errors import ConfigError, ContractError, ShapeError
from minibackprop.testing import batches, check_model, models


@given(models(3, 3), batches((3,)))
def test_residual_adds_its_layer_to_the_input(model: Sequential, x: np.ndarray) -> None:
    """Forward and predict are x plus those of the layer, and backward adds the upstream gradient."""
    residual = Residual(model)
    y, cache = residual.forward(x)
    inner, inner_cache = model.forward(x)
    np.testing.assert_array_equal(y, x + inner)
    np.testing.assert_array_equal(residual.predict(x), x + model.predict(x))
    grad = np.cos(y)
    np.testing.assert_array_equal(residual.backward(grad, cache), grad + model.backward(grad, inner_cache))


@given(st.lists(models(3, 2), min_size=1, max_size=3), batches((3,)))
def test_add_is_the_sum_and_concat_the_row_of_its_layers(parts: list[Sequential], x: np.ndarray) -> None:
    """Add sums the results and the gradients of its layers; Concat puts the results beside each other."""
    results = [part.forward(x) for part in parts]
    y, cache = Add(parts).forward(x)
    np.testing.assert_array_equal(y, sum(result for result, _ in results))
    grad = np.cos(y)
    backs = [part.backward(grad, inner) for part, (_, inner) in zip(parts, results, strict=True)]
    np.testing.assert_allclose(Add(parts).backward(grad, cache), sum(backs), rtol=1e-14, atol=1e-300)
    rows = Concat(parts).predict(x)
    np.testing.assert_array_equal(rows, np.hstack([part.predict(x) for part in parts]))


def test_parts_are_named_by_position_and_residuals_by_name() -> None:
    """Names of parameters, and positions in errors, lead to the part by the same path."""
    model = Sequential([Tanh(), Residual(Concat([Dense(4, 3, rng=0), Sequential([Dense(4, 1, rng=0)])]))])
    assert [name for name, _ in model.named_parameters()] == [
        "1.layer.0.weight",
        "1.layer.0.bias",
        "1.layer.1.0.weight",
        "1.layer.1.0.bias",
    ]
    _, cache = model.forward(np.ones((2, 4)))
    with pytest.raises(ShapeError, match=r"layer 1.layer.0: Dense expects \(\.\.\., 4\), got \(2, 5\)"):
        model.forward(np.ones((2, 5)))
    with pytest.raises(ShapeError, match=r"layer 1.layer.0: Dense expects \(\.\.\., 4\), got \(2, 5\)"):
        model.predict(np.ones((2, 5)))
    for verb in (model.backward, model.accumulate):
        with pytest.raises(
            ShapeError, match=r"layer 1.layer: Concat expects a gradient of shape \(2, 4\), got \(2, 3\)"
        ):
            verb(np.ones((2, 3)), cache)


def test_foreign_errors_get_the_place_as_a_note() -> None:
    """An error of a user's layer says in a note in which part it arose."""

    class Broken(Layer):
        def forward(self, x: np.ndarray) -> Any:
            raise KeyError("oh")

        def backward(self, grad: np.ndarray, cache: Any) -> np.ndarray:
            return grad

    with pytest.raises(KeyError) as caught:
        Residual(Add([Identity(), Broken()])).forward(np.ones((1, 2)))
    assert caught.value.__notes__ == ["in layer 1: Broken", "in layer layer: Add"]


def test_part_whose_forward_is_no_pair_is_named() -> None:
    """A part that forgets its cache is told so, even where two rows would unpack."""

    class Forgets(Identity):
        def forward(self, x: np.ndarray) -> Any:
            return x

    with pytest.raises(ContractError, match=r"layer 1: Forgets.forward must return a pair \(y, cache\)"):
        Add([Identity(), Forgets()]).forward(np.ones((2, 2)))


def test_inference_reaches_the_parts() -> None:
    """Predict of a combinator is that of its parts, where these differ between training and inference."""
    x = np.random.default_rng(0).normal(size=(6, 3))
    for combine in (Residual, lambda part: Add([part]), lambda part: Concat([part])):
        model = combine(Sequential([Dropout(0.9, rng=0), BatchNorm(3)]))
        first = model.predict(x)
        model.forward(x)
        assert not np.array_equal(model.predict(x), first)  # The running statistics have moved.
        np.testing.assert_array_equal(model.predict(x), model.predict(x))
        assert model.stochastic
        assert model.couples_samples


def test_accumulate_asks_no_part_for_the_gradient_of_its_input() -> None:
    """In training, the first parameters are as far as a gradient goes, within combinators too."""

    class Weigh(Dense):
        def backward(self, grad: np.ndarray, x: np.ndarray) -> np.ndarray:
            raise AssertionError

        accumulate = Dense.accumulate

    for combine in (Residual, lambda part: Add([part, Identity()]), lambda part: Concat([part])):
        part = Weigh(3, 3, rng=0)
        model = Sequential([combine(part), Tanh()])
        y, cache = model.forward(np.ones((2, 3)))
        model.accumulate(y, cache)
        assert part.weight.grad is not None


def test_layer_in_two_branches_gets_both_gradients() -> None:
    """What stands in several places sums what comes from all of them; named once."""
    dense = Dense(3, 3, rng=0)
    model = Sequential([Add([dense, Residual(dense)]), Residual(Sequential([Tanh(), dense]))])
    assert len(model.named_parameters()) == 2
    x = np.random.default_rng(0).normal(size=(4, 3))
    check_model(model, HalfSquaredError(), x, np.zeros((4, 3)))


def test_trains_saves_and_loads(tmp_path: Any) -> None:
    """A model of combinators goes through Trainer and through a file like any other."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3))
    model = Sequential([Residual(Sequential([Dense(3, 5, rng=0), Tanh(), Dense(5, 3, rng=1)])), Concat([Dense(3, 1)])])
    history = Trainer(model, HalfSquaredError(), SGD(0.01)).fit(x, x[:, :1] ** 2, epochs=20)
    assert history.loss[-1] < 0.9 * history.loss[0]
    save(model, tmp_path / "model.mbp")
    np.testing.assert_array_equal(load(tmp_path / "model.mbp").predict(x), model.predict(x))
    assert repr(eval(repr(Concat([Tanh()], axis=1)))) == repr(Concat([Tanh()], axis=1))


@pytest.mark.parametrize("kind", [Add, Concat])
def test_branches_that_are_none_are_refused(kind: Any) -> None:
    """Something else than layers is refused at construction."""
    for wrong, problem in (
        ([], "at least one layer, got none"),
        (Tanh(), "a list of layers"),
        ([1], "layers only, got"),
    ):
        with pytest.raises(ConfigError, match=f"{kind.__name__} expects {problem}"):
            kind(wrong)


def test_residual_of_something_else_is_refused() -> None:
    """A residual takes one layer, not a list of them."""
    with pytest.raises(ConfigError, match="Residual: layer expects an instance of Layer, got list"):
        Residual([Tanh()])  # type: ignore[arg-type]


@pytest.mark.parametrize("axis", [0, 1.0, None, True])
def test_axis_of_samples_is_refused(axis: Any) -> None:
    """Samples are not joined."""
    with pytest.raises(ConfigError, match="Concat: axis expects an integer but 0"):
        Concat([Tanh()], axis)


def test_shapes_that_do_not_join_are_refused() -> None:
    """NumPy would broadcast some of these."""
    x = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"Residual expects of its layer a result of the input's shape \(2, 3\), got"):
        Residual(Dense(3, 1)).forward(x)
    with pytest.raises(ShapeError, match=r"Add expects of its layers results of one shape, got \(2, 3\), \(2, 1\)"):
        Add([Dense(3, 3), Dense(3, 1)]).predict(x)
    for layer in (Concat([Tanh()], 2), Concat([Tanh()], -2)):
        with pytest.raises(ShapeError, match=r"Concat expects of its layers results of one shape but for axis"):
            layer.forward(x)
    for layer in (Add([Tanh()]), Concat([Tanh()])):
        with pytest.raises(ShapeError, match=r"expects a gradient of shape \(2, 3\), got \(1, 3\)"):
            layer.backward(x[:1], layer.forward(x)[1])


def test_leading_axes_are_those_of_all_parts() -> None:
    """A combinator takes several leading axes where its parts do, and Concat if its axis is counted from the last."""
    assert Residual(Tanh()).leading_axes
    assert Add([Tanh(), Tanh()]).leading_axes
    assert Concat([Tanh()]).leading_axes
    assert not Concat([Tanh()], axis=1).leading_axes
    assert not Add([Tanh(), BatchNorm(3)]).leading_axes


def test_a_chain_is_one_branch_not_several() -> None:
    """A `Sequential` can be gone through; its parts are not branches."""
    for kind in (Add, Concat):
        with pytest.raises(ConfigError, match=f"{kind.__name__} expects a list of layers, got Sequential"):
            kind(Sequential([Tanh(), Tanh()]))


def test_gradients_of_parts_are_not_stretched() -> None:
    """A part that returns a gradient of another shape is not added to the others by broadcasting."""

    class Narrow(Identity):
        def backward(self, grad: np.ndarray, cache: Any) -> np.ndarray:
            return grad[:, :1]

    model = Add([Identity(), Narrow()])
    y, cache = model.forward(np.ones((2, 3)))
    with pytest.raises(
        ShapeError, match=r"Add expects of its layers gradients of the shape of x, got \(2, 3\), \(2, 1\)"
    ):
        model.backward(y, cache)
