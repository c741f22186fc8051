"""A convolution: one small matrix product at every position."""

from typing import Any

import numpy as np

from minibackprop.core import Layer
from minibackprop.exercises.answer import Answer
from minibackprop.exercises.comparing import expect
from minibackprop.exercises.exercise import Exercise, Mark, Prediction
from minibackprop.exercises.laws import NOT_TAUGHT, gradients, other_laws
from minibackprop.exercises.passes import backward, forward, gradient
from minibackprop.exercises.sources import solution
from minibackprop.validation import Array

# A signal, a kernel and a gradient of which one sees at once, in each sum, what went into it.
_X = np.array([1.0, 10.0, 100.0, 1000.0, 0.0])
_KERNEL = np.array([1.0, 2.0, 3.0])
_B = 0.5
_GRAD = np.array([1.0, 10.0, 100.0])
_ROWS = np.arange(1.0, 9.0).reshape(1, 4, 2)
_WHERE = f"one sample, x = {_X}, with the kernel {_KERNEL}"

LOOK = {
    "transposed": "which axis of each W[k] and of grad is summed over: inputs come in, outputs come out",
    "batch size": "a mean over the samples where the sum belongs: the loss is of the whole batch",
    "no gradient reaches": "self.W.add(...) and self.b.add(...), once each in backward",
    "summed over the wrong axes": "the axes of the sums: samples (0) and positions (1) add up, outputs (2) do not",
    "gradients add": "self.W.add(...), which adds to what an earlier pass left; do not set self.W.grad",
    "shapes": "the shapes: x (N, T, inputs), grad (N, T - K + 1, outputs), W (K, inputs, outputs), b (outputs,). "
    "For each k, grad @ W[k].T has the shape of the slice of x, and slice.T @ grad that of W[k]",
    "input gradient": "the sum over k of grad @ W[k].T, each added to the slice of x_grad where W[k] read x",
    "parameter gradient": "W[k] is the W of a Dense, with the slice of x as its input. Samples and positions are "
    "one long list of rows there: all of them add up",
    "two open passes": "where backward gets x from: it must be the cache, not an attribute that the last forward left",
    "nothing left behind": "attributes that forward sets: what backward needs goes into the cache",
    "arguments untouched": "+=, -= and *= on x or grad, which belong to the caller",
    "no aliasing": "+= on self.b.value, which changes the layer itself",
}


def _made(answer: Answer) -> Layer:
    layer: Layer = answer.Convolution(2, 3, 2, np.random.default_rng(0))
    return layer


def _signal(answer: Answer) -> Layer:
    """Make a layer of one input, one output, and a kernel that one can read."""
    layer: Layer = answer.Convolution(1, 1, 3, np.random.default_rng(0))
    layer.load_state_dict({"W": _KERNEL[:, None, None], "b": np.array([_B])})
    return layer


def _both(answer: Answer) -> tuple[Layer, Any]:
    """Go forward and back; give the layer, and the gradient with respect to x."""
    layer = _signal(answer)
    return layer, backward(layer, _GRAD[None, :, None], forward(layer, _X[None, :, None])[1])


def _expect(what: str, came: Any, want: Array, slips: dict[str, Array], look: str) -> None:
    """Compare as `expect` does; numbers that lie along one axis alone are shown in a line."""
    if np.shape(came) == want.shape:
        came, want = np.ravel(came), want.ravel()
    expect(what, came, want, slips=slips, look=look)


def _slid(kernel: Array, bias: float = _B) -> Array:
    """Lay the kernel on each position of the signal."""
    return np.array([kernel @ _X[t : t + 3] + bias for t in range(3)])


def _values(answer: Answer) -> None:
    slips = {
        "the kernel is turned around: W[0] belongs to the first place of the window": _slid(_KERNEL[::-1]),
        "the last place of the window is left out: range(K) ends at K - 1 by itself": _slid(_KERNEL * [1, 1, 0]),
        "the bias is missing": _slid(_KERNEL, 0.0),
        "the bias is added at each place of the window, not once": _slid(_KERNEL, 3 * _B),
        "only the last place of the window counts: what the places give must be added up": 3 * _X[2:] + _B,
        "only the first place of the window counts: `return` stands within the loop": _X[:3] + _B,
        "the window does not move along with k: place k reads x from k on": 6 * _X[:3] + _B,
    }
    look = "y[t] = b + x[t] @ W[0] + x[t + 1] @ W[1] + ...: for each k, all t at once are x[:, k : k + positions]"
    y, _ = forward(_signal(answer), _X[None, :, None])
    _expect(f"y of {_WHERE} and b = {_B}", y, _slid(_KERNEL)[None, :, None], slips, look)
    layer = _made(answer)
    expect("y for 2 inputs, 3 outputs and a window of 2", forward(layer, _ROWS)[0], _by_hand(layer, _ROWS), look=look)


def _sent(kernel: Array) -> Array:
    """Send each entry of the gradient back to where its window was."""
    back = np.zeros(5)
    for t in range(3):
        back[t : t + 3] += _GRAD[t] * kernel
    return back


def _back(answer: Answer) -> str:
    overwritten = np.array([1.0, 2.0, 3.0, 30.0, 300.0])
    slips = {
        "the kernel is turned around: x[t + k] reached y[t] by W[k], and grad[t] goes back by it": _sent(_KERNEL[::-1]),
        "the last place of the window is left out: range(K) ends at K - 1 by itself": _sent(_KERNEL * [1, 1, 0]),
        "the slices overlap, and each overwrites what the one before it wrote: += adds": overwritten,
        "all of it goes to the first positions: W[k] read x from k on": np.array([6.0, 60.0, 600.0, 0.0, 0.0]),
        "the weights are missing: each place of the window gets grad itself": _sent(np.ones(3)),
        "no gradient goes back": np.zeros(5),
    }
    look = "which entries of y a change of x[t] reaches: y[t] by W[0], y[t - 1] by W[1], y[t - 2] by W[2]"
    what = f"the gradient with respect to x, for {_WHERE}, and grad = {_GRAD},"
    _expect(what, _both(answer)[1], _sent(_KERNEL)[None, :, None], slips, look)
    grad = np.arange(1.0, 10.0).reshape(1, 3, 3)
    layer = _made(answer)  # Here an error of shapes is the reader's own, with its line.
    want = sum(np.pad(grad @ W.T, ((0, 0), (k, 1 - k), (0, 0))) for k, W in enumerate(layer.parameters()[0].value))
    what = "the gradient with respect to x, for 2 inputs, 3 outputs and a window of 2,"
    expect(what, backward(layer, grad, forward(layer, _ROWS)[1]), want, look=f"{look}. On the way back it is W[k].T")
    return (
        "with the kernel 1 2 3, forward makes 3 2 1 of 0 0 1 0 0, and backward 0 1 2 3 0 of 0 1 0: the way back is "
        "a convolution too, with the kernel turned around"
    )


def _weights(answer: Answer) -> None:
    layer, _ = _both(answer)
    kernel = np.array([_GRAD @ _X[k : k + 3] for k in range(3)])
    slips = {
        "this is a mean over the positions: one W is used at all of them, and what it does adds up": kernel / 3,
        "the kernel is turned around: W[k] met x from k on": kernel[::-1],
        "the window does not move along with k: W[k] met x[:, k : k + positions]": np.full(3, kernel[0]),
        "only the first position counts: W is used at all of them": _X[:3] * _GRAD[0],
        "only the last position counts: W is used at all of them": _X[2:] * _GRAD[2],
        "self.W.add(W_grad) stands within the loop: it is called once, when all of W_grad is there": kernel * [3, 3, 1],
        "W_grad is handed on as it was made, with zeros": np.zeros(3),
    }
    look = "W[k] is used at every position t, with x[t + k]: its gradient is the sum over t of x[t + k] * grad[t]"
    what = f"the gradient of W, for {_WHERE}, and grad = {_GRAD},"
    _expect(what, gradient(layer, "W"), kernel[:, None, None], slips, look)
    slips = {
        "b is added once at each position, not at each place of the window": np.array([3 * _GRAD.sum()]),
        "this is a mean over the positions: b is added at all, and what it does adds up": np.array([_GRAD.mean()]),
    }
    look = "b is added at every position of every sample: the sum of grad over both axes"
    what = f"the gradient of b, for {_WHERE}, and grad = {_GRAD},"
    _expect(what, gradient(layer, "b"), np.array([_GRAD.sum()]), slips, look)


def _by_hand(layer: Layer, x: Array) -> Array:
    parameters = dict(layer.named_parameters())
    W, b = parameters["W"].value, parameters["b"].value
    windows = [[sample[t : t + len(W)] for t in range(len(sample) - len(W) + 1)] for sample in x]
    y = [[[(window * W[:, :, o]).sum() + b[o] for o in range(len(b))] for window in each] for each in windows]
    return np.array(y).reshape(len(x), -1, len(b))


EXERCISE = Exercise(
    name="convolution",
    title="A convolution",
    source=solution("convolution"),
    prediction=Prediction(
        "a kernel with three weights goes over a sequence of 10 numbers. All numbers are 1, and so is the gradient "
        "with respect to each entry of y. What is the gradient with respect to one of the three weights? (A "
        "number.)",
        8,
        "There are 10 - 3 + 1 = 8 positions, and the weight is used at each of them: what it does to each adds up.",
    ),
    hint="Write y[t] for K = 2: b + x[t] @ W[0] + x[t + 1] @ W[1]. With x0 = x[:, 0:positions] and x1 = x[:, 1 : 1 "
    "+ positions], this is y = b + x0 @ W[0] + x1 @ W[1]: two Dense layers, added. On the way back, each of the "
    "two gets the same grad, and does what Dense does; then x0's gradient goes to where x0 was cut from, and x1's "
    "to where x1 was. For W, let all positions of all samples be rows of one long matrix (reshape), as Dense has "
    "them.",
    marks=[
        Mark("forward lays the kernel on every position", _values),
        Mark("backward sends the gradient to every place that was read", _back),
        Mark("a weight's gradient is the sum over all positions", _weights),
        gradients(_made, (4, 2), LOOK, examples=6, shrink=False),
        other_laws(_made, (4, 2), LOOK, reference=_by_hand, without=NOT_TAUGHT, examples=5, shrink=False),
    ],
)
