"""What a passing check has to say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import define, field

from minibackprop.inspection.html import escaped, framed, table
from minibackprop.testing.case import Case
from minibackprop.validation import Array


@define
class Coverage:
    """What was drawn in all examples: ranges of numbers, sizes, and what was set how often."""

    _ranges: dict[str, tuple[float, float]] = field(factory=dict, init=False)
    _sizes: dict[str, set[int]] = field(factory=dict, init=False)
    _words: dict[str, list[str]] = field(factory=dict, init=False)

    def see(self, case: Case) -> None:
        """Add what a case has, and what the laws tried of their own."""
        self._add("input", case.x)
        for axis, size in enumerate(case.x.shape):
            self._add(f"sizes of axis {axis}" if axis else "batch sizes", size)
        for name, parameter in case.as_it_is().named_parameters():
            self._add(f"parameter {name.rpartition('.')[2] if case.varied else name}", parameter.value)
        for what, value in case.seen:
            self._add(what, value)

    def _add(self, what: str, value: Array | int | str) -> None:
        if isinstance(value, str):
            self._words.setdefault(what, []).append(value)
        elif isinstance(value, np.ndarray):
            numbers = value[~np.isnan(value)]
            if numbers.size:
                low, high = self._ranges.get(what, (np.inf, -np.inf))
                self._ranges[what] = min(low, float(numbers.min())), max(high, float(numbers.max()))
        else:
            self._sizes.setdefault(what, set()).add(value)

    def told(self) -> dict[str, str]:
        """Tell it, by what was covered."""
        found = {what: f"{low:.4g} to {high:.4g}" for what, (low, high) in self._ranges.items()}
        found |= {what: ", ".join(_runs(sorted(sizes))) for what, sizes in self._sizes.items()}
        for what, words in self._words.items():
            times = sum(bool(word) for word in words)
            said = ", ".join(sorted(set(filter(None, words))))
            found[what] = f"{said} in {times} of {len(words)} examples" if times else "never set"
        return found


def _runs(sizes: list[int]) -> Iterator[str]:
    """Write numbers that follow one another as "1 to 4"."""
    start = 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or sizes[end] != sizes[end - 1] + 1:
            first, last = sizes[start], sizes[end - 1]
            yield str(first) if first == last else f"{first} to {last}"
            start = end


@define(eq=False, slots=False)
class Report:
    """
    What a check that passed has shown.

    Attributes
    ----------
    power : dict
        By law, and by what was checked: the smallest relative error that would have been found.
    lifted : dict
        The laws that were not checked, with the reason.
    kept : list of str
        The laws that were.
    covered : dict
        What was drawn: ranges of the input and of each parameter, sizes of batches and of samples, side inputs.
    """

    kept: list[str] = field(factory=list)
    lifted: dict[str, str] = field(factory=dict)
    power: dict[str, dict[str, float]] = field(factory=dict)
    covered: dict[str, str] = field(factory=dict)

    def __str__(self) -> str:
        lines = [f"{len(self.kept)} laws hold: {', '.join(self.kept)}"]
        for law, found in self.power.items():
            shown = ", ".join(f"{error:.1g} for {name}" for name, error in found.items())
            lines.append(f"{law}: a relative error would have been found from {shown}")
        lines += [f"{law}: not checked ({reason})" for law, reason in self.lifted.items()]
        if self.covered:
            lines.append("covered: " + "; ".join(f"{what} {found}" for what, found in self.covered.items()))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Make tables for a notebook: what was left out, what was measured, and what was drawn."""
        power = [
            (escaped(law), f"<code>{escaped(name)}</code>", f"{error:.1g}")
            for law, found in self.power.items()
            for name, error in found.items()
        ]
        parts = [f"<b>{len(self.kept)} laws hold</b>: {escaped(', '.join(self.kept))}"]
        if self.lifted:
            parts.append("<br>Not checked:" + table(("law", "reason"), _pairs(self.lifted), ("text", "wide")))
        if power:
            found = table(("law", "array", "from"), power, ("text", "text", ""))
            parts.append(_folded("A relative error would have been found", found))
        if self.covered:
            parts.append(_folded("Covered", table(("what", "values"), _pairs(self.covered), ("text", "wide"))))
        return framed("".join(parts))


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>{content}</details>"


def _pairs(told: dict[str, str]) -> list[tuple[str, ...]]:
    return [(escaped(what), escaped(found)) for what, found in told.items()]
