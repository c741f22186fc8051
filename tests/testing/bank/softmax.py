"""Softmax and its kin."""

import numpy as np

from minibackprop import Layer
from tests.testing.bank.pieces import normalized_exp, rows
from tests.testing.bank.planting import planted


class Softmax(Layer):
    """Correct, over the last axis."""

    def forward(self, x):
        y = normalized_exp(x)
        return y, y

    def backward(self, grad, y):
        return y * (grad - (grad * y).sum(axis=-1, keepdims=True))


@planted("softmax with a diagonal Jacobian", Softmax, (3,), laws="input gradient", cause="only the diagonal")
class SoftmaxDiagonal(Softmax):
    """Only the diagonal of the Jacobian, as if each entry were a sigmoid."""

    def backward(self, grad, y):
        return grad * y * (1 - y)


@planted(
    "softmax over the batch",
    Softmax,
    (3,),
    laws="samples independent, missing batch axis",
    cause="samples mixed | the number of axes is not checked",
)
class SoftmaxOverBatch(Softmax):
    """Over axis 0, which in a batch is the samples."""

    def forward(self, x):
        e = np.exp(x - x.max(axis=0, initial=-np.inf))
        y = e / e.sum(axis=0)
        return y, y

    def backward(self, grad, y):
        return y * (grad - (grad * y).sum(axis=0))


@planted(
    "softmax with one maximum for the batch",
    Softmax,
    (3,),
    laws="finite, samples independent",
    cause="overflow, or a division by zero",
)
class SoftmaxOneMaximum(Softmax):
    """One maximum for the whole batch: a sample far below another's underflows to 0 / 0."""

    def forward(self, x):
        e = np.exp(x - x.max(initial=-np.inf))
        y = e / e.sum(axis=-1, keepdims=True)
        return y, y


@planted("softmax without its maximum", Softmax, (3,), laws="finite", cause="overflow")
class SoftmaxNoMaximum(Softmax):
    """The exponentials of large entries overflow."""

    def forward(self, x):
        e = np.exp(x)
        y = e / e.sum(axis=-1, keepdims=True)
        return y, y


@planted("softmax backward over axis 1", Softmax, (3,), laws="leading axes", cause="backward counts an axis")
class SoftmaxSecondAxis(Softmax):
    """forward takes the last axis, backward axis 1: the same for matrices only."""

    def backward(self, grad, y):
        return y * (grad - (grad * y).sum(axis=min(1, y.ndim - 1), keepdims=True))


@planted(
    "softmax Jacobian loop ends early",
    Softmax,
    (3,),
    laws="input gradient, batch sizes",
    cause="wrong for one row: the last",
)
class SoftmaxJacobianLoop(Softmax):
    """Sample by sample with the full Jacobian, the last sample left out."""

    def backward(self, grad, y):
        back = np.zeros(y.shape, grad.dtype, like=grad)
        flat, upstream, out = rows(back), rows(grad), rows(y)
        for i in range(len(out) - 1):
            flat[i] = (np.diag(out[i]) - np.outer(out[i], out[i])) @ upstream[i]
        return back


class LogSoftmax(Layer):
    """Correct."""

    def forward(self, x):
        shifted = x - x.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), normalized_exp(x)

    def backward(self, grad, p):
        return grad - p * grad.sum(axis=-1, keepdims=True)


@planted(
    "log-softmax backward for one-hot targets",
    LogSoftmax,
    (3,),
    laws="linearity, input gradient",
    cause="a term is added that does not depend on grad",
)
class LogSoftmaxOneHot(LogSoftmax):
    """``grad - p``: right if the upstream gradient of a sample sums to 1, as a one-hot target does."""

    def backward(self, grad, p):
        return grad - p


class LogSumExp(Layer):
    """Correct: of the last axis, which is kept."""

    def forward(self, x):
        top = x.max(axis=-1, keepdims=True)
        return top + np.log(np.exp(x - top).sum(axis=-1, keepdims=True)), x

    def backward(self, grad, x):
        return grad * normalized_exp(x)


@planted(
    "log-sum-exp without the upstream gradient",
    LogSumExp,
    (3,),
    laws="input gradient, linearity",
    cause="upstream gradient ignored",
)
class LogSumExpUpstream(LogSumExp):
    """The gradient of the log-sum-exp is the softmax, and that is what is returned."""

    def backward(self, grad, x):
        return normalized_exp(x)
