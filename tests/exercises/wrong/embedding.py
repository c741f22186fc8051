"""Wrong answers to the exercise on an embedding."""

from tests.exercises.wrong.wrong_answer import Wrong

TAKEN = "return self.W.value[x], x"
ZEROS = "dW = np.zeros_like(self.W.value)"
AT = "np.add.at(dW, x, grad)"
ADDED = "self.W.add(dW)"
DIVIDED = "dW /= np.maximum(np.bincount(x.ravel(), minlength=len(dW)), 1)[:, None]"
FIRSTS = "tokens, places = np.unique(x, return_index=True)"
NONE = "return None"
FORWARD, PLACES, REPEATS = "forward gives a row", "each vector of grad", "where a token occurs twice"
GRADIENTS, LAWS = "the gradients", "the other laws"

WRONG = [
    Wrong("x as it is", {TAKEN: "return x * 1.0, x"}, FORWARD, ("has shape (2, 3)", "names a row of W")),
    Wrong("one-hot alone", {TAKEN: "return np.eye(len(self.W.value))[x], x"}, FORWARD, ("product with W",)),
    Wrong("columns", {TAKEN: "return self.W.value[:, x], x"}, FORWARD, ("IndexError", "self.W.value[:, x]")),
    Wrong("product", {TAKEN: "return x @ self.W.value, x"}, FORWARD, ("ValueError", "in line")),
    Wrong("summed", {TAKEN: "return self.W.value[x].sum(axis=1), x"}, FORWARD, ("a vector for each place",)),
    Wrong("averaged", {TAKEN: "return self.W.value[x].mean(axis=1), x"}, FORWARD, ("are averaged",)),
    Wrong("one row", {TAKEN: "return self.W.value[x].reshape(len(x), -1), x"}, FORWARD, ("one long row",)),
    Wrong("one list", {TAKEN: "return self.W.value[x.ravel()], x"}, FORWARD, ("one list", "the axes of x")),
    Wrong("counted from 1", {TAKEN: "return self.W.value[x - 1], x"}, FORWARD, ("counted from 0",)),
    Wrong("no value", {TAKEN: "return self.W[x], x"}, FORWARD, ("TypeError", "in line")),
    Wrong("no cache", {TAKEN: "return self.W.value[x]"}, FORWARD, ("return y, cache",)),
    # One place for each token.
    Wrong("counts", {AT: "np.add.at(dW, x, 1.0)"}, PLACES, ("grad is not used",)),
    Wrong("W once more", {AT: "np.add.at(dW, x, grad * self.W.value[x])"}, PLACES, ("its slope is 1",)),
    Wrong("mean", {AT: "np.add.at(dW, x, grad / len(x))"}, PLACES, ("adds up",)),
    Wrong("sign", {ADDED: "self.W.add(-dW)"}, PLACES, ("a step downhill",)),
    Wrong("the sum for all", {AT: "dW += grad.sum(axis=(0, 1))"}, PLACES, ("belong to row k",)),
    Wrong("grad itself", {ADDED: "self.W.add(grad)"}, PLACES, ("ShapeError", "(5, 2)", "(2, 2, 2)")),
    Wrong("in order", {AT: "dW[: grad[..., 0].size] = grad.reshape(-1, dW.shape[1])"}, PLACES, ("their own order",)),
    Wrong("a step", {ADDED: "self.W.value -= 0.1 * dW"}, PLACES, ("backward changes W", "an optimizer's work")),
    Wrong("no add", {ADDED: "pass"}, PLACES, ("W has no gradient", "self.W.add")),
    Wrong("returns dW", {NONE: "return dW"}, PLACES, ("no gradient with respect to integers", "return None")),
    Wrong("returns grad", {NONE: "return grad"}, PLACES, ("no gradient with respect to integers", "return None")),
    Wrong("into W's gradient", {AT: "np.add.at(self.W.grad, x, grad)"}, PLACES, ("None before", "self.W.add(...)")),
    Wrong("onto W's gradient", {ADDED: "self.W.grad += dW"}, PLACES, ("None before", "self.W.add(...)")),
    Wrong("another TypeError", {AT: "np.add.at(dW, x, grad, 0)"}, PLACES, ("TypeError in line",)),
    # Tokens that occur again.
    Wrong("assigned", {AT: "dW[x] = grad"}, REPEATS, ("only the last place counts", "np.add.at")),
    Wrong("plus by index", {AT: "dW[x] += grad"}, REPEATS, ("writes it once", "np.add.at")),
    Wrong(
        "row by row",
        {AT: "for n in range(len(x)):\n            dW[x[n]] += grad[n]"},
        REPEATS,
        ("twice in one sample",),
    ),
    Wrong(
        "place by place",
        {AT: "for t in range(x.shape[1]):\n            dW[x[:, t]] += grad[:, t]"},
        REPEATS,
        ("in one place of two samples",),
    ),
    Wrong(
        "first place",
        {AT: f"{FIRSTS}\n        dW[tokens] = grad.reshape(-1, dW.shape[1])[places]"},
        REPEATS,
        ("only the first place",),
    ),
    Wrong(
        "divided by count",
        {AT: f"{AT}\n        {DIVIDED}"},
        REPEATS,
        ("how often it occurs",),
    ),
    # The laws.
    Wrong(
        "an empty batch",
        {AT: "np.add.at(dW, x.ravel(), grad.reshape(x.size, -1))"},
        LAWS,
        ("batch sizes", "says how long a vector is"),
    ),
    Wrong("set, not added", {ADDED: "self.W.grad = dW"}, GRADIENTS, ("gradients add", "self.W.add(...)")),
    Wrong(
        "on self",
        {TAKEN: "self.x = x\n        return self.W.value[x], None", "x = cache": "x = self.x"},
        LAWS,
        ("two open passes", "the cache, not an attribute"),
    ),
    Wrong(
        "kept on self too",
        {TAKEN: f"self.x = x\n        {TAKEN}"},
        LAWS,
        ("nothing left behind", "attributes that forward sets"),
    ),
    Wrong(
        "two axes only",
        {AT: "for n, t in np.ndindex(x.shape[:2]):\n            dW[x[n, t]] += grad[n, t]"},
        LAWS,
        ("leading axes", "x may have any shape"),
    ),
]
