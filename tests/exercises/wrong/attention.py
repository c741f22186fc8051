from tests.exercises.wrong.wrong_answer import Wrong

_SOFTMAX, _FORWARD, _BACK = "goes back to the scores", "forward takes weighted means", "backward reaches"
_GRADIENTS, _LAWS = "gradients are those of forward", "the other laws"

_DS = "P * (dP - (dP * P).sum(axis=-1, keepdims=True))"
_MADE = "x @ self.Wq.value, x @ self.Wk.value, x @ self.Wv.value"
_SCORES = "Q @ transposed(K) / self.d**0.5"
_MASK = "            S = np.where(visible, S, -np.inf)\n"
_WEIGHTS = "P = softmax(S)\n        return"
_THROUGH = "softmax_backward(grad @ transposed(V), P)"

WRONG = [
    # the softmax
    Wrong("the diagonal", {_DS: "P * (1 - P) * dP"}, _SOFTMAX, ("only the diagonal",)),
    Wrong("no mean", {_DS: "P * dP"}, _SOFTMAX, ("the mean m is missing",)),
    Wrong("no factor P", {_DS: _DS[4:]}, _SOFTMAX, ("the factor P is missing",)),
    Wrong("the plain sum", {"(dP * P).sum": "dP.sum"}, _SOFTMAX, ("m is the sum of dP",)),
    Wrong("the plain mean", {"(dP * P).sum": "dP.mean"}, _SOFTMAX, ("m is the plain mean",)),
    Wrong("brackets", {_DS: "P * dP - (dP * P).sum(axis=-1, keepdims=True)"}, _SOFTMAX, ("outside of the brackets",)),
    Wrong("added", {"dP - (dP * P)": "dP + (dP * P)"}, _SOFTMAX, ("m is added",)),
    Wrong(
        "the sign",
        {"dP - (dP * P).sum(axis=-1, keepdims=True)": "(dP * P).sum(axis=-1, keepdims=True) - dP"},
        _SOFTMAX,
        ("the sign is the wrong way round",),
    ),
    Wrong("of a loss", {_DS: "P - dP"}, _SOFTMAX, ("softmax and cross-entropy together",)),
    Wrong(
        "one sum of all",
        {"(dP * P).sum(axis=-1, keepdims=True)": "(dP * P).sum()"},
        _SOFTMAX,
        ("each row has its own m",),
    ),
    Wrong("columns", {"(dP * P).sum(axis=-1": "(dP * P).sum(axis=1"}, _SOFTMAX, ("down the columns",)),
    Wrong(
        "no keepdims",
        {"(dP * P).sum(axis=-1, keepdims=True)": "(dP * P).sum(axis=-1)"},
        _SOFTMAX,
        ("keepdims=True is missing",),
    ),
    Wrong(
        "the Jacobian of one row",
        {_DS: "(np.diag(P) - np.outer(P, P)) @ dP"},
        _SOFTMAX,
        ("ValueError in line", "np.diag"),
    ),
    # forward
    Wrong("no scale", {_SCORES: "Q @ transposed(K)"}, _FORWARD, ("not divided by sqrt(d)",)),
    Wrong("divided by d", {"transposed(K) / self.d**0.5": "transposed(K) / self.d"}, _FORWARD, ("by its root",)),
    Wrong(
        "multiplied", {"transposed(K) / self.d**0.5": "transposed(K) * self.d**0.5"}, _FORWARD, ("are multiplied by",)
    ),
    Wrong(
        "the width of x",
        {"transposed(K) / self.d**0.5": "transposed(K) / x.shape[-1] ** 0.5"},
        _FORWARD,
        ("the root is that of D",),
    ),
    Wrong(
        "the length",
        {"transposed(K) / self.d**0.5": "transposed(K) / len(K[0]) ** 0.5"},
        _FORWARD,
        ("the root is that of T",),
    ),
    Wrong(
        "scaled after the softmax",
        {_SCORES: "Q @ transposed(K)", _WEIGHTS: "P = softmax(S) / self.d**0.5\n        return"},
        _FORWARD,
        ("the weights are divided",),
    ),
    Wrong("no softmax", {_WEIGHTS: "P = S\n        return"}, _FORWARD, ("the softmax is missing",)),
    Wrong(
        "columns of the scores",
        {_WEIGHTS: "P = transposed(softmax(transposed(S)))\n        return"},
        _FORWARD,
        ("down the columns",),
    ),
    Wrong("exchanged", {"Q @ transposed(K) /": "K @ transposed(Q) /"}, _FORWARD, ("Q and K are exchanged",)),
    Wrong("P transposed", {_WEIGHTS: "P = transposed(softmax(S))\n        return"}, _FORWARD, ("P is transposed",)),
    Wrong("values by Wk", {_MADE: _MADE.replace("Wv", "Wk")}, _FORWARD, ("the values are the keys",)),
    Wrong("keys by Wq", {_MADE: _MADE.replace("Wk", "Wq")}, _FORWARD, ("K = x @ Wk",)),
    Wrong("T of all axes", {"Q @ transposed(K) /": "Q @ K.T /"}, _FORWARD, ("ValueError in line", "K.T")),
    Wrong("masked always", {"if self.causal:": "if True:"}, _FORWARD, ("the causal mask is there for every",)),
    Wrong("never masked", {_MASK: "            pass\n"}, _FORWARD, ("the mask is missing",)),
    Wrong(
        "weights masked",
        {_WEIGHTS: "P = softmax(S) * (visible if self.causal else 1)\n        return", _MASK: "            pass\n"},
        _FORWARD,
        ("comes after the softmax",),
    ),
    Wrong(
        "scores of zero", {"np.where(visible, S, -np.inf)": "S * visible"}, _FORWARD, ("which is a score like others",)
    ),
    Wrong(
        "the other way round",
        {"np.where(visible, S, -np.inf)": "np.where(visible, -np.inf, S)"},
        _FORWARD,
        ("a position sees itself",),
    ),
    Wrong("transposed mask", {"np.where(visible,": "np.where(visible.T,"}, _FORWARD, ("earlier positions are hidden",)),
    Wrong(
        "the mask added", {"np.where(visible, S, -np.inf)": "S + visible"}, _FORWARD, ("hidden ones are to be -inf",)
    ),
    Wrong("infinity times nothing", {"np.where(visible, S, -np.inf)": "S - np.inf * ~visible"}, _FORWARD, ("NaN",)),
    # backward
    Wrong("V: P as it is", {"dV = transposed(P) @ grad": "dV = P @ grad"}, _BACK, ("P is to be transposed",)),
    Wrong("V: no P", {"dV = transposed(P) @ grad": "dV = grad"}, _BACK, ("P is missing",)),
    Wrong(
        "V: scaled",
        {"dV = transposed(P) @ grad": "dV = transposed(P) @ grad / self.d**0.5"},
        _BACK,
        ("only the scores were",),
    ),
    Wrong(
        "no way through the softmax", {_THROUGH: "grad @ transposed(V)"}, _BACK, ("the softmax is missing on the way",)
    ),
    Wrong(
        "arguments exchanged",
        {_THROUGH: "softmax_backward(P, grad @ transposed(V))"},
        _BACK,
        ("dP and P are exchanged",),
    ),
    Wrong("a softmax of the gradient", {_THROUGH: "softmax(grad @ transposed(V))"}, _BACK, ("the softmax itself",)),
    Wrong("V as it is", {_THROUGH: "softmax_backward(grad @ V, P)"}, _BACK, ("ValueError in line", "grad @ V")),
    Wrong(
        "Q: no scale",
        {"dQ = dS @ K / self.d**0.5": "dQ = dS @ K"},
        _BACK,
        ("gradient of Wq", "and so is what goes back"),
    ),
    Wrong("Q: by Q", {"dQ = dS @ K": "dQ = dS @ Q"}, _BACK, ("this is made of Q",)),
    Wrong(
        "Q: dS transposed",
        {"dQ = dS @ K": "dQ = transposed(dS) @ K"},
        _BACK,
        ("the gradient of the scores is transposed",),
    ),
    Wrong(
        "K: no scale",
        {"dK = transposed(dS) @ Q / self.d**0.5": "dK = transposed(dS) @ Q"},
        _BACK,
        ("gradient of Wk", "and so is what goes back"),
    ),
    Wrong(
        "K: by d",
        {"dK = transposed(dS) @ Q / self.d**0.5": "dK = transposed(dS) @ Q / self.d"},
        _BACK,
        ("divided by d",),
    ),
    Wrong("K: dS as it is", {"dK = transposed(dS)": "dK = dS"}, _BACK, ("dS is to be transposed",)),
    Wrong("K: by K", {"dK = transposed(dS) @ Q": "dK = transposed(dS) @ K"}, _BACK, ("this is made of K",)),
    Wrong("K like Q", {"dK = transposed(dS) @ Q": "dK = dS @ K"}, _BACK, ("this is the gradient of Wq",)),
    Wrong(
        "weights without the mask",
        {"return P @ V, (x, Q, K, V, P)": f"return P @ V, (x, Q, K, V, softmax({_SCORES}))"},
        _BACK,
        ("a causal attention", "without the mask"),
    ),
    # what one shape does not show
    Wrong(
        "a number for d",
        {"transposed(K) / self.d**0.5": "transposed(K) / 2**0.5", "K / self.d**0.5\n": "K / 2**0.5\n"},
        _GRADIENTS,
        ("d is not always 2",),
    ),
    Wrong(
        "two samples",
        {"dV = transposed(P) @ grad": "dV = np.stack([P[n].T @ grad[n] for n in range(2)])"},
        _GRADIENTS,
        ("IndexError", "not always 2 samples"),
    ),
    # the laws
    Wrong(
        "state",
        {_WEIGHTS: "P = self.P = softmax(S)\n        return", _THROUGH: _THROUGH.replace("P)", "self.P)")},
        _LAWS,
        ("not from an attribute",),
    ),
    Wrong("in place", {"dV = transposed(P)": "grad /= 1.0\n        dV = transposed(P)"}, _LAWS, ("makes a new array",)),
    Wrong(
        "masked too late",
        {
            "S = np.where(visible, S, -np.inf)": "pass",
            "P = softmax(S)": "P = softmax(S)\n        if self.causal:\n            P = P * visible\n"
            "            P = P / P.sum(axis=-1, keepdims=True)",
        },
        _LAWS,
        ("finite", "if it comes after the softmax"),
    ),
    Wrong(
        "visible ones hidden", {"visible, S, -np.inf": "visible, -np.inf, S"}, _FORWARD, ("what may be seen is hidden",)
    ),
    Wrong("K.T", {"transposed(K) / self": "K.T / self"}, _FORWARD, ("all of whose axes .T turns around",)),
    Wrong("dP transposed", {_THROUGH: "softmax_backward(V @ transposed(grad), P)"}, _BACK, ("dP is transposed",)),
    Wrong(
        "a number for d everywhere",
        {
            "transposed(K) / self.d**0.5": "transposed(K) / 2**0.5",
            "K / self.d**0.5\n": "K / 2**0.5\n",
            "Q / self.d**0.5": "Q / 2**0.5",
        },
        _LAWS,
        ("reference", "d is not always 2"),
    ),
]
