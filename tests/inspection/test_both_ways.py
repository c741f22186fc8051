import copy
import re
from typing import Any

import numpy as np
import pytest

from minibackprop import (
    BatchNorm,
    ConfigError,
    Dense,
    Dropout,
    DTypeError,
    Embedding,
    Layer,
    Parameter,
    PassesRow,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    ShapeError,
    Sigmoid,
    passes,
    three_layer,
)
from minibackprop.validation import Array
from tests.example_layers import Square
from tests.inspection.markup import read

X = np.random.default_rng(0).normal(size=(5, 3))


class Kept(Square):
    """Keeps what it is told to."""

    def __init__(self, keep: Any) -> None:
        self.keep = keep

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        y = 2 * x
        return y, self.keep(x, y)

    def backward(self, grad: Array, cache: Any, /) -> Array:
        return 2 * grad


class OwnChain(Sequential):
    """A chain that goes its own way."""

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return super().forward(x)


def test_rows_are_what_the_passes_do() -> None:
    """Shapes are those of a pass made by hand, and each parameter has its gradient."""
    model = Sequential(
        [Dense(3, 4, rng=0), BatchNorm(4), Sequential([ReLU(), Dropout(0.5, rng=0)]), Dense(4, 2, rng=1)]
    )
    found = passes(model, X)
    assert found.input_shape == (5, 3)
    assert [row.position for row in found.rows] == ["0", "1", "2.0", "2.1", "3"]
    given = (5, 3)
    for row in found.rows:
        assert row.gradient_shape == given
        given = row.output_shape
    assert given == (5, 2)
    gradients = {f"{row.position}.{name}": shape for row in found.rows for name, shape in row.parameters}
    assert gradients == {name: parameter.shape for name, parameter in model.named_parameters()}


def test_the_model_is_left_as_it_was() -> None:
    """No gradient, no statistics, no random draw: all is done on a copy."""
    model = Sequential([Dense(3, 4, rng=0), BatchNorm(4), Dropout(0.5, rng=0)])
    _, cache = model.forward(X)
    model.backward(np.ones((5, 4)), cache)
    twin = copy.deepcopy(model)
    passes(model, X)
    for (name, parameter), (_, expected) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        np.testing.assert_array_equal(parameter.grad, expected.grad, err_msg=name)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, twin.state_dict()[name], err_msg=name)
    np.testing.assert_array_equal(model.forward(X)[0], twin.forward(X)[0])


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (lambda *_: None, ()),
        (lambda *_: (3, 2.5, "same", np.float64(1)), ()),
        (lambda x, _: x, ("x (5, 3)",)),
        (lambda x, _: x.T, ("x (3, 5)",)),
        (lambda x, y: (y, x), ("y (5, 3)", "x (5, 3)")),
        (lambda x, _: x > 0, ("mask (5, 3)",)),
        (lambda x, _: x.reshape(1, 15), ("x (1, 15)",)),
        (lambda x, _: (x.T, x, x.T), ("x (3, 5)", "x (5, 3)")),
        (lambda x, _: x[:2], ("array (2, 3)",)),
        (lambda x, _: {"inner": [x, (x, x + 1)]}, ("x (5, 3)", "array (5, 3)")),
        (lambda x, _: [x + k for k in range(6)], ("array (5, 3)",) * 3 + ("3 more arrays",)),
    ],
)
def test_cache_is_told_by_what_it_holds(keep: Any, expected: tuple[str, ...]) -> None:
    """Input, output, their views, masks and others; the same array once, of many the first ones."""
    assert passes(Kept(keep), X).rows[0].cache == expected


def test_cache_that_is_a_view_of_reshaped_input_is_told_as_such() -> None:
    """As behind a `Reshape`, whose result is a view itself."""
    rows = passes(Sequential([Reshape((3, 1)), Kept(lambda x, _: np.moveaxis(x, 1, 2))]), X).rows
    assert rows[1].cache == ("x (5, 1, 3)",)


def test_cache_that_stands_beside_the_output_in_one_array_is_another() -> None:
    """As of a layer that computes two halves at once, and returns one."""

    class Halves(Kept):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            both = np.concatenate([x, 2 * x], axis=1)
            return both[:, 3:], both[:, :3]

    assert passes(Halves(None), X).rows[0].cache == ("array (5, 3)",)


def test_gradients_are_told_where_they_come() -> None:
    """A layer in two places has one in each; a frozen parameter has none; integers get none."""
    tied = Dense(3, 3, rng=0)
    rows = passes(Sequential([tied, Sigmoid(), tied]), X).rows
    assert rows[0].parameters == rows[2].parameters == (("weight", (3, 3)), ("bias", (3,)))
    row = passes(tied.freeze(), X).rows[0]
    assert (row.parameters, row.frozen) == ((), ("weight", "bias"))
    first, second = passes(Sequential([Embedding(9, 4, rng=0), Dense(4, 1, rng=0)]), [[1, 2], [3, 3]]).rows
    assert (first.gradient_shape, first.parameters, second.gradient_shape) == (None, (("weight", (9, 4)),), (2, 2, 4))
    assert "none" in repr(passes(Embedding(9, 4, rng=0), [1, 2]))


def test_gradients_of_before_are_not_told() -> None:
    """One that a parameter has from elsewhere is not of this pass."""
    layer = Kept(lambda *_: None)
    layer.unused = Parameter(np.ones(2))
    layer.unused.add(np.ones(2))
    assert passes(layer, X).rows[0].parameters == ()


def test_what_is_no_plain_chain_is_one_row() -> None:
    """Other composites, subclasses with passes of their own, and a chain without layers."""
    rows = passes(Sequential([Residual(Dense(3, 3, rng=0)), OwnChain([Dense(3, 2, rng=1)]), Sequential()]), X).rows
    assert [(row.position, row.layer) for row in rows] == [("0", "Residual"), ("1", "OwnChain"), ("2", "Sequential")]
    assert [name for name, _ in rows[0].parameters] == ["layer.weight", "layer.bias"]
    assert passes(Sequential(), X).rows == (PassesRow("", "Sequential", "[]", (5, 3), (), (5, 3), ()),)


def test_batch_is_cast_to_the_dtype_of_the_model() -> None:
    """As in training; so a layer that minds sees what it will see there."""
    seen = []
    spy = Kept(lambda x, _: seen.append(x.dtype))
    passes(Sequential([spy, Dense(3, 1, rng=0).astype(np.float32)]), [[1, 2, 3]])
    assert set(seen) == {np.dtype(np.float32)}


def test_bad_input_is_refused() -> None:
    """What is no layer and no numbers; other errors are the layer's, with its position."""
    with pytest.raises(ConfigError, match="passes: model expects a Layer, got the class Dense itself"):
        passes(Dense, X)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="passes: x expects an array of numbers"):
        passes(Square(), [["a"]])
    with pytest.raises(ShapeError, match=re.escape("layer 1.0: Dense expects (..., 4), got (5, 3)")):
        passes(Sequential([Sigmoid(), Sequential([Dense(4, 1)])]), X)
    with pytest.raises(Exception, match="must return a pair"):
        passes(Broken(), X)


class Broken(Square):
    def forward(self, x: Array, /) -> Any:
        return x


def test_diagram_has_both_ways() -> None:
    """Between two boxes stands what goes down and what comes up, in each box what crosses it."""
    shown = read(passes(three_layer(), X[:4])._repr_html_())
    (diagram,) = shown.all(kind="passes")
    assert [element.kind for element in diagram.elements] == ["way", "box"] * 5
    ways = [[span.text for span in way.elements] for way in diagram.all(kind="way")]
    assert ways == [
        ["↓ x (4, 3)", "dL/dx (4, 3) ↑"],
        ["↓ (4, 4)", "gradient (4, 4) ↑"],
        ["↓ (4, 4)", "gradient (4, 4) ↑"],
        ["↓ (4, 1)", "gradient (4, 1) ↑"],
        ["↓ y (4, 1)", "dL/dy (4, 1) ↑"],
    ]
    assert [kept.text for kept in diagram.all(kind="kept")] == [
        "cache: x (4, 3)",
        "cache: y (4, 4)",
        "cache: x (4, 4)",
        "cache: y (4, 1)",
    ]
    assert [adds.text for adds in diagram.all(kind="adds")] == [
        "gradient of weight (3, 4)",
        "gradient of weight (4, 1)",
    ]


def test_diagram_tells_what_there_is_not() -> None:
    """No cache, no gradient, none for what is frozen, and some of many parameters; what users wrote is escaped."""
    model: Layer = Sequential([Embedding(9, 4, rng=0), Residual(Sequential([Dense(4, 4, rng=0) for _ in range(3)]))])
    text = read(passes(model, [[1, 2]])._repr_html_()).text
    assert "no gradient" in text
    assert "gradient of layer.0.weight (4, 4), layer.0.bias (4,), layer.1.weight (4, 4), 3 more parameters" in text
    assert "no cache" in read(passes(Kept(lambda *_: None), X)._repr_html_()).text
    assert "gradient of weight (3, 1), 1 frozen" in half_frozen()
    assert [adds.text for adds in read(passes(Dense(3, 1).freeze(), X)._repr_html_()).all(kind="adds")] == ["2 frozen"]
    odd = Kept(lambda *_: None)
    odd.keep.__name__ = odd.keep.__qualname__ = "<script>"
    assert "<script>" in read(passes(odd, X)._repr_html_()).text


def half_frozen() -> str:
    layer = Dense(3, 1, rng=0)
    layer.bias.frozen = True
    return read(passes(layer, X)._repr_html_()).text
