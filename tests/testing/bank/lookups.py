"""Entries that are looked up, scattered, sorted or routed: which place has which gradient, and how often."""

import numpy as np
from hypothesis import strategies as st

from minibackprop import Layer, Parameter, ShapeError
from tests.testing.bank.pieces import draw, normalized_exp, require_features, require_samples, rows
from tests.testing.bank.planting import planted

#: Batches of two or three samples of three indices, 0 to 3, which often repeat; never none.
INDICES = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=2, max_size=3).map(
    lambda rows: np.array([*rows, (0, 1, 1), (3, 2, 3)])
)


class Gather(Layer):
    """Correct: features in a fixed order, of which one is taken twice."""

    index = (0, 2, 2, 1)

    def forward(self, x):
        require_features(x, 3)
        return x[..., self.index], x.shape

    def backward(self, grad, shape):
        back = np.zeros(shape, grad.dtype, like=grad)
        np.add.at(back, (..., self.index), grad)
        return back


@planted("gathered twice, added once", Gather, (3,), laws="input gradient", cause="overwritten")
class GatherOverwrites(Gather):
    """``back[index] += grad`` adds once for equal indices. Wanted cause: duplicate indices that overwrite."""

    def backward(self, grad, shape):
        back = np.zeros(shape, grad.dtype, like=grad)
        back[..., self.index] += grad
        return back


class Bag(Layer):
    """Correct: the sum of the rows of a table at integer indices; index 0 is padding and counts nothing."""

    def __init__(self) -> None:
        self.table = Parameter(draw(4, 2))

    def forward(self, x):
        if x.ndim != 2 or x.dtype.kind not in "iu" or ((x < 0) | (x > 3)).any():
            raise ShapeError("Bag", "(N, T) indices from 0 to 3", f"{x.shape} {x.dtype}")
        return (self.table.value[x] * (x != 0)[..., None]).sum(axis=1), x

    def backward(self, grad, x):
        table = np.zeros_like(self.table.value)
        self.scatter(table, x, np.repeat(grad[:, None], x.shape[1], axis=1))
        self.table.add(table)

    def scatter(self, table, x, grad):
        np.add.at(table, x, grad * (x != 0)[..., None])


@planted("rows of a bag overwritten", Bag, INDICES, laws="parameter gradient", cause="overwritten")
class BagOverwrites(Bag):
    """``table[x] += grad``: what is looked up twice is counted once. Wanted cause: duplicate indices that overwrite."""

    def scatter(self, table, x, grad):
        table[x] += grad * (x != 0)[..., None]


@planted(
    "padding row of a bag learns",
    Bag,
    INDICES,
    laws="parameter gradient",
    cause="wrong for one row: the first of 4: backward lets through what forward stops",
)
class BagPaddingLearns(Bag):
    """forward leaves out the padding, backward does not. Wanted cause: wrong for one row, the first; mask one way."""

    def scatter(self, table, x, grad):
        np.add.at(table, x, grad)


class Largest(Layer):
    """Correct: the two largest features, in descending order."""

    def forward(self, x):
        require_features(x, 4)
        order = np.argsort(-x, axis=-1, kind="stable")[..., :2]
        return np.take_along_axis(x, order, axis=-1), (order, x.shape)

    def backward(self, grad, cache):
        order, shape = cache
        back = np.zeros(shape, grad.dtype, like=grad)
        np.put_along_axis(back, self.places(order), grad, axis=-1)
        return back

    def places(self, order):
        return order


@planted(
    "top two given back in the order of their places", Largest, (4,), laws="input gradient", cause="in the wrong places"
)
class TopInPlaceOrder(Largest):
    """The places are sorted before the gradient is put there. Wanted cause: to wrong places, permuted."""

    def places(self, order):
        return np.sort(order, axis=-1)


@planted("top two given back to the first two", Largest, (4,), laws="input gradient", cause="in the wrong places")
class TopToTheFirst(Largest):
    """The rank is used as the place. Wanted cause: to wrong places, permuted."""

    def places(self, order):
        return np.broadcast_to(np.arange(2), order.shape)


class Sorted(Layer):
    """Correct: the features in ascending order."""

    def forward(self, x):
        order = np.argsort(x, axis=-1, kind="stable")
        return np.take_along_axis(x, order, axis=-1), order

    def backward(self, grad, order):
        return np.take_along_axis(grad, np.argsort(order, axis=-1), axis=-1)


@planted("sorted again for unsorted", Sorted, (3,), laws="input gradient", cause="an order not inverted")
class SortedAgain(Sorted):
    """The order is applied where its inverse belongs. Wanted cause: transposed, permuted."""

    def backward(self, grad, order):
        return np.take_along_axis(grad, order, axis=-1)


class Maxout(Layer):
    """Correct: two units, each the larger of its two pieces; x @ W has the pieces of a unit side by side."""

    def __init__(self) -> None:
        self.W = Parameter(draw(3, 4))

    def forward(self, x):
        require_features(x, 3)
        pieces = (x @ self.W.value).reshape(*x.shape[:-1], 2, 2)
        best = pieces.argmax(axis=-1)[..., None]
        return np.take_along_axis(pieces, best, axis=-1)[..., 0], (x, best)

    def backward(self, grad, cache):
        x, best = cache
        pieces = np.zeros((*grad.shape, 2), grad.dtype, like=grad)
        np.put_along_axis(pieces, best, grad[..., None], axis=-1)
        pieces = self.flat(pieces)
        self.W.add(rows(x).T @ rows(pieces))
        return pieces @ self.W.value.T

    def flat(self, pieces):
        return pieces.reshape(*pieces.shape[:-2], 4)


@planted("maxout's pieces joined across units", Maxout, (3,), laws="input gradient")
class MaxoutAcross(Maxout):
    """Units and pieces change places before they are joined. Wanted cause: permuted, two columns swapped."""

    def flat(self, pieces):
        return super().flat(pieces.swapaxes(-1, -2))


class Experts(Layer):
    """Correct: a mixture of two experts, ``sum_k softmax(x @ G)[k] * tanh(x @ E[k])``."""

    def __init__(self) -> None:
        self.G = Parameter(draw(3, 2, seed=1))
        self.E = Parameter(draw(2, 3, 2) / 2)

    def forward(self, x):
        require_features(x, 3)
        gate = normalized_exp(x @ self.G.value)
        each = np.stack([np.tanh(x @ self.E.value[k]) for k in range(2)], axis=-1)
        return (each * gate[..., None, :]).sum(axis=-1), (x, gate, each)

    def backward(self, grad, cache):
        x, gate, each = cache
        scores = self.of_gate((grad[..., None] * each).sum(axis=-2), gate)
        inner = self.of_experts(grad[..., None], gate[..., None, :]) * (1 - each * each)
        self.G.add(rows(x).T @ rows(scores))
        self.E.add(np.stack([rows(x).T @ rows(inner[..., k]) for k in range(2)]))
        return scores @ self.G.value.T + sum(inner[..., k] @ self.E.value[k].T for k in range(2))

    def of_gate(self, upstream, gate):
        return gate * (upstream - (upstream * gate).sum(axis=-1, keepdims=True))

    def of_experts(self, grad, gate):
        return grad * gate


@planted(
    "gate of experts taken for a constant", Experts, (3,), laws="input gradient", cause="right only where G is zero"
)
class GateConstant(Experts):
    """The gate has no gradient. Wanted cause: one parameter wrong (G gets no gradient), term missing."""

    def of_gate(self, upstream, gate):
        return np.zeros_like(upstream)


@planted(
    "gate of experts with a diagonal Jacobian", Experts, (3,), laws="input gradient", cause="right only where G is zero"
)
class GateDiagonal(Experts):
    """The softmax of the gate is treated like a sigmoid. Wanted cause: diagonal of the Jacobian, of G."""

    def of_gate(self, upstream, gate):
        return upstream * gate * (1 - gate)


@planted("experts' gradient without their gate", Experts, (3,), laws="input gradient")
class ExpertsUngated(Experts):
    """Each expert gets the whole gradient. Wanted cause: one parameter wrong (E), forgotten scale."""

    def of_experts(self, grad, gate):
        return np.repeat(grad, 2, axis=-1)


class Neighbours(Layer):
    """Correct: each node of a fixed graph of three takes the mean over the nodes that point to it."""

    sources, targets = (0, 1, 2, 1), (1, 2, 2, 0)

    def forward(self, x):
        require_samples(x, 3, 2)
        y = np.zeros_like(x)
        np.add.at(y, (slice(None), self.targets), x[:, self.sources])
        return y / self.degrees(x, self.targets), None

    def degrees(self, x, ends):
        return np.asarray(np.bincount(ends, minlength=3), x.dtype, like=x)[:, None]

    def backward(self, grad, _):
        back = np.zeros_like(grad)
        shares = grad / self.degrees(grad, self.targets)
        np.add.at(back, (slice(None), self.sources), shares[:, self.targets])
        return back


@planted(
    "neighbours' mean by the degree of the source",
    Neighbours,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the first",
)
class NeighboursOtherDegree(Neighbours):
    """Each share is divided by the out-degree. Wanted cause: wrong for some rows."""

    def backward(self, grad, _):
        back = np.zeros_like(grad)
        np.add.at(back, (slice(None), self.sources), grad[:, self.targets])
        return back / np.maximum(self.degrees(grad, self.sources), 1)


@planted("neighbours' gradient along the edges", Neighbours, (3, 2), laws="input gradient", cause="transposed")
class NeighboursForward(Neighbours):
    """The gradient runs along the edges, as x does, not against. Wanted cause: transposed."""

    def backward(self, grad, _):
        return self.forward(grad)[0]
