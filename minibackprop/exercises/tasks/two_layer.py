"""The two-layer network, from memory."""

from typing import Any

import numpy as np

from minibackprop.article import FIRST_COLUMN, OUTPUT, X, two_layer
from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.passes import returned
from minibackprop.exercises.sources import solution
from minibackprop.numerics.functions import sigmoid
from minibackprop.validation import Array

_Y = FIRST_COLUMN
_SYN0 = two_layer().syn0.copy()
_L1 = sigmoid(X @ _SYN0)
_ERROR, _SLOPE = _Y - _L1, _L1 * (1 - _L1)
_STEP = X.T @ (_ERROR * _SLOPE)


def _trained(answer: Answer, steps: int, syn0: Array = _SYN0) -> tuple[Any, ...]:
    return returned("train", answer.train(X.copy(), _Y.copy(), syn0.copy(), steps), "syn0, l1")


def _plain(syn0: Array, steps: int, x: Array = X, y: Array = _Y) -> tuple[Array, Array]:
    """Train as the solution does."""
    l1 = np.zeros_like(y)
    for _ in range(steps):
        l1 = sigmoid(x @ syn0)
        syn0 = syn0 + x.T @ ((y - l1) * l1 * (1 - l1))
    return syn0, l1


def _one_by_one() -> tuple[Array, Array]:
    syn0, l1 = _SYN0, _L1
    for x, y in zip(X, _Y, strict=True):
        syn0, l1 = _plain(syn0, 1, x[None], y[None])
    return syn0, l1


def _forward(answer: Answer) -> None:
    after = sigmoid(X @ (_SYN0 + _STEP))
    slips = {
        "the sigmoid is missing: this is x @ syn0": X @ _SYN0,
        "the minus in e^-z is missing": 1 - _L1,
        "this is the output after the update: l1 is what the step computed before it": after,
        "this is the delta: the slope is not part of the output": _ERROR * _SLOPE,
        "this is syn0: the order is syn0, l1": _SYN0 + _STEP,
        "the samples went through one by one: all four go through at once": _one_by_one()[1],
        "more than one step was taken: there are as many as `steps` says": _plain(_SYN0, 10_000)[1],
    }
    look = "l1 = sigmoid(x @ syn0)"
    expect("l1 of the first step", _trained(answer, 1)[1], _L1, slips=slips, look=look)
    other = -_SYN0
    slips = {"this begins with other weights than those that train is given": _L1}
    expect("l1 of the first step from other weights", _trained(answer, 1, other)[1], 1 - _L1, slips=slips, look=look)


def _update(answer: Answer) -> None:
    z = X @ _SYN0
    slips = {
        "this goes uphill: the error is y - l1, so the update is added": -_STEP,
        "the slope is missing: the delta is the error times l1 (1 - l1)": X.T @ _ERROR,
        "the slope takes l1, the output, not x @ syn0": X.T @ (_ERROR * z * (1 - z)),
        "the slope is taken of sigmoid(l1), one sigmoid too many": X.T @ (_ERROR * (s := sigmoid(_L1)) * (1 - s)),
        "this is a mean over the samples: the article takes the sum": _STEP / len(X),
        "the error is missing from the delta": X.T @ _SLOPE,
        "the error is squared": X.T @ (_ERROR**2 * _SLOPE),
        "it is the factor 2 of the squared error: the article's loss is half of that": 2 * _STEP,
        "the weights have not changed": 0 * _STEP,
        "the weights are replaced by their change, which should be added": _STEP - _SYN0,
        "this is made of l1: what is multiplied by the delta is the input, x": _L1.T @ (_ERROR * _SLOPE),
        "the sign of the error is lost": X.T @ (np.abs(_ERROR) * _SLOPE),
        "y has been flattened: (4,) and (4, 1) make (4, 4)": X.T @ ((_Y.ravel() - _L1) * _SLOPE),
    }
    look = "the delta, (y - l1) * l1 * (1 - l1), and the update, syn0 + x.T @ delta"
    changes = {cause: _SYN0 + change for cause, change in slips.items()}
    changes |= {
        f"the change is {factor:g} times what it should be: the step size is 1": _SYN0 + factor * _STEP
        for factor in (0.1, 0.01, 0.5, 10)
    }
    changes["the weights changed after each sample: l1 of all of them comes first, then one change"] = _one_by_one()[0]
    expect("syn0 after one step", _trained(answer, 1)[0], _SYN0 + _STEP, slips=changes, look=look)


def _digits(answer: Answer) -> str:
    _, l1 = _trained(answer, 10_000)
    look = "what differs in a later step from the first: does the next step begin with the new syn0?"
    published = np.array(OUTPUT, dtype=float)[:, None]
    expect(
        "l1 of the last of 10,000 steps",
        l1,
        published,
        slips={"this is the output of the first step: only one was taken, or each began with the first weights": _L1},
        look=look,
        tolerance=1e-8,
    )
    return "the output: " + ", ".join(f"{value:.8f}" for value in np.ravel(np.asarray(l1)))


EXERCISE = Exercise(
    name="two_layer",
    title="The two-layer network, from memory",
    source=solution("two_layer"),
    prediction=Prediction(
        "the target is the first column of x. Which weight will be the largest after training: the first, the "
        "second or the third? (A word.)",
        "first",
        "It ends near 9.7: only the first input tells the samples apart. The second ends near 0, and the third, "
        "whose input is always 1, near -4.6.",
    ),
    hint="Four lines: l1, l1_error, l1_delta, and the update of syn0. For the last one, think of the shapes: x is "
    "(4, 3), the delta (4, 1), and the change must be (3, 1). Only x.T @ l1_delta is.",
    marks=[
        Mark("the first step's output is that of the network", _forward),
        Mark("the first step changes the weights as it should", _update),
        Mark("10,000 steps give the published digits", _digits),
    ],
)
