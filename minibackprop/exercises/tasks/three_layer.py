"""The three-layer network, from memory."""

from typing import Any

import numpy as np

from minibackprop.article import EITHER_NOT_BOTH, ERROR, X, three_layer
from minibackprop.exercises.answer import Answer, Miss
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.passes import returned
from minibackprop.exercises.sources import solution
from minibackprop.numerics.functions import sigmoid
from minibackprop.validation import Array

_Y = EITHER_NOT_BOTH
_SYN0, _SYN1 = three_layer().syn0.copy(), three_layer().syn1.copy()
_L1 = sigmoid(X @ _SYN0)
_L2 = sigmoid(_L1 @ _SYN1)
_SLOPE1, _SLOPE2 = _L1 * (1 - _L1), _L2 * (1 - _L2)
_ERROR2 = _Y - _L2
_DELTA2 = _ERROR2 * _SLOPE2
_ERROR1 = _DELTA2 @ _SYN1.T
_CHANGE1, _CHANGE0 = _L1.T @ _DELTA2, X.T @ (_ERROR1 * _SLOPE1)


def _trained(answer: Answer, steps: int, sign: int = 1) -> tuple[Any, ...]:
    got = answer.train(X.copy(), _Y.copy(), sign * _SYN0, sign * _SYN1, steps)
    syn0, syn1, errors = returned("train", got, "syn0, syn1, errors")
    look = "errors.append(...), once in each step"
    if not hasattr(errors, "__len__"):
        raise Miss(f"errors is {type(errors).__name__}, and should be a list with a number for each step", look=look)
    if len(errors) != steps:
        raise Miss(f"for {steps} step{'s' * (steps > 1)}, errors has {len(errors)} entries", look=look)
    return syn0, syn1, errors


def _forward(answer: Answer) -> None:
    z = _L1 @ _SYN1
    slips = {
        "this is the mean of the squares: the article prints that of the absolute values": np.mean(_ERROR2**2),
        "the absolute values are missing: errors of both signs cancel": np.mean(_ERROR2),
        "this is the sum over the samples, not their mean": np.abs(_ERROR2).sum(),
        "this is the mean of the delta: the slope is not part of the error": np.mean(np.abs(_DELTA2)),
        "the second sigmoid is missing: l2 is a sigmoid as well": np.mean(np.abs(_Y - z)),
        "the first sigmoid is missing: l1 is a sigmoid as well": np.mean(np.abs(_Y - sigmoid(X @ _SYN0 @ _SYN1))),
        "this is the error after the update: errors are from before it": _error(_SYN0 + _CHANGE0, _SYN1 + _CHANGE1),
    }
    what, look = "the error of the first step", "l1, l2, then the mean of |y - l2|"
    expect(what, _trained(answer, 1)[2][0], _error(_SYN0, _SYN1), slips=slips, look=look)
    slips = {"this begins with other weights than those that train is given": _error(_SYN0, _SYN1)}
    came = _trained(answer, 1, -1)[2][0]
    expect(f"{what} from other weights", came, _error(-_SYN0, -_SYN1), slips=slips, look=look)


def _error(syn0: Array, syn1: Array) -> float:
    return float(np.mean(np.abs(_Y - sigmoid(sigmoid(X @ syn0) @ syn1))))


def _second(answer: Answer) -> None:
    z = _L1 @ _SYN1
    slips = {
        "this goes uphill: the error is y - l2, so the update is added": -_CHANGE1,
        "the slope of l2 is missing from its delta": _L1.T @ _ERROR2,
        "the slope takes l2, the output, not l1 @ syn1": _L1.T @ (_ERROR2 * z * (1 - z)),
        "this is a mean over the samples: the article takes the sum": _CHANGE1 / len(X),
        "syn1 has not changed": 0 * _CHANGE1,
        "syn1 is replaced by its change, which should be added": _CHANGE1 - _SYN1,
        "this is made of l2: what is multiplied by the delta of l2 is l1": _L2.T @ _DELTA2,
    }
    changes = {cause: _SYN1 + change for cause, change in slips.items()}
    look = "l2_delta, the error times l2 (1 - l2), and the update syn1 + l1.T @ l2_delta: what goes into syn1 is l1"
    expect("syn1 after one step", _trained(answer, 1)[1], _SYN1 + _CHANGE1, slips=changes, look=look)


def _first(answer: Answer) -> None:
    later = _DELTA2 @ (_SYN1 + _CHANGE1).T
    slips = {
        "the error of l1 went through the new syn1: both deltas are computed before either weight changes": X.T
        @ (later * _SLOPE1),
        "this goes uphill: the update is added": -_CHANGE0,
        "the slope of l1 is missing from its delta": X.T @ _ERROR1,
        "the error of l2 went back, not its delta: the slope of l2 is lost": X.T @ ((_ERROR2 @ _SYN1.T) * _SLOPE1),
        "the slope in l1's delta is that of l2": X.T @ (_ERROR1 * _SLOPE2),
        "the weights syn1 are missing on the way back: each hidden unit gets the same error": X.T @ (_DELTA2 * _SLOPE1),
        "this is a mean over the samples: the article takes the sum": _CHANGE0 / len(X),
        "syn0 has not changed": 0 * _CHANGE0,
        "syn0 is replaced by its change, which should be added": _CHANGE0 - _SYN0,
        "the error of l1 is taken from y: no hidden unit has a target": X.T @ ((_Y - _L1) * _SLOPE1),
        "l2 itself went back, not its delta": X.T @ ((_L2 @ _SYN1.T) * _SLOPE1),
    }
    changes = {cause: _SYN0 + change for cause, change in slips.items()}
    look = "l1_error = l2_delta @ syn1.T, then l1_delta = l1_error * l1 (1 - l1), then the update syn0 + x.T @ l1_delta"
    expect("syn0 after one step", _trained(answer, 1)[0], _SYN0 + _CHANGE0, slips=changes, look=look)


def _digits(answer: Answer) -> str:
    _, _, errors = _trained(answer, max(ERROR) + 1)
    look = "what differs in a later step from the first: does the next step begin with the new weights?"
    came = [errors[step] for step in ERROR]
    expect(
        f"the error of the steps {', '.join(map(str, ERROR))}",
        came,
        [float(text) for text in ERROR.values()],
        look=look,
        tolerance=1e-11,
    )
    return "the errors: " + ", ".join(f"{error:.12g}" for error in came)


EXERCISE = Exercise(
    name="three_layer",
    title="The three-layer network, from memory",
    source=solution("three_layer"),
    prediction=Prediction(
        "all weights start at zero instead of at random. How large is the error of the last of 60,000 steps, to "
        "one digit? (A number.)",
        0.5,
        "With syn1 at 0, no error comes back to l1, so syn0 stays as it is. All of l1 is 1/2, and the deltas of l2 "
        "add up to 0, so syn1 stays as well. Nothing ever moves: every output is 1/2.",
    ),
    hint="l1_error answers: by how much would the loss shrink if this hidden unit's output grew a little? Each "
    "unit reaches l2 through its weight in syn1, so it is l2_delta times that weight: l2_delta @ syn1.T. From "
    "there on, l1 is what l2 was.",
    marks=[
        Mark("the first step's error is that of the network", _forward),
        Mark("the first step changes syn1 as it should", _second),
        Mark("the first step changes syn0 as it should", _first),
        Mark("60,000 steps give the published digits", _digits),
    ],
)
