"""A model as a flowchart in Mermaid's language, which GitHub and many tools for docs draw."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from minibackprop.core import Layer, Sequential
from minibackprop.errors import ConfigError, describe
from minibackprop.inspection.structure import Part, rows, structure
from minibackprop.layers.combinators import Add, Concat, Residual
from minibackprop.validation import shortened

#: What is deeper is one node.
_DEPTH, _CHARACTERS = 20, 80
#: What has a meaning in a quoted label of Mermaid, or in the HTML and Markdown that it makes of it; ``fa:`` is an icon.
_SPECIAL = re.compile(r'["#&;<>`$\\*~]|:(?! )')
_TIMES = "\N{MULTIPLICATION SIGN}"


def to_mermaid(model: Layer, direction: str = "TB") -> str:
    """
    Draw a model as a Mermaid flowchart: text that GitHub, GitLab and many tools show as a picture.

    Arrows are drawn where the model itself tells the way: through a `Sequential` from layer to layer, around the layer
    of a `Residual`, into each branch of an `Add` or a `Concat`. Any other layer that holds layers is a box with these
    in it, without arrows between. What repeats is drawn once, with its number; a layer that stands in several places is
    told.

    Parameters
    ----------
    model : Layer
    direction : str
        "TB", from top to bottom, or "LR", from left to right.

    Returns
    -------
    str
        In a Markdown file, it goes between a line of three backticks with the word ``mermaid``, and three backticks.

    Raises
    ------
    ConfigError
        If `model` is not a `Layer`, or `direction` is another one.

    Examples
    --------
    >>> from minibackprop import Dense, Tanh
    >>> print(to_mermaid(Sequential([Dense(3, 8), Residual(Sequential([Tanh(), Dense(8, 8)]))])))
    flowchart TB
        x(["x"])
        n1["Dense in_features=3, out_features=8"]
        subgraph g2["Residual"]
            n3["Tanh"]
            n4["Dense in_features=8, out_features=8"]
            n5(("+"))
        end
        y(["y"])
        x --> n1
        n1 --> n3
        n3 --> n4
        n4 --> n5
        n1 --> n5
        n5 --> y
    """
    if not isinstance(model, Layer):
        raise ConfigError("to_mermaid: model", "a Layer", describe(model))
    if not isinstance(direction, str) or direction not in ("TB", "LR"):
        raise ConfigError("to_mermaid: direction", "'TB' or 'LR'", shortened(direction))
    chart = _Chart()
    chart.lines.append('    x(["x"])')
    end = chart.branch(structure(model), "x")
    chart.lines.append('    y(["y"])')
    chart.arrow(end, "y")
    # Arrows last: a node that is named within a box is put into it.
    return "\n".join([f"flowchart {direction}", *chart.lines, *chart.arrows])


@define
class _Chart:
    """A chart that is being drawn. What draws a layer takes where x comes from, and gives where y goes from."""

    lines: list[str] = field(factory=list)
    arrows: list[str] = field(factory=list)
    depth: int = 1
    made: int = 0
    drawn: set[int] = field(factory=set)

    def node(self, label: str, left: str = "[", right: str = "]") -> str:
        """Write a node."""
        name = self.name("n")
        self.lines.append(f'{"    " * self.depth}{name}{left}"{label}"{right}')
        return name

    def name(self, kind: str) -> str:
        """Make a name that nothing has."""
        self.made += 1
        return f"{kind}{self.made}"

    def arrow(self, start: str | None, end: str) -> None:
        """Write an arrow, if it is known where it starts."""
        if start is not None:
            self.arrows.append(f"    {start} --> {end}")

    @contextmanager
    def box(self, label: str) -> Iterator[str]:
        """Put what is drawn into a box; give its name."""
        name = self.name("g")
        self.lines.append(f'{"    " * self.depth}subgraph {name}["{label}"]')
        self.depth += 1
        yield name
        self.depth -= 1
        self.lines.append(f"{'    ' * self.depth}end")

    def branch(self, part: Part, source: str | None) -> str | None:
        """Draw a layer, a chain without a box of its own."""
        if _kind(part) is Sequential and not self.is_node(part):
            return self.inside(part, source)
        return self.layer(part, source)

    def layer(self, part: Part, source: str | None, times: int = 1) -> str | None:
        """Draw a layer; if there are others in it, in a box."""
        title = _title(part, times)
        if self.is_node(part):
            deeper = part.parts and id(part) not in self.drawn
            self.drawn.add(id(part))
            node = self.node(title + (f", {len(part.all()) - 1:,} layers within" if deeper else ""))
            self.arrow(source, node)
            return node
        with self.box(title) as name:
            end = self.inside(part, source)
        if _kind(part) is None:  # The way from layer to layer is not known.
            self.arrow(source, name)
            return name
        return end

    def is_node(self, part: Part) -> bool:
        """Tell whether no layers are drawn in a layer: there are none, it is drawn already, or it is too deep."""
        return not part.parts or id(part) in self.drawn or self.depth > _DEPTH

    def inside(self, part: Part, source: str | None) -> str | None:
        """Draw the layers in a layer."""
        self.drawn.add(id(part))
        kind = _kind(part)
        if kind is None or kind is Sequential:
            return self.chain(part.parts, source, kind is Sequential)
        start = self.node(" ", "((", "))") if source is None else source
        ends = [self.branch(inner, start) for _, inner in part.parts] + ([start] if kind is Residual else [])
        join = self.node("concat") if kind is Concat else self.node("+", "((", "))")
        for end in ends:
            self.arrow(end, join)
        return join

    def chain(self, parts: list[tuple[str, Part]], source: str | None, told: bool) -> str | None:
        """Draw layers one after another, with arrows if their order is told; a block that repeats, once."""
        source = source if told else None
        for row in rows(parts):
            if len(row.block) == 1:
                end = self.layer(row.block[0][1], source, row.times)
            else:
                with self.box(f"{_TIMES} {row.times}"):
                    end = source
                    for _, part in row.block:
                        end = self.layer(part, end if told else None)
            source = end if told else None
        return source


def _kind(part: Part) -> type[Layer] | None:
    """Tell which combinator a layer is, if it is one that does what it says with all layers in it."""
    names = ["layer"] if isinstance(part.layer, Residual) else list(map(str, range(len(part.parts))))
    if [name for name, _ in part.parts] != names:
        return None
    combinators: tuple[type[Layer], ...] = (Sequential, Residual, Add, Concat)
    return next((k for k in combinators if isinstance(part.layer, k) and type(part.layer).predict is k.predict), None)


def _title(part: Part, times: int) -> str:
    shared = f"(shared: {part.place or 'the whole'})" if part.times > 1 else ""
    return _escaped(f"{part.name} {part.shortened(_CHARACTERS)} {shared} {f'{_TIMES} {times}' if times > 1 else ''}")


def _escaped(text: str) -> str:
    """Write text in one line, so that Mermaid shows it as it is."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", "".join(shown))
