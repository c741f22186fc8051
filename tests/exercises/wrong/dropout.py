"""Wrong answers to the exercise on dropout."""

from tests.exercises.wrong.wrong_answer import Wrong

DRAWN = "self.generator.random(x.shape) >= self.rate"
MASK = f"({DRAWN}) / (1 - self.rate)"
RETURNED = "return x * mask, mask"
BACK = "return grad * cache"
FORWARD, BACKWARD, PREDICT = "forward drops", "backward uses the mask", "predict drops nothing"

WRONG = [
    Wrong(
        "rate is what is kept",
        {">= self.rate": "< self.rate"},
        FORWARD,
        ("it is that of an entry that is kept"),
    ),
    Wrong("binomial of rate", {MASK: "self.generator.binomial(1, self.rate, x.shape) / self.rate"}, FORWARD, ("kept",)),
    Wrong(
        "normal numbers",
        {"(self.generator.random(x.shape)": "(self.generator.normal(size=x.shape)"},
        FORWARD,
        ("the numbers are normal ones",),
    ),
    Wrong("an even chance", {">= self.rate": ">= 0.5"}, FORWARD, ("each entry has an even chance",)),
    Wrong("no mask", {RETURNED: "return x / (1 - self.rate), mask"}, FORWARD, ("nothing is dropped",)),
    Wrong("one draw a sample", {"(x.shape)": "((len(x), 1))"}, FORWARD, ("whole rows", "each entry has its own")),
    Wrong("one draw a feature", {"(x.shape)": "(x.shape[1])"}, FORWARD, ("columns", "each entry has its own")),
    Wrong("one draw", {"(x.shape)": "()"}, FORWARD, ("is there a draw for each entry",)),
    Wrong("not scaled", {MASK: f"({DRAWN}) * 1.0"}, FORWARD, ("is not scaled", "1 / (1 - rate)")),
    Wrong("scaled by what is dropped", {"/ (1 - self.rate)": "/ self.rate"}, FORWARD, ("by 1 / rate",)),
    Wrong("scaled down", {"/ (1 - self.rate)": "* (1 - self.rate)"}, FORWARD, ("it is made smaller",)),
    Wrong(
        "scaled twice", {RETURNED: "return x * mask / (1 - self.rate), mask"}, FORWARD, ("the factor is used twice",)
    ),
    Wrong(
        "brackets",
        {MASK: f"{DRAWN} / (1 - self.rate)"},
        FORWARD,
        ("brackets are missing", "a number from 0 to 1 is below rate"),
    ),
    Wrong(
        "seeded in forward",
        {"(self.generator.random": "(np.random.default_rng(0).random"},
        FORWARD,
        ("the same numbers",),
    ),
    Wrong(
        "NumPy's generator",
        {"(self.generator.random(x": "(np.random.random(x"},
        FORWARD,
        ("the layer's own generator",),
    ),
    Wrong("no seed", {"(self.generator": "(np.random.default_rng()"}, FORWARD, ("the layer's own generator",)),
    Wrong("in place", {RETURNED: "x *= mask\n        return x, mask"}, FORWARD, ("x has changed", "a new array")),
    Wrong("no cache", {RETURNED: "return x * mask"}, FORWARD, ("should return two things", "return y, cache")),
    Wrong("mask first", {RETURNED: "return mask, x * mask"}, FORWARD, ("return x * mask, mask",)),
    Wrong(
        "predict writes into x",
        {"return x\n": "x *= 1\n        x += 0.5\n        return x\n"},
        PREDICT,
        ("x has changed after predict",),
    ),
    Wrong("cache first", {RETURNED: "return None, x * mask"}, FORWARD, ("the order: return y, cache",)),
    Wrong("a shape for numbers", {"(x.shape)": "(*x.shape)"}, FORWARD, ("TypeError", "in line")),
    Wrong("grad alone", {BACK: "return grad"}, BACKWARD, ("the mask is missing",)),
    Wrong("the factor alone", {BACK: "return grad / (1 - self.rate)"}, BACKWARD, ("the mask is missing",)),
    Wrong("the zeros alone", {BACK: "return grad * (cache > 0)"}, BACKWARD, ("the factor 1 / (1 - rate) is missing",)),
    Wrong(
        "the mask unscaled",
        {MASK: f"({DRAWN})", RETURNED: "return x * mask / (1 - self.rate), mask"},
        BACKWARD,
        ("the factor 1 / (1 - rate) is missing",),
    ),
    Wrong("factor twice", {BACK: "return grad * cache / (1 - self.rate)"}, BACKWARD, ("the factor is used twice",)),
    Wrong("divided", {BACK: "return grad * (cache > 0) * (1 - self.rate)"}, BACKWARD, ("divided by the factor",)),
    Wrong(
        "the wrong half",
        {BACK: "return grad * (cache == 0) / (1 - self.rate)"},
        BACKWARD,
        ("reaches what was dropped",),
    ),
    Wrong(
        "redrawn",
        {BACK: f"return grad * ({DRAWN.replace('x.', 'grad.')}) / (1 - self.rate)"},
        BACKWARD,
        ("draws one of its own", "the cache"),
    ),
    Wrong("by y", {RETURNED: "return x * mask, x * mask"}, BACKWARD, ("multiplied by y", "is the mask")),
    Wrong("by x", {RETURNED: "return x * mask, x"}, BACKWARD, ("multiplied by x", "is the mask")),
    Wrong("the mask alone", {BACK: "return cache"}, BACKWARD, ("grad is missing",)),
    Wrong("grad in place", {BACK: "grad *= cache\n        return grad"}, BACKWARD, ("grad has changed", "a new array")),
    Wrong("mask in place", {BACK: "cache *= grad\n        return cache"}, BACKWARD, ("changes what is in the cache",)),
    Wrong("no return", {BACK: "grad * cache"}, BACKWARD, ("nothing is returned",)),
    Wrong("predict scales", {"return x\n": "return x * (1 - self.rate)\n"}, PREDICT, ("the paper's own way",)),
    Wrong("predict scales by rate", {"return x\n": "return x * self.rate\n"}, PREDICT, ("scaled by rate",)),
    Wrong("predict is forward", {"return x\n": "return self.forward(x)[0]\n"}, PREDICT, ("predict drops entries",)),
    Wrong("predict gives a pair", {"return x\n": "return x, None\n"}, PREDICT, ("predict returns y, and no cache",)),
    Wrong(
        "the mask told by y",
        {RETURNED: "return x * mask, x * mask", BACK: "return grad * (cache != 0) / (1 - self.rate)"},
        "the gradients",
        ("wrong where the input is zero", "y cannot tell what the mask was"),
    ),
    Wrong(
        "on self",
        {RETURNED: "self.mask = mask\n        return x * mask, None", BACK: "return grad * self.mask"},
        "the other laws",
        ("two open passes", "self.mask is overwritten by the next forward pass"),
    ),
    Wrong(
        "kept on self too",
        {RETURNED: "self.mask = mask\n        return x * mask, mask"},
        "the other laws",
        ("nothing left behind", "attributes that forward sets"),
    ),
    Wrong(
        "predict draws",
        {"return x\n": "self.generator.random(x.shape)\n        return x\n"},
        "the other laws",
        ("predict leaves no trace", "predict, which draws nothing"),
    ),
]
