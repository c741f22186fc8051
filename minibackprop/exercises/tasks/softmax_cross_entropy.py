"""Softmax with cross-entropy: the loss of classifiers, from logits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minibackprop.exercises.answer import Answer, located
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, loss_gradient, other_loss_laws
from minibackprop.exercises.passes import loss_forward, require_untouched
from minibackprop.exercises.sources import solution
from minibackprop.losses.base import Loss
from minibackprop.validation import Array

_Z = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 2.0], [2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
_Y = np.array([2, 0, 0, 2])
_WEIGHTS = np.array([1.0, 2.0, 0.0, 3.0])
_ROWS = np.arange(4)
_E = np.exp(_Z)
_P = _E / _E.sum(axis=1, keepdims=True)
_SHIFTED = np.exp(_Z - _Z.max(axis=1, keepdims=True))
_LOSSES = -np.log(_P[_ROWS, _Y])
_ONE = np.eye(3)[_Y]
_GRADIENT = (_P - _ONE) / 4
_LARGE = np.array([[1000.0, 1001.0, 1002.0], [-1000.0, -1001.0, -1002.0], [1000.0, 0.0, -1000.0]])
_LARGE_E = np.exp(_LARGE - _LARGE.max(axis=1, keepdims=True))
_LARGE_P = _LARGE_E / _LARGE_E.sum(axis=1, keepdims=True)

_BATCH = f"the logits {_Z.tolist()} and the labels {_Y.tolist()}"
_SCALE = (
    "the argument scale of backward, which the checker calls grad, the upstream gradient: what is returned is "
    "multiplied by it, once"
)
_COLUMN = "the shapes in that line: what has one number for each row must be a column, as w.reshape(-1, 1) is"
LOOK = {
    "upstream gradient ignored": _SCALE,
    "not linear in grad": _SCALE,
    "value": "what forward returns, a float and the cache, and what backward returns, an array of the shape of z",
    "gradient": "how much log(sum of e^(z_k)) - z_y changes if one logit z_j does: by p_j, and by 1 less if j is "
    "the label. Then the weight of the sample, over the sum of all weights",
    "arguments untouched": "p[rows, y] -= 1, and other changes of what is in the cache: backward may be called "
    "twice with one cache, so take a copy",
    "scale": _SCALE,
    "weights": "where backward gets p, y and w from: from its argument, not from an attribute, which another "
    "forward may have set since",
    "parts": "where backward gets p, y and w from: from its argument, not from an attribute",
    "finite": "the exponential of a large number, a division by 0, the logarithm of 0: subtract the largest logit "
    "of each row first",
}


def _made(answer: Answer) -> Loss:
    loss: Loss = answer.SoftmaxCrossEntropy()
    return loss


def _forth(answer: Answer, z: Array, y: Array, *weights: Array) -> tuple[Loss, Any, Any]:
    """Call forward, and return the loss, its value and the cache."""
    loss = _made(answer)
    return loss, *loss_forward(loss, z, y, *weights, name="z")


def _columns(answer: Answer, call: Callable[[], Any], look: str) -> Any:
    """Call, and say what to look at where shapes do not fit."""
    try:
        return call()
    except ValueError as error:
        if (miss := located(error, answer.names)) is None:
            raise
        miss.look = look
        raise miss from error


def _softmaxed(z: Array) -> Array:
    e = np.exp(z)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _softmax(answer: Answer) -> None:
    z = _Z.copy()
    look = "the shapes in that line: keepdims=True leaves a column, with one number for each row"
    got = _columns(answer, lambda: answer.softmax(z), look)
    falling = np.exp(-_Z)
    slips = {
        "the exponentials are not divided by their sum": _E,
        "each column adds up to 1, not each row: the sum goes along the wrong axis": _E / _E.sum(axis=0),
        "all of it adds up to 1, not each row: the sum needs its axis": _E / _E.sum(),
        "the exponentials, with the largest subtracted before, are not divided by their sum": _SHIFTED,
        "the sum goes along the wrong axis: each row is to add up to 1": _SHIFTED / _SHIFTED.sum(axis=0),
        "the sum is of all rows, and needs its axis: each row is to add up to 1": _SHIFTED / _SHIFTED.sum(),
        "the exponentials are divided by their mean, not their sum": _E / _E.mean(axis=1, keepdims=True),
        "there is a minus in the exponent: the largest logit is to get the largest probability": falling
        / falling.sum(axis=1, keepdims=True),
        "this is the sigmoid of each logit: a row does not add up to 1": 1 / (1 + np.exp(-_Z)),
        "the logits are divided by their sum, without the exponential": _Z / _Z.sum(axis=1, keepdims=True),
        "the logits are divided by the largest of their row: it is subtracted": _softmaxed(
            _Z / _Z.max(axis=1, keepdims=True)
        ),
        "the largest logit of each column is subtracted: a sample's logits stay together, in its row": _softmaxed(
            _Z - _Z.max(axis=0)
        ),
        "this is the logarithm of the softmax": np.log(_P),
        "this is 1 at the largest logit: a softmax gives the others their share": np.eye(3)[_Z.argmax(axis=1)],
    }
    expect(f"softmax(z) for z = {_Z.tolist()}", got, _P, slips=slips, look="e^z, over the sum of its row")
    require_untouched("z", z, _Z, "softmax")
    look = "z - z.max(axis=1, keepdims=True): each row's own largest, so that one exponent in each row is 0"
    expect(f"softmax(z) for z = {_LARGE.tolist()}", answer.softmax(_LARGE.copy()), _LARGE_P, look=look)


def _forward(answer: Answer) -> None:
    unpaired = -np.log(_P[:, _Y])
    largest = _Z.max(axis=1, keepdims=True)
    shifted_log = np.log(_SHIFTED.sum(axis=1))
    unshifted = np.log(_E.sum(axis=1)) - _Z.max(axis=1) - _Z[_ROWS, _Y]
    binary = -(_ONE * np.log(_P) + (1 - _ONE) * np.log(1 - _P)).sum(axis=1)
    slips = {
        "this is the sum over the samples, not their mean": _LOSSES.sum(),
        "it is divided by the classes too: each sample has one loss, and the mean is over samples": _LOSSES.mean() / 3,
        "the sign is the wrong way round: a logarithm of a probability is negative, a loss is not": -_LOSSES.mean(),
        "the logarithm is missing: this is the mean of p_y": _P[_ROWS, _Y].mean(),
        "the logarithm is missing: this is the mean of -p_y": -_P[_ROWS, _Y].mean(),
        "this is the mean of 1 - p_y, a share of errors: the loss is a logarithm": 1 - _P[_ROWS, _Y].mean(),
        "this is -log of the mean of p_y: first the logarithm, then the mean": -np.log(_P[_ROWS, _Y].mean()),
        "rows and labels are not paired: [:, y] takes all labels from each row, [rows, y] one": unpaired.mean(),
        "rows and labels are not paired: [:, y] takes all labels from each row, and all are summed up": unpaired.sum()
        / 4,
        "this is -log of all probabilities: only that of the label counts": -np.log(_P).sum(axis=1).mean(),
        "this is the mean of -log of all probabilities: only that of the label counts": -np.log(_P).mean(),
        "this is -log of the largest probability of each row: it should be that of the label": -np.log(
            _P.max(axis=1)
        ).mean(),
        "this is the entropy, the sum of -p log p: the label has no part in it": -(_P * np.log(_P)).sum(axis=1).mean(),
        "the logarithm of 1 - p is added for the other classes, which belongs to sigmoids": binary.mean(),
        "the logarithm is to base 2": (_LOSSES / np.log(2)).mean(),
        "the logarithm is to base 10": (_LOSSES / np.log(10)).mean(),
        "this is -z_y alone: the logarithm of the sum is missing": -_Z[_ROWS, _Y].mean(),
        "this is the logarithm of the sum alone: - z_y is missing": np.log(_E.sum(axis=1)).mean(),
        "the largest logit is subtracted within the sum, but not from z_y": unshifted.mean(),
        "the number of the label is subtracted, where its logit belongs: z[rows, y]": (shifted_log - _Y).mean(),
        "the logarithms are added up: take the sum of the exponentials first, then its logarithm": (
            (_Z - largest).sum(axis=1) - (_Z - largest)[_ROWS, _Y]
        ).mean(),
        "these are the losses of the samples: their mean is missing": _LOSSES,
    }
    look = "-log of the probability that each sample's own label gets, and the mean of these four"
    expect(f"the loss for {_BATCH}", _forth(answer, _Z, _Y)[1], _LOSSES.mean(), slips=slips, look=look)
    slips = {
        "the weights are ignored": _LOSSES.mean(),
        "it is divided by the number of samples, not by the sum of the weights": (_WEIGHTS * _LOSSES).mean(),
    }
    want = (_WEIGHTS * _LOSSES).sum() / 6
    what = f"with weights of {_WEIGHTS}, the loss for {_BATCH}"
    look = "sum(w * losses) / sum(w), with losses of shape (N,), as w has it"
    expect(what, _forth(answer, _Z, _Y, _WEIGHTS)[1], want, slips=slips, look=look)
    z, y = _LARGE[2:], np.array([2])
    slips = {
        f"{least:g} within the logarithm hides how wrong this is, and takes its slope away": -np.log(least)
        for least in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20, 1e-100, 1e-300, 2.0**-52)
    }
    look = "log(e^(z_0) + e^(z_1) + ...) - z_y, with the largest subtracted from all logits: no logarithm of p_y"
    expect(
        f"the loss for the logits {z.tolist()} and the label 2", _forth(answer, z, y)[1], 2000, slips=slips, look=look
    )


def _backward(answer: Answer) -> None:
    loss, _, cache = _forth(answer, _Z, _Y)
    in_columns = _P.copy()
    in_columns[:, _Y] -= 1
    by_row = _P.copy()
    by_row[_Y] -= 1
    through = _P * ((_P - _ONE) - (_P * (_P - _ONE)).sum(axis=1, keepdims=True))
    slips = {
        "it is not divided by the number of samples: forward takes a mean": _P - _ONE,
        "it is divided by the classes too: forward takes a mean over samples": (_P - _ONE) / 12,
        "it is divided twice by the number of samples": (_P - _ONE) / 16,
        "the sign is the wrong way round: the loss falls when the label's logit grows": (_ONE - _P) / 4,
        "the label has no part in it: z_y is in the loss, with a minus": _P / 4,
        "this is p, the softmax itself": _P,
        "this is -1 at the labels: log(e^(z_0) + ...) has a slope too, for each logit": -_ONE / 4,
        "only the label's logit gets a gradient: each other one makes p_y smaller, through the sum": _ONE
        * (_P - 1)
        / 4,
        "this is the gradient with respect to p, -1 / p_y: the way on to z is missing": -_ONE / _P / 4,
        "this is the gradient with respect to p, -1 / p_y, and the mean is missing": -_ONE / _P,
        "1 is subtracted from all rows at once: [:, y] does not pair rows and labels, [rows, y] does": in_columns / 4,
        "1 is subtracted from whole rows, those whose number is a label: [y] is a row, [rows, y] an entry of each": (
            by_row / 4
        ),
        "-1 stands at the labels: it is added to the probability there": np.where(_ONE == 1, -1, _P) / 4,
        "1 is added at the labels, where it is subtracted": (_P + _ONE) / 4,
        "there is a factor p too many: p, less 1 at the label, has all of it": (_P - _ONE) * _P / 4,
        "1 is subtracted everywhere: it belongs to the label's logit of each row": (_P - 1) / 4,
        "the number of the label is subtracted, not 1 at its place": (_P - _Y[:, np.newaxis]) / 4,
        "the logits stand where the probabilities belong": (_Z - _ONE) / 4,
        "the exponentials stand where the probabilities belong": (_E - _ONE) / 4,
        "there is a factor p (1 - p) too many, the slope of a sigmoid: p - 1 has all of it": (_P - _ONE)
        * _P
        * (1 - _P)
        / 4,
        "the slope of the softmax is in it twice: p, less 1 at the label, is with respect to z already": through / 4,
    }
    look = "the slope of log(e^(z_0) + e^(z_1) + ...) with respect to one z_j, that of - z_y, and the mean"
    got = _columns(answer, lambda: loss.backward(cache), _COLUMN)
    expect(f"the gradient for {_BATCH}", got, _GRADIENT, slips=slips, look=look)
    loss, _, cache = _forth(answer, _Z, _Y, _WEIGHTS)
    column = _WEIGHTS[:, np.newaxis]
    slips = {
        "the weights are ignored on the way back": _GRADIENT,
        "it is divided by the number of samples, not by the sum of the weights": column * _GRADIENT,
        "it is divided by the sum of the weights, but the weight of each sample is missing": 4 * _GRADIENT / 6,
    }
    what = f"with weights of {_WEIGHTS}, the gradient for {_BATCH}"
    look = "w / sum(w): each row is multiplied by the weight of its sample"
    got = _columns(answer, lambda: loss.backward(cache), _COLUMN)
    expect(what, got, column * 4 * _GRADIENT / 6, slips=slips, look=look)


EXERCISE = Exercise(
    name="softmax_cross_entropy",
    title="Softmax with cross-entropy",
    source=solution("softmax_cross_entropy"),
    prediction=Prediction(
        "a network for ten classes has learnt nothing yet: all its logits are 0. How large is its loss? (A number.)",
        2.303,
        "Each class has the probability 1/10, and -log(1/10) = log(10) = 2.303. If the first loss of a network is "
        "far above the logarithm of the number of its classes, its weights start too large.",
    ),
    hint="The logarithm has the slope 1 / its argument, and `e^(z_j)` is its own slope. So the slope of "
    "`log(e^(z_0) + e^(z_1) + ...)` with respect to z_j is a quotient that you know. And z_y changes with z_j only "
    "if j is y. In a batch, each row has its own label: `grad[np.arange(len(y)), y]` are the entries of the labels.",
    marks=[
        Mark("softmax(z) gives probabilities", _softmax),
        Mark("forward gives the mean of -log p_y", _forward),
        Mark("backward gives its gradient", _backward),
        loss_gradient(_made, (3,), LOOK, classes=3),
        other_loss_laws(_made, (3,), LOOK, classes=3, without=NOT_TAUGHT),
    ],
)
