"""The laws of the layer contract, in the order in which they are checked.

What a law takes for granted, an earlier one has made sure of.
"""

from __future__ import annotations

import numpy as np

from minibackprop.errors import ConfigError
from minibackprop.testing.case import Case
from minibackprop.testing.laws.arrays import lifted_for_other_frameworks, other_arrays
from minibackprop.testing.laws.base import Law
from minibackprop.testing.laws.batches import (
    batch_sizes,
    feature_count,
    layout_irrelevant,
    leading_axes,
    missing_batch_axis,
    other_lengths,
    predictions_independent,
    samples_independent,
)
from minibackprop.testing.laws.calls import (
    arguments_untouched,
    no_aliasing,
    predict_agrees,
    predict_leaves_no_trace,
    results_stay,
    shapes,
)
from minibackprop.testing.laws.gradients import (
    accumulates,
    gradients_add,
    input_gradient,
    linearity,
    parameter_gradient,
)
from minibackprop.testing.laws.numbers import dtype_kept, finite, float32_agrees
from minibackprop.testing.laws.state import (
    copies_agree,
    determinism,
    frozen,
    instances_share_nothing,
    nothing_left_behind,
    two_open_passes,
)
from minibackprop.testing.laws.workers import shared_by_workers


def _approximate(case: Case) -> str:
    return "" if case.surrogate else case.as_it_is().alters_gradient


def _coupled(case: Case) -> str:
    return case.as_it_is().couples_samples


def _random(case: Case) -> str:
    return case.as_it_is().stochastic


def _differs_by_mode(case: Case) -> str:
    return _random(case) or _coupled(case)


def _with_side_inputs(case: Case) -> str:
    return "the side inputs have a row for each sample of a batch" if case.side_inputs else ""


def _no_other_axes(case: Case) -> str:
    return _coupled(case) or _with_side_inputs(case)


def _any_rank(case: Case) -> str:
    if case.as_it_is().trailing_axes:
        return "samples may have any number of axes"
    return _random(case) or _with_side_inputs(case)


def _of_one_shape(case: Case) -> str:
    if case.x.ndim < 2 or not case.any_input:
        return "samples of another shape are not known to be input"
    return _with_side_inputs(case)


def _of_one_length(case: Case) -> str:
    if case.x.dtype.kind != "f":
        return "integers have no gradient"
    return _of_one_shape(case) or _approximate(case)


def _parameterless(case: Case) -> str:
    return "" if case.as_it_is().parameters() else "the layer has no parameters"


def _no_gradient_of_input(case: Case) -> str:
    return _approximate(case) if case.x.dtype.kind == "f" else "integers have no gradient"


def _no_gradient_of_parameters(case: Case) -> str:
    return _approximate(case) or _parameterless(case)


def _not_freezable(case: Case) -> str:
    try:
        case.layer().freeze()
    except ConfigError as error:
        return str(error)
    return ""


def _no_wider_type(case: Case) -> str:  # noqa: ARG001
    wider = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
    return "" if wider else "no type wider than float64 here, to measure rounding with"


ALL: tuple[Law, ...] = (
    Law(
        "shapes",
        "The verbs return arrays of real numbers; a gradient has the shape of what it belongs to.",
        shapes,
        each_time=False,
    ),
    Law(
        "copies agree",
        "A copy by state_dict, deepcopy or pickle predicts the same, and shares no memory.",
        copies_agree,
        each_time=False,
    ),
    Law(
        "determinism",
        "The same input gives the same result; random numbers come from the layer's own generator.",
        determinism,
    ),
    Law(
        "instances share nothing",
        "What one instance does, another does not see.",
        instances_share_nothing,
        each_time=False,
    ),
    Law(
        "arguments untouched",
        "No verb writes to x, grad or a cache; all may be read-only.",
        arguments_untouched,
        each_time=False,
    ),
    Law(
        "two open passes",
        "A second forward pass does not disturb the backward pass of the first.",
        two_open_passes,
        each_time=False,
    ),
    Law("results stay", "Nothing that a call returned changes in a later call.", results_stay, each_time=False),
    Law(
        "no aliasing",
        "No result is a view of a parameter, no parameter's gradient a view of anything.",
        no_aliasing,
        each_time=False,
    ),
    Law(
        "nothing left behind",
        "Passes change buffers and random streams, no other attribute.",
        nothing_left_behind,
        each_time=False,
    ),
    Law(
        "dtype",
        "float32 in, float32 out, gradients included; float64 with all its digits.",
        dtype_kept,
        each_time=False,
    ),
    Law("finite", "Finite input up to 1e3 gives finite results; beyond, no exception.", finite),
    Law("gradients add", "Gradients add over backward passes.", gradients_add, _parameterless, each_time=False),
    Law(
        "input gradient",
        "backward returns the gradient with respect to the input.",
        input_gradient,
        _no_gradient_of_input,
    ),
    Law(
        "parameter gradient",
        "backward adds the gradient with respect to every parameter.",
        parameter_gradient,
        _no_gradient_of_parameters,
    ),
    Law("linearity", "backward is linear in the upstream gradient.", linearity, _approximate, each_time=False),
    Law(
        "accumulate",
        "accumulate does to the parameters what backward does.",
        accumulates,
        _parameterless,
        each_time=False,
    ),
    Law("layout", "The layout of x and of grad in memory does not matter.", layout_irrelevant, each_time=False),
    Law(
        "float32 agrees",
        "float32 agrees with float64 to within rounding.",
        float32_agrees,
        _no_wider_type,
        each_time=False,
    ),
    Law(
        "samples independent",
        "A sample's result depends on no other sample.",
        samples_independent,
        _coupled,
    ),
    Law("batch sizes", "Batches of none and of one work.", batch_sizes),
    Law(
        "leading axes",
        "Input with one more leading axis gives what its rows give.",
        leading_axes,
        _no_other_axes,
        each_time=False,
    ),
    Law(
        "missing batch axis",
        "A sample without its batch axis is refused or handled, never broadcast.",
        missing_batch_axis,
        _any_rank,
        each_time=False,
    ),
    Law("predict agrees", "predict gives what forward gives.", predict_agrees, _differs_by_mode),
    Law(
        "predict leaves no trace",
        "predict changes nothing, and is deterministic.",
        predict_leaves_no_trace,
        each_time=False,
    ),
    Law("predictions independent", "The prediction for a sample depends on no other sample.", predictions_independent),
    Law(
        "frozen",
        "A frozen layer stores no gradient and does what predict does; the gradient still passes through.",
        frozen,
        _not_freezable,
        each_time=False,
    ),
    Law(
        "feature count",
        "Features are not stretched or left out; a wrong number is a ValueError.",
        feature_count,
        _of_one_shape,
        each_time=False,
    ),
    Law(
        "workers",
        "Two workers who share a batch find what one pass finds, as the layer says that they do.",
        shared_by_workers,
        each_time=False,
    ),
    Law(
        "other lengths",
        "The gradients are right for samples of other lengths and widths that forward takes.",
        other_lengths,
        _of_one_length,
        each_time=False,
    ),
    Law(
        "other arrays",
        "On a GPU's array, the verbs give what they give on NumPy's, bit for bit, and leave it there.",
        other_arrays,
        lifted_for_other_frameworks,
        each_time=False,
    ),
)
