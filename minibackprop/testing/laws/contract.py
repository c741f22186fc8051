"""The laws of the layer contract, in the order in which they are checked.

What a law takes for granted, an earlier one has made sure of.
"""

from __future__ import annotations

import numpy as np

from minibackprop.testing.case import Case
from minibackprop.testing.laws import batches as law_batches
from minibackprop.testing.laws import calls as law_calls
from minibackprop.testing.laws import gradients as law_gradients
from minibackprop.testing.laws import numbers as law_numbers
from minibackprop.testing.laws import state as law_state
from minibackprop.testing.laws.base import Law


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
