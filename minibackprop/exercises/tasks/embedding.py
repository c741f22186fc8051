"""An embedding: a gradient that adds up wherever a number was used."""

import numpy as np
from hypothesis import strategies as st

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer, Miss
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import backward, forward, gradient
from minibackprop.exercises.sources import solution
from minibackprop.validation import Array

_TOKENS, _SIZE = 5, 2
_W = np.array([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0], [30.0, 31.0], [40.0, 41.0]])
_ONCE = np.array([[3, 0], [1, 4]])
_AGAIN = np.array([[2, 0, 2], [0, 4, 2]])  # Equal ones within a row, in one place of two rows, and elsewhere.
_LOST = "dW[x] += grad reads each row once and writes it once, so that only one of equal integers counts"

LOOK = {
    "parameter gradient": "what a small change of W[k] does: y changes at every place where x is k, and nowhere else",
    "gradients add": "self.W.add(...), which adds to what an earlier pass left; do not set self.W.grad",
    "shapes": "that y has one axis more than x, and that dW has the shape of W",
    "two open passes": "where backward gets x from: the cache, not an attribute that the next forward overwrites",
    "nothing left behind": "attributes that forward sets: what backward needs goes into the cache",
    "no aliasing": "what goes into self.W.add: an array of its own, not grad or a part of it",
    "leading axes": "x may have any shape. x.ravel() and grad.reshape(-1, size) are a list of integers, and one of "
    "vectors",
    "batch sizes": "a reshape to -1: reshape(-1, size) says how long a vector is, so that x may be without entries",
}


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.Embedding(_TOKENS, 3, np.random.default_rng(0))
    return layer


def _loaded(answer: Answer) -> Layer:
    layer: Layer = answer.Embedding(_TOKENS, _SIZE, np.random.default_rng(0))
    layer.load_state_dict({"W": _W})
    return layer


@st.composite
def _batches(draw: st.DrawFn) -> Array:
    """Draw a few rows of four tokens, of five that there are: some occur more than once."""
    rows = draw(st.lists(st.lists(st.integers(0, _TOKENS - 1), min_size=4, max_size=4), min_size=1, max_size=3))
    return np.array(rows)


def _forward(answer: Answer) -> None:
    one_hot = np.eye(_TOKENS)[_AGAIN]
    slips = {
        "these are the integers themselves: each of them names a row of W": _AGAIN,
        "each integer is turned into a vector of zeros and a one; the product with W is still missing": one_hot,
        "the vectors of a sample are added up: y has a vector for each place of x": _W[_AGAIN].sum(axis=1),
        "the vectors of a sample are averaged: y has a vector for each place of x": _W[_AGAIN].mean(axis=1),
        "the vectors of a sample are one long row: y has an axis for the places, and one for the size": _W[
            _AGAIN
        ].reshape(2, -1),
        "all vectors are one list: y has the axes of x, and one more": _W[_AGAIN].reshape(-1, _SIZE),
        "y has the vectors of the next token: rows are counted from 0": _W[(_AGAIN + 1) % _TOKENS],
        "y has the vectors of the token before: rows are counted from 0": _W[_AGAIN - 1],
        "this is the vector of the first place only": _W[_AGAIN[:, 0]],
    }
    what = f"for W = {_W.tolist()} and x = {_AGAIN.tolist()}, the y of forward(x)"
    expect(what, forward(_loaded(answer), _AGAIN)[0], _W[_AGAIN], slips=slips, look="y[n, t] is the row W[x[n, t]]")


def _gradient(answer: Answer, x: Array) -> tuple[Array, Array]:
    """Give the gradient of W, and the gradient of y that it came of."""
    layer = _loaded(answer)
    _, cache = forward(layer, x)
    grad = 10.0 ** np.arange(x.size).reshape(x.shape)
    grad = np.stack([grad, 2 * grad], axis=-1)
    back = backward(layer, grad, cache)
    if (layer.state_dict()["W"] != _W).any():
        look = "self.W.add(dW), which leaves the numbers alone; a step is an optimizer's work"
        raise Miss("backward changes W itself", "it writes to self.W.value", look)
    found = gradient(layer, "W")
    if back is not None:
        look = "the last line of backward: return None"
        raise Miss(f"backward returns {type(back).__name__}", "there is no gradient with respect to integers", look)
    return found, grad


def _sums(x: Array, grad: Array) -> Array:
    """Add up, for each token, the vectors of grad at its places."""
    return np.array([grad[x == token].sum(axis=0) for token in range(_TOKENS)])


def _places(answer: Answer) -> None:
    found, grad = _gradient(answer, _ONCE)
    what = f"for x = {_ONCE.tolist()} and grad = {grad.tolist()}, the gradient of W"
    right = _sums(_ONCE, grad)
    in_order = np.zeros_like(_W)
    in_order[:4] = grad.reshape(-1, _SIZE)
    slips = {
        "grad is not used: this counts how often each token occurs": (right != 0) * 1.0,
        "W is a factor too many: y is a row of W, so its slope is 1": right * _W,
        "the vectors of grad stand in their own order: each belongs to row x[n, t]": in_order,
        "this is a mean over the samples: what each of them gives adds up": right / 2,
        "this is a mean over all places: what each of them gives adds up": right / 4,
        "the rows are those of the next token": np.roll(right, 1, axis=0),
        "the rows are those of the token before": np.roll(right, -1, axis=0),
        "every row gets the sum of grad: only the places where x is k belong to row k": np.zeros_like(_W)
        + grad.sum(axis=(0, 1)),
        "the sign is that of a step downhill; this is the gradient, and the optimizer subtracts it": -right,
    }
    expect(what, found, right, slips=slips, look="row k of it: the vector of grad at the place where x is k")


def _repeats(answer: Answer) -> None:
    found, grad = _gradient(answer, _AGAIN)
    right, last, first = _sums(_AGAIN, grad), np.zeros_like(_W), np.zeros_like(_W)
    by_row, by_column = np.zeros_like(_W), np.zeros_like(_W)
    last[_AGAIN] = grad
    first[_AGAIN[::-1, ::-1]] = grad[::-1, ::-1]
    for tokens, vectors in zip(_AGAIN, grad, strict=True):
        by_row[tokens] += vectors
    for tokens, vectors in zip(_AGAIN.T, grad.swapaxes(0, 1), strict=True):
        by_column[tokens] += vectors
    counts = np.array([[np.sum(token == _AGAIN)] for token in range(_TOKENS)])
    slips = {
        f"of a token that occurs twice, only the last place counts. {_LOST}": last,
        "of a token that occurs twice, only the first place counts": first,
        f"of a token that occurs twice in one sample, only one place counts. {_LOST}": by_row,
        f"of a token that is in one place of two samples, only one sample counts. {_LOST}": by_column,
        "what a token gets is divided by how often it occurs: the places add up": right / np.maximum(counts, 1),
        "what a token gets is multiplied by how often it occurs: it is added up already": right * counts,
    }
    look = "np.add.at(dW, x, grad), which adds at every place, however often an integer occurs; or a loop over places"
    what = f"for x = {_AGAIN.tolist()} and grad = {grad.tolist()}, the gradient of W"
    expect(what, found, right, slips=slips, look=look)


def _one_hot(layer: Layer, x: Array) -> Array:
    """Compute the same by a product with zeros and ones."""
    W = dict(layer.named_parameters())["W"].value
    y: Array = (x[..., np.newaxis] == np.arange(len(W))) @ W
    return y


EXERCISE = Exercise(
    name="embedding",
    title="An embedding",
    source=solution("embedding"),
    prediction=Prediction(
        "x is [[2, 0, 2]], and the gradient with respect to every entry of y is 1. What is the largest entry of "
        "the gradient of W? (A number.)",
        2,
        "Row 2 of W is at two places of y. If it grows by 1, both of them do.",
    ),
    hint="forward: NumPy takes an array of integers as an index, and gives a row for each. backward: begin with "
    "zeros, `np.zeros_like(self.W.value)`. Then go through the places of x, and to row x[n, t] add the vector "
    "grad[n, t]. `np.add.at(a, i, b)` is such a loop in one line. Try `a[i] += b` with i = [2, 2] first, and look "
    "at what comes of it.",
    marks=[
        Mark("forward gives a row of W for each integer", _forward),
        Mark("each vector of grad goes to the row that it came from", _places),
        Mark("where a token occurs twice, the vectors add up", _repeats),
        gradients(_made, _batches(), LOOK, examples=6),
        other_laws(_made, _batches(), LOOK, examples=5, without=NOT_TAUGHT, reference=_one_hot),
    ],
)
