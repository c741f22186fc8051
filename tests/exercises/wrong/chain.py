from tests.exercises.wrong.wrong_answer import Wrong

LOOP = "for layer, cache in zip(reversed(self.layers), reversed(caches), strict=True):"
FORWARD, BACK, GRADIENTS, OTHERS = "forward goes", "goes back", "the gradients are", "the other laws"

WRONG = [
    Wrong(
        "reversed in place",
        {LOOP: "self.layers.reverse()\n        for layer, cache in zip(self.layers, reversed(caches)):"},
        BACK,
        ("in another order",),
    ),
    Wrong(
        "caches by layer",
        {
            "caches = []": "caches = {}",
            "caches.append(cache)": "caches[layer] = cache",
            LOOP: "for layer in reversed(self.layers):",
            "layer.backward(grad, cache)": "layer.backward(grad, caches[layer])",
        },
        BACK,
        ("stands twice in the chain",),
    ),
    Wrong("x not handed on", {"x, cache = layer": "y, cache = layer"}, FORWARD, ("ShapeError in line", "(x)")),
    Wrong(
        "return in the loop",
        {"        return x, caches": "            return x, caches"},
        FORWARD,
        ("`return` stands within the loop",),
    ),
    Wrong(
        "last left out",
        {"in self.layers:\n            x, cache": "in self.layers[:-1]:\n            x, cache"},
        FORWARD,
        ("the last layer is missing",),
    ),
    Wrong("pair not taken apart", {"x, cache = layer.f": "x = cache = layer.f"}, FORWARD, ("in line", "got tuple")),
    Wrong("caches forgotten", {"return x, caches": "return x"}, FORWARD, ("should return two things",)),
    Wrong(
        "first layer first",
        {LOOP: "for layer, cache in zip(self.layers, caches, strict=True):"},
        BACK,
        ("the order of the way forward", "the last layer first"),
    ),
    Wrong(
        "caches not reversed",
        {LOOP: "for layer, cache in zip(reversed(self.layers), caches, strict=True):"},
        BACK,
        ("the third layer got 'the cache of the first layer'", "read from its end"),
    ),
    Wrong(
        "gradient not handed on",
        {"grad = layer.backward(grad, cache)": "g = layer.backward(grad, cache)", "return grad": "return g"},
        BACK,
        ("not every layer got the gradient", "is what the one before it gets"),
    ),
    Wrong(
        "upstream returned", {"grad = layer.backward": "layer.backward"}, BACK, ("not every layer got the gradient",)
    ),
    Wrong(
        "only the last cache",
        {"caches.append(cache)": "caches = [cache] * len(self.layers)"},
        BACK,
        ("only one cache is kept",),
    ),
    Wrong(
        "another name for the result",
        {
            "x, cache = layer.forward(x)": "x, cache = layer.forward(x)\n            y = x",
            "return x, caches": "return y, caches",
        },
        "a chain of no layers",
        ("UnboundLocalError in line",),
    ),
    Wrong(
        "inputs kept",
        {
            "x, cache = layer.forward(x)\n            caches.append(cache)": (
                "caches.append(x)\n            x, _ = layer.forward(x)"
            )
        },
        BACK,
        ("what is kept is the layer's input", "the cache that its own forward returned"),
    ),
    Wrong("pairs kept", {"caches.append(cache)": "caches.append((x, cache))"}, BACK, ("got tuple", "and nothing else")),
    Wrong("nothing returned", {"        return grad\n": ""}, BACK, ("nothing is returned",)),
    Wrong(
        "one step",
        {"        return grad\n": "            return grad\n"},
        BACK,
        ("was called on the third", "a loop over all"),
    ),
    Wrong(
        "added up",
        {"grad = layer.backward(grad, cache)": "grad = grad + layer.backward(grad, cache)"},
        BACK,
        ("not every layer got the gradient",),
    ),
    Wrong(
        "caches used up",
        {
            LOOP: "for layer in reversed(self.layers):",
            "layer.backward(grad, cache)": "layer.backward(grad, caches.pop())",
        },
        GRADIENTS,
        ("twice with one cache",),
    ),
    Wrong(
        "kept on the layer",
        {
            "return x, caches": "self.caches = caches\n        return x, None",
            "reversed(caches)": "reversed(self.caches)",
        },
        OTHERS,
        ("two open passes", "not from an attribute"),
    ),
]
