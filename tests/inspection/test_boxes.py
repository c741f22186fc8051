import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minibackprop.inspection.boxes
from minibackprop import (
    Add,
    BatchNorm,
    Concat,
    Dense,
    Layer,
    Parameter,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    mlp,
)
from minibackprop.testing import models as networks
from tests.example_layers import Polynomial, Scale, SlottedScale, Square
from tests.inspection.markup import Element, read
from tests.random_models import flat, models

# --- Reading a picture ------------------------------------------------------------------------------------------------


def head(box: Element) -> str:
    """Read the line of a box: that of a folded one is its summary."""
    if box.tag == "details":
        return box.elements[0].text
    return "".join(part if isinstance(part, str) else part.text for part in box.children if not is_box(part))


def is_box(part: Element | str) -> bool:
    return isinstance(part, Element) and part.kind in ("box", "beside")


def within(box: Element) -> list[Element]:
    """List the boxes in a box, those of branches too."""
    found = []
    for part in box.elements:
        found += [part] if part.kind == "box" else within(part) if part.kind == "beside" else []
    return found


def drawn(box: Element, outer: str = "", times: int = 1) -> Iterator[tuple[str, str, int]]:
    """Go through the layers that a picture shows: the place, the class and what else stands there, and how often."""
    label, name = box.all("span", "place"), box.all("b")
    line = head(box)
    here = label[0].text.split(" ")[0] if label and line.startswith(label[0].text) else ""
    repeated = re.search("\N{MULTIPLICATION SIGN} ([0-9]+)", line)
    times *= int(repeated[1]) if repeated else 1
    place = f"{outer}.{here}" if outer else here
    is_layer = bool(name) and name[0].text in line and not line.endswith("more layers")
    if is_layer:
        yield place, line.removeprefix(label[0].text if label and here else "").strip(), times
    for inner in within(box):
        yield from drawn(inner, place if is_layer else outer, times)


def picture(model: Layer) -> Element:
    (box,) = within(read(model._repr_html_()))
    return box


def lines(model: Layer) -> list[str]:
    return [f"{place} {line}".strip() for place, line, _ in drawn(picture(model))]


# --- What is drawn ----------------------------------------------------------------------------------------------------


@given(found=models())
def test_each_layer_is_drawn_as_often_as_it_stands(found: tuple[Sequential, Any]) -> None:
    """Blocks that repeat count as often as they say; each place leads to a layer of the class that stands there."""
    model, _ = found
    counted: dict[str, int] = {}
    for place, line, times in drawn(picture(model)):
        layer: Any = model
        for index in filter(None, place.split(".")):
            layer = layer[int(index)]
        name = line.split(" ")[0]
        assert name == type(layer).__name__
        if name != "Sequential":
            counted[name] = counted.get(name, 0) + times
    expected = [type(layer).__name__ for layer in flat(model)]
    assert counted == {name: expected.count(name) for name in expected}


@given(model=networks(3, 2))
@settings(max_examples=20)
def test_any_network_is_drawn(model: Layer) -> None:
    """Nothing but balanced elements; the first line has all parameters, each counted once."""
    _, line, _ = next(drawn(picture(model)))
    total = sum(parameter.value.size for parameter in model.parameters())
    assert (f"{total:,} parameters" in line) == bool(total)


def test_boxes_tell_class_settings_and_parameters() -> None:
    """What differs from the default is told, and layers within under the names that their parameters have."""
    assert lines(Dense(3, 4)) == ["Dense in_features=3, out_features=4 16 parameters"]
    assert lines(Dense(3, 4, bias=False)) == ["Dense in_features=3, out_features=4, bias=False 12 parameters"]
    model = Sequential([Residual(Tanh()), Concat([Tanh(), Add([Square()])], axis=1)])
    expected = ["Sequential", "0 Residual", "0.layer Tanh", "1 Concat axis=1", "1.0 Tanh", "1.1 Add", "1.1.0 Square"]
    assert lines(model) == expected


def test_branches_stand_side_by_side() -> None:
    """Those of `Add` and `Concat`, not the layers of a chain."""
    assert [len(row.elements) for row in picture(Concat([Tanh(), Square()])).all(kind="beside")] == [2]
    assert picture(Sequential([Tanh(), Square()])).all(kind="beside") == []


def test_blocks_that_repeat_are_drawn_once() -> None:
    """Equal configuration and structure make blocks the same; a block may have several layers."""
    blocks = [Residual(Sequential([Dense(4, 4, rng=seed), Tanh()])) for seed in range(3)]
    assert lines(Sequential([Dense(4, 4), *blocks]))[1:] == [
        "0 Dense in_features=4, out_features=4 20 parameters",
        "1 Residual \N{MULTIPLICATION SIGN} 3 20 parameters each",
        "1.layer Sequential 20 parameters",
        "1.layer.0 Dense in_features=4, out_features=4 20 parameters",
        "1.layer.1 Tanh",
    ]
    assert lines(mlp([3, 4, 4, 4, 2]))[1:4] == [
        "0 Dense in_features=3, out_features=4 16 parameters",
        "1 ReLU",
        "2 Dense in_features=4, out_features=4 20 parameters",
    ]
    assert "1 to 4 \N{MULTIPLICATION SIGN} 2" in read(mlp([3, 4, 4, 4, 2])._repr_html_()).text


def test_a_picture_can_be_read_without_its_style() -> None:
    """JupyterLab drops the style in notebooks that it does not trust: the words stand apart all the same."""
    html = mlp([1, 1, 1])._repr_html_().partition("</style>")[2]
    text = " ".join(re.sub("<[^>]*>", "", html.replace("<div", "\n<div")).split())
    assert "0 Dense in_features=1, out_features=1 2 parameters 1 ReLU 2 Dense" in text


@pytest.mark.parametrize(
    "other",
    [
        lambda: Dense(4, 4, bias=False),
        lambda: Dense(4, 4, dtype=np.float32),
        lambda: Dense(4, 4).freeze(),
        lambda: Residual(Dense(4, 4)),
        lambda: type("Dense", (Dense,), {})(4, 4),
    ],
)
def test_what_differs_is_drawn_apart(other: Any) -> None:
    """By a setting, a dtype, a mark, the structure or the class of the same name."""
    first, second = lines(Sequential([Dense(4, 4), other()]))[1:3]
    assert first == "0 Dense in_features=4, out_features=4 20 parameters"
    assert second.startswith("1 ")


def test_attributes_that_are_no_arguments_count() -> None:
    """Two layers that differ in an attribute are not the same, though their boxes look alike."""

    class Power(Square):
        def __init__(self, exponent: int) -> None:
            self.p = exponent

    assert lines(Sequential([Power(2), Power(3)])) == ["Sequential", "0 Power", "1 Power"]
    assert len(lines(Sequential([Power(2), Power(2)]))) == 2


def test_names_of_attributes_are_kept() -> None:
    """Positions may be put together, what a user named may not."""

    class Three(Square):
        def __init__(self) -> None:
            self.query, self.key, self.rest = Dense(2, 2), Dense(2, 2), [Tanh(), Tanh()]

    assert [line.split(" ")[0] for line in lines(Three())] == ["Three", "query", "key", "rest.0"]


def test_shared_layers_are_told() -> None:
    """One object in two places is not two that are alike, and is drawn with its layers once."""
    shared = Residual(Dense(3, 3))
    told = lines(Sequential([shared, Tanh(), Sequential([shared]), Residual(Dense(3, 3))]))
    assert told[1:3] == [
        "0 Residual one layer in 2 places 12 parameters",
        "0.layer Dense in_features=3, out_features=3 12 parameters",
    ]
    assert told[5:] == [
        "2.0 Residual the same layer as 0",
        "3 Residual 12 parameters",
        "3.layer Dense in_features=3, out_features=3 12 parameters",
    ]
    dense = Dense(3, 3)
    (line,) = lines(Sequential([dense, dense, dense]))[1:]
    assert line.endswith("\N{MULTIPLICATION SIGN} 3 one layer in 3 places 12 parameters")


def test_shared_parameters_make_a_difference() -> None:
    """Two layers of which one shares its weight with a third are not the same."""
    first, second, third = Dense(3, 3), Dense(3, 3), Dense(3, 3)
    third.weight = first.weight
    assert len(lines(Sequential([first, second, Tanh(), third]))) == 5
    assert lines(Sequential([first, third]))[0] == "Sequential 15 parameters"


def test_frozen_parts_are_told() -> None:
    """A layer of which all is frozen says so, one with some of it how much."""
    model = Sequential([Dense(3, 4), BatchNorm(4), ReLU(), Dense(4, 1)])
    model[:2].freeze()
    told = lines(model)
    assert told[0] == "Sequential 29 parameters 24 frozen"
    assert told[1].endswith("16 parameters frozen")
    assert told[4].endswith("5 parameters")


def test_layers_of_users_are_drawn() -> None:
    """Plain classes, slots, and arrays in lists, tuples and dicts."""
    model = Sequential([Scale(np.ones(3)), SlottedScale(np.ones(2)), Polynomial(1.0, 2.0, 3.0)])
    assert [re.findall("[0-9]+ parameters", line) for line in lines(model)[1:]] == [
        ["3 parameters"],
        ["2 parameters"],
        [f"{sum(p.value.size for p in model[2].parameters())} parameters"],
    ]


# --- What is large ----------------------------------------------------------------------------------------------------


def test_long_chains_are_folded() -> None:
    """The first and the last are seen, those between on request."""
    model = Sequential([Dense(2, width) for width in range(1, 101)])
    box = picture(model)
    shown = [inner for inner in within(box) if inner.tag == "div"]
    assert [inner.all("span", "place")[0].text for inner in shown] == [*map(str, range(16)), *map(str, range(96, 100))]
    (folded,) = [inner for inner in within(box) if inner.tag == "details"]
    assert not folded.open
    assert folded.elements[0].text == "80 more layers"
    assert len(within(folded)) == 80


def test_full_boxes_are_folded_but_the_outermost_is_not() -> None:
    """Up to a dozen boxes in a box are seen."""
    small, large = (Sequential([Dense(2, i + 1) for i in range(n)]) for n in (12, 13))
    root = picture(Sequential([small, large]))
    assert [root.open, *(box.open for box in within(root))] == [True, True, False]
    assert picture(large).open


def test_the_picture_of_a_large_model_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too wide or too deep is counted, and the last layers are still there."""
    monkeypatch.setattr(minibackprop.inspection.boxes, "_BOXES", 50)
    wide = read(Sequential([Dense(2, i + 1) for i in range(100)])._repr_html_())
    assert len(wide.all(kind="box")) == 50 + 1  # That which is folded.
    assert "51 layers that are not drawn" in wide.text
    assert "out_features=100 " in wide.text
    deep: Layer = Dense(2, 2)
    for _ in range(1000):
        deep = Residual(deep)
    text = read(deep._repr_html_()).text
    assert text.count("Residual") == 31
    assert "970 layers within, too deep to be drawn" in text


# --- What is broken ---------------------------------------------------------------------------------------------------


class Told(Square):
    """Has a `__repr__` of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


@given(text=st.text(max_size=200))
def test_all_text_of_users_is_escaped(text: str) -> None:
    """It can be read, with what no font shows written as in Python, and is nothing else than text."""
    shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text[:160])
    code = read(Told(text)._repr_html_()).all("code")
    assert [element.text.removesuffix("…") for element in code] == ([shown] if text else [])


def test_markup_in_names_and_settings_is_text() -> None:
    """In a repr, in the name of a class, in a key of a dict."""
    evil = "</div><script>alert('x')</script>"
    nested = type(evil, (Square,), {})()
    nested.parts = {evil: Told(evil)}
    text = read(Sequential([nested])._repr_html_()).text
    assert text.count(evil) == 3


def test_broken_layers_are_drawn() -> None:
    """A repr or an attribute that raises, a layer that is half built, one that holds itself."""

    class Raises(Square):
        def __repr__(self) -> str:
            raise ValueError("deliberately")

    class Setting(Square):
        def __init__(self, size: int) -> None: ...

        @property
        def size(self) -> int:
            raise KeyError("deliberately")

    class Members(Square):
        def _members(self) -> Iterator[tuple[str, object]]:
            yield "part", Tanh()
            raise OSError("deliberately")

    class Nothing(Square):
        def __getattribute__(self, name: str) -> Any:
            if name in ("_repr_html_", "__class__"):
                return object.__getattribute__(self, name)
            raise RuntimeError("deliberately")

    round_about = Square()
    round_about.parts = [round_about, {"again": round_about}]
    round_about.parts.append(round_about.parts)
    odd = Square()
    odd.weight = Parameter([1.0])
    odd.weight.value = None
    halves = [kind.__new__(kind) for kind in (Dense, Sequential, Residual, Concat)]
    model = Sequential([Raises(), Raises(), Setting(1), Members(), Nothing(), round_about, odd, *halves])
    told = lines(model)
    assert told[:7] == [
        "Sequential",
        "0 Raises cannot be read: ValueError",
        "1 Raises cannot be read: ValueError",
        "2 Setting cannot be read: KeyError",
        "3 Members cannot be read: OSError",
        "3.part Tanh",
        "4 Nothing cannot be read: RuntimeError",
    ]
    assert told[7:10] == [
        "5 Square one layer in 3 places",
        "5.parts.0 Square the same layer as 5",
        "5.parts.1.again Square the same layer as 5",
    ]
    assert [line.split(" ")[1] for line in told[10:]] == ["Square", "Dense", "Sequential", "Residual", "Concat"]
    assert lines(Nothing()) == ["Nothing cannot be read: RuntimeError"]
    assert lines(round_about)[1] == "parts.0 Square the same layer as the whole"


def test_python_itself_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of recursion, say, the class is told, and why there is no more."""

    def fail(_: Layer) -> None:
        raise RecursionError

    monkeypatch.setattr(minibackprop.inspection.boxes, "structure", fail)
    assert read(Sigmoid()._repr_html_()).text == "Sigmoid: RecursionError"


def test_the_model_is_left_as_it_was() -> None:
    """Looking changes no attribute of a layer."""
    model = Sequential([Dense(3, 3), Residual(Dense(3, 3))])
    before = [dict(vars(layer)) for layer in (model, *model)]
    model._repr_html_()
    assert [dict(vars(layer)) for layer in (model, *model)] == before
