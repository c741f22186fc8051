"""`Dense`: the first layer of one's own."""

import numpy as np

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer, Miss
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import backward, forward, gradient
from minibackprop.exercises.sources import solution
from minibackprop.validation import Array

_W = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.0]])
_B = np.array([10.0, 20.0])
_X = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
_GRAD = np.array([[1.0, 10.0], [100.0, 1000.0]])

_SHAPES = "x is (N, inputs), grad (N, outputs), W (inputs, outputs). Which product of two of them has the shape of "
LOOK = {
    "batch size": "grad.mean where the sum belongs: the loss is of the whole batch, and each sample adds to it",
    "transposed": f"the shapes: {_SHAPES}what you compute?",
    "no gradient reaches": "whether both parameters get theirs, self.W.add(...) and self.b.add(...)",
    "sign flipped": "the minus: a gradient points uphill, and the optimizer subtracts it",
    "not linear": "W and b in backward: it only adds gradients; to change the weights is an optimizer's work",
    "gradients add": "self.W.add(...), which adds to what an earlier pass left; do not set self.W.grad",
    "shapes": f"the shapes: {_SHAPES}each gradient?",
    "input gradient": f"what a small change of x[n, i] changes: each y[n, j], by W[i, j]. {_SHAPES}x?",
    "parameter gradient": "what a small change of W[i, j] changes: y[n, j] of every sample n, by x[n, i]. And b[j] "
    f"changes y[n, j] of every n, by 1. {_SHAPES}W?",
    "two open passes": "where backward gets x from: it must be the cache, not an attribute that the last forward left",
    "nothing left behind": "attributes that forward sets: what backward needs goes into the cache",
    "no aliasing": "rows of grad or x that are handed to add(...): they belong to the caller. A sum, or .copy(), "
    "is new",
    "batch sizes": "a batch of no samples: a loop over its rows adds up nothing, and gives no array of the right shape",
    "arguments untouched": "+=, -= and *= on x or grad, which belong to the caller",
}


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.Dense(3, 2, np.random.default_rng(0))
    return layer


def _values(answer: Answer) -> None:
    layer = _made(answer)
    layer.load_state_dict({"W": _W, "b": _B})
    came, _ = forward(layer, _X)
    slips = {
        "the bias is missing": _X @ _W,
        "the bias is subtracted": _X @ _W - _B,
        "the bias is added to the inputs of each sum, not once to the sum": _X @ _W + 3 * _B,
    }
    what = f"forward of x = {_X.tolist()}, with W = {_W.tolist()} and b = {_B.tolist()}"
    expect(what, came, _X @ _W + _B, slips=slips, look="y = x @ W + b")


def _way_back(answer: Answer) -> None:
    layer = _made(answer)
    layer.load_state_dict({"W": _W, "b": _B})
    _, cache = forward(layer, _X)
    came = backward(layer, _GRAD, cache)
    for name, was in (("W", _W), ("b", _B)):
        if not np.array_equal(dict(layer.named_parameters())[name].value, was):
            look = f"self.{name}.value: backward only adds gradients; to change the weights is an optimizer's work"
            raise Miss(f"backward changes {name}", look=look)
    given = f"for grad = {_GRAD.tolist()}"
    slips = {
        "this is grad as it came: x reaches y through W": _GRAD,
        "this is the gradient with respect to W: what backward returns is the one with respect to x": _X.T @ _GRAD,
    }
    look = f"grad @ W.T: {_SHAPES}x?"
    expect(f"what backward returns, {given},", came, _GRAD @ _W.T, slips=slips, look=look)
    mean = "this is a mean over the samples: the loss is of the whole batch, and each sample adds to it"
    weight = _X.T @ _GRAD
    slips = {
        mean: weight / len(_X),
        "this is added twice": 2 * weight,
        "the rows of x and grad do not belong together": _X[::-1].T @ _GRAD,
    }
    look = f"x.T @ grad: {_SHAPES}W?"
    expect(f"the gradient of W, {given},", gradient(layer, "W"), weight, slips=slips, look=look)
    slips = {mean: _GRAD.mean(axis=0), "this is the sum over the units, not over the samples": _GRAD.sum(axis=1)}
    look = "grad.sum(axis=0): b[j] is added to y[n, j] of every sample n"
    expect(f"the gradient of b, {given},", gradient(layer, "b"), _GRAD.sum(axis=0), slips=slips, look=look)


def _by_hand(layer: Layer, x: Array) -> Array:
    parameters = dict(layer.named_parameters())
    W, b = parameters["W"].value, parameters["b"].value
    return np.array([[(row * column).sum() + start for column, start in zip(W.T, b, strict=True)] for row in x])


EXERCISE = Exercise(
    name="dense",
    title="Dense: a layer of your own",
    source=solution("dense"),
    prediction=Prediction(
        "a batch of 4 samples goes through Dense(3, 2). What is the gradient with respect to one entry of b, if "
        "the gradient with respect to every entry of y is 1? (A number.)",
        4,
        "b[j] is added to y[n, j] of all four samples, and what it does to each of them adds up.",
    ),
    hint="In the article, `l1_error = l2_delta @ syn1.T` is the gradient with respect to the input, and `l1.T @ "
    "l2_delta` the one with respect to the weights (up to the sign). Only the bias is new: it is a row of W whose "
    "input is always 1.",
    marks=[
        Mark("forward gives x @ W + b", _values),
        Mark("backward gives three gradients", _way_back),
        gradients(_made, (3,), LOOK, examples=10),
        other_laws(_made, (3,), LOOK, reference=_by_hand, without=NOT_TAUGHT, examples=10),
    ],
)
