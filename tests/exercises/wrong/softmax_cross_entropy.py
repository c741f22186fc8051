from tests.exercises.wrong.wrong_answer import Wrong

_E = "e = np.exp(z - z.max(axis=1, keepdims=True))"
_QUOTIENT = "return e / e.sum(axis=1, keepdims=True)"
_LOSSES = "np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, y]"
_MEAN = "np.sum(w * losses) / np.sum(w)"
_PAIR = f"return float({_MEAN}), (softmax(z), y, w)"
_COPY = "grad = p.copy()"
_ONE = "grad[np.arange(len(y)), y] -= 1"
_BACK = "scale * grad * w.reshape(-1, 1) / np.sum(w)"
_SOFTMAX = "softmax(z) gives"
_FORWARD = "forward gives the mean"
_BACKWARD = "backward gives its gradient"
_LAW = "the gradient is that of forward"
_OTHER = "the other laws"
WRONG = [
    Wrong("not divided", {_QUOTIENT: "return e"}, _SOFTMAX, ("not divided by their sum",)),
    Wrong(
        "not divided, not shifted",
        {_E: "e = np.exp(z)", _QUOTIENT: "return e"},
        _SOFTMAX,
        ("not divided by their sum",),
    ),
    Wrong("columns", {_QUOTIENT: "return e / e.sum(axis=0)", _E: "e = np.exp(z)"}, _SOFTMAX, ("along the wrong axis",)),
    Wrong("columns, shifted", {_QUOTIENT: "return e / e.sum(axis=0)"}, _SOFTMAX, ("wrong axis",)),
    Wrong("no axis", {_QUOTIENT: "return e / e.sum()"}, _SOFTMAX, ("needs its axis",)),
    Wrong(
        "no axis at all",
        {_E: "e = np.exp(z - z.max())", _QUOTIENT: "return e / e.sum()"},
        _SOFTMAX,
        ("needs its axis",),
    ),
    Wrong("no keepdims", {_QUOTIENT: "return e / e.sum(axis=1)"}, _SOFTMAX, ("ValueError", "keepdims")),
    Wrong("sigmoid", {_QUOTIENT: "return 1 / (1 + np.exp(-z))"}, _SOFTMAX, ("the sigmoid of each logit",)),
    Wrong("minus", {_E: "e = np.exp(-z)"}, _SOFTMAX, ("a minus in the exponent",)),
    Wrong(
        "no exponential", {_QUOTIENT: "return z / z.sum(axis=1, keepdims=True)"}, _SOFTMAX, ("without the exponential",)
    ),
    Wrong("overflow", {_E: "e = np.exp(z)"}, _SOFTMAX, ("NaN or infinite", "each row's own largest")),
    Wrong("largest of all", {_E: "e = np.exp(z - z.max())"}, _SOFTMAX, ("NaN or infinite", "each row's own largest")),
    Wrong(
        "in place on z",
        {_E: "z -= z.max(axis=1, keepdims=True)\n    e = np.exp(z)"},
        _SOFTMAX,
        ("z has changed after softmax", "belongs to the caller"),
    ),
    Wrong(
        "in place in forward",
        {"shifted = z - ": "z -= 1\n        shifted = z - "},
        _FORWARD,
        ("z has changed after forward",),
    ),
    Wrong(
        "divided by the largest", {_E: "e = np.exp(z / z.max(axis=1, keepdims=True))"}, _SOFTMAX, ("it is subtracted",)
    ),
    Wrong("largest of a column", {_E: "e = np.exp(z - z.max(axis=0))"}, _SOFTMAX, ("in its row",)),
    Wrong(
        "number of the label",
        {_LOSSES: "np.log(np.exp(shifted).sum(axis=1)) - y"},
        _FORWARD,
        ("where its logit belongs",),
    ),
    Wrong(
        "log, then sum",
        {_LOSSES: "np.log(np.exp(shifted)).sum(axis=1) - shifted[rows, y]"},
        _FORWARD,
        ("then its logarithm",),
    ),
    Wrong("rows of labels", {_ONE: "grad[y] -= 1"}, _BACKWARD, ("[y] is a row",)),
    Wrong("-1 for p", {_ONE: "grad[np.arange(len(y)), y] = -1"}, _BACKWARD, ("added to the probability",)),
    Wrong("1 added", {_ONE: "grad[np.arange(len(y)), y] += 1"}, _BACKWARD, ("it is subtracted",)),
    Wrong("sum", {_MEAN: "np.sum(losses)"}, _FORWARD, ("not their mean",)),
    Wrong("classes too", {_MEAN: "np.sum(losses) / z.size"}, _FORWARD, ("divided by the classes too",)),
    Wrong("sign", {_LOSSES: "np.log(softmax(z)[rows, y])"}, _FORWARD, ("the sign is the wrong way round",)),
    Wrong("no logarithm", {_LOSSES: "-softmax(z)[rows, y]"}, _FORWARD, ("the logarithm is missing",)),
    Wrong("not paired", {_MEAN: "-np.mean(np.log(softmax(z)[:, y]))"}, _FORWARD, ("[:, y] takes all labels",)),
    Wrong("all classes", {_MEAN: "-np.mean(np.log(softmax(z)))"}, _FORWARD, ("only that of the label counts",)),
    Wrong("entropy", {_LOSSES: "-(softmax(z) * np.log(softmax(z))).sum(axis=1)"}, _FORWARD, ("this is the entropy",)),
    Wrong("base 2", {_LOSSES: "-np.log2(softmax(z)[rows, y])"}, _FORWARD, ("to base 2",)),
    Wrong(
        "no shift of z_y",
        {_LOSSES: "np.log(np.exp(shifted).sum(axis=1)) - z[rows, y]"},
        _FORWARD,
        ("but not from z_y",),
    ),
    Wrong("no z_y", {_LOSSES: "np.log(np.exp(z).sum(axis=1))"}, _FORWARD, ("- z_y is missing",)),
    Wrong("no mean", {f"float({_MEAN})": "losses"}, _FORWARD, ("has shape (4,)", "their mean is missing")),
    Wrong("no weights", {_MEAN: "np.mean(losses)"}, _FORWARD, ("the weights are ignored",)),
    Wrong("weights over N", {_MEAN: "np.mean(w * losses)"}, _FORWARD, ("not by the sum of the weights",)),
    Wrong("no cache", {_PAIR: f"return float({_MEAN})"}, _FORWARD, ("two things",)),
    Wrong(
        "log of 0", {_LOSSES: "-np.log(softmax(z)[rows, y])"}, _FORWARD, ("a logarithm of zero", "no logarithm of p_y")
    ),
    Wrong("1e-12", {_LOSSES: "-np.log(softmax(z)[rows, y] + 1e-12)"}, _FORWARD, ("1e-12 within the logarithm",)),
    Wrong("no N", {_BACK: "scale * grad"}, _BACKWARD, ("not divided by the number of samples",)),
    Wrong("no label", {_ONE: "pass"}, _BACKWARD, ("the label has no part in it",)),
    Wrong("sign back", {_BACK: "-" + _BACK}, _BACKWARD, ("wrong way round", "the loss falls")),
    Wrong("labels alone", {_COPY: "grad = np.zeros_like(p)"}, _BACKWARD, ("has a slope too",)),
    Wrong("label's logit alone", {_ONE: "grad = np.eye(p.shape[1])[y] * (p - 1)"}, _BACKWARD, ("through the sum",)),
    Wrong("with respect to p", {_ONE: "grad = -np.eye(p.shape[1])[y] / p"}, _BACKWARD, ("the way on to z is missing",)),
    Wrong("[:, y]", {_ONE: "grad[:, y] -= 1"}, _BACKWARD, ("does not pair",)),
    Wrong("one everywhere", {_ONE: "grad -= 1"}, _BACKWARD, ("it belongs to the label's logit",)),
    Wrong(
        "the label's number", {_ONE: "grad -= y.reshape(-1, 1)"}, _BACKWARD, ("the number of the label is subtracted",)
    ),
    Wrong("logits cached", {"(softmax(z), y, w)": "(z, y, w)"}, _BACKWARD, ("the logits stand",)),
    Wrong("sigmoid slope", {_BACK: f"p * (1 - p) * {_BACK}"}, _BACKWARD, ("a factor p (1 - p) too many",)),
    Wrong(
        "softmax twice",
        {_ONE: _ONE + "\n        grad = p * (grad - (grad * p).sum(axis=1, keepdims=True))"},
        _BACKWARD,
        ("in it twice",),
    ),
    Wrong("weights back", {_BACK: "scale * grad / len(y)"}, _BACKWARD, ("ignored on the way back",)),
    Wrong(
        "weights not a column", {_BACK: "scale * grad * w / np.sum(w)"}, _BACKWARD, ("ValueError", "w.reshape(-1, 1)")
    ),
    Wrong("no scale", {_BACK: "grad * w.reshape(-1, 1) / np.sum(w)"}, _LAW, ("the argument scale",)),
    Wrong("cache overwritten", {_COPY: "grad = p"}, _OTHER, ("take a copy",)),
    Wrong(
        "on self",
        {
            _PAIR: f"self.kept = softmax(z), y, w\n        return float({_MEAN}), None",
            "y, w = cache": "y, w = self.kept",
        },
        _OTHER,
        ("from its argument, not from an attribute",),
    ),
]
