"""
A bank of planted bugs, each the slip of one line beside a correct twin, to prove the checker with.

Every bug is written the way people make it. What a class's docstring calls the slip is the only thing in which it
departs from its twin.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from attrs import frozen

from minibackprop import Buffer, Layer, Loss, Parameter, Sequential, ShapeError
from minibackprop.validation import Array


@frozen
class Planted:
    """A bug, its twin, the shape of one sample, the laws that should see it and the cause to be named, if any."""

    name: str
    bug: Callable[[], Layer]
    twin: Callable[[], Layer]
    inputs: tuple[int, ...]
    laws: tuple[str, ...]
    cause: str = ""


@frozen
class PlantedLoss:
    """A bug of a loss, its twin, the laws that may see it first, the shape of one prediction and what draws targets."""

    name: str
    bug: Callable[[], Loss]
    twin: Callable[[], Loss]
    laws: str
    shape: tuple[int, ...] = (2,)
    targets: Callable[[np.random.Generator, Array], Array] | None = None


def draw(*shape: int, seed: int | None = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def rows(a: Array) -> Array:
    """Take all axes but the last as one."""
    return a.reshape(-1, a.shape[-1])


def require_features(x: Array, expected: int) -> None:
    if x.ndim == 0 or x.shape[-1] != expected:
        raise ShapeError("layer", f"(..., {expected})", str(x.shape))


def require_samples(x: Array, *shape: int) -> None:
    if x.shape[1:] != shape or x.ndim != len(shape) + 1:
        raise ShapeError("layer", f"(N, {', '.join(map(str, shape))})", str(x.shape))


def logistic(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def normalized_exp(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# Affine maps --------------------------------------------------------------------------------------------------------


class Affine(Layer):
    """Correct: ``y = x @ W + b``."""

    def __init__(self, n: int = 4, m: int = 3, seed: int | None = 0) -> None:
        self.n, self.m, self.seed = n, m, seed
        self.W = Parameter(draw(n, m, seed=seed) / n**0.5)
        self.b = Parameter(draw(m, seed=None if seed is None else seed + 1))

    def forward(self, x):
        require_features(x, self.n)
        return x @ self.W.value + self.b.value, x

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


class MeanWeightGradient(Affine):
    """The loss is a mean, so the weight gradient is divided by the batch size: once too often."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad) / max(len(rows(x)), 1))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


class MeanBiasGradient(Affine):
    """``mean`` for ``sum`` in the bias alone."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0) / max(len(rows(grad)), 1))
        return grad @ self.W.value.T


class WeightNotTransposed(Affine):
    """``grad @ W`` for ``grad @ W.T``: the shapes fit where W is square."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value


class WeightGradientTransposed(Affine):
    """``grad.T @ x`` for ``x.T @ grad``, as with weights kept (out, in)."""

    def backward(self, grad, x):
        self.W.add(rows(grad).T @ rows(x))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


class DescentSign(Affine):
    """The weight gradient carries the minus of the descent step."""

    def backward(self, grad, x):
        self.W.add(-rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


class BiasForgotten(Affine):
    """The bias came later, and backward was not told."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        return grad @ self.W.value.T


class BiasCountsSamples(Affine):
    """dy/db is 1, so the bias gradient is the number of samples: the upstream gradient is left out."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(np.full_like(self.b.value, len(rows(x))))
        return grad @ self.W.value.T


class BiasAcrossFeatures(Affine):
    """The bias gradient is summed over the features: an error, unless the batch happens to be as large as b."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=1))
        return grad @ self.W.value.T


class WeightGradientAssigned(Affine):
    """``=`` for ``add``: the second backward wipes out the first."""

    def backward(self, grad, x):
        self.W.grad = rows(x).T @ rows(grad)
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


class BiasGradientIsGrad(Affine):
    """Where there is nothing to sum, the caller's own array is handed to the parameter."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(grad.reshape(self.m) if grad.size == self.m else rows(grad).sum(axis=0))
        return grad @ self.W.value.T


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


class TransposedOnce(Affine):
    """W.T is copied at construction, for speed, and grows stale as W learns."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.transposed = Buffer(np.ascontiguousarray(self.W.value.T))

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.transposed.value


class DefaultWeight(Affine):
    """A default argument is made once: all instances share their weight."""

    def __init__(self, weight=Parameter(draw(4, 3) / 2)):  # noqa: B008 - the slip
        super().__init__()
        self.W = weight


class PredictWithoutBias(Affine):
    """The bias was added to forward only."""

    def predict(self, x):
        require_features(x, self.n)
        return x @ self.W.value


class PredictRemembers(Affine):
    """predict keeps its latest answer by the array's identity: written to since, the array gets the old one."""

    seen = answer = None

    def predict(self, x):
        if x is not self.seen:
            self.seen, self.answer = x, self.forward(x)[0]
        return self.answer


class BiasForZeros(Affine):
    """Zeros need no product, the answer is the bias: a view of the parameter itself."""

    def forward(self, x):
        if x.any():
            return super().forward(x)
        require_features(x, self.n)
        return np.broadcast_to(self.b.value, (*x.shape[:-1], self.m)), x


class AccumulateWithoutBias(Affine):
    """accumulate was written when there was no bias."""

    def accumulate(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))


class AccumulateTwice(Affine):
    """backward calls accumulate, and then adds the bias once more itself: the two drifted apart."""

    def backward(self, grad, x):
        self.accumulate(grad, x)
        return grad @ self.W.value.T

    def accumulate(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(rows(grad).sum(axis=0))
        self.b.add(rows(grad).sum(axis=0))


class AccumulateCallsBoth(Affine):
    """accumulate does its work and then calls backward, which does it again."""

    def accumulate(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        self.backward(grad, x)


class SingleGradients(Affine):
    """Gradients are cast to float32 to save memory, and what follows casts them back."""

    def backward(self, grad, x):
        single = grad.astype(np.float32)
        self.W.add((rows(x).T @ rows(single)).astype(self.W.value.dtype))
        self.b.add(rows(grad).sum(axis=0))
        return (single @ self.W.value.T).astype(grad.dtype)


class Squeezed(Affine):
    """``squeeze`` after the product drops the axis of a batch of one."""

    def forward(self, x):
        y, cache = super().forward(x)
        return y.squeeze(), cache

    def backward(self, grad, x):
        return super().backward(grad.reshape(*x.shape[:-1], self.m), x)


class ClippedUpstream(Affine):
    """Exploding gradients are clipped where they come in, and nobody was told."""

    def backward(self, grad, x):
        return super().backward(np.clip(grad, -1, 1), x)


class NormClippedUpstream(Affine):
    """The gradient is scaled to norm 5 where it is longer."""

    def backward(self, grad, x):
        norm = float(np.sqrt((grad * grad).sum()))
        return super().backward(grad * (5 / norm) if norm > 5 else grad, x)


class DecayInBackward(Affine):
    """Weight decay is slipped into the weight's gradient."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad) + 0.01 * self.W.value)
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


class LastSampleDropped(Affine):
    """The outer products are summed in a loop that ends one sample early."""

    def backward(self, grad, x):
        total = np.zeros_like(self.W.value)
        for i in range(len(rows(x)) - 1):
            total = total + np.outer(rows(x)[i], rows(grad)[i])
        self.W.add(total)
        self.b.add(rows(grad).sum(axis=0))
        return grad @ self.W.value.T


class LastColumnDropped(Affine):
    """The bias gradient is filled column by column, and the last column left at zero."""

    def backward(self, grad, x):
        self.W.add(rows(x).T @ rows(grad))
        total = np.zeros_like(self.b.value)
        for j in range(self.m - 1):
            total[j] = rows(grad)[:, j].sum()
        self.b.add(total)
        return grad @ self.W.value.T


class TakesFirstColumns(Affine):
    """``x[..., :n]`` cuts what is too wide to size."""

    def forward(self, x):
        x = x[..., : self.n]
        return x @ self.W.value + self.b.value, x


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


class ClosureWeight(Affine):
    """A closure holds on to the weight: a copy of the layer computes with the weight of the original."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        weight = self.W
        self.product = lambda x: x @ weight.value

    def forward(self, x):
        require_features(x, self.n)
        return self.product(x) + self.b.value, x


class ShallowDeepcopy(Affine):
    """deepcopy was made cheap: the copy shares the parameters."""

    def __deepcopy__(self, memo):
        return copy.copy(self)


class CopiedByConstructor(Affine):
    """Pickle and deepcopy call the constructor again, which draws other weights."""

    def __reduce__(self):
        return type(self), (self.n, self.m, None)


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


class BiasesShareGradient(TwoBiases):
    """Both biases are handed the same array."""

    def backward(self, grad, x):
        total = rows(grad).sum(axis=0)
        self.W.add(rows(x).T @ rows(grad))
        self.b.add(total)
        self.c.add(total)
        return grad @ self.W.value.T


# Activations --------------------------------------------------------------------------------------------------------


class Sigmoid(Layer):
    """Correct: ``1 / (1 + exp(-x))``."""

    def forward(self, x):
        y = logistic(x)
        return y, y

    def backward(self, grad, y):
        return grad * y * (1 - y)


class SigmoidTwice(Sigmoid):
    """The slope is taken at the output, as if it were the input."""

    def backward(self, grad, y):
        s = logistic(y)
        return grad * s * (1 - s)


class SigmoidOverflows(Sigmoid):
    """``exp(x) / (1 + exp(x))`` is inf / inf for large x."""

    def forward(self, x):
        e = np.exp(x)
        y = e / (1 + e)
        return y, y


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


class TanhOfInput(Tanh):
    """The input is cached where the formula has the output: ``1 - x * x``."""

    def forward(self, x):
        return np.tanh(x), x


class TanhMemoryOrder(Tanh):
    """The entries are read in the order of memory and put back in the order of rows."""

    def forward(self, x):
        y = np.tanh(x.ravel(order="K")).reshape(x.shape)
        return y, y


class TanhFlatGradient(Tanh):
    """``ravel()[:] =`` writes into a copy where the array is not contiguous by rows."""

    def backward(self, grad, y):
        back = np.zeros_like(grad)
        back.ravel()[:] = (grad * (1 - y * y)).ravel()
        return back


class TanhFromBytes(Tanh):
    """Rebuilt from ``tobytes("A")``, which keeps the order of columns of a Fortran array."""

    def backward(self, grad, y):
        upstream = np.frombuffer(grad.tobytes("A"), grad.dtype).reshape(grad.shape)
        return upstream * (1 - y * y)


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


class ReluFromOne(Relu):
    """``x >= 1`` for ``x >= 0``."""

    def backward(self, grad, x):
        return grad * (x >= 1)


class ReluGuided(Relu):
    """Only positive gradients are let through as well."""

    def backward(self, grad, x):
        return grad * (x > 0) * (grad > 0)


class ReluWritesInput(Relu):
    """``x[x < 0] = 0`` writes to the caller's array."""

    def forward(self, x):
        x[x < 0] = 0
        return x, x


class ReluWritesGradient(Relu):
    """``grad[x <= 0] = 0`` writes to the caller's gradient."""

    def backward(self, grad, x):
        grad[x <= 0] = 0
        return grad


class ReluSpendsCache(Relu):
    """The cached slopes are multiplied in place: a second backward through the same pass meets the first's gradient."""

    def forward(self, x):
        return np.maximum(x, 0), (x > 0).astype(x.dtype)

    def backward(self, grad, slopes):
        slopes *= grad
        return slopes


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


class LeakForgotten(LeakyRelu):
    """backward is still the one of the ReLU."""

    def backward(self, grad, x):
        return grad * (x > 0)


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


class EluSlopeIsOutput(Elu):
    """The slope for negative x is y + 1; the 1 is forgotten."""

    def backward(self, grad, x):
        return np.where(x > 0, grad, grad * np.expm1(np.minimum(x, 0)))


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


class GeluRoundConstant(Gelu):
    """sqrt(2 / pi) is typed in as 0.7978 in backward."""

    def backward(self, grad, x):
        return grad * self.slope(x, 0.7978)


class GeluGateOnly(Gelu):
    """The product rule stops after its first term."""

    def backward(self, grad, x):
        return grad * 0.5 * (1 + np.tanh(self.scale * (x + 0.044715 * x * x * x)))


class GeluDoubleConstant(Gelu):
    """``np.sqrt`` of a Python number is a float64 scalar, which turns float32 into float64."""

    scale = np.sqrt(2 / np.pi)


class Softplus(Layer):
    """Correct: ``log(1 + exp(x))``."""

    def forward(self, x):
        return np.logaddexp(0, x), x

    def backward(self, grad, x):
        return grad * logistic(x)


class SoftplusOverflows(Softplus):
    """``log(1 + exp(x))`` as written is infinite for large x."""

    def forward(self, x):
        return np.log1p(np.exp(x)), x


class SoftplusShortcut(Softplus):
    """Beyond 3 the slope is taken for 0 or 1."""

    def backward(self, grad, x):
        return grad * np.where(np.abs(x) > 3, (x > 0).astype(x.dtype), logistic(x))


class LogSquare(Layer):
    """Correct: ``log(1 + x * x)``."""

    def forward(self, x):
        return np.log1p(x * x), x

    def backward(self, grad, x):
        return grad * 2 * x / (1 + x * x)


class InnerFactorForgotten(LogSquare):
    """The 2 of the inner derivative is left out."""

    def backward(self, grad, x):
        return grad * x / (1 + x * x)


class UpstreamForgotten(LogSquare):
    """The local derivative alone is returned."""

    def backward(self, grad, x):
        return 2 * x / (1 + x * x)


class UpstreamSign(LogSquare):
    """Only the sign of the upstream gradient is used, as in sign descent."""

    def backward(self, grad, x):
        return np.sign(grad) * 2 * x / (1 + x * x)


class UpstreamSquared(LogSquare):
    """The upstream gradient is multiplied in twice, once by its size."""

    def backward(self, grad, x):
        return grad * np.abs(grad) * 2 * x / (1 + x * x)


class FarTailDropped(LogSquare):
    """Beyond 20 the slope is taken for zero, though it falls off slowly."""

    def backward(self, grad, x):
        return np.where(np.abs(x) > 20, 0, grad * 2 * x / (1 + x * x))


class HardTanh(Layer):
    """Correct: clip to [-1, 1]."""

    def forward(self, x):
        return np.clip(x, -1, 1), x

    def backward(self, grad, x):
        return grad * (np.abs(x) < 1)


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


class SwishGateOnly(Swish):
    """The gate is treated as a constant."""

    def backward(self, grad, x):
        return grad * logistic(x)


class SwishSign(Swish):
    """The derivative of the logistic function with its sign turned."""

    def backward(self, grad, x):
        s = logistic(x)
        return grad * (s - x * s * (1 - s))


class NegatedTanh(Tanh):
    """``y * y - 1``: the two terms are in the wrong order."""

    def backward(self, grad, y):
        return grad * (y * y - 1)


class GatedUnit(Layer):
    """Correct: ``a * sigmoid(b)`` of the halves a, b of the features."""

    def forward(self, x):
        a, b = np.split(x, 2, axis=-1)
        s = logistic(b)
        return a * s, (a, s)

    def backward(self, grad, cache):
        a, s = cache
        return np.concatenate([grad * s, grad * a * s * (1 - s)], axis=-1)


class GatedUnitSwapped(GatedUnit):
    """The gradients of the halves are put together in the wrong order."""

    def backward(self, grad, cache):
        a, s = cache
        return np.concatenate([grad * a * s * (1 - s), grad * s], axis=-1)


# Softmax and its kin ------------------------------------------------------------------------------------------------


class Softmax(Layer):
    """Correct, over the last axis."""

    def forward(self, x):
        y = normalized_exp(x)
        return y, y

    def backward(self, grad, y):
        return y * (grad - (grad * y).sum(axis=-1, keepdims=True))


class SoftmaxDiagonal(Softmax):
    """Only the diagonal of the Jacobian, as if each entry were a sigmoid."""

    def backward(self, grad, y):
        return grad * y * (1 - y)


class SoftmaxOverBatch(Softmax):
    """Over axis 0, which in a batch is the samples."""

    def forward(self, x):
        e = np.exp(x - x.max(axis=0, initial=-np.inf))
        y = e / e.sum(axis=0)
        return y, y

    def backward(self, grad, y):
        return y * (grad - (grad * y).sum(axis=0))


class SoftmaxOneMaximum(Softmax):
    """One maximum for the whole batch: a sample far below another's underflows to 0 / 0."""

    def forward(self, x):
        e = np.exp(x - x.max(initial=-np.inf))
        y = e / e.sum(axis=-1, keepdims=True)
        return y, y


class SoftmaxNoMaximum(Softmax):
    """The exponentials of large entries overflow."""

    def forward(self, x):
        e = np.exp(x)
        y = e / e.sum(axis=-1, keepdims=True)
        return y, y


class SoftmaxSecondAxis(Softmax):
    """forward takes the last axis, backward axis 1: the same for matrices only."""

    def backward(self, grad, y):
        return y * (grad - (grad * y).sum(axis=min(1, y.ndim - 1), keepdims=True))


class SoftmaxJacobianLoop(Softmax):
    """Sample by sample with the full Jacobian, the last sample left out."""

    def backward(self, grad, y):
        back = np.zeros(y.shape, grad.dtype)
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


class LogSumExpUpstream(LogSumExp):
    """The gradient of the log-sum-exp is the softmax, and that is what is returned."""

    def backward(self, grad, x):
        return normalized_exp(x)


# Scales and normalizations ------------------------------------------------------------------------------------------


class ScaleShift(Layer):
    """Correct: ``y = x * gamma + beta``."""

    def __init__(self, n: int = 4) -> None:
        self.n = n
        self.gamma = Parameter(1 + 0.5 * draw(n))
        self.beta = Parameter(draw(n, seed=1))

    def forward(self, x):
        require_features(x, self.n)
        return x * self.gamma.value + self.beta.value, x

    def backward(self, grad, x):
        self.gamma.add(rows(grad * x).sum(axis=0))
        self.beta.add(rows(grad).sum(axis=0))
        return grad * self.gamma.value


class ScaleBroadcasts(ScaleShift):
    """No check of the width: one feature is stretched to all."""

    def forward(self, x):
        return x * self.gamma.value + self.beta.value, x


class ScaleKeepsAxis(ScaleShift):
    """``keepdims=True`` leaves a gradient of shape (1, n), which SGD broadcasts into shape."""

    def backward(self, grad, x):
        total = rows(grad * x).sum(axis=0, keepdims=True)
        self.gamma.grad = total if self.gamma.grad is None else self.gamma.grad + total
        self.beta.add(rows(grad).sum(axis=0))
        return grad * self.gamma.value


class ScaleTimesOutput(ScaleShift):
    """The gradient of gamma is taken with the output for the input."""

    def forward(self, x):
        y, _ = super().forward(x)
        return y, y


class ScaleTimesWidth(ScaleShift):
    """The gradient of gamma is a mean over the features as well."""

    def backward(self, grad, x):
        self.gamma.add(rows(grad * x).sum(axis=0) / self.n)
        self.beta.add(rows(grad).sum(axis=0))
        return grad * self.gamma.value


class ScaleGoesMissing(ScaleShift):
    """predict adds beta, but does not scale."""

    def predict(self, x):
        require_features(x, self.n)
        return x + self.beta.value


class LiveState(ScaleShift):
    """state_dict gives the arrays themselves: what was saved goes on learning."""

    def state_dict(self):
        return {name: parameter.value for name, parameter in self.named_parameters()}


class LayerNorm(Layer):
    """Correct: each sample to mean 0 and variance 1, then scaled and shifted."""

    epsilon = 1e-3

    def __init__(self, n: int = 5) -> None:
        self.n = n
        self.gamma = Parameter(1 + 0.5 * draw(n))
        self.beta = Parameter(draw(n, seed=1))

    def forward(self, x):
        require_features(x, self.n)
        inverse = 1 / np.sqrt(self.variance(x) + self.epsilon)
        normal = (x - x.mean(axis=-1, keepdims=True)) * inverse
        return normal * self.gamma.value + self.beta.value, (normal, inverse)

    def variance(self, x):
        return x.var(axis=-1, keepdims=True)

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add(rows(grad * normal).sum(axis=0))
        self.beta.add(rows(grad).sum(axis=0))
        return self.through(grad * self.gamma.value, normal, inverse)

    def through(self, grad, normal, inverse):
        along = (grad * normal).mean(axis=-1, keepdims=True)
        return inverse * (grad - grad.mean(axis=-1, keepdims=True) - normal * along)


class NormWithoutVariancePath(LayerNorm):
    """The variance is treated as a constant."""

    def through(self, grad, normal, inverse):
        return inverse * (grad - grad.mean(axis=-1, keepdims=True))


class NormWithoutMeanPath(LayerNorm):
    """The mean is treated as a constant."""

    def through(self, grad, normal, inverse):
        return inverse * (grad - normal * (grad * normal).mean(axis=-1, keepdims=True))


class NormScaledAfterwards(LayerNorm):
    """gamma is multiplied in after the normalization's Jacobian, which does not commute with it."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add(rows(grad * normal).sum(axis=0))
        self.beta.add(rows(grad).sum(axis=0))
        return self.through(grad, normal, inverse) * self.gamma.value


class NormBareDeviation(LayerNorm):
    """backward divides by the standard deviation, without the epsilon of forward."""

    def through(self, grad, normal, inverse):
        bare = 1 / np.sqrt(np.maximum(1 / inverse**2 - self.epsilon, 1e-12))
        return super().through(grad, normal, bare)


class NormWithoutEpsilon(LayerNorm):
    """No epsilon at all: a constant sample is 0 / 0."""

    epsilon = 0.0


class NormInPlace(LayerNorm):
    """``x -= mean`` centres the caller's array."""

    def forward(self, x):
        require_features(x, self.n)
        x -= x.mean(axis=-1, keepdims=True)
        return super().forward(x)


class NormOfBatch(LayerNorm):
    """``x.var()`` without its axis is over all samples."""

    def variance(self, x):
        return np.full_like(x[..., :1], x.var() if x.size else 1)


class NormByMoments(LayerNorm):
    """``mean(x**2) - mean(x)**2`` cancels: in float32 it is negative for large, nearly equal entries."""

    def variance(self, x):
        return (x * x).mean(axis=-1, keepdims=True) - x.mean(axis=-1, keepdims=True) ** 2


class UnitLength(Layer):
    """Correct: each sample divided by its length, softened at zero."""

    softness = 1e-3

    def forward(self, x):
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True) + self.softness)
        y = x / length
        return y, (y, length)

    def backward(self, grad, cache):
        y, length = cache
        return (grad - y * (grad * y).sum(axis=-1, keepdims=True)) / length


class UnitLengthOfZero(UnitLength):
    """Without softening, a sample of zeros is 0 / 0."""

    softness = 0.0


class UnitLengthConstant(UnitLength):
    """The length is treated as a constant."""

    def backward(self, grad, cache):
        _, length = cache
        return grad / length


class UnitLengthOfBatch(UnitLength):
    """``np.linalg.norm(x)`` without its axis is the length of the whole batch."""

    def forward(self, x):
        length = np.sqrt((x * x).sum() + self.softness)
        y = x / length
        return y, (y, length)

    def backward(self, grad, cache):
        y, length = cache
        return (grad - y * (grad * y).sum()) / length


class SoftLength(Layer):
    """Correct: the length of each sample, rounded off at zero."""

    softness = 1e-3

    def forward(self, x):
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True) + self.softness)
        return length, (x, length)

    def backward(self, grad, cache):
        x, length = cache
        return grad * x / length


class LengthOfZero(SoftLength):
    """The length has no gradient at zero, and the formula is 0 / 0 there; forward is fine."""

    softness = 0.0


class ByMaximum(Layer):
    """Correct: ``x / (1 + max|x|)``, the maximum of the sample, treated with its own gradient."""

    def forward(self, x):
        size = np.abs(x)
        where = size.argmax(axis=-1, keepdims=True)
        scale = 1 + np.take_along_axis(size, where, axis=-1)
        return x / scale, (x, where, scale)

    def backward(self, grad, cache):
        x, where, scale = cache
        back = grad / scale
        along = (grad * x).sum(axis=-1, keepdims=True) / scale**2
        top = np.take_along_axis(back, where, axis=-1) - np.sign(np.take_along_axis(x, where, axis=-1)) * along
        np.put_along_axis(back, where, top, axis=-1)
        return back


class ByMaximumConstant(ByMaximum):
    """The maximum is treated as a constant."""

    def backward(self, grad, cache):
        _, _, scale = cache
        return grad / scale


class BatchNorm(Layer):
    """Correct: each feature to mean 0 and variance 1 over the batch; running statistics for inference."""

    couples_samples = "normalizes by the statistics of the batch"
    epsilon = 1e-3

    def __init__(self, n: int = 3) -> None:
        self.n = n
        self.gamma = Parameter(1 + 0.5 * draw(n))
        self.beta = Parameter(draw(n, seed=1))
        self.mean = Buffer(np.zeros(n))
        self.var = Buffer(np.ones(n))

    def forward(self, x):
        self.check(x)
        mean, var = x.mean(axis=0), x.var(axis=0)
        self.mean.value += 0.1 * (mean - self.mean.value)
        self.var.value += 0.1 * (var - self.var.value)
        inverse = 1 / np.sqrt(var + self.epsilon)
        normal = (x - mean) * inverse
        return normal * self.gamma.value + self.beta.value, (normal, inverse)

    def check(self, x):
        require_samples(x, self.n)
        if len(x) == 0:
            raise ShapeError("BatchNorm", "at least one sample", str(x.shape))

    def predict(self, x):
        require_features(x, self.n)
        normal = (x - self.mean.value) / np.sqrt(self.var.value + self.epsilon)
        return normal * self.gamma.value + self.beta.value

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        grad = grad * self.gamma.value
        return inverse * (grad - grad.mean(axis=0) - normal * (grad * normal).mean(axis=0))


class BatchNormConstantVariance(BatchNorm):
    """The batch's variance is treated as a constant."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        grad = grad * self.gamma.value
        return inverse * (grad - grad.mean(axis=0))


class BatchNormConstantStatistics(BatchNorm):
    """Mean and variance are treated as constants, as at inference."""

    def backward(self, grad, cache):
        normal, inverse = cache
        self.gamma.add((grad * normal).sum(axis=0))
        self.beta.add(grad.sum(axis=0))
        return inverse * grad * self.gamma.value


class BatchNormUndeclared(BatchNorm):
    """Nothing says that the samples are coupled."""

    couples_samples = ""


class BatchNormPredictLearns(BatchNorm):
    """predict goes on updating the running statistics."""

    def predict(self, x):
        y = super().predict(x)
        if len(x):
            self.mean.value += 0.1 * (rows(x).mean(axis=0) - self.mean.value)
        return y


class BatchNormRunningBackward(BatchNorm):
    """backward divides by the running deviation, which is not the one of its batch."""

    def backward(self, grad, cache):
        normal, _ = cache
        return super().backward(grad, (normal, 1 / np.sqrt(self.var.value + self.epsilon)))


class BatchNormLatestBackward(BatchNorm):
    """backward divides by the deviation of the latest batch, kept on self."""

    def forward(self, x):
        y, (normal, self.inverse) = super().forward(x)
        return y, normal

    predict = BatchNorm.predict

    def backward(self, grad, normal):
        return super().backward(grad, (normal, self.inverse))


class BatchNormPlainStatistics(BatchNorm):
    """The running mean is a plain array, which state_dict does not see."""

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.running = np.zeros(self.n)

    def forward(self, x):
        self.running = 0.9 * self.running + 0.1 * (x.mean(axis=0) if len(x) else 0)
        return super().forward(x)

    def predict(self, x):
        require_features(x, self.n)
        normal = (x - self.running.astype(x.dtype)) / np.sqrt(self.var.value + self.epsilon)
        return normal * self.gamma.value + self.beta.value


class BatchNormSharedStatistics(BatchNorm):
    """The running statistics are made in the class body: all instances update the same."""

    mean_of_all = Buffer(np.zeros(3))

    def __init__(self, *args: int) -> None:
        super().__init__(*args)
        self.mean = self.mean_of_all


class BatchNormLoneSample(BatchNorm):
    """No check of the axes: a lone sample's features are taken for a batch."""

    def check(self, x):
        require_features(x, self.n)


class BatchNormUnbiased(BatchNorm):
    """forward divides by N - 1, as ``std(ddof=1)`` does, backward differentiates the one with N."""

    def forward(self, x):
        _, (normal, inverse) = super().forward(x)
        unbiased = 1 / np.sqrt(x.var(axis=0) * len(x) / max(len(x) - 1, 1) + self.epsilon)
        normal = normal * (unbiased / inverse)
        return normal * self.gamma.value + self.beta.value, (normal, unbiased)

    predict = BatchNorm.predict


# Randomness ---------------------------------------------------------------------------------------------------------


class Dropout(Layer):
    """Correct: entries dropped with probability 0.4, the others scaled up."""

    stochastic = "drops entries at random"
    kept = 0.6

    def __init__(self, seed: int | None = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def forward(self, x):
        mask = self.rng.random(x.shape) < self.kept
        return x * mask / self.kept, mask

    def predict(self, x):
        return x

    def backward(self, grad, mask):
        return grad * mask / self.kept


class DropoutRedraws(Dropout):
    """backward draws a mask of its own."""

    def backward(self, grad, mask):
        return grad * (self.rng.random(grad.shape) < self.kept) / self.kept


class DropoutNotRescaled(Dropout):
    """backward does not scale up."""

    def backward(self, grad, mask):
        return grad * mask


class DropoutIgnoresMask(Dropout):
    """backward lets everything through."""

    def backward(self, grad, mask):
        return grad.copy()


class DropoutGlobal(Dropout):
    """The mask comes from NumPy's global generator."""

    def forward(self, x):
        mask = np.random.random(x.shape) < self.kept  # noqa: NPY002 - the slip
        return x * mask / self.kept, mask

    predict = Dropout.predict


class DropoutInPrediction(Dropout):
    """predict is forward."""

    predict = Layer.predict


class DropoutDoubleMask(Dropout):
    """A mask divided by its probability is a float64 array."""

    def forward(self, x):
        mask = (self.rng.random(x.shape) < self.kept) / self.kept
        return x * mask, mask

    predict = Dropout.predict

    def backward(self, grad, mask):
        return grad * mask


class DropoutMaskOnSelf(Dropout):
    """The mask of the latest forward is kept on self."""

    def forward(self, x):
        y, self.mask = super().forward(x)
        return y, None

    predict = Dropout.predict

    def backward(self, grad, _):
        return super().backward(grad, self.mask)


class DropoutClassGenerator(Dropout):
    """One generator for the class: what an instance draws depends on how often others drew."""

    rng = np.random.default_rng(0)

    def __init__(self):
        pass


class Noise(Layer):
    """Correct: tanh of the input and, in training, noise."""

    stochastic = "adds noise"

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        y = np.tanh(x + 0.1 * self.rng.normal(size=x.shape).astype(x.dtype))
        return y, y

    def predict(self, x):
        return np.tanh(x)

    def backward(self, grad, y):
        return grad * (1 - y * y)


class NoiseUndeclared(Noise):
    """Nothing says that forward is random, and predict is forward."""

    stochastic = ""
    predict = Layer.predict


# Sequences, pooling, convolution ------------------------------------------------------------------------------------


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
        back = np.zeros(shape, grad.dtype)
        for j in range(self.taps):
            back[:, j : j + grad.shape[1]] += grad @ self.W.value[j].T
        return back


class KernelNotFlipped(Convolution):
    """The input gradient runs through the kernel in the wrong direction."""

    def back(self, grad, shape):
        back = np.zeros(shape, grad.dtype)
        for j in range(self.taps):
            back[:, j : j + grad.shape[1]] += grad @ self.W.value[self.taps - 1 - j].T
        return back


class WindowsOverwrite(Convolution):
    """``=`` for ``+=``: where windows overlap, the last one wins."""

    def back(self, grad, shape):
        back = np.zeros(shape, grad.dtype)
        for j in range(self.taps):
            back[:, j : j + grad.shape[1]] = grad @ self.W.value[j].T
        return back


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
        back = np.zeros((*grad.shape, self.width), grad.dtype)
        np.put_along_axis(back, best, grad[..., None], axis=-1)
        return back.reshape(shape)


class TiesAllWin(MaxPool):
    """Every entry equal to the maximum gets the full gradient."""

    def forward(self, x):
        windows = self.windows(x)
        y = windows.max(axis=-1)
        return y, (windows == y[..., None], x.shape)

    def backward(self, grad, cache):
        winners, shape = cache
        return (grad[..., None] * winners).reshape(shape)


class PoolWindowPosition(MaxPool):
    """The position in the window is used as the position in the sample."""

    def backward(self, grad, cache):
        best, shape = cache
        back = np.zeros(shape, grad.dtype)
        np.put_along_axis(back, best[..., 0], grad, axis=-1)
        return back


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


class FeatureShiftOverTime(FeatureShift):
    """The bias gradient keeps the axis of time and sums over the features."""

    def backward(self, grad, y):
        back = grad * (1 - y * y)
        self.b.add(back.sum(axis=(0, 2)))
        return back


class RunningSum(Layer):
    """Correct: the cumulative sum of the last axis."""

    def forward(self, x):
        return np.cumsum(x, axis=-1), None

    def backward(self, grad, _):
        return np.cumsum(grad[..., ::-1], axis=-1)[..., ::-1]


class RunningSumForward(RunningSum):
    """The gradient is summed from the front as well."""

    def backward(self, grad, _):
        return np.cumsum(grad, axis=-1)


class RunningSumExclusive(RunningSum):
    """The sum from behind leaves out the entry itself."""

    def backward(self, grad, _):
        return np.cumsum(grad[..., ::-1], axis=-1)[..., ::-1] - grad


class RunningSumSecondAxis(RunningSum):
    """forward takes the last axis, backward axis 1: the same for matrices only."""

    def backward(self, grad, _):
        return np.cumsum(grad[:, ::-1], axis=1)[:, ::-1]


class Differences(Layer):
    """Correct: ``y[t] = x[t + 1] - x[t]``."""

    def forward(self, x):
        return x[..., 1:] - x[..., :-1], x.shape

    def backward(self, grad, shape):
        back = np.zeros(shape, grad.dtype)
        back[..., 1:] += grad
        back[..., :-1] -= grad
        return back


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
        return grad[..., np.argsort(self.order)]


class ShuffledAgain(Shuffle):
    """The order is applied where its inverse belongs."""

    def backward(self, grad, _):
        return grad[..., self.order]


class Attention(Layer):
    """Correct: ``softmax(x W x.T / sqrt(d)) x`` over sequences (time, d)."""

    def __init__(self, d: int = 3) -> None:
        self.d, self.scale = d, d**-0.5
        self.W = Parameter(draw(d, d))

    def forward(self, x):
        require_features(x, self.d)
        weights = normalized_exp(x @ self.W.value @ x.swapaxes(-1, -2) * self.scale)
        return weights @ x, (x, weights)

    def backward(self, grad, cache):
        x, weights = cache
        upstream = grad @ x.swapaxes(-1, -2)
        scores = weights * (upstream - (upstream * weights).sum(axis=-1, keepdims=True)) * self.scale
        self.W.add(self.of_weight(x, scores))
        return self.of_input(grad, x, weights, scores)

    def of_weight(self, x, scores):
        return rows(x).T @ rows(scores @ x)

    def of_input(self, grad, x, weights, scores):
        queries, keys = scores @ x @ self.W.value.T, scores.swapaxes(-1, -2) @ x @ self.W.value
        return queries + keys + weights.swapaxes(-1, -2) @ grad


class AttentionWithoutValues(Attention):
    """x reaches the result as query, key and value; the last way is forgotten."""

    def of_input(self, grad, x, weights, scores):
        return scores @ x @ self.W.value.T + scores.swapaxes(-1, -2) @ x @ self.W.value


class AttentionNotScaledBack(Attention):
    """The weight gradient leaves out the 1 / sqrt(d) of forward."""

    def of_weight(self, x, scores):
        return rows(x).T @ rows(scores @ x) / self.scale


class AttentionDoubleScale(Attention):
    """``np.sqrt(d)`` is a float64 scalar."""

    def __init__(self, d=3):
        super().__init__(d)
        self.scale = 1 / np.sqrt(d)


# Products, powers and composites ------------------------------------------------------------------------------------


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


class BilinearAsSymmetric(Bilinear):
    """The gradient of x'Ax is written as 2Ax, which holds for symmetric A."""

    def backward(self, grad, x):
        self.A.add(np.einsum("nk,ni,nj->kij", rows(grad), rows(x), rows(x)))
        return 2 * np.einsum("...k,kij,...j->...i", grad, self.A.value, x)


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


class TiedOnce(TiedFactors):
    """Only the first use of the shared factor gets a gradient."""

    def backward(self, grad, x):
        U = self.U.value
        self.U.add(rows(x).T @ rows(grad @ U))
        return grad @ U @ U.T


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


class HighestPowerDropped(Polynomial):
    """``range(1, 3)`` ends before the cube."""

    def back(self, grad, x):
        return grad * sum(k * self.c.value[k] * x ** (k - 1) for k in range(1, 3))


class PowersOffByOne(Polynomial):
    """The gradient of c[k] is taken with the power of the derivative."""

    def backward(self, grad, x):
        self.c.add(np.stack([(grad * x ** max(k - 1, 0)).sum() for k in range(4)]))
        return self.back(grad, x)


class Residual(Layer):
    """Correct: ``y = x + inner(x)``."""

    def __init__(self, inner: Layer | None = None) -> None:
        self.inner = Sequential([Affine(3, 3), Tanh()]) if inner is None else inner

    def forward(self, x):
        y, cache = self.inner.forward(x)
        return x + y, cache

    def predict(self, x):
        return x + self.inner.predict(x)

    def backward(self, grad, cache):
        return grad + self.inner.backward(grad, cache)

    def accumulate(self, grad, cache):
        self.inner.accumulate(grad, cache)


class ResidualWithoutSkip(Residual):
    """The way around the inner layer is forgotten on the way back."""

    def backward(self, grad, cache):
        return self.inner.backward(grad, cache)


class ResidualIntoGradient(Residual):
    """``grad +=`` adds the inner gradient to the caller's array."""

    def backward(self, grad, cache):
        grad += self.inner.backward(grad, cache)
        return grad


class ResidualTrainsAtInference(Residual):
    """predict runs the inner layer's forward, dropout included."""

    def predict(self, x):
        return x + self.inner.forward(x)[0]


class ResidualAccumulatesNothing(Residual):
    """accumulate was stubbed out."""

    def accumulate(self, grad, cache):
        pass


def dropping(residual: type[Residual]) -> Layer:
    return residual(Sequential([Affine(3, 3), Dropout(0)]))


class Flatten(Layer):
    """Correct: each (2, 3) sample as a row."""

    def forward(self, x):
        require_samples(x, 2, 3)
        return x.reshape(len(x), 6), x.shape

    def backward(self, grad, shape):
        return grad.reshape(shape)


class FlattenEmpty(Flatten):
    """``reshape(len(x), -1)`` cannot tell the width of an empty batch."""

    def forward(self, x):
        require_samples(x, 2, 3)
        return x.reshape(len(x), -1), x.shape


class FlattenAnything(Flatten):
    """``reshape(-1, 6)`` takes whatever has the right number of entries: a lone sample, or other samples' axes."""

    def forward(self, x):
        return x.reshape(-1, 6), x.shape


# Losses -------------------------------------------------------------------------------------------------------------


class MeanLoss(Loss):
    """Correct: the mean over samples, weighted, and entries of ``value(prediction - target)``."""

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("loss", f"a target of shape {prediction.shape}", str(target.shape))
        residual = prediction - target.astype(prediction.dtype)
        share = self.shares(residual, weights)
        return float((share * self.value(residual)).sum()), (residual, share)

    def shares(self, residual, weights):
        """Say what each entry counts; all of them sum to 1."""
        if weights is None:
            weights = np.ones(len(residual))
        if weights.shape != residual.shape[:1]:
            raise ShapeError("loss", f"weights of shape {residual.shape[:1]}", str(weights.shape))
        total = float(weights.sum()) * math.prod(residual.shape[1:])
        if total == 0:
            raise ShapeError("loss", "at least one entry of weight above 0", str(residual.shape))
        return (weights / total).astype(residual.dtype).reshape(-1, *[1] * (residual.ndim - 1))

    def backward(self, cache, scale=1.0):
        residual, share = cache
        return scale * share * self.slope(residual)

    def value(self, residual):
        return residual * residual

    def slope(self, residual):
        return 2 * residual


class SquareWithoutTwo(MeanLoss):
    """The 2 of the derivative is left out."""

    def slope(self, residual):
        return residual


class SquareTargetFirst(MeanLoss):
    """The article's error, target minus prediction, is the descent's sign, not the gradient's."""

    def slope(self, residual):
        return -2 * residual


class WeightsForgotten(MeanLoss):
    """The weights are in the value, but not in its gradient."""

    def backward(self, cache, scale=1.0):
        residual, _ = cache
        return (2 * scale / residual.size) * residual


class WeightsNotNormalized(MeanLoss):
    """The weighted sum is divided by the number of samples, not by the sum of the weights."""

    def shares(self, residual, weights):
        share = super().shares(residual, weights)
        return share if weights is None else share * (float(weights.sum()) / len(weights))


class ZeroForNoWeight(MeanLoss):
    """A weight of 0 is taken for none, which counts 1."""

    def shares(self, residual, weights):
        return super().shares(residual, None if weights is None else np.where(weights, weights, 1.0))

    def total_weight(self, target, weights=None):
        return super().total_weight(target, None if weights is None else np.where(weights, weights, 1.0))


class ScaleForgotten(MeanLoss):
    """A part of a batch weighs as much as the whole."""

    def backward(self, cache, scale=1.0):
        return super().backward(cache)


class MeanOverSamplesOnly(MeanLoss):
    """backward divides by the number of samples, forward by the number of entries."""

    def backward(self, cache, scale=1.0):
        residual, _ = cache
        return super().backward(cache, scale) * math.prod(residual.shape[1:])


class TargetBroadcasts(MeanLoss):
    """No check of the shapes: (N, 1) against (N,) is (N, N)."""

    def forward(self, prediction, target, weights=None):
        residual = prediction - target.astype(prediction.dtype)
        share = self.shares(residual, weights)
        return float((share * self.value(residual)).sum()), (residual, share)


class ResidualInPlace(MeanLoss):
    """``prediction -= target`` writes to the caller's prediction."""

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("loss", f"a target of shape {prediction.shape}", str(target.shape))
        prediction -= target
        share = self.shares(prediction, weights)
        return float((share * self.value(prediction)).sum()), (prediction, share)


class DoubleTarget(MeanLoss):
    """A float64 target makes a float64 gradient of a float32 prediction."""

    def forward(self, prediction, target, weights=None):
        value, (residual, share) = super().forward(prediction, target, weights)
        return value, (residual.astype(np.result_type(prediction, target)), share)


class Huber(MeanLoss):
    """Correct: quadratic up to 1, linear beyond."""

    def value(self, residual):
        size = np.abs(residual)
        return np.where(size < 1, residual * residual / 2, size - 0.5)

    def slope(self, residual):
        return np.clip(residual, -1, 1)


class HuberQuadratic(Huber):
    """The slope beyond 1 goes on growing."""

    def slope(self, residual):
        return residual


class LogCosh(MeanLoss):
    """Correct: ``log cosh`` of the residual, without overflow."""

    def value(self, residual):
        size = np.abs(residual)
        return size + np.log1p(np.exp(-2 * size)) - math.log(2)

    def slope(self, residual):
        return np.tanh(residual)


class LogCoshOverflows(LogCosh):
    """``np.log(np.cosh(...))`` as written is infinite for large residuals."""

    def value(self, residual):
        return np.log(np.cosh(residual))


class SumUnsaid(MeanLoss):
    """A sum that is declared a mean."""

    reduction = "mean"

    def shares(self, residual, weights):
        share = super().shares(residual, weights)
        return share * len(residual) if weights is None else share * float(weights.sum())


class SumSaid(SumUnsaid):
    """Correct: a sum that says so."""

    reduction = "sum"


class Logistic(MeanLoss):
    """Correct: the cross-entropy of yes and no, from logits."""

    def forward(self, prediction, target, weights=None):
        if prediction.shape != target.shape:
            raise ShapeError("loss", f"a target of shape {prediction.shape}", str(target.shape))
        target = target.astype(prediction.dtype)
        share = self.shares(prediction, weights)
        return float((share * self.terms(prediction, target)).sum()), (prediction, target, share)

    def terms(self, logits, target):
        return np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))

    def backward(self, cache, scale=1.0):
        logits, target, share = cache
        return scale * share * self.slopes(self.sigmoid(logits), target)

    def sigmoid(self, logits):
        return 0.5 + 0.5 * np.tanh(0.5 * logits)

    def slopes(self, s, target):
        return s - target


class LogisticOfProbabilities(Logistic):
    """The slope of the sigmoid is multiplied in once more than it is there."""

    def slopes(self, s, target):
        return (s - target) * s * (1 - s)


class LogisticAsWritten(Logistic):
    """``log(sigmoid)`` and ``log(1 - sigmoid)`` in two steps are infinite for large logits."""

    def terms(self, logits, target):
        s = self.sigmoid(logits)
        return -target * np.log(s) - (1 - target) * np.log(1 - s)


class LogisticOfNo(Logistic):
    """The term of no is left out, as from the cross-entropy of many classes."""

    def terms(self, logits, target):
        return target * (np.maximum(logits, 0) - logits + np.log1p(np.exp(-np.abs(logits))))


class CrossEntropy(Loss):
    """Correct: the cross-entropy of labels from 0 to 2, smoothed, whose classes have weights; the mean over these."""

    smoothing = 0.1

    def classes(self, logits):
        return np.array([1.0, 2.0, 0.5], logits.dtype)

    def forward(self, logits, labels, weights=None):
        self.require(logits, labels)
        shifted = self.shifted(logits)
        chances = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        counts = np.ones(len(labels), logits.dtype) if weights is None else weights.astype(logits.dtype)
        aimed = counts[:, np.newaxis] * self.classes(logits) * self.spread(logits, labels)
        total = self.total(logits, labels, weights)
        return -float((aimed * chances).sum()) / total, (np.exp(chances), aimed, total)

    def require(self, logits, labels):
        if labels.shape != logits.shape[:1]:
            raise ShapeError("loss", f"labels of shape {logits.shape[:1]}", str(labels.shape))

    def shifted(self, logits):
        return logits - logits.max(axis=1, keepdims=True)

    def spread(self, logits, labels):
        return (1 - self.smoothing) * self.one_hot(logits, labels) + self.smoothing / logits.shape[1]

    def one_hot(self, logits, labels):
        return np.eye(logits.shape[1], dtype=logits.dtype)[labels]

    def total(self, logits, labels, weights):
        return self.total_weight(labels, weights)

    def total_weight(self, labels, weights=None):
        named = np.array([1.0, 2.0, 0.5])[labels]
        return float(named.sum() if weights is None else (weights * named).sum())

    def backward(self, cache, scale=1.0):
        softmax, aimed, total = cache
        return (scale / total) * (softmax * aimed.sum(axis=1, keepdims=True) - aimed)


class SmoothingForgotten(CrossEntropy):
    """backward aims at the labels themselves."""

    def backward(self, cache, scale=1.0):
        softmax, aimed, total = cache
        sharp = np.where(aimed == aimed.max(axis=1, keepdims=True), aimed.sum(axis=1, keepdims=True), 0)
        return super().backward((softmax, sharp, total), scale)


class SmoothedOverOthers(CrossEntropy):
    """What is taken from a label goes to the other classes in forward, and to all in backward."""

    def forward(self, logits, labels, weights=None):
        _, cache = super().forward(logits, labels, weights)
        softmax, aimed, total = cache
        part = self.smoothing * aimed.sum(axis=1, keepdims=True) / 6
        other = aimed + np.where(self.one_hot(logits, labels) > 0, -2 * part, part)
        return -float((other * np.log(softmax + 1e-300)).sum()) / total, cache


class ClassWeightsForgotten(CrossEntropy):
    """``softmax - target``, as without class weights."""

    def backward(self, cache, scale=1.0):
        softmax, aimed, total = cache
        return (scale / total) * (softmax - aimed / aimed.sum(axis=1, keepdims=True))


class SoftmaxUnweighted(CrossEntropy):
    """The class weights are in the target, but not in what softmax is multiplied by."""

    def backward(self, cache, scale=1.0):
        softmax, aimed, total = cache
        return (scale / total) * (softmax - aimed)


class ClassesNotCounted(CrossEntropy):
    """The mean is over samples, but the total weight that of their classes."""

    def total(self, logits, labels, weights):
        return float(len(labels) if weights is None else weights.sum())


class ClassesNotInTotal(CrossEntropy):
    """The mean is over the weights of classes, but the total weight the number of samples: parts count wrongly."""

    def total(self, logits, labels, weights):
        return super().total_weight(labels, weights)

    def total_weight(self, labels, weights=None):
        return float(len(labels) if weights is None else weights.sum())


class TotalOfSamples(CrossEntropy):
    """The total weight knows the classes, but not the weights of the samples."""

    def total(self, logits, labels, weights):
        return super().total_weight(labels, weights)

    def total_weight(self, labels, weights=None):
        return super().total_weight(labels)


class LabelsFromOne(CrossEntropy):
    """Labels are taken to begin at 1: 0 is the last class, and one beyond the last is taken."""

    def one_hot(self, logits, labels):
        return super().one_hot(logits, labels - 1)

    def total_weight(self, labels, weights=None):
        return super().total_weight(labels - 1, weights)


class GradientOfNextLabel(CrossEntropy):
    """backward aims at the class after the label."""

    def backward(self, cache, scale=1.0):
        softmax, aimed, total = cache
        return super().backward((softmax, np.roll(aimed, 1, axis=1), total), scale)


class SoftmaxOverSamples(CrossEntropy):
    """The softmax that backward uses is one over the samples."""

    def backward(self, cache, scale=1.0):
        softmax, aimed, total = cache
        return super().backward((softmax / softmax.sum(axis=0), aimed, total), scale)


class SoftmaxOverflows(CrossEntropy):
    """The largest logit is not subtracted."""

    def shifted(self, logits):
        return logits


class ClassWeightsDouble(CrossEntropy):
    """The class weights are float64, and so is the gradient of a float32 prediction."""

    def classes(self, logits):
        return np.array([1.0, 2.0, 0.5])


class LabelsBroadcast(CrossEntropy):
    """Labels of shape (N, 1) are taken, and broadcast against each other."""

    def require(self, logits, labels):
        if len(labels) != len(logits):
            raise ShapeError("loss", f"labels of shape {logits.shape[:1]}", str(labels.shape))

    def forward(self, logits, labels, weights=None):
        if labels.ndim == 1:
            return super().forward(logits, labels, weights)
        chances = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return -float(chances[np.arange(len(labels)), labels].mean()), None


class SoftmaxOnSelf(CrossEntropy):
    """The softmax is kept on the loss: that of the last batch, whichever backward asks for."""

    def forward(self, logits, labels, weights=None):
        value, (self.softmax, *cache) = super().forward(logits, labels, weights)
        return value, cache

    def backward(self, cache, scale=1.0):
        return super().backward((self.softmax, *cache), scale)


def labels(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.integers(0, 3, len(prediction))


def answers(rng: np.random.Generator, prediction: Array) -> Array:
    return rng.integers(0, 2, prediction.shape)


# The bank -----------------------------------------------------------------------------------------------------------


def plant(twin: Callable[[], Layer], inputs: tuple[int, ...], *bugs: tuple[Any, ...]) -> tuple[Planted, ...]:
    """Plant bugs beside one twin: each a name, the bug, its laws in one string, and the cause, if any."""
    return tuple(Planted(name, bug, twin, inputs, tuple(laws.split(", ")), *cause) for name, bug, laws, *cause in bugs)


BANK: tuple[Planted, ...] = (
    *plant(
        Affine,
        (4,),
        (
            "weight gradient averaged over the batch",
            MeanWeightGradient,
            "parameter gradient",
            "factor is the batch size",
        ),
        ("bias gradient averaged over the batch", MeanBiasGradient, "parameter gradient", "factor is the batch size"),
        ("weight gradient with the sign of descent", DescentSign, "parameter gradient", "sign flipped"),
        ("bias gradient forgotten", BiasForgotten, "parameter gradient, shapes", "one parameter wrong"),
        (
            "bias gradient counts samples",
            BiasCountsSamples,
            "parameter gradient, linearity",
            "upstream gradient ignored",
        ),
        ("bias gradient summed over features", BiasAcrossFeatures, "parameter gradient, shapes"),
        ("weight gradient assigned, not added", WeightGradientAssigned, "gradients add", "not accumulated"),
        ("bias gradient is the caller's array", BiasGradientIsGrad, "no aliasing"),
        ("rows summed into the caller's first row", SumsIntoFirstRow, "arguments untouched", "argument overwritten"),
        ("output buffer reused", ReusedOutput, "results stay, no aliasing"),
        ("input gradient buffer reused", ReusedInputGradient, "results stay, no aliasing"),
        ("input kept on self", InputOnSelf, "two open passes", "stale"),
        ("tape on self", Tape, "two open passes, gradients add", "stale"),
        ("cache in a dict of the class", TapeOfTheClass, "instances share nothing, two open passes", "state shared"),
        ("transposed weight kept from construction", TransposedOnce, "input gradient", "stale"),
        ("weight as a default argument", DefaultWeight, "instances share nothing"),
        ("predict without the bias", PredictWithoutBias, "predict agrees"),
        (
            "predict remembers its answer by identity",
            PredictRemembers,
            "results stay, no aliasing, predict leaves no trace",
        ),
        ("bias itself for an input of zeros", BiasForZeros, "no aliasing"),
        ("accumulate without the bias", AccumulateWithoutBias, "accumulate"),
        ("bias added twice by accumulate", AccumulateTwice, "parameter gradient", "constant factor"),
        ("accumulate calls backward as well", AccumulateCallsBoth, "accumulate"),
        (
            "gradients cast to float32 and back",
            SingleGradients,
            "linearity, dtype, float32 agrees, input gradient, parameter gradient",
            "dropped to float32",
        ),
        ("squeeze after the product", Squeezed, "batch sizes, shapes, samples independent"),
        (
            "upstream gradient clipped",
            ClippedUpstream,
            "linearity, input gradient, parameter gradient",
            "upstream gradient clipped",
        ),
        (
            "upstream gradient clipped by its norm",
            NormClippedUpstream,
            "linearity, input gradient, parameter gradient",
            "upstream gradient clipped",
        ),
        ("weight decay in backward", DecayInBackward, "parameter gradient, linearity"),
        ("last sample left out of the weight gradient", LastSampleDropped, "parameter gradient"),
        ("last column of the bias gradient left out", LastColumnDropped, "parameter gradient", "wrong for one column"),
        ("extra features cut off", TakesFirstColumns, "feature count"),
        ("weight in a closure", ClosureWeight, "copies agree, parameter gradient"),
        ("deepcopy shares parameters", ShallowDeepcopy, "copies agree"),
        ("copied by constructor", CopiedByConstructor, "copies agree, determinism"),
    ),
    *plant(
        partial(Affine, 3, 3),
        (3,),
        ("weight not transposed in backward", partial(WeightNotTransposed, 3, 3), "input gradient", "transposed"),
        ("weight gradient transposed", partial(WeightGradientTransposed, 3, 3), "parameter gradient", "transposed"),
    ),
    *plant(BufferedScale, (4,), ("scale as a plain array", PlainWeight, "copies agree")),
    *plant(TwoBiases, (4,), ("two biases share a gradient", BiasesShareGradient, "no aliasing")),
    *plant(
        Sigmoid,
        (3,),
        ("sigmoid slope taken at the output", SigmoidTwice, "input gradient"),
        ("sigmoid overflows", SigmoidOverflows, "finite"),
        ("sigmoid computed in float32", SigmoidSingle, "input gradient, dtype, float32 agrees", "dropped to float32"),
    ),
    *plant(
        Tanh,
        (3,),
        ("tanh slope of the input", TanhOfInput, "input gradient"),
        ("tanh slope negated", NegatedTanh, "input gradient", "sign flipped"),
        ("entries read in the order of memory", TanhMemoryOrder, "layout"),
        ("gradient written through ravel", TanhFlatGradient, "layout"),
        ("gradient rebuilt from bytes", TanhFromBytes, "layout"),
        ("steepness grows by the call", TanhWarmsUp, "determinism, predict leaves no trace, predict agrees"),
    ),
    *plant(
        Relu,
        (3,),
        ("relu slope from one", ReluFromOne, "input gradient"),
        ("relu guided by the gradient's sign", ReluGuided, "linearity, input gradient"),
        ("relu writes to its input", ReluWritesInput, "arguments untouched", "argument overwritten"),
        ("relu writes to the gradient", ReluWritesGradient, "arguments untouched", "argument overwritten"),
        (
            "relu writes to its cache",
            ReluSpendsCache,
            "gradients add, arguments untouched, results stay",
            "argument overwritten",
        ),
        ("relu reads the sign bit of float64", ReluSignBit, "dtype, float32 agrees"),
    ),
    *plant(
        LeakyRelu,
        (3,),
        ("leak forgotten in backward", LeakForgotten, "input gradient", "wrong for negative inputs"),
        ("where of two Python floats", LeakInDouble, "dtype"),
    ),
    *plant(
        Elu,
        (3,),
        ("elu slope without its one", EluSlopeIsOutput, "input gradient", "wrong for negative inputs"),
        ("elu multiplies infinity by its mask", EluMaskTimesInfinity, "finite"),
    ),
    *plant(
        Gelu,
        (3,),
        ("gelu with a rounded constant", GeluRoundConstant, "input gradient"),
        ("gelu without its second term", GeluGateOnly, "input gradient"),
        ("gelu with a NumPy constant", GeluDoubleConstant, "dtype"),
    ),
    *plant(
        Softplus,
        (3,),
        ("softplus overflows", SoftplusOverflows, "finite"),
        ("softplus slope cut short beyond 3", SoftplusShortcut, "input gradient", "wrong for large values"),
    ),
    *plant(
        LogSquare,
        (3,),
        ("factor 2 of the inner derivative forgotten", InnerFactorForgotten, "input gradient", "constant factor"),
        ("upstream gradient forgotten", UpstreamForgotten, "input gradient, linearity", "upstream gradient ignored"),
        ("sign of the upstream gradient", UpstreamSign, "linearity, input gradient"),
        ("upstream gradient squared", UpstreamSquared, "linearity, input gradient"),
        ("slope dropped beyond 20", FarTailDropped, "input gradient", "wrong for large values"),
    ),
    *plant(HardTanh, (3,), ("straight through the clip", StraightThrough, "input gradient", "wrong for large values")),
    *plant(
        Swish,
        (3,),
        ("swish with a constant gate", SwishGateOnly, "input gradient"),
        ("swish with a sign turned", SwishSign, "input gradient"),
    ),
    *plant(GatedUnit, (4,), ("halves of the gated unit swapped", GatedUnitSwapped, "input gradient")),
    *plant(
        Softmax,
        (3,),
        ("softmax with a diagonal Jacobian", SoftmaxDiagonal, "input gradient", "term missing"),
        ("softmax over the batch", SoftmaxOverBatch, "samples independent, missing batch axis", "samples mixed"),
        ("softmax with one maximum for the batch", SoftmaxOneMaximum, "finite, samples independent"),
        ("softmax without its maximum", SoftmaxNoMaximum, "finite"),
        ("softmax backward over axis 1", SoftmaxSecondAxis, "leading axes"),
        ("softmax Jacobian loop ends early", SoftmaxJacobianLoop, "input gradient, batch sizes", "wrong for one row"),
    ),
    *plant(
        LogSoftmax, (3,), ("log-softmax backward for one-hot targets", LogSoftmaxOneHot, "linearity, input gradient")
    ),
    *plant(
        LogSumExp,
        (3,),
        (
            "log-sum-exp without the upstream gradient",
            LogSumExpUpstream,
            "input gradient, linearity",
            "upstream gradient ignored",
        ),
    ),
    *plant(
        ScaleShift,
        (4,),
        ("scale broadcasts a single feature", ScaleBroadcasts, "feature count"),
        ("scale gradient keeps an axis", ScaleKeepsAxis, "shapes"),
        ("scale gradient from the output", ScaleTimesOutput, "parameter gradient", "one parameter wrong"),
        ("scale gradient divided by the width", ScaleTimesWidth, "parameter gradient", "factor is a width"),
        ("predict without the scale", ScaleGoesMissing, "predict agrees"),
        ("state_dict of live arrays", LiveState, "copies agree, no aliasing"),
    ),
    *plant(
        LayerNorm,
        (5,),
        ("layer norm without the way through the variance", NormWithoutVariancePath, "input gradient", "term missing"),
        ("layer norm without the way through the mean", NormWithoutMeanPath, "input gradient", "term missing"),
        ("layer norm scaled after its Jacobian", NormScaledAfterwards, "input gradient"),
        ("layer norm backward without epsilon", NormBareDeviation, "input gradient"),
        ("layer norm without epsilon", NormWithoutEpsilon, "finite"),
        ("layer norm centres its argument", NormInPlace, "arguments untouched", "argument overwritten"),
        (
            "layer norm by the variance of the batch",
            NormOfBatch,
            "samples independent, input gradient",
            "samples mixed",
        ),
        ("layer norm by moments", NormByMoments, "float32 agrees, finite"),
    ),
    *plant(
        UnitLength,
        (3,),
        ("zero sample normalized", UnitLengthOfZero, "finite"),
        ("length treated as a constant", UnitLengthConstant, "input gradient", "term missing"),
        ("length of the whole batch", UnitLengthOfBatch, "samples independent", "samples mixed"),
    ),
    *plant(SoftLength, (3,), ("gradient of the length at zero", LengthOfZero, "finite")),
    *plant(ByMaximum, (3,), ("maximum treated as a constant", ByMaximumConstant, "input gradient", "term missing")),
    *plant(
        BatchNorm,
        (3,),
        ("batch norm with a constant variance", BatchNormConstantVariance, "input gradient", "term missing"),
        ("batch norm with constant statistics", BatchNormConstantStatistics, "input gradient", "term missing"),
        ("batch norm undeclared", BatchNormUndeclared, "samples independent, predict agrees", "samples mixed"),
        ("batch norm learns in predict", BatchNormPredictLearns, "predict leaves no trace"),
        ("batch norm backward by running statistics", BatchNormRunningBackward, "input gradient, two open passes"),
        ("batch norm backward by the latest batch", BatchNormLatestBackward, "two open passes", "stale"),
        ("running mean as a plain array", BatchNormPlainStatistics, "copies agree"),
        ("running mean of the class", BatchNormSharedStatistics, "instances share nothing"),
        ("batch norm of a lone sample", BatchNormLoneSample, "missing batch axis"),
        ("batch norm backward with N for N - 1", BatchNormUnbiased, "input gradient"),
    ),
    *plant(
        Dropout,
        (4,),
        (
            "dropout redraws its mask",
            DropoutRedraws,
            "input gradient, gradients add, arguments untouched",
            "mask redrawn",
        ),
        ("dropout not rescaled in backward", DropoutNotRescaled, "input gradient", "constant factor"),
        ("dropout ignores its mask in backward", DropoutIgnoresMask, "input gradient"),
        ("dropout from the global generator", DropoutGlobal, "determinism"),
        ("dropout in predict", DropoutInPrediction, "determinism, predict leaves no trace"),
        ("dropout mask in float64", DropoutDoubleMask, "dtype"),
        ("dropout mask on self", DropoutMaskOnSelf, "two open passes", "stale"),
        ("dropout with the generator of the class", DropoutClassGenerator, "determinism, instances share nothing"),
    ),
    *plant(Noise, (3,), ("noise undeclared", NoiseUndeclared, "determinism, predict agrees, predict leaves no trace")),
    *plant(
        Convolution,
        (5, 2),
        ("convolution kernel not flipped", KernelNotFlipped, "input gradient"),
        ("overlapping windows overwrite", WindowsOverwrite, "input gradient"),
        ("last tap of the kernel gradient left out", LastTapDropped, "parameter gradient", "wrong for one row"),
    ),
    *plant(
        MaxPool,
        (6,),
        ("ties in a pool all win", TiesAllWin, "input gradient"),
        ("pool gradient to the position in the window", PoolWindowPosition, "input gradient"),
        ("pool windows in the order of memory", PoolMemoryOrder, "layout"),
    ),
    *plant(
        AverageFeatures,
        (3,),
        ("average without its width in backward", AverageIsSum, "input gradient", "factor is a width"),
    ),
    *plant(TimePool, (3, 3), ("time pooled over features of a lone sample", TimePoolLoneSample, "missing batch axis")),
    *plant(FeatureShift, (3, 3), ("bias gradient over the wrong axes", FeatureShiftOverTime, "parameter gradient")),
    *plant(
        RunningSum,
        (4,),
        ("running sum not reversed", RunningSumForward, "input gradient", "transposed"),
        ("running sum off by one", RunningSumExclusive, "input gradient", "term missing"),
        ("running sum backward over axis 1", RunningSumSecondAxis, "leading axes"),
    ),
    *plant(
        Differences, (4,), ("first difference forgotten", DifferencesFirst, "input gradient", "wrong for one column")
    ),
    *plant(Shuffle, (4,), ("permutation not inverted", ShuffledAgain, "input gradient", "transposed")),
    *plant(
        Attention,
        (4, 3),
        ("attention without the way through the values", AttentionWithoutValues, "input gradient"),
        (
            "attention not scaled in the weight gradient",
            AttentionNotScaledBack,
            "parameter gradient",
            "constant factor",
        ),
        ("attention with a NumPy scale", AttentionDoubleScale, "dtype"),
    ),
    *plant(
        Bilinear,
        (3,),
        ("quadratic form taken for symmetric", BilinearAsSymmetric, "input gradient"),
        ("einsum broadcasts a single feature", BilinearBroadcasts, "feature count"),
    ),
    *plant(
        TiedFactors,
        (4,),
        ("tied factor has the gradient of one use", TiedOnce, "parameter gradient"),
        ("tied factor's gradients overwrite", TiedOverwritten, "parameter gradient, gradients add", "not accumulated"),
    ),
    *plant(
        Polynomial,
        (3,),
        ("highest power dropped", HighestPowerDropped, "input gradient"),
        ("powers off by one", PowersOffByOne, "parameter gradient"),
    ),
    *plant(
        Residual,
        (3,),
        ("residual without its skip", ResidualWithoutSkip, "input gradient", "term missing"),
        ("residual added into the gradient", ResidualIntoGradient, "arguments untouched", "argument overwritten"),
        ("residual accumulates nothing", ResidualAccumulatesNothing, "accumulate"),
    ),
    *plant(
        partial(dropping, Residual),
        (3,),
        (
            "residual runs forward in predict",
            partial(dropping, ResidualTrainsAtInference),
            "determinism, predict leaves no trace, copies agree",
        ),
    ),
    *plant(
        Flatten,
        (2, 3),
        ("flatten of an empty batch", FlattenEmpty, "batch sizes"),
        ("flatten of anything", FlattenAnything, "missing batch axis, feature count"),
    ),
)

LOSS_BANK: tuple[PlantedLoss, ...] = (
    PlantedLoss("factor 2 of the square forgotten", SquareWithoutTwo, MeanLoss, "gradient"),
    PlantedLoss("target minus prediction", SquareTargetFirst, MeanLoss, "gradient"),
    PlantedLoss("weights forgotten in backward", WeightsForgotten, MeanLoss, "gradient"),
    PlantedLoss("weights not normalized", WeightsNotNormalized, MeanLoss, "weights"),
    PlantedLoss("weight of 0 counts 1", ZeroForNoWeight, MeanLoss, "weights"),
    PlantedLoss("scale forgotten", ScaleForgotten, MeanLoss, "gradient"),
    PlantedLoss("backward divided by samples only", MeanOverSamplesOnly, MeanLoss, "gradient"),
    PlantedLoss("target broadcasts", TargetBroadcasts, MeanLoss, "shapes"),
    PlantedLoss("residual computed in place", ResidualInPlace, MeanLoss, "arguments untouched"),
    PlantedLoss("gradient in the dtype of the target", DoubleTarget, MeanLoss, "dtype"),
    PlantedLoss("Huber slope not capped", HuberQuadratic, Huber, "gradient"),
    PlantedLoss("log cosh overflows", LogCoshOverflows, LogCosh, "finite, weights"),
    PlantedLoss("sum that is called a mean", SumUnsaid, SumSaid, "reduction"),
    *(
        PlantedLoss(name, bug, Logistic, laws, targets=answers)
        for name, bug, laws in (
            ("slope of the sigmoid twice", LogisticOfProbabilities, "gradient"),
            ("logistic loss as it is written", LogisticAsWritten, "gradient, finite, weights"),
            ("logistic loss without the term of no", LogisticOfNo, "gradient"),
        )
    ),
    *(
        PlantedLoss(name, bug, CrossEntropy, laws, (3,), labels)
        for name, bug, laws in (
            ("label smoothing forgotten in backward", SmoothingForgotten, "gradient"),
            ("label smoothing of two kinds", SmoothedOverOthers, "gradient"),
            ("class weights forgotten in backward", ClassWeightsForgotten, "gradient"),
            ("softmax not weighted", SoftmaxUnweighted, "gradient"),
            ("mean over samples for the weights of classes", ClassesNotCounted, "reduction"),
            ("total weight without class weights", ClassesNotInTotal, "reduction"),
            ("total weight without sample weights", TotalOfSamples, "reduction"),
            ("labels from one", LabelsFromOne, "labels"),
            ("gradient of the next label", GradientOfNextLabel, "gradient"),
            ("softmax over the batch in backward", SoftmaxOverSamples, "gradient"),
            ("softmax overflows", SoftmaxOverflows, "finite, weights"),
            ("class weights in float64", ClassWeightsDouble, "dtype"),
            ("labels broadcast", LabelsBroadcast, "shapes"),
            ("softmax kept on the loss", SoftmaxOnSelf, "weights"),
        )
    ),
)
