from tests.exercises.wrong.wrong_answer import Wrong

_MEAN = "np.sum(w * difference**2) / np.sum(w)"
_BACK = "scale * 2 * w * difference / np.sum(w)"
_PAIR = "return float(value), (difference, w)"
_FORWARD = "forward gives the mean"
_BACKWARD = "backward gives its gradient"
_WEIGHTS = "a weight counts"
_LAW = "the gradient is that of forward"
_OTHER = "the other laws"
WRONG = [
    Wrong("sum", {_MEAN: "np.sum(w * difference**2)"}, _FORWARD, ("the sum of the squares, not their mean",)),
    Wrong("half the sum", {_MEAN: "np.sum(difference**2) / 2"}, _FORWARD, ("the loss of the exercises before",)),
    Wrong("half the mean", {_MEAN: "np.mean(difference**2) / 2"}, _FORWARD, ("there is no half",)),
    Wrong(
        "mean over samples", {_MEAN: "np.sum(difference**2) / len(p)"}, _FORWARD, ("divided by the number of samples",)
    ),
    Wrong("no square", {_MEAN: "np.mean(difference)"}, _FORWARD, ("the square is missing", "cancel")),
    Wrong("square of the mean", {_MEAN: "np.mean(difference) ** 2"}, _FORWARD, ("square first",)),
    Wrong("absolute", {_MEAN: "np.mean(np.abs(difference))"}, _FORWARD, ("absolute values",)),
    Wrong("root", {_MEAN: "np.sqrt(np.mean(difference**2))"}, _FORWARD, ("there is no root",)),
    Wrong("an axis", {"float(value)": "np.mean(difference**2, axis=1)"}, _FORWARD, ("has shape (4,)", "each sample")),
    Wrong(
        "in place on p",
        {"difference = p - t": "difference = p\n        difference -= t"},
        _FORWARD,
        ("p has changed after forward", "makes a new array"),
    ),
    Wrong(
        "cache first", {_PAIR: "return (difference, w), float(value)"}, _FORWARD, ("the order: return value, cache",)
    ),
    Wrong(
        "a length",
        {"np.sum(w * difference**2) / np.sum(w)": "np.linalg.norm(difference)"},
        _FORWARD,
        ("the length of p - t",),
    ),
    Wrong("no cache", {_PAIR: "return float(value)"}, _FORWARD, ("two things", "return value, cache")),
    Wrong("no return", {_PAIR: "self.cache = difference, w"}, _FORWARD, ("NoneType", "return value, cache")),
    Wrong("no 2", {_BACK: "scale * w * difference / np.sum(w)"}, _BACKWARD, ("the 2 of the square is missing",)),
    Wrong("not divided", {_BACK: "scale * 2 * w * difference"}, _BACKWARD, ("not divided", "forward takes a mean")),
    Wrong("of half the sum", {_BACK: "scale * w * difference"}, _BACKWARD, ("the gradient of half the sum",)),
    Wrong("samples", {_BACK: "scale * 2 * w * difference / len(w)"}, _BACKWARD, ("divided by the number of samples",)),
    Wrong("sign", {_BACK: "-" + _BACK}, _BACKWARD, ("wrong way round", "the loss grows with p")),
    Wrong(
        "squared", {_BACK: _BACK.replace("difference", "difference**2")}, _BACKWARD, ("takes the loss for its slope",)
    ),
    Wrong("one number", {_BACK: f"np.sum({_BACK})"}, _BACKWARD, ("has shape ()", "a slope of its own")),
    Wrong("the value", {_PAIR: "return float(value), (value, w)"}, _BACKWARD, ("what is in the cache?",)),
    Wrong("predictions cached", {_PAIR: "return float(value), (p, w)"}, _BACKWARD, ("the target is missing",)),
    Wrong(
        "no weights",
        {_MEAN: "np.mean(difference**2)", _BACK: "scale * 2 * difference / difference.size"},
        _WEIGHTS,
        ("the loss of 4 samples", "the weights are ignored"),
    ),
    Wrong("weights not summed", {_MEAN: "np.mean(w * difference**2)"}, _WEIGHTS, ("not by the sum of the weights",)),
    Wrong("weights squared", {_MEAN: "np.sum((w * difference) ** 2) / np.sum(w)"}, _WEIGHTS, ("before the square",)),
    Wrong(
        "weights forward only",
        {_BACK: "scale * 2 * difference / difference.size"},
        _WEIGHTS,
        ("ignored on the way back", "w is in the cache"),
    ),
    Wrong("weights divide only", {_BACK: "scale * 2 * difference / np.sum(w)"}, _WEIGHTS, ("each term of the sum",)),
    Wrong(
        "no scale", {_BACK: "2 * w * difference / np.sum(w)"}, _LAW, ("upstream gradient ignored", "the argument scale")
    ),
    Wrong("scale squared", {_BACK: f"scale * {_BACK}"}, _LAW, ("the argument scale",)),
    Wrong("scale added", {_BACK: _BACK.replace("scale *", "(scale - 1) +")}, _LAW, ("the argument scale",)),
    Wrong(
        "in place on the cache",
        {
            _BACK: "scale * difference / np.sum(w)",
            "difference, w = cache": "difference, w = cache\n        difference *= 2 * w",
        },
        _OTHER,
        ("state on the loss or its cache", "called twice with one cache"),
    ),
    Wrong(
        "on self",
        {_PAIR: "self.kept = difference, w\n        return float(value), None", "w = cache": "w = self.kept"},
        _OTHER,
        ("from its argument, not from an attribute",),
    ),
]
