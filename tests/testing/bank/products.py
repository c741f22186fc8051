"""Products, powers and their upstream gradients."""

import numpy as np

from minibackprop import Layer, Parameter
from tests.testing.bank.pieces import draw, logistic, require_features, rows
from tests.testing.bank.planting import planted


class LogSquare(Layer):
    """Correct: ``log(1 + x * x)``."""

    def forward(self, x):
        return np.log1p(x * x), x

    def backward(self, grad, x):
        return grad * 2 * x / (1 + x * x)


@planted(
    "factor 2 of the inner derivative forgotten",
    LogSquare,
    (3,),
    laws="input gradient",
    cause="constant factor: the gradient is 0.5 times",
)
class InnerFactorForgotten(LogSquare):
    """The 2 of the inner derivative is left out."""

    def backward(self, grad, x):
        return grad * x / (1 + x * x)


@planted(
    "upstream gradient forgotten", LogSquare, (3,), laws="input gradient, linearity", cause="upstream gradient ignored"
)
class UpstreamForgotten(LogSquare):
    """The local derivative alone is returned."""

    def backward(self, grad, x):
        return 2 * x / (1 + x * x)


@planted(
    "sign of the upstream gradient",
    LogSquare,
    (3,),
    laws="linearity, input gradient",
    cause="only its sign or direction counts",
)
class UpstreamSign(LogSquare):
    """Only the sign of the upstream gradient is used, as in sign descent."""

    def backward(self, grad, x):
        return np.sign(grad) * 2 * x / (1 + x * x)


@planted("upstream gradient squared", LogSquare, (3,), laws="linearity, input gradient", cause="multiplied in twice")
class UpstreamSquared(LogSquare):
    """The upstream gradient is multiplied in twice, once by its size."""

    def backward(self, grad, x):
        return grad * np.abs(grad) * 2 * x / (1 + x * x)


@planted("slope dropped beyond 20", LogSquare, (3,), laws="input gradient", cause="wrong for large values")
class FarTailDropped(LogSquare):
    """Beyond 20 the slope is taken for zero, though it falls off slowly."""

    def backward(self, grad, x):
        return np.where(np.abs(x) > 20, 0, grad * 2 * x / (1 + x * x))


class GatedUnit(Layer):
    """Correct: ``a * sigmoid(b)`` of the halves a, b of the features."""

    def forward(self, x):
        a, b = np.split(x, 2, axis=-1)
        s = logistic(b)
        return a * s, (a, s)

    def backward(self, grad, cache):
        a, s = cache
        return np.concatenate([grad * s, grad * a * s * (1 - s)], axis=-1)


@planted("halves of the gated unit swapped", GatedUnit, (4,), laws="input gradient", cause="its halves exchanged")
class GatedUnitSwapped(GatedUnit):
    """The gradients of the halves are put together in the wrong order."""

    def backward(self, grad, cache):
        a, s = cache
        return np.concatenate([grad * a * s * (1 - s), grad * s], axis=-1)


class Bilinear(Layer):
    """Correct: ``y[k] = x @ A[k] @ x``."""

    def __init__(self) -> None:
        self.A = Parameter(draw(2, 3, 3))

    def forward(self, x):
        require_features(x, 3)
        return np.einsum("...i,kij,...j->...k", x, self.A.value, x), x

    def backward(self, grad, x):
        self.A.add(np.einsum("nk,ni,nj->kij", rows(grad), rows(x), rows(x)))
        A = self.A.value
        return np.einsum("...k,kij,...j->...i", grad, A + A.swapaxes(1, 2), x)


@planted(
    "quadratic form taken for symmetric", Bilinear, (3,), laws="input gradient", cause="right only where A is symmetric"
)
class BilinearAsSymmetric(Bilinear):
    """The gradient of x'Ax is written as 2Ax, which holds for symmetric A."""

    def backward(self, grad, x):
        self.A.add(np.einsum("nk,ni,nj->kij", rows(grad), rows(x), rows(x)))
        return 2 * np.einsum("...k,kij,...j->...i", grad, self.A.value, x)


@planted(
    "einsum broadcasts a single feature", Bilinear, (3,), laws="feature count", cause="a single feature is broadcast"
)
class BilinearBroadcasts(Bilinear):
    """einsum stretches an axis of one entry: a single feature passes for three."""

    def forward(self, x):
        return np.einsum("...i,kij,...j->...k", x, self.A.value, x), x


class TiedFactors(Layer):
    """Correct: ``y = x @ U @ U.T``, down to two features and up again with the same weights."""

    def __init__(self) -> None:
        self.U = Parameter(draw(4, 2) / 2)

    def forward(self, x):
        require_features(x, 4)
        return x @ self.U.value @ self.U.value.T, x

    def backward(self, grad, x):
        U = self.U.value
        self.U.add(rows(x).T @ rows(grad @ U))
        self.U.add(rows(grad).T @ rows(x @ U))
        return grad @ U @ U.T


@planted(
    "tied factor has the gradient of one use",
    TiedFactors,
    (4,),
    laws="parameter gradient",
    cause="U is used 2 times, and has the gradient of 1",
)
class TiedOnce(TiedFactors):
    """Only the first use of the shared factor gets a gradient."""

    def backward(self, grad, x):
        U = self.U.value
        self.U.add(rows(x).T @ rows(grad @ U))
        return grad @ U @ U.T


@planted(
    "tied factor's gradients overwrite",
    TiedFactors,
    (4,),
    laws="parameter gradient, gradients add",
    cause="not accumulated | U is used 2 times, and has the gradient of 1",
)
class TiedOverwritten(TiedFactors):
    """The gradient of the second use overwrites that of the first."""

    def backward(self, grad, x):
        U = self.U.value
        self.U.grad = rows(x).T @ rows(grad @ U)
        self.U.grad = rows(grad).T @ rows(x @ U)
        return grad @ U @ U.T


class Polynomial(Layer):
    """Correct: ``c[0] + c[1] x + c[2] x**2 + c[3] x**3`` of each entry, with c learned."""

    def __init__(self) -> None:
        self.c = Parameter(np.array([0.5, -1.0, 0.7, 0.3]))

    def forward(self, x):
        return sum(c * x**k for k, c in enumerate(self.c.value)), x

    def backward(self, grad, x):
        self.c.add(np.stack([(grad * x**k).sum() for k in range(4)]))
        return self.back(grad, x)

    def back(self, grad, x):
        return grad * sum(k * self.c.value[k] * x ** (k - 1) for k in range(1, 4))


@planted("highest power dropped", Polynomial, (3,), laws="input gradient", cause="does not depend on c[3]")
class HighestPowerDropped(Polynomial):
    """``range(1, 3)`` ends before the cube."""

    def back(self, grad, x):
        return grad * sum(k * self.c.value[k] * x ** (k - 1) for k in range(1, 3))


@planted("powers off by one", Polynomial, (3,), laws="parameter gradient", cause="the gradient of the one before it")
class PowersOffByOne(Polynomial):
    """The gradient of c[k] is taken with the power of the derivative."""

    def backward(self, grad, x):
        self.c.add(np.stack([(grad * x ** max(k - 1, 0)).sum() for k in range(4)]))
        return self.back(grad, x)
