import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from minibackprop import (
    Add,
    ArticleNetwork,
    Buffer,
    Concat,
    ConfigError,
    Dense,
    DTypeError,
    Layer,
    Parameter,
    Residual,
    Sequential,
    ShapeError,
    Sigmoid,
    Tanh,
    summary,
    three_layer,
)
from minibackprop.validation import Array
from tests.example_layers import Broken, Lookup, Scale, Square
from tests.inspection.markup import read
from tests.random_models import flat, models, values

TIED = Dense(3, 3, rng=0)


@given(drawn=models())
def test_rows_are_the_layers_in_the_order_of_the_forward_pass(drawn: tuple[Sequential, Array]) -> None:
    """Each row has the class, and the shape of what the model gives up to there; the parameters add up to the total."""
    model, x = drawn
    table = summary(model, (x.shape[-1],))
    layers = list(flat(model))
    parts = [row for row in table.rows if row.layer != "Sequential"]  # Only an empty one is not gone into.
    assert [row.layer for row in parts] == [type(layer).__name__ for layer in layers]
    y = np.ones((7, x.shape[-1]))
    for row, layer in zip(parts, layers, strict=True):
        y = layer.predict(y)
        assert row.output_shape == (None, *y.shape[1:])
        assert row.parameters + row.shared == sum(parameter.value.size for parameter in layer.parameters())
    assert sum(row.parameters for row in table.rows) == table.parameters
    assert table.parameters == sum(parameter.value.size for parameter in model.parameters())
    assert (table.buffers, table.bytes) == (0, 8 * table.parameters)


@given(drawn=models())
def test_positions_lead_to_the_layers(drawn: tuple[Sequential, Array]) -> None:
    """A position holds the index in each `Sequential` on the way, as the positions of errors do."""
    model, x = drawn
    for row in summary(model, (x.shape[-1],)).rows:
        layer: Any = model
        for index in filter(None, row.position.split(".")):
            layer = layer[int(index)]
        assert type(layer).__name__ == row.layer


@given(drawn=models())
def test_model_is_left_as_it_was(drawn: tuple[Sequential, Array]) -> None:
    """Values and gradients do not change, and are not the table's either."""
    model, x = drawn
    for parameter in model.parameters():
        parameter.add(np.ones_like(parameter.value))
    before, gradients = values(model), [parameter.grad for parameter in model.parameters()]
    summary(model, (x.shape[-1],))
    assert values(model) == before
    assert all(parameter.grad is grad for parameter, grad in zip(model.parameters(), gradients, strict=True))


def test_table_shows_positions_shapes_and_parameters() -> None:
    """Printed or echoed, a summary is a table with aligned columns and the totals below."""
    model = Sequential([Dense(64, 100), Sequential([Sigmoid(), Sequential([Dense(100, 10)])])])
    table = summary(model, (64,))
    assert str(table) == repr(table)
    assert str(table).splitlines() == [
        "       layer    output shape  parameters",
        "0      Dense    (N, 100)           6,500",
        "1.0    Sigmoid  (N, 100)               0",
        "1.1.0  Dense    (N, 10)            1,010",
        "7,510 parameters, 0 in buffers, 60,080 bytes",
    ]


def test_shared_parameters_count_once() -> None:
    """A layer that stands twice is marked, a parameter that two layers share too; only what is new is counted."""

    class Untied(Layer):
        def __init__(self, weight: Parameter) -> None:
            self.weight, self.shift = weight, Parameter(np.zeros(2))

        def forward(self, x: Array, /) -> tuple[Array, Array]:
            return x @ self.weight.value, x

        def backward(self, grad: Array, cache: Array, /) -> Array:
            raise NotImplementedError

    table = summary(Sequential([TIED, Sequential([TIED]), Untied(TIED.weight)]), (3,))
    assert [(row.parameters, row.shared) for row in table.rows] == [(12, 0), (0, 12), (2, 9)]
    assert (table.parameters, table.bytes) == (14, 14 * 8)
    assert [line.split("  ")[-1].strip() for line in str(table).splitlines()[1:-1]] == ["12", "shared", "2 + shared"]


def test_buffers_and_bytes_are_counted() -> None:
    """What is kept and not trained is counted apart; bytes are those of the arrays, whatever their dtypes."""
    scale = Scale(np.ones(3, np.float32))
    scale.unit = Buffer(np.zeros(5, np.int16))
    table = summary(Sequential([scale, scale]), (3,))
    assert (table.parameters, table.buffers, table.bytes) == (3, 5, 3 * 4 + 5 * 2)
    assert str(table).endswith("\n3 parameters, 5 in buffers, 22 bytes")


def test_any_layer_is_a_model() -> None:
    """A layer alone has one row without a position; an empty `Sequential` is one too."""
    (dense,) = summary(Dense(3, 2), [3]).rows
    assert (dense.position, dense.layer, dense.output_shape, dense.parameters) == ("", "Dense", (None, 2), 8)
    (empty,) = summary(Sequential(), (3,)).rows
    assert (empty.layer, empty.output_shape, empty.parameters) == ("Sequential", (None, 3), 0)


def test_shapes_have_any_number_of_axes() -> None:
    """Samples may be numbers or images; the first axis is shown as N only where it holds the one sample."""

    class Total(Square):
        def __init__(self, axis: int | None) -> None:
            self.axis = axis

        def predict(self, x: Array, /) -> Array:
            return x.sum(axis=self.axis)

    assert summary(Square(), ()).rows[0].output_shape == (None,)
    assert summary(Dense(4, 2), (5, 6, 4)).rows[0].output_shape == (None, 5, 6, 2)
    assert summary(Total(0), (5, 6)).rows[0].output_shape == (5, 6)
    assert summary(Total(None), (5, 6)).rows[0].output_shape == ()
    assert "\n   Square  (N,) " in "\n   " + str(summary(Square(), ())).splitlines()[1].strip()


def test_sequential_with_a_predict_of_its_own_is_one_layer() -> None:
    """A subclass of `Sequential` is gone into as long as it passes its layers in turn."""

    class Backwards(Sequential):
        def forward(self, x: Array, /) -> tuple[Array, Any]:
            raise NotImplementedError

        def predict(self, x: Array, /) -> Array:
            return Sequential(self.layers[::-1]).predict(x)

    assert [row.layer for row in summary(three_layer(), (3,)).rows] == ["Dense", "Sigmoid", "Dense", "Sigmoid"]
    assert isinstance(three_layer(), ArticleNetwork)
    (row,) = summary(Backwards([Dense(3, 2), Dense(4, 3)]), (4,)).rows
    assert (row.layer, row.output_shape, row.parameters) == ("Backwards", (None, 2), 8 + 15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sample_has_the_dtype_of_the_model(dtype: type) -> None:
    """The model sees one sample of zeros, of its own dtype unless another is asked for."""
    seen = []

    class Watch(Scale):
        def predict(self, x: Array, /) -> Array:
            seen.append(x)
            return x

    summary(Watch(np.ones(3, dtype)), (3,))
    scalar = Watch(np.array(1, dtype))
    scalar.factors.value = scalar.factors.value * 2  # No array any more, but a NumPy scalar.
    summary(scalar, (3,))
    summary(Watch(np.ones(3, dtype)), (3,), dtype=np.uint8)
    assert [x.dtype for x in seen[::2]] == [dtype, dtype, np.uint8]
    assert all(x.shape == (1, 3) and not x.any() for x in seen)
    assert summary(Sequential([Lookup(np.ones((4, 2), dtype))]), (5,), dtype=int).rows[0].output_shape == (None, 5, 2)


def test_unlucky_zeros_do_not_warn() -> None:
    """A layer that has no value at zero is no reason for a warning, nor for NumPy to raise."""

    class Log(Square):
        def predict(self, x: Array, /) -> Array:
            return np.log(x)

    with np.errstate(all="raise"):
        assert summary(Log(), (2,)).rows[0].output_shape == (None, 2)


def test_errors_name_the_position() -> None:
    """A layer that does not fit the one before it is named as `predict` names it."""
    model = Sequential([Dense(3, 4), Sequential([Sigmoid(), Dense(5, 1)])])
    with pytest.raises(ShapeError, match=re.escape("layer 1.1: Dense expects (..., 5), got (1, 4)")):
        summary(model, (3,))
    with pytest.raises(DTypeError, match="layer 0: Dense"):
        summary(model, (3,), dtype=object)
    with pytest.raises(ZeroDivisionError) as caught:
        summary(Sequential([Square(), Broken(ZeroDivisionError(), forwards=True)]), (3,))
    assert caught.value.__notes__ == ["in layer 1: Broken"]


@pytest.mark.parametrize("model", [Dense, [Dense(3, 4)], None])
def test_model_must_be_a_layer(model: object) -> None:
    """A class or a list of layers is refused."""
    with pytest.raises(ConfigError, match="summary: model expects a Layer, got"):
        summary(model, (3,))


@pytest.mark.parametrize("shape", [3, None, (None, 3), (0,), (-1,), (2.0,), (True,), "3"])
def test_input_shape_must_be_that_of_a_sample(shape: object) -> None:
    """Anything but a sequence of positive integers is refused."""
    with pytest.raises(ConfigError, match=re.escape("the shape of one sample, such as (64,), got")):
        summary(three_layer(), shape)


def test_combinators_are_shown_part_by_part() -> None:
    """Each part has its row, under its name; then what is made of them, which adds no parameters."""
    model = Sequential(
        [Residual(Sequential([Dense(3, 4, rng=0), Tanh(), Dense(4, 3, rng=0)])), Concat([Tanh(), Add([Dense(3, 2)])])]
    )
    table = summary(model, (3,))
    assert [(row.position, row.layer, row.output_shape, row.parameters, row.shared) for row in table.rows] == [
        ("0.layer.0", "Dense", (None, 4), 16, 0),
        ("0.layer.1", "Tanh", (None, 4), 0, 0),
        ("0.layer.2", "Dense", (None, 3), 15, 0),
        ("0", "Residual", (None, 3), 0, 0),
        ("1.0", "Tanh", (None, 3), 0, 0),
        ("1.1.0", "Dense", (None, 2), 8, 0),
        ("1.1", "Add", (None, 2), 0, 0),
        ("1", "Concat", (None, 5), 0, 0),
    ]
    assert table.parameters == 39
    (row,) = summary(Residual(Tanh()), (3,)).rows[1:]
    assert (row.position, row.layer) == ("", "Residual")


def test_a_notebook_shows_a_table() -> None:
    """The rows of the text, and the totals; names of classes are text."""
    model = Sequential([Dense(64, 100), type("<b>", (Square,), {})(), Dense(100, 10)])
    table = read(summary(model, (64,))._repr_html_())
    assert [[cell.text for cell in row.elements] for row in table.all("tr")] == [
        ["place", "layer", "output shape", "parameters"],
        ["0", "Dense", "(N, 100)", "6,500"],
        ["1", "<b>", "(N, 100)", "0"],
        ["2", "Dense", "(N, 10)", "1,010"],
        ["all", "", "", "7,510"],
    ]
    assert table.text.endswith("0 numbers in buffers, 60,080 bytes")


def test_frozen_parameters_are_counted_apart() -> None:
    """In each row those that it counts, so that they add up; in a notebook in a column of their own."""
    tied = Dense(3, 3, rng=0).freeze()
    table = summary(Sequential([tied, Dense(3, 3), tied]), (3,))
    assert [(row.parameters, row.frozen) for row in table.rows] == [(12, 12), (12, 0), (0, 0)]
    rows = [[cell.text for cell in row.elements][3:] for row in read(table._repr_html_()).all("tr")]
    assert rows == [["trainable", "frozen"], ["0", "12"], ["12", "0"], ["shared", "0"], ["12", "12"]]


@given(drawn=models())
def test_frozen_numbers_of_rows_add_up(drawn: tuple[Sequential, Array]) -> None:
    """Whatever is frozen, the rows have it all."""
    model, x = drawn
    for parameter in model.parameters()[::2]:
        parameter.frozen = True
    table = summary(model, (x.shape[-1],))
    assert sum(row.frozen for row in table.rows) == table.frozen
