"""Dropout: a layer that draws, and a gradient of what was drawn."""

import numpy as np

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer, Miss
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import backward, forward, predict
from minibackprop.exercises.sources import solution
from minibackprop.validation import Array

_RATE = 0.25
_KEPT = 1 - _RATE
_X = np.linspace(-1.0, 3.0, 2000).reshape(100, 20)  # None of it is 0, so a zero of y is a zero of the mask.
#: How near a share of these entries comes to its probability, however the draws fall.
_CLOSE = 0.04
_GRAD = np.linspace(5.0, 1.0, 2000).reshape(100, 20)

_CACHE = "the cache: the mask that forward drew is all that backward needs"
LOOK = {
    "mask redrawn": _CACHE + ". Nothing is drawn on the way back",
    "where the input is zero": "where x is 0, y is 0 as well, dropped or not: y cannot tell what the mask was. "
    "Keep the mask itself in the cache",
    "shapes": "that y has the shape of x, and what backward returns the shape of grad",
    "input gradient": "y = x * mask, where the mask is a number for each entry: what does a small change of x[n, "
    "i] do to y[n, i]?",
    "two open passes": _CACHE + ". An attribute such as self.mask is overwritten by the next forward pass",
    "nothing left behind": "attributes that forward sets: " + _CACHE,
    "arguments untouched": "whether x, grad or the mask is written to: backward may be called twice with one cache",
    "predict leaves no trace": "predict, which draws nothing",
}


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.Dropout(_RATE, 0)
    return layer


def _share(dropped: Array) -> None:
    """Look at how many zeros there are, and at where they are."""
    share = float(dropped.mean())
    if 0 < share < 1 and ((dropped == dropped[0]).all() or (dropped == dropped[:, :1]).all()):
        cause = "one draw stands for a whole row or column of x: each entry has its own"
        raise Miss("forward sets whole rows or columns to zero", cause, "the shape of the mask, x.shape")
    if abs(share - _RATE) > _CLOSE:
        slips = {
            "rate is the probability of a zero; here it is that of an entry that is kept": _KEPT,
            "nothing is dropped: is the mask used, and is there a draw for each entry?": 0.0,
            "everything is dropped: is there a draw for each entry?": 1.0,
            "each entry has an even chance, whatever rate is": 0.5,
            "brackets are missing: a >= b / c is a >= (b / c)": _RATE / _KEPT,
            "the numbers are normal ones, where each number from 0 to 1 should be as likely as any other": 0.6,
        }
        cause = next((told for told, slip in slips.items() if abs(share - slip) < _CLOSE), "")
        look = "self.generator.random(x.shape) >= rate: a number from 0 to 1 is below rate with probability rate"
        raise Miss(f"with rate = {_RATE}, forward sets {share:.1%} of {_X.size} entries to zero", cause, look)


def _forward(answer: Answer) -> None:
    layer = _made(answer)
    y, _ = forward(layer, _X)
    if y.shape != _X.shape:
        raise Miss(f"forward of x of shape {_X.shape} gives y of shape {y.shape}", look="y = x * mask")
    dropped = y == 0
    _share(dropped)
    slips = {
        "what is kept is not scaled: on average y is smaller than x": _X,
        "it is scaled by 1 / rate: by the share that is dropped, not the one that is kept": _X / _RATE,
        "it is made smaller, by 1 - rate: what is kept has to make up for what is dropped": _X * _KEPT,
        "it is scaled by rate": _X * _RATE,
        "the factor is used twice": _X / _KEPT**2,
        "this is the mask alone: return x * mask, mask": np.full_like(_X, 1 / _KEPT),
    }
    kept = {cause: np.where(dropped, 0, slip) for cause, slip in slips.items()}
    what = f"with rate = {_RATE}, forward of x"
    expect(what, y, np.where(dropped, 0, _X / _KEPT), slips=kept, look="the factor of what is kept: 1 / (1 - rate)")
    again, _ = forward(layer, _X)
    if (dropped == (again == 0)).all():
        cause = "the same numbers are drawn each time: a generator is made, or seeded, in forward"
        raise Miss("two forward passes drop the same entries", cause, "self.generator, which goes on from draw to draw")
    other, _ = forward(_made(answer), _X)
    if (dropped != (other == 0)).any():
        cause = "random numbers come from elsewhere than the layer's own generator"
        raise Miss("two layers that are made with one seed drop different entries", cause, "self.generator")


def _backward(answer: Answer) -> None:
    layer = _made(answer)
    y, cache = forward(layer, _X)
    mask = np.where(y == 0, 0, 1 / _KEPT)
    back = backward(layer, _GRAD, cache)
    slips = {
        "the mask is missing: this is grad": _GRAD,
        "the mask is missing: this is the factor 1 / (1 - rate) for every entry": _GRAD / _KEPT,
        "the factor 1 / (1 - rate) is missing: it is part of the mask": _GRAD * (mask > 0),
        "the factor is used twice": _GRAD * mask / _KEPT,
        "the gradient is divided by the factor": _GRAD * (mask > 0) * _KEPT,
        "the gradient reaches what was dropped, in place of what was kept": _GRAD * (mask == 0) / _KEPT,
        "grad is multiplied by y; the slope of x * mask with respect to x is the mask": _GRAD * _X * mask,
        "grad is multiplied by x; the slope of x * mask with respect to x is the mask": _GRAD * _X,
        "this is the mask alone: grad is missing": mask,
    }
    if _drops(back, _GRAD):
        slips["this is another mask than the one that forward used: backward draws one of its own"] = back
    what = "backward of grad, after forward of x,"
    expect(what, back, _GRAD * mask, slips=slips, look=_CACHE)


def _drops(came: object, x: Array) -> bool:
    """Tell a product of x by a mask: some of it is zero, the rest is scaled by one number."""
    if not isinstance(came, np.ndarray) or came.shape != x.shape or not 0.01 < np.mean(came == 0) < 0.99:
        return False
    return bool(np.ptp((came / x)[came != 0]) < 1e-9)


def _predict(answer: Answer) -> None:
    layer = _made(answer)
    predicted = predict(layer, _X)
    slips = {
        "this is the paper's own way, to scale by 1 - rate in use: here forward has scaled already": _X * _KEPT,
        "this is scaled by rate": _X * _RATE,
        "this is scaled as in training: but nothing is dropped in use": _X / _KEPT,
    }
    if _drops(predicted, _X):
        slips["this has zeros in it: predict drops entries, as forward does in training"] = predicted
    expect(f"with rate = {_RATE}, predict of x", predicted, _X, slips=slips, look="what is to be done in use: nothing")


EXERCISE = Exercise(
    name="dropout",
    title="Dropout",
    source=solution("dropout"),
    prediction=Prediction(
        "x is an array of ones, and rate is 0.2. What is the largest number in the result of forward? (A number.)",
        1.25,
        "Four fifths of the ones are kept, on average. Each is multiplied by 5/4, so that the mean stays 1.",
    ),
    hint="`self.generator.random(x.shape) >= self.rate` is an array of True and False, and True counts as 1 where "
    "you compute with it. How often is it True? For backward: once the mask is drawn, it is an array of constants, "
    "and y = x * mask is a product by constants.",
    marks=[
        Mark("forward drops a share of `rate`, and scales up the rest", _forward),
        Mark("backward uses the mask of its forward pass", _backward),
        Mark("predict drops nothing", _predict),
        gradients(_made, (3,), LOOK, examples=10, shrink=False),
        other_laws(_made, (3,), LOOK, without=NOT_TAUGHT, examples=5),
    ],
)
