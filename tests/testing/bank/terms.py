"""Layers whose gradient has several terms: tied halves, pairs that swap, signs, factors that begin at one."""

import numpy as np

from minibackprop import Layer, Parameter
from tests.testing.bank.pieces import draw, require_features, rows
from tests.testing.bank.planting import planted


class TiedCoder(Layer):
    """Correct: ``tanh(x @ W) @ W.T``, encoded and decoded by the same weight."""

    def __init__(self) -> None:
        self.W = Parameter(draw(3, 2))

    def forward(self, x):
        require_features(x, 3)
        code = np.tanh(x @ self.W.value)
        return code @ self.W.value.T, (x, code)

    def backward(self, grad, cache):
        x, code = cache
        inner = grad @ self.W.value * (1 - code * code)
        self.W.add(self.of_weight(rows(x).T @ rows(inner), rows(grad).T @ rows(code)))
        return inner @ self.W.value.T

    def of_weight(self, encoding, decoding):
        return encoding + decoding


@planted("decoder's half of a tied weight forgotten", TiedCoder, (3,), laws="parameter gradient")
class DecoderForgotten(TiedCoder):
    """The weight has its gradient as encoder only. Wanted cause: half of a tied weight forgotten."""

    def of_weight(self, encoding, decoding):
        return encoding


@planted("encoder's half of a tied weight forgotten", TiedCoder, (3,), laws="parameter gradient", cause="term missing")
class EncoderForgotten(TiedCoder):
    """The weight has its gradient as decoder only. Wanted cause: half of a tied weight forgotten."""

    def of_weight(self, encoding, decoding):
        return decoding


class TwoFactors(Layer):
    """Correct: ``(x @ A) * (x @ B)``."""

    def __init__(self) -> None:
        self.A, self.B = Parameter(draw(3, 2)), Parameter(draw(3, 2, seed=1))

    def forward(self, x):
        require_features(x, 3)
        a, b = x @ self.A.value, x @ self.B.value
        return a * b, (x, a, b)

    def backward(self, grad, cache):
        x, a, b = cache
        self.A.add(rows(x).T @ rows(grad * b))
        self.B.add(rows(x).T @ rows(grad * a))
        return self.through(grad * b, grad * a)

    def through(self, a, b):
        return a @ self.A.value.T + b @ self.B.value.T


@planted("factors' gradients swapped", TwoFactors, (3,), laws="parameter gradient", cause="swapped: the gradients of")
class TwoFactorsSwapped(TwoFactors):
    """Each factor's gradient is taken with itself. Wanted cause: two gradients of equal shape swapped."""

    def backward(self, grad, cache):
        x, a, b = cache
        self.A.add(rows(x).T @ rows(grad * a))
        self.B.add(rows(x).T @ rows(grad * b))
        return self.through(grad * b, grad * a)


@planted("factors swapped on the way to the input", TwoFactors, (3,), laws="input gradient")
class TwoFactorsCrossed(TwoFactors):
    """A takes the gradient of B's product, and B that of A's. Wanted cause: two gradients of equal shape swapped."""

    def through(self, a, b):
        return b @ self.A.value.T + a @ self.B.value.T


class Squash(Layer):
    """Correct: ``x / (1 + sum(x**2))``."""

    def forward(self, x):
        scale = 1 + (x * x).sum(axis=-1, keepdims=True)
        return x / scale, (x, scale)

    def backward(self, grad, cache):
        x, scale = cache
        return grad / scale - self.along(grad, x) * 2 * x / scale**2

    def along(self, grad, x):
        return (grad * x).sum(axis=-1, keepdims=True)


@planted("squash with a diagonal Jacobian", Squash, (3,), laws="input gradient", cause="only the diagonal")
class SquashDiagonal(Squash):
    """Each entry is differentiated as if it were alone. Wanted cause: diagonal of the Jacobian."""

    def along(self, grad, x):
        return grad * x


class Complex(Layer):
    """Correct: pairs of features multiplied by learned complex numbers ``a + i b``."""

    def __init__(self) -> None:
        self.a, self.b = Parameter(draw(2)), Parameter(draw(2, seed=1))

    def forward(self, x):
        require_features(x, 4)
        real, imaginary = np.split(x, 2, axis=-1)
        a, b = self.a.value, self.b.value
        return np.concatenate([a * real - b * imaginary, a * imaginary + b * real], axis=-1), (real, imaginary)

    def backward(self, grad, cache):
        real, imaginary = cache
        up, down = np.split(grad, 2, axis=-1)
        a, b = self.a.value, self.b.value
        self.a.add(rows(up * real + down * imaginary).sum(axis=0))
        self.b.add(rows(self.of_imaginary(down * real, up * imaginary)).sum(axis=0))
        return np.concatenate(self.conjugate(a, b, up, down), axis=-1)

    def of_imaginary(self, straight, turned):
        return straight - turned

    def conjugate(self, a, b, up, down):
        return a * up + b * down, a * down - b * up


@planted(
    "complex weight's imaginary part with one sign",
    Complex,
    (4,),
    laws="parameter gradient",
    cause="places 0, 1 of 4, which are negated",
)
class ComplexSign(Complex):
    """The minus of ``i * i`` is lost. Wanted cause: one parameter wrong (b), wrong sign of one term."""

    def of_imaginary(self, straight, turned):
        return straight + turned


@planted("complex weight not conjugated", Complex, (4,), laws="input gradient", cause="transposed")
class ComplexNotConjugated(Complex):
    """The gradient is multiplied by the weight itself. Wanted cause: transposed, wrong sign of one term."""

    def conjugate(self, a, b, up, down):
        return a * up - b * down, a * down + b * up


class Pairs(Layer):
    """Correct: a factorization machine's pairs, ``((x @ V)**2 - x**2 @ V**2) / 2``."""

    def __init__(self) -> None:
        self.V = Parameter(draw(3, 2))

    def forward(self, x):
        require_features(x, 3)
        V = self.V.value
        total = x @ V
        return (total * total - (x * x) @ (V * V)) / 2, (x, total)

    def backward(self, grad, cache):
        x, total = cache
        V = self.V.value
        self.V.add(rows(x).T @ rows(grad * total) - self.squares(rows(x * x).T @ rows(grad) * V))
        return (grad * total) @ V.T - self.squares(x * (grad @ (V * V).T))

    def squares(self, own):
        return own


@planted("pairs with themselves in backward", Pairs, (3,), laws="input gradient")
class PairsWithThemselves(Pairs):
    """The squares that forward takes away are left out. Wanted cause: term missing."""

    def squares(self, own):
        return np.zeros_like(own)


@planted("pairs with the sign of their squares", Pairs, (3,), laws="input gradient")
class PairsSign(Pairs):
    """The squares are added. Wanted cause: wrong sign of one term."""

    def squares(self, own):
        return -own


class Temperature(Layer):
    """Correct: ``tanh(x * exp(s))``; s starts at zero."""

    def __init__(self) -> None:
        self.s = Parameter(np.zeros(1))

    def forward(self, x):
        scale = np.exp(self.s.value)
        y = np.tanh(x * scale)
        return y, (x, y, scale)

    def backward(self, grad, cache):
        x, y, scale = cache
        inner = grad * (1 - y * y)
        self.s.add(self.of_log(inner * x, scale).sum(keepdims=True).reshape(1))
        return self.of_input(inner, scale)

    def of_log(self, product, scale):
        return product * scale

    def of_input(self, inner, scale):
        return inner * scale


@planted(
    "log temperature without its chain factor",
    Temperature,
    (3,),
    laws="parameter gradient",
    cause="a factor is forgotten: exp(s)",
)
class TemperatureChain(Temperature):
    """The gradient is that of the temperature, not of its log. Wanted cause: factor forgotten, depends on s."""

    def of_log(self, product, scale):
        return product


@planted(
    "input not scaled by the temperature in backward",
    Temperature,
    (3,),
    laws="input gradient",
    cause="a factor is forgotten: exp(s)",
)
class TemperatureForgotten(Temperature):
    """The temperature starts at one, and is left out. Wanted cause: a scale forgotten, depends on s."""

    def of_input(self, inner, scale):
        return inner


class Folded(Layer):
    """Correct: ``x @ |w|``; w starts at ones."""

    def __init__(self) -> None:
        self.w = Parameter(np.ones((3, 2)))

    def forward(self, x):
        require_features(x, 3)
        return x @ np.abs(self.w.value), x

    def backward(self, grad, x):
        self.w.add(rows(x).T @ rows(grad) * np.sign(self.w.value))
        return self.through(grad)

    def through(self, grad):
        return grad @ np.abs(self.w.value).T


@planted(
    "absolute weight taken for the weight",
    Folded,
    (3,),
    laws="input gradient",
    cause="right only where w is positive | a factor is forgotten: sign(w)",
)
class FoldedForgotten(Folded):
    """``w`` for ``|w|``: the same where w starts. Wanted cause: wrong for negative weights."""

    def through(self, grad):
        return grad @ self.w.value.T


@planted(
    "absolute weight's sign forgotten",
    Folded,
    (3,),
    laws="parameter gradient",
    cause="a factor is forgotten: sign(w) | right only where w is positive",
)
class FoldedSign(Folded):
    """The sign of w is left out: the same where w starts. Wanted cause: wrong for negative weights."""

    def backward(self, grad, x):
        self.w.add(rows(x).T @ rows(grad))
        return self.through(grad)


class LearnedLeak(Layer):
    """Correct: ``x`` where x is positive, ``a * x`` elsewhere; a starts at a quarter."""

    def __init__(self) -> None:
        self.a = Parameter(np.full(1, 0.25))

    def forward(self, x):
        return np.where(x > 0, x, self.a.value * x), x

    def backward(self, grad, x):
        positive = self.positive(x)
        self.a.add(np.where(positive, 0, grad * x).sum(keepdims=True).reshape(1))
        return np.where(positive, grad, self.a.value * grad)

    def positive(self, x):
        return x > 0


@planted(
    "learned leak by the sign of the output",
    LearnedLeak,
    (3,),
    laws="input gradient, parameter gradient",
    cause="right only where a is positive | negative",
)
class LearnedLeakOfOutput(LearnedLeak):
    """The sign is that of the result, as when it is computed in place. Wanted cause: wrong for negative a."""

    def positive(self, x):
        return np.where(x > 0, x, self.a.value * x) > 0


class FromOne(Layer):
    """Correct: the distance of each entry from 1."""

    def forward(self, x):
        return np.abs(x - 1), x

    def backward(self, grad, x):
        return grad * np.sign(x - 1)


@planted("any slope at a kink beside zero", FromOne, (3,), laws="input gradient", cause="wrong at a kink only")
class FromOneAnySlope(FromOne):
    """Both sides count at the kink, and each of them as 1. Wanted cause: wrong at a kink, x == 1."""

    def backward(self, grad, x):
        return grad * ((x >= 1) * 1.0 - (x <= 1) * 1.0 + (x == 1) * 2.0).astype(grad.dtype)


class Bounded(Layer):
    """Correct: cut off at 0 and 6."""

    def forward(self, x):
        return np.clip(x, 0, 6), x

    def backward(self, grad, x):
        return grad * ((x > 0) & (x < 6))


@planted("upper bound forgotten in backward", Bounded, (3,), laws="input gradient", cause="wrong for large values")
class BoundedAbove(Bounded):
    """As for a rectifier. Wanted cause: wrong for large values, beyond 6."""

    def backward(self, grad, x):
        return grad * (x > 0)


class TimeMean(Layer):
    """Correct: the mean over time of sequences of any length."""

    def forward(self, x):
        if x.ndim != 3 or not x.shape[1]:
            raise ValueError(f"(N, at least 1, F) expected, not {x.shape}")
        return x.mean(axis=1), x.shape

    def backward(self, grad, shape):
        return np.repeat(grad[:, None] / self.steps(shape), shape[1], axis=1)

    def steps(self, shape):
        return shape[1]


@planted("mean over the usual number of steps", TimeMean, (4, 2), laws="other lengths", cause="factor")
class TimeMeanUsual(TimeMean):
    """backward divides by the length that it was written for. Wanted cause: wrong at other lengths."""

    def steps(self, shape):
        return 4


class SoftmaxOfAny(Layer):
    """Correct: softmax over any number of features."""

    def forward(self, x):
        if x.ndim == 0 or not x.shape[-1]:
            raise ValueError("at least one feature expected")
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        y = e / e.sum(axis=-1, keepdims=True)
        return y, y

    def backward(self, grad, y):
        return y * (grad - (grad * y).sum(axis=-1, keepdims=True))


@planted("shortcut for one feature", SoftmaxOfAny, (3,), laws="other lengths", cause="a term too many: the identity")
class SoftmaxOfOne(SoftmaxOfAny):
    """The softmax of one is handed on as if it were the identity. Wanted cause: wrong at another width, one."""

    def backward(self, grad, y):
        return grad.copy() if y.shape[-1] == 1 else super().backward(grad, y)


class Blocks(Layer):
    """Correct: ``x @ W``, whose gradient is summed in blocks of eight samples."""

    def __init__(self) -> None:
        self.W = Parameter(draw(3, 2))

    def forward(self, x):
        require_features(x, 3)
        return x @ self.W.value, x

    def backward(self, grad, x):
        x, upstream, total = rows(x), rows(grad), np.zeros_like(self.W.value)
        for start in self.starts(len(x)):
            total += x[start : start + 8].T @ upstream[start : start + 8]
        self.W.add(total)
        return grad @ self.W.value.T

    def starts(self, samples):
        return range(0, samples, 8)


@planted(
    "last block of samples left out",
    Blocks,
    (3,),
    laws="samples independent, parameter gradient, leading axes, layout",
    cause="some of a large batch left out | term missing: entries of the Jacobian are zero",
)
class BlocksWhole(Blocks):
    """Beyond one, only whole blocks are counted. Wanted cause: wrong for batches of more than 8."""

    def starts(self, samples):
        return range(0, 8 * max(samples // 8, 1), 8)


class Steep(Layer):
    """Correct: ``log(cosh(x))``, as ``|x| + log1p(exp(-2 |x|)) - log 2``."""

    def forward(self, x):
        size = np.abs(x)
        return size + np.log1p(np.exp(-2 * size)) - 0.6931471805599453, x

    def backward(self, grad, x):
        return grad * np.tanh(x)


@planted(
    "slope taken for its limit in the middle",
    Steep,
    (3,),
    laws="input gradient",
    cause="wrong for large values | wrong in a range of values",
)
class SteepMiddle(Steep):
    """Between 30 and 60, a table ends at 0.999. Wanted cause: wrong for a range of values."""

    def backward(self, grad, x):
        size = np.abs(x)
        return grad * np.where((size > 30) & (size < 60), np.sign(x) * 0.999, np.tanh(x))
