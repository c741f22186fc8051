"""Momentum and Adam, from their papers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.passes import require_untouched, returned
from minibackprop.exercises.sources import solution
from minibackprop.optimizers.adaptive import Adam
from minibackprop.optimizers.base import Optimizer
from minibackprop.optimizers.sgd import SGD
from minibackprop.state import Parameter
from minibackprop.validation import Array

_W = np.array([1.0, -2.0, 0.5, 3.0])
_G = np.array([0.5, -1.0, 0.25, 2.0])
_U = np.array([0.2, 0.3, 0.1, -0.4])
_RATE, _MU = 0.1, 0.8
_NEW_U = _MU * _U - _RATE * _G

_M = np.array([0.1, 0.2, -0.1, -0.3])
_V = np.array([0.04, 0.01, 0.02, 0.09])
_B1, _B2, _EPSILON, _T = 0.2, 0.3, 0.05, 3
_NEW_M = _B1 * _M + (1 - _B1) * _G
_NEW_V = _B2 * _V + (1 - _B2) * _G**2
_HAT_M, _HAT_V = _NEW_M / (1 - _B1**_T), _NEW_V / (1 - _B2**_T)

#: A narrow valley: 50 times as steep across as along.
_STEEP = np.array([1.0, 50.0])
_START = np.array([10.0, 1.0])
_STEPS = 100


def _momentum(answer: Answer) -> None:
    what = f"for w = {_W}, g = {_G}, u = {_U}, rate = {_RATE}, mu = {_MU}"
    w, u = returned("momentum_step", answer.momentum_step(*_copies(_W, _G, _U), _RATE, _MU), "w, u")
    slips = {
        "the sign of the gradient is the wrong way round: the velocity goes downhill": _MU * _U + _RATE * _G,
        "this is mu u + g, as PyTorch has it, which multiplies it by the rate later: here u is the step itself": _MU
        * _U
        + _G,
        "the rate is missing": _MU * _U - _G,
        "mu is missing: without it the velocity never slows down": _U - _RATE * _G,
        "the gradient is multiplied by 1 - mu, as in Adam's mean: momentum has a sum": _MU * _U
        - (1 - _MU) * _RATE * _G,
        "this is a mean of u and g: momentum has mu u - rate g": _MU * _U + (1 - _MU) * _G,
        "the old velocity is missing: this is the plain step": -_RATE * _G,
        "0.9 stands where the name mu belongs": 0.9 * _U - _RATE * _G,
        "0.01 stands where the name rate belongs": _MU * _U - 0.01 * _G,
        "u is as it was": _U,
        "the gradient is missing": _MU * _U,
        "the rate multiplies all of it: it belongs to the gradient": _RATE * (_MU * _U - _G),
        "this is w, which comes first: return w, u": _W + _NEW_U,
    }
    expect(f"the u of momentum_step {what}", u, _NEW_U, slips=slips, look="u <- mu * u - rate * g")
    slips = {
        "the old velocity was added: it should be the new one": _W + _U,
        "the new velocity was subtracted: it has its minus in it already": _W - _NEW_U,
        "the rate is in it twice: the velocity has it already": _W + _RATE * _NEW_U,
        "this is the plain step, without the velocity": _W - _RATE * _G,
        "the plain step was taken as well as the velocity's, which has it in it": _W + _NEW_U - _RATE * _G,
        "this is Nesterov's momentum, which looks one step ahead": _W + _MU * _NEW_U - _RATE * _G,
        "w is as it was": _W,
        "this is the velocity alone": _NEW_U,
    }
    expect(f"the w of momentum_step {what}", w, _W + _NEW_U, slips=slips, look="w <- w + u, with the new u")


_POINT = f"t = {_T}, rate = {_RATE}, beta1 = {_B1}, beta2 = {_B2}, epsilon = {_EPSILON}"


def _adam(answer: Answer) -> tuple[Any, ...]:
    got = answer.adam_step(*_copies(_W, _G, _M, _V), _T, _RATE, _B1, _B2, _EPSILON)
    return returned("adam_step", got, "w, m, v")


def _moments(answer: Answer) -> None:
    _, m, v = _adam(answer)
    slips = {
        "this is m', corrected for the bias: what is remembered is m": _HAT_M,
        "1 - beta1 is missing before g: a mean, not a sum": _B1 * _M + _G,
        "beta1 and 1 - beta1 are exchanged": (1 - _B1) * _M + _B1 * _G,
        "beta2 stands where beta1 belongs": _B2 * _M + (1 - _B2) * _G,
        "beta1 is missing before the old m": _M + (1 - _B1) * _G,
        "the gradient is squared: it is in v, not in m": _B1 * _M + (1 - _B1) * _G**2,
        "there is a minus before the gradient: m is a mean of gradients, and w goes against it": _B1 * _M
        - (1 - _B1) * _G,
        "0.9 stands where the name beta1 belongs": 0.9 * _M + (1 - 0.9) * _G,
        "brackets are missing: (1 - beta1) is a factor of g": _B1 * _M + 1 - _B1 * _G,
        "beta1 multiplies all of it: it is the factor of the old m": _B1 * (_M + (1 - _B1) * _G),
        "m is as it was": _M,
        "this is v: return w, m, v": _NEW_V,
    }
    what = f"the m of adam_step for g = {_G}, m = {_M}, {_POINT}"
    expect(what, m, _NEW_M, slips=slips, look="m <- beta1 * m + (1 - beta1) * g")
    slips = {
        "this is v', corrected for the bias: what is remembered is v": _HAT_V,
        "the square is missing: v is a mean of squares": _B2 * _V + (1 - _B2) * _G,
        "these are absolute values: v is a mean of squares": _B2 * _V + (1 - _B2) * np.abs(_G),
        "1 - beta2 is squared too: only g is": _B2 * _V + ((1 - _B2) * _G) ** 2,
        "all of it is squared: only g is": (_B2 * _V + (1 - _B2) * _G) ** 2,
        "m is squared: it should be the gradient": _B2 * _V + (1 - _B2) * _NEW_M**2,
        "1 - beta2 is missing before g^2: a mean, not a sum": _B2 * _V + _G**2,
        "beta2 and 1 - beta2 are exchanged": (1 - _B2) * _V + _B2 * _G**2,
        "beta1 stands where beta2 belongs": _B1 * _V + (1 - _B1) * _G**2,
        "beta2 is missing before the old v": _V + (1 - _B2) * _G**2,
        "0.999 stands where the name beta2 belongs": 0.999 * _V + (1 - 0.999) * _G**2,
        "brackets are missing: (1 - beta2) is a factor of g^2": _B2 * _V + 1 - _B2 * _G**2,
        "the squares are added up: each entry has its own v, of its own g": _B2 * _V + (1 - _B2) * (_G**2).sum(),
        "v is as it was": _V,
        "this is the root of v: it is taken in the step, and not remembered": np.sqrt(_NEW_V),
    }
    what = f"the v of adam_step for g = {_G}, v = {_V}, {_POINT}"
    expect(what, v, _NEW_V, slips=slips, look="v <- beta2 * v + (1 - beta2) * g^2")


def _corrected(answer: Answer) -> None:
    w = _adam(answer)[0]

    def step(m: Array = _HAT_M, v: Array = _HAT_V) -> Array:
        return _RATE * m / (np.sqrt(v) + _EPSILON)

    changes = {
        "there is no bias correction: these are m and v, not m' and v'": -step(_NEW_M, _NEW_V),
        "m has no bias correction: it is m, not m'": -step(m=_NEW_M),
        "v has no bias correction: it is v, not v'": -step(v=_NEW_V),
        "t is one too small in the powers: the first step has t = 1, and you need not count": -step(
            _NEW_M / (1 - _B1 ** (_T - 1)), _NEW_V / (1 - _B2 ** (_T - 1))
        ),
        "t is one too large in the powers": -step(_NEW_M / (1 - _B1 ** (_T + 1)), _NEW_V / (1 - _B2 ** (_T + 1))),
        "t is missing in the correction: it is 1 - beta^t, not 1 - beta": -step(_NEW_M / (1 - _B1), _NEW_V / (1 - _B2)),
        "beta1 and beta2 are exchanged in the correction": -step(_NEW_M / (1 - _B2**_T), _NEW_V / (1 - _B1**_T)),
        "beta1 is in both corrections": -step(v=_NEW_V / (1 - _B1**_T)),
        "beta2 is in both corrections": -step(m=_NEW_M / (1 - _B2**_T)),
        "beta * t stands where beta^t belongs, the power": -step(_NEW_M / (1 - _B1 * _T), _NEW_V / (1 - _B2 * _T)),
        "brackets are missing in the correction: m / 1 - beta1^t is m - beta1^t": -step(
            _NEW_M - _B1**_T, _NEW_V - _B2**_T
        ),
        "brackets are missing in the correction of m: m / 1 - beta1^t is m - beta1^t": -step(m=_NEW_M - _B1**_T),
        "the correction multiplies, where it divides": -step(_NEW_M * (1 - _B1**_T), _NEW_V * (1 - _B2**_T)),
        "epsilon is under the root: it should be added after the root": -_RATE * _HAT_M / np.sqrt(_HAT_V + _EPSILON),
        "epsilon^2 is under the root: epsilon is added to the root": -_RATE * _HAT_M / np.sqrt(_HAT_V + _EPSILON**2),
        "epsilon is missing: without it, the step is 0 / 0 where all gradients were 0": -_RATE
        * _HAT_M
        / np.sqrt(_HAT_V),
        "1e-8 stands where the name epsilon belongs": -_RATE * _HAT_M / (np.sqrt(_HAT_V) + 1e-8),
        "epsilon is added to the quotient: it keeps the divisor above 0, and belongs there": -_RATE
        * (_HAT_M / np.sqrt(_HAT_V) + _EPSILON),
        "epsilon is added last, to w: the divisor, sqrt(v') + epsilon, needs its brackets": -_RATE
        * _HAT_M
        / np.sqrt(_HAT_V)
        + _EPSILON,
        "epsilon is added to the root of v, before the correction: the paper mentions that form too, but here it is "
        "added to the root of v'": -_RATE * _HAT_M * np.sqrt(1 - _B2**_T) / (np.sqrt(_NEW_V) + _EPSILON),
        "the root is missing": -_RATE * _HAT_M / (_HAT_V + _EPSILON),
        "the correction of v comes after the root: v' is corrected, then the root is taken": -_RATE
        * _HAT_M
        / (np.sqrt(_NEW_V) / (1 - _B2**_T) + _EPSILON),
        "this goes uphill: the step is subtracted": step(),
        "the rate is missing": -step() / _RATE,
        "0.001 stands where the name rate belongs": -0.001 * step() / _RATE,
        "the gradient itself is divided, not the mean m'": -step(m=_G),
        "the old m and v are in it: the new ones are": -step(_M / (1 - _B1**_T), _V / (1 - _B2**_T)),
        "the old v is in it: it should be the new one": -step(v=_V / (1 - _B2**_T)),
        "the step is not divided by the root of v'": -_RATE * _HAT_M,
        "the step is multiplied by the root, where it is divided by it": -_RATE * _HAT_M * (np.sqrt(_HAT_V) + _EPSILON),
        "w is as it was": 0 * _W,
        "this is the step alone: w is missing": -step() - _W,
        "this is the step alone, with the wrong sign: it is subtracted from w": step() - _W,
    }
    slips = {cause: _W + change for cause, change in changes.items()}
    what = f"the w of adam_step for w = {_W}, g = {_G}, m = {_M}, v = {_V}, {_POINT}"
    look = "w <- w - rate * m' / (sqrt(v') + epsilon)"
    expect(what, w, _W - step(), slips=slips, look=look)


def _in_a_row(answer: Answer) -> str:
    """Compare many steps with the package's own optimizers, which arrange the formulas otherwise."""
    _require_untouched("momentum_step", answer.momentum_step, {"w": _W, "g": _G, "u": _U})
    _require_untouched("adam_step", answer.adam_step, {"w": _W, "g": _G, "m": _M, "v": _V}, 2)
    w, u = _START, np.zeros(2)
    plain = _START
    for _ in range(_STEPS):
        plain = plain - 0.03 * _STEEP * plain
        w, u = answer.momentum_step(w, _STEEP * w, u, rate=0.03)
    look = "attributes and global names: from step to step, nothing is kept but what the functions return"
    where = f"down a valley, w = {_START.astype(int)} at first and g = [1 50] * w,"
    expect(f"the w of {_STEPS} momentum steps {where}", w, _walked(SGD(0.03, momentum=0.9)), look=look)
    with_momentum, w = w, _START
    m = v = np.zeros(2)
    for t in range(1, _STEPS + 1):
        w, m, v = answer.adam_step(w, _STEEP * w, m, v, t, rate=0.3)
    expect(f"the w of {_STEPS} Adam steps {where}", w, _walked(Adam(0.3)), look=look)
    ends = ", ".join(
        f"{name} {np.linalg.norm(end):.2g}"
        for name, end in (("plain descent", plain), ("momentum", with_momentum), ("Adam", w))
    )
    return f"how far from the bottom of a narrow valley {_STEPS} steps end: {ends}"


def _walked(optimizer: Optimizer) -> Array:
    parameter = Parameter(_START.copy())
    for _ in range(_STEPS):
        parameter.add(_STEEP * parameter.value)
        optimizer.step([parameter])
    return parameter.value


def _copies(*arrays: Array) -> list[Array]:
    return [array.copy() for array in arrays]


def _require_untouched(name: str, step: Callable[..., Any], arrays: dict[str, Array], *more: Any) -> None:
    given = _copies(*arrays.values())
    step(*given, *more)
    for (what, kept), array in zip(arrays.items(), given, strict=True):
        require_untouched(what, array, kept, name)


EXERCISE = Exercise(
    name="adam",
    title="Momentum and Adam, from their papers",
    source=solution("adam"),
    prediction=Prediction(
        "the gradient of a weight is 1000 in the first step of Adam, and the rate is 0.001. By how much does the "
        "weight fall? (A number.)",
        0.001,
        "In the first step m' is g and v' is g^2, so m' / sqrt(v') is 1 or -1, whatever the size of the gradient. "
        "Each weight moves by the rate.",
    ),
    hint="Each formula is one line of Python, in the order of the task. Let `u = mu * u - rate * g` stand before "
    "the line that uses the new u. Give m' and v' names of their own, such as m_hat and v_hat, since m and v are "
    "to be returned. A power is written `**`.",
    marks=[
        Mark("momentum_step: the velocity, and the weights", _momentum),
        Mark("adam_step: the two means", _moments),
        Mark("adam_step: the weights", _corrected),
        Mark("many steps in a row", _in_a_row),
    ],
)
