"""Layers that are unusual but right: order statistics, exact cancellations, infinite inputs, side inputs."""

import numpy as np
from hypothesis import strategies as st

from minibackprop import Layer, ShapeError
from tests.testing.bank.pieces import normalized_exp
from tests.testing.bank.planting import planted, right


@right((4,))
class MaximumOfAll(Layer):
    """The largest of all features, whose number is free; the first of equals has the gradient."""

    def forward(self, x):
        if x.ndim != 2 or not x.shape[1]:
            raise ShapeError("MaximumOfAll", "(N, at least 1)", str(x.shape))
        best = x.argmax(axis=1)[:, None]
        return np.take_along_axis(x, best, axis=1), (best, x.shape)

    def backward(self, grad, cache):
        best, shape = cache
        back = np.zeros(shape, grad.dtype, like=grad)
        np.put_along_axis(back, best, grad, axis=1)
        return back


@right((3,))
class Median(Layer):
    """The middle one of three features; the one that sorting puts there has the gradient."""

    def forward(self, x):
        if x.ndim == 0 or x.shape[-1] != 3:
            raise ShapeError("Median", "(..., 3)", str(x.shape))
        middle = np.argsort(x, axis=-1, kind="stable")[..., 1:2]
        return np.take_along_axis(x, middle, axis=-1), (x, middle)

    def backward(self, grad, cache):
        x, middle = cache
        back = np.zeros(x.shape, grad.dtype, like=grad)
        np.put_along_axis(back, middle, grad, axis=-1)
        return back


@right((3,))
class MedianShared(Median):
    """The median, whose gradient equal entries share."""

    def backward(self, grad, cache):
        x, middle = cache
        equal = x == np.take_along_axis(x, middle, axis=-1)
        return grad * equal / equal.sum(axis=-1, keepdims=True, dtype=grad.dtype)


@right((4,))
class Range(Layer):
    """The largest feature less the smallest."""

    def forward(self, x):
        if x.ndim != 2 or x.shape[1] < 1:
            raise ShapeError("Range", "(N, at least 1)", str(x.shape))
        ends = np.stack([x.argmax(axis=1), x.argmin(axis=1)], axis=1)
        y = np.take_along_axis(x, ends, axis=1)
        return y[:, :1] - y[:, 1:], (ends, x.shape)

    def backward(self, grad, cache):
        ends, shape = cache
        back = np.zeros(shape, grad.dtype, like=grad)
        signs = np.array([1, -1], grad.dtype, like=grad)
        np.add.at(back, (np.arange(len(grad), like=grad)[:, None], ends), grad * signs)
        return back


@right((4, 2))
class SelfAttention(Layer):
    """``softmax(x @ x.T) @ x`` without a scale, where at large inputs all but one weight are exactly 0."""

    def forward(self, x):
        if x.ndim != 3 or not x.shape[1]:
            raise ShapeError("SelfAttention", "(N, at least 1, F)", str(x.shape))
        weights = normalized_exp(x @ x.transpose(0, 2, 1))
        return weights @ x, (x, weights)

    def backward(self, grad, cache):
        x, weights = cache
        upstream = grad @ x.transpose(0, 2, 1)
        scores = weights * (upstream - (weights * upstream).sum(axis=2, keepdims=True))
        return weights.transpose(0, 2, 1) @ grad + scores @ x + scores.transpose(0, 2, 1) @ x


ALLOWED = st.lists(
    st.tuples(*[st.sampled_from([-np.inf, -1.5, 0.0, 0.25, 3.0])] * 3).filter(lambda row: max(row) > -np.inf),
    min_size=1,
    max_size=3,
).map(np.array)


@right(ALLOWED)
class LogSumExpOfMasked(Layer):
    """The log-sum-exp of three features, of which some are -inf: masked, and without a share."""

    def forward(self, x):
        if x.ndim == 0 or x.shape[-1] != 3:
            raise ShapeError("LogSumExpOfMasked", "(..., 3)", str(x.shape))
        top = x.max(axis=-1, keepdims=True)
        e = np.exp(x - top)
        total = e.sum(axis=-1, keepdims=True)
        return top + np.log(total), e / total

    def backward(self, grad, share):
        return grad * share


class MaskSum(Layer):
    """Correct: the sum over the steps that a mask, if given, leaves."""

    side_inputs = ("mask",)

    def __init__(self) -> None:
        self.mask = None

    def forward(self, x):
        if x.ndim != 3:
            raise ShapeError("MaskSum", "(N, T, F)", str(x.shape))
        if self.mask is not None and self.mask.shape != x.shape[:2]:
            raise ShapeError("MaskSum", f"a mask of shape {x.shape[:2]}", str(self.mask.shape))
        mask = np.ones_like(x, shape=x.shape[:2]) if self.mask is None else self.mask.astype(x.dtype)
        return np.einsum("nt,ntf->nf", mask, x), mask

    def backward(self, grad, mask):
        return self.mask_back(mask)[:, :, None] * grad[:, None]

    def mask_back(self, mask):
        return mask


@planted(
    "given mask in forward only",
    MaskSum,
    (4, 2),
    laws="input gradient",
    cause="mask in one direction only | backward lets through what forward stops",
)
class MaskSumForwardOnly(MaskSum):
    """backward treats masked steps like others. Wanted cause: mask in one direction only."""

    def mask_back(self, mask):
        return np.ones_like(mask)
