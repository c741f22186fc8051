"""The chain: why backpropagation is composition."""

from __future__ import annotations

from typing import Any

import numpy as np

from minibackprop.core import Layer, Sequential
from minibackprop.exercises.answer import Answer, Miss
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import forward
from minibackprop.exercises.sources import solution
from minibackprop.layers.activations import Sigmoid, Tanh
from minibackprop.layers.dense import Dense
from minibackprop.validation import Array

_X = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]])
_USED_UP = (
    "whether the list of caches is changed on the way back (pop, reverse): backward may be called twice with one cache"
)
LOOK = {
    "shapes": "what each layer's backward gets, and what is returned at the end",
    "input gradient": "the order on the way back (last layer first), and that each layer gets its own cache",
    "parameter gradient": "that each layer's own backward is called, once, with the cache that its forward returned",
    "two open passes": "where backward gets the caches from: from its argument, not from an attribute",
    "nothing left behind": "attributes that forward sets: the caches are what it returns",
    "arguments untouched": _USED_UP,
    "results stay": _USED_UP,
    "gradients add": _USED_UP,
}


def _layers() -> list[Layer]:
    rng = np.random.default_rng(0)
    return [Dense(3, 4, rng=rng), Tanh(), Dense(4, 2, rng=rng), Sigmoid()]


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.Chain(_layers())
    return layer


def _short(answer: Answer) -> Layer:
    layer: Layer = answer.Chain(_layers()[:2])
    return layer


def _values(answer: Answer) -> None:
    whole = Sequential(_layers())
    slips = {
        "the last layer is missing": whole[:-1].predict(_X),
        "this is the result of the first layer alone: `return` stands within the loop": whole[:1].predict(_X),
    }
    came, _ = forward(_made(answer), _X)
    expect("forward of a chain of four layers", came, whole.predict(_X), slips=slips, look="what each layer gets")


class _Layer(Layer):
    """Adds to x, and to the gradient; writes down what its backward gets."""

    def __init__(self, name: str, seen: list[tuple[str, object, float]], twice: bool = False) -> None:
        self.name, self.seen, self.twice = name, seen, twice

    def forward(self, x: Array, /) -> tuple[Array, Any]:
        return x + 1.0, f"the cache of {self.name}" + (f" for {x[0, 0]:g}" if self.twice else "")

    def backward(self, grad: Array, cache: Any, /) -> Array:
        self.seen.append((self.name, cache, float(grad.flat[0])))
        return grad + 1.0


def _way_back(answer: Answer) -> None:
    seen: list[tuple[str, object, float]] = []
    names = ["the first layer", "the second layer", "the third layer"]
    chain = answer.Chain([_Layer(name, seen) for name in names])
    came, caches = forward(chain, _X)
    returned = chain.backward(np.zeros_like(came), caches)
    called = [name for name, _, _ in seen]
    order = f"backward was called on {', then on '.join(called) or 'no layer'}{' only' if len(called) == 1 else ''}"
    if called == names:
        raise Miss(
            order, "this is the order of the way forward", "reversed(...): the gradient meets the last layer first"
        )
    if called != names[::-1]:
        raise Miss(order, look="a loop over all layers, from the last to the first")
    if [layer.name for layer in chain.layers] != names:
        look = "reverse(), which turns the list itself around; reversed(...) and [::-1] leave it as it is"
        raise Miss("after backward, self.layers is in another order", look=look)
    for name, cache, _ in seen:
        if not isinstance(cache, str):
            cause = "what is kept is the layer's input" if isinstance(cache, np.ndarray) else ""
            look = "what forward keeps of each layer: the cache that its own forward returned, and nothing else"
            raise Miss(f"{name} got {type(cache).__name__}, which is not what its forward returned", cause, look)
    if len({str(cache) for _, cache, _ in seen}) == 1:
        look = "what forward keeps: a list with the cache of each layer"
        raise Miss(f"every layer got {str(seen[0][1])!r}", "only one cache is kept", look)
    for name, cache, _ in seen:
        if cache != f"the cache of {name}":
            look = "which cache belongs to which layer: the list must be read from its end as well"
            raise Miss(f"{name} got {str(cache)!r}, which is not what its forward returned", look=look)
    if [grad for _, _, grad in seen] != [0, 1, 2]:
        look = "grad = layer.backward(grad, cache): what a layer returns is what the one before it gets"
        raise Miss("not every layer got the gradient that the layer after it returned", look=look)
    expect(
        "the gradient that comes out (each of three layers adds 1)",
        returned,
        np.full_like(_X, 3),
        look="what is returned",
    )
    again: list[tuple[str, object, float]] = []
    layer = _Layer("one layer", again, twice=True)
    chain = answer.Chain([layer, layer])
    came, caches = forward(chain, np.zeros_like(_X))
    chain.backward(came, caches)
    if [cache for _, cache, _ in again] != ["the cache of one layer for 1", "the cache of one layer for 0"]:
        look = "caches that are found by the layer: keep a list, in which each has its place"
        raise Miss("where one layer stands twice in the chain, it does not get both of its caches back", look=look)


def _empty(answer: Answer) -> None:
    chain = answer.Chain([])
    look = "what is returned if the loop does nothing"
    came, caches = forward(chain, _X)
    expect("forward of a chain of no layers", came, _X, look=look)
    expect("backward of a chain of no layers", chain.backward(_X.copy(), caches), _X, look=look)


EXERCISE = Exercise(
    name="chain",
    title="The chain: backpropagation is composition",
    source=solution("chain"),
    prediction=Prediction(
        "a chain has 10 layers. How many times is a layer's backward called in one backward pass of the chain? (A "
        "number.)",
        10,
        "Once for each layer. In layers of matrix products, one pass back costs about as much as two passes "
        "forward, however many weights there are. To nudge each weight on its own would take a pass forward for "
        "every weight.",
    ),
    hint="forward: a loop over self.layers with `x, cache = layer.forward(x)`, and a list to append each cache to. "
    "backward: the same loop from the end, with `grad = layer.backward(grad, cache)`. reversed(...) and zip(...) "
    "help.",
    marks=[
        Mark("forward goes through all layers", _values),
        Mark("the gradient goes back through all layers", _way_back),
        Mark("a chain of no layers gives back what it gets", _empty),
        gradients(_short, (3,), LOOK, examples=10),
        other_laws(_short, (3,), LOOK, without=NOT_TAUGHT, examples=10),
    ],
)
