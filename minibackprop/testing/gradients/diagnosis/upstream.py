"""Suspicions about what backward makes of the upstream gradient: left out, clipped, added to."""

from __future__ import annotations

import numpy as np

from minibackprop.testing.gradients.diagnosis.evidence import Evidence, near
from minibackprop.testing.gradients.diagnosis.measured import backward_of
from minibackprop.validation import Array


def _for(e: Evidence, factor: float) -> Array:
    """Compute what backward gives for a multiple of the upstream gradient."""
    return backward_of(e.case, e.name, factor * e.grad).ravel()[e.columns]


def not_finite(e: Evidence) -> str:
    """See whether backward gives infinity or NaN."""
    return "" if np.isfinite(e.gradient).all() else "backward overflows or divides by zero"


def none_added(e: Evidence) -> str:
    """See whether any gradient arrives at all."""
    if e.gradient.any() or e.ours.any():
        return ""
    several = len(e.layer.parameters()) > 1
    prefix = "one parameter wrong: " if several and e.name != "input" else ""
    return f"{prefix}no gradient reaches {e.name}"


def ignored(e: Evidence) -> str:
    """See whether the upstream gradient matters."""
    if not near(_for(e, -3), e.gradient):
        return ""
    return "upstream gradient ignored: what is returned does not depend on it"


def added(e: Evidence) -> str:
    """See whether something is added that does not come from the upstream gradient."""
    rest = _for(e, 0.0)
    if not rest.any() or not near(_for(e, -3) - rest, -3 * (e.gradient - rest)):
        return ""
    what = "a term is added that does not depend on grad"
    values = e.array.ravel()[e.columns] if e.array.dtype.kind == "f" else np.zeros_like(rest)
    with np.errstate(all="ignore"):
        ratios = rest[values != 0] / values[values != 0]
    if e.name != "input" and ratios.size and np.ptp(ratios) <= 1e-9 * np.abs(ratios).max():
        what += f": {float(np.median(ratios)):.4g} * {e.name}, as of weight decay"
    return f"backward is not linear in grad: {what}"


def clipped(e: Evidence) -> str:
    """See whether the gradient is right for small upstream gradients, and falls behind for large ones."""
    small, large = _for(e, 2.0**-20) / 2.0**-20, _for(e, 2.0**20) / 2.0**20
    with np.errstate(all="ignore"):
        shrinks = np.abs(large).max(initial=0) < 0.01 * np.abs(small).max(initial=0)
    fits = near(small, e.expected) and shrinks
    return "upstream gradient clipped, or what backward makes of it" if fits else ""


def nonlinear(e: Evidence) -> str:
    """See how the gradient grows with the upstream one."""
    if near(_for(e, -3), -3 * e.gradient):
        return ""
    doubled, what = _for(e, 2.0), "backward is not linear in grad"
    if near(doubled, 2 * e.gradient):
        return f"{what}: its sign is looked at"
    if near(doubled, 4 * e.gradient):
        return f"{what}: it is multiplied in twice"
    return f"{what}: only its sign or direction counts" if near(doubled, e.gradient) else what


def single(e: Evidence) -> str:
    """See whether the digits are those of float32."""
    with np.errstate(all="ignore"):
        cast = np.array_equal(e.gradient, e.gradient.astype(np.float32)) and near(e.gradient, e.expected)
    return "dropped to float32" if cast else ""


def nearly(e: Evidence) -> str:
    """See whether the gradient is right but for its last digits, in each entry."""
    size = np.abs(e.theirs)
    close = np.abs(e.ours - e.theirs) <= 1e-3 * size + 1e-7 * size.max(initial=0) + e.jacobian.error
    if not np.all(close) or not near(e.gradient, e.expected, 1e-3):
        return ""
    return "nearly right: an approximation, a rounded constant, or digits lost where terms cancel"
