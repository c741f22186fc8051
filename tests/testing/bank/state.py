"""State and memory, of affine maps: what is kept, shared, written to, or lost in a copy."""

import copy

import numpy as np

from minibackprop import Buffer, Parameter
from tests.testing.bank.affine import Affine
from tests.testing.bank.pieces import draw, require_features, rows
from tests.testing.bank.planting import planted


@planted("weight gradient assigned, not added", Affine, (4,), laws="gradients add", cause="not accumulated")
class WeightGradientAssigned(Affine):
    """``=`` for ``add``: the second backward wipes out the first."""

    def backward(self, grad, x):
        self.W.grad = rows(x).T @ rows(grad)
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted("bias gradient is the caller's array", Affine, (4,), laws="no aliasing", cause="memory shared")
class BiasGradientIsGrad(Affine):
    """Where there is nothing to sum, the caller's own array is handed to the parameter."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(grad.reshape(self.m) if grad.size == self.m else rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted(
    "rows summed into the caller's first row", Affine, (4,), laws="arguments untouched", cause="argument overwritten"
)
class SumsIntoFirstRow(Affine):
    """The rows are summed by ``+=`` into the first of them, which is the caller's."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        total = np.zeros_like(self.b.value)
        for i, row in enumerate(rows(grad)):
            if i == 0:
                total = row
            else:
                total += row
        self.b.add(total.copy())
        return grad @ self.W.value.T


@planted(
    "output buffer reused",
    Affine,
    (4,),
    laws="results stay, no aliasing, nothing left behind",
    cause="scratch memory that is used again: out | state on the layer",
)
class ReusedOutput(Affine):
    """The result is written into a buffer kept from the last call, to save the allocation."""

    out = None

    def forward(self, x):
        require_features(x, self.n)
        shape, dtype = (*x.shape[:-1], self.m), np.result_type(x, self.W.value)
        if self.out is None or self.out.shape != shape or self.out.dtype != dtype:
            self.out = np.empty(shape, dtype)
        np.matmul(x, self.W.value, out=self.out)
        self.out += self.b.value
        return self.out, x


@planted(
    "input gradient buffer reused",
    Affine,
    (4,),
    laws="results stay, no aliasing",
    cause="scratch memory that is used again: back | state on the layer",
)
class ReusedInputGradient(Affine):
    """The input gradient is written into a buffer kept from the last call."""

    back = None

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        dtype = np.result_type(grad, self.W.value)
        if self.back is None or self.back.shape != x.shape or self.back.dtype != dtype:
            self.back = np.empty(x.shape, dtype)
        return np.matmul(grad, self.W.value.T, out=self.back)


@planted("input kept on self", Affine, (4,), laws="two open passes", cause="stale")
class InputOnSelf(Affine):
    """backward reads the input of the latest forward from self, not of its own."""

    def forward(self, x):
        require_features(x, self.n)
        self.x = x
        return x @ self.W.value + self.b.value, None

    def backward(self, grad, _):
        self.W.add(rows(self.x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted("tape on self", Affine, (4,), laws="two open passes, gradients add", cause="stale")
class Tape(Affine):
    """forward pushes on a tape and backward pops: right only while each pass is closed before the next opens."""

    def __init__(self) -> None:
        super().__init__()
        self.tape = []

    def forward(self, x):
        require_features(x, self.n)
        self.tape.append(x)
        return x @ self.W.value + self.b.value, len(self.tape)

    def backward(self, grad, _):
        x = self.tape.pop()
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted(
    "cache in a dict of the class",
    Affine,
    (4,),
    laws="instances share nothing, two open passes",
    cause="state shared by instances | stale",
)
class TapeOfTheClass(Affine):
    """What backward needs is kept in a dict of the class, by batch size: instances read each other's."""

    saved = {}  # noqa: RUF012 - the slip

    def forward(self, x):
        require_features(x, self.n)
        self.saved[x.shape] = x
        return x @ self.W.value + self.b.value, x.shape

    def backward(self, grad, shape):
        x = self.saved[shape]
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


@planted(
    "transposed weight kept from construction",
    Affine,
    (4,),
    laws="input gradient",
    cause="stale: backward uses the values of W",
)
class TransposedOnce(Affine):
    """W.T is copied at construction, for speed, and grows stale as W learns."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.transposed = Buffer(np.ascontiguousarray(self.W.value.T))

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.transposed.value


@planted(
    "weight as a default argument", Affine, (4,), laws="instances share nothing", cause="state shared by instances"
)
class DefaultWeight(Affine):
    """A default argument is made once: all instances share their weight."""

    def __init__(self, weight=Parameter(draw(4, 3) / 2)):  # noqa: B008 - the slip
        super().__init__()
        self.W = weight


@planted(
    "predict remembers its answer by identity",
    Affine,
    (4,),
    laws="results stay, no aliasing, predict leaves no trace",
    cause="stale: an answer is remembered | scratch",
)
class PredictRemembers(Affine):
    """predict keeps its latest answer by the array's identity: written to since, the array gets the old one."""

    seen = answer = None

    def predict(self, x):
        if x is not self.seen:
            self.seen, self.answer = x, self.forward(x)[0]
        return self.answer


@planted("bias itself for an input of zeros", Affine, (4,), laws="no aliasing", cause="memory shared")
class BiasForZeros(Affine):
    """Zeros need no product, the answer is the bias: a view of the parameter itself."""

    def forward(self, x):
        if x.any():
            return super().forward(x)
        require_features(x, self.n)
        return np.broadcast_to(self.b.value, (*x.shape[:-1], self.m)), x


@planted(
    "weight in a closure", Affine, (4,), laws="copies agree, parameter gradient", cause="a function kept on the layer"
)
class ClosureWeight(Affine):
    """A closure holds on to the weight: a copy of the layer computes with the weight of the original."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        weight = self.W
        self.product = lambda x: x @ weight.value

    def forward(self, x):
        require_features(x, self.n)
        return self.product(x) + self.b.value, x


@planted("deepcopy shares parameters", Affine, (4,), laws="copies agree", cause="memory shared: a deep copy")
class ShallowDeepcopy(Affine):
    """deepcopy was made cheap: the copy shares the parameters."""

    def __deepcopy__(self, memo):
        return copy.copy(self)


@planted("copied by constructor", Affine, (4,), laws="copies agree, determinism", cause="a copy that is made anew")
class CopiedByConstructor(Affine):
    """Pickle and deepcopy call the constructor again, which draws other weights."""

    def __reduce__(self):
        return type(self), (self.n, self.m, None)


class BufferedScale(Affine):
    """Correct: the fixed scale is a buffer."""

    def __init__(self, seed=None):
        super().__init__(seed=seed)
        self.scale = Buffer(draw(3, seed=seed))

    def forward(self, x):
        y, cache = super().forward(x)
        return y * self.scale.value, cache

    def backward(self, grad, x):
        return super().backward(grad * self.scale.value, x)


@planted("scale as a plain array", BufferedScale, (4,), laws="copies agree", cause="not a Parameter or Buffer: scale")
class PlainWeight(Affine):
    """A random scale is a plain array: neither state_dict nor astype knows of it."""

    def __init__(self, seed=None):
        super().__init__(seed=seed)
        self.scale = draw(3, seed=seed)

    def forward(self, x):
        y, cache = super().forward(x)
        return y * self.scale.astype(y.dtype), cache

    def backward(self, grad, x):
        return super().backward(grad * self.scale.astype(grad.dtype), x)


class TwoBiases(Affine):
    """Correct: ``y = x @ W + b + c``, two biases as recurrent cells have them."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.c = Parameter(draw(self.m, seed=2))

    def forward(self, x):
        y, cache = super().forward(x)
        return y + self.c.value, cache

    def backward(self, grad, x):
        self.c.add(rows(grad).sum(axis=0))
        return super().backward(grad, x)


@planted("two biases share a gradient", TwoBiases, (4,), laws="no aliasing", cause="memory shared")
class BiasesShareGradient(TwoBiases):
    """Both biases are handed the same array."""

    def backward(self, grad, x):
        total = rows(grad).sum(axis=0)
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(total)
        self.c.add(total)
        return grad @ self.W.value.T
