"""
Planted bugs of functions and modules of PyTorch, each the slip of one line beside a correct twin.

``python -m tests.testing.bank_torch`` prints which of them ``torch.autograd.gradcheck`` finds, as a table for the docs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn
from torch.autograd import Function, gradcheck

from minibackprop import ShapeError
from minibackprop.testing.torch import TorchLayer
from tests.testing.bank.planting import Planted
from tests.testing.beside_others import table

BANK: list[Planted] = []
#: The same by name, as ``gradcheck`` takes them.
FUNCTIONS: dict[str, Callable[[], Callable]] = {}


def planted(name, twin, inputs, laws, cause="", **declared):
    """Plant a class of functions or modules beside its twin; the laws in one string."""

    def plant(bug):
        FUNCTIONS[name] = lambda: _made(bug)
        wrong, right = (lambda kind=kind: TorchLayer(_made(kind), **declared) for kind in (bug, twin))
        BANK.append(Planted(name, wrong, right, inputs, tuple(laws.split(", ")), cause))
        return bug

    return plant


def _made(kind):
    return kind.apply if issubclass(kind, Function) else kind()


class Square(Function):
    """Correct: ``x * x``."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 2 * x * grad


@planted("factor forgotten", Square, (3,), "input gradient", "constant factor")
class SquareWithoutTwo(Square):
    """The 2 is forgotten."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return x * grad


@planted("state on the class", Square, (3,), "two open passes, instances share nothing")
class SquareOnClass(Square):
    """The class keeps the input, not the context."""

    @staticmethod
    def forward(ctx, x):
        SquareOnClass.x = x
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * SquareOnClass.x * grad


@planted("`grad_output` modified", Square, (3,), "arguments untouched", "argument overwritten")
class SquareInPlace(Square):
    """The gradient is multiplied in place."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad.mul_(2 * x)


@planted("contiguous memory assumed", Square, (2, 3), "layout")
class SquareOfMemory(Square):
    """As a kernel in C that goes through memory in its order."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        x = torch.as_strided(x, x.shape, torch.empty(x.shape).stride())
        return x * x


@planted("memory of the result used again", Square, (3,), "instances share nothing, results stay")
class SquareIntoScratch(Square):
    """The result is written into memory that the next call uses again."""

    scratch: dict = {}  # noqa: RUF012

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        scratch = SquareIntoScratch.scratch.setdefault((x.shape, x.dtype), torch.empty_like(x))
        return torch.mul(x, x, out=scratch)


@planted("detour through float32", Square, (3,), "input gradient, dtype, float32 agrees", "dropped to float32")
class SquareInSingle(Square):
    """The backward pass computes in float32."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return (2 * x.float() * grad.float()).to(grad.dtype)


class Tanh(Function):
    """Correct."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y)


@planted("sign flipped", Tanh, (3,), "input gradient", "sign flipped")
class NegatedTanh(Tanh):
    """``y * y - 1``."""

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (y * y - 1)


@planted("slope of the input", Tanh, (3,), "input gradient")
class TanhOfInput(Tanh):
    """The input is saved where the formula has the output."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.tanh(x)


@planted("wrong beyond 2.5", Tanh, (3,), "input gradient", "wrong for large values only")
class SaturatedTanh(Tanh):
    """The slope is cut off where the output is nearly 1."""

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * (1 - y * y) * (y.abs() < np.tanh(2.5))


class Softplus(Function):
    """Correct: ``log(1 + exp(x))``."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.logaddexp(x, torch.zeros_like(x))

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * torch.sigmoid(x)


@planted("overflow", Softplus, (3,), "finite", "overflow")
class SoftplusOverflows(Softplus):
    """The formula as it stands: exp(1000) is infinite."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.log1p(torch.exp(x))


@planted("backward overflows", Softplus, (3,), "finite", "overflow")
class SoftplusBackOverflows(Softplus):
    """``exp(x) / (1 + exp(x))`` is inf / inf for large x."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        e = torch.exp(x)
        return grad * e / (1 + e)


class Softmax(Function):
    """Correct, over the last axis."""

    @staticmethod
    def forward(ctx, x):
        y = torch.softmax(x, -1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return y * (grad - (grad * y).sum(-1, keepdim=True))


@planted("diagonal of the Jacobian", Softmax, (3,), "input gradient", "term missing")
class DiagonalSoftmax(Softmax):
    """The slope of the sigmoid."""

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * y * (1 - y)


@planted("three axes", Softmax, (3,), "leading axes")
class SoftmaxOfMatrices(Softmax):
    """The sum goes over axis 1, which is the last one of two."""

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return y * (grad - (grad * y).sum(1, keepdim=True))


@planted("empty batch", Softmax, (3,), "batch sizes, samples independent")
class SoftmaxOfSome(Softmax):
    """The maximum of all entries is subtracted: of none, there is none."""

    @staticmethod
    def forward(ctx, x):
        rows = torch.cat([row[None] for row in (x - x.amax(-1, keepdim=True)).exp()])
        y = rows / rows.sum(-1, keepdim=True)
        ctx.save_for_backward(y)
        return y


@planted("softmax over the batch", Softmax, (3,), "samples independent", "samples mixed")
class SoftmaxOfSamples(Softmax):
    """Over the wrong axis, forwards and backwards."""

    @staticmethod
    def forward(ctx, x):
        y = torch.softmax(x, 0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return y * (grad - (grad * y).sum(0, keepdim=True))


class Largest(Function):
    """Correct: the largest entry; the first of several that tie has the gradient."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.amax(-1, keepdim=True)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return torch.zeros_like(x).scatter(-1, x.argmax(-1, keepdim=True), grad)


@planted("ties", Largest, (3,), "input gradient", "equal entries each get the whole gradient")
class LargestOfTies(Largest):
    """Each of several entries that tie gets the whole gradient."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x == x.amax(-1, keepdim=True))


FACTORS = (1.0, 2.0, 0.5)


class Scale(Function):
    """Correct: a factor for each of three features."""

    @staticmethod
    def forward(ctx, x):
        if x.shape[-1:] != (3,):
            raise ShapeError("Scale", "(..., 3)", str(tuple(x.shape)))
        return x * torch.tensor(FACTORS, dtype=x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad * torch.tensor(FACTORS, dtype=grad.dtype)


@planted("float64 constant", Scale, (3,), "dtype", "a float64 constant")
class ScaleInDouble(Scale):
    """A table in float64, which makes float64 of float32."""

    @staticmethod
    def forward(ctx, x):
        if x.shape[-1:] != (3,):
            raise ShapeError("Scale", "(..., 3)", str(tuple(x.shape)))
        return x * torch.tensor(FACTORS, dtype=torch.float64)


@planted("a single feature broadcast", Scale, (3,), "feature count", "a single feature is broadcast")
class ScaleOfAny(Scale):
    """Nobody looks at the width."""

    @staticmethod
    def forward(ctx, x):
        ctx.width = x.shape[-1]
        return x * torch.tensor(FACTORS, dtype=x.dtype)

    @staticmethod
    def backward(ctx, grad):
        back = grad * torch.tensor(FACTORS, dtype=grad.dtype)
        return back if ctx.width == 3 else back.sum(-1, keepdim=True)


class Noise(nn.Module):
    """Correct: dropout in training."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.5, self.training)


@planted("dropout in evaluation", Noise, (3,), "instances share nothing, predict leaves no trace", stochastic="a mask")
class NoiseAlways(Noise):
    """``training`` is True by default."""

    def forward(self, x):
        return nn.functional.dropout(x, 0.5)


class Centred(nn.Module):
    """Correct: subtracts the mean of the batch, and a running mean in evaluation."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        if x.shape[1:] != (3,):
            raise ShapeError("Centred", "(N, 3)", str(tuple(x.shape)))
        if not self.training:
            return x - self.mean
        mean = x.mean(0) if len(x) else torch.zeros(3, dtype=x.dtype)
        self.mean = 0.9 * self.mean + 0.1 * mean.detach()
        return x - mean


@planted("no buffer", Centred, (3,), "copies agree, nothing left behind", couples_samples="the mean of the batch")
class CentredByAttribute(Centred):
    """The running mean is no buffer: it is not saved."""

    def __init__(self):
        nn.Module.__init__(self)
        self.mean = torch.zeros(3)


class Factor(nn.Module):
    """Correct: a factor for each feature."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(3))

    def forward(self, x):
        if x.shape[-1:] != (3,):
            raise ShapeError("Factor", "(..., 3)", str(tuple(x.shape)))
        return x * self.factor


@planted("parameter detached", Factor, (3,), "parameter gradient", "no gradient reaches")
class FactorDetached(Factor):
    """The parameter is cut off from the graph."""

    def forward(self, x):
        return super().forward(x) if x.shape[-1:] != (3,) else x * self.factor.detach()


def found_by_gradcheck(planted_bug: Planted) -> bool:
    """Tell whether ``gradcheck`` finds a bug, for a batch of four samples of normal numbers."""
    function = FUNCTIONS[planted_bug.name]()
    if isinstance(function, nn.Module):
        function = function.double()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, *planted_bug.inputs, dtype=torch.float64, generator=generator, requires_grad=True)
    return not gradcheck(function, (x,), raise_exception=False)


if __name__ == "__main__":
    print(table(BANK, found_by_gradcheck))
