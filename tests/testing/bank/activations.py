"""Activations, entry by entry."""

import math

import numpy as np

from minibackprop import Layer
from tests.testing.bank.pieces import logistic
from tests.testing.bank.planting import planted


class Sigmoid(Layer):
    """Correct: ``1 / (1 + exp(-x))``."""

    def forward(self, x):
        y = logistic(x)
        return y, y

    def backward(self, grad, y):
        return grad * y * (1 - y)


@planted(
    "sigmoid slope taken at the output",
    Sigmoid,
    (3,),
    laws="input gradient",
    cause="output is used where the input belongs",
)
class SigmoidTwice(Sigmoid):
    """The slope is taken at the output, as if it were the input."""

    def backward(self, grad, y):
        s = logistic(y)
        return grad * s * (1 - s)


@planted("sigmoid overflows", Sigmoid, (3,), laws="finite", cause="overflow, or a division by zero")
class SigmoidOverflows(Sigmoid):
    """``exp(x) / (1 + exp(x))`` is inf / inf for large x."""

    def forward(self, x):
        e = np.exp(x)
        y = e / (1 + e)
        return y, y


@planted(
    "sigmoid computed in float32",
    Sigmoid,
    (3,),
    laws="input gradient, dtype, float32 agrees",
    cause="dropped to float32",
)
class SigmoidSingle(Sigmoid):
    """A fast exp in float32, whatever comes in; the result has the right dtype, but not its digits."""

    def forward(self, x):
        y = logistic(x.astype(np.float32)).astype(x.dtype)
        return y, y


class Tanh(Layer):
    """Correct."""

    def forward(self, x):
        y = np.tanh(x)
        return y, y

    def backward(self, grad, y):
        return grad * (1 - y * y)


@planted("tanh slope of the input", Tanh, (3,), laws="input gradient", cause="input is used where the output belongs")
class TanhOfInput(Tanh):
    """The input is cached where the formula has the output: ``1 - x * x``."""

    def forward(self, x):
        return np.tanh(x), x


@planted("tanh slope negated", Tanh, (3,), laws="input gradient", cause="sign flipped")
class NegatedTanh(Tanh):
    """``y * y - 1``: the two terms are in the wrong order."""

    def backward(self, grad, y):
        return grad * (y * y - 1)


@planted("entries read in the order of memory", Tanh, (3,), laws="layout", cause="contiguous memory assumed")
class TanhMemoryOrder(Tanh):
    """The entries are read in the order of memory and put back in the order of rows."""

    def forward(self, x):
        y = np.tanh(x.ravel(order="K")).reshape(x.shape)
        return y, y


@planted("gradient written through ravel", Tanh, (3,), laws="layout", cause="contiguous memory assumed")
class TanhFlatGradient(Tanh):
    """``ravel()[:] =`` writes into a copy where the array is not contiguous by rows."""

    def backward(self, grad, y):
        back = np.zeros_like(grad)
        back.ravel()[:] = (grad * (1 - y * y)).ravel()
        return back


@planted("gradient rebuilt from bytes", Tanh, (3,), laws="layout", cause="contiguous memory assumed")
class TanhFromBytes(Tanh):
    """Rebuilt from ``tobytes("A")``, which keeps the order of columns of a Fortran array."""

    def backward(self, grad, y):
        upstream = np.frombuffer(grad.tobytes("A"), grad.dtype).reshape(grad.shape)
        return upstream * (1 - y * y)


@planted(
    "steepness grows by the call",
    Tanh,
    (3,),
    laws="determinism, predict leaves no trace, predict agrees",
    cause="state that forward changes: calls",
)
class TanhWarmsUp(Tanh):
    """The steepness grows with the number of calls."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        steepness = 1 + 0.01 * self.calls
        y = np.tanh(steepness * x)
        return y, (y, steepness)

    def backward(self, grad, cache):
        y, steepness = cache
        return grad * steepness * (1 - y * y)


class Relu(Layer):
    """Correct."""

    def forward(self, x):
        return np.maximum(x, 0), x

    def backward(self, grad, x):
        return grad * (x > 0)


@planted("relu slope from one", Relu, (3,), laws="input gradient", cause="wrong in a range of values only")
class ReluFromOne(Relu):
    """``x >= 1`` for ``x >= 0``."""

    def backward(self, grad, x):
        return grad * (x >= 1)


@planted(
    "relu guided by the gradient's sign",
    Relu,
    (3,),
    laws="linearity, input gradient",
    cause="not linear in grad: its sign",
)
class ReluGuided(Relu):
    """Only positive gradients are let through as well."""

    def backward(self, grad, x):
        return grad * (x > 0) * (grad > 0)


@planted("relu writes to its input", Relu, (3,), laws="arguments untouched", cause="argument overwritten")
class ReluWritesInput(Relu):
    """``x[x < 0] = 0`` writes to the caller's array."""

    def forward(self, x):
        x[x < 0] = 0
        return x, x


@planted("relu writes to the gradient", Relu, (3,), laws="arguments untouched", cause="argument overwritten")
class ReluWritesGradient(Relu):
    """``grad[x <= 0] = 0`` writes to the caller's gradient."""

    def backward(self, grad, x):
        grad[x <= 0] = 0
        return grad


@planted(
    "relu writes to its cache",
    Relu,
    (3,),
    laws="gradients add, arguments untouched, results stay",
    cause="argument overwritten: backward writes to its cache",
)
class ReluSpendsCache(Relu):
    """The cached slopes are multiplied in place: a second backward through the same pass meets the first's gradient."""

    def forward(self, x):
        return np.maximum(x, 0), (x > 0).astype(x.dtype)

    def backward(self, grad, slopes):
        slopes *= grad
        return slopes


@planted("relu reads the sign bit of float64", Relu, (3,), laws="dtype, float32 agrees")
class ReluSignBit(Relu):
    """The sign is read off the bits of a float64."""

    def backward(self, grad, x):
        return grad * (x.view(np.int64) > 0)


class LeakyRelu(Layer):
    """Correct, with slope 0.1."""

    def forward(self, x):
        return np.where(x > 0, x, 0.1 * x), x

    def backward(self, grad, x):
        return np.where(x > 0, grad, 0.1 * grad)


@planted("leak forgotten in backward", LeakyRelu, (3,), laws="input gradient", cause="wrong for negative inputs")
class LeakForgotten(LeakyRelu):
    """backward is still the one of the ReLU."""

    def backward(self, grad, x):
        return grad * (x > 0)


@planted("where of two Python floats", LeakyRelu, (3,), laws="dtype", cause="a float64 constant")
class LeakInDouble(LeakyRelu):
    """``np.where`` of two Python floats is a float64 array."""

    def backward(self, grad, x):
        return grad * np.where(x > 0, 1.0, 0.1)


class Elu(Layer):
    """Correct: ``exp(x) - 1`` for negative x."""

    def forward(self, x):
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0))), x

    def backward(self, grad, x):
        return grad * np.exp(np.minimum(x, 0))


@planted("elu slope without its one", Elu, (3,), laws="input gradient", cause="wrong for negative inputs")
class EluSlopeIsOutput(Elu):
    """The slope for negative x is y + 1; the 1 is forgotten."""

    def backward(self, grad, x):
        return np.where(x > 0, grad, grad * np.expm1(np.minimum(x, 0)))


@planted("elu multiplies infinity by its mask", Elu, (3,), laws="finite", cause="overflow, or a division by zero")
class EluMaskTimesInfinity(Elu):
    """``(x <= 0) * exp(x)`` is 0 * inf for large x."""

    def backward(self, grad, x):
        return grad * ((x > 0) + (x <= 0) * np.exp(x))


class Gelu(Layer):
    """Correct, the form with tanh."""

    scale = math.sqrt(2 / math.pi)

    def forward(self, x):
        return 0.5 * x * (1 + np.tanh(self.scale * (x + 0.044715 * x * x * x))), x

    def backward(self, grad, x):
        return grad * self.slope(x, self.scale)

    @staticmethod
    def slope(x, scale):
        t = np.tanh(scale * (x + 0.044715 * x * x * x))
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x)


@planted("gelu with a rounded constant", Gelu, (3,), laws="input gradient", cause="a rounded constant")
class GeluRoundConstant(Gelu):
    """sqrt(2 / pi) is typed in as 0.7978 in backward."""

    def backward(self, grad, x):
        return grad * self.slope(x, 0.7978)


@planted("gelu without its second term", Gelu, (3,), laws="input gradient", cause="term missing: y = x * s(x)")
class GeluGateOnly(Gelu):
    """The product rule stops after its first term."""

    def backward(self, grad, x):
        return grad * 0.5 * (1 + np.tanh(self.scale * (x + 0.044715 * x * x * x)))


@planted("gelu with a NumPy constant", Gelu, (3,), laws="dtype", cause="a float64 constant")
class GeluDoubleConstant(Gelu):
    """``np.sqrt`` of a Python number is a float64 scalar, which turns float32 into float64."""

    scale = np.sqrt(2 / np.pi)


class Softplus(Layer):
    """Correct: ``log(1 + exp(x))``."""

    def forward(self, x):
        return np.logaddexp(0, x), x

    def backward(self, grad, x):
        return grad * logistic(x)


@planted("softplus overflows", Softplus, (3,), laws="finite", cause="overflow")
class SoftplusOverflows(Softplus):
    """``log(1 + exp(x))`` as written is infinite for large x."""

    def forward(self, x):
        return np.log1p(np.exp(x)), x


@planted("softplus slope cut short beyond 3", Softplus, (3,), laws="input gradient", cause="wrong for large values")
class SoftplusShortcut(Softplus):
    """Beyond 3 the slope is taken for 0 or 1."""

    def backward(self, grad, x):
        return grad * np.where(np.abs(x) > 3, (x > 0).astype(x.dtype), logistic(x))


class HardTanh(Layer):
    """Correct: clip to [-1, 1]."""

    def forward(self, x):
        return np.clip(x, -1, 1), x

    def backward(self, grad, x):
        return grad * (np.abs(x) < 1)


@planted("straight through the clip", HardTanh, (3,), laws="input gradient", cause="wrong for large values")
class StraightThrough(HardTanh):
    """The gradient passes where the forward is clipped."""

    def backward(self, grad, x):
        return grad.copy()


class Swish(Layer):
    """Correct: ``x * sigmoid(x)``."""

    def forward(self, x):
        return x * logistic(x), x

    def backward(self, grad, x):
        s = logistic(x)
        return grad * (s + x * s * (1 - s))


@planted("swish with a constant gate", Swish, (3,), laws="input gradient", cause="s(x) treated as a constant")
class SwishGateOnly(Swish):
    """The gate is treated as a constant."""

    def backward(self, grad, x):
        return grad * logistic(x)


@planted("swish with a sign turned", Swish, (3,), laws="input gradient", cause="wrong sign of one term")
class SwishSign(Swish):
    """The derivative of the logistic function with its sign turned."""

    def backward(self, grad, x):
        s = logistic(x)
        return grad * (s - x * s * (1 - s))
