"""A model as boxes within boxes: what a notebook shows of a layer."""

from __future__ import annotations

from attrs import define

from minibackprop.core import Layer
from minibackprop.inspection.html import escaped, framed
from minibackprop.inspection.structure import Part, Row, rows, structure
from minibackprop.layers.combinators import Add, Concat

#: More rows than so many are folded, but for the first and the last; so is a box with more boxes within.
_ROWS, _FIRST, _LAST, _WITHIN = 24, 16, 4, 12
#: What is deeper is not drawn, nor what comes after so many boxes: browsers have limits, too.
_DEPTH, _BOXES = 30, 600
_CHARACTERS = 160


def boxes(model: Layer) -> str:
    """Draw any layer as HTML, also one that is broken or half built."""
    try:
        root = structure(model)
        return framed(_Drawing().box("", "", root, 1, 0))
    except Exception as error:  # Where Python itself ends: at its limit of recursion, say.
        return framed(f'<div class="box">{escaped(f"{type(model).__name__}: {type(error).__name__}")}</div>')


@define
class _Drawing:
    """A picture that is being drawn: how many boxes it has."""

    drawn: int = 0

    def box(self, label: str, place: str, part: Part, times: int, depth: int) -> str:
        """Draw a layer that stands at a place, and is called by a label there."""
        self.drawn += 1
        first = place == part.place
        head = f"{_label(label)} {_title(part)}".lstrip() + _notes(part, times, first)
        if not first or not part.parts:
            return f'<div class="box">{head}</div>'
        before = self.drawn
        inside = self.inside(place, part, depth)
        unfolded = " open" if not depth or self.drawn - before <= _WITHIN else ""
        return f'<details class="box"{unfolded}><summary>{head}</summary>{inside}</details>'

    def inside(self, place: str, part: Part, depth: int) -> str:
        """Draw the layers in a layer."""
        if depth == _DEPTH:
            return _note(f"{len(part.all()) - 1:,} layers within, too deep to be drawn")
        found = rows(part.parts)
        if isinstance(part.layer, (Add, Concat)):
            return f'<div class="beside">{self.listed(place, found, depth)}</div>'
        return self.listed(place, found, depth)

    def listed(self, place: str, found: list[Row], depth: int) -> str:
        """Draw rows; of many, those in the middle are folded."""
        if len(found) <= _ROWS:
            return self.several(place, found, depth)
        head, middle, tail = found[:_FIRST], found[_FIRST:-_LAST], found[-_LAST:]
        ends = [self.several(place, part, depth) for part in (head, tail)]
        layers = sum(len(row.block) * row.times for row in middle)
        inner = self.several(place, middle, depth)
        return f'{ends[0]}<details class="box"><summary>{layers:,} more layers</summary>{inner}</details>{ends[1]}'

    def several(self, place: str, found: list[Row], depth: int) -> str:
        """Draw rows, as long as there is room."""
        drawn = []
        for index, row in enumerate(found):
            if self.drawn >= _BOXES:
                left = sum(len(row.block) * row.times for row in found[index:])
                drawn.append(_note(f"{left:,} layers that are not drawn"))
                break
            drawn.append(self.row(place, row, depth))
        return "".join(drawn)

    def row(self, place: str, row: Row, depth: int) -> str:
        """Draw a layer, or a block of them that repeats."""
        label = f"{row.first} to {row.last}" if row.times > 1 else row.first
        if len(row.block) == 1:
            return self.box(label, _at(place, row.first), row.block[0][1], row.times, depth + 1)
        parts = (self.box(name, _at(place, name), part, 1, depth + 1) for name, part in row.block)
        return f'<div class="box">{_label(label)}{_times(row.times)}{"".join(parts)}</div>'


def _at(place: str, label: str) -> str:
    return f"{place}.{label}" if place else label


def _label(label: str) -> str:
    return f'<span class="place">{escaped(label)}</span>' if label else ""


def _note(text: str) -> str:
    return f' <span class="note">{escaped(text)}</span>'


def _tag(text: str) -> str:
    return f' <span class="tag">{escaped(text)}</span>'


def _times(count: int) -> str:
    return _tag(f"\N{MULTIPLICATION SIGN} {count}")


def _title(part: Part) -> str:
    settings = part.shortened(_CHARACTERS)
    return f"<b>{escaped(part.name)}</b>" + (f" <code>{escaped(settings)}</code>" if settings else "")


def _notes(part: Part, times: int, first: bool) -> str:
    """Tell how often a layer stands, whether it is the same one, and of its parameters."""
    told = _times(times) if times > 1 else ""
    if not first:
        return told + _tag(f"the same layer as {part.place or 'the whole'}")
    if part.times > 1:
        told += _tag(f"one layer in {part.times} places")
    count, frozen = part.numbers()
    if count:
        told += _note(f"{count:,} parameters" + (" each" if times > 1 and part.times == 1 else ""))
    return told + (_tag("frozen" if frozen == count else f"{frozen:,} frozen") if frozen else "")
