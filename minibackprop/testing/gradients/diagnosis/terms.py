"""Suspicions about terms: missing, of the wrong sign, of a shape that says where they come from."""

from __future__ import annotations

import numpy as np

from minibackprop.testing.gradients.diagnosis.evidence import Evidence, near
from minibackprop.testing.gradients.diagnosis.measured import result_of, with_parameter
from minibackprop.validation import Array


def _square(e: Evidence) -> list[tuple[Array, Array]]:
    blocks = e.blocks() if e.name == "input" and e.whole else []
    return blocks if blocks and blocks[0][0].shape[0] == blocks[0][0].shape[1] else []


def identity(e: Evidence) -> str:
    """See whether what is missing is the gradient itself."""
    blocks = _square(e)
    if blocks and all(near(theirs - ours, np.eye(len(ours))) for ours, theirs in blocks):
        return "term missing: the identity, as of a skip connection"
    if blocks and all(near(ours - theirs, np.eye(len(ours))) for ours, theirs in blocks):
        return "a term too many: the identity, as of a skip connection"
    return ""


def product_rule(e: Evidence) -> str:
    """See whether, of ``y = x * s(x)``, only one of the two terms of the product rule is there, or one is negated."""
    if e.x.shape != e.y.shape or not _square(e) or any(np.any(t - np.diag(np.diag(t))) for _, t in _square(e)):
        return ""
    ours, theirs = np.diag(e.ours), np.diag(e.theirs)
    with np.errstate(all="ignore"):
        gate = (e.y / e.x).ravel()
    rest = theirs - gate
    for candidate, cause in (
        (gate, "term missing: y = x * s(x) with s(x) treated as a constant"),
        (rest, "term missing: y = x * s(x) with x treated as a constant"),
        (gate - rest, "wrong sign of one term: in y = x * s(x), of x times the slope of s"),
        (rest - gate, "wrong sign of one term: in y = x * s(x), of s(x) itself"),
    ):
        if near(ours, candidate) and np.count_nonzero(e.wrong) > 2:
            return cause
    return ""


def diagonal_only(e: Evidence) -> str:
    """See whether of the Jacobian of each sample only the diagonal is there, or all else has a factor of its own."""
    blocks = _square(e)
    if not blocks or len(blocks[0][0]) < 2:
        return ""
    beside = [tuple(m - np.diag(np.diag(m)) for m in both) for both in blocks]
    if not any(np.any(theirs) for _, theirs in beside):
        return ""
    if not all(np.allclose(np.diag(a), np.diag(b), rtol=1e-6, atol=1e-9 * np.abs(b).max()) for a, b in blocks):
        return _diagonal_alike(blocks)
    if not any(np.any(ours) for ours, _ in beside):
        return "term missing: only the diagonal of the Jacobian is there"
    ours, theirs = (np.array([pair[i] for pair in beside]) for i in (0, 1))
    large = np.abs(theirs) > 1e-3 * np.abs(theirs).max()
    ratios = ours[large] / theirs[large]
    if ratios.size > 1 and np.ptp(ratios) <= 1e-6 * np.abs(ratios).max():
        if np.isclose(ratios[0], -1):
            return "wrong sign of one term: all entries of the Jacobian beside its diagonal are negated"
        return f"wrong factor of one term: {ratios[0]:.6g} times what belongs beside the diagonal of the Jacobian"
    return ""


def _diagonal_alike(blocks: list[tuple[Array, Array]]) -> str:
    """See whether the mean of both Jacobians is diagonal: then the term that makes them full has the wrong sign."""
    for ours, theirs in blocks:
        mean = (ours + theirs) / 2
        rest = mean - np.diag(np.diag(mean))
        if np.any(np.abs(rest) > 1e-7 * np.abs(theirs).max()) or not np.any(theirs - np.diag(np.diag(theirs))):
            return ""
    return "wrong sign of one term: the one through which the entries of a sample act on each other"


def tied(e: Evidence) -> str:
    """
    See whether a parameter that is used several times has the gradient of some uses only.

    A result that is homogeneous of degree n in a parameter has n times itself as its slope along the parameter.
    """
    if e.name == "input" or len(e.columns) < e.array.size or not e.array.any():
        return ""
    doubled = with_parameter(e.case, e.name, 2 * e.array)
    y = e.y.ravel()[e.rows]
    with np.errstate(all="ignore"):
        degrees = np.log2(result_of(doubled).ravel()[e.rows] / y)
        uses = (e.ours @ e.array.ravel()) / y
    large = np.abs(y) > 1e-3 * np.abs(y).max(initial=0)
    if not large.any() or not np.allclose(degrees[large], degree := np.round(degrees[large][0]), rtol=1e-8):
        return ""
    there = np.round(uses[large][0])
    if degree > 1 and 0 < there < degree and np.allclose(uses[large], there, rtol=1e-6):
        return f"term missing: {e.name} is used {degree:.0f} times, and has the gradient of {there:.0f} of these"
    return ""


def zeros(e: Evidence) -> str:
    """See whether entries of the Jacobian are zero that should not be, in every sample."""
    if _is_diagonal(e):
        return ""
    blocks = e.blocks()
    lacking = [np.any((ours == 0) & (np.abs(theirs) > 1e-6 * np.abs(theirs).max())) for ours, theirs in blocks]
    beyond = [np.any((theirs == 0) & (np.abs(ours) > 1e-6 * np.abs(ours).max())) for ours, theirs in blocks]
    if e.name == "input" and all(lacking) and all(beyond):
        return "entries of the Jacobian are zero that should not be, and the converse: a wrong axis, index or mask"
    if e.name == "input" and all(beyond) and not any(lacking):
        return "a term too many: entries of the Jacobian are not zero that should be, as where a mask is missing"
    return "term missing: entries of the Jacobian are zero that should not be" if all(lacking) else ""


def _is_diagonal(e: Evidence) -> bool:
    return (
        all(not np.any(theirs - np.diag(np.diag(theirs))) for _, theirs in e.blocks() if np.ptp(theirs.shape) == 0)
        and np.ptp(e.blocks()[0][0].shape) == 0
    )


def _alike(e: Evidence) -> str:
    """See whether the Jacobians differ by a matrix that acts on all entries along the last axis alike."""
    if e.x.ndim < 3 or e.y.shape != e.x.shape or not e.independent:
        return ""
    last = e.x.shape[-1]
    for ours, theirs in e.blocks():
        difference = (ours - theirs).reshape(-1, last, len(ours) // last, last).transpose(0, 2, 1, 3)
        tolerance = 1e-6 * np.abs(theirs).max(initial=0)
        one = difference[:, :, :1, :1] * np.eye(last)
        if last < 2 or np.any(np.abs(difference - one) > tolerance) or not np.any(np.abs(difference) > tolerance):
            return ""
    return (
        "term missing, or of a wrong sign or factor: one that is the same for each feature, as of a weighted sum over "
        "the axis before the last"
    )


def low_rank(e: Evidence) -> str:
    """See whether the two Jacobians differ by a matrix of low rank: a term that goes through a sum or a mean."""
    if _is_diagonal(e) or not (np.isfinite(e.ours).all() and np.isfinite(e.theirs).all()):
        return ""
    if cause := _alike(e):
        return cause
    blocks = e.blocks()
    if min(blocks[0][0].shape) <= 2:
        return ""
    tolerance = 1e-6 * max(np.abs(theirs).max(initial=0) for _, theirs in blocks)
    ranks = [np.linalg.matrix_rank(ours - theirs, tol=tolerance) for ours, theirs in blocks]
    full = [np.linalg.matrix_rank(theirs, tol=tolerance) for _, theirs in blocks]
    if 0 < max(ranks) <= max(1, max(full) // 4):
        return (
            f"term missing, or of a wrong sign or factor: the Jacobian differs from the right one by a matrix of rank "
            f"{max(ranks)}"
        )
    return ""
