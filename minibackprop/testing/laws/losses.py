"""The laws of losses.

A loss with a target is put into a layer of the prediction, so that the comparison with finite differences serves it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import evolve, frozen, has

from minibackprop.errors import describe
from minibackprop.losses.base import Loss
from minibackprop.testing.calls import writing_reported
from minibackprop.testing.case import Case, Power, StandIn
from minibackprop.testing.code import written
from minibackprop.testing.comparing import apart, near, same, side_by_side
from minibackprop.testing.gradients.mismatch import gradient_mismatch
from minibackprop.testing.laws.arrays import on_device, on_the_device, require_same, require_same_number
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.numbers import extremes
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


def some_zero(rng: np.random.Generator, weights: Array) -> Array:
    """Make a quarter of the weights 0, which is as much as a sample that is not there; but never all."""
    kept = rng.random(len(weights)) < 0.75
    kept[rng.integers(len(weights))] = True
    return np.where(kept, weights, 0)


@frozen(eq=False, slots=False)
class LossLayer(StandIn):
    """A loss as a layer, of a prediction to an array of one number."""

    loss: Loss
    target: Array
    weights: Array | None
    classes: int | None = None  # Where it is known.
    any_prediction: bool = True
    richer: tuple[Array, Array, Array | None] | None = None  # More predictions, targets and weights, for a diagnosis.

    def rows(self, index: Array) -> LossLayer:
        """Make the one for other samples, each some sample of this one's."""
        return evolve(self, target=self.target[index], weights=None if self.weights is None else self.weights[index])

    def rich(self) -> tuple[LossLayer, Array] | None:
        """Make the one for a batch that shows more, and that batch."""
        if self.richer is None:
            return None
        x, target, weights = self.richer
        return evolve(self, target=target, weights=weights), x

    def beside(self, x: Array) -> dict[str, Array]:
        """Name what a loss is made of beside the prediction: its weights, a target, and what is between them."""
        found = {}
        if self.target.shape == x.shape:
            found = {"prediction - target": x - self.target, "the target": self.target.astype(np.float64)}
        if are_labels(self.target, x):
            found = {"the labels": self.target}
        if self.weights is not None:
            of_entries = self.weights.reshape(-1, *[1] * (x.ndim - 1))
            found |= {"the weights": np.broadcast_to(of_entries, x.shape).astype(np.float64)}
        return found

    def code(self, x: Array, grad: Array) -> str:
        """Write down as Python the loss and its calls."""
        weights = "" if self.weights is None else f", {written(self.weights)}"
        lines = (
            f"loss = {repr(self.loss) if has(type(self.loss)) else type(self.loss).__name__ + '()'}",
            f"prediction = {written(x)}",
            f"target = {written(self.target)}",
        )
        call = f"value, cache = loss.forward(prediction, target{weights})"
        return "\n".join(["import numpy as np\n", *lines, call, f"grad = loss.backward(cache, {grad[0]})"])

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Compute the loss of the prediction x."""
        value, cache = self.loss.forward(x, self.target, self.weights)
        return np.array([value]), cache

    def backward(self, grad: Array, cache: Any, /) -> Array:
        """Compute its gradient, scaled by `grad`."""
        return self.loss.backward(cache, float(grad[0]))


def _layer(case: Case) -> LossLayer:
    layer = case.layer()
    assert isinstance(layer, LossLayer)
    return layer


def _loss(case: Case) -> tuple[Loss, Array, Array | None]:
    layer = _layer(case)
    return layer.loss, layer.target, layer.weights


def _value(case: Case) -> None:
    loss, target, weights = _loss(case)
    if not isinstance(reason := loss.couples_samples, str):
        raise ContractViolation(f"couples_samples holds the reason, as a str, or is empty; it is {reason!r}")
    result = loss.forward(case.x, target, weights)
    if not isinstance(result, tuple) or len(result) != 2:
        raise ContractViolation(f"forward must return a pair (value, cache); it returns {describe(result)}")
    if not isinstance(result[0], float):
        raise ContractViolation(f"the value of the loss must be a float; it is {describe(result[0])}")
    grad = loss.backward(result[1])
    if not isinstance(grad, np.ndarray) or grad.shape != case.x.shape or grad.dtype.kind != "f":
        expected = f"an array of floating-point numbers of shape {case.x.shape}"
        raise ContractViolation(f"backward must return {expected}; it returns {describe(grad)}")


def _untouched(case: Case) -> None:
    loss, target, weights = _loss(case)
    arrays = {"prediction": case.x.copy(), "target": np.array(target)}
    if weights is not None:
        arrays["weights"] = weights.copy()
    kept = {name: array.copy() for name, array in arrays.items()}
    for array in arrays.values():
        array.flags.writeable = False
    with writing_reported("the loss writes to an argument"):
        value, cache = loss.forward(*arrays.values())
        first = loss.backward(cache).copy()
        second = loss.backward(cache)
    for array in arrays.values():
        array.flags.writeable = True
    again, cache = loss.forward(*arrays.values())
    loss.backward(cache)
    for name, array in arrays.items():
        if not same(array, kept[name]):
            raise ContractViolation(f"the loss changes its {name}", cause="argument overwritten")
    if not np.array_equal(value, again, equal_nan=True) or not same(first, second):
        raise ContractViolation(
            "the loss gives a different result when called again", cause="state on the loss or its cache"
        )


def _gradient(case: Case) -> Power:
    return gradient_mismatch(case, of_input=True)


def _scale(case: Case) -> None:
    loss, target, weights = _loss(case)
    _, cache = loss.forward(case.x, target, weights)
    plain = loss.backward(cache)
    for scale in (0.25, -2.0, 3.0):
        _require_same_gradient(loss.backward(cache, scale), scale * plain, f"scale {scale}", "is not that multiple")


def _dtype(case: Case) -> None:
    loss, target, weights = _loss(case)
    for dtype in (np.float32, np.float64):
        for scale in (1.0, 0.5):
            _, cache = loss.forward(case.x.astype(dtype), target, weights)
            if (got := loss.backward(cache, scale).dtype) != dtype:
                raise ContractViolation(
                    f"the gradient is {got} for a prediction of {np.dtype(dtype)} (scale {scale!r})"
                )


def _weights(case: Case) -> None:
    loss, target, _ = _loss(case)
    count = len(case.x)
    one, cache = loss.forward(case.x, target, None)
    ones, ones_cache = loss.forward(case.x, target, np.ones(count))
    _require_value(ones, one, "weights of 1", "no weights")
    _require_same_gradient(
        loss.backward(ones_cache), loss.backward(cache), "weights of 1", "is not that for no weights"
    )
    times = _repetitions(case)
    repeated = np.repeat(np.arange(count), times)
    value, cache = loss.forward(case.x, target, times.astype(np.float64))
    expected, repeated_cache = loss.forward(case.x[repeated], target[repeated], None)
    _require_value(value, expected, f"weights of {times}", "samples that occur as often")
    summed = np.zeros_like(case.x)
    np.add.at(summed, repeated, loss.backward(repeated_cache))
    _require_same_gradient(
        loss.backward(cache), summed, f"weights of {times}", "is not that for samples that occur as often"
    )


def _repetitions(case: Case) -> Array:
    """Draw how many times each sample occurs."""
    rng = case.rng()
    return some_zero(rng, rng.integers(1, 4, len(case.x)))


def _coupled(case: Case) -> str:
    return _loss(case)[0].couples_samples


def _in_two_parts(case: Case) -> list[tuple[Array, Array, Array | None]]:
    """Split a batch in two, if it has two samples and each part has a weight above 0."""
    _, target, weights = _loss(case)
    cut = len(case.x) // 2
    slices = (slice(cut), slice(cut, None)) if cut else ()
    halves = [(case.x[s], target[s], None if weights is None else weights[s]) for s in slices]
    return halves if all(part is None or part.any() for _, _, part in halves) else []


def _total_weight(loss: Loss, target: Array, weights: Array | None) -> float:
    total = loss.total_weight(target, weights)
    if not isinstance(total, float) or not 0 < total < np.inf:
        raise ContractViolation(f"total_weight must return a positive float; it returns {total!r}")
    return total


def _shares(loss: Loss, parts: list[tuple[Array, Array, Array | None]]) -> list[float]:
    """Compute the shares of the parts of a batch, from what the loss says of itself."""
    totals = [1.0 if loss.reduction == "sum" else _total_weight(loss, target, weights) for _, target, weights in parts]
    return totals if loss.reduction == "sum" else [total / sum(totals) for total in totals]


def _reduction(case: Case) -> None:
    """Compare what a loss says of itself with its values."""
    loss, target, weights = _loss(case)
    if loss.reduction not in ("mean", "sum"):
        raise ContractViolation(f"reduction must be 'mean' or 'sum'; it is {loss.reduction!r}")
    halves = _in_two_parts(case)
    if loss.reduction == "mean":
        times = _repetitions(case)
        repeated, weighted = target[np.repeat(np.arange(len(times)), times)], times.astype(np.float64)
        totals = {
            "weights of 1": (_total_weight(loss, target, np.ones(len(case.x))), _total_weight(loss, target, None)),
            f"weights of {times}": (_total_weight(loss, target, weighted), _total_weight(loss, repeated, None)),
        }
        if halves:
            sums = sum(_total_weight(loss, part, of_part) for _, part, of_part in halves)
            totals["a batch in two parts"] = (sums, _total_weight(loss, target, weights))
        for what, (ours, theirs) in totals.items():
            if not np.isclose(ours, theirs, rtol=1e-9):
                got, expected = apart(ours, theirs)
                raise ContractViolation(f"the total weight for {what} is {got}; it should be {expected}")
    whole, parts = loss(case.x, target, weights), [loss(*half) for half in halves]
    made = sum(share * part for share, part in zip(_shares(loss, halves), parts, strict=True))
    if halves and not _close(made, whole):
        value, of_parts = apart(whole, made)
        raise ContractViolation(
            f"the loss of a batch is {value}, and the {loss.reduction} of those of its parts {of_parts}; "
            "declare couples_samples if it is over the whole batch on purpose",
            cause='the loss is a sum: it should say reduction = "sum"' if _close(sum(parts), whole) else "",
        )


def _parts(case: Case) -> None:
    """Split a batch: the gradient adds up with scale 1 for a sum, with the parts' shares of the weights for a mean."""
    loss, target, weights = _loss(case)
    parts = _in_two_parts(case)
    whole, cache = loss.forward(case.x, target, weights)
    if not parts or not np.isfinite(whole):
        return
    caches = [loss.forward(*part)[1] for part in parts]
    grads = [loss.backward(cache, share) for share, cache in zip(_shares(loss, parts), caches, strict=True)]
    what = "a batch in two parts"
    _require_same_gradient(np.concatenate(grads), loss.backward(cache), what, "is not that for the whole")


def _shapes(case: Case) -> None:
    loss, target, weights = _loss(case)
    if are_labels(target, case.x):
        _shapes_of_labels(case)
    if target.shape != case.x.shape:
        return
    for wrong in (target.reshape(-1)[: len(target)], target[:, np.newaxis], np.concatenate([target, target[:1]])):
        if wrong.shape == target.shape:
            continue
        try:
            loss.forward(case.x, wrong, weights)
        except (ValueError, TypeError):
            continue
        problem = f"a target of shape {wrong.shape} is taken for a prediction of shape {case.x.shape}"
        raise ContractViolation(f"{problem}; expected is a ValueError", cause="broadcast")


def _shapes_of_labels(case: Case) -> None:
    loss, target, weights = _loss(case)
    expected = loss(case.x, target, weights)
    for wrong in (np.concatenate([target, target[:1]]), target[:, np.newaxis]):
        try:
            value = loss(case.x, wrong, weights)
        except (ValueError, TypeError, IndexError):
            continue
        if len(wrong) != len(target) or not _close(value, expected):
            problem = f"labels of shape {wrong.shape} are taken for a prediction of shape {case.x.shape}"
            raise ContractViolation(f"{problem}; expected is a ValueError", cause="broadcast")


def are_labels(target: Array, prediction: Array) -> bool:
    """Tell whether targets are labels of classes, one where the prediction has an axis of them."""
    return target.dtype.kind in "iu" and target.shape == prediction.shape[:-1] and target.ndim > 0


def _without_labels(case: Case) -> str:
    """Give the reason for which there are no labels to check, or it is not known which of them exist."""
    layer = _layer(case)
    if layer.target.dtype.kind not in "iu" or not (layer.classes or are_labels(layer.target, case.x)):
        return "the targets are not labels of classes"
    return "" if layer.classes else "how many classes there are is not known: pass classes=..."


def _labels(case: Case) -> None:
    """Try a label beyond the last class: where labels are off by one, it is taken."""
    layer = _layer(case)
    wrong = layer.target.copy()
    wrong[-1:] = layer.classes
    try:
        layer.loss(case.x, wrong, layer.weights)
    except (ValueError, TypeError, IndexError):
        return
    raise ContractViolation(
        f"a label of {layer.classes} is taken for a prediction of {layer.classes} classes; expected is a ValueError "
        "(another number of them is given by classes=...)",
        cause="labels are not checked, or off by one",
    )


def _finite(case: Case) -> None:
    layer = _layer(case)
    any_size = [(f"predictions of {what}", entries(case.x.shape)) for what, entries in extremes(case)]
    for what, x in any_size if layer.any_prediction else [("the predictions that were drawn", case.x)]:
        value, cache = layer.loss.forward(x, layer.target, layer.weights)
        if not np.isfinite(value) or not np.isfinite(layer.loss.backward(cache)).all():
            problem = f"the loss or its gradient is not finite for {what}"
            raise ContractViolation(problem, cause="overflow, or a division by zero")


def _other_arrays(case: Case) -> None:
    """Compare value, gradient and total weight on `DeviceArray` with those on NumPy's arrays, bit for bit."""
    loss, target, weights = _loss(case)
    value, cache = loss.forward(case.x, target, weights)
    with on_the_device("the loss"):
        there = on_device({"x": case.x, "target": target, "weights": weights})
        got, cache_there = loss.forward(there["x"], there["target"], there["weights"])
        grad = loss.backward(cache_there, 0.5)
        total = loss.total_weight(there["target"], there["weights"])
    require_same_number("the value of the loss", got, value)
    require_same_number("the total weight", total, loss.total_weight(target, weights))
    require_same("the gradient", grad, loss.backward(cache, 0.5))


def _close(ours: float, theirs: float) -> bool:
    return bool(np.isclose(ours, theirs, rtol=1e-9, atol=1e-12, equal_nan=True))


def _require_value(ours: float, theirs: float, what: str, other: str) -> None:
    if not _close(ours, theirs):
        shown, expected = apart(ours, theirs)
        raise ContractViolation(f"the loss for {what} is {shown}, and for {other} {expected}")


def _require_same_gradient(ours: Array, theirs: Array, what: str, differs: str) -> None:
    if not near(ours, theirs, 1e-9 * float(np.abs(theirs).max(initial=0)) + 1e-300):
        evidence = side_by_side(ours, theirs, ("got", "expected"))
        raise ContractViolation(f"the gradient for {what} {differs}", evidence=evidence)


#: The contract of a loss: every law, in the order in which they are checked.
LOSS_LAWS: tuple[Law, ...] = (
    Law("value", "forward returns a float and a cache, backward an array like the prediction.", _value),
    Law("arguments untouched", "Nothing that is passed in is written to, nothing is remembered.", _untouched),
    Law("gradient", "backward returns the gradient of the loss with respect to the prediction.", _gradient),
    Law("scale", "backward multiplies by the scale.", _scale),
    Law("dtype", "The gradient has the dtype of the prediction.", _dtype),
    Law("weights", "A weight of 2 counts as the sample occurring twice, one of 0 as its absence.", _weights),
    Law(
        "reduction",
        "A mean or a sum is what the loss says that it is, and total_weight what divides it.",
        _reduction,
        _coupled,
    ),
    Law("parts", "The gradient of a batch in parts, scaled by their shares, is that of the whole.", _parts, _coupled),
    Law("shapes", "A target of another shape is a ValueError.", _shapes),
    Law("labels", "A label beyond the last class is an error.", _labels, _without_labels),
    Law("finite", "Finite predictions up to 1e3 give a finite loss and gradient.", _finite),
    Law(
        "other arrays",
        "On a GPU's arrays, it gives what it gives on NumPy's, bit for bit; the gradient stays there.",
        _other_arrays,
        each_time=False,
    ),
)
