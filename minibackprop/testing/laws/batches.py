"""The laws of batches: their size, their axes, their layout in memory, the features of their samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from minibackprop.core import Layer
from minibackprop.state import Buffer, walk
from minibackprop.testing.calls import Pass, attempt, forward, predict, rounding, run, shake, twin
from minibackprop.testing.case import Case, fed
from minibackprop.testing.comparing import held, named, near, require_near, same, side_by_side
from minibackprop.testing.strategies.arrays import LAYOUTS
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def layout_irrelevant(case: Case) -> None:
    """Compare answers to the same entries in other layouts."""
    pristine = case.layer()
    bounds = rounding(pristine, case.x, case.upstream)
    expected = run(twin(pristine), case.x, case.upstream)
    for name, arrange in LAYOUTS.items():
        x, grad = arrange(case.x), arrange(case.upstream(expected.y))
        if name == "broadcast":  # Other entries, so other answers.
            plain, upstream = np.array(x), np.array(grad)
            wanted = run(twin(pristine), plain, upstream)
            limits = rounding(pristine, plain, upstream)
            ours = run(twin(pristine), x, grad)
            with fed(case, x):
                require_near(ours, wanted, limits, "x and grad broadcast, all rows the same memory")
        else:
            require_near(run(twin(pristine), x, case.upstream), expected, bounds, f"x of layout {name!r}")
            require_near(run(twin(pristine), case.x, grad), expected, bounds, f"grad of layout {name!r}")


#: More samples than a block has that a loop might take at a time, and no multiple of one.
_MANY = 67


def samples_independent(case: Case) -> None:
    """Exchange the other samples, leave them out, repeat them all, and compare what each sample gives."""
    layer = case.layer()
    bounds = rounding(layer, case.x, case.upstream)
    done, predicted = run(twin(layer), case.x, case.upstream), predict(twin(layer), case.x)
    count = len(case.x)
    if done.y.shape[:1] != (count,) and count > 1:  # A batch of one is another law's.
        raise ContractViolation(f"{count} samples give a result of shape {done.y.shape}: not one each")
    grad = case.upstream(done.y)
    for row in range(count):
        x, upstream = case.swapped(), -2 * grad
        x[row], upstream[row] = case.x[row], grad[row]
        mixed = run(twin(layer), x, upstream)
        _require_row(mixed, done, row, bounds, "when the other samples change")
        _require_equal(
            "the prediction", predict(twin(layer), x)[row], predicted[row], row, bounds["y"], "when the others change"
        )
        if not layer.stochastic:
            alone = run(twin(layer), case.x[row : row + 1], grad[row : row + 1])
            _require_row(alone, done, row, bounds, "when it is a batch of its own", at=0)
    if not layer.stochastic and case.seed % 4 == 0:  # It takes long, and once is enough.
        with fed(case, case.x[np.arange(_MANY) % count]):
            _many(case, grad)


def _many(case: Case, grad: Array) -> None:
    """Repeat the samples to more than any block that a loop might take, and compare with the sum over them."""
    layer = case.layer()
    rows = np.arange(_MANY) % len(case.x)
    many = run(twin(layer), case.x[rows], grad[rows])
    bounds = rounding(layer, case.x[rows], grad[rows])
    alone = [run(twin(layer), case.x[row : row + 1], grad[row : row + 1]) for row in range(len(case.x))]
    for name, value in many.gradients.items():
        if name == "input":
            expected = np.concatenate([alone[row].gradients[name] for row in rows])
        else:
            expected = sum((alone[row].gradients[name] for row in rows), np.zeros_like(value))
        if not near(value, expected, 16 * bounds[name]):
            raise ContractViolation(
                f"the gradient of {named(name)} for a batch of {len(rows)} is not the sum of those of its samples",
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
        _require_equal("the input's gradient", value, expected, row, bounds["input"], when)


def _require_equal(what: str, value: Array, expected: Array, row: int, bound: float, when: str) -> None:
    if not near(value, expected, bound):
        raise ContractViolation(
            f"{what} for sample {row} is another {when}; declare couples_samples if that is meant",
            cause="samples mixed",
            evidence=side_by_side(np.asarray(value), np.asarray(expected), ("got", "expected")),
        )


def batch_sizes(case: Case) -> None:
    """Feed a batch of none and a batch of one."""
    for size in (0, 1):
        with fed(case, case.x[:size]):
            _batch_of(case, size)


def _batch_of(case: Case, size: int) -> None:
    x = case.x[:size]
    layer = case.layer()
    expected = (size, *predict(layer, case.x).shape[1:])
    predicted = predict(layer, x)
    if predicted.shape != expected:
        raise ContractViolation(f"predict of a batch of {size} gives shape {predicted.shape}, not {expected}")
    try:
        done = run(layer, x, case.upstream)
    except ContractViolation as violation:
        # A statistic of one sample is none: such a layer may refuse, if it says so.
        if layer.couples_samples and isinstance(violation.__cause__, ValueError):
            return
        raise
    if done.y.shape != expected:
        raise ContractViolation(f"forward of a batch of {size} gives shape {done.y.shape}, not {expected}")
    for name, value in done.gradients.items():
        if not np.isfinite(value).all():
            raise ContractViolation(f"the gradient of {named(name)} for a batch of {size} is not finite")
        if size == 0 and value.any():
            raise ContractViolation(f"the gradient of {named(name)} for an empty batch is not zero")


def leading_axes(case: Case) -> None:
    """Fold two batches into one with an axis more; where the forward pass takes it, so must the backward one."""
    layer = case.layer()
    rows = np.concatenate([case.x, case.x[::-1], case.x, case.x[::-1]])
    folded = rows.reshape(2, 2 * len(case.x), *case.x.shape[1:])
    flat = run(twin(layer), rows, case.upstream)
    grad = case.upstream(flat.y)
    bounds = rounding(layer, rows, case.upstream)
    with fed(case, folded):
        try:
            y, _ = forward(twin(layer), folded)
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
            deep = run(twin(layer), folded, lambda y: grad.reshape(y.shape))
        except ContractViolation as violation:
            takes = f"forward takes input with one more leading axis, of shape {folded.shape}"
            problem = f"{takes}, but {violation.problem}: handle it, or refuse it in forward"
            raise ContractViolation(problem) from violation.__cause__
        gradients = {name: g.reshape(rows.shape) if name == "input" else g for name, g in deep.gradients.items()}
        same_rows = "the same rows with one more leading axis"
        require_near(Pass(deep.y.reshape(flat.y.shape), gradients), flat, bounds, same_rows)


def _treats_rows_alike(case: Case, shape: tuple[int, ...]) -> bool:
    """Tell whether rows are samples to a layer that does not say so, by ordinary numbers: those in x may be equal."""
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
    """Feed a sample as it is, and compare what comes, if anything does, with a batch of one."""
    with fed(case, case.x[0]):
        for verb in (_result_of_forward, predict):
            _without_batch_axis(case, verb)


def _result_of_forward(layer: Layer, x: Array) -> Array:
    return forward(layer, x)[0]


def _without_batch_axis(case: Case, verb: Callable[[Layer, Array], Array]) -> None:
    layer = case.layer()
    sample, batch = case.x[0], case.x[:1]
    try:
        y = verb(twin(layer), sample)
    except ContractViolation:
        return
    try:
        expected = verb(twin(layer), batch)
    except ContractViolation as violation:
        problem = f"a batch of one is refused, but a sample of shape {sample.shape} without its batch axis is taken"
        raise ContractViolation(problem) from violation.__cause__
    with np.errstate(all="ignore"):
        error = np.abs(verb(twin(layer), shake(batch, case.rng())) - expected)
        bound = 256 * float(np.nan_to_num(error + np.abs(expected) * np.finfo(np.float64).eps).max(initial=0))
    if y.size > expected.size or (y.shape == expected.shape[1:] and not near(y, expected[0], bound)):
        raise ContractViolation(
            f"a sample of shape {sample.shape}, without its batch axis, gives a wrong answer of shape {y.shape} "
            "(a layer whose samples may have any number of axes declares trailing_axes = True)",
            evidence=side_by_side(y, expected[0], ("got", "expected")),
        )


def feature_count(case: Case) -> None:
    """
    Feed samples that are wider or narrower along an axis, and ones of one feature.

    Nothing says along which axes a layer has a width of its own, and many have none along some: a mean over all steps
    takes any number of them. What no layer may do is to stretch a single feature to a width that it insists on, or to
    read its usual features, and then leave out whatever comes after, however much it is.
    """
    if case.x.ndim < 2 or not case.any_input:
        return
    usual = predict(case.layer(), case.x).shape
    for axis in range(1, case.x.ndim):
        width = case.x.shape[axis]
        if width < 2:
            continue
        for verb in ("forward", "predict"):
            # The last usual one is to matter: the first step may be all that a layer means to read.
            blind, refused = _reads(case, verb, axis, width - 1, width, usual) is True, []
            for wider in (width + 1, 2 * width + 5):
                refused.append(_answer(case, verb, _resized(case.x, axis, wider), axis) is None)
                blind = blind and not refused[-1] and _reads(case, verb, axis, width, wider, usual) is False
            if blind:
                _blame(case, verb, _resized(case.x, axis, width + 1), usual, "features are left out")
            single = _answer(case, verb, _resized(case.x, axis, 1), axis)
            if single is not None and single.shape == usual and all(refused):
                _blame(case, verb, _resized(case.x, axis, 1), usual, "a single feature is broadcast")
            _answer(case, verb, _resized(case.x, axis, width - 1), axis)


def _reads(case: Case, verb: str, axis: int, first: int, width: int, usual: tuple[int, ...]) -> bool | None:
    """Tell whether features from number `first` on change a result of the usual shape; None if it has another."""
    rng, shape = case.rng(), list(case.x.shape)
    shape[axis] = width
    # Ordinary numbers, in which nothing saturates.
    x = rng.normal(size=shape).astype(case.x.dtype)
    other = x.copy()
    beyond = np.moveaxis(other, axis, 0)[first:]
    beyond += rng.normal(size=beyond.shape).astype(beyond.dtype)
    y, changed = _answer(case, verb, x, axis), _answer(case, verb, other, axis)
    if y is None or changed is None or y.shape != usual:
        return None
    return not same(y, changed)


def _resized(x: Array, axis: int, width: int) -> Array:
    """Repeat features along an axis, or drop some."""
    resized: Array = np.take(x, np.arange(width) % x.shape[axis], axis=axis)
    return resized


def _answer(case: Case, verb: str, x: Array, axis: int) -> Array | None:
    """Compute the result for an input of another width; None where it is refused."""
    layer = case.layer()
    with fed(case, x):
        try:
            result = attempt(layer, verb, x)
        except ContractViolation as violation:
            if isinstance(violation.__cause__, ValueError) or not holds(layer, case.x.shape[axis]):
                return None
            problem = f"for {_shapes(case, x)}, {violation.problem}; expected is a ValueError"
            raise ContractViolation(problem) from violation.__cause__
        y: Array = result[0] if verb == "forward" else result
        if y.shape[:1] != (len(x),) == predict(case.layer(), case.x).shape[:1]:
            problem = (
                f"{verb} takes {_shapes(case, x)}, and makes {len(y)} samples of {len(x)}; expected is a ValueError"
            )
            raise ContractViolation(problem)
    return y


def _blame(case: Case, verb: str, x: Array, usual: tuple[int, ...], cause: str) -> None:
    with fed(case, x):
        problem = f"{verb} takes {_shapes(case, x)}, and gives the usual shape {usual}; expected is a ValueError"
        raise ContractViolation(problem, cause=cause)


def _shapes(case: Case, x: Array) -> str:
    return f"input of shape {x.shape}, where samples have shape {case.x.shape[1:]}"


def holds(layer: Layer, width: int) -> bool:
    """Tell whether a layer holds an array with an axis of this length, or the number itself."""
    numbers = (value for value in held(layer).values() if isinstance(value, (int, np.integer)))
    return any(width in buffer.value.shape for _, buffer in walk(layer, Buffer)) or width in numbers
