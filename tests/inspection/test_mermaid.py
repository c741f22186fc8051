import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minibackprop import Add, Concat, ConfigError, Dense, Identity, Layer, ReLU, Residual, Sequential, Tanh, to_mermaid
from minibackprop.testing import models as networks
from tests.example_layers import Square
from tests.random_models import flat, models

TIMES = "\N{MULTIPLICATION SIGN}"


class Chart:
    """Our subset of Mermaid's language, read line by line: what is nothing of it, or does not fit, is refused."""

    def __init__(self, text: str) -> None:
        first, *lines = text.split("\n")
        assert re.fullmatch("flowchart (TB|LR)", first)
        self.labels: dict[str, str] = {}
        self.homes: dict[str, tuple[str, ...]] = {}
        self.arrows: list[tuple[str, str]] = []
        boxes: list[str] = []
        shapes = "|".join(re.escape(left) + r'"([^"\n]*)"' + re.escape(right) for left, right in SHAPES)
        for line in lines:
            inner = line.strip()
            if found := re.fullmatch(r"(\w+) --> (\w+)", inner):
                assert not boxes, "a box takes in what is named in it"
                assert {*found.groups()} <= self.labels.keys()
                self.arrows.append((found[1], found[2]))
                continue
            if inner == "end":
                boxes.pop()
                continue
            assert line == "    " * (1 + len(boxes)) + inner
            found = re.fullmatch(rf"(subgraph )?(\w+)(?:{shapes})", inner)
            assert found, line
            name, label = found[2], next(group for group in found.groups()[2:] if group is not None)
            assert name not in self.labels
            assert not re.search(r"[<>`$]|#(?!\d+;)|(?<!\d);", label), label
            self.labels[name] = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), label)
            self.homes[name] = tuple(boxes)
            if found[1]:
                boxes.append(name)
        assert not boxes
        assert {*self.homes} == {*self.labels}

    def after(self, name: str) -> list[str]:
        return [end for start, end in self.arrows if start == name]

    def way(self) -> list[str]:
        """Go from x to y, where there is but one way."""
        found = ["x"]
        while found[-1] != "y":
            (following,) = self.after(found[-1])
            found.append(following)
        return found

    def told(self) -> set[tuple[str, str]]:
        """Give the arrows by labels."""
        return {(self.labels[start], self.labels[end]) for start, end in self.arrows}


SHAPES = [("[", "]"), ("((", "))"), ("([", "])")]


def chart(model: Layer, direction: str = "TB") -> Chart:
    return Chart(to_mermaid(model, direction))


class Told(Square):
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


@given(found=models())
def test_chains_are_one_way_through_all_layers(found: tuple[Sequential, Any]) -> None:
    """However they are nested; a block that repeats counts as often as it says."""
    model, _ = found
    drawn = chart(model)
    way = drawn.way()
    assert len(drawn.arrows) == len(way) - 1
    counted: dict[str, int] = {}
    for name in way[1:-1]:
        told = [drawn.labels[place] for place in (*drawn.homes[name], name)]
        times = [int(label.rpartition(TIMES)[2]) for label in told if TIMES in label]
        kind = told[-1].split(" ")[0]
        counted[kind] = counted.get(kind, 0) + int(np.prod(times))
    counted.pop("Sequential", None)  # An empty one is a node.
    expected = [type(layer).__name__ for layer in flat(model)]
    assert counted == {name: expected.count(name) for name in expected}


@given(model=networks(3, 2), direction=st.sampled_from(["TB", "LR"]))
@settings(max_examples=20)
def test_any_network_is_a_chart(model: Layer, direction: str) -> None:
    """From x, y can be reached."""
    drawn = chart(model, direction)
    ways = ["x"]
    for name in ways:
        ways += [end for end in drawn.after(name) if end not in ways]
    assert "y" in ways


@given(text=st.text(max_size=100))
def test_labels_are_escaped(text: str) -> None:
    """Whatever a user wrote is a label in one line, and can be read."""
    (label,) = set(chart(Told(text)).labels.values()) - {"x", "y"}
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text[:80].split()))
    assert label.removesuffix("…") == f"Told {shown}".strip()


def test_icons_and_quotes_are_text() -> None:
    """``fa:`` begins an icon, a quote ends a label, a semicolon a line."""
    text = to_mermaid(Told('fa:fa-car "; `x` #35; a: b'))
    assert 'n1["Told fa#58;fa-car #34;#59; #96;x#96; #35;35#59; a: b"]' in text


def test_residuals_go_around_their_layer() -> None:
    """From what comes before to the sum, also where the layer is a chain."""
    drawn = chart(Sequential([Tanh(), Residual(Sequential([ReLU(), Square()]))]))
    assert drawn.told() == {
        ("x", "Tanh"),
        ("Tanh", "ReLU"),
        ("ReLU", "Square"),
        ("Square", "+"),
        ("Tanh", "+"),
        ("+", "y"),
    }
    assert [drawn.labels[name] for name in drawn.homes["n3"]] == ["Residual"]
    assert chart(Residual(Residual(Tanh()))).arrows == [
        ("x", "n3"),
        ("n3", "n4"),
        ("x", "n4"),
        ("n4", "n5"),
        ("x", "n5"),
        ("n5", "y"),
    ]


def test_branches_begin_and_end_together() -> None:
    """Those of `Add` in a sum, those of `Concat` side by side; branches that are alike are several all the same."""
    branches = [Sequential([Tanh(), ReLU()]), Identity(), Identity()]
    drawn = chart(Sequential([Square(), Concat(branches, axis=1)]))
    assert [drawn.labels[name] for name in drawn.after("n1")] == ["Tanh", "Identity", "Identity"]
    assert [start for start, end in drawn.arrows if end == "n7"] == ["n4", "n5", "n6"]
    assert (drawn.labels["g2"], drawn.labels["n7"]) == ("Concat axis=1", "concat")
    assert ("+", "y") in chart(Add([Tanh(), ReLU()])).told()


def test_other_layers_of_layers_are_closed_boxes() -> None:
    """Arrows lead to the box and from it, as only its forward knows the way in it."""

    class Halfway(Square):
        def __init__(self) -> None:
            self.inner = Sequential([Tanh(), ReLU()])
            self.others = [Square(), Square(), Residual(Identity())]

        def predict(self, x: Any, /) -> Any:
            return x

    drawn = chart(Sequential([Halfway(), Dense(1, 1)]))
    assert drawn.told() == {
        ("x", "Halfway"),
        ("Halfway", "Dense in_features=1, out_features=1"),
        ("Dense in_features=1, out_features=1", "y"),
        ("Tanh", "ReLU"),
        (" ", "Identity"),
        ("Identity", "+"),
        (" ", "+"),
    }
    assert f"Square {TIMES} 2" in drawn.labels.values()


def test_combinators_with_a_predict_of_their_own_are_closed() -> None:
    """What they do with their layers is not told; nor is it of one that holds more than it should."""

    class Backwards(Sequential):
        def forward(self, x: Any, /) -> tuple[Any, Any]:
            raise NotImplementedError

        def predict(self, x: Any, /) -> Any:
            return Sequential(self.layers[::-1]).predict(x)

    class More(Residual):
        def __init__(self) -> None:
            super().__init__(Tanh())
            self.more = ReLU()

    for layer in (Backwards([Tanh(), ReLU()]), More()):
        name = type(layer).__name__
        assert chart(layer).told() == {("x", name), (name, "y")}


def test_blocks_that_repeat_are_drawn_once() -> None:
    """One layer says so itself, a block of several is in a box."""
    model = Sequential([Tanh(), Tanh(), ReLU(), Square(), ReLU(), Square(), Residual(Tanh()), Residual(Tanh())])
    drawn = chart(model)
    told = [drawn.labels[name] for name in drawn.labels]
    assert told == ["x", f"Tanh {TIMES} 2", f"{TIMES} 2", "ReLU", "Square", f"Residual {TIMES} 2", "Tanh", "+", "y"]


def test_shared_layers_are_told() -> None:
    """Where they stand first; what is in them is drawn once."""
    shared = Residual(Tanh())
    drawn = chart(Sequential([shared, ReLU(), shared]))
    assert list(drawn.labels.values()) == [
        "x",
        "Residual (shared: 0)",
        "Tanh",
        "+",
        "ReLU",
        "Residual (shared: 0)",
        "y",
    ]
    itself = Square()
    itself.me = itself
    assert list(chart(itself).labels.values()) == ["x", *["Square (shared: the whole)"] * 2, "y"]


def test_empty_and_deep_models_are_charts() -> None:
    """An empty chain is a node, and what is too deep is counted."""
    assert chart(Sequential()).told() == {("x", "Sequential []"), ("Sequential []", "y")}
    deep: Layer = Tanh()
    for _ in range(1000):
        deep = Residual(deep)
    assert "Residual, 980 layers within" in chart(deep).labels.values()


def test_what_is_no_layer_is_refused() -> None:
    """And so is another direction."""
    with pytest.raises(ConfigError, match="to_mermaid: model expects a Layer, got the class Dense itself"):
        to_mermaid(Dense)
    with pytest.raises(ConfigError, match="to_mermaid: direction expects 'TB' or 'LR', got 'BT'"):
        to_mermaid(Dense(1, 1), "BT")
