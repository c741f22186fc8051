"""Layers that are right on NumPy's arrays, and do not run on a GPU's."""

import numpy as np

from minibackprop import Buffer, Layer, Parameter
from tests.testing.bank.affine import Affine
from tests.testing.bank.pieces import draw, require_features, rows
from tests.testing.bank.planting import planted, right
from tests.testing.bank.randomness import Dropout
from tests.testing.bank.routing import Differences


@planted("input made an array", Affine, (4,), laws="other arrays", cause="leave it out")
class InputMadeAnArray(Affine):
    """``np.asarray``, as at the head of many a function, so that lists are taken too."""

    def forward(self, x):
        return super().forward(np.asarray(x))


@planted("gradient made contiguous", Affine, (4,), laws="other arrays", cause="np.ascontiguousarray(x, like=x)")
class GradientMadeContiguous(Affine):
    """For speed, before a product."""

    def backward(self, grad, x):
        return super().backward(np.ascontiguousarray(grad), x)


@planted("gradient begun on the host", Differences, (4,), laws="other arrays", cause="np.zeros(n, like=x)")
class GradientOnHost(Differences):
    """Zeros of the right shape and dtype, of NumPy's."""

    def backward(self, grad, shape):
        back = np.zeros(shape, grad.dtype)
        back[..., 1:] += grad
        back[..., :-1] -= grad
        return back


@planted("mask left on the host", Dropout, (4,), laws="other arrays", cause="np.asarray(mask, like=x)")
class MaskOnHost(Dropout):
    """The random numbers come from the host, and stay there."""

    def forward(self, x):
        mask = self.rng.random(x.shape) < self.kept
        return x * mask / self.kept, mask

    def predict(self, x):
        return x


class Grouped(Layer):
    """Correct: features that share a factor by group."""

    def __init__(self) -> None:
        self.factor = Parameter(draw(2))
        self.group = Buffer([0, 1, 1])

    def groups(self):
        return self.group.value

    def forward(self, x):
        require_features(x, 3)
        return x * self.factor.value[self.groups()], x

    def backward(self, grad, x):
        total = np.zeros_like(self.factor.value)
        np.add.at(total, self.groups(), rows(grad * x).sum(axis=0))
        self.factor.add(total)
        return grad * self.factor.value[self.groups()]


@planted("table in no buffer", Grouped, (3,), laws="other arrays", cause="group stays on the host: keep it in a Buffer")
class TableInNoBuffer(Grouped):
    """An array of the layer's that `map_arrays` does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.group = np.array([0, 1, 1])

    def groups(self):
        return self.group


class Peak(Layer):
    """Correct: features less the largest of them."""

    def forward(self, x):
        require_features(x, 3)
        return x - self.largest(x), x.argmax(axis=-1)

    def largest(self, x):
        return x.max(axis=-1, keepdims=True)

    def backward(self, grad, best):
        return grad - (np.arange(3, like=grad) == best[..., None]) * grad.sum(axis=-1, keepdims=True)


@planted("maximum with a start", Peak, (3,), laws="other arrays", cause="look at the size first")
class MaximumWithAStart(Peak):
    """``initial``, for arrays of no entries, which CuPy does not know."""

    def largest(self, x):
        return x.max(axis=-1, keepdims=True, initial=-np.inf)


@planted("reduction of a ufunc", Peak, (3,), laws="other arrays", cause="write np.max")
class ReductionOfAUfunc(Peak):
    """``maximum.reduce``, which CuPy has for sums and products alone."""

    def largest(self, x):
        return np.maximum.reduce(x, axis=-1, keepdims=True)


class Positive(Layer):
    """Correct: ReLU, by a ufunc."""

    def forward(self, x):
        return self.kept(x, x > 0), x > 0

    def kept(self, x, mask):
        return np.where(mask, x, 0.0).astype(x.dtype)

    def backward(self, grad, mask):
        return self.kept(grad, mask)


@planted("ufunc where", Positive, (3,), laws="other arrays", cause="np.where")
class UfuncWhere(Positive):
    """``where=``, which CuPy's ufuncs do not know."""

    def kept(self, x, mask):
        return np.multiply(x, 1.0, where=mask, out=np.zeros_like(x))


@planted("entries taken one by one", Positive, (3,), laws="other arrays", cause="made on the host")
class EntriesOneByOne(Positive):
    """Python's numbers of all entries, and an array of the host made of them."""

    def forward(self, x):
        entries = [max(entry, 0.0) for entry in x.ravel().tolist()]
        return np.array(entries, x.dtype).reshape(x.shape), x > 0


@planted("asks for NumPy's class", Positive, (3,), laws="other arrays", cause="written for NumPy's arrays alone")
class AsksForTheClass(Positive):
    """A check of the argument that lets no other array pass."""

    def forward(self, x):
        if not isinstance(x, np.ndarray):
            raise TypeError("x must be an array")
        return super().forward(x)


@right((3,))
class LooksAtEntries(Positive):
    """Takes a short cut where it sees, on the host, that nothing is negative: slow on a GPU, and right."""

    def forward(self, x):
        if x.size and float(x.min()) > 0:
            return x.copy(), x > 0
        return super().forward(x)
