"""The laws of batches: their size, their axes, their layout in memory, the features of their samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn

import numpy as np
from attrs import evolve

from minibackprop.core import Layer
from minibackprop.state import Buffer, walk
from minibackprop.testing.calls import (
    Pass,
    attempt,
    copy_of,
    forward,
    gradient_of,
    perturbed,
    predict,
    rounding,
    run,
)
from minibackprop.testing.case import Case, reproduced_with
from minibackprop.testing.comparing import attributes_of, near, require_near, same, side_by_side
from minibackprop.testing.gradients.mismatch import gradient_mismatch
from minibackprop.testing.side_inputs import of_rows
from minibackprop.testing.strategies.arrays import LAYOUTS
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def layout_irrelevant(case: Case) -> None:
    """Compare the results for the same entries in other layouts."""
    pristine = case.layer()
    bounds = case.rounding()
    expected = run(copy_of(pristine), case.x, case.upstream)
    for name, arrange in LAYOUTS.items():
        x, grad = arrange(case.x), arrange(case.upstream(expected.y))
        if name == "broadcast":  # Other entries, so other results.
            plain, upstream = np.array(x), np.array(grad)
            wanted = run(copy_of(pristine), plain, upstream)
            limits = rounding(pristine, plain, upstream)
            ours = run(copy_of(pristine), x, grad)
            with reproduced_with(case, x):
                require_near(ours, wanted, limits, "x and grad broadcast, all rows the same memory")
        else:
            cause = "contiguous memory assumed: entries are taken in the order of memory, or written to a copy"
            require_near(run(copy_of(pristine), x, case.upstream), expected, bounds, f"x of layout {name!r}", cause)
            require_near(run(copy_of(pristine), case.x, grad), expected, bounds, f"grad of layout {name!r}", cause)


#: More samples than a loop over blocks might take at a time, and not a multiple of such a number.
MANY = 67


def samples_independent(case: Case) -> None:
    """Exchange the other samples, leave them out, repeat them all; compare the result and gradient of each sample."""
    layer = case.layer()
    bounds = case.rounding()
    done = run(copy_of(layer), case.x, case.upstream)
    count = len(case.x)
    if done.y.shape[:1] != (count,):
        if count == 1:  # A batch of one is checked by another law.
            return
        raise ContractViolation(f"{count} samples give a result of shape {done.y.shape}, not one row each")
    grad = case.upstream(done.y)
    for row in range(count):
        x, upstream = case.swapped(), -2 * grad
        x[row], upstream[row] = case.x[row], grad[row]
        mixed = run(copy_of(layer), x, upstream)
        _require_row(mixed, done, row, bounds, "when the other samples change")
        if not layer.stochastic:
            one = slice(row, row + 1)
            alone = run(of_rows(copy_of(layer), one), case.x[one], grad[one])
            if alone.y.shape != (1, *done.y.shape[1:]):
                problem = f"forward of a batch of 1 gives shape {alone.y.shape}, not {(1, *done.y.shape[1:])}"
                raise ContractViolation(problem, cause=_squeezed(alone.y.shape, (1, *done.y.shape[1:])))
            _require_row(alone, done, row, bounds, "when it is a batch of its own", at=0)
    if not layer.stochastic and case.seed % 4 == 0:  # It takes long, and once is enough.
        case.saw("batch sizes", MANY)
        with reproduced_with(case, case.x[np.arange(MANY) % count]):
            _repeated(case, grad)


def predictions_independent(case: Case) -> None:
    """Exchange the other samples, and leave them out; compare the prediction for each sample."""
    layer, bound = case.layer(), case.rounding()["y"]
    predicted = predict(copy_of(layer), case.x)
    if len(predicted) != len(case.x):
        raise ContractViolation(f"predict makes {len(predicted)} rows of {len(case.x)} samples")
    for row in range(len(case.x)):
        x, one = case.swapped(), slice(row, row + 1)
        x[row] = case.x[row]
        among_others = predict(copy_of(layer), x)[row]
        alone = predict(of_rows(copy_of(layer), one), case.x[one])[0]
        for value, when in ((among_others, "when the other samples change"), (alone, "when it is a batch of its own")):
            if not near(value, predicted[row], bound):
                raise ContractViolation(
                    f"the prediction for sample {row} differs {when}",
                    cause="samples mixed in predict: statistics of the batch, say, in place of those that were kept",
                    evidence=side_by_side(np.asarray(value), np.asarray(predicted[row]), ("got", "expected")),
                )


def _repeated(case: Case, grad: Array) -> None:
    """Repeat the samples to a large batch, and compare its gradients with those of each sample."""
    layer = case.layer()
    rows = np.arange(MANY) % len(case.x)
    many = run(copy_of(layer), case.x[rows], grad[rows])
    bounds = rounding(layer, case.x[rows], grad[rows])
    each = (slice(row, row + 1) for row in range(len(case.x)))
    alone = [run(of_rows(copy_of(layer), one), case.x[one], grad[one]) for one in each]
    for name, value in many.gradients.items():
        if name == "input":
            expected = np.concatenate([alone[row].gradients[name] for row in rows])
        else:
            expected = sum((alone[row].gradients[name] for row in rows), np.zeros_like(value))
        if not near(value, expected, 16 * bounds[name]):
            raise ContractViolation(
                f"{gradient_of(name)} for a batch of {len(rows)} is not the sum of those of its samples",
                cause="samples mixed, or some of a large batch left out",
                evidence=side_by_side(value, expected, ("got", "expected")),
            )


def _require_row(
    ours: Pass, theirs: Pass, row: int, bounds: Mapping[str, float], when: str, at: int | None = None
) -> None:
    at = row if at is None else at
    _require_equal("the result", ours.y[at], theirs.y[row], row, bounds["y"], when)
    if "input" in ours.gradients:
        value, expected = ours.gradients["input"][at], theirs.gradients["input"][row]
        _require_equal(gradient_of("input"), value, expected, row, bounds["input"], when)


def _require_equal(what: str, value: Array, expected: Array, row: int, bound: float, when: str) -> None:
    if not near(value, expected, bound):
        raise ContractViolation(
            f"{what} for sample {row} differs {when}; declare couples_samples if that is intended",
            cause="samples mixed",
            evidence=side_by_side(np.asarray(value), np.asarray(expected), ("got", "expected")),
        )


def batch_sizes(case: Case) -> None:
    """Try an empty batch and a batch of one."""
    for size in (0, 1):
        with reproduced_with(case, case.x[:size]):
            try:
                _batch_of(case, size)
            except ContractViolation as violation:
                if "cannot reshape array of size 0" in violation.problem:
                    violation.cause = "reshape to a length of -1, which an empty batch does not tell"
                raise


def _batch_of(case: Case, size: int) -> None:
    x = case.x[:size]
    layer = case.layer()
    expected = (size, *predict(layer, case.x).shape[1:])
    predicted = predict(layer, x)
    if predicted.shape != expected:
        raise ContractViolation(
            f"predict of a batch of {size} gives shape {predicted.shape}, not {expected}",
            cause=_squeezed(predicted.shape, expected),
        )
    try:
        done = run(layer, x, case.upstream)
    except ContractViolation as violation:
        # One sample has no statistics: a layer that takes them of the batch may refuse it, if it says so.
        if layer.couples_samples and isinstance(violation.__cause__, ValueError):
            return
        raise
    if done.y.shape != expected:
        raise ContractViolation(
            f"forward of a batch of {size} gives shape {done.y.shape}, not {expected}",
            cause=_squeezed(done.y.shape, expected),
        )
    for name, value in done.gradients.items():
        if not np.isfinite(value).all():
            raise ContractViolation(f"{gradient_of(name)} for a batch of {size} is not finite")
        if size == 0 and value.any():
            raise ContractViolation(f"{gradient_of(name)} for an empty batch is not zero")


def _squeezed(shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Tell whether a shape lacks nothing but axes of length 1."""
    dropped = [size for size in expected if size != 1] == [size for size in shape if size != 1]
    return "an axis of length 1 is dropped, as by squeeze" if dropped else ""


def leading_axes(case: Case) -> None:
    """Fold two batches into one with one more axis; if the forward pass takes it, the backward pass must as well."""
    layer = case.layer()
    rows = np.concatenate([case.x, case.x[::-1], case.x, case.x[::-1]])
    folded = rows.reshape(2, 2 * len(case.x), *case.x.shape[1:])
    flat = run(copy_of(layer), rows, case.upstream)
    grad = case.upstream(flat.y)
    bounds = rounding(layer, rows, case.upstream)
    with reproduced_with(case, folded):
        try:
            y, _ = forward(copy_of(layer), folded)
        except ContractViolation:
            if layer.leading_axes:
                raise
            return
        taken = y.shape == (*folded.shape[:2], *flat.y.shape[1:]) and near(y.reshape(flat.y.shape), flat.y, bounds["y"])
        if not taken and layer.leading_axes:
            raise ContractViolation(f"input of shape {folded.shape} does not give what its rows give")
        if not taken or not (layer.leading_axes or _treats_rows_alike(case, folded.shape)):
            return
        try:
            deep = run(copy_of(layer), folded, lambda y: grad.reshape(y.shape))
        except ContractViolation as violation:
            takes = f"forward takes input with one more leading axis, of shape {folded.shape}"
            problem = f"{takes}, but {violation.problem}: handle it, or refuse it in forward"
            raise ContractViolation(problem) from violation.__cause__
        gradients = {name: g.reshape(rows.shape) if name == "input" else g for name, g in deep.gradients.items()}
        same_rows = "the same rows with one more leading axis"
        cause = "backward counts an axis, or takes the number of rows, from the front: as for two axes only"
        require_near(Pass(deep.y.reshape(flat.y.shape), gradients), flat, bounds, same_rows, cause)


def _treats_rows_alike(case: Case, shape: tuple[int, ...]) -> bool:
    """Tell by random numbers whether a layer that does not say so takes rows for samples; rows of x may be equal."""
    if not case.any_input:
        return True
    x = case.rng().normal(size=shape).astype(case.x.dtype)
    rows = x.reshape(-1, *shape[2:])
    try:
        y, flat = (forward(case.layer(), array)[0] for array in (x, rows))
    except ContractViolation:
        return False
    return y.shape == (*shape[:2], *flat.shape[1:]) and np.allclose(y.reshape(flat.shape), flat, equal_nan=True)


def missing_batch_axis(case: Case) -> None:
    """Try a sample without its batch axis; if that is not refused, compare the result with that for a batch of one."""
    with reproduced_with(case, case.x[0]):
        for verb in (_result_of_forward, predict):
            _without_batch_axis(case, verb)


def _result_of_forward(layer: Layer, x: Array) -> Array:
    return forward(layer, x)[0]


def _without_batch_axis(case: Case, verb: Callable[[Layer, Array], Array]) -> None:
    layer = case.layer()
    sample, batch = case.x[0], case.x[:1]
    try:
        y = verb(copy_of(layer), sample)
    except ContractViolation:
        return
    try:
        expected = verb(copy_of(layer), batch)
    except ContractViolation as violation:
        problem = f"a batch of one is refused, but a sample of shape {sample.shape} without its batch axis is taken"
        raise ContractViolation(problem) from violation.__cause__
    with np.errstate(all="ignore"):
        error = np.abs(verb(copy_of(layer), perturbed(batch, case.rng())) - expected)
        bound = 256 * float(np.nan_to_num(error + np.abs(expected) * np.finfo(np.float64).eps).max(initial=0))
    if y.size > expected.size or (y.shape == expected.shape[1:] and not near(y, expected[0], bound)):
        raise ContractViolation(
            f"a sample of shape {sample.shape}, without its batch axis, gives a wrong answer of shape {y.shape} "
            "(a layer whose samples may have any number of axes declares trailing_axes = True)",
            cause="the number of axes is not checked: the first of a sample is taken for that of the batch",
            evidence=side_by_side(y, expected[0], ("got", "expected")),
        )


def feature_count(case: Case) -> None:
    """
    Try samples that are wider or narrower along an axis, and samples of one feature.

    Nothing says along which axes a layer has a fixed width, and many have none along some axes: a mean over all steps
    takes any number of them. What no layer may do is to broadcast a single feature to its width, or to read its usual
    features and ignore those after them, however many there are.
    """
    usual = predict(case.layer(), case.x).shape
    for axis in range(1, case.x.ndim):
        width = case.x.shape[axis]
        if width < 2:
            continue
        for verb in ("forward", "predict"):
            # The last usual feature must matter: a layer may be meant to read the first step only.
            ignored, refused = _depends_on(case, verb, axis, width - 1, width, usual) is True, []
            for wider in (width + 1, 2 * width + 5):
                refused.append(_result(case, verb, _resized(case.x, axis, wider), axis) is None)
                ignored = ignored and not refused[-1] and _depends_on(case, verb, axis, width, wider, usual) is False
            if ignored:
                _raise_taken(case, verb, _resized(case.x, axis, width + 1), usual, "features are left out")
            single = _result(case, verb, _resized(case.x, axis, 1), axis)
            if single is not None and single.shape == usual and all(refused):
                _raise_taken(case, verb, _resized(case.x, axis, 1), usual, "a single feature is broadcast")
            _result(case, verb, _resized(case.x, axis, width - 1), axis)


def other_lengths(case: Case) -> None:
    """Try samples that are shorter, and longer, along an axis; where forward takes them, check the gradients there."""
    rng = case.rng()
    axis = int(rng.integers(1, case.x.ndim))
    length = case.x.shape[axis]
    longer = int(rng.choice([length + 1, 2 * length]))
    for tried in sorted({1, length - 1, longer} - {0, length}):
        _of_length(case, axis, tried, rng)


def _of_length(case: Case, axis: int, length: int, rng: np.random.Generator) -> None:
    shape = list(case.x.shape)
    shape[axis] = length
    x = rng.integers(-3, 4, shape) * 1.0 if case.seed // 2 % 2 else rng.normal(size=shape).round(2)
    try:
        y, _ = forward(case.layer(), x)
    except ContractViolation:
        return
    if y.shape[:1] != (len(x),) or not np.isfinite(y).all():
        return
    case.saw(f"sizes of axis {axis}", length)
    other, usual = evolve(case, x=x), evolve(case, x=_resized(x, axis, case.x.shape[axis]))
    for of_input in (True, False):
        try:
            with reproduced_with(case, x):
                gradient_mismatch(other, of_input=of_input, measured=False)
        except ContractViolation:
            # What is wrong at the usual length as well, another law says.
            if not _is_wrong(usual, of_input=of_input):
                raise


def _is_wrong(case: Case, *, of_input: bool) -> bool:
    try:
        gradient_mismatch(case, of_input=of_input, measured=False)
    except ContractViolation:
        return True
    return False


def _depends_on(case: Case, verb: str, axis: int, first: int, width: int, usual: tuple[int, ...]) -> bool | None:
    """Tell whether a result of the usual shape depends on features from number `first` on; None for another shape."""
    rng, shape = case.rng(), list(case.x.shape)
    shape[axis] = width
    # Numbers of order one, for which nothing saturates.
    x = rng.normal(size=shape).astype(case.x.dtype)
    y = _result(case, verb, x, axis)
    if y is None or y.shape != usual:
        return None
    for change in _CHANGES:
        other = x.copy()
        beyond = np.moveaxis(other, axis, 0)[first:]
        beyond += change * np.abs(rng.normal(size=beyond.shape)).astype(beyond.dtype)
        changed = _result(case, verb, other, axis)
        if changed is None or changed.shape != usual:
            return None
        if not same(y, changed):
            return True
    return False


#: How much features are changed to see whether a result depends on them: a maximum does not see what is smaller.
_CHANGES = (1.0, -1.0, 30.0, -30.0)


def _resized(x: Array, axis: int, width: int) -> Array:
    """Repeat features along an axis, or drop some."""
    resized: Array = np.take(x, np.arange(width) % x.shape[axis], axis=axis)
    return resized


def _result(case: Case, verb: str, x: Array, axis: int) -> Array | None:
    """Compute the result for an input of another width; None where it is refused."""
    layer = case.layer()
    with reproduced_with(case, x):
        try:
            result = attempt(layer, verb, x)
        except ContractViolation as violation:
            if isinstance(violation.__cause__, ValueError) or not _has_length(layer, case.x.shape[axis]):
                return None
            problem = f"for {_shapes(case, x)}, {violation.problem}; expected is a ValueError"
            raise ContractViolation(problem) from violation.__cause__
        y: Array = result[0] if verb == "forward" else result
        if y.shape[:1] != (len(x),) == predict(case.layer(), case.x).shape[:1]:
            problem = (
                f"{verb} takes {_shapes(case, x)}, and makes {len(y)} samples of {len(x)}; expected is a ValueError"
            )
            raise ContractViolation(problem, cause="entries make rows of their own, as by reshape(-1, ...)")
    return y


def _raise_taken(case: Case, verb: str, x: Array, usual: tuple[int, ...], cause: str) -> NoReturn:
    with reproduced_with(case, x):
        problem = f"{verb} takes {_shapes(case, x)}, and gives the usual shape {usual}; expected is a ValueError"
        raise ContractViolation(problem, cause=cause)


def _shapes(case: Case, x: Array) -> str:
    return f"input of shape {x.shape}, where samples have shape {case.x.shape[1:]}"


def _has_length(layer: Layer, width: int) -> bool:
    """Tell whether a layer holds an array with an axis of this length, or the length itself."""
    numbers = (value for value in attributes_of(layer).values() if isinstance(value, (int, np.integer)))
    return any(width in buffer.value.shape for _, buffer in walk(layer, Buffer)) or width in numbers
