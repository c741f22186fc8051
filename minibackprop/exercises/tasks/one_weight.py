"""One weight, by hand."""

import numpy as np

from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.sources import solution

_X, _Y, _W, _RATE = 2.0, 1.0, -0.5, 0.3
_L = float(1 / (1 + np.exp(-_X * _W)))
_ERROR, _SLOPE = _L - _Y, _L * (1 - _L)
_GRADIENT = _ERROR * _SLOPE * _X
_POINT = "x = 2, y = 1, w = -0.5"


def _output(answer: Answer) -> None:
    slips = {
        "the sigmoid is missing: this is x * w": _X * _W,
        "the sigmoid is taken twice": 1 / (1 + np.exp(-_L)),
        "the sigmoid is of x + w: a weight multiplies": 1 / (1 + np.exp(-_X - _W)),
    }
    expect("forward(x, w) for x = 2, w = -0.5", answer.forward(_X, _W), _L, slips=slips, look="l = sigmoid(x * w)")


def _derivative(answer: Answer) -> None:
    low, high = _ERROR**2 / 2, _loss(_W + 1e-3)
    half = f"The loss is {low:.6f} at w = -0.5, and {high:.6f} at w = -0.499"
    slips = {
        "the slope of the sigmoid is missing": _ERROR * _X,
        "the last factor is missing: z = x * w has the slope x with respect to w": _ERROR * _SLOPE,
        "the slopes are added: those of functions that follow one another are multiplied": _ERROR + _SLOPE + _X,
        "the error is missing: how much the loss grows with l is l - y": _SLOPE * _X,
        "the sign is the wrong way round: the slope of (l - y)^2 / 2 is l - y, not y - l": -_GRADIENT,
        "it is twice what it should be: the half before the square takes the 2 away": 2 * _GRADIENT,
        "the last factor is w, the slope with respect to x: the one with respect to w is x": _ERROR * _SLOPE * _W,
        "the slope of the sigmoid takes l, the output, not x * w": _ERROR * _X * _W * (1 - _X * _W) * _X,
        "the error is squared: this takes the loss for its slope": _ERROR**2 * _SLOPE * _X,
        "the error is squared and halved: this takes the loss itself for its slope": _ERROR**2 / 2 * _SLOPE * _X,
    }
    what = f"gradient(x, y, w) for {_POINT}"
    look = (
        f"the three factors: (l - y), l (1 - l), x. {half}: ({high:.6f} - {low:.6f}) / 0.001 is close to the gradient"
    )
    expect(what, answer.gradient(_X, _Y, _W), _GRADIENT, slips=slips, look=look)
    x, y, w = 0.7, 0.2, 1.1
    l = 1 / (1 + np.exp(-x * w))
    what = "gradient(x, y, w) for x = 0.7, y = 0.2, w = 1.1"
    expect(what, answer.gradient(x, y, w), (l - y) * l * (1 - l) * x, look="numbers in your code that should be names")


def _loss(w: float) -> float:
    return float((1 / (1 + np.exp(-_X * w)) - _Y) ** 2 / 2)


def _step(answer: Answer) -> None:
    slips = {
        "this goes uphill: the gradient points to where the loss grows, so it is subtracted": _W + _RATE * _GRADIENT,
        "the rate is missing": _W - _GRADIENT,
        "this is the step alone: the new weight is the old one minus the step": -_RATE * _GRADIENT,
        "this is the change alone, with the wrong sign: the new weight is the old one minus it": _RATE * _GRADIENT,
        "the weight is as it was": _W,
    }
    what = f"step(x, y, w, rate) for {_POINT}, rate = 0.3"
    expect(what, answer.step(_X, _Y, _W, _RATE), _W - _RATE * _GRADIENT, slips=slips, look="w - rate * gradient")


EXERCISE = Exercise(
    name="one_weight",
    title="One weight, by hand",
    source=solution("one_weight"),
    prediction=Prediction(
        "with x = 1, y = 1 and w = 0, does a step make w larger or smaller? (A word: larger or smaller.)",
        "larger",
        "The output is 1/2, and should be 1. With x positive, a larger w makes it larger: the gradient is "
        "negative, -1/2 * 1/4 * 1, and the step goes against it.",
    ),
    hint="Three functions follow one another: z = x * w, then l = sigmoid(z), then (l - y)^2 / 2. Their slopes are "
    "x, l (1 - l) and l - y. The slope of the whole is their product.",
    marks=[
        Mark("forward gives sigmoid(x * w)", _output),
        Mark("gradient is the slope of the loss", _derivative),
        Mark("a step goes downhill", _step),
    ],
)
