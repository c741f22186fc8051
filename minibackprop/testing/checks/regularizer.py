"""The check of a regularizer: its gradients, what it adds them to, its dtype.

A regularizer is put into a layer that holds the parameters, so that the comparison with finite differences serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from attrs import frozen
from hypothesis import strategies as st

from minibackprop.core import Layer
from minibackprop.errors import ConfigError, describe
from minibackprop.regularizers import Regularizer
from minibackprop.state import Parameter
from minibackprop.testing.case import Case, Power, StandIn, written
from minibackprop.testing.comparing import near, same, side_by_side
from minibackprop.testing.gradients.diagnosis import gradient_mismatch
from minibackprop.testing.laws.base import Law
from minibackprop.testing.report import Report
from minibackprop.testing.search import configured, search
from minibackprop.testing.strategies.arrays import batches
from minibackprop.testing.violations import ContractViolation
from minibackprop.validation import Array, is_integer


def check_regularizer(
    make: Callable[[], Regularizer],
    shapes: Iterable[tuple[int, ...]] = ((3, 2), (2,), (2, 1, 2)),
    *,
    examples: int | None = None,
    seed: int = 0,
) -> Report:
    """
    Check that a regularizer keeps its contract: its gradients, what it adds them to, its dtype.

    Parameters
    ----------
    make : class or callable
        What makes the regularizer without arguments.
    shapes : iterable of tuple of int
        The shapes of the parameters; by default those of a weight, a bias and a weight of three axes. Not all of them
        need be penalized.
    examples : int, optional
        How many examples to draw; by default a fifth of Hypothesis' ``max_examples``.
    seed : int
        Another seed draws other examples.

    Raises
    ------
    ContractViolation
        With the name of the broken law, and the cause where it can be told.
    Inconclusive
        If no draw could have shown whether the gradient is right: no parameter is penalized, say.
    ConfigError
        If the call itself makes no sense.

    Examples
    --------
    >>> from minibackprop import L2
    >>> print(check_regularizer(lambda: L2(0.1)).kept)
    ['value', 'arguments untouched', 'gradient', 'gradients add', 'dtype', 'finite']
    """
    if not callable(make) or isinstance(make, Regularizer):
        raise ConfigError("check_regularizer: make", "a class or a callable that makes a regularizer", describe(make))
    if not isinstance(regularizer := make(), Regularizer):
        raise ConfigError("check_regularizer: make", "to give a Regularizer", describe(regularizer))
    shapes = _as_shapes(shapes)
    call = f"{make.__name__}()" if isinstance(make, type) else "make()  # what was given to check_regularizer"

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        # One drawn sample for each parameter, so that it has zeros, ties, large and tiny entries.
        values = [draw(batches(shape, min_size=1, max_size=1, layouts=["C"]))[0] for shape in shapes]

        def layer() -> Layer:
            return _Penalty(make(), [Parameter(value) for value in values], call)

        x = np.zeros(1, int)  # There is no input, and integers have no gradient.
        return Case(layer, layer, x, x, draw(st.integers(0, 2**16)), any_input=False)

    return search(cases(), _LAWS, configured(examples), seed)


def _as_shapes(shapes: object) -> tuple[tuple[int, ...], ...]:
    listed = tuple(shapes) if isinstance(shapes, Iterable) else ()
    if not listed or not all(isinstance(s, tuple) and all(is_integer(n) and n > 0 for n in s) for s in listed):
        raise ConfigError("check_regularizer: shapes", "a list of shapes, tuples of positive integers", repr(shapes))
    return listed


@frozen(eq=False, slots=False)
class _Penalty(StandIn):
    """A regularizer as a layer, of no input to an array of one number."""

    regularizer: Regularizer
    held: list[Parameter]
    call: str

    def code(self, x: Array, grad: Array) -> str:
        values = ", ".join(f"Parameter({written(parameter.value)})" for parameter in self.held)
        head = ("import numpy as np", "", "from minibackprop import Parameter", "")
        lines = (f"regularizer = {self.call}", f"parameters = [{values}]")
        calls = ("value = regularizer.forward(parameters)", "regularizer.backward(parameters)")
        return "\n".join([*head, *lines, *calls])

    def forward(self, x: Array, /) -> tuple[Array, None]:
        return np.array([self.regularizer.forward(self.held)]), None

    def backward(self, grad: Array, cache: None, /) -> None:
        add_scaled(self.regularizer, self.held, float(grad[0]))

    def _members(self) -> Iterator[tuple[str, object]]:
        """Name the parameters as the code does."""
        yield from ((f"parameters[{index}]", parameter) for index, parameter in enumerate(self.held))


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
    assert isinstance(layer, _Penalty)
    return layer.regularizer, layer.held


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
    try:
        first = regularizer.forward(parameters), _gradients(regularizer, _locked(parameters))
        second = regularizer.forward(parameters), _gradients(regularizer, parameters)
    except ValueError as error:
        if "read-only" in str(error):
            problem = f"the regularizer writes to a parameter: {error}"
            raise ContractViolation(problem, cause="argument overwritten") from error
        raise
    for parameter, value, was in zip(parameters, values, kept, strict=True):
        if parameter.value is not value or not same(value, was):
            raise ContractViolation("the regularizer changes the value of a parameter", cause="argument overwritten")
    if first[0] != second[0] or not all(map(same, first[1], second[1])):
        raise ContractViolation("the regularizer gives something else when called again", cause="state that it keeps")
    added = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for number, gradient in enumerate(added):
        if any(np.shares_memory(gradient, other) for other in (*values, *added[:number])):
            raise ContractViolation(
                "a gradient is no array of its own; backward adds fresh ones", cause="memory shared"
            )


def _locked(parameters: Sequence[Parameter]) -> list[Parameter]:
    copies = _copies(parameters)
    for parameter in copies:
        parameter.value.flags.writeable = False
    return copies


def _gradient(case: Case) -> Power:
    # Of parameters that are not penalized nothing can be shown: it is enough that some are.
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
            raise ContractViolation(f"the penalty of {np.dtype(dtype)} parameters is no float; it is {describe(value)}")
        for gradient in _gradients(regularizer, given):
            if gradient.dtype != dtype:
                raise ContractViolation(f"the gradient of a {np.dtype(dtype)} parameter is {gradient.dtype}")


def _finite(case: Case) -> None:
    regularizer, parameters = _regularizer(case)
    for dtype in (np.float64, np.float32):
        for size in (0.0, 1.0, 1e3):
            given = _copies(parameters, dtype)
            for parameter in given:
                parameter.value = (size * case.rng().choice([-1.0, 1.0], parameter.value.shape)).astype(dtype)
            with np.errstate(all="ignore"):
                found = [np.array(regularizer.forward(given)), *_gradients(regularizer, given)]
            if not all(np.isfinite(array).all() for array in found):
                what = f"parameters of {size:g} in size ({np.dtype(dtype)})"
                problem = f"the penalty or its gradient is not finite for {what}"
                raise ContractViolation(problem, cause="overflow, or a division by zero")


_LAWS = (
    Law("value", "forward returns a float, backward nothing; only backward adds gradients.", _value),
    Law("arguments untouched", "No value is written to, nothing is remembered; a gradient is a new array.", _untouched),
    Law("gradient", "backward adds the gradient of the penalty by every parameter.", _gradient),
    Law("gradients add", "What backward adds is added to the gradient that is there.", _add),
    Law("dtype", "A gradient has the dtype of its parameter.", _dtype),
    Law("finite", "Finite parameters up to 1e3 give a finite penalty and gradients.", _finite),
)
