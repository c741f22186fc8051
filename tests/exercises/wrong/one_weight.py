from tests.exercises.wrong.wrong_answer import Wrong

GRADIENT = "(l - y) * l * (1 - l) * x"

WRONG = [
    Wrong(
        "two sigmoids", {"return sigmoid(x * w)": "return sigmoid(sigmoid(x * w))"}, "forward gives", ("taken twice",)
    ),
    Wrong("no sigmoid", {"return sigmoid(x * w)": "return x * w"}, "forward gives", ("the sigmoid is missing",)),
    Wrong("a sum", {"return sigmoid(x * w)": "return sigmoid(x + w)"}, "forward gives", ("a weight multiplies",)),
    Wrong("no slope", {GRADIENT: "(l - y) * x"}, "gradient is", ("the slope of the sigmoid is missing",)),
    Wrong("no input", {GRADIENT: "(l - y) * l * (1 - l)"}, "gradient is", ("the last factor is missing",)),
    Wrong("no error", {GRADIENT: "l * (1 - l) * x"}, "gradient is", ("the error is missing",)),
    Wrong("the article's error", {GRADIENT: "(y - l) * l * (1 - l) * x"}, "gradient is", ("l - y, not y - l",)),
    Wrong("twice", {GRADIENT: f"2 * {GRADIENT}"}, "gradient is", ("the half before the square",)),
    Wrong("the other way", {GRADIENT: "(l - y) * l * (1 - l) * w"}, "gradient is", ("the one with respect to w is x",)),
    Wrong(
        "slope of the input",
        {GRADIENT: "(l - y) * x * w * (1 - x * w) * x"},
        "gradient is",
        ("takes l, the output, not x * w",),
    ),
    Wrong(
        "the loss", {GRADIENT: "(l - y) ** 2 / 2 * l * (1 - l) * x"}, "gradient is", ("the loss itself for its slope",)
    ),
    Wrong("a sum of slopes", {GRADIENT: "(l - y) + l * (1 - l) + x"}, "gradient is", ("the slopes are added",)),
    Wrong("a fixed target", {GRADIENT: "(l - 1) * l * (1 - l) * x"}, "gradient is", ("that should be names",)),
    Wrong("uphill", {"w - rate": "w + rate"}, "downhill", ("this goes uphill",)),
    Wrong("no rate", {"w - rate * gradient": "w - gradient"}, "downhill", ("the rate is missing",)),
    Wrong("the step alone", {"w - rate * gradient": "rate * gradient"}, "downhill", ("the new weight is the old one",)),
]
