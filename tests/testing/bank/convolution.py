"""Convolution and pooling, and sums over time."""

import numpy as np

from minibackprop import Layer, Parameter, ShapeError
from tests.testing.bank.pieces import draw, require_features, require_samples, rows
from tests.testing.bank.planting import planted


class Convolution(Layer):
    """Correct: ``y[t] = sum_j x[t + j] @ W[j] + b`` over sequences (time, channels)."""

    def __init__(self, taps: int = 3, channels: int = 2) -> None:
        self.taps, self.channels = taps, channels
        self.W = Parameter(draw(taps, channels, channels) / 2)
        self.b = Parameter(draw(channels, seed=1))

    def forward(self, x):
        if x.ndim != 3 or x.shape[1] < self.taps or x.shape[2] != self.channels:
            raise ShapeError("Convolution", f"(N, at least {self.taps}, {self.channels})", str(x.shape))
        steps = x.shape[1] - self.taps + 1
        return sum(x[:, j : j + steps] @ self.W.value[j] for j in range(self.taps)) + self.b.value, x

    def backward(self, grad, x):
        steps = grad.shape[1]
        self.W.add(np.stack([rows(x[:, j : j + steps]).T @ rows(grad) for j in range(self.taps)]))
        self.b.add(grad.sum(axis=(0, 1)))
        return self.back(grad, x.shape)

    def back(self, grad, shape):
        back = np.zeros(shape, grad.dtype, like=grad)
        for j in range(self.taps):
            back[:, j : j + grad.shape[1]] += grad @ self.W.value[j].T
        return back


@planted("convolution kernel not flipped", Convolution, (5, 2), laws="input gradient", cause="in the wrong places")
class KernelNotFlipped(Convolution):
    """The input gradient runs through the kernel in the wrong direction."""

    def back(self, grad, shape):
        back = np.zeros(shape, grad.dtype, like=grad)
        for j in range(self.taps):
            back[:, j : j + grad.shape[1]] += grad @ self.W.value[self.taps - 1 - j].T
        return back


@planted("overlapping windows overwrite", Convolution, (5, 2), laws="input gradient", cause="overwritten")
class WindowsOverwrite(Convolution):
    """``=`` for ``+=``: where windows overlap, the last one wins."""

    def back(self, grad, shape):
        back = np.zeros(shape, grad.dtype, like=grad)
        for j in range(self.taps):
            back[:, j : j + grad.shape[1]] = grad @ self.W.value[j].T
        return back


@planted(
    "last tap of the kernel gradient left out",
    Convolution,
    (5, 2),
    laws="parameter gradient",
    cause="wrong for one row: the last",
)
class LastTapDropped(Convolution):
    """The loop over the taps of the weight gradient ends one early."""

    def backward(self, grad, x):
        steps, total = grad.shape[1], np.zeros_like(self.W.value)
        for j in range(self.taps - 1):
            total[j] = rows(x[:, j : j + steps]).T @ rows(grad)
        self.W.add(total)
        self.b.add(grad.sum(axis=(0, 1)))
        return self.back(grad, x.shape)


class MaxPool(Layer):
    """Correct: the maximum of every three entries; among equals, the first has the gradient."""

    width = 3

    def forward(self, x):
        windows = self.windows(x)
        best = windows.argmax(axis=-1)[..., None]
        return np.take_along_axis(windows, best, axis=-1)[..., 0], (best, x.shape)

    def windows(self, x):
        if x.ndim == 0 or x.shape[-1] % self.width:
            raise ShapeError("MaxPool", f"a multiple of {self.width} features", str(x.shape))
        return x.reshape(*x.shape[:-1], x.shape[-1] // self.width, self.width)

    def backward(self, grad, cache):
        best, shape = cache
        back = np.zeros((*grad.shape, self.width), grad.dtype, like=grad)
        np.put_along_axis(back, best, grad[..., None], axis=-1)
        return back.reshape(shape)


@planted(
    "ties in a pool all win", MaxPool, (6,), laws="input gradient", cause="equal entries each get the whole gradient"
)
class TiesAllWin(MaxPool):
    """Every entry equal to the maximum gets the full gradient."""

    def forward(self, x):
        windows = self.windows(x)
        y = windows.max(axis=-1)
        return y, (windows == y[..., None], x.shape)

    def backward(self, grad, cache):
        winners, shape = cache
        return (grad[..., None] * winners).reshape(shape)


@planted(
    "pool gradient to the position in the window", MaxPool, (6,), laws="input gradient", cause="in the wrong places"
)
class PoolWindowPosition(MaxPool):
    """The position in the window is used as the position in the sample."""

    def backward(self, grad, cache):
        best, shape = cache
        back = np.zeros(shape, grad.dtype, like=grad)
        np.put_along_axis(back, best[..., 0], grad, axis=-1)
        return back


@planted("pool windows in the order of memory", MaxPool, (6,), laws="layout", cause="contiguous memory assumed")
class PoolMemoryOrder(MaxPool):
    """``order="A"`` cuts a Fortran array into windows along the wrong axis."""

    def windows(self, x):
        super().windows(x)
        return x.reshape((*x.shape[:-1], x.shape[-1] // self.width, self.width), order="A")


class AverageFeatures(Layer):
    """Correct: the mean of the last axis, which is kept."""

    def forward(self, x):
        return x.mean(axis=-1, keepdims=True), x.shape

    def backward(self, grad, shape):
        return np.repeat(grad / shape[-1], shape[-1], axis=-1)


@planted(
    "average without its width in backward", AverageFeatures, (3,), laws="input gradient", cause="factor is a width"
)
class AverageIsSum(AverageFeatures):
    """The gradient of a sum, not divided by the width."""

    def backward(self, grad, shape):
        return np.repeat(grad, shape[-1], axis=-1)


class TimePool(Layer):
    """Correct: the mean over time of sequences (3, 3), plus a bias."""

    def __init__(self) -> None:
        self.b = Parameter(draw(3))

    def forward(self, x):
        require_samples(x, 3, 3)
        return x.mean(axis=1) + self.b.value, x

    def backward(self, grad, x):
        self.b.add(grad.sum(axis=0))
        return np.repeat(grad[:, None] / x.shape[1], x.shape[1], axis=1)


@planted(
    "time pooled over features of a lone sample",
    TimePool,
    (3, 3),
    laws="missing batch axis",
    cause="the number of axes is not checked",
)
class TimePoolLoneSample(TimePool):
    """Axis 1 of a sequence without its batch is the features, not time; as many of each hide it."""

    def forward(self, x):
        require_features(x, 3)
        return x.mean(axis=1) + self.b.value, x


class FeatureShift(Layer):
    """Correct: a bias for each feature of sequences (3, 3)."""

    def __init__(self) -> None:
        self.b = Parameter(draw(3))

    def forward(self, x):
        require_samples(x, 3, 3)
        y = np.tanh(x + self.b.value)
        return y, y

    def backward(self, grad, y):
        back = grad * (1 - y * y)
        self.b.add(back.sum(axis=(0, 1)))
        return back


@planted(
    "bias gradient over the wrong axes",
    FeatureShift,
    (3, 3),
    laws="parameter gradient",
    cause="summed over the wrong axes",
)
class FeatureShiftOverTime(FeatureShift):
    """The bias gradient keeps the axis of time and sums over the features."""

    def backward(self, grad, y):
        back = grad * (1 - y * y)
        self.b.add(back.sum(axis=(0, 2)))
        return back
