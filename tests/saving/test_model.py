"""A model that is saved comes back the same, or is refused when it is saved; a file that is no model is an error."""

import functools
import json
import tracemalloc
from collections.abc import Callable
from inspect import isabstract
from itertools import pairwise
from math import inf, nan
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minibackprop
import minibackprop.testing.strategies.networks as drawn
from minibackprop import (
    GRU,
    Adam,
    BatchNorm,
    Buffer,
    Checkpoint,
    ConfigError,
    ContractError,
    Dense,
    DTypeError,
    FileFormatError,
    GlorotUniform,
    Layer,
    MeanSquaredError,
    Parameter,
    Residual,
    Sequential,
    Sigmoid,
    Trainer,
    load,
    load_weights,
    save,
    three_layer,
)
from minibackprop.saving.archive import JSON, read_archive, write_archive
from minibackprop.saving.model import built_in
from minibackprop.state import walk
from minibackprop.testing import LayerContract
from minibackprop.validation import Array
from tests import random_models
from tests.example_layers import Lazy, Polynomial, Scale, Square
from tests.layers import test_contract as contracts
from tests.saving.test_archive import names


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "model"


def bits(model: Layer) -> dict[str, tuple[np.dtype[Any], bytes]]:
    """Give the arrays of a model, to the bit."""
    return {name: (value.dtype, value.tobytes()) for name, value in model.state_dict().items()}


def addresses(model: Layer) -> set[int]:
    """Give where in memory the arrays of a model begin."""
    return {np.asarray(buffer.value).ctypes.data for _, buffer in walk(model, Buffer) if np.size(buffer.value)}


def again(model: Layer, path: Path, *classes: type[Layer]) -> Any:
    """Save the model, load it, and require that it is the same."""
    save(model, path)
    loaded = load(path, classes)
    assert loaded is not model
    assert type(loaded) is type(model)
    assert repr(loaded) == repr(model)
    assert bits(loaded) == bits(model)
    assert [(name, type(part)) for name, part in walk(loaded, Layer)] == [
        (name, type(part)) for name, part in walk(model, Layer)
    ]
    assert addresses(loaded).isdisjoint(addresses(model))
    return loaded


class Plain(Square):
    """A layer that keeps its only argument."""

    def __init__(self, value: Any = None) -> None:
        self.value = value


class Keeping(Square):
    """A layer that keeps layers, wherever it is told to."""

    def __init__(self, layers: Any) -> None:
        self.layers = layers

    predict = Sequential.predict


class Factor(Layer):
    """A layer whose constructor makes its parameter, and a buffer."""

    def __init__(self, width: int, dtype: Any = float, rng: Any = None) -> None:
        self.width = width
        self.factor = Parameter(np.random.default_rng(rng).normal(size=width).astype(dtype))
        self.seen = Buffer(np.array(0))

    forward = Scale.forward
    backward = Scale.backward

    @property
    def factors(self) -> Parameter:
        return self.factor


# --- There and back --------------------------------------------------------------------------------------------------


@given(model=st.sampled_from([np.float32, np.float64]).flatmap(lambda dtype: drawn.models(3, dtype=dtype)))
def test_a_model_comes_back_the_same(path: Path, model: Sequential) -> None:
    """Its repr, its ties, and to the bit its arrays and predictions, are those of the model that was saved."""
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    loaded = again(model, path)
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x), strict=True)
    assert len(loaded.parameters()) == len(model.parameters())


@given(drawn=random_models.models())
def test_nested_and_tied_models_come_back_the_same(path: Path, drawn: tuple[Sequential, Array]) -> None:
    """So do chains of any depth with parts that are empty or tied, wherever they stand."""
    model, x = drawn
    np.testing.assert_array_equal(again(model, path).predict(x), model.predict(x))


CONTRACTS = [
    value
    for value in vars(contracts).values()
    if isinstance(value, type) and issubclass(value, LayerContract) and callable(getattr(value, "layer", None))
]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_every_built_in_layer_comes_back_the_same(tmp_path: Path, contract: type[LayerContract]) -> None:
    """Each layer of the package, as it is tested elsewhere, can be saved after training and predicts the same."""
    model = contract.layer()
    custom = {kind for kind in {type(part) for _, part in walk(model, Layer)} if built_in(kind.__name__) is not kind}
    for _, buffer in walk(model, Buffer):
        if buffer.value.dtype.kind == "f":
            buffer.value = buffer.value * 0.75 + 0.125
    loaded = again(model, tmp_path / "model", *custom)
    if isinstance(contract.inputs, tuple):
        x = np.random.default_rng(0).uniform(0.25, 1, (2, *contract.inputs))
        np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


def test_every_exported_layer_is_known_by_name() -> None:
    """The layers that `load` knows are those that the package exports, and no others."""
    exported = {name: getattr(minibackprop, name) for name in minibackprop.__all__}
    for name, value in exported.items():
        is_layer = isinstance(value, type) and issubclass(value, Layer) and not isabstract(value)
        assert built_in(name) is (value if is_layer else None)
    assert {built_in(name) for name in ("Layer", "Composite", "Activation", "np", "__class__", "dense", "")} == {None}
    assert built_in("ArticleNetwork") is minibackprop.ArticleNetwork


def test_a_class_of_the_package_comes_back_as_itself(path: Path) -> None:
    """A subclass of `Sequential` that the package exports is no plain `Sequential` afterwards."""
    assert again(three_layer(), path).syn1.shape == (4, 1)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from([inf, -inf, nan, -0.0, 10**100, 0.1, "inf", "\ud800", "layer"])
    | st.builds(Dense, st.integers(1, 2), st.integers(1, 2))
    | st.builds(Plain),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(names | st.sampled_from(["layer", "tuple", "float", "dict"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(value=values)
def test_arguments_come_back_the_same(path: Path, value: Any) -> None:
    """Plain values, and layers among them, come back with their types: a tuple is no list, 1 is not True."""
    again(Plain(value), path, Plain)


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(3), np.bool_(True), np.str_("a")])
def test_numpy_scalars_come_back_as_numbers(path: Path, value: Any) -> None:
    """A NumPy scalar as an argument is Python's number afterwards."""
    save(Plain([value]), path)
    found = load(path, [Plain]).value[0]
    assert found == value
    assert type(found) is type(value.item())


def test_a_thousand_layers_come_back(path: Path) -> None:
    """A long chain is no deep one."""
    again(Sequential([Dense(1, 1, bias=False) for _ in range(1000)]), path)


def test_random_numbers_are_fresh(path: Path) -> None:
    """What a constructor draws from is not saved; the layers draw from fresh entropy, and not from a shared source."""
    np.random.seed(0)  # noqa: NPY002 - to see that it is left alone
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    again(Factor(3, rng=0), path, Factor)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_gradients_stay_behind(path: Path) -> None:
    """A loaded model has no gradients, and saving leaves those of the model where they are."""
    model = Dense(2, 1)
    model.weight.add(np.ones((2, 1)))
    assert again(model, path).weight.grad is None
    assert model.weight.grad is not None


def test_loading_twice_makes_two_models(path: Path) -> None:
    """Models of one file share nothing."""
    save(Dense(2, 1), path)
    one, other = load(path), load(path)
    one.weight.value += 1
    assert (one.weight.value != other.weight.value).all()


def test_what_was_trained_is_what_is_saved(path: Path) -> None:
    """A 0-dimensional buffer that arithmetic turned into a scalar is saved too."""
    model = Factor(2)
    model.seen.value = model.seen.value + 1
    assert type(model.seen.value) is np.int64
    assert again(model, path, Factor).seen.value == 1


def test_the_readable_side_of_the_file(path: Path) -> None:
    """Without the package, the file gives the arrays by name, and the layers as JSON."""
    model = Sequential([Dense(2, 1, rng=0), Sigmoid()])
    save(model, path)
    with np.load(path) as file:
        np.testing.assert_array_equal(file["0.weight"], model[0].weight.value)
        assert json.loads(file["minibackprop.json"].tobytes())["layers"] == [
            {"class": "Dense", "config": {"in_features": 2, "out_features": 1, "bias": True}},
            {"class": "Sigmoid", "config": {}},
            {"class": "Sequential", "config": {"layers": {"tuple": [{"layer": 0}, {"layer": 1}]}}},
        ]


# --- Ties ------------------------------------------------------------------------------------------------------------


def test_a_layer_that_stands_twice_stays_one(path: Path) -> None:
    """Tied layers are one object afterwards, in whatever places."""
    dense, bare = Dense(2, 2), Sigmoid()
    loaded = again(Sequential([dense, bare, Sequential([dense]), Keeping({"a": [dense], "b": (bare,)})]), path, Keeping)
    assert loaded[0] is loaded[2][0] is loaded[3].layers["a"][0]
    assert loaded[1] is loaded[3].layers["b"][0]


@attrs.define(eq=False)
class Slotted(Layer):
    """A layer with slots, and a parameter in a tuple."""

    width: int
    factors: tuple[Parameter, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.factors = (Parameter(np.ones(self.width)), Parameter(np.ones(self.width)))

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return x * self.factors[0].value * self.factors[1].value, x

    def backward(self, grad: Array, x: Array, /) -> Array:
        raise NotImplementedError


class Pair(Layer):
    """A layer whose parameters are in a list and a dict, and one of them in both."""

    def __init__(self, width: int) -> None:
        self.width = width
        shared = Parameter(np.ones(width))
        self.row, self.named = [shared, Parameter(np.ones(width))], {"a": shared, "b": Parameter(np.ones(width))}

    def forward(self, x: Array, /) -> tuple[Array, Array]:
        return x * sum(p.value for p in (*self.row, *self.named.values())), x

    def backward(self, grad: Array, x: Array, /) -> Array:
        raise NotImplementedError


def test_shared_parameters_stay_shared(path: Path) -> None:
    """A parameter that stands in several layers, lists, dicts and tuples is one object afterwards, and no other is."""
    dense, bias = Dense(2, 2), Dense(2, 2)
    slotted, pair, other = Slotted(2), Pair(2), Pair(2)
    bias.weight = dense.weight
    slotted.factors = (slotted.factors[0], dense.bias)
    pair.row[1] = slotted.factors[0]
    other.named["b"] = dense.bias
    model = Sequential([dense, bias, slotted, Sequential([pair]), other])
    loaded = again(model, path, Slotted, Pair)
    dense, bias, slotted, (pair,), other = loaded
    assert dense.weight is bias.weight
    assert dense.bias is slotted.factors[1] is other.named["b"]
    assert pair.row[1] is slotted.factors[0]
    assert pair.row[0] is pair.named["a"]
    assert len(loaded.parameters()) == len(model.parameters()) == 8
    x = np.ones((1, 2))
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


def test_a_list_that_two_layers_share_gives_shared_parameters(path: Path) -> None:
    """Where the container itself is shared, its parameters are shared afterwards."""
    one, other = Pair(2), Pair(2)
    other.row = one.row
    other.named["a"] = one.row[0]
    loaded = again(Sequential([one, other]), path, Pair)
    assert loaded[0].row[1] is loaded[1].row[1]
    assert loaded[0].row[0] is loaded[1].named["a"]


class Untied(Pair):
    """The same, but for those who part what the constructor ties."""


def test_what_the_constructor_ties_must_be_tied(path: Path) -> None:
    """Parameters that were parted later cannot be made again, and are refused rather than tied silently."""
    model = Untied(2)
    model.named["a"] = Parameter(np.zeros(2))
    with pytest.raises(ContractError, match="arrays that would be tied, and are not"):
        save(model, path)


# --- Custom layers ---------------------------------------------------------------------------------------------------


class Stack(Sequential):
    """A `Sequential` that is made from sizes."""

    def __init__(self, *sizes: int, rng: Any = None) -> None:
        self.sizes = sizes
        super().__init__([Dense(i, o, rng=rng) for i, o in pairwise(sizes)])


class Many(Square):
    """A layer with every kind of argument."""

    def __init__(self, a: int, /, b: int, rng: Any = None, *rest: float, c: Layer, **others: Any) -> None:
        self.a, self.b, self.rest, self.c, self.others = a, b, rest, c, others

    def predict(self, x: Array, /) -> Array:
        return x


class Doubling(Layer):
    """A layer that makes another in its constructor, from an argument of another meaning."""

    def __init__(self, width: int = 1, *, inner: Layer | None = None) -> None:
        self.width, self.inner, self.own = width, inner, Dense(width, 2 * width)
        self.bare = Sigmoid()

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return self.own.forward(x)

    def backward(self, grad: Array, cache: Any, /) -> Array | None:
        return self.own.backward(grad, cache)

    def predict(self, x: Array, /) -> Array:
        return self.own.predict(x)


@pytest.mark.parametrize(
    ("model", "classes"),
    [
        (Square(), [Square]),
        (Factor(3, np.float32, rng=1), [Factor]),
        (Stack(2, 3, 1), [Stack]),
        (Stack(), [Stack]),
        (Many(1, 2, None, 0.5, inf, c=Dense(1, 1), d="e", f=[Square()]), [Many, Square]),
        (Many(1, b=2, c=Sigmoid()), [Many]),
        (Doubling(2), [Doubling]),
        (Doubling(1, inner=Doubling(3)), [Doubling]),
        (Keeping({"": [Dense(1, 1)], "b": {"c": (Dense(1, 1), Square())}}), [Keeping, Square]),
        (Sequential([Stack(1, 1), Square(), Stack(1, 1)]), [Stack, Square]),
    ],
    ids=repr,
)
def test_a_custom_layer_comes_back_the_same(tmp_path: Path, model: Layer, classes: list[type[Layer]]) -> None:
    """Layers with constructors of any kind come back, if the caller names their classes; in any order, with others."""
    again(model, tmp_path / "model", *classes)
    loaded = load(tmp_path / "model", (*reversed(classes), Slotted))
    assert bits(loaded) == bits(model)


def test_a_class_that_is_not_named_is_not_found(path: Path) -> None:
    """The error says what to pass, and what was passed."""
    save(Sequential([Square(), Keeping([Factor(1)])]), path)
    expected = r"load: classes expects .* in the file: load\(path, classes=\[{}\]\), got \[{}\]"
    with pytest.raises(ConfigError, match=expected.format("Factor, Keeping, Square", "")):
        load(path)
    with pytest.raises(ConfigError, match=expected.format("Factor, Square", "'Keeping'")):
        load(path, [Keeping])


def test_a_custom_class_is_none_of_the_package(path: Path) -> None:
    """A custom class of a built-in one's name is not taken for it, nor the other way round."""
    custom = type("Dense", (Square,), {})
    model = Sequential([Dense(1, 1), custom()])
    save(model, path)
    with pytest.raises(ConfigError, match=r"classes=\[Dense\]"):
        load(path)
    assert [type(layer) for layer in load(path, [custom])] == [Dense, custom]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (3, "a list of layer classes, got int"),
        (Square, "a list of layer classes"),
        ([Square()], "subclasses of Layer, got Square"),
        ([int], "subclasses of Layer, got the class int itself"),
        (["Square"], "subclasses of Layer, got str"),
        ([Square, type("Square", (Square,), {})], "one class of a name, got two Square"),
    ],
)
def test_wrong_classes_are_refused(path: Path, classes: Any, message: str) -> None:
    """What is no list of layer classes, or has two of a name, is an error, whatever the file holds."""
    save(Sigmoid(), path)
    with pytest.raises(ConfigError, match=f"load: classes expects {message}"):
        load(path, classes)
    assert type(load(path, [Square, Square])) is Sigmoid


# --- What cannot be saved --------------------------------------------------------------------------------------------


class Unkept(Square):
    """A layer that does not keep its argument."""

    def __init__(self, width: int) -> None:
        self.size = width


class Passing(Dense):
    """A layer that passes on what it is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Growing(Square):
    """A layer that makes something else of its argument each time."""

    def __init__(self, width: int) -> None:
        self.width = width + 1


class Needy(Square):
    """A layer that cannot do without its rng."""

    def __init__(self, rng: int) -> None:
        self.rng = rng


class Clash(Square):
    """A layer whose parameters have the same name."""

    def __init__(self) -> None:
        self.parts = {1: Parameter(np.ones(1)), "1": Parameter(np.ones(1))}


def lazy() -> Layer:
    """Make a layer that has made its parameter."""
    layer = Lazy()
    layer.forward(np.ones((1, 2)))
    return Sequential([Sigmoid(), layer])


def endless() -> Layer:
    """Make a layer that holds itself."""
    layer = Keeping([])
    layer.layers.append((layer,))
    return layer


def reduced() -> Layer:
    """Make a layer that has lost one that its constructor makes."""
    layer = Doubling()
    del layer.bare
    return layer


class Used(Square):
    """A layer that keeps what others use up."""

    def __init__(self, init: Any = 1.0, *, dtype: Any = "float64", rng: Any = None) -> None:
        self.init, self.dtype, self.rng = init, dtype, rng


class Masked(Square):
    """A layer with an array that is neither parameter nor buffer."""

    def __init__(self, width: int = 2) -> None:
        self.width, self.mask = width, np.ones(width)

    def masking(self, mask: Array) -> "Masked":
        self.mask = mask
        return self


def changed(**attributes: Any) -> Callable[[], Layer]:
    """Make a function that makes a layer and changes attributes of the one in it."""

    def make() -> Layer:
        model = Doubling(2)
        for name, value in attributes.items():
            setattr(model.own, name, value)
        return Sequential([model])

    return make


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: 3, ConfigError, "save: model expects an instance of Layer, got int"),
        (lambda: Dense, ConfigError, "save: model expects an instance of Layer, got the class Dense itself"),
        (lambda: Plain(np.tanh), ConfigError, "save: Plain: value expects None, a bool, .*, got ufunc"),
        (lambda: Plain(np.ones(2)), ConfigError, "save: Plain: value expects .*, got ndarray of shape"),
        (lambda: Plain({1: 2}), ConfigError, "save: Plain: value expects .*, got dict"),
        (lambda: Plain([(1j,)]), ConfigError, "save: Plain: value expects .*, got complex"),
        (lambda: Plain(Dense), ConfigError, "save: Plain: value expects .*, got the class Dense itself"),
        (lambda: Sequential([Sigmoid(), Sequential([Plain({1})])]), ConfigError, r"save: layer 1.0 \(Plain\): value"),
        (lambda: Scale(np.ones(2)), ConfigError, "save: Scale: factors expects .*, got Parameter"),
        (lambda: Polynomial(1.0, 2.0, 3.0), ConfigError, "save: Polynomial expects to keep its argument a as an attr"),
        (lambda: Keeping([Unkept(1)]), ConfigError, r"save: layer layers.0 \(Unkept\) expects to keep its argument wi"),
        (lambda: Passing(1, 1), ConfigError, "save: Passing expects to keep its argument args as an attribute"),
        (endless, ConfigError, "save: model expects layers and lists that are nested less deeply"),
        (Clash, ContractError, "Clash must give each array a name of its own"),
        (lazy, ContractError, r"save: Sequential must be what .*, got missing=\['1.scale.factors', '1.scale.unit'\]"),
        (lambda: Growing(1), ContractError, "save: Growing must be what .*, got width would be 3, where it is 2"),
        (lambda: Needy(np.random.default_rng()), ContractError, "got .*missing 1 required .*'rng'"),
        (changed(use_bias=False), ContractError, "got 0.own.use_bias would be True, where it is False"),
        (changed(bias=None), ContractError, r"extra=\['0.own.bias'\]"),
        (changed(extra=Sigmoid()), ContractError, "got 0.own.extra would be 'missing', where it is 'Sigmoid'"),
        (reduced, ContractError, "got bare would be 'Sigmoid', where it is 'missing'"),
        (changed(weight=Buffer(np.ones((2, 4)))), ContractError, "got 0.own.weight would be 'Parameter', where it is"),
        (changed(bias=Parameter(np.ones(5))), ContractError, r"got 0.own.bias would be ndarray of shape \(4,\)"),
        (changed(bias=Buffer(np.ones(4, int))), ContractError, "got 0.own.bias would be ndarray .* float64, where "),
        (changed(bias=Buffer(np.array([None] * 4))), ContractError, "got 0.own.bias would be ndarray"),
        (lambda: Plain(10**5000), ContractError, "save: Plain must be"),
        (lambda: Used(np.ones(2)), ContractError, "got init would be 1.0, where it is 'array "),
        (lambda: Used(dtype=np.float32), ContractError, "got dtype would be 'float64', where it is .*numpy.float32"),
        (lambda: Used(dtype=np.dtype("f4")), ContractError, r"got dtype would be 'float64', where it is .*float32"),
        (lambda: Masked().masking(np.eye(2)[0]), ContractError, "got mask would be 'array .*', where it is 'array "),
        (lambda: Masked().masking(np.ones(2, int)), ContractError, "got mask would be 'array .*', where it is 'array "),
        (lambda: Masked().masking(np.ones((2, 1))), ContractError, "got mask would be 'array .*', where it is 'array "),
        (lambda: Masked().masking([1.0, 1.0]), ContractError, r"got mask would be 'array .*', where it is \[1.0, "),
    ],
)  # fmt: skip
def test_what_could_not_be_loaded_is_not_saved(
    tmp_path: Path, make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    """The error names layer and argument, or what would be different; an old file stays, and no new one appears."""
    with pytest.raises(error, match=message):
        save(make(), tmp_path / "new")
    assert not any(tmp_path.iterdir())


def test_two_classes_of_a_name_are_refused(path: Path) -> None:
    """Since the file knows custom classes by name, a model may not hold two of the same."""
    with pytest.raises(
        ConfigError, match=r"save: layer 1 \(Square\) expects one custom class of a name, got two Square"
    ):
        save(Sequential([Square(), type("Square", (Square,), {})()]), path)


@pytest.mark.parametrize(
    "model", [Used(5.0), Used([1, (True, None)], dtype="float32", rng=3), Used("a"), Needy(3), Masked(3)], ids=repr
)
def test_plain_values_come_back_whatever_their_name(path: Path, model: Any) -> None:
    """A number named init, a seed named rng and a string named dtype are saved like other arguments."""
    loaded = again(model, path, Used, Needy, Masked)
    assert repr(vars(loaded)) == repr(vars(model))


@pytest.mark.parametrize("used_up", [{"init": np.zeros}, {"rng": np.random.default_rng(0)}, {"init": [1, np.zeros]}])
def test_what_is_used_up_need_not_come_back(path: Path, used_up: dict[str, Any]) -> None:
    """Generators and initializers stay behind, as where a layer does not keep them."""
    model = Used(**used_up)
    save(model, path)
    assert vars(load(path, [Used])) == vars(Used())


def test_an_error_deep_in_a_model_is_told_once(path: Path) -> None:
    """It names the layer at fault, and no layers around it."""
    model = Sequential([Sequential([Sequential([Plain({1})])])])
    with pytest.raises(ConfigError) as caught:
        save(model, path)
    message = "None, a bool, number, string, layer, or a list, tuple or dict of these, got set"
    assert str(caught.value) == f"save: layer 0.0.0 (Plain): value expects {message}"


def test_a_cached_property_is_no_obstacle(path: Path) -> None:
    """What an attribute holds only once it was asked for need not come back."""
    model = Plain(3)
    model.cached = model.value**2  # type: ignore[attr-defined]
    again(model, path, Plain)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    """Where saving is refused, or the path cannot be written, what was there is untouched."""
    save(Dense(1, 1, rng=0), tmp_path / "model")
    before = (tmp_path / "model").read_bytes()
    with pytest.raises(ConfigError):
        save(Plain(np.tanh), tmp_path / "model")
    with pytest.raises(NotADirectoryError):
        save(Dense(1, 1), tmp_path / "model" / "model")
    with pytest.raises(FileNotFoundError):
        save(Dense(1, 1), tmp_path / "missing" / "model")
    assert (tmp_path / "model").read_bytes() == before


# --- Bad files -------------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """Archives of something else, and of nothing, are one clear error; a missing file is Python's own."""
    write_archive(tmp_path / "checkpoint", {}, {"kind": "checkpoint"})
    with pytest.raises(FileFormatError, match=r"must be a model that save wrote, got a checkpoint"):
        load(tmp_path / "checkpoint")
    write_archive(tmp_path / "other", {}, {"kind": [1]})
    with pytest.raises(FileFormatError, match=r"must be a model that save wrote, got something else"):
        load(tmp_path / "other")
    np.savez(tmp_path / "arrays.npz", **Dense(1, 1).state_dict())
    with pytest.raises(FileFormatError, match=rf"'{JSON}' is missing"):
        load(tmp_path / "arrays.npz")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing")


def content(**changes: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """Give what a file of a small model holds, with changes."""
    dense = {"class": "Dense", "config": {"in_features": 2, "out_features": 1, "bias": False}}
    info = {"kind": "model", "layers": [dense], "ties": {}}
    return {"weight": np.ones((2, 1))}, info | changes


def config(**changes: Any) -> list[Any]:
    return [{"class": "Dense", "config": {"in_features": 2, "out_features": 1, "bias": False} | changes}]


def sequential(*layers: Any) -> list[Any]:
    return [{"class": "Sequential", "config": {"layers": layers}}]


DENSE = config()[0]
WRONG: dict[str, dict[str, Any]] = {
    "no layers": {"layers": []},
    "layers that are a number": {"layers": 3},
    "layers that are text": {"layers": "Dense"},
    "layers that are None": {"layers": None},
    "a layer that is a list": {"layers": [[]]},
    "a layer that is a number": {"layers": [1]},
    "a layer without a class": {"layers": [{"config": {}}]},
    "a layer without a config": {"layers": [{"class": "Dense"}]},
    "a layer with another entry": {"layers": [DENSE | {"code": "Square"}]},
    "a layer whose class is unknown": {"layers": [{"class": "Foo", "config": {}}]},
    "a layer whose class is a function": {"layers": [{"class": "save", "config": {}}]},
    "a layer whose class is abstract": {"layers": [{"class": "Layer", "config": {}}]},
    "a layer whose class is a module's": {"layers": [{"class": "os.system", "config": {}}]},
    "a layer whose class is a list": {"layers": [{"class": ["Dense"], "config": {}}]},
    "a custom class that is a list": {"layers": [{"custom": ["Dense"], "config": {}}]},
    "a config that is a list": {"layers": [{"class": "Sigmoid", "config": []}]},
    "a config with too much": {"layers": config(foo=1)},
    "a config that is refused": {"layers": config(in_features=-1)},
    "a config of another kind": {"layers": config(in_features="2")},
    "a config with an infinite size": {"layers": config(in_features={"float": "inf"})},
    "a config too large for any memory": {"layers": config(in_features=10**15, out_features=10**15)},
    "a config that lacks an argument": {"layers": [{"class": "Dense", "config": {"in_features": 2}}]},
    "a config with two marks": {"layers": config(bias={"tuple": [], "float": "1"})},
    "a config with an unknown mark": {"layers": config(bias={"code": "1"})},
    "a config with an empty mark": {"layers": config(bias={})},
    "a layer made of itself": {"layers": sequential({"layer": 0})},
    "a layer made of a later one": {"layers": [*sequential({"layer": 1}), DENSE]},
    "a layer made of one before all": {"layers": [DENSE, *sequential({"layer": -1})]},
    "a layer made of a list": {"layers": sequential({"layer": []})},
    "a layer with other arrays": {"layers": config(bias=True)},
    "a layer of another shape": {"layers": config(out_features=2)},
    "a layer left over, with arrays": {"layers": [DENSE, {"class": "Sigmoid", "config": {}}]},
    "ties that are a list": {"ties": ["weight"]},
    "ties that are None": {"ties": None},
    "ties that are missing": {"ties": {"bias": "weight"}},
    "ties to what is missing": {"layers": config(bias=True), "ties": {"bias": "foo"}},
    "ties in a circle": {"layers": config(bias=True), "ties": {"bias": "bias"}},
    "ties of other shapes": {"layers": config(bias=True, out_features=3), "ties": {"weight": "bias"}},
    "ties that are no names": {"ties": {"bias": [1]}},
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content_is_refused(tmp_path: Path, case: str) -> None:
    """A file whose checksums are right and whose content makes no sense is the same clear error."""
    write_archive(tmp_path / "bad", *content(**WRONG[case]))
    with pytest.raises(
        FileFormatError, match=r"bad must be a file that minibackprop wrote, whole and unchanged, got ."
    ):
        load(tmp_path / "bad")


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"weight": np.ones((2, 1)), "bias": np.ones(1)},
        {"weights": np.ones((2, 1))},
        {"weight": np.ones((1, 2))},
        {"weight": np.ones(2)},
        {"weight": np.ones((2, 1), int)},
        {"weight": np.ones((2, 1), complex)},
        {"weight": np.full((2, 1), "a")},
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, Array]) -> None:
    """Missing and left-over arrays, and those of another shape or kind, are the same clear error."""
    write_archive(tmp_path / "bad", arrays, content()[1])
    with pytest.raises(FileFormatError, match="whole and unchanged, got"):
        load(tmp_path / "bad")


@pytest.mark.parametrize(
    ("kind", "sizes", "arrays"),
    [
        ("Dense", {"in_features": 10**6, "out_features": 10**6}, {}),
        ("Dense", {"in_features": 10**6, "out_features": 10**6}, {"weight": np.ones(10**6)}),
        ("Dense", {"in_features": 10**6, "out_features": 10**6, "init": "zeros"}, {"weight": np.ones((10**6, 1))}),
        ("BatchNorm", {"num_features": 10**10}, {}),
        ("BatchNorm", {"num_features": 10**10}, {"weight": np.ones((0, 10**10)), "bias": np.ones(1)}),
        (
            "Conv1D",
            {"in_channels": 10**7, "out_channels": 10**7, "kernel_size": 1, "groups": 10**7},
            {"weight": np.ones((2, 1, 1))},
        ),
    ],
)
def test_a_small_file_does_not_make_large_arrays(
    tmp_path: Path, kind: str, sizes: dict[str, Any], arrays: dict[str, Array]
) -> None:
    """A built-in layer whose arrays the file does not have is refused before they are made."""
    write_archive(tmp_path / "bad", arrays, content(layers=[{"class": kind, "config": sizes}])[1])
    tracemalloc.start()
    try:
        with pytest.raises(
            FileFormatError, match=r"whole and unchanged, got an array of shape \(10+, ?(10+|1, 1)?\) is missing"
        ):
            load(tmp_path / "bad")
        assert tracemalloc.get_traced_memory()[1] < 10**8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_no_layer_is_larger_than_its_file(tmp_path: Path, contract: type[LayerContract]) -> None:
    """Where a size in a file is changed, `load` refuses it before it makes an array, or it is not that of an array."""
    model = contract.layer()
    save(model, tmp_path / "good")
    arrays, info = read_archive(tmp_path / "good")
    shapes = {name: value.shape for name, value in arrays.items()}
    for record in info["layers"]:
        if "class" not in record:
            continue
        for name, value in record["config"].items():
            if type(value) is int and value > 0 and arrays:
                layers = [
                    part | {"config": part["config"] | {name: 10**10}} if part is record else part
                    for part in info["layers"]
                ]
                write_archive(tmp_path / "bad", arrays, info | {"layers": layers})
                tracemalloc.start()
                try:
                    loaded = load(tmp_path / "bad", {type(part) for _, part in walk(model, Layer)})
                except FileFormatError as error:
                    assert isinstance(error.__cause__, ValueError), "not a lack of memory"  # noqa: PT017
                else:
                    assert {key: value.shape for key, value in loaded.state_dict().items()} == shapes
                finally:
                    peak = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
                assert peak < 10**7


def chain(*layers: int) -> dict[str, Any]:
    """Describe a `Sequential` of layers by their numbers."""
    return {"class": "Sequential", "config": {"layers": {"tuple": [{"layer": number} for number in layers]}}}


def within(number: int) -> dict[str, Any]:
    return {"class": "Residual", "config": {"layer": {"layer": number}}}


def counted(function: Callable[..., None], calls: list[int]) -> Callable[..., None]:
    """Make the same function, of the same signature, that counts how often it is called."""

    @functools.wraps(function)
    def counting(*arguments: Any, **named: Any) -> None:
        calls.append(1)
        function(*arguments, **named)

    return counting


BARE = {"class": "Sigmoid", "config": {}}
TOO_MUCH: dict[str, list[Any]] = {
    "nested": [BARE, *map(chain, range(5000))],
    "nested in others": [BARE, *(within(i) if i % 2 else chain(i) for i in range(5000))],
    "doubled": [BARE, *(chain(i, i) for i in range(200))],
    "many": [BARE] * 100_000,
    "many in one": [*[BARE] * 100_000, chain(*range(100_000))],
    "a long one in many": [*[BARE] * 2000, chain(*range(2000)), *[within(2000)] * 2000, chain(*range(2001, 4001))],
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_a_file_of_layers_beyond_all_bounds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Before many of them are made, and gone through: time and memory are bounded by the file, whatever it says."""
    write_archive(tmp_path / "bad", *content(layers=TOO_MUCH[case]))
    made: list[int] = []
    for kind in (Sequential, Sigmoid, Residual):
        monkeypatch.setattr(kind, "__init__", counted(kind.__init__, made))
    with pytest.raises(FileFormatError, match=r"got (\d+ layers, of which a file may|layers in more than \d+ places)"):
        load(tmp_path / "bad")
    assert len(made) < 10_000


def test_what_is_large_within_bounds_comes_back(path: Path) -> None:
    """Nested deeper than a model can run by much, or one layer in many places."""
    layers = [BARE, *map(chain, range(900))]
    write_archive(path, {}, content(layers=layers)[1])
    assert len([part for _, part in walk(load(path), Layer)]) == 901
    write_archive(path, {}, content(layers=[BARE, chain(*[0] * 50_000)])[1])
    assert len(load(path)) == 50_000  # type: ignore[arg-type]


def test_more_layers_than_can_be_loaded_are_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More layers than a file may hold are refused when they are saved."""
    monkeypatch.setattr("minibackprop.saving.model._MOST_LAYERS", 3)
    with pytest.raises(ContractError, match="4 layers, of which a file may hold 3"):
        save(Sequential([Sigmoid() for _ in range(3)]), tmp_path / "model")
    assert not any(tmp_path.iterdir())
    again(Sequential([Sigmoid() for _ in range(2)]), tmp_path / "model")


@pytest.mark.parametrize("ties", [{}, {f"{i}.weight": "0.weight" for i in range(1, 300)}], ids=["missing", "tied"])
def test_many_large_layers_take_no_more_than_the_arrays_of_the_file(tmp_path: Path, ties: dict[str, str]) -> None:
    """300 layers, each of the size of the one array: refused, or all of one parameter."""
    records = [*config(in_features=1000, out_features=1000) * 300, chain(*range(300))]
    write_archive(tmp_path / "file", {"0.weight": np.ones((1000, 1000))}, content(layers=records, ties=ties)[1])
    tracemalloc.start()
    try:
        if ties:
            assert len(load(tmp_path / "file").parameters()) == 1
        else:
            with pytest.raises(FileFormatError, match=r"missing=\[\] arrays, extra=\['1.weight'"):
                load(tmp_path / "file")
        assert tracemalloc.get_traced_memory()[1] < 4 * 8e6
    finally:
        tracemalloc.stop()


def test_loading_draws_no_numbers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The initial weights of a built-in layer would be thrown away at once; none are made."""
    save(Sequential([Dense(3, 4, rng=0), Dense(4, 1, rng=0)]), path)
    monkeypatch.setattr(GlorotUniform, "__call__", None)
    assert isinstance(load(path), Sequential)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from([0.5, "", "layer", "Dense", "Sequential", "Square"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["class", "custom", "config", "layer", "layers", "tuple", "float", "dict", "weight"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=5,
)


@given(data=st.data())
def test_any_json_makes_a_layer_or_the_one_error(path: Path, data: st.DataObject) -> None:
    """However its text is changed, a file gives a layer, the one error, or that of a class which was not named."""
    info: Any = json.loads(json.dumps(content()[1] | {"layers": [DENSE, {"class": "Sigmoid", "config": {}}]}))
    place = info
    while isinstance(place, (dict, list)) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()) or not isinstance(place[key], (dict, list)) or not place[key]:
            place[key] = data.draw(json_values)
            break
        place = place[key]
    write_archive(path, data.draw(st.sampled_from([{}, content()[0]])), info)
    try:
        assert isinstance(load(path), Layer)
    except FileFormatError:
        pass
    except ConfigError as error:
        if error.subject != "load: classes":
            raise


def test_a_class_that_has_changed_is_a_clear_error(path: Path) -> None:
    """Where the custom class takes other arguments now, or makes other arrays, the error says so."""
    save(Factor(2), path)
    for changed, message in (
        (type("Factor", (Plain,), {}), r"got Factor takes no \['width'\]"),
        (type("Factor", (Growing,), {}), r"got missing=\['factor', 'seen'\] arrays"),
    ):
        with pytest.raises(FileFormatError, match=message):
            load(path, [changed])


def test_an_array_of_another_device_is_refused(tmp_path: Path) -> None:
    """Arrays that are not NumPy's are to be copied by the user, who is told how."""

    class Away:
        shape, dtype, ndim = (2,), np.dtype(float), 1

        def copy(self) -> "Away":
            return self

        def __array_function__(self, *_: object) -> tuple[int, ...]:
            return (2,)

    model = Factor(2)
    model.factor.value = Away()  # type: ignore[assignment]
    with pytest.raises(DTypeError, match=r"save: factor expects a NumPy array .*map_arrays.*, got Away"):
        save(model, tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_nothing_of_the_file_is_held_open(path: Path) -> None:
    """A loaded model's arrays are its own: the file can be replaced, and the model trained."""
    save(Dense(2, 1, rng=0), path)
    model = load(path)
    expected = model.weight.value.copy()
    save(Dense(2, 1, rng=1), path)
    np.testing.assert_array_equal(model.weight.value, expected)
    model.weight.value += 1
    assert read_archive(path)[0]["weight"].shape == (2, 1)


# --- Weights alone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_read_without_the_layers(tmp_path: Path, dtype: type) -> None:
    """From a file of `save` and from a checkpoint: the state of the model, to the bit, buffers and ties included."""
    model = Sequential([Dense(2, 2, rng=0, dtype=dtype), Factor(2, dtype), BatchNorm(2, dtype=dtype)])
    model[0].weight = model[0].weight
    trainer = Trainer(model, MeanSquaredError(), Adam())
    trainer.fit(np.ones((3, 2)), np.zeros((3, 2)), 2, callbacks=[Checkpoint(tmp_path / "run")])
    save(model, tmp_path / "model")
    for name in ("run", "model"):
        weights = load_weights(tmp_path / name)
        assert list(weights) == list(model.state_dict())
        for key, value in model.state_dict().items():
            np.testing.assert_array_equal(weights[key], value, strict=True)
        other = Sequential([Dense(2, 2, rng=1, dtype=dtype), Factor(2, dtype), BatchNorm(2, dtype=dtype)])
        other.load_state_dict(weights)
        assert bits(other) == bits(model)
    with pytest.raises(
        FileFormatError, match=r"got a checkpoint; model\.load_state_dict\(load_weights\(path\)\) takes"
    ):
        load(tmp_path / "run")


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"kind": "other"}, "must be a checkpoint that Checkpoint wrote, got something else"),
        ({"kind": "checkpoint"}, "whole and unchanged, got 'state' is missing"),
        ({"kind": "checkpoint", "state": {"dict": {}}}, "whole and unchanged, got 'model' is missing"),
        ({"kind": "checkpoint", "state": {"dict": {"model": 3}}}, "is no arrays by name"),
        ({"kind": "checkpoint", "state": {"dict": {"model": {"dict": {"a": 1}}}}}, "is no arrays by name"),
        ({"kind": "checkpoint", "state": {"dict": {"model": {"dict": {"a": {"array": "b"}}}}}}, "'b' is missing"),
    ],
)
def test_files_without_weights_are_refused(tmp_path: Path, info: dict[str, Any], message: str) -> None:
    """The error is the one of every bad file."""
    write_archive(tmp_path / "bad", {}, info)
    with pytest.raises(FileFormatError, match=message):
        load_weights(tmp_path / "bad")
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "missing")


def test_a_copy_with_side_inputs_is_not_saved(tmp_path: Path) -> None:
    """A mask belongs to a batch; the error says what to save instead."""
    model = Sequential([GRU(3, 2, rng=0)])
    with pytest.raises(
        ConfigError, match=r"save: model expects the model itself, not a copy .*, got lengths in layer 0"
    ):
        save(model.given(lengths=np.array([1])), tmp_path / "model")
    save(model, tmp_path / "model")
