"""Batch normalization: a gradient that goes three ways."""

import numpy as np

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer, Miss
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import backward, forward, gradient, predict
from minibackprop.exercises.sources import solution
from minibackprop.state import Buffer
from minibackprop.validation import Array

_X = np.array([[1.0, 9.0], [1.0, 3.0], [4.0, 6.0]])
_GRAD = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 1.0]])
_WEIGHT, _BIAS = np.array([2.0, -3.0]), np.array([10.0, 20.0])
_RUNNING_MEAN, _RUNNING_VAR = np.array([1.0, -1.0]), np.array([2.0, 3.0])
_MOMENTUM, _EPSILON = 0.2, 0.25  # An epsilon so large that one sees where it is added; s is 1.5 and 2.5.
_MEAN, _VAR, _UNBIASED = _X.mean(axis=0), _X.var(axis=0), _X.var(axis=0, ddof=1)
_S = np.sqrt(_VAR + _EPSILON)
_N = (_X - _MEAN) / _S
_MOVED_MEAN = (1 - _MOMENTUM) * _RUNNING_MEAN + _MOMENTUM * _MEAN
_MOVED_VAR = (1 - _MOMENTUM) * _RUNNING_VAR + _MOMENTUM * _UNBIASED
_GIVEN = f"for weight = {_WEIGHT}, bias = {_BIAS}, epsilon = {_EPSILON} and x = {_X.tolist()}"

LOOK = {
    "input gradient": "the three ways from x to the loss: through its own n, through the mean, and through the "
    "variance. Take the terms one by one, and ask of each which way it is",
    "parameter gradient": "what a small change of weight[i] does: it changes y[n, i] of every sample by n[n, i]; "
    "and one of bias[i] changes them by 1. The sums go over the samples, axis=0",
    "gradients add": "self.weight.add(...) and self.bias.add(...), which add to what an earlier pass left",
    "shapes": "what goes into add has the shape of the parameter, (features,); what backward returns has that of x",
    "two open passes": "where backward gets n and s from: the cache, not attributes that the next forward overwrites",
    "nothing left behind": "attributes that forward sets: only running_mean.value and running_var.value stay",
    "arguments untouched": "whether backward writes to what is in the cache: it may be called twice with one cache",
    "copies agree": "running_mean and running_var must stay a Buffer each: assign to their `.value`",
    "predict leaves no trace": "predict: the running statistics move in forward only",
    "predictions independent": "predict takes the mean and the variance that were kept, not those of its batch",
    "reference": "s = sqrt(variance + epsilon), n = (x - mean) / s, y = weight * n + bias",
}


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.BatchNorm(3)
    return layer


def _loaded(answer: Answer) -> Layer:
    """Make a layer of two features, which has been trained for a while."""
    layer: Layer = answer.BatchNorm(2, momentum=_MOMENTUM, epsilon=_EPSILON)
    values = {"weight": _WEIGHT, "bias": _BIAS, "running_mean": _RUNNING_MEAN, "running_var": _RUNNING_VAR}
    layer.load_state_dict(values)
    return layer


def _y(n: Array) -> Array:
    y: Array = _WEIGHT * n + _BIAS
    return y


def _forward(answer: Answer) -> None:
    centred, rows = _X - _MEAN, _X.mean(axis=1, keepdims=True)
    running = "these are the running statistics, which are for predict; forward takes those of the batch"
    slips = {
        "the mean and the variance are those of each sample (axis=1); here they are those of each feature": _y(
            (_X - rows) / np.sqrt(_X.var(axis=1, keepdims=True) + _EPSILON)
        ),
        "the mean and the variance are those of all entries together: the axis is missing": _y(
            (_X - _X.mean()) / np.sqrt(_X.var() + _EPSILON)
        ),
        "the mean is that of all entries together: the axis is missing": _y((_X - _X.mean()) / _S),
        "the variance is that of all entries together: the axis is missing": _y(centred / np.sqrt(_X.var() + _EPSILON)),
        "epsilon is missing": _y(centred / np.sqrt(_VAR)),
        "epsilon is added to the root; it belongs under it": _y(centred / (np.sqrt(_VAR) + _EPSILON)),
        "the root is missing: this divides by variance + epsilon": _y(centred / (_VAR + _EPSILON)),
        "this multiplies by s, where it should divide": _y(centred * _S),
        "x is divided by s, but the mean is not subtracted": _y(_X / _S),
        "the mean is subtracted, but nothing is divided by s": _y(centred),
        "the variance is divided by N - 1 (ddof=1); the one for y is divided by N": _y(
            centred / np.sqrt(_UNBIASED + _EPSILON)
        ),
        "s is the root of the mean of x^2: the mean has to be subtracted before squaring": _y(
            centred / np.sqrt((_X**2).mean(axis=0) + _EPSILON)
        ),
        "only the mean is divided by s: brackets are missing": _y(_X - _MEAN / _S),
        running: _y((_X - _RUNNING_MEAN) / np.sqrt(_RUNNING_VAR + _EPSILON)),
        f"{running}, moved or not": _y((_X - _MOVED_MEAN) / np.sqrt(_MOVED_VAR + _EPSILON)),
        "this is n: weight and bias are missing": _N,
        "the bias is missing": _WEIGHT * _N,
        "the weight is missing": _N + _BIAS,
        "the bias is added before the weight multiplies": _WEIGHT * (_N + _BIAS),
    }
    what = f"{_GIVEN}, the y of forward(x)"
    expect(what, forward(_loaded(answer), _X)[0], _y(_N), slips=slips, look=LOOK["reference"])


_OTHER_VARIANCES = {
    "this is moved by the variance divided by N; the running one takes that divided by N - 1 (ddof=1)": _VAR,
    "this is moved by s^2; epsilon is added when a variance is used, not when it is kept": _VAR + _EPSILON,
    "epsilon is in what is kept; it is added when a variance is used": _UNBIASED + _EPSILON,
    "this is moved by s, a root; what is kept is a variance": _S,
    "this is moved by a standard deviation; what is kept is its square": np.sqrt(_UNBIASED),
    "this is moved by a standard deviation, divided by N; what is kept is a variance, divided by N - 1": np.sqrt(_VAR),
    "this is moved by the mean, which is for running_mean": _MEAN,
}


def _kept(answer: Answer) -> None:
    _running(answer)
    _predict(answer)


def _running(answer: Answer) -> None:
    layer = _loaded(answer)
    forward(layer, _X)
    for name, old, statistic, moved in (
        ("running_mean", _RUNNING_MEAN, _MEAN, _MOVED_MEAN),
        ("running_var", _RUNNING_VAR, _UNBIASED, _MOVED_VAR),
    ):
        buffer = getattr(layer, name)
        if not isinstance(buffer, Buffer):
            look = f"self.{name}.value = ..."
            raise Miss(f"after forward, {name} is {type(buffer).__name__}, no longer a Buffer", "it is replaced", look)
        slips = {
            "it has not moved": old,
            "the statistic is that of all entries together: the axis is missing": (1 - _MOMENTUM) * old
            + _MOMENTUM * (_X.mean() if name == "running_mean" else _X.var(ddof=1)),
            "an axis of length 1 is left: keepdims=True is in the way here": moved[np.newaxis],
            "this is the statistic of the batch alone: the old value has a share too": statistic,
            "the shares are exchanged: momentum is the share of the batch": _MOMENTUM * old
            + (1 - _MOMENTUM) * statistic,
            "the old value is not made smaller: its share is 1 - momentum": old + _MOMENTUM * statistic,
            "this is the sum: the shares, momentum and 1 - momentum, are missing": old + statistic,
        }
        if name == "running_var":
            slips |= {told: (1 - _MOMENTUM) * old + _MOMENTUM * other for told, other in _OTHER_VARIANCES.items()}
        look = f"self.{name}.value = (1 - momentum) * old + momentum * statistic, once in each forward pass"
        what = f"{name} was {old}; after forward of x = {_X.tolist()}, for momentum = {_MOMENTUM}, it"
        expect(what, buffer.value, moved, slips=slips, look=look)


def _predict(answer: Answer) -> None:
    before = _loaded(answer).state_dict()
    centred = _X - _RUNNING_MEAN
    n = centred / np.sqrt(_RUNNING_VAR + _EPSILON)
    slips = {
        "these are the statistics of the batch; predict takes the running ones": _y(_N),
        "the mean is that of all entries together: the axis is missing": _y((_X - _X.mean()) / _S),
        "the variance is that of all entries together: the axis is missing": _y(centred / np.sqrt(_X.var() + _EPSILON)),
        "epsilon is missing": _y(centred / np.sqrt(_RUNNING_VAR)),
        "epsilon is added to the root; it belongs under it": _y(centred / (np.sqrt(_RUNNING_VAR) + _EPSILON)),
        "the root is missing: running_var is a variance, and s a root of it": _y(centred / (_RUNNING_VAR + _EPSILON)),
        "this is n: weight and bias are missing": n,
        "the bias is missing": _WEIGHT * n,
        "the weight is missing": n + _BIAS,
        "the running mean is not subtracted": _y(_X / np.sqrt(_RUNNING_VAR + _EPSILON)),
        "this is x as it is: normalizing is for prediction as well": _X,
    }
    layer = _loaded(answer)
    predicted = predict(layer, _X)
    if any((value != layer.state_dict()[name]).any() for name, value in before.items()):
        look = "assignments in predict, and whether it calls forward"
        raise Miss("predict changes what the layer keeps", "the running statistics move in forward only", look)
    look = "the formula of forward, with running_mean for the mean and running_var for the variance"
    kept = f"running_mean = {_RUNNING_MEAN} and running_var = {_RUNNING_VAR}"
    expect(f"{_GIVEN}, {kept}, predict(x)", predicted, _y(n), slips=slips, look=look)


def _backward(answer: Answer) -> None:
    layer = _loaded(answer)
    _, cache = forward(layer, _X)
    back = backward(layer, _GRAD, cache)
    given = f"for x = {_X.tolist()}, epsilon = {_EPSILON} and grad = {_GRAD.tolist()}"
    look = "how y grows in each sample: by n if weight grows by 1, and by 1 if bias does"
    of_weight = {
        "x stands where n belongs": (_GRAD * _X).sum(axis=0),
        "x - mean stands where n belongs: it is not divided by s": (_GRAD * _N * _S).sum(axis=0),
        "x / s stands where n belongs: the mean is not subtracted": (_GRAD * _X / _S).sum(axis=0),
        "y stands where n belongs": (_GRAD * _y(_N)).sum(axis=0),
        "this is a mean over the samples: what each of them gives adds up": (_GRAD * _N).mean(axis=0),
        "n is missing: this is the gradient of the bias": _GRAD.sum(axis=0),
        "the weight itself is a factor too many": (_GRAD * _WEIGHT * _N).sum(axis=0),
    }
    weight_grad = (_GRAD * _N).sum(axis=0)
    expect(f"{given}, the gradient of weight", gradient(layer, "weight"), weight_grad, slips=of_weight, look=look)
    of_bias = {
        "this is a mean over the samples: what each of them gives adds up": _GRAD.mean(axis=0),
        "this is the gradient of the weight": weight_grad,
        "the weight is a factor too many: the bias is added after it": (_GRAD * _WEIGHT).sum(axis=0),
    }
    expect(f"{given}, the gradient of bias", gradient(layer, "bias"), _GRAD.sum(axis=0), slips=of_bias, look=look)
    look = "the ways of x to the loss, one by one: its own n, the mean, the variance"
    what = f"{_GIVEN}, and grad = {_GRAD.tolist()}, the gradient with respect to x"
    expect(what, back, sum(_ways(_GRAD * _WEIGHT)), slips=_wrong_ways(), look=look)


def _ways(g: Array) -> tuple[Array, Array, Array]:
    """Compute what each way gives, with all derivatives written out; g is the gradient with respect to n."""
    count = len(_X)
    by_mean = (g * (-1 / _S)).sum(axis=0) * np.full_like(_X, 1 / count)
    by_variance = (g * (_X - _MEAN) * -0.5 * (_VAR + _EPSILON) ** -1.5).sum(axis=0) * 2 * (_X - _MEAN) / count
    return g / _S, by_mean, by_variance


def _wrong_ways() -> dict[str, Array]:
    count, width = _X.shape
    g = _GRAD * _WEIGHT
    own, by_mean, by_variance = _ways(g)
    right, unweighted = own + by_mean + by_variance, _ways(_GRAD)
    of_all, of_all_products = -g.mean() / _S, -_N * (g * _N).mean() / _S
    first, second, third = "its own n", "the mean", "the variance"
    slips = {
        "only the first way is here: the mean and the variance are taken for constants, but x moves them": own,
        f"the way through {third} is missing, or is 0": own + by_mean,
        f"the way through {second} is missing, or is 0": own + by_variance,
        f"the way through {first} is missing": by_mean + by_variance,
        f"the sign of the way through {second} is wrong: if it grows, every n falls": own - by_mean + by_variance,
        f"the sign of the way through {third} is wrong: if it grows, every n shrinks": own + by_mean - by_variance,
        f"the signs of the ways through {second} and {third} are wrong": own - by_mean - by_variance,
        f"in the ways through {second} and {third}, a sum stands where a mean belongs: dmean/dx_i and dvariance/dx_i "
        "have a factor 1 / N": own + count * (by_mean + by_variance),
        f"in the way through {second}, a sum stands where a mean belongs: dmean/dx_i is 1 / N": right
        + count * by_mean
        - by_mean,
        f"in the way through {third}, a sum stands where a mean belongs: dvariance/dx_i has a factor 1 / N": right
        + count * by_variance
        - by_variance,
        f"the way through {third} is twice what it should be: the derivative of a root is 1 / (2 s)": right
        + by_variance,
        f"the way through {third} is half of what it should be: the derivative of a square has a factor 2": right
        - by_variance / 2,
        "N is the number of samples, not of features": own + (by_mean + by_variance) * count / width,
        "the mean of g goes over all entries: its axis is missing": own + of_all + by_variance,
        "the mean of g * n goes over all entries: its axis is missing": own + by_mean + of_all_products,
        "the means go over all entries: the axis is missing": own + of_all + of_all_products,
        "the weight is missing: g is grad * weight": sum(unweighted),
        f"the weight is missing in the ways through {second} and {third}: g is grad * weight": own
        + sum(unweighted[1:]),
        f"the weight is missing in the way through {second}: g is grad * weight": own + unweighted[1] + by_variance,
        f"the weight is missing in the way through {third}: g is grad * weight": own + by_mean + unweighted[2],
        f"the weight is missing in the way through {first}: g is grad * weight": unweighted[0] + by_mean + by_variance,
        "it is divided by the weight: g is grad * weight": sum(_ways(_GRAD / _WEIGHT)),
        "the division by s is missing: a change of x changes n by 1 / s": right * _S,
        "it is multiplied by s, where it should be divided": right * _S**2,
        "it is divided by s twice": right / _S,
        "this is the gradient of predict: in forward, x moves the mean and the variance": g
        / np.sqrt(_MOVED_VAR + _EPSILON),
        "this is grad: it has to go through weight, n and x": _GRAD,
        "this is g, the gradient with respect to n: the way from n to x is missing": g,
    }
    told = {
        1: "lacks a division by s",
        2: "lacks a division by s^2",
        -1: "has one 1 / s too many",
        -2: "has 1 / s^2 too much",
    }
    return slips | {
        f"the way through {third} {what}: where n stands for (x - mean) / s, one 1 / s is left": own
        + by_mean
        + by_variance * _S**power
        for power, what in told.items()
    }


def _by_hand(layer: Layer, x: Array) -> Array:
    """Compute y column by column, with sums of numbers."""
    parameters = dict(layer.named_parameters())
    columns = []
    for column, weight, bias in zip(x.T, parameters["weight"].value, parameters["bias"].value, strict=True):
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        columns.append([weight * (value - mean) / (variance + 1e-5) ** 0.5 + bias for value in column])
    return np.array(columns).T


EXERCISE = Exercise(
    name="batch_norm",
    title="Batch normalization",
    source=solution("batch_norm"),
    prediction=Prediction(
        "the loss is the sum of all entries of y. What is its gradient with respect to an entry of x? (A number.)",
        0,
        "For each feature, the mean of n is 0 whatever x is. So the sum of y is N times the bias, and no x can "
        "change it: what x_i does by its own n_i, it takes back by the mean.",
    ),
    hint="Two are easy: dn_i/dx_i is 1 / s, and dmean/dx_i is 1 / N. As n_j = (x_j - mean) / s, dn_j/dmean is -1 / "
    "s. For dn_j/dvariance go by s: ds/dvariance is 1 / (2 s), and dn_j/ds is -n_j / s; multiply them. For "
    "dvariance/dx_i: the variance is the mean of (x_j - mean)^2, and only the term j = i has x_i in it, so it is 2 "
    "(x_i - mean) / N, which is 2 s n_i / N. (The mean is in all terms, but its way adds nothing: the sum of x_j - "
    "mean is 0.) Then cancel what cancels. A sum over j with 1 / N is a mean: of g in the second way, of g * n in "
    "the third.",
    marks=[
        Mark("forward normalizes each feature over the batch", _forward),
        Mark("the running statistics follow, and predict takes them", _kept),
        Mark("backward adds up the three ways", _backward),
        gradients(_made, (3,), LOOK, examples=6),
        other_laws(_made, (3,), LOOK, examples=3, without=NOT_TAUGHT, reference=_by_hand),
    ],
)
