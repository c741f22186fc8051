"""The laws of regularizers.

A regularizer is put into a layer that holds the parameters, so that the comparison with finite differences serves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen

from minibackprop.errors import describe
from minibackprop.regularizers import Regularizer
from minibackprop.state import Parameter
from minibackprop.testing.calls import writing_reported
from minibackprop.testing.case import Case, Power, StandIn
from minibackprop.testing.code import written
from minibackprop.testing.comparing import near, same, side_by_side
from minibackprop.testing.device_array import DeviceArray
from minibackprop.testing.gradients.mismatch import gradient_mismatch
from minibackprop.testing.laws.arrays import on_the_device, require_same, require_same_number
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.numbers import extremes
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array


@frozen(eq=False, slots=False)
class PenaltyLayer(StandIn):
    """A regularizer as a layer, of no input to an array of one number."""

    regularizer: Regularizer
    penalized: list[Parameter]
    call: str

    def code(self, x: Array, grad: Array) -> str:
        """Write down as Python the regularizer and its calls."""
        values = ", ".join(f"Parameter({written(parameter.value)})" for parameter in self.penalized)
        head = ("import numpy as np", "", "from minibackprop import Parameter", "")
        lines = (f"regularizer = {self.call}", f"parameters = [{values}]")
        calls = ("value = regularizer.forward(parameters)", "regularizer.backward(parameters)")
        return "\n".join([*head, *lines, *calls])

    def forward(self, x: Array, /) -> tuple[Array, None]:
        """Compute the penalty."""
        return np.array([self.regularizer.forward(self.penalized)]), None

    def backward(self, grad: Array, cache: None, /) -> None:
        """Add its gradients, scaled by `grad`."""
        add_scaled(self.regularizer, self.penalized, float(grad[0]))

    def _members(self) -> Iterator[tuple[str, object]]:
        """Name the parameters as the code does."""
        yield from ((f"parameters[{index}]", parameter) for index, parameter in enumerate(self.penalized))


def add_scaled(regularizer: Regularizer, parameters: Sequence[Parameter], scale: float) -> None:
    """Add `scale` times the gradients of the penalty to those of the parameters."""
    apart = _copies(parameters)
    regularizer.backward(apart)
    for parameter, copied in zip(parameters, apart, strict=True):
        if copied.grad is not None:
            parameter.add(scale * copied.grad)


def _copies(parameters: Sequence[Parameter], dtype: type[np.floating] = np.float64) -> list[Parameter]:
    """Copy parameters, without their gradients."""
    return [Parameter(parameter.value.astype(dtype)) for parameter in parameters]


def _regularizer(case: Case) -> tuple[Regularizer, list[Parameter]]:
    layer = case.layer()
    assert isinstance(layer, PenaltyLayer)
    return layer.regularizer, layer.penalized


def _gradients(regularizer: Regularizer, parameters: Sequence[Parameter]) -> list[Array]:
    """Let a regularizer add its gradients to parameters that have none, and collect them."""
    regularizer.backward(parameters)
    return [np.zeros_like(p.value) if p.grad is None else p.grad for p in parameters]


def _value(case: Case) -> None:
    regularizer, parameters = _regularizer(case)
    for given in (parameters, parameters[:1], []):
        if not isinstance(value := regularizer.forward(given), float):
            raise ContractViolation(f"the penalty of {len(given)} parameters must be a float; it is {describe(value)}")
        if any(parameter.grad is not None for parameter in given):
            raise ContractViolation("forward adds to the gradients; only backward does")
        if (returned := regularizer.backward(given)) is not None:
            raise ContractViolation(f"backward must return nothing; it returns {describe(returned)}")
        for parameter in given:
            if not isinstance(parameter.grad, np.ndarray | None):
                raise ContractViolation(f"a gradient must be an array; it is {describe(parameter.grad)}")
            parameter.clear()


def _untouched(case: Case) -> None:
    regularizer, parameters = _regularizer(case)
    values = [parameter.value for parameter in parameters]
    kept = [value.copy() for value in values]
    for value in values:
        value.flags.writeable = False
    with writing_reported("the regularizer writes to a parameter"):
        first = regularizer.forward(parameters), _gradients(regularizer, _read_only_copies(parameters))
        second = regularizer.forward(parameters), _gradients(regularizer, parameters)
    for parameter, value, was in zip(parameters, values, kept, strict=True):
        if parameter.value is not value or not same(value, was):
            raise ContractViolation("the regularizer changes the value of a parameter", cause="argument overwritten")
    if first[0] != second[0] or not all(map(same, first[1], second[1])):
        raise ContractViolation(
            "the regularizer gives a different result when called again", cause="state that it keeps"
        )
    added = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for number, gradient in enumerate(added):
        if any(np.shares_memory(gradient, other) for other in (*values, *added[:number])):
            raise ContractViolation(
                "a gradient is not an array of its own; backward adds fresh ones", cause="memory shared"
            )


def _read_only_copies(parameters: Sequence[Parameter]) -> list[Parameter]:
    copies = _copies(parameters)
    for parameter in copies:
        parameter.value.flags.writeable = False
    return copies


def _gradient(case: Case) -> Power:
    # Nothing can be shown for parameters that are not penalized: it is enough that some are.
    return {"any parameter": float(np.fmin.reduce(list(gradient_mismatch(case, of_input=False).values())))}


def _add(case: Case) -> None:
    regularizer, parameters = _regularizer(case)
    plain = _gradients(regularizer, _copies(parameters))
    before = [case.rng().normal(size=parameter.value.shape) for parameter in parameters]
    kept = [grad.copy() for grad in before]
    for parameter, grad in zip(parameters, before, strict=True):
        parameter.add(grad)
    regularizer.backward(parameters)
    if not all(map(same, before, kept)):
        problem = "backward writes into the gradient that was there, which may be someone else's: use Parameter.add"
        raise ContractViolation(problem, cause="argument overwritten")
    for parameter, grad, own in zip(parameters, kept, plain, strict=True):
        if parameter.grad is None or not near(parameter.grad, grad + own, 1e-12 * float(np.abs(grad + own).max())):
            got = np.zeros_like(grad) if parameter.grad is None else parameter.grad
            raise ContractViolation(
                "the gradient of a parameter that had one is not the sum of it and the penalty's",
                cause="not accumulated: the gradient is assigned, not added" if near(got, own, 0.0) else "",
                evidence=side_by_side(got, grad + own, ("got", "expected")),
            )


def _dtype(case: Case) -> None:
    regularizer, parameters = _regularizer(case)
    for dtype in (np.float32, np.float64):
        given = _copies(parameters, dtype)
        if not isinstance(value := regularizer.forward(given), float):
            raise ContractViolation(
                f"the penalty of {np.dtype(dtype)} parameters is not a float; it is {describe(value)}"
            )
        for gradient in _gradients(regularizer, given):
            if gradient.dtype != dtype:
                raise ContractViolation(f"the gradient of a {np.dtype(dtype)} parameter is {gradient.dtype}")


def _finite(case: Case) -> None:
    regularizer, parameters = _regularizer(case)
    for what, entries in extremes(case):
        given = [Parameter(entries(parameter.value.shape)) for parameter in parameters]
        with np.errstate(all="ignore"):
            found = [np.array(regularizer.forward(given)), *_gradients(regularizer, given)]
        if not all(np.isfinite(array).all() for array in found):
            problem = f"the penalty or its gradient is not finite for parameters of {what}"
            raise ContractViolation(problem, cause="overflow, or a division by zero")


def _other_arrays(case: Case) -> None:
    regularizer, parameters = _regularizer(case)
    there = [Parameter(DeviceArray(parameter.value)) for parameter in parameters]
    value = regularizer.forward(parameters)
    regularizer.backward(parameters)
    with on_the_device("the regularizer"):
        got = regularizer.forward(there)
        regularizer.backward(there)
    require_same_number("the penalty", got, value)
    for ours, theirs in zip(there, parameters, strict=True):
        require_same("a gradient", ours.grad, theirs.grad)


LAWS = (
    Law("value", "forward returns a float, backward nothing; only backward adds gradients.", _value),
    Law("arguments untouched", "No value is written to, nothing is remembered; a gradient is a new array.", _untouched),
    Law("gradient", "backward adds the gradient of the penalty with respect to every parameter.", _gradient),
    Law("gradients add", "What backward adds is added to the gradient that is there.", _add),
    Law("dtype", "A gradient has the dtype of its parameter.", _dtype),
    Law("finite", "Finite parameters up to 1e3 give a finite penalty and gradients.", _finite),
    Law("other arrays", "On a GPU's arrays, it gives what it gives on NumPy's, bit for bit.", _other_arrays),
)
