"""The chain: why backpropagation is composition."""

import numpy as np

from minibackprop.core import Layer, Sequential
from minibackprop.exercises.answer import Answer, Miss
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import gradients, other_laws
from minibackprop.exercises.solutions import solution
from minibackprop.layers.activations import Sigmoid, Tanh
from minibackprop.layers.dense import Dense

_X = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]])
LOOK = {
    "shapes": "which layer gets which gradient, and which cache: the last layer is the first on the way back, and the "
    "list of caches must be read from its end as well",
    "input gradient": "the order on the way back (last layer first), and that each layer gets its own cache",
    "parameter gradient": "that each layer's own backward is called, once, with the cache that its forward returned",
    "two open passes": "where backward gets the caches from: from its argument, not from an attribute",
    "nothing left behind": "attributes that forward sets: the caches are what it returns",
    "arguments untouched": "whether the list of caches is changed on the way back (pop, reverse): backward may be "
    "called "
    "twice with one cache",
    "results stay": "whether the list of caches is changed on the way back (pop, reverse)",
    "gradients add": "whether the list of caches is changed on the way back (pop, reverse): backward may be called "
    "twice "
    "with one cache",
}


def _layers() -> list[Layer]:
    rng = np.random.default_rng(0)
    return [Dense(3, 4, rng=rng), Tanh(), Dense(4, 2, rng=rng), Sigmoid()]


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.Chain(_layers())
    return layer


def _values(answer: Answer) -> None:
    came = _made(answer).forward(_X.copy())
    if not isinstance(came, tuple) or len(came) != 2:
        raise Miss(f"forward returns {type(came).__name__}, and should return two things", look="return x, caches")
    whole = Sequential(_layers())
    partial = [whole[:n].predict(_X) for n in range(len(whole))]
    slips = {
        "this is x itself: is the result of a layer what the next one gets?": _X,
        "the last layer is missing": partial[-1],
        "this is the result of the first layer alone: `return` stands within the loop": partial[1],
    }
    expect("forward of a chain of four layers", came[0], whole.predict(_X), slips=slips, look="what each layer gets")
    empty = answer.Chain([]).forward(_X.copy())
    expect("forward of a chain of no layers", empty[0], _X, look="what is returned if the loop does nothing")


EXERCISE = Exercise(
    name="chain",
    title="The chain: backpropagation is composition",
    source=solution("chain"),
    prediction=Prediction(
        "a chain has 10 layers. How many times is a layer's backward called in one backward pass of the chain? (A "
        "number.)",
        10,
        "Once for each layer. One pass back costs about as much as two passes forward, however many weights there "
        "are. To nudge each "
        "weight on its own would take a pass forward for every weight.",
    ),
    hint="forward: a loop over self.layers with `x, cache = layer.forward(x)`, and a list to append each cache to. "
    "backward: the same loop from the end, with `grad = layer.backward(grad, cache)`. reversed(...) and zip(...) help.",
    marks=[
        Mark("forward goes through all layers", _values),
        gradients(_made, (3,), LOOK),
        other_laws(_made, (3,), LOOK),
    ],
)
