"""The sigmoid and its slope."""

import numpy as np

from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.sources import solution

_X = np.array([-2.0, -0.5, 0.0, 1.0, 3.0])
_L = 1 / (1 + np.exp(-_X))
_SLOPE = _L * (1 - _L)


def _values(answer: Answer) -> None:
    slips = {
        "the minus before x is missing: this falls where it should rise": 1 / (1 + np.exp(_X)),
        "1 / 1 + e^-x is read as (1 / 1) + e^-x: the sum below needs its brackets": 1 + np.exp(-_X),
        "this is e^-x / (1 + e^-x), which falls: the numerator is 1": np.exp(-_X) / (1 + np.exp(-_X)),
        "this is the tanh, which goes from -1 to 1": np.tanh(_X),
    }
    expect(f"sigmoid(x) of x = {_X}", answer.sigmoid(_X.copy()), _L, slips=slips, look="the formula 1 / (1 + e^-x)")


def _extremes(answer: Answer) -> None:
    look = "what np.exp gives for 1000, and which of e^x and e^-x your formula has"
    expect("sigmoid(x) of x = [-1000, 1000]", answer.sigmoid(np.array([-1e3, 1e3])), [0, 1], look=look, tolerance=1e-6)


def _slope(answer: Answer) -> None:
    slips = {
        "slope(l) takes l for x, and computes the sigmoid of it once more": (s := 1 / (1 + np.exp(-_L))) * (1 - s),
        "the brackets are missing: l * 1 - l is 0": _L * 0,
        "this is 1 - l alone: the factor l is missing": 1 - _L,
        "this is l + (1 - l), a sum: the two are factors": _L * 0 + 1,
        "this is the slope of the tanh, 1 - l^2": 1 - _L**2,
    }
    what = f"slope(l) of l = sigmoid(x) = {_L.round(3)}"
    expect(what, answer.slope(_L.copy()), _SLOPE, slips=slips, look="l (1 - l): one factor rises, the other falls")


EXERCISE = Exercise(
    name="sigmoid",
    title="The sigmoid and its slope",
    source=solution("sigmoid"),
    prediction=Prediction(
        "how steep is the sigmoid where it is steepest, at x = 0? (A number.)",
        0.25,
        "At x = 0 the output l is 1/2, and l (1 - l) is 1/4. So each sigmoid on the way back divides a gradient by "
        "four at least.",
    ),
    hint="The derivative of 1 / (1 + e^-x) is e^-x / (1 + e^-x)^2. Write it as a product of two fractions: one of "
    "them is l. What is 1 - l?",
    marks=[
        Mark("sigmoid(x) is 1 / (1 + e^-x)", _values),
        Mark("large numbers do no harm", _extremes),
        Mark("slope(l) is the slope of the sigmoid", _slope),
    ],
)
