"""An LSTM cell: one step, and the way back through its memory."""

import math
from itertools import permutations
from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.errors import ShapeError
from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import require_untouched, returned
from minibackprop.exercises.sources import solution
from minibackprop.numerics.functions import sigmoid
from minibackprop.state import Parameter
from minibackprop.validation import Array

_INPUTS, _UNITS, _SAMPLES = 2, 2, 3


def _drawn(*shape: int) -> Array:
    return _RNG.normal(size=shape).round(1)


_RNG = np.random.default_rng(1)
_X, _H, _C = _drawn(_SAMPLES, _INPUTS), _drawn(_SAMPLES, _UNITS), _drawn(_SAMPLES, _UNITS)
_W, _U, _B = _drawn(_INPUTS, 4 * _UNITS), _drawn(_UNITS, 4 * _UNITS), _drawn(4 * _UNITS)
_DH, _DC = _drawn(_SAMPLES, _UNITS), _drawn(_SAMPLES, _UNITS)

_A_I, _A_F, _A_G, _A_O = np.split(_X @ _W + _H @ _U + _B, 4, axis=1)
_I, _F, _G, _O = sigmoid(_A_I), sigmoid(_A_F), np.tanh(_A_G), sigmoid(_A_O)
_C_NEW = _F * _C + _I * _G
_SHOWN = np.tanh(_C_NEW)
_THROUGH_H = _DH * _O * (1 - _SHOWN**2)
_DC_WHOLE = _DC + _THROUGH_H
_DA = {
    "a_i": _DC_WHOLE * _G * _I * (1 - _I),
    "a_f": _DC_WHOLE * _C * _F * (1 - _F),
    "a_g": _DC_WHOLE * _I * (1 - _G**2),
    "a_o": _DH * _SHOWN * _O * (1 - _O),
}
_WHERE = f"{_SAMPLES} samples of {_INPUTS} inputs and {_UNITS} units"

LOOK = {
    "input gradient": f"the columns of the input, which are x ({_INPUTS}), h and c ({_UNITS} each), side by side: the "
    "table says which entry is wrong",
    "parameter gradient": "x.T @ da, h.T @ da, and the sum of da over the samples",
    "gradients add": "what backward returns: a fresh array at each call",
    "shapes": f"numbers in your code that should be shapes: here there were {_SAMPLES} samples, elsewhere there are "
    "more, or fewer",
    "instances share nothing": "variables outside of your functions: what backward needs comes in the cache",
    "two open passes": "where backward gets its arrays from: from the cache, not from a variable that forward sets",
    "arguments untouched": "+=, -= and *= on dh, dc or what is in the cache: `dc = dc + ...` makes a new array, "
    "`dc += ...` changes the caller's",
}


class _Cell(Layer):
    """The reader's functions as a layer: x, h and c go in side by side, the new h and c come out so."""

    def __init__(self, answer: Answer) -> None:
        self.step, self.way_back = answer.forward, answer.backward
        self.W, self.U, self.b = Parameter(_W.copy()), Parameter(_U.copy()), Parameter(_B.copy())

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        """Split, step, and put together."""
        x, h, c = _split(x)
        h_new, c_new, cache = self.step(x, h, c, self.W.value, self.U.value, self.b.value)
        return np.concatenate([h_new, c_new], axis=1), cache

    def backward(self, grad: Array, cache: Any, /) -> Array:
        """Split, go back, and put together."""
        dh, dc = np.split(grad, 2, axis=1)
        dx, dh, dc, dW, dU, db = self.way_back(dh, dc, cache)
        for parameter, gradient in ((self.W, dW), (self.U, dU), (self.b, db)):
            parameter.add(gradient)
        return np.concatenate([dx, dh, dc], axis=1)


def _split(x: Array) -> tuple[Array, Array, Array]:
    width = _INPUTS + 2 * _UNITS
    if x.ndim != 2 or x.shape[1] != width:
        raise ShapeError("the cell's input", f"(N, {width})", str(x.shape))
    x, h, c = np.split(x, [_INPUTS, _INPUTS + _UNITS], axis=1)
    return x, h, c


def _step(answer: Answer) -> tuple[Any, ...]:
    came: object = answer.forward(*(array.copy() for array in (_X, _H, _C, _W, _U, _B)))
    return returned("forward", came, "h_new, c_new, cache")


def _forward(answer: Answer) -> None:
    h, c, _ = _step(answer)
    slips = {
        "the gates i and f are exchanged: f is what the old c is multiplied by": _I * _C + _F * _G,
        "g is a sigmoid here, and should be a tanh: what is written may be negative": _F * _C + _I * sigmoid(_A_G),
        "the tanh of a_g is missing": _F * _C + _I * _A_G,
        "the sigmoids of the gates are missing": _A_F * _C + _A_I * _G,
        "the gates are tanh here, and should be sigmoids: a gate is between 0 and 1": np.tanh(_A_F) * _C
        + np.tanh(_A_I) * _G,
        "the blocks are taken in the order i, f, o, g: they are i, f, g, o": _F * _C + _I * np.tanh(_A_O),
        "i * g, what is written, is missing": _F * _C,
        "f * c, what is kept, is missing": _I * _G,
        "the input gate is missing: what is written is i * g": _F * _C + _G,
        "the forget gate is missing: what is kept is f * c (without it, this is the cell of 1997)": _C + _I * _G,
        "i and g are added, and should be multiplied": _F * _C + _I + _G,
        "this is the sum of all: f belongs to c, and i to g": (_F + _I) * (_C + _G),
    }
    expect(f"c_new of {_WHERE}", c, _C_NEW, slips=slips, look="c_new = f * c + i * g")
    slips = {
        "the tanh of c_new is missing": _O * _C_NEW,
        "the old c is shown, not the new one": _O * np.tanh(_C),
        "the output gate is missing": _SHOWN,
        "the sigmoid of c_new is taken, and should be the tanh": _O * sigmoid(_C_NEW),
        "the output gate is within the tanh": np.tanh(_O * _C_NEW),
        "the sigmoid of a_o is missing": _A_O * _SHOWN,
        "o is a tanh here, and should be a sigmoid": np.tanh(_A_O) * _SHOWN,
        "g is shown, not the memory": _O * _G,
    }
    expect(f"h_new of {_WHERE}", h, _O * _SHOWN, slips=slips, look="h_new = o * tanh(c_new)")


#: What stands for dc after the way through h_new is added, by the slip.
_DC_SLIPS = {
    "dc went back as it came: c_new reaches the loss through h_new as well": _DC,
    "the dc that came in is lost: what comes through h_new is added to it": _THROUGH_H,
    "dc and dh were added: h_new is o * tanh(c_new), so dh passes these two first": _DC + _DH,
    "the slope of the tanh is missing on the way through h_new": _DC + _DH * _O,
    "the output gate is missing on the way through h_new": _DC + _DH * (1 - _SHOWN**2),
    "the slope of the tanh is that at the old c: h_new is made of c_new": _DC + _DH * _O * (1 - np.tanh(_C) ** 2),
    "the slope of tanh is 1 minus the square of tanh(c_new), not of c_new": _DC + _DH * _O * (1 - _C_NEW**2),
    "the slope of tanh is 1 minus the square of tanh(c_new), not of h_new": _DC + _DH * _O * (1 - (_O * _SHOWN) ** 2),
    "the tanh is taken twice: tanh(c_new) is its own output already": _DC + _DH * _O * (1 - np.tanh(_SHOWN) ** 2),
    "the square is missing in the slope of the tanh": _DC + _DH * _O * (1 - _SHOWN),
    "this is the slope of a sigmoid: h_new has the tanh of c_new": _DC + _DH * _O * _SHOWN * (1 - _SHOWN),
    "dh went back through the tanh itself, not through its slope": _DC + _DH * _O * _SHOWN,
    "the two ways were multiplied: they add up": _DC * _THROUGH_H,
    "the two ways were subtracted: they add up": _DC - _THROUGH_H,
    "this is made of dh alone: c_new is o's neighbour in h_new, and reaches the loss by itself as well": _DH,
}


def _to_gates(answer: Answer) -> str:
    dh, dc = _DH.copy(), _DC.copy()
    names = "da_i, da_f, da_g, da_o, dc_before"
    came = returned("to_gates", answer.to_gates(dh, dc, _step(answer)[2][1]), names)
    require_untouched("dh", dh, _DH, "to_gates")
    require_untouched("dc", dc, _DC, "to_gates")
    slips = {cause: slip * _F for cause, slip in _DC_SLIPS.items()} | {
        "the forget gate is missing: c reaches c_new by f * c": _DC_WHOLE,
        "this is multiplied by i: c reaches c_new by f * c": _DC_WHOLE * _I,
        "the slope of f is not on this way: from c_new to c there is only the factor f": _DC_WHOLE * _F * (1 - _F),
        "this is the gradient with respect to f: the one with respect to c has f for a factor": _DC_WHOLE * _C,
    }
    look = "first, dc + dh * (how much h_new grows with c_new); then how much c_new grows with c"
    expect(f"dc_before, the gradient with respect to c, of {_WHERE},", came[4], _DC_WHOLE * _F, slips=slips, look=look)
    gates = [
        _gate("i", _I, "g", _DC_WHOLE, {"g": _G, "c": _C, "i": _I, "a_g": _A_G}),
        _gate("f", _F, "c", _DC_WHOLE, {"c": _C, "c_new": _C_NEW, "g": _G, "f": _F, "h": _H}),
        _gate("g", _G, "i", _DC_WHOLE, {"i": _I, "f": _F, "g": _G, "a_i": _A_I}),
        _gate("o", _O, "tanh(c_new)", _DH, {"tanh(c_new)": _SHOWN, "c_new": _C_NEW, "tanh(c)": np.tanh(_C)}),
    ]
    for array, (name, want, slips, look) in zip(came, gates, strict=False):
        slips |= {f"this is da_{other}, of another gate": of_other for other, of_other, *_ in gates if other != name}
        expect(f"da_{name}, the gradient with respect to a_{name},", array, want, slips=slips, look=look)
    return "where f is 1, dc comes back whole, however many steps there are: this is what the memory is for"


def _gate(
    name: str, gate: Array, factor: str, way: Array, factors: dict[str, Array]
) -> tuple[str, Array, dict[str, Array], str]:
    """Say what the gradient with respect to a gate's block is, and what slips give."""
    made = "h_new = o * tanh(c_new)" if name == "o" else "c_new = f * c + i * g"
    slope, other, told, not_told = gate * (1 - gate), 1 - gate**2, f"{name} (1 - {name})", f"1 - {name}^2"
    if name == "g":
        slope, other, told, not_told = other, slope, not_told, told
    right = way * factors[factor]
    slips = {
        f"the slope of {name} is missing: this is with respect to {name}, not to a_{name}": right,
        f"the slope of {name} is {told}, not {not_told}": right * other,
        f"this is multiplied by {name}, not by its slope, {told}": right * gate,
        f"the factor {factor} is missing: {made}": way * slope,
        f"the sign is the wrong way round: the slope is {told}": -right * slope,
    }
    function, other_slope = (
        ("tanh", 1 - np.tanh(gate) ** 2) if name == "g" else ("sigmoid", sigmoid(gate) * (1 - sigmoid(gate)))
    )
    slips[f"the {function} is taken twice: {name} is its output already, and the slope is {told}"] = right * other_slope
    if name == "g":
        slips["this is (1 - g)^2: the slope of g is 1 - g^2"] = right * (1 - gate) ** 2
        slips["the square is missing: the slope of g is 1 - g^2"] = right * (1 - gate)
    else:
        slips[f"only 1 - {name} is there: the slope of {name} is {told}"] = right * (1 - gate)
    slips |= {
        f"the factor is {wrong}, and should be {factor}: {made}": way * value * slope
        for wrong, value in factors.items()
        if wrong != factor
    }
    if name == "o":
        slips["dc came this way, and should not: o reaches the loss through h_new alone"] = _DC_WHOLE * _SHOWN * slope
        slips["the dc that came in went this way: o reaches the loss through h_new alone"] = _DC * _SHOWN * slope
    else:
        slips |= {cause: value * factors[factor] * slope for cause, value in _DC_SLIPS.items()}
    look = f"{made}: how much that grows with {name}, and how much {name} grows with a_{name}: {told}"
    return name, right * slope, slips, look


def _backward(answer: Answer) -> None:
    came: object = answer.backward(_DH.copy(), _DC.copy(), _step(answer)[2])
    dx, dh, dc, dW, dU, db = returned("backward", came, "dx, dh_before, dc_before, dW, dU, db")
    da = np.concatenate(list(_DA.values()), axis=1)
    mean = "this is a mean over the samples: the loss is of the whole batch, and each sample adds to it"
    slips = {
        f"the blocks are put together in the order {', '.join(order)}": np.concatenate([_DA[a] for a in order], axis=1)
        @ _W.T
        for order in permutations(_DA)
        if list(order) != list(_DA)
    }
    slips["this is with respect to h: x is multiplied by W"] = da @ _U.T
    look = "a = x @ W + h @ U + b, and what Dense does on the way back: da @ W.T"
    expect("dx, the gradient with respect to x,", dx, da @ _W.T, slips=slips, look=look)
    slips = {
        "this is with respect to x: h is multiplied by U": da @ _W.T,
        "dh is added: that is with respect to h_new, and h reaches it through a alone": da @ _U.T + _DH,
        "this is dh as it came, which is with respect to h_new": _DH,
    }
    look = "a = x @ W + h @ U + b, and what Dense does on the way back: da @ U.T"
    expect("dh_before, the gradient with respect to h,", dh, da @ _U.T, slips=slips, look=look)
    expect("dc_before", dc, _DC_WHOLE * _F, look="dc_before is what to_gates gave")
    dense = "what Dense does on the way back: the input, transposed, times da"
    slips = {"this is the gradient of U: W multiplies x": _H.T @ da, mean: _X.T @ da / _SAMPLES}
    expect("dW", dW, _X.T @ da, slips=slips, look=f"x.T @ da, {dense}")
    slips = {
        "this is the gradient of W: U multiplies h": _X.T @ da,
        "this is made of h_new: what went into a was h": (_O * _SHOWN).T @ da,
        mean: _H.T @ da / _SAMPLES,
    }
    expect("dU", dU, _H.T @ da, slips=slips, look=f"h.T @ da, {dense}")
    slips = {mean: da.mean(axis=0), "the sum is over the columns: the samples add up, axis 0": da.sum(axis=1)}
    look = "b is added to a of every sample: the sum of da over the samples"
    expect("db", db, da.sum(axis=0), slips=slips, look=look)
    large: object = answer.backward(1e3 * _DH, 1e3 * _DC, _step(answer)[2])
    look = "np.clip and the like: a gradient that is cut off is another one. To cut it is a matter for the optimizer"
    expect("dx for dh and dc that are 1000 times larger", large[0], 1e3 * dx, look=look)  # type: ignore[index]


def _by_hand(layer: Layer, x: Array) -> Array:
    """One number at a time."""
    rows = [_by_hand_of(layer, *(part[0] for part in _split(sample[None]))) for sample in x]
    return np.array(rows, dtype=np.float64).reshape(-1, 2 * _UNITS)


def _by_hand_of(layer: Layer, x: Array, h: Array, c: Array) -> list[float]:
    W, U, b = (parameter.value for parameter in layer.parameters())
    a = [float((x * W[:, k]).sum() + (h * U[:, k]).sum() + b[k]) for k in range(4 * _UNITS)]
    i, f, o = ([_logistic(a[block * _UNITS + u]) for u in range(_UNITS)] for block in (0, 1, 3))
    c_new = [f[u] * c[u] + i[u] * math.tanh(a[2 * _UNITS + u]) for u in range(_UNITS)]
    return [o[u] * math.tanh(c_new[u]) for u in range(_UNITS)] + c_new


def _logistic(a: float) -> float:
    return 1 / (1 + math.exp(-a)) if a > -700 else 0.0


_WITHOUT = NOT_TAUGHT | {
    "copies agree": "the answer is functions, and there is no layer of the reader's to copy",
}

EXERCISE = Exercise(
    name="lstm_cell",
    title="An LSTM cell",
    source=solution("lstm_cell"),
    prediction=Prediction(
        "for 100 steps, a cell keeps all (f = 1) and writes nothing (i = 0). Only the last c goes into the loss, "
        "and the gradient with respect to it is 1. How large is the gradient with respect to the first c? (A "
        "number.)",
        1,
        "At each step back, dc is multiplied by f, and by nothing else. In a chain of 100 sigmoids, each slope is "
        "1/4 at most, and their product less than 1e-60.",
    ),
    hint="How much does h_new = o * tanh(c_new) grow with c_new? By o times the slope of tanh, which is 1 - t^2 "
    "with t = tanh(c_new). So dc = dc + dh * o * (1 - t^2). From there, c_new = f * c + i * g is made of two "
    "products: the gradient with respect to a factor is dc times the other one. o is a factor of h_new, so its "
    "gradient is dh times tanh(c_new). To come from a gate to its block of a, multiply by its slope, written in "
    "its own output: i (1 - i) for a sigmoid, 1 - g^2 for a tanh. In backward, np.concatenate(..., axis=1) undoes "
    "np.split.",
    marks=[
        Mark("forward takes one step", _forward),
        Mark("to_gates goes back to c and to every gate", _to_gates),
        Mark("backward goes on to x, h and the weights", _backward),
        gradients(_Cell, (_INPUTS + 2 * _UNITS,), LOOK, examples=6, shrink=False),
        other_laws(
            _Cell,
            (_INPUTS + 2 * _UNITS,),
            LOOK,
            reference=_by_hand,
            without=_WITHOUT,
            examples=5,
            shrink=False,
        ),
    ],
)
