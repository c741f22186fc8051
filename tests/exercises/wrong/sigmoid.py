from tests.exercises.wrong.wrong_answer import Wrong

WRONG = [
    Wrong("no minus", {"np.exp(-x)": "np.exp(x)"}, "1 / (1 + e^-x)", ("the minus before x is missing",)),
    Wrong("no brackets", {"1 / (1 + np.exp(-x))": "1 / 1 + np.exp(-x)"}, "1 / (1 + e^-x)", ("needs its brackets",)),
    Wrong("tanh", {"1 / (1 + np.exp(-x))": "np.tanh(x)"}, "1 / (1 + e^-x)", ("this is the tanh",)),
    Wrong("math", {"np.exp(-x)": "__import__('math').exp(-x)"}, "1 / (1 + e^-x)", ("TypeError", "in line", "math")),
    Wrong("no return", {"return 1 / (1": "l = 1 / (1"}, "1 / (1 + e^-x)", ("nothing is returned",)),
    Wrong(
        "overflow",
        {"1 / (1 + np.exp(-x))": "np.exp(x) / (1 + np.exp(x))"},
        "large numbers",
        ("NaN or infinite", "what np.exp gives for 1000"),
    ),
    Wrong(
        "slope of the input",
        {"l * (1 - l)": "sigmoid(l) * (1 - sigmoid(l))"},
        "slope(l)",
        ("takes l for x",),
    ),
    Wrong("slope without brackets", {"l * (1 - l)": "l * 1 - l"}, "slope(l)", ("the brackets are missing",)),
    Wrong("one factor", {"l * (1 - l)": "1 - l"}, "slope(l)", ("the factor l is missing",)),
    Wrong("the sign", {"l * (1 - l)": "l * (l - 1)"}, "slope(l)", ("the sign is the wrong way round",)),
    Wrong("twice", {"l * (1 - l)": "2 * l * (1 - l)"}, "slope(l)", ("2 times what it should be",)),
]
