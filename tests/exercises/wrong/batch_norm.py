"""Wrong answers to the exercise on batch normalization."""

from tests.exercises.wrong.wrong_answer import Wrong

MEAN = "mean = x.mean(axis=0)"
S = "s = np.sqrt(x.var(axis=0) + self.epsilon)"
N = "n = (x - mean) / s\n"  # The task has the formula as well.
M = "m = self.momentum"
Y = "return self.weight.value * n + self.bias.value, (n, s)"
MOVE_MEAN = "self.running_mean.value = (1 - m) * self.running_mean.value + m * mean"
MOVE_VAR = "self.running_var.value = (1 - m) * self.running_var.value + m * unbiased"
KEPT_S = "s = np.sqrt(self.running_var.value + self.epsilon)"
KEPT_N = "n = (x - self.running_mean.value) / s"
KEPT_Y = "return self.weight.value * n + self.bias.value\n"
OF_WEIGHT = "self.weight.add((grad * n).sum(axis=0))"
OF_BIAS = "self.bias.add(grad.sum(axis=0))"
G = "g = grad * self.weight.value"
OWN = "own = g / s"
BY_MEAN = "by_mean = -g.mean(axis=0) / s"
BY_VARIANCE = "by_variance = -n * (g * n).mean(axis=0) / s"
BACK = "return own + by_mean + by_variance"
FORWARD, KEPT, BACKWARD = "forward normalizes", "the running statistics follow", "backward adds up"
GRADIENTS, LAWS = "the gradients", "the other laws"
MOVED = "self.running_mean.value = 0.9 * self.running_mean.value + 0.1 * x.mean(axis=0)"
#: How the course CS231n writes the way back, step by step.
STEPS = """dn = grad * self.weight.value
        centred = n * s
        dvar = (dn * centred * -0.5 * s**-3).sum(axis=0)
        dmean = (dn * -1 / s).sum(axis=0) + dvar * (-2 * centred).mean(axis=0)
        return dn / s + dvar * 2 * centred / len(n) + dmean / len(n)"""

WRONG = [
    Wrong("one mean for all", {MEAN: "mean = x.mean()"}, FORWARD, ("the axis is missing",)),
    Wrong("one running mean for all", {"m * mean": "m * x.mean()"}, KEPT, ("the axis is missing",)),
    # Forward.
    Wrong(
        "over features",
        {MEAN: "mean = x.mean(axis=1, keepdims=True)", S: S.replace("axis=0", "axis=1, keepdims=True")},
        FORWARD,
        ("those of each sample (axis=1)",),
    ),
    Wrong(
        "over all",
        {MEAN: "mean = x.mean()", S: "s = np.sqrt(x.var() + self.epsilon)"},
        FORWARD,
        ("the axis is missing",),
    ),
    Wrong("no epsilon", {S: "s = np.sqrt(x.var(axis=0))"}, FORWARD, ("epsilon is missing", "sqrt(variance + epsilon)")),
    Wrong("epsilon beside the root", {S: "s = x.std(axis=0) + self.epsilon"}, FORWARD, ("it belongs under it",)),
    Wrong("no root", {S: "s = x.var(axis=0) + self.epsilon"}, FORWARD, ("the root is missing",)),
    Wrong("times s", {N: "n = (x - mean) * s\n"}, FORWARD, ("multiplies by s",)),
    Wrong("no mean", {N: "n = x / s\n"}, FORWARD, ("the mean is not subtracted",)),
    Wrong("brackets", {N: "n = x - mean / s\n"}, FORWARD, ("brackets are missing",)),
    Wrong("not divided", {N: "n = x - mean\n"}, FORWARD, ("nothing is divided by s",)),
    Wrong("ddof", {S: "s = np.sqrt(x.var(axis=0, ddof=1) + self.epsilon)"}, FORWARD, ("divided by N - 1",)),
    Wrong("root mean square", {S: "s = np.sqrt((x**2).mean(axis=0) + self.epsilon)"}, FORWARD, ("before squaring",)),
    Wrong("running ones in forward", {Y: "return self.predict(x), (n, s)"}, FORWARD, ("which are for predict",)),
    Wrong("no weight and bias", {Y: "return n, (n, s)"}, FORWARD, ("weight and bias are missing",)),
    Wrong("no bias", {Y: "return self.weight.value * n, (n, s)"}, FORWARD, ("the bias is missing",)),
    Wrong("no weight", {Y: "return n + self.bias.value, (n, s)"}, FORWARD, ("the weight is missing",)),
    Wrong(
        "bias first", {Y: "return self.weight.value * (n + self.bias.value), (n, s)"}, FORWARD, ("before the weight",)
    ),
    Wrong("no value", {Y: "return self.weight * n + self.bias.value, (n, s)"}, FORWARD, ("write .value",)),
    Wrong("x in place", {N: "x -= mean\n        n = x / s\n"}, FORWARD, ("x has changed", "a new array")),
    Wrong("no cache", {Y: "return self.weight.value * n + self.bias.value"}, FORWARD, ("return y, cache",)),
    # The running statistics.
    Wrong("not moved", {MOVE_MEAN: "", MOVE_VAR: ""}, KEPT, ("running_mean", "it has not moved")),
    Wrong("the variance not moved", {MOVE_VAR: ""}, KEPT, ("running_var", "it has not moved")),
    Wrong("keepdims", {MEAN: "mean = x.mean(axis=0, keepdims=True)"}, KEPT, ("shape (1, 2)", "keepdims=True")),
    Wrong("those of the batch", {M: "m = 1"}, KEPT, ("of the batch alone",)),
    Wrong("momentum of Keras", {M: "m = 1 - self.momentum"}, KEPT, ("the shares are exchanged",)),
    Wrong(
        "old share whole",
        {"(1 - m) * self.running_mean.value": "self.running_mean.value"},
        KEPT,
        ("its share is 1 - momentum",),
    ),
    Wrong(
        "summed", {MOVE_MEAN: "self.running_mean.value = self.running_mean.value + mean"}, KEPT, ("this is the sum",)
    ),
    Wrong("divided by N", {"x.var(axis=0, ddof=1)": "x.var(axis=0)"}, KEPT, ("divided by N; the running one",)),
    Wrong(
        "a deviation",
        {"unbiased = x.var(axis=0, ddof=1)": "unbiased = x.std(axis=0, ddof=1)"},
        KEPT,
        ("what is kept is its square",),
    ),
    Wrong("s kept", {"m * unbiased": "m * s"}, KEPT, ("a root; what is kept is a variance",)),
    Wrong("s squared kept", {"m * unbiased": "m * s**2"}, KEPT, ("moved by s^2",)),
    Wrong(
        "buffer replaced",
        {"self.running_mean.value = (": "self.running_mean = ("},
        KEPT,
        ("no longer a Buffer", "self.running_mean.value ="),
    ),
    # Prediction.
    Wrong(
        "batch in predict",
        {KEPT_S: "s = np.sqrt(x.var(axis=0) + self.epsilon)  #", KEPT_N: "n = (x - x.mean(axis=0)) / s"},
        KEPT,
        ("predict takes the running ones",),
    ),
    Wrong("forward in predict", {KEPT_Y: "return self.forward(x)[0]\n"}, KEPT, ("whether it calls forward",)),
    Wrong("no epsilon in predict", {KEPT_S: "s = np.sqrt(self.running_var.value)"}, KEPT, ("epsilon is missing",)),
    Wrong("no root in predict", {KEPT_S: "s = self.running_var.value + self.epsilon"}, KEPT, ("the root is missing",)),
    Wrong("n in predict", {KEPT_Y: "return n\n"}, KEPT, ("weight and bias are missing",)),
    Wrong("predict is the identity", {KEPT_Y: "return x\n"}, KEPT, ("this is x as it is",)),
    Wrong("the buffer itself", {KEPT_N: "n = (x - self.running_mean) / s"}, KEPT, ("write .value",)),
    # The parameters' gradients.
    Wrong(
        "x for n",
        {
            Y: Y.replace("(n, s)", "(n, s, x)"),
            "n, s = cache": "n, s, x = cache",
            OF_WEIGHT: OF_WEIGHT.replace("* n", "* x"),
        },
        BACKWARD,
        ("x stands where n belongs",),
    ),
    Wrong(
        "x - mean for n", {OF_WEIGHT: "self.weight.add((grad * n * s).sum(axis=0))"}, BACKWARD, ("not divided by s",)
    ),
    Wrong("mean of weight", {OF_WEIGHT: OF_WEIGHT.replace("sum", "mean")}, BACKWARD, ("gradient of weight", "adds up")),
    Wrong("mean of bias", {OF_BIAS: OF_BIAS.replace("sum", "mean")}, BACKWARD, ("gradient of bias", "adds up")),
    Wrong(
        "exchanged",
        {OF_WEIGHT: OF_WEIGHT.replace("weight", "bias"), OF_BIAS: OF_BIAS.replace("bias", "weight")},
        BACKWARD,
        ("n is missing",),
    ),
    Wrong("not summed", {OF_BIAS: "self.bias.add(grad)"}, BACKWARD, ("(2,)", "(3, 2)")),
    Wrong("summed over features", {OF_BIAS: "self.bias.add(grad.sum(axis=1))"}, BACKWARD, ("(2,)", "(3,)")),
    Wrong("onto the gradient", {OF_BIAS: "self.bias.grad += grad.sum(axis=0)"}, BACKWARD, ("None before", ".add(...)")),
    Wrong("no add", {OF_WEIGHT: ""}, BACKWARD, ("weight has no gradient", "self.weight.add(...)")),
    # The three ways.
    Wrong("own alone", {BACK: "return own"}, BACKWARD, ("only the first way", "x moves them")),
    Wrong("no mean way", {BACK: "return own + by_variance"}, BACKWARD, ("the way through the mean is missing",)),
    Wrong("no variance way", {BACK: "return own + by_mean"}, BACKWARD, ("the way through the variance is missing",)),
    Wrong("no own way", {BACK: "return by_mean + by_variance"}, BACKWARD, ("its own n is missing",)),
    Wrong("sign of mean", {BY_MEAN: "by_mean = g.mean(axis=0) / s"}, BACKWARD, ("sign of the way through the mean",)),
    Wrong(
        "sign of variance",
        {BY_VARIANCE: "by_variance = n * (g * n).mean(axis=0) / s"},
        BACKWARD,
        ("sign of the way through the variance",),
    ),
    Wrong("both signs", {BACK: "return own - by_mean - by_variance"}, BACKWARD, ("the signs of the ways",)),
    Wrong("all signs", {BACK: "return -(own + by_mean + by_variance)"}, BACKWARD, ("the sign is the wrong way round",)),
    Wrong(
        "sums",
        {BY_MEAN: BY_MEAN.replace("mean(", "sum("), BY_VARIANCE: BY_VARIANCE.replace("mean(", "sum(")},
        BACKWARD,
        ("in the ways through the mean and the variance, a sum", "a factor 1 / N"),
    ),
    Wrong(
        "sum of g",
        {BY_MEAN: BY_MEAN.replace("mean(", "sum(")},
        BACKWARD,
        ("in the way through the mean, a sum", "dmean/dx_i is 1 / N"),
    ),
    Wrong(
        "sum of g n",
        {BY_VARIANCE: BY_VARIANCE.replace("mean(", "sum(")},
        BACKWARD,
        ("in the way through the variance, a sum", "a factor 1 / N"),
    ),
    Wrong(
        "the root's half",
        {BY_VARIANCE: "by_variance = -2 * n * (g * n).mean(axis=0) / s"},
        BACKWARD,
        ("a root is 1 / (2 s)",),
    ),
    Wrong(
        "the square's two",
        {BY_VARIANCE: "by_variance = -n * (g * n).mean(axis=0) / (2 * s)"},
        BACKWARD,
        ("has a factor 2",),
    ),
    Wrong(
        "a power of s",
        {BY_VARIANCE: "by_variance = -n * (g * n).mean(axis=0) / s**2"},
        BACKWARD,
        ("one 1 / s too many", "one 1 / s is left"),
    ),
    Wrong(
        "no s in the variance way",
        {BY_VARIANCE: "by_variance = -n * (g * n).mean(axis=0)"},
        BACKWARD,
        ("lacks a division by s:", "one 1 / s is left"),
    ),
    Wrong(
        "number of features",
        {
            BY_MEAN: "by_mean = -g.sum(axis=0) / len(s) / s",
            BY_VARIANCE: "by_variance = -n * (g * n).sum(axis=0) / len(s) / s",
        },
        BACKWARD,
        ("not of features",),
    ),
    Wrong("mean of all of g", {BY_MEAN: "by_mean = -g.mean() / s"}, BACKWARD, ("the mean of g goes over all",)),
    Wrong(
        "mean of all of g n",
        {BY_VARIANCE: "by_variance = -n * (g * n).mean() / s"},
        BACKWARD,
        ("the mean of g * n goes over all",),
    ),
    Wrong("no weight", {G: "g = grad"}, BACKWARD, ("g is grad * weight",)),
    Wrong(
        "grad in the statistics",
        {BY_MEAN: BY_MEAN.replace("g.", "grad."), BY_VARIANCE: BY_VARIANCE.replace("(g ", "(grad ")},
        BACKWARD,
        ("the weight is missing in the ways",),
    ),
    Wrong(
        "no s at all",
        {OWN: "own = g", BY_MEAN: "by_mean = -g.mean(axis=0)", BY_VARIANCE: "by_variance = -n * (g * n).mean(axis=0)"},
        BACKWARD,
        ("the division by s is missing",),
    ),
    Wrong(
        "times s at all",
        {BACK: "return (own + by_mean + by_variance) * s * s"},
        BACKWARD,
        ("where it should be divided",),
    ),
    Wrong(
        "as predict",
        {BACK: "return g / np.sqrt(self.running_var.value + self.epsilon)"},
        BACKWARD,
        ("the gradient of predict",),
    ),
    Wrong("g", {BACK: "return g"}, BACKWARD, ("the way from n to x is missing",)),
    Wrong("grad", {BACK: "return grad"}, BACKWARD, ("it has to go through weight, n and x",)),
    Wrong("no return", {BACK: ""}, BACKWARD, ("nothing is returned",)),
    Wrong("step by step, the power", {G: STEPS.replace("s**-3", "s**-1")}, BACKWARD, ("lacks a division by s^2",)),
    Wrong(
        "step by step, no N",
        {G: STEPS.replace(" + dmean / len(n)", " + dmean")},
        BACKWARD,
        ("in the way through the mean, a sum", "dmean/dx_i is 1 / N"),
    ),
    Wrong("grad in place", {G: "grad *= self.weight.value\n        g = grad"}, BACKWARD, ("grad has changed",)),
    # The laws.
    Wrong(
        "set, not added",
        {OF_WEIGHT: "self.weight.grad = (grad * n).sum(axis=0)"},
        GRADIENTS,
        ("gradients add", "self.weight.add(...)"),
    ),
    Wrong(
        "on self",
        {
            Y: "self.n, self.s = n, s\n        return self.weight.value * n + self.bias.value, None",
            "n, s = cache": "n, s = self.n, self.s",
        },
        LAWS,
        ("two open passes", "the cache, not attributes"),
    ),
    Wrong(
        "grad in the variance way",
        {"by_variance = -n * (g * n)": "by_variance = -n * (grad * n)"},
        BACKWARD,
        ("the weight is missing in the way through the variance",),
    ),
    Wrong("the mean of n", {"(g * n).mean(axis=0)": "g * n.mean(axis=0)"}, BACKWARD, ("is missing, or is 0",)),
    Wrong(
        "kept on self too",
        {Y: f"self.n = n\n        {Y}"},
        LAWS,
        ("nothing left behind", "attributes that forward sets"),
    ),
    Wrong(
        "cache in place",
        {BY_VARIANCE: "n *= (g * n).mean(axis=0)\n        by_variance = -n / s"},
        BACKWARD,
        ("backward changes what is in the cache", "a * b makes a new array"),
    ),
    Wrong(
        "predict moves",
        {KEPT_S: f"{MOVED}\n        {KEPT_S}"},
        KEPT,
        ("predict changes what the layer keeps", "in forward only"),
    ),
    Wrong(
        "predict moves after",
        {KEPT_Y: f"y = self.weight.value * n + self.bias.value\n        {MOVED}\n        return y\n"},
        KEPT,
        ("predict changes what the layer keeps", "in forward only"),
    ),
]
