"""Attention: a layer whose weights are made of its input."""

import math
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import backward, forward, gradient
from minibackprop.exercises.sources import solution
from minibackprop.validation import Array

_T, _WIDTH, _SIZE = 3, 5, 2
_RNG = np.random.default_rng(2)


def _drawn(*shape: int) -> Array:
    return _RNG.normal(size=shape).round(1)


def _softmax(s: Array, axis: int | tuple[int, ...] = -1) -> Array:
    e = np.exp(s - s.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _t(a: Array) -> Array:
    return np.swapaxes(a, 1, 2)


_X, _GRAD = _drawn(2, _T, _WIDTH), _drawn(2, _T, _SIZE)
_WQ, _WK, _WV = _drawn(_WIDTH, _SIZE), _drawn(_WIDTH, _SIZE), _drawn(_WIDTH, _SIZE)
_Q, _K, _V = _X @ _WQ, _X @ _WK, _X @ _WV
_ROOT = math.sqrt(_SIZE)
_S = _Q @ _t(_K) / _ROOT
_P = _softmax(_S)
_VISIBLE = np.tri(_T, dtype=bool)
_P_CAUSAL = _softmax(np.where(_VISIBLE, _S, -np.inf))
_WHERE = f"2 samples of {_T} positions, D = {_WIDTH}, d = {_SIZE}"

LOOK = {
    "batch size": "a mean over the samples where the sum belongs: the loss is of the whole batch",
    "gradients add": "dense_backward, which adds to what an earlier pass left; it is called once for each weight",
    "input gradient": "numbers in your code that should be names: d is not always 2, nor T always 3. x reaches y "
    "through Q, K and V, so three gradients add up",
    "parameter gradient": "numbers in your code that should be names: d is not always 2, nor T always 3",
    "shapes": "numbers in your code that should be names or shapes: there are not always 2 samples and 3 positions",
    "reference": "numbers in your code that should be names: d is not always 2, nor T always 3",
    "two open passes": "where backward gets Q, K, V and P from: from the cache, not from an attribute that the "
    "last forward left",
    "nothing left behind": "attributes that forward sets: what backward needs goes into the cache",
    "arguments untouched": "+=, -=, *= and /= on grad or on what is in the cache: `P = P * ...` makes a new array, "
    "`P *= ...` changes the cache's",
    "finite": "the mask: if it comes after the softmax, all that a position may see can be rounded to 0 by then",
}


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.Attention(2, 3, np.random.default_rng(0))
    return layer


def _causal(answer: Answer) -> Layer:
    layer: Layer = answer.Attention(2, 3, np.random.default_rng(0), causal=True)
    return layer


def _filled(answer: Answer, *, causal: bool = False) -> Layer:
    layer: Layer = answer.Attention(_WIDTH, _SIZE, np.random.default_rng(0), causal=causal)
    layer.load_state_dict({"Wq": _WQ, "Wk": _WK, "Wv": _WV})
    return layer


def _softmax_back(grad: Array, weights: Array) -> Array:
    return np.asarray(weights * (grad - (grad * weights).sum(axis=-1, keepdims=True)))


def _through_softmax(answer: Answer) -> None:
    P = np.array([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.6, 0.2]]])
    dP = np.array([[[1.0, 2.0, 4.0], [0.0, 1.0, -1.0], [3.0, 0.0, 1.0]]])
    product = P * dP
    m = product.sum(axis=-1, keepdims=True)
    slips = {
        "only the diagonal is there, as if each weight came of its own score alone": product * (1 - P),
        "the mean m is missing: a row's weights have a sum of 1, so one that rises takes from the others": product,
        "the factor P is missing": dP - m,
        "m is the sum of dP: it is weighted by P": P * (dP - dP.sum(axis=-1, keepdims=True)),
        "m is the plain mean of dP: it is weighted by P": P * (dP - dP.mean(axis=-1, keepdims=True)),
        "m stands outside of the brackets: P multiplies dP and m": product - m,
        "m is added: it is subtracted": P * (dP + m),
        "P - y is the gradient of softmax and cross-entropy together: here only the softmax is passed": P - dP,
        "this is dP as it came: the softmax is not passed": dP,
        "m is the plain mean of dP * P: it is their sum, since the weights P add up to 1": P
        * (dP - product.mean(axis=-1, keepdims=True)),
        "P and dP are exchanged: P is the factor, and m is subtracted from dP": dP * (P - m),
        "dP is missing: this is the slope of each weight by its own score": P * (1 - P),
        "this is the softmax of dP: go back through it, by its slope": _softmax(dP),
        "keepdims=True is missing: m has lost an axis, and comes to stand beside other rows": P * (dP - m[..., 0]),
        "the sum goes over all numbers: each row has its own m (axis=-1, keepdims=True)": P * (dP - product.sum()),
        "the sum goes down the columns: m is one number for each row (axis=-1, keepdims=True)": P
        * (dP - product.sum(axis=1, keepdims=True)),
    }
    look = "dS = P * (dP - m), with m the sum of dP * P over the row"
    came, right = answer.softmax_backward(dP.copy(), P.copy()), P * (dP - m)
    if np.shape(came) == right.shape:
        came, right, slips = came[0], right[0], {cause: slip[0] for cause, slip in slips.items()}
    what = f"softmax_backward(dP, P) of one sample, P = {P[0].tolist()} and dP = {dP[0].tolist()},"
    expect(what, came, right, slips=slips, look=look)
    dP, P = _GRAD @ _t(_V), _P
    slips = {
        "all samples have one m: each row of each has its own": P * (dP - (dP * P).sum(axis=(0, 2), keepdims=True))
    }
    what = f"softmax_backward(dP, P) of P with shape {P.shape}"
    expect(what, answer.softmax_backward(dP.copy(), P.copy()), _softmax_back(dP, P), slips=slips, look=look)


def _values(answer: Answer) -> None:
    product = _Q @ _t(_K)
    weights = {
        "the scores are not divided by sqrt(d)": _softmax(product),
        "the scores are divided by d, and should be by its root": _softmax(product / _SIZE),
        "the scores are multiplied by sqrt(d), and should be divided": _softmax(product * _ROOT),
        "the root is that of D, the width of x: it is that of d": _softmax(product / math.sqrt(_WIDTH)),
        "the root is that of T, the number of positions: it is that of d": _softmax(product / math.sqrt(_T)),
        "the weights are divided by sqrt(d), and the scores should be": _softmax(product) / _ROOT,
        "the softmax is missing": _S,
        "the softmax goes down the columns: each row of P has a sum of 1 (the softmax that is given does it)": _softmax(
            _S, 1
        ),
        "one softmax for the whole sample: each row has its own": _softmax(_S, (1, 2)),
        "Q and K are exchanged: row t of the scores belongs to the query of t": _softmax(_t(_S)),
        "P is transposed: row t of P has the weights for position t": _t(_P),
        "the causal mask is there for every attention, and should be only where self.causal is true": _P_CAUSAL,
        "the queries are the keys as well: K = x @ Wk": _softmax(_Q @ _t(_Q) / _ROOT),
    }
    slips = {cause: P @ _V for cause, P in weights.items()} | {
        "the values are the keys: V = x @ Wv": _P @ _K,
        "the values are the queries: V = x @ Wv": _P @ _Q,
        "this is V: P is missing": _V,
    }
    look = "S = Q @ transposed(K) / sqrt(d), P = softmax(S), y = P @ V"
    expect(f"y of {_WHERE}", forward(_filled(answer), _X)[0], _P @ _V, slips=slips, look=look)
    weights = {
        "later positions are seen: the mask is missing": _P,
        "the mask comes after the softmax: the rows no longer have a sum of 1": _P * _VISIBLE,
        "the scores of later positions are 0, which is a score like others: -inf makes a weight of 0": _softmax(
            _S * _VISIBLE
        ),
        "the mask is the wrong way round: earlier positions are hidden": _softmax(np.where(_VISIBLE.T, _S, -np.inf)),
        "the mask is the wrong way round: what may be seen is hidden": _softmax(np.where(_VISIBLE, -np.inf, _S)),
        "1 and 0 are added to the scores: hidden ones are to be -inf": _softmax(_S + _VISIBLE),
        "only the position itself is seen": np.broadcast_to(np.eye(_T), _P.shape),
    }
    slips = {cause: P @ _V for cause, P in weights.items()}
    look = "np.where(visible, S, -np.inf), between the scores and the softmax; a position sees itself"
    what = f"y of a causal attention, {_WHERE},"
    expect(what, forward(_filled(answer, causal=True), _X)[0], _P_CAUSAL @ _V, slips=slips, look=look)


def _back(answer: Answer) -> None:
    _backward(answer, causal=False)
    _backward(answer, causal=True)


def _backward(answer: Answer, *, causal: bool) -> None:
    P = _P_CAUSAL if causal else _P
    layer = _filled(answer, causal=causal)
    came = backward(layer, _GRAD, forward(layer, _X)[1])
    kind = "a causal attention, " if causal else ""
    dP = _GRAD @ _t(_V)
    dS = _softmax_back(dP, P)
    dV, dQ, dK = _t(P) @ _GRAD, dS @ _K / _ROOT, _t(dS) @ _Q / _ROOT
    ways = {
        "the softmax is missing on the way back: this is made of dP, not of dS": dP,
        "the softmax went back by its diagonal alone": dP * P * (1 - P),
        "the softmax's own output went back, not its gradient": P,
        "the softmax went back with dP alone: its factor P is missing": dP - (dP * P).sum(axis=-1, keepdims=True),
        "dP is multiplied by P, which is not yet the way back through the softmax": dP * P,
        "the gradient of the scores is transposed": _t(dS),
    }
    ways["dP and P are exchanged: softmax_backward(dP, P) takes the gradient first"] = _softmax_back(P, dP)
    ways["dP is transposed: y = P @ V, so dP = grad @ transposed(V)"] = _softmax_back(_t(dP), P)
    ways["the softmax itself is taken of dP: softmax_backward goes back through it"] = _softmax(dP)
    unmasked = "the weights are those without the mask: P in the cache is the one that y was made with"
    if causal:
        ways[unmasked] = _softmax_back(dP, _P)
    scale = "the scores were divided by sqrt(d), and so is what goes back through them"
    slips: dict[str, Array] = {
        "P is to be transposed: V[u] went to all y[t], by P[t, u]": P @ _GRAD,
        "P is missing: V[u] went to y[t] by P[t, u]": _GRAD,
        "dV is divided by sqrt(d): only the scores were": dV / _ROOT,
        "this is P times V, the output": P @ _V,
        unmasked: _t(_P) @ _GRAD,
    }
    _expect(f"{kind}the gradient of Wv", gradient(layer, "Wv"), dV, slips, "y = P @ V: dV = transposed(P) @ grad")
    slips = {cause: way @ _K / _ROOT for cause, way in ways.items()} | {
        scale: dQ * _ROOT,
        "this is divided by d: the scores were divided by its root": dQ / _ROOT,
        "this is made of Q: Q's gradient is dS @ K": dS @ _Q / _ROOT,
        "this is made of V: Q's gradient is dS @ K": dS @ _V / _ROOT,
        "this is the gradient of Wk": dK,
    }
    look = "S = Q @ transposed(K) / sqrt(d): dQ = dS @ K / sqrt(d), with dS = softmax_backward(dP, P)"
    _expect(f"{kind}the gradient of Wq", gradient(layer, "Wq"), dQ, slips, look)
    slips = {
        scale: dK * _ROOT,
        "this is divided by d: the scores were divided by its root": dK / _ROOT,
        "dS is to be transposed: K[u] went to the scores S[t, u] of all t": dS @ _Q / _ROOT,
        "this is made of K: K's gradient is transposed(dS) @ Q": _t(dS) @ _K / _ROOT,
        "this is the gradient of Wq": dQ,
    } | {cause: _t(way) @ _Q / _ROOT for cause, way in ways.items()}
    look = "S = Q @ transposed(K) / sqrt(d): dK = transposed(dS) @ Q / sqrt(d)"
    _expect(f"{kind}the gradient of Wk", gradient(layer, "Wk"), dK, slips, look)
    right = dQ @ _WQ.T + dK @ _WK.T + dV @ _WV.T
    expect(
        f"{kind}the gradient with respect to x", came, right, look="x reaches y through Q, K and V: the three add up"
    )


def _expect(what: str, came: Any, way: Array, slips: dict[str, Array], look: str) -> None:
    """Compare the gradient of a weight, given those with respect to what it makes of x."""

    def of_weight(grad: Array) -> Array:
        return _X.reshape(-1, _WIDTH).T @ grad.reshape(-1, _SIZE)

    expect(what, came, of_weight(way), slips={cause: of_weight(slip) for cause, slip in slips.items()}, look=look)


def _by_hand(layer: Layer, x: Array) -> Array:
    """One position at a time."""
    W = {name: parameter.value for name, parameter in layer.named_parameters()}
    y = np.zeros((*x.shape[:2], W["Wv"].shape[1]))
    for sample, out in zip(x, y, strict=True):
        for t, one in enumerate(sample):
            query = one @ W["Wq"] / math.sqrt(W["Wq"].shape[1])
            scores = [float(query @ (other @ W["Wk"])) for other in sample[: t + 1]]
            weights = [math.exp(score - max(scores)) for score in scores]
            for weight, other in zip(weights, sample, strict=False):
                out[t] += weight / sum(weights) * (other @ W["Wv"])
    return y


EXERCISE = Exercise(
    name="attention",
    title="Attention",
    source=solution("attention"),
    prediction=Prediction(
        "a query and a key have 64 numbers each, drawn at random with mean 0 and standard deviation 1. Their score "
        "is the sum of the 64 products. What is the score's standard deviation? (A number.)",
        8,
        "Each product has variance 1, their sum has 64, and the root of that is 8. Of scores so far apart, the "
        "softmax makes weights near 0 and 1, where its slope is near 0. Divided by sqrt(64), they have standard "
        "deviation 1.",
    ),
    hint="Softmax: if score u grows a little, weight u grows by P[u] (1 - P[u]), and every other weight v falls by "
    "P[v] P[u]. Multiply each by its dP, add up, and take P[u] out: dS[u] = P[u] (dP[u] - sum over v of P[v] "
    "dP[v]). For the rest, write the shapes beside each product: of grad (N, T, d), P (N, T, T) and V (N, T, d), "
    "only transposed(P) @ grad has the shape and the sense of dV, and only grad @ transposed(V) has those of dP. "
    "The mask needs nothing on the way back: where P is 0, dS is 0.",
    marks=[
        Mark("softmax_backward goes back to the scores", _through_softmax),
        Mark("forward takes weighted means, the causal one of the past", _values),
        Mark("backward reaches Wv, Wq, Wk and x", _back),
        gradients(_made, (3, 2), LOOK, examples=6, shrink=False),
        other_laws(_causal, (3, 2), LOOK, reference=_by_hand, without=NOT_TAUGHT, examples=5, shrink=False),
    ],
)
