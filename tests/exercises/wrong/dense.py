from tests.exercises.wrong.wrong_answer import Wrong

FORWARD = "return x @ self.W.value + self.b.value, x"
WEIGHT, BIAS, INPUT = "self.W.add(x.T @ grad)", "self.b.add(grad.sum(axis=0))", "return grad @ self.W.value.T"
VALUES, BACK, GRADIENTS, OTHERS = "forward gives", "three gradients", "the gradients are", "the other laws"

WRONG = [
    Wrong("no bias", {FORWARD: "return x @ self.W.value, x"}, VALUES, ("the bias is missing",)),
    Wrong("no cache", {FORWARD: "return x @ self.W.value + self.b.value"}, VALUES, ("return y, cache",)),
    Wrong("transposed", {FORWARD: "return x @ self.W.value.T, x"}, VALUES, ("ValueError in line",)),
    Wrong("the parameter itself", {FORWARD: "return x @ self.W + self.b, x"}, VALUES, ("in line", "write .value")),
    Wrong(
        "x overwritten",
        {FORWARD: "x -= 1\n        return x @ self.W.value + self.b.value, x"},
        VALUES,
        ("x has changed",),
    ),
    Wrong("no weights on the way back", {INPUT: "return grad"}, BACK, ("grad as it came", "x is (N, inputs)")),
    Wrong("not transposed", {INPUT: "return grad @ self.W.value"}, BACK, ("ValueError in line", "as many columns")),
    Wrong("nothing returned", {INPUT: "grad @ self.W.value.T"}, BACK, ("nothing is returned", "grad @ W.T")),
    Wrong("the other gradient returned", {INPUT: "return x.T @ grad"}, BACK, ("the gradient with respect to W",)),
    Wrong("transposed change", {WEIGHT: "self.W.add(grad.T @ x)"}, BACK, ("of shape (3, 2), got (2, 3)",)),
    Wrong(
        "result in the cache",
        {FORWARD: "y = x @ self.W.value + self.b.value\n        return y, y"},
        BACK,
        ("got (2, 2)",),
    ),
    Wrong("bias for weight", {WEIGHT: "self.W.add(grad.sum(axis=0))"}, BACK, ("of shape (3, 2), got (2,)",)),
    Wrong("a mean", {BIAS: "self.b.add(grad.mean(axis=0))"}, BACK, ("gradient of b", "a mean over the samples")),
    Wrong("two means", {WEIGHT: "self.W.add(x.T @ grad / len(x))"}, BACK, ("gradient of W", "each sample adds to it")),
    Wrong("bias forgotten", {BIAS: "pass"}, BACK, ("b has no gradient", "self.b.add(...)")),
    Wrong("weight forgotten", {WEIGHT: "pass"}, BACK, ("W has no gradient",)),
    Wrong("the sign", {INPUT: "return -grad @ self.W.value.T"}, BACK, ("the sign is the wrong way round",)),
    Wrong("sum over units", {BIAS: "self.b.add(grad.sum(axis=1))"}, BACK, ("over the units, not over the samples",)),
    Wrong("grad.sum alone", {BIAS: "self.b.add(grad.sum())"}, BACK, ("gradient",)),
    Wrong("+= on grad", {WEIGHT: "self.W.grad += x.T @ grad"}, BACK, ("None before the first pass", "self.W.add(...)")),
    Wrong("in place", {INPUT: "grad *= 2\n        return grad @ self.W.value.T"}, BACK, ("grad has changed",)),
    Wrong(
        "an update of its own",
        {WEIGHT: "self.W.add(x.T @ grad)\n        self.W.value -= x.T @ grad"},
        BACK,
        ("backward changes W", "an optimizer's work"),
    ),
    Wrong(
        "set, not added", {WEIGHT: "self.W.grad = x.T @ grad"}, GRADIENTS, ("gradients add", "do not set self.W.grad")
    ),
    Wrong(
        "kept on the layer",
        {FORWARD: "self.x = x\n        return x @ self.W.value + self.b.value, None", "x = cache": "x = self.x"},
        OTHERS,
        ("two open passes", "it must be the cache"),
    ),
    Wrong(
        "rows of the caller's",
        {BIAS: "for row in grad:\n            self.b.add(row)"},
        OTHERS,
        ("no aliasing", "they belong to the caller"),
    ),
    Wrong("Python's sum", {BIAS: "self.b.add(sum(grad))"}, OTHERS, ("a batch of no samples",)),
]
