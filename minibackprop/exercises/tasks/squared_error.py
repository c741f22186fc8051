"""The mean squared error: a loss, and its first gradient."""

from typing import Any

import numpy as np

from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, loss_gradient, other_loss_laws
from minibackprop.exercises.passes import loss_forward
from minibackprop.exercises.sources import solution
from minibackprop.losses.base import Loss
from minibackprop.validation import Array

_T = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_D = np.array([[1.0, 0.0, -2.0], [3.0, 1.0, 0.0], [-4.0, 2.0, 1.0], [4.0, 2.0, 2.0]])
_P = _T + _D
_WEIGHTS = np.array([1.0, 2.0, 0.0, 3.0])
_COLUMN = _WEIGHTS[:, np.newaxis]
_BATCH = f"4 samples with 3 outputs, where p - t is {_D.astype(int).tolist()}"

_SCALE = (
    "the argument scale of backward, which the checker calls grad, the upstream gradient: what is returned is "
    "multiplied by it, once"
)
LOOK = {
    "upstream gradient ignored": _SCALE,
    "not linear in grad": _SCALE,
    "value": "what forward returns, a float and the cache, and what backward returns, an array of the shape of p",
    "gradient": "how much the mean changes if one entry of p does: 2 (p - t), times its weight, over the sum of "
    "all weights. And what is in the cache",
    "arguments untouched": "+=, -= and *= on what is in the cache: backward may be called twice with one cache",
    "scale": _SCALE,
    "weights": "where backward gets the differences and the weights from: from its argument, not from an "
    "attribute, which another forward may have set since",
    "parts": "where backward gets the differences and the weights from: from its argument, not from an attribute",
}


def _made(answer: Answer) -> Loss:
    loss: Loss = answer.MeanSquaredError()
    return loss


def _forth(answer: Answer, *weights: Array) -> tuple[Loss, Any, Any]:
    """Call forward, and return the loss, its value and the cache."""
    loss = _made(answer)
    return loss, *loss_forward(loss, _P, _T, *weights)


def _forward(answer: Answer) -> None:
    squares = _D**2
    slips = {
        "this is the sum of the squares, not their mean": squares.sum(),
        "this is half the sum of the squares, the loss of the exercises before: here it is their mean": squares.sum()
        / 2,
        "this is half the mean: there is no half in this loss": squares.mean() / 2,
        "this is the sum divided by the number of samples: the mean is over all entries, outputs too": squares.sum()
        / 4,
        "this is the sum divided by the number of outputs: the mean is over all entries": squares.sum() / 3,
        "this is the mean of p - t: the square is missing, and errors of both signs cancel": _D.mean(),
        "this is the square of the mean: square first, then take the mean": _D.mean() ** 2,
        "this is the mean of the absolute values: the square is missing": np.abs(_D).mean(),
        "this is the root of the mean: there is no root in this loss": np.sqrt(squares.mean()),
        "this is the length of p - t, the root of the sum: there is no root in this loss": np.sqrt(squares.sum()),
        "these are means of each sample: the mean is over the whole batch, and a single number": squares.mean(axis=1),
        "these are means of each output: the mean is over the whole batch, and a single number": squares.mean(axis=0),
        "these are the squares: their mean is missing": squares,
    }
    expect(f"the loss of {_BATCH},", _forth(answer)[1], squares.mean(), slips=slips, look="the mean of (p - t)^2")


def _backward(answer: Answer) -> None:
    loss, _, cache = _forth(answer)
    slips = {
        "it is divided by the number of entries, but the 2 of the square is missing": _D / 12,
        "this is p - t, the gradient of half the sum: a mean has a 2, and is divided by the number of its entries": _D,
        "the 2 is there, but it is not divided by the number of entries: forward takes a mean": 2 * _D,
        "it is divided by the number of samples: the mean is over all entries, outputs too": _D / 2,
        "it is divided by the number of samples, and the 2 of the square is missing": _D / 4,
        "the sign is the wrong way round: where p is too large, the loss grows with p": -_D / 6,
        "p - t is squared: this takes the loss for its slope": 2 * _D**2 / 12,
        "p - t is squared: these are the terms of the loss, not their slopes": _D**2 / 12,
        "it is divided twice by the number of entries": 2 * _D / 144,
        "these are signs, the slope of the mean of absolute values": np.sign(_D) / 12,
        "the target is missing: the slope is that of p^2": 2 * _P / 12,
        "this is made of the value of the loss, not of p - t: what is in the cache?": np.full((4, 3), 2 * 5 / 12),
        "the entries are summed up: each entry of p has a slope of its own": (2 * _D / 12).sum(),
        "this is a mean over the samples: each entry of p has a slope of its own": 2 * _D.mean(axis=0),
        "this is their mean: each entry of p has a slope of its own": (2 * _D).mean(),
    }
    look = "how much the mean of twelve squares changes if one p grows a little: the slope of (p - t)^2, over twelve"
    expect(f"the gradient for {_BATCH},", loss.backward(cache), _D / 6, slips=slips, look=look)


def _weighted(answer: Answer) -> None:
    loss, value, cache = _forth(answer, _WEIGHTS)
    squares, total = _COLUMN * _D**2, 3 * _WEIGHTS.sum()
    slips = {
        "the weights are ignored": (_D**2).mean(),
        "it is divided by the number of entries, not by the sum of the weights": squares.mean(),
        "the weights are not in the sum, but in what it is divided by": (_D**2).sum() / total,
        "the weights multiply p - t before the square, and so are squared too": (_COLUMN**2 * _D**2).sum() / total,
        "it is divided by the sum of the weights of the samples: w has one for each entry": squares.sum() / (total / 3),
    }
    what = f"with weights of {_WEIGHTS}, the loss of {_BATCH},"
    look = "sum(w * (p - t)^2) / sum(w). Here the second sample counts twice, the third not at all"
    expect(what, value, squares.sum() / total, slips=slips, look=look)
    slips = {
        "the weights are ignored on the way back": 2 * _D / 12,
        "it is divided by the number of entries, not by the sum of the weights": 2 * _COLUMN * _D / 12,
        "the weights are not in the product, but in what it is divided by": 2 * _D / total,
        "the weights are in it twice": 2 * _COLUMN**2 * _D / total,
    }
    what = f"with weights of {_WEIGHTS}, the gradient for {_BATCH},"
    look = "that w is in the cache, and where the formula of forward has it: each term of the sum has its w as a factor"
    expect(what, loss.backward(cache), 2 * _COLUMN * _D / total, slips=slips, look=look)


EXERCISE = Exercise(
    name="squared_error",
    title="A loss and its first gradient",
    source=solution("squared_error"),
    prediction=Prediction(
        "two copies of a network with one output learn from batches of 8 samples, one from the sum of the squares, "
        "the other from their mean. How many times as large must the second one's step size be, so that both take "
        "the same steps? (A number.)",
        8,
        "The mean is an eighth of the sum, and so is each gradient. With a mean, the step size that fits hardly "
        "depends on how many samples a batch has.",
    ),
    hint="Write the mean out for two entries: `((p1 - t1)^2 + (p2 - t2)^2) / 2`. Its derivative with respect to p1 "
    "is `2 (p1 - t1) / 2`: the other term does not depend on p1. It goes the same way with weights, for `(w1 (p1 - "
    "t1)^2 + w2 (p2 - t2)^2) / (w1 + w2)`.",
    marks=[
        Mark("forward gives the mean of the squares", _forward),
        Mark("backward gives its gradient", _backward),
        Mark("a weight counts as so many samples", _weighted),
        loss_gradient(_made, (2,), LOOK),
        other_loss_laws(_made, (2,), LOOK, without=NOT_TAUGHT),
    ],
)
