from tests.exercises.wrong.wrong_answer import Wrong

_STEP, _GATES, _BACK = "forward takes one step", "to_gates goes back", "backward goes on"
_GRADIENTS, _LAWS = "gradients are those of forward", "the other laws"

_FOUR = "sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)"
_MEMORY = "f * c + i * g\n"
_WHOLE = "dc = dc + dh * o * (1 - shown**2)"
_SLOPE = "dh * o * (1 - shown**2)"
_DA = "da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)"

WRONG = [
    # forward
    Wrong("gates exchanged", {_MEMORY: "i * c + f * g\n"}, _STEP, ("i and f are exchanged",)),
    Wrong("sigmoid for g", {"np.tanh(a_g)": "sigmoid(a_g)"}, _STEP, ("should be a tanh",)),
    Wrong("nothing on g", {"np.tanh(a_g)": "a_g"}, _STEP, ("the tanh of a_g is missing",)),
    Wrong("nothing on the gates", {_FOUR: "a_i, a_f, np.tanh(a_g), a_o"}, _STEP, ("the sigmoids of the gates",)),
    Wrong("tanh on the gates", {_FOUR: "np.tanh(a_i), np.tanh(a_f), np.tanh(a_g), np.tanh(a_o)"}, _STEP, ("0 and 1",)),
    Wrong(
        "another order",
        {_FOUR: _FOUR.replace("_g", "_x").replace("_o", "_g").replace("_x", "_o")},
        _STEP,
        ("i, f, o, g",),
    ),
    Wrong("nothing written", {_MEMORY: "f * c\n"}, _STEP, ("what is written, is missing",)),
    Wrong("nothing kept", {_MEMORY: "i * g\n"}, _STEP, ("what is kept, is missing",)),
    Wrong("no input gate", {_MEMORY: "f * c + g\n"}, _STEP, ("the input gate is missing",)),
    Wrong("no forget gate", {_MEMORY: "c + i * g\n"}, _STEP, ("the forget gate is missing", "1997")),
    Wrong("a sum for a product", {_MEMORY: "f * c + i + g\n"}, _STEP, ("i and g are added",)),
    Wrong("the product of matrices", {_MEMORY: "f @ c + i @ g\n"}, _STEP, ("ValueError in line", "f @ c")),
    Wrong("no tanh of c_new", {"o * np.tanh(c_new)": "o * c_new"}, _STEP, ("the tanh of c_new is missing",)),
    Wrong("the old c shown", {"o * np.tanh(c_new)": "o * np.tanh(c)"}, _STEP, ("the old c is shown",)),
    Wrong("no output gate", {"o * np.tanh(c_new)": "np.tanh(c_new)"}, _STEP, ("the output gate is missing",)),
    Wrong("sigmoid of c_new", {"o * np.tanh(c_new)": "o * sigmoid(c_new)"}, _STEP, ("should be the tanh",)),
    # the two ways of c_new
    Wrong("dc alone", {_WHOLE: "pass"}, _GATES, ("c_new reaches the loss through h_new as well",)),
    Wrong("dh's way alone", {_WHOLE: f"dc = {_SLOPE}"}, _GATES, ("the dc that came in is lost",)),
    Wrong("dc and dh", {_WHOLE: "dc = dc + dh"}, _GATES, ("dh passes these two first",)),
    Wrong("no slope of tanh", {_SLOPE: "dh * o"}, _GATES, ("the slope of the tanh is missing",)),
    Wrong("no o", {_SLOPE: "dh * (1 - shown**2)"}, _GATES, ("the output gate is missing",)),
    Wrong("at the old c", {_SLOPE: "dh * o * (1 - np.tanh(c) ** 2)"}, _GATES, ("h_new is made of c_new",)),
    Wrong("the slope of c_new", {_SLOPE: "dh * o * (1 - c_new**2)"}, _GATES, ("not of c_new",)),
    Wrong("no square", {_SLOPE: "dh * o * (1 - shown)"}, _GATES, ("the square is missing",)),
    Wrong("a sigmoid's slope", {_SLOPE: "dh * o * shown * (1 - shown)"}, _GATES, ("the slope of a sigmoid",)),
    Wrong("tanh for its slope", {_SLOPE: "dh * o * shown"}, _GATES, ("not through its slope",)),
    Wrong("f: copied from i", {"da_f = dc * c * f * (1 - f)": "da_f = da_i"}, _GATES, ("this is da_i",)),
    Wrong("g: (1 - g)^2", {"dc * i * (1 - g**2)": "dc * i * (1 - g) ** 2"}, _GATES, ("this is (1 - g)^2",)),
    Wrong("tanh twice", {_SLOPE: "dh * o * (1 - np.tanh(shown) ** 2)"}, _GATES, ("the tanh is taken twice",)),
    Wrong(
        "sigmoid twice",
        {"dc * g * i * (1 - i)": "dc * g * sigmoid(i) * (1 - sigmoid(i))"},
        _GATES,
        ("i is its output already",),
    ),
    Wrong("b not summed", {"da.sum(axis=0)": "da"}, _BACK, ("a sum over axis 0 is missing",)),
    Wrong("in place", {"dc = dc + dh": "dc += dh"}, _GATES, ("dc has changed after to_gates", "makes a new array")),
    # c and the gates
    Wrong("c: no f", {"dc_before = dc * f": "dc_before = dc"}, _GATES, ("the forget gate is missing",)),
    Wrong("c: i for f", {"dc_before = dc * f": "dc_before = dc * i"}, _GATES, ("this is multiplied by i",)),
    Wrong("c: the slope of f", {"dc_before = dc * f": "dc_before = dc * f * (1 - f)"}, _GATES, ("not on this way",)),
    Wrong("c: by c", {"dc_before = dc * f": "dc_before = dc * c"}, _GATES, ("with respect to f",)),
    Wrong("i: no slope", {"dc * g * i * (1 - i)": "dc * g"}, _GATES, ("the slope of i is missing",)),
    Wrong("i: half a slope", {"dc * g * i * (1 - i)": "dc * g * (1 - i)"}, _GATES, ("only 1 - i is there",)),
    Wrong("i: sigmoid for its slope", {"dc * g * i * (1 - i)": "dc * g * i"}, _GATES, ("not by its slope, i (1 - i)",)),
    Wrong("i: no g", {"dc * g * i * (1 - i)": "dc * i * (1 - i)"}, _GATES, ("the factor g is missing",)),
    Wrong(
        "i: c for g", {"dc * g * i * (1 - i)": "dc * c * i * (1 - i)"}, _GATES, ("the factor is c, and should be g",)
    ),
    Wrong("i: the slope of tanh", {"dc * g * i * (1 - i)": "dc * g * (1 - i**2)"}, _GATES, ("not 1 - i^2",)),
    Wrong(
        "i: dc as it came",
        {_WHOLE: f"whole = dc + {_SLOPE}", "dc_before = dc * f": "dc_before = whole * f"},
        _GATES,
        ("da_i", "dc went back as it came"),
    ),
    Wrong(
        "f: c_new for c", {"dc * c * f * (1 - f)": "dc * c_new * f * (1 - f)"}, _GATES, ("the factor is c_new, and",)
    ),
    Wrong(
        "f: g for c", {"dc * c * f * (1 - f)": "dc * g * f * (1 - f)"}, _GATES, ("the factor is g, and should be c",)
    ),
    Wrong("g: a sigmoid's slope", {"dc * i * (1 - g**2)": "dc * i * g * (1 - g)"}, _GATES, ("1 - g^2, not g (1 - g)",)),
    Wrong("g: no square", {"dc * i * (1 - g**2)": "dc * i * (1 - g)"}, _GATES, ("the square is missing",)),
    Wrong("g: no i", {"dc * i * (1 - g**2)": "dc * (1 - g**2)"}, _GATES, ("the factor i is missing",)),
    Wrong("g: no slope", {"dc * i * (1 - g**2)": "dc * i"}, _GATES, ("the slope of g is missing",)),
    Wrong("o: no tanh", {"dh * shown * o": "dh * c_new * o"}, _GATES, ("the factor is c_new, and should be tanh",)),
    Wrong("o: nothing shown", {"dh * shown * o": "dh * o"}, _GATES, ("the factor tanh(c_new) is missing",)),
    Wrong("o: dc for dh", {"dh * shown * o": "dc * shown * o"}, _GATES, ("through h_new alone",)),
    Wrong("o: no slope", {"dh * shown * o * (1 - o)": "dh * shown"}, _GATES, ("the slope of o is missing",)),
    Wrong("o: the sign", {"shown * o * (1 - o)": "shown * o * (o - 1)"}, _GATES, ("the sign is the wrong way round",)),
    # what Dense does
    Wrong("another order of blocks", {_DA: _DA.replace("da_g, da_o", "da_o, da_g")}, _BACK, ("a_i, a_f, a_o, a_g",)),
    Wrong("rows for columns", {_DA: _DA.replace("axis=1", "axis=0")}, _BACK, ("ValueError in line", "da @ W.T")),
    Wrong("blocks added", {_DA: "da = da_i + da_f + da_g + da_o"}, _BACK, ("ValueError in line", "da @ W.T")),
    Wrong("x through U", {"da @ W.T,": "da @ U.T,"}, _BACK, ("x is multiplied by W",)),
    Wrong("h through W", {"da @ U.T": "da @ W.T"}, _BACK, ("h is multiplied by U",)),
    Wrong("dh added", {"da @ U.T": "da @ U.T + dh"}, _BACK, ("h reaches it through a alone",)),
    Wrong("h for x", {"x.T @ da, h.T": "h.T @ da, h.T"}, _BACK, ("W multiplies x",)),
    Wrong("x for h", {"x.T @ da, h.T": "x.T @ da, x.T"}, _BACK, ("U multiplies h",)),
    Wrong("a mean", {"da.sum(axis=0)": "da.mean(axis=0)"}, _BACK, ("a mean over the samples",)),
    Wrong("no sum", {"da.sum(axis=0)": "da"}, _BACK, ("has shape (3, 8), and should have (8,)", "over the samples")),
    Wrong("another axis", {"da.sum(axis=0)": "da.sum(axis=1)"}, _BACK, ("the samples add up, axis 0",)),
    Wrong("clipped", {_DA: f"{_DA}.clip(-5, 5)"}, _BACK, ("1000 times larger", "np.clip")),
    # what one step of three samples does not show
    Wrong(
        "three samples",
        {"h.T @ da, da": "sum(np.outer(h[n], da[n]) for n in range(3)), da"},
        _GRADIENTS,
        ("IndexError", "elsewhere there are more"),
    ),
    Wrong(
        "a variable of the module",
        {"    return h_new, c": "    global kept\n    kept = x\n    return h_new, c", "x.T @ da, h": "kept.T @ da, h"},
        _LAWS,
        ("comes in the cache",),
    ),
]
