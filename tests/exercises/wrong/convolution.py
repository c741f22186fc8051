from tests.exercises.wrong.wrong_answer import Wrong

_VALUES, _SENT, _SUM = "forward lays", "every place that was read", "sum over all positions"
_GRADIENTS, _LAWS = "gradients are those of forward", "the other laws"

_START = "y = self.b.value\n"
_FORWARD = "y = y + x[:, k : k + positions] @ self.W.value[k]"
_BACK = "x_grad[:, k : k + positions] += grad @ self.W.value[k].T"
_NEW = "x_grad = np.zeros_like(x)"
_ROWS = "window.reshape(-1, inputs).T @ grad.reshape(-1, outputs)"
_BIAS = "grad.sum(axis=(0, 1))"

WRONG = [
    # forward
    Wrong("turned around", {_FORWARD: _FORWARD.replace("value[k]", "value[K - 1 - k]")}, _VALUES, ("turned around",)),
    Wrong("no bias", {_START: "y = 0\n"}, _VALUES, ("the bias is missing",)),
    Wrong("bias each time", {_START: "y = 0\n", _FORWARD: f"{_FORWARD} + self.b.value"}, _VALUES, ("not once",)),
    Wrong("no sum", {"y = y + x": "y = self.b.value + x"}, _VALUES, ("only the last place",)),
    Wrong("return in the loop", {"        return y, x": "            return y, x"}, _VALUES, ("`return` stands",)),
    Wrong(
        "the window stands still", {"y + x[:, k : k + positions]": "y + x[:, :positions]"}, _VALUES, ("does not move",)
    ),
    Wrong("to the end", {"y + x[:, k : k + positions]": "y + x[:, k:]"}, _VALUES, ("ValueError in line", "x[:, k:]")),
    Wrong(
        "one position too few",
        {"y + x[:, k : k + positions]": "y + x[:, k : k + positions - 1]"},
        _VALUES,
        ("has shape (1, 2, 1), and should have (1, 3, 1)", "x[:, k : k + positions]"),
    ),
    Wrong("into the bias", {"y = y + x": "y += x"}, _VALUES, ("ValueError in line", "y += x")),
    Wrong("no cache", {"return y, x": "return y"}, _VALUES, ("should return two things",)),
    # dL/dx
    Wrong("overwritten", {"positions] += grad": "positions] = grad"}, _SENT, ("overwrites", "+= adds")),
    Wrong(
        "turned around on the way back",
        {"value[k].T": "value[K - 1 - k].T"},
        _SENT,
        ("turned around", "goes back by it"),
    ),
    Wrong("sent to the start", {_BACK: _BACK.replace("k : k + ", ":")}, _SENT, ("all of it goes to the first",)),
    Wrong("the shape of grad", {_NEW: "x_grad = np.zeros_like(grad)"}, _SENT, ("ValueError in line", "x_grad[:, k")),
    Wrong("no weights", {"grad @ self.W.value[k].T": "grad"}, _SENT, ("the weights are missing",)),
    Wrong("no transpose", {"value[k].T": "value[k]"}, _SENT, ("ValueError in line", "value[k]")),
    Wrong("K - 1", {"range(K):\n            y": "range(K - 1):\n            y"}, _VALUES, ("range(K) ends at K - 1",)),
    Wrong(
        "K - 1 back", {"range(K):\n            w": "range(K - 1):\n            w"}, _SENT, ("range(K) ends at K - 1",)
    ),
    Wrong("b cannot grow", {"y = y + x[": "y += x["}, _VALUES, ("keeps its shape",)),
    Wrong("entry by entry", {"] @ self.W.value[k]\n": "] * self.W.value[k]\n"}, _VALUES, ("ValueError in line",)),
    Wrong("written into x", {_NEW: "x_grad = x"}, _SENT, ("backward changes what is in the cache", "by another name")),
    Wrong("nothing returned", {"return x_grad": "pass"}, _SENT, ("nothing is returned",)),
    # dL/dW and dL/db
    Wrong("a mean of positions", {_ROWS: f"{_ROWS} / positions"}, _SUM, ("this is a mean over the positions",)),
    Wrong("the first position", {_ROWS: "x[:, k].T @ grad[:, 0]"}, _SUM, ("only the first position",)),
    Wrong(
        "the window stands still on the way back",
        {"window = x[:, k : k + ": "window = x[:, :"},
        _SUM,
        ("does not move",),
    ),
    Wrong("W is not added", {"self.W.add(W_grad)": "pass"}, _SUM, ("W has no gradient", "self.W.add(...)")),
    Wrong("W is added each time", {"        self.W.add(": "            self.W.add("}, _SUM, ("within the loop",)),
    Wrong("b is not added", {f"self.b.add({_BIAS})": "pass"}, _SUM, ("b has no gradient", "self.b.add(...)")),
    Wrong(
        "b is added each time",
        {f"self.b.add({_BIAS})": f"for k in range(K):\n            self.b.add({_BIAS})"},
        _SUM,
        ("not at each place",),
    ),
    Wrong(
        "b: a mean of positions", {_BIAS: "grad.mean(axis=1).sum(axis=0)"}, _SUM, ("this is a mean over the positions",)
    ),
    Wrong("b: samples apart", {_BIAS: "grad.sum(axis=1)"}, _SENT, ("ShapeError in line", "(1,)")),
    Wrong("b: outputs together", {_BIAS: "grad.sum()"}, _SENT, ("ShapeError in line", "(1,)")),
    # what a single sample and a single number at each position do not show
    Wrong("b: a mean of samples", {_BIAS: "grad.sum(axis=1).mean(axis=0)"}, _GRADIENTS, ("a mean over the samples",)),
    Wrong("W: a mean of samples", {_ROWS: f"{_ROWS} / len(x)"}, _GRADIENTS, ("a mean over the samples",)),
    Wrong("W: the first sample", {_ROWS: "window[0].T @ grad[0]"}, _GRADIENTS, ("all of them add up",)),
    Wrong(
        "W: rows torn", {"window.reshape(-1, inputs).T": "window.reshape(inputs, -1)"}, _GRADIENTS, ("one long list",)
    ),
    Wrong("b is set", {"self.b.add(": "setattr(self.b, 'grad', "}, _GRADIENTS, ("what an earlier pass left",)),
    # the laws
    Wrong(
        "state", {"return y, x": "self.x = x\n        return y, x", "x = cache": "x = self.x"}, _LAWS, ("the cache",)
    ),
]
