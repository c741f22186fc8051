from tests.exercises.wrong.wrong_answer import Wrong

FORWARD = "return x @ self.W.value + self.b.value, x"
WEIGHT, BIAS, INPUT = "self.W.add(x.T @ grad)", "self.b.add(grad.sum(axis=0))", "return grad @ self.W.value.T"
GRADIENTS, OTHERS = "the gradients are", "the other laws"

WRONG = [
    Wrong("no bias", {FORWARD: "return x @ self.W.value, x"}, "forward gives", ("the bias is missing",)),
    Wrong("no cache", {FORWARD: "return x @ self.W.value + self.b.value"}, "forward gives", ("return y, cache",)),
    Wrong("transposed", {FORWARD: "return x @ self.W.value.T, x"}, "forward gives", ("ValueError in line",)),
    Wrong(
        "the parameter itself",
        {FORWARD: "return x @ self.W + self.b, x"},
        "forward gives",
        ("ContractError in line", "write .value"),
    ),
    Wrong(
        "no weights on the way back", {INPUT: "return grad"}, GRADIENTS, ("law: shapes", "the shapes: x is (N, inputs)")
    ),
    Wrong(
        "not transposed",
        {INPUT: "return grad @ self.W.value"},
        GRADIENTS,
        ("ValueError in line", "the shapes: x is (N"),
    ),
    Wrong("nothing returned", {INPUT: "grad @ self.W.value.T"}, GRADIENTS, ("backward returns", "None")),
    Wrong("transposed change", {WEIGHT: "self.W.add(grad.T @ x)"}, GRADIENTS, ("(2, 3)", "(3, 2)")),
    Wrong(
        "a mean", {BIAS: "self.b.add(grad.mean(axis=0))"}, GRADIENTS, ("with respect to b", "batch size", "grad.mean")
    ),
    Wrong(
        "two means",
        {WEIGHT: "self.W.add(x.T @ grad / len(x))", BIAS: "self.b.add(grad.mean(axis=0))"},
        GRADIENTS,
        ("batch size", "each sample adds to it"),
    ),
    Wrong("bias forgotten", {BIAS: "pass"}, GRADIENTS, ("b", "no gradient reaches b")),
    Wrong(
        "set, not added", {WEIGHT: "self.W.grad = x.T @ grad"}, GRADIENTS, ("gradients add", "do not set self.W.grad")
    ),
    Wrong(
        "the sign",
        {INPUT: "return -grad @ self.W.value.T"},
        GRADIENTS,
        (
            "sign flipped",
            "the optimizer subtracts it",
        ),
    ),
    Wrong("sum over units", {BIAS: "self.b.add(grad.sum(axis=1))"}, GRADIENTS, ("shape",)),
    Wrong(
        "an update of its own",
        {WEIGHT: "self.W.value -= x.T @ grad\n        self.W.add(x.T @ grad)"},
        GRADIENTS,
        ("not linear in grad", "an optimizer's work"),
    ),
    Wrong(
        "kept on the layer",
        {FORWARD: "self.x = x\n        return x @ self.W.value + self.b.value, None", "x = cache": "x = self.x"},
        OTHERS,
        ("two open passes", "it must be the cache"),
    ),
    Wrong(
        "in place",
        {INPUT: "grad *= 1\n        return grad @ self.W.value.T"},
        OTHERS,
        ("arguments untouched", "belong to the caller"),
    ),
]
