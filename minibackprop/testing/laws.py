"""The laws of the layer contract, in the order in which they are checked.

What a law takes for granted, an earlier one has made sure of.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen

from minibackprop.testing import law_batches, law_calls, law_gradients, law_numbers, law_state
from minibackprop.testing.case import Case, Power


def _binds_all(case: Case) -> str:  # noqa: ARG001
    return ""


@frozen
class Law:
    """
    A law: a name, what it says, and a check of one case.

    Attributes
    ----------
    name : str
    says : str
        The law in one sentence.
    check : callable
        Takes a `Case`, and raises `ContractViolation` where the law is broken. Where the law measures, returns its
        `Power`.
    lifted : callable
        Takes a `Case`, and returns the reason for which the law does not bind its layer, or "".

    Examples
    --------
    >>> from minibackprop import Sigmoid
    >>> from minibackprop.testing import ALL, Law, check_layer
    >>> def increases(case):
    ...     layer = case.layer()
    ...     if np.any(layer.predict(case.x + 1.0) < layer.predict(case.x)):
    ...         raise ContractViolation("a larger input gives a smaller output")
    >>> _ = check_layer(Sigmoid, (3,), laws=[*ALL, Law("monotony", "the output grows with the input", increases)])
    """

    name: str
    says: str
    check: Callable[[Case], Power | None]
    lifted: Callable[[Case], str] = _binds_all


def _approximate(case: Case) -> str:
    return case.layer().alters_gradient


def _coupled(case: Case) -> str:
    return case.layer().couples_samples


def _random(case: Case) -> str:
    return case.layer().stochastic


def _differs_by_mode(case: Case) -> str:
    return _random(case) or _coupled(case)


def _any_rank(case: Case) -> str:
    return "samples may have any number of axes" if case.layer().trailing_axes else _random(case)


def _parameterless(case: Case) -> str:
    return "" if case.layer().parameters() else "the layer has no parameters"


def _no_gradient_of_input(case: Case) -> str:
    return _approximate(case) if case.x.dtype.kind == "f" else "integers have no gradient"


def _no_gradient_of_parameters(case: Case) -> str:
    return _approximate(case) or _parameterless(case)


def _no_wider_type(case: Case) -> str:  # noqa: ARG001
    wider = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
    return "" if wider else "no type wider than float64 here, to measure rounding with"


ALL: tuple[Law, ...] = (
    Law(
        "shapes",
        "The verbs return arrays of real numbers; a gradient has the shape of what it belongs to.",
        law_calls.shapes,
    ),
    Law(
        "copies agree",
        "A copy by state_dict, deepcopy or pickle predicts the same, and shares no memory.",
        law_state.copies_agree,
    ),
    Law(
        "determinism",
        "The same input gives the same result; what is random comes from the layer's own.",
        law_state.determinism,
    ),
    Law("instances share nothing", "What one instance does, another does not see.", law_state.instances_share_nothing),
    Law(
        "arguments untouched",
        "No verb writes to x, grad or a cache; all may be read-only.",
        law_calls.arguments_untouched,
    ),
    Law(
        "two open passes",
        "A second forward pass does not disturb the backward pass of the first.",
        law_state.two_open_passes,
    ),
    Law("results stay", "Nothing that a call returned changes in a later call.", law_calls.results_stay),
    Law(
        "no aliasing",
        "No result is a view of a parameter, no parameter's gradient a view of anything.",
        law_calls.no_aliasing,
    ),
    Law(
        "nothing left behind",
        "Passes change buffers and random streams, no other attribute.",
        law_state.nothing_left_behind,
    ),
    Law("dtype", "float32 in, float32 out, gradients included; float64 with all its digits.", law_numbers.dtype_kept),
    Law("finite", "Finite input up to 1e3 gives finite results; beyond, no exception.", law_numbers.finite),
    Law("gradients add", "Gradients add over backward passes.", law_gradients.gradients_add, _parameterless),
    Law(
        "input gradient",
        "backward returns the gradient of the input.",
        law_gradients.input_gradient,
        _no_gradient_of_input,
    ),
    Law(
        "parameter gradient",
        "backward adds the gradient of every parameter.",
        law_gradients.parameter_gradient,
        _no_gradient_of_parameters,
    ),
    Law("linearity", "backward is linear in the upstream gradient.", law_gradients.linearity, _approximate),
    Law(
        "accumulate", "accumulate does to the parameters what backward does.", law_gradients.accumulates, _parameterless
    ),
    Law("layout", "The layout of x and of grad in memory does not matter.", law_batches.layout_irrelevant),
    Law(
        "float32 agrees", "float32 agrees with float64 to within rounding.", law_numbers.float32_agrees, _no_wider_type
    ),
    Law(
        "samples independent",
        "A sample's result depends on no other sample.",
        law_batches.samples_independent,
        _coupled,
    ),
    Law("batch sizes", "Batches of none and of one work.", law_batches.batch_sizes),
    Law(
        "leading axes",
        "One more leading axis gives what its rows give.",
        law_batches.leading_axes,
        _coupled,
    ),
    Law(
        "missing batch axis",
        "A sample without its batch axis is refused or handled, never broadcast.",
        law_batches.missing_batch_axis,
        _any_rank,
    ),
    Law("predict agrees", "predict gives what forward gives.", law_calls.predict_agrees, _differs_by_mode),
    Law("predict leaves no trace", "predict changes nothing, and is deterministic.", law_calls.predict_leaves_no_trace),
    Law(
        "feature count",
        "Features are not stretched or left out; a wrong number is a ValueError.",
        law_batches.feature_count,
    ),
)
