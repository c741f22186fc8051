from tests.exercises.wrong.wrong_answer import Wrong

L1, L2 = "1 / (1 + np.exp(-(x @ syn0)))", "1 / (1 + np.exp(-(l1 @ syn1)))"
ERROR, DELTA1, DELTA2 = "l2_delta @ syn1.T", "l1_error * l1 * (1 - l1)", "l2_error * l2 * (1 - l2)"
UPDATE1, UPDATE0 = "syn1 = syn1 + l1.T @ l2_delta", "syn0 = syn0 + x.T @ l1_delta"
BACK = f"l1_error = {ERROR}\n        l1_delta = {DELTA1}\n        "
FIRST, SYN1, SYN0 = "first step's error", "changes syn1", "changes syn0"

WRONG = [
    Wrong("a target for hidden units", {ERROR: "y - l1"}, SYN0, ("no hidden unit has a target",)),
    Wrong("l2 sent back", {ERROR: "l2 @ syn1.T"}, SYN0, ("not its delta",)),
    Wrong("l2 for l1", {UPDATE1: "syn1 = syn1 + l2.T @ l2_delta"}, SYN1, ("by the delta of l2 is l1",)),
    Wrong(
        "weights of its own",
        {
            "errors = []": "errors = []\n    u = np.random.RandomState(1).random_sample\n"
            "    syn0, syn1 = 2 * u((3, 4)) - 1, 2 * u((4, 1)) - 1"
        },
        FIRST,
        ("begins with other weights",),
    ),
    Wrong(
        "one error",
        {"errors.append(np.mean(np.abs(l2_error)))": "errors = np.mean(np.abs(l2_error))"},
        FIRST,
        ("should be a list",),
    ),
    Wrong("results missing", {"return syn0, syn1, errors": "return errors"}, FIRST, ("should return three things",)),
    Wrong(
        "error of the new weights",
        {
            "        errors.append(np.mean(np.abs(l2_error)))\n": "",
            UPDATE0: UPDATE0
            + "\n        l1 = 1 / (1 + np.exp(-(x @ syn0)))\n        l2 = 1 / (1 + np.exp(-l1 @ syn1))\n"
            "        errors.append(np.mean(np.abs(y - l2)))",
        },
        FIRST,
        ("the error after the update",),
    ),
    Wrong("squares", {"np.abs(l2_error)": "l2_error**2"}, FIRST, ("that of the absolute values",)),
    Wrong("signs cancel", {"np.abs(l2_error)": "l2_error"}, FIRST, ("errors of both signs cancel",)),
    Wrong("a sum", {"np.mean(np.abs(l2_error))": "np.sum(np.abs(l2_error))"}, FIRST, ("not their mean",)),
    Wrong("one sigmoid", {L2: "l1 @ syn1"}, FIRST, ("the second sigmoid is missing",)),
    Wrong("no hidden sigmoid", {L1: "x @ syn0"}, FIRST, ("the first sigmoid is missing",)),
    Wrong("no errors", {"errors.append(np.mean(np.abs(l2_error)))": "pass"}, FIRST, ("0 entries", "once in each step")),
    Wrong("uphill", {"y - l2": "l2 - y"}, SYN1, ("this goes uphill",)),
    Wrong("no slope", {DELTA2: "l2_error"}, SYN1, ("the slope of l2 is missing",)),
    Wrong(
        "input for hidden",
        {UPDATE1: "syn1 = syn1 + x.T @ l2_delta"},
        FIRST,
        ("ValueError in line", "x of shape (4, 3)"),
    ),
    Wrong("a mean", {UPDATE1: "syn1 = syn1 + l1.T @ l2_delta / len(x)"}, SYN1, ("the article takes the sum",)),
    Wrong(
        "the new weights",
        {BACK + UPDATE1: f"{UPDATE1}\n        {BACK.rstrip()}"},
        SYN0,
        ("went through the new syn1",),
    ),
    Wrong("error for delta", {ERROR: "l2_error @ syn1.T"}, SYN0, ("not its delta",)),
    Wrong("no hidden slope", {DELTA1: "l1_error"}, SYN0, ("the slope of l1 is missing",)),
    Wrong("the other slope", {DELTA1: "l1_error * l2 * (1 - l2)"}, SYN0, ("is that of l2",)),
    Wrong("no weights on the way back", {ERROR: "l2_delta"}, SYN0, ("the weights syn1 are missing on the way back",)),
    Wrong("not transposed", {ERROR: "l2_delta @ syn1"}, FIRST, ("as many columns on its left", "syn1 of shape (4, 1)")),
    Wrong("not updated", {UPDATE0: "change = x.T @ l1_delta"}, SYN0, ("syn0 has not changed",)),
    Wrong("subtracted", {UPDATE0: "syn0 = syn0 - x.T @ l1_delta"}, SYN0, ("this goes uphill",)),
    Wrong(
        "hidden for input",
        {UPDATE0: "syn0 = syn0 + l1.T @ l1_delta"},
        FIRST,
        ("ValueError in line", "l1 of shape (4, 4)"),
    ),
    Wrong(
        "a smaller step later",
        {UPDATE0: "syn0 = syn0 + x.T @ l1_delta / (1 if len(errors) < 2 else 2)"},
        "60,000 steps",
        ("what differs in a later step",),
    ),
]
