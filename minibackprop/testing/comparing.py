"""Comparisons that the laws share: of arrays, of passes, of all that a layer holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.state import Buffer
from minibackprop.testing.calls import Pass, gradient_of, run
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def same(ours: Array, theirs: Array) -> bool:
    """Tell whether two arrays are equal, bit for bit or both NaN."""
    nan = ours.dtype.kind in "fc"  # Other kinds have none, and some cannot be asked.
    return ours.shape == theirs.shape and ours.dtype == theirs.dtype and np.array_equal(ours, theirs, equal_nan=nan)


def near(ours: Array, theirs: Array, bound: float) -> bool:
    """Tell whether two arrays are equal to within `bound`."""
    if ours.shape != theirs.shape:
        return False
    with np.errstate(all="ignore"):
        return bool(np.all((np.abs(ours - theirs) <= bound) | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))


def apart(ours: float, theirs: float) -> tuple[str, str]:
    """Print two numbers with ten digits, or with as many as it takes to see that they differ."""
    digits = next((n for n in range(10, 17) if f"{ours:.{n}g}" != f"{theirs:.{n}g}"), 17)
    return f"{ours:.{digits}g}", f"{theirs:.{digits}g}"


def side_by_side(ours: Array, theirs: Array, head: tuple[str, str]) -> str:
    """Print the entries of two arrays that differ most."""
    if ours.shape != theirs.shape:
        return f"{head[0]} has shape {ours.shape}, {head[1]} {theirs.shape}"
    with np.errstate(all="ignore"):
        distance = np.nan_to_num(np.abs(ours - theirs), nan=np.inf).ravel()
    worst = [
        np.unravel_index(flat, ours.shape) for flat in np.argsort(-distance, kind="stable")[:4] if distance[flat] > 0
    ]
    rows = [(str(tuple(int(i) for i in index)), *apart(ours[index].item(), theirs[index].item())) for index in worst]
    return "\n".join(f"{a:>14} {b:>20} {c:>20}" for a, b, c in [("entry", *head), *rows])


def differing(
    ours: Pass, theirs: Pass, bounds: Mapping[str, float] | None = None
) -> Iterator[tuple[str, Array, Array]]:
    """Find the gradients in which two passes differ; they are compared bit for bit where no bounds are given."""
    for name, value in ours.gradients.items():
        expected = theirs.gradients[name]
        if not (same(value, expected) if bounds is None else near(value, expected, bounds[name])):
            yield gradient_of(name), value, expected


def require_near(ours: Pass, theirs: Pass, bounds: Mapping[str, float], when: str, cause: str = "") -> None:
    """Require that two passes agree to within the bounds."""
    if not near(ours.y, theirs.y, bounds["y"]):
        evidence = side_by_side(ours.y, theirs.y, ("got", "expected"))
        raise ContractViolation(f"the result of forward differs for {when}", cause=cause, evidence=evidence)
    for what, value, expected in differing(ours, theirs, bounds):
        evidence = side_by_side(value, expected, ("got", "expected"))
        raise ContractViolation(f"{what} differs for {when}", cause=cause, evidence=evidence)


def results(layer: Layer, x: Array, upstream: Callable[[Array], Array]) -> dict[str, Array]:
    """Make both passes, and name what they give as messages do."""
    done = run(layer, x, upstream)
    return {"the result of forward": done.y} | {gradient_of(name): value for name, value in done.gradients.items()}


def attributes_of(layer: Layer) -> dict[str, Any]:
    """Collect the attributes of a layer and of those in it that no pass may change: all but buffers and generators."""
    found: dict[str, Any] = {}
    seen: list[Layer] = []

    def visit(value: object, path: str) -> None:
        if isinstance(value, Layer):
            if not any(value is other for other in seen):
                seen.append(value)
                for name, member in value._members():
                    visit(member, f"{path}.{name}" if path else name)
        elif not isinstance(value, (Buffer, np.random.Generator, np.random.RandomState)):
            found[path] = value

    visit(layer, "")
    return found


def equal(ours: object, theirs: object) -> bool:
    """Compare the values of attributes, arrays and containers included; what cannot be compared counts as equal."""
    if isinstance(ours, np.ndarray) or isinstance(theirs, np.ndarray):
        return isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray) and same(ours, theirs)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(equal(ours[key], theirs[key]) for key in ours)
    plain = (bool, int, float, complex, str, bytes, np.generic, type(None))
    return not (isinstance(ours, plain) or isinstance(theirs, plain)) or bool(ours == theirs)
