import copy
import pickle
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibackprop import (
    BatchNorm,
    Buffer,
    ConfigError,
    ContractError,
    Dense,
    Dropout,
    DTypeError,
    Layer,
    MinibackpropError,
    NonFiniteError,
    Parameter,
    Sequential,
    ShapeError,
    Sigmoid,
    StateDictError,
    core,
)
from minibackprop.state import walk
from minibackprop.validation import Array
from tests.example_layers import Broken, Forgetful, Lazy, Lookup, OneWay, Polynomial, Scale, SlottedScale, Square
from tests.finite_differences import assert_gradients
from tests.random_models import flat, gradients, models, random_dense, seeds, values

Model = tuple[Sequential, Array]


def passed(layer: Layer, x: Array, seed: int) -> tuple[Array, Array | None, list[Array | None]]:
    """Give result, input gradient and parameter gradients of one forward and backward, random upstream."""
    layer.clear_gradients()
    y, cache = layer.forward(x)
    back = layer.backward(np.random.default_rng(seed).normal(size=y.shape).astype(y.dtype), cache)
    return y, back, gradients(layer)


# --- What a chain computes -------------------------------------------------------------------------------------------


@given(drawn=models(), seed=seeds)
def test_gradients_are_those_of_central_differences(drawn: Model, seed: int) -> None:
    """A chain of any depth, nested, with empty and tied parts, hands back the slopes by input and parameters."""
    model, x = drawn
    assert_gradients(model, x, np.random.default_rng(seed))


@given(drawn=models())
def test_forward_and_predict_are_the_layers_in_turn(drawn: Model) -> None:
    """Both passes of a chain are those of its layers, one after the other; `model(x)` is `predict`."""
    model, x = drawn
    y = x
    for layer in flat(model):
        y, _ = layer.forward(y)
    for result in (model.forward(x)[0], model.predict(x), model(x)):
        np.testing.assert_array_equal(result, y)


def test_each_pass_is_that_of_every_part() -> None:
    """Where the two passes of a layer differ, `predict` runs its `predict` and `forward` its `forward`, nested too."""

    class Differing(Square):
        def predict(self, x: Array, /) -> Array:
            return x + 1

    model = Sequential([Differing(), Sequential([Sequential([Differing()]), Square()])])
    x = np.array([[3.0, -2.0]])
    np.testing.assert_array_equal(model.predict(x), (x + 2) ** 2)
    np.testing.assert_array_equal(model(x), (x + 2) ** 2)
    np.testing.assert_array_equal(model.forward(x)[0], x**8)


@given(drawn=models(), seed=seeds)
def test_nesting_equals_flattening(drawn: Model, seed: int) -> None:
    """Parts that are chains themselves change nothing: not a bit of the result, nor of any gradient."""
    model, x = drawn
    nested, flattened = passed(model, x, seed), passed(Sequential(flat(model)), x, seed)
    np.testing.assert_array_equal(nested[0], flattened[0])
    np.testing.assert_array_equal(nested[1], flattened[1])
    for one, other in zip(nested[2], flattened[2], strict=True):
        np.testing.assert_array_equal(one, other)


@given(x=st.sampled_from([np.ones((2, 3)), np.array([1, 2]), np.zeros((0, 4), np.float32)]))
def test_empty_chain_is_the_identity(x: Array) -> None:
    """No layers: x comes out, and its gradient."""
    y, caches = Sequential().forward(x)
    assert y is x
    assert Sequential().predict(x) is x
    assert Sequential([]).backward(x, caches) is x
    assert Sequential([]).accumulate(x, caches) is None


@given(drawn=models(), seed=seeds)
def test_float32_stays_float32(drawn: Model, seed: int) -> None:
    """A float32 model gives float32 results, input gradients and parameter gradients."""
    model, x = drawn
    y, back, grads = passed(model.astype(np.float32), x.astype(np.float32), seed)
    assert {array.dtype for array in (y, back, *grads)} == {np.dtype(np.float32)}


@given(drawn=models())
def test_empty_batch_gives_an_empty_result(drawn: Model) -> None:
    """No samples in, no samples out, of the width that samples have."""
    model, x = drawn
    empty = x.reshape(-1, x.shape[-1])[:0]
    width = model.predict(x).shape[-1]
    assert model.predict(empty).shape == model.forward(empty)[0].shape == (0, width)


@given(drawn=models(), seed=seeds)
def test_arguments_are_not_written_to(drawn: Model, seed: int) -> None:
    """Read-only input, output and gradient serve for a whole chain, and stored gradients share no memory with them."""
    model, x = drawn
    expected = passed(model, x.copy(), seed)
    model.clear_gradients()
    y, caches = model.forward(x)
    grad = np.random.default_rng(seed).normal(size=y.shape)
    for array in (x, y, grad):
        array.flags.writeable = False
    np.testing.assert_array_equal(model.backward(grad, caches), expected[1])
    for found, array in zip(gradients(model), expected[2], strict=True):
        np.testing.assert_array_equal(found, array)
        assert not any(np.shares_memory(found, given) for given in (x, y, grad))


# --- Gradients add up ------------------------------------------------------------------------------------------------


@given(seed=seeds)
def test_layer_that_stands_twice_gets_the_sum_of_its_parts(seed: int) -> None:
    """One object at two places gets the gradients that two copies of it would get, summed."""
    rng = np.random.default_rng(seed)
    tied, x = random_dense(3, 3, rng), rng.normal(size=(4, 3))
    apart = [copy.deepcopy(tied), copy.deepcopy(tied)]
    _, back, summed = passed(Sequential([tied, Sigmoid(), tied]), x, seed)
    _, expected, parts = passed(Sequential([apart[0], Sigmoid(), apart[1]]), x, seed)
    np.testing.assert_array_equal(back, expected)
    for whole, one, other in zip(summed, parts[:2], parts[2:], strict=True):
        np.testing.assert_array_equal(whole, one + other)


@given(seed=seeds)
def test_parameter_of_two_layers_gets_the_gradients_of_both(seed: int) -> None:
    """Two layers may share a `Parameter`: it is listed once, and its gradient is that of central differences."""
    rng = np.random.default_rng(seed)
    one, other = random_dense(2, 2, rng), random_dense(2, 2, rng)
    other.weight = one.weight
    model = Sequential([one, Sigmoid(), other])
    assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias", "2.bias"]
    assert_gradients(model, rng.normal(size=(3, 2)), rng)


@given(drawn=models(), seed=seeds)
def test_backward_adds_to_what_is_there(drawn: Model, seed: int) -> None:
    """Two backward passes leave the sum of both gradients; `clear_gradients` leaves none."""
    model, x = drawn
    _, _, once = passed(model, x, seed)
    y, caches = model.forward(x)
    model.backward(np.random.default_rng(seed).normal(size=y.shape), caches)
    for grad, first in zip(gradients(model), once, strict=True):
        np.testing.assert_allclose(grad, 2 * first, rtol=1e-12, atol=1e-12)
    model.clear_gradients()
    assert gradients(model) == [None] * len(once)


def accumulated(model: Sequential, x: Array, seed: int, accumulate: Callable[[Any, Array, Any], Any]) -> list[Any]:
    """Let `accumulate` give the gradients that backward gives, to the bit; return what is left of the caches."""
    y, _, expected = passed(model, x, seed)
    model.clear_gradients()
    _, caches = model.forward(x)
    assert accumulate(model, np.random.default_rng(seed).normal(size=y.shape), caches) is None
    for found, grad in zip(gradients(model), expected, strict=True):
        np.testing.assert_array_equal(found, grad)
    return caches


@given(drawn=models(), seed=seeds)
def test_accumulate_does_to_parameters_what_backward_does(drawn: Model, seed: int) -> None:
    """The parameter half of backward gives the same gradients, to the bit, and returns nothing."""
    accumulated(*drawn, seed, type(drawn[0]).accumulate)


@given(drawn=models(), seed=seeds)
def test_caches_of_a_last_pass_go_as_they_are_used(drawn: Model, seed: int) -> None:
    """`accumulate_once` gives the gradients of `accumulate`, to the bit, and keeps no cache that has been used."""
    model, x = drawn
    caches = accumulated(model, x, seed, core.accumulate_once)
    used = [index for index, layer in enumerate(model.layers) if layer.parameters()]
    assert len(caches) == (min(used) if used else len(model))


def test_last_pass_of_a_chain_with_an_accumulate_of_its_own_is_that_one() -> None:
    """A subclass of `Sequential` decides itself what becomes of its caches."""

    class Twice(Sequential):
        def backward(self, grad: Array, caches: list[Any], /) -> Array | Any:
            super().backward(grad, caches)
            return super().backward(grad, caches)

        def accumulate(self, grad: Array, caches: list[Any], /) -> None:
            self.backward(grad, caches)

    model = Twice([Dense(2, 1, bias=False, rng=0)])
    y, caches = model.forward(np.ones((3, 2)))
    core.accumulate_once(model, np.ones_like(y), caches)
    np.testing.assert_array_equal(gradients(model)[0], np.full((2, 1), 6.0))


@pytest.mark.parametrize(
    "before",
    [[], [Sigmoid()], [Broken(AssertionError()), Sequential([Broken(AssertionError())])], [Sequential(), Sequential()]],
    ids=["first", "after a sigmoid", "after layers that refuse", "after empty chains"],
)
@pytest.mark.parametrize("nested", [False, True])
def test_input_gradient_of_the_first_parameters_is_not_computed(before: list[Layer], nested: bool) -> None:
    """`accumulate` ends at the first layer with parameters: neither it nor any layer before it is sent back through."""
    first = OneWay([2.0, 3.0])
    model = Sequential([*before, Sequential([Sequential([first]), Square()]) if nested else first, Dense(2, 1, rng=0)])
    y, caches = model.forward(np.ones((4, 2)))
    model.accumulate(np.ones_like(y), caches)
    assert all(grad is not None for grad in gradients(model))
    with pytest.raises(AssertionError):
        model.backward(np.ones_like(y), caches)


@pytest.mark.parametrize("layers", [[Lazy], [Square, Lazy], [Lazy, Sigmoid], [Lazy, lambda: Dense(2, 2, rng=0)]])
def test_parameters_made_late_get_their_gradient(layers: list[Callable[[], Layer]]) -> None:
    """A layer may make its parameters in its first forward, after the chain was built."""
    model = Sequential([Sequential([make() for make in layers])])
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    y, _, expected = passed(model, x, 0)
    model.clear_gradients()
    model.accumulate(np.random.default_rng(0).normal(size=y.shape), model.forward(x)[1])
    assert len(expected) == len(model.parameters()) > 0
    for found, grad in zip(gradients(model), expected, strict=True):
        np.testing.assert_array_equal(found, grad)


# --- Integer input, and None from backward ---------------------------------------------------------------------------


@given(seed=seeds)
def test_none_from_backward_ends_it(seed: int) -> None:
    """A layer with integer input returns None; what lies before it is not sent back through, in either verb."""
    rng = np.random.default_rng(seed)
    lookup, x = Lookup(rng.normal(size=(5, 2))), rng.integers(5, size=(3, 4))
    model = Sequential([Sequential([Broken(AssertionError())]), Sequential([lookup]), random_dense(2, 1, rng)])
    y, caches = model.forward(x % 3)
    upstream = rng.normal(size=y.shape)
    assert model.backward(upstream, caches) is None
    through_backward = gradients(model)
    model.clear_gradients()
    model.accumulate(upstream, caches)
    for found, grad in zip(gradients(model), through_backward, strict=True):
        np.testing.assert_array_equal(found, grad)
    # Broken squares its input going forward; a row of the table gets what was sent to the places that looked it up.
    sent = upstream * model[2].weight.value[:, 0]
    expected = [sent[(x % 3) ** 2 == row].sum(axis=0) for row in range(5)]
    np.testing.assert_allclose(lookup.table.grad, expected, rtol=1e-12, atol=1e-12)


class NoReturn(Square):
    """A backward that forgets to return."""

    def backward(self, grad: Array, x: Array, /) -> None:
        2 * x * grad


@pytest.mark.parametrize("verb", ["backward", "accumulate"])
def test_none_after_parameters_is_an_error(verb: str) -> None:
    """None where layers before it have parameters is a forgotten return, and would leave them untrained."""
    model = Sequential([Dense(2, 2, rng=0), Sequential([Square(), NoReturn()]), Dense(2, 1, rng=0)])
    y, caches = model.forward(np.ones((3, 2)))
    with pytest.raises(ContractError, match=r"^layer 1: .*backward must return a gradient: layers before it have"):
        getattr(model, verb)(y, caches)


# --- Calls leave nothing behind --------------------------------------------------------------------------------------


@given(drawn=models(), seeds=st.tuples(seeds, seeds))
def test_two_forward_passes_may_be_open(drawn: Model, seeds: tuple[int, int]) -> None:
    """Each cache belongs to its own pass: going back through the first after the second changes neither."""
    model, x = drawn
    inputs = x, np.random.default_rng(seeds[0]).normal(size=x.shape)
    expected = [passed(model, each, seed) for each, seed in zip(inputs, seeds, strict=True)]
    opened = [model.forward(each) for each in inputs]
    for (y, caches), (result, back, grads), seed in zip(opened, expected, seeds, strict=True):
        model.clear_gradients()
        np.testing.assert_array_equal(y, result)
        np.testing.assert_array_equal(model.backward(np.random.default_rng(seed).normal(size=y.shape), caches), back)
        for found, grad in zip(gradients(model), grads, strict=True):
            np.testing.assert_array_equal(found, grad)


@pytest.fixture
def _eager_switching() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_eager_switching")
def test_eight_threads_get_the_serial_answers() -> None:
    """Predictions and input gradients through one shared model are, in every thread, those of a single one."""
    rng = np.random.default_rng(0)
    shared = random_dense(3, 3, rng)
    model = Sequential([shared, Sigmoid(), Sequential([shared, Sigmoid()])])
    inputs = rng.normal(size=(8, 5, 3))
    serial = [(model.predict(x), passed(model, x, seed)[1]) for seed, x in enumerate(inputs)]
    start = threading.Barrier(8)

    def work(seed: int) -> bool:
        start.wait()
        same = True
        for _ in range(100):
            prediction, back = serial[seed]
            y, caches = model.forward(inputs[seed])
            grad = np.random.default_rng(seed).normal(size=y.shape)
            same &= np.array_equal(model.backward(grad, caches), back)
            same &= np.array_equal(model.predict(inputs[seed]), prediction)
        return same

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [True] * 8


# --- Custom layers ---------------------------------------------------------------------------------------------------

CUSTOM = {
    "Square": Square,
    "Scale": lambda: Scale([2.0, -3.0]),
    "SlottedScale": lambda: SlottedScale([2.0, -3.0]),
    "Polynomial": lambda: Polynomial(0.5, -2.0, 3.0),
}
each_custom = pytest.mark.parametrize("make", CUSTOM.values(), ids=CUSTOM.keys())


@each_custom
@given(seed=seeds)
def test_custom_layers_compose(make: Callable[[], Layer], seed: int) -> None:
    """Plain, slotted and container-holding layers work in a chain, like any other."""
    rng = np.random.default_rng(seed)
    model = Sequential([random_dense(3, 2, rng), make(), Sequential([make(), random_dense(2, 1, rng)])])
    assert_gradients(model, rng.uniform(-0.5, 0.5, size=(4, 3)), rng)
    np.testing.assert_array_equal(model.predict(np.ones((2, 3))), model.forward(np.ones((2, 3)))[0])


@pytest.mark.parametrize(
    ("layer", "parameters", "state"),
    [
        (Square(), [], []),
        (Scale([1.0]), ["factors"], ["factors", "unit"]),
        (SlottedScale([1.0]), ["factors"], ["factors", "unit"]),
        (Polynomial(1.0, 2.0, 3.0), ["low.0", "low.1.0", "high.square"], ["low.0", "low.1.0", "high.square"]),
        (Dense(2, 1), ["weight", "bias"], ["weight", "bias"]),
        (Dense(2, 1, bias=False), ["weight"], ["weight"]),
        (
            Sequential([Sequential([Scale([1.0])]), Square(), SlottedScale([1.0])]),
            ["0.0.factors", "2.factors"],
            ["0.0.factors", "0.0.unit", "2.factors", "2.unit"],
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_arrays_are_found_wherever_they_are(layer: Layer, parameters: list[str], state: list[str]) -> None:
    """Parameters and buffers are found in attributes, slots, lists, tuples and dicts, a shared one once."""
    assert [name for name, _ in layer.named_parameters()] == parameters
    assert list(layer.state_dict()) == state
    assert layer.parameters() == [parameter for _, parameter in layer.named_parameters()]


def test_anything_is_found_by_its_kind() -> None:
    """Generators, say, are found as parameters are: by path, wherever they are kept, each once."""
    shared, other = np.random.default_rng(0), np.random.RandomState(0)
    scale = Scale([1.0])
    scale.streams = [shared, {"other": other}]
    model = Sequential([Square(), Sequential([scale])])
    model[0].stream = shared
    assert list(walk(model, np.random.Generator)) == [("0.stream", shared)]
    assert list(walk(model, np.random.RandomState)) == [("1.0.streams.1.other", other)]
    assert [path for path, _ in walk(model, Buffer)] == ["1.0.factors", "1.0.unit"]
    assert list(walk(model, np.ndarray)) == []


def test_default_predict_is_the_forward_of_the_class() -> None:
    """A subclass with a new forward predicts by it, not by its parent's predict; also where a mixin brings it."""

    class Twice:
        def forward(self, x: Array, /) -> tuple[Array, None]:
            return 2 * x, None

    class Overriding(Sigmoid):
        forward = Twice.forward

    class Mixed(Twice, Sigmoid):
        pass

    class Grandchild(Mixed):
        pass

    class BackAgain(Overriding):
        predict = Sigmoid.predict

    x = np.array([[0.25, -1.0]])
    for layer in (Overriding(), Mixed(), Grandchild()):
        np.testing.assert_array_equal(layer.predict(x), 2 * x)
        np.testing.assert_array_equal(Sequential([layer]).predict(x), 2 * x)
    np.testing.assert_array_equal(BackAgain().predict(x), Sigmoid().predict(x))


def test_default_accumulate_is_the_backward_of_the_class() -> None:
    """A subclass with a new backward accumulates by it, not by its parent's accumulate."""

    class Frozen(Dense):
        def backward(self, grad: Array, x: Array, /) -> Array:
            return grad @ self.weight.value.T

    class Inheriting(Dense):
        pass

    for kind, trained in ((Frozen, False), (Inheriting, True)):
        layer = kind(2, 1, rng=0)
        y, cache = layer.forward(np.ones((3, 2)))
        layer.accumulate(y, cache)
        assert [grad is not None for grad in gradients(layer)] == [trained, trained]


def test_holder_of_layers_must_define_predict() -> None:
    """A layer that holds layers and has no predict of its own does not run their training pass at inference."""

    class Holder(Layer):
        def __init__(self) -> None:
            self.inner = {"layers": [Sigmoid()]}

        def forward(self, x: Array, /) -> tuple[Array, Array]:
            return self.inner["layers"][0].forward(x)

        def backward(self, grad: Array, cache: Array, /) -> Array:
            return self.inner["layers"][0].backward(grad, cache)

    with pytest.raises(ContractError, match="layer 1: Holder must define predict"):
        Sequential([Sigmoid(), Holder()]).predict(np.ones((1, 1)))
    assert_gradients(Holder(), np.ones((2, 2)), np.random.default_rng(0))


@pytest.mark.parametrize("x", [np.ones((2, 3)), np.ones((5, 3))])
def test_forgotten_cache_is_an_error(x: Array) -> None:
    """A forward that returns no pair is told so, also where its two rows would unpack into one."""
    with pytest.raises(
        ContractError, match=r"^layer 0: Forgetful.forward must return a pair \(y, cache\), got ndarray"
    ):
        Sequential([Forgetful()]).forward(x)


def test_layers_are_abstract_without_both_verbs() -> None:
    """A layer without forward or backward cannot be made."""

    class Half(Layer):
        def forward(self, x: Array, /) -> tuple[Array, None]:
            return x, None

    with pytest.raises(TypeError, match="backward"):
        Half()


def test_declarations_are_the_union_of_the_parts() -> None:
    """A composite has its parts' reasons, each once, in their order; a declaration of its own comes instead."""

    class Noisy(Square):
        stochastic = "draws noise"

    class Mixing(Square):
        stochastic = "shuffles"
        couples_samples = "mixes rows"

    class Quiet(Sequential):
        stochastic = ""

    model = Sequential([Noisy(), Sequential([Mixing(), Noisy()]), Sigmoid()])
    assert (model.stochastic, model.couples_samples, model.alters_gradient) == (
        "draws noise; shuffles",
        "mixes rows",
        "",
    )
    assert Sigmoid().stochastic == Sequential.stochastic == Quiet([Noisy()]).stochastic == ""


# --- Copies ----------------------------------------------------------------------------------------------------------


def tied_model() -> Sequential:
    """Make a model with a layer that stands twice, custom layers of both kinds, and gradients."""
    rng = np.random.default_rng(7)
    tied = random_dense(2, 2, rng)
    model = Sequential([tied, Scale([1.5, -2.0]), Sequential([SlottedScale([0.5, 2.0]), tied])])
    passed(model, rng.normal(size=(3, 2)), 0)
    return model


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "map_arrays": lambda layer: layer.map_arrays(lambda value: value),
    "astype": lambda layer: layer.astype(np.float64),
}


@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES.keys())
def test_copies_compute_the_same_and_share_nothing(make_copy: Callable[[Layer], Layer]) -> None:
    """A copy works alike, shares no memory with its model, and what was tied in it stays tied."""
    model = tied_model()
    twin = make_copy(model)
    x = np.random.default_rng(1).normal(size=(4, 2))
    for ours, theirs in zip(passed(model, x, 2)[:2], passed(twin, x, 2)[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    buffers = [[*each.parameters(), each[1].unit, each[2][0].unit] for each in (model, twin)]
    assert not any(np.shares_memory(ours.value, theirs.value) for ours in buffers[0] for theirs in buffers[1])
    assert twin[0] is twin[2][1]
    assert twin[0] is not model[0]
    assert len(twin.parameters()) == len(model.parameters()) == 4


@pytest.mark.parametrize("name", ["map_arrays", "astype"])
def test_mapped_copies_leave_gradients_behind(name: str) -> None:
    """A mapped copy starts without gradients, and the model keeps its own."""
    model = tied_model()
    before = gradients(model)
    assert gradients(COPIES[name](model)) == [None] * 4
    assert all(found is grad for found, grad in zip(gradients(model), before, strict=True))


def test_map_arrays_maps_every_array_once() -> None:
    """The function sees the value of each parameter and buffer once, and its results are what the copy holds."""
    model = tied_model()
    seen: list[Array] = []

    def double(value: Array) -> Array:
        seen.append(value)
        return 2 * value

    twin = model.map_arrays(double)
    state = model.state_dict()
    assert len(seen) == len(state)
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(value, 2 * state[name])


def test_astype_casts_floating_point_only() -> None:
    """Parameters become float32, whole-number buffers stay what they are, and the model is untouched."""
    model = Sequential([Scale([1.5, 2.5])])
    dtypes = {name: value.dtype for name, value in model.astype("float32").state_dict().items()}
    assert dtypes == {"0.factors": np.float32, "0.unit": np.array(7).dtype}
    assert model.parameters()[0].value.dtype == np.float64
    with pytest.raises(ConfigError, match=r"Sequential\.astype expects a floating-point dtype, got int64"):
        model.astype(np.int64)
    with pytest.raises(ConfigError, match=r"Sequential\.astype expects float32 or a wider .* dtype, got float16"):
        model.astype(np.float16)


# --- state_dict ------------------------------------------------------------------------------------------------------


@given(drawn=models(), seed=seeds)
def test_state_dict_round_trip(drawn: Model, seed: int) -> None:
    """Loading a state brings back its values, to the bit, into the arrays that the parameters already have."""
    model, x = drawn
    before, arrays = model.predict(x), [parameter.value for parameter in model.parameters()]
    state = model.state_dict()
    for array in arrays:
        array += 1 + np.random.default_rng(seed).random(array.shape)
    model.load_state_dict(state)
    np.testing.assert_array_equal(model.predict(x), before)
    assert all(p.value is array for p, array in zip(model.parameters(), arrays, strict=True))


def test_state_dict_copies_both_ways() -> None:
    """Neither changes to a state that was taken, nor to one that was loaded, reach the model."""
    model = Scale([1.0, 2.0])
    state = model.state_dict()
    state["factors"] += 5
    np.testing.assert_array_equal(model.factors.value, [1, 2])
    model.load_state_dict(state)
    state["factors"] += 5
    np.testing.assert_array_equal(model.factors.value, [6, 7])


def test_loading_casts_to_the_dtype_that_is_there() -> None:
    """A state of another floating-point width, of integers or of lists is cast."""
    model = Dense(2, 1, bias=False, dtype=np.float32)
    for weight in (np.array([[1.5], [2.0]]), np.array([[1], [2]]), [[1], [2.5]]):
        model.load_state_dict({"weight": weight})
        assert model.weight.value.dtype == np.float32
        np.testing.assert_array_equal(model.weight.value, weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"1.bias": None}, r"Sequential.load_state_dict expects \[.*\], got missing=\['1.bias'\] and extra=\[\]"),
        ({"2.weight": [1.0]}, r"expects \['0.weight', '0.bias', '1.weight', '1.bias'\], got .* extra=\['2.weight'\]"),
        ({"1.bias": 0.0}, r"Sequential: 1.bias expects shape \(1,\), got \(\)"),
        ({"1.weight": np.zeros((1, 2))}, r"Sequential: 1.weight expects shape \(2, 1\), got \(1, 2\)"),
        ({"1.weight": [[0.0], [0.0, 1.0]]}, r"Sequential: 1.weight expects shape \(2, 1\)"),
        ({"1.bias": [1j]}, "Sequential: 1.bias expects what casts to float64, got complex128"),
        ({"1.bias": ["1.0"]}, "Sequential: 1.bias expects what casts to float64, got <U3"),
        ({"1.bias": np.array([None])}, "Sequential: 1.bias expects what casts to float64, got object"),
    ],
    ids=["missing", "extra", "scalar", "transposed", "ragged", "complex", "text", "object"],
)
def test_state_that_does_not_fit_changes_nothing(change: dict[str, object], message: str) -> None:
    """A missing, extra, misshapen or miscast entry is named, and no parameter is touched, whatever came before it."""
    model = Sequential([Dense(2, 2, rng=0), Dense(2, 1, rng=1)])
    before = values(model)
    state = {name: value + 1 for name, value in model.state_dict().items()} | change
    with pytest.raises(StateDictError, match=message):
        model.load_state_dict({name: value for name, value in state.items() if value is not None})
    assert values(model) == before


def test_a_state_may_fit_in_part() -> None:
    """Without `strict`, what has the same name is loaded, and the other names are told; with it, there are none."""
    model = Sequential([Dense(2, 2, rng=0), Dense(2, 1, rng=1)])
    before = model.state_dict()
    state = {"1.weight": [[5.0], [6.0]], "2.weight": [1.0], "0.bias": [7.0, 8.0]}
    missing, unexpected = found = model.load_state_dict(state, strict=False)
    assert found == (["0.weight", "1.bias"], ["2.weight"])
    assert (found.missing_keys, found.unexpected_keys) == (missing, unexpected)
    expected = before | {name: state[name] for name in ("1.weight", "0.bias")}
    np.testing.assert_equal(model.state_dict(), expected)
    assert model.load_state_dict(before) == ([], [])
    assert model.load_state_dict({}, strict=False) == (list(before), [])
    for wrong in ({"0.bias": [1.0, 2.0], "1.weight": [[1.0, 2.0]]}, {"0.bias": [1.0, 2.0], "1.bias": ["a"]}, [1], None):
        with pytest.raises(StateDictError):
            model.load_state_dict(wrong, strict=False)
    with pytest.raises(ConfigError, match=r"Sequential\.load_state_dict: strict expects True or False, got 'no'"):
        model.load_state_dict(before, strict="no")
    np.testing.assert_equal(model.state_dict(), before)


@pytest.mark.parametrize(
    ("value", "got"), [([1.0, np.nan], "nan"), ([-np.inf, 1.0], "-inf"), (np.array([1e300, 0.0]), "inf")]
)
def test_parameters_are_loaded_from_finite_numbers(value: Any, got: str) -> None:
    """Anything else is named, also what is too large for the dtype; a buffer may hold it, as a mask does."""
    model = Sequential([Dense(2, 2, dtype=np.float32, rng=0)])
    before = values(model)
    state = {"0.weight": np.ones((2, 2)), "0.bias": value}
    with pytest.raises(StateDictError, match=rf"Sequential: 0\.bias expects finite numbers of float32, got {got}"):
        model.load_state_dict(state)
    assert values(model) == before
    layer = Scale([1.0])
    layer.mask = Buffer([0.0, 1.0])  # type: ignore[attr-defined]
    layer.load_state_dict({"mask": [-np.inf, 1.0]}, strict=False)
    assert layer.mask.value[0] == -np.inf  # type: ignore[attr-defined]


# --- Buffers and parameters ------------------------------------------------------------------------------------------


def test_values_are_copied() -> None:
    """A buffer and a parameter own their value."""
    source = np.zeros(3)
    made = Buffer(source), Parameter(source)
    source += 1
    assert not any(each.value.any() for each in made)


@given(seed=seeds)
def test_gradients_add_up_in_arrays_of_their_own(seed: int) -> None:
    """`add` sums, and writes into none of the arrays it was handed."""
    parts = np.random.default_rng(seed).normal(size=(3, 2))
    parts.flags.writeable = False
    parameter = Parameter(np.zeros(2))
    for part in parts:
        parameter.add(part)
    np.testing.assert_allclose(parameter.grad, parts.sum(axis=0), rtol=1e-12, atol=1e-12)
    parameter.clear()
    assert parameter.grad is None


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 1), (3, 2)])
def test_gradient_has_the_shape_of_the_value(shape: tuple[int, ...]) -> None:
    """A gradient that NumPy would broadcast is refused, and not added."""
    parameter = Parameter(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match=re.escape(f"Parameter expects a gradient of shape (2, 3), got {shape}")):
        parameter.add(np.zeros(shape))
    assert parameter.grad is None


@pytest.mark.parametrize("value", [1, [True], [1j], ["a"], [None]])
def test_parameters_are_floating_point(value: object) -> None:
    """Only floating-point numbers can be trained."""
    with pytest.raises(DTypeError, match="Parameter expects floating-point values"):
        Parameter(value)


def test_parameters_are_not_narrower_than_float32() -> None:
    """In float16, sums overflow at 65504, and what keeps an optimizer's divisor from 0 is 0."""
    with pytest.raises(DTypeError, match="Parameter expects float32 or wider floating-point values, got float16"):
        Parameter(np.ones(3, np.float16))


# --- A Sequential as a sequence --------------------------------------------------------------------------------------


@given(drawn=models(), cut=st.slices(4))
def test_sequence_protocol(drawn: Model, cut: slice) -> None:
    """Length, iteration, indices and slices are those of the layers; a slice shares them."""
    model, _ = drawn
    layers = list(model)
    assert len(model) == len(layers)
    assert all(model[i] is layer and model[i - len(model)] is layer for i, layer in enumerate(layers))
    part = model[cut]
    assert isinstance(part, Sequential)
    assert list(part) == layers[cut]
    with pytest.raises(IndexError):
        model[len(model)]


@given(drawn=models())
def test_repr_builds_the_same_model(drawn: Model) -> None:
    """The repr of a model is a call that builds one of the same parts, however nested."""
    model, _ = drawn
    again = eval(repr(model))
    assert repr(again) == repr(model)
    assert [type(layer) for layer in flat(again)] == [type(layer) for layer in flat(model)]


@pytest.mark.parametrize(
    ("layers", "got"),
    [
        (Dense(2, 1), "a list of layers, got Dense"),
        (3, "a list of layers, got int"),
        ([Sigmoid(), np.exp], "layers only, got ufunc at position 1"),
        ([Sigmoid], "layers only, got the class Sigmoid itself at position 0"),
        ([None], "layers only, got NoneType at position 0"),
        ("ab", "layers only, got str at position 0"),
    ],
)
def test_only_layers_are_composed(layers: object, got: str) -> None:
    """What is no layer is refused at construction, by its position."""
    with pytest.raises(ConfigError, match=f"^Sequential expects {got}$"):
        Sequential(layers)


def test_layers_are_fixed() -> None:
    """The layers of a chain cannot be exchanged, so that what it knows of them holds."""
    with pytest.raises(attrs.exceptions.FrozenAttributeError):
        Sequential([Sigmoid()]).layers = ()


# --- Errors ----------------------------------------------------------------------------------------------------------

misfit = Sequential([Sigmoid(), Sequential([Dense(3, 3, rng=0), Sigmoid()])])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: misfit.forward(np.ones((4, 7))), "layer 1.0: Dense expects (..., 3), got (4, 7)"),
        (lambda: misfit.predict(np.ones((4, 7))), "layer 1.0: Dense expects (..., 3), got (4, 7)"),
        (
            lambda: misfit.backward(np.ones((4, 1)), misfit.forward(np.ones((4, 3)))[1]),
            "layer 1.1: Sigmoid expects a gradient of shape (4, 3), got (4, 1)",
        ),
        (
            lambda: misfit[1:].accumulate(np.ones((4, 1)), misfit[1:].forward(np.ones((4, 3)))[1]),
            "layer 0.1: Sigmoid expects a gradient of shape (4, 3), got (4, 1)",
        ),
        (
            lambda: misfit[1][:1].accumulate(np.ones((4, 1)), [np.ones((4, 3))]),
            "layer 0: Dense expects a gradient of shape (4, 3), got (4, 1)",
        ),
    ],
    ids=["forward", "predict", "backward", "accumulate", "accumulate first"],
)
def test_errors_say_where_in_the_model(call: Callable[[], object], message: str) -> None:
    """A misfit is reported with position, nested positions included, class, what was expected and what came."""
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        call()


def test_errors_of_a_part_name_their_layer() -> None:
    """An error of a parameter within a custom layer is told with the layer's class and position."""

    class Miscounting(Scale):
        def backward(self, grad: Array, x: Array, /) -> Array:
            self.factors.add(grad)
            return grad

    model = Sequential([Sequential([Miscounting([1.0, 2.0])])])
    y, caches = model.forward(np.ones((3, 2)))
    message = "layer 0.0: Miscounting: Parameter expects a gradient of shape (2,), got (3, 2)"
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        model.backward(y, caches)


@pytest.mark.parametrize("verb", ["forward", "predict", "backward", "accumulate"])
def test_foreign_errors_get_the_position_as_a_note(verb: str) -> None:
    """An error that is not the framework's passes through as it is, with a note for each chain it leaves."""
    error = KeyError("mine")
    layer = Broken(error, forwards=verb in ("forward", "predict"))
    model = Sequential([Sequential([Scale([1.0]), layer])])
    x = np.ones((1, 1))
    arguments = (x,) if layer.forwards else model.forward(x)
    with pytest.raises(KeyError) as caught:
        getattr(model, verb)(*arguments)
    assert caught.value is error
    assert error.__notes__ == ["in layer 1: Broken", "in layer 0: Sequential"]


ERRORS = {
    ConfigError: (ValueError, TypeError),
    ShapeError: (ValueError,),
    DTypeError: (TypeError,),
    NonFiniteError: (ValueError, FloatingPointError),
    StateDictError: (ValueError,),
    ContractError: (TypeError,),
}


@pytest.mark.parametrize(("kind", "standard"), ERRORS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_errors_are_also_the_standard_ones(kind: type, standard: tuple[type, ...]) -> None:
    """Each error is of the framework's family, and caught by who catches Python's own."""
    assert issubclass(kind, (MinibackpropError,))
    for parent in standard:
        assert issubclass(kind, parent)


@pytest.mark.parametrize("kind", ERRORS)
def test_errors_survive_pickling(kind: type[MinibackpropError]) -> None:
    """An error that crosses a process keeps its message, its parts, its position and its notes."""
    error = kind("Dense", "(..., 3)", "(4, 7)")
    error.position = (1, 0)
    error.subject = "Mine: Dense"
    error.add_note("seen")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == f"layer 1.0: Mine: Dense {kind.verb} (..., 3), got (4, 7)"
    assert (again.expected, again.got, again.__notes__) == ("(..., 3)", "(4, 7)", ["seen"])


def test_layers_in_place_of_a_list_are_refused() -> None:
    """Several layers, not in a list, are told how to stand."""
    with pytest.raises(
        ConfigError, match=r"Sequential expects one list of layers, Sequential\(\[a, b\]\), got 2 arguments"
    ):
        Sequential(Sigmoid(), Sigmoid())


def test_state_must_be_a_mapping() -> None:
    """A path, or a list, is no state_dict."""
    with pytest.raises(StateDictError, match="expects a mapping of names to arrays, got str"):
        Sigmoid().load_state_dict("weights.npz")


@pytest.mark.parametrize("grad", [np.array(["a"]), np.array([1j]), np.array([1]), np.array([1.0], object)])
def test_gradients_are_floats(grad: Array) -> None:
    """A parameter takes no gradient of another kind."""
    parameter = Parameter([1.0])
    with pytest.raises(DTypeError, match="Parameter expects a gradient of floating-point numbers"):
        parameter.add(grad)
    assert parameter.grad is None


def test_state_may_be_made_of_the_arrays_themselves() -> None:
    """Two parameters change places, although the state shares their memory."""
    model = Sequential([Dense(2, 2, bias=False, rng=0), Dense(2, 2, bias=False, rng=1)])
    first, second = (parameter.value for parameter in model.parameters())
    expected = second.copy(), first.copy()
    model.load_state_dict({"0.weight": second, "1.weight": first})
    for parameter, value in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(parameter.value, value)


class Identity(Layer):
    def forward(self, x: Array, /) -> tuple[Array, None]:
        return x, None

    def backward(self, grad: Array, _: None, /) -> Array:
        return grad


def test_names_that_collide_are_told() -> None:
    """Two arrays of one name would be one entry of a state."""
    layer = Identity()
    layer.parts = {1: Parameter([1.0]), "1": Parameter([2.0])}
    with pytest.raises(ContractError, match=r"two are parts\.1"):
        layer.state_dict()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_caches_are_as_many_as_layers(count: int) -> None:
    """Caches of another chain are refused, on both ways back."""
    model = Sequential([Dense(2, 2, rng=0), Sigmoid()])
    for verb in (model.backward, model.accumulate):
        with pytest.raises(ContractError, match=f"be handed the 2 caches of its forward, got {count}"):
            verb(np.ones((3, 2)), [np.ones((3, 2))] * count)


def test_forgotten_cache_does_not_pass_in_predict() -> None:
    """A batch of two rows is no pair, for a layer on its own either."""

    class Forgetful(Identity):
        def forward(self, x: Array, /) -> Array:
            return x

    with pytest.raises(ContractError, match="must return a pair"):
        Forgetful().predict(np.ones((2, 3)))


@pytest.mark.parametrize("function", [lambda value: value.tolist(), lambda value: value[:1], lambda value: value.sum()])
def test_mapped_arrays_keep_their_shape(function: object) -> None:
    """A function that does not give an array of the same shape is refused."""
    with pytest.raises(ContractError, match="map_arrays: function must return an array of the same shape"):
        Dense(2, 2, rng=0).map_arrays(function)


@pytest.mark.parametrize("dtype", [str, int, np.float16, complex, object, bool])
def test_mapped_arrays_keep_their_kind(dtype: type) -> None:
    """A parameter is no array of anything else, nor of narrow floats; a count stays a count."""
    model = Scale([1.0, 2.0])
    with pytest.raises(
        ContractError, match="map_arrays: function must return an array of the same kind of numbers, and"
    ):
        model.map_arrays(lambda value: value.astype(dtype) if value.dtype.kind == "f" else value)
    with pytest.raises(ContractError, match=r"same kind of numbers, .* got float64 for int64"):
        model.map_arrays(lambda value: value.astype(float))


def test_construction_and_training_take_no_recursion_and_no_time_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """However chains stand in chains, each is asked where it begins once for each change of what is trained."""
    asked: list[int] = []
    original = core._is_trained
    monkeypatch.setattr(core, "_is_trained", lambda layer: asked.append(1) or original(layer))
    dense = Dense(1, 1, rng=0)
    model: Layer = dense
    for _ in range(400):
        model = Sequential([model])
    assert not asked
    for _ in range(2):
        y, caches = model.forward(np.ones((2, 1)))
        model.accumulate(y, caches)
        assert len(asked) == 400
        assert model.parameters()[0].grad is not None
    dense.freeze().unfreeze()
    model.accumulate(y, caches)
    assert len(asked) == 800
    doubled: Layer = Square()
    for _ in range(200):
        doubled = Sequential([doubled, doubled])
    asked.clear()
    doubled._begin()
    assert len(asked) < 2000


def test_class_is_named_though_another_begins_like_it() -> None:
    """The layer of an error is named in full."""

    class D(Layer):
        def __init__(self) -> None:
            self.inner = Dense(3, 1, rng=0)

        def forward(self, x: Array, /) -> tuple[Array, object]:
            return self.inner.forward(x)

        def backward(self, grad: Array, cache: object, /) -> Array:
            return self.inner.backward(grad, cache)

    with pytest.raises(ShapeError, match=r"layer 0: D: Dense expects \(\.\.\., 3\), got \(2, 4\)"):
        Sequential([D()]).forward(np.ones((2, 4)))


class Masked(Layer):
    """A user's layer with a side input."""

    side_inputs = ("mask",)
    mask: np.ndarray | None = None

    def __init__(self) -> None:
        self.scale = Parameter([2.0])

    def forward(self, x: np.ndarray) -> Any:
        masked = x if self.mask is None else x * self.mask
        return self.scale.value * masked, (masked, self.mask)

    def backward(self, grad: np.ndarray, cache: Any) -> np.ndarray:
        masked, mask = cache
        self.scale.add(np.array([(grad * masked).sum()]))
        back: np.ndarray = self.scale.value * grad
        return back if mask is None else back * mask


def test_given_sets_side_inputs_on_a_copy_that_learns_with_the_original() -> None:
    """The copy carries the arrays to each layer that takes them and shares parameters, buffers and random streams."""
    masked, dropout = Masked(), Dropout(0.5, rng=0)
    model = Sequential([masked, Sequential([dropout, masked, Dense(2, 1, rng=0)])])
    mask = np.array([[1.0], [0.0]])
    copied = model.given(mask=mask)
    assert masked.mask is None
    assert copied[0].mask is mask
    assert copied[1][1] is copied[0]
    assert all(p is q for p, q in zip(copied.parameters(), model.parameters(), strict=True))
    assert copied[1][0].generator is dropout.generator  # type: ignore[attr-defined, index]
    x = np.ones((2, 2))
    assert not copied.predict(x)[1].any()
    assert model.predict(x)[1].any()
    y, cache = copied.forward(x)
    model.backward(np.ones_like(y), cache)  # A cache is complete: either may send a gradient back.
    assert masked.scale.grad is not None
    assert copied.given().given(mask=2 * mask)[0].mask[0, 0] == 2  # type: ignore[attr-defined]
    assert copied.given()[0].mask[0, 0] == 1  # type: ignore[attr-defined]


def test_given_refuses_what_no_layer_takes() -> None:
    """A misspelt side input would be ignored."""
    with pytest.raises(
        ConfigError, match=r"Sequential.given expects side inputs that a layer takes, \['mask'\], got ma"
    ):
        Sequential([Masked(), Sigmoid()]).given(mask=np.ones(1), maks=np.ones(1))


@pytest.mark.parametrize("dtype", [int, np.float16, complex, str, bool, object])
def test_map_arrays_keeps_the_kind_of_numbers(dtype: type) -> None:
    """Floats stay floats, none narrower than float32, in parameters and in buffers; the layer stays as it was."""
    for layer in (Dense(2, 2, rng=0), BatchNorm(2)):
        with pytest.raises(
            ContractError, match="map_arrays: function must return an array of the same kind of numbers"
        ):
            layer.map_arrays(lambda value: value.astype(dtype))
        assert all(parameter.dtype == np.float64 for parameter in layer.parameters())
    with pytest.raises(ConfigError, match="map_arrays: function expects a function of an array, got NoneType"):
        Dense(2, 2, rng=0).map_arrays(None)  # type: ignore[arg-type]


def test_parameters_refuse_what_is_no_array() -> None:
    """Lists of different lengths are a `ShapeError`, a gradient that is a list a `DTypeError`: each by name."""
    for kind in (Parameter, Buffer):
        with pytest.raises(ShapeError, match="Buffer: value expects an array, or lists of one length, got "):
            kind([[1.0], [2.0, 3.0]])
    parameter = Parameter([1.0])
    with pytest.raises(DTypeError, match="Parameter expects an array of numbers, got list"):
        parameter.add([1.0])  # type: ignore[arg-type]
    assert parameter.grad is None
