"""Attention of several heads, masks, positions: which axis, which way, which pairs."""

import numpy as np

from minibackprop import Buffer, Layer, Parameter, ShapeError
from tests.testing.bank.pieces import draw, normalized_exp, require_features, require_samples, require_sequences, rows
from tests.testing.bank.planting import planted


class Heads(Layer):
    """Correct: attention of two heads over sequences (time, 4)."""

    def __init__(self, d: int = 4, heads: int = 2) -> None:
        self.d, self.heads, self.scale = d, heads, (d // heads) ** -0.5
        self.Q, self.K, self.V, self.O = (Parameter(draw(d, d, seed=i) / 2) for i in range(4))

    def forward(self, x):
        require_sequences(x, self.d)
        q, k, v = (self.split(x @ parameter.value) for parameter in (self.Q, self.K, self.V))
        weights = normalized_exp(q @ k.swapaxes(-1, -2) * self.scale)
        joined = self.join(weights @ v)
        return joined @ self.O.value, (x, q, k, v, weights, joined)

    def split(self, a):
        return a.reshape(*a.shape[:2], self.heads, -1 if a.size else self.d // self.heads).swapaxes(1, 2)

    def join(self, a):
        return a.swapaxes(1, 2).reshape(len(a), a.shape[2], self.d)

    def backward(self, grad, cache):
        x, q, k, v, weights, joined = cache
        self.O.add(rows(joined).T @ rows(grad))
        upstream = self.split_back(grad @ self.O.value.T)
        dv = weights.swapaxes(-1, -2) @ upstream
        scores = self.through_softmax(upstream @ v.swapaxes(-1, -2), weights)
        dq, dk = scores @ k * self.scale, self.of_keys(scores, q)
        return self.of_projections(x, self.join(dq), self.join(dk), self.join(dv))

    def split_back(self, a):
        return self.split(a)

    def through_softmax(self, upstream, weights):
        return weights * (upstream - (upstream * weights).sum(axis=-1, keepdims=True))

    def of_keys(self, scores, q):
        return scores.swapaxes(-1, -2) @ q * self.scale

    def of_projections(self, x, dq, dk, dv):
        for parameter, grad in ((self.Q, dq), (self.K, dk), (self.V, dv)):
            parameter.add(rows(x).T @ rows(grad))
        return dq @ self.Q.value.T + dk @ self.K.value.T + dv @ self.V.value.T


@planted("heads split without their axes on the way back", Heads, (3, 4), laws="input gradient")
class HeadsReshaped(Heads):
    """A reshape has the right shape too, but cuts time for heads. Wanted cause: permuted, axes of a reshape."""

    def split_back(self, a):
        return a.reshape(len(a), self.heads, a.shape[1], self.d // self.heads)


@planted("keys' scores not transposed", Heads, (3, 4), laws="input gradient", cause="right only where Q or K is zero")
class KeysNotTransposed(Heads):
    """As many queries as keys: the scores fit either way. Wanted cause: transposed."""

    def of_keys(self, scores, q):
        return scores @ q * self.scale


@planted("keys' gradient not scaled", Heads, (3, 4), laws="input gradient", cause="right only where Q or K is zero")
class KeysNotScaled(Heads):
    """The queries' gradient has the scale, the keys' not. Wanted cause: forgotten scale, one parameter wrong (K)."""

    def of_keys(self, scores, q):
        return scores.swapaxes(-1, -2) @ q


@planted(
    "queries' and keys' gradients swapped",
    Heads,
    (3, 4),
    laws="parameter gradient",
    cause="swapped: the gradients of Q and K | swapped: the gradients of K and Q",
)
class QueriesForKeys(Heads):
    """Q gets the gradient of K and K that of Q. Wanted cause: two gradients of equal shape swapped."""

    def of_projections(self, x, dq, dk, dv):
        for parameter, grad in ((self.Q, dk), (self.K, dq), (self.V, dv)):
            parameter.add(rows(x).T @ rows(grad))
        return dq @ self.Q.value.T + dk @ self.K.value.T + dv @ self.V.value.T


@planted("softmax back over the queries", Heads, (3, 4), laws="input gradient", cause="right only where Q or K is zero")
class SoftmaxBackOverQueries(Heads):
    """The sum of the softmax's gradient runs over axis -2. Wanted cause: summed over the wrong axis."""

    def through_softmax(self, upstream, weights):
        return weights * (upstream - (upstream * weights).sum(axis=-2, keepdims=True))


@planted(
    "softmax's sum without its weights", Heads, (3, 4), laws="input gradient", cause="right only where Q or K is zero"
)
class SoftmaxSumBare(Heads):
    """``upstream.sum()`` for ``(upstream * weights).sum()``. Wanted cause: none that can be told."""

    def through_softmax(self, upstream, weights):
        return weights * (upstream - upstream.sum(axis=-1, keepdims=True))


class CausalLinear(Layer):
    """Correct: linear attention, ``tril(q @ k.T) @ x``, of which a step sees no later one."""

    def __init__(self, d: int = 2) -> None:
        self.d = d
        self.Q, self.K = Parameter(draw(d, d)), Parameter(draw(d, d, seed=1))

    def forward(self, x):
        require_sequences(x, self.d)
        q, k = x @ self.Q.value, x @ self.K.value
        scores = np.tril(q @ k.swapaxes(-1, -2))
        return scores @ x, (x, q, k, scores)

    def backward(self, grad, cache):
        x, q, k, scores = cache
        inner = self.masked(grad @ x.swapaxes(-1, -2))
        dq, dk = inner @ k, inner.swapaxes(-1, -2) @ q
        self.Q.add(rows(x).T @ rows(dq))
        self.K.add(rows(x).T @ rows(dk))
        return dq @ self.Q.value.T + dk @ self.K.value.T + scores.swapaxes(-1, -2) @ grad

    def masked(self, inner):
        return np.tril(inner)


@planted("causal mask in forward only", CausalLinear, (3, 2), laws="input gradient", cause="as where a mask is missing")
class CausalForwardOnly(CausalLinear):
    """The scores' gradient is not masked. Wanted cause: mask in one direction only."""

    def masked(self, inner):
        return inner


@planted(
    "causal mask turned round in backward",
    CausalLinear,
    (3, 2),
    laws="input gradient",
    cause="a wrong axis, index or mask",
)
class CausalUpper(CausalLinear):
    """``triu`` for ``tril``, since gradients go backwards. Wanted cause: wrong mask, transposed."""

    def masked(self, inner):
        return np.triu(inner)


class MaskedMean(Layer):
    """Correct: the mean over the steps that are not padding; which these are is a buffer."""

    def __init__(self) -> None:
        self.valid = Buffer(np.array([1.0, 1.0, 0.0, 1.0]))

    def forward(self, x):
        require_samples(x, 4, 2)
        valid = self.valid.value[:, None]
        return (x * valid).sum(axis=1) / valid.sum(), x.shape

    def backward(self, grad, shape):
        valid = self.valid.value[:, None]
        return grad[:, None] * valid / valid.sum()


@planted("padding gets a gradient", MaskedMean, (4, 2), laws="input gradient", cause="a factor is forgotten: valid")
class PaddingGetsGradient(MaskedMean):
    """Every step has the same share on the way back. Wanted cause: wrong for one row, mask in one direction only."""

    def backward(self, grad, shape):
        return np.repeat(grad[:, None] / self.valid.value.sum(), shape[1], axis=1)


@planted(
    "masked mean divided by all steps in backward", MaskedMean, (4, 2), laws="input gradient", cause="constant factor"
)
class MaskedMeanOfAll(MaskedMean):
    """The gradient is divided by the number of steps, padding included. Wanted cause: constant factor 0.75."""

    def backward(self, grad, shape):
        return grad[:, None] * self.valid.value[:, None] / shape[1]


class RelativePositions(Layer):
    """Correct: ``softmax(x @ x.T + bias[i - j]) @ x``: equal distances share a bias."""

    def __init__(self, steps: int = 3) -> None:
        self.steps = steps
        self.bias = Parameter(draw(2 * steps - 1))
        self.distance = Buffer(np.arange(steps)[:, None] - np.arange(steps) + steps - 1)

    def forward(self, x):
        require_samples(x, self.steps, 2)
        weights = normalized_exp(x @ x.swapaxes(-1, -2) + self.bias.value[self.distance.value])
        return weights @ x, (x, weights)

    def backward(self, grad, cache):
        x, weights = cache
        upstream = grad @ x.swapaxes(-1, -2)
        scores = weights * (upstream - (upstream * weights).sum(axis=-1, keepdims=True))
        self.bias.add(self.of_distances(scores.sum(axis=0)))
        return scores @ x + scores.swapaxes(-1, -2) @ x + weights.swapaxes(-1, -2) @ grad

    def of_distances(self, scores):
        total = np.zeros_like(self.bias.value)
        np.add.at(total, self.distance.value, scores)
        return total


@planted(
    "position bias of equal distances overwritten",
    RelativePositions,
    (3, 2),
    laws="parameter gradient",
    cause="overwritten",
)
class DistancesOverwrite(RelativePositions):
    """``total[index] += ...`` adds once for equal indices. Wanted cause: duplicate indices that overwrite."""

    def of_distances(self, scores):
        total = np.zeros_like(self.bias.value)
        total[self.distance.value] += scores
        return total


class Rotary(Layer):
    """Correct: pairs of features are turned by an angle that grows with the step."""

    def forward(self, x):
        require_features(x, 2)
        if x.ndim != 3:
            raise ShapeError("Rotary", "(N, T, 2)", str(x.shape))
        return self.turned(x, 1), None

    def turned(self, x, sign):
        angle = np.arange(x.shape[1], dtype=x.dtype, like=x) * sign
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([x[..., 0] * cos - x[..., 1] * sin, x[..., 0] * sin + x[..., 1] * cos], axis=-1)

    def backward(self, grad, _):
        return self.turned(grad, -1)


@planted("rotation not turned back", Rotary, (3, 2), laws="input gradient", cause="transposed")
class RotaryForward(Rotary):
    """The gradient is turned on, where the inverse turns back. Wanted cause: transposed, wrong sign of one term."""

    def backward(self, grad, _):
        return self.turned(grad, 1)
