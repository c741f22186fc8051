from tests.exercises.wrong.wrong_answer import Wrong

_U = "u = mu * u - rate * g"
_W = "w = w + u"
_M = "m = beta1 * m + (1 - beta1) * g"
_V = "v = beta2 * v + (1 - beta2) * g**2"
_HAT_M = "m_hat = m / (1 - beta1**t)"
_HAT_V = "v_hat = v / (1 - beta2**t)"
_STEP = "w - rate * m_hat / (np.sqrt(v_hat) + epsilon)"
_MOMENTUM = "momentum_step"
_MEANS = "the two means"
_WEIGHTS = "adam_step: the weights"
_ROW = "many steps"
WRONG = [
    Wrong("uphill", {_U: "u = mu * u + rate * g"}, _MOMENTUM, ("the velocity goes downhill",)),
    Wrong("PyTorch", {_U: "u = mu * u + g", _W: "w = w - rate * u"}, _MOMENTUM, ("as PyTorch has it",)),
    Wrong("no rate", {_U: "u = mu * u - g"}, _MOMENTUM, ("the rate is missing",)),
    Wrong("no mu", {_U: "u = u - rate * g"}, _MOMENTUM, ("mu is missing",)),
    Wrong("a mean", {_U: "u = mu * u - (1 - mu) * rate * g"}, _MOMENTUM, ("as in Adam's mean",)),
    Wrong("no old velocity", {_U: "u = -rate * g"}, _MOMENTUM, ("the old velocity is missing",)),
    Wrong("old velocity", {_U + "\n    " + _W: _W + "\n    " + _U}, _MOMENTUM, ("the old velocity was added",)),
    Wrong("subtracted", {_W: "w = w - u"}, _MOMENTUM, ("has its minus in it already",)),
    Wrong("rate twice", {_W: "w = w + rate * u"}, _MOMENTUM, ("the rate is in it twice",)),
    Wrong("Nesterov", {_W: "w = w + mu * u - rate * g"}, _MOMENTUM, ("Nesterov's",)),
    Wrong("swapped", {"return w, u": "return u, w"}, _MOMENTUM, ("this is w, which comes first",)),
    Wrong("w alone", {"return w, u": "return w"}, _MOMENTUM, ("should return two", "return w, u")),
    Wrong("hats kept", {"return w, m, v": "return w, m_hat, v_hat"}, _MEANS, ("what is remembered is m",)),
    Wrong("hats overwrite", {_HAT_M: "m = m_hat = m / (1 - beta1**t)"}, _MEANS, ("what is remembered is m",)),
    Wrong("a sum", {_M: "m = beta1 * m + g"}, _MEANS, ("1 - beta1 is missing",)),
    Wrong("exchanged", {_M: "m = (1 - beta1) * m + beta1 * g"}, _MEANS, ("are exchanged",)),
    Wrong("beta2 in m", {_M: _M.replace("beta1", "beta2")}, _MEANS, ("beta2 stands where beta1 belongs",)),
    Wrong("no square", {_V: _V.replace("g**2", "g")}, _MEANS, ("the square is missing",)),
    Wrong("m squared", {_V: _V.replace("g**2", "m**2")}, _MEANS, ("it should be the gradient",)),
    Wrong("beta1 in v", {_V: _V.replace("beta2", "beta1")}, _MEANS, ("beta1 stands where beta2 belongs",)),
    Wrong("v hat kept", {"return w, m, v": "return w, m, v_hat"}, _MEANS, ("this is v', corrected",)),
    Wrong("root kept", {"return w, m, v": "return w, m, np.sqrt(v)"}, _MEANS, ("not remembered",)),
    Wrong("no correction", {_HAT_M: "m_hat = m", _HAT_V: "v_hat = v"}, _WEIGHTS, ("no bias correction",)),
    Wrong("m not corrected", {_HAT_M: "m_hat = m"}, _WEIGHTS, ("m has no bias correction",)),
    Wrong("v not corrected", {_HAT_V: "v_hat = v"}, _WEIGHTS, ("v has no bias correction",)),
    Wrong("no power", {"beta1**t": "beta1", "beta2**t": "beta2"}, _WEIGHTS, ("t is missing",)),
    Wrong(
        "from 0", {"beta1**t": "beta1 ** (t - 1)", "beta2**t": "beta2 ** (t - 1)"}, _WEIGHTS, ("t is one too small",)
    ),
    Wrong("counted again", {"beta1**t": "beta1 ** (t + 1)", "beta2**t": "beta2 ** (t + 1)"}, _WEIGHTS, ("too large",)),
    Wrong("times", {"beta1**t": "beta1 * t", "beta2**t": "beta2 * t"}, _WEIGHTS, ("beta^t belongs",)),
    Wrong("a hat", {"beta1**t": "beta1^t"}, _MEANS, ("TypeError", "^")),
    Wrong("beta1 in both", {"beta2**t": "beta1**t"}, _WEIGHTS, ("beta1 is in both",)),
    Wrong(
        "epsilon inside",
        {_STEP: "w - rate * m_hat / np.sqrt(v_hat + epsilon)"},
        _WEIGHTS,
        ("epsilon is under the root",),
    ),
    Wrong(
        "no epsilon",
        {_STEP: "w - rate * m_hat / np.sqrt(v_hat)"},
        _WEIGHTS,
        ("epsilon is missing",),
    ),
    Wrong(
        "the other form",
        {_STEP: "w - rate * np.sqrt(1 - beta2**t) * m_hat / (np.sqrt(v) + epsilon)"},
        _WEIGHTS,
        ("the paper mentions that form too",),
    ),
    Wrong("no root", {"np.sqrt(v_hat)": "v_hat"}, _WEIGHTS, ("the root is missing",)),
    Wrong("root first", {_HAT_V: "v_hat = (np.sqrt(v) / (1 - beta2**t)) ** 2"}, _WEIGHTS, ("comes after the root",)),
    Wrong("brackets", {_STEP: "w - rate * m_hat / np.sqrt(v_hat) + epsilon"}, _WEIGHTS, ("needs its brackets",)),
    Wrong("goes uphill", {_STEP: _STEP.replace("w -", "w +")}, _WEIGHTS, ("this goes uphill",)),
    Wrong("gradient divided", {_STEP: _STEP.replace("m_hat", "g")}, _WEIGHTS, ("the gradient itself is divided",)),
    Wrong("step alone", {_STEP: _STEP.replace("w -", "-")}, _WEIGHTS, ("w is missing",)),
    Wrong("no brackets", {_M: "m = beta1 * m + 1 - beta1 * g"}, _MEANS, ("(1 - beta1) is a factor of g",)),
    Wrong("one v for all", {"g**2": "g @ g"}, _MEANS, ("each entry has its own v",)),
    Wrong(
        "no brackets in the correction", {"m / (1 - beta1**t)": "m / 1 - beta1**t"}, _WEIGHTS, ("brackets are missing",)
    ),
    Wrong("^ for a power", {"beta1**t": "beta1 ^ t"}, _MEANS, ("a power is written **",)),
    Wrong("math", {"import numpy as np": "import math", "np.sqrt": "math.sqrt"}, _MEANS, ("takes one number",)),
    Wrong(
        "in place on u",
        {_U: "u *= mu\n    u -= rate * g"},
        _ROW,
        ("u has changed after momentum_step", "makes a new array"),
    ),
    Wrong(
        "in place on w",
        {_STEP: "w", _HAT_V: f"{_HAT_V}\n    w -= rate * m_hat / (np.sqrt(v_hat) + epsilon)"},
        _ROW,
        ("w has changed after adam_step",),
    ),
    Wrong("in place on m", {_M: "m *= beta1\n    m += (1 - beta1) * g"}, _ROW, ("m has changed after adam_step",)),
    Wrong(
        "numbers",
        {"beta1**t": "0.9**t", _M: "m = 0.9 * m + 0.1 * g"},
        _MEANS,
        ("0.9 stands where the name beta1 belongs",),
    ),
    Wrong(
        "epsilon a number",
        {"(np.sqrt(v_hat) + epsilon)": "(np.sqrt(v_hat) + 1e-8)"},
        _WEIGHTS,
        ("1e-8 stands where the name epsilon belongs",),
    ),
    Wrong(
        "counts by itself",
        {_HAT_M: "adam_step.t = t = getattr(adam_step, 't', t - 1) + 1\n    m_hat = m / (1 - beta1**t)"},
        _WEIGHTS,
        ("t is one too large",),
    ),
]
