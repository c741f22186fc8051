from tests.exercises.wrong.wrong_answer import Wrong

DELTA = "l1_error * l1 * (1 - l1)"
UPDATE = "syn0 = syn0 + x.T @ l1_delta"
CHANGES = "changes the weights"

BY_SAMPLE = """
        for row, target in zip(x, y):
            part = 1 / (1 + np.exp(-(row[None] @ syn0)))
            syn0 = syn0 + row[:, None] @ ((target - part) * part * (1 - part))"""

WRONG = [
    Wrong("l1 for x", {UPDATE: "syn0 = syn0 + l1.T @ l1_delta"}, CHANGES, ("is the input, x",)),
    Wrong("replaced", {UPDATE: "syn0 = x.T @ l1_delta"}, CHANGES, ("replaced by their change",)),
    Wrong("a small step", {UPDATE: "syn0 = syn0 + 0.1 * x.T @ l1_delta"}, CHANGES, ("0.1 times what it should be",)),
    Wrong("no sign", {"y - l1": "abs(y - l1)"}, CHANGES, ("the sign of the error is lost",)),
    Wrong("flat targets", {"y - l1": "y.ravel() - l1"}, CHANGES, ("y has been flattened",)),
    Wrong(
        "weights of its own",
        {"for _ in": "syn0 = 2 * np.random.RandomState(1).random_sample((3, 1)) - 1\n    for _ in"},
        "output is",
        ("begins with other weights",),
    ),
    Wrong("results exchanged", {"return syn0, l1": "return l1, syn0"}, "output is", ("the order is syn0, l1",)),
    Wrong("a number for steps", {"range(steps)": "range(10_000)"}, "output is", ("more than one step was taken",)),
    Wrong("after each sample", {UPDATE: BY_SAMPLE.strip()}, CHANGES, ("changed after each sample",)),
    Wrong(
        "not carried on",
        {UPDATE: "new = syn0 + x.T @ l1_delta", "return syn0": "return new"},
        "10,000 steps",
        ("each began with the first weights",),
    ),
    Wrong("no sigmoid", {"1 / (1 + np.exp(-(x @ syn0)))": "x @ syn0"}, "output is", ("the sigmoid is missing",)),
    Wrong("no minus", {"np.exp(-(x @ syn0))": "np.exp(x @ syn0)"}, "output is", ("the minus in e^-z is missing",)),
    Wrong(
        "output of the new weights",
        {UPDATE: f"{UPDATE}\n        l1 = 1 / (1 + np.exp(-(x @ syn0)))"},
        "output is",
        ("the output after the update",),
    ),
    Wrong("a product of entries", {"x @ syn0": "x * syn0"}, "output is", ("ValueError in line", "x * syn0")),
    Wrong("one result", {"return syn0, l1": "return l1"}, "output is", ("should return two things", "return syn0, l1")),
    Wrong("uphill", {"y - l1": "l1 - y"}, CHANGES, ("this goes uphill",)),
    Wrong("subtracted", {UPDATE: "syn0 = syn0 - x.T @ l1_delta"}, CHANGES, ("this goes uphill",)),
    Wrong("no slope", {DELTA: "l1_error"}, CHANGES, ("the slope is missing",)),
    Wrong(
        "slope of the input",
        {DELTA: "l1_error * (x @ syn0) * (1 - x @ syn0)"},
        CHANGES,
        ("takes l1, the output, not x @ syn0",),
    ),
    Wrong(
        "two sigmoids",
        {DELTA: "l1_error * (s := 1 / (1 + np.exp(-l1))) * (1 - s)"},
        CHANGES,
        ("one sigmoid too many",),
    ),
    Wrong("a mean", {UPDATE: "syn0 = syn0 + x.T @ l1_delta / len(x)"}, CHANGES, ("the article takes the sum",)),
    Wrong("no error", {DELTA: "l1 * (1 - l1)"}, CHANGES, ("the error is missing",)),
    Wrong("a squared error", {"y - l1": "(y - l1) ** 2"}, CHANGES, ("the error is squared",)),
    Wrong("shapes", {UPDATE: "syn0 = syn0 + x @ l1_delta"}, "output is", ("ValueError in line", "x of shape (4, 3)")),
    Wrong("no update", {UPDATE: "change = x.T @ l1_delta"}, CHANGES, ("the weights have not changed",)),
    Wrong("one step", {UPDATE: UPDATE + "\n        break"}, "10,000 steps", ("the output of the first step",)),
    Wrong(
        "a smaller step later",
        {"for _ in range(steps)": "for n in range(steps)", UPDATE: "syn0 = syn0 + x.T @ l1_delta / (1 + n)"},
        "10,000 steps",
        ("what differs in a later step",),
    ),
]
