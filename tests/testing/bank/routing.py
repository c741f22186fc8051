"""Entries that change their places: running sums, differences, permutations, other shapes."""

import numpy as np

from minibackprop import Layer
from tests.testing.bank.pieces import require_features, require_samples
from tests.testing.bank.planting import planted


class RunningSum(Layer):
    """Correct: the cumulative sum of the last axis."""

    def forward(self, x):
        return np.cumsum(x, axis=-1), None

    def backward(self, grad, _):
        return np.cumsum(grad[..., ::-1], axis=-1)[..., ::-1]


@planted("running sum not reversed", RunningSum, (4,), laws="input gradient", cause="transposed")
class RunningSumForward(RunningSum):
    """The gradient is summed from the front as well."""

    def backward(self, grad, _):
        return np.cumsum(grad, axis=-1)


@planted("running sum off by one", RunningSum, (4,), laws="input gradient", cause="term missing: the identity")
class RunningSumExclusive(RunningSum):
    """The sum from behind leaves out the entry itself."""

    def backward(self, grad, _):
        return np.cumsum(grad[..., ::-1], axis=-1)[..., ::-1] - grad


@planted("running sum backward over axis 1", RunningSum, (4,), laws="leading axes", cause="backward counts an axis")
class RunningSumSecondAxis(RunningSum):
    """forward takes the last axis, backward axis 1: the same for matrices only."""

    def backward(self, grad, _):
        return np.cumsum(grad[:, ::-1], axis=1)[:, ::-1]


class Differences(Layer):
    """Correct: ``y[t] = x[t + 1] - x[t]``."""

    def forward(self, x):
        return x[..., 1:] - x[..., :-1], x.shape

    def backward(self, grad, shape):
        back = np.zeros(shape, grad.dtype, like=grad)
        back[..., 1:] += grad
        back[..., :-1] -= grad
        return back


@planted(
    "first difference forgotten", Differences, (4,), laws="input gradient", cause="wrong for one column: the first"
)
class DifferencesFirst(Differences):
    """The first entry, which has one neighbour only, is left at zero."""

    def backward(self, grad, shape):
        back = super().backward(grad, shape)
        back[..., 0] = 0
        return back


class Shuffle(Layer):
    """Correct: the features in another, fixed order."""

    order = (2, 0, 3, 1)

    def forward(self, x):
        require_features(x, len(self.order))
        return x[..., self.order], None

    def backward(self, grad, _):
        return grad[..., np.argsort(self.order).tolist()]


@planted("permutation not inverted", Shuffle, (4,), laws="input gradient", cause="an order not inverted")
class ShuffledAgain(Shuffle):
    """The order is applied where its inverse belongs."""

    def backward(self, grad, _):
        return grad[..., self.order]


class Flatten(Layer):
    """Correct: each (2, 3) sample as a row."""

    def forward(self, x):
        require_samples(x, 2, 3)
        return x.reshape(len(x), 6), x.shape

    def backward(self, grad, shape):
        return grad.reshape(shape)


@planted("flatten of an empty batch", Flatten, (2, 3), laws="batch sizes", cause="which an empty batch does not tell")
class FlattenEmpty(Flatten):
    """``reshape(len(x), -1)`` cannot tell the width of an empty batch."""

    def forward(self, x):
        require_samples(x, 2, 3)
        return x.reshape(len(x), -1), x.shape


@planted(
    "flatten of anything",
    Flatten,
    (2, 3),
    laws="missing batch axis, feature count",
    cause="as by reshape | the number of axes is not checked",
)
class FlattenAnything(Flatten):
    """``reshape(-1, 6)`` takes whatever has the right number of entries: a lone sample, or other samples' axes."""

    def forward(self, x):
        return x.reshape(-1, 6), x.shape
