"""Windows that stride, spread, overlap or grow: where each entry's gradient goes, and how many shares it has."""

import numpy as np

from minibackprop import Layer, Parameter, ShapeError
from tests.testing.bank.pieces import draw, require_samples, require_sequences, rows
from tests.testing.bank.planting import planted


class Strided(Layer):
    """Correct: ``y[t] = sum_j x[s * t + d * j] @ W[j]`` with a stride s of 2 and a dilation d of 2."""

    taps, stride, dilation = 2, 2, 2

    def __init__(self, channels: int = 2) -> None:
        self.channels = channels
        self.W = Parameter(draw(self.taps, channels, channels))

    def forward(self, x):
        require_sequences(x, self.channels, least=3)
        steps = (x.shape[1] - (self.taps - 1) * self.dilation - 1) // self.stride + 1
        return sum(x[:, self.at(j, steps)] @ self.W.value[j] for j in range(self.taps)), x

    def at(self, tap, steps):
        first = tap * self.dilation
        return slice(first, first + self.stride * (steps - 1) + 1, self.stride)

    def backward(self, grad, x):
        steps = grad.shape[1]
        self.W.add(np.stack([rows(x[:, self.at(j, steps)]).T @ rows(grad) for j in range(self.taps)]))
        back = np.zeros(x.shape, grad.dtype, like=grad)
        for j in range(self.taps):
            back[:, self.at_back(j, steps)] += grad @ self.W.value[j].T
        return back

    def at_back(self, tap, steps):
        return self.at(tap, steps)


@planted("stride forgotten on the way back", Strided, (5, 2), laws="input gradient", cause="in the wrong places")
class StrideForgotten(Strided):
    """The gradients are put side by side. Wanted cause: to wrong places."""

    def at_back(self, tap, steps):
        return slice(tap * self.dilation, tap * self.dilation + steps)


@planted("dilation forgotten on the way back", Strided, (5, 2), laws="input gradient", cause="in the wrong places")
class DilationForgotten(Strided):
    """The taps are put next to each other. Wanted cause: to wrong places."""

    def at_back(self, tap, steps):
        return slice(tap, tap + self.stride * (steps - 1) + 1, self.stride)


class Depthwise(Layer):
    """Correct: each channel has its own two taps."""

    def __init__(self) -> None:
        self.W = Parameter(draw(2, 3))

    def forward(self, x):
        require_sequences(x, 3, least=2)
        return x[:, :-1] * self.W.value[0] + x[:, 1:] * self.W.value[1], x

    def backward(self, grad, x):
        self.W.add(np.stack([self.of_tap(x[:, :-1], grad), self.of_tap(x[:, 1:], grad)]))
        back = np.zeros(x.shape, grad.dtype, like=grad)
        back[:, :-1] += grad * self.W.value[0]
        back[:, 1:] += grad * self.W.value[1]
        return back

    def of_tap(self, x, grad):
        return (x * grad).sum(axis=(0, 1))


@planted("depthwise kernel gradient over all channels", Depthwise, (3, 3), laws="parameter gradient")
class DepthwiseMixed(Depthwise):
    """As in a full convolution, all inputs meet all outputs. Wanted cause: wrong axis, channels mixed."""

    def of_tap(self, x, grad):
        return np.einsum("ntc,ntd->d", x, grad)


class OverlappingMaximum(Layer):
    """Correct: the maximum of every two neighbours."""

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] < 2:
            raise ShapeError("OverlappingMaximum", "(N, at least 2)", str(x.shape))
        later = x[:, 1:] > x[:, :-1]
        return np.maximum(x[:, 1:], x[:, :-1]), np.arange(x.shape[1] - 1, like=x) + later

    def backward(self, grad, best):
        back = np.zeros((len(grad), grad.shape[1] + 1), grad.dtype, like=grad)
        np.add.at(back, (np.arange(len(grad), like=grad)[:, None], best), grad)
        return back


@planted("winner of two windows counts once", OverlappingMaximum, (4,), laws="input gradient", cause="overwritten")
class OverlappingOverwrites(OverlappingMaximum):
    """``put_along_axis`` overwrites where one entry wins twice. Wanted cause: overlapping windows that overwrite."""

    def backward(self, grad, best):
        back = np.zeros((len(grad), grad.shape[1] + 1), grad.dtype, like=grad)
        np.put_along_axis(back, best, grad, axis=1)
        return back


class PaddedAverage(Layer):
    """Correct: the mean of each entry and its neighbours; at an edge there are two, and no padding counts."""

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] < 2:
            raise ShapeError("PaddedAverage", "(N, at least 2)", str(x.shape))
        return self.sums(x) / self.counts(x), None

    def sums(self, x):
        padded = np.pad(x, ((0, 0), (1, 1)))
        return padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]

    def counts(self, x):
        return self.sums(np.ones_like(x[:1]) if len(x) else np.ones((1, x.shape[1]), x.dtype))

    def backward(self, grad, _):
        return self.sums(grad / self.counts(grad))


@planted(
    "padding counted in backward",
    PaddedAverage,
    (4,),
    laws="input gradient",
    cause="places 0, 3 of 4, which are wrong by a factor of 0.666667",
)
class PaddedAverageOfThree(PaddedAverage):
    """Three at the edges, too. Wanted cause: wrong at the edges, some columns."""

    def backward(self, grad, _):
        return self.sums(grad / 3)


@planted("average divided after it was spread", PaddedAverage, (4,), laws="input gradient", cause="transposed")
class PaddedAverageAfter(PaddedAverage):
    """The counts are those of the input's place, not of the result's. Wanted cause: transposed."""

    def backward(self, grad, _):
        return self.forward(grad)[0]


class Reflected(Layer):
    """Correct: one entry is mirrored at each edge."""

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] < 2:
            raise ShapeError("Reflected", "(N, at least 2)", str(x.shape))
        return np.concatenate([x[:, 1:2], x, x[:, -2:-1]], axis=1), None

    def backward(self, grad, _):
        back = grad[:, 1:-1].copy()
        back[:, 1] += grad[:, 0]
        back[:, -2] += grad[:, -1]
        return back


@planted(
    "reflected edges cut off", Reflected, (4,), laws="input gradient", cause="places 0, 5 of 6, which are left out"
)
class ReflectedCut(Reflected):
    """As for zeros, the padding's gradient is cut off. Wanted cause: term missing, wrong for some columns."""

    def backward(self, grad, _):
        return grad[:, 1:-1].copy()


class Interpolated(Layer):
    """Correct: twice as many entries, each new one the mean of its neighbours; at the end, the last is its own."""

    def forward(self, x):
        if x.ndim != 2 or not x.shape[1]:
            raise ShapeError("Interpolated", "(N, at least 1)", str(x.shape))
        right = np.minimum(np.arange(x.shape[1], like=x) + 1, x.shape[1] - 1)
        return np.stack([x, (x + x[:, right]) * 0.5], axis=2).reshape(len(x), 2 * x.shape[1]), right

    def backward(self, grad, right):
        even, odd = grad[:, ::2], grad[:, 1::2] * 0.5
        back = even + odd
        self.add(back, right, odd)
        return back

    def add(self, back, right, odd):
        np.add.at(back, (slice(None), right), odd)


@planted(
    "interpolation's last share overwritten",
    Interpolated,
    (3,),
    laws="input gradient",
    cause="wrong for one column: the last",
)
class InterpolatedOverwrites(Interpolated):
    """The last neighbour is clamped to the last entry: ``+=`` adds once. Wanted cause: duplicate indices overwrite."""

    def add(self, back, right, odd):
        back[:, right] += odd


class NearestUp(Layer):
    """Correct: each entry twice."""

    def forward(self, x):
        return np.repeat(x, 2, axis=-1), None

    def backward(self, grad, _):
        return grad[..., ::2] + grad[..., 1::2]


@planted(
    "upsampling sends back one of two",
    NearestUp,
    (3,),
    laws="input gradient",
    cause="places 1, 3, 5 of 6, which are left out",
)
class NearestUpOne(NearestUp):
    """Every other gradient, as downsampling would. Wanted cause: part of the upstream gradient is ignored."""

    def backward(self, grad, _):
        return grad[..., ::2].copy()


class PixelShuffle(Layer):
    """Correct: four channels of (2, 2) become one of (4, 4): channel 2 i + j goes to rows i and columns j."""

    def forward(self, x):
        require_samples(x, 4, 2, 2)
        return x.reshape(-1, 2, 2, 2, 2).transpose(0, 3, 1, 4, 2).reshape(len(x), 4, 4), None

    def backward(self, grad, _):
        return self.split(grad).reshape(len(grad), 4, 2, 2)

    def split(self, grad):
        return grad.reshape(-1, 2, 2, 2, 2).transpose(0, 2, 4, 1, 3)


@planted(
    "pixels shuffled back to other channels",
    PixelShuffle,
    (4, 2, 2),
    laws="input gradient",
    cause="in the wrong places",
)
class PixelShuffleAxes(PixelShuffle):
    """Rows and columns change places among the channels. Wanted cause: permuted, axes of a transposition."""

    def split(self, grad):
        return grad.reshape(-1, 2, 2, 2, 2).transpose(0, 4, 2, 1, 3)


class Bins(Layer):
    """Correct: the means of two bins of five entries: of the first two, and of the last three."""

    edges = (0, 2, 5)

    def forward(self, x):
        require_samples(x, 5)
        return np.stack(
            [x[:, a:b].mean(axis=1) for a, b in zip(self.edges, self.edges[1:], strict=False)], axis=1
        ), None

    def backward(self, grad, _):
        parts = [np.repeat(grad[:, [k]] / self.size(k), self.edges[k + 1] - self.edges[k], axis=1) for k in (0, 1)]
        return np.concatenate(parts, axis=1)

    def size(self, k):
        return self.edges[k + 1] - self.edges[k]


@planted("size of a bin by integer division", Bins, (5,), laws="input gradient", cause="wrong by a factor of 1.5")
class BinsDivided(Bins):
    """``5 // 2`` for each bin: right for the first. Wanted cause: integer division, wrong for some columns by 1.5."""

    def size(self, k):
        return 5 // 2


class GlobalMean(Layer):
    """Correct: the mean over height and width."""

    def forward(self, x):
        if x.ndim != 4 or 0 in x.shape[2:]:
            raise ShapeError("GlobalMean", "(N, C, at least 1, at least 1)", str(x.shape))
        return x.mean(axis=(2, 3)), x.shape

    def backward(self, grad, shape):
        return np.broadcast_to((grad / self.count(*shape[2:]))[..., None, None], shape).copy()

    def count(self, height, width):
        return height * width


@planted("global mean of a square", GlobalMean, (2, 2, 3), laws="input gradient", cause="factor is a width")
class GlobalMeanSquare(GlobalMean):
    """Images are square, so the width squared will do. Wanted cause: constant factor 2/3."""

    def count(self, height, width):
        return width**2


class Frames(Layer):
    """Correct: windows of two steps as views, weighted and summed."""

    def __init__(self) -> None:
        self.w = Parameter(draw(2))

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] < 2:
            raise ShapeError("Frames", "(N, at least 2)", str(x.shape))
        frames = self.frames(x)
        return frames @ self.w.value, frames

    def frames(self, x):
        return np.lib.stride_tricks.sliding_window_view(x, 2, axis=1)

    def backward(self, grad, frames):
        self.w.add((grad[..., None] * frames).sum(axis=(0, 1)))
        back = np.zeros((len(grad), grad.shape[1] + 1), grad.dtype, like=grad)
        back[:, :-1] += grad * self.w.value[0]
        back[:, 1:] += grad * self.w.value[1]
        return back


@planted(
    "windows of contiguous memory",
    Frames,
    (4,),
    laws="layout, samples independent, input gradient",
    cause="contiguous memory assumed",
)
class FramesContiguous(Frames):
    """Strides are computed from the item size, as if x were contiguous. Wanted cause: contiguous memory assumed."""

    def frames(self, x):
        n, steps = x.shape
        if any(stride == 0 for stride in x.strides) or x.strides[-1] < 0 or x.strides[0] < 0:
            return super().frames(x)  # so that no memory outside of x is read
        item = x.itemsize
        return np.lib.stride_tricks.as_strided(x, (n, steps - 1, 2), (steps * item, item, item), writeable=False)
