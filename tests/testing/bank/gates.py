"""Gated recurrent cells: which gate's gradient is which, and what passes them."""

import numpy as np

from minibackprop import Layer, Parameter
from tests.testing.bank.pieces import draw, logistic, require_sequences
from tests.testing.bank.planting import planted


class LongShort(Layer):
    """Correct: an LSTM of all steps, gates in the order i, f, g, o."""

    def __init__(self, n: int = 2, m: int = 2) -> None:
        self.n, self.m = n, m
        self.W = Parameter(draw(n + m, 4 * m) / 2)
        self.b = Parameter(draw(4 * m, seed=1) / 2)

    def forward(self, x):
        require_sequences(x, self.n)
        h = c = np.zeros((len(x), self.m), np.result_type(x, self.W.value), like=x)
        out, steps = [], []
        for t in range(x.shape[1]):
            xh = np.concatenate([x[:, t], h], axis=1)
            i, f, g, o = np.split(xh @ self.W.value + self.b.value, 4, axis=1)
            i, f, g, o = logistic(i), logistic(f), np.tanh(g), logistic(o)
            before, c = c, f * c + i * g
            h = o * np.tanh(c)
            out.append(h)
            steps.append((xh, i, f, g, o, before, c))
        return np.stack(out, axis=1), (x, steps)

    def backward(self, grad, cache):
        x, steps = cache
        back = np.zeros(x.shape, grad.dtype, like=grad)
        W, b = np.zeros_like(self.W.value), np.zeros_like(self.b.value)
        dh = dc = np.zeros((len(x), self.m), grad.dtype, like=grad)
        for t in reversed(range(x.shape[1])):
            xh, *step = steps[t]
            dz, dc = self.step_back(grad[:, t] + dh, dc, *step)
            W += xh.T @ dz
            b += dz.sum(axis=0)
            back[:, t], dh = np.split(dz @ self.W.value.T, [self.n], axis=1)
        self.W.add(W)
        self.b.add(b)
        return back

    def step_back(self, dh, dc, i, f, g, o, before, c):
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        gates = [dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g)]
        return np.concatenate([*gates, dh * np.tanh(c) * o * (1 - o)], axis=1), dc * f


@planted("gates' gradients in another order", LongShort, (3, 2), laws="input gradient, parameter gradient")
class GateOrder(LongShort):
    """Split as i, f, g, o and joined as i, f, o, g. Wanted cause: two gradients of equal shape swapped."""

    def step_back(self, *step):
        dz, dc = super().step_back(*step)
        i, f, g, o = np.split(dz, 4, axis=1)
        return np.concatenate([i, f, o, g], axis=1), dc


@planted(
    "cell gradient around the forget gate",
    LongShort,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the last | wrong from step to step",
)
class AroundForget(LongShort):
    """The cell's gradient is carried on without the forget gate. Wanted cause: right at the last step only."""

    def step_back(self, dh, dc, i, f, g, o, before, c):
        dz, _ = super().step_back(dh, dc, i, f, g, o, before, c)
        return dz, dc + dh * o * (1 - np.tanh(c) ** 2)


@planted(
    "cell gradient not carried",
    LongShort,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the last | wrong from step to step",
)
class CellNotCarried(LongShort):
    """Only the hidden state is followed back in time. Wanted cause: right at the last step only, term missing."""

    def step_back(self, *step):
        dz, dc = super().step_back(*step)
        return dz, np.zeros_like(dc)


@planted("slope of tanh at the cell itself", LongShort, (3, 2), laws="input gradient")
class TanhOfCell(LongShort):
    """``1 - c**2`` for ``1 - tanh(c)**2``. Wanted cause: none that can be told."""

    def step_back(self, dh, dc, i, f, g, o, before, c):
        dc = dc + dh * o * (1 - c * c)
        gates = [dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g)]
        return np.concatenate([*gates, dh * np.tanh(c) * o * (1 - o)], axis=1), dc * f


@planted("forget gate's gradient with the new cell", LongShort, (3, 2), laws="input gradient")
class ForgetOfNewCell(LongShort):
    """The forget gate multiplies the old cell; its gradient is taken with the new one. Wanted cause: wrong entries."""

    def step_back(self, dh, dc, i, f, g, o, before, c):
        return super().step_back(dh, dc, i, f, g, o, c, c)


class Gated(Layer):
    """Correct: a GRU of all steps; the reset gate is applied after the product with U."""

    def __init__(self, n: int = 2, m: int = 2) -> None:
        self.n, self.m = n, m
        self.W = Parameter(draw(n, 3 * m) / 2)
        self.U = Parameter(draw(m, 3 * m, seed=1) / 2)
        self.b = Parameter(draw(3 * m, seed=2) / 2)

    def forward(self, x):
        require_sequences(x, self.n)
        h = np.zeros((len(x), self.m), np.result_type(x, self.W.value), like=x)
        out, steps = [], []
        for t in range(x.shape[1]):
            wz, wr, wc = np.split(x[:, t] @ self.W.value + self.b.value, 3, axis=1)
            uz, ur, uc = np.split(h @ self.U.value, 3, axis=1)
            z, r = logistic(wz + uz), logistic(wr + ur)
            new = np.tanh(wc + r * uc)
            steps.append((h, z, r, uc, new))
            h = (1 - z) * new + z * h
            out.append(h)
        return np.stack(out, axis=1), (x, steps)

    def backward(self, grad, cache):
        x, steps = cache
        back = np.zeros(x.shape, grad.dtype, like=grad)
        W, U, b = (np.zeros_like(parameter.value) for parameter in (self.W, self.U, self.b))
        dh = np.zeros((len(x), self.m), grad.dtype, like=grad)
        for t in reversed(range(x.shape[1])):
            h, z, r, uc, new = steps[t]
            dh = grad[:, t] + dh
            dc = dh * (1 - z) * (1 - new * new)
            dz, dr = self.of_update(dh, h, new) * z * (1 - z), self.of_reset(dc, h, uc) * r * (1 - r)
            outer = np.concatenate([dz, dr, dc], axis=1)
            inner = np.concatenate([dz, dr, self.through_reset(dc, r)], axis=1)
            W += x[:, t].T @ outer
            U += h.T @ inner
            b += outer.sum(axis=0)
            back[:, t] = outer @ self.W.value.T
            dh = inner @ self.U.value.T + self.around(dh, z)
        self.W.add(W)
        self.U.add(U)
        self.b.add(b)
        return back

    def of_update(self, dh, h, new):
        return dh * (h - new)

    def of_reset(self, dc, h, uc):
        return dc * uc

    def through_reset(self, dc, r):
        return dc * r

    def around(self, dh, z):
        return dh * z


@planted("reset gate as if applied before", Gated, (3, 2), laws="input gradient")
class ResetBefore(Gated):
    """The reset gate's gradient is that of ``(r * h) @ U``, taken with h. Wanted cause: none that can be told."""

    def of_reset(self, dc, h, uc):
        return dc * h


@planted("update gate's sign", Gated, (3, 2), laws="input gradient")
class UpdateSign(Gated):
    """``new - h`` for ``h - new``. Wanted cause: wrong sign of one term."""

    def of_update(self, dh, h, new):
        return dh * (new - h)


@planted(
    "way around the cell forgotten",
    Gated,
    (3, 2),
    laws="input gradient",
    cause="right in one place along axis 1 only: the last | wrong from step to step",
)
class AroundForgotten(Gated):
    """The state that the update gate lets pass has no way back. Wanted cause: right at the last step only."""

    def around(self, dh, z):
        return np.zeros_like(dh)


@planted(
    "reset gate forgotten on the way to the state",
    Gated,
    (3, 2),
    laws="input gradient, parameter gradient",
    cause="right in one place along axis 1 only: the last | wrong from step to step",
)
class ResetForgotten(Gated):
    """The candidate's gradient reaches U and h without the reset gate. Wanted cause: right at the last step only."""

    def through_reset(self, dc, r):
        return dc
